//! Load with faults: many sockets, slow readers, a storm after a kill, hostile senders, a long soak. Each is
//! bounded in count and time, and ends with figures like those of a bench.

mod desk;
mod hostile;
mod rep;
mod slow;
mod soak;
mod storm;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use daybook_tests::witness::Witness;
use shared::id::{DocId, Scope};
use shared::protocol::Item;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::documents::Phrases;
use crate::figures::Figures;
use crate::phone::{Phone, Socket};
use crate::server::{Server, Site};

/// Every load, in the order of the table.
pub const LOADS: [&str; 4] = ["storm_2000", "slow_readers_100", "hostile_10", "soak"];

/// Runs the load of that name.
///
/// # Errors
/// If the server fails, or an honest phone is refused.
pub async fn run(binary: &Path, name: &str, figures: &mut Figures) -> Result<()> {
    match name {
        "storm_2000" => storm::run(binary, figures).await,
        "slow_readers_100" => slow::run(binary, figures).await,
        "hostile_10" => hostile::run(binary, figures).await,
        "soak" => soak::run(binary, figures).await,
        _ => unreachable!("names were checked"),
    }
}

/// Logs phones in, a few at a time as people would, with a witness of all that they send and hear.
async fn log_in(
    address: &str,
    names: impl Iterator<Item = String>,
    witness: &Arc<Witness>,
) -> Result<Vec<Phone>> {
    const AT_ONCE: usize = 4;
    let mut phones = Vec::new();
    let mut waiting: std::collections::VecDeque<JoinHandle<Result<Phone>>> = Default::default();
    for name in names {
        if waiting.len() >= AT_ONCE {
            phones.push(waiting.pop_front().expect("it is full").await??);
        }
        let address = address.to_owned();
        waiting.push_back(tokio::spawn(async move { Phone::new(&address, &name).await }));
    }
    for login in waiting {
        phones.push(login.await??);
    }
    phones.iter_mut().for_each(|phone| phone.witness = Some(witness.clone()));
    Ok(phones)
}

/// Stops the server and has its store judged by what the witness heard.
async fn judge(
    site: &Site,
    server: Server,
    witness: &Witness,
    load: &str,
    figures: &mut Figures,
) -> Result<()> {
    server.stop().await?;
    let verdict = site.judge(witness).await?;
    figures.add(load, "changes_acknowledged", verdict.acknowledged as f64);
    figures.add(load, "frames_judged", verdict.frames as f64);
    figures.add(load, "canaries_heard", verdict.canaries as f64);
    if verdict.requests > 0 {
        figures.add(load, "requests_judged", verdict.requests as f64);
        figures.add(load, "changes_held", verdict.held as f64);
    }
    Ok(())
}

/// Dials with a fresh ticket and catches up.
async fn dial(phone: &mut Phone, address: &str) -> Result<()> {
    let ticket = phone.account.ticket(address).await?;
    phone.catch_up(address, ticket).await.map(drop)
}

/// Writes the first customer of a connected phone.
async fn first_customer(phone: &mut Phone, number: usize) -> Result<(DocId, Scope)> {
    let customer = phone.entropy.doc_id();
    let scope = Scope::Customer(customer);
    let card = phone.edit(&Phrases::load().customer(customer, number), scope)?;
    phone.push_all(card).await?;
    Ok((customer, scope))
}

/// Reports each document that comes through a socket, until it closes.
fn watch(mut socket: Socket, arrived: mpsc::UnboundedSender<(DocId, Instant)>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok(page) = socket.receive_page().await {
            let at = Instant::now();
            let Ok(items) = page.items.unpack() else { break };
            for item in items {
                if let Item::Changes { doc, .. } | Item::Snapshot { doc, .. } = item {
                    let _ = arrived.send((doc, at));
                }
            }
            // What waits behind a page is asked for, as a phone does.
            if page.more && socket.send(&shared::protocol::ClientFrame::Pull(page.cursor)).await.is_err() {
                break;
            }
        }
    })
}

/// Watches the memory of a server until it is dropped.
struct Memory {
    task: JoinHandle<()>,
    peak: Arc<std::sync::atomic::AtomicU64>,
}

impl Memory {
    fn watch(server: &Server) -> Result<Memory> {
        let id = server.id()?;
        let peak = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let highest = peak.clone();
        let task = tokio::spawn(async move {
            loop {
                let now = crate::server::resident_with_workers(id).unwrap_or_default();
                highest.fetch_max(now, std::sync::atomic::Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        });
        Ok(Memory { task, peak })
    }

    fn peak_mib(&self) -> f64 {
        self.peak.load(std::sync::atomic::Ordering::Relaxed) as f64 / f64::from(1 << 20)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks for more file descriptors than a shell gives.
///
/// # Errors
/// If the system has fewer than that.
fn need_descriptors(count: u64) -> Result<()> {
    let text = std::fs::read_to_string("/proc/self/limits")?;
    let line = text.lines().find(|line| line.starts_with("Max open files")).context("a limit of files")?;
    let soft: u64 = line.split_whitespace().nth(3).and_then(|word| word.parse().ok()).unwrap_or(u64::MAX);
    anyhow::ensure!(soft >= count, "this load opens {count} files: ulimit -n {count}");
    Ok(())
}
