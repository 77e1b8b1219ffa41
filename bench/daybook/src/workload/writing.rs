//! `commit_50` and `return_100`: how fast what phones wrote is durable, and reaches the manager.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use shared::id::Scope;
use shared::limits::BATCH_ITEMS_MAX;
use shared::protocol::{Item, PushItem, ServerFrame};

use super::{Seeded, connect};
use crate::documents::{Phrases, customer_edit, visit_edit};
use crate::figures::{Figures, percentile};
use crate::phone::{CaughtUp, Phone, accepted, milliseconds};
use crate::server::{Role, Site};

const PHONES: usize = 50;
/// How long the phones push.
const DURATION: Duration = Duration::from_secs(5);
/// Visits made ready a phone; each is pushed, then edited once: enough for 8,000 changes a second.
const VISITS_READY: usize = 400;

/// Fifty phones, each pushing batches of one change, the next when the last is acknowledged. Half of the
/// changes are new visits, half are edits of them.
///
/// # Errors
/// If the server fails or refuses.
pub async fn commit_50(binary: &Path, figures: &mut Figures) -> Result<()> {
    let site = Site::new(binary).await?;
    for phone in 0..PHONES {
        site.add(&format!("rep{phone}"), Role::Rep).await?;
    }
    let server = site.serve().await?;
    let mut prepared = Vec::new();
    for number in 0..PHONES {
        let phone = Phone::new(&server.address, &format!("rep{number}")).await?;
        prepared.push(tokio::task::spawn_blocking(move || prepare(phone, number)));
    }
    let mut phones = Vec::new();
    for task in prepared {
        let (mut phone, customer, frames) = task.await??;
        connect(&mut phone, &server).await?;
        phone.push_all(customer).await?;
        phones.push((phone, frames));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut pushing = Vec::new();
    let begun = Instant::now();
    for (mut phone, frames) in phones {
        let stop = stop.clone();
        pushing.push(tokio::spawn(async move {
            let mut socket = phone.socket.take().context("connected")?;
            let mut times = Vec::with_capacity(frames.len());
            for frame in frames {
                if stop.load(Ordering::Relaxed) || begun.elapsed() > DURATION {
                    break;
                }
                let sent = Instant::now();
                socket.send_bytes(frame).await?;
                accepted(&socket.receive_ack().await?)?;
                times.push(milliseconds(sent.elapsed()));
            }
            // Fewer than fifty phones would be another workload: the first one without work ends it.
            stop.store(true, Ordering::Relaxed);
            anyhow::Ok(times)
        }));
    }
    let mut times = Vec::new();
    for task in pushing {
        times.extend(task.await??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    figures.add("commit_50", "changes_per_s", times.len() as f64 / seconds);
    figures.add("commit_50", "ack_p50_ms", percentile(&times, 0.5));
    figures.add("commit_50", "ack_p99_ms", percentile(&times, 0.99));
    Ok(())
}

/// What one phone pushes: its customer first, then batch by batch.
fn prepare(mut phone: Phone, number: usize) -> Result<(Phone, Vec<PushItem>, Vec<Vec<u8>>)> {
    let phrases = Phrases::load();
    let customer = phone.entropy.doc_id();
    let scope = Scope::Customer(customer);
    let card = phone.edit(&phrases.customer(customer, number), scope)?;
    phone.forget(customer);
    let mut frames = Vec::with_capacity(2 * VISITS_READY);
    for round in 0..VISITS_READY {
        let visit = phone.entropy.doc_id();
        let created = phone.edit(&phrases.visit(visit, customer, number * VISITS_READY + round), scope)?;
        let edited = phone.edit(&visit_edit(visit, round), scope)?;
        phone.forget(visit);
        ensure!(created.len() == 1 && edited.len() == 1, "one change an edit");
        frames.push(phone.push_frame(created));
        frames.push(phone.push_frame(edited));
    }
    Ok((phone, card, frames))
}

const NEW_VISITS: usize = 40;
const VISIT_EDITS: usize = 40;
const CARD_EDITS: usize = 20;
const RETURNS: usize = 7;

/// A phone comes back with a day's work; measured until everything is acknowledged and on the socket of a
/// manager who watches.
///
/// # Errors
/// If the server fails or refuses.
pub async fn return_100(binary: &Path, figures: &mut Figures) -> Result<()> {
    let mut seeded = Seeded::new(binary, 2000).await?;
    seeded.site.add("manager", Role::Manager).await?;
    seeded.writer.hang_up().await;
    let mut manager = Phone::new(&seeded.server.address, "manager").await?;
    connect(&mut manager, &seeded.server).await?;
    let phrases = Phrases::load();
    let mut times = Vec::new();
    for round in 0..RETURNS {
        let (mut phone, _) = seeded.second_phone().await?;
        let mut items = Vec::new();
        for number in 0..NEW_VISITS {
            let visit = phone.entropy.doc_id();
            let customer = seeded.customers[(round * NEW_VISITS + number) % seeded.customers.len()];
            items.extend(
                phone.edit(&phrases.visit(visit, customer, 10_000 + number), Scope::Customer(customer))?,
            );
        }
        for (visit, scope) in seeded.visits.iter().skip(round * VISIT_EDITS).take(VISIT_EDITS) {
            items.extend(phone.edit(&visit_edit(*visit, round), *scope)?);
        }
        for customer in seeded.customers.iter().skip(round * CARD_EDITS).take(CARD_EDITS) {
            items.extend(phone.edit(&customer_edit(*customer, round), Scope::Customer(*customer))?);
        }
        ensure!(items.len() == NEW_VISITS + VISIT_EDITS + CARD_EDITS, "one change an edit");
        let expected: HashSet<_> = items
            .iter()
            .filter_map(|item| match item {
                PushItem::Change { doc, .. } => Some(*doc),
                _ => None,
            })
            .collect();
        let mut frames = Vec::new();
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(BATCH_ITEMS_MAX));
            frames.push(phone.push_frame(std::mem::replace(&mut items, rest)));
        }
        let ticket = phone.account.ticket(&seeded.server.address).await?;
        let begun = Instant::now();
        let (sent, seen) = tokio::join!(
            push_after_hello(&mut phone, &seeded.server.address, ticket, frames),
            watch(&mut manager, expected),
        );
        let (durable, arrived) = (sent?, seen?);
        times.push(milliseconds(durable.max(arrived).duration_since(begun)));
    }
    figures.add("return_100", "ms", percentile(&times, 0.5));
    figures.add("return_100", "worst_ms", percentile(&times, 1.0));
    Ok(())
}

/// Pushes right after the hello; the instant at which everything was acknowledged.
async fn push_after_hello(
    phone: &mut Phone,
    address: &str,
    ticket: Vec<u8>,
    frames: Vec<Vec<u8>>,
) -> Result<Instant> {
    let mut socket = phone.dial(address, ticket).await?;
    let mut unanswered = frames.len();
    for frame in frames {
        socket.send_bytes(frame).await?;
    }
    while unanswered > 0 {
        accepted(&socket.receive_ack().await?)?;
        unanswered -= 1;
    }
    let durable = Instant::now();
    socket.hang_up().await;
    Ok(durable)
}

/// Reads the manager's socket until every expected document came.
async fn watch(manager: &mut Phone, mut expected: HashSet<shared::id::DocId>) -> Result<Instant> {
    let mut socket = manager.socket.take().context("the manager is connected")?;
    let mut pages = Vec::new();
    while !expected.is_empty() {
        if let ServerFrame::Page(page) = socket.receive().await? {
            let mut touched = page.clone().items.unpack()?;
            touched.retain(|item| matches!(item, Item::Snapshot { .. } | Item::Changes { .. }));
            for item in touched {
                if let Item::Snapshot { doc, .. } | Item::Changes { doc, .. } = item {
                    expected.remove(&doc);
                }
            }
            if page.more {
                socket.send(&shared::protocol::ClientFrame::Pull(page.cursor.clone())).await?;
            }
            pages.push(page);
        }
    }
    let arrived = Instant::now();
    let mut caught = CaughtUp::default();
    for page in pages {
        manager.take(page, &mut caught)?;
    }
    manager.socket = Some(socket);
    Ok(arrived)
}
