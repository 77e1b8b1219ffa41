//! Hears what passes between clients and a real server, both ways, and judges it against the server's store: what was
//! acknowledged must be there (I1, I2), and what was told must have been told to somebody who may read it (I4). For runs in
//! which grants end by a transfer alone: whoever owned a customer at any time, and the owner's manager, may have heard of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use server::store::{Lookup, Readers, SqliteStore};
use shared::id::{ChangeHash, DocId, PersonId, RequestId, Scope};
use shared::protocol::{ClientFrame, Item, ItemResult, PushItem, ServerFrame, decode_client_frame, encode};

use crate::invariant::{Heard, check_acknowledged, check_grants, check_requests, check_store};
use crate::model::Violation;

/// Everything heard by all taps.
#[derive(Default)]
pub struct Witness(Mutex<Testimony>);

#[derive(Default)]
struct Testimony {
    acknowledged: BTreeSet<(DocId, ChangeHash)>,
    told: BTreeMap<PersonId, BTreeSet<Scope>>,
    /// Requests that were said to have taken effect.
    requests: BTreeSet<RequestId>,
    /// The customer of each canary, by its number.
    canaries: Vec<DocId>,
    /// The canaries that sang to each person.
    sung: BTreeMap<PersonId, BTreeSet<usize>>,
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
    /// Frames of the server that were read.
    pub frames: u64,
    /// Pairs of a person and a scope that the person was told of.
    pub told: usize,
}

impl Witness {
    /// A tap on one connection of a person, or on the connections that a device has one after the other.
    pub fn tap(self: &Arc<Self>, person: PersonId) -> Tap {
        Tap { witness: self.clone(), person, pushed: HashMap::new() }
    }

    /// Draws the canary of a customer: words for its texts that nobody without a grant may hear.
    pub fn canary(&self, customer: DocId) -> String {
        let canaries = &mut self.testimony().canaries;
        canaries.push(customer);
        format!("{CANARY}{:08}", canaries.len() - 1)
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
            // Grants end by a transfer alone, and nobody knows when something was heard.
            let could_read = |person, scope| ledger.could_read(person, scope);
            for (person, scopes) in &testimony.told {
                check_grants(*person, scopes.iter().copied(), could_read)?;
            }
            for (person, canaries) in &testimony.sung {
                let customers = canaries.iter().filter_map(|number| testimony.canaries.get(*number));
                check_grants(*person, customers.map(|customer| Scope::Customer(*customer)), could_read)?;
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
                canaries: testimony.sung.values().map(BTreeSet::len).sum(),
                frames: testimony.frames,
                told: testimony.told.values().map(BTreeSet::len).sum(),
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
}

/// What a canary begins with; its number follows in eight digits.
const CANARY: &str = "canary";

/// What an item of a push asks to be taken.
enum Sent {
    Change(DocId, ChangeHash),
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
            PushItem::Change { doc, change, .. } => match shared::wire::parse(change) {
                Ok(header) => Sent::Change(*doc, header.hash),
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
        self.pushed.insert(push.batch, push.items.iter().map(Sent::read).collect());
    }

    /// The device hears this. What is wrong with it by itself is in the verdict: no frame, or one beyond its limit (I9); an
    /// answer to what was not asked.
    pub fn heard(&mut self, bytes: &[u8]) {
        let heard = Heard::read(bytes);
        let mut testimony = self.witness.testimony();
        testimony.frames += 1;
        let taken = heard.and_then(|heard| {
            let mut sung = canaries_in(bytes);
            // What a page holds deflated.
            sung.extend(canaries_in(&encode(&heard.items)));
            testimony.sung.entry(self.person).or_default().extend(sung);
            testimony.take(self.person, &heard, &mut self.pushed)
        });
        if let Err(violation) = taken {
            testimony.violation.get_or_insert(violation);
        }
    }
}

fn canaries_in(bytes: &[u8]) -> BTreeSet<usize> {
    memchr::memmem::find_iter(bytes, CANARY)
        .filter_map(|at| bytes.get(at + CANARY.len()..at + CANARY.len() + 8))
        .filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .collect()
}

impl Testimony {
    fn take(&mut self, person: PersonId, heard: &Heard, pushed: &mut Pushed) -> Result<(), Violation> {
        if let ServerFrame::Ack(ack) = &heard.frame {
            let items = pushed.remove(&ack.batch).unwrap_or_default();
            if items.len() != ack.results.len() {
                return Err(format!("{} items have {} results", items.len(), ack.results.len()));
            }
            for (item, _) in items.iter().zip(&ack.results).filter(|(_, result)| is_acknowledged(result)) {
                match item {
                    Sent::Change(doc, hash) => {
                        self.acknowledged.insert((*doc, *hash));
                    }
                    Sent::Malformed(doc) => {
                        return Err(format!("what is no change of {doc:?} was acknowledged (I2)"));
                    }
                    Sent::Request(id) => {
                        self.requests.insert(*id);
                    }
                    Sent::Release => {}
                }
            }
        }
        for item in &heard.items {
            if let Item::Snapshot { doc, scope, .. } | Item::Changes { doc, scope, .. } = item {
                self.documents.insert((*doc, *scope));
            }
        }
        self.told.entry(person).or_default().extend(heard.scopes());
        Ok(())
    }

    fn check(&self) -> Result<(), Violation> {
        self.violation.clone().map_or(Ok(()), Err)
    }
}

fn is_acknowledged(result: &ItemResult) -> bool {
    matches!(result, ItemResult::Accepted(_) | ItemResult::Known(..) | ItemResult::Held(_))
}
