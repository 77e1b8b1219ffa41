//! The headless phone: the same `shared::client` as in the browser, on a folder, driven by a command line.
//! Knows nothing of the server but its interface.

pub mod arguments;
mod request;
pub mod link;
pub mod phone;
mod find;
mod customer;
mod visit;
mod ledger;
mod state;
mod exchange;

use std::path::Path;
use std::time::Duration;

use crate::device::arguments::PhoneCommand;
use crate::device::phone::Phone;
use crate::outcome::{CommandResult, told};

/// Carries a command of the headless phone out.
pub fn run(dir: Option<&Path>, command: PhoneCommand, as_json: bool) -> CommandResult {
    let Some(dir) = dir else {
        return Err(told(
            "dir_missing",
            "请用 --dir 指明设备文件夹。",
            "Say with --dir which phone is meant.",
        ));
    };
    let phone = &mut Phone::open(dir)?;
    match command {
        PhoneCommand::Login { url, user, label } => exchange::login(phone, &url, &user, label.as_deref()),
        PhoneCommand::Sync { timeout } => exchange::sync(phone, Duration::from_secs(timeout)),
        PhoneCommand::Watch { customer, all, count, seconds } => {
            let limits = exchange::WatchLimits { count, time: seconds.map(Duration::from_secs) };
            exchange::watch(phone, customer.as_deref(), all, &limits, as_json)
        }
        PhoneCommand::Customer(command) => customer::run(phone, command),
        PhoneCommand::Visit(command) => visit::run(phone, command),
        PhoneCommand::Comment { customer, text, text_flag, about } => {
            visit::comment(phone, &customer, text.or(text_flag).unwrap_or_default(), about.as_deref())
        }
        PhoneCommand::Timeline { customer } => visit::show_timeline(phone, &customer),
        PhoneCommand::Pending => state::pending(phone),
        PhoneCommand::Status => state::status(phone),
        PhoneCommand::Refused { dismiss } => state::refused(phone, dismiss),
        PhoneCommand::Notices => state::notices(phone),
        PhoneCommand::People => state::people(phone),
        PhoneCommand::Export { file } => state::export(phone, file.as_deref()),
        PhoneCommand::ImportFollowups { file, dry_run } => state::import_followups(phone, &file, dry_run),
        PhoneCommand::Ledger(command) => ledger::run(phone, command),
    }
}
