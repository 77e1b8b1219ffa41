//! `daybook device ledger …`: requests to the ledger, queued like anything typed, and late work.

use serde::Serialize;
use shared::id::{RequestId, Seq};
use shared::ledger::Command;
use shared::view::{Answer, Query};

use crate::device::arguments::LedgerCommand;
use crate::device::find;
use crate::device::phone::Phone;
use crate::outcome::{CommandResult, Outcome};

#[derive(Serialize)]
struct Requested {
    request: RequestId,
}

/// Carries a command out.
pub fn run(phone: &mut Phone, command: LedgerCommand) -> CommandResult {
    match command {
        LedgerCommand::Accept { customer } => {
            let customer = find::customer(phone, &customer)?.id;
            request(phone, Command::Accept { customer })
        }
        LedgerCommand::Transfer { customer, to, reason } => {
            let customer = find::customer(phone, &customer)?.id;
            let to = find::person(phone, &to)?.id;
            request(phone, Command::Transfer { customer, to, reason })
        }
        LedgerCommand::Settle { customer, late, apply, dismiss: _ } => {
            let customer = find::customer(phone, &customer)?.id;
            request(phone, Command::SettleLate { customer, late: Seq(late), apply })
        }
        LedgerCommand::Late => late(phone),
        LedgerCommand::Requests => requests(phone),
    }
}

fn request(phone: &mut Phone, command: Command) -> CommandResult {
    let request = phone.act(|client, now| client.handle_command(now, command))??;
    Ok(Outcome::new(Requested { request }, format!("申请中 requested: {request}")))
}

fn late(phone: &mut Phone) -> CommandResult {
    let views = match phone.query(&Query::Late) {
        Answer::Late(views) => views,
        other => unreachable!("late work answers its query, not {other:?}"),
    };
    let lines = views.iter().map(|view| {
        let state = serde_json::to_value(view.work.state).unwrap_or_default();
        let kind = serde_json::to_value(&view.work.kind).unwrap_or_default();
        let (state, kind) =
            (state.as_str().unwrap_or("?").to_owned(), kind["type"].as_str().unwrap_or("?").to_owned());
        format!("{} {} {} {kind} {state} {}\n", view.id.0, view.received_at, view.customer_name, view.person)
    });
    let text: String = lines.collect();
    Ok(Outcome::new(&views, text))
}

fn requests(phone: &mut Phone) -> CommandResult {
    let views = match phone.query(&Query::Requests) {
        Answer::Requests(views) => views,
        other => unreachable!("requests answer their query, not {other:?}"),
    };
    let lines = views.iter().map(|view| {
        let fate = view.refusal.as_ref().map_or("申请中", |refusal| refusal.rule.zh());
        format!("{} {} {fate}\n", view.id, view.customer_name)
    });
    let text: String = lines.collect();
    Ok(Outcome::new(&views, text))
}
