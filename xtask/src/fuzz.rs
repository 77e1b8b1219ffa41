//! Builds the fuzz targets and runs them. What they find is kept in `fuzz/corpus`; what is worth keeping for ever is
//! moved to `tests/corpus` by hand.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::process::{Step, cargo};

/// What every target is run with. Inputs as long as the longest change and some room: by itself libFuzzer stops at the
/// longest that it was given. Longer for one input than a worker of admission may take, because the machine may be
/// busy. Twice a worker's memory.
const OPTIONS: [&str; 4] = ["-max_len=66000", "-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1"];

/// Builds one target or `all` and runs them, two at a time if each has its end.
///
/// # Errors
/// If something was found.
pub fn run(target: &str, seconds: Option<u64>, rest: &[String]) -> Result<()> {
    let targets = if target == "all" { all()? } else { vec![target.to_owned()] };
    // cargo-fuzz's one codegen unit would use one core. `-O`: assertions where the manifest says.
    let build = ["build", "-O", "-s", "none", "--codegen-units", "16"];
    let alone = targets.first().filter(|_| targets.len() == 1);
    cargo(["fuzz"]).args(build).args(alone).env("RUSTC_BOOTSTRAP", "1").go()?;
    let limit = seconds.map(|seconds| format!("-max_total_time={seconds}"));
    // Two at once would tell their progress in each other's lines.
    let quiet = (targets.len() > 1).then(|| "-verbosity=0".to_owned());
    let options: Vec<String> = limit.into_iter().chain(quiet).chain(rest.iter().cloned()).collect();
    for targets in targets.chunks(if seconds.is_some() { 2 } else { 1 }) {
        std::thread::scope(|scope| {
            let options = &options;
            let runs: Vec<_> =
                targets.iter().map(|target| scope.spawn(move || one(target, options))).collect();
            runs.into_iter().try_for_each(|run| run.join().expect("a fuzz target's thread does not panic"))
        })?;
    }
    Ok(())
}

fn all() -> Result<Vec<String>> {
    let files = fs::read_dir("fuzz/fuzz_targets")?.collect::<std::io::Result<Vec<_>>>()?;
    let name = |file: &fs::DirEntry| Some(file.path().file_stem()?.to_str()?.to_owned());
    let mut targets: Vec<String> = files.iter().filter_map(name).collect();
    targets.sort();
    Ok(targets)
}

fn one(target: &str, options: &[String]) -> Result<()> {
    let (found, crashes) = (format!("fuzz/corpus/{target}"), format!("fuzz/artifacts/{target}/"));
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&crashes)?;
    // Below it a folder for the platform.
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "fuzz/target".into(), PathBuf::from);
    let platforms = fs::read_dir(&folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut programs = platforms.iter().map(|platform| platform.path().join("release").join(target));
    let program = programs.find(|program| program.is_file()).context("cargo fuzz built nothing")?;
    let folders = [found, format!("tests/corpus/{target}"), format!("-artifact_prefix={crashes}")];
    let began = Instant::now();
    let (mut inputs, mut mib) = (None, None);
    let run = Step::new(program).args(folders).args(OPTIONS).args(options).go_and_tell(|line| {
        let Some((name, figure)) = line.strip_prefix("stat::").and_then(|line| line.split_once(':')) else {
            return eprintln!("{line}");
        };
        match name {
            "number_of_executed_units" => inputs = figure.trim().parse::<u64>().ok(),
            "peak_rss_mb" => mib = figure.trim().parse::<u64>().ok(),
            _ => {}
        }
    });
    if let (Some(inputs), Some(mib)) = (inputs, mib) {
        println!("{target}: {inputs} inputs in {} s, at most {mib} MiB", began.elapsed().as_secs());
    }
    run
}
