//! The end of a revoked phone (S6): it hands everything unsent over into the server's quarantine, and when the
//! server has all of it on its disk, it empties itself. Works on its own connection: to a revoked device every
//! other door is closed. If the power goes in between, the phone begins again: what was handed over is known.

use crate::client::Client;
use crate::client::outbox::Sent;
use crate::client::rows::{Key, OutState, Work};
use crate::protocol::{ClientFrame, ItemResult, Push, ServerFrame, decode_server_frame, encode};
use crate::refusal::Rule;
use crate::time::Now;
use crate::view::Link;

/// How far the handing over came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// There is more to hand over.
    Goes,
    /// Everything was taken, and nothing is left on this phone.
    Done,
    /// The server did not take something; all of it is still here.
    Stopped(Rule),
}

impl Client {
    /// What a revoked phone hands over next, as push frames; nothing if nothing is left, or if this phone was not
    /// told that it is revoked. Refused work that the person has not dealt with goes, too, and held work that nobody has
    /// decided on: the server may have been set back to before it held it.
    pub fn handover(&mut self, now: Now) -> Vec<Vec<u8>> {
        self.begin(now);
        let mut frames = Vec::new();
        if self.is_revoked() {
            // The server was restored, and of its copy nothing more will come: what it may lack goes, too (S14).
            if self.meta.recovering {
                self.reoffer_lost(now);
            }
            self.offer_everything_again();
            let releases = [];
            while let Some((batch, items)) =
                self.outbox.next_push(now.monotonic_ms, &self.storing, |_| true, &releases)
            {
                frames.push(encode(&ClientFrame::Push(Push { batch, items })));
            }
        }
        self.finish(now);
        frames
    }

    /// The server's acknowledgements of what [`Client::handover`] gave. To be called after every answer, an empty
    /// one too: only the server's word that it knows of the revocation lets the phone empty itself.
    pub fn handle_handed_over(&mut self, now: Now, acknowledgements: &[Vec<u8>]) -> Handover {
        self.begin(now);
        let taken = self.take_handed_over(acknowledgements);
        let is_left = self.outbox.iter().any(|(_, row)| row.is_pending());
        let state = match taken {
            Err(rule) => Handover::Stopped(rule),
            Ok(()) if is_left || !self.is_revoked() => Handover::Goes,
            Ok(()) => {
                self.erase_itself(now);
                Handover::Done
            }
        };
        self.changed = true;
        self.finish(now);
        state
    }

    /// Whether this phone was told that it is switched off, and has somebody's work to hand over.
    pub fn is_revoked(&self) -> bool {
        self.redial.link(false) == Link::Revoked && self.meta.profile.is_some()
    }

    fn offer_everything_again(&mut self) {
        self.outbox.forget_flight();
        self.outbox.forget_answers();
        let rows: Vec<u64> =
            self.outbox.iter().filter(|(_, row)| !row.is_pending()).map(|(out, _)| out).collect();
        for out in rows {
            self.settle_out(out, OutState::Pending);
        }
    }

    fn take_handed_over(&mut self, acknowledgements: &[Vec<u8>]) -> Result<(), Rule> {
        for bytes in acknowledgements {
            let Ok(ServerFrame::Ack(ack)) = decode_server_frame(bytes) else {
                return Err(Rule::StoreUnavailable);
            };
            let Some(items) = self.outbox.answered(ack.batch) else { continue };
            for (sent, result) in items.into_iter().zip(ack.results) {
                match result {
                    ItemResult::Accepted(_) | ItemResult::Known(..) | ItemResult::Held(_) => {
                        self.let_go(sent)
                    }
                    ItemResult::Refused(refusal) => return Err(refusal.rule),
                    ItemResult::Skipped => {}
                }
            }
        }
        Ok(())
    }

    /// One item is on the server's disk: it leaves the outbox, and with its last item the row does.
    fn let_go(&mut self, sent: Sent) {
        let (out, hash) = match sent {
            Sent::Change { out, hash, .. } => (out, Some(hash)),
            Sent::Request { out } => (out, None),
            Sent::Release { .. } => return,
        };
        let Some(row) = self.outbox.get_mut(out) else { return };
        let is_empty = match &mut row.work {
            Work::Edit(work) => {
                work.changes.retain(|change| Some(change.hash) != hash);
                work.begun = true;
                work.changes.is_empty()
            }
            Work::Reoffer { changes, .. } => {
                changes.retain(|each| Some(each.change.hash) != hash);
                !changes.iter().any(|each| each.own)
            }
            Work::Request { .. } => true,
        };
        let doc = row.doc();
        if is_empty {
            self.outbox.remove(out);
            // Later edits of the document build on what has just gone: nobody may open it before they went, too.
            if let Some(doc) = doc.filter(|doc| !self.outbox.is_pending(*doc)) {
                // What was made here and never acknowledged is in no list any more.
                self.held.close(doc);
                self.refresh_list_row(doc);
            }
        }
        self.touch(Key::Out(out));
    }

    fn erase_itself(&mut self, now: Now) {
        let rows: Vec<u64> = self.outbox.iter().map(|(out, _)| out).collect();
        for out in rows {
            self.outbox.remove(out);
            self.touch(Key::Out(out));
        }
        self.empty(now);
        // `empty` is for another person who has logged in; here nobody has.
        self.redial.halt(Link::Revoked);
        self.touch(Key::Meta);
    }
}
