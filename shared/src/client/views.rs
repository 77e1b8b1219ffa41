//! Answers to questions, from projections, the ledger and (for one card or one visit) the open document.
//! Decides nothing: what may be done is judged where it is done.

use crate::client::Client;
use crate::client::rows::{Key, OutRow, OutState, Work};
use crate::edit::Edit;
use crate::id::{DocId, PersonId, Scope};
use crate::ledger::event::NoticeKind;
use crate::ledger::{CustomerStatus, LateState, LateWork, Role};
use crate::order;
use crate::planted::{self, Bug};
use crate::refusal::{Refusal, Rule};
use crate::sorted::Map;
use crate::time::{Now, UtcMillis};
use crate::view::{
    Answer, CustomerRow, LateView, Link, NoticeView, PersonView, ProfileView, Query, RefusedView,
    RequestView, StatusView, SyncState, UnsentView,
};

/// At which moment a view is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// This one.
    Present,
    /// When the write that is being made is on disk and the phone is opened again: nothing is `saving`, and
    /// there is no connection.
    Stored,
}

impl Client {
    pub(super) fn answer(&mut self, now: Now, query: &Query) -> Answer {
        match query {
            Query::Status => Answer::Status(self.status(Moment::Present)),
            Query::Home => Answer::Home(self.home(now, Moment::Present)),
            Query::Customers { search, limit } => Answer::Customers(self.customers(search, *limit)),
            Query::Customer { id } => Answer::Customer(self.customer_card(now, *id).map(Box::new)),
            Query::Timeline { customer } => Answer::Timeline(self.timeline(now, *customer)),
            Query::Visit { id } => Answer::Visit(self.visit(now, *id).map(Box::new)),
            Query::Newest { limit } => Answer::Timeline(self.newest(now, *limit)),
            Query::ToAccept => Answer::Customers(self.to_accept()),
            Query::Late => Answer::Late(self.late_work()),
            Query::People => Answer::People(self.people()),
            Query::Refused => Answer::Refused(self.refused()),
            Query::Unsent => Answer::Unsent(self.unsent()),
            Query::Requests => Answer::Requests(self.requests()),
        }
    }

    pub(super) fn status(&self, moment: Moment) -> StatusView {
        let profile = self.meta.profile.as_ref().map(|profile| ProfileView {
            person: profile.person.id,
            name: profile.person.name.clone(),
            role: profile.person.role,
            team: profile.team.as_ref().map(|team| team.name.clone()),
        });
        let saving = match moment {
            Moment::Present => {
                self.outbox.iter().filter(|(number, _)| !self.storing.is_stored(Key::Out(*number))).count()
            }
            Moment::Stored => 0,
        };
        let link = match (moment, self.redial.link(self.caught_up)) {
            (Moment::Stored, Link::Syncing | Link::Live) => Link::Offline,
            (_, link) => link,
        };
        StatusView {
            profile,
            link,
            pending: self.pending_counts(),
            saving: saving as u32,
            last_synced: self.meta.last_synced,
            documents: self.index.len() as u32,
            clock_offset_ms: self.clock.offset_ms(),
            complete: self.meta.complete,
            position_allowed: self.meta.settings.unwrap_or_default().position_allowed,
        }
    }

    /// How far a document has come.
    pub(super) fn sync_of(&self, doc: DocId, moment: Moment) -> SyncState {
        let pending = self.outbox.pending_of(doc);
        let is_saving =
            |number: &u64| !self.storing.is_stored(Key::Out(*number)) && !planted::is(Bug::SaysSavedTooSoon);
        if moment == Moment::Present && pending.iter().any(is_saving) {
            SyncState::Saving
        } else if !pending.is_empty() && !planted::is(Bug::SaysSentTooSoon) {
            SyncState::Local
        } else {
            SyncState::Server
        }
    }

    /// A customer as lists show it. None if the phone has no card of it.
    pub(super) fn customer_row(&self, customer: DocId, moment: Moment) -> Option<CustomerRow> {
        let card = self.index.card(customer)?;
        let record = self.ledger.record(customer);
        let summary = self.index.summary(customer).cloned().unwrap_or_default();
        let owner = record.map(|record| record.owner());
        let status = record.map(|record| record.status);
        let least = self.outbox_sync(customer, moment);
        let sync = match (least, status) {
            (SyncState::Server, Some(CustomerStatus::Active)) => SyncState::Accepted,
            (least, _) => least,
        };
        let (next_action, next_action_text) = match summary.next_action {
            Some((day, text)) => (Some(day), text),
            None => (None, None),
        };
        let scope = Scope::Customer(customer);
        Some(CustomerRow {
            id: customer,
            name: card.display_name().to_owned(),
            short_name: card.short_name.clone(),
            code: record.and_then(|record| record.code.clone()),
            provisional: record.map(|record| record.provisional.clone()),
            status,
            owner,
            owner_name: owner.map(|owner| self.person_name(owner)),
            level: card.level.clone(),
            district: card.district.clone().or_else(|| card.city.clone()),
            last_visit: summary.last_visit,
            next_action,
            next_action_text,
            missing: card.missing().into_iter().map(str::to_owned).collect(),
            clashes: card.clashes,
            sync,
            leaving: self.ledger.scope(scope).is_some_and(|state| state.row.leaving),
            requested: self.outbox.of_scope(scope).any(|(_, row)| is_request(row) && row.is_pending()),
        })
    }

    /// The least far of a customer's documents: only those with unsent work can be behind.
    fn outbox_sync(&self, customer: DocId, moment: Moment) -> SyncState {
        let rows = self.outbox.of_scope(Scope::Customer(customer));
        let unsent = rows.filter(|(_, row)| row.is_pending() && !is_request(row));
        let state = |(number, _): (u64, &OutRow)| match moment {
            Moment::Present
                if !self.storing.is_stored(Key::Out(number)) && !planted::is(Bug::SaysSavedTooSoon) =>
            {
                SyncState::Saving
            }
            Moment::Present if planted::is(Bug::SaysSentTooSoon) => SyncState::Server,
            Moment::Present | Moment::Stored => SyncState::Local,
        };
        unsent.map(state).min().unwrap_or(SyncState::Server)
    }

    /// Customers that await acceptance, oldest first.
    fn to_accept(&self) -> Vec<CustomerRow> {
        let mut waiting: Vec<_> = self
            .index
            .customers()
            .filter_map(|(customer, _)| {
                let record = self.ledger.record(customer)?;
                (record.status == CustomerStatus::Pending).then_some((record.registered_at, customer))
            })
            .collect();
        order::sort(&mut waiting);
        waiting.into_iter().filter_map(|(_, customer)| self.customer_row(customer, Moment::Present)).collect()
    }

    fn late_work(&self) -> Vec<LateView> {
        let mut late: Vec<LateView> = Vec::new();
        for (_, state) in self.ledger.scopes() {
            let Some(record) = &state.record else { continue };
            late.extend(self.late_of(record.customer));
        }
        order::sort_by_key(&mut late, |view| std::cmp::Reverse(view.id));
        late
    }

    /// Late work of one customer, in order of arrival.
    pub(super) fn late_of(&self, customer: DocId) -> Vec<LateView> {
        let Some(record) = self.ledger.record(customer) else { return Vec::new() };
        let events = self.ledger.events(customer);
        let offset = self.meta.offset_minutes;
        let view = |(id, work): &(crate::id::Seq, LateWork)| {
            let received =
                events.iter().find(|event| event.seq == *id).map_or(UtcMillis(0), |event| event.at);
            LateView {
                id: *id,
                work: work.clone(),
                customer_name: self.customer_name(customer),
                person: self.person_name(work.person),
                received_at: received.to_iso(offset),
                may_settle: work.state == LateState::Held && self.may_settle(record.owner()),
            }
        };
        record.late.iter().map(view).collect()
    }

    fn may_settle(&self, owner: PersonId) -> bool {
        self.meta.profile.as_ref().is_some_and(|profile| {
            profile.person.id == owner || matches!(profile.person.role, Role::Assistant | Role::Admin)
        })
    }

    fn people(&self) -> Vec<PersonView> {
        let mut owned = Map::<PersonId, u32>::new();
        for (_, state) in self.ledger.scopes() {
            if let Some(record) = &state.record {
                *owned.or_default(record.owner()) += 1;
            }
        }
        let view = |person: &crate::ledger::Person| PersonView {
            id: person.id,
            name: person.name.clone(),
            role: person.role,
            team: person.team.and_then(|team| self.ledger.team(team)).map(|team| team.name.clone()),
            active: person.active,
            customers: owned.get(&person.id).copied().unwrap_or(0),
        };
        let mut people: Vec<_> = self.ledger.people().map(view).collect();
        order::sort_by(&mut people, |one, other| (one.role, &one.name).cmp(&(other.role, &other.name)));
        people
    }

    /// Refused and held edits, oldest first.
    fn refused(&self) -> Vec<RefusedView> {
        let view = |(number, row): (u64, &OutRow)| {
            let (refusal, held) = match &row.state {
                OutState::Pending => return None,
                OutState::Refused(refusal) => (refusal.clone(), false),
                OutState::Held(_) => (Refusal::from(Rule::Transferred), true),
            };
            let edit = match &row.work {
                Work::Edit(work) => work.edit.clone(),
                // Said in words where it can be, before it is refused or held.
                Work::Reoffer { doc, .. } => {
                    Edit::EditCustomer { customer: *doc, fields: Default::default() }
                }
                Work::Request { .. } => return None,
            };
            let customer_name = match row.scope().customer() {
                Some(customer) if row.customer_name.is_empty() => self.customer_name(customer),
                Some(_) | None => row.customer_name.clone(),
            };
            Some(RefusedView {
                edit_id: number,
                zh: refusal.rule.zh().to_owned(),
                en: refusal.rule.en().to_owned(),
                refusal,
                held,
                edit,
                customer: row.scope().customer(),
                customer_name,
                recorded_at: row.recorded.at.to_iso(row.recorded.offset_minutes),
            })
        };
        self.outbox.iter().filter_map(view).collect()
    }

    /// Edits that the server has not answered, oldest first.
    fn unsent(&self) -> Vec<UnsentView> {
        let view = |(number, row): (u64, &OutRow)| {
            let (doc, edit) = match &row.work {
                Work::Edit(work) => (work.doc, Some(work.edit.clone())),
                Work::Reoffer { doc, words, .. } => match &words[..] {
                    [told] => (*doc, Some(told.edit.clone())),
                    _ => (*doc, None),
                },
                Work::Request { .. } => return None,
            };
            let customer = row.scope().customer();
            let known = customer.map(|customer| self.customer_name(customer)).unwrap_or_default();
            row.is_pending().then(|| UnsentView {
                edit_id: number,
                doc,
                edit,
                again: matches!(row.work, Work::Reoffer { .. }),
                customer,
                customer_name: if known.is_empty() { row.customer_name.clone() } else { known },
                recorded_at: row.recorded.at.to_iso(row.recorded.offset_minutes),
            })
        };
        self.outbox.iter().filter_map(view).collect()
    }

    /// Ledger requests that wait or were refused, oldest first.
    fn requests(&self) -> Vec<RequestView> {
        let view = |(_, row): (u64, &OutRow)| {
            let Work::Request { id, command } = &row.work else { return None };
            let known = self.customer_name(command.customer());
            Some(RequestView {
                id: *id,
                command: command.clone(),
                customer_name: if known.is_empty() { row.customer_name.clone() } else { known },
                recorded_at: row.recorded.at.to_iso(row.recorded.offset_minutes),
                refusal: match &row.state {
                    OutState::Refused(refusal) => Some(refusal.clone()),
                    OutState::Pending | OutState::Held(_) => None,
                },
            })
        };
        self.outbox.iter().filter_map(view).collect()
    }

    /// Notices that the person has not dismissed, newest first.
    pub(super) fn notices(&self, limit: usize) -> Vec<NoticeView> {
        let view = |notice: &crate::client::ledger::Notice| {
            let person = match &notice.kind {
                NoticeKind::TransferredAway { to: person }
                | NoticeKind::TransferredToYou { from: person }
                | NoticeKind::VisitAfterTransfer { person, .. }
                | NoticeKind::LateEditHeld { person, .. } => self.person_name(*person),
            };
            NoticeView {
                id: notice.seq,
                at: notice.at.to_iso(self.meta.offset_minutes),
                customer: notice.customer,
                customer_name: notice.customer_name.clone(),
                notice: notice.kind.clone(),
                person: (!person.is_empty()).then_some(person),
            }
        };
        let unread = self.ledger.notices().filter(|notice| !self.meta.dismissed.contains(&notice.seq));
        unread.take(limit).map(view).collect()
    }

    /// What lists call a customer; empty if the phone has no card of it.
    pub(super) fn customer_name(&self, customer: DocId) -> String {
        self.index.card(customer).map(|card| card.display_name().to_owned()).unwrap_or_default()
    }

    /// What a person is called; empty if the phone does not know.
    pub(super) fn person_name(&self, person: PersonId) -> String {
        if let Some(known) = self.ledger.person(person) {
            return known.name.clone();
        }
        let own = self.meta.profile.as_ref().filter(|profile| profile.person.id == person);
        own.map(|profile| profile.person.name.clone()).unwrap_or_default()
    }
}

fn is_request(row: &OutRow) -> bool {
    matches!(row.work, Work::Request { .. })
}
