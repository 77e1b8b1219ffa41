//! One connection as the hub sees it: who it is, where its copy ends, what it was promised.

use std::collections::VecDeque;

use shared::id::{Scope, Seq};
use shared::ledger::people::Principal;
use shared::planted::{self, Bug};
use shared::protocol::Digest;

use super::feed::FeedCursor;
use super::{Identity, Transport};

/// Pushes of one session that wait for a group. A phone waits for the answer to one before it sends the next.
pub(super) const PUSHES_WAITING_MAX: usize = 4;

/// Pulls of one session that wait for a reader.
pub(super) const PULLS_WAITING_MAX: usize = 4;

pub(super) struct Session {
    pub(super) identity: Identity,
    pub(super) transport: Transport,
    pub(super) principals: Vec<Principal>,
    pub(super) view: u32,
    pub(super) greeted: bool,
    /// The reading under way, if any; its answer is the only one that counts.
    pub(super) reading: Option<Reading>,
    pub(super) pulls: VecDeque<FeedCursor>,
    /// A page was given to the driver and is not written yet: nothing more until it is.
    pub(super) in_flight: bool,
    /// Where the device's copy ends; none while it pulls page after page by itself.
    pub(super) position: Option<Seq>,
    /// A commit after `position` concerns this session.
    pub(super) dirty: bool,
    /// What the device's digest should be at `position`; none while that is unknown.
    pub(super) digest: Option<Digest>,
    /// Something was sent since the last ping, so the digest in the next may be of before or after it.
    pub(super) spoken: bool,
    pub(super) pushes: usize,
    /// Something that it pushed was committed after `position`: its page differs from everybody else's.
    pub(super) own: bool,
    /// The device's copy is of another role or team of its person: when its pages end, it is asked what it holds.
    pub(super) anew: bool,
}

/// A reading under way.
pub(super) struct Reading {
    pub(super) number: u64,
    /// The digest that the device's hello carried: compared when the page turns out empty.
    pub(super) claimed: Option<Digest>,
    /// From where it reads, for reading again.
    pub(super) cursor: FeedCursor,
    /// What the device holds, for reading again.
    pub(super) held: Option<Vec<(Scope, Digest)>>,
    /// Since it began, a grant of this person ended or work of this session was committed. What was read may
    /// show what must not leave any more, or a scope whole but without that work: it is read again.
    pub(super) stale: bool,
}

impl Session {
    pub(super) fn new(identity: Identity, transport: Transport, principals: Vec<Principal>) -> Self {
        let view = super::feed::view_of(&principals);
        Self {
            identity,
            transport,
            principals,
            view,
            greeted: false,
            reading: None,
            pulls: VecDeque::new(),
            in_flight: false,
            position: None,
            dirty: false,
            digest: None,
            spoken: false,
            pushes: 0,
            own: false,
            anew: false,
        }
    }

    /// From where a pull is answered: where the session's pages end by now, if its cursor is of before. The device
    /// takes those pages before the answer, and may have dropped what they removed (HUB-16).
    pub(super) fn onward(&self, cursor: FeedCursor) -> FeedCursor {
        match self.position {
            Some(position)
                if self.transport == Transport::Live && cursor.pass.is_none() && position > cursor.base =>
            {
                FeedCursor::at(self.view, position)
            }
            _ => cursor,
        }
    }

    /// Whether the session can be served a page of what was committed since its position.
    pub(super) fn is_waiting(&self) -> bool {
        self.transport == Transport::Live
            && self.dirty
            && (!self.in_flight || planted::is(Bug::PageNotAwaited))
            && self.reading.is_none()
            && self.position.is_some()
    }
}

#[cfg(test)]
mod tests {
    use shared::id::{DeviceId, PersonId};

    use super::*;
    use crate::hub::feed::Pass;

    fn session(transport: Transport, position: Option<u64>) -> Session {
        let identity = Identity { person: PersonId([1; 16]), device: DeviceId([2; 16]) };
        let mut session = Session::new(identity, transport, Vec::new());
        session.position = position.map(Seq);
        session
    }

    /// HUB-16
    #[test]
    fn a_pull_goes_on_from_where_the_pages_of_a_live_session_end() {
        let live = session(Transport::Live, Some(31));
        let before = FeedCursor::at(live.view, Seq(28));
        assert_eq!(
            live.onward(before.clone()).base,
            Seq(31),
            "what was removed at 29 may be gone from the device"
        );
        assert_eq!(live.onward(FeedCursor::at(live.view, Seq(35))).base, Seq(35), "never back");
        let pass = Pass { target: Seq(30), scope: None, doc: None, repair: None };
        let midway = FeedCursor { pass: Some(pass), ..before.clone() };
        assert_eq!(live.onward(midway.clone()), midway, "a pass is finished as it was begun");
        let pulling = session(Transport::Live, None);
        assert_eq!(pulling.onward(before.clone()), before, "its pages end nowhere yet");
        let request = session(Transport::OneShot, Some(31));
        assert_eq!(request.onward(before.clone()), before, "nothing is told to a request by itself");
    }
}
