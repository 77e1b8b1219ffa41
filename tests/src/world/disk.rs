//! A phone's disk: rows, and writes that are on their way to them. What was confirmed survives a crash;
//! of the rest a prefix may. Knows nothing of what the rows mean.

use std::collections::{BTreeMap, VecDeque};

use shared::client::{Row, Write, WriteId};

use crate::dice::Dice;

/// What a disk holds after a crash or in a copy.
pub type Rows = BTreeMap<String, Vec<u8>>;

/// An in-memory disk of one phone.
#[derive(Debug, Default)]
pub struct Disk {
    rows: Rows,
    underway: VecDeque<Write>,
}

impl Disk {
    /// A disk with these rows and nothing under way.
    pub fn of(rows: Rows) -> Self {
        Self { rows, underway: VecDeque::new() }
    }

    /// The durable rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The durable rows as the client opens them.
    pub fn to_rows(&self) -> Vec<Row> {
        self.rows.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Takes a write; it becomes durable at a later [`Disk::complete`].
    pub fn begin(&mut self, write: Write) {
        self.underway.push_back(write);
    }

    /// How many writes are under way.
    pub fn underway(&self) -> usize {
        self.underway.len()
    }

    /// Makes the oldest write durable and says which it was.
    pub fn complete(&mut self) -> Option<WriteId> {
        let write = self.underway.pop_front()?;
        let id = write.id;
        self.apply(write);
        Some(id)
    }

    /// Refuses everything under way, oldest first: a quota is exceeded for all of them alike.
    pub fn fail(&mut self) -> Vec<WriteId> {
        self.underway.drain(..).map(|write| write.id).collect()
    }

    /// The power goes: a prefix of what was under way became durable, the rest never happens. Says how
    /// many writes were kept and how many lost.
    pub fn crash(&mut self, dice: &mut Dice) -> (usize, usize) {
        let kept = dice.between(0, self.underway.len() as u64) as usize;
        for write in self.underway.drain(..kept).collect::<Vec<_>>() {
            self.apply(write);
        }
        let lost = self.underway.len();
        self.underway.clear();
        (kept, lost)
    }

    /// Whether some durable row holds these bytes. What a row's encoding looks like is the client's own
    /// business, but bytes that must survive have to be there.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.rows.values().any(|value| contains(value, bytes))
    }

    fn apply(&mut self, write: Write) {
        for key in write.deletes {
            self.rows.remove(&key);
        }
        self.rows.extend(write.puts);
    }
}

/// Whether `needle` occurs in `haystack`.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}
