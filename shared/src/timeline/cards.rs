//! Entries of the card's own history: contacts and phones that came, changed or went, and the level.

use serde_json::{Value as Json, json};

use crate::card::Lookup;
use crate::document::{ChangeWrites, Document, FieldWrite, Kind};
use crate::sorted::Map;
use crate::timeline::{About, Frame, Source, stated};
use crate::view::TimelineEntry;

/// The state of all fields while the history is walked.
type State = Map<String, String>;

/// The entries of a card. What its first change holds is the card itself and makes no entry.
pub fn card_entries(
    document: &mut Document,
    source: &Source,
    about: About<'_>,
    lookup: &Lookup<'_>,
) -> Vec<TimelineEntry> {
    if document.kind() != Some(Kind::Customer) {
        return Vec::new();
    }
    let mut state = State::default();
    let mut entries = Vec::new();
    for (index, change) in document.writes().iter().enumerate() {
        let before = state.clone();
        for write in &change.writes {
            record(&mut state, write);
        }
        if index > 0 {
            let walk = Walk { change, before: &before, after: &state, source, about, lookup };
            walk.level(&mut entries);
            walk.phones(&mut entries);
            walk.contacts(&mut entries);
        }
    }
    entries
}

fn record(state: &mut State, write: &FieldWrite) {
    match &write.after {
        Some(after) => drop(state.insert(write.path.clone(), after.to_string())),
        None => {
            let inside = format!("{}/", write.path);
            state.retain(|path, _| *path != write.path && !path.starts_with(&inside));
        }
    }
}

struct Walk<'a> {
    change: &'a ChangeWrites,
    before: &'a State,
    after: &'a State,
    source: &'a Source,
    about: About<'a>,
    lookup: &'a Lookup<'a>,
}

impl Walk<'_> {
    fn level(&self, entries: &mut Vec<TimelineEntry>) {
        for write in self.change.writes.iter().filter(|write| write.path == "level") {
            let words = |value: &Option<crate::document::schema::Scalar>| {
                value.as_ref().map(ToString::to_string).unwrap_or_else(|| "–".to_owned())
            };
            let (from, to) = (words(&write.before), words(&write.after));
            let mut entry = self.entry("level", "level", format!("{from} → {to}"));
            entry.details.insert("from".to_owned(), Json::String(from));
            entry.details.insert("to".to_owned(), Json::String(to));
            entries.push(entry);
        }
    }

    fn phones(&self, entries: &mut Vec<TimelineEntry>) {
        let touched = self.touched("phones");
        let replaced: Vec<&str> =
            touched.iter().filter_map(|id| value(self.after, "phones", id, "replaces")).collect();
        for id in &touched {
            let old = value(self.before, "phones", id, "number");
            let new = value(self.after, "phones", id, "number");
            let was_retired = value(self.before, "phones", id, "state") == Some("retired");
            let is_retired = value(self.after, "phones", id, "state") == Some("retired");
            let replaces = value(self.after, "phones", id, "replaces");
            let former = replaces.and_then(|id| value(self.before, "phones", id, "number"));
            let (what, text) = match (old, new) {
                (None, Some(new)) => match former {
                    Some(former) => ("replaced", format!("{former} → {new}")),
                    None => ("added", new.to_owned()),
                },
                (Some(old), None) => ("removed", old.to_owned()),
                (Some(_), Some(new)) if is_retired && !was_retired => {
                    if replaced.contains(id) {
                        continue;
                    }
                    ("retired", new.to_owned())
                }
                (Some(_), Some(new)) if was_retired && !is_retired => ("restored", new.to_owned()),
                (Some(old), Some(new)) if old != new => ("changed", format!("{old} → {new}")),
                _ => continue,
            };
            let mut entry = self.entry("phone", &format!("phones/{id}"), text);
            entry.details.insert("change".to_owned(), json!(what));
            entries.push(entry);
        }
    }

    fn contacts(&self, entries: &mut Vec<TimelineEntry>) {
        for id in self.touched("contacts") {
            let get = |state| value(state, "contacts", id, "name");
            let (was, is) = (get(self.before), get(self.after));
            let Some(name) = is.or(was) else { continue };
            let old_state = value(self.before, "contacts", id, "state");
            let new_state = value(self.after, "contacts", id, "state");
            let what = match (was, is, new_state) {
                (None, Some(_), _) => "added",
                (Some(_), None, _) => "removed",
                (_, _, Some("离职")) if old_state != new_state => "left",
                (_, _, Some("调岗")) if old_state != new_state => "moved",
                (_, _, Some("在职")) if old_state.is_some_and(|state| state != "在职") => "returned",
                _ => "changed",
            };
            let mut text = name.to_owned();
            let successor = value(self.after, "contacts", id, "successor");
            let successor = successor.and_then(|id| value(self.after, "contacts", id, "name"));
            match what {
                "added" => {
                    for key in ["department", "title"] {
                        if let Some(word) = value(self.after, "contacts", id, key) {
                            text.push_str(&format!(" {word}"));
                        }
                    }
                }
                "left" | "moved" => {
                    text.push_str(&format!(" {}", new_state.unwrap_or_default()));
                    if let Some(successor) = successor {
                        text.push_str(&format!(" → {successor}"));
                    }
                }
                "changed" => text.push_str(&self.changed_words(id)),
                _ => {}
            }
            let mut entry = self.entry("contact", &format!("contacts/{id}"), text);
            entry.details.insert("change".to_owned(), json!(what));
            entry.details.insert("name".to_owned(), json!(name));
            if let Some(successor) = successor {
                entry.details.insert("successor".to_owned(), json!(successor));
            }
            entries.push(entry);
        }
    }

    /// The words that changed on one contact: ` 采购 → 采购经理`.
    fn changed_words(&self, id: &str) -> String {
        let inside = format!("contacts/{id}/");
        let writes = self.change.writes.iter().filter(|write| write.path.starts_with(&inside));
        let word = |value: &Option<crate::document::schema::Scalar>| {
            value.as_ref().map(ToString::to_string).unwrap_or_else(|| "–".to_owned())
        };
        writes
            .filter(|write| !write.path.ends_with("/successor"))
            .map(|write| format!(" {} → {}", word(&write.before), word(&write.after)))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// The records of a map that the change touched, in order.
    fn touched(&self, records: &str) -> Vec<&str> {
        let mut ids = Vec::new();
        for write in &self.change.writes {
            let mut parts = write.path.split('/');
            if parts.next() == Some(records) {
                let id = parts.next().unwrap_or_default();
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        ids
    }

    fn entry(&self, kind: &'static str, place: &str, text: String) -> TimelineEntry {
        let info = &self.change.change;
        let frame = Frame {
            kind,
            id: format!("{}/{}/{place}", self.source.doc, info.hash),
            doc: Some(self.source.doc),
            about: self.about,
            at: stated(info.at, self.lookup),
            person: (self.lookup.person_of)(info.actor).or(info.author),
            sync: self.source.sync,
        };
        let mut entry = frame.entry(text, self.lookup);
        entry.recorded_at = Some(self.lookup.iso(info.at));
        entry
    }
}

fn value<'a>(state: &'a State, records: &str, id: &str, key: &str) -> Option<&'a str> {
    state.get(&format!("{records}/{id}/{key}")).map(String::as_str)
}
