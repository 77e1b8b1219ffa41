//! `daybook serve` and the admission worker: the two commands that stay.

use std::path::Path;

use anyhow::Context;
use serde_json::json;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, Flags};
use crate::http::serve::{EndSignals, Server};
use crate::outcome::{CommandResult, Outcome, say, told};

/// Bytes of stack of the server's asynchronous threads.
const THREAD_STACK_BYTES: usize = 2 * 1024 * 1024;

/// Runs the server until a signal.
pub fn serve(data: &Path, listen: Option<String>, config: Option<&Path>, as_json: bool) -> CommandResult {
    let flags = Flags { listen };
    let config = Config::read(data, config, &flags).map_err(|error| {
        told("config", format!("配置有误：{error}"), format!("The configuration is wrong: {error}"))
    })?;
    log_to_stderr(&config.log);
    // A thousand sockets are a thousand files. A refusal leaves the limit as it was.
    if let Ok((_, hard)) = rlimit::Resource::NOFILE.get() {
        let _ = rlimit::Resource::NOFILE.set(hard.min(65_536), hard);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(THREAD_STACK_BYTES)
        .max_blocking_threads(32)
        .build()
        .context("starting the runtime")?;
    let address = runtime.block_on(async {
        let signals = EndSignals::take()?;
        let server = Server::start(data, config).await?;
        let address = server.address;
        let url = format!("http://{address}");
        say(&if as_json { json!({ "ready": url }).to_string() } else { format!("ready {url}") });
        tracing::info!(%address, "ready");
        signals.wait().await;
        tracing::info!("stopping");
        server.stop().await;
        anyhow::Ok(address)
    })?;
    tracing::info!("stopped");
    Ok(Outcome { json: json!({ "stopped": address.to_string() }), text: String::new(), done: true })
}

/// Judges changes on standard input until it ends.
pub fn admission_worker() -> std::process::ExitCode {
    crate::admission::worker_main()
}

/// Logs as JSON lines to standard error. Which fields may be logged is decided where they are logged: ids of
/// sessions and counts, never names, notes, numbers or tokens. Libraries decide otherwise (at `trace` the socket
/// library logs what it reads), so that they are heard at `info` and above only, whatever the filter says.
pub fn log_to_stderr(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let is_ours = |target: &str| matches!(target.split("::").next(), Some("daybook" | "server" | "shared"));
    let without_content = filter_fn(move |event| *event.level() <= Level::INFO || is_ours(event.target()));
    let lines = tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr);
    // The second caller in one process keeps the first one's choice.
    let _ = tracing_subscriber::registry().with(filter).with(without_content).with(lines).try_init();
}
