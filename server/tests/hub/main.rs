//! The hub with fake phones, frame by frame. Rules are cited by their numbers in docs/spec.md.

mod driver;
mod feed;
mod identity;
mod late;
mod ledger;
mod store;
mod workers;
mod world;
