//! A phone for the client's own tests: the machine, its rows, a clock, and a socket to the small hub. It can
//! lose its power before or after any output.

use std::collections::BTreeMap;

use super::hub::Hub;
use crate::client::*;
use crate::edit::{Patch, Value};
use crate::ledger::Role;
use crate::protocol::*;
use crate::time::UtcMillis;
use crate::view::{RefusedView, StatusView, SyncState};

pub(super) fn person(number: u8, role: Role) -> Person {
    Person { id: PersonId([number; 16]), name: format!("人{number}"), role, team: None, active: true }
}

pub(super) fn patch<const N: usize>(fields: [(&str, &str); N]) -> Patch {
    fields.into_iter().map(|(path, value)| (path.to_owned(), Value::from(value))).collect()
}

pub(super) fn card(customer: DocId, name: &str) -> Edit {
    Edit::CreateCustomer { customer, fields: patch([("name", name)]) }
}

pub(super) fn visit(visit: DocId, customer: DocId, record: &str) -> Edit {
    Edit::CreateVisit { visit, customer, fields: patch([("record", record)]) }
}

pub(super) fn address(customer: DocId, address: &str) -> Edit {
    Edit::EditCustomer { customer, fields: patch([("address", address)]) }
}

/// What the phone's store does with writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Disk {
    Works,
    /// Reports failure; nothing is written.
    Fails,
    /// Says nothing; nothing is written.
    Hangs,
}

/// Lets phones talk with one hub, in turns, until none has anything left to do.
pub(super) fn sync_all(phones: &mut [&mut Phone], hub: &mut Hub) {
    for _ in 0..200 {
        let rest: Vec<bool> = phones.iter_mut().map(|phone| phone.step(hub)).collect();
        if rest.iter().all(|is_settled| *is_settled) {
            return;
        }
    }
    panic!("the phones never settle: {:?}", phones[0].status());
}

pub(super) struct Phone {
    pub(super) client: Client,
    pub(super) rows: BTreeMap<String, Vec<u8>>,
    pub(super) person: Person,
    pub(super) disk: Disk,
    /// Whether a dial reaches the hub.
    pub(super) network: bool,
    pub(super) connected: bool,
    pub(super) wall: i64,
    pub(super) monotonic: u64,
    openings: u8,
    seed: u8,
    /// Outputs until the power goes; the write or frame at that moment is lost if `crash_before`.
    pub(super) crash_after: Option<u32>,
    pub(super) crash_before: bool,
    /// Whether the network is gone after a crash.
    pub(super) wakes_offline: bool,
    pub(super) crashes: u32,
    pub(super) outputs: Vec<Output>,
    /// Answers of the hub that get lost on the way.
    pub(super) drop_frames: u32,
}

impl Phone {
    pub(super) fn new(seed: u8, person: Person) -> Phone {
        let now = Now { wall: UtcMillis(1_764_000_000_000), monotonic_ms: 0, offset_minutes: 480 };
        let client = Client::open(now, Entropy::from_seed([seed; 32]), Vec::new()).expect("no rows");
        let mut phone = Phone {
            client,
            rows: BTreeMap::new(),
            person: person.clone(),
            disk: Disk::Works,
            network: true,
            connected: false,
            wall: now.wall.0,
            monotonic: 0,
            openings: 0,
            seed,
            crash_after: None,
            crash_before: false,
            wakes_offline: false,
            crashes: 0,
            outputs: Vec::new(),
            drop_frames: 0,
        };
        phone.login();
        phone
    }

    fn login(&mut self) {
        let device = DeviceId([self.seed; 16]);
        let profile = Profile { person: self.person.clone(), team: None, device, server: "test".to_owned() };
        self.client.handle_login(self.now(), profile);
    }

    pub(super) fn now(&self) -> Now {
        Now { wall: UtcMillis(self.wall), monotonic_ms: self.monotonic, offset_minutes: 480 }
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.wall += ms as i64;
        self.monotonic += ms;
    }

    /// The power goes and comes back.
    pub(super) fn reopen(&mut self) {
        self.openings += 1;
        self.connected = false;
        self.monotonic = 0;
        let mut seed = [self.seed; 32];
        seed[1] = self.openings;
        let rows = self.rows.clone().into_iter().collect();
        self.client = Client::open(self.now(), Entropy::from_seed(seed), rows).expect("our own rows");
        if self.client.profile().is_none() {
            // The power went before the login was on disk: the person logs in again.
            self.login();
        }
    }

    /// Lets the phone and the hub talk until neither has anything to say.
    pub(super) fn run(&mut self, hub: &mut Hub) {
        for _ in 0..5_000 {
            let Some(output) = self.client.poll_output() else { return };
            self.outputs.push(output.clone());
            let is_crash = self.crash_after.as_mut().is_some_and(|left| {
                *left = left.saturating_sub(1);
                *left == 0
            });
            if is_crash {
                self.crash_after = None;
                self.crashes += 1;
                self.network &= !self.wakes_offline;
                if !self.crash_before {
                    self.perform_blindly(output, hub);
                }
                self.reopen();
                continue;
            }
            self.perform(output, hub);
        }
        panic!("the phone never comes to rest: {:?}", &self.outputs[self.outputs.len() - 20..]);
    }

    /// Carries out an output whose effect the phone will not hear of.
    fn perform_blindly(&mut self, output: Output, hub: &mut Hub) {
        match output {
            Output::Store(write) => self.write(&write),
            Output::Send(bytes) => drop(self.serve(hub, &bytes)),
            Output::Dial | Output::HangUp | Output::Changed => {}
        }
    }

    fn write(&mut self, write: &Write) {
        for (key, bytes) in &write.puts {
            self.rows.insert(key.clone(), bytes.clone());
        }
        for key in &write.deletes {
            self.rows.remove(key);
        }
    }

    fn perform(&mut self, output: Output, hub: &mut Hub) {
        match output {
            Output::Store(write) => match self.disk {
                Disk::Works => {
                    self.write(&write);
                    self.client.handle_stored(self.now(), write.id);
                }
                Disk::Fails => self.client.handle_store_failed(self.now(), write.id),
                Disk::Hangs => {}
            },
            Output::Dial if self.network => {
                self.connected = true;
                self.client.handle_connected(self.now(), Some(vec![1, 2, 3]));
            }
            Output::Dial => {}
            Output::HangUp => self.connected = false,
            Output::Send(bytes) => {
                for frame in self.serve(hub, &bytes) {
                    if self.drop_frames > 0 {
                        self.drop_frames -= 1;
                    } else if self.connected {
                        self.client.handle_frame(self.now(), &encode(&frame));
                    }
                }
            }
            Output::Changed => {}
        }
    }

    fn serve(&mut self, hub: &mut Hub, bytes: &[u8]) -> Vec<ServerFrame> {
        match decode_client_frame(bytes).expect("the phone's frames are well-formed") {
            ClientFrame::Hello(hello) => {
                let (time, incarnation, settings) = (hub.time, hub.incarnation, hub.settings);
                let welcome = Welcome { protocol: 1, time, incarnation, settings };
                let cursor = hello.cursor.filter(|_| hello.incarnation == Some(hub.incarnation));
                vec![ServerFrame::Welcome(welcome), hub.page(self.person.id, cursor)]
            }
            ClientFrame::Push(push) => vec![hub.push(self.person.id, push)],
            ClientFrame::Pull(cursor) => vec![hub.page(self.person.id, Some(cursor))],
            ClientFrame::Ping(..) => vec![ServerFrame::Pong(hub.time)],
            ClientFrame::Digests(_) => Vec::new(),
        }
    }

    /// The hub has something new: it sends the page after the phone's cursor.
    pub(super) fn live(&mut self, hub: &mut Hub) {
        assert!(self.connected, "a page needs a socket");
        let cursor = self.client.meta.cursor.clone();
        let page = hub.page(self.person.id, cursor);
        self.client.handle_frame(self.now(), &encode(&page));
        self.run(hub);
    }

    /// Everything that comes with time: redials, retries. Ends when the phone is settled.
    pub(super) fn sync(&mut self, hub: &mut Hub) {
        sync_all(&mut [self], hub);
    }

    /// Talks with the hub, then lets time pass until something is due. True if nothing is left to do.
    fn step(&mut self, hub: &mut Hub) -> bool {
        self.run(hub);
        if self.connected && self.client.redial.is_open() {
            self.live(hub);
        }
        if self.client.is_settled() {
            return true;
        }
        let due = self.client.poll_timeout().unwrap_or(self.monotonic + 1_000);
        self.pass(due.saturating_sub(self.monotonic).max(1));
        self.client.handle_timeout(self.now());
        false
    }

    pub(super) fn disconnect(&mut self, hub: &mut Hub) {
        self.connected = false;
        self.network = false;
        self.client.handle_disconnected(self.now(), Disconnect::Lost);
        self.run(hub);
    }

    pub(super) fn edit(&mut self, edit: Edit) -> EditId {
        self.pass(10);
        self.client.handle_edit(self.now(), edit).expect("the rules allow it")
    }

    pub(super) fn status(&mut self) -> StatusView {
        match self.client.query(self.now(), &Query::Status) {
            Answer::Status(status) => status,
            _ => unreachable!("a status answers a status"),
        }
    }

    pub(super) fn refused(&mut self) -> Vec<RefusedView> {
        match self.client.query(self.now(), &Query::Refused) {
            Answer::Refused(refused) => refused,
            _ => unreachable!("refused edits answer"),
        }
    }

    pub(super) fn customers(&mut self) -> Vec<crate::view::CustomerRow> {
        match self.client.query(self.now(), &Query::Customers { search: String::new(), limit: 1_000 }) {
            Answer::Customers(customers) => customers,
            _ => unreachable!("customers answer"),
        }
    }

    pub(super) fn sync_state(&mut self, doc: DocId) -> SyncState {
        self.client.sync_of(doc, views::Moment::Present)
    }

    /// A field of a document as the person sees it.
    pub(super) fn text(&mut self, doc: DocId, key: &str) -> Option<String> {
        self.client.open_document(doc)?.text_of(key)
    }

    pub(super) fn sent_pushes(&self) -> usize {
        let is_push = |output: &Output| match output {
            Output::Send(bytes) => matches!(decode_client_frame(bytes), Ok(ClientFrame::Push(_))),
            _ => false,
        };
        self.outputs.iter().filter(|output| is_push(output)).count()
    }
}
