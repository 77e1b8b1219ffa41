//! Entries of facts: a visit with its quotes and samples, a comment; and the visit's form.

use serde_json::{Value as Json, json};

use crate::card::{self, Lookup};
use crate::document::{Document, RecordEntry};
use crate::id::PersonId;
use crate::ledger::event::LateKind;
use crate::order;
use crate::projection::{missing_in_visit, recorded_as_stated, took_place};
use crate::time::StatedTime;
use crate::timeline::{About, Frame, Source, time_marks};
use crate::view::{FieldMap, TimelineEntry, VisitView};

/// A visit's entries: itself first, then its quotes and samples. Empty if the document is no visit.
pub fn visit_entries(
    document: &mut Document,
    source: &Source,
    about: About<'_>,
    lookup: &Lookup<'_>,
) -> Vec<TimelineEntry> {
    let Some(visit) = visit_entry(document, source, about, lookup) else { return Vec::new() };
    let mut entries = vec![visit];
    let mut quotes = document.records("quotes");
    order::sort_by_key(&mut quotes, |quote| quote.int("position").unwrap_or(i64::MAX));
    for quote in &quotes {
        let details = ["product", "spec", "pack", "price_fen", "unit", "valid_to"];
        entries.push(part(&entries[0], "quote", "quotes", quote, &details, quote_text(quote)));
    }
    for sample in document.records("samples") {
        let details = ["product", "quantity", "unit", "kind", "result"];
        let words = ["product", "quantity", "unit", "kind", "result"];
        let text = words.into_iter().filter_map(|key| sample.text(key)).collect::<Vec<_>>().join(" ");
        let mut entry = part(&entries[0], "sample", "samples", &sample, &details, text);
        // `kind` is the entry's own word.
        if let Some(kind) = entry.details.remove("kind") {
            entry.details.insert("sample_kind".to_owned(), kind);
        }
        entries.push(entry);
    }
    entries
}

/// A comment's entry. Empty if the document is no comment.
pub fn comment_entries(
    document: &mut Document,
    source: &Source,
    about: About<'_>,
    lookup: &Lookup<'_>,
) -> Vec<TimelineEntry> {
    let (Some(author), Some(recorded)) = (document.author(), document.recorded()) else { return Vec::new() };
    let text = document.text_of("text").unwrap_or_default();
    let Some(mut entry) =
        fact(document, "comment", author, recorded_as_stated(recorded), text, source, about, lookup)
    else {
        return Vec::new();
    };
    if let Some(visit) = document.about() {
        entry.details.insert("about".to_owned(), Json::String(visit.to_string()));
    }
    vec![entry]
}

/// A visit for its form. `me` is the reader.
pub fn visit_view(
    document: &mut Document,
    source: &Source,
    about: About<'_>,
    me: Option<PersonId>,
    lookup: &Lookup<'_>,
) -> Option<VisitView> {
    let entry = visit_entry(document, source, about, lookup)?;
    Some(VisitView {
        id: source.doc,
        customer: about.customer,
        customer_name: about.name.to_owned(),
        person: entry.person.clone(),
        mine: me.is_some() && document.author() == me,
        fields: card::fields(document),
        records: card::records(document),
        missing: missing_in_visit(document),
        entry,
    })
}

fn visit_entry(
    document: &mut Document,
    source: &Source,
    about: About<'_>,
    lookup: &Lookup<'_>,
) -> Option<TimelineEntry> {
    let author = document.author()?;
    let at = took_place(document)?;
    let text = document.text_of("record").unwrap_or_default();
    let mut entry = fact(document, "visit", author, at, text, source, about, lookup)?;
    for key in [
        "visit_kind",
        "purpose",
        "problem",
        "countermeasure",
        "result",
        "left",
        "status_after",
        "level_after",
        "void_reason",
        "import_note",
    ] {
        if let Some(value) = document.text_of(key) {
            entry.details.insert(key.to_owned(), Json::String(value));
        }
    }
    let met = document.records("people_met");
    let names: Vec<_> = met.iter().filter_map(|person| person.text("name")).collect();
    if !names.is_empty() {
        entry.details.insert("people_met".to_owned(), json!(names));
    }
    next_action(document, &mut entry.details);
    let photos = document.records("photos");
    let photos: Vec<_> = photos.iter().filter_map(|photo| photo.text("sha256")).collect();
    if !photos.is_empty() {
        entry.details.insert("photos".to_owned(), json!(photos));
    }
    if document.is_void() {
        entry.marks.push("void".to_owned());
        if document.is_edited_after_void() {
            entry.marks.push("edited_after_void".to_owned());
        }
    } else {
        let missing = missing_in_visit(document);
        if !missing.is_empty() {
            entry.marks.push("incomplete".to_owned());
            entry.details.insert("missing".to_owned(), json!(missing));
        }
    }
    Some(entry)
}

/// The earliest action that is not done.
fn next_action(document: &mut Document, details: &mut FieldMap) {
    let actions = document.records("next_actions");
    let day = |action: &RecordEntry| action.text("day").and_then(|day| day.parse::<StatedTime>().ok());
    let open = actions.iter().filter(|action| !action.is("done"));
    let Some(next) = open.min_by_key(|action| day(action).map_or(i64::MAX, |day| day.begins().0)) else {
        return;
    };
    if let Some(text) = next.text("text") {
        details.insert("next_action".to_owned(), Json::String(text.to_owned()));
    }
    if let Some(day) = next.text("day") {
        details.insert("next_action_day".to_owned(), Json::String(day.to_owned()));
    }
}

/// What visits and comments have in common: author, the three times and their marks, and how they stand to
/// a transfer (S2).
#[expect(clippy::too_many_arguments, reason = "the parts of an entry, from two callers in this file")]
fn fact(
    document: &Document,
    kind: &'static str,
    author: PersonId,
    at: StatedTime,
    text: String,
    source: &Source,
    about: About<'_>,
    lookup: &Lookup<'_>,
) -> Option<TimelineEntry> {
    let recorded = document.recorded()?;
    let (marks, late_hours) = time_marks(at, recorded, source.received, lookup);
    let frame = Frame {
        kind,
        id: source.doc.to_string(),
        doc: Some(source.doc),
        about,
        at,
        person: Some(author),
        sync: source.sync,
    };
    let mut entry = frame.entry(text, lookup);
    entry.recorded_at = Some(recorded.at.to_iso(recorded.offset_minutes));
    entry.recorded = Some(recorded);
    entry.received_at = source.received.map(|received| received.to_iso(recorded.offset_minutes));
    entry.marks = marks;
    entry.late_hours = late_hours;
    if entry.marks.iter().any(|mark| mark == "clock_suspect") {
        let device = recorded.device.to_iso(recorded.offset_minutes);
        entry.details.insert("device_time".to_owned(), Json::String(device));
    }
    for (_, late) in about.record.map(|record| record.late.as_slice()).unwrap_or_default() {
        let mark = match late.kind {
            LateKind::FactBefore => "before_transfer",
            LateKind::FactAfter => "after_transfer",
            LateKind::CardEdit { .. } | LateKind::Request { .. } => continue,
        };
        if late.doc == Some(source.doc) && !entry.marks.iter().any(|other| other == mark) {
            entry.marks.push(mark.to_owned());
        }
    }
    Some(entry)
}

/// An entry of a record inside a visit: what the visit says of times, person and void holds for it.
fn part(
    visit: &TimelineEntry,
    kind: &str,
    records: &str,
    record: &RecordEntry,
    keys: &[&str],
    text: String,
) -> TimelineEntry {
    let mut details = FieldMap::new();
    for key in keys {
        if let Some(text) = record.text(key) {
            details.insert((*key).to_owned(), Json::String(text.to_owned()));
        } else if let Some(number) = record.int(key) {
            details.insert((*key).to_owned(), json!(number));
        }
    }
    let mut entry = TimelineEntry { kind: kind.to_owned(), text, details, ..visit.clone() };
    entry.id = format!("{}/{records}/{}", visit.id, record.id);
    entry.marks.retain(|mark| mark != "incomplete");
    entry
}

/// Such as `46#液压油 200L ¥1850.00/桶`.
fn quote_text(quote: &RecordEntry) -> String {
    let mut words: Vec<String> = ["product", "spec", "pack"]
        .into_iter()
        .filter_map(|key| quote.text(key))
        .map(str::to_owned)
        .collect();
    if let Some(fen) = quote.int("price_fen") {
        let unit = quote.text("unit").map(|unit| format!("/{unit}")).unwrap_or_default();
        words.push(format!("¥{}.{:02}{unit}", fen / 100, fen % 100));
    }
    words.join(" ")
}
