//! The thread around the hub machine: channels in, channels out, the pool of admission workers and the pool
//! of readers. Decides nothing. What comes in is bounded by permits, what goes out by the sessions' channels.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use shared::id::{DeviceId, IncarnationId};
use shared::protocol::{self, ClientFrame, Goodbye, ServerFrame};
use shared::time::UtcMillis;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::feed::{PageRead, ReadRequest};
use super::{Administration, AdministrationFailure, Hub, Identity, Output, SessionId, Stats, Transport};
use crate::admission::{Job, Judged, WorkerPool};
use crate::store::{Readers, SqliteStore, Store, StoreFailure};

/// Frames from devices that wait for the hub's thread. With frames of at most 256 KiB: 64 MiB.
const FRAMES_WAITING_MAX: usize = 256;

/// Frames to one device that its socket has not taken. Pages are sent one at a time, so these are answers to
/// the device's own frames; a device that asks so much and reads nothing is [`Goodbye::Overloaded`].
const OUTGOING_MAX: usize = 32;

/// Threads that read pages of the feed.
const READING_THREADS: usize = 2;

/// The hub's thread has ended: the server is shutting down, or it died of a bug.
#[derive(Debug, thiserror::Error)]
#[error("the hub has stopped")]
pub struct HubStopped;

/// What a socket writes next.
#[derive(Debug)]
pub enum Outgoing {
    /// An answer.
    Frame(Bytes),
    /// A page. When it is written, call [`Session::flushed`]: the next one comes only then.
    Page(Bytes),
    /// The device did what no honest one does, so many times: listen to it later (SEC-17).
    Offences(u32),
    /// The last frame; encode [`shared::protocol::ServerFrame::Goodbye`], write it, close the socket.
    Goodbye(Goodbye),
}

type WriterTask = Box<dyn FnOnce(&mut SqliteStore) + Send>;

enum Input {
    Open(SessionId, Identity, Transport, tokio::sync::mpsc::Sender<Outgoing>),
    Frame(SessionId, Vec<u8>, OwnedSemaphorePermit),
    Flushed(SessionId),
    Close(SessionId),
    Judged(Judged),
    Read(Box<Result<PageRead, (ReadRequest, StoreFailure)>>),
    Administer(Administration, oneshot::Sender<Result<(), AdministrationFailure>>),
    Restore(DeviceId, oneshot::Sender<Result<usize, StoreFailure>>),
    Write(WriterTask),
    Stop,
}

/// The way to the hub. Cheap to clone.
#[derive(Clone)]
pub struct HubHandle {
    input: mpsc::Sender<Input>,
    permits: Arc<Semaphore>,
    sessions_next: Arc<AtomicU64>,
    readers: Readers,
    stats: Arc<Mutex<Stats>>,
    incarnation: IncarnationId,
}

/// What came of the frames of one HTTP request.
pub struct Exchanged {
    /// The frames of the answer.
    pub answers: Vec<Bytes>,
    /// What the device has to answer for (SEC-17).
    pub offences: u32,
}

/// One connection's place in the hub. Dropping it closes the session.
pub struct Session {
    id: SessionId,
    handle: HubHandle,
    outgoing: tokio::sync::mpsc::Receiver<Outgoing>,
}

/// The running hub thread.
pub struct HubThread {
    thread: std::thread::JoinHandle<()>,
    input: mpsc::Sender<Input>,
}

impl HubThread {
    /// Says goodbye to all sessions, finishes the group in work, and waits for the thread. Blocks.
    pub fn stop(self) {
        let _ = self.input.send(Input::Stop);
        let _ = self.thread.join();
    }

    /// Whether the thread is still there.
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }
}

impl HubHandle {
    /// Starts the hub's thread on a store, with a pool of admission workers.
    ///
    /// # Errors
    /// `Place` if the store is in memory: sessions are read beside the writer.
    pub fn start(
        mut store: SqliteStore,
        workers: WorkerPool,
    ) -> Result<(HubHandle, HubThread), StoreFailure> {
        let path =
            store.path().ok_or_else(|| StoreFailure::Place("a store in memory has no readers".to_owned()))?;
        let readers = Readers::new(path);
        store.copy_log_beside()?;
        let incarnation = crate::store::Lookup::incarnation(&store.lookup())?;
        let hub = Hub::new(store)?;
        let (input, inbox) = mpsc::channel();
        let handle = HubHandle {
            input: input.clone(),
            permits: Arc::new(Semaphore::new(FRAMES_WAITING_MAX)),
            sessions_next: Arc::new(AtomicU64::new(1)),
            readers: readers.clone(),
            stats: Arc::default(),
            incarnation,
        };
        let judged = input.clone();
        workers.on_judged(move |answer| {
            let _ = judged.send(Input::Judged(answer));
        });
        let reads = start_readers(&readers, &input)?;
        let driver = Driver { hub, workers, reads, outgoing: HashMap::new(), stats: handle.stats.clone() };
        let thread = std::thread::Builder::new().name("hub".to_owned()).spawn(move || driver.run(&inbox))?;
        Ok((handle, HubThread { thread, input }))
    }

    /// Opens a session for a socket whose ticket was checked. The first frame to submit is the hello.
    ///
    /// # Errors
    /// [`HubStopped`].
    pub fn open(&self, identity: Identity, transport: Transport) -> Result<Session, HubStopped> {
        let id = SessionId(self.sessions_next.fetch_add(1, Ordering::Relaxed));
        let (sender, outgoing) = tokio::sync::mpsc::channel(OUTGOING_MAX);
        self.input.send(Input::Open(id, identity, transport, sender)).map_err(|_| HubStopped)?;
        Ok(Session { id, handle: self.clone(), outgoing })
    }

    /// Serves the frames of one HTTP request (`POST /sync`), one after another, and returns the answers. A
    /// goodbye, if any, is the last of them.
    ///
    /// # Errors
    /// [`HubStopped`].
    pub async fn exchange(&self, identity: Identity, frames: Vec<Vec<u8>>) -> Result<Exchanged, HubStopped> {
        let mut session = self.open(identity, Transport::OneShot)?;
        let (mut answers, mut offences) = (Vec::new(), 0_u32);
        for frame in frames {
            let last = LastAnswer::of(&frame);
            session.submit(frame).await?;
            loop {
                match session.receive().await.ok_or(HubStopped)? {
                    Outgoing::Frame(answer) => {
                        let is_last = LastAnswer::of_server(&answer) == Some(last);
                        answers.push(answer);
                        if is_last {
                            break;
                        }
                    }
                    Outgoing::Page(answer) => {
                        answers.push(answer);
                        session.flushed();
                        if last == LastAnswer::Page {
                            break;
                        }
                    }
                    Outgoing::Offences(count) => offences = offences.saturating_add(count),
                    Outgoing::Goodbye(why) => {
                        offences = offences.saturating_add(u32::from(why == Goodbye::Malformed));
                        answers.push(super::goodbye_frame(why));
                        return Ok(Exchanged { answers, offences });
                    }
                }
            }
        }
        Ok(Exchanged { answers, offences })
    }

    /// Changes people, teams, devices or settings.
    ///
    /// # Errors
    /// A refusal by name, or the store's failure.
    pub async fn administer(&self, command: Administration) -> Result<(), AdministrationFailure> {
        let (sender, answer) = oneshot::channel();
        let stopped = || AdministrationFailure::Store(StoreFailure::Closed);
        self.input.send(Input::Administer(command, sender)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Has what a revoked device left in quarantine judged and stored; says how many items that concerns.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn restore(&self, device: DeviceId) -> Result<usize, StoreFailure> {
        let (sender, answer) = oneshot::channel();
        self.input.send(Input::Restore(device, sender)).map_err(|_| StoreFailure::Closed)?;
        answer.await.map_err(|_| StoreFailure::Closed)?
    }

    /// Runs a closure in a durable transaction on the hub's thread, between two groups: for tables that only
    /// HTTP knows. Keep it short; it must not touch the hub's own tables.
    ///
    /// # Errors
    /// What the closure or the database says.
    pub async fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T, StoreFailure> + Send + 'static,
    ) -> Result<T, StoreFailure> {
        let (sender, answer) = oneshot::channel();
        let task: WriterTask = Box::new(move |store| {
            let run = || {
                let transaction = store.connection().transaction()?;
                let answer = body(&transaction)?;
                transaction.commit()?;
                Ok(answer)
            };
            let _ = sender.send(run());
        });
        self.input.send(Input::Write(task)).map_err(|_| StoreFailure::Closed)?;
        answer.await.map_err(|_| StoreFailure::Closed)?
    }

    /// Connections that read beside the writer.
    pub fn readers(&self) -> &Readers {
        &self.readers
    }

    /// The store's present life.
    pub fn incarnation(&self) -> IncarnationId {
        self.incarnation
    }

    /// Figures for `/metrics` and `/readyz`, as of the last turn of the hub's thread.
    pub fn stats(&self) -> Stats {
        self.stats.lock().expect("no holder of this lock panics").clone()
    }
}

impl Session {
    /// The session's number, for logs.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Hands a frame to the hub. Waits while the hub has too much to do: that is the backpressure on sockets.
    ///
    /// # Errors
    /// [`HubStopped`].
    pub async fn submit(&self, frame: Vec<u8>) -> Result<(), HubStopped> {
        let permit = self.handle.permits.clone().acquire_owned().await.map_err(|_| HubStopped)?;
        self.handle.input.send(Input::Frame(self.id, frame, permit)).map_err(|_| HubStopped)
    }

    /// The next thing to write; none when the hub has closed the session without a word or has stopped.
    /// Cancel-safe.
    pub async fn receive(&mut self) -> Option<Outgoing> {
        self.outgoing.recv().await
    }

    /// The next thing to write, if one waits.
    pub fn receive_waiting(&mut self) -> Option<Outgoing> {
        self.outgoing.try_recv().ok()
    }

    /// Says that the page given last is written.
    pub fn flushed(&self) {
        let _ = self.handle.input.send(Input::Flushed(self.id));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.handle.input.send(Input::Close(self.id));
    }
}

/// With what the answers to a frame end, over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastAnswer {
    Page,
    Ack,
    Pong,
    /// The frame cannot be read, and a goodbye will come; or the answer ends nothing.
    None,
}

impl LastAnswer {
    fn of(frame: &[u8]) -> Self {
        match protocol::decode_client_frame(frame) {
            Ok(ClientFrame::Hello(_) | ClientFrame::Pull(_) | ClientFrame::Digests(_)) => LastAnswer::Page,
            Ok(ClientFrame::Push(_)) => LastAnswer::Ack,
            Ok(ClientFrame::Ping(..)) => LastAnswer::Pong,
            Err(_) => LastAnswer::None,
        }
    }

    fn of_server(frame: &[u8]) -> Option<Self> {
        match protocol::decode_server_frame(frame) {
            Ok(ServerFrame::Ack(_)) => Some(LastAnswer::Ack),
            Ok(ServerFrame::Pong(_)) => Some(LastAnswer::Pong),
            _ => None,
        }
    }
}

fn start_readers(
    readers: &Readers,
    input: &mpsc::Sender<Input>,
) -> Result<mpsc::Sender<ReadRequest>, StoreFailure> {
    let (sender, requests) = mpsc::channel::<ReadRequest>();
    let requests = Arc::new(Mutex::new(requests));
    for number in 0..READING_THREADS {
        let (requests, readers, input) = (requests.clone(), readers.clone(), input.clone());
        std::thread::Builder::new().name(format!("feed-{number}")).spawn(move || {
            loop {
                let next = requests.lock().expect("no holder of this lock panics").recv();
                let Ok(request) = next else { return };
                let read =
                    readers.lookup(|lookup| request.read(&lookup)).map_err(|failure| (request, failure));
                if input.send(Input::Read(Box::new(read))).is_err() {
                    return;
                }
            }
        })?;
    }
    Ok(sender)
}

struct Driver {
    hub: Hub<SqliteStore>,
    workers: WorkerPool,
    reads: mpsc::Sender<ReadRequest>,
    outgoing: HashMap<SessionId, tokio::sync::mpsc::Sender<Outgoing>>,
    stats: Arc<Mutex<Stats>>,
}

impl Driver {
    fn run(mut self, inbox: &mpsc::Receiver<Input>) {
        loop {
            let now = wall_clock();
            let wait = self.hub.poll_timeout().map_or(Duration::from_secs(1), |at| {
                Duration::from_millis(at.0.saturating_sub(now.0).clamp(1, 1_000) as u64)
            });
            match inbox.recv_timeout(wait) {
                Ok(Input::Stop) => {
                    self.hub.handle_stop(wall_clock());
                    self.drain();
                    if self.hub.is_idle() {
                        return;
                    }
                    self.finish(inbox);
                    return;
                }
                Ok(input) => self.handle(input),
                Err(mpsc::RecvTimeoutError::Timeout) => self.hub.handle_timeout(wall_clock()),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            // Everything that waits is taken in before a group is formed, so that one commit carries it all.
            for _ in 0..FRAMES_WAITING_MAX {
                match inbox.try_recv() {
                    Ok(Input::Stop) => {
                        self.hub.handle_stop(wall_clock());
                        self.drain();
                        self.finish(inbox);
                        return;
                    }
                    Ok(input) => self.handle(input),
                    Err(_) => break,
                }
            }
            self.hub.handle_timeout(wall_clock());
            self.drain();
            *self.stats.lock().expect("no holder of this lock panics") = self.hub.stats().clone();
        }
    }

    /// Waits for the group in work: its senders may have it durable, and its answers go out.
    fn finish(&mut self, inbox: &mpsc::Receiver<Input>) {
        while !self.hub.is_idle() {
            match inbox.recv_timeout(Duration::from_secs(5)) {
                Ok(Input::Judged(judged)) => self.hub.handle_judged(wall_clock(), judged),
                Ok(_) => {}
                Err(_) => return,
            }
            self.drain();
        }
    }

    fn handle(&mut self, input: Input) {
        let now = wall_clock();
        match input {
            Input::Open(session, identity, transport, sender) => {
                self.outgoing.insert(session, sender);
                self.hub.handle_open(now, session, identity, transport);
            }
            Input::Frame(session, frame, _permit) => self.hub.handle_frame(now, session, &frame),
            Input::Flushed(session) => self.hub.handle_flushed(now, session),
            Input::Close(session) => {
                self.outgoing.remove(&session);
                self.hub.handle_close(now, session);
            }
            Input::Judged(judged) => self.hub.handle_judged(now, judged),
            Input::Read(read) => match *read {
                Ok(page) => self.hub.handle_page(now, page),
                Err((request, failure)) => self.hub.handle_read_failed(now, &request, &failure),
            },
            Input::Administer(command, answer) => {
                let _ = answer.send(self.hub.handle_administration(now, command).map(|_| ()));
            }
            Input::Restore(device, answer) => {
                let _ = answer.send(self.hub.handle_restore(now, device));
            }
            Input::Write(task) => task(self.hub.store_mut()),
            Input::Stop => unreachable!("the caller takes this one"),
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.hub.poll_output(wall_clock()) {
            match output {
                Output::Judge(jobs) => self.judge(jobs),
                Output::Read(request) => {
                    // The readers live as long as this thread; if they are gone the process is ending.
                    let _ = self.reads.send(request);
                }
                Output::Send(session, frame) => self.send(session, Outgoing::Frame(frame)),
                Output::SendPage(session, frame) => self.send(session, Outgoing::Page(frame)),
                Output::Offences(session, count) => self.send(session, Outgoing::Offences(count)),
                Output::Close(session, why) => {
                    self.send(session, Outgoing::Goodbye(why));
                    self.outgoing.remove(&session);
                }
            }
        }
    }

    fn judge(&mut self, jobs: Vec<Job>) {
        self.workers.submit(jobs);
    }

    fn send(&mut self, session: SessionId, outgoing: Outgoing) {
        let Some(sender) = self.outgoing.get(&session) else { return };
        match sender.try_send(outgoing) {
            Ok(()) => {}
            Err(tokio::sync::mpsc::error::TrySendError::Full(_)) => {
                // The device asks and does not read. Its channel ends, so its socket does.
                tracing::warn!(session = session.0, "a device does not read its answers");
                self.outgoing.remove(&session);
                self.hub.handle_close(wall_clock(), session);
            }
            Err(tokio::sync::mpsc::error::TrySendError::Closed(_)) => {
                self.outgoing.remove(&session);
            }
        }
    }
}

fn wall_clock() -> UtcMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
