//! Surgery on change chunks: takes one apart, changes a part, and makes the length and the checksum right
//! again, so that what is refused is refused for the part that was changed. Knows the outer form of a chunk
//! and the head of a change's body.

use sha2::{Digest, Sha256};
use shared::document::{Document, Writer};
use shared::edit::{Edit, Patch};
use shared::id::{ActorId, DocId, PersonId};
use shared::limits;
use shared::refusal::Refusal;
use shared::time::{Quality, Recorded, UtcMillis};

use crate::dice::Dice;

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];

/// A change's body, cut where its counters are.
#[derive(Debug, Clone)]
pub struct Body {
    /// The dependencies and the actor.
    pub before: Vec<u8>,
    /// The change's number among its actor's.
    pub seq: u64,
    /// The counter of its first operation.
    pub start_op: u64,
    /// Everything after.
    pub after: Vec<u8>,
}

/// Reads an unsigned LEB128 number and what follows it.
fn unsigned(mut bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        bytes = rest;
        if byte & 0x80 == 0 {
            return Some((value, bytes));
        }
        shift += 7;
    }
}

/// Appends a number in LEB128.
pub fn put_unsigned(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The body of a chunk, whatever its type.
pub fn body_of(chunk: &[u8]) -> Option<Vec<u8>> {
    let (_, body) = unsigned(chunk.get(9..)?)?;
    Some(body.to_vec())
}

/// A chunk of a type around a body, with its true length and checksum.
pub fn chunk(chunk_type: u8, body: &[u8]) -> Vec<u8> {
    let mut covered = vec![chunk_type];
    put_unsigned(body.len() as u64, &mut covered);
    covered.extend_from_slice(body);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&Sha256::digest(&covered)[..4]);
    bytes.extend_from_slice(&covered);
    bytes
}

/// Makes the checksum of a damaged chunk right again, if it still looks like a chunk.
pub fn mend(chunk_bytes: &[u8]) -> Vec<u8> {
    match body_of(chunk_bytes) {
        Some(body) => chunk(chunk_bytes[8], &body),
        None => chunk_bytes.to_vec(),
    }
}

impl Body {
    /// Takes an uncompressed change chunk apart.
    pub fn of(chunk: &[u8]) -> Option<Body> {
        let body = body_of(chunk)?;
        let (deps, rest) = unsigned(&body)?;
        let rest = rest.get(usize::try_from(deps).ok()?.checked_mul(32)?..)?;
        let (actor_length, rest) = unsigned(rest)?;
        let rest = rest.get(usize::try_from(actor_length).ok()?..)?;
        let before = body.get(..body.len() - rest.len())?.to_vec();
        let (seq, rest) = unsigned(rest)?;
        let (start_op, after) = unsigned(rest)?;
        Some(Body { before, seq, start_op, after: after.to_vec() })
    }

    /// The change chunk of this body.
    pub fn to_chunk(&self) -> Vec<u8> {
        let mut body = self.before.clone();
        put_unsigned(self.seq, &mut body);
        put_unsigned(self.start_op, &mut body);
        body.extend_from_slice(&self.after);
        chunk(1, &body)
    }
}

/// The change as a compressed chunk, as Automerge writes long ones to files.
pub fn compressed(change: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;
    let body = body_of(change)?;
    let mut deflated = Vec::new();
    flate2::read::DeflateEncoder::new(body.as_slice(), flate2::Compression::new(6))
        .read_to_end(&mut deflated)
        .ok()?;
    // The checksum of a compressed chunk is that of the plain one.
    let plain = chunk(1, &body);
    let mut bytes = plain.get(..8)?.to_vec();
    bytes.push(2);
    put_unsigned(deflated.len() as u64, &mut bytes);
    bytes.extend_from_slice(&deflated);
    Some(bytes)
}

/// Chunks as large as a change may be, for what reads them: an honest long record, and the same with a part
/// overwritten, drawn out or filled up, each with its true length and checksum, so that none is refused before
/// its inside was looked at.
#[derive(Debug)]
pub struct Largest {
    honest: Vec<u8>,
}

impl Largest {
    /// Writes the honest record.
    ///
    /// # Errors
    /// If the schema refuses it.
    pub fn new() -> Result<Largest, Refusal> {
        let at = UtcMillis(1_795_305_600_000);
        let recorded = Recorded { at, device: at, quality: Quality::Ok, offset_minutes: 480 };
        let writer = Writer { person: PersonId([1; 16]), actor: ActorId([2; 16]), recorded };
        let record = "试样三天，油温降了四度。".repeat(limits::TEXT_CHARS_MAX / 12);
        let fields = Patch::from([("record".to_owned(), record.as_str().into())]);
        let edit = Edit::CreateVisit { visit: DocId([3; 16]), customer: DocId([4; 16]), fields };
        let (_, changes) = Document::create(&writer, &edit)?;
        let honest = changes.into_iter().map(|change| change.bytes).max_by_key(Vec::len).unwrap_or_default();
        Ok(Largest { honest })
    }

    /// The next one.
    pub fn draw(&self, dice: &mut Dice) -> Vec<u8> {
        /// Magic, checksum, type and length.
        const HEAD: usize = 12;
        let room = limits::CHANGE_BYTES_MAX - HEAD;
        let mut body = body_of(&self.honest).unwrap_or_default();
        let honest_length = body.len();
        match dice.below(5) {
            0 => return self.honest.clone(),
            1 => {}
            // What runs on to the end of the chunk.
            2 => body.resize(room, 0xff),
            3 => body.extend((body.len()..room).map(|_| dice.word() as u8)),
            // Its own operations, again and again.
            _ => body = body.iter().copied().cycle().take(room).collect(),
        }
        for _ in 0..dice.below(40) {
            // The head and the table of columns come first, and decide about what follows.
            let reach = if dice.permille(500) { 200 } else { honest_length as u64 };
            let place = dice.below(reach) as usize;
            let length = dice.below(10) as usize;
            let is_huge = dice.permille(500);
            for byte in body.iter_mut().skip(place).take(length) {
                *byte = if is_huge { 0xff } else { dice.word() as u8 };
            }
        }
        chunk(1, &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_taken_apart_and_put_together_is_the_same_chunk() {
        let Largest { honest } = Largest::new().expect("valid");
        assert_eq!(Body::of(&honest).expect("a change").to_chunk(), honest);
        assert_eq!(mend(&honest), honest);
    }
}
