//! What a person does: edits and ledger commands. Judged before anything is kept, applied to the open
//! document, put into the outbox. Nothing here sends.

use crate::client::rows::{EditWork, Key, OutRow, OutState, OwnChange, Work};
use crate::client::{Client, EditId};
use crate::document::{Document, Kind, LocalChange, Writer};
use crate::edit::Edit;
use crate::id::{DocId, RequestId, Scope};
use crate::ledger::people::Access;
use crate::ledger::{Command, Role};
use crate::limits::DEVICE_DOCUMENTS_MAX;
use crate::refusal::{Refusal, Rule};
use crate::time::{Now, Recorded};

/// Where an edit goes.
struct Target {
    doc: DocId,
    kind: Kind,
    scope: Scope,
    is_new: bool,
}

impl Client {
    pub(super) fn take_edit(&mut self, now: Now, edit: Edit) -> Result<EditId, Refusal> {
        let target = self.judge_edit(&edit)?;
        let recorded = self.clock.recorded(now);
        let writer = self.writer(recorded)?;
        let changes = if target.is_new {
            let (document, changes) = Document::create(&writer, &edit)?;
            self.held.keep_open(target.doc, document);
            changes
        } else {
            let document = self.open_document(target.doc).ok_or(Rule::NotFound)?;
            document.edit(&writer, &edit)?
        };
        let number = self.meta.next_out;
        self.meta.next_out += 1;
        self.touch(Key::Meta);
        if changes.is_empty() {
            return Ok(EditId(number));
        }
        let work = Work::Edit(EditWork {
            edit,
            doc: target.doc,
            kind: target.kind,
            scope: target.scope,
            changes: changes.into_iter().map(OwnChange::from).collect(),
            begun: false,
            rebases: 0,
        });
        let row = OutRow { recorded, state: OutState::Pending, customer_name: String::new(), work };
        self.outbox.insert(number, row);
        self.touch(Key::Out(number));
        self.refresh_list_row(target.doc);
        self.changed = true;
        Ok(EditId(number))
    }

    /// Who writes, under which actor.
    pub(super) fn writer(&self, recorded: Recorded) -> Result<Writer, Refusal> {
        let profile = self.meta.profile.as_ref().ok_or(Rule::AccessEnded)?;
        Ok(Writer { person: profile.person.id, actor: self.meta.actor, recorded })
    }

    /// The rules that need no document: existence, access, authorship, room.
    fn judge_edit(&self, edit: &Edit) -> Result<Target, Refusal> {
        let person = self.meta.profile.as_ref().ok_or(Rule::AccessEnded)?.person.id;
        let (doc, kind, customer, needs) = match edit {
            Edit::CreateCustomer { customer, .. } => (*customer, Kind::Customer, *customer, Access::Write),
            Edit::EditCustomer { customer, .. } => (*customer, Kind::Customer, *customer, Access::Write),
            Edit::CreateVisit { visit, customer, .. } => (*visit, Kind::Visit, *customer, Access::Write),
            Edit::CreateComment { comment, customer, .. } => {
                (*comment, Kind::Comment, *customer, Access::Comment)
            }
            Edit::EditVisit { visit, .. } | Edit::VoidVisit { visit, .. } => {
                let customer = self.index.get(*visit).and_then(|row| row.customer()).ok_or(Rule::NotFound)?;
                (*visit, Kind::Visit, customer, Access::Write)
            }
        };
        let is_new = edit.creates();
        let known = self.index.get(doc);
        if is_new && known.is_some() {
            return Err(Refusal::about(Rule::ValueInvalid, "id"));
        }
        let is_own_customer = matches!(edit, Edit::CreateCustomer { .. });
        if !is_own_customer && self.index.get(customer).is_none() {
            return Err(Rule::NotFound.into());
        }
        if !is_new && known.is_none_or(|row| row.kind() != kind) {
            return Err(Rule::NotFound.into());
        }
        if self.access(customer) < needs {
            return Err(Rule::ReadOnly.into());
        }
        if !is_new && kind.is_fact() && known.is_some_and(|row| row.author() != Some(person)) {
            return Err(Rule::NotTheAuthor.into());
        }
        if is_new && self.index.len() >= DEVICE_DOCUMENTS_MAX {
            return Err(Rule::DeviceFull.into());
        }
        Ok(Target { doc, kind, scope: Scope::Customer(customer), is_new })
    }

    /// What the person may do with a customer. A card that the server has not granted yet was made here.
    pub(super) fn access(&self, customer: DocId) -> Access {
        self.ledger.scope(Scope::Customer(customer)).map_or(Access::Write, |scope| scope.row.access)
    }

    pub(super) fn take_command(&mut self, now: Now, command: Command) -> Result<RequestId, Refusal> {
        let person = &self.meta.profile.as_ref().ok_or(Rule::AccessEnded)?.person;
        let is_desk = matches!(person.role, Role::Assistant | Role::Admin);
        let is_allowed = match &command {
            Command::Accept { .. } => is_desk,
            Command::Transfer { .. } => person.role != Role::Rep,
            Command::SettleLate { customer, .. } => {
                is_desk || self.ledger.record(*customer).is_some_and(|record| record.owner() == person.id)
            }
        };
        if !is_allowed {
            return Err(Rule::RoleForbidden.into());
        }
        if self.index.get(command.customer()).is_none() {
            return Err(Rule::NotFound.into());
        }
        // A second tap on the button is the same request, not another one.
        let twin = self.outbox.of_scope(Scope::Customer(command.customer())).find_map(|(_, row)| match &row
            .work
        {
            Work::Request { id, command: earlier } if row.is_pending() && *earlier == command => Some(*id),
            Work::Request { .. } | Work::Edit(_) | Work::Reoffer { .. } => None,
        });
        if let Some(id) = twin {
            return Ok(id);
        }
        let id = self.entropy.request_id();
        let number = self.meta.next_out;
        self.meta.next_out += 1;
        self.touch(Key::Meta);
        let recorded = self.clock.recorded(now);
        let work = Work::Request { id, command };
        let row = OutRow { recorded, state: OutState::Pending, customer_name: String::new(), work };
        self.outbox.insert(number, row);
        self.touch(Key::Out(number));
        self.changed = true;
        Ok(id)
    }

    /// Forgets a refused or held row of the outbox.
    pub(super) fn dismiss_out(&mut self, number: u64) {
        let is_settled = self.outbox.get(number).is_some_and(|row| !row.is_pending());
        if is_settled {
            self.outbox.remove(number);
            self.touch(Key::Out(number));
            self.changed = true;
        }
    }
}

impl From<LocalChange> for OwnChange {
    fn from(change: LocalChange) -> Self {
        OwnChange { hash: change.hash, bytes: change.bytes.into() }
    }
}
