//! What no honest phone sends, over the wire to a real server: each is answered by a named refusal or the
//! end of the connection, the process lives, and the next honest phone notices nothing.

use anyhow::{Context, Result, bail, ensure};
use automerge::transaction::Transactable;
use automerge::{AutoCommit, ObjType, ROOT};
use daybook_tests::chunk::{self, Body};
use daybook_tests::dice::Dice;
use daybook_tests::load::{RawDevice, with_change};
use daybook_tests::process::{ServerProcess, free_address, run};
use shared::document::{Document, Kind};
use shared::edit::{Edit, Patch, Value};
use shared::id::{DocId, Scope};
use shared::protocol::{
    ClientFrame, Cursor, Digest, Goodbye, ItemResult, PendingCounts, PushItem, ServerFrame, encode,
};
use shared::refusal::Rule;
use tempfile::TempDir;

/// A server with a rep who is attacked, and one who attacks.
struct Scene {
    server: ServerProcess,
    victim: RawDevice,
    stranger: RawDevice,
    _folder: TempDir,
}

impl Scene {
    fn set() -> Result<Scene> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let path = data.to_str().context("a temporary path is plain")?;
        run(&["init", "--data", path])?;
        for (name, team) in [("victim", "north"), ("stranger", "south")] {
            run(&["user", "add", name, "--role", "rep", "--team", team, "--data", path])?;
        }
        let address = free_address()?;
        let server = ServerProcess::start(&data, &address)?;
        let victim = RawDevice::login(&address, "victim", 1)?;
        let stranger = RawDevice::login(&address, "stranger", 2)?;
        Ok(Scene { server, victim, stranger, _folder: folder })
    }

    /// An honest phone still gets its work through.
    fn honest_work_passes(&mut self) -> Result<()> {
        ensure!(self.server.is_running()?, "the server died");
        let (_, _, items) = self.victim.new_customer("Honest Works")?;
        let results = push(&mut self.victim, items)?;
        ensure!(results.iter().all(|result| matches!(result, ItemResult::Accepted(_))), "{results:?}");
        Ok(())
    }
}

/// Pushes items and returns the results.
fn push(device: &mut RawDevice, items: Vec<PushItem>) -> Result<Vec<ItemResult>> {
    let frame = device.push(items);
    let frames = device.exchange(&[frame])?;
    let ack = frames.iter().find_map(|frame| match frame {
        ServerFrame::Ack(ack) => Some(ack.results.clone()),
        _ => None,
    });
    ack.with_context(|| format!("no acknowledgement in {frames:?}"))
}

/// Pushes one item and returns the rule that refused it.
fn rule(device: &mut RawDevice, item: PushItem) -> Result<Rule> {
    match push(device, vec![item])?.as_slice() {
        [ItemResult::Refused(refusal)] => Ok(refusal.rule),
        other => bail!("not refused: {other:?}"),
    }
}

fn change(doc: DocId, kind: Kind, scope: Scope, bytes: Vec<u8>, device: &RawDevice) -> PushItem {
    PushItem::Change { doc, kind, scope, change: bytes.into(), recorded: device.recorded() }
}

fn bytes_of(item: &PushItem) -> &[u8] {
    match item {
        PushItem::Change { change, .. } => change.as_slice(),
        _ => &[],
    }
}

/// A document made with Automerge itself, past all rules of ours; its one change.
fn foreign_change(device: &RawDevice, write: impl FnOnce(&mut AutoCommit)) -> Vec<u8> {
    let mut document = AutoCommit::new();
    document.set_author(Some(automerge::Author::from(device.person.0.to_vec())));
    document.set_actor(automerge::ActorId::from(&device.actor.0[..]));
    write(&mut document);
    document.commit_with(automerge::transaction::CommitOptions::default().with_time(1_795_305_600_000));
    document.get_changes(&[]).first().map(|change| change.raw_bytes().to_vec()).unwrap_or_default()
}

// WIRE, ADM, SYNC: each is refused by its own rule, and the work after it passes.
#[test]
fn a_forged_change_is_refused_by_the_rule_that_it_breaks() -> Result<()> {
    let mut scene = Scene::set()?;
    let (customer, document, items) = scene.victim.new_customer("Works")?;
    let first = items[0].clone();
    ensure!(matches!(push(&mut scene.victim, items)?[..], [ItemResult::Accepted(_)]), "the first is honest");
    let scope = Scope::Customer(customer);

    // Another document of the victim's own to try forgeries on: nothing of it is stored yet.
    let victim = &mut scene.victim;
    let (_, _, fresh) = victim.new_customer("Fresh")?;
    let fresh = fresh[0].clone();
    let body = Body::of(bytes_of(&fresh)).context("a change")?;

    let absurd = Body { start_op: u64::MAX >> 12, ..body.clone() }.to_chunk();
    ensure!(rule(victim, with_change(&fresh, absurd))? == Rule::StartOpAbsurd, "absurd start_op");
    let gap = Body { seq: 3, ..body.clone() }.to_chunk();
    let refused = rule(victim, with_change(&fresh, gap))?;
    ensure!(matches!(refused, Rule::SequenceGap | Rule::AuthorForeign), "gap in seq: {refused:?}");
    let packed = chunk::compressed(bytes_of(&fresh)).context("deflates")?;
    ensure!(rule(victim, with_change(&fresh, packed))? == Rule::ChunkKindForbidden, "compressed chunk");
    let saved = {
        Document::load(&{
            let mut d = document;
            d.save()
        })?
        .save()
    };
    ensure!(rule(victim, with_change(&fresh, saved))? == Rule::ChunkKindForbidden, "document chunk");
    let mut flipped = bytes_of(&fresh).to_vec();
    flipped[20] ^= 1;
    ensure!(rule(victim, with_change(&fresh, flipped))? == Rule::ChangeMalformed, "checksum");
    ensure!(rule(victim, with_change(&fresh, Vec::new()))? == Rule::ChangeMalformed, "nothing");
    let long = vec![0x85; 70_000];
    ensure!(rule(victim, with_change(&fresh, long))? == Rule::ChangeTooLarge, "too long");

    // Unknown dependencies: the second change of a document whose first never arrived.
    let (unsent, mut unsent_document, unsent_items) = victim.new_customer("Unsent")?;
    let writer = shared::document::Writer { actor: victim.entropy.actor_id(), ..victim.writer() };
    let fields = Patch::from([("address".to_owned(), Value::Str("nowhere".to_owned()))]);
    let second = unsent_document.edit(&writer, &Edit::EditCustomer { customer: unsent, fields })?;
    let orphan = with_change(&unsent_items[0], second[0].bytes.clone());
    let refused = rule(victim, orphan)?;
    ensure!(matches!(refused, Rule::DependencyUnknown | Rule::NotFound), "orphan: {refused:?}");

    // Schema: an unknown key, a wrong type, a wrong kind, too deep.
    let header = |document: &mut AutoCommit| {
        document.put(ROOT, "kind", "customer").expect("plain");
        document.put(ROOT, "schema", 1).expect("plain");
    };
    let doc = victim.entropy.doc_id();
    let own = Scope::Customer(doc);
    for (what, bytes) in [
        (
            "unknown key",
            foreign_change(victim, |d| {
                header(d);
                d.put(ROOT, "salary", "1000").expect("plain");
            }),
        ),
        (
            "wrong type",
            foreign_change(victim, |d| {
                header(d);
                d.put(ROOT, "name", 7).expect("plain");
            }),
        ),
        (
            "wrong kind",
            foreign_change(victim, |d| {
                d.put(ROOT, "kind", "wallet").expect("plain");
            }),
        ),
        (
            "counter",
            foreign_change(victim, |d| {
                header(d);
                d.put(ROOT, "name", automerge::ScalarValue::counter(1)).expect("plain");
            }),
        ),
        (
            "list",
            foreign_change(victim, |d| {
                header(d);
                d.put_object(ROOT, "name", ObjType::List).expect("plain");
            }),
        ),
        (
            "too deep",
            foreign_change(victim, |d| {
                header(d);
                let mut at = ROOT;
                for _ in 0..12 {
                    at = d.put_object(&at, "contacts", ObjType::Map).expect("plain");
                }
            }),
        ),
    ] {
        let refused = rule(victim, change(doc, Kind::Customer, own, bytes, victim))?;
        ensure!(refused == Rule::SchemaViolated, "{what}: {refused:?}");
    }

    // By another's actor; by another's author; into another's scope, which looks like one that is not there.
    let stranger = &mut scene.stranger;
    ensure!(
        matches!(rule(stranger, first)?, Rule::NotFound | Rule::ActorForeign),
        "a stranger repeats what was overheard"
    );
    let own_actor = std::mem::replace(&mut stranger.actor, scene.victim.actor);
    let (_, _, items) = stranger.new_customer("Stolen")?;
    ensure!(rule(stranger, items[0].clone())? == Rule::ActorForeign, "another's actor");
    stranger.actor = own_actor;
    let own_person = std::mem::replace(&mut stranger.person, scene.victim.person);
    let (_, _, items) = stranger.new_customer("Forged")?;
    ensure!(rule(stranger, items[0].clone())? == Rule::AuthorForeign, "another's author");
    stranger.person = own_person;
    let nowhere = stranger.entropy.doc_id();
    let (_, _, into_nothing) = stranger.new_visit(nowhere, "to nobody")?;
    let (_, _, into_anothers) = stranger.new_visit(customer, "to somebody else's customer")?;
    let (nothing, anothers) =
        (rule(stranger, into_nothing[0].clone())?, rule(stranger, into_anothers[0].clone())?);
    ensure!(nothing == anothers, "a scope without a grant is told apart: {nothing:?} and {anothers:?}");
    ensure!(nothing == Rule::NotFound, "{nothing:?}");

    // The victim's card holds nothing of all this.
    let fields = Patch::from([("address".to_owned(), Value::Str("here".to_owned()))]);
    let _ = (scope, fields);
    scene.honest_work_passes()
}

// SYNC-2
#[test]
fn frames_that_are_none_end_the_exchange_and_nothing_else() -> Result<()> {
    let seed = 7;
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let mut scene = Scene::set()?;
    let (_, _, items) = scene.stranger.new_customer("Stranger's own")?;
    let honest = {
        let frame = scene.stranger.push(items);
        let mut body = encode(&scene.stranger.hello());
        body.extend(encode(&frame));
        body
    };
    let mut bodies: Vec<Vec<u8>> =
        vec![Vec::new(), vec![0x9f], vec![0x5b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]];
    bodies.push(vec![0x81; 200_000]);
    bodies.push(vec![0; 300 * 1024]);
    for _ in 0..60 {
        let mut body = honest.clone();
        match dice.below(3) {
            0 => body.truncate(dice.below(honest.len() as u64) as usize),
            1 => (0..8).for_each(|_| body[dice.below(honest.len() as u64) as usize] = dice.word() as u8),
            _ => body = (0..dice.between(1, 2_000)).map(|_| dice.word() as u8).collect(),
        }
        bodies.push(body);
    }
    for body in &bodies {
        let (status, _) = scene.stranger.post(body)?;
        ensure!(status < 500, "{status} for {} bytes", body.len());
    }
    scene.honest_work_passes()
}

// SYNC, SIM-4
#[test]
fn a_forged_cursor_or_digest_shows_nothing_that_the_person_may_not_see() -> Result<()> {
    let seed = 9;
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let mut scene = Scene::set()?;
    let (customer, _, items) = scene.victim.new_customer("Secret canary0000 Works")?;
    push(&mut scene.victim, items)?;
    let (_, _, items) = scene.victim.new_visit(customer, "canary0000 said so")?;
    push(&mut scene.victim, items)?;
    for round in 0..40 {
        let cursor: Vec<u8> = (0..dice.between(0, 60)).map(|_| dice.word() as u8).collect();
        let frame = match round % 3 {
            0 => ClientFrame::Pull(Cursor(cursor.into())),
            1 => ClientFrame::Digests(vec![(Scope::Customer(customer), Digest(dice.word()))]),
            _ => ClientFrame::Ping(
                PendingCounts { edits: u32::MAX, photos: 7, refused: 0 },
                Some(Digest(dice.word())),
            ),
        };
        for frame in scene.stranger.exchange(&[frame])? {
            let words = match frame {
                ServerFrame::Page(page) => encode(&page.items.unpack()?),
                ServerFrame::Goodbye(why) => {
                    ensure!(why == Goodbye::Malformed, "{why:?}");
                    Vec::new()
                }
                other => encode(&other),
            };
            ensure!(
                !words.windows(6).any(|window| window == b"canary"),
                "a stranger reads the victim's words"
            );
        }
    }
    scene.honest_work_passes()
}
