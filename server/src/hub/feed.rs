//! Reading the feed: what one person may see after a cursor, in bounded pages. Runs on a reader's connection,
//! beside the hub's thread. Knows no session; the same cursor gives the same answer to anybody with the same
//! principals, and every page asks anew what may be seen.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use shared::cbor::{Decode, Encode};
use shared::document::Kind;
use shared::id::{ActorId, DocId, PersonId, Scope, Seq};
use shared::ledger::people::{Access, Principal};
use shared::ledger::{EventKind, LedgerEvent};
use shared::limits::PAGE_BYTES_MAX;
use shared::planted::{self, Bug};
use shared::protocol::{self, Digest, Item, Page, PageItems, ServerFrame};

use super::SessionId;
use crate::store::{DocumentRow, GrantRow, Lookup, StoreFailure, scope_key};

/// Scopes that one repair sends again. What else differs is found by the next digest.
const REPAIR_SCOPES_MAX: usize = 64;

/// Grants of one principal read at once: the memory of one page's reading is bounded by this.
const GRANTS_AT_ONCE: usize = 4_000;

/// Bytes of changes of one document above which its snapshot is sent instead, if that is smaller.
const CHANGES_BYTES_MAX: usize = 8 * 1024;

/// A place in a person's feed, as it travels: opaque to the device. A device that forges one gains nothing,
/// because every page is filtered by the grants of the moment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FeedCursor {
    /// Of the principals that the person acted as; when those change, the feed begins anew.
    #[n(0)]
    pub view: u32,
    /// Everything up to here was delivered.
    #[n(1)]
    pub base: Seq,
    /// A pass in work.
    #[n(2)]
    pub pass: Option<Pass>,
}

/// A pass over the scopes that changed between the cursor's base and `target`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Pass {
    /// Where the base will be when the pass is done.
    #[n(0)]
    pub target: Seq,
    /// The scope delivered last, in the order of [`scope_key`].
    #[n(1)]
    pub scope: Option<Scope>,
    /// The document delivered last, if the scope is not complete.
    #[n(2)]
    pub doc: Option<(Kind, DocId)>,
    /// The scopes to send whole, whatever the base says: a repair.
    #[n(3)]
    pub repair: Option<Vec<Scope>>,
}

impl FeedCursor {
    /// A cursor at a place where everything was delivered.
    pub fn at(view: u32, base: Seq) -> Self {
        Self { view, base, pass: None }
    }

    /// The form that travels.
    pub fn encode(&self) -> protocol::Cursor {
        protocol::Cursor(protocol::encode(self).into())
    }

    /// Reads a device's cursor. One that makes no sense here (another view, a place that this store has not
    /// reached) begins anew.
    pub fn decode(cursor: Option<&protocol::Cursor>, view: u32, head: Seq) -> Self {
        cursor
            .and_then(|cursor| minicbor::decode::<FeedCursor>(&cursor.0).ok())
            .filter(|cursor| cursor.view == view && cursor.base <= head)
            .filter(|cursor| cursor.pass.as_ref().is_none_or(|pass| pass.target <= head))
            .unwrap_or(FeedCursor::at(view, Seq(0)))
    }
}

/// Whether a cursor was given to the person in another role or team.
pub fn is_of_another_view(cursor: Option<&protocol::Cursor>, view: u32) -> bool {
    cursor
        .and_then(|cursor| minicbor::decode::<FeedCursor>(&cursor.0).ok())
        .is_some_and(|cursor| cursor.view != view)
}

/// A short number for a set of principals.
pub fn view_of(principals: &[Principal]) -> u32 {
    let mut keys: Vec<_> =
        principals.iter().map(|principal| crate::store::principal_key(*principal)).collect();
    keys.sort_unstable();
    // FNV-1a: an accident among the few views of one person is all that it must not have.
    keys.iter().flatten().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// What to read for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest {
    /// The session.
    pub session: SessionId,
    /// The session's number for this reading.
    pub reading: u64,
    /// As whom.
    pub principals: Vec<Principal>,
    /// From where.
    pub cursor: FeedCursor,
    /// The digests of every scope that the device holds, when it was asked for them.
    pub held: Option<Vec<(Scope, Digest)>>,
}

/// A page that was read.
#[derive(Debug, Clone)]
pub struct PageRead {
    /// The session.
    pub session: SessionId,
    /// The session's number for this reading.
    pub reading: u64,
    /// The encoded frame.
    pub frame: Bytes,
    /// How many items are in it.
    pub items: usize,
    /// Where the device stands after it; none if there is more to pull.
    pub position: Option<Seq>,
    /// What the device's digest should be then.
    pub digest: Digest,
    /// How many scopes a repair found to differ.
    pub repaired: usize,
}

struct PageBuilder {
    items: Vec<Item>,
    bytes: usize,
    actors: BTreeMap<ActorId, PersonId>,
}

impl ReadRequest {
    /// Reads and encodes the page.
    ///
    /// # Errors
    /// The store's.
    pub fn read(&self, lookup: &dyn Lookup) -> Result<PageRead, StoreFailure> {
        let head = lookup.head()?;
        let mut cursor = self.cursor.clone();
        let mut repaired = 0;
        if let Some(held) = &self.held {
            let differing = differing_scopes(lookup, &self.principals, held)?;
            repaired = differing.len();
            if !differing.is_empty() {
                cursor.pass =
                    Some(Pass { target: cursor.base, scope: None, doc: None, repair: Some(differing) });
            }
        }
        let mut page = PageBuilder { items: Vec::new(), bytes: 0, actors: BTreeMap::new() };
        // A pass that ends before the head is followed by the next within the same page: a page without `more`
        // always ends at the head, where the digest is known.
        while page.bytes < PAGE_BYTES_MAX {
            if cursor.pass.is_none() {
                if cursor.base == head {
                    break;
                }
                cursor.pass = Some(Pass { target: head, scope: None, doc: None, repair: None });
            }
            self.read_pass(lookup, &mut cursor, &mut page)?;
        }
        let more = cursor.pass.is_some() || cursor.base != head;
        let digest = if more { Digest::default() } else { digest_of(lookup, &self.principals)? };
        let count = page.items.len();
        let position = (!more).then_some(cursor.base);
        let frame = encode_page(&cursor, more, page.into_items());
        Ok(PageRead {
            session: self.session,
            reading: self.reading,
            frame,
            items: count,
            position,
            digest,
            repaired,
        })
    }

    /// Goes on with the cursor's pass until the page is full or the pass is done.
    fn read_pass(
        &self,
        lookup: &dyn Lookup,
        cursor: &mut FeedCursor,
        page: &mut PageBuilder,
    ) -> Result<(), StoreFailure> {
        let base = cursor.base;
        let pass = cursor.pass.as_mut().expect("the caller began one");
        let is_repair = pass.repair.is_some();
        let (scopes, complete) = match &pass.repair {
            Some(scopes) => (scopes.clone(), true),
            None => changed_scopes(lookup, &self.principals, base, pass.scope)?,
        };
        for scope in scopes {
            let resumed = pass.doc.filter(|_| pass.scope == Some(scope));
            if resumed.is_none() && pass.scope.is_some_and(|done| scope_key(scope) <= scope_key(done)) {
                continue;
            }
            if page.bytes >= PAGE_BYTES_MAX {
                return Ok(());
            }
            let grants = self.grants(lookup, scope)?;
            let stopped = read_scope(lookup, scope, &grants, (base, pass.target), is_repair, resumed, page)?;
            pass.scope = Some(scope);
            pass.doc = stopped;
            if stopped.is_some() {
                return Ok(());
            }
        }
        if !complete {
            return Ok(());
        }
        cursor.base = pass.target;
        cursor.pass = None;
        Ok(())
    }

    fn grants(&self, lookup: &dyn Lookup, scope: Scope) -> Result<Vec<GrantRow>, StoreFailure> {
        let mut grants = lookup.grants_of(scope)?;
        grants.retain(|grant| self.principals.contains(&grant.principal));
        Ok(grants)
    }
}

/// Scopes in which something happened after `base`, from `from` on, in feed order; and whether these are all.
fn changed_scopes(
    lookup: &dyn Lookup,
    principals: &[Principal],
    base: Seq,
    from: Option<Scope>,
) -> Result<(Vec<Scope>, bool), StoreFailure> {
    let mut keys = BTreeSet::new();
    let mut complete_to: Option<[u8; 17]> = None;
    for principal in principals {
        let grants = lookup.grants_since(*principal, base, from, GRANTS_AT_ONCE)?;
        if grants.len() == GRANTS_AT_ONCE {
            let last = grants.last().map(|grant| scope_key(grant.scope)).expect("it is not empty");
            complete_to = Some(complete_to.map_or(last, |known| known.min(last)));
        }
        keys.extend(grants.iter().map(|grant| scope_key(grant.scope)));
    }
    let scopes = keys
        .into_iter()
        .filter(|key| complete_to.is_none_or(|last| *key <= last))
        .filter_map(|key| crate::store::scope_from_key(&key))
        .collect();
    Ok((scopes, complete_to.is_none()))
}

/// Adds what happened in one scope. Returns the document after which the page was full, if it was.
fn read_scope(
    lookup: &dyn Lookup,
    scope: Scope,
    grants: &[GrantRow],
    (base, target): (Seq, Seq),
    is_repair: bool,
    resumed: Option<(Kind, DocId)>,
    page: &mut PageBuilder,
) -> Result<Option<(Kind, DocId)>, StoreFailure> {
    let before = access_at(grants, base);
    let at_target = access_at(grants, target);
    let is_in_force = |grant: &&GrantRow| grant.until_seq.is_none() || planted::is(Bug::PageSkipsGrants);
    let present = grants.iter().filter(is_in_force).map(|grant| grant.access).max();
    let counts = is_repair || at_target.is_some() || planted::is(Bug::PageSkipsGrants);
    let Some(access) = present.filter(|_| counts) else {
        // Over by now. If it ended after the target, the next pass says so. One that began and ended within
        // the pass counts: the device may hold what it created there itself.
        let ended = |grant: &GrantRow| grant.until_seq.is_some_and(|until| until > base && until <= target);
        if at_target.is_none() && grants.iter().any(ended) || is_repair {
            page.push(Item::Removed { scope }, 24);
        }
        return Ok(None);
    };
    let full = is_repair || before.is_none();
    if resumed.is_none() {
        if full || before != Some(access) {
            page.push(Item::Granted { scope, access, full }, 28);
        }
        let since = if full { Seq(0) } else { base };
        let until = if is_repair { Seq(u64::MAX) } else { target };
        let (erasures, events) = split_erasures(lookup.events(scope, since, until)?);
        if !events.is_empty() {
            let bytes = protocol::encode(&events).len();
            page.push(Item::Events(events), bytes);
        }
        for erasure in erasures {
            page.push(erasure, 20);
        }
    }
    let since = if full { Seq(0) } else { base };
    for document in lookup.documents_since(scope, since)? {
        if resumed.is_some_and(|done| (document.kind, document.id) <= done) {
            continue;
        }
        if full {
            page.push_snapshot(lookup, &document)?;
        } else {
            page.push_changes(lookup, &document, base, target)?;
        }
        if page.bytes >= PAGE_BYTES_MAX {
            return Ok(Some((document.kind, document.id)));
        }
    }
    Ok(None)
}

fn access_at(grants: &[GrantRow], at: Seq) -> Option<Access> {
    grants.iter().filter(|grant| grant.holds_at(at)).map(|grant| grant.access).max()
}

impl PageBuilder {
    fn push(&mut self, item: Item, bytes: usize) {
        self.items.push(item);
        self.bytes += bytes;
    }

    fn push_snapshot(&mut self, lookup: &dyn Lookup, document: &DocumentRow) -> Result<(), StoreFailure> {
        let Some(saved) = lookup.snapshot(document.id)? else {
            // The cache was dropped: the log says the same, at more bytes.
            return self.push_changes(lookup, document, Seq(0), Seq(u64::MAX));
        };
        self.actors.extend(lookup.actors_of(document.id)?);
        let bytes = saved.len() + 64;
        self.push(
            Item::Snapshot {
                doc: document.id,
                kind: document.kind,
                scope: document.scope,
                bytes: saved.into(),
                received: document.first_received,
            },
            bytes,
        );
        Ok(())
    }

    fn push_changes(
        &mut self,
        lookup: &dyn Lookup,
        document: &DocumentRow,
        since: Seq,
        until: Seq,
    ) -> Result<(), StoreFailure> {
        let changes = lookup.changes(document.id, since, until)?;
        if changes.is_empty() {
            return Ok(());
        }
        let bytes: usize = changes.iter().map(|(_, bytes)| bytes.len() + 4).sum();
        if bytes > CHANGES_BYTES_MAX && lookup.snapshot(document.id)?.is_some_and(|saved| saved.len() < bytes)
        {
            return self.push_snapshot(lookup, document);
        }
        for (row, _) in &changes {
            self.actors.insert(row.actor, row.person);
        }
        self.push(
            Item::Changes {
                doc: document.id,
                kind: document.kind,
                scope: document.scope,
                changes: changes.into_iter().map(|(_, bytes)| bytes.into()).collect(),
                received: document.first_received,
            },
            bytes + 64,
        );
        Ok(())
    }

    fn into_items(self) -> Vec<Item> {
        with_actors(self.actors, self.items)
    }
}

/// Takes the erasures out of a scope's events: phones hear of them as items of their own.
pub(super) fn split_erasures(mut events: Vec<LedgerEvent>) -> (Vec<Item>, Vec<LedgerEvent>) {
    let mut erasures = Vec::new();
    events.retain(|event| match event.kind {
        EventKind::DocumentErased { doc } => {
            erasures.push(Item::Erased { doc });
            false
        }
        _ => true,
    });
    (erasures, events)
}

/// Puts the directory of actors before the items that need it.
pub(super) fn with_actors(actors: BTreeMap<ActorId, PersonId>, items: Vec<Item>) -> Vec<Item> {
    if actors.is_empty() {
        return items;
    }
    std::iter::once(Item::Actors(actors.into_iter().collect())).chain(items).collect()
}

/// Encodes a page's frame, deflated where that is smaller.
pub(super) fn encode_page(cursor: &FeedCursor, more: bool, items: Vec<Item>) -> Bytes {
    let page = Page { cursor: cursor.encode(), more, items: PageItems::pack(items) };
    Bytes::from(protocol::encode(&ServerFrame::Page(page)))
}

/// XOR of the digests of all scopes that a person may see. The principals' sums are kept by the store; a scope
/// seen as two principals at once is in two of them and must count once.
pub(super) fn digest_of(lookup: &dyn Lookup, principals: &[Principal]) -> Result<Digest, StoreFailure> {
    let mut sum = 0;
    for principal in principals {
        sum ^= lookup.principal_digest(*principal)?.0;
    }
    let broad = |principal: &Principal| {
        matches!(principal, Principal::Desk | Principal::AllManagers | Principal::TeamManagers(_))
    };
    let broad: Vec<_> = principals.iter().copied().filter(broad).collect();
    if broad.is_empty() {
        return Ok(Digest(sum));
    }
    for principal in principals.iter().filter(|principal| matches!(principal, Principal::Person(_))) {
        for own in lookup.grants_held(*principal)? {
            let present = lookup.grants_of(own.scope)?;
            let again = present
                .iter()
                .filter(|grant| grant.until_seq.is_none() && broad.contains(&grant.principal))
                .count();
            if again % 2 == 1 {
                sum ^= lookup.scope_digest(own.scope)?.0;
            }
        }
    }
    Ok(Digest(sum))
}

/// Compares what a device holds with what it should hold, scope by scope.
fn differing_scopes(
    lookup: &dyn Lookup,
    principals: &[Principal],
    held: &[(Scope, Digest)],
) -> Result<Vec<Scope>, StoreFailure> {
    let mut granted = BTreeSet::new();
    for principal in principals {
        granted.extend(lookup.grants_held(*principal)?.iter().map(|grant| scope_key(grant.scope)));
    }
    let mut differing = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (scope, digest) in held {
        let key = scope_key(*scope);
        seen.insert(key);
        if !granted.contains(&key) || lookup.scope_digest(*scope)? != *digest {
            differing.insert(key);
        }
        if differing.len() >= REPAIR_SCOPES_MAX {
            break;
        }
    }
    for key in granted.difference(&seen) {
        let Some(scope) = crate::store::scope_from_key(key) else { continue };
        // A scope without documents has no digest, and a device has no reason to name it.
        if differing.len() < REPAIR_SCOPES_MAX && lookup.scope_digest(scope)? != Digest::default() {
            differing.insert(*key);
        }
    }
    Ok(differing.iter().filter_map(|key| crate::store::scope_from_key(key)).collect())
}
