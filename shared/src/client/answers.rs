//! What the server's answers to pushes mean (CL-10 … CL-16): accepted changes move from the outbox into
//! the acknowledged document; refused and held ones stall their document until nothing of it is out, and
//! then it is rebased; passing refusals are offered again later.

use minicbor::bytes::ByteVec;

use crate::client::outbox::{Lane, Sent};
use crate::client::rows::{DocRow, Key, OutState, Reoffered, Work};
use crate::client::{Client, Echo, Fault};
use crate::document::{Document, Kind};
use crate::id::{ChangeHash, DocId, Scope};
use crate::planted::{self, Bug};
use crate::protocol::{Ack, ItemResult};
use crate::refusal::{Refusal, Rule};
use crate::sorted::{Map, Set};
use crate::time::{Now, UtcMillis};
use crate::wire;

/// Refusals in a row after which "not found" is believed, although the card was made here and is on its way.
const NOT_FOUND_BELIEVED_AFTER: u32 = 6;

/// The same for changes that a restored server lost: with pauses that double to a minute, some five minutes in
/// which the other phones of the customer come back. What is believed then is not lost: it goes on in words,
/// and is offered again when the server knows its customer.
const REOFFER_BELIEVED_AFTER: u32 = 12;

/// What an answer acknowledges of one document.
#[derive(Default)]
struct Accepted {
    changes: Vec<(u64, ChangeHash)>,
    /// When the document's first change was received, if it is among these.
    received: UtcMillis,
}

impl Accepted {
    fn add(&mut self, out: u64, hash: ChangeHash, received: UtcMillis) {
        if self.changes.is_empty() {
            self.received = received;
        }
        self.changes.push((out, hash));
    }
}

impl Client {
    pub(super) fn take_ack(&mut self, now: Now, ack: Ack) -> Result<(), Fault> {
        // An answer to a push of an earlier connection: what it said will be said again.
        let Some(items) = self.outbox.answered(ack.batch) else { return Ok(()) };
        if items.len() != ack.results.len() {
            return Err(Fault::Unreadable);
        }
        let received = if planted::is(Bug::OwnReceipt) { self.clock.corrected(now) } else { ack.received };
        let mut accepted: Map<DocId, Accepted> = Map::default();
        for (sent, result) in items.into_iter().zip(ack.results) {
            match (sent, result) {
                (Sent::Change { out, doc, hash }, ItemResult::Accepted(_)) => {
                    accepted.or_default(doc).add(out, hash, received);
                }
                (Sent::Change { out, doc, hash }, ItemResult::Known(_, first)) => {
                    accepted.or_default(doc).add(out, hash, first.unwrap_or(received));
                }
                (Sent::Change { out, doc, hash }, result) => {
                    if self.is_present(out, hash) {
                        self.note_refused_change(now, out, doc, result);
                    }
                }
                (Sent::Request { out }, result) => self.take_request_result(now, out, result),
                (Sent::Release { scope }, result) => self.take_release_result(now, scope, result),
            }
        }
        for (doc, of_it) in accepted {
            self.acknowledge(doc, &of_it.changes, of_it.received);
        }
        self.settle_stalls();
        self.changed = true;
        Ok(())
    }

    /// Whether the row still waits for an answer about this change. After a rebase it does not.
    fn is_present(&self, out: u64, hash: ChangeHash) -> bool {
        let Some(row) = self.outbox.get(out).filter(|row| row.is_pending()) else { return false };
        match &row.work {
            Work::Edit(work) => work.changes.iter().any(|change| change.hash == hash),
            Work::Reoffer { changes, .. } => changes.iter().any(|each| each.change.hash == hash),
            Work::Request { .. } => false,
        }
    }

    fn note_refused_change(&mut self, now: Now, out: u64, doc: DocId, result: ItemResult) {
        let lane = Lane::Doc(doc);
        let state = match result {
            ItemResult::Refused(refusal) if self.is_passing(doc, out, &refusal) => {
                // Several changes of one push wait together: one pause, not one each.
                if !self.outbox.is_paused(lane, now.monotonic_ms) {
                    self.outbox.pause(lane, now.monotonic_ms, &mut self.entropy);
                }
                return;
            }
            ItemResult::Refused(refusal) => Some(OutState::Refused(refusal)),
            ItemResult::Held(late) => Some(OutState::Held(late)),
            ItemResult::Skipped | ItemResult::Accepted(_) | ItemResult::Known(..) => None,
        };
        // A change skipped behind a passing refusal is simply offered again with it.
        let is_paused = self.outbox.is_paused(lane, now.monotonic_ms);
        let stalls = &mut self.outbox.stalls;
        if state.is_none() && is_paused && !stalls.contains_key(&doc) {
            return;
        }
        let stall = stalls.or_default(doc);
        let first = *stall.first.get_or_insert(out);
        stall.first = Some(first.min(out));
        match state {
            Some(state) if !stall.fates.contains_key(&out) => {
                stall.fates.insert(out, state);
            }
            Some(_) => {}
            None => stall.skipped = true,
        }
    }

    /// Whether the answer may change without anybody editing anything.
    fn is_passing(&self, doc: DocId, out: u64, refusal: &Refusal) -> bool {
        let lane = Lane::Doc(doc);
        let is_reoffer = self.is_reoffer(out);
        match refusal.rule {
            // What a restored server lost of somebody else, it gets back from somebody else's phone.
            Rule::NotFound | Rule::SequenceGap | Rule::DependencyUnknown if is_reoffer => {
                self.outbox.pauses_of(lane) < REOFFER_BELIEVED_AFTER
            }
            rule if rule.is_passing() => true,
            // The gap is what an earlier change of the document left that waits itself.
            Rule::SequenceGap => {
                self.outbox.pauses_of(lane) > 0
                    && self.outbox.pending_of(doc).first().is_some_and(|first| *first < out)
            }
            Rule::NotFound => self.is_customer_on_its_way(out, lane),
            _ => false,
        }
    }

    /// Whether the customer of a row was made here and the server may not have registered it yet.
    fn is_customer_on_its_way(&self, out: u64, lane: Lane) -> bool {
        let Some(Scope::Customer(customer)) = self.outbox.get(out).map(|row| row.scope()) else {
            return false;
        };
        let is_ungranted = self.ledger.scope(Scope::Customer(customer)).is_none();
        let is_unsent = self.outbox.is_pending(customer) && self.held.get(customer).is_none();
        let is_card = lane == Lane::Doc(customer);
        !is_card
            && is_ungranted
            && (is_unsent || self.outbox.pauses_of(lane) < NOT_FOUND_BELIEVED_AFTER)
            && (is_unsent || self.held.get(customer).is_some())
    }

    fn take_request_result(&mut self, now: Now, out: u64, result: ItemResult) {
        let lane = Lane::Request(out);
        match result {
            ItemResult::Accepted(_) | ItemResult::Known(..) | ItemResult::Held(_) => {
                self.echo = Echo::Wanted;
                self.outbox.remove(out);
                self.outbox.clear_pause(lane);
                self.touch(Key::Out(out));
            }
            ItemResult::Refused(refusal) if !self.is_request_passing(out, refusal.rule) => {
                self.outbox.clear_pause(lane);
                self.settle_out(out, OutState::Refused(refusal));
            }
            ItemResult::Refused(_) | ItemResult::Skipped => {
                self.outbox.pause(lane, now.monotonic_ms, &mut self.entropy);
            }
        }
    }

    /// Whether a request's refusal may change by itself: the server is full, or does not know the card yet.
    fn is_request_passing(&self, out: u64, rule: Rule) -> bool {
        rule.is_passing() || (rule == Rule::NotFound && self.is_customer_on_its_way(out, Lane::Request(out)))
    }

    fn take_release_result(&mut self, now: Now, scope: Scope, result: ItemResult) {
        let lane = Lane::Release(scope);
        let is_leaving = self.ledger.scope(scope).is_some_and(|state| state.row.leaving);
        match result {
            ItemResult::Accepted(_) | ItemResult::Known(..)
                if is_leaving && !self.outbox.is_scope_pending(scope) =>
            {
                self.outbox.clear_pause(lane);
                self.drop_scope(scope);
            }
            // Granted again, or something was typed, while the answer was on its way: it is out of date.
            ItemResult::Accepted(_) | ItemResult::Known(..) => self.outbox.clear_pause(lane),
            ItemResult::Refused(_) | ItemResult::Held(_) | ItemResult::Skipped => {
                self.outbox.pause(lane, now.monotonic_ms, &mut self.entropy);
            }
        }
    }

    /// Gives an outbox row its fate, with what its card was called.
    pub(super) fn settle_out(&mut self, out: u64, state: OutState) {
        let Some(row) = self.outbox.get(out) else { return };
        let name = row.scope().customer().map(|customer| self.customer_name(customer)).unwrap_or_default();
        if let Some(row) = self.outbox.get_mut(out) {
            row.state = state;
            if !name.is_empty() {
                row.customer_name = name;
            }
        }
        self.touch(Key::Out(out));
    }

    /// Moves acknowledged changes from the outbox into the acknowledged document, in one write.
    pub(super) fn acknowledge(&mut self, doc: DocId, accepted: &[(u64, ChangeHash)], received: UtcMillis) {
        // The open document already shows these changes: open it before they leave the outbox.
        let is_open = self.open_document(doc).is_some();
        let mut chunks = Vec::new();
        let mut place = None;
        for (out, hash) in accepted {
            let Some(row) = self.outbox.get_mut(*out).filter(|row| row.is_pending()) else { continue };
            match &mut row.work {
                Work::Edit(work) => {
                    place.get_or_insert((work.kind, work.scope, received));
                    let Some(index) = work.changes.iter().position(|change| change.hash == *hash) else {
                        continue;
                    };
                    chunks.push(work.changes.remove(index).bytes);
                    work.begun = true;
                    if work.changes.is_empty() {
                        self.outbox.remove(*out);
                    }
                }
                // Everybody else sees when the restored server received it, so its author does, too.
                Work::Reoffer { kind, scope, changes, .. } => {
                    place.get_or_insert((*kind, *scope, received));
                    let taken = take_with_ground(changes, *hash);
                    if taken.is_empty() {
                        continue;
                    }
                    chunks.extend(taken);
                    if !changes.iter().any(|each| each.own) {
                        self.outbox.remove(*out);
                    }
                }
                Work::Request { .. } => continue,
            }
            self.touch(Key::Out(*out));
        }
        self.outbox.clear_pause(Lane::Doc(doc));
        let Some((kind, scope, received)) = place else { return };
        let merged = if is_open && !self.outbox.is_pending(doc) {
            let document = self.held.opened(doc).expect("opened above and nothing was opened since");
            Some((document.save(), document.heads()))
        } else {
            let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_slice()).collect();
            self.extend_acknowledged(doc, &chunks)
        };
        let Some((saved, heads)) = merged else {
            // What a former owner offers again has no document here to go into.
            if self.held.get(doc).is_some() {
                self.mark_broken(doc);
            }
            return;
        };
        let (received, generation) = match self.held.get(doc) {
            Some(row) => (row.received, row.generation),
            None => {
                if kind == Kind::Customer {
                    // The ledger registers it.
                    self.echo = Echo::Wanted;
                }
                (received, self.ledger.scope(scope).map_or(0, |state| state.row.generation))
            }
        };
        self.held.insert(doc, DocRow { kind, scope, received, heads, generation, saved: saved.into() });
        self.touch(Key::Doc(doc));
        self.refresh_list_row(doc);
    }

    /// The acknowledged form with more changes, and its heads; none if they do not fit together.
    pub(super) fn extend_acknowledged(
        &mut self,
        doc: DocId,
        chunks: &[&[u8]],
    ) -> Option<(Vec<u8>, Vec<ChangeHash>)> {
        let mut document = match self.held.get(doc) {
            Some(row) => Document::load(&row.saved).ok()?,
            None => Document::empty(),
        };
        document.apply(chunks).ok()?;
        Some((document.save(), document.heads()))
    }
}

/// Takes an accepted change out of those offered again, and what it builds on: that is on the server too, or
/// the server could not have taken it. Of the others nothing is known.
fn take_with_ground(changes: &mut Vec<Reoffered>, hash: ChangeHash) -> Vec<ByteVec> {
    let mut taken = Set::from_iter([hash]);
    let mut chunks = Vec::new();
    // Each stands after what it builds on.
    for index in (0..changes.len()).rev() {
        if taken.contains(&changes[index].change.hash) {
            let bytes = changes.remove(index).change.bytes;
            taken.extend(wire::parse(&bytes).map(|header| header.deps).unwrap_or_default());
            chunks.push(bytes);
        }
    }
    chunks.reverse();
    chunks
}
