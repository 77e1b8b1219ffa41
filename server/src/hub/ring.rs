//! Recent commits in memory, bounded in bytes, so that a commit reaches a thousand sockets without a thousand
//! reads of the database. Knows which principals a commit touched, not which sessions there are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shared::document::Kind;
use shared::id::{ActorId, DocId, PersonId, Scope, Seq};
use shared::ledger::LedgerEvent;
use shared::ledger::people::{Access, Principal};
use shared::planted::{self, Bug};
use shared::protocol::Item;
use shared::time::UtcMillis;

use super::SessionId;

/// Bytes of commits kept, with all that holds them. At 700 bytes a change that was committed alone: the last 12,000
/// changes, minutes of a busy morning.
const RING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One committed change as the feed tells it.
#[derive(Debug, Clone)]
pub(super) struct FeedChange {
    pub(super) doc: DocId,
    pub(super) kind: Kind,
    pub(super) received: UtcMillis,
    pub(super) actor: ActorId,
    pub(super) person: PersonId,
    pub(super) origin: SessionId,
    pub(super) bytes: Vec<u8>,
}

/// What one commit did in one scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Touch {
    /// Who may see it.
    pub(super) principals: Vec<(Principal, Access)>,
    /// The scope began with this commit: everybody but the session that began it gets it whole.
    pub(super) began: bool,
    /// Grants of the scope began or ended for somebody who is told by a read of the store.
    pub(super) regranted: bool,
    /// Principals whose grant ended.
    pub(super) ended: Vec<Principal>,
    /// In log order.
    pub(super) changes: Vec<FeedChange>,
    /// In log order.
    pub(super) events: Vec<LedgerEvent>,
    /// XOR of the scope's digest before and after.
    pub(super) digest: u64,
}

/// What an event's texts take beside it.
const EVENT_TEXTS: usize = 200;

impl Touch {
    /// Gives back the room in which it grew: most commits have one change, and thousands are kept.
    fn fit(&mut self) {
        self.principals.shrink_to_fit();
        self.ended.shrink_to_fit();
        self.events.shrink_to_fit();
        self.changes.shrink_to_fit();
        self.changes.iter_mut().for_each(|change| change.bytes.shrink_to_fit());
    }

    /// The memory that it takes, with its scope.
    fn bytes(&self) -> usize {
        let changes = self.changes.iter().map(|change| size_of::<FeedChange>() + change.bytes.len());
        size_of::<(Scope, Self)>()
            + self.principals.len() * size_of::<(Principal, Access)>()
            + self.ended.len() * size_of::<Principal>()
            + self.events.len() * (size_of::<LedgerEvent>() + EVENT_TEXTS)
            + changes.sum::<usize>()
    }
}

/// One commit.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) before: Seq,
    pub(super) last: Seq,
    /// In feed order.
    pub(super) touches: Box<[(Scope, Touch)]>,
    bytes: usize,
}

impl Entry {
    pub(super) fn new(before: Seq, last: Seq, touches: BTreeMap<[u8; 17], (Scope, Touch)>) -> Self {
        let touches: Box<[(Scope, Touch)]> = touches
            .into_values()
            .map(|(scope, mut touch)| {
                touch.fit();
                (scope, touch)
            })
            .collect();
        let bytes = size_of::<Self>() + touches.iter().map(|(_, touch)| touch.bytes()).sum::<usize>();
        Self { before, last, touches, bytes }
    }
}

/// What a session gets of the ring.
pub(super) struct Composed {
    pub(super) items: Vec<Item>,
    pub(super) digest: u64,
    pub(super) bytes: usize,
    /// Whether something was left out because the session itself had pushed it.
    pub(super) own: bool,
    /// Scopes announced whole: what the page does not hold of them is gone, the session's own work too.
    whole: BTreeSet<Scope>,
}

#[derive(Default)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Ring {
    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes;
        self.entries.push_back(entry);
        while self.bytes > RING_BYTES_MAX && self.entries.len() > 1 {
            let oldest = self.entries.pop_front().expect("there are two");
            self.bytes -= oldest.bytes;
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// What somebody with these principals sees of everything after `position`; none if the ring does not
    /// reach back so far or a grant changed, which only the store can tell.
    pub(super) fn compose(
        &self,
        position: Seq,
        principals: &[Principal],
        session: SessionId,
    ) -> Option<Composed> {
        let first = self.entries.partition_point(|entry| entry.before < position);
        if self.entries.get(first).is_none_or(|entry| entry.before != position) {
            return None;
        }
        let mut composed =
            Composed { items: Vec::new(), digest: 0, bytes: 0, own: false, whole: BTreeSet::new() };
        let mut actors = BTreeMap::new();
        for (scope, touch) in self.entries.range(first..).flat_map(|entry| &entry.touches) {
            if touch.ended.iter().any(|principal| principals.contains(principal)) {
                return None;
            }
            let access = touch
                .principals
                .iter()
                .filter(|(principal, _)| principals.contains(principal))
                .map(|(_, access)| *access)
                .max()
                .or(planted::is(Bug::RingSkipsGrants).then_some(Access::Read));
            let Some(access) = access else { continue };
            if touch.regranted {
                return None;
            }
            composed.digest ^= touch.digest;
            add_touch(&mut composed, &mut actors, *scope, touch, access, session);
        }
        if planted::is(Bug::SkipsChange)
            && let Some(Item::Changes { changes, .. }) = composed.items.last_mut()
        {
            changes.pop();
        }
        composed.items = super::feed::with_actors(actors, composed.items);
        Some(composed)
    }
}

fn add_touch(
    composed: &mut Composed,
    actors: &mut BTreeMap<ActorId, PersonId>,
    scope: Scope,
    touch: &Touch,
    access: Access,
    session: SessionId,
) {
    if touch.began {
        let mine = touch.changes.iter().any(|change| change.origin == session);
        composed.items.push(Item::Granted { scope, access, full: !mine });
        if !mine {
            composed.whole.insert(scope);
        }
    }
    let (erasures, events) = super::feed::split_erasures(touch.events.clone());
    composed.bytes += touch.events.len() * 200;
    if !events.is_empty() {
        composed.items.push(Item::Events(events));
    }
    composed.items.extend(erasures);
    for change in &touch.changes {
        if change.origin == session && !composed.whole.contains(&scope) {
            composed.own = true;
            continue;
        }
        actors.insert(change.actor, change.person);
        composed.bytes += change.bytes.len() + 64;
        let bytes = change.bytes.clone().into();
        match composed.items.last_mut() {
            Some(Item::Changes { doc, changes, .. }) if *doc == change.doc => changes.push(bytes),
            _ => composed.items.push(Item::Changes {
                doc: change.doc,
                kind: change.kind,
                scope,
                changes: vec![bytes],
                received: change.received,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope = Scope::Customer(DocId([7; 16]));
    const PERSON: PersonId = PersonId([1; 16]);

    fn touch(began: bool, doc: u8, origin: u64) -> Touch {
        let change = FeedChange {
            doc: DocId([doc; 16]),
            kind: Kind::Visit,
            received: UtcMillis(0),
            actor: ActorId([2; 16]),
            person: PERSON,
            origin: SessionId(origin),
            bytes: vec![doc],
        };
        let principals = vec![(Principal::Person(PERSON), Access::Write)];
        Touch { principals, began, changes: vec![change], ..Touch::default() }
    }

    /// The documents of a session's page over these touches, one commit each, and whether a scope is announced
    /// whole in it.
    fn told(session: u64, touches: Vec<Touch>) -> (Vec<u8>, bool) {
        let mut ring = Ring::default();
        for (touch, before) in touches.into_iter().zip(0..) {
            let touches = [([0; 17], (SCOPE, touch))].into();
            ring.push(Entry::new(Seq(before), Seq(before + 1), touches));
        }
        let principals = [Principal::Person(PERSON)];
        let composed = ring.compose(Seq(0), &principals, SessionId(session)).expect("the ring reaches back");
        let docs = composed.items.iter().filter_map(|item| match item {
            Item::Changes { doc, .. } => Some(doc.0[0]),
            _ => None,
        });
        let whole = |item: &Item| matches!(item, Item::Granted { full: true, .. });
        (docs.collect(), composed.items.iter().any(whole))
    }

    #[test]
    fn a_commit_that_is_kept_takes_no_more_room_than_is_counted() {
        let mut grown = touch(false, 7, 1);
        grown.changes.reserve(3);
        grown.changes[0].bytes.reserve(100);
        grown.principals.reserve(7);
        let entry = Entry::new(Seq(0), Seq(1), [([0; 17], (SCOPE, grown))].into());
        let (_, kept) = &entry.touches[0];
        assert_eq!((kept.changes.capacity(), kept.principals.capacity()), (1, 1));
        assert_eq!(kept.changes[0].bytes.capacity(), 1);
        let parts = size_of::<Entry>() + size_of::<(Scope, Touch)>() + size_of::<FeedChange>();
        assert_eq!(entry.bytes, parts + size_of::<(Principal, Access)>() + 1);
    }

    /// HUB-6
    #[test]
    fn own_work_comes_back_where_its_scope_is_announced_whole() {
        assert_eq!(told(2, vec![touch(true, 7, 1), touch(false, 8, 2)]), (vec![7, 8], true));
        assert_eq!(told(1, vec![touch(true, 7, 1), touch(false, 8, 2)]), (vec![8], false));
        assert_eq!(told(2, vec![touch(false, 7, 1), touch(false, 8, 2)]), (vec![7], false));
    }
}
