//! `daybook device pending`, `status`, `refused`, `notices`, `people`, `export`, `import-followups`: what the
//! phone says about itself, and what it gives out and takes in as a whole.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use shared::client::EditId;
use shared::view::{Answer, Query};

use crate::outcome::{CommandResult, Outcome, told};
use crate::device::find;
use crate::device::phone::Phone;

/// Counts of unsent work.
pub fn pending(phone: &mut Phone) -> CommandResult {
    let pending = phone.status().pending;
    let text = format!("{} 条未传 · {} 张照片 · {} 条退回", pending.edits, pending.photos, pending.refused);
    Ok(Outcome::new(pending, text))
}

/// Where the phone stands.
pub fn status(phone: &mut Phone) -> CommandResult {
    let status = phone.status();
    let person = status.profile.as_ref().map_or("-", |profile| profile.name.as_str());
    let text = format!("{person}: {} documents, {} unsent", status.documents, status.pending.edits);
    Ok(Outcome::new(&status, text))
}

/// Edits that the server refused; with a number, forgets that one.
pub fn refused(phone: &mut Phone, dismiss: Option<u64>) -> CommandResult {
    if let Some(edit) = dismiss {
        phone.act(|client, now| client.handle_dismiss_refused(now, EditId(edit)))?;
    }
    let views = match phone.query(&Query::Refused) {
        Answer::Refused(views) => views,
        other => unreachable!("refused edits answer their query, not {other:?}"),
    };
    let lines = views.iter().map(|view| format!("{} {} {}\n", view.edit_id, view.customer_name, view.zh));
    let text: String = lines.collect();
    Ok(Outcome::new(&views, text))
}

/// Notices not dismissed on this phone.
pub fn notices(phone: &mut Phone) -> CommandResult {
    let home = match phone.query(&Query::Home) {
        Answer::Home(home) => home,
        other => unreachable!("a home answers a home query, not {other:?}"),
    };
    let lines = home.notices.iter().map(|notice| {
        let person = notice.person.as_deref().unwrap_or("-");
        format!("{} {} {person} {:?}\n", notice.at, notice.customer_name, notice.notice)
    });
    let text: String = lines.collect();
    Ok(Outcome::new(&home.notices, text))
}

/// Everybody the phone knows.
pub fn people(phone: &mut Phone) -> CommandResult {
    let people = find::people(phone);
    let lines = people.iter().map(|person| {
        let team = person.team.as_deref().unwrap_or("-");
        format!("{} {} {:?} {team}\n", person.id, person.name, person.role)
    });
    let text: String = lines.collect();
    Ok(Outcome::new(&people, text))
}

#[derive(Serialize)]
struct Exported {
    file: String,
    bytes: usize,
}

/// Writes the rescue file; without a name, to standard output. Never over an existing file.
pub fn export(phone: &mut Phone, file: Option<&Path>) -> CommandResult {
    let rescue = phone.client().export();
    let Some(path) = file else {
        let value: serde_json::Value = serde_json::from_slice(&rescue).context("the rescue file is JSON")?;
        let text = serde_json::to_string_pretty(&value).context("the rescue file is JSON")?;
        return Ok(Outcome::new(value, text));
    };
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut out = match opened {
        Ok(out) => out,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let shown = path.display();
            return Err(told("file_exists", format!("文件 {shown} 已存在。"), format!("The file {shown} exists already.")));
        }
        Err(error) => return Err(anyhow::Error::from(error).context(format!("writing {}", path.display())).into()),
    };
    out.write_all(&rescue).and_then(|()| out.sync_all()).context("writing the rescue file")?;
    let exported = Exported { file: path.display().to_string(), bytes: rescue.len() };
    Ok(Outcome::new(exported, format!("{}", path.display())))
}

/// Imports a follow-up sheet.
pub fn import_followups(phone: &mut Phone, file: &Path, dry_run: bool) -> CommandResult {
    let _ = (phone, file, dry_run);
    Err(told("not_built", "此程序未包含导入功能。", "This binary was built without the import."))
}
