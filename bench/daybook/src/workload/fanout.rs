//! `fanout_1000`: a thousand live sockets, one commit; and what an idle socket costs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use shared::limits::PERSON_SOCKETS_MAX;
use shared::protocol::Item;
use tokio::sync::mpsc;

use super::{Keep, REP, connect, write_documents};
use crate::documents::visit_edit;
use crate::figures::{Figures, percentile};
use crate::phone::{Phone, milliseconds};
use crate::server::{Role, Site};

const SOCKETS: usize = 1000;
const COMMITS: usize = 100;

/// Managers watch, a rep commits.
///
/// # Errors
/// If the server fails or refuses.
pub async fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    let site = Site::new(binary).await?;
    site.add(REP, Role::Rep).await?;
    let managers = SOCKETS / PERSON_SOCKETS_MAX;
    for number in 0..managers {
        site.add(&format!("manager{number}"), Role::Manager).await?;
    }
    let server = site.serve().await?;
    let mut rep = Phone::new(&server.address, REP).await?;
    let mut accounts = Vec::new();
    for number in 0..managers {
        accounts.push(Phone::new(&server.address, &format!("manager{number}")).await?);
    }
    // Two hundred logins leave the memory of their password hashes behind; sockets are counted without it.
    server.stop().await?;
    let server = site.serve().await?;
    connect(&mut rep, &server).await?;
    let (_, visits) = write_documents(&mut rep, 10, 40, Keep::All).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let resident_before = server.resident_bytes()?;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let mut sent_bytes = 0;
    for number in 0..SOCKETS {
        let manager = &mut accounts[number % managers];
        let ticket = manager.account.ticket(&server.address).await?;
        let caught = manager.catch_up(&server.address, ticket).await?;
        sent_bytes += caught.count.bytes;
        let mut socket = manager.socket.take().context("connected")?;
        let arrived = arrived.clone();
        tokio::spawn(async move {
            while let Ok(page) = socket.receive_page().await {
                let at = Instant::now();
                let Ok(items) = page.items.unpack() else { break };
                for item in items {
                    if let Item::Changes { doc, .. } | Item::Snapshot { doc, .. } = item {
                        let _ = arrived.send((doc, at));
                    }
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let resident = server.resident_bytes()?.saturating_sub(resident_before);
    ensure!(sent_bytes > 0, "the sockets are open");
    let mut lasts = Vec::new();
    let mut all = Vec::new();
    let visits = Arc::new(visits);
    for round in 0..COMMITS {
        let (visit, scope) = visits[round % visits.len()];
        let items = rep.edit(&visit_edit(visit, round), scope)?;
        let begun = Instant::now();
        rep.push_all(items).await?;
        let mut last: f64 = 0.0;
        for _ in 0..SOCKETS {
            let (doc, at) = tokio::time::timeout(Duration::from_secs(30), arrivals.recv())
                .await
                .context("a socket heard nothing of a commit for 30 s")?
                .context("the sockets are open")?;
            ensure!(doc == visit, "another document came");
            let ms = milliseconds(at.duration_since(begun));
            last = last.max(ms);
            all.push(ms);
        }
        lasts.push(last);
    }
    figures.add("fanout_1000", "p99_ms", percentile(&lasts, 0.99));
    figures.add("fanout_1000", "median_of_last_ms", percentile(&lasts, 0.5));
    figures.add("fanout_1000", "p99_of_all_ms", percentile(&all, 0.99));
    figures.add("fanout_1000", "bytes_per_socket", resident as f64 / SOCKETS as f64);
    Ok(())
}
