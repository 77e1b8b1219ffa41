//! The hub's speaking side: what is on disk is told to those who may know, from memory where that reaches back
//! so far; sessions end here. Decides nothing about work.

use std::collections::BTreeSet;

use bytes::Bytes;
use shared::id::Scope;
use shared::ledger::people::Principal;
use shared::limits;
use shared::protocol::{self, Ack, Digest, Goodbye, ItemResult, ServerFrame};

use super::commit::Committed;
use super::feed::{self, FeedCursor, ReadRequest};
use super::session::{self, Reading};
use super::{Hub, Identity, Output, SessionId, ring_page};
use crate::store::{Lookup, Store};

impl<S: Store> Hub<S> {
    /// Tells what is on disk: first those who pushed it, then those whose grants cover it.
    pub(super) fn publish(&mut self, committed: Committed) {
        let (acks, entry) = committed.into_parts();
        for (session, ack) in acks {
            self.answer(session, ack);
        }
        let Some(entry) = entry else { return };
        let is_gap = entry.before != self.head;
        if is_gap {
            self.forget_ring();
        }
        // After a gap everybody reads on from the store; otherwise those whom the commit concerns.
        let mut woken: BTreeSet<SessionId> =
            if is_gap { self.sessions.keys().copied().collect() } else { BTreeSet::new() };
        for (_, touch) in &entry.touches {
            let touched = touch.principals.iter().map(|(principal, _)| principal).chain(&touch.ended);
            for principal in touched {
                woken.extend(self.by_principal.get(principal).into_iter().flatten().copied());
            }
        }
        for session in &woken {
            let Some(state) = self.sessions.get_mut(session) else { continue };
            if !state.dirty && state.position.is_some() {
                // Until here nothing concerned it, so its copy reaches to the commit before.
                state.position = Some(entry.before);
            }
            state.dirty = true;
        }
        for (_, touch) in &entry.touches {
            let ended = touch.ended.iter().filter_map(|principal| self.by_principal.get(principal)).flatten();
            let origins = touch.changes.iter().map(|change| &change.origin);
            for session in ended.chain(origins) {
                if let Some(reading) = self.sessions.get_mut(session).and_then(|state| state.reading.as_mut())
                {
                    reading.stale = true;
                }
            }
        }
        self.head = entry.last;
        self.stats.head = self.head.0;
        self.composed.clear();
        self.ring.push(entry);
        for session in woken {
            self.serve(session);
        }
    }

    /// Another program wrote to the store, or the hub missed a commit: memory is worth nothing, and whoever
    /// was switched off must go.
    pub(super) fn notice_foreign_commits(&mut self) {
        let Ok(foreign) = self.store.foreign_commits() else { return };
        if foreign == self.foreign {
            return;
        }
        self.foreign = foreign;
        let Ok(head) = self.store.lookup().head() else { return };
        let Ok(settings) = self.store.lookup().settings() else { return };
        if settings != self.settings {
            self.settings = settings;
            self.close_where(Goodbye::ShuttingDown, |_| true);
        }
        let identities: Vec<(SessionId, Identity, Vec<Principal>)> =
            self.sessions.iter().map(|(id, state)| (*id, state.identity, state.principals.clone())).collect();
        for (session, identity, before) in identities {
            match self.principals(identity) {
                Ok(Some(principals)) if principals == before => {}
                Ok(Some(_)) => self.close(session, Goodbye::ShuttingDown),
                Ok(None) => self.close(session, Goodbye::Revoked),
                Err(_) => return,
            }
        }
        if head != self.head {
            self.forget_ring();
            for reading in self.sessions.values_mut().filter_map(|state| state.reading.as_mut()) {
                reading.stale = true;
            }
            self.head = head;
            self.stats.head = head.0;
            self.serve_all();
        }
    }

    /// Everybody reads on.
    pub(super) fn serve_all(&mut self) {
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.serve(session);
        }
    }

    /// Every live session that was up to date stands where the ring ended, and reads on from the store.
    pub(super) fn forget_ring(&mut self) {
        self.ring.clear();
        self.composed.clear();
        let head = self.head;
        for state in self.sessions.values_mut().filter(|state| state.position.is_some()) {
            if !state.dirty {
                state.position = Some(head);
                state.dirty = true;
            }
        }
    }

    /// Sends a session what was committed since its position, from memory if that reaches back so far.
    pub(super) fn serve(&mut self, session: SessionId) {
        let Some(state) = self.sessions.get(&session).filter(|state| state.is_waiting()) else { return };
        let position = state.position.expect("a waiting session has one");
        if position >= self.head {
            let state = self.sessions.get_mut(&session).expect("just found");
            state.dirty = false;
            return;
        }
        let key = (position, state.principals.clone());
        let (view, own) = (state.view, state.own);
        if let Some(shared) = self.composed.get(&key).filter(|_| !own).cloned() {
            return self.give(session, shared);
        }
        let composed = self.ring.compose(position, &state.principals, session);
        let Some(composed) = composed.filter(|composed| composed.bytes <= limits::PAGE_BYTES_MAX) else {
            return self.read(session, FeedCursor::at(view, position), None, None);
        };
        let is_needed = composed.own || !composed.items.is_empty();
        let frame =
            is_needed.then(|| feed::encode_page(&FeedCursor::at(view, self.head), false, composed.items));
        let shared = ring_page::Shared { frame, digest: composed.digest };
        // What a session pushed itself is left out of its own page only.
        if !own {
            self.composed.insert(key, shared.clone());
        }
        self.give(session, shared);
    }

    pub(super) fn give(&mut self, session: SessionId, page: ring_page::Shared) {
        let head = self.head;
        let state = self.sessions.get_mut(&session).expect("the caller has it");
        state.dirty = false;
        state.own = false;
        state.position = Some(head);
        state.digest = state.digest.map(|digest| Digest(digest.0 ^ page.digest));
        if let Some(frame) = page.frame {
            self.stats.pages_from_ring += 1;
            self.send_page(session, frame);
        }
    }

    pub(super) fn read(
        &mut self,
        session: SessionId,
        cursor: FeedCursor,
        held: Option<Vec<(Scope, Digest)>>,
        claimed: Option<Digest>,
    ) {
        let number = self.reading_next;
        self.reading_next += 1;
        let Some(state) = self.sessions.get_mut(&session) else { return };
        state.reading =
            Some(Reading { number, claimed, cursor: cursor.clone(), held: held.clone(), stale: false });
        let principals = state.principals.clone();
        self.outputs.push_back(Output::Read(ReadRequest {
            session,
            reading: number,
            principals,
            cursor,
            held,
        }));
    }

    pub(super) fn answer(&mut self, session: SessionId, ack: Ack) {
        for result in &ack.results {
            match result {
                ItemResult::Accepted(_) => self.stats.items_accepted += 1,
                ItemResult::Known(..) => self.stats.items_known += 1,
                ItemResult::Held(_) => self.stats.items_held += 1,
                ItemResult::Refused(_) => self.stats.items_refused += 1,
                ItemResult::Skipped => {}
            }
        }
        if let Some(state) = self.sessions.get_mut(&session) {
            state.pushes = state.pushes.saturating_sub(1);
            state.own |= ack.results.iter().any(|result| matches!(result, ItemResult::Accepted(_)));
            let is_forged = |result: &&ItemResult| matches!(result, ItemResult::Refused(refusal) if refusal.rule.is_forgery());
            let offences = ack.results.iter().filter(is_forged).count();
            if offences > 0 {
                // A push has at most BATCH_ITEMS_MAX items.
                self.outputs.push_back(Output::Offences(session, offences as u32));
            }
            self.send(session, &ServerFrame::Ack(ack));
        }
    }

    pub(super) fn send(&mut self, session: SessionId, frame: &ServerFrame) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.spoken = true;
        }
        self.send_quietly(session, frame);
    }

    pub(super) fn send_quietly(&mut self, session: SessionId, frame: &ServerFrame) {
        self.outputs.push_back(Output::Send(session, Bytes::from(protocol::encode(frame))));
    }

    pub(super) fn send_page(&mut self, session: SessionId, frame: Bytes) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.spoken = true;
            state.in_flight = true;
        }
        self.outputs.push_back(Output::SendPage(session, frame));
    }

    pub(super) fn say_goodbye(&mut self) {
        self.close_where(Goodbye::ShuttingDown, |_| true);
    }

    pub(super) fn close_where(&mut self, why: Goodbye, which: impl Fn(&session::Session) -> bool) {
        let chosen: Vec<SessionId> =
            self.sessions.iter().filter(|(_, state)| which(state)).map(|(id, _)| *id).collect();
        for session in chosen {
            self.close(session, why);
        }
    }

    pub(super) fn close(&mut self, session: SessionId, why: Goodbye) {
        if self.remove(session) {
            if why == Goodbye::Revoked {
                // Not a byte more: what was already handed to the driver's queue in this turn goes, too.
                self.outputs.retain(|output| {
                    !matches!(output, Output::Send(id, _) | Output::SendPage(id, _) if *id == session)
                });
            }
            self.outputs.push_back(Output::Close(session, why));
        }
    }

    pub(super) fn remove(&mut self, session: SessionId) -> bool {
        let Some(state) = self.sessions.remove(&session) else { return false };
        for principal in &state.principals {
            if let Some(sessions) = self.by_principal.get_mut(principal) {
                sessions.remove(&session);
                if sessions.is_empty() {
                    self.by_principal.remove(principal);
                }
            }
        }
        self.stats.sessions = self.sessions.len() as u64;
        true
    }
}
