//! Unsent work in order, and what of it travels at this moment. Chooses what goes into the next push and
//! notes what the server answered; what an answer means for a document is decided in `answers` and `rebase`.

use std::collections::HashMap;

use crate::client::rows::{Key, OutRow, OutState, OwnChange, Work};
use crate::client::storing::Storing;
use crate::entropy::Entropy;
use crate::id::{ChangeHash, DocId, RequestId, Scope};
use crate::limits::{BATCH_ITEMS_MAX, FRAME_BYTES_MAX, PUSHES_IN_FLIGHT_MAX};
use crate::order;
use crate::planted::{self, Bug};
use crate::protocol::PushItem;
use crate::sorted::{Map, Set};
use crate::wire;

/// Bytes of items in one push: a frame less what the frame itself and the counters need.
const PUSH_BYTES_MAX: usize = FRAME_BYTES_MAX - 4 * 1024;
/// Bytes of pushes that are out and unanswered. Two full frames keep a fast line busy and lose at most
/// half a megabyte when a slow one breaks.
const IN_FLIGHT_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// What an item's ids, scope and times need beside its change.
const ITEM_BYTES: usize = 128;

/// First pause before a passing refusal is offered again, and the largest.
const PAUSE_MS_MIN: u64 = 500;
/// See [`PAUSE_MS_MIN`].
const PAUSE_MS_MAX: u64 = 60_000;

/// One item that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Sent {
    /// A change of a row.
    Change { out: u64, doc: DocId, hash: ChangeHash },
    /// A request.
    Request { out: u64 },
    /// A release.
    Release { scope: Scope },
}

/// What waits together: the changes of a document, a request, a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Lane {
    Doc(DocId),
    Request(u64),
    Release(Scope),
}

/// A lane that is offered again later.
#[derive(Debug, Clone, Copy)]
struct Pause {
    until_ms: u64,
    attempts: u32,
}

/// What the server said about changes of a document whose other changes are still out. The document is
/// rebased when all are answered: while some are out, an answer may still come for bytes that a rebase
/// would throw away.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// Rows refused or held, with what was said first.
    pub(super) fates: Map<u64, OutState>,
    /// A change was not judged.
    pub(super) skipped: bool,
    /// Where the first skipped or refused row stands.
    pub(super) first: Option<u64>,
}

#[derive(Debug)]
struct Batch {
    items: Vec<Sent>,
    bytes: usize,
}

#[derive(Default)]
pub(super) struct Outbox {
    /// Boxed: there may be thousands, and the first are taken out one after another.
    rows: Map<u64, Box<OutRow>>,
    by_doc: HashMap<DocId, Set<u64>>,
    by_scope: HashMap<Scope, Set<u64>>,
    batches: Map<u64, Batch>,
    next_batch: u64,
    in_flight: Set<Sent>,
    pub(super) stalls: Map<DocId, Stall>,
    pauses: Map<Lane, Pause>,
}

impl Outbox {
    pub(super) fn insert(&mut self, number: u64, row: OutRow) {
        if let Some(doc) = row.doc() {
            self.by_doc.entry(doc).or_default().insert(number);
        }
        self.by_scope.entry(row.scope()).or_default().insert(number);
        self.rows.insert(number, Box::new(row));
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<OutRow> {
        let row = self.rows.remove(&number)?;
        if let Some(doc) = row.doc() {
            forget(&mut self.by_doc, doc, number);
        }
        forget(&mut self.by_scope, row.scope(), number);
        Some(*row)
    }

    pub(super) fn get(&self, number: u64) -> Option<&OutRow> {
        self.rows.get(&number).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut OutRow> {
        self.rows.get_mut(&number).map(Box::as_mut)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &OutRow)> {
        self.rows.iter().map(|(number, row)| (*number, row.as_ref()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The unanswered rows of a document, in order.
    pub(super) fn pending_of(&self, doc: DocId) -> Vec<u64> {
        let Some(numbers) = self.by_doc.get(&doc) else { return Vec::new() };
        numbers.iter().copied().filter(|number| self.rows[number].is_pending()).collect()
    }

    /// Whether a document has unanswered rows.
    pub(super) fn is_pending(&self, doc: DocId) -> bool {
        self.by_doc
            .get(&doc)
            .is_some_and(|numbers| numbers.iter().any(|number| self.rows[number].is_pending()))
    }

    /// Whether the document's first unsent work builds on an acknowledged form. Without that form it is an
    /// orphan: the form was dropped because it did not fit, and is being fetched again.
    pub(super) fn needs_ground(&self, doc: DocId) -> bool {
        let Some(first) = self.pending_of(doc).first().and_then(|number| self.rows.get(number)) else {
            return false;
        };
        match &first.work {
            Work::Edit(work) => work.begun || !work.edit.creates(),
            Work::Reoffer { .. } | Work::Request { .. } => false,
        }
    }

    /// Whether the document's first unsent work is offered again without what it builds on: the server held it of
    /// somebody who may not see the document any more.
    pub(super) fn is_detached(&self, doc: DocId) -> bool {
        let first = self.pending_of(doc).first().and_then(|number| self.rows.get(number));
        let Some(Work::Reoffer { changes, .. }) = first.map(|row| &row.work) else { return false };
        let is_among = |hash: &ChangeHash| changes.iter().any(|each| each.change.hash == *hash);
        let header = changes.first().and_then(|each| wire::parse(&each.change.bytes).ok());
        header.is_some_and(|header| !header.deps.iter().all(is_among))
    }

    /// Whether an unanswered edit of the document has still to be made on what the server holds.
    pub(super) fn is_unmade(&self, doc: DocId) -> bool {
        self.pending_of(doc).iter().any(|number| is_unmade(&self.rows[number]))
    }

    /// Documents with unanswered rows, in the order of their ids: what is done with them is done alike in every run.
    pub(super) fn pending_docs(&self) -> Vec<DocId> {
        let mut docs: Vec<_> = self.by_doc.keys().copied().filter(|doc| self.is_pending(*doc)).collect();
        order::sort(&mut docs);
        docs
    }

    /// Whether a scope has unanswered rows.
    pub(super) fn is_scope_pending(&self, scope: Scope) -> bool {
        self.by_scope
            .get(&scope)
            .is_some_and(|numbers| numbers.iter().any(|number| self.rows[number].is_pending()))
    }

    /// The scope's rows, whatever became of them.
    pub(super) fn of_scope(&self, scope: Scope) -> impl Iterator<Item = (u64, &OutRow)> {
        let numbers = self.by_scope.get(&scope).into_iter().flatten();
        numbers.map(|number| (*number, self.rows[number].as_ref()))
    }

    /// The row of a request.
    pub(super) fn find_request(&self, request: RequestId) -> Option<u64> {
        let is_it = |row: &OutRow| matches!(&row.work, Work::Request { id, .. } if *id == request);
        self.rows.iter().find(|(_, row)| is_it(row)).map(|(number, _)| *number)
    }

    /// How many rows are unanswered, and how many were refused and not dismissed.
    pub(super) fn counts(&self) -> (u32, u32) {
        let pending = self.rows.values().filter(|row| row.is_pending()).count();
        let refused = self.rows.values().filter(|row| matches!(row.state, OutState::Refused(_))).count();
        (pending as u32, refused as u32)
    }

    /// Whether anything is out.
    pub(super) fn is_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Chooses the next push: unanswered, stored rows in order, within the limits. `is_held` says whether the
    /// server has acknowledged a document; `releases` are scopes to release.
    pub(super) fn next_push(
        &mut self,
        now_ms: u64,
        storing: &Storing,
        is_held: impl Fn(DocId) -> bool,
        releases: &[Scope],
    ) -> Option<(u64, Vec<PushItem>)> {
        if self.batches.len() >= PUSHES_IN_FLIGHT_MAX && !planted::is(Bug::WindowIgnored) {
            return None;
        }
        let mut room =
            IN_FLIGHT_BYTES_MAX.saturating_sub(self.batches.values().map(|batch| batch.bytes).sum());
        room = room.min(PUSH_BYTES_MAX);
        let mut items = Vec::new();
        let mut sent = Vec::new();
        let mut bytes = 0;
        let mut closed_docs = Set::default();
        let mut closed_scopes = Set::default();
        'rows: for (number, row) in &self.rows {
            if !row.is_pending() {
                continue;
            }
            let doc = row.doc();
            let lane = doc.map_or(Lane::Request(*number), Lane::Doc);
            let is_stored = storing.is_stored(Key::Out(*number)) || planted::is(Bug::SendsBeforeStored);
            let is_closed = !is_stored
                || is_unmade(row)
                || doc.is_some_and(|doc| closed_docs.contains(&doc) || self.stalls.contains_key(&doc))
                || doc.is_some_and(|doc| !is_held(doc) && self.needs_ground(doc))
                || closed_scopes.contains(&row.scope())
                || self.pauses.get(&lane).is_some_and(|pause| pause.until_ms > now_ms);
            if is_closed {
                // What follows builds on it: later changes of the document, and everything of a customer whose
                // card the server does not know yet.
                closed_docs.extend(doc);
                if doc.is_some_and(|doc| row.scope() == Scope::Customer(doc) && !is_held(doc)) {
                    closed_scopes.insert(row.scope());
                }
                continue;
            }
            for (token, size) in tokens_of(*number, row) {
                if self.in_flight.contains(&token) {
                    continue;
                }
                let is_full = sent.len() >= BATCH_ITEMS_MAX || bytes + size > room;
                // One item is never larger than a push; alone it goes even beyond the window.
                if is_full && !(sent.is_empty() && self.in_flight.is_empty()) {
                    break 'rows;
                }
                bytes += size;
                sent.push(token);
                items.extend(item_of(row, &token));
            }
        }
        for scope in releases {
            let token = Sent::Release { scope: *scope };
            let lane = Lane::Release(*scope);
            let is_paused = self.pauses.get(&lane).is_some_and(|pause| pause.until_ms > now_ms);
            if is_paused || self.in_flight.contains(&token) || sent.len() >= BATCH_ITEMS_MAX {
                continue;
            }
            sent.push(token);
            items.push(PushItem::Release { scope: *scope });
        }
        if items.is_empty() {
            return None;
        }
        self.next_batch += 1;
        self.in_flight.extend(sent.iter().copied());
        self.batches.insert(self.next_batch, Batch { items: sent, bytes });
        Some((self.next_batch, items))
    }

    /// The items of an answered push, in order; none if no such push is out.
    pub(super) fn answered(&mut self, batch: u64) -> Option<Vec<Sent>> {
        let batch = self.batches.remove(&batch)?;
        for sent in &batch.items {
            self.in_flight.remove(sent);
        }
        Some(batch.items)
    }

    /// The connection is gone: nothing is out.
    pub(super) fn forget_flight(&mut self) {
        self.batches.clear();
        self.in_flight.clear();
    }

    /// Forgets every answer that is not acted on yet, and every pause.
    pub(super) fn forget_answers(&mut self) {
        self.stalls.clear();
        self.pauses.clear();
    }

    /// Documents with answers to act on and nothing out.
    pub(super) fn drained_stalls(&self) -> Vec<DocId> {
        let busy: Set<_> = self
            .in_flight
            .iter()
            .filter_map(|sent| match sent {
                Sent::Change { doc, .. } => Some(*doc),
                Sent::Request { .. } | Sent::Release { .. } => None,
            })
            .collect();
        self.stalls.keys().copied().filter(|doc| !busy.contains(doc)).collect()
    }

    /// Offers a lane again later, each time later.
    pub(super) fn pause(&mut self, lane: Lane, now_ms: u64, entropy: &mut Entropy) {
        let attempts = self.pauses.get(&lane).map_or(0, |pause| pause.attempts);
        let bound = PAUSE_MS_MIN.saturating_mul(1 << attempts.min(16)).min(PAUSE_MS_MAX);
        let until_ms = now_ms.saturating_add(bound / 2 + entropy.below(bound / 2 + 1));
        let until_ms = if planted::is(Bug::PausesForEver) { u64::MAX } else { until_ms };
        self.pauses.insert(lane, Pause { until_ms, attempts: attempts.saturating_add(1) });
    }

    /// Whether a lane waits for its pause to end.
    pub(super) fn is_paused(&self, lane: Lane, now_ms: u64) -> bool {
        self.pauses.get(&lane).is_some_and(|pause| pause.until_ms > now_ms)
    }

    /// How often in a row a lane was paused.
    pub(super) fn pauses_of(&self, lane: Lane) -> u32 {
        self.pauses.get(&lane).map_or(0, |pause| pause.attempts)
    }

    /// A lane's work was taken.
    pub(super) fn clear_pause(&mut self, lane: Lane) {
        self.pauses.remove(&lane);
    }

    /// When the next pause ends, if one that has not ended exists.
    pub(super) fn due_ms(&self, now_ms: u64) -> Option<u64> {
        self.pauses.values().map(|pause| pause.until_ms).filter(|until_ms| *until_ms > now_ms).min()
    }
}

/// Whether a row is an edit without its changes: refused once and to be made again.
fn is_unmade(row: &OutRow) -> bool {
    matches!(&row.work, Work::Edit(work) if work.changes.is_empty())
}

/// The bytes of a row's unacknowledged changes, in order.
pub(super) fn change_bytes(row: &OutRow) -> Vec<&[u8]> {
    match &row.work {
        Work::Edit(work) => work.changes.iter().map(|change| change.bytes.as_slice()).collect(),
        Work::Reoffer { changes, .. } => changes.iter().map(|each| each.change.bytes.as_slice()).collect(),
        Work::Request { .. } => Vec::new(),
    }
}

/// What of a row is to be pushed, and how much room each item takes.
fn tokens_of(number: u64, row: &OutRow) -> Vec<(Sent, usize)> {
    let change = |doc: DocId, change: &OwnChange| {
        (Sent::Change { out: number, doc, hash: change.hash }, change.bytes.len() + ITEM_BYTES)
    };
    match &row.work {
        Work::Edit(work) => work.changes.iter().map(|each| change(work.doc, each)).collect(),
        Work::Reoffer { doc, changes, .. } => {
            changes.iter().filter(|each| each.own).map(|each| change(*doc, &each.change)).collect()
        }
        Work::Request { .. } => vec![(Sent::Request { out: number }, 4 * ITEM_BYTES + 1024)],
    }
}

/// The item of a token of this row.
fn item_of(row: &OutRow, token: &Sent) -> Option<PushItem> {
    let recorded = row.recorded;
    match (&row.work, token) {
        (Work::Edit(work), Sent::Change { hash, .. }) => {
            let change = work.changes.iter().find(|change| change.hash == *hash)?.bytes.clone();
            Some(PushItem::Change { doc: work.doc, kind: work.kind, scope: work.scope, change, recorded })
        }
        (Work::Reoffer { doc, kind, scope, changes, .. }, Sent::Change { hash, .. }) => {
            let change = changes.iter().find(|each| each.change.hash == *hash)?.change.bytes.clone();
            Some(PushItem::Change { doc: *doc, kind: *kind, scope: *scope, change, recorded })
        }
        (Work::Request { id, command }, _) => {
            Some(PushItem::Request { id: *id, command: command.clone(), recorded })
        }
        (Work::Edit(_) | Work::Reoffer { .. }, Sent::Request { .. } | Sent::Release { .. }) => None,
    }
}

fn forget<K: std::hash::Hash + Eq>(index: &mut HashMap<K, Set<u64>>, key: K, number: u64) {
    if let Some(numbers) = index.get_mut(&key) {
        numbers.remove(&number);
        if numbers.is_empty() {
            index.remove(&key);
        }
    }
}
