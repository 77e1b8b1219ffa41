//! The ledger's part of a commit: registration of customers, commands, grants that follow from them, late
//! requests, and administration of people. Decides by `shared::ledger`; writes through a [`Posting`].

use shared::id::{DeviceId, DocId, PersonId, RequestId, Scope, Seq};
use shared::ledger::event::{LateKind, LateState, LateWork, NoticeKind};
use shared::ledger::people::{Access, Principal, customer_grants};
use shared::ledger::{self, Command, CustomerRecord, EventKind, LedgerRead, Person, Role, Team};
use shared::planted::{self, Bug};
use shared::projection::Projection;
use shared::protocol::{ItemResult, PushItem};
use shared::refusal::{Refusal, Rule};
use shared::settings::Settings;
use shared::time::Recorded;

use super::commit::Posting;
use super::group::{DocumentWork, PlannedPush, Reach, reach};
use crate::admission::Verdict;
use crate::store::{DeviceRow, Lookup, StoreFailure, Transaction};

/// What an administrator changes. Applied by the hub while a server runs, or on the store by a command.
#[derive(Debug, Clone)]
pub enum Administration {
    /// Adds or changes a person. `by` is the administrator; none on the command line.
    SetPerson {
        /// The person as wanted.
        person: Person,
        /// Who asks.
        by: Option<PersonId>,
    },
    /// Adds or renames a team.
    SetTeam {
        /// The team as wanted.
        team: Team,
        /// Who asks.
        by: Option<PersonId>,
    },
    /// Registers a device at its person's login, or renames it.
    PutDevice(DeviceRow),
    /// Revokes a device for ever and closes its sessions.
    RevokeDevice {
        /// The device.
        device: DeviceId,
    },
    /// Replaces the organisation's settings.
    PutSettings(Settings),
    /// Keeps what a revoked device hands over, all of it or nothing (S6).
    Quarantine {
        /// The device.
        device: DeviceId,
        /// What it had not sent.
        items: Vec<PushItem>,
    },
    /// Erases a document for good; a customer's card with everything of the customer. Again is no error.
    Erase {
        /// The document.
        doc: DocId,
        /// Who asks.
        by: Option<PersonId>,
    },
}

/// Why an administrator's wish was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum AdministrationFailure {
    /// A rule said no.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The world broke.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

impl From<Rule> for AdministrationFailure {
    fn from(rule: Rule) -> Self {
        AdministrationFailure::Refused(rule.into())
    }
}

/// The name of a customer as its projection has it; empty before it has one.
pub(super) fn customer_name(lookup: &dyn Lookup, customer: DocId) -> Result<String, StoreFailure> {
    Ok(match projection(lookup, customer)? {
        Some(Projection::Customer(card)) => card.display_name().to_owned(),
        _ => String::new(),
    })
}

fn projection(lookup: &dyn Lookup, doc: DocId) -> Result<Option<Projection>, StoreFailure> {
    match lookup.projection(doc)? {
        Some(bytes) => Ok(Some(minicbor::decode(&bytes).map_err(|_| StoreFailure::Damaged("projections"))?)),
        None => Ok(None),
    }
}

/// Who is told that a former owner visited after the transfer: both reps and the managers of their teams.
pub(super) fn told_of_late_work(
    lookup: &dyn Lookup,
    record: &CustomerRecord,
    visitor: PersonId,
) -> Result<Vec<PersonId>, StoreFailure> {
    let mut told = vec![visitor, record.owner()];
    let teams: Vec<_> = [visitor, record.owner()]
        .into_iter()
        .filter_map(|person| lookup.person(person).transpose())
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .filter_map(|person| person.team)
        .collect();
    for person in lookup.people()? {
        let manages = person.role == Role::Manager && person.team.is_none_or(|team| teams.contains(&team));
        if manages && person.active {
            told.push(person.id);
        }
    }
    told.sort_unstable();
    told.dedup();
    Ok(told)
}

/// The ledger as a decision reads it, inside the transaction. A failure to read is kept and checked before
/// the decision counts, because the domain's questions have no place for it.
struct Reading<'l> {
    lookup: &'l dyn Lookup,
    failure: std::cell::RefCell<Option<StoreFailure>>,
}

impl Reading<'_> {
    fn answer<T>(&self, read: Result<T, StoreFailure>, otherwise: T) -> T {
        read.unwrap_or_else(|failure| {
            *self.failure.borrow_mut() = Some(failure);
            otherwise
        })
    }
}

impl LedgerRead for Reading<'_> {
    fn customer(&self, id: DocId) -> Option<CustomerRecord> {
        self.answer(self.lookup.customer(id), None)
    }

    fn person(&self, id: PersonId) -> Option<Person> {
        self.answer(self.lookup.person(id), None)
    }

    fn missing_for_acceptance(&self, customer: DocId) -> Vec<&'static str> {
        let Some(Projection::Customer(card)) = self.answer(projection(self.lookup, customer), None) else {
            return vec!["name", "contact", "phone"];
        };
        card.missing()
    }

    fn highest_code_number(&self, pattern: &ledger::code::CodePattern) -> u64 {
        self.answer(self.lookup.highest_code_number(&pattern.prefix), 0)
    }

    fn code_pattern(&self) -> ledger::code::CodePattern {
        self.answer(self.lookup.settings(), Settings::default()).code
    }
}

fn decide(
    lookup: &dyn Lookup,
    by: &Person,
    command: &Command,
) -> Result<Result<EventKind, Refusal>, StoreFailure> {
    let reading = Reading { lookup, failure: std::cell::RefCell::new(None) };
    let decision = ledger::decide(&reading, by, command);
    match reading.failure.into_inner() {
        Some(failure) => Err(failure),
        None => Ok(decision),
    }
}

impl<T: Transaction> Posting<'_, T> {
    /// The first change of a card: the customer exists, and is its recorder's for the time being (R10).
    pub(super) fn register(&mut self, work: &DocumentWork) -> Result<(), StoreFailure> {
        let lookup = self.tx.lookup();
        let number = lookup.customers_registered()? + 1;
        let provisional = lookup.settings()?.provisional.format(number);
        let owner = lookup.person(work.person)?.ok_or(StoreFailure::Damaged("people"))?;
        let kind = EventKind::CustomerRegistered {
            customer: work.doc,
            first_recorder: owner.id,
            provisional,
            recorded: Some(work.changes[0].recorded),
        };
        let at = self.append(work.scope, None, None, kind)?;
        self.set_grants(work.scope, &customer_grants(&owner), at)
    }

    pub(super) fn post_request(
        &mut self,
        push: &PlannedPush,
        id: RequestId,
        command: &Command,
        recorded: Recorded,
        settling: Option<(&DocumentWork, &Verdict)>,
    ) -> Result<ItemResult, StoreFailure> {
        if let Some(result) = self.tx.lookup().request(id)? {
            return Ok(match result {
                ItemResult::Accepted(seq) => ItemResult::Known(seq, None),
                other => other,
            });
        }
        let customer = command.customer();
        let scope = Scope::Customer(customer);
        let Some(by) = self.tx.lookup().person(push.identity.person)? else {
            return Ok(ItemResult::Refused(Rule::AccessEnded.into()));
        };
        let standing = reach(self.tx.lookup(), &by, scope)?;
        let decision = match standing {
            Reach::Nothing => return Ok(ItemResult::Refused(Rule::NotFound.into())),
            _ if self.tx.lookup().erased(customer)?.is_some() => Err(Rule::Erased.into()),
            // Who owned it once and may not see it now decides nothing of it, whatever role came since.
            Reach::Ended => Err(Rule::Transferred.into()),
            Reach::Granted(_) => decide(self.tx.lookup(), &by, command)?,
        };
        let result = match decision {
            Ok(kind) => self.apply(&by, id, command, kind, settling)?,
            Err(refusal) => {
                if matches!(standing, Reach::Ended) {
                    self.return_request(push, customer, recorded, refusal.rule)?;
                }
                ItemResult::Refused(refusal)
            }
        };
        let passing = matches!(&result, ItemResult::Refused(refusal) if refusal.rule.is_passing());
        if !passing && !planted::is(Bug::RequestNotRemembered) {
            self.tx.put_request(id, push.identity.person, push.identity.device, self.now, &result)?;
        }
        Ok(result)
    }

    /// A former owner's request goes back, and the ledger says so (S2).
    fn return_request(
        &mut self,
        push: &PlannedPush,
        customer: DocId,
        recorded: Recorded,
        rule: Rule,
    ) -> Result<(), StoreFailure> {
        let late = LateWork {
            customer,
            person: push.identity.person,
            device: push.identity.device,
            doc: None,
            recorded: Some(recorded),
            kind: LateKind::Request { rule },
            state: LateState::Returned,
        };
        self.append(Scope::Customer(customer), None, None, EventKind::LateWorkArrived { late })?;
        Ok(())
    }

    fn apply(
        &mut self,
        by: &Person,
        id: RequestId,
        command: &Command,
        kind: EventKind,
        settling: Option<(&DocumentWork, &Verdict)>,
    ) -> Result<ItemResult, StoreFailure> {
        let scope = Scope::Customer(command.customer());
        if let Command::SettleLate { apply: true, .. } = command {
            let refusal = match settling {
                None => Some(Refusal::from(Rule::StoreUnavailable)),
                Some((_, Err(refusal))) => Some(refusal.clone()),
                Some((work, Ok(admitted))) if admitted.applied() < work.changes.len() => {
                    Some(admitted.refused().cloned().unwrap_or_else(|| Rule::Unloadable.into()))
                }
                Some((work, Ok(admitted))) => {
                    self.merge(work, admitted, work.changes.len(), super::NOBODY)?;
                    None
                }
            };
            if let Some(refusal) = refusal {
                return Ok(ItemResult::Refused(refusal));
            }
        }
        let seq = self.append(scope, Some(by.id), Some(id), kind.clone())?;
        if let EventKind::CustomerTransferred { customer, from, to, .. } = kind {
            self.hand_over(customer, from, to, seq)?;
        }
        Ok(ItemResult::Accepted(seq))
    }

    /// The moment T of a transfer: grants end and begin at the event's own place in the log (R8).
    fn hand_over(
        &mut self,
        customer: DocId,
        from: PersonId,
        to: PersonId,
        at: Seq,
    ) -> Result<(), StoreFailure> {
        let owner = self.tx.lookup().person(to)?.ok_or(StoreFailure::Damaged("people"))?;
        self.set_grants(Scope::Customer(customer), &customer_grants(&owner), at)?;
        self.notify(from, customer, NoticeKind::TransferredAway { to })?;
        self.notify(to, customer, NoticeKind::TransferredToYou { from })
    }

    /// Fulfils an administrator's wish.
    pub(super) fn administer(&mut self, command: &Administration) -> Result<(), AdministrationFailure> {
        match command {
            Administration::SetPerson { person, by } => self.set_person(person, *by),
            Administration::SetTeam { team, by } => {
                let taken = self
                    .tx
                    .lookup()
                    .teams()?
                    .iter()
                    .any(|other| other.name == team.name && other.id != team.id);
                if taken || team.name.trim().is_empty() {
                    return Err(Refusal::about(Rule::ValueInvalid, "name").into());
                }
                self.begin_organisation()?;
                self.append(Scope::Organisation, *by, None, EventKind::TeamSet { team: team.clone() })?;
                Ok(())
            }
            Administration::PutDevice(device) => {
                let known = self.tx.lookup().device(device.id)?;
                if known.is_some_and(|known| known.person != device.person) {
                    return Err(Rule::AccessEnded.into());
                }
                Ok(self.tx.put_device(device)?)
            }
            Administration::RevokeDevice { device } => {
                let now = self.now;
                if self.tx.lookup().device(*device)?.is_none() {
                    return Err(Rule::NotFound.into());
                }
                self.tx.revoke_device(*device, now)?;
                Ok(())
            }
            Administration::PutSettings(settings) => Ok(self.tx.put_settings(settings)?),
            Administration::Quarantine { device, items } => self.quarantine(*device, items),
            Administration::Erase { doc, by } => self.erase(*doc, *by),
        }
    }

    /// Of what is erased for good nothing is kept here either.
    fn quarantine(&mut self, device: DeviceId, items: &[PushItem]) -> Result<(), AdministrationFailure> {
        let Some(row) = self.tx.lookup().device(device)? else { return Err(Rule::NotFound.into()) };
        let active = self.tx.lookup().person(row.person)?.is_some_and(|person| person.active);
        if row.revoked_at.is_none() && active {
            return Err(Rule::NotFound.into());
        }
        let now = self.now;
        for item in items {
            let is_erased = match item {
                PushItem::Change { doc, scope, .. } => {
                    super::group::is_erased(self.tx.lookup(), *doc, *scope)?
                }
                PushItem::Request { command, .. } => self.tx.lookup().erased(command.customer())?.is_some(),
                PushItem::Release { .. } => false,
            };
            if is_erased {
                continue;
            }
            if self.tx.put_quarantined(device, row.person, now, item)?.is_none() {
                return Err(Refusal::about(Rule::DocumentTooLarge, "quarantine").into());
            }
        }
        // What it said to hold stays on the page of devices.
        Ok(self.tx.put_contact(device, now, row.pending, None)?)
    }

    /// Held edits of an erased card are left aside first: nobody can settle them afterwards.
    fn erase(&mut self, doc: DocId, by: Option<PersonId>) -> Result<(), AdministrationFailure> {
        let Some(row) = self.tx.lookup().document(doc)? else {
            let is_erased = self.tx.lookup().erased(doc)?.is_some();
            return if is_erased { Ok(()) } else { Err(Rule::NotFound.into()) };
        };
        let mut doomed = vec![row.clone()];
        if row.scope == Scope::Customer(doc) {
            doomed = self.tx.lookup().documents_since(row.scope, Seq(0))?;
            let record = self.tx.lookup().customer(doc)?;
            let held = record.into_iter().flat_map(|record| record.late);
            for (late, _) in held.filter(|(_, work)| work.state == LateState::Held) {
                let kind = EventKind::LateWorkSettled { late, state: LateState::Dismissed };
                self.append(row.scope, by, None, kind)?;
            }
        }
        for document in doomed {
            self.append(row.scope, by, None, EventKind::DocumentErased { doc: document.id })?;
            self.touch(row.scope).digest ^= document.digest.0;
        }
        Ok(())
    }

    fn set_person(&mut self, person: &Person, by: Option<PersonId>) -> Result<(), AdministrationFailure> {
        let lookup = self.tx.lookup();
        let taken = lookup.people()?.iter().any(|other| other.name == person.name && other.id != person.id);
        if taken || person.name.trim().is_empty() {
            return Err(Refusal::about(Rule::ValueInvalid, "name").into());
        }
        if person
            .team
            .is_some_and(|team| lookup.teams().is_ok_and(|teams| !teams.iter().any(|t| t.id == team)))
        {
            return Err(Refusal::about(Rule::ValueInvalid, "team").into());
        }
        let before = lookup.person(person.id)?;
        let owned = lookup.customers_owned(person.id)?;
        let mut present = owned.iter().map(|customer| lookup.erased(*customer));
        if !person.active && present.try_fold(false, |any, erased| erased.map(|e| any | e.is_none()))? {
            return Err(Rule::StillOwnsCustomers.into());
        }
        self.begin_organisation()?;
        let kind = EventKind::PersonSet { person: person.clone() };
        let at = self.append(Scope::Organisation, by, None, kind)?;
        if before.is_none() {
            self.set_grants(person.scope(), &[(Principal::Person(person.id), Access::Read)], at)?;
        }
        // A rep who changes teams takes the customers along, and the managers' view of them changes hands.
        if before.is_some_and(|before| before.team != person.team) {
            for customer in owned {
                self.set_grants(Scope::Customer(customer), &customer_grants(person), at)?;
            }
        }
        Ok(())
    }

    /// Everybody reads the organisation's scope, from its first event on.
    fn begin_organisation(&mut self) -> Result<(), StoreFailure> {
        if self.tx.lookup().grants_of(Scope::Organisation)?.is_empty() {
            // The grant's place is the one that the event about to be written takes.
            let at = Seq(self.tx.lookup().head()?.0 + 1);
            self.set_grants(Scope::Organisation, &[(Principal::Everyone, Access::Read)], at)?;
        }
        Ok(())
    }
}
