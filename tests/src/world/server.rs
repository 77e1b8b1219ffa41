//! The server of the simulated world: the hub machine on an in-memory store that may fail or die around
//! every commit, with reads and judgements that take their time. A driver like the hub's own thread. What
//! leaves is judged in [`crate::world::tap`].

use std::collections::{BTreeMap, BTreeSet};

use server::admission::Job;
use server::hub::feed::{PageRead, ReadRequest};
use server::hub::{Hub, Identity, Output, SessionId, Transport};
use server::store::{Lookup, SqliteLookup, SqliteStore, SqliteTransaction, Store, StoreFailure};
use shared::client::Disconnect;
use shared::id::{DeviceId, Seq};
use shared::planted::{self, Bug};
use shared::protocol::{ClientFrame, Goodbye, PushItem, ServerFrame, decode_client_frame, encode};
use shared::time::UtcMillis;

use crate::fault::Fault;
use crate::invariant::of_the_ledger;
use crate::model::{Model, Violation};
use crate::world::exchange::Exchange;
use crate::world::network::Direction;
use crate::world::shape::Cause;
use crate::world::{Event, World};

/// What the next transaction of a store meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It becomes durable.
    Durable,
    /// The disk is full.
    Fails,
    /// The power goes before the commit.
    DiesBefore,
    /// The power goes after the commit, before anybody hears of it.
    DiesAfter,
}

/// The store of the simulated server.
pub struct SimulatedStore {
    inner: SqliteStore,
    fate: Fate,
    dead: bool,
    failures: u64,
    /// Whether it died after its last commit.
    died_after: bool,
    /// A planted bug: what the disk holds if the power goes, one commit behind.
    behind: Option<rusqlite::Connection>,
}

impl SimulatedStore {
    fn new(inner: SqliteStore) -> Self {
        Self { inner, fate: Fate::Durable, dead: false, failures: 0, died_after: false, behind: None }
    }

    /// A planted bug: remembers the disk as it is before a commit that will be acknowledged without a sync.
    fn fall_behind(&mut self) {
        if planted::is(Bug::AcksBeforeSync) {
            let mut copy = rusqlite::Connection::open_in_memory().expect("memory is there");
            copy_database(self.inner.connection(), &mut copy).expect("an in-memory database can be copied");
            self.behind = Some(copy);
        }
    }

    /// A planted bug: the power goes, and with it what was not synced.
    fn lose_unsynced(&mut self) {
        let Some(behind) = self.behind.take() else { return };
        let incarnation = self.inner.lookup().incarnation().expect(BROKEN);
        let mut older = SqliteStore::in_memory(incarnation).expect("memory is there");
        copy_database(&behind, older.connection()).expect("an in-memory database can be copied");
        self.inner = older;
    }
}

impl Store for SimulatedStore {
    type Lookup<'s> = SqliteLookup<'s>;
    type Transaction<'s> = SqliteTransaction<'s>;

    fn lookup(&self) -> SqliteLookup<'_> {
        self.inner.lookup()
    }

    fn reading<T>(&self, body: impl FnOnce(&SqliteLookup<'_>) -> T) -> Result<T, StoreFailure> {
        self.inner.reading(body)
    }

    fn foreign_commits(&self) -> Result<u64, StoreFailure> {
        self.inner.foreign_commits()
    }

    fn transaction<T, E: From<StoreFailure>>(
        &mut self,
        body: impl FnOnce(&mut SqliteTransaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.fall_behind();
        let full = || E::from(StoreFailure::File(std::io::ErrorKind::StorageFull.into()));
        match std::mem::replace(&mut self.fate, Fate::Durable) {
            _ if self.dead => Err(full()),
            Fate::Durable => self.inner.transaction(body),
            Fate::Fails => {
                self.failures += 1;
                self.inner.transaction(|transaction| body(transaction).and_then(|_| Err(full())))
            }
            Fate::DiesBefore => {
                self.dead = true;
                self.died_after = false;
                self.inner.transaction(|transaction| body(transaction).and_then(|_| Err(full())))
            }
            Fate::DiesAfter => {
                self.dead = true;
                self.died_after = true;
                self.inner.transaction(body)
            }
        }
    }
}

/// What the server does beside its hub, each at its own pace.
pub enum Work {
    /// The admission worker judges.
    Judge(Vec<Job>),
    /// A page is read.
    Read(Box<ReadRequest>),
    /// A page that was read reaches the hub.
    Page(Box<PageRead>),
    /// A page was written to its socket.
    Flushed(SessionId),
    /// The next frame of a request is served.
    NextFrame(SessionId),
}

/// A session as the driver knows it.
struct Session {
    connection: u64,
    identity: Identity,
    /// What was pushed, by batch number, for judging the answers.
    pushed: BTreeMap<u64, Vec<PushItem>>,
    /// Pages that are being written.
    unflushed: usize,
    /// Pages that it has asked for and not been given.
    asked: usize,
    /// How many of those being written it may have asked for.
    asked_unflushed: usize,
}

/// An older copy of the store.
pub struct Backup {
    /// The copy.
    pub connection: rusqlite::Connection,
    /// What was true then.
    pub model: Model,
}

/// The server.
pub struct Server {
    hub: Option<Hub<SimulatedStore>>,
    store: Option<SimulatedStore>,
    sessions: BTreeMap<SessionId, Session>,
    of_connection: BTreeMap<u64, SessionId>,
    /// HTTP requests in work.
    pub exchanges: BTreeMap<SessionId, Exchange>,
    last_session: u64,
    starts: u64,
    work: Vec<Work>,
    learned: Seq,
    /// What its hub wanted so far.
    pub outputs: u64,
    /// The last backup.
    pub backup: Option<Backup>,
}

/// Copies a whole database.
pub fn copy_database(from: &rusqlite::Connection, to: &mut rusqlite::Connection) -> rusqlite::Result<()> {
    rusqlite::backup::Backup::new(from, to)?.run_to_completion(10_000, std::time::Duration::ZERO, None)
}

pub(super) const BROKEN: &str = "an in-memory database can be read";

impl Server {
    /// A server that is off, with an empty store.
    pub fn new(dice: &mut crate::dice::Dice, _model: &mut Model) -> Result<Self, Violation> {
        let store =
            SqliteStore::in_memory(dice.entropy().incarnation_id()).map_err(|failure| failure.to_string())?;
        Ok(Self {
            hub: None,
            store: Some(SimulatedStore::new(store)),
            sessions: BTreeMap::new(),
            of_connection: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            last_session: 0,
            starts: 0,
            work: Vec::new(),
            learned: Seq(0),
            outputs: 0,
            backup: None,
        })
    }

    /// The last place in the log of which the model knows.
    pub fn learned(&self) -> Seq {
        self.learned
    }

    /// How often it was stopped: what was asked of an earlier run is not answered.
    pub fn life(&self) -> u64 {
        self.starts
    }

    /// Who speaks in a session.
    pub fn identity_of(&self, session: SessionId) -> Option<Identity> {
        self.sessions.get(&session).map(|session| session.identity)
    }

    /// What was pushed in a session under a batch number.
    pub fn pushed(&self, session: SessionId, batch: u64) -> Option<Vec<PushItem>> {
        self.sessions.get(&session)?.pushed.get(&batch).cloned()
    }

    /// The store, whether the server is on or off.
    pub fn store(&self) -> &SimulatedStore {
        match (&self.hub, &self.store) {
            (Some(hub), _) => hub.store(),
            (None, Some(store)) => store,
            (None, None) => unreachable!("the store is with the hub or with us"),
        }
    }

    /// The database, for a backup.
    pub fn connection(&mut self) -> &rusqlite::Connection {
        let store = match (&mut self.hub, &mut self.store) {
            (Some(hub), _) => hub.store_mut(),
            (None, Some(store)) => store,
            (None, None) => unreachable!("the store is with the hub or with us"),
        };
        store.inner.connection()
    }

    /// The store of a server that is off.
    pub fn idle_store(&mut self) -> &mut SimulatedStore {
        self.store.as_mut().expect("the server is off")
    }

    /// Another disk takes the place of the one of a server that is off.
    pub fn replace_store(&mut self, store: SqliteStore, head: Seq) {
        assert!(self.hub.is_none(), "the server is off");
        self.store = Some(SimulatedStore::new(store));
        self.learned = head;
    }

    /// Takes the store out of a hub that dies.
    fn stop(&mut self) {
        if let Some(hub) = self.hub.take() {
            let mut store = hub.into_store();
            store.fate = Fate::Durable;
            store.dead = false;
            store.lose_unsynced();
            self.store = Some(store);
        }
        self.sessions.clear();
        self.of_connection.clear();
        self.exchanges.clear();
        self.work.clear();
        self.starts += 1;
    }
}

impl World {
    fn server_now(&self) -> UtcMillis {
        UtcMillis(self.now_ms)
    }

    /// Whether somebody answers at the server's address.
    pub fn server_is_up(&self) -> bool {
        self.server.hub.is_some()
    }

    /// Why the server would give this phone no ticket.
    pub fn refuses_login(&self, phone: usize) -> Option<Disconnect> {
        let phone = &self.phones[phone];
        let active = self.model.person(phone.person).is_some_and(|person| person.active);
        (!active || self.model.is_revoked(phone.device)).then_some(Disconnect::Revoked)
    }

    /// The ticket of a phone.
    pub fn ticket(&self, phone: usize) -> Vec<u8> {
        self.phones[phone].device.0.to_vec()
    }

    /// Starts the server on what its disk holds.
    pub fn server_boot(&mut self) -> Result<(), Violation> {
        let Some(store) = self.server.store.take() else { return Ok(()) };
        let head = store.lookup().head().map_err(|failure| failure.to_string())?;
        if head < self.server.learned {
            return Err(format!(
                "the log ends at {head:?}, and {:?} was committed (I1)",
                self.server.learned
            ));
        }
        let hub = Hub::new(store).map_err(|failure| format!("the server cannot start: {failure}"))?;
        self.server.hub = Some(hub);
        self.note(|| "the server starts".to_owned());
        Ok(())
    }

    /// The server dies here and now.
    pub fn server_crash(&mut self) {
        if self.server.hub.is_none() {
            return;
        }
        self.note(|| "the server dies".to_owned());
        self.server.stop();
        let connections: Vec<_> = self.connections.keys().copied().collect();
        for id in connections {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.server_open = false;
                connection.cut(self.now_ms, &mut self.dice, &mut self.faults);
            }
            self.expect_arrivals(id);
        }
        let delay = self.dice.between(50, 20_000) as i64;
        self.later(delay, Event::ServerBoot);
    }

    /// The server works and fails no more.
    pub fn heal_server(&mut self) -> Result<(), Violation> {
        self.server_boot()
    }

    /// Whether nothing waits inside the server.
    pub fn is_server_quiet(&self) -> bool {
        let all_taken_in = self.server.sessions.values().all(|session| session.unflushed == 0);
        self.server.hub.as_ref().is_some_and(Hub::is_idle) && self.server.work.is_empty() && all_taken_in
    }

    /// When the hub wants to be called.
    pub fn server_timer(&self) -> Option<i64> {
        self.server.hub.as_ref()?.poll_timeout().map(|at| at.0)
    }

    /// The hub's time has come.
    pub fn server_timeout(&mut self) -> Result<(), Violation> {
        self.with_hub(|hub, now| hub.handle_timeout(now)).map(|_| ())
    }

    /// Gives the hub an input and carries out what it wants; draws what the disk does to it.
    pub fn with_hub<T>(
        &mut self,
        input: impl FnOnce(&mut Hub<SimulatedStore>, UtcMillis) -> T,
    ) -> Result<Option<T>, Violation> {
        let now = self.server_now();
        let fate = self.draw_fate();
        let Some(hub) = self.server.hub.as_mut() else { return Ok(None) };
        hub.store_mut().fate = fate;
        let value = input(hub, now);
        self.drain_server()?;
        Ok(Some(value))
    }

    /// As [`World::with_hub`], on a disk that does not fail this time.
    pub fn with_safe_hub<T>(
        &mut self,
        input: impl FnOnce(&mut Hub<SimulatedStore>, UtcMillis) -> T,
    ) -> Result<Option<T>, Violation> {
        let now = self.server_now();
        let Some(hub) = self.server.hub.as_mut() else { return Ok(None) };
        let value = input(hub, now);
        self.drain_server()?;
        Ok(Some(value))
    }

    /// Somebody with this identity makes a connection of its own and says these frames; nobody reads the
    /// answers but the tap.
    pub fn speak_as(&mut self, identity: Identity, frames: Vec<Vec<u8>>) -> Result<SessionId, Violation> {
        let session = self.add_session(0, identity);
        self.with_hub(|hub, now| hub.handle_open(now, session, identity, Transport::Live))?;
        for frame in frames {
            self.remember_push(session, &frame);
            self.with_hub(|hub, now| hub.handle_frame(now, session, &frame))?;
        }
        Ok(session)
    }

    /// As [`World::speak_as`], and closes the connection without waiting for the answers.
    pub fn speak_and_leave(&mut self, identity: Identity, frames: Vec<Vec<u8>>) -> Result<(), Violation> {
        let session = self.speak_as(identity, frames)?;
        self.close_session(session);
        self.with_hub(|hub, now| hub.handle_close(now, session))?;
        Ok(())
    }

    /// A session of a connection; 0 is none.
    pub fn add_session(&mut self, connection: u64, identity: Identity) -> SessionId {
        self.server.last_session += 1;
        let session = SessionId(self.server.last_session);
        let state = Session {
            connection,
            identity,
            pushed: BTreeMap::new(),
            unflushed: 0,
            asked: 1,
            asked_unflushed: 0,
        };
        self.server.sessions.insert(session, state);
        if connection != 0 {
            self.server.of_connection.insert(connection, session);
        }
        session
    }

    /// The session of a connection.
    pub fn session_of(&self, connection: u64) -> Option<SessionId> {
        self.server.of_connection.get(&connection).copied()
    }

    /// Does all that waits inside the server.
    pub fn finish_server_work(&mut self) -> Result<(), Violation> {
        for _ in 0..10_000 {
            if self.is_server_quiet() {
                return Ok(());
            }
            let starts = self.server.starts;
            self.server_work(starts)?;
        }
        Err("the hub has work without end".to_owned())
    }

    fn draw_fate(&mut self) -> Fate {
        if self.healed {
            return Fate::Durable;
        }
        if self.dice.permille(self.climate.commit_fails_permille) {
            return Fate::Fails;
        }
        if self.dice.permille(self.climate.server_crash_permille) {
            return if self.dice.permille(500) { Fate::DiesBefore } else { Fate::DiesAfter };
        }
        Fate::Durable
    }

    fn drain_server(&mut self) -> Result<(), Violation> {
        for _ in 0..10_000 {
            let now = self.server_now();
            let Some(hub) = self.server.hub.as_mut() else { return Ok(()) };
            let store = hub.store_mut();
            if store.dead {
                self.count_death()?;
                self.server_crash();
                return Ok(());
            }
            let failures = std::mem::take(&mut store.failures);
            (0..failures).for_each(|_| self.faults.count(Fault::ServerWriteFailed));
            let output = hub.poll_output(now);
            self.learn_commits()?;
            let Some(output) = output else {
                if let Some(hub) = self.server.hub.as_mut() {
                    hub.store_mut().fate = Fate::Durable;
                }
                return Ok(());
            };
            if self.server.hub.as_mut().is_some_and(|hub| hub.store_mut().dead) {
                continue;
            }
            self.server.outputs += 1;
            if self.dies_before_output() {
                self.faults.count(Fault::ServerCrashedBetweenOutputs);
                self.server_crash();
                return Ok(());
            }
            self.carry_out_for_server(output)?;
        }
        Err("the hub wants something without end".to_owned())
    }

    /// Whether the server dies after its hub said what it wants, before it is done.
    fn dies_before_output(&mut self) -> bool {
        if self.is_struck_at_output() {
            return true;
        }
        !self.healed && self.dice.permille(self.climate.server_crash_permille / 4)
    }

    fn count_death(&mut self) -> Result<(), Violation> {
        let after = self.server.store().died_after;
        self.faults.count(if after {
            Fault::ServerCrashedAfterCommit
        } else {
            Fault::ServerCrashedBeforeCommit
        });
        self.learn_commits()
    }

    fn carry_out_for_server(&mut self, output: Output) -> Result<(), Violation> {
        match output {
            Output::Judge(jobs) => self.plan_work(Work::Judge(jobs), 8),
            Output::Read(request) => self.plan_work(Work::Read(Box::new(request)), 8),
            Output::Send(session, frame) => self.send_from_server(session, &frame)?,
            Output::SendPage(session, frame) => {
                self.send_from_server(session, &frame)?;
                self.count_unflushed(session)?;
                let is_slow = !self.healed && self.dice.permille(self.climate.slow_reader_permille);
                if is_slow {
                    self.faults.count(Fault::SlowReader);
                    let (starts, delay) = (self.server.starts, self.dice.between(1_000, 40_000));
                    self.later(delay as i64, Event::TakenIn { starts, session });
                } else {
                    self.plan_work(Work::Flushed(session), 60);
                }
            }
            // How slowly a device is heard is no part of the world.
            Output::Offences(..) => {}
            Output::Close(session, why) => {
                self.send_from_server(session, &encode(&ServerFrame::Goodbye(why)))?;
                self.close_session(session);
            }
        }
        Ok(())
    }

    /// A slow socket has taken its page in at last.
    pub fn taken_in(&mut self, starts: u64, session: SessionId) {
        if self.server.starts == starts && self.server.sessions.contains_key(&session) {
            self.plan_work(Work::Flushed(session), 5);
        }
    }

    /// A session that takes nothing in is written one page by itself, and those that it asks for (I9, SIM-15).
    fn count_unflushed(&mut self, id: SessionId) -> Result<(), Violation> {
        let Some(session) = self.server.sessions.get_mut(&id) else { return Ok(()) };
        session.unflushed += 1;
        if session.asked > 0 {
            session.asked -= 1;
            session.asked_unflushed += 1;
        }
        if session.unflushed > 1 + session.asked_unflushed {
            return Err(format!("{} pages wait for {id:?} to take them in (I9)", session.unflushed));
        }
        Ok(())
    }

    /// Plans a piece of work beside the hub.
    pub fn plan_work(&mut self, work: Work, delay_ms_max: u64) {
        self.server.work.push(work);
        let starts = self.server.starts;
        let delay = self.dice.between(0, delay_ms_max) as i64;
        self.later(delay, Event::ServerWork { starts });
    }

    /// One piece of what waits is done; which one is chance.
    pub fn server_work(&mut self, starts: u64) -> Result<(), Violation> {
        if self.server.starts != starts || self.server.hub.is_none() {
            return Ok(());
        }
        let Some(index) = self.dice.index(self.server.work.len()) else { return Ok(()) };
        match self.server.work.swap_remove(index) {
            Work::Judge(jobs) => {
                let judged = self.judge(&jobs);
                self.with_hub(|hub, now| hub.handle_judged(now, judged))?;
            }
            Work::Read(request) => {
                let read = request.read(&self.server.store().lookup());
                let page = read.map_err(|failure| format!("a page cannot be read: {failure}"))?;
                self.plan_work(Work::Page(Box::new(page)), 20);
            }
            Work::Page(page) => {
                self.with_hub(|hub, now| hub.handle_page(now, *page))?;
            }
            Work::NextFrame(session) => self.go_on_with_exchange(session)?,
            Work::Flushed(session) => {
                if let Some(session) = self.server.sessions.get_mut(&session) {
                    session.unflushed -= 1;
                    session.asked_unflushed = session.asked_unflushed.min(session.unflushed);
                }
                self.with_hub(|hub, now| hub.handle_flushed(now, session))?;
            }
        }
        Ok(())
    }

    /// Tells the model what was committed since it last looked (SIM-6).
    pub fn learn_commits(&mut self) -> Result<(), Violation> {
        let store = match (&self.server.hub, &self.server.store) {
            (Some(hub), _) => hub.store(),
            (None, Some(store)) => store,
            (None, None) => return Ok(()),
        };
        let lookup = store.lookup();
        let head = lookup.head().expect(BROKEN);
        if head == self.server.learned {
            return Ok(());
        }
        let mut touched = BTreeSet::new();
        for event in lookup.events_all(self.server.learned, usize::MAX >> 1).expect(BROKEN) {
            self.model.fold(&event).map_err(of_the_ledger)?;
            touched.extend(event.scope.customer());
            let line = format!("committed {:?} {:?}", event.seq, event.kind);
            self.trace.note(self.now_ms - crate::world::clock::EPOCH_MS, || line);
            match event.kind {
                shared::ledger::EventKind::CustomerTransferred { .. } => {
                    self.faults.count(Fault::CustomerTransferred)
                }
                shared::ledger::EventKind::LateWorkArrived { .. } => self.faults.count(Fault::EditHeld),
                _ => {}
            }
        }
        // At once: what follows from a wrong table would be seen as something else.
        for customer in touched {
            let record = lookup.customer(customer).expect(BROKEN);
            let learned = self.model.customer(customer).map(|learned| (learned.owner, learned.code.clone()));
            if record.map(|record| (record.owner(), record.code)) != learned {
                return Err(format!("the record of {customer:?} is not what was committed (I6)"));
            }
        }
        self.server.learned = head;
        Ok(())
    }

    /// A frame or the end of a connection reaches the server.
    pub fn arrive_at_server(&mut self, id: u64, frame: Option<Vec<u8>>) -> Result<(), Violation> {
        let open = self.connections.get(&id).is_some_and(|connection| connection.server_open);
        if !open || self.server.hub.is_none() {
            return Ok(());
        }
        let session = self.session_of(id);
        if let Some(connection) = self.connections.get(&id).filter(|connection| connection.is_one_shot)
            && let Some(body) = &frame
        {
            let phone = &self.phones[connection.phone];
            let identity = Identity { person: phone.person, device: phone.device };
            return self.begin_exchange(id, identity, body);
        }
        match (frame, session) {
            (None, None) => self.close_for_server(id),
            (None, Some(session)) => {
                self.server.sessions.remove(&session);
                self.server.exchanges.remove(&session);
                self.close_for_server(id);
                self.with_hub(|hub, now| hub.handle_close(now, session))?;
            }
            (Some(frame), Some(session)) => {
                self.remember_push(session, &frame);
                self.with_hub(|hub, now| hub.handle_frame(now, session, &frame))?;
                // What was pushed is being judged: the worst moment for a device to be revoked.
                let is_push = matches!(decode_client_frame(&frame), Ok(ClientFrame::Push(_)));
                let strikes = is_push && !self.healed && self.dice.permille(4);
                if strikes && self.shape.has(Cause::Revoke) {
                    let phone = self.connections.get(&id).map(|connection| connection.phone);
                    phone.map_or(Ok(()), |phone| self.revoke_device(phone))?;
                }
            }
            (Some(frame), None) => self.admit_connection(id, &frame)?,
        }
        Ok(())
    }

    /// The first frame of a connection: its ticket says whose session it is.
    fn admit_connection(&mut self, id: u64, frame: &[u8]) -> Result<(), Violation> {
        let Some(phone) = self.connections.get(&id).map(|connection| connection.phone) else { return Ok(()) };
        let ticket = match decode_client_frame(frame) {
            Ok(ClientFrame::Hello(hello)) => {
                hello.ticket.and_then(|ticket| DeviceId::from_slice(ticket.as_slice()))
            }
            _ => None,
        };
        // Whether the device may still come in is the hub's to say.
        let why = match ticket {
            None => Some(Goodbye::Malformed),
            Some(device) if device != self.phones[phone].device => Some(Goodbye::Unauthenticated),
            Some(_) => None,
        };
        if let Some(why) = why {
            self.put_on_wire(id, Direction::Down, encode(&ServerFrame::Goodbye(why)));
            self.close_for_server(id);
            return Ok(());
        }
        let identity = Identity { person: self.phones[phone].person, device: self.phones[phone].device };
        let session = self.add_session(id, identity);
        self.with_hub(|hub, now| hub.handle_open(now, session, identity, Transport::Live))?;
        self.with_hub(|hub, now| hub.handle_frame(now, session, frame))?;
        Ok(())
    }

    /// Remembers what a session pushes and asks for, for judging the answers.
    pub fn remember_push(&mut self, session: SessionId, frame: &[u8]) {
        let Some(session) = self.server.sessions.get_mut(&session) else { return };
        match decode_client_frame(frame) {
            Ok(ClientFrame::Push(push)) => drop(session.pushed.insert(push.batch, push.items)),
            Ok(ClientFrame::Pull(_) | ClientFrame::Digests(_)) => session.asked += 1,
            Ok(ClientFrame::Hello(_) | ClientFrame::Ping(..)) | Err(_) => {}
        }
    }

    /// Forgets a session that the hub has closed, or that is about to be.
    pub fn close_session(&mut self, session: SessionId) {
        self.server.exchanges.remove(&session);
        if let Some(session) = self.server.sessions.remove(&session) {
            self.close_for_server(session.connection);
        }
    }

    fn close_for_server(&mut self, id: u64) {
        self.server.of_connection.remove(&id);
        let now_ms = self.now_ms;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.server_open = false;
            connection.close(Direction::Down, now_ms);
        }
        self.expect_arrivals(id);
    }

    fn send_from_server(&mut self, session: SessionId, bytes: &[u8]) -> Result<(), Violation> {
        self.tap(session, bytes)?;
        if let Some(session) = self.server.sessions.get(&session) {
            let connection = session.connection;
            self.put_on_wire(connection, Direction::Down, bytes.to_vec());
        }
        self.note_answer(session, bytes);
        Ok(())
    }
}
