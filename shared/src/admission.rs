//! The judgement over changes from outside: applies them to a shadow of the stored document, judges the
//! result by the schema, saves it, loads it again and compares. Runs in the server's admission worker and
//! in the simulator. Knows nothing of grants, of who owns an actor, and of the store.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::document::{Document, Kind};
use crate::id::{ActorId, ChangeHash, DocId, PersonId, Scope};
use crate::ledger::event::FieldChange;
use crate::limits;
use crate::planted::{self, Bug};
use crate::projection::{EXCERPT_CHARS_MAX, Projection, excerpt};
use crate::refusal::{Refusal, Rule};
use crate::sorted::Map;
use crate::wire::{self, ChangeHeader};

/// Field changes reported of one admission: what fits on the screen of whoever judges them.
pub const FIELD_CHANGES_MAX: usize = 100;

/// What is to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionInput {
    /// The document.
    pub doc: DocId,
    /// Its kind, as the first push of it said.
    pub kind: Kind,
    /// Its scope, as the first push of it said.
    pub scope: Scope,
    /// Its saved form; none for a document that is not stored yet.
    pub stored: Option<Vec<u8>>,
    /// Whose changes they are.
    pub person: PersonId,
    /// The chunks, in the order in which the device sent them.
    pub changes: Vec<Vec<u8>>,
}

/// What was admitted. At least one change was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The document's saved form with the admitted changes.
    pub saved: Vec<u8>,
    /// Its heads, sorted.
    pub heads: Vec<ChangeHash>,
    /// Its projection.
    pub projection: Projection,
    /// How many changes, from the first on, are admitted. Those that the document held already count.
    pub applied: usize,
    /// Why the next one is not.
    pub refused: Option<Refusal>,
    /// What the admitted changes changed on a card, as texts for a person; at most [`FIELD_CHANGES_MAX`]. Empty
    /// for facts, which nobody but their author judges.
    pub field_changes: Vec<FieldChange>,
}

/// Judges changes: the longest prefix that stands every test is admitted.
///
/// # Errors
/// When not one change is admitted: the refusal of the first. The rules in order: those of
/// [`wire::parse`], `SequenceGap`, `SequenceReused`, `DependencyUnknown`, `AuthorForeign`, `StartOpAbsurd`,
/// `NotTheAuthor`, `DocumentTooLarge`, `SchemaViolated`, `Unloadable`, `ScopeMismatch`.
pub fn admit(input: &AdmissionInput) -> Result<Admitted, Refusal> {
    admit_open(input, None).map(|(admitted, _)| admitted)
}

/// Like [`admit`], for who keeps documents open: `open` is what [`Document::load`] makes of `input.stored`, and
/// spares loading that. Returns what it makes of [`Admitted::saved`].
///
/// # Errors
/// As [`admit`].
pub fn admit_open(
    input: &AdmissionInput,
    mut open: Option<Document>,
) -> Result<(Admitted, Document), Refusal> {
    // A panic in the document engine is a property of the bytes that it was given: the shadow is dropped and
    // the change refused. What cannot be caught (memory, time) ends the worker process instead.
    let mut guarded = |limit: usize| {
        let open = open.take();
        let outcome = catch_unwind(AssertUnwindSafe(|| shadow(input, open, limit)));
        outcome.unwrap_or_else(|_| Err((usize::MAX, Rule::Unloadable.into())))
    };
    let (count, last) = match guarded(input.changes.len()) {
        Ok(admitted) => return Ok(admitted),
        Err((0, refusal)) => return Err(refusal),
        Err((count, refusal)) => (count.min(input.changes.len()), refusal),
    };
    // Rare: what the changes claim is right, but not what comes of them. Look for the first that does not stand.
    let mut longest = None;
    let mut refused = last;
    for prefix in 1..count {
        match guarded(prefix) {
            Ok(better) => longest = Some(better),
            Err((_, refusal)) => {
                refused = refusal;
                break;
            }
        }
    }
    let (mut admitted, document) = longest.ok_or(refused.clone())?;
    admitted.refused = Some(refused);
    Ok((admitted, document))
}

/// What a change must fit to, of the document and of the changes before it.
#[derive(Default)]
struct Ground {
    max_op: HashMap<ChangeHash, u64>,
    last_seq: HashMap<ActorId, u64>,
    author: HashMap<ActorId, PersonId>,
}

impl Ground {
    fn of(document: &mut Document) -> Ground {
        let mut ground = Ground::default();
        for change in document.history() {
            ground.add(change.hash, change.actor, change.seq, change.max_op, change.author);
        }
        ground
    }

    fn add(&mut self, hash: ChangeHash, actor: ActorId, seq: u64, max_op: u64, author: Option<PersonId>) {
        self.max_op.insert(hash, max_op);
        let last = self.last_seq.entry(actor).or_default();
        *last = seq.max(*last);
        if let Some(author) = author {
            self.author.insert(actor, author);
        }
    }

    /// Judges what a change says of itself.
    fn judge(&self, header: &ChangeHeader, person: PersonId) -> Result<(), Refusal> {
        if takes_orphans() && header.deps.iter().any(|dep| !self.max_op.contains_key(dep)) {
            return Ok(());
        }
        let last_seq = self.last_seq.get(&header.actor).copied().unwrap_or(0);
        if header.seq > last_seq + 1 {
            return Err(Rule::SequenceGap.into());
        }
        if header.seq <= last_seq {
            return Err(Rule::SequenceReused.into());
        }
        let mut max_op = 0;
        for dep in &header.deps {
            max_op = max_op.max(*self.max_op.get(dep).ok_or(Rule::DependencyUnknown)?);
        }
        let author = header.author.or_else(|| self.author.get(&header.actor).copied());
        if author != Some(person) {
            return Err(Rule::AuthorForeign.into());
        }
        // A writer counts on from the highest operation that it knows, and it names all heads that it knows:
        // exactly one first counter is legal.
        if header.start_op != max_op + 1 {
            return Err(Rule::StartOpAbsurd.into());
        }
        if header.other_actors.iter().any(|actor| !self.last_seq.contains_key(actor)) {
            return Err(Refusal::about(Rule::Unloadable, "actors"));
        }
        Ok(())
    }
}

/// A planted bug: what has no ground is taken as if it had.
fn takes_orphans() -> bool {
    planted::is(Bug::AcceptsOrphan) || planted::is(Bug::SettlesHalf)
}

/// How many changes, from the first on, are what they claim to be, and why the next one is not.
fn judge_headers(changes: &[Vec<u8>], person: PersonId, mut ground: Ground) -> (usize, Option<Refusal>) {
    for (index, bytes) in changes.iter().enumerate() {
        let judged = wire::parse(bytes).and_then(|header| {
            if !ground.max_op.contains_key(&header.hash) {
                ground.judge(&header, person)?;
                ground.add(header.hash, header.actor, header.seq, header.max_op(), header.author);
            }
            Ok(())
        });
        if let Err(refusal) = judged {
            return (index, Some(refusal));
        }
    }
    (changes.len(), None)
}

/// Applies the first `limit` changes to a shadow and judges what comes of it. A refusal comes with how many
/// changes are what they claim to be: 0 if not even the first.
fn shadow(
    input: &AdmissionInput,
    open: Option<Document>,
    limit: usize,
) -> Result<(Admitted, Document), (usize, Refusal)> {
    let unloadable = |about: &str| Refusal::about(Rule::Unloadable, about);
    let (mut document, before, texts) = match &input.stored {
        Some(stored) => {
            let document = match open {
                Some(document) => document,
                None => Document::load(stored).map_err(|_| (0, unloadable("stored")))?,
            };
            if document.author().is_some_and(|author| author != input.person) {
                return Err((0, Rule::NotTheAuthor.into()));
            }
            let baseline = document.baseline();
            let texts = if input.kind.is_fact() { Map::default() } else { document.texts() };
            (document, Some(baseline), texts)
        }
        None => (Document::empty(), None, Map::default()),
    };
    let ground = Ground::of(&mut document);
    let (count, refused) = judge_headers(&input.changes[..limit], input.person, ground);
    if count == 0 {
        return Err((0, refused.unwrap_or_else(|| Rule::ChangeMalformed.into())));
    }
    let failed = |refusal: Refusal| (count, refusal);
    if takes_orphans() {
        input.changes[..count].iter().for_each(|change| drop(document.apply(std::slice::from_ref(change))));
    } else {
        document.apply(&input.changes[..count]).map_err(|_| failed(unloadable("apply")))?;
    }
    if document.change_count() > limits::DOCUMENT_CHANGES_MAX {
        return Err(failed(Refusal::about(Rule::DocumentTooLarge, "changes")));
    }
    let saved = document.save();
    if saved.len() > limits::DOCUMENT_BYTES_MAX {
        return Err(failed(Refusal::about(Rule::DocumentTooLarge, "bytes")));
    }
    let heads = document.heads();
    drop(document);
    let mut reloaded = Document::load(&saved).map_err(|_| failed(unloadable("reload")))?;
    if reloaded.heads() != heads {
        return Err(failed(unloadable("heads")));
    }
    reloaded.check(input.kind, before.as_ref()).map_err(failed)?;
    judge_scope(input, &reloaded).map_err(failed)?;
    let projection = Projection::of(&mut reloaded).ok_or_else(|| failed(Rule::SchemaViolated.into()))?;
    let field_changes =
        if input.kind.is_fact() { Vec::new() } else { differences(&texts, &reloaded.texts()) };
    Ok((Admitted { saved, heads, projection, applied: count, refused, field_changes }, reloaded))
}

fn judge_scope(input: &AdmissionInput, document: &Document) -> Result<(), Refusal> {
    if input.kind.is_fact() && document.author() != Some(input.person) {
        return Err(Rule::NotTheAuthor.into());
    }
    let customer = if input.kind.is_fact() { document.customer() } else { Some(input.doc) };
    if customer.is_some() && input.scope.customer() == customer {
        Ok(())
    } else {
        Err(Rule::ScopeMismatch.into())
    }
}

fn differences(before: &Map<String, String>, after: &Map<String, String>) -> Vec<FieldChange> {
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .take(FIELD_CHANGES_MAX)
        .map(|path| {
            let (before, after) = (before.get(path).map(String::as_str), after.get(path).map(String::as_str));
            let shared = shared_beginning(before.unwrap_or_default(), after.unwrap_or_default());
            FieldChange {
                field: path.clone(),
                before: before.map(|text| excerpt_from(text, shared)),
                after: after.map(|text| excerpt_from(text, shared)),
            }
        })
        .collect()
}

/// Characters of what two texts share that are shown before the difference.
const SHARED_CHARS_SHOWN: usize = 20;

/// How many characters two texts begin with in common.
fn shared_beginning(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count()
}

/// An excerpt that shows the difference even where it lies deep in a long text.
fn excerpt_from(text: &str, shared: usize) -> String {
    if shared <= SHARED_CHARS_SHOWN || text.chars().count() <= EXCERPT_CHARS_MAX {
        return excerpt(text);
    }
    let rest: String = text.chars().skip(shared - SHARED_CHARS_SHOWN).collect();
    format!("…{}", excerpt(&rest))
}

#[cfg(test)]
mod tests;
