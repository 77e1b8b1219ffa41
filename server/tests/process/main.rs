//! The real binary, spawned: the contract for scripts, authentication, sockets and their limits, and phones
//! that meet over a server. Rules SEC-n and CLI-n of `docs/spec.md`.

mod support;
mod caller;
mod commands;
mod erase;
mod full;
mod phones;
mod login;
mod requests;
mod revoked;
mod sockets;
mod tap;
