//! Whether the witness of loads and kills bites: a real server's honest store passes, and each thing that it must not have
//! done is told by its invariant.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use daybook_tests::load::RawDevice;
use daybook_tests::process::{ServerProcess, free_address, run};
use daybook_tests::witness::Witness;
use server::store::SqliteStore;
use shared::protocol::{cut_sequence, encode};
use tempfile::TempDir;

/// A stopped server at which two reps of two teams have each written a factory and a visit, all of it heard.
struct Scene {
    data: PathBuf,
    witness: Arc<Witness>,
    /// What the first rep's phone hears that fetches everything, and the other rep's phone.
    frames: Vec<u8>,
    stranger: RawDevice,
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
    for (seed, name) in ["rep", "stranger"].into_iter().enumerate() {
        let mut device = RawDevice::login(&address, name, seed as u64)?;
        device.tap = Some(witness.tap(device.person));
        let (customer, _, card) = device.new_customer(&format!("Factory of {name}"))?;
        let visit = device.new_visit(customer, "pump 46")?.2;
        for items in [card, visit] {
            let push = device.push(items);
            device.exchange(&[push])?;
        }
        devices.push(device);
    }
    let stranger = devices.pop().context("two devices")?;
    let (status, frames) = devices[0].post(&encode(&devices[0].hello()))?;
    ensure!(status == 200, "the rep's phone is answered {status}");
    server.stop()?;
    Ok(Scene { data, witness, frames, stranger, _folder: folder })
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
    ensure!(verdict.acknowledged == 4, "two cards and two visits: {verdict:?}");
    ensure!(verdict.frames > 4 && verdict.told >= 2, "{verdict:?}");
    Ok(())
}

// SIM-1, SIM-2, SIM-6, SIM-7: each by the invariant that it breaks.
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

// SIM-15
#[test]
fn a_frame_that_is_none_is_told() -> Result<()> {
    let mut scene = scene()?;
    scene.stranger.tap.as_mut().context("it has a tap")?.heard(b"no frame");
    ensure!(scene.witness.judge(&scene.data).is_err(), "nonsense passed");
    ensure!(scene.witness.judge_acknowledged(&scene.data).is_err(), "nonsense passed while the server runs");
    Ok(())
}
