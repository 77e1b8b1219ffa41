//! Edits into documents: validates an edit by the schema as a whole, then writes it, cut into as many
//! changes as the limits ask. Nothing is written of an edit that is refused.

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{Author, AutoCommit, ObjId, ObjType, ReadDoc, ScalarValue};

use crate::document::schema::{self, Content, Field, Place, Records, Scalar, Schema, schema};
use crate::document::text::{self, Splice};
use crate::document::{Document, Kind, LocalChange, SCHEMA_VERSION, Writer, local_change};
use crate::edit::{Edit, Patch, Value};
use crate::id::DocId;
use crate::limits;
use crate::refusal::{Refusal, Rule};
use crate::time::{Quality, UtcMillis};
use crate::wire;

/// Bytes of values in one change, below [`limits::CHANGE_BYTES_MAX`] by what keys, counters and the
/// heads may add.
const CHANGE_VALUE_BYTES_MAX: usize = limits::CHANGE_BYTES_MAX / 2;

/// Operations that a change of ours holds at most. A put over a clash names every value that it
/// replaces, so some room is left.
const CHANGE_OPS_OURS: usize = limits::CHANGE_OPS_MAX as usize;

impl Document {
    /// Makes a new document.
    ///
    /// # Errors
    /// `ValueInvalid` about a path, `VisitEmpty`, `DocumentTooLarge`.
    ///
    /// # Panics
    /// If the edit does not create a document.
    pub fn create(writer: &Writer, edit: &Edit) -> Result<(Document, Vec<LocalChange>), Refusal> {
        let (header, patch) = match edit {
            Edit::CreateCustomer { fields, .. } => {
                (Header { kind: Kind::Customer, customer: None, about: None }, fields)
            }
            Edit::CreateVisit { customer, fields, .. } => {
                (Header { kind: Kind::Visit, customer: Some(*customer), about: None }, fields)
            }
            Edit::CreateComment { customer, about, text, .. } => {
                let fields = Patch::from([("text".to_owned(), Value::Str(text.clone()))]);
                let header = Header { kind: Kind::Comment, customer: Some(*customer), about: *about };
                return create(writer, &header, &fields);
            }
            Edit::EditCustomer { .. } | Edit::EditVisit { .. } | Edit::VoidVisit { .. } => {
                panic!("this edit changes a document that exists")
            }
        };
        create(writer, &header, patch)
    }

    /// Changes the document. Empty if nothing changes.
    ///
    /// # Errors
    /// `ValueInvalid` about a path, `NotTheAuthor`, `AlreadyVoided`, `DocumentTooLarge`; the document is as
    /// it was.
    ///
    /// # Panics
    /// If the edit creates a document.
    pub fn edit(&mut self, writer: &Writer, edit: &Edit) -> Result<Vec<LocalChange>, Refusal> {
        let kind = self.kind().ok_or(Rule::SchemaViolated)?;
        if kind.is_fact() && self.author() != Some(writer.person) {
            return Err(Rule::NotTheAuthor.into());
        }
        match edit {
            Edit::EditCustomer { fields, .. } if kind == Kind::Customer => self.patch(writer, fields),
            Edit::EditVisit { fields, .. } if kind == Kind::Visit => self.patch(writer, fields),
            Edit::VoidVisit { reason, .. } if kind == Kind::Visit => self.void(writer, reason),
            Edit::EditCustomer { .. } | Edit::EditVisit { .. } | Edit::VoidVisit { .. } => {
                Err(Refusal::about(Rule::SchemaViolated, schema::KIND))
            }
            Edit::CreateCustomer { .. } | Edit::CreateVisit { .. } | Edit::CreateComment { .. } => {
                panic!("this edit creates a document")
            }
        }
    }

    fn patch(&mut self, writer: &Writer, fields: &Patch) -> Result<Vec<LocalChange>, Refusal> {
        let table = schema(self.kind().expect("judged by the caller"));
        let steps = self.steps(table, fields)?;
        self.check_room(&steps)?;
        Ok(self.write(writer, None, steps))
    }

    fn void(&mut self, writer: &Writer, reason: &str) -> Result<Vec<LocalChange>, Refusal> {
        if self.is_void() {
            return Err(Rule::AlreadyVoided.into());
        }
        let table = schema(Kind::Visit);
        let field = table.field(schema::VOID_REASON).expect("the visit's table has it");
        let accepted = field.content.accept(&Value::Str(reason.to_owned())).flatten();
        let reason = accepted.ok_or_else(|| Refusal::about(Rule::ValueInvalid, schema::VOID_REASON))?;
        let at = Scalar::Str(writer.recorded.at.to_iso(writer.recorded.offset_minutes));
        let steps = vec![
            Step::Put { at: At::Root, field, value: reason },
            Step::Put { at: At::Root, field: table.field(schema::VOID_AT).expect("as above"), value: at },
        ];
        self.check_room(&steps)?;
        Ok(self.write(writer, None, steps))
    }

    /// Judges a patch against the table and this document, and says what is to be written.
    fn steps(&self, table: &'static Schema, fields: &Patch) -> Result<Vec<Step>, Refusal> {
        let mut steps = Vec::new();
        let mut added: Vec<(&'static str, &str)> = Vec::new();
        for (path, value) in fields {
            let invalid = || Refusal::about(Rule::ValueInvalid, path.clone());
            match table.place(path).ok_or_else(invalid)? {
                Place::Field(field) if field.typed => {
                    self.field_steps(&mut steps, At::Root, field, value).ok_or_else(invalid)?;
                }
                Place::Field(_) => return Err(invalid()),
                Place::Record { records, id } => {
                    if *value != Value::Null {
                        return Err(invalid());
                    }
                    if !self.record_objects(records, id).is_empty() {
                        steps.push(Step::RemoveRecord { records, id: id.to_owned() });
                    }
                }
                Place::RecordField { records, id, field } => {
                    let at = At::Record { records, id: id.to_owned() };
                    self.field_steps(&mut steps, at, field, value).ok_or_else(invalid)?;
                    let is_new = *value != Value::Null && self.record_objects(records, id).is_empty();
                    if is_new && !added.contains(&(records.key, id)) {
                        added.push((records.key, id));
                    }
                }
            }
        }
        for records in table.records {
            let more = added.iter().filter(|(key, _)| *key == records.key).count();
            if more > 0 && self.record_ids(records).len() + more > limits::RECORDS_MAX {
                return Err(Refusal::about(Rule::DocumentTooLarge, records.key));
            }
        }
        Ok(steps)
    }

    /// What is to be written for one field; `None` if the value does not fit it.
    fn field_steps(&self, steps: &mut Vec<Step>, at: At, field: &'static Field, value: &Value) -> Option<()> {
        let objects = match &at {
            At::Root => vec![automerge::ROOT],
            At::Record { records, id } => self.record_objects(records, id),
        };
        let present = self.values_in(&objects, field);
        let is_settled = present.iter().all(|(other, _)| *other == present[0].0);
        if let Content::Text { max } = field.content {
            let (base, edited) = match value {
                Value::Null => (None, String::new()),
                Value::Str(text) => (None, tidy_text(text)),
                Value::Text { base, text } => (Some(tidy_text(base)), tidy_text(text)),
                Value::Bool(_) | Value::Int(_) => return None,
            };
            let shown = match present.first() {
                Some((Scalar::Str(text), _)) => text.as_str(),
                _ => "",
            };
            let splices = text::merge(base.as_deref().unwrap_or(shown), &edited, shown);
            if text::apply(shown, &splices).chars().count() > max {
                return None;
            }
            if !splices.is_empty() || (!is_settled && matches!(value, Value::Str(_))) {
                let shown = present.first().map(|(_, object)| object.clone());
                steps.push(Step::Text { key: field.key, shown, splices });
            }
            return Some(());
        }
        match field.content.accept(value)? {
            Some(scalar) if is_settled && present.first().is_some_and(|(shown, _)| *shown == scalar) => {}
            Some(value) => steps.push(Step::Put { at, field, value }),
            None if present.is_empty() => {}
            None => steps.push(Step::Remove { at, field }),
        }
        Some(())
    }

    fn check_room(&mut self, steps: &[Step]) -> Result<(), Refusal> {
        if steps.is_empty() {
            return Ok(());
        }
        if self.change_count() >= limits::DOCUMENT_CHANGES_MAX {
            return Err(Refusal::about(Rule::DocumentTooLarge, "changes"));
        }
        // An operation takes some twenty bytes beside its value in the saved form, a change sixty.
        let added: usize = steps.iter().map(Step::saved_bytes).sum();
        if self.save().len() + added + 256 > limits::DOCUMENT_BYTES_MAX {
            return Err(Refusal::about(Rule::DocumentTooLarge, "bytes"));
        }
        Ok(())
    }

    fn write(&mut self, writer: &Writer, header: Option<&Header>, steps: Vec<Step>) -> Vec<LocalChange> {
        if header.is_none() && steps.is_empty() {
            return Vec::new();
        }
        // `set_author` draws a new actor where the author differs, so the actor is set after it.
        self.inner.set_author(Some(Author::from(writer.person.as_bytes().to_vec())));
        self.inner.set_actor(automerge::ActorId::from(writer.actor.as_bytes()));
        let mut pen =
            Pen { document: self, time: change_time(writer.recorded.at), bytes: 0, changes: Vec::new() };
        match header {
            Some(header) => pen.header(writer, header),
            None => pen.upgrade(SCHEMA_VERSION),
        }
        for step in steps {
            pen.step(step);
        }
        pen.flush();
        pen.changes
    }
}

/// What makes a document what it is.
struct Header {
    kind: Kind,
    customer: Option<DocId>,
    about: Option<DocId>,
}

fn create(writer: &Writer, header: &Header, fields: &Patch) -> Result<(Document, Vec<LocalChange>), Refusal> {
    let mut document = Document::empty();
    let steps = document.steps(schema(header.kind), fields)?;
    let has = |wanted: &str| {
        steps.iter().any(|step| match step {
            Step::Put { at: At::Root, field, .. } => field.key == wanted,
            Step::Text { key, .. } => *key == wanted,
            Step::Put { at: At::Record { records, .. }, .. } => records.key == wanted,
            Step::Remove { .. } | Step::RemoveRecord { .. } => false,
        })
    };
    if header.kind == Kind::Visit && !["record", "photos", "result"].into_iter().any(has) {
        return Err(Rule::VisitEmpty.into());
    }
    if header.kind == Kind::Comment && !has("text") {
        return Err(Refusal::about(Rule::ValueInvalid, "text"));
    }
    document.check_room(&steps)?;
    let changes = document.write(writer, Some(header), steps);
    Ok((document, changes))
}

/// Where a value goes.
enum At {
    Root,
    Record { records: &'static Records, id: String },
}

/// One thing to write.
enum Step {
    Put {
        at: At,
        field: &'static Field,
        value: Scalar,
    },
    Remove {
        at: At,
        field: &'static Field,
    },
    RemoveRecord {
        records: &'static Records,
        id: String,
    },
    /// `shown` is the text object that the positions of the splices count in; none where all are empty.
    Text {
        key: &'static str,
        shown: Option<ObjId>,
        splices: Vec<Splice>,
    },
}

impl Step {
    fn saved_bytes(&self) -> usize {
        match self {
            Step::Put { value: Scalar::Str(text), .. } => 80 + text.len(),
            Step::Put { .. } | Step::Remove { .. } | Step::RemoveRecord { .. } => 80,
            Step::Text { splices, .. } => {
                80 + splices
                    .iter()
                    .map(|splice| 4 * splice.insert.len() + 4 * splice.delete.len())
                    .sum::<usize>()
            }
        }
    }
}

/// Writes steps and ends a change where the next step would exceed a limit.
struct Pen<'a> {
    document: &'a mut Document,
    time: i64,
    bytes: usize,
    changes: Vec<LocalChange>,
}

/// Why no operation of ours can fail: keys, objects and positions were read from this very document.
const JUST_READ: &str = "the object was read from this document and nobody else writes to it";

impl Pen<'_> {
    fn inner(&mut self) -> &mut AutoCommit {
        self.document.root.take();
        &mut self.document.inner
    }

    fn header(&mut self, writer: &Writer, header: &Header) {
        let recorded = writer.recorded;
        let quality = match recorded.quality {
            Quality::Ok => 0,
            Quality::Estimated => 1,
            Quality::Suspect => 2,
        };
        self.put(automerge::ROOT, schema::KIND, header.kind.word());
        self.put(automerge::ROOT, schema::SCHEMA, i64::from(SCHEMA_VERSION));
        if let Some(customer) = header.customer {
            self.put(automerge::ROOT, schema::CUSTOMER, customer.to_string());
        }
        if header.kind.is_fact() {
            self.put(automerge::ROOT, schema::AUTHOR, writer.person.to_string());
        }
        if let Some(about) = header.about {
            self.put(automerge::ROOT, schema::ABOUT, about.to_string());
        }
        let numbers = [recorded.at.0, recorded.device.0, quality, i64::from(recorded.offset_minutes)];
        for (key, number) in schema::RECORDED.into_iter().zip(numbers) {
            self.put(automerge::ROOT, key, number);
        }
        // A card is edited by several people: its maps and long texts exist from the start, so that no two of
        // them ever make the same one. A fact has one author; its maps come when they are needed.
        if !header.kind.is_fact() {
            let table = schema(header.kind);
            for records in table.records {
                self.make(automerge::ROOT, records.key, ObjType::Map);
            }
            for field in table.fields.iter().filter(|field| matches!(field.content, Content::Text { .. })) {
                self.make(automerge::ROOT, field.key, ObjType::Text);
            }
        }
    }

    /// Says in an older document that newer software has written to it. Fields that moved need nothing else:
    /// readers look under former keys too, and writers write both.
    fn upgrade(&mut self, version: u16) {
        if self.document.schema_version().is_some_and(|written| written < version) {
            self.put(automerge::ROOT, schema::SCHEMA, i64::from(version));
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put { at, field, value } => self.put_field(&at, field, value),
            Step::Remove { at, field } => {
                for object in self.objects(&at) {
                    for key in std::iter::once(&field.key).chain(field.formerly) {
                        self.delete(&object, key);
                    }
                }
            }
            Step::RemoveRecord { records, id } => {
                for map in self.document.maps(&automerge::ROOT, records.key) {
                    self.delete(&map, &id);
                }
            }
            Step::Text { key, shown, splices } => self.text(key, shown, &splices),
        }
    }

    fn put_field(&mut self, at: &At, field: &Field, value: Scalar) {
        let objects = match at {
            At::Root => vec![automerge::ROOT],
            At::Record { records, id } => match self.objects(at) {
                objects if objects.is_empty() => {
                    let map = match self.document.maps(&automerge::ROOT, records.key).into_iter().next() {
                        Some(map) => map,
                        None => self.make(automerge::ROOT, records.key, ObjType::Map),
                    };
                    vec![self.make(map, id, ObjType::Map)]
                }
                objects => objects,
            },
        };
        let value = match value {
            Scalar::Str(text) => ScalarValue::Str(text.into()),
            Scalar::Int(number) => ScalarValue::Int(number),
            Scalar::Bool(yes) => ScalarValue::Boolean(yes),
        };
        // Older software reads and writes the former keys: what is written now must stand there too, and what
        // it writes later stands beside it as a second value.
        for key in std::iter::once(&field.key).chain(field.formerly) {
            // Where a record exists twice, one value settles it for both.
            for object in &objects[1..] {
                self.delete(object, key);
            }
            self.put(objects[0].clone(), key, value.clone());
        }
    }

    fn text(&mut self, key: &'static str, shown: Option<ObjId>, splices: &[Splice]) {
        let standing = self.document.inner.get_all(automerge::ROOT, key).unwrap_or_default();
        let is_text = |value: &automerge::Value<'_>| matches!(value, automerge::Value::Object(ObjType::Text));
        let last = standing.iter().rev().find(|(value, _)| is_text(value)).map(|(_, object)| object.clone());
        let object = match shown.or(last) {
            // Two devices made the text at once: the shown one stays, with all that is in it. It need not be
            // Automerge's winner, which may be empty.
            Some(shown) if standing.len() > 1 => self.settle_text(key, &shown),
            Some(only) => only,
            None => self.make(automerge::ROOT, key, ObjType::Text),
        };
        for splice in splices {
            let mut position = splice.position;
            for piece in pieces(&splice.delete) {
                self.room(piece.chars().count(), 0);
                let units = piece.encode_utf16().count() as isize;
                self.inner().splice_text(&object, position, units, "").expect(JUST_READ);
            }
            for piece in pieces(&splice.insert) {
                self.room(piece.chars().count(), piece.len());
                self.inner().splice_text(&object, position, 0, piece).expect(JUST_READ);
                position += piece.encode_utf16().count();
            }
        }
    }

    fn settle_text(&mut self, key: &'static str, shown: &ObjId) -> ObjId {
        let text = self.document.inner.text(shown).unwrap_or_default();
        let object = self.make(automerge::ROOT, key, ObjType::Text);
        let mut position = 0;
        for piece in pieces(&text) {
            self.room(piece.chars().count(), piece.len());
            self.inner().splice_text(&object, position, 0, piece).expect(JUST_READ);
            position += piece.encode_utf16().count();
        }
        object
    }

    fn objects(&self, at: &At) -> Vec<ObjId> {
        match at {
            At::Root => vec![automerge::ROOT],
            At::Record { records, id } => self.document.record_objects(records, id),
        }
    }

    fn put(&mut self, object: ObjId, key: &str, value: impl Into<ScalarValue>) {
        let value = value.into();
        let bytes = match &value {
            ScalarValue::Str(text) => text.len(),
            _ => 10,
        };
        self.room(1, key.len() + bytes);
        self.inner().put(object, key, value).expect(JUST_READ);
    }

    fn make(&mut self, object: ObjId, key: &str, kind: ObjType) -> ObjId {
        self.room(1, key.len());
        self.inner().put_object(object, key, kind).expect(JUST_READ)
    }

    fn delete(&mut self, object: &ObjId, key: &str) {
        if self.document.inner.get(object, key).ok().flatten().is_some() {
            self.room(1, key.len());
            self.inner().delete(object, key).expect(JUST_READ);
        }
    }

    /// Ends the change if so many operations and bytes would not fit into it.
    fn room(&mut self, ops: usize, bytes: usize) {
        if self.inner().pending_ops() + ops > CHANGE_OPS_OURS || self.bytes + bytes > CHANGE_VALUE_BYTES_MAX {
            self.flush();
        }
        self.bytes += bytes;
    }

    fn flush(&mut self) {
        self.bytes = 0;
        let options = CommitOptions::default().with_time(self.time);
        if self.inner().pending_ops() == 0 {
            return;
        }
        let hash = self.inner().commit_with(options).expect("operations are pending");
        let change = self.inner().get_change_by_hash(&hash).expect("just committed");
        self.changes.push(local_change(&change));
    }
}

/// A text in pieces of at most five hundred characters: small beside a change's limits.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.char_indices().nth(500).map_or(rest.len(), |(index, _)| index);
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn tidy_text(text: &str) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() }
}

fn change_time(at: UtcMillis) -> i64 {
    at.0.clamp(0, wire::CHANGE_TIME_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, card, copy, writer};

    static MOVED: Field = Field {
        key: "short_name",
        content: Content::Word { max: 200 },
        typed: true,
        formerly: &["nickname"],
    };

    fn put(document: &mut Document, by: u8, field: &'static Field, value: &str) -> Vec<LocalChange> {
        let step = Step::Put { at: At::Root, field, value: Scalar::Str(value.to_owned()) };
        document.write(&writer(by), None, vec![step])
    }

    fn values(document: &Document) -> Vec<String> {
        let values = document.values_in(&[automerge::ROOT], &MOVED);
        let mut texts: Vec<_> = values.into_iter().map(|(value, _)| value.to_string()).collect();
        texts.dedup();
        texts
    }

    /// DOC-9: a field that moved is read under its former key, written under both, and what older software
    /// writes later stands beside it.
    #[test]
    fn a_field_that_moved_is_shared_with_older_software() {
        static OLD: Field =
            Field { key: "nickname", content: Content::Word { max: 200 }, typed: true, formerly: &[] };
        let (mut new, _) = card([("name", "甲".into())]);
        put(&mut new, 1, &OLD, "旧");
        assert_eq!(values(&new), ["旧"]);
        let mut old = copy(&mut new);
        put(&mut new, 1, &MOVED, "新");
        assert_eq!(values(&new), ["新"]);
        assert_eq!(new.text_of("nickname").as_deref(), Some("新"));
        let later = put(&mut old, 2, &OLD, "晚");
        new.apply(&bytes(&later)).expect("complete");
        let standing = values(&new);
        assert!(standing.contains(&"新".to_owned()) && standing.contains(&"晚".to_owned()), "{standing:?}");
        put(&mut new, 1, &MOVED, "定");
        assert_eq!(values(&new), ["定"]);
    }

    /// DOC-9: the first edit by newer software says so in the document.
    #[test]
    fn an_older_document_learns_the_newer_version_with_the_first_edit() {
        let (mut document, _) = card([("name", "甲".into())]);
        assert_eq!(document.schema_version(), Some(SCHEMA_VERSION));
        let mut pen = Pen { document: &mut document, time: 1, bytes: 0, changes: Vec::new() };
        pen.upgrade(SCHEMA_VERSION);
        assert_eq!(pen.inner().pending_ops(), 0);
        pen.upgrade(SCHEMA_VERSION + 1);
        pen.flush();
        assert_eq!(document.schema_version(), Some(SCHEMA_VERSION + 1));
        // Older software leaves it as it is.
        put(&mut document, 1, &MOVED, "乙");
        assert_eq!(document.schema_version(), Some(SCHEMA_VERSION + 1));
    }
}
