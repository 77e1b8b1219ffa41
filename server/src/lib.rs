//! The server's parts. A module uses only modules above it.

pub mod report;
pub mod store;
pub mod admission;
pub mod hub;
