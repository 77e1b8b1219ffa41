//! One transaction for a whole group: changes, attribution, snapshots, projections, events, grants, answers.
//! Only here is a [`Committed`] made, and the hub publishes nothing else. Judge, commit, publish: if we die
//! before the store's commit returns, nothing was said to anybody; if we die after it, phones ask again and
//! are told that their work is known.

use std::collections::{BTreeMap, HashMap};

use shared::document::{Kind, digest};
use shared::id::{ActorId, DeviceId, DocId, PersonId, RequestId, Scope, Seq};
use shared::ledger::event::{LateKind, LateState, LateWork, NoticeKind};
use shared::ledger::people::{Access, Principal};
use shared::ledger::{EventKind, LedgerEvent};
use shared::planted::{self, Bug};
use shared::protocol::{Ack, ItemResult, PendingCounts};
use shared::refusal::{Refusal, Rule};
use shared::time::UtcMillis;

use super::SessionId;
use super::group::{DocumentWork, Group, Planned, PlannedPush, Standing, takes_any_actor};
use super::ring::{Entry, FeedChange, Touch};
use crate::admission::{Admitted, Verdict};
use crate::store::{ChangeRow, DocumentRow, HeldChange, Store, StoreFailure, Transaction, scope_key};

/// What is on disk and may be told. Made by [`commit`] and [`commit_events`] alone, after the store's commit.
pub(super) struct Committed {
    acks: Vec<(SessionId, Ack)>,
    entry: Option<Entry>,
}

impl Committed {
    pub(super) fn into_parts(self) -> (Vec<(SessionId, Ack)>, Option<Entry>) {
        (self.acks, self.entry)
    }
}

/// What a device last told about itself, written with the next group.
#[derive(Debug, Clone)]
pub(super) struct Contact {
    pub(super) at: UtcMillis,
    pub(super) pending: PendingCounts,
    pub(super) software: Option<String>,
}

/// Writes a judged group and the devices' signs of life.
///
/// # Errors
/// The store's; then nothing of the group was kept.
pub(super) fn commit<S: Store>(
    store: &mut S,
    now: UtcMillis,
    group: &Group,
    verdicts: &HashMap<u64, Verdict>,
    pushes: &[PlannedPush],
    contacts: &BTreeMap<DeviceId, Contact>,
) -> Result<Committed, StoreFailure> {
    store.transaction(|transaction| {
        let mut posting = Posting::new(transaction, now)?;
        for (device, contact) in contacts {
            posting.tx.put_contact(*device, contact.at, contact.pending, contact.software.as_deref())?;
        }
        let mut acks = Vec::with_capacity(pushes.len());
        for push in pushes {
            let results = posting.post_push(group, verdicts, push)?;
            acks.push((push.session, Ack { batch: push.batch, received: push.received, results }));
        }
        let entry = posting.finish()?;
        // The caller sees this value only if the store's commit succeeds.
        Ok(Committed { acks, entry })
    })
}

/// Writes what `body` decides: administration, without a push.
///
/// # Errors
/// What `body` or the store says; then nothing was kept.
pub(super) fn commit_events<S: Store, E: From<StoreFailure>>(
    store: &mut S,
    now: UtcMillis,
    body: impl FnOnce(&mut Posting<'_, S::Transaction<'_>>) -> Result<(), E>,
) -> Result<Committed, E> {
    store.transaction(|transaction| {
        let mut posting = Posting::new(transaction, now)?;
        body(&mut posting)?;
        let entry = posting.finish()?;
        Ok(Committed { acks: Vec::new(), entry })
    })
}

/// The state of one transaction: what it writes, and what the feed will tell of it.
pub(super) struct Posting<'t, T: Transaction> {
    pub(super) tx: &'t mut T,
    pub(super) now: UtcMillis,
    before: Seq,
    last: Seq,
    touches: BTreeMap<[u8; 17], (Scope, Touch)>,
    actors: HashMap<ActorId, DeviceId>,
}

impl<'t, T: Transaction> Posting<'t, T> {
    fn new(tx: &'t mut T, now: UtcMillis) -> Result<Self, StoreFailure> {
        let before = tx.lookup().head()?;
        Ok(Self { tx, now, before, last: before, touches: BTreeMap::new(), actors: HashMap::new() })
    }

    pub(super) fn next_seq(&mut self) -> Seq {
        self.last = self.tx.next_seq();
        self.last
    }

    /// The scope's part in the feed of this commit.
    pub(super) fn touch(&mut self, scope: Scope) -> &mut Touch {
        &mut self.touches.entry(scope_key(scope)).or_insert_with(|| (scope, Touch::default())).1
    }

    /// Appends an event to the ledger and the feed.
    pub(super) fn append(
        &mut self,
        scope: Scope,
        by: Option<PersonId>,
        request: Option<RequestId>,
        kind: EventKind,
    ) -> Result<Seq, StoreFailure> {
        let seq = self.next_seq();
        let event = LedgerEvent { seq, scope, at: self.now, by, request, kind };
        self.tx.append_event(&event)?;
        self.touch(scope).events.push(event);
        Ok(seq)
    }

    /// Tells one person something, in the person's own scope.
    pub(super) fn notify(
        &mut self,
        reader: PersonId,
        customer: DocId,
        notice: NoticeKind,
    ) -> Result<(), StoreFailure> {
        let customer_name = super::ledger::customer_name(self.tx.lookup(), customer)?;
        self.append(
            Scope::Person(reader),
            None,
            None,
            EventKind::Notice { customer, customer_name, notice },
        )?;
        Ok(())
    }

    /// Makes a scope's grants what they should be, from a place in the log on.
    pub(super) fn set_grants(
        &mut self,
        scope: Scope,
        wanted: &[(Principal, Access)],
        at: Seq,
    ) -> Result<(), StoreFailure> {
        let present: Vec<_> = self
            .tx
            .lookup()
            .grants_of(scope)?
            .into_iter()
            .filter(|grant| grant.until_seq.is_none())
            .collect();
        for grant in &present {
            if !wanted.iter().any(|(principal, _)| *principal == grant.principal) {
                self.tx.end_grant(grant.principal, scope, at)?;
                self.touch(scope).ended.push(grant.principal);
            }
        }
        for (principal, access) in wanted {
            let held = present.iter().any(|grant| grant.principal == *principal && grant.access == *access);
            if !held {
                self.tx.open_grant(*principal, scope, *access, at)?;
            }
        }
        let touch = self.touch(scope);
        if present.is_empty() {
            touch.began = true;
        } else {
            touch.regranted = true;
        }
        Ok(())
    }

    /// Marks the touched scopes in the feed and describes the commit; none if it wrote nothing to the log.
    fn finish(mut self) -> Result<Option<Entry>, StoreFailure> {
        if self.last == self.before {
            return Ok(None);
        }
        let mut touches = std::mem::take(&mut self.touches);
        for (scope, touch) in touches.values_mut() {
            self.tx.touch_scope(*scope, self.last)?;
            let grants = self.tx.lookup().grants_of(*scope)?;
            let present = grants.iter().filter(|grant| grant.until_seq.is_none());
            touch.principals = present.map(|grant| (grant.principal, grant.access)).collect();
        }
        Ok(Some(Entry::new(self.before, self.last, touches)))
    }

    fn post_push(
        &mut self,
        group: &Group,
        verdicts: &HashMap<u64, Verdict>,
        push: &PlannedPush,
    ) -> Result<Vec<ItemResult>, StoreFailure> {
        if push.restored.is_none() && !self.may_speak(push)? {
            let ended = |_: &Planned| ItemResult::Refused(Rule::AccessEnded.into());
            return Ok(push.items.iter().map(ended).collect());
        }
        let mut posted: HashMap<u64, Vec<ItemResult>> = HashMap::new();
        let mut results: Vec<ItemResult> = Vec::with_capacity(push.items.len());
        for planned in &push.items {
            let result = match planned {
                Planned::Done(result) => result.clone(),
                Planned::Repeats(first) => match &results[*first] {
                    ItemResult::Accepted(seq) => ItemResult::Known(*seq, None),
                    other => other.clone(),
                },
                Planned::Change { job, nth } => {
                    if !posted.contains_key(job) {
                        let work = group.works.get(job).expect("every planned job has its work");
                        let answers = match verdicts.get(job) {
                            Some(verdict) => self.post_work(group, work, verdict, push.session)?,
                            None => refused_from(work, 0, Rule::StoreUnavailable.into()),
                        };
                        posted.insert(*job, answers);
                    }
                    posted[job][*nth].clone()
                }
                Planned::Request { id, command, recorded, job } => {
                    let settling = job.and_then(|job| Some((group.works.get(&job)?, verdicts.get(&job)?)));
                    self.post_request(push, *id, command, *recorded, settling)?
                }
                Planned::Release { scope } => self.post_release(push, *scope, &results, group)?,
            };
            results.push(result);
        }
        for (number, result) in push.restored.iter().flatten().zip(&results) {
            match result {
                ItemResult::Accepted(_) | ItemResult::Known(..) | ItemResult::Held(_) => {
                    self.tx.settle_quarantined(*number, Ok(self.now))?;
                }
                ItemResult::Refused(refusal) => self.tx.settle_quarantined(*number, Err(refusal.rule))?,
                ItemResult::Skipped => {}
            }
        }
        Ok(results)
    }

    /// The person and the device may have been switched off while the group was judged.
    fn may_speak(&self, push: &PlannedPush) -> Result<bool, StoreFailure> {
        if planted::is(Bug::RevokedMayPush) {
            return Ok(true);
        }
        let device = self.tx.lookup().device(push.identity.device)?;
        Ok(self.is_active(push.identity.person)? && device.is_some_and(|device| device.revoked_at.is_none()))
    }

    fn is_active(&self, person: PersonId) -> Result<bool, StoreFailure> {
        Ok(self.tx.lookup().person(person)?.is_some_and(|person| person.active))
    }

    fn post_work(
        &mut self,
        group: &Group,
        work: &DocumentWork,
        verdict: &Verdict,
        session: SessionId,
    ) -> Result<Vec<ItemResult>, StoreFailure> {
        let admitted = match verdict {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(refused_from(work, 0, refusal.clone())),
        };
        // Erased while the group was judged: it must not come back by this door.
        if super::group::is_erased(self.tx.lookup(), work.doc, work.scope)? {
            return Ok(refused_from(work, 0, Rule::Erased.into()));
        }
        // Restored from quarantine after the person has left: nobody who is not there begins to own (R4).
        if work.stored.is_none() && work.kind == Kind::Customer && !self.is_active(work.person)? {
            return Ok(refused_from(work, 0, Rule::OwnerInactive.into()));
        }
        if let Some(customer) = work.scope.customer()
            && work.kind != Kind::Customer
            && group.begins(customer)
            && self.tx.lookup().customer(customer)?.is_none()
        {
            // The customer stands earlier in this push and was refused; when it comes again, so may this.
            return Ok(refused_from(work, 0, Rule::DependencyUnknown.into()));
        }
        let applied = admitted.applied().min(work.changes.len());
        if applied == 0 {
            let refusal = admitted.refused().cloned().unwrap_or_else(|| Rule::Unloadable.into());
            return Ok(refused_from(work, 0, refusal));
        }
        if let Some(stranger) = self.actor_taken(work, applied)? {
            return Ok(refused_from(work, stranger, Rule::ActorForeign.into()));
        }
        let mut answers = if work.standing == Standing::Late && !work.kind.is_fact() {
            self.hold(work, admitted, applied)?
        } else {
            self.merge(work, admitted, applied, session)?
        };
        if applied < work.changes.len() {
            let refusal = admitted.refused().cloned().unwrap_or_else(|| Rule::Unloadable.into());
            answers.extend(refused_from(work, applied, refusal).drain(applied..));
        }
        Ok(answers)
    }

    /// Claims the actors for the device, or says at which change one is another device's by now.
    fn actor_taken(&mut self, work: &DocumentWork, applied: usize) -> Result<Option<usize>, StoreFailure> {
        for (nth, change) in work.changes[..applied].iter().enumerate() {
            let actor = change.header.actor;
            if self.actors.get(&actor) == Some(&change.device) {
                continue;
            }
            match self.tx.lookup().actor(actor)? {
                Some((device, _)) if device != change.device && !takes_any_actor() => {
                    return Ok(Some(nth));
                }
                Some(_) => {}
                None => self.tx.put_actor(actor, change.device, work.person)?,
            }
            self.actors.insert(actor, change.device);
        }
        Ok(None)
    }

    /// Appends the admitted changes and what follows from them.
    pub(super) fn merge(
        &mut self,
        work: &DocumentWork,
        admitted: &Admitted,
        applied: usize,
        session: SessionId,
    ) -> Result<Vec<ItemResult>, StoreFailure> {
        let first = &work.changes[0];
        if work.stored.is_none() && work.kind == Kind::Customer {
            self.register(work)?;
        }
        let first_received = work.stored.as_ref().map_or(first.received, |row| row.first_received);
        let mut answers = Vec::with_capacity(applied);
        for change in &work.changes[..applied] {
            let row = ChangeRow {
                seq: self.next_seq(),
                doc: work.doc,
                hash: change.header.hash,
                actor: change.header.actor,
                actor_seq: change.header.seq,
                max_op: change.header.max_op(),
                device: change.device,
                person: match &work.stored {
                    Some(stored) if planted::is(Bug::AttributedToAuthor) => stored.author,
                    _ => work.person,
                },
                received: change.received,
                recorded: change.recorded,
            };
            self.tx.insert_change(&row, &change.bytes)?;
            answers.push(ItemResult::Accepted(row.seq));
            self.touch(work.scope).changes.push(FeedChange {
                doc: work.doc,
                kind: work.kind,
                received: first_received,
                actor: row.actor,
                person: row.person,
                origin: session,
                bytes: change.bytes.clone(),
            });
        }
        let digest = digest(work.doc, admitted.heads());
        let row = DocumentRow {
            id: work.doc,
            kind: work.kind,
            scope: work.scope,
            author: work.stored.as_ref().map_or(work.person, |row| row.author),
            first_received,
            heads: admitted.heads().to_vec(),
            last_seq: self.last,
            changes: work.stored.as_ref().map_or(0, |row| row.changes) + applied as u64,
            digest,
        };
        let stale = if planted::is(Bug::StaleSnapshot) { self.tx.lookup().snapshot(work.doc)? } else { None };
        let saved = stale.as_deref().unwrap_or(admitted.saved());
        self.tx.put_document(&row, saved, admitted.projection())?;
        self.touch(work.scope).digest ^= work.stored.as_ref().map_or(0, |row| row.digest.0) ^ digest.0;
        if work.standing == Standing::Late {
            self.late_fact(work)?;
        }
        Ok(answers)
    }

    /// A fact of a former owner was accepted: the ledger says so, and those concerned are told (S2).
    fn late_fact(&mut self, work: &DocumentWork) -> Result<(), StoreFailure> {
        let customer = work.scope.customer().expect("late work lies in a customer's scope");
        let Some(record) = self.tx.lookup().customer(customer)? else { return Ok(()) };
        let Some((left, _)) = record.left_at(work.person) else { return Ok(()) };
        if work.stored.is_some() && record.late.iter().any(|(_, late)| late.doc == Some(work.doc)) {
            return Ok(());
        }
        let first = &work.changes[0];
        // A claim that runs ahead of the server is worth no more than the receipt.
        let recorded_at = first.recorded.at.min(first.received);
        let kind = if recorded_at < left { LateKind::FactBefore } else { LateKind::FactAfter };
        let is_after = kind == LateKind::FactAfter;
        let late = LateWork {
            customer,
            person: work.person,
            device: first.device,
            doc: Some(work.doc),
            recorded: Some(first.recorded),
            kind,
            state: LateState::Accepted,
        };
        self.append(work.scope, None, None, EventKind::LateWorkArrived { late })?;
        if is_after {
            let told = super::ledger::told_of_late_work(self.tx.lookup(), &record, work.person)?;
            for reader in told {
                let notice = NoticeKind::VisitAfterTransfer { person: work.person, visit: work.doc };
                self.notify(reader, customer, notice)?;
            }
        }
        Ok(())
    }

    /// Keeps card edits of a former owner, unmerged, as candidates (S2).
    fn hold(
        &mut self,
        work: &DocumentWork,
        admitted: &Admitted,
        applied: usize,
    ) -> Result<Vec<ItemResult>, StoreFailure> {
        let customer = work.doc;
        let first = &work.changes[0];
        let late = LateWork {
            customer,
            person: work.person,
            device: first.device,
            doc: Some(work.doc),
            recorded: Some(first.recorded),
            kind: LateKind::CardEdit { fields: admitted.field_changes().to_vec() },
            state: LateState::Held,
        };
        let seq = self.append(work.scope, None, None, EventKind::LateWorkArrived { late })?;
        for (position, change) in work.changes[..applied].iter().enumerate() {
            self.tx.insert_held(&HeldChange {
                late: seq,
                position: position as u32,
                doc: work.doc,
                hash: change.header.hash,
                actor: change.header.actor,
                actor_seq: change.header.seq,
                max_op: change.header.max_op(),
                device: change.device,
                person: work.person,
                received: change.received,
                recorded: change.recorded,
                bytes: change.bytes.clone(),
            })?;
        }
        if let Some(record) = self.tx.lookup().customer(customer)? {
            let notice = NoticeKind::LateEditHeld { person: work.person, late: seq };
            self.notify(record.owner(), customer, notice)?;
        }
        Ok(vec![ItemResult::Held(seq); applied])
    }

    /// "May I drop my copy?" Yes, once the person has no grant and nothing of this push waits.
    fn post_release(
        &mut self,
        push: &PlannedPush,
        scope: Scope,
        results: &[ItemResult],
        group: &Group,
    ) -> Result<ItemResult, StoreFailure> {
        let unsettled = push.items.iter().zip(results).any(|(planned, result)| {
            let concerns = match planned {
                Planned::Change { job, .. } => group.works.get(job).is_none_or(|work| work.scope == scope),
                Planned::Request { command, .. } => Scope::Customer(command.customer()) == scope,
                Planned::Done(_) | Planned::Repeats(_) => true,
                Planned::Release { .. } => false,
            };
            let waits = match result {
                ItemResult::Skipped => true,
                ItemResult::Refused(refusal) => refusal.rule.is_passing(),
                ItemResult::Accepted(_) | ItemResult::Known(..) | ItemResult::Held(_) => false,
            };
            concerns && waits
        });
        if unsettled {
            return Ok(ItemResult::Refused(Refusal::about(Rule::DependencyUnknown, "release")));
        }
        let Some(person) = self.tx.lookup().person(push.identity.person)? else {
            return Ok(ItemResult::Refused(Rule::AccessEnded.into()));
        };
        match super::group::reach(self.tx.lookup(), &person, scope)? {
            // The scope came back meanwhile: the copy stays.
            super::group::Reach::Granted(_) => Ok(ItemResult::Refused(Rule::AlreadyOwner.into())),
            super::group::Reach::Ended | super::group::Reach::Nothing => Ok(ItemResult::Accepted(self.last)),
        }
    }
}

/// The first change from `from` on is refused; those after it were not judged.
fn refused_from(work: &DocumentWork, from: usize, refusal: Refusal) -> Vec<ItemResult> {
    (0..work.changes.len())
        .map(|nth| if nth == from { ItemResult::Refused(refusal.clone()) } else { ItemResult::Skipped })
        .collect()
}
