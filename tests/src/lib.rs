//! What Daybook's promises are tested with: a simulated world of phones, people, a network and a server,
//! a reference model that judges it, and helpers for tests of the real process. A module uses only modules
//! above it.

mod kinds;

pub mod chunk;
pub mod dice;
pub mod disk;
pub mod fault;
pub mod fuzzing;
pub mod invariant;
pub mod load;
pub mod model;
pub mod process;
pub mod sim;
pub mod witness;
pub mod world;
#[cfg(feature = "planted")]
pub mod planted;
