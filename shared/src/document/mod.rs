//! Documents: the only place that touches Automerge values. `schema` names the keys, `reading` gets values
//! out with who wrote them and when, `writing` puts edits in. Knows nothing of the ledger, of
//! permissions or of how changes travel.

mod checking;
mod history;
mod reading;
pub mod schema;
#[cfg(test)]
mod tests;
mod text;
mod words;
mod writing;

use std::cell::OnceCell;
use std::collections::HashSet;

use automerge::{AutoCommit, Change, LoadOptions, ReadDoc, TextEncoding};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cbor::{Decode, Encode};
use crate::id::{ActorId, ChangeHash, DocId, PersonId};
use crate::order;
use crate::time::{Recorded, UtcMillis};

pub use checking::Baseline;
pub use history::{ChangeWrites, FieldWrite};
pub use reading::{RecordEntry, Written};
pub use words::Told;

/// The version of the document schema that this software writes.
pub const SCHEMA_VERSION: u16 = 1;

/// What a document is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Kind {
    /// A customer card: a shared description.
    #[n(0)]
    Customer,
    /// A visit: a fact, edited by its author alone.
    #[n(1)]
    Visit,
    /// A comment: a fact.
    #[n(2)]
    Comment,
}

impl Kind {
    /// Whether documents of this kind belong to their author alone.
    pub fn is_fact(self) -> bool {
        match self {
            Kind::Customer => false,
            Kind::Visit | Kind::Comment => true,
        }
    }

    /// The word under which a document's root names it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Customer => "customer",
            Kind::Visit => "visit",
            Kind::Comment => "comment",
        }
    }

    /// The kind that a document's root names.
    pub fn from_word(word: &str) -> Option<Kind> {
        [Kind::Customer, Kind::Visit, Kind::Comment].into_iter().find(|kind| kind.word() == word)
    }
}

/// The first eight bytes of SHA-256 over (document id, sorted heads), XORed over the documents of a scope.
/// XOR needs no order and is undone by itself, so one commit updates it in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Digest(#[n(0)] pub u64);

/// The digest of one document at these heads, in whatever order they come.
pub fn digest(doc: DocId, heads: &[ChangeHash]) -> Digest {
    let mut heads = heads.to_vec();
    order::sort(&mut heads);
    let mut hasher = Sha256::new();
    hasher.update(doc.as_bytes());
    for head in &heads {
        hasher.update(head.as_bytes());
    }
    let hash = hasher.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    Digest(u64::from_be_bytes(first))
}

/// Who makes a change, under which actor, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    /// The person, written into the actor's first change in the document.
    pub person: PersonId,
    /// The device's actor.
    pub actor: ActorId,
    /// When it is recorded; every change carries the instant.
    pub recorded: Recorded,
}

/// A change that was made here: one uncompressed chunk and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalChange {
    /// The change's name.
    pub hash: ChangeHash,
    /// The chunk.
    pub bytes: Vec<u8>,
}

/// Says that bytes are no saved document.
#[derive(Debug, thiserror::Error)]
#[error("not a saved document")]
pub struct LoadFailure(#[source] Option<Box<automerge::AutomergeError>>);

/// Says why changes could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyFailure {
    /// Bytes that are no change.
    #[error("not a change")]
    Malformed,
    /// A change builds on one that neither the document nor the batch holds.
    #[error("a dependency is missing")]
    DependencyMissing,
    /// The changes contradict the document: a sequence number used twice, an author given twice, operations
    /// on what does not exist. What the document holds then is not defined: drop it and load it again.
    #[error("the changes contradict the document")]
    Contradiction(#[source] Box<automerge::AutomergeError>),
}

/// What is known of one change of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeInfo {
    /// The change's name.
    pub hash: ChangeHash,
    /// Who made it, as an actor.
    pub actor: ActorId,
    /// The author that the actor declared in its first change of this document.
    pub author: Option<PersonId>,
    /// The actor's how-manieth change of this document.
    pub seq: u64,
    /// The counter of its last operation.
    pub max_op: u64,
    /// When its writer's device says it was recorded.
    pub at: UtcMillis,
}

/// One document, open.
pub struct Document {
    inner: AutoCommit,
    /// The root map, where it was read as a whole since the last write: whoever writes empties this.
    root: OnceCell<Vec<(String, Vec<reading::Standing>)>>,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl Document {
    /// Begins a document without any change, to apply changes to.
    pub fn empty() -> Document {
        Document::of(AutoCommit::new_with_encoding(TextEncoding::Utf16CodeUnit))
    }

    fn of(inner: AutoCommit) -> Document {
        Document { inner, root: OnceCell::new() }
    }

    /// Opens a saved form.
    ///
    /// # Errors
    /// When the bytes are no saved document.
    pub fn load(bytes: &[u8]) -> Result<Document, LoadFailure> {
        // Automerge takes empty bytes for an empty document and a lone change for a document of one.
        if bytes.get(8) != Some(&0) {
            return Err(LoadFailure(None));
        }
        let options = LoadOptions::new().text_encoding(TextEncoding::Utf16CodeUnit);
        match AutoCommit::load_with_options(bytes, options) {
            Ok(inner) => Ok(Document::of(inner)),
            Err(error) => Err(LoadFailure(Some(Box::new(error)))),
        }
    }

    /// The saved form. Its columns are not compressed: pages of documents are deflated as a whole.
    pub fn save(&mut self) -> Vec<u8> {
        self.inner.save_nocompress()
    }

    /// The changes that no other change builds on, sorted.
    pub fn heads(&mut self) -> Vec<ChangeHash> {
        let mut heads: Vec<_> = self.inner.get_heads().into_iter().map(|hash| ChangeHash(hash.0)).collect();
        order::sort(&mut heads);
        heads
    }

    /// Takes in changes that were made elsewhere. Those that it holds already are ignored; the order does
    /// not matter.
    ///
    /// # Errors
    /// See [`ApplyFailure`]; nothing is kept for later.
    pub fn apply(&mut self, changes: &[impl AsRef<[u8]>]) -> Result<(), ApplyFailure> {
        let mut parsed = Vec::with_capacity(changes.len());
        for bytes in changes {
            let change = Change::from_bytes(bytes.as_ref().to_vec()).map_err(|_| ApplyFailure::Malformed)?;
            parsed.push(change);
        }
        let batch: HashSet<_> = parsed.iter().map(Change::hash).collect();
        let mut outside: Vec<_> = parsed.iter().flat_map(|change| change.deps().iter().copied()).collect();
        outside.retain(|hash| !batch.contains(hash));
        if outside.iter().any(|hash| self.inner.get_change_meta_by_hash(hash).is_none()) {
            return Err(ApplyFailure::DependencyMissing);
        }
        self.root.take();
        self.inner.apply_changes(parsed).map_err(|error| ApplyFailure::Contradiction(Box::new(error)))
    }

    /// Whether the document holds this change.
    pub fn contains(&mut self, hash: &ChangeHash) -> bool {
        self.inner.get_change_meta_by_hash(&automerge::ChangeHash(hash.0)).is_some()
    }

    /// The changes of these actors that another copy lacks, and those that they build on and that it lacks too,
    /// in an order in which they can be applied; each with whether it is theirs (S14).
    pub fn missing_of(
        &mut self,
        actors: &[ActorId],
        mut other: Option<&mut Document>,
    ) -> Vec<(LocalChange, bool)> {
        let mut needed: HashSet<automerge::ChangeHash> = HashSet::new();
        let mut missing = Vec::new();
        for change in self.inner.get_changes(&[]).iter().rev() {
            let is_theirs = actors.iter().any(|actor| change.actor_id().to_bytes() == actor.as_bytes());
            if !is_theirs && !needed.contains(&change.hash()) {
                continue;
            }
            if other.as_mut().is_some_and(|other| other.contains(&ChangeHash(change.hash().0))) {
                continue;
            }
            needed.extend(change.deps());
            missing.push((local_change(change), is_theirs));
        }
        missing.reverse();
        missing
    }

    /// Every change after the given heads, in an order in which they can be applied.
    pub fn changes_after(&mut self, heads: &[ChangeHash]) -> Vec<LocalChange> {
        let heads: Vec<_> = heads.iter().map(|hash| automerge::ChangeHash(hash.0)).collect();
        self.inner.get_changes(&heads).iter().map(local_change).collect()
    }

    /// What is known of every change, in causal order.
    pub fn history(&mut self) -> Vec<ChangeInfo> {
        self.inner.get_changes_meta(&[]).iter().filter_map(change_info).collect()
    }

    /// What is known of one change.
    pub fn change(&mut self, hash: &ChangeHash) -> Option<ChangeInfo> {
        self.inner.get_change_meta_by_hash(&automerge::ChangeHash(hash.0)).as_ref().and_then(change_info)
    }

    /// How many operations the document holds: with them grows what it takes in memory.
    pub fn operation_count(&self) -> u64 {
        self.inner.stats().num_ops
    }

    /// How many changes the document holds.
    pub fn change_count(&self) -> u64 {
        self.inner.stats().num_changes
    }
}

fn local_change(change: &Change) -> LocalChange {
    LocalChange { hash: ChangeHash(change.hash().0), bytes: change.raw_bytes().to_vec() }
}

fn change_info(meta: &automerge::ChangeMetadata<'_>) -> Option<ChangeInfo> {
    Some(ChangeInfo {
        hash: ChangeHash(meta.hash.0),
        actor: ActorId::from_slice(meta.actor.to_bytes())?,
        author: meta.author.as_ref().and_then(|author| PersonId::from_slice(author.as_bytes())),
        seq: meta.seq,
        max_op: meta.max_op,
        at: UtcMillis(meta.timestamp),
    })
}
