//! Whether a document holds nothing but what the table allows: the judgement over what a change from
//! outside left behind. Looks at every value that stands, both sides of a clash included.

use automerge::{ObjId, ObjType, ReadDoc, ScalarValue, Value as AutomergeValue};

use crate::document::reading::{Standing, is_map};
use crate::document::schema::{self, Content, Field, Records, Scalar, Schema, schema};
use crate::document::{Document, Kind, SCHEMA_VERSION};
use crate::limits;
use crate::refusal::{Refusal, Rule};
use crate::sorted::Set;

/// Two people who each stay within a limit may exceed it together; their merged work is not refused until
/// it is twice as much.
const MERGED_FACTOR: usize = 2;

/// What a document was before a change from outside, as far as the judgement needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    header: Vec<Option<Scalar>>,
    version: u16,
    unknown: Set<String>,
}

impl Document {
    /// Notes what a change from outside must leave as it is.
    pub fn baseline(&self) -> Baseline {
        self.read_ahead();
        Baseline {
            header: schema::HEADER_KEYS.iter().map(|key| self.header_value(key)).collect(),
            version: self.schema_version().unwrap_or(0),
            unknown: self.unknown_paths(),
        }
    }

    fn header_value(&self, key: &str) -> Option<Scalar> {
        match self.shown(key)? {
            (AutomergeValue::Scalar(scalar), _) => match scalar.as_ref() {
                ScalarValue::Str(text) => Some(Scalar::Str(text.to_string())),
                ScalarValue::Int(number) => Some(Scalar::Int(*number)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The root keys, and `records/ID/key` of records, that the table does not know: written by a newer
    /// version of the software. They stay as they are.
    pub fn unknown_paths(&self) -> Set<String> {
        let mut unknown = Set::default();
        let Some(table) = self.kind().map(schema) else { return unknown };
        let keys = self.root().iter().map(|(key, _)| key);
        unknown.extend(keys.filter(|key| !table.knows(key)).cloned());
        for records in table.records {
            for (id, objects) in self.record_map(records) {
                for object in objects {
                    let foreign = self.inner.keys(&object).filter(|key| !records.knows(key));
                    unknown.extend(foreign.map(|key| format!("{}/{id}/{key}", records.key)));
                }
            }
        }
        unknown
    }

    /// Judges every standing value by the table of `kind`. `before` is what the document was, if it was: what it
    /// held outside the table may stay, and its header must be the same.
    ///
    /// # Errors
    /// `DocumentTooLarge` about a limit, `SchemaViolated` about a path.
    pub fn check(&self, kind: Kind, before: Option<&Baseline>) -> Result<(), Refusal> {
        self.read_ahead();
        if self.kind() != Some(kind) {
            return Err(Refusal::about(Rule::SchemaViolated, schema::KIND));
        }
        let table = schema(kind);
        self.check_header(table, before)?;
        let nothing = Set::default();
        let tolerated = before.map_or(&nothing, |before| &before.unknown);
        for (key, values) in self.root() {
            let violated = || Refusal::about(Rule::SchemaViolated, path_shown(key));
            if let Some(records) = table.records(key) {
                self.check_records(records, values, tolerated)?;
            } else if let Some(field) = table.find(key) {
                self.check_field(key, values, field).ok_or_else(violated)??;
            } else if !tolerated.contains(key) {
                return Err(violated());
            }
        }
        Ok(())
    }

    fn check_header(&self, table: &Schema, before: Option<&Baseline>) -> Result<(), Refusal> {
        for (index, key) in schema::HEADER_KEYS.into_iter().enumerate() {
            let violated = || Refusal::about(Rule::SchemaViolated, key);
            let standing = self.standing_at(&automerge::ROOT, key);
            let is_optional = key == schema::ABOUT;
            match (table.field(key), standing.len()) {
                (None, 0) | (Some(_), 1) => {}
                (Some(_), 0) if is_optional => {}
                _ => return Err(violated()),
            }
            if before.is_some_and(|before| before.header[index] != self.header_value(key)) {
                return Err(violated());
            }
        }
        let version =
            self.schema_version().ok_or_else(|| Refusal::about(Rule::SchemaViolated, schema::SCHEMA))?;
        let known = before.map_or(0, |before| before.version).max(SCHEMA_VERSION);
        if version > known { Err(Refusal::about(Rule::SchemaViolated, schema::SCHEMA)) } else { Ok(()) }
    }

    fn check_records(
        &self,
        records: &Records,
        maps: &[Standing],
        tolerated: &Set<String>,
    ) -> Result<(), Refusal> {
        let violated = |path: String| Refusal::about(Rule::SchemaViolated, path_shown(&path));
        let mut ids = Set::default();
        for (value, map) in maps {
            if !is_map(value) {
                return Err(violated(records.key.to_owned()));
            }
            for (id, values) in self.standing(map) {
                if !schema::is_record_id(&id) || !values.iter().all(|(value, _)| is_map(value)) {
                    return Err(violated(format!("{}/{id}", records.key)));
                }
                for (_, object) in &values {
                    self.check_record(records, &id, object, tolerated)?;
                }
                ids.insert(id);
            }
        }
        if ids.len() > MERGED_FACTOR * limits::RECORDS_MAX {
            return Err(Refusal::about(Rule::DocumentTooLarge, records.key));
        }
        Ok(())
    }

    fn check_record(
        &self,
        records: &Records,
        id: &str,
        object: &ObjId,
        tolerated: &Set<String>,
    ) -> Result<(), Refusal> {
        for (key, values) in self.standing(object) {
            let path = || format!("{}/{id}/{key}", records.key);
            let violated = || Refusal::about(Rule::SchemaViolated, path_shown(&path()));
            match records.find(&key) {
                Some(field) => self.check_field(&key, &values, field).ok_or_else(violated)??,
                None if tolerated.contains(&path()) => {}
                None => return Err(violated()),
            }
        }
        Ok(())
    }

    /// Judges all values of one field; `None` if one does not fit it.
    fn check_field(&self, key: &str, values: &[Standing], field: &Field) -> Option<Result<(), Refusal>> {
        for (value, op) in values {
            match (value, field.content) {
                (AutomergeValue::Object(ObjType::Text), Content::Text { max }) => {
                    // The length in UTF-16 code units is never below the number of characters.
                    let limit = MERGED_FACTOR * max;
                    if self.inner.length(op) > limit && self.inner.text(op).ok()?.chars().count() > limit {
                        return Some(Err(Refusal::about(Rule::DocumentTooLarge, key)));
                    }
                }
                (AutomergeValue::Scalar(scalar), content) if !matches!(content, Content::Text { .. }) => {
                    let scalar = match scalar.as_ref() {
                        ScalarValue::Str(text) => Scalar::Str(text.to_string()),
                        ScalarValue::Int(number) => Scalar::Int(*number),
                        ScalarValue::Boolean(yes) => Scalar::Bool(*yes),
                        _ => return None,
                    };
                    if !content.holds(&scalar) {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        Some(Ok(()))
    }
}

/// A path for a person to read: keys from outside may be long.
fn path_shown(path: &str) -> String {
    path.chars().take(80).collect()
}
