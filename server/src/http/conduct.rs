//! What a device has to answer for: items that no honest phone makes cost a worker's time, so that a device which
//! sends many of them is heard more and more slowly. Others notice nothing, and an honest phone with one broken
//! document neither.

use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use shared::id::DeviceId;

/// Offences that cost nothing, as long as they do not come every day: a phone with a fault of its own.
const FREE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");

/// Devices of which offences are remembered before those that have atoned are forgotten.
const DEVICES_MAX: usize = 10_000;

/// Counts offences by device: the first [`FREE`] are let pass, then one a second is forgiven.
pub struct Conduct {
    offences: DefaultKeyedRateLimiter<DeviceId>,
}

impl Default for Conduct {
    fn default() -> Self {
        let one_a_second = NonZeroU32::new(1).expect("not zero");
        Self { offences: RateLimiter::keyed(Quota::per_second(one_a_second).allow_burst(FREE)) }
    }
}

impl Conduct {
    /// Counts offences, and waits until they are forgiven: for not listening to the device meanwhile. Waits
    /// [`FREE`] seconds at most for itself, longer behind other sockets of the same device.
    pub async fn atone(&self, device: DeviceId, offences: u32) {
        let Some(offences) = NonZeroU32::new(offences.min(FREE.get())) else { return };
        if self.offences.len() > DEVICES_MAX {
            self.offences.retain_recent();
        }
        metrics::counter!("daybook_offences_total").increment(offences.get().into());
        if self.offences.until_key_n_ready(&device, offences).await.is_err() {
            unreachable!("never more at once than the quota holds");
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    // SEC-17
    #[test]
    fn the_first_offences_are_free_and_those_of_others_count_for_nothing() {
        let conduct = Conduct::default();
        let (forger, honest) = (DeviceId([1; 16]), DeviceId([2; 16]));
        for _ in 0..FREE.get() {
            assert!(conduct.atone(forger, 1).now_or_never().is_some());
        }
        assert!(conduct.atone(forger, 1).now_or_never().is_none(), "it waits");
        assert!(conduct.atone(forger, 0).now_or_never().is_some(), "nothing to atone for");
        assert!(conduct.atone(honest, u32::MAX).now_or_never().is_some(), "a whole batch at once");
        assert!(conduct.atone(honest, 1).now_or_never().is_none());
    }
}
