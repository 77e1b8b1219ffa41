//! Daybook's domain. No I/O, no clock, no randomness: compiled natively into the server and to
//! WebAssembly into the phone. A module uses only modules above it.

extern crate self as shared;

pub mod order;
pub mod sorted;
pub mod cbor;
pub mod json;
pub mod planted;
pub mod limits;
pub mod id;
pub mod entropy;
pub mod time;
pub mod refusal;
pub mod wire;
pub mod ledger;
pub mod settings;
pub mod edit;
pub mod document;
pub mod projection;
pub mod search;
pub mod admission;
pub mod protocol;
pub mod view;
pub mod card;
pub mod timeline;
pub mod client;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod generated;
