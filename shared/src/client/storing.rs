//! What has to be written and what is written (CL-1). One write is out at a time; whatever changes meanwhile
//! goes into the next one, so a slow disk makes larger writes, never more of them. A write is made from the
//! state of the moment between two inputs, so every row in it agrees with every other.
//! Knows keys; never looks into a row.

use crate::client::WriteId;
use crate::client::rows::Key;
use crate::entropy::Entropy;
use crate::sorted::Set;

/// First pause before a failed write is tried again, and the largest. A full disk is emptied by a person,
/// which takes minutes; a lost database connection is back at once.
const RETRY_MS_MIN: u64 = 200;
/// See [`RETRY_MS_MIN`].
const RETRY_MS_MAX: u64 = 15_000;

#[derive(Debug, Default)]
pub(super) struct Storing {
    /// Changed since the last write was made.
    dirty: Set<Key>,
    /// The write that is out, and its keys.
    out: Option<(WriteId, Set<Key>)>,
    next: u64,
    /// Failures in a row.
    failures: u32,
    /// When a failed write is tried again.
    retry_ms: Option<u64>,
}

impl Storing {
    /// The row differs from what the store holds.
    pub(super) fn touch(&mut self, key: Key) {
        self.dirty.insert(key);
    }

    /// Whether the store has confirmed the row as it stands.
    pub(super) fn is_stored(&self, key: Key) -> bool {
        !self.dirty.contains(&key) && !self.out.as_ref().is_some_and(|(_, keys)| keys.contains(&key))
    }

    /// Whether nothing waits for the store.
    pub(super) fn is_idle(&self) -> bool {
        self.dirty.is_empty() && self.out.is_none()
    }

    /// Whether the store refused the last write.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether the next write may be made.
    pub(super) fn is_ready(&self) -> bool {
        self.out.is_none() && self.retry_ms.is_none() && !self.dirty.is_empty()
    }

    /// Begins a write of everything that changed.
    pub(super) fn begin(&mut self) -> (WriteId, Vec<Key>) {
        self.next += 1;
        let id = WriteId(self.next);
        let keys = std::mem::take(&mut self.dirty);
        let list = keys.iter().copied().collect();
        self.out = Some((id, keys));
        (id, list)
    }

    /// The write is on disk. False if it is not the one that is out.
    pub(super) fn confirm(&mut self, write: WriteId) -> bool {
        if self.out.as_ref().is_none_or(|(id, _)| *id != write) {
            return false;
        }
        self.out = None;
        self.failures = 0;
        true
    }

    /// The write failed: its rows are to be written again, later.
    pub(super) fn fail(&mut self, write: WriteId, now_ms: u64, entropy: &mut Entropy) {
        if self.out.as_ref().is_none_or(|(id, _)| *id != write) {
            return;
        }
        if let Some((_, keys)) = self.out.take() {
            self.dirty.extend(keys);
        }
        let bound = RETRY_MS_MIN.saturating_mul(1 << self.failures.min(16)).min(RETRY_MS_MAX);
        self.failures = self.failures.saturating_add(1);
        self.retry_ms = Some(now_ms.saturating_add(bound / 2 + entropy.below(bound / 2 + 1)));
    }

    /// When a failed write is tried again.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Ends the pause if it is over.
    pub(super) fn wake(&mut self, now_ms: u64) {
        if self.retry_ms.is_some_and(|retry_ms| retry_ms <= now_ms) {
            self.retry_ms = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cl_1_a_row_touched_while_its_write_is_out_is_not_stored_by_that_write() {
        let mut storing = Storing::default();
        storing.touch(Key::Out(1));
        let (first, keys) = storing.begin();
        assert_eq!(keys, vec![Key::Out(1)]);
        storing.touch(Key::Out(1));
        assert!(!storing.is_ready(), "one write at a time");
        assert!(storing.confirm(first));
        assert!(!storing.is_stored(Key::Out(1)), "the store holds the row of before");
        let (second, _) = storing.begin();
        assert!(!storing.confirm(first), "an old confirmation says nothing");
        assert!(storing.confirm(second));
        assert!(storing.is_stored(Key::Out(1)) && storing.is_idle());
    }

    #[test]
    fn cl_3_a_failed_write_keeps_its_rows_and_is_tried_again_after_a_pause() {
        let mut entropy = Entropy::from_seed([1; 32]);
        let mut storing = Storing::default();
        storing.touch(Key::Out(1));
        let (write, _) = storing.begin();
        storing.touch(Key::Meta);
        storing.fail(write, 1_000, &mut entropy);
        assert!(!storing.is_ready() && storing.is_failing());
        let due = storing.due_ms().expect("a pause");
        assert!((1_100..=1_200).contains(&due), "{due}");
        storing.wake(due);
        let (_, keys) = storing.begin();
        assert_eq!(keys, vec![Key::Meta, Key::Out(1)]);
    }
}
