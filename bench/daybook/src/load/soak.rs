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
use shared::id::{DocId, Scope};
use tokio::time::Instant;

use super::{dial, first_customer, judge, log_in};
use crate::documents::{Phrases, customer_edit};
use crate::figures::Figures;
use crate::phone::{Phone, accepted};
use crate::server::{DATABASE, Role, Server, Site};

const REPS: usize = 60;
const MANAGERS: usize = 20;
const HOSTILE: usize = 2;
/// Between two things that a phone does, on average.
const PACE_MS: u64 = 3_000;
const HOSTILE_PACE: Duration = Duration::from_millis(200);
/// How long a rep's last work may take to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(60);
const SAMPLE: Duration = Duration::from_secs(5);

/// What was done to the server, by kind.
#[derive(Default)]
struct Counts {
    cut: AtomicU64,
    torn: AtomicU64,
    logins: AtomicU64,
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
    let server = site.serve().await?;
    let address = server.address.clone();
    let over = Arc::new(AtomicBool::new(false));
    let counts = Arc::new(Counts::default());
    let witness = Arc::new(Witness::default());
    let mut people = Vec::new();
    let names = (0..REPS).map(|number| format!("rep{number}"));
    for (number, phone) in log_in(&address, names, &witness).await?.into_iter().enumerate() {
        let work = rep(address.clone(), phone, number, pace_ms, over.clone(), counts.clone());
        people.push(tokio::spawn(work));
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
    let samples = watch(&server, site.data(), duration, &counts, &witness).await?;
    over.store(true, Ordering::Relaxed);
    for person in people {
        person.await??;
    }
    report(figures, &samples, &counts);
    figures.add("soak", "documents_compared", compare(&address, &witness).await? as f64);
    judge(&site, server, &witness, "soak", figures).await
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Looks at the server until the time is over, and kills one of its workers every half minute.
async fn watch(
    server: &Server,
    data: PathBuf,
    duration: Duration,
    counts: &Counts,
    witness: &Witness,
) -> Result<Vec<Sample>> {
    let begun = Instant::now();
    let mut entropy = Entropy::from_seed([46; 32]);
    let mut tick = tokio::time::interval(SAMPLE);
    let mut samples = Vec::new();
    while begun.elapsed() < duration {
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

/// A rep writes visits and edits the card; now and then the net goes, in mid-frame at times.
async fn rep(
    address: String,
    mut phone: Phone,
    number: usize,
    pace_ms: u64,
    over: Arc<AtomicBool>,
    counts: Arc<Counts>,
) -> Result<()> {
    let phrases = Phrases::load();
    dial(&mut phone, &address).await?;
    let (customer, scope) = first_customer(&mut phone, number).await?;
    let mut unsent: Option<(Vec<u8>, DocId)> = None;
    let mut round = 0;
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(phone.entropy.below(2 * pace_ms))).await;
        if phone.socket.is_none() {
            // Nobody is refused for a broken net; a busy server is dialled again.
            if dial(&mut phone, &address).await.is_err() {
                continue;
            }
        }
        round += 1;
        let (frame, visit) = match unsent.take() {
            Some(unsent) => unsent,
            // The card's changes are kept few: a document holds so many and no more.
            None if round % 200 == 0 => (push(&mut phone, &customer_edit(customer, round), scope)?, customer),
            None => {
                let visit = phone.entropy.doc_id();
                (push(&mut phone, &phrases.visit(visit, customer, round), scope)?, visit)
            }
        };
        if visit != customer {
            phone.forget(visit);
        }
        match phone.entropy.below(40) {
            0 => {
                counts.cut.fetch_add(1, Ordering::Relaxed);
                phone.socket = None;
                unsent = Some((frame, visit));
                continue;
            }
            1 => {
                counts.torn.fetch_add(1, Ordering::Relaxed);
                let socket = phone.socket.take().context("connected")?;
                socket.tear(&frame).await;
                unsent = Some((frame, visit));
                continue;
            }
            2 if round % 5 == 0 => {
                counts.logins.fetch_add(1, Ordering::Relaxed);
                drop(Phone::new(&address, &format!("rep{number}")).await?);
            }
            _ => {}
        }
        let socket = phone.socket.as_mut().context("connected")?;
        if socket.send_bytes(frame.clone()).await.is_err() {
            phone.socket = None;
            unsent = Some((frame, visit));
            continue;
        }
        match socket.receive_ack().await {
            Ok(ack) => {
                accepted(&ack).or_else(|error| known(&ack).ok_or(error))?;
            }
            Err(_) => {
                phone.socket = None;
                unsent = Some((frame, visit));
            }
        }
    }
    finish(&mut phone, &address, unsent.map(|(frame, _)| frame)).await
}

/// What a rep had not got through when the soak ended gets through now, in bounded time (SIM-8).
async fn finish(phone: &mut Phone, address: &str, unsent: Option<Vec<u8>>) -> Result<()> {
    let Some(frame) = unsent else { return Ok(()) };
    let get_through = async {
        loop {
            phone.socket = None;
            if dial(phone, address).await.is_ok()
                && let Some(socket) = phone.socket.as_mut()
                && socket.send_bytes(frame.clone()).await.is_ok()
                && let Ok(ack) = socket.receive_ack().await
            {
                return accepted(&ack).or_else(|error| known(&ack).ok_or(error));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, get_through).await;
    ended.context("a rep's last work is not acknowledged (I8)")?
}

/// Two new phones of every rep hold the same at the end (SIM-3).
async fn compare(address: &str, witness: &Arc<Witness>) -> Result<usize> {
    let mut documents = 0;
    for number in 0..REPS {
        let name = format!("rep{number}");
        let mut phones = log_in(address, [name.clone(), name.clone()].into_iter(), witness).await?;
        for phone in &mut phones {
            dial(phone, address).await?;
        }
        let (one, other) = (&phones[0], &phones[1]);
        ensure!(one.held() > 0, "a new phone of {name} holds nothing (I3)");
        ensure!(one.digest() == other.digest(), "two phones of {name} hold different documents (I3)");
        documents += one.held();
    }
    Ok(documents)
}

/// What was sent twice is known the second time.
fn known(ack: &shared::protocol::Ack) -> Option<()> {
    let is_known = |result: &shared::protocol::ItemResult| {
        matches!(result, shared::protocol::ItemResult::Known(..) | shared::protocol::ItemResult::Accepted(_))
    };
    ack.results.iter().all(is_known).then_some(())
}

fn push(phone: &mut Phone, edit: &shared::edit::Edit, scope: Scope) -> Result<Vec<u8>> {
    let items = phone.edit(edit, scope)?;
    Ok(phone.push_frame(items))
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
