//! `hostile_10`: two hundred senders of whom ten send what no honest phone sends, as fast as they are
//! answered; what the others notice of it. Then all go on, and rights end meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use daybook_tests::fuzzing::mutated;
use daybook_tests::witness::Witness;
use shared::entropy::Entropy;
use shared::id::{DocId, Scope};
use shared::protocol::PushItem;
use tokio::time::Instant;

use super::desk::{self, Book};
use super::{dial, first_customer, judge, log_in, watch};
use crate::documents::Phrases;
use crate::figures::{Figures, percentile};
use crate::phone::{Phone, Socket, accepted, milliseconds};
use crate::server::{Role, Site};

const HONEST: usize = 190;
const HOSTILE: usize = 10;
/// Between two customers that the desk moves.
const DESK_PACE: Duration = Duration::from_millis(500);
/// Changes of each honest phone in a phase, one a second.
const ROUNDS: usize = 20;

/// # Errors
/// If the server fails, an honest phone is refused or cut off, or an invariant does not hold afterwards.
pub async fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    let site = Site::new(binary).await?;
    for number in 0..HONEST + HOSTILE {
        site.add(&format!("rep{number}"), Role::Rep).await?;
    }
    site.add("manager", Role::Manager).await?;
    desk::hire(&site).await?;
    let server = site.serve().await?;
    let address = server.address.clone();
    let witness = Arc::new(Witness::default());
    let names = (0..HONEST + HOSTILE).map(|number| format!("rep{number}"));
    let mut phones = log_in(&address, names, &witness).await?;
    let hostile = phones.split_off(HONEST);
    let over = Arc::new(AtomicBool::new(false));
    let mut others = desk::listen(&address, &witness, &over).await?;
    let book = Arc::new(Book::default());
    let reps = phones.iter().map(|phone| phone.account.person).collect();
    let mut manager = log_in(&address, std::iter::once("manager".to_owned()), &witness).await?.remove(0);
    dial(&mut manager, &address).await?;
    let (arrived, _arrivals) = tokio::sync::mpsc::unbounded_channel();
    watch(manager.socket.take().context("connected")?, arrived);
    let mut honest = Vec::new();
    for (number, mut phone) in phones.into_iter().enumerate() {
        dial(&mut phone, &address).await?;
        let (customer, _) = first_customer(&mut phone, number).await?;
        book.register(customer, phone.account.person);
        honest.push((phone, customer));
    }
    let (mut honest, without) = phase(honest).await?;
    let sent = Arc::new(AtomicU64::new(0));
    let attacks: Vec<_> = hostile
        .into_iter()
        .enumerate()
        .map(|(number, phone)| {
            tokio::spawn(attack(address.clone(), phone, number, over.clone(), sent.clone(), Duration::ZERO))
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let with;
    (honest, with) = phase(honest).await?;
    // What a customer costs that moves is no matter of the hostile: the desk decides in a phase of its own.
    let (desk, decided) = (desk::desk(&address, &witness).await?, book.clone());
    others.push(tokio::spawn(desk::decide(address.clone(), desk, reps, decided, DESK_PACE, over.clone())));
    let (honest, moving) = phase(honest).await?;
    over.store(true, Ordering::Relaxed);
    for life in attacks.into_iter().chain(others) {
        life.await??;
    }
    drop(honest);
    let (before, beside) = (percentile(&without, 0.99), percentile(&with, 0.99));
    figures.add("hostile_10", "ack_p99_ms_without", before);
    figures.add("hostile_10", "ack_p99_ms", beside);
    figures.add("hostile_10", "p99_ratio", beside / before);
    figures.add("hostile_10", "ack_p99_ms_moving", percentile(&moving, 0.99));
    figures.add("hostile_10", "hostile_frames", sent.load(Ordering::Relaxed) as f64);
    book.report("hostile_10", figures);
    judge(&site, server, &witness, "hostile_10", figures).await
}

/// Every honest phone pushes a visit a second, each at its own moment of it; the times of the answers.
async fn phase(phones: Vec<(Phone, DocId)>) -> Result<(Vec<(Phone, DocId)>, Vec<f64>)> {
    let begun = Instant::now() + Duration::from_millis(200);
    let mut pushing = Vec::with_capacity(phones.len());
    for (number, (mut phone, customer)) in phones.into_iter().enumerate() {
        pushing.push(tokio::spawn(async move {
            let phrases = Phrases::load();
            let mut times = Vec::with_capacity(ROUNDS);
            for round in 0..ROUNDS {
                let visit = phone.entropy.doc_id();
                let items = phone.edit(&phrases.visit(visit, customer, round), Scope::Customer(customer))?;
                phone.forget(visit);
                let frame = phone.push_frame(items);
                let offset = Duration::from_micros(1_000_000 * number as u64 / HONEST as u64);
                tokio::time::sleep_until(begun + Duration::from_secs(round as u64) + offset).await;
                let sent = Instant::now();
                let socket = phone.socket.as_mut().context("connected")?;
                socket.send_bytes(frame).await?;
                accepted(&socket.receive_ack().await?)?;
                times.push(milliseconds(sent.elapsed()));
            }
            anyhow::Ok(((phone, customer), times))
        }));
    }
    let (mut phones, mut times) = (Vec::new(), Vec::new());
    for task in pushing {
        let (phone, of_it) = task.await??;
        phones.push(phone);
        times.extend(of_it);
    }
    Ok((phones, times))
}

/// Sends forged pushes, broken frames and noise until it is over, at a pace; dials again whenever it is thrown out.
pub async fn attack(
    address: String,
    mut phone: Phone,
    number: usize,
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    pace: Duration,
) -> Result<()> {
    let mut entropy = Entropy::from_seed([number as u8; 32]);
    let phrases = Phrases::load();
    while !over.load(Ordering::Relaxed) {
        let Ok(mut socket) = open(&mut phone, &address).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        while !over.load(Ordering::Relaxed) {
            let customer = phone.entropy.doc_id();
            let scope = Scope::Customer(customer);
            // Without a canary: damage would make another's of it.
            let honest = phone.edit_as_it_is(&phrases.customer(customer, number), scope)?;
            phone.forget(customer);
            let frame = match entropy.below(4) {
                0 => {
                    let noise = entropy.bytes::<4096>();
                    noise[..1 + entropy.below(4096) as usize].to_vec()
                }
                1 => {
                    let mut frame = phone.push_frame(honest);
                    let at = entropy.below(frame.len() as u64) as usize;
                    frame[at] ^= 1 << entropy.below(8);
                    frame.truncate(frame.len() - entropy.below(2) as usize * (frame.len() / 3));
                    frame
                }
                _ => {
                    let forged = honest.into_iter().map(|item| match item {
                        PushItem::Change { doc, kind, scope, change, recorded } => {
                            let change = mutated(change.into(), &entropy.bytes::<24>()).into();
                            PushItem::Change { doc, kind, scope, change, recorded }
                        }
                        other => other,
                    });
                    let forged = forged.collect();
                    phone.push_frame(forged)
                }
            };
            sent.fetch_add(1, Ordering::Relaxed);
            if !pace.is_zero() {
                tokio::time::sleep(pace).await;
            }
            let answered = socket.send_bytes(frame).await.is_ok() && socket.receive().await.is_ok();
            if !answered {
                break;
            }
        }
    }
    Ok(())
}

async fn open(phone: &mut Phone, address: &str) -> Result<Socket> {
    dial(phone, address).await?;
    phone.socket.take().context("connected")
}
