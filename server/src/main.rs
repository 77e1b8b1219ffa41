//! The `daybook` binary: parses the command line, everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use server::command::{self, arguments::Arguments};

/// Gives memory back that a burst took. The system's own keeps the highest water of every thread, and an hour's chance
/// meetings of pages, pushes and password hashes raised that by 3.6 MiB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    command::main(Arguments::parse())
}
