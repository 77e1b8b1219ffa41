//! A samod server over WebSocket, and clients whose sockets are counted.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures::future::BoxFuture;
use futures::{SinkExt, StreamExt, future};
use samod::storage::TokioFilesystemStorage;
use samod::{
    BackoffConfig, ConnectionId, DialError, Dialer, DialerHandle, Repo, ShareConfig, Transport, Url,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_async, connect_async};

/// What passed a client's socket, both ways.
#[derive(Default)]
pub struct Count {
    messages: AtomicU64,
    bytes: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl Count {
    fn add(&self, bytes: usize) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        *self.last.lock().expect("no holder panics") = Some(Instant::now());
    }

    pub fn reset(&self) {
        self.messages.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        *self.last.lock().expect("no holder panics") = Some(Instant::now());
    }

    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until nothing has passed for a second; the time of the last message.
    pub async fn quiet(&self) -> Instant {
        loop {
            let last = self.last.lock().expect("no holder panics").unwrap_or_else(Instant::now);
            match Duration::from_secs(1).checked_sub(last.elapsed()) {
                None => return last,
                Some(left) => tokio::time::sleep(left + Duration::from_millis(1)).await,
            }
        }
    }
}

struct CountingDialer {
    url: Url,
    count: Arc<Count>,
}

impl Dialer for CountingDialer {
    type Error = SocketError;

    fn url(&self) -> Url {
        self.url.clone()
    }

    fn connect(&self) -> BoxFuture<'static, Result<Transport, DialError<SocketError>>> {
        let url = self.url.to_string();
        let count = self.count.clone();
        Box::pin(async move {
            let (socket, _) = connect_async(url).await.map_err(DialError::transient)?;
            if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
                stream.set_nodelay(true).map_err(DialError::transient)?;
            }
            Ok(transport(socket, count))
        })
    }
}

fn transport<S>(socket: WebSocketStream<S>, count: Arc<Count>) -> Transport
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (sink, stream) = socket.split();
    let received = count.clone();
    let stream = stream.filter_map(move |message| {
        future::ready(match message {
            Ok(Message::Binary(bytes)) => {
                received.add(bytes.len());
                Some(Ok(bytes.to_vec()))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    });
    let sink = sink.with(move |bytes: Vec<u8>| {
        count.add(bytes.len());
        future::ready(Ok::<_, SocketError>(Message::Binary(bytes.into())))
    });
    Transport::new(stream, sink)
}

/// Serves a folder until the process is killed. Announces nothing, as a hub for many clients must.
pub async fn serve(dir: &Path, port: u16) -> Result<()> {
    let repo = Repo::build_tokio()
        .with_storage(TokioFilesystemStorage::new(dir))
        .with_share_policy(ShareConfig::read_write().with_announce(false))
        .load()
        .await;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let acceptor = repo.make_acceptor(Url::parse(&format!("ws://{address}"))?)?;
    println!("ready {}", address.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Ok(socket) = accept_async(stream).await {
                let _ = acceptor.accept(transport::<TcpStream>(socket, Arc::default()));
            }
        });
    }
}

/// A server process; killed when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
    pub started: Instant,
}

impl Server {
    pub async fn start(dir: &Path) -> Result<Self> {
        let started = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().context("the output is piped")?;
        let line = BufReader::new(out).lines().next_line().await?.context("the server ended")?;
        let port = line.strip_prefix("ready ").context("unknown first line")?.parse()?;
        Ok(Self { child, port, started })
    }

    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.map_err(Into::into)
    }
}

/// A client without storage of its own.
pub struct Client {
    pub repo: Repo,
    pub count: Arc<Count>,
    dialer: Option<DialerHandle<SocketError>>,
}

impl Client {
    pub async fn connected(port: u16) -> Result<Self> {
        let mut client = Self { repo: Repo::build_tokio().load().await, count: Arc::default(), dialer: None };
        client.connect(port).await?;
        Ok(client)
    }

    pub async fn connect(&mut self, port: u16) -> Result<()> {
        let url = Url::parse(&format!("ws://127.0.0.1:{port}/"))?;
        let dialer = Arc::new(CountingDialer { url, count: self.count.clone() });
        let handle = self.repo.dial(BackoffConfig::default(), dialer)?;
        let established = handle.established();
        self.dialer = Some(handle);
        established.await.map_err(|error| anyhow!("not established: {error:?}"))?;
        Ok(())
    }

    pub fn disconnect(&mut self) {
        if let Some(dialer) = self.dialer.take() {
            dialer.close();
        }
    }

    pub fn connection(&self) -> Result<ConnectionId> {
        self.dialer.as_ref().and_then(DialerHandle::connection_id).context("not connected")
    }
}
