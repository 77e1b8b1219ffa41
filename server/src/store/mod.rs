//! The store: the only place that opens the database. A log of raw changes and ledger events, and beside it
//! what can be rebuilt from the log: documents, projections, customers, grants, digests. Knows no session, no
//! socket and no Automerge; it keeps what the hub decided, in one durable transaction a group.
//!
//! [`Store`] is a trait so that another database can stand behind the hub. [`Lookup`] is what can be read,
//! [`Transaction`] what can be written; a [`SqliteStore`] gives both, a [`Readers`] pool gives the first.

pub mod auth;
mod backup;
mod copying;
pub mod devices;
mod erasing;
pub mod files;
mod lookup;
pub mod phone;
pub mod quarantine;
mod pool;
mod row;
mod schema;
mod sqlite;
mod write;

pub use backup::{backup, restore};
pub use pool::Readers;
pub use sqlite::{SqliteLookup, SqliteStore, SqliteTransaction};

use shared::document::Kind;
use shared::id::{
    ActorId, ChangeHash, DeviceId, DocId, IncarnationId, PersonId, RequestId, Scope, Seq, TeamId,
};
use shared::ledger::people::{Access, Principal};
use shared::ledger::{CustomerRecord, EventKind, LedgerEvent, Person, Team};
use shared::protocol::{Digest, ItemResult, PendingCounts, PushItem};
use shared::refusal::Rule;
use shared::settings::Settings;
use shared::time::{Recorded, UtcMillis};

/// The world broke: the disk is full, a file is damaged, a row contradicts its table. Nothing of the
/// transaction in which it happened was kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreFailure {
    /// The database said no: full, locked by another program, damaged, or a constraint broke.
    #[error("database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A file beside the database.
    #[error("file: {0}")]
    File(#[from] std::io::Error),
    /// A row holds what this software never writes.
    #[error("damaged row in {0}")]
    Damaged(&'static str),
    /// The folder holds a database of a newer software.
    #[error("the database has version {found}, this software knows {known}")]
    TooNew {
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// The folder holds no database, or one where none may be.
    #[error("{0}")]
    Place(String),
    /// The thread that owns the database has ended.
    #[error("the store is closed")]
    Closed,
}

impl StoreFailure {
    /// Whether a rule held in the database (R4, uniqueness of codes) refused the write.
    pub fn is_constraint(&self) -> bool {
        match self {
            StoreFailure::Database(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
            }
            _ => false,
        }
    }
}

/// What the store knows of a document without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRow {
    /// The document.
    pub id: DocId,
    /// Fixed by its first change.
    pub kind: Kind,
    /// Fixed by its first change.
    pub scope: Scope,
    /// The person of its first change; for facts the only one who may edit it.
    pub author: PersonId,
    /// When its first change was received.
    pub first_received: UtcMillis,
    /// Sorted.
    pub heads: Vec<ChangeHash>,
    /// The last place in the log that touched it.
    pub last_seq: Seq,
    /// How many changes it has.
    pub changes: u64,
    /// Over the id and the heads.
    pub digest: Digest,
}

/// One owner of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// The owner.
    pub owner: PersonId,
    /// The place in the log where it began.
    pub from_seq: Seq,
    /// The place in the log where it ended; none while it lasts.
    pub until_seq: Option<Seq>,
}

/// One change in the log, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRow {
    /// Its place in the log.
    pub seq: Seq,
    /// The document.
    pub doc: DocId,
    /// Its name.
    pub hash: ChangeHash,
    /// Who in Automerge's sense.
    pub actor: ActorId,
    /// Its number among that actor's changes of the document.
    pub actor_seq: u64,
    /// The counter of its last operation.
    pub max_op: u64,
    /// The device that pushed it.
    pub device: DeviceId,
    /// The person of that device.
    pub person: PersonId,
    /// The server's time of receipt.
    pub received: UtcMillis,
    /// The device's claim.
    pub recorded: Recorded,
}

/// A change that waits, unmerged, for a decision (S2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldChange {
    /// The late work that it belongs to: the seq of the event by which it arrived.
    pub late: Seq,
    /// Its place among the late work's changes, from 0.
    pub position: u32,
    /// The document.
    pub doc: DocId,
    /// Its name.
    pub hash: ChangeHash,
    /// The actor.
    pub actor: ActorId,
    /// Its number among the actor's changes.
    pub actor_seq: u64,
    /// The counter of its last operation.
    pub max_op: u64,
    /// The device that pushed it.
    pub device: DeviceId,
    /// The person of that device.
    pub person: PersonId,
    /// The server's time of receipt.
    pub received: UtcMillis,
    /// The device's claim.
    pub recorded: Recorded,
    /// The chunk.
    pub bytes: Vec<u8>,
}

/// A device as the assistant sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// The device.
    pub id: DeviceId,
    /// Its person.
    pub person: PersonId,
    /// What the person called it.
    pub label: String,
    /// When it was registered.
    pub created_at: UtcMillis,
    /// When it last spoke with the hub.
    pub last_contact_at: Option<UtcMillis>,
    /// What it held unsent then.
    pub pending: PendingCounts,
    /// The name and version of its software, from its last hello.
    pub software: String,
    /// When it was revoked.
    pub revoked_at: Option<UtcMillis>,
}

/// A permission: a principal may use a scope from one place in the log until another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// Whom it names.
    pub principal: Principal,
    /// What it covers.
    pub scope: Scope,
    /// What it allows.
    pub access: Access,
    /// From which place in the log on.
    pub from_seq: Seq,
    /// From which place on it is over.
    pub until_seq: Option<Seq>,
    /// The last place in the log that touched the scope while the grant held, or its end.
    pub last_seq: Seq,
}

impl GrantRow {
    /// Whether it held right after the given place in the log.
    pub fn holds_at(&self, seq: Seq) -> bool {
        self.from_seq <= seq && self.until_seq.is_none_or(|until| until > seq)
    }
}

/// What can be read. Every method sees one consistent state of the store: a transaction's own writes, or the
/// last commit.
pub trait Lookup {
    /// The place of the last commit.
    fn head(&self) -> Result<Seq, StoreFailure>;
    /// The store's present life (S14).
    fn incarnation(&self) -> Result<IncarnationId, StoreFailure>;
    /// The organisation's settings.
    fn settings(&self) -> Result<Settings, StoreFailure>;
    /// A person, active or not.
    fn person(&self, id: PersonId) -> Result<Option<Person>, StoreFailure>;
    /// Everybody, by name.
    fn people(&self) -> Result<Vec<Person>, StoreFailure>;
    /// Every team, by name.
    fn teams(&self) -> Result<Vec<Team>, StoreFailure>;
    /// A device, revoked or not.
    fn device(&self, id: DeviceId) -> Result<Option<DeviceRow>, StoreFailure>;
    /// The device and person that an actor belongs to.
    fn actor(&self, id: ActorId) -> Result<Option<(DeviceId, PersonId)>, StoreFailure>;
    /// A document.
    fn document(&self, id: DocId) -> Result<Option<DocumentRow>, StoreFailure>;
    /// The documents of a scope that something touched after `since`, by kind and id.
    fn documents_since(&self, scope: Scope, since: Seq) -> Result<Vec<DocumentRow>, StoreFailure>;
    /// Where an erased document was: its scope, and the place in the log of its erasure.
    fn erased(&self, id: DocId) -> Result<Option<(Scope, Seq)>, StoreFailure>;
    /// Every erased document, in order of erasure.
    fn erased_all(&self) -> Result<Vec<(DocId, Scope, Seq)>, StoreFailure>;
    /// Every document's id after the given one, in order, at most `limit`; for whole-store walks.
    fn document_ids(&self, after: Option<DocId>, limit: usize) -> Result<Vec<DocId>, StoreFailure>;
    /// The cached saved form of a document; none where the cache was dropped.
    fn snapshot(&self, doc: DocId) -> Result<Option<Vec<u8>>, StoreFailure>;
    /// The encoded projection of a document.
    fn projection(&self, doc: DocId) -> Result<Option<Vec<u8>>, StoreFailure>;
    /// A change by its name.
    fn change(&self, doc: DocId, hash: &ChangeHash) -> Result<Option<ChangeRow>, StoreFailure>;
    /// The last number that an actor used in a document, held changes included; 0 if none.
    fn actor_seq_last(&self, doc: DocId, actor: ActorId) -> Result<u64, StoreFailure>;
    /// The changes of a document in log order after `since`, with their bytes, up to and including `until`.
    fn changes(&self, doc: DocId, since: Seq, until: Seq) -> Result<Vec<(ChangeRow, Vec<u8>)>, StoreFailure>;
    /// How many changes the log has, whatever document they say to be of; for whole-store walks.
    fn changes_stored(&self) -> Result<u64, StoreFailure>;
    /// How many held changes there are, whatever late work they say to be of; for whole-store walks.
    fn held_stored(&self) -> Result<u64, StoreFailure>;
    /// The actors that wrote in a document.
    fn actors_of(&self, doc: DocId) -> Result<Vec<(ActorId, PersonId)>, StoreFailure>;
    /// A held change by its name.
    fn held_change(&self, doc: DocId, hash: &ChangeHash) -> Result<Option<HeldChange>, StoreFailure>;
    /// The changes of one late work, in order.
    fn held_of(&self, late: Seq) -> Result<Vec<HeldChange>, StoreFailure>;
    /// What a device left in quarantine and nobody has restored, in the order in which it came.
    fn quarantined_of(&self, device: DeviceId) -> Result<Vec<quarantine::Quarantined>, StoreFailure>;
    /// The answer that a request got.
    fn request(&self, id: RequestId) -> Result<Option<ItemResult>, StoreFailure>;
    /// The ledger's record of a customer.
    fn customer(&self, id: DocId) -> Result<Option<CustomerRecord>, StoreFailure>;
    /// The customers that a person owns.
    fn customers_owned(&self, owner: PersonId) -> Result<Vec<DocId>, StoreFailure>;
    /// The highest number given in a pattern's prefix; 0 if none.
    fn highest_code_number(&self, prefix: &str) -> Result<u64, StoreFailure>;
    /// Every code ever given, with its customer, by code; for whole-store walks.
    fn codes_given(&self) -> Result<Vec<(String, DocId)>, StoreFailure>;
    /// Who owned a customer, in order, each from a place in the log up to another.
    fn ownerships(&self, customer: DocId) -> Result<Vec<Ownership>, StoreFailure>;
    /// How many customers were ever registered.
    fn customers_registered(&self) -> Result<u64, StoreFailure>;
    /// The ledger events of a scope after `since` up to and including `until`.
    fn events(&self, scope: Scope, since: Seq, until: Seq) -> Result<Vec<LedgerEvent>, StoreFailure>;
    /// Every ledger event after `since`, at most `limit`; for whole-store walks.
    fn events_all(&self, since: Seq, limit: usize) -> Result<Vec<LedgerEvent>, StoreFailure>;
    /// The grants of a principal that something touched after `since`, for `from` and the scopes after it in the
    /// order of [`scope_key`], at most `limit`.
    fn grants_since(
        &self,
        principal: Principal,
        since: Seq,
        from: Option<Scope>,
        limit: usize,
    ) -> Result<Vec<GrantRow>, StoreFailure>;
    /// All grants, present and past, of a scope.
    fn grants_of(&self, scope: Scope) -> Result<Vec<GrantRow>, StoreFailure>;
    /// The present grants of a principal.
    fn grants_held(&self, principal: Principal) -> Result<Vec<GrantRow>, StoreFailure>;
    /// The digest of a scope's documents.
    fn scope_digest(&self, scope: Scope) -> Result<Digest, StoreFailure>;
    /// XOR of the digests of the scopes that a principal may use.
    fn principal_digest(&self, principal: Principal) -> Result<Digest, StoreFailure>;
}

/// What can be written, inside [`Store::transaction`].
pub trait Transaction {
    /// Reads, this transaction's own writes included.
    fn lookup(&self) -> &dyn Lookup;
    /// Takes the next place in the log.
    fn next_seq(&mut self) -> Seq;
    /// Appends a change with its bytes.
    fn insert_change(&mut self, row: &ChangeRow, bytes: &[u8]) -> Result<(), StoreFailure>;
    /// Remembers whose an actor is, for ever.
    fn put_actor(&mut self, actor: ActorId, device: DeviceId, person: PersonId) -> Result<(), StoreFailure>;
    /// Inserts or replaces a document's row, its snapshot and its projection, and keeps the digests of its
    /// scope and of the scope's principals.
    fn put_document(
        &mut self,
        row: &DocumentRow,
        saved: &[u8],
        projection: &[u8],
    ) -> Result<(), StoreFailure>;
    /// Appends a ledger event and keeps its projection (people, teams, customers). An erasure takes everything
    /// of its document out of the store, the log included, and leaves a tombstone.
    fn append_event(&mut self, event: &LedgerEvent) -> Result<(), StoreFailure>;
    /// Opens a grant at a place in the log. If the principal holds the scope already, only the access changes.
    fn open_grant(
        &mut self,
        principal: Principal,
        scope: Scope,
        access: Access,
        at: Seq,
    ) -> Result<(), StoreFailure>;
    /// Ends a grant at a place in the log.
    fn end_grant(&mut self, principal: Principal, scope: Scope, at: Seq) -> Result<(), StoreFailure>;
    /// Notes that a place in the log touched a scope, on the scope's present grants.
    fn touch_scope(&mut self, scope: Scope, at: Seq) -> Result<(), StoreFailure>;
    /// Keeps a change that waits for a decision.
    fn insert_held(&mut self, change: &HeldChange) -> Result<(), StoreFailure>;
    /// Remembers the answer to a request, for ever.
    fn put_request(
        &mut self,
        id: RequestId,
        person: PersonId,
        device: DeviceId,
        received: UtcMillis,
        result: &ItemResult,
    ) -> Result<(), StoreFailure>;
    /// Registers or changes a device.
    fn put_device(&mut self, device: &DeviceRow) -> Result<(), StoreFailure>;
    /// Revokes a device for ever; says whether it existed and was not revoked before.
    fn revoke_device(&mut self, device: DeviceId, at: UtcMillis) -> Result<bool, StoreFailure>;
    /// Keeps what a revoked device hands over; none where it has no room left.
    fn put_quarantined(
        &mut self,
        device: DeviceId,
        person: PersonId,
        received: UtcMillis,
        item: &PushItem,
    ) -> Result<Option<u64>, StoreFailure>;
    /// Notes that an item of the quarantine was stored after all, or what refused it.
    fn settle_quarantined(&mut self, id: u64, outcome: Result<UtcMillis, Rule>) -> Result<(), StoreFailure>;
    /// Notes a device's last sign of life.
    fn put_contact(
        &mut self,
        device: DeviceId,
        at: UtcMillis,
        pending: PendingCounts,
        software: Option<&str>,
    ) -> Result<(), StoreFailure>;
    /// Replaces the organisation's settings.
    fn put_settings(&mut self, settings: &Settings) -> Result<(), StoreFailure>;
}

/// A store with one writer.
pub trait Store {
    /// What the store holds as of the last commit.
    type Lookup<'s>: Lookup
    where
        Self: 's;
    /// What is written together.
    type Transaction<'s>: Transaction
    where
        Self: 's;

    /// Reads.
    fn lookup(&self) -> Self::Lookup<'_>;

    /// Reads much of one state: what `body` asks sees the last commit as it was at its first question, and the
    /// store takes and drops its place in the log once and not with each question.
    ///
    /// # Errors
    /// If the store cannot be read; then `body` was not called.
    fn reading<T>(&self, body: impl FnOnce(&Self::Lookup<'_>) -> T) -> Result<T, StoreFailure>;

    /// A number that changes when another program (a command beside a running server) committed here.
    fn foreign_commits(&self) -> Result<u64, StoreFailure>;

    /// Runs `body` and makes what it wrote durable: when this returns `Ok`, a power cut loses nothing of it.
    /// When it returns `Err`, nothing of it was kept.
    fn transaction<T, E: From<StoreFailure>>(
        &mut self,
        body: impl FnOnce(&mut Self::Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E>;
}

/// The bytes of a scope in keys: one for its type, sixteen for its id. Their order is the order of the feed.
pub fn scope_key(scope: Scope) -> [u8; 17] {
    let (tag, id) = match scope {
        Scope::Organisation => (0, [0; 16]),
        Scope::Person(id) => (1, id.0),
        Scope::Customer(id) => (2, id.0),
    };
    key(tag, id)
}

/// The scope of a key made by [`scope_key`].
pub fn scope_from_key(key: &[u8]) -> Option<Scope> {
    let (tag, id) = key.split_first()?;
    let id: [u8; 16] = id.try_into().ok()?;
    match tag {
        0 => Some(Scope::Organisation),
        1 => Some(Scope::Person(PersonId(id))),
        2 => Some(Scope::Customer(DocId(id))),
        _ => None,
    }
}

/// The bytes of a principal in keys.
pub fn principal_key(principal: Principal) -> [u8; 17] {
    let (tag, id) = match principal {
        Principal::Everyone => (0, [0; 16]),
        Principal::Desk => (1, [0; 16]),
        Principal::AllManagers => (2, [0; 16]),
        Principal::TeamManagers(id) => (3, id.0),
        Principal::Person(id) => (4, id.0),
    };
    key(tag, id)
}

/// The principal of a key made by [`principal_key`].
pub fn principal_from_key(key: &[u8]) -> Option<Principal> {
    let (tag, id) = key.split_first()?;
    let id: [u8; 16] = id.try_into().ok()?;
    match tag {
        0 => Some(Principal::Everyone),
        1 => Some(Principal::Desk),
        2 => Some(Principal::AllManagers),
        3 => Some(Principal::TeamManagers(TeamId(id))),
        4 => Some(Principal::Person(PersonId(id))),
        _ => None,
    }
}

fn key(tag: u8, id: [u8; 16]) -> [u8; 17] {
    let mut key = [tag; 17];
    key[1..].copy_from_slice(&id);
    key
}

/// The customer whose record an event changes.
pub fn customer_of(event: &LedgerEvent) -> Option<DocId> {
    match &event.kind {
        EventKind::CustomerRegistered { customer, .. }
        | EventKind::CustomerAccepted { customer, .. }
        | EventKind::CustomerTransferred { customer, .. } => Some(*customer),
        EventKind::LateWorkArrived { late } => Some(late.customer),
        EventKind::LateWorkSettled { .. } => event.scope.customer(),
        EventKind::PersonSet { .. }
        | EventKind::TeamSet { .. }
        | EventKind::Notice { .. }
        | EventKind::DocumentErased { .. } => None,
    }
}
