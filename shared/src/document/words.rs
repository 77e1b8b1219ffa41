//! Changes put back into the words of edits. Of acknowledged work a phone keeps changes alone; when a restored
//! server has lost them and does not take them back as they are, they are told again in words (S14). Long
//! texts come as the difference that the change made.

use automerge::ReadDoc;

use crate::document::schema::{self, Content, Place, Scalar, schema};
use crate::document::{Document, Kind};
use crate::edit::{Edit, Patch, Value};
use crate::id::{ChangeHash, DocId};
use crate::time::UtcMillis;

/// An edit told again from the changes that it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The changes.
    pub changes: Vec<ChangeHash>,
    /// When they were recorded.
    pub at: UtcMillis,
    /// What they did.
    pub edit: Edit,
}

/// What one person did at one moment.
#[derive(Default)]
struct Deed {
    changes: Vec<ChangeHash>,
    at: UtcMillis,
    begins: bool,
    fields: Patch,
    void: Option<String>,
}

impl Document {
    /// What these changes did, in causal order and in words. Changes of one moment are the parts of one edit
    /// (DOC-6). Empty if none of it can be said in words.
    pub fn in_words(&mut self, doc: DocId, changes: &[ChangeHash]) -> Vec<Told> {
        let Some(kind) = self.kind() else { return Vec::new() };
        let mut deeds: Vec<Deed> = Vec::new();
        for written in self.writes() {
            let (hash, at) = (written.change.hash, written.change.at);
            if !changes.contains(&hash) {
                continue;
            }
            if deeds.last().is_none_or(|deed| deed.at != at) {
                deeds.push(Deed { at, ..Deed::default() });
            }
            let deed = deeds.last_mut().expect("just put there");
            deed.changes.push(hash);
            for write in written.writes {
                deed.take(kind, &write.path, write.after);
            }
            self.tell_texts(kind, hash, deed);
        }
        deeds.into_iter().flat_map(|deed| deed.into_edits(self, kind, doc)).collect()
    }

    /// Adds what a change did to long texts.
    fn tell_texts(&mut self, kind: Kind, hash: ChangeHash, deed: &mut Deed) {
        let after = [automerge::ChangeHash(hash.0)];
        let Some(before) = self.inner.get_change_by_hash(&after[0]).map(|change| change.deps().to_vec())
        else {
            return;
        };
        let texts = schema(kind).fields.iter().filter(|field| matches!(field.content, Content::Text { .. }));
        for field in texts {
            let (base, text) = (self.text_at(field.key, &before), self.text_at(field.key, &after));
            if base == text {
                continue;
            }
            let base = match deed.fields.remove(field.key) {
                Some(Value::Text { base, .. }) => base,
                Some(Value::Str(_)) => String::new(),
                _ => base,
            };
            let value = if base.is_empty() { Value::Str(text) } else { Value::Text { base, text } };
            deed.fields.insert(field.key.to_owned(), value);
        }
    }

    /// The shown text of a long text as somebody saw it who knew no more than these changes and their past.
    fn text_at(&self, key: &str, heads: &[automerge::ChangeHash]) -> String {
        if heads.is_empty() {
            return String::new();
        }
        let shown = self.inner.get_at(automerge::ROOT, key, heads).ok().flatten();
        shown.and_then(|(_, object)| self.inner.text_at(&object, heads).ok()).unwrap_or_default()
    }
}

impl Deed {
    fn take(&mut self, kind: Kind, path: &str, after: Option<Scalar>) {
        let value = match after {
            Some(Scalar::Str(text)) => Value::Str(text),
            Some(Scalar::Int(number)) => Value::Int(number),
            Some(Scalar::Bool(yes)) => Value::Bool(yes),
            None => Value::Null,
        };
        match schema(kind).place(path) {
            Some(Place::Field(field)) if field.typed => {}
            Some(Place::Field(field)) => {
                self.begins |= field.key == schema::KIND;
                if field.key == schema::VOID_REASON {
                    self.void = match value {
                        Value::Str(reason) => Some(reason),
                        _ => None,
                    };
                }
                return;
            }
            Some(Place::Record { .. }) if value == Value::Null => {
                let inside = format!("{path}/");
                self.fields.retain(|other, _| !other.starts_with(&inside));
            }
            Some(Place::RecordField { .. }) => {}
            // Of newer software, or a former key of a field that is told under its own.
            Some(Place::Record { .. }) | None => return,
        }
        self.fields.insert(path.to_owned(), value);
    }

    fn into_edits(self, document: &Document, kind: Kind, doc: DocId) -> Vec<Told> {
        let Deed { changes, at, begins, mut fields, void } = self;
        let mut edits = Vec::new();
        match (kind, document.customer()) {
            (Kind::Customer, _) if begins => edits.push(Edit::CreateCustomer { customer: doc, fields }),
            (Kind::Customer, _) if !fields.is_empty() => {
                edits.push(Edit::EditCustomer { customer: doc, fields });
            }
            (Kind::Visit, Some(customer)) if begins => {
                edits.push(Edit::CreateVisit { visit: doc, customer, fields });
            }
            (Kind::Visit, _) if !fields.is_empty() => edits.push(Edit::EditVisit { visit: doc, fields }),
            (Kind::Comment, Some(customer)) if begins => {
                let text = match fields.remove("text") {
                    Some(Value::Str(text) | Value::Text { text, .. }) => text,
                    _ => String::new(),
                };
                edits.push(Edit::CreateComment { comment: doc, customer, about: document.about(), text });
            }
            (Kind::Customer | Kind::Visit | Kind::Comment, _) => {}
        }
        if let (Kind::Visit, Some(reason)) = (kind, void) {
            edits.push(Edit::VoidVisit { visit: doc, reason });
        }
        edits.into_iter().map(|edit| Told { changes: changes.clone(), at, edit }).collect()
    }
}
