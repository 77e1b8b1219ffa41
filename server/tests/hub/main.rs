//! The hub with fake phones, frame by frame. Rules are cited by their numbers in docs/spec.md.

mod driver;
mod erasing;
mod feed;
mod identity;
mod late;
mod ledger;
mod limits;
mod permission;
mod quarantine;
mod store;
mod workers;
mod world;
