//! Phones and the hub in one thread, at a time that the story sets. Nothing waits for a real clock.

use std::collections::VecDeque;

use shared::client::{Client, Disconnect, EditId, Output as ClientOutput, Profile};
use shared::edit::Edit;
use shared::entropy::Entropy;
use shared::id::{DeviceId, RequestId};
use shared::ledger::{Command, Person, Team};
use shared::protocol::PendingCounts;
use shared::refusal::Refusal;
use shared::time::{Now, UtcMillis};

use crate::admission::InProcess;
use crate::hub::{Administration, AdministrationFailure, Hub, Identity, Output, SessionId, Transport};
use crate::store::{DeviceRow, SqliteStore, StoreFailure};

/// China's clock.
const OFFSET_MINUTES: i32 = 480;

/// One phone.
struct Phone {
    client: Client,
    identity: Identity,
    session: Option<SessionId>,
    online: bool,
}

/// Phones, the hub and the time.
pub struct World {
    hub: Hub<SqliteStore>,
    phones: Vec<Phone>,
    begin: UtcMillis,
    time: UtcMillis,
    session_next: u64,
    /// What the hub sent and nobody has read yet.
    mail: VecDeque<Output>,
}

impl World {
    /// A hub on a store, at a time.
    ///
    /// # Errors
    /// The store's.
    pub fn new(store: SqliteStore, begin: UtcMillis) -> Result<Self, StoreFailure> {
        Ok(Self {
            hub: Hub::new(store)?,
            phones: Vec::new(),
            begin,
            time: begin,
            session_next: 1,
            mail: VecDeque::new(),
        })
    }

    /// Ends the world and gives the store back.
    pub fn into_store(mut self) -> SqliteStore {
        for number in 0..self.phones.len() {
            self.go_offline(number);
        }
        // Signs of life are written with the next upkeep.
        self.hub.handle_timeout(UtcMillis(self.time.0 + 60_000));
        self.settle_hub();
        self.hub.into_store()
    }

    /// The present moment.
    pub fn now(&self) -> Now {
        let since = u64::try_from(self.time.0 - self.begin.0).unwrap_or(0);
        Now { wall: self.time, monotonic_ms: 1_000 + since, offset_minutes: OFFSET_MINUTES }
    }

    /// Moves on; never back.
    pub fn move_to(&mut self, time: UtcMillis) {
        self.time = self.time.max(time);
    }

    /// Sets something up at the hub.
    ///
    /// # Errors
    /// The hub's.
    pub fn administer(&mut self, command: Administration) -> Result<(), AdministrationFailure> {
        self.hub.handle_administration(self.time, command)?;
        self.pump();
        Ok(())
    }

    /// Gives a person a phone and connects it. Phones are numbered from 0.
    ///
    /// # Errors
    /// The hub's.
    pub fn add_phone(
        &mut self,
        person: &Person,
        team: Option<&Team>,
        label: &str,
        seed: u64,
    ) -> Result<usize, AdministrationFailure> {
        let number = self.phones.len();
        let mut device = [0xDE; 16];
        device[15] = number as u8;
        let identity = Identity { person: person.id, device: DeviceId(device) };
        self.administer(Administration::PutDevice(DeviceRow {
            id: identity.device,
            person: person.id,
            label: label.to_owned(),
            created_at: self.time,
            last_contact_at: None,
            pending: PendingCounts::default(),
            software: String::new(),
            revoked_at: None,
        }))?;
        let mut bytes = [number as u8 + 1; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let client = Client::open(self.now(), Entropy::from_seed(bytes), Vec::new())
            .expect("no rows are a fresh phone");
        self.phones.push(Phone { client, identity, session: None, online: true });
        let profile = Profile {
            person: person.clone(),
            team: team.cloned(),
            device: identity.device,
            server: String::new(),
        };
        let now = self.now();
        self.phones[number].client.handle_login(now, profile);
        self.pump();
        Ok(number)
    }

    /// Lets phones that have signal and something to do try again: time has passed for them.
    pub fn wake(&mut self) {
        let now = self.now();
        for number in 0..self.phones.len() {
            let phone = &mut self.phones[number];
            if phone.online && phone.session.is_some() && !phone.client.is_settled() {
                phone.client.handle_timeout(now);
                self.pump();
            }
            let phone = &mut self.phones[number];
            if phone.online && phone.session.is_none() {
                phone.client.handle_nudge(now);
                self.pump();
            }
        }
    }

    /// A phone that was silent for long takes its connection for dead when it wants to speak: it dials first.
    fn freshen(&mut self, phone: usize) {
        let now = self.now();
        if self.phones[phone].online {
            self.phones[phone].client.handle_timeout(now);
            self.pump();
            if self.phones[phone].session.is_none() {
                self.phones[phone].client.handle_nudge(now);
                self.pump();
            }
        }
    }

    /// Whether a phone has nothing unsent and nothing unread.
    pub fn is_settled(&self, phone: usize) -> bool {
        self.phones[phone].client.is_settled()
    }

    /// Makes an edit on a phone and lets everybody who has signal hear of it.
    pub fn edit(&mut self, phone: usize, edit: Edit) -> Result<EditId, Refusal> {
        self.freshen(phone);
        let now = self.now();
        let made = self.phones[phone].client.handle_edit(now, edit);
        self.pump();
        made
    }

    /// Asks the ledger from a phone.
    pub fn ask(&mut self, phone: usize, command: Command) -> Result<RequestId, Refusal> {
        self.freshen(phone);
        let now = self.now();
        let asked = self.phones[phone].client.handle_command(now, command);
        self.pump();
        asked
    }

    /// A phone loses its signal.
    pub fn go_offline(&mut self, phone: usize) {
        self.phones[phone].online = false;
        self.hang_up(phone, Disconnect::Lost);
    }

    /// A phone finds its signal again and sends what it has.
    pub fn go_online(&mut self, phone: usize) {
        let now = self.now();
        self.phones[phone].online = true;
        self.phones[phone].client.handle_nudge(now);
        self.pump();
    }

    fn hang_up(&mut self, phone: usize, why: Disconnect) {
        let now = self.now();
        if let Some(session) = self.phones[phone].session.take() {
            self.hub.handle_close(self.time, session);
            self.settle_hub();
            self.phones[phone].client.handle_disconnected(now, why);
        }
        self.pump();
    }

    /// Carries frames until everybody is quiet.
    fn pump(&mut self) {
        self.settle_hub();
        loop {
            (0..self.phones.len()).for_each(|number| self.drain(number));
            match self.mail.pop_front() {
                Some(output) => self.deliver(output),
                None => return,
            }
        }
    }

    /// Drains the hub after an input.
    fn settle_hub(&mut self) {
        self.mail.extend(self.hub.settle(self.time, &mut InProcess));
    }

    /// Carries out what a phone asks for until it asks for nothing. Its outputs are drained after every input.
    fn drain(&mut self, number: usize) {
        let now = self.now();
        let mut outputs = VecDeque::new();
        loop {
            let phone = &mut self.phones[number];
            while let Some(output) = phone.client.poll_output() {
                outputs.push_back(output);
            }
            match outputs.pop_front() {
                None => return,
                Some(ClientOutput::Changed) => {}
                Some(ClientOutput::Store(write)) => phone.client.handle_stored(now, write.id),
                Some(ClientOutput::Send(frame)) => {
                    if let Some(session) = phone.session {
                        self.hub.handle_frame(self.time, session, &frame);
                        self.settle_hub();
                    }
                }
                Some(ClientOutput::Dial) if phone.online => {
                    let session = SessionId(self.session_next);
                    self.session_next += 1;
                    phone.session = Some(session);
                    phone.client.handle_connected(now, None);
                    self.hub.handle_open(self.time, session, phone.identity, Transport::Live);
                    self.settle_hub();
                }
                Some(ClientOutput::Dial) => phone.client.handle_disconnected(now, Disconnect::Lost),
                Some(ClientOutput::HangUp) => {
                    if let Some(session) = phone.session.take() {
                        self.hub.handle_close(self.time, session);
                        self.settle_hub();
                    }
                }
            }
        }
    }

    fn deliver(&mut self, output: Output) {
        let now = self.now();
        let owner = |session| self.phones.iter().position(|phone| phone.session == Some(session));
        match output {
            Output::Send(session, frame) | Output::SendPage(session, frame) => {
                if let Some(number) = owner(session) {
                    self.phones[number].client.handle_frame(now, &frame);
                    self.drain(number);
                }
            }
            Output::Offences(..) => {}
            Output::Close(session, _) => {
                if let Some(number) = owner(session) {
                    self.phones[number].session = None;
                    self.phones[number].client.handle_disconnected(now, Disconnect::Lost);
                    self.drain(number);
                }
            }
            Output::Judge(_) | Output::Read(_) => unreachable!("settling carries these out"),
        }
    }
}
