//! One connection: hello, frames in, pushes and pulls out, pings, and what to do when it ends (CL-40 … CL-46).
//! A frame that cannot be read or does not fit never panics: it is counted, the connection is closed, and
//! the phone dials again.

use minicbor::bytes::ByteVec;

use crate::client::redial::{Connection, Due};
use crate::client::{Client, Disconnect, Echo, Fault, Output};
use crate::document::SCHEMA_VERSION;
use crate::id::Scope;
use crate::limits;
use crate::order;
use crate::protocol::{
    ClientFrame, Digest, Goodbye, Hello, PROTOCOL_VERSION, PendingCounts, Push, ServerFrame, Welcome,
    decode_server_frame, encode,
};
use crate::time::Now;
use crate::view::Link;

/// Scopes whose digests fit into one frame: 27 bytes each. A phone with more of them fetches everything anew.
const DIGEST_SCOPES_MAX: usize = limits::FRAME_BYTES_MAX / 32;

impl Client {
    pub(super) fn open_session(&mut self, now: Now, ticket: Option<Vec<u8>>) {
        if matches!(self.redial.connection, Connection::Halted) {
            self.outputs.push_back(Output::HangUp);
            return;
        }
        self.redial.connected(now.monotonic_ms);
        self.asked_ms = now.monotonic_ms;
        self.caught_up = false;
        self.forget_session();
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            schema: SCHEMA_VERSION,
            ticket: ticket.map(ByteVec::from),
            incarnation: self.meta.incarnation,
            cursor: self.meta.cursor.clone(),
            pending: self.pending_counts(),
            digest: self.total_digest(),
            software: concat!("daybook/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        self.send(&ClientFrame::Hello(hello));
        self.changed = true;
    }

    pub(super) fn take_frame(&mut self, now: Now, bytes: &[u8]) {
        if !self.redial.is_open() {
            return;
        }
        self.redial.heard(now.monotonic_ms);
        let taken = match decode_server_frame(bytes) {
            Ok(frame) => self.take_server_frame(now, frame),
            Err(_) => Err(Fault::Unreadable),
        };
        match taken {
            Ok(()) => {}
            Err(Fault::Unreadable) => {
                self.faults += 1;
                self.hang_up(now);
            }
            Err(Fault::Unfit) => {
                self.repair();
                self.hang_up(now);
            }
        }
    }

    fn take_server_frame(&mut self, now: Now, frame: ServerFrame) -> Result<(), Fault> {
        match frame {
            ServerFrame::Welcome(welcome) => {
                self.take_welcome(now, welcome);
                Ok(())
            }
            ServerFrame::Ack(ack) => {
                self.take_ack(now, ack)?;
                if self.broken.is_empty() { Ok(()) } else { Err(Fault::Unfit) }
            }
            ServerFrame::Page(page) if self.redial.is_welcomed() => self.take_page(now, page),
            ServerFrame::Page(_) => Err(Fault::Unreadable),
            ServerFrame::Pong(time) => {
                self.measure_clock(now, time);
                Ok(())
            }
            ServerFrame::WantDigests => {
                self.send_digests(now);
                Ok(())
            }
            ServerFrame::Goodbye(goodbye) => {
                self.take_goodbye(now, goodbye);
                Ok(())
            }
        }
    }

    fn take_welcome(&mut self, now: Now, welcome: Welcome) {
        self.redial.welcomed();
        self.measure_clock(now, welcome.time);
        if welcome.settings.is_some() {
            if self.meta.settings != welcome.settings {
                // What was late before may not be so now.
                self.index.touch_names();
                self.changed = true;
            }
            self.meta.settings = welcome.settings;
            self.touch(crate::client::rows::Key::Meta);
        }
        match self.meta.incarnation {
            None => {
                self.meta.incarnation = Some(welcome.incarnation);
                self.touch(crate::client::rows::Key::Meta);
            }
            Some(known) if known == welcome.incarnation => {}
            Some(_) => {
                // The server was restored (S14). What it answers to pushes of this connection is judged against
                // gaps that we are about to fill: begin again with an empty cursor.
                self.begin_epoch(Some(welcome.incarnation));
                self.outputs.push_back(Output::HangUp);
                self.forget_session();
                self.redial.connection = Connection::Waiting { until_ms: now.monotonic_ms };
            }
        }
    }

    fn measure_clock(&mut self, now: Now, server: crate::time::UtcMillis) {
        self.clock.measure(now, server, self.asked_ms);
        // A clock that once ran years ahead must not make every later run suspect.
        self.meta.wall_seen = now.wall;
        self.meta.clock_offset_ms = self.clock.offset_ms();
        self.touch(crate::client::rows::Key::Meta);
        self.changed = true;
    }

    fn send_digests(&mut self, now: Now) {
        let scopes = self.held_scopes();
        if scopes.len() > DIGEST_SCOPES_MAX {
            self.begin_epoch(None);
            self.hang_up(now);
            return;
        }
        let digests = scopes.into_iter().map(|scope| (scope, self.held.digest(scope))).collect();
        self.mismatches += 1;
        self.caught_up = false;
        self.send(&ClientFrame::Digests(digests));
    }

    fn take_goodbye(&mut self, now: Now, goodbye: Goodbye) {
        self.outputs.push_back(Output::HangUp);
        self.end_session();
        let (now_ms, entropy) = (now.monotonic_ms, &mut self.entropy);
        match goodbye {
            Goodbye::Unauthenticated => {
                if self.redial.ticket_rejected() {
                    self.redial.halt(Link::LoginNeeded);
                } else {
                    self.redial.lost(now_ms, entropy);
                }
            }
            Goodbye::Revoked => self.redial.halt(Link::Revoked),
            Goodbye::Malformed | Goodbye::ShuttingDown => self.redial.lost(now_ms, entropy),
            Goodbye::TooOld | Goodbye::Superseded | Goodbye::Overloaded => {
                self.redial.turned_away(now_ms, entropy);
            }
        }
    }

    pub(super) fn take_disconnect(&mut self, now: Now, why: Disconnect) {
        self.end_session();
        match why {
            // After a goodbye the driver reports the loss as well; the pause is chosen already.
            Disconnect::Lost if matches!(self.redial.connection, Connection::Waiting { .. }) => {}
            Disconnect::Lost if matches!(self.redial.connection, Connection::Halted) => {}
            Disconnect::Lost => self.redial.lost(now.monotonic_ms, &mut self.entropy),
            Disconnect::LoginNeeded => self.redial.halt(Link::LoginNeeded),
            Disconnect::Revoked => self.redial.halt(Link::Revoked),
        }
    }

    /// Closes the connection and dials again later.
    fn hang_up(&mut self, now: Now) {
        self.outputs.push_back(Output::HangUp);
        self.end_session();
        self.redial.lost(now.monotonic_ms, &mut self.entropy);
    }

    fn end_session(&mut self) {
        self.forget_session();
        self.caught_up = false;
        self.changed = true;
        // What was out will be offered again; what was refused needs no further answer to be acted on.
        self.settle_stalls();
    }

    fn forget_session(&mut self) {
        self.outbox.forget_flight();
        self.pull = None;
        // The first pages of the next connection bring whatever was to come.
        self.echo = Echo::None;
    }

    /// What has become due by the clock.
    pub(super) fn act_on_time(&mut self, now: Now) {
        self.storing.wake(now.monotonic_ms);
        match self.redial.take_due(now.monotonic_ms) {
            Some(Due::Dial) => {
                self.outputs.push_back(Output::Dial);
                self.changed = true;
            }
            Some(Due::Ping) => {
                self.asked_ms = now.monotonic_ms;
                let frame = ClientFrame::Ping(self.pending_counts(), self.ping_digest());
                self.send(&frame);
            }
            Some(Due::HangUp) => self.hang_up(now),
            None => {}
        }
    }

    /// Sends what may be sent: pulls, then as many pushes as fit. Rows that the store has not confirmed stay.
    pub(super) fn pump(&mut self, now: Now) {
        if !self.redial.is_open() {
            return;
        }
        if let Some(pull) = self.next_pull() {
            self.send(&pull);
        }
        // While a restored server's copy comes in, own changes that it lacks are not in the outbox yet.
        if self.meta.recovering {
            return;
        }
        let mut releases: Vec<Scope> = self
            .ledger
            .scopes()
            .filter(|(scope, state)| state.row.leaving && !self.outbox.is_scope_pending(*scope))
            .map(|(scope, _)| scope)
            .collect();
        // The ledger keeps scopes in no order; what is sent has one, so that a run can be told again.
        order::sort(&mut releases);
        let releases = if self.caught_up { releases } else { Vec::new() };
        loop {
            let held = &self.held;
            let is_held = |doc| held.get(doc).is_some();
            let push = self.outbox.next_push(now.monotonic_ms, &self.storing, is_held, &releases);
            let Some((batch, items)) = push else { break };
            self.send(&ClientFrame::Push(Push { batch, items }));
        }
    }

    fn send(&mut self, frame: &ClientFrame) {
        self.outputs.push_back(Output::Send(encode(frame)));
    }

    /// What is unsent.
    pub(super) fn pending_counts(&self) -> PendingCounts {
        let (edits, refused) = self.outbox.counts();
        PendingCounts { edits, photos: self.meta.photos, refused }
    }

    /// Every scope that the phone holds and is not about to drop.
    fn held_scopes(&self) -> Vec<Scope> {
        let mut scopes: Vec<Scope> = self
            .ledger
            .scopes()
            .filter(|(_, state)| !state.row.leaving)
            .map(|(scope, _)| scope)
            .chain(self.held.scopes().filter(|scope| self.ledger.scope(*scope).is_none()))
            .collect();
        order::sort(&mut scopes);
        scopes
    }

    /// The digest over everything held; none before the first sync is complete.
    fn total_digest(&self) -> Option<Digest> {
        let is_whole = self.meta.complete && self.sweep.is_empty();
        let total = || self.held_scopes().iter().fold(0, |sum, scope| sum ^ self.held.digest(*scope).0);
        is_whole.then(|| Digest(total()))
    }

    /// The digest for a ping: none while anything is on its way, which would make it differ for no reason.
    fn ping_digest(&self) -> Option<Digest> {
        let is_quiet = self.caught_up && !self.outbox.is_in_flight();
        if is_quiet { self.total_digest() } else { None }
    }
}
