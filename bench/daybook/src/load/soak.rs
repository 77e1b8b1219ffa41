//! `soak`: an hour of ordinary work with faults, and what grows meanwhile. `DAYBOOK_SOAK_MINUTES` says how
//! long, `DAYBOOK_SOAK_PACE_MS` how often a phone does something, for a look at an hour's work in minutes; what
//! grows is looked at after the first sixth.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use daybook_tests::witness::Witness;
use shared::entropy::Entropy;
use shared::id::{PersonId, Scope};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::desk::{self, Book};
use super::rep::{Rep, Shift};
use super::{dial, judge, log_in};
use crate::figures::Figures;
use crate::phone::Phone;
use crate::server::{DATABASE, Role, Server, Site};

const REPS: usize = 60;
const MANAGERS: usize = 20;
const HOSTILE: usize = 2;
/// Between two things that a phone does, on average.
const PACE_MS: u64 = 3_000;
const HOSTILE_PACE: Duration = Duration::from_millis(200);
/// What the desk does, in paces of a rep: it moves a customer, and has a phone revoked.
const DESK_PACES: u64 = 2;
const REVOKED_PACES: u64 = 20;
const SAMPLE: Duration = Duration::from_secs(5);

/// What was done to the server, by kind.
#[derive(Default)]
pub struct Counts {
    pub cut: AtomicU64,
    pub torn: AtomicU64,
    pub logins: AtomicU64,
    workers_killed: AtomicU64,
    hostile: Arc<AtomicU64>,
}

/// One look at the server.
struct Sample {
    hours: f64,
    resident_mib: f64,
    with_workers_mib: f64,
    descriptors: f64,
    wal_mib: f64,
}

/// # Errors
/// If the server fails, an honest phone is refused, or an invariant does not hold afterwards.
pub async fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    let duration = Duration::from_secs(number("DAYBOOK_SOAK_MINUTES", 60) * 60);
    let pace_ms = number("DAYBOOK_SOAK_PACE_MS", PACE_MS);
    let site = Site::new(binary).await?;
    for number in 0..REPS + HOSTILE {
        site.add(&format!("rep{number}"), Role::Rep).await?;
    }
    for number in 0..MANAGERS {
        site.add(&format!("manager{number}"), Role::Manager).await?;
    }
    desk::hire(&site).await?;
    let server = site.serve().await?;
    let address = server.address.clone();
    let over = Arc::new(AtomicBool::new(false));
    let counts = Arc::new(Counts::default());
    let witness = Arc::new(Witness::default());
    let book = Arc::new(Book::default());
    let names = (0..REPS).map(|number| format!("rep{number}"));
    let phones = log_in(&address, names, &witness).await?;
    let reps: Vec<PersonId> = phones.iter().map(|phone| phone.account.person).collect();
    let mut people = desk::listen(&address, &witness, &over).await?;
    let phone = desk::desk(&address, &witness).await?;
    let pace = Duration::from_millis(REVOKED_PACES * pace_ms);
    let (account, data) = (phone.account.clone(), site.data());
    let revoking = desk::Revoking { address: address.clone(), data, desk: account, reps: REPS, pace };
    people.push(tokio::spawn(revoking.live(book.clone(), witness.clone(), over.clone())));
    let pace = Duration::from_millis(DESK_PACES * pace_ms);
    let decide = desk::decide(address.clone(), phone, reps.clone(), book.clone(), pace, over.clone());
    people.push(tokio::spawn(decide));
    let shift = Shift {
        address: address.clone(),
        pace_ms,
        book: book.clone(),
        over: over.clone(),
        counts: counts.clone(),
    };
    for (number, phone) in phones.into_iter().enumerate() {
        people.push(tokio::spawn(Rep::new(shift.clone(), phone, number).live()));
    }
    let names = (0..MANAGERS).map(|number| format!("manager{number}"));
    for (number, phone) in log_in(&address, names, &witness).await?.into_iter().enumerate() {
        people.push(tokio::spawn(manager(address.clone(), phone, number, over.clone(), counts.clone())));
    }
    let names = (REPS..REPS + HOSTILE).map(|number| format!("rep{number}"));
    for (number, phone) in log_in(&address, names, &witness).await?.into_iter().enumerate() {
        let (over, sent) = (over.clone(), counts.hostile.clone());
        let attack = super::hostile::attack(address.clone(), phone, number, over, sent, HOSTILE_PACE);
        people.push(tokio::spawn(attack));
    }
    let samples = watch(&server, site.data(), duration, &counts, &witness, &people).await?;
    over.store(true, Ordering::Relaxed);
    for person in people {
        person.await??;
    }
    report(figures, &samples, &counts);
    book.report("soak", figures);
    figures.add("soak", "devices_revoked", book.revoked());
    figures.add("soak", "documents_compared", compare(&address, &reps, &book, &witness).await? as f64);
    judge(&site, server, &witness, "soak", figures).await
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Looks at the server until the time is over or somebody has failed, and kills one of its workers every half minute.
async fn watch(
    server: &Server,
    data: PathBuf,
    duration: Duration,
    counts: &Counts,
    witness: &Witness,
    people: &[JoinHandle<Result<()>>],
) -> Result<Vec<Sample>> {
    let begun = Instant::now();
    let mut entropy = Entropy::from_seed([46; 32]);
    let mut tick = tokio::time::interval(SAMPLE);
    let mut samples = Vec::new();
    while begun.elapsed() < duration && !people.iter().any(JoinHandle::is_finished) {
        tick.tick().await;
        // A worker may die while it is looked at: then the look before counts again.
        let before = samples.last().map_or(0.0, |sample: &Sample| sample.with_workers_mib);
        let with_workers = server.resident_bytes_with_workers();
        let wal = std::fs::metadata(data.join(format!("{DATABASE}-wal"))).map_or(0, |wal| wal.len());
        samples.push(Sample {
            hours: begun.elapsed().as_secs_f64() / 3600.0,
            resident_mib: server.resident_bytes()? as f64 / f64::from(1 << 20),
            with_workers_mib: with_workers.map_or(before, |bytes| bytes as f64 / f64::from(1 << 20)),
            descriptors: std::fs::read_dir(format!("/proc/{}/fd", server.id()?))?.count() as f64,
            wal_mib: wal as f64 / f64::from(1 << 20),
        });
        if samples.len() % 6 == 0 {
            let workers = server.workers()?;
            if !workers.is_empty() {
                let worker = workers[entropy.below(workers.len() as u64) as usize];
                let killed = tokio::process::Command::new("kill").args(["-9", &worker.to_string()]).status();
                ensure!(killed.await?.success(), "a worker can be killed");
                counts.workers_killed.fetch_add(1, Ordering::Relaxed);
            }
        }
        if samples.len() % 12 == 0 {
            let last = samples.last().expect("one was pushed");
            eprintln!(
                "{:5.1} min  {:6.1} MiB  {} descriptors  WAL {:4.1} MiB  {} acknowledged",
                last.hours * 60.0,
                last.resident_mib,
                last.descriptors,
                last.wal_mib,
                witness.acknowledged(),
            );
        }
    }
    Ok(samples)
}

fn report(figures: &mut Figures, samples: &[Sample], counts: &Counts) {
    let later = &samples[samples.len() / 6..];
    let count = later.len() as f64;
    let slope = |value: fn(&Sample) -> f64| {
        let mean_x = later.iter().map(|sample| sample.hours).sum::<f64>() / count;
        let mean_y = later.iter().map(value).sum::<f64>() / count;
        let both = later.iter().map(|sample| (sample.hours - mean_x) * (value(sample) - mean_y)).sum::<f64>();
        both / later.iter().map(|sample| (sample.hours - mean_x).powi(2)).sum::<f64>()
    };
    let highest = |value: fn(&Sample) -> f64| samples.iter().map(value).fold(0.0, f64::max);
    let minutes = samples.last().map_or(0.0, |sample| sample.hours * 60.0);
    figures.add("soak", "minutes", minutes);
    figures.add("soak", "resident_mib_per_h", slope(|sample| sample.resident_mib));
    figures.add("soak", "with_workers_mib_per_h", slope(|sample| sample.with_workers_mib));
    figures.add("soak", "with_workers_mib", highest(|sample| sample.with_workers_mib));
    figures.add("soak", "resident_mib", highest(|sample| sample.resident_mib));
    figures.add("soak", "descriptors_per_h", slope(|sample| sample.descriptors));
    figures.add("soak", "descriptors", highest(|sample| sample.descriptors));
    figures.add("soak", "wal_mib", highest(|sample| sample.wal_mib));
    for (metric, count) in [
        ("sockets_cut", &counts.cut),
        ("frames_torn", &counts.torn),
        ("logins", &counts.logins),
        ("workers_killed", &counts.workers_killed),
        ("hostile_frames", &*counts.hostile),
    ] {
        figures.add("soak", metric, count.load(Ordering::Relaxed) as f64);
    }
}

/// Two new phones of every rep hold the same at the end (SIM-3): of the customers that are the rep's, and of no others.
async fn compare(address: &str, reps: &[PersonId], book: &Book, witness: &Arc<Witness>) -> Result<usize> {
    let mut documents = 0;
    for (number, rep) in reps.iter().enumerate() {
        let name = format!("rep{number}");
        let mut phones = log_in(address, [name.clone(), name.clone()].into_iter(), witness).await?;
        for phone in &mut phones {
            dial(phone, address).await?;
        }
        let (one, other) = (&phones[0], &phones[1]);
        let owned = book.owned_by(*rep).into_iter().map(Scope::Customer).collect();
        ensure!(one.scopes() == owned, "a new phone of {name} holds other customers than the rep's (I3)");
        ensure!(one.digest() == other.digest(), "two phones of {name} hold different documents (I3)");
        documents += one.held();
    }
    Ok(documents)
}

/// A manager watches; the first of them reads slowly, and all come and go.
async fn manager(
    address: String,
    mut phone: Phone,
    number: usize,
    over: Arc<AtomicBool>,
    counts: Arc<Counts>,
) -> Result<()> {
    while !over.load(Ordering::Relaxed) {
        let stay = Duration::from_millis(5_000 + phone.entropy.below(40_000));
        if number == 0 {
            let again = phone.twin();
            let _ = tokio::time::timeout(stay, super::slow::read_slowly(address.clone(), again)).await;
            continue;
        }
        if phone.socket.is_none() {
            // A manager's phone that is opened anew takes the latest only: it need not hold an hour's visits.
            let ticket = phone.account.ticket(&address).await?;
            match phone.dial(&address, ticket).await {
                Ok(socket) => phone.socket = Some(socket),
                Err(_) => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            }
        }
        let mut socket = phone.socket.take().context("connected")?;
        let until = Instant::now() + stay;
        while let Ok(Ok(page)) = tokio::time::timeout_at(until, socket.receive_page()).await {
            let more = page.more;
            phone.pass_over(page.cursor.clone());
            if more && socket.send(&shared::protocol::ClientFrame::Pull(page.cursor)).await.is_err() {
                break;
            }
            if over.load(Ordering::Relaxed) {
                break;
            }
        }
        counts.cut.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
