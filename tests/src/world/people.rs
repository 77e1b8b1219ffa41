//! What the people of a simulated world do, drawn at random from what their phones show them. Later kinds
//! of acting join by one more line in [`World::act`].

use shared::edit::{Edit, Patch, Value};
use shared::id::{DocId, Seq};
use shared::ledger::Command;
use shared::ledger::people::Role;
use shared::refusal::Rule;
use shared::view::{Answer, Query, TimelineEntry};

use crate::fault::Fault;
use crate::model::{TypedEdit, Violation};
use crate::world::World;
use crate::world::shape::Cause;

/// Fields of a card that people overwrite, so that they clash.
const CLASHING_FIELDS: [&str; 3] = ["address", "short_name", "district"];

/// Whether an edit holds a token in what its person typed. What a text was before stands in the edit too, and is
/// other people's.
pub fn says(edit: &Edit, token: &str) -> bool {
    let typed = |value: &Value| match value {
        Value::Str(text) => text.contains(token),
        Value::Text { text, base } => text.strip_prefix(base.as_str()).unwrap_or(text).contains(token),
        _ => false,
    };
    match edit {
        Edit::CreateCustomer { fields, .. }
        | Edit::EditCustomer { fields, .. }
        | Edit::CreateVisit { fields, .. }
        | Edit::EditVisit { fields, .. } => fields.values().any(typed),
        Edit::VoidVisit { reason: text, .. } | Edit::CreateComment { text, .. } => text.contains(token),
    }
}

impl World {
    /// Somebody does something on a phone.
    pub fn act(&mut self, phone: usize) -> Result<(), Violation> {
        let Some(role) = self.model.person(self.phones[phone].person).map(|person| person.role) else {
            return Ok(());
        };
        if self.phones[phone].client.is_none() {
            return Ok(());
        }
        if self.may_hand_over(phone) && self.shape.has(Cause::Handover) && self.dice.aside().permille(400) {
            self.begin_handover(phone);
            return Ok(());
        }
        let action = self.dice.below(100);
        match role {
            Role::Rep => match action {
                0..16 => self.create_customer(phone),
                16..48 => self.edit_card(phone),
                48..74 => self.add_visit(phone),
                74..86 => self.edit_visit(phone),
                86..89 => self.void_visit(phone),
                89..94 => self.comment(phone),
                94..97 => self.transfer(phone),
                _ => self.dismiss(phone),
            },
            Role::Assistant | Role::Admin => match action {
                0..35 => self.accept(phone),
                35..60 => self.transfer(phone),
                60..78 => self.settle_late(phone),
                78..90 => self.edit_card(phone),
                90..96 => self.comment(phone),
                _ => self.create_customer(phone),
            },
            Role::Manager => match action {
                0..55 => self.comment(phone),
                55..80 => self.transfer(phone),
                80..90 => self.edit_card(phone),
                _ => self.accept(phone),
            },
        }
    }

    /// Types an edit and remembers it by its token, unless the phone refuses it at once.
    fn type_edit(&mut self, phone: usize, edit: Edit, token: String) -> Result<(), Violation> {
        self.note(|| format!("phone {phone} types {edit:?}"));
        let doc = edit.doc();
        let customer = match &edit {
            Edit::CreateCustomer { customer, .. }
            | Edit::EditCustomer { customer, .. }
            | Edit::CreateVisit { customer, .. }
            | Edit::CreateComment { customer, .. } => Some(*customer),
            Edit::EditVisit { .. } | Edit::VoidVisit { .. } => self
                .model
                .typed
                .iter()
                .find(|earlier| earlier.doc == doc)
                .and_then(|earlier| earlier.customer),
        };
        // The edit is remembered first: its write may be stored or lost while the machine is being drained.
        let person = self.phones[phone].person;
        let device = self.phones[phone].device;
        self.model.typed.push(TypedEdit {
            phone,
            person,
            device,
            doc,
            customer,
            token,
            saved: false,
            expected: true,
            own: true,
            // Nothing is expected of how it is shown until the phone has taken it.
            told: true,
            arrived: false,
        });
        let index = self.model.typed.len() - 1;
        let taken = self.with_client(phone, |client, now| client.handle_edit(now, edit))?;
        match taken {
            Some(Ok(_)) => {
                self.model.typed[index].told = false;
                self.check_shown(phone)
            }
            None => Ok(()),
            Some(Err(refusal)) => {
                self.note(|| format!("phone {phone} refuses: {refusal:?}"));
                self.refused_at_once += 1;
                self.model.typed[index].expected = false;
                self.check_refusal_is_honest(phone, refusal.rule)
            }
        }
    }

    /// An honest phone refuses at once only what its person can see and understand.
    fn check_refusal_is_honest(&self, phone: usize, rule: Rule) -> Result<(), Violation> {
        match rule {
            Rule::ReadOnly
            | Rule::NotFound
            | Rule::AlreadyVoided
            | Rule::RoleForbidden
            | Rule::Transferred
            | Rule::AlreadyAccepted
            | Rule::AlreadyOwner
            | Rule::AccessEnded
            | Rule::AlreadySettled
            | Rule::AcceptanceIncomplete => Ok(()),
            _ => Err(format!("phone {phone} refuses an honest edit by {rule:?}")),
        }
    }

    fn new_doc(&mut self, phone: usize) -> Option<DocId> {
        self.phones[phone].client.as_mut().map(|client| client.new_doc_id())
    }

    fn new_record(&mut self, phone: usize) -> String {
        let client = self.phones[phone].client.as_mut();
        client.map(|client| client.new_record_id()).expect("somebody acts on a phone that is on")
    }

    fn create_customer(&mut self, phone: usize) -> Result<(), Violation> {
        let Some(customer) = self.new_doc(phone) else { return Ok(()) };
        let canary = self.model.canary(customer);
        let token = self.model.token(None);
        let mut fields = Patch::new();
        fields.insert("name".to_owned(), Value::Str(canary.replace("canary", "Factory ")));
        fields.insert("address".to_owned(), Value::Str(format!("{canary} {token}")));
        fields.insert("remarks".to_owned(), Value::Str(format!("{canary}.")));
        if self.dice.permille(800) {
            let (contact, number) = (self.new_record(phone), self.new_record(phone));
            fields.insert(format!("contacts/{contact}/name"), Value::Str(format!("{canary} Zhang")));
            fields.insert(format!("phones/{number}/number"), Value::Str("13800138000".to_owned()));
        }
        self.type_edit(phone, Edit::CreateCustomer { customer, fields }, token)
    }

    /// A customer that the phone shows.
    fn some_customer(&mut self, phone: usize) -> Option<DocId> {
        match self.query(phone, &Query::Customers { search: String::new(), limit: 40 })? {
            Answer::Customers(rows) => self.dice.pick(&rows).map(|row| row.id),
            other => panic!("a question for customers was answered with {other:?}"),
        }
    }

    fn edit_card(&mut self, phone: usize) -> Result<(), Violation> {
        let Some(customer) = self.some_customer(phone) else { return self.create_customer(phone) };
        let card = match self.query(phone, &Query::Customer { id: customer }) {
            Some(Answer::Customer(card)) => card,
            other => panic!("a question for a customer was answered with {other:?}"),
        };
        let canary = self.model.canary_of(customer).unwrap_or_default();
        let mut fields = Patch::new();
        let token;
        match self.dice.below(5) {
            0 | 1 => {
                token = self.model.token(None);
                let field = CLASHING_FIELDS[self.dice.below(3) as usize];
                fields.insert(field.to_owned(), Value::Str(format!("{canary} {token}")));
            }
            2 => {
                let shown = card.as_ref().and_then(|card| card.fields.get("remarks"));
                let base = shown.and_then(|text| text.as_str()).unwrap_or_default().to_owned();
                token = self.model.token(base.chars().last());
                fields.insert("remarks".to_owned(), Value::Text { text: format!("{base}{token}"), base });
            }
            3 => {
                token = self.model.token(None);
                let number = self.new_record(phone);
                fields.insert(format!("phones/{number}/number"), Value::Str(token.clone()));
                let shown = card.map(|card| card.phones).unwrap_or_default();
                if let Some(old) = self.dice.pick(&shown) {
                    fields.insert(format!("phones/{}/state", old.id), Value::Str("retired".to_owned()));
                    fields.insert(format!("phones/{number}/replaces"), Value::Str(old.id.clone()));
                }
            }
            _ => {
                token = self.model.token(None);
                let contact = self.new_record(phone);
                fields.insert(format!("contacts/{contact}/name"), Value::Str(format!("{canary} {token}")));
            }
        }
        self.type_edit(phone, Edit::EditCustomer { customer, fields }, token)
    }

    fn add_visit(&mut self, phone: usize) -> Result<(), Violation> {
        let Some(customer) = self.some_customer(phone) else { return self.create_customer(phone) };
        let Some(visit) = self.new_doc(phone) else { return Ok(()) };
        let canary = self.model.canary_of(customer).unwrap_or_default();
        let token = self.model.token(None);
        let long = if self.dice.permille(30) { "长".repeat(2_500) } else { String::new() };
        let mut fields = Patch::new();
        fields.insert("record".to_owned(), Value::Str(format!("{canary} {token}{long}.")));
        if self.dice.permille(300) {
            let quote = self.new_record(phone);
            fields.insert(format!("quotes/{quote}/product"), Value::Str(format!("{canary} oil")));
            fields.insert(format!("quotes/{quote}/price_fen"), Value::Int(185_000));
        }
        self.type_edit(phone, Edit::CreateVisit { visit, customer, fields }, token)
    }

    /// A visit of the phone's own person that this phone shows, with its customer.
    fn own_visit(&mut self, phone: usize) -> Option<(DocId, DocId)> {
        let person = self.phones[phone].person;
        match self.query(phone, &Query::Newest { limit: 30 })? {
            Answer::Timeline(entries) => {
                let is_own =
                    |entry: &&TimelineEntry| entry.kind == "visit" && entry.person_id == Some(person);
                let own: Vec<_> = entries
                    .iter()
                    .filter(is_own)
                    .filter_map(|entry| Some((entry.doc?, entry.customer)))
                    .collect();
                self.dice.pick(&own).copied()
            }
            other => panic!("a question for the newest entries was answered with {other:?}"),
        }
    }

    fn edit_visit(&mut self, phone: usize) -> Result<(), Violation> {
        let Some((visit, customer)) = self.own_visit(phone) else { return self.add_visit(phone) };
        let canary = self.model.canary_of(customer).unwrap_or_default();
        let token = self.model.token(None);
        let product = self.new_record(phone);
        let fields =
            Patch::from([(format!("products/{product}/name"), Value::Str(format!("{canary} {token}")))]);
        self.type_edit(phone, Edit::EditVisit { visit, fields }, token)
    }

    fn void_visit(&mut self, phone: usize) -> Result<(), Violation> {
        let Some((visit, _)) = self.own_visit(phone) else { return self.add_visit(phone) };
        let token = self.model.token(None);
        self.type_edit(phone, Edit::VoidVisit { visit, reason: token.clone() }, token)
    }

    fn comment(&mut self, phone: usize) -> Result<(), Violation> {
        let Some(customer) = self.some_customer(phone) else { return Ok(()) };
        let Some(comment) = self.new_doc(phone) else { return Ok(()) };
        let canary = self.model.canary_of(customer).unwrap_or_default();
        let token = self.model.token(None);
        let text = format!("{canary} {token}.");
        self.type_edit(phone, Edit::CreateComment { comment, customer, about: None, text }, token)
    }

    fn command(&mut self, phone: usize, command: Command) -> Result<(), Violation> {
        self.note(|| format!("phone {phone} asks {command:?}"));
        match self.with_client(phone, |client, now| client.handle_command(now, command))? {
            Some(Err(refusal)) => {
                self.note(|| format!("phone {phone} refuses: {refusal:?}"));
                self.refused_at_once += 1;
            }
            Some(Ok(_)) => self.commands_taken += 1,
            None => {}
        }
        Ok(())
    }

    pub(super) fn accept(&mut self, phone: usize) -> Result<(), Violation> {
        let Some(Answer::Customers(rows)) = self.query(phone, &Query::ToAccept) else { return Ok(()) };
        match self.dice.pick(&rows).map(|row| row.id) {
            Some(customer) => self.command(phone, Command::Accept { customer }),
            None => Ok(()),
        }
    }

    pub(super) fn transfer(&mut self, phone: usize) -> Result<(), Violation> {
        let reps = self.model.active_reps();
        match (self.some_customer(phone), self.dice.pick(&reps).copied()) {
            (Some(customer), Some(to)) => {
                self.command(phone, Command::Transfer { customer, to, reason: None })
            }
            _ => Ok(()),
        }
    }

    fn settle_late(&mut self, phone: usize) -> Result<(), Violation> {
        let Some(Answer::Late(late)) = self.query(phone, &Query::Late) else { return Ok(()) };
        let open: Vec<(Seq, DocId)> =
            late.iter().filter(|view| view.may_settle).map(|view| (view.id, view.work.customer)).collect();
        let Some((late, customer)) = self.dice.pick(&open).copied() else { return self.accept(phone) };
        let apply = self.dice.permille(600);
        self.command(phone, Command::SettleLate { customer, late, apply })
    }

    /// The person reads a refused edit and lets it go: from then on nobody looks for it.
    fn dismiss(&mut self, phone: usize) -> Result<(), Violation> {
        let Some(Answer::Refused(refused)) = self.query(phone, &Query::Refused) else { return Ok(()) };
        let Some(view) = self.dice.pick(&refused).cloned() else { return self.add_visit(phone) };
        self.faults.count(Fault::EditRefused);
        for edit in self.model.typed.iter_mut().filter(|edit| says(&view.edit, &edit.token)) {
            edit.expected = false;
        }
        let id = shared::client::EditId(view.edit_id);
        self.with_client(phone, |client, now| client.handle_dismiss_refused(now, id))?;
        Ok(())
    }
}
