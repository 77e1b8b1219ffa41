//! Pages of the feed (CL-20 … CL-27). Every page becomes rows in the same write as its cursor. Taking a page
//! twice, or one that repeats what is held, changes nothing. What does not fit is dropped and fetched again.
//!
//! Two counters tell fresh from stale without touching rows that do not change: a scope's *generation* grows
//! when the server announces the whole scope anew, and documents of an earlier generation go when the feed
//! has been read to its end; the phone's *epoch* grows when the whole copy is fetched anew, and scopes of an
//! earlier epoch go then.

use crate::client::outbox::change_bytes;
use crate::client::rows::{DocRow, Key, OutRow, OutState, OwnChange, Reoffered, Work};
use crate::client::{Client, Echo, Fault};
use crate::document::{Document, Kind};
use crate::id::{ActorId, ChangeHash, DocId, IncarnationId, Scope};
use crate::ledger::LedgerEvent;
use crate::ledger::people::Access;
use crate::order;
use crate::planted::{self, Bug};
use crate::protocol::{ClientFrame, Item, Page};
use crate::refusal::Rule;
use crate::time::{Now, UtcMillis};

impl Client {
    pub(super) fn take_page(&mut self, now: Now, page: Page) -> Result<(), Fault> {
        let items = page.items.unpack().map_err(|_| Fault::Unreadable)?;
        for item in items {
            self.take_item(now, item);
        }
        self.meta.cursor = Some(page.cursor.clone());
        self.touch(Key::Meta);
        self.changed = true;
        if !self.broken.is_empty() {
            return Err(Fault::Unfit);
        }
        if page.more {
            self.caught_up = false;
            self.pull = Some(page.cursor);
        } else {
            self.finish_catching_up(now);
        }
        Ok(())
    }

    fn take_item(&mut self, now: Now, item: Item) {
        match item {
            Item::Granted { scope, access, full } => self.take_grant(scope, access, full),
            Item::Snapshot { doc, kind, scope, bytes, received } => {
                self.take_snapshot(now, doc, kind, scope, bytes.into(), received);
            }
            Item::Changes { doc, kind, scope, changes, received } => {
                let changes: Vec<&[u8]> = changes.iter().map(|change| change.as_slice()).collect();
                self.take_changes(doc, kind, scope, &changes, received);
            }
            Item::Events(events) => self.take_events(events),
            Item::Actors(actors) => {
                if self.ledger.learn_actors(actors) {
                    self.index.touch_names();
                    self.touch(Key::Actors);
                }
            }
            Item::Removed { scope } => {
                self.ledger.leave(scope);
                self.touch(Key::Scope(scope));
                self.index.touch_scope(scope);
            }
            Item::Erased { doc } => self.erase(doc),
        }
    }

    fn take_grant(&mut self, scope: Scope, access: Access, full: bool) {
        self.ledger.grant(scope, access, self.meta.epoch);
        if full {
            self.ledger.renew(scope);
            self.sweep.insert(scope);
        }
        self.touch(Key::Scope(scope));
        self.index.touch_scope(scope);
        self.offer_refused_again(scope);
    }

    fn take_snapshot(
        &mut self,
        now: Now,
        doc: DocId,
        kind: Kind,
        scope: Scope,
        saved: Vec<u8>,
        received: UtcMillis,
    ) {
        let Ok(mut document) = Document::load(&saved) else {
            self.mark_broken(doc);
            return;
        };
        if self.meta.recovering {
            self.reoffer_missing(now, doc, Some(&mut document));
        }
        let heads = document.heads();
        let generation = self.ledger.scope(scope).map_or(0, |state| state.row.generation);
        self.held.close(doc);
        self.held.insert(doc, DocRow { kind, scope, received, heads, generation, saved: saved.into() });
        self.touch(Key::Doc(doc));
        self.unloadable.remove(&doc);
        if self.outbox.is_pending(doc) {
            self.drop_acknowledged(doc, &mut document);
        }
        if !self.outbox.is_pending(doc) {
            self.index_document(doc, scope, &mut document);
        } else {
            self.refresh_list_row(doc);
        }
    }

    fn take_changes(&mut self, doc: DocId, kind: Kind, scope: Scope, changes: &[&[u8]], received: UtcMillis) {
        let merged = if self.outbox.is_pending(doc) {
            self.extend_acknowledged(doc, changes)
        } else {
            let opened = match self.held.close(doc) {
                Some(document) => Some(document),
                None => match self.held.get(doc) {
                    Some(row) => Document::load(&row.saved).ok(),
                    None => Some(Document::empty()),
                },
            };
            // A document that fails in the middle is in no known state: it is dropped, not kept open.
            opened.and_then(|mut document| {
                document.apply(changes).ok()?;
                let merged = (document.save(), document.heads());
                self.held.keep_open(doc, document);
                Some(merged)
            })
        };
        let Some((saved, heads)) = merged else {
            self.mark_broken(doc);
            return;
        };
        // The feed's time of receipt is the server's word. That of an answer is not, if the change was known.
        let generation = self.ledger.scope(scope).map_or(0, |state| state.row.generation);
        self.held.insert(doc, DocRow { kind, scope, received, heads, generation, saved: saved.into() });
        self.touch(Key::Doc(doc));
        if self.outbox.is_pending(doc) {
            let row = self.held.get(doc).expect("just put there");
            if let Ok(mut document) = Document::load(&row.saved) {
                self.drop_acknowledged(doc, &mut document);
            }
            self.extend_open(doc, changes);
        }
        self.refresh_list_row(doc);
    }

    /// Shows new acknowledged changes in the open document too.
    fn extend_open(&mut self, doc: DocId, changes: &[&[u8]]) {
        let is_applied = self.held.opened(doc).is_none_or(|document| document.apply(changes).is_ok());
        if !is_applied {
            self.held.close(doc);
        }
    }

    /// Takes out of the outbox what the acknowledged document holds: its answer was lost on the way.
    fn drop_acknowledged(&mut self, doc: DocId, document: &mut Document) {
        for out in self.outbox.pending_of(doc) {
            let row = self.outbox.get_mut(out).expect("its number was listed");
            let (before, after) = match &mut row.work {
                // Still to be made on this copy.
                Work::Edit(work) if work.changes.is_empty() => continue,
                Work::Edit(work) => {
                    let before = work.changes.len();
                    work.changes.retain(|change| !document.contains(&change.hash));
                    work.begun |= work.changes.len() < before;
                    (before, work.changes.len())
                }
                Work::Reoffer { changes, .. } => {
                    let before = changes.len();
                    changes.retain(|each| !document.contains(&each.change.hash));
                    let own = changes.iter().filter(|each| each.own).count();
                    (before, if own == 0 { 0 } else { changes.len() })
                }
                Work::Request { .. } => continue,
            };
            if after == 0 {
                self.outbox.remove(out);
            }
            if after < before {
                self.touch(Key::Out(out));
            }
        }
    }

    fn take_events(&mut self, events: Vec<LedgerEvent>) {
        let mut scopes: Vec<(Scope, Vec<LedgerEvent>)> = Vec::new();
        for event in events {
            let answered = event.request.and_then(|request| self.outbox.find_request(request));
            if let Some(out) = answered.filter(|out| self.outbox.get(*out).is_some_and(OutRow::is_pending)) {
                self.outbox.remove(out);
                self.touch(Key::Out(out));
            }
            match scopes.iter_mut().find(|(scope, _)| *scope == event.scope) {
                Some((_, list)) => list.push(event),
                None => scopes.push((event.scope, vec![event])),
            }
        }
        for (scope, events) in scopes {
            if self.ledger.extend(scope, events) {
                self.touch(Key::Scope(scope));
                self.index.touch_scope(scope);
            }
        }
    }

    /// The document is gone for good, and with a card what the ledger's events say of it in words. What was
    /// typed here and not sent is its author's to see and to dismiss.
    fn erase(&mut self, doc: DocId) {
        for out in self.outbox.pending_of(doc) {
            self.settle_out(out, OutState::Refused(Rule::Erased.into()));
        }
        self.forget_document(doc);
        for scope in self.ledger.forget_words_of(doc) {
            self.touch(Key::Scope(scope));
            self.index.touch_scope(scope);
        }
    }

    /// Drops the acknowledged form of a document and what lists show of it.
    pub(super) fn forget_document(&mut self, doc: DocId) {
        self.held.remove(doc);
        self.touch(Key::Doc(doc));
        self.refresh_list_row(doc);
    }

    /// Drops every row of a scope that the person has no part in any more. Refused and held work stays in the
    /// outbox until the person has seen it.
    pub(super) fn drop_scope(&mut self, scope: Scope) {
        for doc in self.held.of_scope(scope) {
            self.forget_document(doc);
        }
        self.ledger.remove(scope);
        self.touch(Key::Scope(scope));
        self.index.touch_scope(scope);
        self.sweep.remove(&scope);
        self.changed = true;
    }

    /// The feed was read to its end: what was announced anew and did not come is gone.
    fn finish_catching_up(&mut self, now: Now) {
        let mut stale: Vec<Scope> = self
            .ledger
            .scopes()
            .filter(|(_, state)| state.row.epoch < self.meta.epoch && !state.row.leaving)
            .map(|(scope, _)| scope)
            .collect();
        order::sort(&mut stale);
        if self.meta.recovering {
            self.reoffer_lost(now);
            self.offer_held_again();
            for scope in self.ledger.outdate_leaving() {
                self.touch(Key::Scope(scope));
            }
        }
        for scope in stale {
            if !self.outbox.is_scope_pending(scope) {
                self.drop_scope(scope);
                continue;
            }
            // Unsent work of a scope that is not granted: a restored server will register it again; any other
            // server has taken it away, and the copy goes when the work has gone.
            if self.meta.recovering {
                self.ledger.remove(scope)
            } else {
                self.ledger.leave(scope)
            }
            self.touch(Key::Scope(scope));
            self.index.touch_scope(scope);
        }
        for scope in std::mem::take(&mut self.sweep) {
            self.sweep_scope(scope);
        }
        // What was dropped as unfit and did not come again is gone from the server: its edits have no ground. What
        // was refused for want of its customer is made again on what came.
        for doc in self.outbox.pending_docs() {
            if self.is_orphan(doc) || self.outbox.is_unmade(doc) {
                self.rebase(doc, Default::default());
            }
        }
        self.meta.recovering = false;
        self.meta.complete = true;
        self.meta.last_synced = Some(self.clock.corrected(now));
        self.caught_up = true;
        if self.echo == Echo::Asked {
            self.echo = Echo::None;
        }
        self.redial.succeeded();
    }

    fn sweep_scope(&mut self, scope: Scope) {
        let Some(state) = self.ledger.scope(scope) else { return };
        let generation = state.row.generation;
        if state.row.events_stale {
            self.ledger.clear_events(scope);
            self.touch(Key::Scope(scope));
            self.index.touch_scope(scope);
        }
        for doc in self.held.of_scope(scope) {
            if self.held.get(doc).is_some_and(|row| row.generation < generation) {
                self.forget_document(doc);
                if self.outbox.is_pending(doc) {
                    self.rebase(doc, Default::default());
                }
            }
        }
    }

    /// The server's store is another one than the cursor's (S14), or the copy is damaged: everything is
    /// fetched anew, and replaces what is held as it comes.
    pub(super) fn begin_epoch(&mut self, incarnation: Option<IncarnationId>) {
        self.meta.recovering |=
            incarnation.is_some_and(|new| self.meta.incarnation.is_some_and(|old| old != new));
        self.meta.incarnation = incarnation.or(self.meta.incarnation);
        self.meta.cursor = None;
        self.meta.epoch = self.meta.epoch.saturating_add(1);
        self.meta.complete = false;
        self.caught_up = false;
        self.touch(Key::Meta);
    }

    /// Puts every own change of a document that the server's copy lacks back into the outbox.
    fn reoffer_missing(&mut self, now: Now, doc: DocId, server: Option<&mut Document>) {
        let Some(row) = self.held.get(doc) else { return };
        if planted::is(Bug::ForgetsAfterRestore) {
            return;
        }
        let (kind, scope, received) = (row.kind, row.scope, row.received);
        let Ok(mut document) = Document::load(&row.saved) else { return };
        // What an earlier restore lost and nobody took back yet builds on what this one may have lost.
        let mut earlier = self.outbox.pending_of(doc);
        earlier.retain(|out| self.is_reoffer(*out));
        let rows = earlier.iter().filter_map(|out| self.outbox.get(*out));
        if rows.into_iter().any(|row| document.apply(&change_bytes(row)).is_err()) {
            return;
        }
        for out in earlier {
            self.take_out(out);
        }
        let own: Vec<ActorId> =
            self.meta.former_actors.iter().copied().chain(std::iter::once(self.meta.actor)).collect();
        let changes: Vec<Reoffered> = document
            .missing_of(&own, server)
            .into_iter()
            .map(|(change, own)| Reoffered { own, change: OwnChange::from(change) })
            .collect();
        if changes.is_empty() {
            return;
        }
        let recorded = document.recorded().unwrap_or_else(|| self.clock.recorded(now));
        let own: Vec<ChangeHash> =
            changes.iter().filter(|each| each.own).map(|each| each.change.hash).collect();
        let words = document.in_words(doc, &own);
        let work = Work::Reoffer { doc, kind, scope, received, changes, words };
        let row = OutRow { recorded, state: OutState::Pending, customer_name: String::new(), work };
        self.insert_before(doc, row);
    }

    /// Puts a row into the outbox ahead of the document's unsent edits, which build on it: they move behind it.
    fn insert_before(&mut self, doc: DocId, row: OutRow) {
        let later: Vec<OutRow> =
            self.outbox.pending_of(doc).into_iter().filter_map(|out| self.take_out(out)).collect();
        for row in std::iter::once(row).chain(later) {
            self.append_out(row);
        }
    }

    /// Puts a row at the end of the outbox.
    pub(super) fn append_out(&mut self, row: OutRow) -> u64 {
        let number = self.meta.next_out;
        self.meta.next_out += 1;
        self.outbox.insert(number, row);
        self.touch(Key::Out(number));
        self.touch(Key::Meta);
        number
    }

    pub(super) fn take_out(&mut self, out: u64) -> Option<OutRow> {
        self.touch(Key::Out(out));
        self.outbox.remove(out)
    }

    /// Offers again every own change of documents that the restored server did not send at all: cards first,
    /// because visits need their card's scope.
    pub(super) fn reoffer_lost(&mut self, now: Now) {
        let mut lost: Vec<(bool, UtcMillis, DocId)> = Vec::new();
        for (doc, row) in self.held.iter() {
            let is_fresh = self.ledger.scope(row.scope).is_some_and(|state| {
                state.row.epoch == self.meta.epoch && state.row.generation == row.generation
            });
            if !is_fresh {
                lost.push((row.kind != Kind::Customer, row.received, doc));
            }
        }
        order::sort(&mut lost);
        for (_, _, doc) in lost {
            self.reoffer_missing(now, doc, None);
            self.held.remove(doc);
            self.touch(Key::Doc(doc));
            self.refresh_list_row(doc);
        }
    }

    /// The document does not fit what the server says of it.
    pub(super) fn mark_broken(&mut self, doc: DocId) {
        // A document that cannot be loaded twice in one run would make the phone fetch everything for ever:
        // it is left out, and the digest keeps asking for it at the pace of pings.
        if self.unloadable.insert(doc) {
            self.broken.insert(doc);
        }
        self.faults += 1;
    }

    /// Drops documents that do not fit and fetches everything anew. Their unsent edits stay in the outbox.
    pub(super) fn repair(&mut self) {
        for doc in std::mem::take(&mut self.broken) {
            self.held.remove(doc);
            self.touch(Key::Doc(doc));
            self.refresh_list_row(doc);
        }
        self.begin_epoch(None);
    }

    /// The frame that asks for the next page, when one is due.
    pub(super) fn next_pull(&mut self) -> Option<ClientFrame> {
        // While the store fails nothing more is fetched, so what is held in memory only stays bounded.
        if self.storing.is_failing() {
            return None;
        }
        if self.pull.is_none() && self.echo == Echo::Wanted && self.caught_up && !self.outbox.is_in_flight() {
            self.echo = Echo::Asked;
            self.pull.clone_from(&self.meta.cursor);
        }
        self.pull.take().map(ClientFrame::Pull)
    }
}
