//! `daybook device visit …`, `comment`, `timeline`: facts by hand. Turns flags into edits; every rule is the
//! machine's.

use serde::Serialize;
use shared::edit::{Edit, Patch, Value};
use shared::id::DocId;
use shared::view::{Answer, Query, TimelineEntry, VisitView};

use crate::device::arguments::{VisitCommand, VisitFields};
use crate::device::find;
use crate::device::phone::Phone;
use crate::outcome::{CommandError, CommandResult, Outcome, told};

#[derive(Serialize)]
struct Made {
    id: DocId,
    customer: Option<DocId>,
}

/// Carries a command out.
pub fn run(phone: &mut Phone, command: VisitCommand) -> CommandResult {
    match command {
        VisitCommand::Add { customer, fields } => {
            let customer = find::customer(phone, &customer)?.id;
            add(phone, customer, &fields)
        }
        VisitCommand::Edit { visit, fields } => edit(phone, find::doc_id(&visit)?, &fields),
        VisitCommand::Void { visit, reason } => {
            let visit = find::doc_id(&visit)?;
            phone.act(|client, now| client.handle_edit(now, Edit::VoidVisit { visit, reason }))??;
            Ok(Outcome::new(Made { id: visit, customer: None }, visit.to_string()))
        }
        VisitCommand::List { customer } => list(phone, customer.as_deref()),
    }
}

fn add(phone: &mut Phone, customer: DocId, fields: &VisitFields) -> CommandResult {
    let visit = phone.client().new_doc_id();
    let patch = patch_of(phone, fields, None)?;
    phone
        .act(|client, now| client.handle_edit(now, Edit::CreateVisit { visit, customer, fields: patch }))??;
    Ok(Outcome::new(Made { id: visit, customer: Some(customer) }, visit.to_string()))
}

fn edit(phone: &mut Phone, visit: DocId, fields: &VisitFields) -> CommandResult {
    let present = match phone.query(&Query::Visit { id: visit }) {
        Answer::Visit(Some(view)) => view,
        _ => return Err(shared::refusal::Refusal::from(shared::refusal::Rule::NotFound).into()),
    };
    let patch = patch_of(phone, fields, Some(&present))?;
    if patch.is_empty() {
        return Err(told("nothing_to_do", "没有要修改的内容。", "There is nothing to change."));
    }
    phone.act(|client, now| client.handle_edit(now, Edit::EditVisit { visit, fields: patch }))??;
    Ok(Outcome::new(Made { id: visit, customer: Some(present.customer) }, visit.to_string()))
}

/// Long texts are edited against what the visit holds now, so that only the difference is written.
fn long_text(present: Option<&VisitView>, key: &str, text: &str) -> Value {
    let base = present.and_then(|view| view.fields.get(key)).and_then(|value| value.as_str());
    match base {
        Some(base) => Value::Text { base: base.to_owned(), text: text.to_owned() },
        None => Value::from(text),
    }
}

fn patch_of(
    phone: &mut Phone,
    fields: &VisitFields,
    present: Option<&VisitView>,
) -> Result<Patch, CommandError> {
    let mut patch = Patch::new();
    let texts =
        [("record", &fields.text), ("problem", &fields.problem), ("countermeasure", &fields.countermeasure)];
    for (key, text) in texts {
        if let Some(text) = text {
            patch.insert(key.to_owned(), long_text(present, key, text));
        }
    }
    let words = [
        ("visit_kind", &fields.kind),
        ("purpose", &fields.purpose),
        ("result", &fields.result),
        ("level_after", &fields.level_after),
    ];
    for (key, word) in words {
        if let Some(word) = word {
            patch.insert(
                key.to_owned(),
                if word.is_empty() { Value::Null } else { Value::from(word.as_str()) },
            );
        }
    }
    if let Some(at) = &fields.at {
        patch.insert("at".to_owned(), Value::Str(find::stated_time(at)?.to_string()));
    }
    for name in &fields.met {
        let id = phone.client().new_record_id();
        patch.insert(format!("people_met/{id}/name"), Value::from(name.as_str()));
    }
    if let Some(next) = &fields.next {
        let id = phone.client().new_record_id();
        patch.insert(format!("next_actions/{id}/text"), Value::from(next.as_str()));
        if let Some(day) = &fields.next_day {
            patch.insert(format!("next_actions/{id}/day"), Value::Str(find::stated_time(day)?.to_string()));
        }
    }
    for (position, quote) in fields.quote.iter().enumerate() {
        let id = phone.client().new_record_id();
        add_quote(&mut patch, &id, position, quote)?;
    }
    let is_number = |path: &str| {
        ["_e7", "_m", "_fen", "/position", "/bytes", "/width", "/height"]
            .iter()
            .any(|end| path.ends_with(end))
    };
    find::set_fields(&mut patch, &fields.set, is_number)?;
    Ok(patch)
}

fn add_quote(patch: &mut Patch, id: &str, position: usize, quote: &str) -> Result<(), CommandError> {
    let parts: Vec<&str> = quote.split(['|', '｜']).map(str::trim).collect();
    let [product, pack, price] = parts.as_slice() else {
        return Err(told(
            "quote_malformed",
            format!("报价“{quote}”应写成 产品|包装|价格。"),
            format!("The quote “{quote}” must be PRODUCT|PACK|PRICE."),
        ));
    };
    patch.insert(format!("quotes/{id}/product"), Value::from(*product));
    if !pack.is_empty() {
        patch.insert(format!("quotes/{id}/pack"), Value::from(*pack));
    }
    // A unit may follow the price: 1850/桶.
    let (price, unit) = price.split_once('/').unwrap_or((price, ""));
    patch.insert(format!("quotes/{id}/price_fen"), Value::Int(find::fen(price)?));
    if !unit.is_empty() {
        patch.insert(format!("quotes/{id}/unit"), Value::from(unit));
    }
    patch.insert(format!("quotes/{id}/position"), Value::Int(position as i64));
    Ok(())
}

fn list(phone: &mut Phone, customer: Option<&str>) -> CommandResult {
    let entries = match customer {
        Some(typed) => {
            let customer = find::customer(phone, typed)?.id;
            let mut entries = timeline(phone, customer);
            entries.reverse();
            entries
        }
        None => newest(phone, usize::MAX),
    };
    let visits: Vec<TimelineEntry> = entries.into_iter().filter(|entry| entry.kind == "visit").collect();
    let text: String = visits.iter().map(|entry| format!("{} {}\n", entry.id, line(entry))).collect();
    Ok(Outcome::new(&visits, text))
}

/// Writes a comment.
pub fn comment(phone: &mut Phone, customer: &str, text: String, about: Option<&str>) -> CommandResult {
    let customer = find::customer(phone, customer)?.id;
    let about = about.map(find::doc_id).transpose()?;
    let comment = phone.client().new_doc_id();
    let edit = Edit::CreateComment { comment, customer, about, text };
    phone.act(|client, now| client.handle_edit(now, edit))??;
    Ok(Outcome::new(Made { id: comment, customer: Some(customer) }, comment.to_string()))
}

/// Shows a customer's timeline, oldest first.
pub fn show_timeline(phone: &mut Phone, customer: &str) -> CommandResult {
    let customer = find::customer(phone, customer)?.id;
    let entries = timeline(phone, customer);
    let text: String = entries.iter().map(|entry| line(entry) + "\n").collect();
    Ok(Outcome::new(&entries, text))
}

/// A customer's timeline, oldest first.
pub fn timeline(phone: &mut Phone, customer: DocId) -> Vec<TimelineEntry> {
    entries_of(phone.query(&Query::Timeline { customer }))
}

/// The newest entries over all customers.
pub fn newest(phone: &mut Phone, limit: usize) -> Vec<TimelineEntry> {
    entries_of(phone.query(&Query::Newest { limit }))
}

fn entries_of(answer: Answer) -> Vec<TimelineEntry> {
    match answer {
        Answer::Timeline(entries) => entries,
        other => unreachable!("entries answer a timeline query, not {other:?}"),
    }
}

/// One entry as one line for people.
pub fn line(entry: &TimelineEntry) -> String {
    let marks = if entry.marks.is_empty() { String::new() } else { format!(" [{}]", entry.marks.join(",")) };
    let text = entry.text.replace('\n', " ");
    format!("{} {} {} {}: {text}{marks}", entry.at, entry.customer_name, entry.kind, entry.person)
}
