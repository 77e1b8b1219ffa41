//! Whether there is a connection, when to dial again, when to ping and when to give up (CL-40 … CL-44).
//! Knows nothing of frames: the machine tells it what happened and asks what is due.

use crate::entropy::Entropy;
use crate::limits::{PING_AFTER_MS, REDIAL_DELAY_MS_MAX, REDIAL_DELAY_MS_MIN, SILENCE_MS_MAX};
use crate::view::Link;

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// None. Dialled at this monotonic millisecond.
    Waiting {
        /// When.
        until_ms: u64,
    },
    /// The driver was asked to dial.
    Dialling {
        /// When it was asked.
        since_ms: u64,
    },
    /// A socket is open and `hello` was sent.
    Open {
        /// When the last frame arrived, or the socket opened.
        heard_ms: u64,
        /// When the last ping was sent, if nothing was heard since.
        pinged_ms: Option<u64>,
        /// Whether the server has answered the hello.
        welcomed: bool,
    },
    /// Dialling makes no sense: no login, or revoked.
    Halted,
}

/// What has become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Dial.
    Dial,
    /// Send a ping.
    Ping,
    /// Close the silent socket.
    HangUp,
}

/// The connection and its pauses.
#[derive(Debug)]
pub(super) struct Redial {
    pub(super) connection: Connection,
    /// Attempts since the last complete exchange; the pause doubles with each.
    attempts: u32,
    /// Rejected tickets in a row.
    rejected: u32,
    /// Why dialling is halted.
    halted: Link,
}

impl Redial {
    /// No login yet.
    pub(super) fn halted(link: Link) -> Self {
        Self { connection: Connection::Halted, attempts: 0, rejected: 0, halted: link }
    }

    /// Dials as soon as it is asked what is due.
    pub(super) fn eager(now_ms: u64) -> Self {
        let connection = Connection::Waiting { until_ms: now_ms };
        Self { connection, attempts: 0, rejected: 0, halted: Link::Offline }
    }

    /// Forgets every pause: there was a login, or the network is back.
    pub(super) fn nudge(&mut self, now_ms: u64) {
        if let Connection::Waiting { .. } = self.connection {
            self.connection = Connection::Waiting { until_ms: now_ms };
        }
    }

    /// Begins again after a login.
    pub(super) fn resume(&mut self, now_ms: u64) {
        if let Connection::Halted | Connection::Waiting { .. } = self.connection {
            *self = Self::eager(now_ms);
        }
    }

    /// Dials no more until the next login.
    pub(super) fn halt(&mut self, link: Link) {
        self.connection = Connection::Halted;
        self.halted = link;
    }

    /// The socket opened.
    pub(super) fn connected(&mut self, now_ms: u64) {
        self.connection = Connection::Open { heard_ms: now_ms, pinged_ms: None, welcomed: false };
    }

    /// A frame arrived.
    pub(super) fn heard(&mut self, now_ms: u64) {
        if let Connection::Open { heard_ms, pinged_ms, .. } = &mut self.connection {
            *heard_ms = now_ms;
            *pinged_ms = None;
        }
    }

    /// The server answered the hello: the ticket was good.
    pub(super) fn welcomed(&mut self) {
        self.rejected = 0;
        if let Connection::Open { welcomed, .. } = &mut self.connection {
            *welcomed = true;
        }
    }

    /// Whether frames beyond the hello may be expected.
    pub(super) fn is_welcomed(&self) -> bool {
        matches!(self.connection, Connection::Open { welcomed: true, .. })
    }

    /// Whether a socket is open.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.connection, Connection::Open { .. })
    }

    /// An exchange was completed: the next pause is the shortest again. A welcome alone does not count, or a
    /// phone whose every page fails would dial without pause.
    pub(super) fn succeeded(&mut self) {
        self.attempts = 0;
    }

    /// The ticket was rejected; true if it was the second in a row, so that only a login helps.
    pub(super) fn ticket_rejected(&mut self) -> bool {
        self.rejected += 1;
        self.rejected >= 2
    }

    /// The connection ended or could not be made: waits with full jitter, evenly drawn between nothing and
    /// the bound, so that a thousand phones do not come back in one instant.
    pub(super) fn lost(&mut self, now_ms: u64, entropy: &mut Entropy) {
        let bound = REDIAL_DELAY_MS_MIN.saturating_mul(1 << self.attempts.min(16)).min(REDIAL_DELAY_MS_MAX);
        self.attempts = self.attempts.saturating_add(1);
        self.connection = Connection::Waiting { until_ms: now_ms.saturating_add(entropy.below(bound + 1)) };
    }

    /// The server asked for patience: as [`Redial::lost`], beginning with a long pause.
    pub(super) fn turned_away(&mut self, now_ms: u64, entropy: &mut Entropy) {
        self.attempts = self.attempts.max(5);
        self.lost(now_ms, entropy);
    }

    /// When something becomes due.
    pub(super) fn due_ms(&self) -> Option<u64> {
        match self.connection {
            Connection::Waiting { until_ms } => Some(until_ms),
            Connection::Dialling { since_ms } => Some(since_ms.saturating_add(SILENCE_MS_MAX)),
            Connection::Open { heard_ms, pinged_ms, .. } => {
                let ping_ms = pinged_ms.unwrap_or(heard_ms).saturating_add(PING_AFTER_MS);
                Some(ping_ms.min(heard_ms.saturating_add(SILENCE_MS_MAX)))
            }
            Connection::Halted => None,
        }
    }

    /// What is due at this moment. Asking takes note of it.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<Due> {
        match &mut self.connection {
            Connection::Waiting { until_ms } if *until_ms <= now_ms => {
                self.connection = Connection::Dialling { since_ms: now_ms };
                Some(Due::Dial)
            }
            Connection::Dialling { since_ms } if since_ms.saturating_add(SILENCE_MS_MAX) <= now_ms => {
                Some(Due::HangUp)
            }
            Connection::Open { heard_ms, .. } if heard_ms.saturating_add(SILENCE_MS_MAX) <= now_ms => {
                Some(Due::HangUp)
            }
            Connection::Open { heard_ms, pinged_ms, .. }
                if pinged_ms.unwrap_or(*heard_ms).saturating_add(PING_AFTER_MS) <= now_ms =>
            {
                *pinged_ms = Some(now_ms);
                Some(Due::Ping)
            }
            Connection::Waiting { .. }
            | Connection::Dialling { .. }
            | Connection::Open { .. }
            | Connection::Halted => None,
        }
    }

    /// What a person is shown. `caught_up`: the feed has nothing more for the phone.
    pub(super) fn link(&self, caught_up: bool) -> Link {
        match self.connection {
            Connection::Waiting { .. } => Link::Offline,
            Connection::Dialling { .. } => Link::Syncing,
            Connection::Open { .. } if caught_up => Link::Live,
            Connection::Open { .. } => Link::Syncing,
            Connection::Halted => self.halted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entropy() -> Entropy {
        Entropy::from_seed([7; 32])
    }

    #[test]
    fn cl_40_the_pause_doubles_with_full_jitter_up_to_its_bound_and_starts_over_after_a_success() {
        let mut entropy = entropy();
        let mut redial = Redial::eager(0);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            redial.lost(1_000, &mut entropy);
            pauses.push(redial.due_ms().expect("waiting") - 1_000);
        }
        assert!(pauses[0] <= REDIAL_DELAY_MS_MIN, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= REDIAL_DELAY_MS_MAX), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause > REDIAL_DELAY_MS_MAX / 2), "{pauses:?}");
        assert!(pauses[10..].iter().any(|pause| *pause < REDIAL_DELAY_MS_MAX / 3), "full jitter: {pauses:?}");
        redial.succeeded();
        redial.lost(1_000, &mut entropy);
        assert!(redial.due_ms().expect("waiting") - 1_000 <= REDIAL_DELAY_MS_MIN);
    }

    #[test]
    fn cl_41_a_silent_socket_is_pinged_and_then_given_up() {
        let mut redial = Redial::eager(0);
        redial.connected(1_000);
        redial.welcomed();
        assert_eq!(redial.due_ms(), Some(1_000 + PING_AFTER_MS));
        assert_eq!(redial.take_due(1_000 + PING_AFTER_MS), Some(Due::Ping));
        assert_eq!(redial.take_due(1_001 + PING_AFTER_MS), None, "one ping is enough");
        redial.heard(30_000);
        assert_eq!(redial.due_ms(), Some(30_000 + PING_AFTER_MS), "an answer begins anew");
        assert_eq!(redial.take_due(30_000 + SILENCE_MS_MAX), Some(Due::HangUp));
    }

    #[test]
    fn cl_42_a_second_rejected_ticket_in_a_row_asks_for_a_login_and_a_welcome_forgets_the_first() {
        let mut redial = Redial::eager(0);
        assert!(!redial.ticket_rejected());
        assert!(redial.ticket_rejected());
        redial.connected(0);
        redial.welcomed();
        assert!(!redial.ticket_rejected());
    }

    #[test]
    fn cl_43_a_driver_that_never_answers_a_dial_is_asked_again() {
        let mut redial = Redial::eager(0);
        assert_eq!(redial.take_due(0), Some(Due::Dial));
        assert_eq!(redial.take_due(1), None);
        assert_eq!(redial.take_due(SILENCE_MS_MAX), Some(Due::HangUp));
    }
}
