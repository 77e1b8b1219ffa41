//! The fold: a customer's ledger record is a function of its events, on the server and on phones.

use serde::{Deserialize, Serialize};

use crate::cbor::{Decode, Encode};
use crate::id::{DocId, PersonId, Seq};
use crate::ledger::event::{EventKind, LateState, LateWork, LedgerEvent};
use crate::time::{Recorded, UtcMillis};

/// Where a customer stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum CustomerStatus {
    /// 待核: awaits the assistant.
    #[n(0)]
    Pending,
    /// 正式: accepted, has a code.
    #[n(1)]
    Active,
}

/// One period of ownership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerPeriod {
    /// The owner.
    pub owner: PersonId,
    /// The server's moment from which on.
    pub from: UtcMillis,
    /// The log position from which on.
    pub from_seq: Seq,
}

/// What the ledger says of one customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerRecord {
    /// The card.
    pub customer: DocId,
    /// 待核 or 正式.
    pub status: CustomerStatus,
    /// The code, once accepted.
    pub code: Option<String>,
    /// The number shown until there is a code.
    pub provisional: String,
    /// Who recorded the customer first, kept for ever.
    pub first_recorder: PersonId,
    /// When the card was recorded, as the device claims.
    pub recorded: Option<Recorded>,
    /// When the server registered it.
    pub registered_at: UtcMillis,
    /// Every owner in order; the last is the present one. Never empty.
    pub owners: Vec<OwnerPeriod>,
    /// Late work by its id, in order of arrival, with its present state.
    pub late: Vec<(Seq, LateWork)>,
}

impl CustomerRecord {
    /// The present owner.
    pub fn owner(&self) -> PersonId {
        self.owners.last().expect("a record begins with its first owner").owner
    }

    /// The moment and log position at which `person` last stopped being the owner, if the person once was.
    pub fn left_at(&self, person: PersonId) -> Option<(UtcMillis, Seq)> {
        let last = self.owners.iter().rposition(|period| period.owner == person)?;
        self.owners.get(last + 1).map(|next| (next.from, next.from_seq))
    }

    /// Folds one event into the record of its customer. Events that say nothing about a customer's record
    /// leave it as it is; a registration makes one.
    pub fn fold(record: Option<CustomerRecord>, event: &LedgerEvent) -> Option<CustomerRecord> {
        match (&event.kind, record) {
            (EventKind::CustomerRegistered { customer, first_recorder, provisional, recorded }, None) => {
                Some(CustomerRecord {
                    customer: *customer,
                    status: CustomerStatus::Pending,
                    code: None,
                    provisional: provisional.clone(),
                    first_recorder: *first_recorder,
                    recorded: *recorded,
                    registered_at: event.at,
                    owners: vec![OwnerPeriod { owner: *first_recorder, from: event.at, from_seq: event.seq }],
                    late: Vec::new(),
                })
            }
            (EventKind::CustomerAccepted { code, .. }, Some(mut record)) => {
                record.status = CustomerStatus::Active;
                record.code = Some(code.clone());
                Some(record)
            }
            (EventKind::CustomerTransferred { to, .. }, Some(mut record)) => {
                record.owners.push(OwnerPeriod { owner: *to, from: event.at, from_seq: event.seq });
                Some(record)
            }
            (EventKind::LateWorkArrived { late }, Some(mut record)) => {
                record.late.push((event.seq, late.clone()));
                Some(record)
            }
            (EventKind::LateWorkSettled { late, state }, Some(mut record)) => {
                let settled = record.late.iter_mut().find(|(seq, _)| seq == late);
                if let Some((_, work)) = settled.filter(|(_, work)| work.state == LateState::Held) {
                    work.state = *state;
                }
                Some(record)
            }
            (_, record) => record,
        }
    }
}
