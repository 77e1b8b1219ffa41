//! The server's parts. A module uses only modules above it.

pub mod admission;
pub mod clock;
pub mod command;
pub mod config;
pub mod demo;
pub mod device;
pub mod http;
pub mod hub;
pub mod outcome;
pub mod report;
pub mod store;
