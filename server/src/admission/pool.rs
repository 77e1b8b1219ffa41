//! The parent's side: worker processes, one a thread, restarted when they die or hang. What a loss costs is
//! decided in [`super::halving`]. Nothing here reads what is in a change.

use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use shared::limits::ADMISSION_MS_MAX;

use super::halving::{self, Loss};
use super::worker::{Answer, READY, WORKER_COMMAND, read_frame, write_frame};
use super::{Job, Judged, Verdict};

/// Jobs that one worker is given at once: 3 ms of work, against which the turn between two batches (about
/// 20 µs) is nothing, and few enough to judge one by one when the worker is lost over them.
const BATCH_JOBS_MAX: usize = 16;

/// Bytes given to a worker at once.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A worker that is late and had less than this share of its time limit on a processor was not at work: an honest
/// job needs far less than that, and one that spins takes what it gets.
const IDLE_SHARE: u32 = 6;

/// Bytes that a starting process may write before [`READY`].
const NOISE_BYTES_MAX: usize = 4096;

/// How workers are started.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// The program; usually this very binary.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment; nothing else is inherited.
    pub environment: Vec<(String, String)>,
    /// How many.
    pub workers: usize,
    /// Wall time for one batch, and then for each job of a batch that took longer.
    pub time_limit: Duration,
}

impl PoolOptions {
    /// This binary with its hidden subcommand, one worker a processor, at most four.
    ///
    /// # Errors
    /// When the system cannot say where this binary is.
    pub fn own_binary() -> std::io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: vec![WORKER_COMMAND.to_owned()],
            environment: Vec::new(),
            workers: processors.clamp(1, 4),
            time_limit: Duration::from_millis(ADMISSION_MS_MAX),
        })
    }
}

type OnJudged = Box<dyn Fn(Judged) + Send + Sync>;

#[derive(Default)]
struct Queue {
    jobs: std::collections::VecDeque<Job>,
    closed: bool,
}

struct Shared {
    options: PoolOptions,
    queue: Mutex<Queue>,
    wake: Condvar,
    on_judged: Mutex<Option<OnJudged>>,
    deaths: AtomicU64,
    starts: AtomicU64,
}

/// Worker processes. Dropping the pool ends them.
pub struct WorkerPool {
    shared: Arc<Shared>,
}

/// Counts of a pool's life, for metrics. Cheap to clone.
#[derive(Clone)]
pub struct PoolCounts(Arc<Shared>);

impl PoolCounts {
    /// How many workers died or were killed over a job.
    pub fn deaths(&self) -> u64 {
        self.0.deaths.load(Ordering::Relaxed)
    }

    /// How many workers were started.
    pub fn starts(&self) -> u64 {
        self.0.starts.load(Ordering::Relaxed)
    }
}

impl WorkerPool {
    /// Makes a pool. Workers start with their first job.
    ///
    /// # Errors
    /// When a thread cannot be made.
    pub fn new(options: PoolOptions) -> std::io::Result<Self> {
        let workers = options.workers.max(1);
        let shared = Arc::new(Shared {
            options,
            queue: Mutex::default(),
            wake: Condvar::new(),
            on_judged: Mutex::default(),
            deaths: AtomicU64::new(0),
            starts: AtomicU64::new(0),
        });
        for number in 0..workers {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name(format!("admission-{number}"))
                .spawn(move || Keeper { number, shared, worker: None }.run())?;
        }
        Ok(Self { shared })
    }

    /// Says where verdicts go. Set once, before the first job.
    pub fn on_judged(&self, receive: impl Fn(Judged) + Send + Sync + 'static) {
        *self.shared.on_judged.lock().expect("no holder of this lock panics") = Some(Box::new(receive));
    }

    /// Has jobs judged. Their verdicts come in parts, in any order.
    pub fn submit(&self, jobs: Vec<Job>) {
        let count = jobs.len();
        self.shared.queue.lock().expect("no holder of this lock panics").jobs.extend(jobs);
        if count == 1 { self.shared.wake.notify_one() } else { self.shared.wake.notify_all() }
    }

    /// Counts for metrics.
    pub fn counts(&self) -> PoolCounts {
        PoolCounts(self.shared.clone())
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.shared.queue.lock().expect("no holder of this lock panics").closed = true;
        self.shared.wake.notify_all();
    }
}

/// A running worker process at the other end of a socket: unlike a pipe, it can be read with a time limit.
struct Worker {
    child: Child,
    stream: UnixStream,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads from a stream until a moment.
struct Until<'s> {
    stream: &'s UnixStream,
    deadline: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

/// One thread of the pool and its worker.
struct Keeper {
    number: usize,
    shared: Arc<Shared>,
    worker: Option<Worker>,
}

impl Keeper {
    fn run(mut self) {
        while let Some(jobs) = self.next_batch() {
            let judged = halving::judge_all(&mut self, &jobs);
            let receive = self.shared.on_judged.lock().expect("no holder of this lock panics");
            if let Some(receive) = receive.as_ref() {
                receive(judged);
            }
        }
    }

    fn next_batch(&self) -> Option<Vec<Job>> {
        let mut queue = self.shared.queue.lock().expect("no holder of this lock panics");
        while queue.jobs.is_empty() {
            if queue.closed {
                return None;
            }
            queue = self.shared.wake.wait(queue).expect("no holder of this lock panics");
        }
        // Every worker takes its share, so that none waits while another has all.
        let share = queue.jobs.len().div_ceil(self.shared.options.workers.max(1)).clamp(1, BATCH_JOBS_MAX);
        let mut batch = Vec::with_capacity(share);
        let mut bytes = 0;
        // First the documents that this worker judged before and has open; then others, rather than to wait.
        for is_wanted in [|own: bool| own, |_| true] {
            let mut at = 0;
            while batch.len() < share && bytes < BATCH_BYTES_MAX {
                let Some(job) = queue.jobs.get(at) else { break };
                if is_wanted(self.is_own(job)) {
                    bytes += size_of_job(job);
                    batch.extend(queue.jobs.remove(at));
                } else {
                    at += 1;
                }
            }
        }
        Some(batch)
    }

    /// Whether a document is one of those that this worker judges by preference. The last byte of an id is
    /// random.
    fn is_own(&self, job: &Job) -> bool {
        usize::from(job.doc.0[15]) % self.shared.options.workers.max(1) == self.number
    }

    fn worker(&mut self) -> io::Result<&mut Worker> {
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.start()?,
        };
        Ok(self.worker.insert(worker))
    }

    fn start(&self) -> io::Result<Worker> {
        let options = &self.shared.options;
        let (stream, theirs) = UnixStream::pair()?;
        let input = OwnedFd::from(theirs.try_clone()?);
        let child = Command::new(&options.program)
            .args(&options.arguments)
            .env_clear()
            .envs(options.environment.iter().cloned())
            .current_dir("/")
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            // A panic's message may hold what somebody wrote.
            .stderr(Stdio::null())
            .spawn()?;
        self.shared.starts.fetch_add(1, Ordering::Relaxed);
        let worker = Worker { child, stream };
        let deadline = Instant::now() + options.time_limit;
        let is_ready = skip_noise(&mut Until { stream: &worker.stream, deadline });
        if is_ready { Ok(worker) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

impl halving::Worker for Keeper {
    fn try_jobs(&mut self, jobs: &[Job]) -> Result<Vec<(u64, Verdict)>, Loss> {
        let limit = self.shared.options.time_limit;
        let worker = self.worker().map_err(|error| {
            tracing::error!(%error, "an admission worker could not be started");
            Loss::NotAtWork
        })?;
        let before = worker.processor_time();
        let error = match worker.ask(jobs, limit) {
            Ok(verdicts) => return Ok(verdicts),
            Err(error) => error,
        };
        let is_late = matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
        let worked = worker.processor_time().zip(before).map(|(after, before)| after.saturating_sub(before));
        tracing::warn!(%error, ?worked, "an admission worker was lost and is replaced");
        self.shared.deaths.fetch_add(1, Ordering::Relaxed);
        self.worker = None;
        // Where the system does not say, a late worker has worked.
        let was_idle = is_late && worked.is_some_and(|worked| worked < limit / IDLE_SHARE);
        Err(if was_idle { Loss::NotAtWork } else { Loss::AtWork })
    }
}

impl Worker {
    /// Sends jobs and waits for the answers.
    ///
    /// # Errors
    /// When they do not come in time, or are no answers.
    fn ask(&mut self, jobs: &[Job], limit: Duration) -> io::Result<Vec<(u64, Verdict)>> {
        self.stream.set_write_timeout(Some(limit))?;
        write_frame(&mut self.stream, &jobs)?;
        let mut answer = BufReader::new(Until { stream: &self.stream, deadline: Instant::now() + limit });
        let frame = read_frame(&mut answer)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let answers: Vec<Answer> = minicbor::decode(&frame).map_err(io::Error::other)?;
        let verdicts: Vec<(u64, Verdict)> = answers.into_iter().map(Answer::into_parts).collect();
        let is_whole = verdicts.iter().map(|(id, _)| *id).eq(jobs.iter().map(|job| job.id));
        if is_whole { Ok(verdicts) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Processor time that the process has had; none where the system does not say.
    fn processor_time(&self) -> Option<Duration> {
        /// Of the times in `/proc`, on every Linux (`USER_HZ`).
        const MS_PER_TICK: u64 = 10;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // What stands before is the program's name, in which anything may stand; user and system time are the
        // 14th and 15th of all fields.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(11).map(|ticks| ticks.parse::<u64>().ok());
        Some(Duration::from_millis((times.next()?? + times.next()??) * MS_PER_TICK))
    }
}

fn size_of_job(job: &Job) -> usize {
    let changes: usize = job.changes.iter().map(|change| change.len()).sum();
    job.stored.as_ref().map_or(0, |saved| saved.len()) + changes
}

fn skip_noise(output: &mut impl Read) -> bool {
    let mut window = Vec::with_capacity(NOISE_BYTES_MAX);
    let mut byte = [0];
    while window.len() < NOISE_BYTES_MAX && output.read_exact(&mut byte).is_ok() {
        window.push(byte[0]);
        if window.ends_with(READY) {
            return true;
        }
    }
    false
}
