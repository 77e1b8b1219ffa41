//! `daybook device customer …`: cards by hand. Turns flags into edits; every rule is the machine's.

use serde::Serialize;
use shared::edit::{Edit, Patch, Value};
use shared::id::DocId;
use shared::view::{Answer, Clash, CustomerCard, CustomerRow, Query};

use crate::device::arguments::{CustomerCommand, CustomerFields};
use crate::device::find;
use crate::device::phone::Phone;
use crate::outcome::{CommandError, CommandResult, Outcome, told};

/// Carries a command out.
pub fn run(phone: &mut Phone, command: CustomerCommand) -> CommandResult {
    match command {
        CustomerCommand::Add { name, fields } => add(phone, name, &fields),
        CustomerCommand::Edit { customer, name, fields, add_phone, retire_phone } => {
            let row = find::customer(phone, &customer)?;
            edit(phone, &row, name, &fields, &add_phone, &retire_phone)
        }
        CustomerCommand::List { search } => {
            let rows = find::customers(phone, search.as_deref().unwrap_or(""));
            let text: String = rows.iter().map(line).collect();
            Ok(Outcome::new(&rows, text))
        }
        CustomerCommand::Show { customer } => {
            let row = find::customer(phone, &customer)?;
            show(phone, row.id)
        }
    }
}

fn add(phone: &mut Phone, name: Option<String>, fields: &CustomerFields) -> CommandResult {
    let customer = phone.client().new_doc_id();
    let mut patch = patch_of(phone, name, fields)?;
    for number in &fields.phone {
        add_phone_to(phone, &mut patch, number, None);
    }
    phone.act(|client, now| client.handle_edit(now, Edit::CreateCustomer { customer, fields: patch }))??;
    Ok(Outcome::new(Made { id: customer }, customer.to_string()))
}

#[derive(Serialize)]
struct Made {
    id: DocId,
}

fn edit(
    phone: &mut Phone,
    row: &CustomerRow,
    name: Option<String>,
    fields: &CustomerFields,
    add: &[String],
    retire: &[String],
) -> CommandResult {
    let customer = row.id;
    let mut patch = patch_of(phone, name, fields)?;
    let card = card(phone, customer)?;
    let mut retired = Vec::new();
    for number in retire {
        let known = card.phones.iter().find(|known| known.number == *number && known.state != "retired");
        let Some(known) = known else {
            return Err(told(
                "phone_not_found",
                format!("资料卡上没有在用的号码 {number}。"),
                format!("The card has no active number {number}."),
            ));
        };
        patch.insert(format!("phones/{}/state", known.id), Value::from("retired"));
        retired.push(known.id.clone());
    }
    // One number retired and one added is a replacement: if two people replace the same one at once, both new
    // ones stay and are to be checked (S3).
    let replaces = (retired.len() == 1).then(|| retired[0].clone());
    for number in add.iter().chain(&fields.phone) {
        add_phone_to(phone, &mut patch, number, replaces.as_deref());
    }
    if patch.is_empty() {
        return Err(told("nothing_to_do", "没有要修改的内容。", "There is nothing to change."));
    }
    phone.act(|client, now| client.handle_edit(now, Edit::EditCustomer { customer, fields: patch }))??;
    Ok(Outcome::new(Made { id: customer }, customer.to_string()))
}

fn patch_of(phone: &mut Phone, name: Option<String>, fields: &CustomerFields) -> Result<Patch, CommandError> {
    let mut patch = Patch::new();
    let words = [
        ("name", &name),
        ("short_name", &fields.short_name),
        ("address", &fields.address),
        ("category", &fields.category),
        ("level", &fields.level),
        ("remarks", &fields.remarks),
    ];
    for (key, value) in words {
        if let Some(value) = value {
            patch.insert(
                key.to_owned(),
                if value.is_empty() { Value::Null } else { Value::from(value.as_str()) },
            );
        }
    }
    for name in &fields.contact {
        let id = phone.client().new_record_id();
        patch.insert(format!("contacts/{id}/name"), Value::from(name.as_str()));
    }
    let is_number = |path: &str| path.ends_with("_e7") || path.ends_with("/count") || path.ends_with("_fen");
    find::set_fields(&mut patch, &fields.set, is_number)?;
    Ok(patch)
}

fn add_phone_to(phone: &mut Phone, patch: &mut Patch, number: &str, replaces: Option<&str>) {
    let id = phone.client().new_record_id();
    patch.insert(format!("phones/{id}/number"), Value::from(number));
    patch.insert(format!("phones/{id}/state"), Value::from("active"));
    if let Some(old) = replaces {
        patch.insert(format!("phones/{id}/replaces"), Value::from(old));
    }
}

/// The card of a customer that the phone lists.
pub fn card(phone: &mut Phone, id: DocId) -> Result<Box<CustomerCard>, CommandError> {
    match phone.query(&Query::Customer { id }) {
        Answer::Customer(Some(card)) => Ok(card),
        Answer::Customer(None) => Err(shared::refusal::Refusal::from(shared::refusal::Rule::NotFound).into()),
        other => unreachable!("a card answers a card query, not {other:?}"),
    }
}

/// A card as scripts read it: the promised names first, the rest as screens have it.
#[derive(Serialize)]
struct Shown<'a> {
    id: DocId,
    name: &'a str,
    code: Option<&'a str>,
    owner: Option<&'a str>,
    address: Option<&'a str>,
    phones: &'a [shared::view::PhoneView],
    clashes: &'a [Clash],
    #[serde(flatten)]
    rest: Rest<'a>,
}

#[derive(Serialize)]
struct Rest<'a> {
    short_name: Option<&'a str>,
    provisional: Option<&'a str>,
    status: Option<shared::ledger::fold::CustomerStatus>,
    sync: shared::view::SyncState,
    access: shared::ledger::people::Access,
    missing: &'a [String],
    fields: &'a shared::view::FieldMap,
    records: &'a shared::sorted::Map<String, Vec<shared::view::FieldMap>>,
    owners: &'a [shared::view::OwnerView],
    first_recorder: Option<&'a str>,
    late: &'a [shared::view::LateView],
}

fn show(phone: &mut Phone, id: DocId) -> CommandResult {
    let card = card(phone, id)?;
    let row = &card.row;
    let shown = Shown {
        id,
        name: &row.name,
        code: row.code.as_deref(),
        owner: row.owner_name.as_deref(),
        address: card.fields.get("address").and_then(|value| value.as_str()),
        phones: &card.phones,
        clashes: &card.clashes,
        rest: Rest {
            short_name: row.short_name.as_deref(),
            provisional: row.provisional.as_deref(),
            status: row.status,
            sync: row.sync,
            access: card.access,
            missing: &row.missing,
            fields: &card.fields,
            records: &card.records,
            owners: &card.owners,
            first_recorder: card.first_recorder.as_deref(),
            late: &card.late,
        },
    };
    Ok(Outcome::new(&shown, describe(&card)))
}

fn describe(card: &CustomerCard) -> String {
    let mut text = line(&card.row);
    for (key, value) in &card.fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!("  {key}: {value}\n"));
    }
    for phone in &card.phones {
        text.push_str(&format!("  {} {}\n", phone.number, phone.state));
    }
    for clash in &card.clashes {
        text.push_str(&format!("  {} 有 {} 个值:\n", clash.field, clash.values.len()));
        for value in &clash.values {
            text.push_str(&format!("    {} ({}, {})\n", value.value, value.person, value.recorded_at));
        }
    }
    text
}

fn line(row: &CustomerRow) -> String {
    let code = row.code.as_deref().or(row.provisional.as_deref()).unwrap_or("-");
    let owner = row.owner_name.as_deref().unwrap_or("-");
    format!("{} {code} {} [{owner}]\n", row.id, row.name)
}
