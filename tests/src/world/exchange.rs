//! One-shot exchanges: a phone's first frames travel in one `POST /sync`, are served one after another, and the
//! connection ends with the last answer. What the phone says later goes nowhere; it dials again.

use std::collections::VecDeque;

use server::hub::{Identity, SessionId, Transport};
use shared::protocol::{ClientFrame, ServerFrame, decode_client_frame, decode_server_frame};

use crate::fault::Fault;
use crate::model::Violation;
use crate::world::World;
use crate::world::network::Direction;
use crate::world::server::Work;

/// A request in work.
#[derive(Debug, Default)]
pub struct Exchange {
    waiting: VecDeque<Vec<u8>>,
    last: Option<LastAnswer>,
}

/// With what the answers to a frame end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastAnswer {
    Page,
    Ack,
    Pong,
}

impl LastAnswer {
    fn of(frame: &[u8]) -> Option<Self> {
        match decode_client_frame(frame).ok()? {
            ClientFrame::Hello(_) | ClientFrame::Pull(_) | ClientFrame::Digests(_) => Some(LastAnswer::Page),
            ClientFrame::Push(_) => Some(LastAnswer::Ack),
            ClientFrame::Ping(..) => Some(LastAnswer::Pong),
        }
    }

    fn is(self, frame: &ServerFrame) -> bool {
        match frame {
            ServerFrame::Page(_) => self == LastAnswer::Page,
            ServerFrame::Ack(_) => self == LastAnswer::Ack,
            ServerFrame::Pong(_) => self == LastAnswer::Pong,
            ServerFrame::Welcome(_) | ServerFrame::WantDigests | ServerFrame::Goodbye(_) => false,
        }
    }
}

/// The frames of a body: a CBOR sequence.
pub fn split(body: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let mut decoder = minicbor::Decoder::new(rest);
        if decoder.skip().is_err() {
            break;
        }
        let (frame, after) = rest.split_at(decoder.position());
        frames.push(frame.to_vec());
        rest = after;
    }
    frames
}

impl World {
    /// What the phone said when it was connected leaves as one request.
    pub fn send_request(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(frames) = connection.request.take() else { return };
        self.put_on_wire(id, Direction::Up, frames.concat());
    }

    /// A request has arrived, for the first time or again. One that comes again is served for nobody.
    pub fn begin_exchange(&mut self, id: u64, identity: Identity, body: &[u8]) -> Result<(), Violation> {
        let connection = if self.session_of(id).is_none() { id } else { 0 };
        let session = self.add_session(connection, identity);
        let waiting = split(body).into();
        self.server.exchanges.insert(session, Exchange { waiting, last: None });
        self.with_hub(|hub, now| hub.handle_open(now, session, identity, Transport::OneShot))?;
        self.go_on_with_exchange(session)
    }

    /// The next frame of a request is served, or the exchange is over.
    pub fn go_on_with_exchange(&mut self, session: SessionId) -> Result<(), Violation> {
        let Some(exchange) = self.server.exchanges.get_mut(&session) else { return Ok(()) };
        if let Some(frame) = exchange.waiting.pop_front() {
            exchange.last = LastAnswer::of(&frame);
            self.remember_push(session, &frame);
            self.with_hub(|hub, now| hub.handle_frame(now, session, &frame))?;
            return Ok(());
        }
        self.faults.count(Fault::OneShotExchange);
        self.server.exchanges.remove(&session);
        self.close_session(session);
        self.with_hub(|hub, now| hub.handle_close(now, session))?;
        Ok(())
    }

    /// An answer has left: if it was the last one to a frame of a request, the next frame's turn comes.
    pub fn note_answer(&mut self, session: SessionId, bytes: &[u8]) {
        let Some(last) = self.server.exchanges.get(&session).and_then(|exchange| exchange.last) else {
            return;
        };
        if decode_server_frame(bytes).is_ok_and(|frame| last.is(&frame)) {
            if let Some(exchange) = self.server.exchanges.get_mut(&session) {
                exchange.last = None;
            }
            self.plan_work(Work::NextFrame(session), 5);
        }
    }
}
