//! What was written when: the fields of a document change by change, in causal order, read from the
//! operations themselves. Long texts are left out; their history is their author's business.

use std::collections::HashMap;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{ObjType, ScalarValue};

use crate::document::schema::{Scalar, schema};
use crate::document::{ChangeInfo, Document};
use crate::id::{ActorId, ChangeHash, PersonId};
use crate::order;
use crate::time::UtcMillis;

/// One value written or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldWrite {
    /// The field's path; `records/ID` for the removal of a whole record.
    pub path: String,
    /// What the writer saw there.
    pub before: Option<Scalar>,
    /// What the writer left there.
    pub after: Option<Scalar>,
}

/// What one change wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeWrites {
    /// The change.
    pub change: ChangeInfo,
    /// What it wrote, in order; empty if it touched long texts alone.
    pub writes: Vec<FieldWrite>,
}

/// Where an object stands.
enum Place {
    Records(&'static str),
    Record(&'static str, String),
}

impl Document {
    /// Every change with what it wrote, in a causal order that is the same on every replica, whatever order the
    /// changes came in: by the counter of the first operation, then the actor, as the engine orders writes.
    pub fn writes(&mut self) -> Vec<ChangeWrites> {
        let Some(kind) = self.kind() else { return Vec::new() };
        let table = schema(kind);
        let mut places: HashMap<OpId, Place> = HashMap::new();
        let mut values: HashMap<OpId, Scalar> = HashMap::new();
        let mut history = Vec::new();
        let mut authors: HashMap<ActorId, PersonId> = HashMap::new();
        let mut changes = self.inner.get_changes(&[]);
        order::sort_by_cached_key(&mut changes, |change| {
            (change.start_op(), change.actor_id().clone(), change.seq())
        });
        for change in changes {
            let Some(actor) = ActorId::from_slice(change.actor_id().to_bytes()) else { continue };
            if let Some(author) = change.author().and_then(|author| PersonId::from_slice(author.as_bytes())) {
                authors.insert(actor, author);
            }
            let expanded = change.decode();
            let mut writes = Vec::new();
            for (index, op) in expanded.operations.iter().enumerate() {
                let id = OpId(expanded.start_op.get() + index as u64, expanded.actor_id.clone());
                let Key::Map(key) = &op.key else { continue };
                let path = match (&op.obj, &op.action) {
                    (ObjectId::Root, OpType::Make(ObjType::Map)) => {
                        if let Some(records) = table.records(key) {
                            places.insert(id, Place::Records(records.key));
                        }
                        continue;
                    }
                    (ObjectId::Root, _) => key.to_string(),
                    (ObjectId::Id(object), action) => match (places.get(object), action) {
                        (Some(Place::Records(records)), OpType::Make(ObjType::Map)) => {
                            let place = Place::Record(records, key.to_string());
                            places.insert(id, place);
                            continue;
                        }
                        (Some(Place::Records(records)), _) => format!("{records}/{key}"),
                        (Some(Place::Record(records, record)), _) => format!("{records}/{record}/{key}"),
                        (None, _) => continue,
                    },
                };
                let after = scalar(op);
                if let Some(after) = &after {
                    values.insert(id, after.clone());
                } else if !matches!(op.action, OpType::Delete) {
                    continue;
                }
                let before = op.pred.iter().filter_map(|pred| values.get(pred)).next_back().cloned();
                writes.push(FieldWrite { path, before, after });
            }
            let info = ChangeInfo {
                hash: ChangeHash(change.hash().0),
                actor,
                author: authors.get(&actor).copied(),
                seq: change.seq(),
                max_op: change.max_op(),
                at: UtcMillis(change.timestamp()),
            };
            history.push(ChangeWrites { change: info, writes });
        }
        history
    }
}

fn scalar(op: &Op) -> Option<Scalar> {
    match &op.action {
        OpType::Put(ScalarValue::Str(text)) => Some(Scalar::Str(text.to_string())),
        OpType::Put(ScalarValue::Int(number)) => Some(Scalar::Int(*number)),
        OpType::Put(ScalarValue::Boolean(yes)) => Some(Scalar::Bool(*yes)),
        _ => None,
    }
}
