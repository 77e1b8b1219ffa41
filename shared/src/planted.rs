//! Bugs on purpose, one at a time, to prove that the simulator's oracle bites (`cargo xtask sim --planted`). They
//! exist in builds with the feature `planted` alone, which no build of the product has: without it [`is`] is
//! `false` at compile time.

macro_rules! bugs {
    ($($name:ident: $invariant:literal $(besides $besides:literal)?, $words:literal;)*) => {
        /// A bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $(#[doc = $words] $name,)*
        }

        impl Bug {
            /// Every bug, by invariant.
            pub const ALL: &'static [Bug] = &[$(Bug::$name,)*];

            /// The invariant that it breaks.
            pub fn invariant(self) -> &'static str {
                match self { $(Bug::$name => $invariant,)* }
            }

            /// Another invariant that the same damage breaks, where it may be seen first.
            pub fn besides(self) -> Option<&'static str> {
                match self { $(Bug::$name => [$($besides)?].first().copied(),)* }
            }

            /// What it does.
            pub fn words(self) -> &'static str {
                match self { $(Bug::$name => $words,)* }
            }
        }
    };
}

bugs! {
    AcksBeforeSync: "I1", "the server acknowledges a commit that its disk still loses with the power";
    ForgetsAfterRestore: "I1", "a phone offers nothing again to a restored server";
    AcksFailedCommit: "I2" besides "I7", "the server acknowledges a group that its disk refused";
    StaleSnapshot: "I2", "a snapshot is stored without the change that it was made for";
    SkipsChange: "I3", "the last change of a live page is left out";
    OrdersByDeviceClock: "I3", "a timeline is ordered by the clocks of the devices";
    OwnReceipt: "I3", "the author's phone shows its own time as the time of receipt";
    PageSkipsGrants: "I4", "a page is read by grants that have ended";
    RingSkipsGrants: "I4", "a live page holds every scope that the commit touched";
    RevokedKeepsSession: "I5", "the open session of a revoked device goes on";
    RevokedMayPush: "I5", "what a revoked device pushed before is merged after the revoke";
    TransferNotFolded: "I6", "a transfer is an event and not in the table of customers";
    AcceptsTwice: "I6", "a customer is accepted again and gets a second code";
    ActorOfAnyDevice: "I7", "the actor of another device is taken";
    ReusesActor: "I7", "a fresh store, as after an eviction, goes on as its person's former actor, and the server lets it";
    AttributedToAuthor: "I7", "a change is attributed to the author of the document";
    RefusalWedges: "I8", "a refused change keeps its document from being sent for ever";
    PausesForEver: "I8", "what was refused in passing is never offered again";
    WindowIgnored: "I9", "a phone pushes without waiting for answers";
    PageNotAwaited: "I9", "the server writes the next page before the last was taken in";
    AcceptsOrphan: "I10", "a change is stored whose dependency is not";
    SettlesHalf: "I10", "of held changes the first is left out when they are merged";
    RequestNotRemembered: "I11", "a request that comes again is decided again";
    EventsTwice: "I11" besides "I3", "a phone takes ledger events again that it holds";
    SendsBeforeStored: "I13", "a phone sends what its disk has not confirmed";
    SaysSavedTooSoon: "I13", "a phone shows as saved what its disk has not confirmed";
    SaysSentTooSoon: "I13", "a phone shows as arrived what the server has not acknowledged";
}

/// Whether this bug is planted in this thread.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
mod in_thread {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this bug is planted in this thread.
    pub fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Plants a bug in this thread, in place of the one before.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }
}

#[cfg(feature = "planted")]
pub use in_thread::{is, plant};
