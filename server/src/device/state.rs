//! `daybook device pending`, `status`, `refused`, `notices`, `people`, `export`, `import-followups`: what the
//! phone says about itself, and what it gives out and takes in as a whole.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use shared::client::EditId;
use shared::ledger::event::NoticeKind;
use shared::view::{Answer, Query};

use crate::clock;
use crate::device::exchange::fate;
use crate::device::find;
use crate::device::phone::Phone;
use crate::outcome::{CommandError, CommandResult, Outcome, told};
use crate::report::grid::{FILE_BYTES_MAX, SheetError};
use crate::report::{followups, worker};

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
    let lines =
        views.iter().map(|view| format!("{} {} {}\n", view.edit_id, view.customer_name, fate(view).0));
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
        let (customer, person) = (&notice.customer_name, notice.person.as_deref().unwrap_or("-"));
        let words = match notice.notice {
            NoticeKind::TransferredAway { .. } => format!("{customer} 已移交给 {person}"),
            NoticeKind::TransferredToYou { .. } => format!("{customer} 由 {person} 移交给您"),
            NoticeKind::VisitAfterTransfer { .. } => format!("{person} 在移交后拜访了 {customer}"),
            NoticeKind::LateEditHeld { .. } => format!("{person} 对 {customer} 的修改等待决定"),
        };
        format!("{} {words}\n", notice.at)
    });
    let text: String = lines.collect();
    Ok(Outcome::new(&home.notices, text))
}

/// Everybody the phone knows.
pub fn people(phone: &mut Phone) -> CommandResult {
    let people = find::people(phone);
    let lines = people.iter().map(|person| {
        let team = person.team.as_deref().unwrap_or("-");
        format!("{} {} {} {team}\n", person.id, person.name, person.role.zh())
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
            return Err(told(
                "file_exists",
                format!("文件 {shown} 已存在。"),
                format!("The file {shown} exists already."),
            ));
        }
        Err(error) => {
            return Err(anyhow::Error::from(error).context(format!("writing {}", path.display())).into());
        }
    };
    out.write_all(&rescue).and_then(|()| out.sync_all()).context("writing the rescue file")?;
    let exported = Exported { file: path.display().to_string(), bytes: rescue.len() };
    Ok(Outcome::new(exported, format!("{}", path.display())))
}

/// Imports a follow-up sheet, or says what an import would do.
pub fn import_followups(phone: &mut Phone, file: &Path, dry_run: bool) -> CommandResult {
    let too_large = || refused_sheet(&SheetError::FileTooLarge);
    let size = std::fs::metadata(file).with_context(|| format!("looking at {}", file.display()))?.len();
    if size > FILE_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let sheet = worker::parse(&bytes, &name).map_err(|error| refused_sheet(&error))?;
    if phone.client().profile().is_none() {
        return Err(told("login_needed", "请先登录。", "Log in first."));
    }
    let plan = followups::plan(phone.client(), clock::now(), &sheet);
    if dry_run {
        return Ok(Outcome::new(&plan.report, plan.report.lines()));
    }
    let report = followups::apply(plan, |edit| phone.act(|client, now| client.handle_edit(now, edit)))?;
    Ok(Outcome::new(&report, report.lines()))
}

fn refused_sheet(error: &SheetError) -> CommandError {
    let code = match error {
        SheetError::FileTooLarge => "file_too_large",
        SheetError::Empty => "sheet_empty",
        SheetError::OldOrProtected => "sheet_old_or_protected",
        SheetError::NotASheet => "not_a_sheet",
        SheetError::Damaged => "sheet_damaged",
        SheetError::InflatesTooMuch => "sheet_inflates_too_much",
        SheetError::TooManyCells => "sheet_too_many_cells",
        SheetError::CellTooFar { .. } => "sheet_cell_too_far",
        SheetError::TextTooLong { .. } => "sheet_text_too_long",
        SheetError::NoHeader => "sheet_no_header",
        SheetError::ReaderEnded => "sheet_reader_ended",
        SheetError::ReaderNotStarted => "sheet_reader_not_started",
    };
    told(code, error.zh(), error.en())
}
