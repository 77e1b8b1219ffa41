//! The hub: the machine that takes frames in, judges, commits, and tells those who may know. Synchronous and
//! deterministic; it owns the writing side of the store and does no other I/O. Workers, readers and sockets
//! are the driver's ([`driver`]); a simulator drives it in one thread with [`Hub::settle`].
//!
//! **After every `handle_*`, drain [`Hub::poll_output`] until it is empty before the next `handle_*`.**

mod commit;
mod driver;
pub mod feed;
mod group;
mod ledger;
mod ring;
mod session;
mod telling;
mod verify;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use shared::id::{DeviceId, IncarnationId, PersonId, Seq};
use shared::ledger::people::Principal;
use shared::limits;
use shared::planted::{self, Bug};
use shared::protocol::{
    self, Ack, ClientFrame, Cursor, Digest, Goodbye, Hello, ItemResult, PROTOCOL_VERSION, PendingCounts,
    Push, ServerFrame, Welcome,
};
use shared::refusal::Rule;
use shared::settings::{PhoneSettings, Settings};
use shared::time::UtcMillis;

pub use driver::{HubHandle, HubStopped, HubThread, Outgoing, Session};
use feed::{FeedCursor, PageRead, ReadRequest};
pub use ledger::{Administration, AdministrationFailure};
pub use verify::{Verification, verify};

use crate::admission::{Admitter, Job, Judged, Verdict};
use crate::store::{Lookup, Store, StoreFailure};
use commit::Contact;
use group::{Group, Waiting};
use ring::Ring;
use session::{PULLS_WAITING_MAX, PUSHES_WAITING_MAX};

/// Bytes of pushes that wait for a group, over all sessions. Beyond it pushes are answered
/// `StoreUnavailable`, and the phones come again.
const PUSHES_WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often signs of life are written when no group carries them along, and other programs' commits are
/// looked for.
const UPKEEP_MS: i64 = 2_000;

/// Who speaks. Established by the driver (ticket or token); the hub checks that both are still in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The person.
    pub person: PersonId,
    /// The device.
    pub device: DeviceId,
}

/// The number of one connection. Never reused while the hub lives; from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Sessions are numbered from 1: this one stands where nobody waits for an answer.
const NOBODY: SessionId = SessionId(0);

/// What carries the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A socket: commits are told as they happen.
    Live,
    /// One HTTP request: answers only.
    OneShot,
}

/// What the driver does next.
#[derive(Debug)]
pub enum Output {
    /// Have these judged and hand the verdicts to [`Hub::handle_judged`], all or in parts.
    Judge(Vec<Job>),
    /// Read a page beside the writer and hand it to [`Hub::handle_page`].
    Read(ReadRequest),
    /// Write an answer.
    Send(SessionId, Bytes),
    /// Write a page and then call [`Hub::handle_flushed`].
    SendPage(SessionId, Bytes),
    /// In the answer that follows so many items were refused that no honest phone makes (SEC-17).
    Offences(SessionId, u32),
    /// Write a goodbye and close. The session is gone from the hub already.
    Close(SessionId, Goodbye),
}

/// Figures since the hub began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Open sessions.
    pub sessions: u64,
    /// Pushes that wait for a group.
    pub pushes_waiting: u64,
    /// Groups committed.
    pub commits: u64,
    /// Items accepted.
    pub items_accepted: u64,
    /// Items refused, skipped excluded.
    pub items_refused: u64,
    /// Items held (S2).
    pub items_held: u64,
    /// Items that were known already.
    pub items_known: u64,
    /// Commits that the store could not write.
    pub store_failures: u64,
    /// Whether the last commit succeeded; `/readyz` says no otherwise.
    pub store_writable: bool,
    /// Digests that differed: each is an incident.
    pub digest_mismatches: u64,
    /// Pages served from memory.
    pub pages_from_ring: u64,
    /// Pages read from the store.
    pub pages_from_store: u64,
    /// The place of the last commit.
    pub head: u64,
}

/// The hub.
pub struct Hub<S: Store> {
    store: S,
    incarnation: IncarnationId,
    sessions: BTreeMap<SessionId, session::Session>,
    by_principal: HashMap<Principal, BTreeSet<SessionId>>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// At most two: one that is judged or ready to commit, and the next, judged while the first is committed.
    groups: VecDeque<Group>,
    verdicts: HashMap<u64, Verdict>,
    ring: Ring,
    composed: HashMap<(Seq, Vec<Principal>), ring_page::Shared>,
    contacts: BTreeMap<DeviceId, Contact>,
    outputs: VecDeque<Output>,
    head: Seq,
    foreign: u64,
    /// As sessions were last told.
    settings: Settings,
    upkeep_at: Option<UtcMillis>,
    job_next: u64,
    reading_next: u64,
    stopping: bool,
    stats: Stats,
}

mod ring_page {
    //! A page composed once for all sessions that stand at one place with one view.

    use bytes::Bytes;

    #[derive(Clone)]
    pub(super) struct Shared {
        pub(super) frame: Option<Bytes>,
        pub(super) digest: u64,
    }
}

/// The frame of a goodbye.
pub fn goodbye_frame(why: Goodbye) -> Bytes {
    Bytes::from(protocol::encode(&ServerFrame::Goodbye(why)))
}

impl<S: Store> Hub<S> {
    /// Begins on a store.
    ///
    /// # Errors
    /// The store's.
    pub fn new(store: S) -> Result<Self, StoreFailure> {
        let incarnation = store.lookup().incarnation()?;
        let head = store.lookup().head()?;
        let foreign = store.foreign_commits()?;
        let settings = store.lookup().settings()?;
        Ok(Self {
            store,
            incarnation,
            sessions: BTreeMap::new(),
            by_principal: HashMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            groups: VecDeque::new(),
            verdicts: HashMap::new(),
            ring: Ring::default(),
            composed: HashMap::new(),
            contacts: BTreeMap::new(),
            outputs: VecDeque::new(),
            head,
            foreign,
            settings,
            upkeep_at: None,
            job_next: 1,
            reading_next: 1,
            stopping: false,
            stats: Stats { store_writable: true, head: head.0, ..Stats::default() },
        })
    }

    /// The store, for reading.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store, for tables that the hub does not know.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Ends the hub and gives the store back, as after a crash: what was not committed is lost.
    pub fn into_store(self) -> S {
        self.store
    }

    /// Figures.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether nothing is being judged and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.groups.is_empty() && self.waiting.is_empty()
    }

    /// A connection was made by somebody whom the driver has identified.
    pub fn handle_open(
        &mut self,
        _now: UtcMillis,
        session: SessionId,
        identity: Identity,
        transport: Transport,
    ) {
        if self.stopping {
            self.outputs.push_back(Output::Close(session, Goodbye::ShuttingDown));
            return;
        }
        let principals = match self.principals(identity) {
            Ok(Some(principals)) => principals,
            Ok(None) => {
                self.outputs.push_back(Output::Close(session, Goodbye::Revoked));
                return;
            }
            Err(failure) => {
                tracing::error!(%failure, "a session could not be opened");
                self.outputs.push_back(Output::Close(session, Goodbye::Overloaded));
                return;
            }
        };
        if transport == Transport::Live {
            self.make_room(identity.person);
        }
        for principal in &principals {
            self.by_principal.entry(*principal).or_default().insert(session);
        }
        self.sessions.insert(session, session::Session::new(identity, transport, principals));
        self.stats.sessions = self.sessions.len() as u64;
    }

    /// A frame came in.
    pub fn handle_frame(&mut self, now: UtcMillis, session: SessionId, bytes: &[u8]) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let frame = match protocol::decode_client_frame(bytes) {
            Ok(frame) => frame,
            Err(_) => return self.close(session, Goodbye::Malformed),
        };
        if matches!(frame, ClientFrame::Hello(_)) == state.greeted {
            return self.close(session, Goodbye::Malformed);
        }
        match frame {
            ClientFrame::Hello(hello) => self.hello(now, session, hello),
            ClientFrame::Push(push) => self.push(now, session, push, bytes.len()),
            ClientFrame::Pull(cursor) => self.pull(session, &cursor),
            ClientFrame::Ping(pending, digest) => self.ping(now, session, pending, digest),
            ClientFrame::Digests(held) => self.repair(session, held),
        }
    }

    /// The driver has written the page that it was given last.
    pub fn handle_flushed(&mut self, _now: UtcMillis, session: SessionId) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.in_flight = false;
            self.serve(session);
        }
    }

    /// The connection is gone. What it pushed and what is being judged is committed all the same.
    pub fn handle_close(&mut self, _now: UtcMillis, session: SessionId) {
        self.remove(session);
    }

    /// Verdicts came in. When the group's last one is there, the next [`Hub::poll_output`] has the group after
    /// it judged, and then commits this one.
    pub fn handle_judged(&mut self, _now: UtcMillis, judged: Judged) {
        self.verdicts.extend(judged.0);
    }

    /// A page was read.
    pub fn handle_page(&mut self, _now: UtcMillis, page: PageRead) {
        let Some(state) = self.sessions.get_mut(&page.session) else { return };
        let Some(reading) = state.reading.take_if(|reading| reading.number == page.reading) else { return };
        if reading.stale {
            return self.read(page.session, reading.cursor, reading.held, reading.claimed);
        }
        self.stats.pages_from_store += 1;
        state.position = page.position;
        state.digest = page.position.map(|_| page.digest);
        state.dirty = page.position.is_some_and(|position| position < self.head);
        state.own &= state.dirty;
        let differs = page.items == 0 && reading.claimed.is_some_and(|claimed| claimed != page.digest);
        if page.repaired > 0 {
            tracing::warn!(
                session = page.session.0,
                scopes = page.repaired,
                "incident: a copy differed and is sent again"
            );
        }
        if differs && page.position.is_some() {
            // Before the page: over HTTP the page ends the exchange.
            self.want_digests(page.session);
        }
        self.send_page(page.session, page.frame);
        self.ask_what_else(page.session);
        let next = self
            .sessions
            .get_mut(&page.session)
            .and_then(|state| state.pulls.pop_front().map(|cursor| state.onward(cursor)));
        match next {
            Some(cursor) => self.read(page.session, cursor, None, None),
            None => self.serve(page.session),
        }
    }

    /// A page could not be read: the connection ends, and the device comes again.
    pub fn handle_read_failed(&mut self, _now: UtcMillis, request: &ReadRequest, failure: &StoreFailure) {
        tracing::error!(%failure, session = request.session.0, "a page could not be read");
        self.close(request.session, Goodbye::Overloaded);
    }

    /// Applies what an administrator wishes, durably, and tells those concerned.
    ///
    /// # Errors
    /// A refusal by name, or the store's failure; then nothing changed.
    pub fn handle_administration(
        &mut self,
        now: UtcMillis,
        command: Administration,
    ) -> Result<Seq, AdministrationFailure> {
        let committed = commit::commit_events(&mut self.store, now, |posting| posting.administer(&command))?;
        if matches!(command, Administration::Erase { .. }) {
            // Memory holds what the store does not any more, and so may a page that is being read.
            self.forget_ring();
            for reading in self.sessions.values_mut().filter_map(|state| state.reading.as_mut()) {
                reading.stale = true;
            }
        }
        self.publish(committed);
        match &command {
            Administration::RevokeDevice { .. } if planted::is(Bug::RevokedKeepsSession) => {}
            Administration::RevokeDevice { device } => {
                self.close_where(Goodbye::Revoked, |session| session.identity.device == *device);
            }
            Administration::SetPerson { person, .. } => {
                let principals = person.principals();
                let mine = |session: &session::Session| session.identity.person == person.id;
                if person.active {
                    // Another role or team sees other scopes: the device dials again and begins a new view.
                    self.close_where(Goodbye::ShuttingDown, |session| {
                        mine(session) && session.principals != principals
                    });
                } else {
                    self.close_where(Goodbye::Revoked, mine);
                }
            }
            Administration::Erase { .. } => self.serve_all(),
            Administration::SetTeam { .. }
            | Administration::Quarantine { .. }
            | Administration::PutDevice(_) => {}
            // Phones dial again, and the welcome says what is set.
            Administration::PutSettings(_) => {
                self.settings = self.store.lookup().settings()?;
                self.close_where(Goodbye::ShuttingDown, |_| true);
            }
        }
        Ok(self.head)
    }

    /// What a revoked device left in quarantine is to be stored after all: judged like anything that its person
    /// pushes. Says how many items wait for that; what becomes of each is noted with it (S15).
    ///
    /// # Errors
    /// The store's.
    pub fn handle_restore(&mut self, now: UtcMillis, device: DeviceId) -> Result<usize, StoreFailure> {
        let waiting = self.store.lookup().quarantined_of(device)?;
        let count = waiting.len();
        let mut waiting = waiting.into_iter().peekable();
        while let Some(first) = waiting.peek() {
            let identity = Identity { person: first.person, device };
            let (mut items, mut numbers, mut bytes) = (Vec::new(), Vec::new(), 0);
            while bytes < limits::FRAME_BYTES_MAX && items.len() < limits::BATCH_ITEMS_MAX {
                let Some(next) = waiting.next() else { break };
                bytes += protocol::encode(&next.item).len();
                numbers.push(next.id);
                items.push(next.item);
            }
            self.waiting_bytes += bytes;
            let push = Push { batch: 0, items };
            let restored = Some(numbers);
            self.waiting.push_back(Waiting {
                session: NOBODY,
                identity,
                received: now,
                push,
                bytes,
                restored,
            });
        }
        self.stats.pushes_waiting = self.waiting.len() as u64;
        Ok(count)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: UtcMillis) {
        if self.upkeep_at.is_some_and(|at| at.0 > now.0 && at.0 - now.0 <= UPKEEP_MS) {
            return;
        }
        self.upkeep_at = Some(UtcMillis(now.0 + UPKEEP_MS));
        self.notice_foreign_commits();
        if !self.contacts.is_empty() && self.groups.is_empty() {
            let group = Group::default();
            self.commit_pushes(now, &group, &HashMap::new(), &[]);
        }
    }

    /// When [`Hub::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<UtcMillis> {
        self.upkeep_at
    }

    /// The server is going down: goodbye to all. The group in work is committed; what waits is not begun, and
    /// phones offer it again.
    pub fn handle_stop(&mut self, now: UtcMillis) {
        self.stopping = true;
        self.waiting.clear();
        self.waiting_bytes = 0;
        if self.groups.is_empty() {
            self.say_goodbye();
            self.commit_pushes(now, &Group::default(), &HashMap::new(), &[]);
        }
    }

    /// What the driver does next; none when there is nothing to do before the next input.
    pub fn poll_output(&mut self, now: UtcMillis) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let has_next = !self.waiting.is_empty() && !self.stopping;
            let Some(first) = self.groups.front() else {
                if !has_next {
                    return None;
                }
                self.form_group();
                continue;
            };
            if !first.works.keys().all(|job| self.verdicts.contains_key(job)) {
                return None;
            }
            // The workers get the next group before this thread waits for the disk.
            if self.groups.len() > 1 || !has_next || !self.form_group() {
                self.commit_first(now);
            }
        }
    }

    /// Drives the hub in one thread until it is quiet: judges with `admitter`, reads pages from the store
    /// itself, takes every page as written. Returns what the sessions get, in order.
    pub fn settle(&mut self, now: UtcMillis, admitter: &mut impl Admitter) -> Vec<Output> {
        let mut outgoing = Vec::new();
        while let Some(output) = self.poll_output(now) {
            match output {
                Output::Judge(jobs) => {
                    let judged = admitter.judge(jobs);
                    self.handle_judged(now, judged);
                }
                Output::Read(request) => self.read_here(now, &request),
                Output::SendPage(session, _) => {
                    outgoing.push(output);
                    self.handle_flushed(now, session);
                }
                Output::Send(..) | Output::Offences(..) | Output::Close(..) => outgoing.push(output),
            }
        }
        outgoing
    }

    /// Reads a page on the writer's own connection, for drivers without readers.
    pub fn read_here(&mut self, now: UtcMillis, request: &ReadRequest) {
        let read = request.read(&self.store.lookup());
        match read {
            Ok(page) => self.handle_page(now, page),
            Err(failure) => self.handle_read_failed(now, request, &failure),
        }
    }

    fn principals(&self, identity: Identity) -> Result<Option<Vec<Principal>>, StoreFailure> {
        let lookup = self.store.lookup();
        let device = lookup.device(identity.device)?;
        let registered =
            device.is_some_and(|device| device.revoked_at.is_none() && device.person == identity.person);
        let person = lookup.person(identity.person)?.filter(|person| person.active && registered);
        Ok(person.map(|person| person.principals()))
    }

    /// One more socket of a person who has as many as allowed ends the oldest.
    fn make_room(&mut self, person: PersonId) {
        let live: Vec<SessionId> = self
            .by_principal
            .get(&Principal::Person(person))
            .into_iter()
            .flatten()
            .filter(|id| self.sessions.get(id).is_some_and(|state| state.transport == Transport::Live))
            .copied()
            .collect();
        if live.len() >= limits::PERSON_SOCKETS_MAX {
            self.close(live[0], Goodbye::Superseded);
        }
    }

    fn hello(&mut self, now: UtcMillis, session: SessionId, hello: Hello) {
        if hello.protocol == 0 || hello.schema == 0 {
            return self.close(session, Goodbye::TooOld);
        }
        self.note_contact(now, session, hello.pending, Some(hello.software));
        let state = self.sessions.get_mut(&session).expect("the caller has it");
        state.greeted = true;
        let welcome = Welcome {
            protocol: PROTOCOL_VERSION,
            time: now,
            incarnation: self.incarnation,
            settings: Some(PhoneSettings::from(&self.settings)),
        };
        // A cursor of another life points into another log (S14).
        let same_life = hello.incarnation == Some(self.incarnation);
        let cursor = hello.cursor.filter(|_| same_life);
        state.anew = feed::is_of_another_view(cursor.as_ref(), state.view);
        let cursor = FeedCursor::decode(cursor.as_ref(), state.view, self.head);
        self.send(session, &ServerFrame::Welcome(welcome));
        self.read(session, cursor, None, hello.digest.filter(|_| same_life));
    }

    fn push(&mut self, now: UtcMillis, session: SessionId, push: Push, bytes: usize) {
        let state = self.sessions.get_mut(&session).expect("the caller has it");
        if push.items.len() > limits::BATCH_ITEMS_MAX {
            return self.close(session, Goodbye::Malformed);
        }
        // SYNC-5
        if state.pushes >= PUSHES_WAITING_MAX {
            return self.close(session, Goodbye::Overloaded);
        }
        if self.waiting_bytes + bytes > PUSHES_WAITING_BYTES_MAX {
            let results =
                push.items.iter().map(|_| ItemResult::Refused(Rule::StoreUnavailable.into())).collect();
            return self.send(session, &ServerFrame::Ack(Ack { batch: push.batch, received: now, results }));
        }
        state.pushes += 1;
        let identity = state.identity;
        self.waiting_bytes += bytes;
        self.waiting.push_back(Waiting { session, identity, received: now, push, bytes, restored: None });
        self.stats.pushes_waiting = self.waiting.len() as u64;
    }

    fn pull(&mut self, session: SessionId, cursor: &Cursor) {
        let head = self.head;
        let state = self.sessions.get_mut(&session).expect("the caller has it");
        let cursor = FeedCursor::decode(Some(cursor), state.view, head);
        if state.reading.is_none() {
            let cursor = state.onward(cursor);
            self.read(session, cursor, None, None);
        } else if state.pulls.len() < PULLS_WAITING_MAX {
            state.pulls.push_back(cursor);
        } else {
            self.close(session, Goodbye::Overloaded);
        }
    }

    fn ping(&mut self, now: UtcMillis, session: SessionId, pending: PendingCounts, digest: Option<Digest>) {
        self.note_contact(now, session, pending, None);
        self.send_quietly(session, &ServerFrame::Pong(now));
        let state = self.sessions.get_mut(&session).expect("the caller has it");
        // After a ping to which nothing was sent but a pong, both sides speak of the same state.
        let settled = !std::mem::replace(&mut state.spoken, false) && !state.dirty && state.pushes == 0;
        let (Some(claimed), Some(expected)) = (digest, state.digest) else { return };
        if settled && claimed != expected {
            self.want_digests(session);
        }
    }

    /// The pages say what a person sees in a new role, not what the person saw in the one before: that is taken
    /// away when the device has named it. Over HTTP the digest in the next hello tells.
    fn ask_what_else(&mut self, session: SessionId) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        if state.transport == Transport::Live && state.position.is_some() && std::mem::take(&mut state.anew) {
            self.send(session, &ServerFrame::WantDigests);
        }
    }

    fn want_digests(&mut self, session: SessionId) {
        tracing::warn!(session = session.0, "incident: a device's digest differs");
        self.stats.digest_mismatches += 1;
        self.send(session, &ServerFrame::WantDigests);
    }

    fn repair(&mut self, session: SessionId, held: Vec<(shared::id::Scope, Digest)>) {
        let head = self.head;
        let state = self.sessions.get_mut(&session).expect("the caller has it");
        let position = state.position.unwrap_or(head);
        let cursor = FeedCursor::at(state.view, position);
        if state.reading.is_some() {
            // It is pulling; the digest at the end of that will tell.
            return;
        }
        self.read(session, cursor, Some(held), None);
    }

    fn note_contact(
        &mut self,
        now: UtcMillis,
        session: SessionId,
        pending: PendingCounts,
        software: Option<String>,
    ) {
        let device = self.sessions[&session].identity.device;
        let software = software.map(|name| name.chars().take(100).collect());
        let before = self.contacts.remove(&device).and_then(|contact| contact.software);
        self.contacts.insert(device, Contact { at: now, pending, software: software.or(before) });
        if self.upkeep_at.is_none() {
            self.upkeep_at = Some(UtcMillis(now.0 + UPKEEP_MS));
        }
    }

    /// Takes pushes from the queue until one does not fit, and has them judged. Says whether a group came of it.
    fn form_group(&mut self) -> bool {
        let mut group = Group::default();
        let mut failed = Vec::new();
        let Self { store, waiting: queue, waiting_bytes, groups, job_next, .. } = self;
        let read = store.reading(|lookup| {
            while let Some(waiting) = queue.pop_front() {
                let is_free = groups.iter().all(|before| before.leaves_alone(&waiting));
                if !is_free || !group.has_room(&waiting) {
                    queue.push_front(waiting);
                    break;
                }
                *waiting_bytes -= waiting.bytes;
                if let Err(failure) = group.add(lookup, &waiting, job_next) {
                    failed.push((waiting, failure));
                }
            }
        });
        if let Err(failure) = read
            && let Some(waiting) = self.waiting.pop_front()
        {
            self.waiting_bytes -= waiting.bytes;
            failed.push((waiting, failure));
        }
        for (waiting, failure) in failed {
            tracing::error!(%failure, "a push could not be judged");
            self.stats.store_failures += 1;
            self.answer_unavailable(waiting);
        }
        self.stats.pushes_waiting = self.waiting.len() as u64;
        if group.is_empty() {
            return false;
        }
        let jobs = std::mem::take(&mut group.jobs);
        self.groups.push_back(group);
        if !jobs.is_empty() {
            self.outputs.push_back(Output::Judge(jobs));
        }
        true
    }

    fn answer_unavailable(&mut self, waiting: Waiting) {
        let results =
            waiting.push.items.iter().map(|_| ItemResult::Refused(Rule::StoreUnavailable.into())).collect();
        self.answer(waiting.session, Ack { batch: waiting.push.batch, received: waiting.received, results });
    }

    fn commit_first(&mut self, now: UtcMillis) {
        let Some(mut group) = self.groups.pop_front() else { return };
        let verdicts = group.works.keys().filter_map(|job| self.verdicts.remove_entry(job)).collect();
        let pushes = std::mem::take(&mut group.pushes);
        self.commit_pushes(now, &group, &verdicts, &pushes);
        if self.stopping && self.groups.is_empty() {
            self.say_goodbye();
        }
    }

    /// Commits pushes together. A broken constraint is one push's fault: the others are committed without it.
    fn commit_pushes(
        &mut self,
        now: UtcMillis,
        group: &Group,
        verdicts: &HashMap<u64, Verdict>,
        pushes: &[group::PlannedPush],
    ) {
        match commit::commit(&mut self.store, now, group, verdicts, pushes, &self.contacts) {
            Ok(committed) => {
                self.contacts.clear();
                self.stats.commits += 1;
                self.stats.store_writable = true;
                self.publish(committed);
            }
            Err(failure) if failure.is_constraint() && pushes.len() > 1 => {
                tracing::error!(%failure, pushes = pushes.len(), "a group broke a constraint; committing its pushes one by one");
                for push in pushes {
                    self.commit_pushes(now, group, verdicts, std::slice::from_ref(push));
                }
            }
            Err(failure) => {
                tracing::error!(%failure, "a group could not be committed");
                self.stats.store_failures += 1;
                self.stats.store_writable = false;
                for push in pushes {
                    let refused = |_: &group::Planned| {
                        if planted::is(Bug::AcksFailedCommit) {
                            return ItemResult::Accepted(self.head);
                        }
                        ItemResult::Refused(Rule::StoreUnavailable.into())
                    };
                    let results = push.items.iter().map(refused).collect();
                    self.answer(push.session, Ack { batch: push.batch, received: push.received, results });
                }
            }
        }
    }
}

/// Applies an administrator's wish to a store that no hub drives: the command line's way.
///
/// # Errors
/// A refusal by name, or the store's failure.
pub fn administer<S: Store>(
    store: &mut S,
    now: UtcMillis,
    command: &Administration,
) -> Result<(), AdministrationFailure> {
    commit::commit_events(store, now, |posting| posting.administer(command)).map(|_| ())
}
