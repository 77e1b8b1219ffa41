//! A real server process on a folder of its own: prepared through the command line as an administrator
//! would, served on loopback, looked at through `/proc`. Knows nothing of frames.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use daybook_tests::witness::{Verdict, Witness};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The password of everybody in a bench.
pub const PASSWORD: &str = "bench-password-46-hydraulic";

/// The database's file in a server's folder.
pub const DATABASE: &str = "daybook.sqlite3";

/// A role as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Owns customers and writes visits.
    Rep,
    /// Without a team: sees every customer.
    Manager,
    /// Of another team than the reps: sees none of their customers.
    OtherManager,
    /// Of the desk: accepts customers, moves them, and has devices revoked.
    Assistant,
}

/// A server's folder with the people in it; serves on demand.
pub struct Site {
    binary: PathBuf,
    dir: TempDir,
}

impl Site {
    /// Makes an empty store.
    ///
    /// # Errors
    /// If the command fails.
    pub async fn new(binary: &Path) -> Result<Self> {
        let site = Self { binary: binary.to_owned(), dir: TempDir::with_prefix("daybook-bench-")? };
        site.command(&["init"]).await?;
        Ok(site)
    }

    /// The folder.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Adds a person.
    ///
    /// # Errors
    /// If the command fails.
    pub async fn add(&self, name: &str, role: Role) -> Result<()> {
        match role {
            Role::Rep => self.command(&["user", "add", name, "--role", "rep", "--team", "bench"]).await,
            Role::Manager => self.command(&["user", "add", name, "--role", "manager"]).await,
            Role::OtherManager => {
                self.command(&["user", "add", name, "--role", "manager", "--team", "other"]).await
            }
            Role::Assistant => self.command(&["user", "add", name, "--role", "assistant"]).await,
        }
    }

    /// Judges the stopped store by every invariant, by what a witness heard, and by the server's own `verify`.
    ///
    /// # Errors
    /// The first violation or difference.
    pub async fn judge(&self, witness: &Witness) -> Result<Verdict> {
        let verdict = witness.judge(&self.data()).map_err(anyhow::Error::msg)?;
        self.command(&["verify"]).await?;
        Ok(verdict)
    }

    async fn command(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new(&self.binary)
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .env("DAYBOOK_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .output()
            .await?;
        if !output.status.success() {
            bail!("daybook {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Serves; resolves when the server has said that it is ready.
    ///
    /// # Errors
    /// If the server ends or says nothing within a minute.
    pub async fn serve(&self) -> Result<Server> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let log = fs::File::create(self.dir.path().join("server.log"))?;
        let started = Instant::now();
        let mut child = Command::new(&self.binary)
            .args(["serve", "--listen", &address, "--data"])
            .arg(self.data())
            // Thousands of phones log in from one address here.
            .env("DAYBOOK_LOGIN_PER_MINUTE_BY_ADDRESS", "1000000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().context("the output is piped")?;
        let mut lines = BufReader::new(out).lines();
        let first = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
        if first.context("the server is not ready after a minute")??.is_none() {
            let log = fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default();
            bail!("the server ended: {}", log.lines().last().unwrap_or_default());
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Server { child, address, started })
    }
}

/// A serving process; killed when dropped.
pub struct Server {
    child: Child,
    /// `127.0.0.1:PORT`
    pub address: String,
    /// When the process was started.
    pub started: Instant,
}

impl Server {
    /// Asks the server to end and waits for it.
    ///
    /// # Errors
    /// If it does not end within ten seconds.
    pub async fn stop(mut self) -> Result<()> {
        let id = self.id()?;
        Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        tokio::time::timeout(Duration::from_secs(10), self.child.wait())
            .await
            .context("the server does not end when asked")??;
        Ok(())
    }

    /// Kills the server as a crash would.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.map_err(Into::into)
    }

    /// The process ids of the admission workers.
    ///
    /// # Errors
    /// If the server has ended.
    pub fn workers(&self) -> Result<Vec<u32>> {
        let mut all = family(self.id()?);
        Ok(all.split_off(1))
    }

    /// The process id.
    ///
    /// # Errors
    /// If the server has ended.
    pub fn id(&self) -> Result<u32> {
        self.child.id().context("the server runs")
    }

    /// Resident bytes of the server's process alone, page by page: of `VmRSS` Linux's manual says that it is inaccurate.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn resident_bytes(&self) -> Result<u64> {
        kilobytes(self.id()?, "smaps_rollup", "Rss:").map(|kilobytes| kilobytes * 1024)
    }

    /// Resident bytes of the server and its worker processes; pages that they share are counted once.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn resident_bytes_with_workers(&self) -> Result<u64> {
        resident_with_workers(self.id()?)
    }
}

/// Resident bytes of a process and its children, shared pages counted once.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn resident_with_workers(id: u32) -> Result<u64> {
    let of_each = family(id).into_iter().map(|id| kilobytes(id, "smaps_rollup", "Pss:"));
    of_each.sum::<Result<u64>>().map(|sum| sum * 1024)
}

/// A process and all that came from it.
fn family(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let mut next = 0;
    while next < all.len() {
        let children = format!("/proc/{0}/task", all[next]);
        for task in fs::read_dir(children).into_iter().flatten().flatten() {
            let listed = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(listed.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        next += 1;
    }
    all
}

fn kilobytes(process: u32, file: &str, key: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/{file}"))?;
    let line =
        text.lines().find(|line| line.starts_with(key)).with_context(|| format!("no {key} in {file}"))?;
    let value = line.split_whitespace().nth(1).context("a value")?;
    value.parse().map_err(Into::into)
}
