//! The brake on guessing passwords: so many attempts a minute for one name, and for one address. Attempts
//! are counted whether they succeed or not, so the brake itself tells a guesser nothing.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};

/// The two brakes.
pub struct GuessBrake {
    by_name: DefaultKeyedRateLimiter<[u8; 8]>,
    by_address: DefaultKeyedRateLimiter<IpAddr>,
}

/// Says that the attempts are used up for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyAttempts;

impl GuessBrake {
    /// Brakes at so many attempts a minute; the same number may come at once.
    pub fn new(per_minute_by_name: NonZeroU32, per_minute_by_address: NonZeroU32) -> Self {
        Self {
            by_name: RateLimiter::keyed(Quota::per_minute(per_minute_by_name)),
            by_address: RateLimiter::keyed(Quota::per_minute(per_minute_by_address)),
        }
    }

    /// Counts one attempt.
    ///
    /// # Errors
    /// [`TooManyAttempts`]
    pub fn attempt(&self, name: &str, address: IpAddr) -> Result<(), TooManyAttempts> {
        if self.by_name.len() > 10_000 {
            self.by_name.retain_recent();
        }
        if self.by_address.len() > 10_000 {
            self.by_address.retain_recent();
        }
        self.by_address.check_key(&address).map_err(|_| TooManyAttempts)?;
        self.by_name.check_key(&short_digest(name)).map_err(|_| TooManyAttempts)
    }
}

/// Names are typed by strangers and may be long: eight bytes stand for them.
fn short_digest(name: &str) -> [u8; 8] {
    let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    digest.first_chunk().copied().expect("a digest has more than eight bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-6
    #[test]
    fn one_name_and_one_address_are_each_braked_and_others_are_not() {
        let three = NonZeroU32::new(3).expect("not zero");
        let five = NonZeroU32::new(5).expect("not zero");
        let brake = GuessBrake::new(three, five);
        let here = IpAddr::from([192, 0, 2, 1]);
        let there = IpAddr::from([192, 0, 2, 2]);
        for _ in 0..3 {
            assert!(brake.attempt("wang", here).is_ok());
        }
        assert!(brake.attempt("wang", here).is_err());
        assert!(brake.attempt("wang", there).is_err(), "the name is braked from every address");
        assert!(brake.attempt("li", here).is_ok());
        assert!(brake.attempt("zhao", here).is_err(), "the address is used up");
        assert!(brake.attempt("zhao", there).is_ok());
    }
}
