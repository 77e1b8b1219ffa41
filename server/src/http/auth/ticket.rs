//! Socket tickets: drawn for a device that holds an access token, good once and for thirty seconds. They
//! live in memory only: after a restart the phone draws another. Knows no clock.

use std::collections::HashMap;
use std::sync::Mutex;

use sha2::{Digest, Sha256};
use shared::id::{DeviceId, PersonId};

use crate::clock;

/// How long a ticket is good for, in milliseconds of the monotonic clock.
pub const TICKET_MS: u64 = 30_000;

/// Tickets that wait at once. 10,000 × 100 bytes = 1 MB; beyond it the oldest go first.
const WAITING_MAX: usize = 10_000;

/// A ticket as the phone holds it.
pub type Ticket = [u8; 32];

/// The tickets that were drawn and not used.
#[derive(Default)]
pub struct Tickets(Mutex<HashMap<[u8; 32], Waiting>>);

#[derive(Clone, Copy)]
struct Waiting {
    person: PersonId,
    device: DeviceId,
    until_ms: u64,
}

impl Tickets {
    /// Draws a ticket at `now_ms` of the monotonic clock.
    pub fn draw(&self, person: PersonId, device: DeviceId, now_ms: u64) -> Ticket {
        let ticket = clock::random();
        let mut waiting = self.0.lock().expect("no holder of this lock panics");
        if waiting.len() >= WAITING_MAX {
            waiting.retain(|_, ticket| ticket.until_ms > now_ms);
        }
        if waiting.len() >= WAITING_MAX
            && let Some(oldest) =
                waiting.iter().min_by_key(|(_, ticket)| ticket.until_ms).map(|(hash, _)| *hash)
        {
            waiting.remove(&oldest);
        }
        waiting.insert(digest(&ticket), Waiting { person, device, until_ms: now_ms + TICKET_MS });
        ticket
    }

    /// Takes a ticket: whoever presents it second, or late, is nobody. Kept by hash, so the time of a look-up
    /// says nothing about tickets that nearly match.
    pub fn take(&self, ticket: &[u8], now_ms: u64) -> Option<(PersonId, DeviceId)> {
        let mut waiting = self.0.lock().expect("no holder of this lock panics");
        let found = waiting.remove(&digest(ticket))?;
        (found.until_ms > now_ms).then_some((found.person, found.device))
    }
}

fn digest(ticket: &[u8]) -> [u8; 32] {
    Sha256::digest(ticket).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: PersonId = PersonId([1; 16]);
    const DEVICE: DeviceId = DeviceId([2; 16]);

    // SEC-4
    #[test]
    fn a_ticket_is_good_once_and_for_thirty_seconds() {
        let tickets = Tickets::default();
        let first = tickets.draw(PERSON, DEVICE, 1_000);
        assert_eq!(tickets.take(&first, 1_001), Some((PERSON, DEVICE)));
        assert_eq!(tickets.take(&first, 1_002), None);
        let late = tickets.draw(PERSON, DEVICE, 1_000);
        assert_eq!(tickets.take(&late, 1_000 + TICKET_MS), None);
        assert_eq!(tickets.take(b"forged", 1_000), None);
    }

    #[test]
    fn unused_tickets_do_not_pile_up() {
        let tickets = Tickets::default();
        let first = tickets.draw(PERSON, DEVICE, 0);
        for at in 1..=WAITING_MAX as u64 {
            tickets.draw(PERSON, DEVICE, at);
        }
        assert_eq!(tickets.0.lock().expect("free").len(), WAITING_MAX);
        assert_eq!(tickets.take(&first, 1), None);
    }
}
