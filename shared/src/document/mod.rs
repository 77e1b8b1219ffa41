//! Documents: the only place that touches Automerge values. One file per kind names that kind's keys.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// The version of the document schema that this software writes.
pub const SCHEMA_VERSION: u16 = 1;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Kind {
    /// A customer card: a shared description.
    #[n(0)]
    Customer,
    /// A visit: a fact, edited by its author alone.
    #[n(1)]
    Visit,
    /// A comment: a fact.
    #[n(2)]
    Comment,
}

impl Kind {
    /// Whether documents of this kind belong to their author alone.
    pub fn is_fact(self) -> bool {
        match self {
            Kind::Customer => false,
            Kind::Visit | Kind::Comment => true,
        }
    }
}
