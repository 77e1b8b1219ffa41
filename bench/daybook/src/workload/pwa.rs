//! `pwa`: what a browser must fetch, and how soon a phone without network shows its first screen. The browser
//! is driven by `bench/pwa/offline-start.mjs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::process::Command;

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
        let chosen = files.iter().filter(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)));
        let mut sum = (0, 0);
        for path in chosen {
            let twin = PathBuf::from(format!("{}.br", path.display()));
            let size = fs::metadata(&twin).with_context(|| format!("{} has no .br twin", path.display()))?.len();
            sum = (sum.0 + size, sum.1 + 1);
        }
        Ok(sum)
    };
    let (wasm, wasm_files) = brotli(&[".wasm"])?;
    let (script, _) = brotli(&[".js", ".css"])?;
    ensure!(wasm_files > 0, "no wasm in pwa/dist: run `cargo xtask pwa`");
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
        let status = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).status().await?;
        ensure!(status.success(), "npm ci in bench/pwa");
    }
    let mut seeded = Seeded::new(binary, DOCUMENTS).await?;
    seeded.writer.hang_up().await;
    let output = Command::new("node")
        .arg("offline-start.mjs")
        .arg(format!("http://{}", seeded.server.address))
        .args([REP, PASSWORD, &DOCUMENTS.to_string()])
        .current_dir(&folder)
        .stderr(Stdio::inherit())
        .output()
        .await?;
    if !output.status.success() {
        bail!("the browser could not be driven");
    }
    let answer: Value = serde_json::from_slice(&output.stdout).context("one JSON value from the browser's driver")?;
    let times: Vec<f64> = answer["starts_ms"].as_array().context("starts")?.iter().filter_map(Value::as_f64).collect();
    ensure!(!times.is_empty(), "no start was measured");
    figures.add("pwa", "offline_start_ms", percentile(&times, 0.5));
    figures.add("pwa", "offline_start_worst_ms", percentile(&times, 1.0));
    if let Some(first_paint) = answer["first_sync_ms"].as_f64() {
        figures.add("pwa", "first_sync_in_browser_ms", first_paint);
    }
    Ok(())
}
