//! A small hub for the client's own tests: one thread, one map, no limits, and switches for what it should
//! refuse, hold or lose. Deliberately dumb: the true hub is tested against the same phones in `tests/`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::document::{Document, Kind};
use crate::id::{ActorId, DocId, IncarnationId, PersonId, RequestId, Scope, Seq};
use crate::ledger::people::Access;
use crate::ledger::{Command, EventKind, LedgerEvent, Person};
use crate::protocol::*;
use crate::refusal::{Refusal, Rule};
use crate::settings::PhoneSettings;
use crate::time::UtcMillis;
use crate::wire;

pub(super) struct HubDoc {
    pub(super) kind: Kind,
    pub(super) scope: Scope,
    pub(super) document: Document,
    log: Vec<(u64, Vec<u8>)>,
    received: UtcMillis,
}

struct Grant {
    person: PersonId,
    scope: Scope,
    access: Access,
    from: u64,
    until: Option<u64>,
}

pub(super) struct Hub {
    pub(super) incarnation: IncarnationId,
    seq: u64,
    pub(super) docs: BTreeMap<DocId, HubDoc>,
    pub(super) events: Vec<LedgerEvent>,
    grants: Vec<Grant>,
    /// Who registered which customer.
    registered: BTreeSet<(PersonId, Scope)>,
    requests: HashMap<RequestId, Result<Seq, Refusal>>,
    held: BTreeSet<[u8; 32]>,
    pub(super) actors: BTreeMap<ActorId, PersonId>,
    /// Changes that contain these bytes are refused by the rule.
    pub(super) refuse: Vec<(Vec<u8>, Rule)>,
    /// Actors whose numbers another copy of their phone has used.
    pub(super) cloned: BTreeSet<ActorId>,
    /// Changes of cards that contain these bytes are held.
    pub(super) hold: Vec<Vec<u8>>,
    /// Items in a page.
    pub(super) page_items: usize,
    pub(super) time: UtcMillis,
    /// What every welcome says of the settings.
    pub(super) settings: Option<PhoneSettings>,
    /// Every change ever pushed, to see what travelled.
    pub(super) pushed: Vec<(DocId, Vec<u8>)>,
}

/// A place between two pulls: everything after `base` up to `target`, of which `skip` items were sent.
#[derive(crate::cbor::Encode, crate::cbor::Decode, Clone, Copy)]
struct Place {
    #[n(0)]
    base: u64,
    #[n(1)]
    target: u64,
    #[n(2)]
    skip: u64,
}

impl Hub {
    pub(super) fn new() -> Hub {
        Hub {
            incarnation: IncarnationId([1; 16]),
            seq: 0,
            docs: BTreeMap::new(),
            events: Vec::new(),
            grants: Vec::new(),
            registered: BTreeSet::new(),
            requests: HashMap::new(),
            held: BTreeSet::new(),
            actors: BTreeMap::new(),
            refuse: Vec::new(),
            cloned: BTreeSet::new(),
            hold: Vec::new(),
            page_items: 3,
            time: UtcMillis(1_764_000_000_000),
            settings: Some(PhoneSettings::default()),
            pushed: Vec::new(),
        }
    }

    pub(super) fn event(&mut self, scope: Scope, request: Option<RequestId>, kind: EventKind) -> Seq {
        self.seq += 1;
        let seq = Seq(self.seq);
        self.events.push(LedgerEvent { seq, scope, at: self.time, by: None, request, kind });
        seq
    }

    pub(super) fn add_person(&mut self, person: &Person) {
        self.event(Scope::Organisation, None, EventKind::PersonSet { person: person.clone() });
        self.grant(person.id, Scope::Organisation, Access::Read);
        self.grant(person.id, Scope::Person(person.id), Access::Read);
    }

    pub(super) fn grant(&mut self, person: PersonId, scope: Scope, access: Access) {
        self.seq += 1;
        self.registered.remove(&(person, scope));
        self.grants.push(Grant { person, scope, access, from: self.seq, until: None });
    }

    pub(super) fn revoke(&mut self, person: PersonId, scope: Scope) {
        self.seq += 1;
        let seq = self.seq;
        for grant in self.grants.iter_mut().filter(|grant| grant.person == person && grant.scope == scope) {
            grant.until.get_or_insert(seq);
        }
    }

    /// Writes the whole scope anew to everybody who holds it.
    pub(super) fn renew(&mut self, scope: Scope) {
        self.seq += 1;
        self.registered.retain(|(_, registered)| *registered != scope);
        for grant in self.grants.iter_mut().filter(|grant| grant.scope == scope && grant.until.is_none()) {
            grant.from = self.seq;
        }
    }

    fn is_granted(&self, person: PersonId, scope: Scope) -> bool {
        self.grants
            .iter()
            .any(|grant| grant.person == person && grant.scope == scope && grant.until.is_none())
    }

    /// A change made elsewhere, accepted without questions.
    pub(super) fn put(&mut self, doc: DocId, kind: Kind, scope: Scope, changes: &[Vec<u8>]) {
        for change in changes {
            self.seq += 1;
            let entry = self.docs.entry(doc).or_insert_with(|| HubDoc {
                kind,
                scope,
                document: Document::empty(),
                log: Vec::new(),
                received: self.time,
            });
            entry.document.apply(std::slice::from_ref(change)).expect("the test's changes fit");
            entry.log.push((self.seq, change.clone()));
        }
    }

    pub(super) fn push(&mut self, person: PersonId, push: Push) -> ServerFrame {
        let mut spoiled = BTreeSet::new();
        let results = push.items.into_iter().map(|item| self.judge(person, item, &mut spoiled)).collect();
        ServerFrame::Ack(Ack { batch: push.batch, received: self.time, results })
    }

    fn judge(&mut self, person: PersonId, item: PushItem, spoiled: &mut BTreeSet<DocId>) -> ItemResult {
        match item {
            PushItem::Change { doc, kind, scope, change, .. } => {
                let bytes: Vec<u8> = change.into();
                self.pushed.push((doc, bytes.clone()));
                let result = self.judge_change(person, doc, kind, scope, bytes, spoiled);
                if !matches!(result, ItemResult::Accepted(_) | ItemResult::Known(..)) {
                    spoiled.insert(doc);
                }
                result
            }
            PushItem::Request { id, command, .. } => {
                let is_new = !self.requests.contains_key(&id);
                if is_new {
                    let judged = self.decide(person, id, command);
                    self.requests.insert(id, judged);
                }
                match self.requests[&id].clone() {
                    Ok(seq) if is_new => ItemResult::Accepted(seq),
                    Ok(seq) => ItemResult::Known(seq, None),
                    Err(refusal) => ItemResult::Refused(refusal),
                }
            }
            PushItem::Release { scope } => {
                if self.is_granted(person, scope) {
                    ItemResult::Refused(Rule::StoreUnavailable.into())
                } else {
                    ItemResult::Accepted(Seq(self.seq))
                }
            }
        }
    }

    fn decide(&mut self, person: PersonId, id: RequestId, command: Command) -> Result<Seq, Refusal> {
        let scope = Scope::Customer(command.customer());
        if !self.is_granted(person, scope) {
            return Err(Rule::NotFound.into());
        }
        match command {
            Command::Accept { customer } => {
                let kind = EventKind::CustomerAccepted { customer, code: "KH00001".to_owned() };
                Ok(self.event(scope, Some(id), kind))
            }
            Command::Transfer { .. } | Command::SettleLate { .. } => Err(Rule::OwnerInactive.into()),
        }
    }

    fn judge_change(
        &mut self,
        person: PersonId,
        doc: DocId,
        kind: Kind,
        scope: Scope,
        bytes: Vec<u8>,
        spoiled: &BTreeSet<DocId>,
    ) -> ItemResult {
        let header = match wire::parse(&bytes) {
            Ok(header) => header,
            Err(refusal) => return ItemResult::Refused(refusal),
        };
        if self.docs.get_mut(&doc).is_some_and(|known| known.document.contains(&header.hash)) {
            let received = self.docs.get(&doc).map(|known| known.received);
            return ItemResult::Known(Seq(self.seq), received);
        }
        if spoiled.contains(&doc) {
            return ItemResult::Skipped;
        }
        let is_new_card =
            scope == Scope::Customer(doc) && !self.docs.contains_key(&doc) && header.deps.is_empty();
        let was_granted = self.grants.iter().any(|grant| grant.person == person && grant.scope == scope);
        if !is_new_card && !was_granted {
            return ItemResult::Refused(Rule::NotFound.into());
        }
        let contains =
            |marker: &Vec<u8>| bytes.windows(marker.len()).any(|window| window == marker.as_slice());
        if let Some((_, rule)) = self.refuse.iter().find(|(marker, _)| contains(marker)) {
            return ItemResult::Refused((*rule).into());
        }
        if self.cloned.contains(&header.actor) {
            return ItemResult::Refused(Rule::SequenceReused.into());
        }
        if kind == Kind::Customer && self.hold.iter().any(contains) {
            self.seq += 1;
            self.held.insert(header.hash.0);
            return ItemResult::Held(Seq(self.seq));
        }
        let held = |hash: &crate::id::ChangeHash| {
            self.docs.get_mut(&doc).is_some_and(|known| known.document.contains(hash))
        };
        if !header.deps.iter().all(held) {
            return ItemResult::Refused(Rule::DependencyUnknown.into());
        }
        self.actors.insert(header.actor, person);
        self.put(doc, kind, scope, &[bytes]);
        let seq = Seq(self.seq);
        if is_new_card {
            let kind = EventKind::CustomerRegistered {
                customer: doc,
                first_recorder: person,
                provisional: format!(
                    "临{:04}",
                    self.docs.values().filter(|known| known.kind == Kind::Customer).count()
                ),
                recorded: None,
            };
            self.event(scope, None, kind);
            self.grant(person, scope, Access::Write);
            self.registered.insert((person, scope));
        }
        ItemResult::Accepted(seq)
    }

    /// The page after a cursor.
    pub(super) fn page(&mut self, person: PersonId, cursor: Option<Cursor>) -> ServerFrame {
        let start = Place { base: 0, target: self.seq, skip: 0 };
        let place: Place = match &cursor {
            Some(cursor) => minicbor::decode(&cursor.0).unwrap_or(start),
            None => start,
        };
        let place = if place.skip == 0 { Place { target: self.seq, ..place } } else { place };
        let mut items = self.items(person, place.base, place.target);
        items.drain(..(place.skip as usize).min(items.len()));
        let more = items.len() > self.page_items;
        items.truncate(self.page_items);
        let next = if more {
            Place { skip: place.skip + items.len() as u64, ..place }
        } else {
            Place { base: place.target, target: place.target, skip: 0 }
        };
        let cursor = Cursor(minicbor::to_vec(next).expect("writing to a vector cannot fail").into());
        ServerFrame::Page(Page { cursor, more, items: PageItems::pack(items) })
    }

    fn items(&mut self, person: PersonId, base: u64, target: u64) -> Vec<Item> {
        let actors = self.actors.iter().map(|(actor, person)| (*actor, *person)).collect();
        let mut items = vec![Item::Actors(actors)];
        let grants: Vec<_> = self
            .grants
            .iter()
            .filter(|grant| grant.person == person)
            .map(|grant| (grant.scope, grant.access, grant.from, grant.until))
            .collect();
        for (scope, access, from, until) in grants {
            if let Some(until) = until {
                let is_again = self.is_granted(person, scope);
                if until > base && until <= target && from <= base && !is_again {
                    items.push(Item::Removed { scope });
                }
                continue;
            }
            if from > target {
                continue;
            }
            let is_new = from > base;
            // Who has just registered a customer holds what there is of it.
            let is_full = is_new && (base == 0 || !self.registered.contains(&(person, scope)));
            let after = if is_full { 0 } else { base };
            if is_new {
                items.push(Item::Granted { scope, access, full: is_full });
            }
            let in_range = |seq: u64| seq > after && seq <= target;
            let events: Vec<_> = self
                .events
                .iter()
                .filter(|event| event.scope == scope && in_range(event.seq.0))
                .cloned()
                .collect();
            if !events.is_empty() {
                items.push(Item::Events(events));
            }
            for (doc, known) in self.docs.iter_mut().filter(|(_, known)| known.scope == scope) {
                let fresh: Vec<_> = known
                    .log
                    .iter()
                    .filter(|(seq, _)| in_range(*seq))
                    .map(|(_, bytes)| bytes.clone())
                    .collect();
                if fresh.is_empty() {
                    continue;
                }
                let (doc, kind, received) = (*doc, known.kind, known.received);
                items.push(if is_full {
                    let mut copy = Document::empty();
                    let upto: Vec<_> =
                        known.log.iter().filter(|(seq, _)| *seq <= target).map(|(_, bytes)| bytes).collect();
                    copy.apply(&upto).expect("a prefix of the log");
                    Item::Snapshot { doc, kind, scope, bytes: copy.save().into(), received }
                } else {
                    let changes = fresh.into_iter().map(Into::into).collect();
                    Item::Changes { doc, kind, scope, changes, received }
                });
            }
        }
        items
    }

    /// What `Digests` would be for the person.
    pub(super) fn digest(&mut self, person: PersonId) -> Digest {
        let mut sum = 0;
        let scopes: BTreeSet<Scope> =
            self.grants.iter().filter(|g| g.person == person && g.until.is_none()).map(|g| g.scope).collect();
        for (doc, known) in self.docs.iter_mut().filter(|(_, known)| scopes.contains(&known.scope)) {
            sum ^= crate::document::digest(*doc, &known.document.heads()).0;
        }
        Digest(sum)
    }

    /// Becomes the hub that was backed up at `seq`: everything later is lost.
    pub(super) fn restore(&mut self, seq: u64) {
        self.incarnation.0[0] += 1;
        self.seq = seq;
        self.events.retain(|event| event.seq.0 <= seq);
        self.grants.retain(|grant| grant.from <= seq);
        self.grants.iter_mut().for_each(|grant| grant.until = grant.until.filter(|until| *until <= seq));
        self.requests.clear();
        self.held.clear();
        for known in self.docs.values_mut() {
            known.log.retain(|(at, _)| *at <= seq);
            let kept: Vec<_> = known.log.iter().map(|(_, bytes)| bytes).collect();
            known.document = Document::empty();
            known.document.apply(&kept).expect("a prefix of the log");
        }
        self.docs.retain(|_, known| !known.log.is_empty());
    }

    /// How many changes wait for a decision.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Makes the hub forget everything about a document.
    pub(super) fn erase(&mut self, doc: DocId) {
        self.docs.remove(&doc);
    }
}
