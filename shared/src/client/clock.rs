//! What the phone knows of the true time (S8): the server's clock minus its own, as last measured, and
//! whether its own clock has jumped since. Reads no clock; the driver's [`Now`] is all it sees.
//!
//! A clock that fell back has certainly been set. A clock that ran ahead of the monotonic one may have
//! been set or may only have slept: many systems stop the monotonic clock while the phone sleeps, and a
//! phone sleeps between any two visits. So a step ahead costs certainty (`Estimated`), a step back costs
//! trust (`Suspect`).

use crate::time::{Now, Quality, Recorded, UtcMillis};

/// How far wall and monotonic clock may part before the wall clock counts as set. Time servers adjust a
/// phone by tens of milliseconds; two seconds are well beyond that and well below what matters in a record.
const JUMP_MS_MAX: i64 = 2_000;

/// A step ahead of more than this within one run is no sleep: a phone whose battery lasts a day and a half.
const SLEEP_MS_MAX: i64 = 36 * 3_600_000;

/// The phone's knowledge of time.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// Server minus wall, in milliseconds, as last measured.
    offset_ms: Option<i64>,
    /// What the quality would be if the clock has not jumped since `last`.
    trust: Quality,
    /// Wall and monotonic time when the machine was last called.
    last: (i64, u64),
}

impl Clock {
    /// Begins a run with the offset that an earlier run stored and the latest wall time that it saw.
    pub(super) fn open(now: Now, offset_ms: Option<i64>, wall_seen: UtcMillis) -> Self {
        let stepped_back = now.wall.0.saturating_add(JUMP_MS_MAX) < wall_seen.0;
        let trust = if offset_ms.is_none() || stepped_back { Quality::Suspect } else { Quality::Estimated };
        Self { offset_ms, trust, last: (now.wall.0, now.monotonic_ms) }
    }

    /// Compares the two clocks. Called first by every `handle_*`.
    pub(super) fn observe(&mut self, now: Now) {
        let wall_passed = now.wall.0.saturating_sub(self.last.0);
        let passed = i64::try_from(now.monotonic_ms.saturating_sub(self.last.1)).unwrap_or(i64::MAX);
        let ahead = wall_passed.saturating_sub(passed);
        if !(-JUMP_MS_MAX..=SLEEP_MS_MAX).contains(&ahead) {
            self.trust = Quality::Suspect;
        } else if ahead > JUMP_MS_MAX && self.trust == Quality::Ok {
            self.trust = Quality::Estimated;
        }
        self.last = (now.wall.0, now.monotonic_ms);
    }

    /// Takes the server's time, which was true at some moment since `asked_ms` on the monotonic clock.
    pub(super) fn measure(&mut self, now: Now, server: UtcMillis, asked_ms: u64) {
        let travelled = i64::try_from(now.monotonic_ms.saturating_sub(asked_ms)).unwrap_or(0).min(60_000);
        self.offset_ms = Some(server.0.saturating_add(travelled / 2).saturating_sub(now.wall.0));
        self.trust = Quality::Ok;
    }

    /// Server minus wall, in milliseconds.
    pub(super) fn offset_ms(&self) -> Option<i64> {
        self.offset_ms
    }

    /// The server's time by the phone's best knowledge.
    pub(super) fn corrected(&self, now: Now) -> UtcMillis {
        UtcMillis(now.wall.0.saturating_add(self.offset_ms.unwrap_or(0)))
    }

    /// Stamps something that is recorded at this moment.
    pub(super) fn recorded(&self, now: Now) -> Recorded {
        Recorded {
            at: self.corrected(now),
            device: now.wall,
            quality: self.trust,
            offset_minutes: now.offset_minutes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: i64, monotonic_ms: u64) -> Now {
        Now { wall: UtcMillis(wall), monotonic_ms, offset_minutes: 480 }
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn cl_30_a_phone_that_never_met_the_server_records_suspect_times() {
        let clock = Clock::open(at(HOUR, 0), None, UtcMillis(0));
        assert_eq!(clock.recorded(at(HOUR, 5)).quality, Quality::Suspect);
        assert_eq!(clock.recorded(at(HOUR, 5)).at, UtcMillis(HOUR));
    }

    #[test]
    fn cl_30_the_offset_of_this_run_is_ok_and_of_an_earlier_run_estimated() {
        let mut clock = Clock::open(at(1_000, 0), Some(8 * HOUR), UtcMillis(900));
        assert_eq!(clock.recorded(at(1_000, 0)).quality, Quality::Estimated);
        assert_eq!(clock.recorded(at(1_000, 0)).at, UtcMillis(1_000 + 8 * HOUR));
        clock.observe(at(2_000, 1_000));
        clock.measure(at(2_000, 1_000), UtcMillis(HOUR), 800);
        let recorded = clock.recorded(at(3_000, 2_000));
        assert_eq!((recorded.at, recorded.quality), (UtcMillis(HOUR + 1_100), Quality::Ok));
        assert_eq!(recorded.device, UtcMillis(3_000));
    }

    #[test]
    fn cl_31_a_clock_set_back_is_suspect_until_it_is_measured_again() {
        let mut clock = Clock::open(at(HOUR, 0), Some(0), UtcMillis(0));
        clock.measure(at(HOUR, 0), UtcMillis(HOUR), 0);
        clock.observe(at(HOUR - 10_000, 1_000));
        assert_eq!(clock.recorded(at(HOUR - 10_000, 1_000)).quality, Quality::Suspect);
        clock.observe(at(HOUR, 11_000));
        assert_eq!(
            clock.recorded(at(HOUR, 11_000)).quality,
            Quality::Suspect,
            "trust does not come back by itself"
        );
        clock.measure(at(HOUR, 11_000), UtcMillis(HOUR + 11_000), 11_000);
        assert_eq!(clock.recorded(at(HOUR, 11_000)).quality, Quality::Ok);
    }

    #[test]
    fn cl_31_a_clock_set_back_between_two_runs_is_suspect() {
        let clock = Clock::open(at(HOUR, 0), Some(0), UtcMillis(2 * HOUR));
        assert_eq!(clock.recorded(at(HOUR, 0)).quality, Quality::Suspect);
    }

    #[test]
    fn cl_31_a_step_ahead_may_be_sleep_and_is_estimated_but_a_step_of_days_is_not() {
        let mut clock = Clock::open(at(0, 0), None, UtcMillis(0));
        clock.measure(at(0, 0), UtcMillis(0), 0);
        clock.observe(at(8 * HOUR, 1_000));
        assert_eq!(clock.recorded(at(8 * HOUR, 1_000)).quality, Quality::Estimated);
        clock.observe(at(80 * HOUR, 2_000));
        assert_eq!(clock.recorded(at(80 * HOUR, 2_000)).quality, Quality::Suspect);
    }

    #[test]
    fn a_clock_at_the_ends_of_time_does_not_overflow() {
        let mut clock = Clock::open(at(i64::MAX, 0), Some(i64::MAX), UtcMillis(i64::MIN));
        clock.observe(at(i64::MIN, u64::MAX));
        clock.measure(at(i64::MIN, 0), UtcMillis(i64::MAX), u64::MAX);
        clock.corrected(at(i64::MAX, 0));
    }
}
