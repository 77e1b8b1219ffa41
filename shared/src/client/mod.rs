//! The phone's state machine: what a person typed, what the server acknowledged, and what travels between
//! them. Runs in the browser's worker and in the headless phone. Knows no socket, no disk, no clock and no
//! randomness of its own: everything comes in by `handle_*` and goes out by [`Client::poll_output`].
//!
//! **After every `handle_*`, drain [`Client::poll_output`] until it returns `None` before the next one.**
//!
//! A driver is one `match`:
//! - `Store`: carry out the write as one durable transaction, then `handle_stored` (or `handle_store_failed`).
//!   At most one write is out at a time.
//! - `Dial`: fetch a ticket, open a socket, then `handle_connected`, or `handle_disconnected` with the reason.
//! - `Send`: one frame on the open socket. Never given before `handle_connected`.
//! - `HangUp`: close the socket; no `handle_disconnected` is expected for it.
//! - `Changed`: what is on the screen may have changed; ask the open queries again.
//!
//! [`Client::poll_timeout`] says at which monotonic millisecond `handle_timeout` wants to be called.

mod answers;
mod clock;
mod documents;
mod edits;
mod entries;
mod export;
mod feed;
mod handover;
mod held;
mod home;
mod index;
mod ledger;
mod lists;
mod outbox;
mod rebase;
mod redial;
mod rows;
mod session;
mod storing;
mod views;
mod words;

use std::collections::VecDeque;

use crate::cbor::{Decode, Encode};
use crate::client::clock::Clock;
pub use crate::client::handover::Handover;
use crate::client::held::Held;
use crate::client::index::Index;
use crate::client::ledger::Ledger;
use crate::client::outbox::Outbox;
use crate::client::redial::Redial;
use crate::client::rows::{Key, Meta};
use crate::client::storing::Storing;
use crate::edit::Edit;
use crate::entropy::Entropy;
use crate::id::{DeviceId, DocId, PersonId, RequestId, Scope, Seq};
use crate::json::{Fields, FromJson};
use crate::ledger::{Command, Person, Team};
use crate::planted::{self, Bug};
use crate::protocol::Cursor;
use crate::refusal::Refusal;
use crate::sorted::Set;
use crate::time::Now;
use crate::view::{Answer, Link, Query};

#[cfg(test)]
mod tests;

/// Who uses this phone, as the server said at login.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Encode, Decode)]
pub struct Profile {
    /// The person.
    #[n(0)]
    pub person: Person,
    /// The person's team.
    #[n(1)]
    pub team: Option<Team>,
    /// This installation, as the server registered it.
    #[n(2)]
    pub device: DeviceId,
    /// The server's address, as the driver understands it.
    #[n(3)]
    pub server: String,
}

impl FromJson for Profile {
    fn from_json(json: serde_json::Value) -> Option<Self> {
        let mut json = Fields::of(json)?;
        Some(Profile {
            person: json.take("person")?,
            team: json.take("team")?,
            device: json.take("device")?,
            server: json.take("server")?,
        })
    }
}

/// One row of the phone's flat key-value store: a short ASCII key and bytes.
pub type Row = (String, Vec<u8>);

/// The number of an edit on this phone. Increasing; survives restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct EditId(pub u64);

/// The number of a write within one run of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// One atomic and durable transaction on the phone's store. Puts and deletes never name the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Comes back in `handle_stored` or `handle_store_failed`.
    pub id: WriteId,
    /// Rows to insert or replace.
    pub puts: Vec<Row>,
    /// Keys to delete; a key that is not there is no error.
    pub deletes: Vec<String>,
}

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Store this, durably and as a whole.
    Store(Write),
    /// Send this frame.
    Send(Vec<u8>),
    /// Open a connection.
    Dial,
    /// Close the connection; nothing is reported back.
    HangUp,
    /// Ask the open queries again.
    Changed,
}

/// Why there is no connection, as the driver saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnect {
    /// The connection broke or could not be made; dial again later.
    Lost,
    /// No ticket could be had because the login has ended.
    LoginNeeded,
    /// The device or the person was revoked.
    Revoked,
}

/// Says that the rows are not those of a phone, or of newer software.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenFailure {
    /// A row that holds unsent work or the phone's identity cannot be read. The rows are left as they are;
    /// a rescue needs them.
    #[error("the row {0} cannot be read")]
    Damaged(String),
    /// The rows were written by software of a later format.
    #[error("the rows are of format {0}, which is newer than this software")]
    Newer(u32),
}

/// Why a frame ends its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is no frame, or out of order.
    Unreadable,
    /// It does not fit what the phone holds: that is dropped and fetched again.
    Unfit,
}

/// Whether ledger events of one's own making are still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Echo {
    /// None that we know of.
    None,
    /// Some, not yet asked for.
    Wanted,
    /// Asked for.
    Asked,
}

/// What went wrong on the server's side of the wire since the phone was opened; for logs and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Incidents {
    /// Frames that could not be read and documents that did not fit.
    pub faults: u64,
    /// Digests that differed.
    pub mismatches: u64,
    /// Documents taken back to their acknowledged heads.
    pub rebases: u64,
}

/// The phone's state machine. See the [module](self).
pub struct Client {
    entropy: Entropy,
    clock: Clock,
    /// The latest `now`.
    now: Now,
    meta: Meta,
    held: Held,
    index: Index,
    ledger: Ledger,
    outbox: Outbox,
    storing: Storing,
    redial: Redial,
    outputs: VecDeque<Output>,
    /// Whether something that a screen shows may differ since the last [`Output::Changed`].
    changed: bool,
    /// When the server was last asked for its time.
    asked_ms: u64,
    /// The next page to ask for.
    pull: Option<Cursor>,
    /// Whether the feed was read to its end on this connection.
    caught_up: bool,
    /// The server accepted something that the ledger answers with events: they are asked for, so that whoever
    /// waits for the exchange to be complete sees them.
    echo: Echo,
    /// Scopes announced anew whose stale documents go when the feed was read to its end.
    sweep: Set<Scope>,
    /// Documents that did not fit, to be dropped and fetched again.
    broken: Set<DocId>,
    /// Documents that did not fit once in this run.
    unloadable: Set<DocId>,
    /// Documents whose unsent changes do not fit their acknowledged form: rebased at the end of the input.
    unfit: Set<DocId>,
    /// `view/home` and `view/status` as last given to the store.
    first_screen: [Option<Vec<u8>>; 2],
    faults: u64,
    mismatches: u64,
    rebases: u64,
}

impl Client {
    /// Opens the phone over all rows of its store; none means a fresh phone with a fresh actor. Reads no
    /// document: lists come from projection rows.
    ///
    /// # Errors
    /// `Damaged`, `Newer`.
    pub fn open(now: Now, mut entropy: Entropy, rows: Vec<Row>) -> Result<Client, OpenFailure> {
        let loaded = rows::load(rows)?;
        let is_new = loaded.meta.is_none();
        let meta = loaded.meta.unwrap_or_else(|| Meta::new(entropy.actor_id(), now));
        let redial = match meta.profile {
            Some(_) => Redial::eager(now.monotonic_ms),
            None => Redial::halted(Link::LoginNeeded),
        };
        let mut client = Client {
            clock: Clock::open(now, meta.clock_offset_ms, meta.wall_seen),
            entropy,
            now,
            meta,
            held: Held::default(),
            index: Index::default(),
            ledger: Ledger::open(loaded.scopes, loaded.actors),
            outbox: Outbox::default(),
            storing: Storing::default(),
            redial,
            outputs: VecDeque::new(),
            changed: true,
            asked_ms: now.monotonic_ms,
            pull: None,
            caught_up: false,
            echo: Echo::None,
            sweep: Set::default(),
            broken: Set::default(),
            unloadable: Set::default(),
            unfit: Set::default(),
            first_screen: [None, None],
            faults: 0,
            mismatches: 0,
            rebases: 0,
        };
        for (number, row) in loaded.out {
            client.outbox.insert(number, row);
        }
        for (doc, row) in loaded.docs {
            client.held.insert(doc, row);
        }
        if is_new {
            client.touch(Key::Meta);
        }
        client.open_lists(loaded.lists);
        client.resume_sweeps();
        if !loaded.damaged.is_empty() {
            client.discard_damaged(&loaded.damaged);
        }
        client.finish(now);
        Ok(client)
    }

    /// Takes the profile of a login. A login of another person empties the phone if nothing is unsent; while
    /// something is, the login is not taken and the link stays at `LoginNeeded` (see [`Client::may_login`]).
    pub fn handle_login(&mut self, now: Now, profile: Profile) {
        self.begin(now);
        let person = profile.person.id;
        if !self.may_login(person) {
            self.redial.halt(Link::LoginNeeded);
            self.changed = true;
            self.finish(now);
            return;
        }
        let is_other = self.meta.profile.as_ref().is_some_and(|known| known.person.id != person);
        if is_other {
            self.empty(now);
        }
        let is_other_device = self.meta.profile.as_ref().is_some_and(|known| known.device != profile.device);
        if is_other_device && !is_other {
            // The actor belongs to the device that this phone was: it would be refused from now on.
            self.renew_actor();
        }
        if planted::is(Bug::ReusesActor) && self.meta.profile.is_none() {
            self.meta.actor = crate::id::ActorId(person.0);
        }
        self.meta.profile = Some(profile);
        self.index.touch_names();
        self.redial.resume(now.monotonic_ms);
        self.touch(Key::Meta);
        self.changed = true;
        self.finish(now);
    }

    /// Whether a login of this person would be taken: the phone is the person's already, or holds nothing
    /// unsent of somebody else.
    pub fn may_login(&self, person: PersonId) -> bool {
        let is_same = self.meta.profile.as_ref().is_none_or(|profile| profile.person.id == person);
        is_same || self.outbox.is_empty()
    }

    /// Takes an edit: judges it, applies it, stores it. Shown at once as `saving`.
    ///
    /// # Errors
    /// What the rules say; the phone is as before.
    pub fn handle_edit(&mut self, now: Now, edit: Edit) -> Result<EditId, Refusal> {
        self.begin(now);
        let taken = self.take_edit(now, edit);
        self.finish(now);
        taken
    }

    /// Takes a ledger command, queued as a request and shown as 申请中 until the server answers.
    ///
    /// # Errors
    /// What the role forbids outright.
    pub fn handle_command(&mut self, now: Now, command: Command) -> Result<RequestId, Refusal> {
        self.begin(now);
        let taken = self.take_command(now, command);
        self.finish(now);
        taken
    }

    /// The person has dealt with a refused or held edit: forget it.
    pub fn handle_dismiss_refused(&mut self, now: Now, edit: EditId) {
        self.begin(now);
        self.dismiss_out(edit.0);
        self.finish(now);
    }

    /// The person has dealt with a refused request: forget it.
    pub fn handle_dismiss_request(&mut self, now: Now, request: RequestId) {
        self.begin(now);
        if let Some(number) = self.outbox.find_request(request) {
            self.dismiss_out(number);
        }
        self.finish(now);
    }

    /// The person has read a notice: show it no more on this phone.
    pub fn handle_dismiss_notice(&mut self, now: Now, notice: Seq) {
        self.begin(now);
        if !self.meta.dismissed.contains(&notice) {
            self.meta.dismissed.push(notice);
            self.touch(Key::Meta);
            self.changed = true;
        }
        self.finish(now);
    }

    /// How many photos the driver has not got verified by the server; shown in the pending counts.
    pub fn handle_photos(&mut self, now: Now, pending: u32) {
        self.begin(now);
        if self.meta.photos != pending {
            self.meta.photos = pending;
            self.touch(Key::Meta);
            self.changed = true;
        }
        self.finish(now);
    }

    /// The write is on disk.
    pub fn handle_stored(&mut self, now: Now, write: WriteId) {
        self.begin(now);
        if self.storing.confirm(write) {
            self.changed = true;
        }
        self.finish(now);
    }

    /// The write failed as a whole. Everything it held is kept and written again after a pause.
    pub fn handle_store_failed(&mut self, now: Now, write: WriteId) {
        self.begin(now);
        self.storing.fail(write, now.monotonic_ms, &mut self.entropy);
        self.first_screen = [None, None];
        self.changed = true;
        self.finish(now);
    }

    /// The connection stands. `ticket` authenticates it where the transport does not.
    pub fn handle_connected(&mut self, now: Now, ticket: Option<Vec<u8>>) {
        self.begin(now);
        self.open_session(now, ticket);
        self.finish(now);
    }

    /// A frame arrived.
    pub fn handle_frame(&mut self, now: Now, frame: &[u8]) {
        self.begin(now);
        self.take_frame(now, frame);
        self.finish(now);
    }

    /// The connection ended or could not be made.
    pub fn handle_disconnected(&mut self, now: Now, why: Disconnect) {
        self.begin(now);
        self.take_disconnect(now, why);
        self.finish(now);
    }

    /// The network seems to be back, or the person asked: dial at once instead of waiting.
    pub fn handle_nudge(&mut self, now: Now) {
        self.begin(now);
        self.redial.nudge(now.monotonic_ms);
        self.finish(now);
    }

    /// The time that [`Client::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Now) {
        self.begin(now);
        self.finish(now);
    }

    /// The monotonic millisecond at which `handle_timeout` is wanted.
    pub fn poll_timeout(&self) -> Option<u64> {
        let pause = if self.redial.is_open() { self.outbox.due_ms(self.now.monotonic_ms) } else { None };
        [self.redial.due_ms(), self.storing.due_ms(), pause].into_iter().flatten().min()
    }

    /// What the driver does next; `None` when it may call the next `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.storing.is_ready() {
            return Some(Output::Store(self.make_write()));
        }
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        std::mem::take(&mut self.changed).then_some(Output::Changed)
    }

    /// Answers a question from memory.
    pub fn query(&mut self, now: Now, query: &Query) -> Answer {
        self.index.settle();
        self.answer(now, query)
    }

    /// The profile of the last login.
    pub fn profile(&self) -> Option<&Profile> {
        self.meta.profile.as_ref()
    }

    /// Whether nothing waits: every write is stored, every edit and request answered, the feed read to its end.
    pub fn is_settled(&self) -> bool {
        let is_released = !self.ledger.scopes().any(|(_, state)| state.row.leaving);
        let is_current = self.caught_up && self.echo == Echo::None;
        self.storing.is_idle() && is_current && self.outbox.counts().0 == 0 && is_released
    }

    /// What went wrong since the phone was opened.
    pub fn incidents(&self) -> Incidents {
        Incidents { faults: self.faults, mismatches: self.mismatches, rebases: self.rebases }
    }

    /// All unsent work in plain words and bytes, as JSON, for a rescue without a server.
    pub fn export(&mut self) -> Vec<u8> {
        self.make_export()
    }

    /// Every document held as the server acknowledged it, with its heads.
    pub fn document_heads(&self) -> Vec<(DocId, Vec<crate::id::ChangeHash>)> {
        self.held.iter().map(|(doc, row)| (doc, row.heads.clone())).collect()
    }

    /// Draws the id of a new document.
    pub fn new_doc_id(&mut self) -> DocId {
        self.entropy.doc_id()
    }

    /// Draws the id of a new record inside a document: 16 hexadecimal digits.
    pub fn new_record_id(&mut self) -> String {
        self.entropy.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first thing of every input.
    fn begin(&mut self, now: Now) {
        self.clock.observe(now);
        self.now = now;
        self.meta.wall_seen = self.meta.wall_seen.max(now.wall);
        if self.meta.offset_minutes != now.offset_minutes {
            self.meta.offset_minutes = now.offset_minutes;
            self.index.touch_names();
            self.touch(Key::Meta);
        }
    }

    /// The last thing of every input.
    fn finish(&mut self, now: Now) {
        self.act_on_time(now);
        while let Some(doc) = self.unfit.pop_first() {
            self.rebase(doc, Default::default());
        }
        self.pump(now);
    }

    fn touch(&mut self, key: Key) {
        self.storing.touch(key);
    }

    /// Makes the write of everything that changed, from the state as it stands.
    fn make_write(&mut self) -> Write {
        let (id, keys) = self.storing.begin();
        let mut write = Write { id, puts: Vec::with_capacity(keys.len() + 2), deletes: Vec::new() };
        // The first screen is read while the machine is still loading: it goes with whatever it shows.
        for (place, key) in [Key::Home, Key::Status].into_iter().enumerate() {
            let bytes = if key == Key::Home { self.stored_home() } else { self.stored_status() };
            if self.first_screen[place].as_deref() != Some(bytes.as_slice()) {
                write.puts.push((key.name(), bytes.clone()));
                self.first_screen[place] = Some(bytes);
            }
        }
        for key in keys {
            match self.row_bytes(key) {
                Some(bytes) => write.puts.push((key.name(), bytes)),
                None => write.deletes.push(key.name()),
            }
        }
        write
    }

    fn row_bytes(&self, key: Key) -> Option<Vec<u8>> {
        match key {
            Key::Meta => Some(rows::encode(&self.meta)),
            Key::Actors => Some(rows::encode(&self.ledger.actors())),
            Key::Scope(scope) => self.ledger.scope(scope).map(|state| rows::encode(&state.row)),
            Key::Doc(doc) => self.held.get(doc).map(rows::encode),
            Key::List(doc) => self.index.get(doc).map(rows::encode),
            Key::Out(number) => self.outbox.get(number).map(rows::OutRow::encode),
            Key::Home | Key::Status => None,
        }
    }

    /// Another person logged in and nothing was unsent: nothing of the former person stays.
    fn empty(&mut self, now: Now) {
        let docs: Vec<DocId> = self.held.iter().map(|(doc, _)| doc).collect();
        for doc in docs {
            self.forget_document(doc);
        }
        let scopes: Vec<Scope> = self.ledger.scopes().map(|(scope, _)| scope).collect();
        for scope in scopes {
            self.drop_scope(scope);
        }
        self.ledger = Ledger::default();
        self.touch(Key::Actors);
        self.outputs.push_back(Output::HangUp);
        let clock_offset_ms = self.meta.clock_offset_ms;
        let fresh = Meta::new(self.entropy.actor_id(), now);
        self.meta = Meta { clock_offset_ms, next_out: self.meta.next_out, ..fresh };
        self.outbox.forget_flight();
        self.redial = Redial::eager(now.monotonic_ms);
    }
}

impl Meta {
    fn new(actor: crate::id::ActorId, now: Now) -> Meta {
        Meta {
            format: rows::FORMAT,
            actor,
            former_actors: Vec::new(),
            profile: None,
            incarnation: None,
            cursor: None,
            complete: false,
            epoch: 1,
            recovering: false,
            clock_offset_ms: None,
            wall_seen: now.wall,
            last_synced: None,
            next_out: 1,
            dismissed: Vec::new(),
            photos: 0,
            offset_minutes: now.offset_minutes,
            settings: None,
        }
    }
}
