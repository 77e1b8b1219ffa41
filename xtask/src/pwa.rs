//! Builds the phone: core to WebAssembly, bindings, app, compressed twins.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use wasm_bindgen_cli_support::Bindgen;

use crate::pack;
use crate::process::{self, Step, cargo};
use crate::tools;

const TARGET: &str = "wasm32-unknown-unknown";
const BINDINGS: &str = "pwa/src/generated/wasm";
const DIST: &str = "pwa/dist";

/// How the core is compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// For people: small and fast, a minute to build.
    Small,
    /// For work on the core: seconds to build.
    Debug,
}

impl Profile {
    /// The profile that a `--debug` flag asks for.
    pub fn from_debug_flag(debug: bool) -> Self {
        if debug { Profile::Debug } else { Profile::Small }
    }

    fn cargo_name(self) -> &'static str {
        match self {
            Profile::Small => "wasm",
            Profile::Debug => "dev",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Profile::Small => "wasm",
            Profile::Debug => "debug",
        }
    }
}

/// Builds everything into `pwa/dist`.
///
/// # Errors
/// If a tool is missing or a step fails.
pub fn build(profile: Profile) -> Result<()> {
    tools::require_node()?;
    tools::require_wasm_target()?;
    cargo(["build", "-p", "bridge", "--target", TARGET, "--profile", profile.cargo_name()]).go()?;
    bind(profile)?;
    if needs_install() {
        Step::new("npm").args(["ci", "--no-audit", "--no-fund"]).inside("pwa").go()?;
    }
    Step::new("npm").args(["run", "--silent", "build"]).inside("pwa").go()?;
    compress(Path::new(DIST), profile)
}

/// Has the compilers look for faults in the app's code; after [`build`], which makes what it refers to.
///
/// # Errors
/// If there is one.
pub fn check() -> Result<()> {
    Step::new("npm").args(["run", "--silent", "check"]).inside("pwa").go()
}

/// Generates the bindings, unless they are newer than the core.
fn bind(profile: Profile) -> Result<()> {
    let core = process::target_folder().join(TARGET).join(profile.folder()).join("bridge.wasm");
    let bound = Path::new(BINDINGS).join("bridge_bg.wasm");
    let stamp = Path::new(BINDINGS).join(".profile");
    let same_profile = fs::read_to_string(&stamp).is_ok_and(|text| text == profile.cargo_name());
    if same_profile && modified(&bound).is_some_and(|bound| Some(bound) > modified(&core)) {
        return Ok(());
    }
    eprintln!("\x1b[1m$ wasm-bindgen {}\x1b[0m", core.display());
    Bindgen::new()
        .input_path(&core)
        .web(true)
        .context("no mode set before")?
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(BINDINGS)
        .context("wasm-bindgen")?;
    if profile == Profile::Small {
        let mut module = pack::order(&fs::read(&bound)?)?;
        pack::blank_gzip_tables(&mut module);
        fs::write(&bound, module)?;
    }
    fs::write(stamp, profile.cargo_name())?;
    Ok(())
}

fn needs_install() -> bool {
    modified(Path::new("pwa/node_modules/.package-lock.json")) < modified(Path::new("pwa/package-lock.json"))
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Writes `.br` and `.gz` beside every file that gains from it, once, so that the server never compresses.
fn compress(folder: &Path, profile: Profile) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            compress(&path, profile)?;
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if !["html", "js", "css", "wasm", "bin", "svg", "webmanifest", "json", "txt"].contains(&extension) {
            continue;
        }
        let plain = fs::read(&path)?;
        let quality = if profile == Profile::Small { 11 } else { 4 };
        let mut brotli = Vec::new();
        let parameters = brotli::enc::BrotliEncoderParams { quality, lgwin: 22, ..Default::default() };
        brotli::BrotliCompress(&mut plain.as_slice(), &mut brotli, &parameters)?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&plain)?;
        for (twin, bytes) in [("br", brotli), ("gz", gzip.finish()?)] {
            let name = format!("{}.{twin}", path.display());
            if bytes.len() < plain.len() {
                fs::write(name, bytes)?;
            }
        }
    }
    Ok(())
}
