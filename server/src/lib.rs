//! The server's parts. A module uses only modules above it.

pub mod clock;
pub mod config;
pub mod outcome;
pub mod report;
pub mod store;
pub mod admission;
pub mod hub;
pub mod demo;
pub mod http;
pub mod device;
pub mod command;
