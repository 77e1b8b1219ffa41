//! Clocks that lie. True time is the world's; a phone sees it through an offset that may be years wrong
//! and may jump, and through a counter that never runs backwards but begins anywhere at each start.

use shared::time::{Now, UtcMillis};

use crate::dice::Dice;

/// A day in milliseconds.
pub const DAY_MS: i64 = 86_400_000;

/// Where true time begins: 2026-11-22T00:00Z.
pub const EPOCH_MS: i64 = 1_795_305_600_000;

/// One phone's clocks.
#[derive(Debug, Clone)]
pub struct Clock {
    wall_offset_ms: i64,
    monotonic_origin_ms: i64,
}

impl Clock {
    /// A clock that is right, or wrong by hours or years.
    pub fn draw(dice: &mut Dice) -> Self {
        let mut clock = Self { wall_offset_ms: 0, monotonic_origin_ms: 0 };
        clock.jump(dice);
        clock
    }

    /// The wall clock is set: by the person, the network or an empty battery.
    pub fn jump(&mut self, dice: &mut Dice) {
        self.wall_offset_ms = match dice.below(6) {
            0 | 1 => dice.between(0, 4_000) as i64 - 2_000,
            2 => 8 * 3_600_000,
            3 => -8 * 3_600_000,
            4 => -(dice.between(1, 7 * 365) as i64) * DAY_MS,
            _ => dice.between(1, 3 * 365) as i64 * DAY_MS,
        };
    }

    /// Whether the wall clock is wrong by more than a day.
    pub fn is_wrong_by_days(&self) -> bool {
        self.wall_offset_ms.abs() > DAY_MS
    }

    /// The counter begins anew, as after a start of the program.
    pub fn restart(&mut self, true_ms: i64, dice: &mut Dice) {
        self.monotonic_origin_ms = true_ms - dice.between(0, 1_000_000_000) as i64;
    }

    /// What the phone believes at a true time.
    pub fn now(&self, true_ms: i64) -> Now {
        Now {
            wall: UtcMillis(true_ms + self.wall_offset_ms),
            monotonic_ms: (true_ms - self.monotonic_origin_ms).max(0) as u64,
            offset_minutes: 480,
        }
    }

    /// The true time at which the counter shows a value.
    pub fn true_ms(&self, monotonic_ms: u64) -> i64 {
        self.monotonic_origin_ms.saturating_add(i64::try_from(monotonic_ms).unwrap_or(i64::MAX))
    }
}
