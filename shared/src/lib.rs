//! Daybook's domain. No I/O, no clock, no randomness: compiled natively into the server and to
//! WebAssembly into the phone. A module uses only modules above it.

pub mod admission;
pub mod card;
pub mod client;
pub mod document;
pub mod edit;
pub mod entropy;
pub mod id;
pub mod ledger;
pub mod limits;
pub mod projection;
pub mod protocol;
pub mod refusal;
pub mod search;
pub mod settings;
#[cfg(test)]
mod testing;
pub mod time;
pub mod timeline;
pub mod view;
pub mod wire;
