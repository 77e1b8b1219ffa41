//! A world of processes: one server on a data folder of its own, phones in folders beside it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The password of everybody in these tests.
pub const PASSWORD: &str = "correct horse battery";

/// The binary under test.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    command.env_remove("DAYBOOK_DIR").env("DAYBOOK_PASSWORD", PASSWORD).stdin(Stdio::null());
    command
}

/// What a command said.
pub struct Ran {
    /// Its exit status and its two outputs.
    pub output: Output,
}

impl Ran {
    /// Whether it succeeded.
    pub fn ok(&self) -> bool {
        self.output.status.success()
    }

    /// Standard output.
    pub fn out(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).expect("UTF-8")
    }

    /// Standard error.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Standard output as the one JSON value that it must be.
    pub fn json(&self) -> Value {
        let out = self.out();
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("not one JSON value: {out:?} {}", self.err()))
    }
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Ran {
    Ran { output: binary().args(arguments).output().expect("the binary runs") }
}

/// Runs the binary, which must succeed, and returns its JSON.
pub fn must(arguments: &[&str]) -> Value {
    let ran = run(&[arguments, &["--json"]].concat());
    assert!(ran.ok(), "{arguments:?}: {} {}", ran.out(), ran.err());
    ran.json()
}

/// A server process.
pub struct Server {
    child: Child,
    /// Such as `http://127.0.0.1:40123`.
    pub url: String,
}

impl Server {
    /// Starts a server and waits for its one line.
    pub fn start(data: &Path, settings: &[(&str, &str)]) -> Server {
        Self::start_at("127.0.0.1:0", data, settings)
    }

    fn start_at(address: &str, data: &Path, settings: &[(&str, &str)]) -> Server {
        Self::spawn(binary(), address, data, settings)
    }

    fn spawn(mut command: Command, address: &str, data: &Path, settings: &[(&str, &str)]) -> Server {
        let mut child = command
            .args(["serve", "--data", path(data), "--listen", address])
            .env("DAYBOOK_LOG", "warn")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let url =
            line.trim().strip_prefix("ready ").unwrap_or_else(|| panic!("not ready: {line:?}")).to_owned();
        Server { child, url }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Asks it to stop and waits; says whether it ended well.
    pub fn stop(mut self) -> bool {
        let asked =
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(asked.success());
        self.child.wait().expect("ended").success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A data folder, its server, and room for phones.
pub struct World {
    folder: TempDir,
    /// The server; none while it is down.
    pub server: Option<Server>,
    address: String,
}

impl World {
    /// A new organisation with a rep 王, a rep 李, an assistant 赵 and a manager 陈.
    pub fn new() -> World {
        let world = World {
            folder: tempfile::tempdir().expect("a folder"),
            server: None,
            address: "127.0.0.1:0".to_owned(),
        };
        let data = world.data();
        must(&["init", "--data", path(&data)]);
        for (name, role) in [("王", "rep"), ("李", "rep"), ("赵", "assistant"), ("陈", "manager")] {
            must(&["user", "add", name, "--role", role, "--team", "一组", "--data", path(&data)]);
        }
        world
    }

    /// The same with its server running.
    pub fn running() -> World {
        let mut world = World::new();
        world.start();
        world
    }

    /// Starts the server; again at the same address, so that phones find it.
    pub fn start(&mut self) {
        let server = Server::start_at(&self.address, &self.data(), &[]);
        self.address = server.url.strip_prefix("http://").expect("http").to_owned();
        self.server = Some(server);
    }

    /// Starts the server again on a disk where no file grows beyond so many kibibytes: a shell ignores the signal
    /// that says so and gives its place to the server, which sees writes fail.
    pub fn start_with_room(&mut self, kibibytes: u64) {
        let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", kibibytes * 2);
        let mut shell = Command::new("sh");
        shell.args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_daybook")]);
        shell.env_remove("DAYBOOK_DIR").stdin(Stdio::null());
        self.server = Some(Server::spawn(shell, &self.address, &self.data(), &[]));
    }

    /// Starts the server with its log in a file, as verbose as the filter says.
    pub fn start_with_log(&mut self, log: &Path, filter: &str) {
        let mut command = binary();
        command.stderr(std::fs::File::create(log).expect("a file"));
        self.server = Some(Server::spawn(command, &self.address, &self.data(), &[("DAYBOOK_LOG", filter)]));
    }

    /// Starts the server with settings of its environment.
    pub fn running_with(settings: &[(&str, &str)]) -> World {
        let mut world = World::new();
        world.server = Some(Server::start(&world.data(), settings));
        world
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.server.as_ref().expect("running").url
    }

    /// The server's folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file or folder beside it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A phone on which somebody has logged in.
    pub fn phone(&self, folder: &str, user: &str) -> Phone {
        let phone = Phone { dir: self.beside(folder) };
        phone.must(&["login", self.url(), user]);
        phone
    }
}

/// A headless phone.
pub struct Phone {
    /// Its folder.
    pub dir: PathBuf,
}

impl Phone {
    /// Runs a command.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(&[&["device", "--dir", path(&self.dir)], arguments, &["--json"]].concat())
    }

    /// Runs a command that must succeed.
    pub fn must(&self, arguments: &[&str]) -> Value {
        let ran = self.run(arguments);
        assert!(ran.ok(), "{arguments:?}: {} {}", ran.out(), ran.err());
        ran.json()
    }

    /// A command to be spawned.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binary();
        command.args(["device", "--dir", path(&self.dir)]).args(arguments).arg("--json");
        command
    }
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Which files under a folder have such contents, by their path in it.
pub fn files_with(folder: &Path, is_it: &dyn Fn(&[u8]) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(files_with(&entry.path(), is_it).iter().map(|inner| format!("{name}/{inner}")));
        } else if is_it(&std::fs::read(entry.path()).expect("readable")) {
            found.push(name);
        }
    }
    found.sort();
    found
}
