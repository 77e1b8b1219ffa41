//! One socket: frames from the phone to the hub, frames from the hub to the phone. Keeps the limits on silence
//! and size; decides nothing.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use shared::id::DeviceId;
use shared::limits;
use shared::protocol::{self, ClientFrame, Goodbye, ServerFrame};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use crate::clock;
use crate::http::App;
use crate::http::accept::ConnectionPermit;
use crate::http::error::ApiError;
use crate::http::identity;
use crate::hub::{Identity, Outgoing, Session, Transport};

/// Bytes that one socket buffers in each direction before it writes or parses: an acknowledgement and the page
/// after it leave together. Frames larger than this still pass; 1,000 idle sockets hold 2 × 4 MiB and not the
/// 256 MiB of the default.
const BUFFER_BYTES: usize = 4 * 1024;

/// Bytes of one frame of the socket's own protocol; a longer message leaves in several (SEC-19). What the socket has
/// copied of it to write is kept as long as the socket lives, a frame's worth and not a page's or a document's.
const PART_BYTES: usize = 16 * 1024;

type Socket = WebSocketStream<TokioIo<Upgraded>>;
type SocketError = tokio_tungstenite::tungstenite::Error;

/// How long the phone may take nothing of what is written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// `GET /sync/ws`. Nobody is asked for a token here: the ticket travels in the first frame, where no log of
/// addresses and no browser history sees it.
pub async fn open(
    State(app): State<App>,
    permit: Option<Extension<ConnectionPermit>>,
    mut request: Request,
) -> Response {
    let Ok(response) = create_response_with_body(&request, Body::empty) else {
        return ApiError::Malformed.into_response();
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(settings()));
        let socket = socket.await;
        metrics::gauge!("daybook_sockets").increment(1);
        // The larger future of the first frame is gone before the long life of the socket begins.
        if let Some((socket, session, device)) = Box::pin(begin(&app, socket)).await {
            run(&app, socket, session, device).await;
        }
        metrics::gauge!("daybook_sockets").decrement(1);
        drop(permit);
    });
    response
}

fn settings() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(4 * PART_BYTES)
        .max_message_size(Some(limits::FRAME_BYTES_MAX))
        .max_frame_size(Some(limits::FRAME_BYTES_MAX))
}

/// How long a socket that ends for a malformed frame is held at most.
const MALFORMED_WAIT: Duration = Duration::from_secs(2);

/// Takes the hello and opens the session.
async fn begin(app: &App, mut socket: Socket) -> Option<(Socket, Session, DeviceId)> {
    let first = match timeout(Duration::from_millis(app.config.hello_ms), socket.next()).await {
        Ok(Some(Ok(Message::Binary(frame)))) => frame,
        _ => {
            end(socket, Goodbye::Malformed).await;
            return None;
        }
    };
    let identity = match authenticate(app, &first).await {
        Ok(identity) => identity,
        Err(why) => {
            metrics::counter!("daybook_sockets_refused_total").increment(1);
            end(socket, why).await;
            return None;
        }
    };
    let Ok(session) = app.hub.open(identity, Transport::Live) else {
        end(socket, Goodbye::ShuttingDown).await;
        return None;
    };
    session.submit(first.to_vec()).await.ok()?;
    Some((socket, session, identity.device))
}

async fn authenticate(app: &App, first: &Bytes) -> Result<Identity, Goodbye> {
    let Ok(ClientFrame::Hello(hello)) = protocol::decode_client_frame(first) else {
        return Err(Goodbye::Malformed);
    };
    let ticket = hello.ticket.ok_or(Goodbye::Unauthenticated)?;
    let taken = app.tickets.take(&ticket, clock::monotonic_ms());
    let (person, device) = taken.ok_or(Goodbye::Unauthenticated)?;
    // Between the drawing of the ticket and now the device may have been revoked.
    match identity::look_up(app, person, device).await {
        Ok(caller) => Ok(caller.identity()),
        Err(ApiError::Refused(_)) => Err(Goodbye::Revoked),
        Err(ApiError::Unavailable | ApiError::StoreUnavailable) => Err(Goodbye::Overloaded),
        Err(_) => Err(Goodbye::Unauthenticated),
    }
}

async fn run(app: &App, mut socket: Socket, mut session: Session, device: DeviceId) {
    let silence = Duration::from_millis(app.config.silence_ms);
    let mut heard = tokio::time::Instant::now();
    // While the device atones for what it sent it is not listened to; what is for it goes out all the same.
    let mut atoning: Option<BoxFuture<'_, ()>> = None;
    loop {
        tokio::select! {
            outgoing = session.receive() => {
                let Some(outgoing) = outgoing else { return end(socket, Goodbye::ShuttingDown).await };
                match timeout(WRITE_TIMEOUT, write_all(&mut socket, &mut session, outgoing)).await {
                    Ok(Ok(Written { goodbye: None, offences: 0 })) => {}
                    Ok(Ok(Written { goodbye: None, offences })) => {
                        let before = atoning.take();
                        atoning = Some(Box::pin(async move {
                            if let Some(before) = before {
                                before.await;
                            }
                            app.conduct.atone(device, offences).await;
                        }));
                    }
                    Ok(Ok(Written { goodbye: Some(why), .. })) => {
                        if why == Goodbye::Malformed {
                            // It may dial again at once: it is let go no sooner than the others are heard.
                            let _ = timeout(MALFORMED_WAIT, app.conduct.atone(device, 1)).await;
                        }
                        return end(socket, why).await;
                    }
                    Ok(Err(_)) | Err(_) => return,
                }
            }
            () = forgiven(&mut atoning), if atoning.is_some() => atoning = None,
            message = socket.next(), if atoning.is_none() => {
                heard = tokio::time::Instant::now();
                match message {
                    Some(Ok(Message::Binary(frame))) => {
                        if session.submit(frame.to_vec()).await.is_err() {
                            return end(socket, Goodbye::ShuttingDown).await;
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Text(_))) => return end(socket, Goodbye::Malformed).await,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                }
            }
            () = tokio::time::sleep_until(heard + silence) => return,
        }
    }
}

/// Waits until the device may be listened to again.
async fn forgiven(atoning: &mut Option<BoxFuture<'_, ()>>) {
    match atoning {
        Some(atoning) => atoning.await,
        None => std::future::pending().await,
    }
}

/// What was written, or was to be.
struct Written {
    /// The goodbye with which the socket ends.
    goodbye: Option<Goodbye>,
    /// What the device has to answer for.
    offences: u32,
}

/// Writes a frame and all that wait behind it.
async fn write_all(
    socket: &mut Socket,
    session: &mut Session,
    first: Outgoing,
) -> Result<Written, SocketError> {
    let mut next = Some(first);
    let mut written = Written { goodbye: None, offences: 0 };
    let mut pages = 0;
    while let Some(outgoing) = next {
        match outgoing {
            Outgoing::Frame(frame) => feed(socket, frame).await?,
            Outgoing::Page(page) => {
                feed(socket, page).await?;
                pages += 1;
            }
            Outgoing::Offences(count) => written.offences = written.offences.saturating_add(count),
            Outgoing::Goodbye(why) => written.goodbye = Some(why),
        }
        next = if written.goodbye.is_none() { session.receive_waiting() } else { None };
    }
    socket.flush().await?;
    for _ in 0..pages {
        session.flushed();
    }
    Ok(written)
}

/// Gives the socket a message, cut into frames (SEC-19).
async fn feed(socket: &mut Socket, mut message: Bytes) -> Result<(), SocketError> {
    if message.len() <= PART_BYTES {
        return socket.feed(Message::Binary(message)).await;
    }
    let mut kind = Data::Binary;
    while !message.is_empty() {
        let part = message.split_to(PART_BYTES.min(message.len()));
        let frame = Frame::message(part, OpCode::Data(kind), message.is_empty());
        socket.feed(Message::Frame(frame)).await?;
        kind = Data::Continue;
    }
    Ok(())
}

/// Says that the phone does not take what is written.
struct Stuck;

async fn write(socket: &mut Socket, frame: Bytes) -> Result<(), Stuck> {
    match timeout(WRITE_TIMEOUT, socket.send(Message::Binary(frame))).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Stuck),
    }
}

async fn end(mut socket: Socket, why: Goodbye) {
    let frame = protocol::encode(&ServerFrame::Goodbye(why));
    if write(&mut socket, frame.into()).await.is_ok() {
        let close = Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }));
        let _ = timeout(WRITE_TIMEOUT, socket.send(close)).await;
    }
}
