//! The first screen (domain §6), and its stored form, which the browser shows before the machine is loaded.

use crate::client::Client;
use crate::client::entries::by_last_visit;
use crate::client::views::Moment;
use crate::id::DocId;
use crate::json;
use crate::ledger::{CustomerStatus, LateState};
use crate::order;
use crate::time::Now;
use crate::view::{HomeView, TimelineEntry};

/// Customers in each of the first screen's lists.
const CUSTOMERS_MAX: usize = 50;
/// Visits of today on the first screen: more than anybody makes, unless they are typed in from paper.
const TODAY_MAX: usize = 30;
/// Notices on the first screen.
const NOTICES_MAX: usize = 20;

impl Client {
    pub(super) fn home(&mut self, now: Now, moment: Moment) -> HomeView {
        self.index.settle();
        let today = self.today(now, moment);
        let mut due: Vec<(i64, DocId)> = Vec::new();
        let mut recent: Vec<(i64, DocId)> = Vec::new();
        let (mut to_accept, mut late_held) = (0, 0);
        let me = self.meta.profile.as_ref().map(|profile| profile.person.id);
        let day = self.clock.corrected(now).day(now.offset_minutes);
        for (customer, _) in self.index.customers() {
            let record = self.ledger.record(customer);
            if let Some(record) = record {
                to_accept += u32::from(record.status == CustomerStatus::Pending);
                late_held +=
                    record.late.iter().filter(|(_, work)| work.state == LateState::Held).count() as u32;
            }
            let Some(summary) = self.index.summary(customer) else { continue };
            let is_mine = record.is_none_or(|record| Some(record.owner()) == me);
            if !is_mine {
                continue;
            }
            recent.push((by_last_visit(summary.last_visit), customer));
            if let Some((at, _)) = &summary.next_action
                && day.is_some_and(|day| at.day() <= day)
            {
                due.push((at.begins().0, customer));
            }
        }
        let first = |mut list: Vec<(i64, DocId)>| {
            order::sort(&mut list);
            list.truncate(CUSTOMERS_MAX);
            list.into_iter().filter_map(|(_, customer)| self.customer_row(customer, moment)).collect()
        };
        HomeView {
            status: self.status(moment),
            today,
            due: first(due),
            recent: first(recent),
            customers: self.index.customer_count() as u32,
            to_accept,
            late_held,
            notices: self.notices(NOTICES_MAX),
        }
    }

    /// The person's own visits of today, newest first.
    fn today(&mut self, now: Now, moment: Moment) -> Vec<TimelineEntry> {
        let Some(me) = self.meta.profile.as_ref().map(|profile| profile.person.id) else { return Vec::new() };
        let Some(day) = self.clock.corrected(now).day(now.offset_minutes) else { return Vec::new() };
        let mut visits: Vec<(i64, DocId)> = self
            .index
            .iter()
            .filter_map(|(doc, row)| {
                let visit = row.projection.visit()?;
                (visit.author == me && visit.at.day() == day).then_some((-visit.at.begins().0, doc))
            })
            .collect();
        order::sort(&mut visits);
        visits.truncate(TODAY_MAX);
        visits.into_iter().filter_map(|(_, doc)| self.fact_entry(doc, moment)).collect()
    }

    /// The stored form of the first screen.
    pub(super) fn stored_home(&mut self) -> Vec<u8> {
        let home = self.home(self.now, Moment::Stored);
        json::write(&home)
    }

    /// The stored form of the status line.
    pub(super) fn stored_status(&mut self) -> Vec<u8> {
        json::write(&self.status(Moment::Stored))
    }
}
