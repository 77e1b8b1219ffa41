//! The invariants as they can be seen in a store or in a frame, written once: worlds at rest, disks without power, killed
//! processes, loads and the soak are judged by these functions and no others. Each names its rule in `docs/spec.md`.

use std::collections::{BTreeMap, BTreeSet};

use server::store::{ChangeRow, Lookup, StoreFailure};
use shared::document::Document;
use shared::id::{ChangeHash, DocId, PersonId, Scope, Seq};
use shared::ledger::{EventKind, LateState};
use shared::limits::{CHANGE_BYTES_MAX, DOCUMENT_BYTES_MAX, DOCUMENT_CHANGES_MAX, SERVER_FRAME_BYTES_MAX};
use shared::protocol::{Item, ServerFrame, decode_server_frame};

use crate::model::{Model, Violation};

/// The first position of a walk and the last.
pub const BEGINNING: Seq = Seq(0);
/// See [`BEGINNING`].
pub const END: Seq = Seq(i64::MAX as u64);

fn failed(what: &str) -> impl Fn(StoreFailure) -> Violation + '_ {
    move |failure| format!("reading {what} failed: {failure}")
}

/// Everything that must be true of a store by itself, and of what was acknowledged from it. Returns the ledger as its
/// events tell it.
///
/// # Errors
/// The first invariant that does not hold.
pub fn check_store(
    lookup: &dyn Lookup,
    acknowledged: impl IntoIterator<Item = (DocId, ChangeHash)>,
) -> Result<Model, Violation> {
    check_acknowledged(lookup, acknowledged)?;
    check_log(lookup, |_| Ok(()))?;
    check_ledger(lookup)
}

/// Every acknowledged change is in the log, merged or held (SIM-1).
///
/// # Errors
/// The first that is gone.
pub fn check_acknowledged(
    lookup: &dyn Lookup,
    acknowledged: impl IntoIterator<Item = (DocId, ChangeHash)>,
) -> Result<(), Violation> {
    for (doc, hash) in acknowledged {
        let merged = lookup.change(doc, &hash).map_err(failed("a change"))?.is_some();
        if !merged && lookup.held_change(doc, &hash).map_err(failed("a held change"))?.is_none() {
            return Err(format!("{hash:?} of {doc:?} was acknowledged and is gone (I1)"));
        }
    }
    Ok(())
}

/// The log alone rebuilds every document, each change has its dependencies and one attribution, and its actor belongs to
/// the device that pushed it (SIM-2, SIM-7, SIM-10, SIM-15). `judge` sees each row besides.
///
/// # Errors
/// The first document that is not its log.
pub fn check_log(
    lookup: &dyn Lookup,
    mut judge: impl FnMut(&ChangeRow) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let mut actors = BTreeMap::new();
    for doc in lookup.document_ids(None, usize::MAX >> 1).map_err(failed("documents"))? {
        let row =
            lookup.document(doc).map_err(failed("a document"))?.ok_or("a listed document is not there")?;
        let changes = lookup.changes(doc, BEGINNING, END).map_err(failed("changes"))?;
        let mut rebuilt = Document::empty();
        for (change, bytes) in &changes {
            let header =
                shared::wire::parse(bytes).map_err(|r| format!("a stored change is malformed: {r:?}"))?;
            if (header.hash, header.actor, header.seq) != (change.hash, change.actor, change.actor_seq) {
                return Err(format!("the row of {:?} says something else than its bytes", change.hash));
            }
            let owner = *actors.entry(change.actor).or_insert((change.device, change.person));
            if owner != (change.device, change.person) {
                return Err(format!(
                    "{:?} of {owner:?} was merged from {:?} (I7)",
                    change.actor, change.device
                ));
            }
            let registered = lookup.actor(change.actor).map_err(failed("an actor"))?;
            if registered != Some(owner) {
                return Err(format!("{:?} is registered for {registered:?} (I7)", change.actor));
            }
            if header.author.is_some_and(|author| author != change.person) {
                return Err(format!("{:?} is signed by another than it is attributed to (I7)", change.hash));
            }
            judge(change)?;
            if bytes.len() > CHANGE_BYTES_MAX {
                return Err(format!("a stored change has {} bytes (I9)", bytes.len()));
            }
            rebuilt.apply(&[bytes]).map_err(|e| format!("the log of {doc:?} has a hole (I10): {e}"))?;
        }
        if rebuilt.heads() != row.heads {
            return Err(format!("the heads of {doc:?} are not those of its log (I2)"));
        }
        if row.changes != changes.len() as u64 {
            let (said, count) = (row.changes, changes.len());
            return Err(format!("{doc:?} has {count} changes and says {said} (I2)"));
        }
        if lookup.projection(doc).map_err(failed("a projection"))?.is_none() {
            return Err(format!("{doc:?} has no projection (I2)"));
        }
        if let Some(saved) = lookup.snapshot(doc).map_err(failed("a snapshot"))? {
            let mut loaded =
                Document::load(&saved).map_err(|e| format!("the snapshot of {doc:?} is dead (I2): {e}"))?;
            if loaded.heads() != row.heads {
                return Err(format!("the snapshot of {doc:?} is not its log (I2)"));
            }
            if saved.len() > DOCUMENT_BYTES_MAX || row.changes > DOCUMENT_CHANGES_MAX {
                return Err(format!("{doc:?} has {} bytes and {} changes (I9)", saved.len(), row.changes));
            }
        }
    }
    Ok(())
}

/// The ledger's tables are the fold of its events, codes are unique, every customer has one owner (SIM-6). Returns the fold.
///
/// # Errors
/// The first event that was not legal, or the first customer that is not as the events say.
pub fn check_ledger(lookup: &dyn Lookup) -> Result<Model, Violation> {
    let mut fold = Model::default();
    for event in lookup.events_all(BEGINNING, usize::MAX >> 1).map_err(failed("events"))? {
        fold.fold(&event)?;
        if let EventKind::LateWorkSettled { late, state: LateState::Applied } = event.kind {
            check_applied(lookup, late)?;
        }
    }
    let mut owned: BTreeMap<PersonId, BTreeSet<DocId>> = BTreeMap::new();
    for (id, customer) in fold.customers() {
        owned.entry(customer.owner).or_default().insert(*id);
        let record = lookup.customer(*id).map_err(failed("a customer"))?;
        let record = record.ok_or_else(|| format!("{id:?} is in the events and not in the tables (I6)"))?;
        if record.owner() != customer.owner || record.code != customer.code {
            return Err(format!("the record of {id:?} is not the fold of its events (I6)"));
        }
    }
    for person in lookup.people().map_err(failed("people"))? {
        let stored = lookup.customers_owned(person.id).map_err(failed("customers"))?;
        let expected = owned.remove(&person.id).unwrap_or_default();
        if BTreeSet::from_iter(stored) != expected {
            return Err(format!("{:?} owns other customers than the events say (I6)", person.id));
        }
    }
    if let Some((person, _)) = owned.pop_first() {
        return Err(format!("{person:?} owns customers and is nobody (I6)"));
    }
    Ok(fold)
}

/// Late work that was said to be applied is merged and no longer only held (SIM-1).
fn check_applied(lookup: &dyn Lookup, late: Seq) -> Result<(), Violation> {
    for held in lookup.held_of(late).map_err(failed("late work"))? {
        if lookup.change(held.doc, &held.hash).map_err(failed("a change"))?.is_none() {
            return Err(format!("{:?} of {late:?} was applied and is not merged (I1)", held.hash));
        }
    }
    Ok(())
}

/// A frame of the server, read as its reader will.
pub struct Heard {
    /// The frame.
    pub frame: ServerFrame,
    /// What a page holds, inflated.
    pub items: Vec<Item>,
}

impl Heard {
    /// Reads a frame (SIM-15).
    ///
    /// # Errors
    /// If it is none, or beyond its limit.
    pub fn read(bytes: &[u8]) -> Result<Heard, Violation> {
        if bytes.len() > SERVER_FRAME_BYTES_MAX {
            return Err(format!("a frame of {} bytes leaves the server (I9)", bytes.len()));
        }
        let frame = decode_server_frame(bytes).map_err(|error| format!("the hub sends nonsense: {error}"))?;
        let items = match &frame {
            ServerFrame::Page(page) => page.items.clone().unpack(),
            _ => Ok(Vec::new()),
        };
        Ok(Heard { frame, items: items.map_err(|error| format!("the hub sends nonsense: {error}"))? })
    }

    /// The scopes that it tells something of.
    pub fn scopes(&self) -> BTreeSet<Scope> {
        let mut scopes = BTreeSet::new();
        for item in &self.items {
            match item {
                Item::Granted { scope, .. } | Item::Snapshot { scope, .. } | Item::Changes { scope, .. } => {
                    scopes.insert(*scope);
                }
                Item::Events(events) => scopes.extend(events.iter().map(|event| event.scope)),
                Item::Actors(_) | Item::Removed { .. } | Item::Erased { .. } => {}
            }
        }
        scopes
    }
}

/// Nothing of a scope reaches a person who has no grant for it (SIM-4).
///
/// # Errors
/// The first scope that the person may not read.
pub fn check_grants(
    ledger: &Model,
    reader: PersonId,
    scopes: impl IntoIterator<Item = Scope>,
) -> Result<(), Violation> {
    match scopes.into_iter().find(|scope| !ledger.may_read(reader, *scope)) {
        Some(scope) => Err(format!("an item of {scope:?} leaves for {reader:?} without a grant (I4)")),
        None => Ok(()),
    }
}
