//! The ledger: commands in, events out, one fold. The server alone orders events; phones fold the
//! same events with the same code. Pure: decisions take what they need through [`LedgerRead`].

pub mod code;
pub mod command;
pub mod event;
pub mod fold;
pub mod people;

pub use command::{Command, LedgerRead, decide};
pub use event::{EventKind, LateState, LateWork, LedgerEvent};
pub use fold::{CustomerRecord, CustomerStatus, OwnerPeriod};
pub use people::{Person, Role, Team};
