//! The strict reader of one Automerge change chunk, so that no byte of a client reaches Automerge before it
//! was judged here. Never panics, never allocates beyond its input, runs in time linear in its input and the
//! limits. Knows the chunk format and its limits; nothing of documents, devices or permissions.
//!
//! A chunk: the magic 85 6f 4a 83, four bytes of checksum, the chunk type, the length and the body:
//! dependencies, actor, sequence number, first operation's counter, time, message, other actors, the columns'
//! table, the columns, and what follows as a footer. Numbers are LEB128. Each column holds one property of all
//! operations, run-length encoded.

mod columns;
mod input;

use sha2::{Digest as _, Sha256};

use crate::id::{ActorId, ChangeHash, PersonId};
use crate::limits;
use crate::refusal::{Refusal, Rule};
use crate::time::UtcMillis;
use crate::wire::input::{Input, Malformed};

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const CHUNK_CHANGE: u8 = 1;
const FOOTER_AUTHOR: u64 = 1;

/// From 1970 to the year 9999: beyond it no device's claim makes sense.
pub const CHANGE_TIME_MS_MAX: i64 = 253_402_300_799_999;

/// Counters end where Automerge's do.
const COUNTER_MAX: u64 = u32::MAX as u64;

/// What a change says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeHeader {
    /// Its name: the SHA-256 of chunk type, length and body.
    pub hash: ChangeHash,
    /// Who made it.
    pub actor: ActorId,
    /// The actor's how-manieth change of the document, from 1.
    pub seq: u64,
    /// The counter of the first operation.
    pub start_op: u64,
    /// How many operations it holds, at least one.
    pub op_count: u64,
    /// When the device says it was recorded.
    pub timestamp: UtcMillis,
    /// The changes it builds on, sorted.
    pub deps: Vec<ChangeHash>,
    /// The person, in an actor's first change.
    pub author: Option<PersonId>,
    /// Other actors that operations refer to, sorted.
    pub other_actors: Vec<ActorId>,
}

impl ChangeHeader {
    /// The counter of the last operation.
    pub fn max_op(&self) -> u64 {
        self.start_op + self.op_count - 1
    }
}

/// Reads one uncompressed change chunk.
///
/// # Errors
/// `ChangeTooLarge` beyond the limits of bytes, operations, dependencies or actors; `ChunkKindForbidden` for
/// documents, compressed changes and bundles; `SchemaViolated` for operations and values that no document of
/// ours holds (lists, counters, marks, bytes, floats); `ChangeMalformed` for everything else.
pub fn parse(bytes: &[u8]) -> Result<ChangeHeader, Refusal> {
    if bytes.len() > limits::CHANGE_BYTES_MAX {
        return Err(Refusal::about(Rule::ChangeTooLarge, "bytes"));
    }
    let body = chunk_body(bytes)?;
    let hash = chunk_hash(bytes, body.len());
    if bytes[4..8] != hash.0[..4] {
        return Err(Refusal::about(Rule::ChangeMalformed, "checksum"));
    }
    let mut input = Input::new(body);

    let dep_count = count(&mut input, limits::CHANGE_DEPS_MAX, "dependencies")?;
    let mut deps = Vec::with_capacity(dep_count);
    for _ in 0..dep_count {
        deps.push(ChangeHash(input.array().map_err(malformed("dependencies"))?));
    }
    // Automerge sorts what it writes, and what is not sorted does not survive its saved form.
    if !is_ascending(&deps) {
        return Err(Refusal::about(Rule::ChangeMalformed, "dependencies"));
    }
    let actor = read_actor(&mut input)?;
    let seq = input.unsigned().map_err(malformed("seq"))?;
    let start_op = input.unsigned().map_err(malformed("start_op"))?;
    if seq == 0 || seq > COUNTER_MAX {
        return Err(Refusal::about(Rule::ChangeMalformed, "seq"));
    }
    if start_op == 0 || start_op > COUNTER_MAX {
        return Err(Rule::StartOpAbsurd.into());
    }
    let timestamp = input.signed().map_err(malformed("time"))?;
    if !(0..=CHANGE_TIME_MS_MAX).contains(&timestamp) {
        return Err(Refusal::about(Rule::ChangeMalformed, "time"));
    }
    if input.unsigned().map_err(malformed("message"))? != 0 {
        return Err(Refusal::about(Rule::ChangeMalformed, "message"));
    }
    let actor_count = count(&mut input, limits::CHANGE_ACTORS_MAX, "actors")?;
    let mut other_actors = Vec::with_capacity(actor_count);
    for _ in 0..actor_count {
        other_actors.push(read_actor(&mut input)?);
    }
    if !is_ascending(&other_actors) || other_actors.contains(&actor) {
        return Err(Refusal::about(Rule::ChangeMalformed, "actors"));
    }
    let op_count = columns::read(&mut input, &actor, &other_actors, start_op)?;
    if op_count == 0 {
        return Err(Refusal::about(Rule::ChangeMalformed, "operations"));
    }
    if start_op + op_count - 1 > COUNTER_MAX {
        return Err(Rule::StartOpAbsurd.into());
    }
    let author = read_footer(&mut input)?;
    if author.is_some() != (seq == 1) {
        return Err(Refusal::about(Rule::AuthorForeign, "author"));
    }
    Ok(ChangeHeader {
        hash,
        actor,
        seq,
        start_op,
        op_count,
        timestamp: UtcMillis(timestamp),
        deps,
        author,
        other_actors,
    })
}

/// The body of the one change chunk that the bytes are, exactly.
fn chunk_body(bytes: &[u8]) -> Result<&[u8], Refusal> {
    let Some((header, rest)) = bytes.split_at_checked(9) else {
        return Err(Refusal::about(Rule::ChangeMalformed, "length"));
    };
    if header[..4] != MAGIC {
        return Err(Refusal::about(Rule::ChangeMalformed, "magic"));
    }
    match header[8] {
        CHUNK_CHANGE => {}
        0 | 2 | 3 => return Err(Rule::ChunkKindForbidden.into()),
        _ => return Err(Refusal::about(Rule::ChangeMalformed, "chunk type")),
    }
    let mut input = Input::new(rest);
    let length = input.unsigned().map_err(malformed("length"))?;
    let body = input.rest();
    if body.len() as u64 == length { Ok(body) } else { Err(Refusal::about(Rule::ChangeMalformed, "length")) }
}

/// The hash covers the chunk type, the length as written and the body: all that follows the checksum.
fn chunk_hash(bytes: &[u8], body_length: usize) -> ChangeHash {
    debug_assert!(bytes.len() > 9 && body_length < bytes.len(), "judged by `chunk_body`");
    ChangeHash(Sha256::digest(&bytes[8..]).into())
}

fn read_actor(input: &mut Input<'_>) -> Result<ActorId, Refusal> {
    let length = input.unsigned().map_err(malformed("actor"))?;
    if length != ActorId::LENGTH as u64 {
        return Err(Refusal::about(Rule::ChangeMalformed, "actor"));
    }
    input.array().map(ActorId).map_err(malformed("actor"))
}

fn read_footer(input: &mut Input<'_>) -> Result<Option<PersonId>, Refusal> {
    if input.is_empty() {
        return Ok(None);
    }
    let error = malformed("footer");
    let id = input.unsigned().map_err(&error)?;
    let length = input.unsigned().map_err(&error)?;
    if id != FOOTER_AUTHOR || length != PersonId::LENGTH as u64 {
        return Err(error(Malformed));
    }
    let author = input.array().map(PersonId).map_err(&error)?;
    if input.is_empty() { Ok(Some(author)) } else { Err(error(Malformed)) }
}

fn count(input: &mut Input<'_>, limit: usize, about: &'static str) -> Result<usize, Refusal> {
    let count = input.unsigned().map_err(malformed(about))?;
    match usize::try_from(count) {
        Ok(count) if count <= limit => Ok(count),
        _ => Err(Refusal::about(Rule::ChangeTooLarge, about)),
    }
}

fn malformed(about: &'static str) -> impl Fn(Malformed) -> Refusal {
    move |Malformed| Refusal::about(Rule::ChangeMalformed, about)
}

fn is_ascending<T: Ord>(items: &[T]) -> bool {
    items.windows(2).all(|pair| pair[0] < pair[1])
}

#[cfg(test)]
mod tests;
