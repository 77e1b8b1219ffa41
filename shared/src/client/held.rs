//! Documents on this phone: the acknowledged form of each, and a bounded set of open ones that show the
//! acknowledged form plus what is unsent. Keeps the digest of every scope in step with the acknowledged
//! heads. Knows nothing of frames, permissions or screens.

use std::collections::HashMap;

use crate::client::rows::DocRow;
use crate::document::{Document, digest};
use crate::id::{DocId, Scope};
use crate::protocol::Digest;
use crate::sorted::Set;

/// Open documents at a time. An open document takes about 14 kB in a browser and linear memory never
/// shrinks (28 MB for 2,000): 64 are 1 MB, and a person looks at one customer at a time.
const OPEN_MAX: usize = 64;

struct Open {
    document: Document,
    used: u64,
}

#[derive(Default)]
pub(super) struct Held {
    rows: HashMap<DocId, DocRow>,
    scopes: HashMap<Scope, Set<DocId>>,
    digests: HashMap<Scope, u64>,
    open: HashMap<DocId, Open>,
    clock: u64,
}

impl Held {
    /// The acknowledged form.
    pub(super) fn get(&self, doc: DocId) -> Option<&DocRow> {
        self.rows.get(&doc)
    }

    /// How many documents the server has acknowledged.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Every acknowledged document.
    pub(super) fn iter(&self) -> impl Iterator<Item = (DocId, &DocRow)> {
        self.rows.iter().map(|(doc, row)| (*doc, row))
    }

    /// The acknowledged documents of a scope, in order of their ids.
    pub(super) fn of_scope(&self, scope: Scope) -> Vec<DocId> {
        self.scopes.get(&scope).map(|docs| docs.iter().copied().collect()).unwrap_or_default()
    }

    /// Takes the acknowledged form.
    pub(super) fn insert(&mut self, doc: DocId, row: DocRow) {
        self.forget_row(doc);
        *self.digests.entry(row.scope).or_default() ^= digest(doc, &row.heads).0;
        self.scopes.entry(row.scope).or_default().insert(doc);
        self.rows.insert(doc, row);
    }

    /// Drops the acknowledged form and what is open.
    pub(super) fn remove(&mut self, doc: DocId) {
        self.forget_row(doc);
        self.open.remove(&doc);
    }

    fn forget_row(&mut self, doc: DocId) {
        let Some(row) = self.rows.remove(&doc) else { return };
        *self.digests.entry(row.scope).or_default() ^= digest(doc, &row.heads).0;
        if let Some(docs) = self.scopes.get_mut(&row.scope) {
            docs.remove(&doc);
            if docs.is_empty() {
                self.scopes.remove(&row.scope);
                self.digests.remove(&row.scope);
            }
        }
    }

    /// The digest of a scope's acknowledged heads.
    pub(super) fn digest(&self, scope: Scope) -> Digest {
        Digest(self.digests.get(&scope).copied().unwrap_or(0))
    }

    /// Every scope with documents.
    pub(super) fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.scopes.keys().copied()
    }

    /// The open document, if it is open.
    pub(super) fn opened(&mut self, doc: DocId) -> Option<&mut Document> {
        self.clock += 1;
        let open = self.open.get_mut(&doc)?;
        open.used = self.clock;
        Some(&mut open.document)
    }

    /// Keeps a document open; the one least recently used makes room.
    pub(super) fn keep_open(&mut self, doc: DocId, document: Document) -> &mut Document {
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(&doc) {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(doc, _)| *doc);
            if let Some(oldest) = oldest {
                self.open.remove(&oldest);
            }
        }
        self.clock += 1;
        let used = self.clock;
        self.open.remove(&doc);
        &mut self.open.entry(doc).or_insert(Open { document, used }).document
    }

    /// Closes a document, so that it is made again from its rows.
    pub(super) fn close(&mut self, doc: DocId) -> Option<Document> {
        self.open.remove(&doc).map(|open| open.document)
    }
}
