//! Erasures (HUB-50 to HUB-53): the administrator has a document erased for good, at any moment. From the commit on
//! nothing of it leaves the server, no table of the store holds a word of it, and phones at rest have let go of it; what
//! was typed and never stored is its author's to see.

use server::hub::{Administration, AdministrationFailure, administer};
use server::store::{Lookup, Store};
use shared::id::{DocId, Scope};
use shared::protocol::{Item, PushItem, encode};
use shared::time::UtcMillis;

use crate::fault::Fault;
use crate::invariant::Heard;
use crate::model::{Model, Violation};
use crate::world::World;
use crate::world::disk::contains;
use crate::world::server::BROKEN;

impl World {
    /// Some document is erased: a card with everything of its customer, or a visit or comment alone.
    pub fn erase_something(&mut self) -> Result<(), Violation> {
        let ids = self.server.store().lookup().document_ids(None, usize::MAX >> 1).expect(BROKEN);
        let is_card = |doc: &DocId| self.model.customer(*doc).is_some();
        let (cards, facts): (Vec<DocId>, Vec<DocId>) = ids.into_iter().partition(is_card);
        let mut dice = self.dice.aside();
        let choices = if facts.is_empty() || dice.permille(300) { cards } else { facts };
        dice.pick(&choices).copied().map_or(Ok(()), |doc| self.erase(doc))
    }

    /// Has a stored document erased. What the server held of it is gone for good, and nobody may look for it any more.
    fn erase(&mut self, doc: DocId) -> Result<(), Violation> {
        self.note(|| format!("{doc:?} is erased"));
        self.faults.count(Fault::DocumentErased);
        let before = self.stored_tokens();
        let left: Vec<PushItem> = self.quarantine().into_iter().map(|row| row.item).collect();
        self.administer(Administration::Erase { doc, by: None })?
            .map_err(|failure| format!("{doc:?} cannot be erased: {failure}"))?;
        let Model { typed, .. } = &self.model;
        let gone: Vec<usize> = (0..typed.len())
            .filter(|edit| {
                let edit = &typed[*edit];
                let lay_there =
                    left.iter().any(|item| self.is_of_erased(item) && is_said_in(item, &edit.token));
                // What had arrived before the server was set back is not unsent to its phone, and goes with the rest.
                let is_gone = edit.arrived && self.model.is_erased_under(edit);
                is_gone || before.holds(edit) && (self.model.is_erased(edit.doc) || lay_there)
            })
            .collect();
        gone.into_iter().for_each(|edit| self.model.typed[edit].expected = false);
        Ok(())
    }

    /// The office erases again what an older copy of the store had brought back, before it is served (CLI-15).
    pub fn erase_again(&mut self, erased: impl IntoIterator<Item = DocId>) -> Result<(), Violation> {
        for doc in erased {
            let now = UtcMillis(self.now_ms);
            match administer(self.server.idle_store(), now, &Administration::Erase { doc, by: None }) {
                // The copy is older than the document.
                Ok(()) | Err(AdministrationFailure::Refused(_)) => {}
                Err(failure) => return Err(format!("{doc:?} cannot be erased again: {failure}")),
            }
            self.learn_commits()?;
        }
        Ok(())
    }

    /// Whether an item is about an erased document, or in an erased customer's scope.
    pub fn is_of_erased(&self, item: &PushItem) -> bool {
        let (doc, scope) = match item {
            PushItem::Change { doc, scope, .. } => (Some(*doc), scope.customer()),
            PushItem::Request { command, .. } => (None, Some(command.customer())),
            PushItem::Release { .. } => (None, None),
        };
        doc.into_iter().chain(scope).any(|id| self.model.is_erased(id))
    }

    /// Of what a device hands over of an erased document nothing is kept (HUB-50).
    pub fn forgive_what_is_erased(&mut self, phone: usize, items: &[PushItem]) {
        let erased: Vec<&PushItem> = items.iter().filter(|item| self.is_of_erased(item)).collect();
        for edit in self.model.typed.iter_mut().filter(|edit| edit.phone == phone) {
            edit.expected &= !erased.iter().any(|item| is_said_in(item, &edit.token));
        }
    }

    /// Nothing of an erased document leaves the server (HUB-50).
    pub(super) fn check_nothing_erased(&self, heard: &Heard, bytes: &[u8]) -> Result<(), Violation> {
        if self.model.erased().next().is_none() {
            return Ok(());
        }
        for item in &heard.items {
            if let Item::Snapshot { doc, .. } | Item::Changes { doc, .. } = item
                && self.model.is_erased(*doc)
            {
                return Err(format!("the erased {doc:?} leaves the server (I4)"));
            }
        }
        let mut sung = self.model.canaries_in(bytes);
        sung.extend(self.model.canaries_in(&encode(&heard.items)));
        match sung.into_iter().find(|customer| self.model.is_erased(*customer)) {
            Some(customer) => Err(format!("words of the erased {customer:?} leave the server (I4)")),
            None => Ok(()),
        }
    }

    /// No table holds a word of what was erased, and no phone at rest does but what it has to show to its author.
    pub(super) fn check_erased(&mut self) -> Result<(), Violation> {
        let words = self.erased_words();
        if words.is_empty() {
            return Ok(());
        }
        for (table, bytes) in self.tables() {
            if let Some((word, _)) = words.iter().find(|(word, _)| contains(&bytes, word.as_bytes())) {
                return Err(format!("the table {table} holds {word:?} of what was erased (I4)"));
            }
        }
        for phone in 0..self.phones.len() {
            if self.phones[phone].retired || self.refuses_login(phone).is_some() {
                continue;
            }
            let person = self.phones[phone].person;
            let rows = self.phones[phone].disk.rows();
            for (key, bytes) in rows.iter().filter(|(key, _)| !key.starts_with("out/")) {
                let is_named = self
                    .model
                    .erased()
                    .any(|doc| *key == format!("doc/{doc}") || *key == format!("row/{doc}"));
                // Who could not see the customer any more does not hear of the erasure, and keeps the name in old notices.
                let may_stay = |name_of: &Option<DocId>| {
                    let is_notice = key.starts_with("events/p-") || key.starts_with("view/");
                    let sees = |id: DocId| self.model.may_read(person, Scope::Customer(id));
                    is_notice && name_of.is_some_and(|id| !sees(id))
                };
                let word = words
                    .iter()
                    .find(|(word, name_of)| contains(bytes, word.as_bytes()) && !may_stay(name_of));
                if is_named || word.is_some() {
                    return Err(format!("phone {phone} holds {key} of what was erased: {word:?} (I4)"));
                }
            }
        }
        Ok(())
    }

    /// What was typed into erased documents, and the canaries and names of erased customers, names with whose they are.
    fn erased_words(&self) -> Vec<(String, Option<DocId>)> {
        let mut words = Vec::new();
        for doc in self.model.erased() {
            if let Some(canary) = self.model.canary_of(*doc) {
                words.push((canary.replace("canary", "Factory "), Some(*doc)));
                words.push((canary, None));
            }
        }
        let typed = self.model.typed.iter().filter(|edit| self.model.is_erased(edit.doc));
        words.extend(typed.map(|edit| (edit.token.clone(), None)));
        words
    }

    /// Every table of the store with all that its columns hold.
    fn tables(&mut self) -> Vec<(String, Vec<u8>)> {
        let connection = self.server.connection();
        let read = || -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
            let names = "SELECT name FROM sqlite_schema WHERE type = 'table'";
            let names: Vec<String> =
                connection.prepare(names)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let mut tables = Vec::new();
            for name in names {
                let mut statement = connection.prepare(&format!("SELECT * FROM {name}"))?;
                let columns = statement.column_count();
                let mut bytes = Vec::new();
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    for column in 0..columns {
                        if let rusqlite::types::ValueRef::Text(held) | rusqlite::types::ValueRef::Blob(held) =
                            row.get_ref(column)?
                        {
                            bytes.extend_from_slice(held);
                            bytes.push(0);
                        }
                    }
                }
                tables.push((name, bytes));
            }
            Ok(tables)
        };
        read().expect(BROKEN)
    }
}

fn is_said_in(item: &PushItem, token: &str) -> bool {
    matches!(item, PushItem::Change { change, .. } if contains(change, token.as_bytes()))
}
