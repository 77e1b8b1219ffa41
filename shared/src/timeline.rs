//! A customer's history as one list: visits with their quotes and samples, comments, changes of contacts,
//! phones and level, owners, acceptance, late edits. Made from documents and ledger events; ordered by when
//! things took place, then by when they were recorded. Knows nothing of where they are kept.

mod cards;
mod facts;
mod ledger;

use crate::card::Lookup;
use crate::id::{DocId, PersonId};
use crate::ledger::CustomerRecord;
use crate::limits::CLOCK_AHEAD_MS_MAX;
use crate::order;
use crate::planted::{self, Bug};
use crate::time::{Quality, Recorded, StatedTime, UtcMillis};
use crate::view::{FieldMap, SyncState, TimelineEntry};

pub use cards::card_entries;
pub use facts::{comment_entries, visit_entries, visit_view};
pub use ledger::ledger_entries;

/// The customer that entries belong to.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The card.
    pub customer: DocId,
    /// The name to show.
    pub name: &'a str,
    /// What the ledger says, where it has spoken.
    pub record: Option<&'a CustomerRecord>,
}

/// How far a document has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The document.
    pub doc: DocId,
    /// Its state.
    pub sync: SyncState,
    /// When the server received its first change.
    pub received: Option<UtcMillis>,
}

/// Brings entries into order: by when things took place, then by when they were recorded, then what belongs
/// to one document together. The claim of a suspect clock is bounded by the receipt from above and by the
/// customer's registration or recording from below (S8), so a phone in the year 2019 does not put a visit
/// before the customer was known.
pub fn sort(entries: &mut [TimelineEntry], record: Option<&CustomerRecord>) {
    let known_since = record.map(|record| match record.recorded {
        Some(recorded) if recorded.quality != Quality::Suspect => recorded.at.min(record.registered_at),
        _ => record.registered_at,
    });
    order::sort_by_cached_key(entries, |entry| {
        let recorded = entry.recorded.map(|recorded| recorded.at);
        // A decision of the ledger stands before what was recorded at the same moment under it.
        let is_recorded = rank(&entry.kind) > RANK_LEDGER_MAX;
        let document = base_id(&entry.id).to_owned();
        // The id itself is last: what one change wrote has one order on every phone.
        (place(entry, known_since), is_recorded, recorded, document, rank(&entry.kind), entry.id.clone())
    });
}

fn place(entry: &TimelineEntry, known_since: Option<UtcMillis>) -> UtcMillis {
    if let Some(recorded) = entry.recorded.filter(|_| planted::is(Bug::OrdersByDeviceClock)) {
        return recorded.device;
    }
    let stated = entry.at.begins();
    let is_suspect = entry.marks.iter().any(|mark| mark == "clock_suspect");
    if !is_suspect || matches!(entry.at, StatedTime::Day(_)) {
        return stated;
    }
    let latest = entry.received_at.as_deref().and_then(|text| text.parse::<StatedTime>().ok());
    let below = known_since.map_or(stated, |since| stated.max(since));
    latest.map_or(below, |latest| below.min(latest.begins()))
}

/// The document or event of an entry's id, without the record inside.
fn base_id(id: &str) -> &str {
    id.split('/').next().unwrap_or(id)
}

/// The rank of the last kind that the ledger alone makes.
const RANK_LEDGER_MAX: u8 = 2;

fn rank(kind: &str) -> u8 {
    match kind {
        "registered" => 0,
        "accepted" => 1,
        "owner" => 2,
        "contact" | "phone" | "level" => 3,
        "visit" => 4,
        "quote" => 5,
        "sample" => 6,
        _ => 7,
    }
}

/// The marks that follow from the three times: 补传, 补录, 时间待核; and the hours of 补传.
fn time_marks(
    at: StatedTime,
    recorded: Recorded,
    received: Option<UtcMillis>,
    lookup: &Lookup<'_>,
) -> (Vec<String>, Option<i64>) {
    let mut marks = Vec::new();
    let delay_ms = received.map(|received| received.0 - recorded.at.0);
    let is_ahead = delay_ms.is_some_and(|delay| -delay > CLOCK_AHEAD_MS_MAX);
    let is_confirmed =
        received.is_some_and(|received| (received.0 - recorded.device.0).abs() <= CLOCK_AHEAD_MS_MAX);
    if (recorded.quality == Quality::Suspect && !is_confirmed) || is_ahead {
        // The claim is not worth comparing: no statement about lateness from a wrong clock.
        marks.push("clock_suspect".to_owned());
        return (marks, None);
    }
    let mut late_hours = None;
    if let Some(delay) = delay_ms.filter(|delay| *delay > lookup.settings.late_upload_minutes * 60_000) {
        marks.push("late_upload".to_owned());
        late_hours = Some(delay / 3_600_000);
    }
    if recorded.at.day(recorded.offset_minutes).is_some_and(|day| day != at.day()) {
        marks.push("late_record".to_owned());
    }
    (marks, late_hours)
}

/// What all kinds of entries have in common.
struct Frame<'a> {
    kind: &'static str,
    id: String,
    doc: Option<DocId>,
    about: About<'a>,
    at: StatedTime,
    person: Option<PersonId>,
    sync: SyncState,
}

impl Frame<'_> {
    fn entry(self, text: String, lookup: &Lookup<'_>) -> TimelineEntry {
        TimelineEntry {
            kind: self.kind.to_owned(),
            id: self.id,
            doc: self.doc,
            customer: self.about.customer,
            customer_name: self.about.name.to_owned(),
            at: self.at,
            recorded_at: None,
            recorded: None,
            received_at: None,
            person: self.person.map(lookup.name).unwrap_or_default(),
            person_id: self.person,
            text,
            sync: self.sync,
            marks: Vec::new(),
            late_hours: None,
            details: FieldMap::new(),
        }
    }
}

/// An instant as a stated time in the organisation's time zone.
fn stated(at: UtcMillis, lookup: &Lookup<'_>) -> StatedTime {
    lookup.iso(at).parse().unwrap_or(StatedTime::Day(chrono::NaiveDate::default()))
}

#[cfg(test)]
mod tests;
