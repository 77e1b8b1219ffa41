//! `kill -9` of the real server in the middle of a hundred pushing phones: afterwards everything acknowledged is there (I1),
//! at the end the whole store is judged, and `daybook verify` agrees. `DAYBOOK_KILLS` says how often; 20 by default.
//! `DAYBOOK_KILL_MIB` fills the database before: then every start must be ready within three seconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use anyhow::{Context, Result, anyhow, bail, ensure};
use daybook_tests::dice::Dice;
use daybook_tests::load::RawDevice;
use daybook_tests::process::{ServerProcess, free_address, run};
use daybook_tests::witness::Witness;
use shared::protocol::{ItemResult, ServerFrame};

const PEOPLE: usize = 20;
const DEVICES_OF_EACH: usize = 5;

/// What the phones and the one who kills tell each other.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    witness: Arc<Witness>,
    changed: Condvar,
    over: AtomicBool,
}

#[derive(Default)]
struct State {
    /// How often the server was started.
    lives: u64,
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

    /// Looks at an answer: honest work is taken.
    fn take(&self, answer: &[ServerFrame]) -> Result<()> {
        let results = answer.iter().filter_map(|frame| match frame {
            ServerFrame::Ack(ack) => Some(&ack.results),
            _ => None,
        });
        let is_taken =
            |result: &&ItemResult| matches!(result, ItemResult::Accepted(_) | ItemResult::Known(..));
        if let Some(other) = results.flatten().find(|result| !is_taken(result)) {
            bail!("{other:?} for honest work");
        }
        // Whoever waits looks at the number under the lock.
        drop(self.state.lock().expect("no phone panics with it"));
        self.changed.notify_all();
        Ok(())
    }

    fn give_up(&self, unanswered: String) {
        self.state.lock().expect("no phone panics with it").unanswered = unanswered;
    }

    /// Waits until so many changes more are acknowledged than at first.
    fn wait_for_acknowledgements(&self, more: usize) -> Result<()> {
        let state = self.state.lock().expect("no phone panics with it");
        let enough = self.witness.acknowledged() + more;
        let too_few =
            |_: &mut State| self.witness.acknowledged() < enough && !self.over.load(Ordering::Relaxed);
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
                shared.take(&frames)?;
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

// SIM-1, SIM-2, SIM-4, SIM-6, SIM-7, SIM-10, SIM-15
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
        .map(|mut device| {
            let shared = shared.clone();
            device.tap = Some(shared.witness.tap(device.person));
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
        let judged = shared.witness.judge_acknowledged(&data);
        judged.map_err(|violation| anyhow!("after kill {kill}, seed {seed}: {violation}"))?;
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
    let verdict = shared.witness.judge(&data).map_err(anyhow::Error::msg)?;
    run(&["verify", "--data", path])?;
    println!("{} kills, {verdict:?}, slowest start {slowest_recovery_ms} ms", kills());
    ensure!(verdict.acknowledged > 0, "nothing was pushed");
    Ok(())
}
