//! Rebuilding everything from the log and comparing it with what the store holds: documents, projections,
//! the ledger's fold, grants, digests. Changes nothing. Slow: it judges every document again.

use std::collections::{BTreeMap, BTreeSet};

use shared::document::digest;
use shared::id::{ActorId, ChangeHash, DocId, PersonId, Scope, Seq};
use shared::ledger::event::LateKind;
use shared::ledger::people::{Access, Principal, customer_grants};
use shared::ledger::{CustomerRecord, EventKind, LedgerEvent, Person, Team};
use shared::protocol::Digest;
use shared::wire::ChangeHeader;

use crate::admission::{Admitter, Job};
use crate::store::{GrantRow, Lookup, Ownership, StoreFailure, customer_of, principal_key, scope_key};

/// Differences described; more are only counted.
const DIFFERENCES_TOLD_MAX: usize = 100;

/// Documents and events read at once.
const STEP: usize = 500;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verification {
    /// Documents rebuilt.
    pub documents: u64,
    /// Changes read.
    pub changes: u64,
    /// Ledger events folded.
    pub events: u64,
    /// Grants compared.
    pub grants: u64,
    /// How many things differ.
    pub differences: u64,
    /// What differs: ids and names of things, never what somebody wrote. At most 100.
    pub told: Vec<String>,
}

impl Verification {
    fn differ(&mut self, what: String) {
        self.differences += 1;
        if self.told.len() < DIFFERENCES_TOLD_MAX {
            self.told.push(what);
        }
    }

    fn expect<T: PartialEq>(&mut self, found: &T, expected: &T, what: impl FnOnce() -> String) {
        if found != expected {
            self.differ(what());
        }
    }
}

/// Verifies a store, with an admitter to rebuild its documents.
///
/// # Errors
/// The store's, when it cannot be read.
pub fn verify(lookup: &dyn Lookup, admitter: &mut impl Admitter) -> Result<Verification, StoreFailure> {
    let mut found = Verification::default();
    let ledger = fold(lookup, &mut found)?;
    compare_ledger(lookup, &ledger, &mut found)?;
    compare_erased(lookup, &ledger, &mut found)?;
    let (scopes, last) = rebuild_documents(lookup, admitter, &mut found)?;
    let walked = found.changes;
    found.expect(&lookup.changes_stored()?, &walked, || "the log: changes of no document".to_owned());
    compare_held(lookup, &ledger, &mut found)?;
    compare_grants(lookup, &ledger, &scopes, &last, &mut found)?;
    Ok(found)
}

/// The ledger folded from its events.
#[derive(Default)]
struct Folded {
    customers: BTreeMap<DocId, CustomerRecord>,
    people: BTreeMap<PersonId, Person>,
    teams: BTreeMap<shared::id::TeamId, Team>,
    codes: BTreeMap<String, DocId>,
    ownerships: BTreeMap<DocId, Vec<Ownership>>,
    grants: BTreeMap<[u8; 17], (Scope, Vec<GrantRow>)>,
    /// The last event of each scope.
    last: BTreeMap<[u8; 17], Seq>,
    erased: Vec<(DocId, Scope, Seq)>,
}

impl Folded {
    fn take(&mut self, event: &LedgerEvent) {
        self.last.insert(scope_key(event.scope), event.seq);
        if let Some(id) = customer_of(event) {
            let before = self.customers.remove(&id);
            if let Some(record) = CustomerRecord::fold(before, event) {
                self.customers.insert(id, record);
            }
        }
        match &event.kind {
            EventKind::TeamSet { team } => {
                self.begin_organisation(event.seq);
                self.teams.insert(team.id, team.clone());
            }
            EventKind::PersonSet { person } => {
                self.begin_organisation(event.seq);
                self.set_person(person, event.seq);
            }
            EventKind::CustomerRegistered { customer, first_recorder: owner, .. }
            | EventKind::CustomerTransferred { customer, to: owner, .. } => {
                self.own(*customer, *owner, event.seq);
                let wanted = self.people.get(owner).map(customer_grants).unwrap_or_default();
                self.set_grants(Scope::Customer(*customer), &wanted, event.seq);
            }
            EventKind::DocumentErased { doc } => self.erased.push((*doc, event.scope, event.seq)),
            EventKind::CustomerAccepted { customer, code } => {
                self.codes.insert(code.clone(), *customer);
            }
            EventKind::LateWorkArrived { .. }
            | EventKind::LateWorkSettled { .. }
            | EventKind::Notice { .. } => {}
        }
    }

    fn own(&mut self, customer: DocId, owner: PersonId, at: Seq) {
        let ownerships = self.ownerships.entry(customer).or_default();
        if let Some(last) = ownerships.last_mut() {
            last.until_seq = Some(at);
        }
        ownerships.push(Ownership { owner, from_seq: at, until_seq: None });
    }

    fn begin_organisation(&mut self, at: Seq) {
        if !self.grants.contains_key(&scope_key(Scope::Organisation)) {
            self.set_grants(Scope::Organisation, &[(Principal::Everyone, Access::Read)], at);
        }
    }

    fn set_person(&mut self, person: &Person, at: Seq) {
        match self.people.insert(person.id, person.clone()) {
            None => self.set_grants(person.scope(), &[(Principal::Person(person.id), Access::Read)], at),
            Some(before) if before.team != person.team => {
                let owned: Vec<DocId> = self
                    .customers
                    .values()
                    .filter(|record| record.owner() == person.id)
                    .map(|record| record.customer)
                    .collect();
                for customer in owned {
                    self.set_grants(Scope::Customer(customer), &customer_grants(person), at);
                }
            }
            Some(_) => {}
        }
    }

    fn set_grants(&mut self, scope: Scope, wanted: &[(Principal, Access)], at: Seq) {
        let (_, grants) = self.grants.entry(scope_key(scope)).or_insert_with(|| (scope, Vec::new()));
        for grant in grants.iter_mut().filter(|grant| grant.until_seq.is_none()) {
            match wanted.iter().find(|(principal, _)| *principal == grant.principal) {
                Some((_, access)) => grant.access = *access,
                None => grant.until_seq = Some(at),
            }
        }
        for (principal, access) in wanted {
            let held = grants.iter().any(|grant| grant.until_seq.is_none() && grant.principal == *principal);
            if !held {
                let (principal, access) = (*principal, *access);
                grants.push(GrantRow {
                    principal,
                    scope,
                    access,
                    from_seq: at,
                    until_seq: None,
                    last_seq: at,
                });
            }
        }
    }
}

fn fold(lookup: &dyn Lookup, found: &mut Verification) -> Result<Folded, StoreFailure> {
    let mut folded = Folded::default();
    let mut after = Seq(0);
    loop {
        let events = lookup.events_all(after, STEP)?;
        let Some(last) = events.last() else { return Ok(folded) };
        after = last.seq;
        found.events += events.len() as u64;
        for event in &events {
            folded.take(event);
        }
    }
}

fn compare_ledger(
    lookup: &dyn Lookup,
    ledger: &Folded,
    found: &mut Verification,
) -> Result<(), StoreFailure> {
    for (id, record) in &ledger.customers {
        found.expect(&lookup.customer(*id)?.as_ref(), &Some(record), || format!("customer {id}: its record"));
        let owned = ledger.ownerships.get(id).cloned().unwrap_or_default();
        found.expect(&lookup.ownerships(*id)?, &owned, || format!("customer {id}: its owners"));
    }
    let given: Vec<(String, DocId)> = lookup.codes_given()?;
    found.expect(&given, &ledger.codes.clone().into_iter().collect(), || "the codes given".to_owned());
    let registered = ledger.customers.len() as u64;
    found.expect(&lookup.customers_registered()?, &registered, || "the number of customers".to_owned());
    let mut codes = BTreeSet::new();
    for code in ledger.customers.values().filter_map(|record| record.code.as_ref()) {
        if !codes.insert(code) {
            found.differ(format!("code {code}: given twice"));
        }
    }
    for person in ledger.people.keys() {
        let owned = ledger.customers.values().filter(|record| record.owner() == *person);
        let owned: BTreeSet<DocId> = owned.map(|record| record.customer).collect();
        let stored = BTreeSet::from_iter(lookup.customers_owned(*person)?);
        found.expect(&stored, &owned, || format!("person {person}: the customers that they own"));
    }
    let people: BTreeMap<PersonId, Person> =
        lookup.people()?.into_iter().map(|person| (person.id, person)).collect();
    found.expect(&people, &ledger.people, || "the people".to_owned());
    let teams: BTreeMap<_, Team> = lookup.teams()?.into_iter().map(|team| (team.id, team)).collect();
    found.expect(&teams, &ledger.teams, || "the teams".to_owned());
    let is_erased = |customer| ledger.erased.iter().any(|(doc, ..)| *doc == customer);
    for record in ledger.customers.values() {
        if !is_erased(record.customer) && !people.get(&record.owner()).is_some_and(|owner| owner.active) {
            found.differ(format!("customer {}: its owner is not active (R4)", record.customer));
        }
    }
    Ok(())
}

/// Of an erased document nothing is left but its tombstone.
fn compare_erased(
    lookup: &dyn Lookup,
    ledger: &Folded,
    found: &mut Verification,
) -> Result<(), StoreFailure> {
    found.expect(&lookup.erased_all()?, &ledger.erased, || "the tombstones".to_owned());
    for (doc, ..) in &ledger.erased {
        let is_gone = lookup.document(*doc)?.is_none()
            && lookup.changes(*doc, Seq(0), Seq(u64::MAX))?.is_empty()
            && lookup.snapshot(*doc)?.is_none()
            && lookup.projection(*doc)?.is_none();
        if !is_gone {
            found.differ(format!("document {doc}: something is left of it after its erasure"));
        }
    }
    Ok(())
}

/// What a change says of itself, if its row says the same.
fn header_of(bytes: &[u8], row: (ChangeHash, ActorId, u64, u64)) -> Option<ChangeHeader> {
    let header = shared::wire::parse(bytes).ok()?;
    ((header.hash, header.actor, header.seq, header.max_op()) == row).then_some(header)
}

/// Held changes are whole, of whom the ledger says, and can be merged once somebody decides so.
fn compare_held(lookup: &dyn Lookup, ledger: &Folded, found: &mut Verification) -> Result<(), StoreFailure> {
    let mut walked = 0;
    for (late, work) in ledger.customers.values().flat_map(|record| &record.late) {
        let changes = lookup.held_of(*late)?;
        let keeps_some = matches!(work.kind, LateKind::CardEdit { .. });
        if keeps_some && changes.is_empty() && lookup.erased(work.customer)?.is_none() {
            found.differ(format!("late work {}: its changes", late.0));
        }
        for held in changes {
            walked += 1;
            let owner = lookup.actor(held.actor)?;
            found.expect(&owner, &Some((work.device, work.person)), || {
                format!("held change {}: its actor", held.hash)
            });
            let of = (held.device, held.person, Some(held.doc));
            found.expect(&of, &(work.device, work.person, work.doc), || {
                format!("held change {}: its late work", held.hash)
            });
            let row = (held.hash, held.actor, held.actor_seq, held.max_op);
            let Some(header) = header_of(&held.bytes, row) else {
                found.differ(format!("held change {}: its bytes", held.hash));
                continue;
            };
            for dependency in &header.deps {
                let is_there = lookup.change(held.doc, dependency)?.is_some()
                    || lookup.held_change(held.doc, dependency)?.is_some();
                if !is_there {
                    found.differ(format!("held change {}: what it builds on", held.hash));
                }
            }
        }
    }
    found.expect(&lookup.held_stored()?, &walked, || "held changes of no late work".to_owned());
    Ok(())
}

type Scopes = BTreeMap<[u8; 17], (Scope, u64)>;
type Lasts = BTreeMap<[u8; 17], Seq>;

/// Makes every document again from its changes. Returns the digest and the last change of every scope.
fn rebuild_documents(
    lookup: &dyn Lookup,
    admitter: &mut impl Admitter,
    found: &mut Verification,
) -> Result<(Scopes, Lasts), StoreFailure> {
    let (mut scopes, mut lasts) = (Scopes::new(), Lasts::new());
    let mut after = None;
    loop {
        let ids = lookup.document_ids(after, STEP)?;
        let Some(last) = ids.last() else { return Ok((scopes, lasts)) };
        after = Some(*last);
        for id in ids {
            let Some(row) = lookup.document(id)? else { continue };
            found.documents += 1;
            rebuild_document(lookup, admitter, &row, found)?;
            let key = scope_key(row.scope);
            scopes.entry(key).or_insert((row.scope, 0)).1 ^= row.digest.0;
            let last = lasts.entry(key).or_default();
            *last = row.last_seq.max(*last);
        }
    }
}

fn rebuild_document(
    lookup: &dyn Lookup,
    admitter: &mut impl Admitter,
    row: &crate::store::DocumentRow,
    found: &mut Verification,
) -> Result<(), StoreFailure> {
    let id = row.id;
    let log = lookup.changes(id, Seq(0), Seq(u64::MAX))?;
    found.changes += log.len() as u64;
    let count = log.len() as u64;
    found.expect(&row.changes, &count, || format!("document {id}: the number of its changes"));
    let Some((first, _)) = log.first() else {
        found.differ(format!("document {id}: it has no change"));
        return Ok(());
    };
    found.expect(&row.author, &first.person, || format!("document {id}: its author"));
    found.expect(&row.first_received, &first.received, || format!("document {id}: its receipt"));
    for (change, bytes) in &log {
        let owner = lookup.actor(change.actor)?;
        found.expect(&owner, &Some((change.device, change.person)), || {
            format!("change {}: its actor", change.hash)
        });
        let row = (change.hash, change.actor, change.actor_seq, change.max_op);
        if header_of(bytes, row).is_none() {
            found.differ(format!("change {}: its bytes", change.hash));
        }
    }
    let person = row.author;
    let (kind, scope) = (row.kind, row.scope);
    let changes: Vec<_> = log.into_iter().map(|(_, bytes)| bytes.into()).collect();
    let replayed = changes.len();
    let from_log = Job { id: 1, doc: id, kind, scope, stored: None, person, replayed, changes };
    let stored = lookup.snapshot(id)?;
    let from_snapshot = stored.map(|saved| Job {
        id: 2,
        doc: id,
        kind,
        scope,
        stored: Some(saved.into()),
        person,
        replayed: 0,
        changes: Vec::new(),
    });
    let projection = lookup.projection(id)?;
    for (_, verdict) in admitter.judge(std::iter::once(from_log).chain(from_snapshot).collect()).0 {
        let Ok(rebuilt) = verdict else {
            found.differ(format!("document {id}: it cannot be rebuilt"));
            continue;
        };
        found.expect(&row.heads.as_slice(), &rebuilt.heads(), || format!("document {id}: its heads"));
        found.expect(&row.digest, &digest(id, rebuilt.heads()), || format!("document {id}: its digest"));
        let same = projection.as_deref() == Some(rebuilt.projection());
        if !same {
            found.differ(format!("document {id}: its projection"));
        }
    }
    Ok(())
}

fn compare_grants(
    lookup: &dyn Lookup,
    ledger: &Folded,
    scopes: &Scopes,
    lasts: &Lasts,
    found: &mut Verification,
) -> Result<(), StoreFailure> {
    let mut principals: BTreeMap<[u8; 17], (Principal, u64)> = BTreeMap::new();
    for (key, (scope, expected)) in &ledger.grants {
        let mut expected = expected.clone();
        let mut stored = lookup.grants_of(*scope)?;
        found.grants += stored.len() as u64;
        let digest = scopes.get(key).map_or(0, |(_, digest)| *digest);
        found.expect(&lookup.scope_digest(*scope)?, &Digest(digest), || format!("{scope:?}: its digest"));
        let last = lasts.get(key).copied().max(ledger.last.get(key).copied()).unwrap_or_default();
        for grant in &mut stored {
            // A present grant stands in the feed at or after the last thing in its scope, an ended one at its end.
            let is_placed = grant.until_seq.map_or(grant.last_seq >= last, |until| grant.last_seq == until);
            if !is_placed {
                found.differ(format!("{scope:?}: the place of a grant in the feed"));
            }
            grant.last_seq = Seq(0);
            if grant.until_seq.is_none() {
                principals.entry(principal_key(grant.principal)).or_insert((grant.principal, 0)).1 ^= digest;
            }
        }
        for grant in &mut expected {
            grant.last_seq = Seq(0);
        }
        let order = |grant: &GrantRow| (principal_key(grant.principal), grant.from_seq);
        expected.sort_by_key(order);
        stored.sort_by_key(order);
        found.expect(&stored, &expected, || format!("{scope:?}: its grants"));
    }
    for (scope, _) in scopes.values() {
        if !ledger.grants.contains_key(&scope_key(*scope)) {
            found.differ(format!("{scope:?}: documents without a grant"));
        }
    }
    for (principal, digest) in principals.into_values() {
        let stored = lookup.principal_digest(principal)?;
        found.expect(&stored, &Digest(digest), || format!("{principal:?}: the digest of what it may see"));
    }
    Ok(())
}
