//! The accept loop: a cap on connections, a limit on silence before the first byte and on slow headers,
//! and a shutdown that lets running requests finish. Knows nothing of routes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;
use tower::ServiceExt;

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Silence after connecting.
    pub first_byte: Duration,
    /// From the beginning of a request's head to its end, and between two requests of one connection.
    pub head: Duration,
    /// How long running requests may take after a stop was asked for.
    pub drain: Duration,
}

/// Bytes that hyper buffers of a request's head; larger heads are refused.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long an answer may wait unread.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The caller's address, as the socket has it.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// Serves connections until `stop` becomes true, then drains. A connection beyond the permits of `connections`
/// is closed unanswered; a socket keeps its permit until it ends.
pub async fn accept(
    listener: TcpListener,
    router: Router,
    connections: Arc<Semaphore>,
    limits: ConnectionLimits,
    mut stop: watch::Receiver<bool>,
) {
    // Every connection holds a sender; when the last is dropped, `drained` says so.
    let (running, mut drained) = mpsc::channel::<()>(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopping| *stopping) => break,
        };
        match accepted {
            Ok((stream, peer)) => match connections.clone().try_acquire_owned() {
                Ok(permit) => {
                    let guards = Guards { permit, _running: running.clone() };
                    tokio::spawn(serve(stream, peer, guards, router.clone(), limits, stop.clone()));
                }
                Err(_) => metrics::counter!("daybook_connections_refused_total").increment(1),
            },
            // Out of file descriptors, most likely: accepting again at once would spin.
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    drop(running);
    if timeout(limits.drain, drained.recv()).await.is_err() {
        tracing::warn!("some connections did not finish in time");
    }
}

struct Guards {
    permit: OwnedSemaphorePermit,
    _running: mpsc::Sender<()>,
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    guards: Guards,
    router: Router,
    limits: ConnectionLimits,
    mut stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    // Against those who ask and never read: the kernel gives the connection up when nothing that was written
    // gets through for so long. Where it cannot be set, the other limits still hold.
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD_TIMEOUT));
    let mut first = [0];
    // The kernel keeps the byte: `peek` only waits for it.
    match timeout(limits.first_byte, stream.peek(&mut first)).await {
        Ok(Ok(1..)) => {}
        _ => return,
    }
    let permit = Arc::new(guards.permit);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer.ip()));
        // An upgraded socket outlives this connection's future and holds the permit on.
        request.extensions_mut().insert(ConnectionPermit(permit.clone()));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    // Broken pipes and malformed requests are the caller's affair: the result says nothing to us.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stopping| *stopping) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Counts the connection as open for as long as a copy lives.
#[derive(Clone)]
pub struct ConnectionPermit(#[allow(dead_code, reason = "held for its drop")] Arc<OwnedSemaphorePermit>);
