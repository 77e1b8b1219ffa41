//! The driver of `shared::client` on a folder: one `match` over its outputs. Edits and questions need no
//! server; [`Phone::run`] connects the machine to one.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use shared::client::{Client, Disconnect, Output};
use shared::time::Now;
use shared::view::{Answer, Query, StatusView};

use crate::clock;
use crate::device::link::{Line, Link, Received};
use crate::store::phone::PhoneStore;

/// One phone: the machine and its disk.
pub struct Phone {
    client: Client,
    /// The folder.
    pub store: PhoneStore,
    frames: VecDeque<Vec<u8>>,
    wants: Wants,
}

#[derive(Default)]
struct Wants {
    dial: bool,
    hang_up: bool,
    changed: bool,
}

/// What [`Phone::run`] does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Stay connected.
    Continue,
    /// Return.
    Stop,
}

impl Phone {
    /// Opens the phone in the folder; a fresh folder is a fresh phone.
    ///
    /// # Errors
    /// The folder is in use, damaged or of newer software.
    pub fn open(dir: &Path) -> Result<Phone> {
        let store = PhoneStore::open(dir).with_context(|| format!("phone folder {}", dir.display()))?;
        let client = Client::open(clock::now(), clock::entropy(), store.rows()?)?;
        let mut phone = Phone { client, store, frames: VecDeque::new(), wants: Wants::default() };
        phone.drain()?;
        Ok(phone)
    }

    /// Calls one `handle_*` of the machine and carries out what it asks for. What the machine wanted stored
    /// is on disk when this returns.
    ///
    /// # Errors
    /// The disk failed. What the machine accepted may not be kept: the process must say so and end.
    pub fn act<R>(&mut self, handle: impl FnOnce(&mut Client, Now) -> R) -> Result<R> {
        let result = handle(&mut self.client, clock::now());
        self.drain()?;
        Ok(result)
    }

    fn drain(&mut self) -> Result<()> {
        loop {
            let mut stored = Vec::new();
            while let Some(output) = self.client.poll_output() {
                match output {
                    Output::Store(write) => {
                        self.store.write(&write)?;
                        stored.push(write.id);
                    }
                    Output::Send(frame) => self.frames.push_back(frame),
                    Output::Dial => self.wants.dial = true,
                    Output::HangUp => {
                        self.wants.hang_up = true;
                        self.frames.clear();
                    }
                    Output::Changed => self.wants.changed = true,
                }
            }
            if stored.is_empty() {
                return Ok(());
            }
            for id in stored {
                self.client.handle_stored(clock::now(), id);
            }
        }
    }

    /// Asks the machine.
    pub fn query(&mut self, query: &Query) -> Answer {
        self.client.query(clock::now(), query)
    }

    /// Where the phone stands.
    pub fn status(&mut self) -> StatusView {
        match self.query(&Query::Status) {
            Answer::Status(status) => status,
            other => unreachable!("a status answers a status query, not {other:?}"),
        }
    }

    /// The machine itself, for what neither stores nor sends.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Connects, exchanges frames, connects again when the connection breaks, until `step` says stop.
    /// `step` is asked after every exchange and at least every `tick`; it hears whether something changed.
    ///
    /// # Errors
    /// The disk failed.
    pub fn run(
        &mut self,
        link: &mut Link,
        tick: Duration,
        mut step: impl FnMut(&mut Phone, bool) -> Result<Flow>,
    ) -> Result<()> {
        let mut socket: Option<Line> = None;
        self.act(|client, now| client.handle_nudge(now))?;
        loop {
            if std::mem::take(&mut self.wants.hang_up) {
                socket = None;
            }
            if std::mem::take(&mut self.wants.dial) && socket.is_none() {
                socket = self.dial(link)?;
            }
            if let Some(open) = &mut socket
                && open.send(&mut self.frames).is_err()
            {
                socket = None;
                self.act(|client, now| client.handle_disconnected(now, Disconnect::Lost))?;
            }
            let changed = std::mem::take(&mut self.wants.changed);
            if step(self, changed)? == Flow::Stop {
                if let Some(open) = &mut socket {
                    open.close();
                }
                return Ok(());
            }
            self.wait(&mut socket, tick)?;
        }
    }

    fn dial(&mut self, link: &mut Link) -> Result<Option<Line>> {
        match link.connect(&mut self.store) {
            Ok((socket, ticket)) => {
                self.act(|client, now| client.handle_connected(now, ticket))?;
                Ok(Some(socket))
            }
            Err(why) => {
                self.act(|client, now| client.handle_disconnected(now, why))?;
                Ok(None)
            }
        }
    }

    /// Waits for a frame, the machine's timer or the tick, whichever comes first.
    fn wait(&mut self, socket: &mut Option<Line>, tick: Duration) -> Result<()> {
        if self.wants.dial || self.wants.hang_up || self.wants.changed || !self.frames.is_empty() {
            return Ok(());
        }
        let now_ms = clock::monotonic_ms();
        let due = self.client.poll_timeout();
        let until_due = due.map_or(tick, |at| Duration::from_millis(at.saturating_sub(now_ms)));
        let pause = until_due.min(tick);
        match socket {
            // Nothing to hear from: the pause is the machine's own, until its next timeout.
            None => std::thread::park_timeout(pause),
            Some(open) => match open.receive(pause) {
                Received::Frame(frame) => self.act(|client, now| client.handle_frame(now, &frame))?,
                Received::Nothing => {}
                Received::Closed => {
                    *socket = None;
                    self.act(|client, now| client.handle_disconnected(now, Disconnect::Lost))?;
                }
            },
        }
        if self.client.poll_timeout().is_some_and(|at| at <= clock::monotonic_ms()) {
            self.act(|client, now| client.handle_timeout(now))?;
        }
        Ok(())
    }
}
