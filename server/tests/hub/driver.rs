//! The hub's thread with worker processes, readers and a file: many phones at once.

use std::time::{Duration, Instant};

use server::admission::{PoolOptions, WORKER_COMMAND, WorkerPool};
use server::hub::{Administration, HubHandle, HubThread, Identity, Outgoing, Session, Transport, administer};
use server::store::{DeviceRow, SqliteStore};
use shared::document::{Document, Kind, Writer};
use shared::edit::Edit;
use shared::entropy::Entropy;
use shared::id::{ActorId, DocId, IncarnationId, Scope};
use shared::ledger::{Person, Role};
use shared::protocol::*;
use shared::time::UtcMillis;

use crate::world::{START, patch, recorded};

const PHONES: usize = 50;

struct Office {
    handle: HubHandle,
    thread: HubThread,
    _folder: tempfile::TempDir,
    identities: Vec<Identity>,
    actors: Vec<ActorId>,
}

fn office(people: usize) -> Office {
    let folder = tempfile::tempdir().expect("a folder");
    let mut entropy = Entropy::from_seed([3; 32]);
    let mut store = SqliteStore::create(folder.path(), IncarnationId([1; 16])).expect("creates");
    let now = UtcMillis(START);
    let mut identities = Vec::new();
    for number in 0..people {
        let name = format!("rep {number}");
        let person = Person { id: entropy.person_id(), name, role: Role::Rep, team: None, active: true };
        let identity = Identity { person: person.id, device: entropy.device_id() };
        administer(&mut store, now, &Administration::SetPerson { person, by: None }).expect("new");
        let device = DeviceRow {
            id: identity.device,
            person: identity.person,
            label: String::new(),
            created_at: now,
            last_contact_at: None,
            pending: PendingCounts::default(),
            software: String::new(),
            revoked_at: None,
        };
        administer(&mut store, now, &Administration::PutDevice(device)).expect("new");
        identities.push(identity);
    }
    let actors = (0..people).map(|_| entropy.actor_id()).collect();
    let options = PoolOptions {
        program: env!("CARGO_BIN_EXE_daybook").into(),
        arguments: vec![WORKER_COMMAND.to_owned()],
        environment: Vec::new(),
        workers: 2,
        time_limit: Duration::from_secs(20),
    };
    let (handle, thread) =
        HubHandle::start(store, WorkerPool::new(options).expect("starts")).expect("starts");
    Office { handle, thread, _folder: folder, identities, actors }
}

fn hello() -> Vec<u8> {
    encode(&ClientFrame::Hello(Hello {
        protocol: PROTOCOL_VERSION,
        schema: 1,
        ticket: None,
        incarnation: None,
        cursor: None,
        pending: PendingCounts::default(),
        digest: None,
        software: "test/1".to_owned(),
    }))
}

/// Pushes as a phone would: one at a time. Returns the answers; pages are taken and forgotten.
async fn push(session: &mut Session, batch: u64, items: Vec<PushItem>) -> Vec<ItemResult> {
    session.submit(encode(&ClientFrame::Push(Push { batch, items }))).await.expect("the hub runs");
    loop {
        match session.receive().await.expect("the hub runs") {
            Outgoing::Page(_) => session.flushed(),
            Outgoing::Frame(bytes) => {
                if let ServerFrame::Ack(ack) = decode_server_frame(&bytes).expect("the protocol") {
                    assert_eq!(ack.batch, batch, "SYNC-4");
                    return ack.results;
                }
            }
            Outgoing::Offences(count) => panic!("{count} offences"),
            Outgoing::Goodbye(why) => panic!("{why:?}"),
        }
    }
}

fn created(
    identity: Identity,
    actor: ActorId,
    edit: &Edit,
    kind: Kind,
    customer: DocId,
) -> (Document, Vec<PushItem>) {
    let recorded = recorded(UtcMillis(START));
    let writer = Writer { person: identity.person, actor, recorded };
    let (document, changes) = Document::create(&writer, edit).expect("valid");
    let scope = Scope::Customer(customer);
    let items = changes
        .into_iter()
        .map(|change| PushItem::Change {
            doc: edit.doc(),
            kind,
            scope,
            change: change.bytes.into(),
            recorded,
        })
        .collect();
    (document, items)
}

/// HUB-47: phones that push one change at a time share commits; each hears of its own, and all is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_phones_share_their_commits() {
    let office = office(PHONES);
    let rounds: u64 = std::env::var("DAYBOOK_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let began = Instant::now();
    let mut phones = Vec::new();
    for (number, identity) in office.identities.iter().enumerate() {
        let (handle, identity, actor) = (office.handle.clone(), *identity, office.actors[number]);
        phones.push(tokio::spawn(async move {
            let mut session = handle.open(identity, Transport::Live).expect("opens");
            session.submit(hello()).await.expect("the hub runs");
            let customer = DocId([number as u8 + 1; 16]);
            let edit = Edit::CreateCustomer { customer, fields: patch([("name", "厂")]) };
            let (_, items) = created(identity, actor, &edit, Kind::Customer, customer);
            let mut waits = Vec::new();
            assert!(matches!(push(&mut session, 0, items).await[..], [ItemResult::Accepted(_)]));
            for round in 1..=rounds {
                let mut visit = [number as u8 + 1; 16];
                visit[8..].copy_from_slice(&round.to_be_bytes());
                let fields = patch([("record", "谈了46#液压油，客户要求周五前报价")]);
                let edit = Edit::CreateVisit { visit: DocId(visit), customer, fields };
                let (_, items) = created(identity, actor, &edit, Kind::Visit, customer);
                let sent = Instant::now();
                let results = push(&mut session, round, items).await;
                assert!(matches!(results[..], [ItemResult::Accepted(_)]), "{results:?}");
                waits.push(sent.elapsed());
            }
            waits
        }));
    }
    let mut waits = Vec::new();
    for phone in phones {
        waits.extend(phone.await.expect("no phone fails"));
    }
    waits.sort_unstable();
    let stats = office.handle.stats();
    let changes = PHONES as u64 * (rounds + 1);
    let rate = changes as f64 / began.elapsed().as_secs_f64();
    println!("{rate:.0} changes/s, p99 {:?}, {} commits", waits[waits.len() * 99 / 100], stats.commits);
    for (thread, ms) in processor_times() {
        println!("{thread}: {ms} ms of processor, {:.0} µs a change", ms as f64 * 1e3 / changes as f64);
    }
    let count: u64 = office
        .handle
        .readers()
        .with(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM changes", [], |row| row.get::<_, i64>(0))?)
        })
        .expect("reads") as u64;
    assert_eq!(count, changes);
    assert!(stats.commits < changes, "{} commits for {changes} changes", stats.commits);
    office.thread.stop();
}

/// Processor time of this process's threads of the hub: wall time says little on a busy machine.
fn processor_times() -> Vec<(String, u64)> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter_map(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?.trim().to_owned();
            let times = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            let nanoseconds: u64 = times.split_whitespace().next()?.parse().ok()?;
            Some((name, nanoseconds / 1_000_000))
        })
        .filter(|(name, _)| ["hub", "feed-", "admission"].iter().any(|part| name.starts_with(part)))
        .collect()
}

/// SYNC-6: over HTTP the frames of one request are served in order, and a pull sees the push before it.
#[tokio::test]
async fn one_request_is_served_frame_by_frame() {
    let office = office(1);
    let (identity, actor) = (office.identities[0], office.actors[0]);
    let customer = DocId([9; 16]);
    let edit = Edit::CreateCustomer { customer, fields: patch([("name", "厂")]) };
    let (_, items) = created(identity, actor, &edit, Kind::Customer, customer);
    let frames = vec![
        hello(),
        encode(&ClientFrame::Push(Push { batch: 1, items })),
        encode(&ClientFrame::Pull(Cursor(vec![].into()))),
    ];
    let answers = office.handle.exchange(identity, frames).await.expect("the hub runs").answers;
    let answers: Vec<_> =
        answers.iter().map(|bytes| decode_server_frame(bytes).expect("the protocol")).collect();
    let [ServerFrame::Welcome(_), ServerFrame::Page(_), ServerFrame::Ack(ack), ServerFrame::Page(page)] =
        &answers[..]
    else {
        panic!("{answers:?}")
    };
    assert!(matches!(ack.results[..], [ItemResult::Accepted(_)]));
    let items = page.items.clone().unpack().expect("well formed");
    assert!(items.iter().any(|item| matches!(item, Item::Snapshot { doc, .. } if *doc == customer)));
    // A copy that differs is told of in the same exchange, before the page.
    let mut again = Hello {
        protocol: PROTOCOL_VERSION,
        schema: 1,
        ticket: None,
        incarnation: Some(office.handle.incarnation()),
        cursor: Some(page.cursor.clone()),
        pending: PendingCounts::default(),
        digest: Some(Digest(1)),
        software: "test/1".to_owned(),
    };
    let ping = encode(&ClientFrame::Ping(PendingCounts::default(), None));
    let frames = vec![encode(&ClientFrame::Hello(again.clone())), ping];
    let answers = office.handle.exchange(identity, frames).await.expect("the hub runs").answers;
    let answers: Vec<_> =
        answers.iter().map(|bytes| decode_server_frame(bytes).expect("the protocol")).collect();
    let expected = |answers: &[ServerFrame]| {
        matches!(
            answers,
            [ServerFrame::Welcome(_), ServerFrame::WantDigests, ServerFrame::Page(_), ServerFrame::Pong(_)]
        )
    };
    assert!(expected(&answers), "{answers:?}");
    again.digest = None;
    let digests = encode(&ClientFrame::Digests(vec![(Scope::Customer(customer), Digest(1))]));
    let frames = vec![encode(&ClientFrame::Hello(again)), digests];
    let answers = office.handle.exchange(identity, frames).await.expect("the hub runs").answers;
    let Ok(ServerFrame::Page(repaired)) = decode_server_frame(answers.last().expect("a page")) else {
        panic!("a page")
    };
    let items = repaired.items.unpack().expect("well formed");
    assert!(items.iter().any(|item| matches!(item, Item::Snapshot { doc, .. } if *doc == customer)));
    // What is out of order is answered by a goodbye, and the rest is not served.
    let wrong = office
        .handle
        .exchange(identity, vec![hello(), hello(), hello()])
        .await
        .expect("the hub runs")
        .answers;
    let last = decode_server_frame(wrong.last().expect("a goodbye")).expect("the protocol");
    assert_eq!(last, ServerFrame::Goodbye(Goodbye::Malformed));
    assert_eq!(wrong.len(), 3);
    office.thread.stop();
}

/// SYNC-5: a device that asks and reads nothing costs one channel: then its session ends, and others go on.
#[tokio::test]
async fn a_device_that_does_not_read_its_answers_is_let_go() {
    let office = office(2);
    let mut deaf = office.handle.open(office.identities[0], Transport::Live).expect("opens");
    let ping = encode(&ClientFrame::Ping(PendingCounts::default(), None));
    deaf.submit(hello()).await.expect("the hub runs");
    for _ in 0..200 {
        deaf.submit(ping.clone()).await.expect("the hub runs");
    }
    let mut other = office.handle.open(office.identities[1], Transport::Live).expect("opens");
    other.submit(hello()).await.expect("the hub runs");
    assert!(matches!(other.receive().await, Some(Outgoing::Frame(_))));
    let mut waiting = 0;
    while deaf.receive().await.is_some() {
        waiting += 1;
    }
    assert!((1..=32).contains(&waiting), "{waiting} answers waited for it");
    drop(other);
    office.thread.stop();
}

/// SEC-13: when the hub stops, what it took in is durable and answered, and sockets hear why.
#[tokio::test]
async fn a_stopping_hub_says_goodbye() {
    let office = office(1);
    let mut session = office.handle.open(office.identities[0], Transport::Live).expect("opens");
    session.submit(hello()).await.expect("the hub runs");
    let thread = office.thread;
    let stopping = tokio::task::spawn_blocking(move || thread.stop());
    let mut heard = None;
    while let Some(outgoing) = session.receive().await {
        if let Outgoing::Goodbye(why) = outgoing {
            heard = Some(why);
        }
    }
    stopping.await.expect("stops");
    assert_eq!(heard, Some(Goodbye::ShuttingDown));
    assert!(office.handle.open(office.identities[0], Transport::Live).is_err());
}
