//! Measures Daybook's promises against a real server process over loopback, and its peers beside it. What is
//! measured and how: `docs/benchmarks.md`.

mod account;
mod documents;
mod figures;
mod load;
mod peers;
mod phone;
mod server;
mod workload;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use crate::figures::Figures;

/// Every workload, in the order of the table.
const WORKLOADS: [&str; 13] = [
    "reconnect_2000",
    "reconnect_2000_idle",
    "reconnect_500",
    "reconnect_5000",
    "reconnect_20000",
    "restart",
    "first_sync_5000",
    "commit_50",
    "return_100",
    "fanout_1000",
    "rest_200k",
    "preparser_64k",
    "pwa",
];

#[derive(Parser)]
#[command(name = "daybook-bench", about = "Measures Daybook and its peers; see docs/benchmarks.md")]
struct Arguments {
    /// Workloads; all without any
    workloads: Vec<String>,
    /// Every workload, and the peers
    #[arg(long)]
    all: bool,
    /// Run the peers too, on the workloads which they have
    #[arg(long)]
    peers: bool,
    /// Run only these peers, and not Daybook
    #[arg(long, value_name = "PEER")]
    only_peer: Vec<String>,
    /// The server's binary; without it a release build is made first
    #[arg(long)]
    server: Option<PathBuf>,
    /// Append the figures to bench/history.jsonl
    #[arg(long)]
    record: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the repository")?.to_owned();
    for name in &arguments.workloads {
        ensure!(
            WORKLOADS.contains(&name.as_str()) || load::LOADS.contains(&name.as_str()),
            "no workload {name}; there are: {}, and by name alone: {}",
            WORKLOADS.join(", "),
            load::LOADS.join(", ")
        );
    }
    for peer in &arguments.only_peer {
        ensure!(
            peers::PEERS.contains(&peer.as_str()),
            "no peer {peer}; there are: {}",
            peers::PEERS.join(", ")
        );
    }
    let mut figures = Figures::default();
    if arguments.only_peer.is_empty() {
        let binary = match &arguments.server {
            Some(binary) => binary.clone(),
            None => build_server(&root)?,
        };
        for name in WORKLOADS.into_iter().chain(load::LOADS) {
            let is_for_all = WORKLOADS.contains(&name) && arguments.workloads.is_empty();
            if is_for_all || arguments.workloads.iter().any(|wanted| wanted == name) {
                eprintln!("-- {name}");
                if let Err(error) = measure(&root, &binary, name, &mut figures).await {
                    figures.add_failure(name, format!("{error:#}"));
                }
            }
        }
    }
    let with_peers = arguments.all || arguments.peers;
    for peer in peers::PEERS {
        if with_peers || arguments.only_peer.iter().any(|wanted| wanted == peer) {
            eprintln!("-- {peer}");
            if let Err(error) = peers::run(&root, peer, &arguments.workloads, &mut figures).await {
                eprintln!("{peer}: {error:#}");
            }
        }
    }
    println!("{}", figures.table());
    if arguments.record {
        let commit = first_line("git", &["rev-parse", "--short", "HEAD"], &root)?;
        let date = first_line("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"], &root)?;
        figures.append_history(&root.join("bench/history.jsonl"), &commit, &date)?;
    }
    Ok(if figures.all_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(root: &Path, binary: &Path, name: &str, figures: &mut Figures) -> Result<()> {
    match name {
        "reconnect_500" => workload::reconnect::changed(binary, figures, name, 500).await,
        "reconnect_2000" => workload::reconnect::changed(binary, figures, name, 2000).await,
        "reconnect_2000_idle" => workload::reconnect::idle(binary, figures, name, 2000).await,
        "reconnect_5000" => workload::reconnect::changed(binary, figures, name, 5000).await,
        "reconnect_20000" => workload::reconnect::changed(binary, figures, name, 20_000).await,
        "restart" => workload::reconnect::restart(binary, figures).await,
        "first_sync_5000" => workload::first_sync::run(binary, figures).await,
        "commit_50" => workload::writing::commit_50(binary, figures).await,
        "return_100" => workload::writing::return_100(binary, figures).await,
        "fanout_1000" => workload::fanout::run(binary, figures).await,
        "rest_200k" => workload::rest::run(binary, figures).await,
        "preparser_64k" => workload::preparser::run(figures),
        "pwa" => workload::pwa::run(root, binary, figures).await,
        load => load::run(binary, load, figures).await,
    }
}

/// Builds the server as it is shipped.
fn build_server(root: &Path) -> Result<PathBuf> {
    let status = Command::new("cargo")
        .args(["build", "--release", "-p", "server", "--bin", "daybook"])
        .current_dir(root)
        .status()?;
    ensure!(status.success(), "the server does not build");
    let beside = std::env::current_exe()?.with_file_name("daybook");
    Ok(if beside.exists() { beside } else { root.join("target/release/daybook") })
}

fn first_line(program: &str, arguments: &[&str], root: &Path) -> Result<String> {
    let output = Command::new(program).args(arguments).current_dir(root).output()?;
    Ok(String::from_utf8(output.stdout)?.lines().next().context("an answer")?.to_owned())
}
