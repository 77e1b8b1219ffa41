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

use crate::edit::Edit;
use crate::entropy::Entropy;
use crate::id::{DeviceId, DocId, RequestId, Seq};
use crate::ledger::{Command, Person, Team};
use crate::refusal::Refusal;
use crate::time::Now;
use crate::view::{Answer, Query};

/// Who uses this phone, as the server said at login.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Profile {
    /// The person.
    pub person: Person,
    /// The person's team.
    pub team: Option<Team>,
    /// This installation, as the server registered it.
    pub device: DeviceId,
    /// The server's address, as the driver understands it.
    pub server: String,
}

/// One row of the phone's flat key-value store: a short ASCII key and bytes.
pub type Row = (String, Vec<u8>);

/// The number of an edit on this phone. Increasing; survives restarts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
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

/// The phone's state machine. See the [module](self).
pub struct Client {
    entropy: Entropy,
}

impl Client {
    /// Opens the phone over all rows of its store; none means a fresh phone with a fresh actor. Never reads
    /// a document: lists come from projection rows.
    ///
    /// # Errors
    /// `Damaged`, `Newer`.
    pub fn open(_now: Now, entropy: Entropy, _rows: Vec<Row>) -> Result<Client, OpenFailure> {
        Ok(Client { entropy })
    }

    /// Takes the profile of a login. A login of another person empties the phone if nothing is unsent; while
    /// something is, the login is not taken and the link stays at `LoginNeeded` (see [`Client::may_login`]).
    pub fn handle_login(&mut self, _now: Now, _profile: Profile) {}

    /// Whether a login of this person would be taken.
    pub fn may_login(&self, _person: crate::id::PersonId) -> bool {
        true
    }

    /// Takes an edit: judges it, applies it, stores it. Shown at once as `saving`.
    ///
    /// # Errors
    /// What the rules say; the phone is as before.
    pub fn handle_edit(&mut self, _now: Now, _edit: Edit) -> Result<EditId, Refusal> {
        Err(crate::refusal::Rule::StoreUnavailable.into())
    }

    /// Takes a ledger command, queued as a request and shown as 申请中 until the server answers.
    ///
    /// # Errors
    /// What the role forbids outright.
    pub fn handle_command(&mut self, _now: Now, _command: Command) -> Result<RequestId, Refusal> {
        Err(crate::refusal::Rule::StoreUnavailable.into())
    }

    /// The person has dealt with a refused or held edit: forget it.
    pub fn handle_dismiss_refused(&mut self, _now: Now, _edit: EditId) {}

    /// The person has dealt with a refused request: forget it.
    pub fn handle_dismiss_request(&mut self, _now: Now, _request: RequestId) {}

    /// The person has read a notice: show it no more on this phone.
    pub fn handle_dismiss_notice(&mut self, _now: Now, _notice: Seq) {}

    /// How many photos the driver has not got verified by the server; shown in the pending counts.
    pub fn handle_photos(&mut self, _now: Now, _pending: u32) {}

    /// The write is on disk.
    pub fn handle_stored(&mut self, _now: Now, _write: WriteId) {}

    /// The write failed as a whole. Everything it held is kept and written again after a pause.
    pub fn handle_store_failed(&mut self, _now: Now, _write: WriteId) {}

    /// The connection stands. `ticket` authenticates it where the transport does not.
    pub fn handle_connected(&mut self, _now: Now, _ticket: Option<Vec<u8>>) {}

    /// A frame arrived.
    pub fn handle_frame(&mut self, _now: Now, _frame: &[u8]) {}

    /// The connection ended or could not be made.
    pub fn handle_disconnected(&mut self, _now: Now, _why: Disconnect) {}

    /// The network seems to be back, or the person asked: dial at once instead of waiting.
    pub fn handle_nudge(&mut self, _now: Now) {}

    /// The time that [`Client::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, _now: Now) {}

    /// The monotonic millisecond at which `handle_timeout` is wanted.
    pub fn poll_timeout(&self) -> Option<u64> {
        None
    }

    /// What the driver does next; `None` when it may call the next `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// Answers a question from memory.
    pub fn query(&mut self, _now: Now, query: &Query) -> Answer {
        match query {
            Query::Customer { .. } => Answer::Customer(None),
            Query::Visit { .. } => Answer::Visit(None),
            Query::Timeline { .. } | Query::Newest { .. } => Answer::Timeline(Vec::new()),
            Query::Late => Answer::Late(Vec::new()),
            Query::People => Answer::People(Vec::new()),
            Query::Refused => Answer::Refused(Vec::new()),
            Query::Requests => Answer::Requests(Vec::new()),
            Query::Status | Query::Home | Query::Customers { .. } | Query::ToAccept => {
                Answer::Customers(Vec::new())
            }
        }
    }

    /// The profile of the last login.
    pub fn profile(&self) -> Option<&Profile> {
        None
    }

    /// Whether nothing waits: every write is stored, every edit and request answered, the feed caught up.
    pub fn is_settled(&self) -> bool {
        true
    }

    /// All unsent work in plain words and bytes, as JSON, for a rescue without a server.
    pub fn export(&mut self) -> Vec<u8> {
        b"{}".to_vec()
    }

    /// Draws the id of a new document.
    pub fn new_doc_id(&mut self) -> DocId {
        self.entropy.doc_id()
    }

    /// Draws the id of a new record inside a document: 16 hexadecimal digits.
    pub fn new_record_id(&mut self) -> String {
        self.entropy.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
