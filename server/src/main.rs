//! The `daybook` binary: parses the command line, everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use server::command::{self, arguments::Arguments};

/// Gives memory back that a burst took, whichever thread it met in (decision 11).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    decline_huge_pages();
    command::main(Arguments::parse())
}

/// A page of 2 MiB is resident as a whole though the allocator has given most of it back: Linux makes such pages of what
/// is left, minutes later, and an hour's work gains 40 MiB within one of them (CLI-18). Workers inherit it.
fn decline_huge_pages() {
    // An old kernel that cannot do so goes on as it was.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
