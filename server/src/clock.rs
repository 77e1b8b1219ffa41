//! The only place that asks the operating system for the time, the time zone and randomness. Machines
//! receive all three as arguments.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chrono::{Local, Offset};
use shared::entropy::Entropy;
use shared::time::{Now, UtcMillis};

/// The wall clock.
pub fn utc_now() -> UtcMillis {
    let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    };
    UtcMillis(millis)
}

/// Milliseconds since the first question of this process; never runs backwards.
pub fn monotonic_ms() -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed().as_millis() as u64
}

/// Minutes east of UTC at this machine at present.
pub fn offset_minutes() -> i32 {
    Local::now().offset().fix().local_minus_utc() / 60
}

/// What a driver tells a machine about time.
pub fn now() -> Now {
    Now { wall: utc_now(), monotonic_ms: monotonic_ms(), offset_minutes: offset_minutes() }
}

/// Bytes from the operating system's generator.
///
/// # Panics
/// If the operating system has no randomness, without which no id and no key is safe.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}

/// A generator with a fresh seed.
pub fn entropy() -> Entropy {
    Entropy::from_seed(random())
}
