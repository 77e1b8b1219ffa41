//! `daybook settings`: what the organisation has set. Works beside a running server, which notices foreign commits.

use std::path::Path;

use anyhow::Context;

use crate::command::people::{administer, open};
use crate::hub::Administration;
use crate::outcome::{CommandResult, Outcome};
use crate::store::{Lookup, Store};

/// Sets what is given, and shows everything.
pub fn run(data: &Path, position_allowed: Option<bool>, late_upload_minutes: Option<i64>) -> CommandResult {
    let mut store = open(data)?;
    let before = store.lookup().settings().context("reading settings")?;
    let mut settings = before.clone();
    settings.position_allowed = position_allowed.unwrap_or(settings.position_allowed);
    settings.late_upload_minutes = late_upload_minutes.unwrap_or(settings.late_upload_minutes);
    if settings != before {
        administer(&mut store, Administration::PutSettings(settings.clone()))?;
    }
    let json = serde_json::to_value(&settings).context("settings are plain data")?;
    let text = serde_json::to_string_pretty(&json).context("settings are plain data")?;
    Ok(Outcome { json, text, done: true })
}
