//! samod on the workloads which it has: `daybook-bench-samod [WORKLOAD…]`.

mod documents;
mod peer;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow};
use documents::{CUSTOMERS, Phrases, remark, remarks};
use futures::StreamExt;
use futures::future::try_join_all;
use peer::{Client, Server};
use report::{LIMIT, PREPARATION_LIMIT, bounded, percentile, report, report_because};
use samod::DocHandle;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, dir, rest @ ..] = arguments.as_slice()
        && command == "serve"
    {
        let port = rest.first().map_or(Ok(0), |port| port.parse())?;
        return peer::serve(Path::new(dir), port).await;
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    for (name, count, changes) in [
        ("reconnect_500", 500, 10),
        ("reconnect_2000", 2000, 10),
        ("reconnect_2000_idle", 2000, 0),
        ("reconnect_5000", 5000, 10),
        ("reconnect_20000", 20000, 10),
    ] {
        if wanted(name) {
            attempt(name, &["ms", "settled_ms", "messages", "bytes"], reconnect(name, count, changes)).await;
        }
    }
    if wanted("restart") {
        attempt("restart", &["first_answer_ms", "settled_ms", "documents_rewritten"], restart("restart"))
            .await;
    }
    if wanted("first_sync_5000") {
        attempt("first_sync_5000", &["ms", "messages", "bytes"], first_sync("first_sync_5000")).await;
    }
    if wanted("fanout") {
        attempt("fanout", &["sockets", "p99_ms", "payload_bytes_per_socket"], fanout("fanout")).await;
    }
    if wanted("commit_50") {
        attempt("commit_50", &["changes_per_s", "ack_p99_ms"], commit("commit_50")).await;
    }
    Ok(())
}

/// Runs a workload; a failure becomes a null with its reason.
async fn attempt(name: &str, metrics: &[&str], workload: impl Future<Output = Result<()>>) {
    if let Err(error) = workload.await {
        for metric in metrics {
            report_because(name, metric, Value::Null, Some(&format!("{error:#}")));
        }
    }
}

/// A server and a client that both hold the first `count` documents.
struct Prepared {
    dir: tempfile::TempDir,
    server: Server,
    client: Client,
    handles: Vec<DocHandle>,
}

async fn prepared(count: usize) -> Result<Prepared> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(dir.path()).await?;
    let client = Client::connected(server.port).await?;
    let phrases = Phrases::load();
    let fill = async {
        let connection = client.connection()?;
        let mut handles = Vec::with_capacity(count);
        for start in (0..count).step_by(50) {
            let batch = (start..count.min(start + 50)).map(|index| {
                let document = documents::automerge(&phrases.document(index));
                async {
                    let handle = client.repo.create(document).await?;
                    handle.they_have_our_changes(connection).await;
                    anyhow::Ok(handle)
                }
            });
            handles.extend(try_join_all(batch).await?);
        }
        Ok(handles)
    };
    let handles = bounded(PREPARATION_LIMIT, "preparation", fill).await?;
    Ok(Prepared { dir, server, client, handles })
}

async fn change(port: u16, handles: &[DocHandle], text: &str) -> Result<()> {
    let mut writer = Client::connected(port).await?;
    for held in handles {
        let handle =
            writer.repo.find(held.document_id().clone()).await?.context("the server lost a document")?;
        handle.with_document(|document| remark(document, text));
        handle.they_have_our_changes(writer.connection()?).await;
    }
    writer.disconnect();
    Ok(())
}

async fn changed(handle: DocHandle, text: String) -> Result<Instant> {
    let mut changes = Box::pin(handle.changes());
    loop {
        if handle.with_document(|document| remarks(document)).as_deref() == Some(text.as_str()) {
            return Ok(Instant::now());
        }
        changes.next().await.ok_or_else(|| anyhow!("the document closed"))?;
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

async fn reconnect(name: &str, count: usize, changes: usize) -> Result<()> {
    let mut prepared = prepared(count).await?;
    prepared.client.disconnect();
    let last = &prepared.handles[count - changes..];
    bounded(LIMIT, "changes", change(prepared.server.port, last, "changed 1")).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    prepared.client.count.reset();
    let begun = Instant::now();
    bounded(LIMIT, "reconnect", prepared.client.connect(prepared.server.port)).await?;
    let seen = last.iter().map(|handle| changed(handle.clone(), "changed 1".to_owned()));
    bounded(LIMIT, "reconnect", try_join_all(seen)).await?;
    let ms = milliseconds(begun.elapsed());
    let settled = bounded(LIMIT, "settling", async { Ok(prepared.client.count.quiet().await) }).await?;
    let settled = milliseconds(settled.saturating_duration_since(begun));
    report(name, "ms", if changes > 0 { ms } else { settled });
    report(name, "settled_ms", settled);
    report(name, "messages", prepared.client.count.messages() as f64);
    report(name, "bytes", prepared.client.count.bytes() as f64);
    Ok(())
}

fn files_written(dir: &Path, files: &mut BTreeMap<PathBuf, SystemTime>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files_written(&entry.path(), files)?;
        } else {
            files.insert(entry.path(), entry.metadata()?.modified()?);
        }
    }
    Ok(())
}

async fn restart(name: &str) -> Result<()> {
    let mut prepared = prepared(2000).await?;
    prepared.client.disconnect();
    let last = &prepared.handles[1990..];
    bounded(LIMIT, "changes", change(prepared.server.port, last, "changed 1")).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    prepared.server.stop().await?;
    let mut before = BTreeMap::new();
    files_written(prepared.dir.path(), &mut before)?;
    let server = Server::start(prepared.dir.path()).await?;
    prepared.client.count.reset();
    bounded(LIMIT, "first answer", prepared.client.connect(server.port)).await?;
    let seen = last.iter().map(|handle| changed(handle.clone(), "changed 1".to_owned()));
    let seen = bounded(LIMIT, "first answer", try_join_all(seen)).await?;
    let settled = bounded(LIMIT, "settling", async { Ok(prepared.client.count.quiet().await) }).await?;
    let first = seen.iter().min().context("ten were changed")?;
    report(name, "first_answer_ms", milliseconds(first.duration_since(server.started)));
    report(name, "settled_ms", milliseconds(settled.duration_since(server.started)));
    report(name, "messages", prepared.client.count.messages() as f64);
    report(name, "bytes", prepared.client.count.bytes() as f64);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut after = BTreeMap::new();
    files_written(prepared.dir.path(), &mut after)?;
    let rewritten: BTreeSet<PathBuf> = after
        .iter()
        .filter(|(path, time)| before.get(*path) != Some(time))
        .filter_map(|(path, _)| path.strip_prefix(prepared.dir.path()).ok())
        .map(|path| path.components().take(2).collect())
        .collect();
    report(name, "documents_rewritten", rewritten.len() as f64);
    Ok(())
}

async fn first_sync(name: &str) -> Result<()> {
    let mut prepared = prepared(5000).await?;
    prepared.client.disconnect();
    let phone = Client::connected(prepared.server.port).await?;
    let begun = Instant::now();
    let found = prepared.handles.iter().map(|handle| {
        let found = phone.repo.find(handle.document_id().clone());
        async { found.await?.context("the server lost a document") }
    });
    let handles = bounded(LIMIT, "first sync", try_join_all(found)).await?;
    report(name, "ms", milliseconds(begun.elapsed()));
    bounded(LIMIT, "settling", async { Ok(phone.count.quiet().await) }).await?;
    report(name, "messages", phone.count.messages() as f64);
    report(name, "bytes", phone.count.bytes() as f64);
    drop(handles);
    Ok(())
}

async fn fanout(name: &str) -> Result<()> {
    let mut failure = None;
    for sockets in [1000, 200, 50] {
        match fanout_of(sockets).await {
            Ok((p99, bytes, messages)) => {
                report_because(name, "sockets", json!(sockets), failure.as_deref());
                report(name, "p99_ms", p99);
                report(name, "payload_bytes_per_socket", bytes);
                report(name, "messages_per_socket", messages);
                return Ok(());
            }
            Err(error) => failure = Some(format!("{sockets} sockets: {error:#}")),
        }
    }
    Err(anyhow!(failure.unwrap_or_default()))
}

async fn fanout_of(sockets: usize) -> Result<(f64, f64, f64)> {
    const ROUNDS: usize = 5;
    let prepared = prepared(1).await?;
    let held = &prepared.handles[0];
    let join = async {
        let mut phones = Vec::with_capacity(sockets);
        for _ in 0..sockets {
            let phone = Client::connected(prepared.server.port).await?;
            let handle =
                phone.repo.find(held.document_id().clone()).await?.context("the server lost a document")?;
            phones.push((phone, handle));
        }
        Ok(phones)
    };
    let phones = bounded(PREPARATION_LIMIT, "joining", join).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    phones.iter().for_each(|(phone, _)| phone.count.reset());
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let text = format!("changed f{round}");
        let seen: Vec<_> =
            phones.iter().map(|(_, handle)| tokio::spawn(changed(handle.clone(), text.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begun = Instant::now();
        held.with_document(|document| remark(document, &text));
        let seen = bounded(LIMIT, "fan-out", async { Ok(try_join_all(seen).await?) }).await?;
        for time in seen {
            times.push(milliseconds(time?.duration_since(begun)));
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let share = |sum: u64| sum as f64 / (sockets * ROUNDS) as f64;
    let bytes = share(phones.iter().map(|(phone, _)| phone.count.bytes()).sum());
    let messages = share(phones.iter().map(|(phone, _)| phone.count.messages()).sum());
    Ok((percentile(&mut times, 0.99), bytes, messages))
}

async fn commit(name: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(dir.path()).await?;
    let phrases = Phrases::load();
    let mut phones = Vec::new();
    for index in 0..50 {
        let client = Client::connected(server.port).await?;
        let document = documents::automerge(&phrases.visit(index + CUSTOMERS));
        let handle = client.repo.create(document).await?;
        let connection = client.connection()?;
        bounded(LIMIT, "preparation", async {
            handle.they_have_our_changes(connection).await;
            Ok(())
        })
        .await?;
        phones.push((client, handle, connection));
    }
    let begun = Instant::now();
    let until = begun + Duration::from_secs(5);
    let loops: Vec<_> = phones
        .iter()
        .enumerate()
        .map(|(index, (_, handle, connection))| {
            let (handle, connection) = (handle.clone(), *connection);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < until {
                    let sent = Instant::now();
                    let text = format!("phone {index} round {}", times.len());
                    handle.with_document(|document| remark(document, &text));
                    handle.they_have_our_changes(connection).await;
                    times.push(milliseconds(sent.elapsed()));
                }
                times
            })
        })
        .collect();
    let times = bounded(LIMIT, "commits", async { Ok(try_join_all(loops).await?) }).await?;
    let mut times: Vec<f64> = times.into_iter().flatten().collect();
    let rate = (times.len() as f64 / begun.elapsed().as_secs_f64()).round();
    report_because(name, "changes_per_s", json!(rate), Some("acknowledged before it is durable"));
    report(name, "ack_p99_ms", percentile(&mut times, 0.99));
    Ok(())
}
