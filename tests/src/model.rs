//! The reference model: what must be true of a whole organisation, in lists and sets that a reader can
//! check by eye. It learns only what was typed, what was acknowledged and which ledger events were
//! committed; it shares no code with the machines that it judges.

use std::collections::{BTreeMap, BTreeSet};

use shared::id::{ActorId, ChangeHash, DeviceId, DocId, PersonId, RequestId, Scope, Seq};
use shared::ledger::people::{Person, Role};
use shared::ledger::{EventKind, LateState, LedgerEvent};

/// One edit that a person made on a phone.
#[derive(Debug, Clone)]
pub struct TypedEdit {
    /// The phone it was typed on.
    pub phone: usize,
    /// Who typed it.
    pub person: PersonId,
    /// The installation that the phone was then.
    pub device: DeviceId,
    /// The document.
    pub doc: DocId,
    /// The customer that the document is about.
    pub customer: Option<DocId>,
    /// A text that occurs nowhere else.
    pub token: String,
    /// Whether the phone's disk has confirmed it.
    pub saved: bool,
    /// Whether it has to be found at the end. An edit that no disk had confirmed may die with its phone;
    /// one on a disk that was wiped or set back dies with the disk.
    pub expected: bool,
    /// Whether its phone still knows it as its own: an older copy of the phone's disk does not know the actor under
    /// which it was made.
    pub own: bool,
    /// Whether its phone has heard from the server that it arrived, or that it was refused.
    pub told: bool,
    /// Whether its phone has heard that it arrived.
    pub arrived: bool,
}

/// What the ledger must say of one customer.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The one owner.
    pub owner: PersonId,
    /// Who owned it, in order, each from a place in the log on.
    pub terms: Vec<(Seq, PersonId)>,
    /// The code, once accepted.
    pub code: Option<String>,
    /// The number shown until there is a code.
    pub provisional: String,
    /// Late work by its id, with its present state.
    pub late: BTreeMap<Seq, LateState>,
}

impl Customer {
    /// Everybody who ever owned it, in order.
    pub fn owners(&self) -> impl Iterator<Item = PersonId> + '_ {
        self.terms.iter().map(|(_, owner)| *owner)
    }

    /// Who owned it right after a place in the log; nobody before it was registered.
    pub fn owner_at(&self, place: Seq) -> Option<PersonId> {
        let later = self.terms.partition_point(|(from, _)| *from <= place);
        self.terms[..later].last().map(|(_, owner)| *owner)
    }

    /// Whether a person owned it and then somebody else did.
    pub fn was_taken_from(&self, person: PersonId) -> bool {
        let mut owners = self.owners();
        owners.any(|owner| owner == person) && owners.any(|owner| owner != person)
    }
}

/// The whole organisation.
#[derive(Debug, Default, Clone)]
pub struct Model {
    people: BTreeMap<PersonId, Person>,
    customers: BTreeMap<DocId, Customer>,
    codes: BTreeSet<String>,
    provisional: BTreeSet<String>,
    requests: BTreeSet<RequestId>,
    last_seq: Seq,
    acknowledged: BTreeMap<ChangeHash, (DocId, DeviceId)>,
    actors: BTreeMap<ActorId, DeviceId>,
    /// Devices that were revoked, each with the place in the log after which nothing of it may stand.
    revoked: BTreeMap<DeviceId, Seq>,
    /// What devices that were switched off were told to have handed over.
    handed_over: BTreeSet<(DeviceId, Vec<u8>)>,
    /// Everything typed, in order.
    pub typed: Vec<TypedEdit>,
    canaries: BTreeMap<u32, DocId>,
    erased: BTreeSet<DocId>,
}

/// A statement of the model that the machines contradicted.
pub type Violation = String;

macro_rules! hold {
    ($condition:expr, $($message:tt)*) => {
        if !$condition { return Err(format!($($message)*)); }
    };
}

impl Model {
    /// Learns one committed ledger event and says whether it was legal (SIM-6).
    pub fn fold(&mut self, event: &LedgerEvent) -> Result<(), Violation> {
        hold!(event.seq >= self.last_seq, "event {:?} committed after {:?}", event.seq, self.last_seq);
        self.last_seq = event.seq;
        match &event.kind {
            EventKind::PersonSet { person } => {
                hold!(
                    person.active || !self.owns_customers(person.id),
                    "{:?} was disabled while owning customers (R4)",
                    person.id
                );
                self.people.insert(person.id, person.clone());
            }
            EventKind::TeamSet { .. } => {}
            EventKind::CustomerRegistered { customer, first_recorder, provisional, .. } => {
                hold!(
                    self.provisional.insert(provisional.clone()),
                    "provisional number {provisional} given twice"
                );
                let record = Customer {
                    owner: *first_recorder,
                    terms: vec![(event.seq, *first_recorder)],
                    code: None,
                    provisional: provisional.clone(),
                    late: BTreeMap::new(),
                };
                let before = self.customers.insert(*customer, record);
                hold!(before.is_none(), "{customer:?} registered twice (R1)");
                hold!(event.scope == Scope::Customer(*customer), "registration outside its customer's scope");
            }
            EventKind::CustomerAccepted { customer, code } => {
                hold!(self.codes.insert(code.clone()), "code {code} given twice (R2)");
                let record = self.customers.get_mut(customer).ok_or("accepted before it was registered")?;
                hold!(record.code.is_none(), "{customer:?} accepted twice");
                record.code = Some(code.clone());
                self.learn_request(event)?;
            }
            EventKind::CustomerTransferred { customer, from, to, .. } => {
                let to_is_rep =
                    self.people.get(to).is_some_and(|person| person.active && person.role == Role::Rep);
                hold!(to_is_rep, "{customer:?} given to somebody who is no active rep (R4)");
                let record =
                    self.customers.get_mut(customer).ok_or("transferred before it was registered")?;
                hold!(
                    record.owner == *from,
                    "{customer:?} transferred from {from:?}, but {:?} owns it",
                    record.owner
                );
                record.owner = *to;
                record.terms.push((event.seq, *to));
                self.learn_request(event)?;
            }
            EventKind::LateWorkArrived { late } => {
                let former = self.customers.get_mut(&late.customer);
                let former = former.filter(|record| record.owners().any(|owner| owner == late.person));
                let record =
                    former.ok_or_else(|| format!("late work of no former owner of {:?}", late.customer))?;
                record.late.insert(event.seq, late.state);
            }
            EventKind::LateWorkSettled { late, state } => {
                let customer =
                    event.scope.customer().ok_or("late work settled outside a customer's scope")?;
                let record = self.customers.get_mut(&customer).ok_or("settled before it was registered")?;
                let before = record.late.insert(*late, *state);
                hold!(before == Some(LateState::Held), "late work {late:?} settled from {before:?}");
                hold!(matches!(state, LateState::Applied | LateState::Dismissed), "settled as {state:?}");
                self.learn_request(event)?;
            }
            EventKind::Notice { .. } => {
                hold!(matches!(event.scope, Scope::Person(_)), "a notice outside a person's scope");
            }
            EventKind::DocumentErased { doc } => {
                hold!(matches!(event.scope, Scope::Customer(_)), "an erasure outside a customer's scope");
                hold!(self.erased.insert(*doc), "{doc:?} erased twice");
            }
        }
        Ok(())
    }

    /// A request takes effect once, however often it is sent (SIM-11).
    fn learn_request(&mut self, event: &LedgerEvent) -> Result<(), Violation> {
        match event.request {
            Some(request) if !self.requests.insert(request) => {
                Err(format!("request {request:?} took effect twice (I11)"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a person may read a scope now, by the ledger as committed (SIM-4).
    pub fn may_read(&self, person: PersonId, scope: Scope) -> bool {
        self.reads(person, scope, |customer| vec![customer.owner])
    }

    /// Whether a person could read a scope right after a place in the log, if nobody's team or role has changed: a grant
    /// ends with the commit that ends it.
    pub fn could_read_at(&self, person: PersonId, scope: Scope, place: Seq) -> bool {
        self.reads(person, scope, |customer| customer.owner_at(place).into_iter().collect())
    }

    /// Whether a person could read a scope at any time, if nobody's team or role has changed: under whichever owner.
    pub fn could_read(&self, person: PersonId, scope: Scope) -> bool {
        self.reads(person, scope, |customer| customer.owners().collect())
    }

    fn reads(&self, person: PersonId, scope: Scope, owners: impl Fn(&Customer) -> Vec<PersonId>) -> bool {
        let Some(person) = self.people.get(&person).filter(|person| person.active) else { return false };
        match scope {
            Scope::Organisation => true,
            Scope::Person(id) => id == person.id,
            Scope::Customer(customer) => {
                let Some(record) = self.customers.get(&customer) else { return false };
                let team_of = |owner: PersonId| self.people.get(&owner).and_then(|owner| owner.team);
                let owners = owners(record);
                match person.role {
                    Role::Rep => owners.contains(&person.id),
                    // Nobody hears of what is not registered yet.
                    Role::Assistant | Role::Admin => !owners.is_empty(),
                    // Who was a rep before still owns what was owned then.
                    Role::Manager => owners.into_iter().any(|owner| {
                        person.team.is_none() || owner == person.id || team_of(owner) == person.team
                    }),
                }
            }
        }
    }

    /// Learns of a person before the world begins.
    pub fn hire(&mut self, person: Person) {
        self.people.insert(person.id, person);
    }

    /// A person as last committed.
    pub fn person(&self, id: PersonId) -> Option<&Person> {
        self.people.get(&id)
    }

    /// Every active rep but the stranger, whom nobody trusts with a customer.
    pub fn active_reps(&self) -> Vec<PersonId> {
        let is_rep =
            |person: &&Person| person.active && person.role == Role::Rep && person.name != "stranger";
        self.people.values().filter(is_rep).map(|person| person.id).collect()
    }

    /// Everybody, as last committed.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// Every request that took effect.
    pub fn requests(&self) -> &BTreeSet<RequestId> {
        &self.requests
    }

    /// Whether somebody owns customers that were not erased.
    pub fn owns_customers(&self, person: PersonId) -> bool {
        self.customers.iter().any(|(id, customer)| customer.owner == person && !self.is_erased(*id))
    }

    /// Every document that was erased for good, each customer's card among them.
    pub fn erased(&self) -> impl Iterator<Item = &DocId> {
        self.erased.iter()
    }

    /// Whether what an edit was made to was erased: the document, or with its customer everything of it.
    pub fn is_erased_under(&self, edit: &TypedEdit) -> bool {
        self.is_erased(edit.doc) || edit.customer.is_some_and(|customer| self.is_erased(customer))
    }

    /// Whether a document was erased.
    pub fn is_erased(&self, doc: DocId) -> bool {
        self.erased.contains(&doc)
    }

    /// A customer's record.
    pub fn customer(&self, id: DocId) -> Option<&Customer> {
        self.customers.get(&id)
    }

    /// Late work that waits for a decision, each with its customer.
    pub fn held(&self) -> impl Iterator<Item = (Seq, DocId)> {
        let late = self.customers.iter().flat_map(|(id, record)| record.late.iter().map(|late| (*id, late)));
        late.filter(|(_, (_, state))| **state == LateState::Held).map(|(id, (late, _))| (*late, id))
    }

    /// Every registered customer.
    pub fn customers(&self) -> impl Iterator<Item = (&DocId, &Customer)> {
        self.customers.iter()
    }

    /// Learns that the server acknowledged a change (SIM-1).
    pub fn acknowledge(&mut self, hash: ChangeHash, doc: DocId, device: DeviceId) {
        self.acknowledged.entry(hash).or_insert((doc, device));
    }

    /// Every acknowledged change with its document and the device that first got the acknowledgement.
    pub fn acknowledged(&self) -> &BTreeMap<ChangeHash, (DocId, DeviceId)> {
        &self.acknowledged
    }

    /// The server was set back to an older copy: what was acknowledged since is only as safe as the phone
    /// that holds it, and what the ledger decided since is gone.
    pub fn set_back(&mut self, older: &Model, head: Seq) {
        let typed = std::mem::take(&mut self.typed);
        let canaries = std::mem::take(&mut self.canaries);
        let revoked = std::mem::take(&mut self.revoked);
        *self = older.clone();
        self.typed = typed;
        self.canaries = canaries;
        // Places in the log begin anew where the backup ended.
        self.revoked = revoked.into_iter().map(|(device, at)| (device, at.min(head))).collect();
    }

    /// Learns that a change by an actor was merged from a device; an actor belongs to one device (SIM-7).
    pub fn attribute(&mut self, actor: ActorId, device: DeviceId) -> Result<(), Violation> {
        let owner = *self.actors.entry(actor).or_insert(device);
        hold!(owner == device, "actor {actor:?} of {owner:?} merged from {device:?}");
        Ok(())
    }

    /// Learns that a device was told that an item is in quarantine (SIM-1).
    pub fn hand_over(&mut self, device: DeviceId, item: Vec<u8>) {
        self.handed_over.insert((device, item));
    }

    /// Everything that devices were told to have handed over.
    pub fn handed_over(&self) -> &BTreeSet<(DeviceId, Vec<u8>)> {
        &self.handed_over
    }

    /// Learns that a device was revoked.
    pub fn revoke(&mut self, device: DeviceId, head: Seq) {
        self.revoked.entry(device).or_insert(head);
    }

    /// The place in the log after which nothing of a revoked device may stand.
    pub fn revoked_at(&self, device: DeviceId) -> Option<Seq> {
        self.revoked.get(&device).copied()
    }

    /// Whether a device was revoked.
    pub fn is_revoked(&self, device: DeviceId) -> bool {
        self.revoked.contains_key(&device)
    }

    /// Draws the canary of a new customer: a text that must never reach a person without a grant.
    pub fn canary(&mut self, customer: DocId) -> String {
        let number = self.canaries.len() as u32;
        self.canaries.insert(number, customer);
        format!("canary{number:04}")
    }

    /// The canary of a customer that a person of this world created.
    pub fn canary_of(&self, customer: DocId) -> Option<String> {
        let (number, _) = self.canaries.iter().find(|(_, id)| **id == customer)?;
        Some(format!("canary{number:04}"))
    }

    /// The customers whose canaries sing in these bytes.
    pub fn canaries_in(&self, bytes: &[u8]) -> BTreeSet<DocId> {
        memchr::memmem::find_iter(bytes, "canary")
            .filter_map(|at| std::str::from_utf8(bytes.get(at + 6..at + 10)?).ok()?.parse::<u32>().ok())
            .filter_map(|number| self.canaries.get(&number).copied())
            .collect()
    }

    /// A new text that occurs nowhere else, spelled without the letter that the text it is appended to ends
    /// with, so that the difference between the two is exactly the token.
    pub fn token(&self, after: Option<char>) -> String {
        let alphabet = if after.is_some_and(|last| ('a'..='j').contains(&last)) { b'k' } else { b'a' };
        let digits = format!("{:07}", self.typed.len());
        let letters = digits.bytes().map(|digit| char::from(alphabet + digit - b'0'));
        // It begins with a letter that stands nowhere else: values lie side by side in a document's bytes, and
        // the end of one and the beginning of the next must not spell a third.
        std::iter::once('z').chain(letters).collect()
    }
}
