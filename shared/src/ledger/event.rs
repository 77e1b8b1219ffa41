//! What the ledger remembers. Append-only; undo is another event.

use serde::{Deserialize, Serialize};

use crate::cbor::{Decode, Encode};
use crate::id::{DeviceId, DocId, PersonId, RequestId, Scope, Seq};
use crate::ledger::people::{Person, Team};
use crate::refusal::Rule;
use crate::time::{Recorded, UtcMillis};

/// One entry of the ledger's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct LedgerEvent {
    /// Its place in the server's log.
    #[n(0)]
    pub seq: Seq,
    /// Who may see it.
    #[n(1)]
    pub scope: Scope,
    /// The server's time of the decision.
    #[n(2)]
    pub at: UtcMillis,
    /// Who decided; none where the server itself did (registration, late work).
    #[n(3)]
    pub by: Option<PersonId>,
    /// The request that caused it.
    #[n(4)]
    pub request: Option<RequestId>,
    /// What happened.
    #[n(5)]
    pub kind: EventKind,
}

/// What a ledger event says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// A person was added or changed (name, role, team, active). Scope: organisation.
    #[n(0)]
    PersonSet {
        /// The person as of this event.
        #[n(0)]
        person: Person,
    },
    /// A team was added or renamed. Scope: organisation.
    #[n(1)]
    TeamSet {
        /// The team as of this event.
        #[n(0)]
        team: Team,
    },
    /// The first change of a customer card arrived: the customer exists, awaits acceptance (待核), and is
    /// owned for the time being by who recorded it first (R10).
    #[n(2)]
    CustomerRegistered {
        /// The card.
        #[n(0)]
        customer: DocId,
        /// Who recorded it, kept for ever.
        #[n(1)]
        first_recorder: PersonId,
        /// The number shown until there is a code, such as `临0007`.
        #[n(2)]
        provisional: String,
        /// When the device says it recorded the card.
        #[n(3)]
        recorded: Option<Recorded>,
    },
    /// The assistant accepted the customer and the server gave its code (R2, R3).
    #[n(3)]
    CustomerAccepted {
        /// The card.
        #[n(0)]
        customer: DocId,
        /// The code: unique, never reused.
        #[n(1)]
        code: String,
    },
    /// The customer's owner changed, effective at this event's `at` (R8's moment T).
    #[n(4)]
    CustomerTransferred {
        /// The card.
        #[n(0)]
        customer: DocId,
        /// The owner before.
        #[n(1)]
        from: PersonId,
        /// The owner from now on.
        #[n(2)]
        to: PersonId,
        /// Why, in the decider's words.
        #[n(3)]
        reason: Option<String>,
    },
    /// Work arrived from a former owner after the transfer (S2). Scope: the customer.
    #[n(5)]
    LateWorkArrived {
        /// What arrived and its fate.
        #[n(0)]
        late: LateWork,
    },
    /// Somebody settled a held card edit (S2).
    #[n(6)]
    LateWorkSettled {
        /// The late work's id: the seq of the event by which it arrived.
        #[n(0)]
        late: Seq,
        /// `Applied` or `Dismissed`.
        #[n(1)]
        state: LateState,
    },
    /// A notice to one person that the customer left or came, or that late work arrived. Scope: the person.
    #[n(7)]
    Notice {
        /// The customer it is about.
        #[n(0)]
        customer: DocId,
        /// The customer's name at that time, since the reader may no longer have the card.
        #[n(1)]
        customer_name: String,
        /// What is told.
        #[n(2)]
        notice: NoticeKind,
    },
    /// A document was erased for good: nothing of it is stored, and nothing of it is taken again. Scope: the
    /// document's. Phones hear of it as [`crate::protocol::Item::Erased`].
    #[n(8)]
    DocumentErased {
        /// The document.
        #[n(0)]
        doc: DocId,
    },
}

impl EventKind {
    /// The event without the words that people typed about a customer whose card is erased; none if it holds
    /// no such words.
    pub fn without_words_of(&self, erased: DocId) -> Option<EventKind> {
        let mut bare = self.clone();
        let is_about = match &mut bare {
            EventKind::CustomerTransferred { customer, reason, .. } => {
                *customer == erased && reason.take().is_some()
            }
            EventKind::LateWorkArrived { late: LateWork { customer, kind, .. } } => match kind {
                LateKind::CardEdit { fields } if *customer == erased => !std::mem::take(fields).is_empty(),
                _ => false,
            },
            EventKind::Notice { customer, customer_name, .. } => {
                *customer == erased && !std::mem::take(customer_name).is_empty()
            }
            EventKind::PersonSet { .. }
            | EventKind::TeamSet { .. }
            | EventKind::CustomerRegistered { .. }
            | EventKind::CustomerAccepted { .. }
            | EventKind::LateWorkSettled { .. }
            | EventKind::DocumentErased { .. } => false,
        };
        is_about.then_some(bare)
    }
}

/// What a notice tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum NoticeKind {
    /// The customer was transferred away from the reader.
    #[n(0)]
    TransferredAway {
        /// The new owner.
        #[n(0)]
        to: PersonId,
    },
    /// The customer was transferred to the reader.
    #[n(1)]
    TransferredToYou {
        /// The former owner.
        #[n(0)]
        from: PersonId,
    },
    /// A visit that a former owner recorded after the transfer arrived (移交后拜访).
    #[n(2)]
    VisitAfterTransfer {
        /// Who visited.
        #[n(0)]
        person: PersonId,
        /// The visit.
        #[n(1)]
        visit: DocId,
    },
    /// A card edit by a former owner waits for a decision.
    #[n(3)]
    LateEditHeld {
        /// Who edited.
        #[n(0)]
        person: PersonId,
        /// The late work's id.
        #[n(1)]
        late: Seq,
    },
}

/// Work of a former owner that reached the server after the transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LateWork {
    /// The customer.
    #[n(0)]
    pub customer: DocId,
    /// Who did it.
    #[n(1)]
    pub person: PersonId,
    /// On which device.
    #[n(2)]
    pub device: DeviceId,
    /// The document that it is about: the visit, comment or card.
    #[n(3)]
    pub doc: Option<DocId>,
    /// When it was recorded.
    #[n(4)]
    pub recorded: Option<Recorded>,
    /// What it is and what became of it.
    #[n(5)]
    pub kind: LateKind,
    /// Its fate.
    #[n(6)]
    pub state: LateState,
}

/// The four kinds of unsent work (S2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum LateKind {
    /// A fact recorded before the transfer: accepted, credited to its author, marked 移交前.
    #[n(0)]
    FactBefore,
    /// A fact recorded after the transfer: accepted, credited, marked 移交后拜访, everybody told.
    #[n(1)]
    FactAfter,
    /// An edit of the card: held as a candidate. Each entry is (field path, value before, value after).
    #[n(2)]
    CardEdit {
        /// What the edit would change.
        #[n(0)]
        fields: Vec<FieldChange>,
    },
    /// A ledger request: returned 已移交.
    #[n(3)]
    Request {
        /// The rule that returned it.
        #[n(0)]
        rule: Rule,
    },
}

/// One field that an edit would change, as texts for a person to judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FieldChange {
    /// The field's path in the document, such as `address` or `phones/3f…/number`.
    #[n(0)]
    pub field: String,
    /// The value before; none where there was none.
    #[n(1)]
    pub before: Option<String>,
    /// The value after; none where it is removed.
    #[n(2)]
    pub after: Option<String>,
}

/// What became of late work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum LateState {
    /// Merged at once (facts).
    #[n(0)]
    Accepted,
    /// Waits for the new owner or the assistant (card edits).
    #[n(1)]
    Held,
    /// Merged by decision.
    #[n(2)]
    Applied,
    /// Not merged by decision; the bytes stay in the store.
    #[n(3)]
    Dismissed,
    /// Sent back to its author (requests).
    #[n(4)]
    Returned,
}
