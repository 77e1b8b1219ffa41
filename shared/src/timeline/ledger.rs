//! Entries of what the ledger decided: registration, acceptance, owners, late edits of former owners.

use serde_json::json;

use crate::card::Lookup;
use crate::ledger::event::{FieldChange, LateKind};
use crate::ledger::{EventKind, LedgerEvent};
use crate::timeline::{About, Frame, stated};
use crate::view::{SyncState, TimelineEntry};

/// The entries of a customer's ledger events. Events that say nothing to a timeline make none.
pub fn ledger_entries(events: &[LedgerEvent], about: About<'_>, lookup: &Lookup<'_>) -> Vec<TimelineEntry> {
    events.iter().filter_map(|event| entry(event, about, lookup)).collect()
}

fn entry(event: &LedgerEvent, about: About<'_>, lookup: &Lookup<'_>) -> Option<TimelineEntry> {
    let frame = |kind, person| Frame {
        kind,
        id: format!("event-{}", event.seq.0),
        doc: None,
        about,
        at: stated(event.at, lookup),
        person,
        sync: SyncState::Server,
    };
    let mut entry = match &event.kind {
        EventKind::CustomerRegistered { first_recorder, provisional, recorded, .. } => {
            let mut entry = frame("registered", Some(*first_recorder)).entry(provisional.clone(), lookup);
            entry.recorded = *recorded;
            entry.recorded_at = recorded.map(|recorded| recorded.at.to_iso(recorded.offset_minutes));
            entry
        }
        EventKind::CustomerAccepted { code, .. } => {
            let mut entry = frame("accepted", event.by).entry(code.clone(), lookup);
            entry.sync = SyncState::Accepted;
            entry
        }
        EventKind::CustomerTransferred { from, to, reason, .. } => {
            let (from, to) = ((lookup.name)(*from), (lookup.name)(*to));
            let mut entry = frame("owner", event.by).entry(format!("{from} → {to}"), lookup);
            entry.details.insert("from".to_owned(), json!(from));
            entry.details.insert("to".to_owned(), json!(to));
            if let Some(reason) = reason {
                entry.details.insert("reason".to_owned(), json!(reason));
            }
            entry
        }
        EventKind::LateWorkArrived { late } => {
            let LateKind::CardEdit { fields } = &late.kind else { return None };
            let text = fields.iter().map(field_text).collect::<Vec<_>>().join("; ");
            let mut entry = frame("late_edit", Some(late.person)).entry(text, lookup);
            entry.recorded = late.recorded;
            entry.recorded_at = late.recorded.map(|recorded| recorded.at.to_iso(recorded.offset_minutes));
            let present =
                about.record.and_then(|record| record.late.iter().find(|(seq, _)| *seq == event.seq));
            let state = present.map_or(late.state, |(_, work)| work.state);
            entry.details.insert("late".to_owned(), json!(event.seq));
            entry.details.insert("state".to_owned(), json!(state));
            entry.details.insert("fields".to_owned(), json!(fields));
            entry
        }
        EventKind::PersonSet { .. }
        | EventKind::TeamSet { .. }
        | EventKind::LateWorkSettled { .. }
        | EventKind::Notice { .. }
        | EventKind::DocumentErased { .. } => return None,
    };
    entry.received_at = Some(lookup.iso(event.at));
    Some(entry)
}

fn field_text(field: &FieldChange) -> String {
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
    format!("{} → {}", word(&field.before), word(&field.after))
}
