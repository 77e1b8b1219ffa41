//! What a person did, in the words of the domain. The phone keeps edits, not only their bytes, so that
//! an edit can be made again on other ground (rebase) or shown to the person who typed it.

use serde::Serialize;
use serde_json::Value as Json;

use crate::id::DocId;
use crate::json::{Fields, FromJson};
use crate::sorted;

/// One thing that a person did to documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Edit {
    /// A new customer card; anything may be missing (R3).
    CreateCustomer {
        /// The new card's id.
        customer: DocId,
        /// Its first values.
        #[cfg_attr(test, ts(type = "Patch"))]
        fields: Patch,
    },
    /// A change of a customer card.
    EditCustomer {
        /// The card.
        customer: DocId,
        /// What changes.
        #[cfg_attr(test, ts(type = "Patch"))]
        fields: Patch,
    },
    /// A new visit, written by this device's person.
    CreateVisit {
        /// The new visit's id.
        visit: DocId,
        /// The customer visited, possibly created offline a minute ago.
        customer: DocId,
        /// Its first values.
        #[cfg_attr(test, ts(type = "Patch"))]
        fields: Patch,
    },
    /// A change of one's own visit.
    EditVisit {
        /// The visit.
        visit: DocId,
        /// What changes.
        #[cfg_attr(test, ts(type = "Patch"))]
        fields: Patch,
    },
    /// Voids one's own visit (作废); nothing is deleted.
    VoidVisit {
        /// The visit.
        visit: DocId,
        /// Why.
        reason: String,
    },
    /// A comment (批示) on a customer or one of its visits.
    CreateComment {
        /// The new comment's id.
        comment: DocId,
        /// The customer.
        customer: DocId,
        /// The visit that it is about.
        about: Option<DocId>,
        /// The words.
        text: String,
    },
}

impl FromJson for Edit {
    fn from_json(json: Json) -> Option<Self> {
        let mut json = Fields::of(json)?;
        let edit = match json.take::<String>("type")?.as_str() {
            "create_customer" => {
                Edit::CreateCustomer { customer: json.take("customer")?, fields: json.take("fields")? }
            }
            "edit_customer" => {
                Edit::EditCustomer { customer: json.take("customer")?, fields: json.take("fields")? }
            }
            "create_visit" => Edit::CreateVisit {
                visit: json.take("visit")?,
                customer: json.take("customer")?,
                fields: json.take("fields")?,
            },
            "edit_visit" => Edit::EditVisit { visit: json.take("visit")?, fields: json.take("fields")? },
            "void_visit" => Edit::VoidVisit { visit: json.take("visit")?, reason: json.take("reason")? },
            "create_comment" => Edit::CreateComment {
                comment: json.take("comment")?,
                customer: json.take("customer")?,
                about: json.take("about")?,
                text: json.take("text")?,
            },
            _ => return None,
        };
        Some(edit)
    }
}

impl Edit {
    /// Whether the edit makes a new document.
    pub fn creates(&self) -> bool {
        matches!(self, Edit::CreateCustomer { .. } | Edit::CreateVisit { .. } | Edit::CreateComment { .. })
    }

    /// The document that the edit changes or creates.
    pub fn doc(&self) -> DocId {
        match self {
            Edit::CreateCustomer { customer: doc, .. }
            | Edit::EditCustomer { customer: doc, .. }
            | Edit::CreateVisit { visit: doc, .. }
            | Edit::EditVisit { visit: doc, .. }
            | Edit::VoidVisit { visit: doc, .. }
            | Edit::CreateComment { comment: doc, .. } => *doc,
        }
    }
}

/// New values by field path. A path is `field` or `records/ID/field`; a record of a map is created by its
/// first field and removed by `records/ID` = null. Ids of records are 8 to 32 characters of
/// `[0-9a-z]`, drawn by the device. Which paths exist and what they hold: [`crate::document::schema`].
pub type Patch = sorted::Map<String, Value>;

/// A value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Value {
    /// No value: the field or record is removed.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number: money in fen, coordinates in 1e-7 degrees, counts, metres.
    Int(i64),
    /// A short text, a choice, an id, or a time in the form of [`crate::time::StatedTime`]. For a long text:
    /// the whole new text, when nobody else can have changed it since it was read.
    Str(String),
    /// A long text as edited by a person: what the form showed at first and what it shows at last. The
    /// difference is merged into what the document holds by then.
    Text {
        /// What the editor began with.
        base: String,
        /// What the editor ended with.
        text: String,
    },
}

impl FromJson for Value {
    fn from_json(json: Json) -> Option<Self> {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(yes) => Value::Bool(yes),
            Json::Number(number) => Value::Int(number.as_i64()?),
            Json::String(text) => Value::Str(text),
            Json::Array(_) => return None,
            json @ Json::Object(_) => {
                let mut json = Fields::of(json)?;
                Value::Text { base: json.take("base")?, text: json.take("text")? }
            }
        };
        Some(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Str(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn doc(byte: u8) -> DocId {
        DocId([byte; 16])
    }

    fn fields() -> Patch {
        let text = Value::Text { base: "a".to_owned(), text: "b".to_owned() };
        let values = [Value::Null, Value::Bool(true), Value::Int(-5), "字".into(), text];
        values.into_iter().enumerate().map(|(index, value)| (format!("key{index}"), value)).collect()
    }

    #[test]
    fn every_edit_is_read_as_it_was_written() {
        for edit in [
            Edit::CreateCustomer { customer: doc(1), fields: fields() },
            Edit::EditCustomer { customer: doc(1), fields: fields() },
            Edit::CreateVisit { visit: doc(2), customer: doc(1), fields: fields() },
            Edit::EditVisit { visit: doc(2), fields: Patch::new() },
            Edit::VoidVisit { visit: doc(2), reason: "错".to_owned() },
            Edit::CreateComment {
                comment: doc(3),
                customer: doc(1),
                about: Some(doc(2)),
                text: "好".to_owned(),
            },
            Edit::CreateComment { comment: doc(3), customer: doc(1), about: None, text: String::new() },
        ] {
            assert_eq!(json::parse(&json::write_text(&edit)), Ok(edit));
        }
    }

    #[test]
    fn what_is_no_edit_is_not_read_as_one() {
        let id = doc(1);
        for text in [
            "".to_owned(),
            "[]".to_owned(),
            r#"{"type":"edit_customer"}"#.to_owned(),
            format!(r#"{{"type":"edit_customer","customer":"{id}"}}"#),
            format!(r#"{{"type":"nonsense","customer":"{id}","fields":{{}}}}"#),
            format!(r#"{{"type":"edit_customer","customer":"{id}","fields":{{"a":1.5}}}}"#),
            format!(r#"{{"type":"edit_customer","customer":"{id}","fields":{{"a":[]}}}}"#),
            format!(r#"{{"type":"edit_customer","customer":"{id}0","fields":{{}}}}"#),
        ] {
            assert_eq!(json::parse::<Edit>(&text), Err(json::JsonError), "{text}");
        }
        let text = format!(r#"{{"fields":{{}},"more":7,"type":"edit_customer","customer":"{id}"}}"#);
        assert_eq!(json::parse(&text), Ok(Edit::EditCustomer { customer: id, fields: Patch::new() }));
    }
}
