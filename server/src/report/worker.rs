//! Reads workbooks in a child process of the same binary that can do nothing else and may use only so much
//! memory and time. If it dies, that is a named error; there is no second way to read the file.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rlimit::{Resource, setrlimit};

use super::followups::{Sheet, parse_with};
use super::grid::{FILE_BYTES_MAX, Grid, SheetError};
use super::workbook;

/// The hidden subcommand that makes the binary a reader of sheets.
pub const WORKER_COMMAND: &str = "sheet-worker";

/// Memory of the reader: the inflated parts, the library's texts and our cells, and as much again.
const MEMORY_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Seconds of processor time; the largest sheet within the limits takes three in a debug build.
const CPU_SECONDS_MAX: u64 = 30;
/// Descriptors: the three streams and a few that the runtime opens at its start.
const DESCRIPTORS_MAX: u64 = 16;
/// Bytes of the reader's answer: the text of a sheet at its limit, escaped, with the places of its cells.
const ANSWER_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Reads a follow-up sheet; a workbook in a child process of the running binary.
///
/// # Errors
/// Every [`SheetError`].
pub fn parse(bytes: &[u8], file_name: &str) -> Result<Sheet, SheetError> {
    let program = std::env::current_exe().map_err(|_| SheetError::ReaderNotStarted)?;
    parse_by(&program, bytes, file_name)
}

/// Reads a follow-up sheet; a workbook in a child process of this program.
///
/// # Errors
/// Every [`SheetError`].
pub fn parse_by(program: &Path, bytes: &[u8], file_name: &str) -> Result<Sheet, SheetError> {
    parse_with(bytes, file_name, |bytes| read_in_child(program, bytes))
}

fn read_in_child(program: &Path, bytes: &[u8]) -> Result<Vec<Grid>, SheetError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(SheetError::FileTooLarge);
    }
    let mut child = Command::new(program)
        .arg(WORKER_COMMAND)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A panic's message may hold what somebody wrote.
        .stderr(Stdio::null())
        .spawn()
        .map_err(|_| SheetError::ReaderNotStarted)?;
    // The child answers only after it has read everything, so neither side waits for the other's pipe.
    let written = child.stdin.take().map(|mut input| input.write_all(bytes));
    let mut answer = Vec::new();
    let read = child.stdout.take().map(|output| output.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut answer));
    // A child that answers without end is ended; one that is through has ended by itself.
    if answer.len() as u64 > ANSWER_BYTES_MAX {
        let _ = child.kill();
    }
    let ended_well = child.wait().is_ok_and(|status| status.success());
    if !ended_well || !matches!(written, Some(Ok(()))) || !matches!(read, Some(Ok(_))) {
        return Err(SheetError::ReaderEnded);
    }
    serde_json::from_slice::<Result<Vec<Grid>, SheetError>>(&answer).map_err(|_| SheetError::ReaderEnded)?
}

/// The whole life of the child: gives up what it does not need, reads one workbook from its standard input
/// and writes its cells, or why not, to its standard output.
pub fn worker_main() -> ExitCode {
    let limits = [
        (Resource::AS, MEMORY_BYTES_MAX),
        (Resource::CPU, CPU_SECONDS_MAX),
        (Resource::FSIZE, 0),
        (Resource::NOFILE, DESCRIPTORS_MAX),
        (Resource::CORE, 0),
    ];
    for (resource, limit) in limits {
        if setrlimit(resource, limit, limit).is_err() {
            // Without its limits the child is no protection.
            return ExitCode::from(2);
        }
    }
    match answer(io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut bytes = Vec::new();
    input.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    let grids = workbook::read(&bytes);
    serde_json::to_writer(io::BufWriter::new(&mut output), &grids).map_err(io::Error::other)?;
    output.flush()
}
