//! Cards, visits and timelines: hands the open documents and the ledger's events to the builders that know
//! how they are shown, with what only the phone knows (names, how far each document has come).

use crate::card::{self, Lookup};
use crate::client::Client;
use crate::client::views::Moment;
use crate::document::{Document, Kind};
use crate::id::{ActorId, DocId, PersonId};
use crate::order;
use crate::settings::Settings;
use crate::time::{Now, StatedTime};
use crate::timeline::{self, About, Source};
use crate::view::{CustomerCard, TimelineEntry, VisitView};

/// Visits that a card shows below itself (R12).
const LAST_VISITS: usize = 3;

impl Client {
    /// One card, as its screen shows it. None if the phone does not hold it.
    pub(super) fn customer_card(&mut self, _now: Now, id: DocId) -> Option<CustomerCard> {
        let row = self.customer_row(id, Moment::Present)?;
        let last_visits = self.last_visits(id);
        let open_actions =
            self.index.summary(id).map(|summary| summary.open_actions.clone()).unwrap_or_default();
        let late = self.late_of(id);
        self.with_document(id, |client, document| {
            client.with_lookup(|lookup| {
                let record = client.ledger.record(id);
                CustomerCard {
                    row,
                    fields: card::fields(document),
                    phones: card::phones(document, lookup),
                    records: card::records(document),
                    clashes: card::clashes(document, lookup),
                    access: client.access(id),
                    owners: record.map(|record| card::owners(record, lookup)).unwrap_or_default(),
                    first_recorder: record.map(|record| (lookup.name)(record.first_recorder)),
                    late,
                    last_visits,
                    open_actions,
                }
            })
        })
    }

    fn last_visits(&mut self, customer: DocId) -> Vec<TimelineEntry> {
        let mut visits: Vec<(i64, DocId)> =
            self.index.visits(customer).map(|(doc, visit)| (-visit.at.begins().0, doc)).collect();
        order::sort(&mut visits);
        visits.truncate(LAST_VISITS);
        visits.into_iter().filter_map(|(_, doc)| self.fact_entry(doc, Moment::Present)).collect()
    }

    /// Everything that happened with a customer, oldest first.
    pub(super) fn timeline(&mut self, _now: Now, customer: DocId) -> Vec<TimelineEntry> {
        let docs: Vec<DocId> = self.index.of_customer(customer).map(|(doc, _)| doc).collect();
        let mut entries = Vec::new();
        for doc in docs {
            entries.extend(self.entries_of(doc, Moment::Present));
        }
        let name = self.customer_name(customer);
        let record = self.ledger.record(customer);
        let about = About { customer, name: &name, record };
        let events = self.ledger.events(customer);
        entries.extend(self.with_lookup(|lookup| timeline::ledger_entries(events, about, lookup)));
        timeline::sort(&mut entries, record);
        entries
    }

    /// The newest facts over all customers: unsent ones first, then by receipt, then by when they took place.
    pub(super) fn newest(&mut self, _now: Now, limit: usize) -> Vec<TimelineEntry> {
        let place = |(doc, row): (DocId, &crate::client::index::ListRow)| {
            let at = match (row.kind(), row.projection.visit()) {
                (Kind::Customer, _) => return None,
                (_, Some(visit)) => visit.at.begins(),
                (_, None) => row.projection.recorded().map(|recorded| recorded.at).unwrap_or_default(),
            };
            let received = self.held.get(doc).map_or(i64::MAX, |held| held.received.0);
            Some((-received, -at.0, doc))
        };
        let mut newest: Vec<_> = self.index.iter().filter_map(place).collect();
        order::sort(&mut newest);
        newest.truncate(limit);
        newest.into_iter().filter_map(|(_, _, doc)| self.fact_entry(doc, Moment::Present)).collect()
    }

    /// One visit for its form. None if the phone does not hold it.
    pub(super) fn visit(&mut self, _now: Now, id: DocId) -> Option<VisitView> {
        let source = self.source(id, Moment::Present);
        let customer = self.index.get(id)?.customer()?;
        let me = self.meta.profile.as_ref().map(|profile| profile.person.id);
        let name = self.customer_name(customer);
        self.with_document(id, |client, document| {
            let about = About { customer, name: &name, record: client.ledger.record(customer) };
            client.with_lookup(|lookup| timeline::visit_view(document, &source, about, me, lookup))
        })?
    }

    /// The entry of a visit or comment itself, without its quotes and samples.
    pub(super) fn fact_entry(&mut self, doc: DocId, moment: Moment) -> Option<TimelineEntry> {
        self.entries_of(doc, moment).into_iter().next()
    }

    /// Every entry that a document makes.
    fn entries_of(&mut self, doc: DocId, moment: Moment) -> Vec<TimelineEntry> {
        let source = self.source(doc, moment);
        let Some((kind, customer)) = self.index.get(doc).and_then(|row| Some((row.kind(), row.customer()?)))
        else {
            return Vec::new();
        };
        if let Some(entries) = self.index.cached_entries(doc, customer, &source) {
            return entries;
        }
        let name = self.customer_name(customer);
        let entries = self.with_document(doc, |client, document| {
            let about = About { customer, name: &name, record: client.ledger.record(customer) };
            client.with_lookup(|lookup| match kind {
                Kind::Customer => timeline::card_entries(document, &source, about, lookup),
                Kind::Visit => timeline::visit_entries(document, &source, about, lookup),
                Kind::Comment => timeline::comment_entries(document, &source, about, lookup),
            })
        });
        let Some(entries) = entries else { return Vec::new() };
        self.index.cache_entries(doc, customer, source, entries.clone());
        entries
    }

    fn source(&self, doc: DocId, moment: Moment) -> Source {
        Source { doc, sync: self.sync_of(doc, moment), received: self.held.get(doc).map(|row| row.received) }
    }

    /// Lends the open document to a reader of everything else.
    fn with_document<R>(&mut self, doc: DocId, read: impl FnOnce(&Client, &mut Document) -> R) -> Option<R> {
        self.open_document(doc)?;
        let mut document = self.held.close(doc)?;
        let result = read(self, &mut document);
        self.held.keep_open(doc, document);
        Some(result)
    }

    fn with_lookup<R>(&self, read: impl FnOnce(&Lookup<'_>) -> R) -> R {
        let own: Option<PersonId> = self.meta.profile.as_ref().map(|profile| profile.person.id);
        let is_own = |actor: ActorId| actor == self.meta.actor || self.meta.former_actors.contains(&actor);
        // The server's word first; of this phone's own actors the phone knows before the server says so.
        let person_of =
            |actor: ActorId| self.ledger.person_of(actor).or(if is_own(actor) { own } else { None });
        let name = |person: PersonId| self.person_name(person);
        let told = self.meta.settings.unwrap_or_default();
        let settings = Settings {
            offset_minutes: self.meta.offset_minutes,
            late_upload_minutes: told.late_upload_minutes,
            position_allowed: told.position_allowed,
            ..Settings::default()
        };
        read(&Lookup { name: &name, person_of: &person_of, settings: &settings })
    }
}

/// Newest first, never visited last.
pub(super) fn by_last_visit(last_visit: Option<StatedTime>) -> i64 {
    -last_visit.map_or(i64::MIN + 1, |at| at.begins().0)
}
