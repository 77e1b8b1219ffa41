//! `kill -9` of the real server in the middle of a hundred pushing phones: afterwards everything acknowledged is there (I1),
//! at the end the whole store is judged, and `daybook verify` agrees. `DAYBOOK_KILLS` says how often; 20 by default.
//! `DAYBOOK_KILL_MIB` fills the database before: then every start must be ready within three seconds. Meanwhile an assistant
//! accepts and moves customers, and a manager of another team and a rep without customers listen to what they may not hear.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, bail, ensure};
use daybook_tests::dice::Dice;
use daybook_tests::load::RawDevice;
use daybook_tests::process::{ServerProcess, free_address, run};
use daybook_tests::witness::Witness;
use shared::id::{DocId, PersonId};
use shared::ledger::Command;
use shared::protocol::{ClientFrame, ItemResult, PushItem, ServerFrame};
use shared::refusal::Rule;

const PEOPLE: usize = 20;
const DEVICES_OF_EACH: usize = 5;
/// Who is there besides, with role and team.
const OTHERS: [(&str, &str, &str); 4] = [
    ("filler", "rep", "south"),
    ("desk", "assistant", "north"),
    ("other manager", "manager", "east"),
    ("stranger", "rep", "north"),
];

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
    /// Customers that were acknowledged.
    customers: Vec<DocId>,
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

    /// Looks at an answer: honest work is taken, or held for a decision if its customer was moved. Whether it was refused
    /// because of that.
    fn take(&self, answer: &[ServerFrame]) -> Result<bool> {
        let results = answer.iter().filter_map(|frame| match frame {
            ServerFrame::Ack(ack) => Some(&ack.results),
            _ => None,
        });
        let mut is_moved = false;
        for result in results.flatten() {
            match result {
                ItemResult::Accepted(_) | ItemResult::Known(..) | ItemResult::Held(_) => {}
                ItemResult::Refused(refusal) if refusal.rule == Rule::Transferred => is_moved = true,
                other => bail!("{other:?} for honest work"),
            }
        }
        // Whoever waits looks at the number under the lock.
        drop(self.state.lock().expect("no phone panics with it"));
        self.changed.notify_all();
        Ok(is_moved)
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

/// Sends frames until they are answered, through kills; what got no answer is sent again, as a phone does. None when it is
/// over.
fn answered(
    device: &mut RawDevice,
    frames: &[ClientFrame],
    life: &mut u64,
    shared: &Shared,
) -> Option<Vec<ServerFrame>> {
    let is_last = |frame: &ServerFrame| match frames {
        [] => matches!(frame, ServerFrame::Page(_)),
        _ => matches!(frame, ServerFrame::Ack(_)),
    };
    while !shared.over.load(Ordering::Relaxed) {
        match device.exchange(frames) {
            Ok(answer) if answer.iter().any(is_last) => return Some(answer),
            // Killed in mid-answer or gone: wait for the next life, unless it has begun already.
            unanswered => {
                shared.give_up(format!("{unanswered:?}"));
                *life = shared.wait_for_life_after(*life);
            }
        }
    }
    None
}

/// Writes visits until it is over, of another customer when the first was moved.
fn phone(mut device: RawDevice, shared: &Shared) -> Result<()> {
    let mut life = shared.wait_for_life_after(0);
    let name = format!("Factory of {:?}", device.device);
    let (mut customer, _, mut items) = device.new_customer(&name)?;
    for number in 1.. {
        let push = device.push(items);
        let Some(answer) = answered(&mut device, &[push], &mut life, shared) else { break };
        if number == 1 {
            shared.state.lock().expect("no phone panics with it").customers.push(customer);
        }
        items = if shared.take(&answer)? {
            let (other, _, card) = device.new_customer(&format!("{name} {number}"))?;
            customer = other;
            card
        } else {
            device.new_visit(customer, &format!("visit {number}"))?.2
        };
    }
    Ok(())
}

/// Accepts customers and moves them to other reps until it is over.
fn desk(mut device: RawDevice, reps: &[PersonId], mut dice: Dice, shared: &Shared) -> Result<()> {
    let mut life = shared.wait_for_life_after(0);
    loop {
        let customers = shared.state.lock().expect("no phone panics with it").customers.clone();
        let mut items = Vec::new();
        if let Some(customer) = dice.pick(&customers).copied() {
            let to = *dice.pick(reps).context("there are reps")?;
            for command in [Command::Accept { customer }, Command::Transfer { customer, to, reason: None }] {
                let (id, recorded) = (device.entropy.request_id(), device.recorded());
                items.push(PushItem::Request { id, command, recorded });
            }
        }
        let push = device.push(items);
        if answered(&mut device, &[push], &mut life, shared).is_none() {
            return Ok(());
        }
    }
}

/// Fetches all that it may until it is over.
fn listener(mut device: RawDevice, shared: &Shared) -> Result<()> {
    let mut life = shared.wait_for_life_after(0);
    while answered(&mut device, &[], &mut life, shared).is_some() {}
    Ok(())
}

/// Lets somebody live beside the others; whoever fails ends it for all.
fn live(
    shared: &Arc<Shared>,
    life: impl FnOnce(&Shared) -> Result<()> + Send + 'static,
) -> JoinHandle<Result<()>> {
    let shared = shared.clone();
    std::thread::spawn(move || {
        let lived = life(&shared);
        if lived.is_err() {
            shared.over.store(true, Ordering::Relaxed);
            shared.changed.notify_all();
        }
        lived
    })
}

fn kills() -> u64 {
    number_from_environment("DAYBOOK_KILLS").unwrap_or(20)
}

fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// How long a server may take to be ready after a kill, with a database of 1 GiB.
const RECOVERY_MS_MAX: u128 = 3_000;

/// Characters of a visit that fills a database, drawn so that nothing makes them small, and visits of one push.
const FILLING_CHARS: usize = 4_000;
const FILLING_VISITS: usize = 16;

/// Makes the database so large, by visits that a rep pushes like any other.
fn fill(data: &Path, address: &str, mebibytes: u64, dice: &mut Dice) -> Result<()> {
    let file = server::store::SqliteStore::file_in(data);
    let mut device = RawDevice::login(address, "filler", dice.word())?;
    let (customer, _, mut items) = device.new_customer("Factory of long visits")?;
    while std::fs::metadata(&file)?.len() < mebibytes << 20 {
        let push = device.push(items);
        let answer = device.exchange(&[push])?;
        let is_accepted = |result: &ItemResult| matches!(result, ItemResult::Accepted(_));
        let is_taken = |frame: &ServerFrame| match frame {
            ServerFrame::Ack(ack) => ack.results.iter().all(is_accepted),
            _ => false,
        };
        ensure!(answer.iter().any(is_taken), "a visit was not taken");
        items = Vec::new();
        for _ in 0..FILLING_VISITS {
            let han = |dice: &mut Dice| char::from_u32(0x4e00 + dice.below(0x5000) as u32).unwrap_or('长');
            let record: String = (0..FILLING_CHARS).map(|_| han(dice)).collect();
            items.extend(device.new_visit(customer, &record)?.2);
        }
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
    for (name, role, team) in OTHERS {
        run(&["user", "add", name, "--role", role, "--team", team, "--data", path])?;
    }
    let address = free_address()?;
    let mut server = ServerProcess::start(&data, &address)?;
    let filled = number_from_environment("DAYBOOK_KILL_MIB");
    if let Some(mebibytes) = filled {
        fill(&data, &address, mebibytes, &mut dice)?;
    }
    let mut devices = Vec::new();
    for person in 0..PEOPLE {
        for _ in 0..DEVICES_OF_EACH {
            devices.push(RawDevice::login(&address, &format!("rep{person}"), dice.word())?);
        }
    }
    let shared = Arc::new(Shared::default());
    shared.begin_life();
    let mut reps: Vec<PersonId> = devices.iter().map(|device| device.person).collect();
    reps.dedup();
    let mut others = Vec::new();
    for name in ["desk", "other manager", "stranger"] {
        let mut device = RawDevice::login(&address, name, dice.word())?;
        device.tap = Some(shared.witness.tap(device.person));
        others.push(device);
    }
    let listeners = others.split_off(1);
    let desk_dice = dice.aside();
    let mut phones: Vec<_> = devices
        .into_iter()
        .map(|mut device| {
            device.tap = Some(shared.witness.tap(device.person));
            live(&shared, |shared| phone(device, shared))
        })
        .collect();
    phones.extend(others.into_iter().map(|device| {
        let (reps, dice) = (reps.clone(), desk_dice.clone());
        live(&shared, move |shared| desk(device, &reps, dice, shared))
    }));
    phones.extend(listeners.into_iter().map(|device| live(&shared, |shared| listener(device, shared))));
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
    ensure!(verdict.requests > 0, "the desk decided nothing");
    ensure!(verdict.canaries > 0, "nobody heard a canary");
    Ok(())
}
