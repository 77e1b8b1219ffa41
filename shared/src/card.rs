//! Views of single documents: the customer card with its phones, records and clashes, the customer's row in
//! lists, the visit's form. Takes documents, the ledger's record and look-ups of names; knows nothing of
//! where they are kept.

use serde_json::Value as Json;

use crate::document::schema::{Content, Scalar, schema};
use crate::document::{Document, Kind, RecordEntry, Written};
use crate::id::{ActorId, ChangeHash, DocId, PersonId};
use crate::ledger::{CustomerRecord, CustomerStatus};
use crate::order;
use crate::projection::{CustomerProjection, VisitProjection};
use crate::settings::Settings;
use crate::sorted::Map;
use crate::time::{StatedTime, UtcMillis};
use crate::view::{Clash, ClashValue, CustomerRow, FieldMap, OwnerView, PhoneView, SyncState};

/// What the views need to know of people and of the organisation.
pub struct Lookup<'a> {
    /// A person's name; something to show for unknown ones.
    pub name: &'a dyn Fn(PersonId) -> String,
    /// Whose actor it is, by the server's word; none where it has not spoken.
    pub person_of: &'a dyn Fn(ActorId) -> Option<PersonId>,
    /// The organisation's settings.
    pub settings: &'a Settings,
}

impl Lookup<'_> {
    /// An instant in the organisation's time zone: ISO 8601.
    pub fn iso(&self, at: UtcMillis) -> String {
        at.to_iso(self.settings.offset_minutes)
    }

    /// The name of who made a change: the server's word, else what the change says.
    pub fn writer(&self, document: &mut Document, change: &ChangeHash) -> Option<(PersonId, String)> {
        let info = document.change(change)?;
        let person = (self.person_of)(info.actor).or(info.author)?;
        Some((person, (self.name)(person)))
    }
}

/// Single-valued fields that people fill in, by key.
pub fn fields(document: &Document) -> FieldMap {
    let mut fields = FieldMap::new();
    let Some(kind) = document.kind() else { return fields };
    for field in schema(kind).fields.iter().filter(|field| field.typed || field.key.starts_with("void_")) {
        if let Some(value) = document.value_of(field.key) {
            fields.insert(field.key.to_owned(), json(&value));
        }
    }
    fields
}

/// Every map of records that has any, by its key: each record with its `id` and fields, in order of adding.
pub fn records(document: &mut Document) -> Map<String, Vec<FieldMap>> {
    let mut all = Map::new();
    let Some(kind) = document.kind() else { return all };
    for records in schema(kind).records {
        let entries = document.records(records.key);
        if !entries.is_empty() {
            all.insert(records.key.to_owned(), entries.iter().map(record_map).collect());
        }
    }
    all
}

fn record_map(record: &RecordEntry) -> FieldMap {
    let mut map = order::map(record.fields.iter().map(|(key, value)| ((*key).to_owned(), json(value))));
    map.insert("id".to_owned(), Json::String(record.id.clone()));
    map
}

fn json(value: &Scalar) -> Json {
    match value {
        Scalar::Str(text) => Json::String(text.clone()),
        Scalar::Int(number) => Json::from(*number),
        Scalar::Bool(yes) => Json::Bool(*yes),
    }
}

/// The card's phones in order of adding, active ones first. Where several numbers replace one at once, all
/// of them are to be checked (S3).
pub fn phones(document: &mut Document, lookup: &Lookup<'_>) -> Vec<PhoneView> {
    let records: Vec<_> =
        document.records("phones").into_iter().filter(|phone| phone.text("number").is_some()).collect();
    let mut views = Vec::with_capacity(records.len());
    for phone in &records {
        let is_active = phone.text("state") != Some("retired");
        let replaces = phone.text("replaces");
        let is_rival = |other: &&RecordEntry| {
            other.id != phone.id
                && other.text("state") != Some("retired")
                && other.text("replaces") == replaces
        };
        let has_rival = is_active && replaces.is_some() && records.iter().any(|other| is_rival(&other));
        let writer = phone.change.and_then(|change| lookup.writer(document, &change));
        views.push(PhoneView {
            id: phone.id.clone(),
            number: phone.text("number").unwrap_or_default().to_owned(),
            label: phone.text("label").map(str::to_owned),
            state: if is_active { "active" } else { "retired" }.to_owned(),
            to_check: has_rival,
            person: writer.map(|(_, name)| name),
            recorded_at: phone.at.map(|at| lookup.iso(at)),
        });
    }
    order::sort_by_key(&mut views, |phone| phone.state != "active");
    views
}

/// Every field that holds more than one value, with who wrote each and when; the shown value first.
pub fn clashes(document: &mut Document, lookup: &Lookup<'_>) -> Vec<Clash> {
    let mut clashes = Vec::new();
    for field in document.clashing_paths() {
        let mut values = Vec::new();
        for (index, written) in document.values(&field).into_iter().enumerate() {
            let Written { value, change, at, .. } = written;
            let person = lookup.writer(document, &change).map(|(_, name)| name).unwrap_or_default();
            let recorded_at = lookup.iso(at);
            values.push(ClashValue { value: value.to_string(), person, recorded_at, shown: index == 0 });
        }
        clashes.push(Clash { field, values });
    }
    clashes
}

/// The owners by the ledger, in order.
pub fn owners(record: &CustomerRecord, lookup: &Lookup<'_>) -> Vec<OwnerView> {
    let view = |period: &crate::ledger::OwnerPeriod| OwnerView {
        person: period.owner,
        name: (lookup.name)(period.owner),
        since: lookup.iso(period.from),
    };
    record.owners.iter().map(view).collect()
}

/// A customer's row in lists, from its card's projection, the ledger's record and its visits. `sync`, `leaving`
/// and `requested` are the caller's to set.
pub fn row<'a>(
    id: DocId,
    card: &CustomerProjection,
    record: Option<&CustomerRecord>,
    visits: impl IntoIterator<Item = &'a VisitProjection>,
    lookup: &Lookup<'_>,
) -> CustomerRow {
    let mut last_visit: Option<StatedTime> = None;
    let mut next: Option<(StatedTime, Option<String>)> = None;
    for visit in visits.into_iter().filter(|visit| !visit.void) {
        if last_visit.is_none_or(|last| last.begins() < visit.at.begins()) {
            last_visit = Some(visit.at);
        }
        for action in &visit.next_actions {
            let Some(day) = action.day else { continue };
            if next.as_ref().is_none_or(|(earliest, _)| day.begins() < earliest.begins()) {
                next = Some((day, action.text.clone()));
            }
        }
    }
    let is_accepted = record.is_some_and(|record| record.status == CustomerStatus::Active);
    let missing = card.missing().into_iter().map(str::to_owned).collect();
    CustomerRow {
        id,
        name: card.display_name().to_owned(),
        short_name: card.short_name.clone(),
        code: record.and_then(|record| record.code.clone()),
        provisional: record.map(|record| record.provisional.clone()),
        status: record.map(|record| record.status),
        owner: record.map(CustomerRecord::owner),
        owner_name: record.map(|record| (lookup.name)(record.owner())),
        level: card.level.clone(),
        district: card.district.clone().or_else(|| card.city.clone()),
        last_visit,
        next_action: next.as_ref().map(|(day, _)| *day),
        next_action_text: next.and_then(|(_, text)| text),
        missing,
        clashes: card.clashes,
        sync: if is_accepted { SyncState::Accepted } else { SyncState::Server },
        leaving: false,
        requested: false,
    }
}

/// The fields of a kind whose content is a long text: a form edits them by difference.
pub fn long_text_keys(kind: Kind) -> Vec<&'static str> {
    let is_text = |field: &&crate::document::schema::Field| matches!(field.content, Content::Text { .. });
    schema(kind).fields.iter().filter(is_text).map(|field| field.key).collect()
}
