//! The real binary as a child process: built if it is not fresh, started on a folder of its own, ended in
//! good order or without warning. Knows the command line's contract and nothing behind it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// The password of everybody in these tests.
pub const PASSWORD: &str = "correct-horse-battery";

/// The `daybook` binary. `DAYBOOK_BINARY` names another one than this workspace's.
pub fn daybook() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| find_binary().expect("the binary can be built")).clone()
}

fn find_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DAYBOOK_BINARY") {
        return Ok(path.into());
    }
    // A test program lies in `target/PROFILE/deps`, the binary in `target/PROFILE`.
    let program = std::env::current_exe()?;
    let folder =
        program.parent().and_then(Path::parent).context("a test program lies in target/PROFILE/deps")?;
    let profile =
        folder.file_name().and_then(|name| name.to_str()).context("a profile's folder has a name")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // With the features of the whole workspace, as the tests themselves were built: nothing is compiled twice.
    build.args(["build", "--quiet", "--workspace", "--bin", "daybook"]);
    if profile == "release" {
        build.arg("--release");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = build.current_dir(root).status().context("cargo cannot be started")?;
    if !status.success() {
        bail!("the binary does not build");
    }
    Ok(folder.join("daybook"))
}

/// Runs a command of the binary and returns what it printed.
///
/// # Errors
/// If it ends with another status than 0; the message holds what it said.
pub fn run(arguments: &[&str]) -> Result<String> {
    let output = Command::new(daybook()).args(arguments).env("DAYBOOK_PASSWORD", PASSWORD).output()?;
    if !output.status.success() {
        bail!(
            "daybook {} ended with {}:\n{}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command with `--json` and reads the value.
///
/// # Errors
/// As [`run`], or if it printed something else than one JSON value.
pub fn run_json(arguments: &[&str]) -> Result<serde_json::Value> {
    let mut arguments = arguments.to_vec();
    arguments.push("--json");
    let printed = run(&arguments)?;
    serde_json::from_str(&printed).with_context(|| format!("no JSON: {printed}"))
}

/// An address of this machine that nobody listens on at the moment.
///
/// # Errors
/// If no port is free.
pub fn free_address() -> Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// A running server.
pub struct ServerProcess {
    child: Child,
    /// Its data folder.
    pub data: PathBuf,
    /// Where it listens.
    pub address: String,
}

impl ServerProcess {
    /// Starts a server and waits for the line that says it is ready.
    ///
    /// # Errors
    /// If it ends before.
    pub fn start(data: &Path, address: &str) -> Result<ServerProcess> {
        let mut child = Command::new(daybook())
            .args(["serve", "--data"])
            .arg(data)
            .args(["--listen", address])
            .env("DAYBOOK_LOG", "warn")
            .env("DAYBOOK_LOGIN_PER_MINUTE_BY_NAME", "100000")
            .env("DAYBOOK_LOGIN_PER_MINUTE_BY_ADDRESS", "100000")
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() {
            bail!("the server ended before it was ready: {}", child.wait()?);
        }
        Ok(ServerProcess { child, data: data.to_owned(), address: address.to_owned() })
    }

    /// The address of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Ends it without warning (`kill -9`).
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it in good order (`SIGTERM`).
    ///
    /// # Errors
    /// If it does not end with status 0.
    pub fn stop(mut self) -> Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// If the system refuses to say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // A failed test leaves nothing behind. Of a child that was waited for, these two know nothing any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
