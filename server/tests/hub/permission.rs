//! The permission code against a reference that knows no grants: who may see and do what, from what happened
//! alone. Random people, random steps; after each the answer and every open phone's scopes are the reference's.

use std::collections::{BTreeMap, BTreeSet};

use automerge::transaction::Transactable as _;
use automerge::{Author, AutoCommit};
use proptest::prelude::*;
use server::hub::{Administration, AdministrationFailure};
use shared::document::{Document, Kind, LocalChange, Writer};
use shared::edit::{Edit, Value};
use shared::id::{ActorId, DocId, PersonId, Scope, Seq};
use shared::ledger::{Command, Person, Role, Team};
use shared::protocol::{ItemResult, PushItem};
use shared::refusal::Rule;

use crate::world::{COMPLETE, Phone, World, patch, recorded};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted,
    Held,
    Refused(Rule),
}

use Answer::{Accepted, Held, Refused};

/// What somebody is to a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Nobody,
    Former,
    Commenter,
    Writer,
}

struct Owned {
    owners: Vec<PersonId>,
    is_accepted: bool,
}

/// The whole organisation in lists.
#[derive(Default)]
struct Reference {
    people: BTreeMap<PersonId, Person>,
    customers: BTreeMap<DocId, Owned>,
    /// Each visit and comment with its customer and its author.
    facts: BTreeMap<DocId, (DocId, PersonId)>,
    /// Held edits of cards, and whether each waits.
    held: BTreeMap<Seq, (DocId, bool)>,
}

impl Reference {
    fn owner(&self, customer: DocId) -> PersonId {
        *self.customers[&customer].owners.last().expect("somebody recorded it")
    }

    fn access(&self, person: PersonId, customer: DocId) -> Access {
        let who = &self.people[&person];
        let owner = self.owner(customer);
        let is_of_team = who.team.is_none() || who.team == self.people[&owner].team;
        if owner == person || matches!(who.role, Role::Assistant | Role::Admin) {
            Access::Writer
        } else if who.role == Role::Manager && is_of_team {
            Access::Commenter
        } else if self.customers[&customer].owners.contains(&person) {
            Access::Former
        } else {
            Access::Nobody
        }
    }

    fn readable(&self, person: PersonId) -> BTreeSet<DocId> {
        let may =
            |customer: &&DocId| matches!(self.access(person, **customer), Access::Commenter | Access::Writer);
        self.customers.keys().filter(may).copied().collect()
    }

    fn card_edit(&self, by: PersonId, customer: DocId) -> Answer {
        match self.access(by, customer) {
            Access::Nobody => Refused(Rule::NotFound),
            Access::Former => Held,
            Access::Commenter => Refused(Rule::ReadOnly),
            Access::Writer => Accepted,
        }
    }

    fn fact(&self, by: PersonId, customer: DocId, kind: Kind, author: PersonId) -> Answer {
        match self.access(by, customer) {
            Access::Nobody => Refused(Rule::NotFound),
            Access::Commenter if kind == Kind::Visit => Refused(Rule::ReadOnly),
            _ if author != by => Refused(Rule::NotTheAuthor),
            Access::Former | Access::Commenter | Access::Writer => Accepted,
        }
    }

    fn command(&self, by: PersonId, command: &Command) -> Answer {
        let customer = command.customer();
        match self.access(by, customer) {
            Access::Nobody => return Refused(Rule::NotFound),
            Access::Former => return Refused(Rule::Transferred),
            Access::Commenter | Access::Writer => {}
        }
        let role = self.people[&by].role;
        let is_desk = matches!(role, Role::Assistant | Role::Admin);
        match command {
            Command::Accept { .. } if !is_desk => Refused(Rule::RoleForbidden),
            Command::Accept { .. } if self.customers[&customer].is_accepted => Refused(Rule::AlreadyAccepted),
            Command::Accept { .. } => Accepted,
            Command::Transfer { .. } if role == Role::Rep => Refused(Rule::RoleForbidden),
            Command::Transfer { to, .. } => match &self.people[to] {
                to if !to.active || to.role != Role::Rep => Refused(Rule::OwnerInactive),
                to if to.id == self.owner(customer) => Refused(Rule::AlreadyOwner),
                _ => Accepted,
            },
            Command::SettleLate { .. } if !is_desk && self.owner(customer) != by => {
                Refused(Rule::RoleForbidden)
            }
            Command::SettleLate { late, .. } => match self.held.get(late) {
                Some((of, waits)) if *of == customer => {
                    if *waits {
                        Accepted
                    } else {
                        Refused(Rule::AlreadySettled)
                    }
                }
                _ => Refused(Rule::NotFound),
            },
        }
    }

    /// Someone who owns customers cannot be switched off (R4).
    fn set_person(&self, person: &Person) -> Answer {
        let owns = self.customers.keys().any(|customer| self.owner(*customer) == person.id);
        if !person.active && owns { Refused(Rule::StillOwnsCustomers) } else { Accepted }
    }
}

/// The reference and the hub, side by side.
struct Office {
    world: World,
    reference: Reference,
    teams: Vec<Team>,
    phones: Vec<Phone>,
    steps: u32,
}

fn answer(result: &ItemResult) -> Answer {
    match result {
        ItemResult::Accepted(_) => Accepted,
        ItemResult::Held(_) => Held,
        ItemResult::Refused(refusal) => Refused(refusal.rule),
        ItemResult::Known(..) | ItemResult::Skipped => panic!("nothing is sent twice: {result:?}"),
    }
}

/// An edit that no honest client makes: of another's fact, signed with one's own name.
fn foreign_edit(document: &mut Document, writer: &Writer) -> Vec<u8> {
    let mut raw = AutoCommit::load(&document.save()).expect("saved by us");
    raw.set_author(Some(Author::from(writer.person.as_bytes().to_vec())));
    raw.set_actor(automerge::ActorId::from(writer.actor.as_bytes().to_vec()));
    raw.put(automerge::ROOT, "result", "改了别人的").expect("a key of the root");
    raw.get_last_local_change().expect("just made").raw_bytes().to_vec()
}

impl Office {
    fn new() -> Office {
        let mut world = World::new();
        let east = world.people["li"].team.expect("li has one");
        let west = Team { id: world.entropy.team_id(), name: "西区".to_owned() };
        world.administer(Administration::SetTeam { team: west.clone(), by: None });
        let teams = vec![Team { id: east, name: "东区".to_owned() }, west.clone()];
        for (name, role, team) in [
            ("wang", Role::Rep, Some(west.id)),
            ("head", Role::Manager, Some(west.id)),
            ("root", Role::Admin, None),
        ] {
            let id = world.entropy.person_id();
            let person = Person { id, name: name.to_owned(), role, team, active: true };
            world.administer(Administration::SetPerson { person: person.clone(), by: None });
            world.people.insert(name.to_owned(), person);
        }
        let people = world.people.values().map(|person| (person.id, person.clone())).collect();
        let names: Vec<_> = world.people.keys().cloned().collect();
        let phones = names.iter().map(|name| world.online(name)).collect();
        let reference = Reference { people, ..Reference::default() };
        Office { world, reference, teams, phones, steps: 0 }
    }

    fn settle(&mut self) {
        let mut phones: Vec<_> = self.phones.iter_mut().collect();
        self.world.settle(&mut phones);
    }

    /// What the hub says to one item from a phone, which is the first from then on.
    fn say(&mut self, phone: usize, item: PushItem) -> ItemResult {
        let mut phone = self.phones.remove(phone);
        let mut others: Vec<_> = self.phones.iter_mut().collect();
        let result = self.world.push_items(&mut phone, vec![item], &mut others).remove(0);
        self.phones.insert(0, phone);
        result
    }

    fn change(
        &mut self,
        phone: usize,
        doc: DocId,
        kind: Kind,
        customer: DocId,
        bytes: Vec<u8>,
    ) -> ItemResult {
        let (scope, recorded) = (Scope::Customer(customer), recorded(self.world.now));
        let change = bytes.clone().into();
        let result = self.say(phone, PushItem::Change { doc, kind, scope, change, recorded });
        if matches!(result, ItemResult::Accepted(_)) && self.phones[0].scopes.contains(&scope) {
            // What a phone pushed does not come back to it.
            let held = self.phones[0].docs.entry(doc).or_insert_with(|| (kind, scope, Document::empty()));
            held.2.apply(&[bytes]).expect("made on what is stored");
        }
        result
    }

    /// The document as the server holds it: what somebody knows who once had it, or stole it.
    fn stored(&mut self, doc: DocId) -> Document {
        let saved = self.world.lookup(|lookup| lookup.snapshot(doc)).expect("reads").expect("stored");
        Document::load(&saved).expect("saved by us")
    }

    fn step(&mut self, (what, who, which, other): (u8, usize, usize, usize)) -> Result<(), TestCaseError> {
        self.steps += 1;
        self.world.later(60_000);
        let here: Vec<_> =
            (0..self.phones.len()).filter(|phone| self.phones[*phone].session.is_some()).collect();
        let phone = here[who % here.len()];
        let by = self.phones[phone].identity.person;
        // A fresh actor each time, as after a rebase: held edits leave no trace in the stored document.
        let actor: ActorId = self.world.entropy.actor_id();
        let writer = Writer { person: by, actor, recorded: recorded(self.world.now) };
        let customers: Vec<_> = self.reference.customers.keys().copied().collect();
        let Some(customer) = customers.get(which % customers.len().max(1)).copied() else {
            return self.create_customer(phone, &writer);
        };
        let text = format!("第{}步", self.steps);
        match what {
            0 => return self.create_customer(phone, &writer),
            1 | 2 => {
                let fields = patch([("address", text.as_str())]);
                let made = self.stored(customer).edit(&writer, &Edit::EditCustomer { customer, fields });
                let expected = self.reference.card_edit(by, customer);
                let result =
                    self.change(phone, customer, Kind::Customer, customer, one(made.expect("valid")));
                prop_assert_eq!(answer(&result), expected, "card edit by {:?}", self.reference.people[&by]);
                if let ItemResult::Held(late) = result {
                    self.reference.held.insert(late, (customer, true));
                }
            }
            3 | 4 => {
                let doc = self.world.entropy.doc_id();
                let (kind, edit) = if what == 3 {
                    let fields = patch([("record", text.as_str())]);
                    (Kind::Visit, Edit::CreateVisit { visit: doc, customer, fields })
                } else {
                    (Kind::Comment, Edit::CreateComment { comment: doc, customer, about: None, text })
                };
                let (_, changes) = Document::create(&writer, &edit).expect("valid");
                let expected = self.reference.fact(by, customer, kind, by);
                let result = self.change(phone, doc, kind, customer, one(changes));
                prop_assert_eq!(answer(&result), expected, "{:?} by {:?}", kind, self.reference.people[&by]);
                if expected == Accepted {
                    self.reference.facts.insert(doc, (customer, by));
                }
            }
            5 => {
                let facts: Vec<_> = self.reference.facts.iter().map(|(doc, of)| (*doc, *of)).collect();
                let Some((doc, (customer, author))) = facts.get(other % facts.len().max(1)).copied() else {
                    return Ok(());
                };
                let mut document = self.stored(doc);
                let kind = document.kind().expect("of a kind");
                let fields = patch([("record", text.as_str())]);
                let honest = (kind == Kind::Visit && author == by)
                    .then(|| document.edit(&writer, &Edit::EditVisit { visit: doc, fields }).expect("valid"));
                let expected = match &honest {
                    None if author == by => return Ok(()),
                    _ => self.reference.fact(by, customer, kind, author),
                };
                let bytes = honest.map_or_else(|| foreign_edit(&mut document, &writer), one);
                let result = self.change(phone, doc, kind, customer, bytes);
                prop_assert_eq!(answer(&result), expected, "edit of a fact");
            }
            6..=9 => {
                let to =
                    *self.reference.people.keys().nth(other % self.reference.people.len()).expect("some");
                let late = self.reference.held.keys().nth(other % self.reference.held.len().max(1));
                let command = match (what, late) {
                    (6, _) => Command::Accept { customer },
                    (9, Some(late)) => {
                        let customer = if other % 5 == 0 { customer } else { self.reference.held[late].0 };
                        Command::SettleLate { customer, late: *late, apply: other % 2 == 0 }
                    }
                    _ => Command::Transfer { customer, to, reason: None },
                };
                let expected = self.reference.command(by, &command);
                let id = self.world.entropy.request_id();
                let recorded = recorded(self.world.now);
                let result = self.say(phone, PushItem::Request { id, command: command.clone(), recorded });
                let who = &self.reference.people[&by];
                prop_assert_eq!(answer(&result), expected, "{:?} by {:?}", command, who);
                if expected == Accepted {
                    self.learn(&command);
                }
            }
            10 => {
                let mut person = self.reference.people.values().nth(other % 9).expect("nine people").clone();
                match which % 4 {
                    0 => person.active = !person.active,
                    1 => person.team = None,
                    2 => person.team = Some(self.teams[who % 2].id),
                    _ => person.role = [Role::Rep, Role::Assistant, Role::Manager, Role::Admin][who % 4],
                }
                let expected = self.reference.set_person(&person);
                let now = self.world.now;
                let command = Administration::SetPerson { person: person.clone(), by: None };
                let said = match self.world.hub().handle_administration(now, command) {
                    Ok(_) => Accepted,
                    Err(AdministrationFailure::Refused(refusal)) => Refused(refusal.rule),
                    Err(AdministrationFailure::Store(failure)) => panic!("{failure}"),
                };
                prop_assert_eq!(said, expected, "{:?}", person);
                if expected == Accepted {
                    self.reference.people.insert(person.id, person);
                }
                self.settle();
            }
            _ => {
                let device = self.phones[phone].identity.device;
                self.world.administer(Administration::RevokeDevice { device });
                self.settle();
                prop_assert!(self.phones[phone].session.is_none(), "a revoked device is let go");
                self.phones.remove(phone);
                let name = self.reference.people[&by].name.clone();
                let fresh = self.world.online(&name);
                self.phones.push(fresh);
            }
        }
        Ok(())
    }

    fn create_customer(&mut self, phone: usize, writer: &Writer) -> Result<(), TestCaseError> {
        let customer = self.world.entropy.doc_id();
        let edit = Edit::CreateCustomer { customer, fields: patch(COMPLETE) };
        let (_, changes) = Document::create(writer, &edit).expect("valid");
        let result = self.change(phone, customer, Kind::Customer, customer, one(changes));
        prop_assert_eq!(answer(&result), Accepted);
        let owned = Owned { owners: vec![writer.person], is_accepted: false };
        self.reference.customers.insert(customer, owned);
        Ok(())
    }

    fn learn(&mut self, command: &Command) {
        match command {
            Command::Accept { customer } => {
                self.reference.customers.get_mut(customer).expect("known").is_accepted = true;
            }
            Command::Transfer { customer, to, .. } => {
                self.reference.customers.get_mut(customer).expect("known").owners.push(*to);
            }
            Command::SettleLate { late, .. } => self.reference.held.get_mut(late).expect("known").1 = false,
        }
    }

    /// Every open phone has the scopes that its person may read, and who was switched off has no session.
    fn check(&mut self) -> Result<(), TestCaseError> {
        for phone in 0..self.phones.len() {
            let person = self.phones[phone].identity.person;
            let who = self.reference.people[&person].clone();
            if who.active && self.phones[phone].session.is_none() {
                let mut phone = self.phones.remove(phone);
                self.world.connect(&mut phone);
                self.phones.push(phone);
                return self.check();
            }
            prop_assert_eq!(self.phones[phone].session.is_some(), who.active, "{:?}", who);
            if who.active {
                let held: BTreeSet<_> =
                    self.phones[phone].scopes.iter().filter_map(|scope| scope.customer()).collect();
                prop_assert_eq!(held, self.reference.readable(person), "the scopes of {:?}", who);
            }
        }
        Ok(())
    }

    /// A new phone of everybody gets exactly the documents that its person may read.
    fn check_documents(&mut self) -> Result<(), TestCaseError> {
        let people: Vec<_> = self.reference.people.values().filter(|who| who.active).cloned().collect();
        for who in people {
            let phone = self.world.online(&who.name);
            let readable = self.reference.readable(who.id);
            let facts = self.reference.facts.iter().filter(|(_, (customer, _))| readable.contains(customer));
            let expected: BTreeSet<_> = readable.iter().copied().chain(facts.map(|(doc, _)| *doc)).collect();
            let held: BTreeSet<_> = phone.docs.keys().copied().collect();
            prop_assert_eq!(held, expected, "the documents of {:?}", who);
        }
        Ok(())
    }
}

/// The only change of an edit.
fn one(changes: Vec<LocalChange>) -> Vec<u8> {
    let [change] = &changes[..] else { panic!("{} changes", changes.len()) };
    change.bytes.clone()
}

/// How often a property is tried; `PROPTEST_CASES` says another number.
fn cases(otherwise: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), failure_persistence: None, ..ProptestConfig::default() })]

    /// HUB-49: whoever asks for whatever, after whatever happened: the answer and what each phone gets are
    /// those of the reference.
    #[test]
    fn permissions_are_the_references(
        steps in proptest::collection::vec((0u8..12, 0usize..60, 0usize..60, 0usize..60), 1..80),
    ) {
        let mut office = Office::new();
        for step in steps {
            office.step(step)?;
            office.check()?;
        }
        office.check_documents()?;
    }
}

/// HUB-25 (R14): an edit of another's visit that no honest client makes is refused, signed or not.
#[test]
fn nobody_edits_anothers_visit_by_hand() {
    let mut world = World::new();
    let (mut li, mut mei) = (world.online("li"), world.online("mei"));
    let customer = world.stored_customer(&mut li);
    let visit = world.new_visit(&mut li, customer, "谈了46#液压油");
    world.push(&mut li, &mut [&mut mei]);
    let writer = mei.writer(world.now);
    let document = &mut mei.docs.get_mut(&visit).expect("there").2;
    let fields = [("record".to_owned(), Value::from("改"))].into();
    let honest = document.edit(&writer, &Edit::EditVisit { visit, fields });
    assert_eq!(honest.expect_err("not hers").rule, Rule::NotTheAuthor);
    let (change, scope) = (foreign_edit(document, &writer).into(), Scope::Customer(customer));
    let recorded = recorded(world.now);
    let item = PushItem::Change { doc: visit, kind: Kind::Visit, scope, change, recorded };
    let results = world.push_items(&mut mei, vec![item], &mut [&mut li]);
    assert_eq!(answer(&results[0]), Refused(Rule::NotTheAuthor));
    assert_eq!(li.text(visit, "record").as_deref(), Some("谈了46#液压油"));
}

/// HUB-13: what the former role saw is taken away with the first pages of the new one, not with the next digest.
#[test]
fn a_new_role_takes_away_what_the_former_one_saw() {
    let mut world = World::new();
    let (mut li, mut mei) = (world.online("li"), world.online("mei"));
    let customer = world.stored_customer(&mut li);
    world.settle(&mut [&mut mei]);
    world.reconnect(&mut mei);
    assert!(mei.scopes.contains(&Scope::Customer(customer)));
    let person = Person { role: Role::Rep, ..world.people["mei"].clone() };
    world.administer(Administration::SetPerson { person, by: None });
    world.settle(&mut [&mut mei]);
    assert!(mei.session.is_none(), "the device dials anew");
    world.connect(&mut mei);
    assert!(mei.removed.contains(&Scope::Customer(customer)));
}

/// LED-25: a former owner who is a manager elsewhere by now cannot move the customer.
#[test]
fn a_former_owner_decides_nothing_whatever_role_came_since() {
    let mut world = World::new();
    let (mut li, zhao, mut mei) = (world.online("li"), world.online("zhao"), world.online("mei"));
    let customer = world.stored_customer(&mut li);
    world.reconnect(&mut mei);
    let to = zhao.identity.person;
    world.request(&mut mei, Command::Transfer { customer, to, reason: None }, &mut [&mut li]);
    let west = Team { id: world.entropy.team_id(), name: "西区".to_owned() };
    world.administer(Administration::SetTeam { team: west.clone(), by: None });
    let person = Person { role: Role::Manager, team: Some(west.id), ..world.people["li"].clone() };
    world.administer(Administration::SetPerson { person, by: None });
    world.settle(&mut [&mut li]);
    world.connect(&mut li);
    let back = Command::Transfer { customer, to: world.people["stranger"].id, reason: None };
    let result = world.request(&mut li, back, &mut []);
    assert_eq!(answer(&result), Refused(Rule::Transferred));
}
