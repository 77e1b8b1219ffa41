//! What lists need of every document, in memory: projections by document, and a summary by customer. A
//! projection is also kept as a row, so that opening the phone loads no document (CL-50).

use std::collections::HashMap;

use crate::cbor::{Decode, Encode};
use crate::document::Kind;
use crate::id::{DocId, PersonId, Scope};
use crate::order;
use crate::projection::{CustomerProjection, NextAction, Projection, VisitProjection};
use crate::search::SearchKey;
use crate::sorted::Set;
use crate::time::StatedTime;
use crate::timeline::Source;
use crate::view::{OpenAction, TimelineEntry};

/// Documents whose entries are kept: the longest timelines have hundreds, at about 1 kB each. More begins anew.
const ENTRIES_CACHED_MAX: usize = 2_000;

/// What lists show of one document, acknowledged and unsent.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct ListRow {
    #[n(0)]
    pub(super) scope: Scope,
    #[n(1)]
    pub(super) projection: Projection,
}

impl ListRow {
    pub(super) fn kind(&self) -> Kind {
        self.projection.kind()
    }

    pub(super) fn author(&self) -> Option<PersonId> {
        self.projection.author()
    }

    /// The customer whose scope the document lies in.
    pub(super) fn customer(&self) -> Option<DocId> {
        self.scope.customer()
    }
}

/// What a customer's visits add up to.
#[derive(Debug, Clone, Default)]
pub(super) struct Summary {
    /// When the last visit took place; void ones do not count.
    pub(super) last_visit: Option<StatedTime>,
    /// The earliest open next action with a day, and its words.
    pub(super) next_action: Option<(StatedTime, Option<String>)>,
    /// Every open action, the earliest day first, those without a day last (CL-53).
    pub(super) open_actions: Vec<OpenAction>,
}

#[derive(Default)]
pub(super) struct Index {
    rows: HashMap<DocId, ListRow>,
    scopes: HashMap<Scope, Set<DocId>>,
    customers: Set<DocId>,
    summaries: HashMap<DocId, Summary>,
    search_keys: HashMap<DocId, SearchKey>,
    stale: Set<DocId>,
    entries: HashMap<DocId, CachedEntries>,
    /// Grows by customer when the card or the ledger says something new of it.
    contexts: HashMap<DocId, u64>,
    /// Grows when names or actors are learned.
    names: u64,
}

/// The timeline entries of one document, and what they were made of.
struct CachedEntries {
    source: Source,
    context: u64,
    names: u64,
    entries: Vec<TimelineEntry>,
}

impl Index {
    pub(super) fn get(&self, doc: DocId) -> Option<&ListRow> {
        self.rows.get(&doc)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn insert(&mut self, doc: DocId, row: ListRow) {
        if row.kind() == Kind::Customer {
            self.customers.insert(doc);
        }
        self.scopes.entry(row.scope).or_default().insert(doc);
        self.touch_document(doc, &row);
        self.rows.insert(doc, row);
    }

    pub(super) fn remove(&mut self, doc: DocId) {
        let Some(row) = self.rows.remove(&doc) else { return };
        self.customers.remove(&doc);
        if let Some(docs) = self.scopes.get_mut(&row.scope) {
            docs.remove(&doc);
            if docs.is_empty() {
                self.scopes.remove(&row.scope);
            }
        }
        self.touch_document(doc, &row);
    }

    fn touch_document(&mut self, doc: DocId, row: &ListRow) {
        self.entries.remove(&doc);
        match row.kind() {
            Kind::Customer => self.touch_scope(row.scope),
            Kind::Visit | Kind::Comment => self.stale.extend(row.customer()),
        }
    }

    /// The card or the ledger says something new of the scope: what was made of it is made again when asked for.
    pub(super) fn touch_scope(&mut self, scope: Scope) {
        match scope {
            Scope::Customer(customer) => {
                self.stale.insert(customer);
                *self.contexts.entry(customer).or_default() += 1;
            }
            Scope::Person(_) | Scope::Organisation => self.touch_names(),
        }
    }

    /// Names, actors or settings were learned, by which entries are made.
    pub(super) fn touch_names(&mut self) {
        self.names += 1;
    }

    /// The entries of a document as they were last made, if nothing that they show has changed.
    pub(super) fn cached_entries(
        &self,
        doc: DocId,
        customer: DocId,
        source: &Source,
    ) -> Option<Vec<TimelineEntry>> {
        let cached = self.entries.get(&doc)?;
        let is_same = cached.source == *source
            && cached.context == self.context(customer)
            && cached.names == self.names;
        is_same.then(|| cached.entries.clone())
    }

    /// Keeps the entries of a document.
    pub(super) fn cache_entries(
        &mut self,
        doc: DocId,
        customer: DocId,
        source: Source,
        entries: Vec<TimelineEntry>,
    ) {
        if self.entries.len() >= ENTRIES_CACHED_MAX {
            self.entries.clear();
        }
        let context = self.context(customer);
        self.entries.insert(doc, CachedEntries { source, context, names: self.names, entries });
    }

    fn context(&self, customer: DocId) -> u64 {
        self.contexts.get(&customer).copied().unwrap_or(0)
    }

    /// Makes the summaries of everything that changed.
    pub(super) fn settle(&mut self) {
        for customer in std::mem::take(&mut self.stale) {
            if self.customers.contains(&customer) {
                let summary = summarise(self.visits(customer).map(|(_, visit)| visit));
                self.summaries.insert(customer, summary);
            } else {
                self.summaries.remove(&customer);
            }
            self.search_keys.remove(&customer);
        }
    }

    /// Every card, in order of ids.
    pub(super) fn customers(&self) -> impl Iterator<Item = (DocId, &CustomerProjection)> {
        let card = |doc: &DocId| Some((*doc, self.rows.get(doc)?.projection.customer()?));
        self.customers.iter().filter_map(card)
    }

    /// How many cards there are.
    pub(super) fn customer_count(&self) -> usize {
        self.customers.len()
    }

    /// The card of a customer.
    pub(super) fn card(&self, customer: DocId) -> Option<&CustomerProjection> {
        self.rows.get(&customer)?.projection.customer()
    }

    /// A customer's summary, as of the last [`Index::settle`].
    pub(super) fn summary(&self, customer: DocId) -> Option<&Summary> {
        self.summaries.get(&customer)
    }

    /// The customers whose search key is to be made.
    pub(super) fn unsearchable(&self) -> Vec<DocId> {
        self.customers.iter().copied().filter(|customer| !self.search_keys.contains_key(customer)).collect()
    }

    /// Keeps a customer's search key until something of the customer changes.
    pub(super) fn set_search_key(&mut self, customer: DocId, key: SearchKey) {
        self.search_keys.insert(customer, key);
    }

    /// Every search key.
    pub(super) fn search_keys(&self) -> impl Iterator<Item = (DocId, &SearchKey)> {
        self.search_keys.iter().map(|(customer, key)| (*customer, key))
    }

    /// The documents of a customer's scope, in order of ids.
    pub(super) fn of_customer(&self, customer: DocId) -> impl Iterator<Item = (DocId, &ListRow)> {
        let docs = self.scopes.get(&Scope::Customer(customer)).into_iter().flatten();
        docs.filter_map(|doc| Some((*doc, self.rows.get(doc)?)))
    }

    /// A customer's visits.
    pub(super) fn visits(&self, customer: DocId) -> impl Iterator<Item = (DocId, &VisitProjection)> {
        self.of_customer(customer).filter_map(|(doc, row)| Some((doc, row.projection.visit()?)))
    }

    /// Every document.
    pub(super) fn iter(&self) -> impl Iterator<Item = (DocId, &ListRow)> {
        self.rows.iter().map(|(doc, row)| (*doc, row))
    }
}

/// A later visit has dealt with an action: with one that has a day, a visit on that day or after it.
fn summarise<'a>(visits: impl Iterator<Item = &'a VisitProjection>) -> Summary {
    let visits: Vec<_> = visits.filter(|visit| !visit.void).collect();
    let mut open_actions: Vec<OpenAction> = Vec::new();
    for (index, visit) in visits.iter().enumerate() {
        let is_done = |action: &NextAction| {
            visits.iter().enumerate().any(|(other, later)| {
                let is_due = action.day.is_none_or(|day| later.at.day() >= day.day());
                other != index && is_due && later.at.begins() > visit.at.begins()
            })
        };
        let open = visit.next_actions.iter().filter(|action| !is_done(action));
        open_actions.extend(open.map(|action| OpenAction { day: action.day, text: action.text.clone() }));
    }
    order::sort_by_key(&mut open_actions, |action| action.day.map_or(i64::MAX, |day| day.begins().0));
    let next_action = open_actions.first().and_then(|action| Some((action.day?, action.text.clone())));
    let last_visit = visits.iter().map(|visit| visit.at).max_by_key(|at| at.begins());
    Summary { last_visit, next_action, open_actions }
}
