//! `slow_readers_100`: a hundred managers read a kilobyte a second while others watch the same reps; what
//! those others notice of it.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use daybook_tests::witness::Witness;
use futures_util::{SinkExt, StreamExt};
use shared::document::SCHEMA_VERSION;
use shared::protocol::{self, ClientFrame, Hello, PROTOCOL_VERSION, PendingCounts};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::{desk, dial, first_customer, judge, log_in, watch};
use crate::documents::Phrases;
use crate::figures::{Figures, percentile};
use crate::phone::{Phone, milliseconds};
use crate::server::{Role, Site};

const SOCKETS_EACH: usize = 5;
const WATCHERS: usize = 40;
const SLOW: usize = 20;
/// Commits of a phase, and the time between two.
const COMMITS: usize = 400;
const PACE: Duration = Duration::from_millis(50);

/// # Errors
/// If the server fails or refuses, a healthy socket misses a commit, or an invariant does not hold afterwards.
pub async fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    let site = Site::new(binary).await?;
    site.add("rep", Role::Rep).await?;
    for number in 0..WATCHERS {
        site.add(&format!("watcher{number}"), Role::Manager).await?;
    }
    for number in 0..SLOW {
        site.add(&format!("slow{number}"), Role::Manager).await?;
    }
    desk::hire(&site).await?;
    let server = site.serve().await?;
    let witness = Arc::new(Witness::default());
    let mut rep = log_in(&server.address, std::iter::once("rep".to_owned()), &witness).await?.remove(0);
    dial(&mut rep, &server.address).await?;
    let (customer, scope) = first_customer(&mut rep, 0).await?;
    let over = Arc::new(AtomicBool::new(false));
    let listeners = desk::listen(&server.address, &witness, &over).await?;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let names = (0..WATCHERS * SOCKETS_EACH).map(|socket| format!("watcher{}", socket / SOCKETS_EACH));
    let watchers = log_in(&server.address, names, &witness).await?;
    let healthy = watchers.len();
    for mut phone in watchers {
        dial(&mut phone, &server.address).await?;
        watch(phone.socket.take().context("connected")?, arrived.clone());
    }
    let names = (0..SLOW * SOCKETS_EACH).map(|socket| format!("slow{}", socket / SOCKETS_EACH));
    let slow = log_in(&server.address, names, &witness).await?;

    let before = phase(&mut rep, customer, scope, healthy, 0, &mut arrivals).await?;
    let resident = server.resident_bytes()?;
    let mut readers = Vec::new();
    for phone in slow {
        readers.push(tokio::spawn(read_slowly(server.address.clone(), phone)));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let beside = phase(&mut rep, customer, scope, healthy, COMMITS, &mut arrivals).await?;
    let grown = server.resident_bytes()?.saturating_sub(resident);
    let still_open = readers.iter().filter(|reader| !reader.is_finished()).count();
    let without = percentile(&before, 0.99);
    let with = percentile(&beside, 0.99);
    figures.add("slow_readers_100", "p99_ms_without", without);
    figures.add("slow_readers_100", "p99_ms", with);
    figures.add("slow_readers_100", "p99_ratio", with / without);
    figures.add("slow_readers_100", "slow_still_open", still_open as f64);
    figures.add("slow_readers_100", "kib_per_slow_reader", grown as f64 / 1024.0 / readers.len() as f64);
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    over.store(true, Ordering::Relaxed);
    for listener in listeners {
        listener.await??;
    }
    judge(&site, server, &witness, "slow_readers_100", figures).await
}

/// Commits visits at a steady pace; the time until each of the healthy sockets had each of them.
async fn phase(
    rep: &mut Phone,
    customer: shared::id::DocId,
    scope: shared::id::Scope,
    healthy: usize,
    first: usize,
    arrivals: &mut mpsc::UnboundedReceiver<(shared::id::DocId, Instant)>,
) -> Result<Vec<f64>> {
    let phrases = Phrases::load();
    let mut times = Vec::with_capacity(COMMITS * healthy);
    let mut begun = std::collections::HashMap::new();
    let mut tick = tokio::time::interval(PACE);
    for number in first..first + COMMITS {
        tick.tick().await;
        let visit = rep.entropy.doc_id();
        let items = rep.edit(&phrases.visit(visit, customer, number), scope)?;
        rep.forget(visit);
        begun.insert(visit, Instant::now());
        rep.push_all(items).await?;
    }
    while times.len() < COMMITS * healthy {
        let next = tokio::time::timeout(Duration::from_secs(60), arrivals.recv()).await;
        let (doc, at) = next.context("a healthy socket misses a commit")?.context("the sockets are open")?;
        let since = begun.get(&doc).context("a document of another phase came")?;
        times.push(milliseconds(at.duration_since(*since)));
    }
    ensure!(arrivals.is_empty(), "nothing comes twice");
    Ok(times)
}

/// A stream that gives a kilobyte a second.
struct Throttled {
    stream: TcpStream,
    left: usize,
    until: Pin<Box<Sleep>>,
}

const BYTES_A_SECOND: usize = 1000;

impl AsyncRead for Throttled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            std::task::ready!(self.until.as_mut().poll(context));
            self.until.as_mut().reset(Instant::now() + Duration::from_secs(1));
            self.left = BYTES_A_SECOND;
        }
        let mut part = buffer.take(self.left);
        let result = std::task::ready!(Pin::new(&mut self.stream).poll_read(context, &mut part));
        let count = part.filled().len();
        // The part is the buffer's own memory, just after what was filled before.
        buffer.advance(count);
        self.left -= count;
        Poll::Ready(result)
    }
}

impl AsyncWrite for Throttled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Dials, says hello, and reads a kilobyte a second, asking on when a page says that there is more.
pub async fn read_slowly(address: String, phone: Phone) -> Result<()> {
    let ticket = phone.account.ticket(&address).await?;
    let mut tap = phone.tap();
    let socket = TcpSocket::new_v4()?;
    // A phone on a weak net has a small window; the kernel's own would swallow minutes of it.
    socket.set_recv_buffer_size(4096)?;
    let stream = socket.connect(address.parse()?).await?;
    let until = Box::pin(tokio::time::sleep(Duration::ZERO));
    let throttled = Throttled { stream, left: BYTES_A_SECOND, until };
    let (mut socket, _) = client_async(format!("ws://{address}/sync/ws"), throttled).await?;
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        schema: SCHEMA_VERSION,
        ticket: Some(ticket.into()),
        incarnation: None,
        cursor: None,
        pending: PendingCounts::default(),
        digest: None,
        software: "daybook/0.1.0".to_owned(),
    };
    socket.send(Message::Binary(protocol::encode(&ClientFrame::Hello(hello)).into())).await?;
    while let Some(message) = socket.next().await {
        let Message::Binary(bytes) = message? else { continue };
        if let Some(tap) = &mut tap {
            tap.heard(&bytes);
        }
        if let protocol::ServerFrame::Page(page) = protocol::decode_server_frame(&bytes)?
            && page.more
        {
            let pull = protocol::encode(&ClientFrame::Pull(page.cursor));
            socket.send(Message::Binary(pull.into())).await?;
        }
    }
    Ok(())
}
