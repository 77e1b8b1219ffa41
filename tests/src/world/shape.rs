//! How much of a seed's world is lived: how many things people do, and which causes of trouble there are. The
//! whole world unless somebody looks for the shortest story that still goes wrong ([`crate::sim::shrink`]).

use std::collections::BTreeSet;
use std::fmt;

use crate::kinds::kinds;
use crate::world::strike::StrikeAt;

kinds! {
    /// A source of trouble that a world can do without.
    Cause:
    /// Frames that are late, doubled or lost, and dials that fail.
    Weather,
    /// Phones without a signal.
    Offline,
    /// Connections cut by nobody's fault.
    Cut,
    /// Clocks that jump.
    ClockJump,
    /// Phones that die.
    PhoneCrash,
    /// Writes of a phone that fail.
    WriteFails,
    /// Phones whose disk is full for a while.
    FullDisk,
    /// Phones that come back from a backup.
    PhoneRestore,
    /// Phones that are copied.
    PhoneClone,
    /// Phones whose store is cleared.
    Evict,
    /// Second tabs.
    Tabs,
    /// Phones with other software.
    Skew,
    /// Documents of newer software.
    NewerSchema,
    /// Exchanges in one request.
    OneShot,
    /// Sockets that read slowly.
    SlowReader,
    /// Workers that die.
    WorkerDies,
    /// Server crashes.
    ServerCrash,
    /// Groups that the server's disk refuses.
    CommitFails,
    /// Restores of the server's store.
    ServerRestore,
    /// Bytes of nobody's making.
    Hostile,
    /// Devices that are revoked.
    Revoke,
    /// People who are disabled.
    Disable,
    /// Phones that hand over what is unsent when they were switched off, and what becomes of it.
    Handover,
    /// Documents that are erased for good.
    Erase,
    /// Teams, roles and settings that change.
    Office,
}

/// How much of a world is lived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// At most so many things are done by people; all that the seed drew without.
    pub acts_max: Option<u32>,
    /// The causes that are left out.
    pub without: BTreeSet<Cause>,
    /// What is done besides, at one step.
    pub strike: Option<StrikeAt>,
}

impl Shape {
    /// Whether there is trouble of this cause.
    pub fn has(&self, cause: Cause) -> bool {
        !self.without.contains(&cause)
    }
}

/// As arguments of `cargo xtask sim SEED`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(acts) = self.acts_max {
            write!(f, " --acts {acts}")?;
        }
        if !self.without.is_empty() {
            let names: Vec<_> = self.without.iter().map(|cause| format!("{cause:?}")).collect();
            write!(f, " --without {}", names.join(","))?;
        }
        if let Some(strike) = self.strike {
            write!(f, " --strike {strike}")?;
        }
        Ok(())
    }
}
