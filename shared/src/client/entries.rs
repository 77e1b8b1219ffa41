//! Timeline entries and cards, through the builders that the server's reports use too.

use crate::client::Client;
use crate::client::views::Moment;
use crate::id::DocId;
use crate::time::Now;
use crate::view::{CustomerCard, CustomerRow, TimelineEntry, VisitView};

impl Client {
    pub(super) fn customers(&self, search: &str, limit: usize) -> Vec<CustomerRow> {
        let mut found: Vec<(i64, DocId)> = Vec::new();
        for (customer, card) in self.index.customers() {
            let names = [card.name.as_deref(), card.short_name.as_deref()];
            let code = self.ledger.record(customer).and_then(|record| record.code.as_deref());
            if search.is_empty() || names.into_iter().flatten().chain(code).any(|name| name.contains(search)) {
                let last = self.index.summary(customer).and_then(|summary| summary.last_visit);
                found.push((-last.map_or(i64::MIN + 1, |at| at.begins().0), customer));
            }
        }
        found.sort_unstable();
        found.truncate(limit);
        found.into_iter().filter_map(|(_, customer)| self.customer_row(customer, Moment::Present)).collect()
    }

    pub(super) fn customer_card(&mut self, _now: Now, _id: DocId) -> Option<CustomerCard> {
        None
    }

    pub(super) fn timeline(&mut self, _now: Now, _customer: DocId) -> Vec<TimelineEntry> {
        Vec::new()
    }

    pub(super) fn newest(&mut self, _now: Now, _limit: usize) -> Vec<TimelineEntry> {
        Vec::new()
    }

    pub(super) fn visit(&mut self, _now: Now, _id: DocId) -> Option<VisitView> {
        None
    }

    pub(super) fn visit_entry(&mut self, _doc: DocId, _moment: Moment) -> Option<TimelineEntry> {
        None
    }
}
