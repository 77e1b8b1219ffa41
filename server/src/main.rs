//! The `daybook` binary: parses the command line, everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use server::command::{self, arguments::Arguments};

fn main() -> ExitCode {
    command::main(Arguments::parse())
}
