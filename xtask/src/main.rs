//! Tasks of this repository. `cargo xtask --help` lists them; CONTRIBUTING.md says when to use which.

mod fuzz;
mod pack;
mod process;
mod pwa;
mod tidy;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::process::{Step, cargo};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Daybook's tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything, fill a demo organisation and serve it on http://127.0.0.1:8400
    Run {
        /// The address to listen on
        #[arg(long, default_value = "127.0.0.1:8400")]
        listen: String,
        /// The folder of the demo data; made anew if missing
        #[arg(long, default_value = "demo-data")]
        data: PathBuf,
        /// An unoptimised build: starts sooner, answers slower
        #[arg(long)]
        debug: bool,
    },
    /// Everything that must hold before a commit: format, lints, tidy, tests, simulation, browser
    Test {
        /// Leave out the browser tests
        #[arg(long)]
        no_browser: bool,
    },
    /// Run the simulator: one seed with its trace, or new seeds until stopped
    Sim {
        /// The seed to replay; without it the simulator runs until stopped
        seed: Option<u64>,
        /// Live only so many acts of people of that seed
        #[arg(long, requires = "seed")]
        acts: Option<u32>,
        /// Leave causes of trouble out of that seed, as a failure names them
        #[arg(long, requires = "seed", value_name = "CAUSE,CAUSE")]
        without: Option<String>,
        /// Do something besides at one step of that seed, as a failure names it
        #[arg(long, requires = "seed", value_name = "COMMAND@STEP")]
        strike: Option<String>,
        /// Do everything that the office does at every step of that seed in turn
        #[arg(long, requires = "seed", conflicts_with_all = ["acts", "without", "strike"])]
        sweep: bool,
        /// Plant every bug in turn instead, and fail unless each is caught
        #[arg(long, conflicts_with = "seed")]
        planted: bool,
    },
    /// Fuzz one target until stopped, or each for so many seconds (needs `cargo install cargo-fuzz`)
    Fuzz {
        /// A target of fuzz/fuzz_targets, or `all`
        target: String,
        /// How long each target runs
        #[arg(long)]
        seconds: Option<u64>,
        /// What else the fuzzer is told, such as `-- -max_total_time=60`
        #[arg(last = true)]
        rest: Vec<String>,
    },
    /// Measure the workloads of docs/benchmarks.md against a real server, and the peers
    Bench {
        /// Workloads; all without any
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Build the phone's core and the PWA into pwa/dist
    Pwa {
        /// An unoptimised core: builds in seconds
        #[arg(long)]
        debug: bool,
    },
    /// Write the files that are made from the domain: TypeScript's types, the table of readings
    Generate,
    /// Check the repository's own rules
    Tidy,
}

fn main() -> ExitCode {
    match perform() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform() -> Result<()> {
    let root = process::repository_root();
    std::env::set_current_dir(&root)?;
    match Arguments::parse().task {
        Task::Run { listen, data, debug } => run(&listen, &data, debug),
        Task::Test { no_browser } => test(no_browser),
        Task::Sim { planted: true, .. } => {
            let sim = ["run", "--release", "-p", "daybook-tests", "--features", "planted", "--bin", "sim"];
            cargo(sim).args(["--", "--planted"]).go()
        }
        Task::Sim { seed, acts, without, strike, sweep, .. } => {
            let sweep = sweep.then_some("--sweep");
            let seed = seed.map(|seed| seed.to_string());
            let acts = acts.map(|acts| ["--acts".to_owned(), acts.to_string()]);
            let without = without.map(|causes| ["--without".to_owned(), causes]);
            let strike = strike.map(|strike| ["--strike".to_owned(), strike]);
            let part = acts.into_iter().chain(without).chain(strike).flatten();
            let sim = ["run", "--release", "-p", "daybook-tests", "--bin", "sim", "--"];
            cargo(sim).args(sweep).args(seed).args(part).go()
        }
        Task::Fuzz { target, seconds, rest } => {
            tools::require("cargo-fuzz", "cargo install cargo-fuzz")?;
            fuzz::run(&target, seconds, &rest)
        }
        Task::Bench { rest } => {
            tools::require_make()?;
            pwa::build(pwa::Profile::Small)?;
            let built = ["--workspace", "--bin", "daybook", "--bin", "daybook-bench"];
            cargo(["build", "--release"]).args(built).go()?;
            let folder = process::target_folder().join("release");
            let server = folder.join("daybook");
            Step::new(folder.join("daybook-bench")).args(["--server"]).args([server]).args(rest).go()
        }
        Task::Pwa { debug } => {
            pwa::build(pwa::Profile::from_debug_flag(debug))?;
            pwa::check()
        }
        Task::Generate => {
            cargo(["test", "-p", "shared", "--lib", "generated::"]).env("DAYBOOK_GENERATE", "1").go()
        }
        Task::Tidy => tidy::check(&root),
    }
}

fn run(listen: &str, data: &Path, debug: bool) -> Result<()> {
    tools::require_make()?;
    pwa::build(pwa::Profile::from_debug_flag(debug))?;
    let profile = if debug { "dev" } else { "demo" };
    cargo(["build", "-p", "server", "--bin", "daybook", "--profile", profile]).go()?;
    let folder = process::target_folder().join(if debug { "debug" } else { "demo" });
    let daybook = folder.join("daybook");
    if data.exists() {
        println!("{}", std::fs::read_to_string(data.join("logins.txt")).unwrap_or_default());
    } else {
        Step::new(&daybook).args(["demo", "--data"]).args([data]).go()?;
    }
    Step::new(&daybook).args(["serve", "--listen", listen, "--data"]).args([data]).go()
}

fn test(no_browser: bool) -> Result<()> {
    tools::require_make()?;
    tidy::check(&process::repository_root())?;
    cargo(["fmt", "--all", "--check"]).go()?;
    pwa::build(pwa::Profile::Small)?;
    pwa::check()?;
    cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).go()?;
    // Together with the tests, whose dependencies have other features than those of programs alone: nothing is
    // compiled twice.
    cargo(["build", "--workspace", "--tests", "--bin", "daybook", "--bin", "sim"]).go()?;
    let daybook = std::path::absolute(process::target_folder().join("debug/daybook"))?;
    if !no_browser {
        tools::require_browsers()?;
        Step::new("npm").args(["ci", "--no-audit", "--no-fund"]).inside("tests/browser").go()?;
        Step::new("npm").args(["test"]).inside("tests/browser").go()?;
    }
    if tools::has("cargo-nextest") {
        cargo(["nextest", "run", "--workspace"]).env("DAYBOOK_BINARY", daybook).go()
    } else {
        cargo(["test", "--workspace"]).env("DAYBOOK_BINARY", daybook).go()
    }
}
