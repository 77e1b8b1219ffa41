//! `storm_2000`: two thousand phones on their sockets, the server killed and started again, and all of them
//! back at once, each with a visit that it wrote meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use daybook_tests::witness::Witness;
use shared::id::Scope;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::desk::{self, Book};
use super::{Memory, dial, first_customer, judge, log_in, need_descriptors};
use crate::documents::Phrases;
use crate::figures::Figures;
use crate::phone::{CaughtUp, Phone, accepted};
use crate::server::{Role, Site};

const REPS: usize = 400;
const PHONES_EACH: usize = 5;
const CUSTOMERS_EACH: usize = 5;
/// How long the desk moves customers when all are back, and the time between two.
const DECIDING: Duration = Duration::from_secs(10);
const DESK_PACE: Duration = Duration::from_millis(50);
/// How long the phones may take. Longer is a failure, not a figure.
const PATIENCE: Duration = Duration::from_secs(180);

/// # Errors
/// If the server fails or refuses, phones are not in sync in time, or an invariant does not hold afterwards.
pub async fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    need_descriptors(4096)?;
    let site = Site::new(binary).await?;
    for rep in 0..REPS {
        site.add(&format!("rep{rep}"), Role::Rep).await?;
    }
    desk::hire(&site).await?;
    let server = site.serve().await?;
    let names = (0..REPS * PHONES_EACH).map(|phone| format!("rep{}", phone / PHONES_EACH));
    let witness = Arc::new(Witness::default());
    let mut phones = log_in(&server.address, names, &witness).await?;
    let book = Arc::new(Book::default());
    for (number, phones) in phones.chunks_mut(PHONES_EACH).enumerate() {
        dial(&mut phones[0], &server.address).await?;
        for customer in 0..CUSTOMERS_EACH {
            let (customer, _) = first_customer(&mut phones[0], number * CUSTOMERS_EACH + customer).await?;
            book.register(customer, phones[0].account.person);
        }
        for phone in &mut phones[1..] {
            dial(phone, &server.address).await?;
            ensure!(phone.held() == CUSTOMERS_EACH, "a phone has its rep's customers");
        }
    }
    let over = Arc::new(AtomicBool::new(false));
    let listeners = desk::listen(&server.address, &witness, &over).await?;
    let live = Memory::watch(&server)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    figures.add("storm_2000", "live_resident_mib", live.peak_mib());
    drop(live);
    end(&over, listeners).await?;

    let killed = Instant::now();
    server.kill().await?;
    let server = site.serve().await?;
    let memory = Memory::watch(&server)?;
    figures.add("storm_2000", "ready_ms", killed.elapsed().as_secs_f64() * 1000.0);
    let mut returning = Vec::with_capacity(phones.len());
    for (number, mut phone) in phones.into_iter().enumerate() {
        phone.socket = None;
        let address = server.address.clone();
        returning.push(tokio::spawn(async move {
            let mut redials = 0;
            let back = tokio::time::timeout(PATIENCE, come_back(&mut phone, &address, number, &mut redials));
            back.await.context("not in sync in time")??;
            anyhow::Ok((Instant::now(), redials, phone))
        }));
    }
    over.store(false, Ordering::Relaxed);
    let mut others = desk::listen(&server.address, &witness, &over).await?;
    let (mut last, mut redials) = (killed, 0);
    let mut phones = Vec::with_capacity(returning.len());
    for phone in returning {
        let (at, count, phone) = phone.await??;
        last = last.max(at);
        redials += count;
        phones.push(phone);
    }
    for phones in phones.chunks(PHONES_EACH) {
        let digests: Vec<_> = phones.iter().map(Phone::digest).collect();
        ensure!(digests.iter().all(|digest| *digest == digests[0]), "the phones of a rep hold the same");
    }
    figures.add("storm_2000", "sync_s", last.duration_since(killed).as_secs_f64());
    figures.add("storm_2000", "redials", f64::from(redials));
    figures.add("storm_2000", "resident_mib", memory.peak_mib());
    drop(memory);

    let reps = phones.iter().step_by(PHONES_EACH).map(|phone| phone.account.person).collect();
    let (address, desk) = (server.address.clone(), desk::desk(&server.address, &witness).await?);
    let decide = desk::decide(address, desk, reps, book.clone(), DESK_PACE, over.clone());
    others.push(tokio::spawn(decide));
    tokio::time::sleep(DECIDING).await;
    end(&over, others).await?;
    for phone in &mut phones {
        phone.settle();
        phone.socket = None;
        dial(phone, &server.address).await?;
        let owned = book.owned_by(phone.account.person).into_iter().map(Scope::Customer).collect();
        ensure!(phone.scopes() == owned, "a phone holds other customers than its rep's");
    }
    book.report("storm_2000", figures);
    drop(phones);
    judge(&site, server, &witness, "storm_2000", figures).await
}

/// Lets people come to an end.
async fn end(over: &AtomicBool, people: Vec<JoinHandle<Result<()>>>) -> Result<()> {
    over.store(true, Ordering::Relaxed);
    for person in people {
        person.await??;
    }
    Ok(())
}

/// Dials until it is let in, pushes the visit, and takes pages until the visits of the rep's other phones
/// are there.
async fn come_back(phone: &mut Phone, address: &str, number: usize, redials: &mut u32) -> Result<()> {
    while dial(phone, address).await.is_err() {
        *redials += 1;
        // As a phone does: later each time, and not all at once.
        let ms = 250 * (1 << (*redials).min(5)) + (number as u64 * 37) % 500;
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let (visit, customer) = (phone.entropy.doc_id(), phone.some_customer().context("it has customers")?);
    let scope = Scope::Customer(customer);
    let items = phone.edit(&Phrases::load().visit(visit, customer, number), scope)?;
    let frame = phone.push_frame(items);
    let mut socket = phone.socket.take().context("connected")?;
    socket.send_bytes(frame).await?;
    let (mut caught, mut is_acknowledged) = (CaughtUp::default(), false);
    while !is_acknowledged || phone.held() < CUSTOMERS_EACH + PHONES_EACH {
        match socket.receive().await? {
            shared::protocol::ServerFrame::Ack(ack) => {
                accepted(&ack)?;
                is_acknowledged = true;
            }
            shared::protocol::ServerFrame::Page(page) => {
                let more = page.more.then(|| page.cursor.clone());
                phone.take(page, &mut caught)?;
                if let Some(cursor) = more {
                    socket.send(&shared::protocol::ClientFrame::Pull(cursor)).await?;
                }
            }
            _ => {}
        }
    }
    phone.socket = Some(socket);
    Ok(())
}
