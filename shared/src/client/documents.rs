//! Documents as the person sees them, opened when somebody looks, and the list rows made of them. What is
//! needed to open the phone without opening a document (CL-50).

use crate::client::Client;
use crate::client::index::ListRow;
use crate::client::outbox::change_bytes;
use crate::client::rows::{self, Key};
use crate::document::Document;
use crate::id::{DocId, Scope};
use crate::projection::Projection;
use crate::sorted::Set;

impl Client {
    /// The document as the person sees it: acknowledged and unsent. None if the phone does not hold it.
    pub(super) fn open_document(&mut self, doc: DocId) -> Option<&mut Document> {
        if self.held.opened(doc).is_some() {
            return self.held.opened(doc);
        }
        let pending = self.outbox.pending_of(doc);
        let mut document = match self.held.get(doc) {
            Some(row) => match Document::load(&row.saved) {
                Ok(document) => document,
                Err(_) => {
                    self.mark_broken(doc);
                    return None;
                }
            },
            None if pending.is_empty() || self.outbox.needs_ground(doc) || self.outbox.is_detached(doc) => {
                return None;
            }
            None => Document::empty(),
        };
        for number in pending {
            let row = self.outbox.get(number)?;
            if document.apply(&change_bytes(row)).is_err() {
                self.unfit.insert(doc);
                return None;
            }
        }
        Some(self.held.keep_open(doc, document))
    }

    /// Projects the document as the person sees it into the lists.
    pub(super) fn refresh_list_row(&mut self, doc: DocId) {
        let scope = self.scope_of(doc);
        let projection = self.open_document(doc).and_then(Projection::of);
        match (scope, projection) {
            (Some(scope), Some(projection)) => self.index.insert(doc, ListRow { scope, projection }),
            (None, _) | (_, None) => self.index.remove(doc),
        }
        self.touch(Key::List(doc));
    }

    /// Projects a document that has nothing unsent into the lists.
    pub(super) fn index_document(&mut self, doc: DocId, scope: Scope, document: &mut Document) {
        match Projection::of(document) {
            Some(projection) => self.index.insert(doc, ListRow { scope, projection }),
            None => self.index.remove(doc),
        }
        self.touch(Key::List(doc));
    }

    fn scope_of(&self, doc: DocId) -> Option<Scope> {
        let held = self.held.get(doc).map(|row| row.scope);
        held.or_else(|| Some(self.outbox.get(*self.outbox.pending_of(doc).first()?)?.scope()))
    }

    /// Takes the list rows; makes those that are missing or of another shape from their documents.
    pub(super) fn open_lists(&mut self, lists: Vec<(DocId, Vec<u8>)>) {
        for (doc, bytes) in lists {
            match (self.scope_of(doc), rows::decode::<ListRow>(&bytes)) {
                (Some(_), Some(row)) => self.index.insert(doc, row),
                (None, _) => self.touch(Key::List(doc)),
                (Some(_), None) => {}
            }
        }
        let held = self.held.iter().map(|(doc, _)| doc);
        let unsent = self.outbox.iter().filter(|(_, row)| row.is_pending()).filter_map(|(_, row)| row.doc());
        let missing: Set<DocId> = held.chain(unsent).filter(|doc| self.index.get(*doc).is_none()).collect();
        for doc in missing {
            self.refresh_list_row(doc);
        }
    }

    /// Finds the scopes that were announced anew and not swept before the phone was closed.
    pub(super) fn resume_sweeps(&mut self) {
        let is_stale = |scope: Scope, generation: u32| {
            self.ledger.scope(scope).is_some_and(|state| state.row.generation > generation)
        };
        let stale: Vec<Scope> = self
            .held
            .iter()
            .filter(|(_, row)| is_stale(row.scope, row.generation))
            .map(|(_, row)| row.scope)
            .collect();
        let eventless =
            self.ledger.scopes().filter(|(_, state)| state.row.events_stale).map(|(scope, _)| scope);
        self.sweep = stale.into_iter().chain(eventless).collect();
    }

    /// Copies of the server's data that cannot be read are dropped, and everything is fetched anew.
    pub(super) fn discard_damaged(&mut self, names: &[String]) {
        for key in names.iter().filter_map(|name| Key::parse(name)) {
            self.touch(key);
        }
        self.faults += names.len() as u64;
        self.begin_epoch(None);
    }
}
