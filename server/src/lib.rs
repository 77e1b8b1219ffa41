//! server

pub mod report;
