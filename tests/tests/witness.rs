//! Whether the witness of loads and kills bites: a real server's honest store passes, and each thing that it must not have
//! done is told by its invariant.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use daybook_tests::load::{RawDevice, with_change};
use daybook_tests::process::{ServerProcess, free_address, run};
use daybook_tests::witness::Witness;
use server::store::SqliteStore;
use shared::edit::{Edit, Patch, Value};
use shared::id::{DocId, RequestId, Seq};
use shared::ledger::Command;
use shared::limits::SERVER_FRAME_BYTES_MAX;
use shared::protocol::{
    Ack, ClientFrame, Goodbye, ItemResult, Push, PushItem, ServerFrame, cut_sequence, encode,
};
use shared::refusal::{Refusal, Rule};
use shared::time::UtcMillis;
use tempfile::TempDir;

/// A stopped server at which two reps of two teams have each written a factory and a visit, all of it heard.
struct Scene {
    data: PathBuf,
    witness: Arc<Witness>,
    /// What the first rep's phone hears that fetches everything, and the other rep's phone.
    frames: Vec<u8>,
    stranger: RawDevice,
    /// What a phone of the stranger hears that fetches everything, and a customer that the stranger wrote, with its card.
    stranger_frames: Vec<u8>,
    customer: DocId,
    card: Vec<PushItem>,
    _folder: TempDir,
}

fn scene() -> Result<Scene> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let path = data.to_str().context("a temporary path is plain")?;
    run(&["init", "--data", path])?;
    let address = free_address()?;
    let witness = Arc::new(Witness::default());
    for (name, team) in [("rep", "north"), ("stranger", "south")] {
        run(&["user", "add", name, "--role", "rep", "--team", team, "--data", path])?;
    }
    let server = ServerProcess::start(&data, &address)?;
    let mut devices = Vec::new();
    let mut last = None;
    for (seed, name) in ["rep", "stranger"].into_iter().enumerate() {
        let mut device = RawDevice::login(&address, name, seed as u64)?;
        // Nobody hears how this card began, and everybody what was made of it.
        let (unheard, mut document, begun) = device.new_customer(&format!("Shop of {name}"))?;
        let push = device.push(begun.clone());
        device.exchange(&[push])?;
        device.tap = Some(witness.tap(device.person));
        let fields = Patch::from([("address".to_owned(), Value::Str("Harbour 1".to_owned()))]);
        let edit = Edit::EditCustomer { customer: unheard, fields };
        let edited = document.edit(&device.writer(), &edit)?.remove(0).bytes;
        let push = device.push(vec![with_change(&begun[0], edited)]);
        device.exchange(&[push])?;
        let (customer, _, card) = device.new_customer(&format!("Factory of {name}"))?;
        let visit = device.new_visit(customer, "pump 46")?.2;
        last = Some((customer, card.clone()));
        for items in [card, visit] {
            let push = device.push(items);
            device.exchange(&[push])?;
        }
        devices.push(device);
    }
    let stranger = devices.pop().context("two devices")?;
    let (status, frames) = devices[0].post(&encode(&devices[0].hello()))?;
    ensure!(status == 200, "the rep's phone is answered {status}");
    let (_, stranger_frames) = stranger.post(&encode(&stranger.hello()))?;
    server.stop()?;
    let (customer, card) = last.context("the stranger wrote one")?;
    Ok(Scene { data, witness, frames, stranger, stranger_frames, customer, card, _folder: folder })
}

fn spoil(data: &Path, sql: &str) -> Result<()> {
    let database = rusqlite::Connection::open(SqliteStore::file_in(data))?;
    ensure!(database.execute(sql, [])? > 0, "nothing was spoilt");
    Ok(())
}

// SIM-1, SIM-4, SIM-15
#[test]
fn honest_work_is_found_right() -> Result<()> {
    let scene = scene()?;
    let verdict = scene.witness.judge(&scene.data).map_err(anyhow::Error::msg)?;
    ensure!(verdict.acknowledged == 6, "two cards, two visits and two edits: {verdict:?}");
    ensure!(verdict.frames > 4 && verdict.told >= 2 && verdict.canaries == 2, "{verdict:?}");
    Ok(())
}

// SIM-1, SIM-2, SIM-6, SIM-7, SIM-15: each by the invariant that it breaks.
#[test]
fn what_a_store_lost_or_says_wrongly_is_told() -> Result<()> {
    for (sql, invariant) in [
        ("DELETE FROM changes WHERE seq = (SELECT max(seq) FROM changes)", "(I1)"),
        ("UPDATE documents SET heads = zeroblob(length(heads))", "(I2)"),
        ("DELETE FROM projections", "(I2)"),
        // Of no document.
        (
            "INSERT INTO changes SELECT 1000, zeroblob(16), hash, actor, actor_seq, max_op, device, person, \
             received, recorded, bytes FROM changes LIMIT 1",
            "(I2)",
        ),
        ("UPDATE people SET role = 1, name = 'another' WHERE name = 'rep'", "(I6)"),
        (
            "UPDATE customers SET record = CAST(replace(record, '\"provisional\":\"', '\"provisional\":\"X') AS BLOB)",
            "(I6)",
        ),
        ("UPDATE customers SET owner = (SELECT id FROM people WHERE id != owner)", "(I6)"),
        ("INSERT INTO codes SELECT 'A0001', 'A', 1, id FROM customers LIMIT 1", "(I6)"),
        // Late work of which no event tells.
        (
            "UPDATE customers SET record = CAST(replace(record, '\"late\":[]', '\"late\":[[1, {\"customer\":\"' || \
             (CAST(record AS TEXT) ->> 'customer') || '\", \"person\":\"' || (CAST(record AS TEXT) ->> 'customer') || '\", \"device\":\"' || \
             (CAST(record AS TEXT) ->> 'customer') || '\", \"doc\":null, \"recorded\":null, \"kind\":{\"type\":\"fact_before\"}, \
             \"state\":\"held\"}]]') AS BLOB)",
            "(I6)",
        ),
        ("UPDATE documents SET changes = 1000000", "(I9)"),
        (
            "UPDATE actors SET device = (SELECT id FROM devices WHERE id != device), \
             person = (SELECT id FROM people WHERE id != person)",
            "(I7)",
        ),
    ] {
        let scene = scene()?;
        spoil(&scene.data, sql)?;
        let violation = scene.witness.judge(&scene.data).err();
        ensure!(violation.as_ref().is_some_and(|told| told.contains(invariant)), "{sql}: {violation:?}");
    }
    Ok(())
}

// SIM-4
#[test]
fn what_reaches_a_stranger_is_told() -> Result<()> {
    let mut scene = scene()?;
    let tap = scene.stranger.tap.as_mut().context("it has a tap")?;
    cut_sequence(&scene.frames).context("frames")?.into_iter().for_each(|frame| tap.heard(frame));
    let violation = scene.witness.judge(&scene.data).err();
    ensure!(violation.as_ref().is_some_and(|told| told.contains("(I4)")), "{violation:?}");
    Ok(())
}

/// The answer to the only item of a push, as the stranger's device hears it.
fn answered(scene: &mut Scene, item: PushItem, result: ItemResult) -> Result<()> {
    let push = scene.stranger.push(vec![item]);
    let ClientFrame::Push(Push { batch, .. }) = &push else { unreachable!("it is a push") };
    let ack = Ack { batch: *batch, received: UtcMillis(0), results: vec![result] };
    let tap = scene.stranger.tap.as_mut().context("it has a tap")?;
    tap.sent(&encode(&push));
    tap.heard(&encode(&ServerFrame::Ack(ack)));
    Ok(())
}

fn ensure_told(scene: &Scene, invariant: &str) -> Result<()> {
    let violation = scene.witness.judge(&scene.data).err();
    ensure!(violation.as_ref().is_some_and(|told| told.contains(invariant)), "{violation:?}");
    Ok(())
}

fn a_request(scene: &Scene) -> PushItem {
    let (id, recorded) = (RequestId([7; 16]), scene.stranger.recorded());
    PushItem::Request { id, command: Command::Accept { customer: DocId([7; 16]) }, recorded }
}

// SIM-4: words alone, in a frame that names no scope.
#[test]
fn a_canary_that_reaches_a_stranger_is_told() -> Result<()> {
    let mut scene = scene()?;
    let refusal = Refusal::about(Rule::NotFound, "Factory of rep canary00000000".to_owned());
    let request = a_request(&scene);
    answered(&mut scene, request, ItemResult::Refused(refusal))?;
    ensure_told(&scene, "(I4)")
}

// SIM-1
#[test]
fn a_request_that_was_accepted_and_is_not_remembered_is_told() -> Result<()> {
    let mut scene = scene()?;
    let request = a_request(&scene);
    answered(&mut scene, request, ItemResult::Accepted(Seq(1)))?;
    ensure_told(&scene, "(I1)")?;
    ensure!(scene.witness.judge_acknowledged(&scene.data).is_err(), "it passed while the server runs");
    Ok(())
}

// SIM-2
#[test]
fn what_is_no_change_and_was_accepted_is_told() -> Result<()> {
    let mut scene = scene()?;
    let item = scene.stranger.new_visit(DocId([7; 16]), "pump 46")?.2.remove(0);
    answered(&mut scene, with_change(&item, b"no change".to_vec()), ItemResult::Accepted(Seq(1)))?;
    ensure_told(&scene, "(I2)")
}

// LED-22: nobody took a customer from the stranger.
#[test]
fn an_owner_who_is_taken_for_a_former_one_is_told() -> Result<()> {
    let mut scene = scene()?;
    let item = scene.stranger.new_visit(scene.customer, "pump 46")?.2.remove(0);
    answered(&mut scene, item, ItemResult::Refused(Rule::Transferred.into()))?;
    ensure_told(&scene, "(I6)")
}

// SIM-4: a grant ends with the commit, and not with the next page.
#[test]
fn what_reaches_a_former_owner_after_the_transfer_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let path = data.to_str().context("a temporary path is plain")?;
    run(&["init", "--data", path])?;
    let address = free_address()?;
    for (name, role) in [("rep", "rep"), ("heir", "rep"), ("desk", "assistant")] {
        run(&["user", "add", name, "--role", role, "--team", "north", "--data", path])?;
    }
    let server = ServerProcess::start(&data, &address)?;
    let witness = Arc::new(Witness::default());
    let mut devices = Vec::new();
    for (seed, name) in ["rep", "heir", "desk"].into_iter().enumerate() {
        let mut device = RawDevice::login(&address, name, seed as u64)?;
        device.tap = Some(witness.tap(device.person));
        devices.push(device);
    }
    let [rep, heir, desk] = &mut devices[..] else { unreachable!("there are three") };
    let (customer, _, card) = rep.new_customer("Factory of both")?;
    let push = rep.push(card);
    rep.exchange(&[push])?;
    // What is on its way while the customer is moved.
    let before = rep.post(&encode(&rep.hello()))?.1;
    let command = Command::Transfer { customer, to: heir.person, reason: None };
    let (id, recorded) = (desk.entropy.request_id(), desk.recorded());
    let push = desk.push(vec![PushItem::Request { id, command, recorded }]);
    desk.exchange(&[push])?;
    // The former owner's phone is told that it was moved, by name, and has more to say of it.
    let visit = rep.new_visit(customer, "pump 46")?.2;
    let push = rep.push(visit);
    rep.exchange(&[push])?;
    let after = heir.post(&encode(&heir.hello()))?.1;
    server.stop()?;
    let tap = rep.tap.as_mut().context("it has a tap")?;
    cut_sequence(&before).context("frames")?.into_iter().for_each(|frame| tap.heard(frame));
    let verdict = witness.judge(&data).map_err(anyhow::Error::msg)?;
    ensure!(verdict.requests == 1 && verdict.canaries >= 1, "{verdict:?}");
    cut_sequence(&after).context("frames")?.into_iter().for_each(|frame| tap.heard(frame));
    let violation = witness.judge(&data).err();
    ensure!(violation.as_ref().is_some_and(|told| told.contains("(I4)")), "{violation:?}");
    Ok(())
}

// SIM-5: an answer to what it sent, a page of a later commit, anything after the goodbye.
#[test]
fn what_reaches_a_revoked_device_is_told() -> Result<()> {
    let mut scene = scene()?;
    let pages = scene.stranger_frames.clone();
    let tap = scene.stranger.tap.as_mut().context("it has a tap")?;
    tap.revoke(Seq(u64::MAX));
    cut_sequence(&pages).context("frames")?.into_iter().for_each(|frame| tap.heard(frame));
    tap.heard(&encode(&ServerFrame::Goodbye(Goodbye::Revoked)));
    scene.witness.judge(&scene.data).map_err(anyhow::Error::msg)?;
    let tap = scene.stranger.tap.as_mut().context("it has a tap")?;
    tap.heard(&encode(&ServerFrame::Pong(UtcMillis(0))));
    ensure_told(&scene, "(I5)")?;

    let mut scene = self::scene()?;
    let pages = scene.stranger_frames.clone();
    let tap = scene.stranger.tap.as_mut().context("it has a tap")?;
    tap.revoke(Seq(1));
    cut_sequence(&pages).context("frames")?.into_iter().for_each(|frame| tap.heard(frame));
    ensure_told(&scene, "(I5)")?;

    let mut scene = self::scene()?;
    scene.stranger.tap.as_mut().context("it has a tap")?.revoke(Seq(u64::MAX));
    let request = a_request(&scene);
    answered(&mut scene, request, ItemResult::Refused(Rule::NotFound.into()))?;
    ensure_told(&scene, "(I5)")
}

// SIM-5
#[test]
fn what_a_revoked_device_sent_and_was_merged_is_told() -> Result<()> {
    let mut scene = scene()?;
    let push = encode(&ClientFrame::Push(Push { batch: 99, items: scene.card.clone() }));
    let tap = scene.stranger.tap.as_mut().context("it has a tap")?;
    tap.revoke(Seq(u64::MAX));
    tap.sent(&push);
    ensure_told(&scene, "(I5)")
}

// SIM-10: a change that nobody heard acknowledged is gone, and another builds on it.
#[test]
fn a_hole_in_the_log_is_told() -> Result<()> {
    let scene = scene()?;
    let edited = "SELECT id FROM documents WHERE changes = 2";
    spoil(&scene.data, &format!("DELETE FROM changes WHERE actor_seq = 1 AND doc IN ({edited})"))?;
    ensure_told(&scene, "(I10)")
}

// SIM-15
#[test]
fn a_frame_that_is_none_or_too_long_is_told() -> Result<()> {
    for bytes in [b"no frame".to_vec(), vec![0; SERVER_FRAME_BYTES_MAX + 1]] {
        let mut scene = scene()?;
        scene.stranger.tap.as_mut().context("it has a tap")?.heard(&bytes);
        ensure!(scene.witness.judge_acknowledged(&scene.data).is_err(), "it passed while the server runs");
        ensure_told(&scene, if bytes.len() > SERVER_FRAME_BYTES_MAX { "(I9)" } else { "nonsense" })?;
    }
    Ok(())
}
