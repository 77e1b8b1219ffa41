//! `sim SEED` tells one world; `sim --from SEED --count N` lives many; without arguments it goes on until
//! something is found or it is stopped.

use std::process::ExitCode;

use daybook_tests::sim;

/// Seeds between two lines of progress.
const PORTION: u64 = 500;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match parse(&arguments) {
        Some(Task::Tell(seed)) => tell(seed),
        Some(Task::Many { from, count }) => many(from, count),
        None => {
            eprintln!("usage: sim [SEED | --from SEED [--count N]]");
            ExitCode::FAILURE
        }
    }
}

enum Task {
    Tell(u64),
    Many { from: u64, count: Option<u64> },
}

fn parse(arguments: &[String]) -> Option<Task> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => Some(Task::Many { from: 0, count: None }),
        [seed] => Some(Task::Tell(seed.parse().ok()?)),
        ["--from", from] => Some(Task::Many { from: from.parse().ok()?, count: None }),
        ["--from", from, "--count", count] => {
            Some(Task::Many { from: from.parse().ok()?, count: Some(count.parse().ok()?) })
        }
        ["--count", count] => Some(Task::Many { from: 0, count: Some(count.parse().ok()?) }),
        _ => None,
    }
}

fn tell(seed: u64) -> ExitCode {
    println!("seed {seed}");
    match sim::tell(seed) {
        Ok((report, story)) => {
            story.iter().for_each(|line| println!("{line}"));
            println!("{report}seed {seed}: nothing wrong");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.story.iter().for_each(|line| println!("{line}"));
            println!("\n{}\nseed {seed}", failure.violation);
            ExitCode::FAILURE
        }
    }
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
