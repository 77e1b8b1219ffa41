//! What the phone knows of the ledger: the scopes it was granted, their events, and what the events fold
//! into, by the same fold as the server's. Knows nothing of documents.

use std::collections::HashMap;

use crate::client::rows::ScopeRow;
use crate::id::{ActorId, DocId, PersonId, Scope, Seq, TeamId};
use crate::ledger::event::NoticeKind;
use crate::ledger::people::Access;
use crate::ledger::{CustomerRecord, EventKind, LedgerEvent, Person, Team};
use crate::order;
use crate::planted::{self, Bug};
use crate::sorted::Map;
use crate::time::UtcMillis;

/// Something that the server told this phone's person.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    pub(super) seq: Seq,
    pub(super) at: UtcMillis,
    pub(super) customer: DocId,
    pub(super) customer_name: String,
    pub(super) kind: NoticeKind,
}

/// One granted scope.
#[derive(Debug)]
pub(super) struct ScopeState {
    pub(super) row: ScopeRow,
    /// The fold of the row's events, for a customer's scope.
    pub(super) record: Option<CustomerRecord>,
}

#[derive(Default)]
pub(super) struct Ledger {
    scopes: HashMap<Scope, ScopeState>,
    people: Map<PersonId, Person>,
    teams: Map<TeamId, Team>,
    notices: Map<Seq, Notice>,
    actors: HashMap<ActorId, PersonId>,
}

impl Ledger {
    pub(super) fn open(scopes: Vec<(Scope, ScopeRow)>, actors: Vec<(ActorId, PersonId)>) -> Self {
        let mut ledger = Ledger { actors: actors.into_iter().collect(), ..Ledger::default() };
        for (scope, mut row) in scopes {
            let events = std::mem::take(&mut row.events);
            ledger.scopes.insert(scope, ScopeState { row, record: None });
            ledger.extend(scope, events);
        }
        ledger
    }

    pub(super) fn scope(&self, scope: Scope) -> Option<&ScopeState> {
        self.scopes.get(&scope)
    }

    pub(super) fn scopes(&self) -> impl Iterator<Item = (Scope, &ScopeState)> {
        self.scopes.iter().map(|(scope, state)| (*scope, state))
    }

    /// The scope was granted. `generation` follows the one before if everything of the scope is sent again.
    pub(super) fn grant(&mut self, scope: Scope, access: Access, epoch: u32) {
        let state = self.entry(scope);
        state.row.access = access;
        state.row.leaving = false;
        state.row.epoch = epoch;
    }

    /// Everything of the scope follows: what is held is stale until it came again.
    pub(super) fn renew(&mut self, scope: Scope) {
        let state = self.entry(scope);
        state.row.generation = state.row.generation.saturating_add(1);
        state.row.events_stale = true;
    }

    /// The grant ended.
    pub(super) fn leave(&mut self, scope: Scope) {
        self.entry(scope).row.leaving = true;
    }

    /// What the scopes that are being taken away hold of events is another life's: the first event of this one
    /// replaces it. Returns these scopes, sorted.
    pub(super) fn outdate_leaving(&mut self) -> Vec<Scope> {
        let leaving = self.scopes.iter_mut().filter(|(_, state)| state.row.leaving);
        let mut outdated: Vec<Scope> = leaving
            .map(|(scope, state)| {
                state.row.events_stale = true;
                *scope
            })
            .collect();
        order::sort(&mut outdated);
        outdated
    }

    /// Drops a scope with all its events.
    pub(super) fn remove(&mut self, scope: Scope) {
        self.scopes.remove(&scope);
        self.refold(scope);
    }

    /// Takes events; those held already are ignored. Returns whether anything was new.
    pub(super) fn extend(&mut self, scope: Scope, events: Vec<LedgerEvent>) -> bool {
        if self.entry(scope).row.events_stale {
            self.clear_events(scope);
        }
        let mut is_new = false;
        for event in events {
            let state = self.entry(scope);
            let is_held = state.row.events.last().is_some_and(|last| last.seq >= event.seq);
            if is_held && !planted::is(Bug::EventsTwice) {
                continue;
            }
            state.record = CustomerRecord::fold(state.record.take(), &event);
            state.row.events.push(event.clone());
            self.note(event);
            is_new = true;
        }
        is_new
    }

    /// Drops events that no fresh ones replaced.
    pub(super) fn clear_events(&mut self, scope: Scope) {
        let state = self.entry(scope);
        state.row.events_stale = false;
        state.row.events.clear();
        self.refold(scope);
    }

    fn entry(&mut self, scope: Scope) -> &mut ScopeState {
        self.scopes.entry(scope).or_insert_with(|| {
            let row = ScopeRow {
                access: Access::Read,
                leaving: false,
                epoch: 0,
                generation: 0,
                events_stale: false,
                events: Vec::new(),
            };
            ScopeState { row, record: None }
        })
    }

    fn refold(&mut self, scope: Scope) {
        match scope {
            Scope::Customer(_) => {
                if let Some(state) = self.scopes.get_mut(&scope) {
                    state.record = None;
                }
            }
            Scope::Person(_) => self.notices.clear(),
            Scope::Organisation => {
                self.people.clear();
                self.teams.clear();
            }
        }
    }

    fn note(&mut self, event: LedgerEvent) {
        match event.kind {
            EventKind::PersonSet { person } => {
                self.people.insert(person.id, person);
            }
            EventKind::TeamSet { team } => {
                self.teams.insert(team.id, team);
            }
            EventKind::Notice { customer, customer_name, notice } => {
                let notice = Notice { seq: event.seq, at: event.at, customer, customer_name, kind: notice };
                self.notices.insert(event.seq, notice);
            }
            EventKind::CustomerRegistered { .. }
            | EventKind::CustomerAccepted { .. }
            | EventKind::CustomerTransferred { .. }
            | EventKind::LateWorkArrived { .. }
            | EventKind::LateWorkSettled { .. }
            | EventKind::DocumentErased { .. } => {}
        }
    }

    /// Takes the words about an erased customer out of the events held. Returns the scopes that changed.
    pub(super) fn forget_words_of(&mut self, erased: DocId) -> Vec<Scope> {
        let mut changed = Vec::new();
        for (scope, state) in &mut self.scopes {
            let mut is_changed = false;
            for event in &mut state.row.events {
                if let Some(bare) = event.kind.without_words_of(erased) {
                    event.kind = bare;
                    is_changed = true;
                }
            }
            if is_changed {
                let fold = |record, event: &LedgerEvent| CustomerRecord::fold(record, event);
                state.record = state.row.events.iter().fold(None, fold);
                changed.push(*scope);
            }
        }
        for notice in self.notices.values_mut().filter(|notice| notice.customer == erased) {
            notice.customer_name.clear();
        }
        changed.sort_unstable();
        changed
    }

    /// A customer's record.
    pub(super) fn record(&self, customer: DocId) -> Option<&CustomerRecord> {
        self.scopes.get(&Scope::Customer(customer))?.record.as_ref()
    }

    /// A customer's events, in order.
    pub(super) fn events(&self, customer: DocId) -> &[LedgerEvent] {
        self.scopes.get(&Scope::Customer(customer)).map_or(&[], |state| &state.row.events)
    }

    /// Learns which person actors belong to. Returns whether anything was new.
    pub(super) fn learn_actors(&mut self, actors: Vec<(ActorId, PersonId)>) -> bool {
        let mut is_new = false;
        for (actor, person) in actors {
            is_new |= self.actors.insert(actor, person) != Some(person);
        }
        is_new
    }

    /// The actors and their persons, sorted.
    pub(super) fn actors(&self) -> Vec<(ActorId, PersonId)> {
        let mut actors: Vec<_> = self.actors.iter().map(|(actor, person)| (*actor, *person)).collect();
        order::sort(&mut actors);
        actors
    }

    /// The person of an actor, by the server's word.
    pub(super) fn person_of(&self, actor: ActorId) -> Option<PersonId> {
        self.actors.get(&actor).copied()
    }

    /// A person, active or not.
    pub(super) fn person(&self, id: PersonId) -> Option<&Person> {
        self.people.get(&id)
    }

    /// Everybody, in order of ids.
    pub(super) fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// A team.
    pub(super) fn team(&self, id: TeamId) -> Option<&Team> {
        self.teams.get(&id)
    }

    /// Notices, newest first.
    pub(super) fn notices(&self) -> impl Iterator<Item = &Notice> {
        self.notices.values().rev()
    }
}
