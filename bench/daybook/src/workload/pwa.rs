//! `pwa`: what a browser must fetch, and how soon a phone without network shows its first screen. The browser
//! is driven by `bench/pwa/offline-start.mjs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use super::{REP, Seeded};
use crate::figures::{Figures, percentile};
use crate::server::PASSWORD;

const DOCUMENTS: usize = 2000;

/// Measures the built files in `pwa/dist`, then the start in Chromium.
///
/// # Errors
/// If the PWA is not built, or the browser cannot be driven.
pub async fn run(root: &Path, binary: &Path, figures: &mut Figures) -> Result<()> {
    sizes(&root.join("pwa/dist"), figures)?;
    offline_start(root, binary, figures).await
}

fn sizes(dist: &Path, figures: &mut Figures) -> Result<()> {
    let mut files = Vec::new();
    collect(dist, &mut files)?;
    let brotli = |endings: &[&str]| -> Result<(u64, usize)> {
        let chosen =
            files.iter().filter(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)));
        let mut sum = (0, 0);
        for path in chosen {
            // A file that does not shrink has no twin and travels as it is.
            let twin = PathBuf::from(format!("{}.br", path.display()));
            let size = fs::metadata(&twin).or_else(|_| fs::metadata(path))?.len();
            sum = (sum.0 + size, sum.1 + 1);
        }
        Ok(sum)
    };
    let (wasm, wasm_files) = brotli(&[".wasm"])?;
    let (script, _) = brotli(&[".js", ".css"])?;
    let has_twins = files.iter().any(|path| path.to_string_lossy().ends_with(".wasm.br"));
    ensure!(wasm_files > 0 && has_twins, "no compressed wasm in pwa/dist: run `cargo xtask pwa`");
    figures.add("pwa", "wasm_brotli_kb", wasm as f64 / 1000.0);
    figures.add("pwa", "js_css_brotli_kb", script as f64 / 1000.0);
    Ok(())
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("{}: run `cargo xtask pwa`", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

async fn offline_start(root: &Path, binary: &Path, figures: &mut Figures) -> Result<()> {
    let folder = root.join("bench/pwa");
    if !folder.join("node_modules").exists() {
        let status =
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).status().await?;
        ensure!(status.success(), "npm ci in bench/pwa");
    }
    let mut seeded = Seeded::new(binary, DOCUMENTS).await?;
    seeded.writer.hang_up().await;
    let mut child = Command::new("node")
        .arg("offline-start.mjs")
        .arg(format!("http://{}", seeded.server.address))
        .args([REP, PASSWORD, &DOCUMENTS.to_string()])
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut answers = BufReader::new(child.stdout.take().context("the output is piped")?).lines();
    let synced = answer(&mut answers).await?;
    let Seeded { server, site, .. } = seeded;
    server.stop().await?;
    let mut input = child.stdin.take().context("the input is piped")?;
    input.write_all(b"the server has stopped\n").await?;
    let measured = answer(&mut answers).await?;
    drop(site);
    let times = |key: &str| -> Result<Vec<f64>> {
        let values = measured[key].as_array().with_context(|| format!("no {key}"))?;
        values.iter().map(|value| value.as_f64().context("a number")).collect()
    };
    let (rows, usable) = (times("first_rows_ms")?, times("usable_ms")?);
    figures.add("pwa", "offline_first_rows_ms", percentile(&rows, 0.5));
    figures.add("pwa", "offline_start_ms", percentile(&usable, 0.5));
    figures.add("pwa", "offline_start_worst_ms", percentile(&usable, 1.0));
    figures.add("pwa", "first_sync_in_browser_ms", synced["synced_ms"].as_f64().context("a number")?);
    Ok(())
}

async fn answer(answers: &mut Lines<BufReader<ChildStdout>>) -> Result<Value> {
    let line = answers.next_line().await?.context("the browser could not be driven")?;
    serde_json::from_str(&line).with_context(|| format!("the browser's driver printed {line}"))
}
