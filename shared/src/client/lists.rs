//! Lists of customers: all by last follow-up, or those that fit a search, best first.

use crate::client::Client;
use crate::client::entries::by_last_visit;
use crate::client::views::Moment;
use crate::id::DocId;
use crate::order;
use crate::search::{Needle, SearchKey};
use crate::view::CustomerRow;

impl Client {
    pub(super) fn customers(&mut self, search: &str, limit: usize) -> Vec<CustomerRow> {
        let needle = Needle::new(search);
        if search.trim().is_empty() {
            return self.customers_by_last_visit(limit);
        }
        if needle.is_empty() {
            return Vec::new();
        }
        self.make_search_keys();
        let mut found: Vec<(std::cmp::Reverse<u32>, i64, DocId)> = Vec::new();
        for (customer, key) in self.index.search_keys() {
            if let Some(rank) = key.rank(&needle) {
                let last = self.index.summary(customer).and_then(|summary| summary.last_visit);
                found.push((std::cmp::Reverse(rank), by_last_visit(last), customer));
            }
        }
        self.first_rows(found, limit)
    }

    fn customers_by_last_visit(&self, limit: usize) -> Vec<CustomerRow> {
        let place = |(customer, _): (DocId, _)| {
            let last = self.index.summary(customer).and_then(|summary| summary.last_visit);
            (std::cmp::Reverse(0), by_last_visit(last), customer)
        };
        self.first_rows(self.index.customers().map(place).collect(), limit)
    }

    fn first_rows(
        &self,
        mut found: Vec<(std::cmp::Reverse<u32>, i64, DocId)>,
        limit: usize,
    ) -> Vec<CustomerRow> {
        order::sort(&mut found);
        found.truncate(limit);
        found
            .into_iter()
            .filter_map(|(_, _, customer)| self.customer_row(customer, Moment::Present))
            .collect()
    }

    /// Makes what search reads of every customer that changed since the last search.
    fn make_search_keys(&mut self) {
        for customer in self.index.unsearchable() {
            let Some(card) = self.index.card(customer) else { continue };
            let record = self.ledger.record(customer);
            let code = record.and_then(|record| record.code.as_deref());
            let provisional = record.map(|record| record.provisional.as_str());
            let key = SearchKey::of(card, code, provisional);
            self.index.set_search_key(customer, key);
        }
    }
}
