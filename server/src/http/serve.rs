//! A server's life: lock the data folder, open the store, start the hub, listen, and at the end lose nothing.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};

use crate::admission::{PoolOptions, WorkerPool};
use crate::config::Config;
use crate::http::accept::{ConnectionLimits, accept};
use crate::http::auth::token::Keys;
use crate::http::{App, health, router};
use crate::hub::{HubHandle, HubThread};
use crate::store::SqliteStore;
use crate::store::files::FileStore;

/// The file of the server's secrets in the data folder.
pub const KEYS_FILE: &str = "keys";

/// The file that says, by being locked, that a server runs on the data folder.
const LOCK_FILE: &str = "server.lock";

/// The folder of photos beside the database.
pub const FILES_FOLDER: &str = "files";

/// How long running requests may take after a stop was asked for.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// How long sockets may take to hear the goodbye.
const GOODBYE_TIME: Duration = Duration::from_secs(3);

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    connections: Arc<Semaphore>,
    connections_max: u32,
    accepting: tokio::task::JoinHandle<()>,
    hub: HubThread,
    _lock: File,
}

/// Takes the data folder for this process.
///
/// # Errors
/// Another server has it.
pub fn lock(data: &Path) -> Result<File> {
    let path = data.join(LOCK_FILE);
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("{}", path.display()))?;
    if file.try_lock().is_err() {
        bail!("a server is running on {} already", data.display());
    }
    Ok(file)
}

impl Server {
    /// Starts a server on a data folder.
    ///
    /// # Errors
    /// The folder holds no data or is in use; the address is taken.
    pub async fn start(data: &Path, config: Config) -> Result<Server> {
        let lock = lock(data)?;
        let keys = Keys::open(&data.join(KEYS_FILE))?;
        let store = SqliteStore::open(data)?;
        health::recorder();
        let options = PoolOptions::own_binary().context("finding this program")?;
        let options = PoolOptions { workers: config.workers.unwrap_or(options.workers), ..options };
        let workers = WorkerPool::new(options).context("starting the admission workers")?;
        let counts = workers.counts();
        let (hub, thread) = HubHandle::start(store, workers)?;
        let listener = TcpListener::bind(&config.listen)
            .await
            .with_context(|| format!("listening on {}", config.listen))?;
        let address = listener.local_addr()?;
        let limits = ConnectionLimits {
            first_byte: Duration::from_millis(config.first_byte_ms),
            head: Duration::from_millis(config.head_ms),
            drain: DRAIN_TIME,
        };
        let connections_max = u32::try_from(config.connections_max).unwrap_or(u32::MAX);
        let connections = Arc::new(Semaphore::new(connections_max as usize));
        let (stop, stopping) = watch::channel(false);
        let files = FileStore::open(&data.join(FILES_FOLDER))?;
        let router = router(App::new(config, keys, hub, counts, files));
        let accepting = tokio::spawn(accept(listener, router, connections.clone(), limits, stopping));
        Ok(Server { address, stop, connections, connections_max, accepting, hub: thread, _lock: lock })
    }

    /// Stops: no new connections, running requests finish, what was acknowledged is durable as always, sockets
    /// hear a goodbye.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let hub = self.hub;
        let _ = self.accepting.await;
        let _ = tokio::task::spawn_blocking(move || hub.stop()).await;
        // The goodbyes are in the sockets' channels; their tasks write them now and give their permits back.
        let all = self.connections.acquire_many(self.connections_max);
        if tokio::time::timeout(GOODBYE_TIME, all).await.is_err() {
            tracing::warn!("some sockets did not take their goodbye");
        }
    }
}

/// The signals that ask the process to end.
pub struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// Takes the signals over. Before the server says that it is ready: whoever hears that may ask it to end.
    ///
    /// # Errors
    /// The signals cannot be watched.
    pub fn take() -> Result<EndSignals> {
        Ok(EndSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them.
    pub async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
