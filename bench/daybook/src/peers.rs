//! Runs the peers of `bench/peers`, each a program of its own that prints one JSON line a figure.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::figures::{Figure, Figures};

/// The peers by their folders.
pub const PEERS: [&str; 3] = ["automerge-repo", "samod", "pouchdb"];

/// The names that peers give to workloads which are called otherwise for Daybook.
const RENAMED: [(&str, &str); 1] = [("fanout", "fanout_1000")];

/// Builds and runs one peer on the named workloads, or on all.
///
/// # Errors
/// If it cannot be built or started. A workload that it cannot do is a figure without a value.
pub async fn run(root: &Path, peer: &str, workloads: &[String], figures: &mut Figures) -> Result<()> {
    let folder = root.join("bench/peers").join(peer);
    let mut command = if peer == "samod" {
        build("cargo", &["build", "--release", "--quiet"], &folder).await?;
        Command::new(folder.join("target/release/daybook-bench-samod"))
    } else {
        if !folder.join("node_modules").exists() {
            build("npm", &["ci", "--no-audit", "--no-fund"], &folder).await?;
        }
        let mut command = Command::new("node");
        command.arg("run.mjs");
        command
    };
    for workload in workloads {
        let renamed = RENAMED.iter().find(|(_, ours)| ours == workload).map(|(theirs, _)| *theirs);
        command.arg(renamed.unwrap_or(workload));
    }
    let mut child = command
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("the output is piped")?).lines();
    while let Some(line) = lines.next_line().await? {
        let mut figure: Figure =
            serde_json::from_str(&line).with_context(|| format!("{peer} printed {line}"))?;
        if let Some((_, ours)) = RENAMED.iter().find(|(theirs, _)| *theirs == figure.workload) {
            figure.workload = (*ours).to_owned();
        }
        figures.push(figure);
    }
    let status = child.wait().await?;
    if !status.success() {
        bail!("{peer} ended with {status}");
    }
    Ok(())
}

async fn build(program: &str, arguments: &[&str], folder: &Path) -> Result<()> {
    let status =
        Command::new(program).args(arguments).current_dir(folder).stdout(Stdio::null()).status().await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{program} {} in {}: {status}", arguments.join(" "), folder.display()),
        Err(error) => bail!("{program}: {error}"),
    }
}
