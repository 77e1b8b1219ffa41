//! Everything that a simulated world does to its machines, by name and counted. A run over many seeds in
//! which one of these never happened proves nothing about it, so it fails (SIM-14).

use std::fmt;

use crate::kinds::kinds;

kinds! {
    /// One kind of fault.
    Fault:
    /// A frame arrives later than usual by seconds.
    FrameDelayed,
    /// A frame and all after it in that direction vanish, until somebody notices the silence.
    FrameDropped,
    /// A frame arrives twice.
    FrameDoubled,
    /// A frame of an old connection reaches the server after the phone's newer connection did.
    FrameReordered,
    /// A connection ends between two frames, some of which still arrive.
    ConnectionCut,
    /// A connection ends in the middle of a frame, of which the first bytes arrive as if they were all.
    FrameTorn,
    /// A connection ends for one side only.
    ConnectionHalfOpen,
    /// A dial fails though the phone has signal.
    DialFailed,
    /// A phone loses its connection, or cannot dial, because it has no signal.
    PhoneOffline,
    /// A phone dies between two of its outputs.
    PhoneCrashed,
    /// A write that the phone's disk had not confirmed is lost in a crash.
    PhoneWriteLost,
    /// A write that the phone's disk had not confirmed survives a crash.
    PhoneWriteKept,
    /// The phone's disk refuses a write.
    PhoneWriteFailed,
    /// The phone's disk refuses every write for a while (quota).
    PhoneFull,
    /// Another tab of the browser takes the phone over while the former one lives on.
    TabTakenOver,
    /// A phone comes back from an older copy of its own disk.
    PhoneRestored,
    /// A second phone starts from a copy of the first one's disk.
    PhoneCloned,
    /// A copy of a phone's disk is logged in as a device of its own.
    PhoneRegisteredAnew,
    /// Everything on a phone's disk is gone.
    PhoneEvicted,
    /// A phone's wall clock jumps.
    ClockJumped,
    /// A phone starts with a wall clock that is wrong by more than a day.
    ClockWrong,
    /// A phone's software is too old for the server, until it is updated.
    SoftwareTooOld,
    /// A phone's software is newer than the server's.
    SoftwareNewer,
    /// Newer software has written what this version's table does not know.
    NewerSchema,
    /// Frames travel in one HTTP request instead of a socket.
    OneShotExchange,
    /// A socket takes its pages in slowly.
    SlowReader,
    /// An admission worker dies over a job.
    AdmissionWorkerDied,
    /// No admission worker can be started, or the machine gives it no time to work.
    AdmissionWorkerAbsent,
    /// The server dies before a commit.
    ServerCrashedBeforeCommit,
    /// The server dies after a commit, before its answer left.
    ServerCrashedAfterCommit,
    /// The server dies after its hub said what it wants, before it is done.
    ServerCrashedBetweenOutputs,
    /// The server's disk refuses a group.
    ServerWriteFailed,
    /// The server comes back from an older copy of its store (S14).
    ServerRestored,
    /// A customer moves to another rep.
    CustomerTransferred,
    /// A person is disabled.
    PersonDisabled,
    /// A device is revoked.
    DeviceRevoked,
    /// A rep moves to another team.
    TeamChanged,
    /// A person gets another role.
    RoleChanged,
    /// The organisation's settings change.
    SettingsChanged,
    /// A phone that was switched off handed over what was unsent, heard that all of it was taken, and emptied itself (S6).
    WorkHandedOver,
    /// What a phone handed over is on the server's disk, and the phone does not hear of it.
    HandoverUnanswered,
    /// What a phone had handed over was restored from quarantine.
    WorkRestored,
    /// A document is erased for good.
    DocumentErased,
    /// Bytes of nobody's making arrive on a session.
    HostileFrame,
    /// The server refused an edit by a rule.
    EditRefused,
    /// The server held a former owner's edit (S2).
    EditHeld,
}

/// How often each kind happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultCounts(Vec<u64>);

impl Default for FaultCounts {
    fn default() -> Self {
        Self(vec![0; Fault::ALL.len()])
    }
}

impl FaultCounts {
    /// Counts one.
    pub fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How often a kind happened.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &FaultCounts) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// The kinds that never happened.
    pub fn never(&self) -> Vec<Fault> {
        Fault::ALL.iter().copied().filter(|fault| self.of(*fault) == 0).collect()
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Fault::ALL.iter().try_for_each(|fault| writeln!(f, "{:>12}  {fault:?}", self.of(*fault)))
    }
}
