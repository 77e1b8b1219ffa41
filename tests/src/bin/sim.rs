//! `sim SEED` tells one world, or the part of it that `--acts N` and `--without CAUSE,CAUSE` leave, with a
//! `--strike COMMAND@STEP` besides; `sim --sweep SEED` lives it with each of these at each of its steps;
//! `sim --from SEED --count N` lives many; `sim --planted` proves that the oracle catches planted bugs;
//! `sim --tape FROM COUNT` prints what went into the phones of that many worlds and came out, a tape a phone's run;
//! `sim --survey FROM COUNT` names every seed that fails; without arguments it goes on from a fresh seed until something
//! is found or it is stopped.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::process::ExitCode;

use daybook_tests::sim;
use daybook_tests::world::shape::{Cause, Shape};
use daybook_tests::world::strike::{Strike, StrikeAt};

/// Seeds between two lines of progress.
const PORTION: u64 = 500;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match parse(&arguments) {
        Some(Task::Tell(seed, shape)) => tell(seed, &shape),
        Some(Task::Many { from, count }) => many(from, count),
        Some(Task::Survey { from, count }) => survey(from, count),
        Some(Task::Tape { from, count }) => tape(from, count),
        Some(Task::Sweep(seed)) => sweep(seed),
        Some(Task::Planted { names }) => planted(&names),
        None => {
            eprintln!(
                "usage: sim [SEED [--acts N] [--without CAUSE,CAUSE] [--strike COMMAND@STEP] | --sweep SEED | --from SEED [--count N] | --survey FROM COUNT | --tape FROM COUNT | --planted [BUG…]]"
            );
            eprintln!("causes: {:?}; commands: {:?}", Cause::ALL, Strike::ALL);
            ExitCode::FAILURE
        }
    }
}

enum Task {
    Tell(u64, Shape),
    Many { from: u64, count: Option<u64> },
    Survey { from: u64, count: u64 },
    Tape { from: u64, count: u64 },
    Sweep(u64),
    Planted { names: Vec<String> },
}

fn parse(arguments: &[String]) -> Option<Task> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => Some(Task::Many { from: fresh_seed(), count: None }),
        ["--planted", names @ ..] => {
            Some(Task::Planted { names: names.iter().map(|name| (*name).to_owned()).collect() })
        }
        ["--from", from] => Some(Task::Many { from: from.parse().ok()?, count: None }),
        ["--from", from, "--count", count] => {
            Some(Task::Many { from: from.parse().ok()?, count: Some(count.parse().ok()?) })
        }
        ["--sweep", seed] => Some(Task::Sweep(seed.parse().ok()?)),
        ["--tape", from, count] => Some(Task::Tape { from: from.parse().ok()?, count: count.parse().ok()? }),
        ["--survey", from, count] => {
            Some(Task::Survey { from: from.parse().ok()?, count: count.parse().ok()? })
        }
        ["--count", count] => Some(Task::Many { from: 0, count: Some(count.parse().ok()?) }),
        [seed, part @ ..] => Some(Task::Tell(seed.parse().ok()?, parse_shape(part)?)),
    }
}

/// A seed that nobody has lived yet, short enough to be typed.
fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000_000_000
}

fn parse_shape(arguments: &[&str]) -> Option<Shape> {
    let mut shape = Shape::default();
    for pair in arguments.chunks(2) {
        match pair {
            ["--acts", acts] => shape.acts_max = Some(acts.parse().ok()?),
            ["--without", causes] => {
                shape.without = causes.split(',').map(Cause::named).collect::<Option<_>>()?;
            }
            ["--strike", strike] => shape.strike = Some(StrikeAt::read(strike)?),
            _ => return None,
        }
    }
    Some(shape)
}

fn tell(seed: u64, shape: &Shape) -> ExitCode {
    println!("seed {seed}{shape}");
    match sim::tell(seed, shape) {
        Ok((report, story)) => {
            story.iter().for_each(|line| println!("{line}"));
            println!("{report}seed {seed}: nothing wrong");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.story.iter().for_each(|line| println!("{line}"));
            println!("\n{}\nseed {seed}", failure.violation);
            let shortest = sim::shortest(seed, shape.strike, &failure.violation);
            if shortest != *shape {
                println!("the shortest story that fails alike: cargo xtask sim {seed}{shortest}");
            }
            ExitCode::FAILURE
        }
    }
}

fn sweep(seed: u64) -> ExitCode {
    println!("seed {seed}");
    match sim::sweep(seed, 1) {
        Ok(sim::Sweep { steps, outputs, worlds, struck }) => {
            println!(
                "{steps} steps, {outputs} outputs of the server, {worlds} worlds, in {struck} of them something was done; nothing wrong"
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn tape(from: u64, count: u64) -> ExitCode {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for seed in from..from + count {
        let tapes = match sim::tape(seed) {
            Ok(tapes) => tapes,
            Err(violation) => {
                eprintln!("seed {seed}: {violation}");
                return ExitCode::FAILURE;
            }
        };
        for line in tapes.iter().flatten() {
            if writeln!(out, "{line}").is_err() {
                return ExitCode::FAILURE;
            }
        }
    }
    if out.flush().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Names every seed that fails instead of stopping at the first.
fn survey(from: u64, count: u64) -> ExitCode {
    println!("seeds {from}..{}", from + count);
    let found = sim::survey(from, count);
    found.iter().for_each(|(seed, violation)| println!("seed {seed}: {violation}"));
    println!("{} of {count} worlds fail", found.len());
    if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(from: u64, count: Option<u64>) -> ExitCode {
    let start = std::time::Instant::now();
    let mut done = 0;
    while count.is_none_or(|count| done < count) {
        let portion = count.map_or(PORTION, |count| PORTION.min(count - done));
        println!("seeds {}..{}", from + done, from + done + portion);
        match sim::run_many(from + done, portion) {
            Ok(report) => print!("{report}"),
            Err(failure) => {
                println!("{failure}");
                return ExitCode::FAILURE;
            }
        }
        done += portion;
        println!("{done} worlds in {:.1} s", start.elapsed().as_secs_f64());
    }
    ExitCode::SUCCESS
}

#[cfg(feature = "planted")]
fn planted(names: &[String]) -> ExitCode {
    use daybook_tests::planted::Caught;
    let start = std::time::Instant::now();
    // Planted bugs make machines panic; the oracle counts that, and nobody needs to read it.
    std::panic::set_hook(Box::new(|_| {}));
    let outcomes =
        daybook_tests::planted::try_all(|bug| names.is_empty() || names.contains(&format!("{bug:?}")));
    println!("\n| invariant | planted bug | name | caught by seed |\n|---|---|---|---|");
    outcomes.iter().for_each(|outcome| println!("{outcome}"));
    for outcome in &outcomes {
        if let Some(Caught { seed, shape, violation }) = &outcome.caught {
            println!("{:?}, seed {seed}{shape}: {violation}", outcome.bug);
        }
        for (seed, violation) in &outcome.otherwise {
            println!("{:?}, seed {seed} before that: {violation}", outcome.bug);
        }
    }
    let missed = outcomes.iter().filter(|outcome| outcome.caught.is_none()).count();
    let otherwise = outcomes.iter().filter(|outcome| !outcome.otherwise.is_empty()).count();
    println!(
        "{} bugs, {missed} not caught, {otherwise} caught by another invariant first, {:.1} s",
        outcomes.len(),
        start.elapsed().as_secs_f64()
    );
    if missed + otherwise == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(not(feature = "planted"))]
fn planted(_names: &[String]) -> ExitCode {
    eprintln!("planted bugs are in builds with the feature `planted` alone: cargo xtask sim --planted");
    ExitCode::FAILURE
}
