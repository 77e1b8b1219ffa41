//! The store on a disk that forgets what was not synced: sixty acknowledged pushes, the power taken away before
//! every write and every sync, several times with another rest each, and again while the store recovers; then
//! every sync and writes failing, once and for ever. A rep writes and an assistant decides. `DAYBOOK_DISK`
//! multiplies the crashes of each place and makes every write fail, not one in some.

use std::collections::BTreeSet;

use daybook_tests::dice::Dice;
use daybook_tests::disk::vfs::Mounted;
use daybook_tests::disk::{Disk, Image, Kind as Failing, Plan, Replay, Told};
use daybook_tests::invariant::{check_requests, check_store};
use server::admission::InProcess;
use server::hub::{Administration, Hub, Identity, Output, SessionId, Transport, administer, verify};
use server::store::{DeviceRow, Lookup, SqliteStore, Store};
use shared::document::{Document, Kind, SCHEMA_VERSION, Writer};
use shared::edit::{Edit, Patch};
use shared::id::{ActorId, ChangeHash, DeviceId, DocId, IncarnationId, PersonId, RequestId, Scope};
use shared::ledger::{Command, Person, Role};
use shared::protocol::{
    ClientFrame, Hello, ItemResult, PROTOCOL_VERSION, PendingCounts, Push, PushItem, ServerFrame,
    decode_server_frame, encode,
};
use shared::refusal::Rule;
use shared::time::{Quality, Recorded, UtcMillis};

const FILE: &str = "daybook.sqlite3";
const NOW: UtcMillis = UtcMillis(1_795_305_600_000);
const REP: PersonId = PersonId([1; 16]);
/// To whom customers are lent.
const COLLEAGUE: PersonId = PersonId([4; 16]);
const ASSISTANT: PersonId = PersonId([5; 16]);
const PHONE: Identity = Identity { person: REP, device: DeviceId([2; 16]) };
const DESK: Identity = Identity { person: ASSISTANT, device: DeviceId([6; 16]) };
const PUSHES: u8 = 60;

/// Pages in the write-ahead log after which SQLite copies it into the database. Small, so that sixty pushes
/// see it happen often.
const CHECKPOINT_PAGES: i64 = 40;

/// One crash in so many is followed by a recovery, a push, and another crash.
const RECOVERY_ONE_IN: u64 = 5;

/// What was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Taken {
    Change(DocId, ChangeHash),
    Request(RequestId),
}

fn thoroughness() -> u64 {
    std::env::var("DAYBOOK_DISK").ok().and_then(|value| value.parse().ok()).unwrap_or(1)
}

/// Sixty pushes: a rep's new factory, a visit there, the visit edited; the assistant accepts the factory, lends it to a
/// colleague and takes it back; and so on.
fn pushes() -> Vec<Vec<PushItem>> {
    let recorded = Recorded { at: NOW, device: NOW, quality: Quality::Ok, offset_minutes: 480 };
    let writer = Writer { person: REP, actor: ActorId([3; 16]), recorded };
    let mut pushes = Vec::new();
    let mut last = None;
    for number in 0..PUSHES {
        let customer = DocId([number / 5 + 10; 16]);
        let request = |nth: u8, command: Command| PushItem::Request {
            id: RequestId([number, nth, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]),
            command,
            recorded,
        };
        let transfer = |to: PersonId| Command::Transfer { customer, to, reason: None };
        let fields =
            |key: &str| Patch::from([(key.to_owned(), format!("第{number}次 visit").as_str().into())]);
        let edit = match number % 5 {
            0 => {
                let mut fields = fields("name");
                fields.insert("contacts/0123456789abcdef/name".to_owned(), "赵经理".into());
                fields.insert("phones/0123456789abcdef/number".to_owned(), "0535-6388112".into());
                Edit::CreateCustomer { customer, fields }
            }
            3 => {
                pushes.push(vec![request(0, Command::Accept { customer })]);
                continue;
            }
            4 => {
                pushes.push(vec![request(0, transfer(COLLEAGUE)), request(1, transfer(REP))]);
                continue;
            }
            1 => Edit::CreateVisit { visit: DocId([number + 100; 16]), customer, fields: fields("record") },
            _ => Edit::EditVisit { visit: DocId([number + 99; 16]), fields: fields("purpose") },
        };
        let kind = if number % 5 == 0 { Kind::Customer } else { Kind::Visit };
        let changes = if edit.creates() {
            let (document, changes) = Document::create(&writer, &edit).expect("valid");
            last = Some(document);
            changes
        } else {
            last.as_mut().expect("made before").edit(&writer, &edit).expect("valid")
        };
        let scope = Scope::Customer(customer);
        let item = |bytes: Vec<u8>| PushItem::Change {
            doc: edit.doc(),
            kind,
            scope,
            change: bytes.into(),
            recorded,
        };
        pushes.push(changes.into_iter().map(|change| item(change.bytes)).collect());
    }
    pushes
}

fn taken(items: &[PushItem]) -> Vec<Taken> {
    let take = |item: &PushItem| match item {
        PushItem::Change { doc, change, .. } => {
            Some(Taken::Change(*doc, shared::wire::parse(change).ok()?.hash))
        }
        PushItem::Request { id, .. } => Some(Taken::Request(*id)),
        PushItem::Release { .. } => None,
    };
    items.iter().filter_map(take).collect()
}

/// How a run is driven.
#[derive(Clone, Copy)]
struct Rules {
    synchronous: &'static str,
}

const HONEST: Rules = Rules { synchronous: "FULL" };

fn open(mounted: &Mounted, rules: Rules, is_new: bool) -> Result<SqliteStore, String> {
    let connection = mounted.connect(FILE).map_err(|error| format!("connecting: {error}"))?;
    let incarnation = is_new.then_some(IncarnationId([9; 16]));
    let mut store =
        SqliteStore::over(connection, incarnation).map_err(|error| format!("opening: {error}"))?;
    store.connection().pragma_update(None, "synchronous", rules.synchronous).expect("a setting");
    store.connection().pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).expect("a setting");
    Ok(store)
}

/// A new store with two reps, the phone of one, and an assistant at a desk.
fn founded(mounted: &Mounted, rules: Rules) -> SqliteStore {
    let mut store = open(mounted, rules, true).expect("an empty disk");
    let person = |id: PersonId, name: &str, role: Role| Administration::SetPerson {
        person: Person { id, name: name.to_owned(), role, team: None, active: true },
        by: None,
    };
    let device = |identity: Identity| DeviceRow {
        id: identity.device,
        person: identity.person,
        label: String::new(),
        created_at: NOW,
        last_contact_at: None,
        pending: PendingCounts::default(),
        software: String::new(),
        revoked_at: None,
    };
    for command in [
        person(REP, "王", Role::Rep),
        person(COLLEAGUE, "陈", Role::Rep),
        person(ASSISTANT, "李", Role::Assistant),
        Administration::PutDevice(device(PHONE)),
        Administration::PutDevice(device(DESK)),
    ] {
        administer(&mut store, NOW, &command).expect("an empty organisation");
    }
    // The organisation is durable whatever the rules: what may be lost then is work.
    assert!(store.clear_log().expect("nobody reads"));
    store
}

/// The phone and the desk at a hub on a store.
struct Office {
    hub: Hub<SqliteStore>,
    batch: u64,
    /// Documents that the full server refused, passing: what builds on them cannot be there yet.
    missing: BTreeSet<DocId>,
}

const SESSIONS: [(SessionId, Identity); 2] = [(SessionId(1), PHONE), (SessionId(2), DESK)];

impl Office {
    fn begin(store: SqliteStore) -> Result<Office, String> {
        let mut hub = Hub::new(store).map_err(|error| format!("the hub: {error}"))?;
        let hello = ClientFrame::Hello(Hello {
            protocol: PROTOCOL_VERSION,
            schema: SCHEMA_VERSION,
            ticket: None,
            incarnation: None,
            cursor: None,
            pending: PendingCounts::default(),
            digest: None,
            software: String::new(),
        });
        for (session, identity) in SESSIONS {
            hub.handle_open(NOW, session, identity, Transport::Live);
            hub.handle_frame(NOW, session, &encode(&hello));
        }
        hub.settle(NOW, &mut InProcess);
        Ok(Office { hub, batch: 0, missing: BTreeSet::new() })
    }

    /// Pushes as a phone or the desk would and returns the answers. Anything but "stored" and "the server is full" is
    /// wrong.
    fn push(&mut self, items: &[PushItem]) -> Result<Vec<ItemResult>, String> {
        // Nobody decides about a customer that is not there to be seen.
        let is_unseen = |item: &PushItem| match item {
            PushItem::Request { command, .. } => self.missing.contains(&command.customer()),
            _ => false,
        };
        if items.iter().any(is_unseen) {
            return Ok(vec![ItemResult::Skipped; items.len()]);
        }
        let is_decision = items.iter().any(|item| matches!(item, PushItem::Request { .. }));
        let (session, _) = SESSIONS[usize::from(is_decision)];
        self.batch += 1;
        let push = ClientFrame::Push(Push { batch: self.batch, items: items.to_vec() });
        self.hub.handle_frame(NOW, session, &encode(&push));
        for output in self.hub.settle(NOW, &mut InProcess) {
            let Output::Send(_, frame) = output else { continue };
            if let Ok(ServerFrame::Ack(ack)) = decode_server_frame(&frame) {
                let mut is_fine = true;
                for (item, result) in items.iter().zip(&ack.results) {
                    is_fine &= self.is_fine(item, result);
                }
                return if is_fine { Ok(ack.results) } else { Err(format!("answered {:?}", ack.results)) };
            }
        }
        Err("a push was not answered".to_owned())
    }
}

impl Office {
    /// Whether an answer is one that a phone knows what to do with, and costs it nothing.
    fn is_fine(&mut self, item: &PushItem, result: &ItemResult) -> bool {
        let PushItem::Change { doc, scope, .. } = item else {
            return match result {
                ItemResult::Refused(refusal) => refusal.rule.is_passing(),
                ItemResult::Accepted(_) | ItemResult::Known(..) | ItemResult::Skipped => true,
                ItemResult::Held(_) => false,
            };
        };
        match result {
            ItemResult::Accepted(_) | ItemResult::Known(..) => {
                self.missing.remove(doc);
                true
            }
            ItemResult::Refused(refusal) => {
                let waits = |doc: &DocId| self.missing.contains(doc);
                let builds_on_it = waits(doc) || scope.customer().as_ref().is_some_and(waits);
                let is_consequence = matches!(refusal.rule, Rule::NotFound | Rule::SequenceGap);
                let is_fine = refusal.rule.is_passing() || (builds_on_it && is_consequence);
                self.missing.insert(*doc);
                is_fine
            }
            ItemResult::Skipped => true,
            ItemResult::Held(_) => false,
        }
    }
}

fn is_stored(results: &[ItemResult]) -> bool {
    results.iter().all(|result| matches!(result, ItemResult::Accepted(_) | ItemResult::Known(..)))
}

/// A run without failures: what the disk was asked, and from which step on each change was acknowledged.
struct Story {
    steps: Vec<daybook_tests::disk::Step>,
    /// Where the organisation stood.
    founded: usize,
    acknowledged: Vec<(usize, Taken)>,
}

fn story(name: &str, rules: Rules) -> Story {
    let mounted = Mounted::new(name, Disk::default());
    let store = founded(&mounted, rules);
    let founded = mounted.lock().steps.len();
    let mut office = Office::begin(store).expect("a new store");
    let mut acknowledged = Vec::new();
    for items in pushes() {
        let results = office.push(&items).expect("the disk is sound");
        assert!(is_stored(&results), "{results:?}");
        let at = mounted.lock().steps.len();
        acknowledged.extend(taken(&items).into_iter().map(|taken| (at, taken)));
    }
    let steps = mounted.lock().steps.clone();
    Story { steps, founded, acknowledged }
}

fn check(lookup: &dyn Lookup, expected: &BTreeSet<Taken>) -> Result<(), String> {
    let change = |taken: &Taken| match taken {
        Taken::Change(doc, hash) => Some((*doc, *hash)),
        Taken::Request(_) => None,
    };
    let request = |taken: &Taken| match taken {
        Taken::Request(id) => Some(*id),
        Taken::Change(..) => None,
    };
    check_requests(lookup, expected.iter().filter_map(request))?;
    check_store(lookup, expected.iter().filter_map(change)).map(drop)
}

/// Whether a store keeps what it acknowledged, is whole otherwise, and has no hole in its log.
fn examine(store: &mut SqliteStore, expected: &BTreeSet<Taken>) -> Result<(), String> {
    check(&store.lookup(), expected)?;
    let connection = store.connection();
    let number = |sql: &str| -> Result<i64, String> {
        connection.query_row(sql, [], |row| row.get(0)).map_err(|error| format!("reading: {error}"))
    };
    let places = number("SELECT (SELECT count(*) FROM changes) + (SELECT count(*) FROM events)")?;
    let head =
        number("SELECT max((SELECT max(seq) FROM events), coalesce((SELECT max(seq) FROM changes), 0))")?;
    if places != head {
        return Err(format!("{places} places in a log that ends at {head} (HUB-43)"));
    }
    let torn = number(
        "SELECT count(*) FROM documents d WHERE NOT EXISTS (SELECT 1 FROM snapshots WHERE doc = d.id)",
    )?;
    if torn > 0 {
        return Err(format!("{torn} documents without a snapshot"));
    }
    Ok(())
}

/// Opens what a crash left and looks at it.
fn look(name: &str, image: &Image, expected: &BTreeSet<Taken>, rules: Rules) -> Result<(), String> {
    let mounted = Mounted::new(name, Disk::holding(image.clone()));
    let mut store = open(&mounted, rules, false)?;
    examine(&mut store, expected)
}

/// Opens what a crash left, pushes on, and lets the power go again at some step of that. The store is whole each
/// time, inside its file too. Returns the number of steps that recovery had.
fn recover(
    name: &str,
    image: &Image,
    expected: &BTreeSet<Taken>,
    again: &[PushItem],
    dice: &mut Dice,
    rules: Rules,
) -> Result<u64, String> {
    let mounted = Mounted::new(name, Disk::holding(image.clone()));
    let store = open(&mounted, rules, false)?;
    check_file(&store)?;
    let mut office = Office::begin(store)?;
    let results = office.push(again)?;
    if !is_stored(&results) {
        return Err(format!("what was not acknowledged cannot be pushed again: {results:?}"));
    }
    let acknowledged_at = mounted.lock().steps.len();
    let mut store = office.hub.into_store();
    store.clear_log().map_err(|error| format!("a checkpoint: {error}"))?;
    drop(store);
    let steps = mounted.lock().steps.clone();
    drop(mounted);
    let place = dice.below(steps.len() as u64 + 1) as usize;
    let mut replay = Replay::of(image);
    steps[..place].iter().for_each(|step| replay.advance(step, dice));
    let mut expected = expected.clone();
    if place >= acknowledged_at {
        expected.extend(taken(again));
    }
    look(name, &replay.crash(dice), &expected, rules).map_err(|error| format!("the second time: {error}"))?;
    Ok(steps.len() as u64)
}

fn check_file(store: &SqliteStore) -> Result<(), String> {
    let damage = store.integrity().map_err(|error| format!("checking: {error}"))?;
    if damage.is_empty() { Ok(()) } else { Err(format!("damaged: {damage:?}")) }
}

/// Takes the power away at every step of a story, each time with several rests; of one in some the store then
/// recovers. Returns how many crashes and how many recoveries there were, or the first thing that was wrong.
fn crash_everywhere(
    name: &str,
    story: &Story,
    each: u64,
    rules: Rules,
    seed: u64,
) -> Result<(u64, u64), String> {
    let pushes = pushes();
    let mut dice = Dice::new(seed);
    let mut replay = Replay::default();
    story.steps[..story.founded].iter().for_each(|step| replay.advance(step, &mut dice));
    let mut expected = BTreeSet::new();
    let (mut acknowledged, mut crashes, mut recoveries) = (story.acknowledged.iter().peekable(), 0, 0);
    for place in story.founded..=story.steps.len() {
        while let Some((_, taken)) = acknowledged.next_if(|(at, _)| *at <= place) {
            expected.insert(*taken);
        }
        // The push that was on its way; at the end the last one, which is known.
        let is_open = |items: &&Vec<PushItem>| !taken(items).iter().all(|taken| expected.contains(taken));
        let again = pushes.iter().find(is_open).unwrap_or(&pushes[pushes.len() - 1]);
        for round in 0..each {
            let image = replay.crash(&mut dice);
            let mut outcome = look(name, &image, &expected, rules);
            if outcome.is_ok() && (crashes + round) % RECOVERY_ONE_IN == 0 {
                outcome = recover(name, &image, &expected, again, &mut dice, rules).map(|_| recoveries += 1);
            }
            outcome.map_err(|error| format!("power lost before step {place}, seed {seed}: {error}"))?;
        }
        crashes += each;
        if let Some(step) = story.steps.get(place) {
            replay.advance(step, &mut dice);
        }
    }
    Ok((crashes, recoveries))
}

// HUB-43, SIM-1, SIM-2, SIM-6, SIM-7, SIM-10: acknowledged is durable, wherever the power goes, and again while it recovers.
#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_goes() {
    let seed = 20_261_125;
    println!("seed {seed}");
    let story = story("power", HONEST);
    let places = story.steps.len() - story.founded;
    assert!(story.acknowledged.len() >= usize::from(PUSHES), "the workload was done");
    let (crashes, recoveries) = crash_everywhere("power again", &story, 2 * thoroughness(), HONEST, seed)
        .unwrap_or_else(|error| panic!("{error}"));
    println!("{places} places, {crashes} crashes, {recoveries} recoveries, each crashed again");
    assert!(places > 300 && crashes >= 2 * places as u64 && recoveries > 100, "too little was done");
}

/// The control: without a sync before the acknowledgement the same suite finds the loss.
// HUB-43
#[test]
fn the_same_suite_finds_what_a_store_without_full_syncs_loses() {
    let rules = Rules { synchronous: "NORMAL" };
    let story = story("normal", rules);
    let found = crash_everywhere("normal again", &story, 2, rules, 7);
    let error = found.expect_err("NORMAL acknowledges before anything is durable");
    assert!(error.contains("(I1)"), "{error}");
}

/// One run on a disk that fails by a plan; then it is well again, or the server starts anew on what is left.
fn fail(name: &str, plan: Plan, organisation: &Image, pushes: &[Vec<PushItem>]) -> Result<u64, String> {
    let mounted = Mounted::new(name, Disk::holding(organisation.clone()));
    let store = open(&mounted, HONEST, false)?;
    mounted.lock().plan(Some(plan));
    let mut office = Office::begin(store)?;
    let mut expected = BTreeSet::new();
    let mut refused = 0_usize;
    for items in pushes {
        if is_stored(&office.push(items)?) {
            expected.extend(taken(items));
        } else {
            refused += 1;
        }
    }
    let failed = mounted.lock().failed;
    mounted.lock().plan(None);
    let mut dice = Dice::new(plan.nth);
    let mut replay = Replay::of(organisation);
    mounted.lock().steps.iter().for_each(|step| replay.advance(step, &mut dice));
    let image = replay.crash(&mut dice);
    if plan.for_ever {
        // The process dies with its disk, and starts again on another.
        drop(office);
        drop(mounted);
        let healed = Mounted::new(name, Disk::holding(image));
        let mut store = open(&healed, HONEST, false)?;
        examine(&mut store, &expected)?;
        check_file(&store)?;
        push_all(&mut Office::begin(store)?, pushes)?;
    } else {
        // Before anything is pushed again, which would hide what was lost: as the process sees it, and as the disk holds it.
        check(&office.hub.store().lookup(), &expected)?;
        look(&format!("{name} once"), &image, &expected, HONEST)?;
        push_all(&mut office, pushes)?;
        let mut store = office.hub.into_store();
        examine(&mut store, &pushes.iter().flat_map(|items| taken(items)).collect())?;
        check_file(&store)?;
        if plan.nth == 1 {
            let found = verify(&store.lookup(), &mut InProcess).map_err(|error| error.to_string())?;
            if found.differences > 0 {
                return Err(format!("verify: {:?}", found.told));
            }
        }
    }
    if plan.for_ever && plan.nth == 1 && refused < pushes.len() {
        return Err(format!("a dead disk acknowledged {} pushes", pushes.len() - refused));
    }
    Ok(failed)
}

fn push_all(office: &mut Office, pushes: &[Vec<PushItem>]) -> Result<(), String> {
    for items in pushes {
        let results = office.push(items)?;
        if !is_stored(&results) {
            return Err(format!("on a sound disk: {results:?}"));
        }
    }
    Ok(())
}

/// Lets the n-th of a kind fail, for n from 1 in strides, until there is no n-th any more.
fn fail_each(name: &str, kind: Failing, stride: u64) -> u64 {
    let pushes = pushes();
    let organisation = {
        let mounted = Mounted::new(name, Disk::default());
        drop(founded(&mounted, HONEST));
        mounted.lock().image()
    };
    let mut failed = 0;
    for for_ever in [false, true] {
        for told in [Told::Error, Told::Full] {
            let mut nth = 1;
            loop {
                let plan = Plan { kind, nth, for_ever, told };
                match fail(name, plan, &organisation, &pushes) {
                    Ok(0) => break,
                    Ok(count) => failed += count,
                    Err(error) => panic!("{plan:?}: {error}"),
                }
                nth += stride;
            }
            assert!(nth > 60, "only {nth} of {kind:?}");
        }
    }
    failed
}

// HUB-42: a disk whose syncs fail refuses by name, passing; nothing acknowledged is lost; it goes on when it can.
#[test]
fn a_disk_that_fails_to_sync_refuses_and_loses_nothing() {
    let stride = if thoroughness() > 1 { 1 } else { 7 };
    println!("{} syncs failed", fail_each("sync fails", Failing::Sync, stride));
}

// HUB-42
#[test]
fn a_disk_that_fails_to_write_or_is_full_refuses_and_loses_nothing() {
    let stride = if thoroughness() > 1 { 1 } else { 211 };
    println!("{} writes failed", fail_each("write fails", Failing::Write, stride));
}
