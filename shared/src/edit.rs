//! What a person did, in the words of the domain. The phone keeps edits, not only their bytes, so that
//! an edit can be made again on other ground (rebase) or shown to the person who typed it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::DocId;

/// One thing that a person did to documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Edit {
    /// A new customer card; anything may be missing (R3).
    CreateCustomer {
        /// The new card's id.
        customer: DocId,
        /// Its first values.
        fields: Patch,
    },
    /// A change of a customer card.
    EditCustomer {
        /// The card.
        customer: DocId,
        /// What changes.
        fields: Patch,
    },
    /// A new visit, written by this device's person.
    CreateVisit {
        /// The new visit's id.
        visit: DocId,
        /// The customer visited, possibly created offline a minute ago.
        customer: DocId,
        /// Its first values.
        fields: Patch,
    },
    /// A change of one's own visit.
    EditVisit {
        /// The visit.
        visit: DocId,
        /// What changes.
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
pub type Patch = BTreeMap<String, Value>;

/// A value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
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

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Str(text.to_owned())
    }
}
