//! Running other programs: each step prints what it runs and stops the task if it fails.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// The repository's root, wherever the task was called.
pub fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_owned()
}

/// Where cargo puts what it builds.
pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), Into::into)
}

/// One program to run.
pub struct Step(Command);

/// A step of the cargo that runs this task.
pub fn cargo<const N: usize>(arguments: [&str; N]) -> Step {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Step::new(cargo).args(arguments)
}

impl Step {
    /// A step of the given program.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self(Command::new(program))
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.0.args(arguments);
        self
    }

    /// Sets a variable of the step's environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs the step in a folder of the repository.
    pub fn inside(mut self, folder: &str) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs the step to its end.
    ///
    /// # Errors
    /// If the program cannot be started or ends with another status than 0.
    pub fn go(self) -> Result<()> {
        self.go_with(|_| {})
    }

    /// Runs the step to its end and tells each line of its standard error.
    ///
    /// # Errors
    /// As [`Step::go`].
    pub fn go_and_tell(mut self, mut tell: impl FnMut(&str)) -> Result<()> {
        self.0.stderr(Stdio::piped());
        self.go_with(|child| {
            let lines = child.stderr.take().into_iter().flat_map(|error| BufReader::new(error).split(b'\n'));
            lines.map_while(Result::ok).for_each(|line| tell(&String::from_utf8_lossy(&line)));
        })
    }

    fn go_with(mut self, attend: impl FnOnce(&mut Child)) -> Result<()> {
        let words: Vec<_> = self.0.get_args().map(OsStr::to_string_lossy).collect();
        let program = Path::new(self.0.get_program()).file_name().unwrap_or_default().to_string_lossy();
        let line = format!("{program} {}", words.join(" "));
        eprintln!("\x1b[1m$ {line}\x1b[0m");
        let mut child = self.0.spawn().with_context(|| format!("cannot start: {line}"))?;
        attend(&mut child);
        let status = child.wait()?;
        if !status.success() {
            bail!("failed ({status}): {line}");
        }
        Ok(())
    }
}
