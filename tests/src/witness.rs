//! Hears what passes between clients and a real server, both ways, and judges it against the server's store: what was
//! acknowledged must be there (I1, I2), what was told must have been told to somebody who may read it (I4), and to a revoked
//! device nothing more (I5). For runs in which grants end by a transfer alone, and no copy is repaired.
//!
//! Frames are in flight while grants end, so that the moment of hearing says nothing. But a page says where in the log it
//! ends, and holds what its reader may read there: whoever owns a customer after that place, and the owner's manager. A
//! page on its way while a customer is moved ends before the move; one that ends after it holds nothing of the customer.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use server::hub::feed::FeedCursor;
use server::store::{Lookup, Readers, SqliteStore};
use shared::id::{ChangeHash, DocId, PersonId, RequestId, Scope, Seq};
use shared::ledger::{EventKind, LedgerEvent};
use shared::protocol::{
    Ack, ClientFrame, Goodbye, Item, ItemResult, Page, PushItem, ServerFrame, decode_client_frame, encode,
};
use shared::refusal::Rule;

use crate::invariant::{Heard, check_acknowledged, check_grants, check_requests, check_store};
use crate::model::{Model, Violation};

/// Everything heard by all taps.
#[derive(Default)]
pub struct Witness(Mutex<Testimony>);

#[derive(Default)]
struct Testimony {
    acknowledged: BTreeSet<(DocId, ChangeHash)>,
    /// What each person was told of, with the places in the log where the pages end that told it.
    told: BTreeMap<(PersonId, Scope), BTreeSet<Seq>>,
    /// Requests that were said to have taken effect.
    requests: BTreeSet<RequestId>,
    /// The customer of each canary, by its number.
    canaries: Vec<DocId>,
    /// The number of each customer's canary.
    numbers: HashMap<DocId, usize>,
    /// The canaries that sang to each person, with the places in the log where the pages end in which they sang.
    sung: BTreeMap<(PersonId, usize), BTreeSet<Seq>>,
    /// Those that sang outside pages, or in a notice, which names a customer to former owners too (R8).
    named: BTreeSet<(PersonId, usize)>,
    /// Whose work on which customer was treated as a former owner's, with the late work's place if it was held.
    late: BTreeSet<(PersonId, DocId, Option<Seq>)>,
    /// How many changes were held.
    held: usize,
    /// What revoked devices sent.
    outlawed: BTreeSet<(DocId, ChangeHash)>,
    /// Each document with the scope that it was sent as a part of.
    documents: BTreeSet<(DocId, Scope)>,
    frames: u64,
    /// The first frame that was wrong by itself.
    violation: Option<Violation>,
}

/// How much a verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Changes that were acknowledged.
    pub acknowledged: usize,
    /// Requests that were.
    pub requests: usize,
    /// Pairs of a person and a customer whose canary the person heard.
    pub canaries: usize,
    /// Changes that were held.
    pub held: usize,
    /// Changes that revoked devices sent.
    pub outlawed: usize,
    /// Frames of the server that were read.
    pub frames: u64,
    /// Pairs of a person and a scope that the person was told of.
    pub told: usize,
}

impl Witness {
    /// A tap on one connection of a person, or on the connections that a device has one after the other.
    pub fn tap(self: &Arc<Self>, person: PersonId) -> Tap {
        Tap {
            witness: self.clone(),
            person,
            pushed: HashMap::new(),
            end: None,
            outlawed: HashSet::new(),
            is_over: false,
        }
    }

    /// The canary of a customer: words for its texts that nobody without a grant may hear.
    pub fn canary(&self, customer: DocId) -> String {
        let testimony = &mut *self.testimony();
        let number = *testimony.numbers.entry(customer).or_insert_with(|| {
            testimony.canaries.push(customer);
            testimony.canaries.len() - 1
        });
        format!("{CANARY}{number:08}")
    }

    /// The place of the last commit in a store whose server may be running.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn head(data: &Path) -> Result<Seq, Violation> {
        read(data, |lookup| lookup.head().map_err(|failure| format!("the head: {failure}")))
    }

    /// How many changes were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.testimony().acknowledged.len()
    }

    /// Judges what was acknowledged up to now (SIM-1), beside a server that may be running.
    ///
    /// # Errors
    /// The first change that is gone.
    pub fn judge_acknowledged(&self, data: &Path) -> Result<(), Violation> {
        // What is acknowledged while the store is read is younger than what is read.
        let (acknowledged, requests) = {
            let testimony = self.testimony();
            testimony.check()?;
            (testimony.acknowledged.clone(), testimony.requests.clone())
        };
        read(data, |lookup| {
            check_acknowledged(lookup, acknowledged)?;
            check_requests(lookup, requests)
        })
    }

    /// Judges everything, of a server that has stopped (SIM-1, SIM-2, SIM-4, SIM-6, SIM-7, SIM-10, SIM-15).
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn judge(&self, data: &Path) -> Result<Verdict, Violation> {
        let testimony = self.testimony();
        testimony.check()?;
        read(data, |lookup| {
            let ledger = check_store(lookup, testimony.acknowledged.iter().copied())?;
            check_requests(lookup, testimony.requests.iter().copied())?;
            testimony.check_told(&ledger)?;
            testimony.check_late(&ledger)?;
            for (doc, hash) in &testimony.outlawed {
                if lookup.change(*doc, hash).map_err(|failure| format!("a change: {failure}"))?.is_some() {
                    return Err(format!("{hash:?} of a revoked device was merged (I5)"));
                }
            }
            for (doc, scope) in &testimony.documents {
                let row = lookup.document(*doc).map_err(|failure| format!("a document: {failure}"))?;
                if row.is_none_or(|row| row.scope != *scope) {
                    return Err(format!("{doc:?} was sent as a part of {scope:?} (I4)"));
                }
            }
            Ok(Verdict {
                acknowledged: testimony.acknowledged.len(),
                requests: testimony.requests.len(),
                canaries: testimony.sung.len(),
                held: testimony.held,
                outlawed: testimony.outlawed.len(),
                frames: testimony.frames,
                told: testimony.told.len(),
            })
        })
    }

    fn testimony(&self) -> MutexGuard<'_, Testimony> {
        self.0.lock().expect("no tap panics with it")
    }
}

fn read<T>(data: &Path, body: impl FnOnce(&dyn Lookup) -> Result<T, Violation>) -> Result<T, Violation> {
    let readers = Readers::new(&SqliteStore::file_in(data));
    readers.lookup(|lookup| Ok(body(&lookup))).map_err(|failure| format!("reading the store: {failure}"))?
}

/// A tap on what one device sends and hears.
pub struct Tap {
    witness: Arc<Witness>,
    person: PersonId,
    pushed: Pushed,
    /// The last commit of which a device may hear that was revoked.
    end: Option<Seq>,
    /// Batches that it sent after that.
    outlawed: HashSet<u64>,
    /// The server has said that the device is revoked.
    is_over: bool,
}

/// What a canary begins with; its number follows in eight digits.
const CANARY: &str = "canary";

/// What an item of a push asks to be taken.
enum Sent {
    Change(DocId, ChangeHash, Scope),
    /// What says to be a change and is none.
    Malformed(DocId),
    Request(RequestId),
    Release,
}

/// The items of each batch without an answer.
type Pushed = HashMap<u64, Vec<Sent>>;

impl Sent {
    fn read(item: &PushItem) -> Sent {
        match item {
            PushItem::Change { doc, change, scope, .. } => match shared::wire::parse(change) {
                Ok(header) => Sent::Change(*doc, header.hash, *scope),
                Err(_) => Sent::Malformed(*doc),
            },
            PushItem::Request { id, .. } => Sent::Request(*id),
            PushItem::Release { .. } => Sent::Release,
        }
    }
}

impl Tap {
    /// As [`Witness::canary`].
    pub fn canary(&self, customer: DocId) -> String {
        self.witness.canary(customer)
    }

    /// The device sends this. What is no frame is the server's to refuse.
    pub fn sent(&mut self, bytes: &[u8]) {
        let Ok(ClientFrame::Push(push)) = decode_client_frame(bytes) else { return };
        let items: Vec<Sent> = push.items.iter().map(Sent::read).collect();
        if self.end.is_some() {
            let changes = items.iter().filter_map(|item| match item {
                Sent::Change(doc, hash, _) => Some((*doc, *hash)),
                _ => None,
            });
            self.witness.testimony().outlawed.extend(changes);
            self.outlawed.insert(push.batch);
        }
        self.pushed.insert(push.batch, items);
    }

    /// The device was revoked before the commit after `head`: of that one it may not hear, and what it sends from here on
    /// must not be taken.
    pub fn revoke(&mut self, head: Seq) {
        self.end = Some(head);
    }

    /// The device hears this. What is wrong with it by itself is in the verdict: no frame, or one beyond its limit (I9); an
    /// answer to what was not asked.
    pub fn heard(&mut self, bytes: &[u8]) {
        let heard = Heard::read(bytes);
        let mut testimony = self.witness.testimony();
        testimony.frames += 1;
        let taken = heard.and_then(|heard| {
            check_revoked(&heard.frame, self.end, &self.outlawed, self.is_over)?;
            self.is_over |=
                self.end.is_some() && matches!(heard.frame, ServerFrame::Goodbye(Goodbye::Revoked));
            match &heard.frame {
                ServerFrame::Page(page) => testimony.take_page(self.person, page, &heard),
                frame => {
                    testimony
                        .named
                        .extend(canaries_in(bytes).into_iter().map(|number| (self.person, number)));
                    let ServerFrame::Ack(ack) = frame else { return Ok(()) };
                    testimony.take_answers(self.person, ack, &mut self.pushed)
                }
            }
        });
        if let Err(violation) = taken {
            testimony.violation.get_or_insert(violation);
        }
    }
}

/// A revoked device hears that it is, and of nothing that came after (SIM-5).
fn check_revoked(
    frame: &ServerFrame,
    end: Option<Seq>,
    outlawed: &HashSet<u64>,
    is_over: bool,
) -> Result<(), Violation> {
    let is_forbidden = match frame {
        _ if is_over => true,
        ServerFrame::Ack(ack) => outlawed.contains(&ack.batch),
        ServerFrame::Page(page) => match end {
            Some(end) => place_of(page)? > end,
            None => false,
        },
        _ => false,
    };
    if is_forbidden { Err("a frame leaves for a revoked device (I5)".to_owned()) } else { Ok(()) }
}

/// Where in the log a page ends: its reader could read there, and when it was made, all that it holds.
fn place_of(page: &Page) -> Result<Seq, Violation> {
    let cursor: FeedCursor = minicbor::decode(&page.cursor.0).map_err(|e| format!("no cursor: {e}"))?;
    Ok(cursor.pass.map_or(cursor.base, |pass| pass.target))
}

/// The canaries of a page's items, but for its notices; and those of the notices.
fn canaries_of(items: &[Item]) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let (mut sung, mut named) = (BTreeSet::new(), BTreeSet::new());
    for item in items {
        let Item::Events(events) = item else {
            sung.extend(canaries_in(&encode(item)));
            continue;
        };
        for event in events {
            let heard = canaries_in(&encode(event));
            if is_notice(event) { named.extend(heard) } else { sung.extend(heard) }
        }
    }
    (sung, named)
}

fn is_notice(event: &LedgerEvent) -> bool {
    matches!((&event.kind, event.scope), (EventKind::Notice { .. }, Scope::Person(_)))
}

fn canaries_in(bytes: &[u8]) -> BTreeSet<usize> {
    memchr::memmem::find_iter(bytes, CANARY)
        .filter_map(|at| bytes.get(at + CANARY.len()..at + CANARY.len() + 8))
        .filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .collect()
}

impl Testimony {
    fn take_answers(&mut self, person: PersonId, ack: &Ack, pushed: &mut Pushed) -> Result<(), Violation> {
        let items = pushed.remove(&ack.batch).unwrap_or_default();
        if items.len() != ack.results.len() {
            return Err(format!("{} items have {} results", items.len(), ack.results.len()));
        }
        for (item, result) in items.iter().zip(&ack.results) {
            let is_acknowledged = is_acknowledged(result);
            match item {
                Sent::Change(doc, hash, scope) => {
                    if is_acknowledged {
                        self.acknowledged.insert((*doc, *hash));
                    }
                    self.held += usize::from(matches!(result, ItemResult::Held(_)));
                    if let (Some(late), Some(customer)) = (late(result), scope.customer()) {
                        self.late.insert((person, customer, late));
                    }
                }
                Sent::Malformed(doc) if is_acknowledged => {
                    return Err(format!("what is no change of {doc:?} was acknowledged (I2)"));
                }
                Sent::Request(id) if is_acknowledged => {
                    self.requests.insert(*id);
                }
                Sent::Malformed(_) | Sent::Request(_) | Sent::Release => {}
            }
        }
        Ok(())
    }

    fn take_page(&mut self, person: PersonId, page: &Page, heard: &Heard) -> Result<(), Violation> {
        let place = place_of(page)?;
        for item in &heard.items {
            if let Item::Snapshot { doc, scope, .. } | Item::Changes { doc, scope, .. } = item {
                self.documents.insert((*doc, *scope));
            }
        }
        for scope in heard.scopes() {
            self.told.entry((person, scope)).or_default().insert(place);
        }
        let (sung, named) = canaries_of(&heard.items);
        for number in sung {
            self.sung.entry((person, number)).or_default().insert(place);
        }
        self.named.extend(named.into_iter().map(|number| (person, number)));
        Ok(())
    }

    fn check(&self) -> Result<(), Violation> {
        self.violation.clone().map_or(Ok(()), Err)
    }

    /// Whoever was told of a scope, by its items or by the canary in its words, could read it where the telling page ends.
    fn check_told(&self, ledger: &Model) -> Result<(), Violation> {
        let songs = self.sung.iter().filter_map(|((person, number), places)| {
            Some((*person, Scope::Customer(*self.canaries.get(*number)?), places))
        });
        let told = self.told.iter().map(|((person, scope), places)| (*person, *scope, places));
        for (person, scope, places) in told.chain(songs) {
            for place in places {
                check_grants(person, [scope], |person, scope| ledger.could_read_at(person, scope, *place))
                    .map_err(|violation| format!("{violation}, in a page that ends at {place:?}"))?;
            }
        }
        for (person, number) in &self.named {
            let customer = self.canaries.get(*number).map(|customer| Scope::Customer(*customer));
            check_grants(*person, customer, |person, scope| ledger.could_read(person, scope))?;
        }
        Ok(())
    }

    /// Work is treated as a former owner's if its customer was taken from its author, and otherwise never.
    fn check_late(&self, ledger: &Model) -> Result<(), Violation> {
        for (person, customer, late) in &self.late {
            let is_right = ledger.customer(*customer).is_some_and(|customer| match late {
                Some(late) => customer.was_taken_from(*person) && customer.owner_at(*late) != Some(*person),
                None => customer.was_taken_from(*person),
            });
            if !is_right {
                return Err(format!("{person:?} was taken for a former owner of {customer:?} (I6)"));
            }
        }
        Ok(())
    }
}

/// What an answer says of work that came after a transfer: the late work's place if it is held, none if it was refused.
fn late(result: &ItemResult) -> Option<Option<Seq>> {
    match result {
        ItemResult::Held(late) => Some(Some(*late)),
        ItemResult::Refused(refusal) if refusal.rule == Rule::Transferred => Some(None),
        _ => None,
    }
}

fn is_acknowledged(result: &ItemResult) -> bool {
    matches!(result, ItemResult::Accepted(_) | ItemResult::Known(..) | ItemResult::Held(_))
}
