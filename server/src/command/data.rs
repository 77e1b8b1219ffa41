//! `daybook init`, `device list|revoke`, `verify`, `backup`, `restore`, `demo`: the data folder as a whole.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;
use serde_json::json;
use shared::id::{DeviceId, IncarnationId};

use crate::admission::InProcess;
use crate::clock;
use crate::command::people::{administer, open};
use crate::demo;
use crate::http::auth::password;
use crate::http::auth::token::Keys;
use crate::http::devices::DeviceView;
use crate::http::quarantine::QuarantineView;
use crate::http::serve::{self, KEYS_FILE};
use crate::hub::{self, Administration};
use crate::outcome::{CommandResult, Outcome, told};
use crate::store::{self, Lookup, SqliteStore, Store, devices, quarantine};

/// Makes a new data folder.
pub fn init(data: &Path) -> CommandResult {
    let made = || fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made().with_context(|| format!("making {}", data.display()))?;
    let incarnation = IncarnationId(clock::random());
    SqliteStore::create(data, incarnation).context("making the store")?;
    Keys::open(&data.join(KEYS_FILE)).context("making the keys")?;
    let text = format!("已建立 made: {}", data.display());
    Ok(Outcome::new(json!({ "data": data.display().to_string(), "incarnation": incarnation }), text))
}

/// Lists devices.
pub fn list_devices(data: &Path) -> CommandResult {
    let mut store = open(data)?;
    let rows = devices::list(store.connection()).context("reading devices")?;
    let people = store.lookup().people().context("reading people")?;
    let offset = store.lookup().settings().context("reading settings")?.offset_minutes;
    let quarantine = quarantine::list(store.connection(), None).context("reading the quarantine")?;
    let views = DeviceView::list(rows, &people, &quarantine, offset);
    let lines = views.iter().map(|view| {
        let last = view.last_contact_at.as_deref().unwrap_or("-");
        let state = if view.revoked_at.is_some() { " [已停用 revoked]" } else { "" };
        let unsent = view.pending.edits;
        format!("{} {} {} {last} {unsent} 条未传{state}\n", view.id, view.person_name, view.label)
    });
    let text: String = lines.collect();
    Ok(Outcome::new(&views, text))
}

/// Lists what revoked devices left in quarantine.
pub fn list_quarantine(data: &Path) -> CommandResult {
    let mut store = open(data)?;
    let items = quarantine::list(store.connection(), None).context("reading the quarantine")?;
    let people = store.lookup().people().context("reading people")?;
    let offset = store.lookup().settings().context("reading settings")?.offset_minutes;
    let lines = items.iter().map(|item| {
        let state = if item.restored_at.is_some() { "已恢复 restored" } else { item.reason.zh() };
        format!("{} {} {state}\n", item.id, item.device)
    });
    let text: String = lines.collect();
    Ok(Outcome::new(QuarantineView::list(items, &people, offset), text))
}

/// Revokes a device.
pub fn revoke_device(data: &Path, typed: &str) -> CommandResult {
    let device: DeviceId = typed.trim().parse().map_err(|_| {
        told("id_malformed", format!("“{typed}”不是设备编号。"), format!("“{typed}” is no device's id."))
    })?;
    let mut store = open(data)?;
    administer(&mut store, Administration::RevokeDevice { device })?;
    Ok(Outcome::new(json!({ "revoked": device }), format!("已停用 revoked: {device}")))
}

/// Rebuilds everything from the log and compares.
pub fn verify(data: &Path) -> CommandResult {
    let store = open(data)?;
    let mut found = hub::verify(&store.lookup(), &mut InProcess).context("reading the store")?;
    let damages = store.integrity().context("checking the file")?;
    found.differences += damages.len() as u64;
    found.told.extend(damages);
    let text = match found.differences {
        0 => {
            let (documents, changes, events) = (found.documents, found.changes, found.events);
            format!("核对无误 verified: {documents} documents, {changes} changes, {events} events")
        }
        count => format!("核对发现不一致 differences: {count}\n{}", found.told.join("\n")),
    };
    let mut json = serde_json::to_value(&found).context("writing the answer")?;
    json["agrees"] = (found.differences == 0).into();
    Ok(Outcome { json, text, done: found.differences == 0 })
}

/// Copies the data to a new file.
pub fn backup(data: &Path, file: &Path) -> CommandResult {
    store::backup(data, file).context("making the backup")?;
    let bytes = fs::metadata(file).context("looking at the backup")?.len();
    let name = file.display().to_string();
    Ok(Outcome::new(json!({ "file": name, "bytes": bytes }), format!("已备份 saved: {name}")))
}

/// Puts a backup into a new data folder. Its secrets are drawn anew: every phone logs in again.
pub fn restore(file: &Path, data: &Path) -> CommandResult {
    let incarnation = IncarnationId(clock::random());
    let made = || fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made().with_context(|| format!("making {}", data.display()))?;
    let _lock = serve::lock(data)?;
    store::restore(file, data, incarnation).context("restoring")?;
    Keys::open(&data.join(KEYS_FILE)).context("making the keys")?;
    let name = data.display().to_string();
    Ok(Outcome::new(json!({ "data": name, "incarnation": incarnation }), format!("已恢复 restored: {name}")))
}

/// Where the demo's logins can be read again. They belong to invented people.
const DEMO_LOGINS_FILE: &str = "logins.txt";

/// Makes an invented organisation in a new data folder.
pub fn demo(data: &Path) -> CommandResult {
    init(data)?;
    let store = open(data)?;
    let (_, made) = demo::seed(store, clock::utc_now(), 1, password::hash).context("making the demo")?;
    let text = made.lines();
    std::fs::write(data.join(DEMO_LOGINS_FILE), &text).context("writing the logins of the demo")?;
    Ok(Outcome::new(&made, text))
}
