//! The invariants as they can be seen in a store or in a frame, written once: worlds at rest, disks without power, killed
//! processes, loads and the soak are judged by these functions and no others. Each names its rule in `docs/spec.md`.

use std::collections::{BTreeMap, BTreeSet};

use server::store::{ChangeRow, Lookup, StoreFailure};
use shared::document::Document;
use shared::id::{ActorId, ChangeHash, DeviceId, DocId, PersonId, RequestId, Scope, Seq};
use shared::ledger::event::LateKind;
use shared::ledger::{EventKind, LateState, LedgerEvent, Person};
use shared::limits::{CHANGE_BYTES_MAX, DOCUMENT_BYTES_MAX, DOCUMENT_CHANGES_MAX, SERVER_FRAME_BYTES_MAX};
use shared::protocol::{Item, ItemResult, ServerFrame, decode_server_frame};
use shared::wire::ChangeHeader;

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

/// Every request that was said to have taken effect did, and is still answered so (SIM-1, SIM-11).
///
/// # Errors
/// The first that did not.
pub fn check_requests(
    lookup: &dyn Lookup,
    requests: impl IntoIterator<Item = RequestId>,
) -> Result<(), Violation> {
    for request in requests {
        match lookup.request(request).map_err(failed("a request"))? {
            Some(ItemResult::Accepted(_)) => {}
            answer => return Err(format!("{request:?} was accepted and is answered {answer:?} (I1)")),
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
    let mut walked = 0;
    for doc in lookup.document_ids(None, usize::MAX >> 1).map_err(failed("documents"))? {
        let row =
            lookup.document(doc).map_err(failed("a document"))?.ok_or("a listed document is not there")?;
        let changes = lookup.changes(doc, BEGINNING, END).map_err(failed("changes"))?;
        let mut rebuilt = Document::empty();
        for (change, bytes) in &changes {
            let row = (change.hash, change.actor, change.actor_seq);
            let header = check_bytes(bytes, row)?;
            let owner = *actors.entry(change.actor).or_insert((change.device, change.person));
            if owner != (change.device, change.person) {
                return Err(format!(
                    "{:?} of {owner:?} was merged from {:?} (I7)",
                    change.actor, change.device
                ));
            }
            check_attribution(lookup, &header, owner)?;
            judge(change)?;
            rebuilt.apply(&[bytes]).map_err(|e| format!("the log of {doc:?} has a hole (I10): {e}"))?;
        }
        if rebuilt.heads() != row.heads {
            return Err(format!("the heads of {doc:?} are not those of its log (I2)"));
        }
        if row.changes > DOCUMENT_CHANGES_MAX {
            return Err(format!("{doc:?} has {} changes (I9)", row.changes));
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
            if saved.len() > DOCUMENT_BYTES_MAX {
                return Err(format!("{doc:?} has {} bytes (I9)", saved.len()));
            }
        }
        walked += row.changes;
    }
    let stored = lookup.changes_stored().map_err(failed("the log"))?;
    if stored != walked {
        return Err(format!("the log has {stored} changes and the documents have {walked} (I2)"));
    }
    check_held(lookup)
}

/// What is held is whole, of one device and person, and builds on what is there (SIM-7, SIM-10, SIM-15).
fn check_held(lookup: &dyn Lookup) -> Result<(), Violation> {
    let mut walked = 0;
    for event in lookup.events_all(BEGINNING, usize::MAX >> 1).map_err(failed("events"))? {
        let EventKind::LateWorkArrived { late } = &event.kind else { continue };
        let changes = lookup.held_of(event.seq).map_err(failed("late work"))?;
        let is_erased = lookup.erased(late.customer).map_err(failed("an erasure"))?.is_some();
        if matches!(late.kind, LateKind::CardEdit { .. }) && changes.is_empty() && !is_erased {
            return Err(format!("nothing is held for {late:?} (I1)"));
        }
        for held in changes {
            let header = check_bytes(&held.bytes, (held.hash, held.actor, held.actor_seq))?;
            check_attribution(lookup, &header, (held.device, held.person))?;
            if (late.device, late.person) != (held.device, held.person) || late.doc != Some(held.doc) {
                return Err(format!("{:?} is held for {late:?}, whose it is not (I7)", held.hash));
            }
            for dependency in &header.deps {
                let merged = lookup.change(held.doc, dependency).map_err(failed("a change"))?.is_some();
                if !merged
                    && lookup.held_change(held.doc, dependency).map_err(failed("a held change"))?.is_none()
                {
                    return Err(format!("{:?} is held and builds on nothing (I10)", held.hash));
                }
            }
            walked += 1;
        }
    }
    match lookup.held_stored().map_err(failed("held changes"))? {
        stored if stored == walked => Ok(()),
        stored => Err(format!("{stored} changes are held and late work has {walked} (I2)")),
    }
}

/// A stored change is one, within its limit, and its row says what it says.
fn check_bytes(bytes: &[u8], row: (ChangeHash, ActorId, u64)) -> Result<ChangeHeader, Violation> {
    if bytes.len() > CHANGE_BYTES_MAX {
        return Err(format!("a stored change has {} bytes (I9)", bytes.len()));
    }
    let header =
        shared::wire::parse(bytes).map_err(|r| format!("a stored change is malformed (I2): {r:?}"))?;
    if (header.hash, header.actor, header.seq) != row {
        return Err(format!("the row of {:?} says something else than its bytes (I2)", row.0));
    }
    Ok(header)
}

/// A change is of the person who signed it, and its actor of the device that pushed it.
fn check_attribution(
    lookup: &dyn Lookup,
    header: &ChangeHeader,
    owner: (DeviceId, PersonId),
) -> Result<(), Violation> {
    let registered = lookup.actor(header.actor).map_err(failed("an actor"))?;
    if registered != Some(owner) {
        return Err(format!("{:?} is registered for {registered:?} (I7)", header.actor));
    }
    if header.author.is_some_and(|author| author != owner.1) {
        return Err(format!("{:?} is signed by another than it is attributed to (I7)", header.hash));
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
        fold.fold(&event).map_err(of_the_ledger)?;
        check_remembered(lookup, &event)?;
        if let EventKind::LateWorkSettled { late, state: LateState::Applied } = event.kind {
            check_applied(lookup, late)?;
        }
    }
    let mut owned: BTreeMap<PersonId, BTreeSet<DocId>> = BTreeMap::new();
    for (id, customer) in fold.customers() {
        owned.entry(customer.owner).or_default().insert(*id);
        let record = lookup.customer(*id).map_err(failed("a customer"))?;
        let record = record.ok_or_else(|| format!("{id:?} is in the events and not in the tables (I6)"))?;
        let late: BTreeMap<Seq, LateState> =
            record.late.iter().map(|(seq, work)| (*seq, work.state)).collect();
        if (record.owner(), &record.code, &record.provisional, &late)
            != (customer.owner, &customer.code, &customer.provisional, &customer.late)
        {
            return Err(format!("the record of {id:?} is not the fold of its events (I6)"));
        }
    }
    let codes = fold.customers().filter_map(|(id, customer)| Some((customer.code.clone()?, *id)));
    let given = lookup.codes_given().map_err(failed("codes"))?;
    if BTreeMap::from_iter(given) != codes.collect() {
        return Err("other codes are given than the events say (I6)".to_owned());
    }
    let people = lookup.people().map_err(failed("people"))?;
    let known: BTreeMap<PersonId, &Person> = people.iter().map(|person| (person.id, person)).collect();
    if known != fold.people().map(|person| (person.id, person)).collect() {
        return Err("the people are not as the events say (I6)".to_owned());
    }
    for person in people {
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

/// A fold that fails is a broken ledger, unless it names another invariant itself.
pub fn of_the_ledger(violation: Violation) -> Violation {
    if violation.contains("(I") { violation } else { format!("{violation} (I6)") }
}

/// A request that took effect is answered with its event when it comes again (SIM-11).
fn check_remembered(lookup: &dyn Lookup, event: &LedgerEvent) -> Result<(), Violation> {
    let Some(request) = event.request else { return Ok(()) };
    match lookup.request(request).map_err(failed("a request"))? {
        Some(ItemResult::Accepted(seq)) if seq == event.seq => Ok(()),
        answer => Err(format!("{request:?} took effect at {:?} and is answered {answer:?} (I11)", event.seq)),
    }
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

/// Nothing of a scope reaches a person who has no grant for it, as `may_read` says (SIM-4).
///
/// # Errors
/// The first scope that the person may not read.
pub fn check_grants(
    reader: PersonId,
    scopes: impl IntoIterator<Item = Scope>,
    may_read: impl Fn(PersonId, Scope) -> bool,
) -> Result<(), Violation> {
    match scopes.into_iter().find(|scope| !may_read(reader, *scope)) {
        Some(scope) => Err(format!("an item of {scope:?} leaves for {reader:?} without a grant (I4)")),
        None => Ok(()),
    }
}
