//! `kill -9` of the real server in the middle of a hundred pushing phones (I1, I2): afterwards everything
//! acknowledged is there, and `daybook verify` agrees. `DAYBOOK_KILLS` says how often; 20 by default.
//! `DAYBOOK_KILL_MIB` fills the database before: then every start must be ready within three seconds.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use anyhow::{Context, Result, ensure};
use daybook_tests::dice::Dice;
use daybook_tests::load::RawDevice;
use daybook_tests::process::{ServerProcess, free_address, run};
use shared::id::{ChangeHash, DocId};
use shared::protocol::{ItemResult, PushItem, ServerFrame};

const PEOPLE: usize = 20;
const DEVICES_OF_EACH: usize = 5;

/// What the phones and the one who kills tell each other.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    over: AtomicBool,
}

#[derive(Default)]
struct State {
    /// How often the server was started.
    lives: u64,
    acknowledged: BTreeSet<(DocId, ChangeHash)>,
    /// What the last phone saw that got no acknowledgement.
    unanswered: String,
}

/// After so long without an acknowledgement nobody is pushing any more.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

impl Shared {
    /// Waits until a server younger than `life` is up, and says which.
    fn wait_for_life_after(&self, life: u64) -> u64 {
        let state = self.state.lock().expect("no phone panics with it");
        let over = || self.over.load(Ordering::Relaxed);
        let state = self.changed.wait_while(state, |state| state.lives <= life && !over());
        state.expect("no phone panics with it").lives
    }

    fn begin_life(&self) {
        self.state.lock().expect("no phone panics with it").lives += 1;
        self.changed.notify_all();
    }

    fn acknowledge(&self, items: &[PushItem], frames: &[ServerFrame]) -> Result<()> {
        let ack = frames.iter().find_map(|frame| match frame {
            ServerFrame::Ack(ack) => Some(ack),
            _ => None,
        });
        let ack = ack.with_context(|| format!("no acknowledgement in {frames:?}"))?;
        ensure!(ack.results.len() == items.len(), "one result an item");
        let mut state = self.state.lock().expect("no phone panics with it");
        for (item, result) in items.iter().zip(&ack.results) {
            let PushItem::Change { doc, change, .. } = item else { continue };
            let hash = shared::wire::parse(change)?.hash;
            ensure!(
                matches!(result, ItemResult::Accepted(_) | ItemResult::Known(..)),
                "{result:?} for honest work"
            );
            state.acknowledged.insert((*doc, hash));
        }
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    fn give_up(&self, unanswered: String) {
        self.state.lock().expect("no phone panics with it").unanswered = unanswered;
    }

    /// Waits until so many changes more are acknowledged than at first.
    fn wait_for_acknowledgements(&self, more: usize) -> Result<()> {
        let state = self.state.lock().expect("no phone panics with it");
        let enough = state.acknowledged.len() + more;
        let too_few =
            |state: &mut State| state.acknowledged.len() < enough && !self.over.load(Ordering::Relaxed);
        let waited = self.changed.wait_timeout_while(state, PATIENCE, too_few);
        let (state, waited) = waited.expect("no phone panics with it");
        ensure!(!waited.timed_out(), "the phones have stopped: {}", state.unanswered);
        Ok(())
    }
}

/// Writes visits until it is over; what got no answer is sent again, as a phone does.
fn phone(mut device: RawDevice, shared: &Shared) -> Result<()> {
    let mut life = shared.wait_for_life_after(0);
    let name = format!("Factory of {:?}", device.device);
    let (customer, _, mut items) = device.new_customer(&name)?;
    let mut number = 0;
    while !shared.over.load(Ordering::Relaxed) {
        let frame = device.push(items.clone());
        match device.exchange(&[frame]) {
            Ok(frames) if frames.iter().any(|frame| matches!(frame, ServerFrame::Ack(_))) => {
                shared.acknowledge(&items, &frames)?;
                number += 1;
                items = device.new_visit(customer, &format!("visit {number}"))?.2;
            }
            // Killed in mid-answer or gone: wait for the next life, unless it has begun already.
            unanswered => {
                shared.give_up(format!("{unanswered:?}"));
                life = shared.wait_for_life_after(life);
            }
        }
    }
    Ok(())
}

fn kills() -> u64 {
    number_from_environment("DAYBOOK_KILLS").unwrap_or(20)
}

fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// How long a server may take to be ready after a kill, with a database of 1 GiB.
const RECOVERY_MS_MAX: u128 = 3_000;

/// Makes the database so large, with changes of documents that nobody asks for.
fn fill(data: &std::path::Path, mebibytes: u64) -> Result<()> {
    let file = server::store::SqliteStore::file_in(data);
    let database = rusqlite::Connection::open(&file)?;
    database.execute_batch(
        "INSERT INTO devices (id, person, label, created_at) SELECT zeroblob(16), id, '', 0 FROM people LIMIT 1;
         INSERT INTO actors SELECT zeroblob(16), zeroblob(16), id FROM people LIMIT 1;",
    )?;
    while std::fs::metadata(&file)?.len() < mebibytes << 20 {
        database.execute_batch(
            "INSERT INTO changes WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
             SELECT (SELECT max(coalesce((SELECT max(seq) FROM changes), 0), (SELECT max(seq) FROM events))) + n,
                    randomblob(16), randomblob(32), zeroblob(16), 1, 1, zeroblob(16),
                    (SELECT person FROM actors WHERE id = zeroblob(16)), 0, x'', randomblob(3900)
             FROM numbers;
             PRAGMA wal_checkpoint(TRUNCATE);",
        )?;
    }
    println!("{} MiB of database", std::fs::metadata(&file)?.len() >> 20);
    Ok(())
}

fn missing(data: &std::path::Path, shared: &Shared) -> Result<usize> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(server::store::SqliteStore::file_in(data), flags)?;
    let mut statement = database.prepare("SELECT doc, hash FROM changes")?;
    let rows = statement.query_map([], |row| Ok((DocId(row.get(0)?), ChangeHash(row.get(1)?))))?;
    let stored: BTreeSet<(DocId, ChangeHash)> = rows.collect::<Result<_, _>>()?;
    let state = shared.state.lock().expect("no phone panics with it");
    Ok(state.acknowledged.difference(&stored).count())
}

// SIM-1, SIM-2
#[test]
fn a_server_killed_among_a_hundred_pushing_phones_keeps_what_it_acknowledged() -> Result<()> {
    let seed = 20_261_122;
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let path = data.to_str().context("a temporary path is plain")?;
    run(&["init", "--data", path])?;
    for person in 0..PEOPLE {
        run(&["user", "add", &format!("rep{person}"), "--role", "rep", "--team", "north", "--data", path])?;
    }
    let filled = number_from_environment("DAYBOOK_KILL_MIB");
    if let Some(mebibytes) = filled {
        fill(&data, mebibytes)?;
    }
    let address = free_address()?;
    let mut server = ServerProcess::start(&data, &address)?;
    let mut devices = Vec::new();
    for person in 0..PEOPLE {
        for _ in 0..DEVICES_OF_EACH {
            devices.push(RawDevice::login(&address, &format!("rep{person}"), dice.word())?);
        }
    }
    let shared = Arc::new(Shared::default());
    shared.begin_life();
    let phones: Vec<_> = devices
        .into_iter()
        .map(|device| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                let lived = phone(device, &shared);
                if lived.is_err() {
                    shared.over.store(true, Ordering::Relaxed);
                    shared.changed.notify_all();
                }
                lived
            })
        })
        .collect();
    let mut slowest_recovery_ms = 0;
    for kill in 0..kills() {
        shared.wait_for_acknowledgements(dice.between(1, 400) as usize)?;
        server.kill()?;
        let start = std::time::Instant::now();
        server = ServerProcess::start(&data, &address)?;
        slowest_recovery_ms = slowest_recovery_ms.max(start.elapsed().as_millis());
        ensure!(
            filled.is_none() || slowest_recovery_ms <= RECOVERY_MS_MAX,
            "ready after {slowest_recovery_ms} ms"
        );
        let lost = missing(&data, &shared)?;
        ensure!(lost == 0, "after kill {kill}, {lost} acknowledged changes are gone (I1), seed {seed}");
        if shared.over.load(Ordering::Relaxed) {
            break;
        }
        shared.begin_life();
    }
    shared.over.store(true, Ordering::Relaxed);
    shared.changed.notify_all();
    for phone in phones {
        phone.join().map_err(|_| anyhow::anyhow!("a phone panicked"))??;
    }
    server.stop()?;
    ensure!(missing(&data, &shared)? == 0, "acknowledged changes are gone after an orderly end");
    run(&["verify", "--data", path])?;
    let acknowledged = shared.state.lock().expect("all phones have ended").acknowledged.len();
    println!(
        "{} kills, {acknowledged} changes acknowledged, slowest start {slowest_recovery_ms} ms",
        kills()
    );
    ensure!(acknowledged > 0, "nothing was pushed");
    Ok(())
}
