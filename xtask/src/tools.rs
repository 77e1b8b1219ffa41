//! The tools that the tasks need, and one clear sentence with the command that installs a missing one.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

const NODE_MAJOR_MIN: u32 = 20;

/// Whether a program is on the path.
pub fn has(program: &str) -> bool {
    find(program).is_some()
}

fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Requires a program.
///
/// # Errors
/// If it is missing: one sentence with the command that installs it.
pub fn require(program: &str, install: &str) -> Result<()> {
    if has(program) {
        return Ok(());
    }
    bail!("{program} is missing; install it with: {install}")
}

/// Requires `make`, with which the server's allocator is built; the C compiler is what Rust links with.
///
/// # Errors
/// If it is missing.
pub fn require_make() -> Result<()> {
    require("make", "apt-get install -y build-essential")
}

/// Requires Node and npm.
///
/// # Errors
/// If they are missing or too old.
pub fn require_node() -> Result<()> {
    let install = "apt-get install -y nodejs npm (or https://nodejs.org), version 20 or later";
    require("node", install)?;
    require("npm", install)?;
    let output = Command::new("node").arg("--version").output()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|text| text.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR_MIN) {
        bail!("Node {version} is too old; install version {NODE_MAJOR_MIN} or later: {install}");
    }
    Ok(())
}

/// Requires Chromium and a Chinese font.
///
/// # Errors
/// If Chromium or Firefox is missing.
pub fn require_browsers() -> Result<()> {
    let cure = "apt-get install -y --no-install-recommends chromium firefox-esr fonts-noto-cjk";
    require("chromium", cure)?;
    require("firefox-esr", cure)
}

/// Requires the WebAssembly target, and adds it where rustup can.
///
/// # Errors
/// If it is missing and rustup cannot add it.
pub fn require_wasm_target() -> Result<()> {
    let target = "wasm32-unknown-unknown";
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output()?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && std::path::Path::new(&folder).is_dir() {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", target]).stdout(Stdio::null()).status();
    if added.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    bail!("the WebAssembly target is missing; install it with: rustup target add {target}")
}
