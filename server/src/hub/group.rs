//! Forming a group: the identity rules, item by item, in the order of [`shared::refusal::Rule`]; what passes
//! becomes admission jobs, one a document and push. Reads the store and the group so far; writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use shared::document::Kind;
use shared::id::{ActorId, ChangeHash, DeviceId, DocId, PersonId, RequestId, Scope, Seq};
use shared::ledger::people::{Access, Principal};
use shared::ledger::{Command, Person};
use shared::limits;
use shared::planted::{self, Bug};
use shared::protocol::{ItemResult, Push, PushItem};
use shared::refusal::{Refusal, Rule};
use shared::time::{Recorded, UtcMillis};
use shared::wire::{self, ChangeHeader};

use super::{Identity, SessionId};
use crate::admission::Job;
use crate::store::{DocumentRow, Lookup, StoreFailure};

/// Items in one group: with 400 bytes each a commit of half a megabyte, 10 ms to write.
const GROUP_ITEMS_MAX: usize = 512;

/// Bytes of changes in one group.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Two planted bugs: an actor is taken from whatever device.
pub(super) fn takes_any_actor() -> bool {
    planted::is(Bug::ActorOfAnyDevice) || planted::is(Bug::ReusesActor)
}

/// A push as it waits.
pub(super) struct Waiting {
    pub(super) session: SessionId,
    pub(super) identity: Identity,
    pub(super) received: UtcMillis,
    pub(super) push: Push,
    pub(super) bytes: usize,
    /// The items' numbers in quarantine, where they come from there: then the device is revoked, and may.
    pub(super) restored: Option<Vec<u64>>,
}

/// A group in the making or in judgement.
#[derive(Default)]
pub(super) struct Group {
    pub(super) pushes: Vec<PlannedPush>,
    pub(super) works: BTreeMap<u64, DocumentWork>,
    pub(super) jobs: Vec<Job>,
    items: usize,
    bytes: usize,
    docs: HashSet<DocId>,
    people: HashSet<PersonId>,
    seqs: HashMap<(DocId, ActorId), u64>,
    max_ops: HashMap<(DocId, ChangeHash), u64>,
    actors: HashMap<ActorId, DeviceId>,
    begun: HashMap<DocId, PersonId>,
    closed: bool,
}

/// A push with a plan for each of its items.
pub(super) struct PlannedPush {
    pub(super) session: SessionId,
    pub(super) identity: Identity,
    pub(super) received: UtcMillis,
    pub(super) batch: u64,
    pub(super) items: Vec<Planned>,
    /// See [`Waiting::restored`].
    pub(super) restored: Option<Vec<u64>>,
}

/// What is to be done with an item.
pub(super) enum Planned {
    /// Nothing: the answer is known.
    Done(ItemResult),
    /// The same change stands earlier in this push.
    Repeats(usize),
    /// The n-th new change of a job.
    Change { job: u64, nth: usize },
    /// A ledger command; `job` holds the changes that settling late work would merge.
    Request { id: RequestId, command: Command, recorded: Recorded, job: Option<u64> },
    /// A question whether a copy may be dropped.
    Release { scope: Scope },
}

/// New changes of one document from one push.
pub(super) struct DocumentWork {
    pub(super) doc: DocId,
    pub(super) kind: Kind,
    pub(super) scope: Scope,
    /// The stored row; none for a new document.
    pub(super) stored: Option<DocumentRow>,
    pub(super) person: PersonId,
    pub(super) standing: Standing,
    pub(super) changes: Vec<NewChange>,
}

/// By what right the changes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// A present grant.
    Granted,
    /// The person once had the grant (S2).
    Late,
    /// The changes of late work, about to be merged by a decision.
    Settling(Seq),
}

/// One change that passed the identity rules.
pub(super) struct NewChange {
    pub(super) header: ChangeHeader,
    pub(super) bytes: Vec<u8>,
    pub(super) recorded: Recorded,
    pub(super) device: DeviceId,
    pub(super) received: UtcMillis,
}

/// What a person may do in a scope.
pub(super) enum Reach {
    Granted(Access),
    /// The person's own grant ended; nothing else gives the scope.
    Ended,
    Nothing,
}

/// Asks the grants what somebody may do in a scope.
pub(super) fn reach(lookup: &dyn Lookup, person: &Person, scope: Scope) -> Result<Reach, StoreFailure> {
    let principals = person.principals();
    let mut present = None;
    let mut ended = false;
    for grant in lookup.grants_of(scope)? {
        if !principals.contains(&grant.principal) {
            continue;
        }
        if grant.until_seq.is_none() {
            present = present.max(Some(grant.access));
        } else if grant.principal == Principal::Person(person.id) {
            ended = true;
        }
    }
    Ok(match present {
        Some(access) => Reach::Granted(access),
        None if ended => Reach::Ended,
        None => Reach::Nothing,
    })
}

/// Whether a document, or the customer that its scope belongs to, was erased.
pub(super) fn is_erased(lookup: &dyn Lookup, doc: DocId, scope: Scope) -> Result<bool, StoreFailure> {
    let card = scope.customer().filter(|card| *card != doc);
    for id in std::iter::once(doc).chain(card) {
        if lookup.erased(id)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why a change goes no further.
enum Stop {
    Answer(ItemResult),
    Store(StoreFailure),
}

impl From<StoreFailure> for Stop {
    fn from(failure: StoreFailure) -> Self {
        Stop::Store(failure)
    }
}

impl From<Rule> for Stop {
    fn from(rule: Rule) -> Self {
        Stop::Answer(ItemResult::Refused(rule.into()))
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Answer(ItemResult::Refused(refusal))
    }
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.pushes.is_empty()
    }

    /// Whether a push may join. Two pushes of one group never touch one document, and a command that changes
    /// who may see what stands alone, so that each push is judged by what was true when its turn came.
    pub(super) fn has_room(&self, waiting: &Waiting) -> bool {
        if self.closed || self.is_empty() {
            return !self.closed;
        }
        !changes_grants(&waiting.push)
            && self.items + waiting.push.items.len() <= GROUP_ITEMS_MAX
            && self.bytes + waiting.bytes <= GROUP_BYTES_MAX
            && !documents_of(&waiting.push).any(|doc| self.docs.contains(&doc))
    }

    /// Whether a push may be judged while this group is not committed yet: nothing that the group does can
    /// change the answer, because it is another person's work on other documents and moves no grant.
    pub(super) fn leaves_alone(&self, waiting: &Waiting) -> bool {
        !self.closed
            && !changes_grants(&waiting.push)
            && !self.people.contains(&waiting.identity.person)
            && !documents_of(&waiting.push).any(|doc| self.docs.contains(&doc))
    }

    /// Whether a customer's card is new in this group.
    pub(super) fn begins(&self, customer: DocId) -> bool {
        self.begun.contains_key(&customer)
    }

    /// Judges the identity of every item of a push and adds it to the group.
    ///
    /// # Errors
    /// The store's. Jobs that the push has begun by then are judged for nothing.
    pub(super) fn add(
        &mut self,
        lookup: &dyn Lookup,
        waiting: &Waiting,
        job_next: &mut u64,
    ) -> Result<(), StoreFailure> {
        // What a failed plan left behind must not be built upon: nobody else joins.
        let items = self.plan(lookup, waiting, job_next).inspect_err(|_| self.closed = true)?;
        self.closed = changes_grants(&waiting.push);
        self.items += waiting.push.items.len();
        self.bytes += waiting.bytes;
        self.docs.extend(documents_of(&waiting.push));
        self.people.insert(waiting.identity.person);
        self.pushes.push(PlannedPush {
            session: waiting.session,
            identity: waiting.identity,
            received: waiting.received,
            batch: waiting.push.batch,
            items,
            restored: waiting.restored.clone(),
        });
        Ok(())
    }

    fn plan(
        &mut self,
        lookup: &dyn Lookup,
        waiting: &Waiting,
        job_next: &mut u64,
    ) -> Result<Vec<Planned>, StoreFailure> {
        let may_be_out = waiting.restored.is_some();
        let person = lookup.person(waiting.identity.person)?;
        let active = person.filter(|person| person.active || may_be_out);
        let device = lookup.device(waiting.identity.device)?;
        let device = device.filter(|device| device.revoked_at.is_none() || may_be_out);
        let device = match device {
            None if planted::is(Bug::RevokedMayPush) => lookup.device(waiting.identity.device)?,
            device => device,
        };
        let (Some(person), Some(_)) = (active, device) else {
            let ended = || Planned::Done(ItemResult::Refused(Rule::AccessEnded.into()));
            return Ok(waiting.push.items.iter().map(|_| ended()).collect());
        };
        let mut planner = Planner {
            group: self,
            lookup,
            person: &person,
            device: waiting.identity.device,
            received: waiting.received,
            jobs: HashMap::new(),
            first_of: HashMap::new(),
            stopped: BTreeSet::new(),
        };
        let mut items = Vec::with_capacity(waiting.push.items.len());
        for (index, item) in waiting.push.items.iter().enumerate() {
            items.push(planner.plan(index, item, job_next)?);
        }
        Ok(items)
    }
}

fn changes_grants(push: &Push) -> bool {
    push.items.iter().any(|item| {
        matches!(
            item,
            PushItem::Request { command: Command::Transfer { .. } | Command::SettleLate { .. }, .. }
        )
    })
}

fn documents_of(push: &Push) -> impl Iterator<Item = DocId> + '_ {
    push.items.iter().filter_map(|item| match item {
        PushItem::Change { doc, .. } => Some(*doc),
        PushItem::Request { command, .. } => Some(command.customer()),
        PushItem::Release { .. } => None,
    })
}

struct Planner<'a> {
    group: &'a mut Group,
    lookup: &'a dyn Lookup,
    person: &'a Person,
    device: DeviceId,
    received: UtcMillis,
    /// This push's job of each document.
    jobs: HashMap<DocId, u64>,
    /// Where each change of this push stands.
    first_of: HashMap<(DocId, ChangeHash), usize>,
    /// Documents of which an earlier item of this push was refused.
    stopped: BTreeSet<DocId>,
}

/// A change on its way through the rules.
struct Candidate<'a> {
    doc: DocId,
    kind: Kind,
    scope: Scope,
    bytes: &'a [u8],
    recorded: Recorded,
}

impl Planner<'_> {
    fn plan(&mut self, index: usize, item: &PushItem, job_next: &mut u64) -> Result<Planned, StoreFailure> {
        let (doc, kind, scope, change, recorded) = match item {
            PushItem::Change { doc, kind, scope, change, recorded } => {
                (*doc, *kind, *scope, change, *recorded)
            }
            PushItem::Request { id, command, recorded } => {
                return self.plan_request(*id, command, *recorded, job_next);
            }
            PushItem::Release { scope } => return Ok(Planned::Release { scope: *scope }),
        };
        if self.stopped.contains(&doc) {
            return Ok(Planned::Done(ItemResult::Skipped));
        }
        let candidate = Candidate { doc, kind, scope, bytes: change, recorded };
        match self.judge(index, &candidate, job_next) {
            Ok(planned) => Ok(planned),
            Err(Stop::Store(failure)) => Err(failure),
            Err(Stop::Answer(result)) => {
                if matches!(result, ItemResult::Refused(_)) {
                    self.stopped.insert(doc);
                }
                Ok(Planned::Done(result))
            }
        }
    }

    /// The identity rules, in their order.
    fn judge(&mut self, index: usize, change: &Candidate<'_>, job_next: &mut u64) -> Result<Planned, Stop> {
        let header = wire::parse(change.bytes)?;
        if let Some(first) = self.first_of.get(&(change.doc, header.hash)) {
            return Ok(Planned::Repeats(*first));
        }
        let stored = self.lookup.document(change.doc)?;
        self.known(change, &header, stored.as_ref())?;
        let standing = self.standing(change, stored.as_ref())?;
        self.actor(change, &header)?;
        let max_op = self.dependencies(change, &header)?;
        let signed = header.author.is_some_and(|author| author == self.person.id);
        let unsigned = header.author.is_none() && header.seq > 1;
        if !signed && !unsigned {
            return Err(Rule::AuthorForeign.into());
        }
        if header.start_op != max_op + 1 {
            return Err(Rule::StartOpAbsurd.into());
        }
        let author = stored.as_ref().map_or(self.person.id, |row| row.author);
        if change.kind.is_fact() && author != self.person.id {
            return Err(Rule::NotTheAuthor.into());
        }
        self.capacity(change.doc, stored.as_ref())?;
        self.accept(index, change, header, stored, standing, job_next)
    }

    /// What is on disk already is answered from there, whoever may see the document by now: a lost reply
    /// (S13) may come back after a transfer. But only to the person whose change it is.
    fn known(
        &self,
        change: &Candidate<'_>,
        header: &ChangeHeader,
        stored: Option<&DocumentRow>,
    ) -> Result<(), Stop> {
        if let Some(row) = self.lookup.change(change.doc, &header.hash)? {
            let known = ItemResult::Known(row.seq, stored.map(|document| document.first_received));
            if row.person == self.person.id {
                return Err(Stop::Answer(known));
            }
            // Of the document's own scope: what a stranger claims to be its scope is no right to know.
            let scope = stored.map_or(change.scope, |document| document.scope);
            return match reach(self.lookup, self.person, scope)? {
                Reach::Granted(_) => Err(Stop::Answer(known)),
                Reach::Ended | Reach::Nothing => Err(Rule::NotFound.into()),
            };
        }
        match self.lookup.held_change(change.doc, &header.hash)? {
            Some(held) if held.person == self.person.id => Err(Stop::Answer(ItemResult::Held(held.late))),
            _ => Ok(()),
        }
    }

    /// Whether the person may write this document at all, and by what right.
    fn standing(&self, change: &Candidate<'_>, stored: Option<&DocumentRow>) -> Result<Standing, Stop> {
        let begins_customer = change.kind == Kind::Customer && change.scope == Scope::Customer(change.doc);
        let scope = match stored {
            Some(row) => row.scope,
            None if begins_customer && self.lookup.erased(change.doc)?.is_none() => {
                return Ok(Standing::Granted);
            }
            None => change.scope,
        };
        // A customer that began earlier in this very push is its maker's.
        let begun = scope.customer().and_then(|customer| self.group.begun.get(&customer));
        if stored.is_none() && begun == Some(&self.person.id) && change.kind != Kind::Customer {
            return Ok(Standing::Granted);
        }
        let reached = reach(self.lookup, self.person, scope)?;
        if !matches!(reached, Reach::Nothing) && is_erased(self.lookup, change.doc, scope)? {
            return Err(Rule::Erased.into());
        }
        let standing = match reached {
            Reach::Nothing => return Err(Rule::NotFound.into()),
            Reach::Ended => Standing::Late,
            Reach::Granted(access) => {
                let needed = if change.kind == Kind::Comment { Access::Comment } else { Access::Write };
                if access < needed {
                    return Err(Rule::ReadOnly.into());
                }
                Standing::Granted
            }
        };
        let agrees = match stored {
            Some(row) => row.kind == change.kind && row.scope == change.scope,
            // A document begins in a customer's scope, and a customer's card is its scope's own document.
            None => change.scope.customer().is_some() && change.kind != Kind::Customer,
        };
        if agrees { Ok(standing) } else { Err(Rule::ScopeMismatch.into()) }
    }

    /// The actor is this device's, and its numbers continue.
    fn actor(&self, change: &Candidate<'_>, header: &ChangeHeader) -> Result<(), Stop> {
        let owner = match self.group.actors.get(&header.actor) {
            Some(device) => Some(*device),
            None => self.lookup.actor(header.actor)?.map(|(device, _)| device),
        };
        if owner.is_some_and(|device| device != self.device) && !takes_any_actor() {
            return Err(Rule::ActorForeign.into());
        }
        let last = match self.group.seqs.get(&(change.doc, header.actor)) {
            Some(last) => *last,
            None => self.lookup.actor_seq_last(change.doc, header.actor)?,
        };
        if header.seq > last + 1 {
            return Err(Rule::SequenceGap.into());
        }
        if header.seq <= last {
            return Err(Rule::SequenceReused.into());
        }
        Ok(())
    }

    /// Every dependency is stored, or stands earlier in this group. Returns the highest operation counter.
    fn dependencies(&self, change: &Candidate<'_>, header: &ChangeHeader) -> Result<u64, Stop> {
        let mut highest = 0;
        for dependency in &header.deps {
            let in_group = self.group.max_ops.get(&(change.doc, *dependency)).copied();
            let max_op = match in_group {
                Some(max_op) => max_op,
                None => match self.lookup.change(change.doc, dependency)? {
                    Some(row) => row.max_op,
                    None if planted::is(Bug::AcceptsOrphan) => return Ok(header.start_op - 1),
                    None => return Err(Rule::DependencyUnknown.into()),
                },
            };
            highest = highest.max(max_op);
        }
        Ok(highest)
    }

    fn capacity(&self, doc: DocId, stored: Option<&DocumentRow>) -> Result<(), Stop> {
        let job = self.jobs.get(&doc).and_then(|job| self.group.works.get(job));
        let coming = job.map_or(0, |work| work.changes.len() as u64);
        let count = stored.map_or(0, |row| row.changes) + coming;
        if count >= limits::DOCUMENT_CHANGES_MAX {
            return Err(Refusal::about(Rule::DocumentTooLarge, "changes").into());
        }
        Ok(())
    }

    /// Puts the change into its document's job.
    fn accept(
        &mut self,
        index: usize,
        change: &Candidate<'_>,
        header: ChangeHeader,
        stored: Option<DocumentRow>,
        standing: Standing,
        job_next: &mut u64,
    ) -> Result<Planned, Stop> {
        let other = self.jobs.get(&change.doc).and_then(|job| self.group.works.get(job));
        if other.is_some_and(|work| work.standing != standing) {
            // Late work of this document is being settled by an earlier item of this push.
            return Err(Rule::DependencyUnknown.into());
        }
        if stored.is_none() && change.kind == Kind::Customer {
            self.group.begun.insert(change.doc, self.person.id);
        }
        let job = match self.jobs.get(&change.doc) {
            Some(job) => *job,
            None => {
                let work = DocumentWork {
                    doc: change.doc,
                    kind: change.kind,
                    scope: change.scope,
                    stored,
                    person: self.person.id,
                    standing,
                    changes: Vec::new(),
                };
                let id = self.begin(work, job_next)?;
                self.jobs.insert(change.doc, id);
                id
            }
        };
        self.first_of.insert((change.doc, header.hash), index);
        self.group.seqs.insert((change.doc, header.actor), header.seq);
        self.group.max_ops.insert((change.doc, header.hash), header.max_op());
        self.group.actors.insert(header.actor, self.device);
        let (recorded, received) = (change.recorded, self.received);
        let new = NewChange { header, bytes: change.bytes.to_vec(), recorded, device: self.device, received };
        Ok(Planned::Change { job, nth: self.push_change(job, new) })
    }

    fn push_change(&mut self, job: u64, change: NewChange) -> usize {
        let at =
            self.group.jobs.iter().rposition(|candidate| candidate.id == job).expect("begun with its work");
        self.group.jobs[at].changes.push(change.bytes.clone().into());
        let work = self.group.works.get_mut(&job).expect("begun together with its job");
        work.changes.push(change);
        work.changes.len() - 1
    }

    /// Begins the job of a document: with its snapshot, or with its whole log where that was dropped.
    fn begin(&mut self, work: DocumentWork, job_next: &mut u64) -> Result<u64, StoreFailure> {
        let id = *job_next;
        *job_next += 1;
        let mut changes = Vec::new();
        let mut stored = None;
        if work.stored.is_some() {
            stored = self.lookup.snapshot(work.doc)?;
            if stored.is_none() {
                let log = self.lookup.changes(work.doc, Seq(0), Seq(u64::MAX))?;
                changes.extend(log.into_iter().map(|(_, bytes)| bytes.into()));
            }
        }
        self.group.jobs.push(Job {
            id,
            doc: work.doc,
            kind: work.kind,
            scope: work.scope,
            stored: stored.map(Into::into),
            person: work.person,
            replayed: changes.len(),
            changes,
        });
        self.group.works.insert(id, work);
        Ok(id)
    }

    /// A request is decided inside the transaction. Settling late work needs its changes judged before.
    fn plan_request(
        &mut self,
        id: RequestId,
        command: &Command,
        recorded: Recorded,
        job_next: &mut u64,
    ) -> Result<Planned, StoreFailure> {
        let mut job = None;
        if let Command::SettleLate { customer, late, apply: true } = command
            && !self.jobs.contains_key(customer)
            && self.lookup.request(id)?.is_none()
        {
            job = self.plan_settling(*customer, *late, job_next)?;
        }
        Ok(Planned::Request { id, command: command.clone(), recorded, job })
    }

    fn plan_settling(
        &mut self,
        customer: DocId,
        late: Seq,
        job_next: &mut u64,
    ) -> Result<Option<u64>, StoreFailure> {
        let held = self.lookup.held_of(late)?;
        let (Some(first), Some(stored)) = (held.first(), self.lookup.document(customer)?) else {
            return Ok(None);
        };
        if first.doc != customer {
            return Ok(None);
        }
        let work = DocumentWork {
            doc: customer,
            kind: stored.kind,
            scope: stored.scope,
            person: first.person,
            stored: Some(stored),
            standing: Standing::Settling(late),
            changes: Vec::new(),
        };
        let job = self.begin(work, job_next)?;
        let left_out = usize::from(planted::is(Bug::SettlesHalf) && held.len() > 1);
        for change in held.into_iter().skip(left_out) {
            let header = wire::parse(&change.bytes).map_err(|_| StoreFailure::Damaged("held"))?;
            let (recorded, received, device) = (change.recorded, change.received, change.device);
            self.push_change(job, NewChange { header, bytes: change.bytes, recorded, device, received });
        }
        self.jobs.insert(customer, job);
        Ok(Some(job))
    }
}
