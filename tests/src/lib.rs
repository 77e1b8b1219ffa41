//! What Daybook's promises are tested with: a simulated world of phones, people, a network and a server,
//! a reference model that judges it, and helpers for tests of the real process. A module uses only modules
//! above it.

mod kinds;

pub mod dice;
pub mod chunk;
pub mod disk;
pub mod fault;
pub mod process;
pub mod model;
pub mod invariant;
pub mod witness;
pub mod world;
pub mod load;
pub mod fuzzing;
pub mod sim;
#[cfg(feature = "planted")]
pub mod planted;
