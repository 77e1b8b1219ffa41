//! The worker's side: a process that can do nothing but judge. It reads batches of jobs from its standard
//! input and writes one batch of answers, in order, to its standard output. Frames are a length (four bytes,
//! little-endian) and CBOR.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use rlimit::{Resource, setrlimit};
use shared::cbor::{Decode, Encode};
use shared::limits::ADMISSION_MEMORY_BYTES_MAX;
use shared::refusal::Refusal;

use super::{Admitted, Job, Judge, Verdict};

/// The hidden subcommand that makes the binary a worker.
pub const WORKER_COMMAND: &str = "admission-worker";

/// Written before the first answer; what stands before it on the stream is noise of the process's start.
pub(super) const READY: &[u8; 8] = b"ADMIT/1\n";

/// Bytes of one frame between parent and worker: a batch of documents at their limit.
pub(super) const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes that are set aside for a frame on the word of its length alone; a longer one grows as it comes.
const FRAME_BYTES_TRUSTED: usize = 256 * 1024;

/// Descriptors that a worker may have: its three streams and a few that the runtime opens at its start.
const DESCRIPTORS_MAX: u64 = 16;

/// Seconds of processor time after which a worker ends and is replaced: fifty million changes.
const CPU_SECONDS_MAX: u64 = 10_000;

/// A job's answer as it travels.
#[derive(Debug, Encode, Decode)]
pub(super) enum Answer {
    /// See [`Verdict`].
    #[n(0)]
    Admitted(#[n(0)] u64, #[n(1)] Box<Admitted>),
    /// See [`Verdict`].
    #[n(1)]
    Refused(#[n(0)] u64, #[n(1)] Refusal),
}

impl Answer {
    fn of(id: u64, verdict: Verdict) -> Self {
        match verdict {
            Ok(admitted) => Answer::Admitted(id, Box::new(admitted)),
            Err(refusal) => Answer::Refused(id, refusal),
        }
    }

    pub(super) fn into_parts(self) -> (u64, Verdict) {
        match self {
            Answer::Admitted(id, admitted) => (id, Ok(*admitted)),
            Answer::Refused(id, refusal) => (id, Err(refusal)),
        }
    }
}

/// The whole life of a worker process: gives up what it does not need, then judges until its input ends.
pub fn worker_main() -> ExitCode {
    let limits = [
        (Resource::AS, ADMISSION_MEMORY_BYTES_MAX),
        (Resource::CPU, CPU_SECONDS_MAX),
        (Resource::FSIZE, 0),
        (Resource::NOFILE, DESCRIPTORS_MAX),
        (Resource::CORE, 0),
    ];
    for (resource, limit) in limits {
        if setrlimit(resource, limit, limit).is_err() {
            // Without its limits a worker is no protection.
            return ExitCode::from(2);
        }
    }
    // The descriptors themselves: what `io::stdout` gives looks for lines and writes up to the last of them.
    let (input, output) =
        (io::stdin().as_fd().try_clone_to_owned(), io::stdout().as_fd().try_clone_to_owned());
    let (Ok(input), Ok(output)) = (input, output) else { return ExitCode::from(2) };
    let mut judge = Judge::default();
    match serve(File::from(input), File::from(output), |job| judge.judge(job)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Answers batches until the input ends.
///
/// # Errors
/// When a stream breaks or holds no frame.
pub fn serve(
    input: impl Read,
    mut output: impl Write,
    mut judge: impl FnMut(&Job) -> Verdict,
) -> io::Result<()> {
    let mut input = BufReader::new(input);
    output.write_all(READY)?;
    output.flush()?;
    while let Some(frame) = read_frame(&mut input)? {
        let jobs: Vec<Job> = minicbor::decode(&frame).map_err(io::Error::other)?;
        let answers: Vec<Answer> = jobs.iter().map(|job| Answer::of(job.id, judge(job))).collect();
        write_frame(&mut output, &answers)?;
        output.flush()?;
    }
    Ok(())
}

/// Reads one frame; none at the end of the stream.
pub(super) fn read_frame(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other("frame too long"));
    }
    let mut frame = Vec::with_capacity(length.min(FRAME_BYTES_TRUSTED));
    input.take(length as u64).read_to_end(&mut frame)?;
    if frame.len() == length { Ok(Some(frame)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Writes one frame with one call.
pub(super) fn write_frame<T: Encode<()>>(output: &mut impl Write, value: &T) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    minicbor::encode(value, &mut bytes).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    output.write_all(&bytes)
}
