//! A disk that forgets: what was written is seen at once, and stays only when it was synced. Every step that
//! reaches it is kept, so that the power can be taken away between any two of them afterwards, as often as one
//! likes, each time with another part of what was not synced. Knows files and bytes, nothing of databases;
//! [`vfs`] gives it to SQLite.
//!
//! After Rebello et al., "Can Applications Recover from fsync Failures?" (2020): a failed sync leaves the page
//! cache clean, and what it should have written is on the disk or not.

pub mod vfs;

use std::collections::BTreeMap;

use crate::dice::Dice;

/// Bytes that a disk writes as a whole.
const SECTOR: usize = 512;

/// What is on a disk: files by name.
pub type Image = BTreeMap<String, Vec<u8>>;

/// Something that was asked of the disk, in order.
#[derive(Debug, Clone)]
pub enum Step {
    /// Bytes were written.
    Write {
        /// The file.
        file: String,
        /// Where.
        offset: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// A file was made shorter or longer.
    Truncate {
        /// The file.
        file: String,
        /// Its length from then on.
        length: usize,
    },
    /// What was written to a file became durable, and so did its name.
    Sync {
        /// The file.
        file: String,
    },
    /// A sync was asked for and failed.
    SyncFailed {
        /// The file.
        file: String,
    },
    /// A file was deleted; durable at once if the folder was synced.
    Delete {
        /// The file.
        file: String,
        /// Whether the folder was synced.
        is_durable: bool,
    },
}

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Writes, truncations included.
    Write,
    /// Syncs.
    Sync,
}

/// How a failure is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// An input or output error.
    Error,
    /// No space is left.
    Full,
}

/// A planned failure: of the n-th of its kind from now on, counted from 1, or of all from that one on.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What fails.
    pub kind: Kind,
    /// Which.
    pub nth: u64,
    /// Whether all after it fail, too.
    pub for_ever: bool,
    /// How.
    pub told: Told,
}

/// The disk.
#[derive(Debug, Default)]
pub struct Disk {
    files: Image,
    /// Everything that was asked of it.
    pub steps: Vec<Step>,
    plan: Option<Plan>,
    seen: u64,
    /// How many steps failed by plan.
    pub failed: u64,
}

impl Disk {
    /// A disk that holds an image.
    pub fn holding(image: Image) -> Self {
        Self { files: image, ..Self::default() }
    }

    /// What is seen on it at this moment.
    pub fn image(&self) -> Image {
        self.files.clone()
    }

    /// Plans a failure, and forgets the one before.
    pub fn plan(&mut self, plan: Option<Plan>) {
        self.plan = plan;
        self.seen = 0;
    }

    fn fails(&mut self, kind: Kind) -> Option<Told> {
        let plan = self.plan.filter(|plan| plan.kind == kind)?;
        self.seen += 1;
        let fails = if plan.for_ever { self.seen >= plan.nth } else { self.seen == plan.nth };
        self.failed += u64::from(fails);
        fails.then_some(plan.told)
    }

    fn write(&mut self, file: &str, offset: usize, bytes: &[u8]) -> Result<(), Told> {
        if let Some(told) = self.fails(Kind::Write) {
            return Err(told);
        }
        put(self.files.entry(file.to_owned()).or_default(), offset, bytes);
        self.steps.push(Step::Write { file: file.to_owned(), offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn truncate(&mut self, file: &str, length: usize) -> Result<(), Told> {
        if let Some(told) = self.fails(Kind::Write) {
            return Err(told);
        }
        self.files.entry(file.to_owned()).or_default().resize(length, 0);
        self.steps.push(Step::Truncate { file: file.to_owned(), length });
        Ok(())
    }

    fn sync(&mut self, file: &str) -> Result<(), Told> {
        let file = file.to_owned();
        match self.fails(Kind::Sync) {
            Some(told) => {
                self.steps.push(Step::SyncFailed { file });
                Err(told)
            }
            None => {
                self.steps.push(Step::Sync { file });
                Ok(())
            }
        }
    }

    fn delete(&mut self, file: &str, is_durable: bool) -> bool {
        let existed = self.files.remove(file).is_some();
        if existed {
            self.steps.push(Step::Delete { file: file.to_owned(), is_durable });
        }
        existed
    }
}

/// One file as the disk has it, and what would still have to be written.
#[derive(Debug, Clone, Default)]
struct Held {
    /// None: no file of this name is durable.
    durable: Option<Vec<u8>>,
    /// Of the file that goes by the name now.
    pending: Vec<Step>,
    /// What is durable was deleted, and the folder was not synced: it may come back.
    is_doomed: bool,
}

/// Follows the steps of a disk and says at each place what may be left if the power goes there.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    files: BTreeMap<String, Held>,
}

impl Replay {
    /// Begins with a durable image.
    pub fn of(image: &Image) -> Self {
        let held = |bytes: &Vec<u8>| Held { durable: Some(bytes.clone()), ..Held::default() };
        Self { files: image.iter().map(|(name, bytes)| (name.clone(), held(bytes))).collect() }
    }

    /// The next step happened. A failed sync writes what it likes.
    pub fn advance(&mut self, step: &Step, dice: &mut Dice) {
        match step {
            Step::Write { file, .. } | Step::Truncate { file, .. } => {
                self.files.entry(file.clone()).or_default().pending.push(step.clone());
            }
            Step::Sync { file } => {
                let is_new = self.files.get(file).is_none_or(|held| held.durable.is_none() || held.is_doomed);
                if is_new {
                    // With the first sync of a file SQLite syncs its folder, and every deletion there is done.
                    for held in self.files.values_mut().filter(|held| held.is_doomed) {
                        (held.durable, held.is_doomed) = (None, false);
                    }
                }
                let held = self.files.entry(file.clone()).or_default();
                let mut bytes = held.durable.take().unwrap_or_default();
                held.pending.drain(..).for_each(|step| apply(&mut bytes, &step));
                held.durable = Some(bytes);
            }
            Step::SyncFailed { file } => {
                let held = self.files.entry(file.clone()).or_default();
                let mut bytes = held.durable.take().unwrap_or_default();
                if std::mem::take(&mut held.is_doomed) {
                    bytes.clear();
                }
                for step in held.pending.drain(..) {
                    tear(&mut bytes, &step, dice);
                }
                held.durable = Some(bytes);
            }
            Step::Delete { file, is_durable } => {
                let held = self.files.entry(file.clone()).or_default();
                held.pending.clear();
                held.is_doomed = held.durable.is_some() && !is_durable;
                if *is_durable {
                    held.durable = None;
                }
            }
        }
    }

    /// The power goes: what was synced is there; of the rest nothing, all, or some, in any order, torn.
    pub fn crash(&self, dice: &mut Dice) -> Image {
        let mood = dice.below(4);
        let mut image = Image::new();
        for (name, held) in &self.files {
            let comes_back = held.is_doomed && dice.permille(500);
            let is_there = match &held.durable {
                Some(_) if !held.is_doomed || comes_back => true,
                _ => !held.pending.is_empty() && dice.permille(500),
            };
            if !is_there {
                continue;
            }
            let durable = held.durable.as_ref().filter(|_| !held.is_doomed || comes_back);
            let mut bytes = durable.cloned().unwrap_or_default();
            let pending = if comes_back { &[] } else { held.pending.as_slice() };
            for step in pending {
                match mood {
                    0 => {}
                    1 => apply(&mut bytes, step),
                    2 if dice.permille(500) => apply(&mut bytes, step),
                    2 => {}
                    _ => tear(&mut bytes, step, dice),
                }
            }
            image.insert(name.clone(), bytes);
        }
        image
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, piece: &[u8]) {
    if bytes.len() < offset + piece.len() {
        bytes.resize(offset + piece.len(), 0);
    }
    bytes[offset..offset + piece.len()].copy_from_slice(piece);
}

fn apply(bytes: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Write { offset, bytes: piece, .. } => put(bytes, *offset, piece),
        Step::Truncate { length, .. } => bytes.resize(*length, 0),
        Step::Sync { .. } | Step::SyncFailed { .. } | Step::Delete { .. } => {}
    }
}

/// Applies a step wholly, not at all, or only in some of its sectors.
fn tear(bytes: &mut Vec<u8>, step: &Step, dice: &mut Dice) {
    match (step, dice.below(3)) {
        (_, 0) => {}
        (Step::Write { offset, bytes: piece, .. }, 1) => {
            let mut at = 0;
            while at < piece.len() {
                // Sectors lie on the disk, not in the write.
                let end = piece.len().min(at + SECTOR - (offset + at) % SECTOR);
                if dice.permille(500) {
                    put(bytes, offset + at, &piece[at..end]);
                }
                at = end;
            }
        }
        (step, _) => apply(bytes, step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(disk: &Disk) -> Vec<Image> {
        let mut dice = Dice::new(1);
        let mut replay = Replay::default();
        disk.steps.iter().for_each(|step| replay.advance(step, &mut dice));
        (0..200).map(|_| replay.crash(&mut dice)).collect()
    }

    #[test]
    fn what_was_synced_is_there_and_what_was_not_may_be_anything() {
        let mut disk = Disk::default();
        disk.write("a", 0, &[1; 600]).expect("no plan");
        disk.sync("a").expect("no plan");
        assert!(images(&disk).iter().all(|image| image["a"] == [1; 600]));
        disk.write("a", 0, &[2; 600]).expect("no plan");
        let images = images(&disk);
        let has = |expected: Vec<u8>| images.iter().any(|image| image["a"] == expected);
        assert!(has(vec![1; 600]), "nothing of it");
        assert!(has(vec![2; 600]), "all of it");
        assert!(has([vec![1; 512], vec![2; 88]].concat()), "its second sector alone");
    }

    #[test]
    fn a_file_that_was_never_synced_may_be_missing() {
        let mut disk = Disk::default();
        disk.write("a", 0, &[1]).expect("no plan");
        let images = images(&disk);
        assert!(images.iter().any(Image::is_empty) && images.iter().any(|image| !image.is_empty()));
    }

    #[test]
    fn a_plan_fails_once_or_for_ever() {
        for for_ever in [false, true] {
            let mut disk = Disk::default();
            disk.plan(Some(Plan { kind: Kind::Write, nth: 2, for_ever, told: Told::Full }));
            let results: Vec<_> = (0..4).map(|_| disk.write("a", 0, &[1]).is_ok()).collect();
            assert_eq!(results, [true, false, !for_ever, !for_ever]);
            assert!(disk.sync("a").is_ok());
        }
    }
}
