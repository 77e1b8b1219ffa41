//! Ledger commands and the decision about each: what is asked, by whom, against the ledger as it stands.

use serde::Serialize;
use serde_json::Value as Json;

use crate::cbor::{Decode, Encode};
use crate::id::{DocId, PersonId, Seq};
use crate::json::{Fields, FromJson};
use crate::ledger::code::CodePattern;
use crate::ledger::event::{EventKind, LateKind, LateState};
use crate::ledger::fold::{CustomerRecord, CustomerStatus};
use crate::ledger::people::{Person, Role};
use crate::planted::{self, Bug};
use crate::refusal::{Refusal, Rule};

/// What a person asks of the ledger. Offline it waits as a request, shown as 申请中.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Command {
    /// Accept a customer and give it a code (R2, R3).
    #[n(0)]
    Accept {
        /// The card.
        #[n(0)]
        customer: DocId,
    },
    /// Move a customer to another rep (R8, one step).
    #[n(1)]
    Transfer {
        /// The card.
        #[n(0)]
        customer: DocId,
        /// The new owner.
        #[n(1)]
        to: PersonId,
        /// Why.
        #[n(2)]
        reason: Option<String>,
    },
    /// Settle a held edit of a former owner (S2): merge it or leave it aside.
    #[n(2)]
    SettleLate {
        /// The card.
        #[n(0)]
        customer: DocId,
        /// The late work's id.
        #[n(1)]
        late: Seq,
        /// `true` merges the edit, `false` leaves it aside; the bytes stay either way.
        #[n(2)]
        apply: bool,
    },
}

impl FromJson for Command {
    fn from_json(json: Json) -> Option<Self> {
        let mut json = Fields::of(json)?;
        let command = match json.take::<String>("type")?.as_str() {
            "accept" => Command::Accept { customer: json.take("customer")? },
            "transfer" => Command::Transfer {
                customer: json.take("customer")?,
                to: json.take("to")?,
                reason: json.take("reason")?,
            },
            "settle_late" => Command::SettleLate {
                customer: json.take("customer")?,
                late: json.take("late")?,
                apply: json.take("apply")?,
            },
            _ => return None,
        };
        Some(command)
    }
}

impl Command {
    /// The customer that the command is about.
    pub fn customer(&self) -> DocId {
        match self {
            Command::Accept { customer }
            | Command::Transfer { customer, .. }
            | Command::SettleLate { customer, .. } => *customer,
        }
    }
}

/// What a decision needs to read. The server answers from its tables inside the transaction; tests and
/// `verify` from a fold in memory.
pub trait LedgerRead {
    /// The customer's record.
    fn customer(&self, id: DocId) -> Option<CustomerRecord>;
    /// A person, active or not.
    fn person(&self, id: PersonId) -> Option<Person>;
    /// Which of code-independent acceptance requirements (R3) the card lacks, as field names.
    fn missing_for_acceptance(&self, customer: DocId) -> Vec<&'static str>;
    /// The highest number ever given in the pattern, aliases included; 0 if none.
    fn highest_code_number(&self, pattern: &CodePattern) -> u64;
    /// The configured pattern.
    fn code_pattern(&self) -> CodePattern;
}

/// Decides a command. The caller has already established that `by` may see the customer now, so that a former
/// owner never gets here; everything else is judged here.
///
/// # Errors
/// `RoleForbidden`, `NotFound`, `AlreadyAccepted`, `AcceptanceIncomplete`, `OwnerInactive`, `AlreadyOwner`,
/// `AlreadySettled`.
pub fn decide(ledger: &impl LedgerRead, by: &Person, command: &Command) -> Result<EventKind, Refusal> {
    let record = ledger.customer(command.customer()).ok_or(Rule::NotFound)?;
    match command {
        Command::Accept { customer } => {
            if !matches!(by.role, Role::Assistant | Role::Admin) {
                return Err(Rule::RoleForbidden.into());
            }
            if record.status == CustomerStatus::Active && !planted::is(Bug::AcceptsTwice) {
                return Err(Rule::AlreadyAccepted.into());
            }
            let missing = ledger.missing_for_acceptance(*customer);
            if !missing.is_empty() {
                return Err(Refusal::about(Rule::AcceptanceIncomplete, missing.join(",")));
            }
            let pattern = ledger.code_pattern();
            let code = pattern.format(ledger.highest_code_number(&pattern) + 1);
            Ok(EventKind::CustomerAccepted { customer: *customer, code })
        }
        Command::Transfer { customer, to, reason } => {
            if by.role == Role::Rep {
                return Err(Rule::RoleForbidden.into());
            }
            let owner = ledger.person(*to).filter(|person| person.active && person.role == Role::Rep);
            if owner.is_none() {
                return Err(Rule::OwnerInactive.into());
            }
            if record.owner() == *to {
                return Err(Rule::AlreadyOwner.into());
            }
            Ok(EventKind::CustomerTransferred {
                customer: *customer,
                from: record.owner(),
                to: *to,
                reason: reason.clone(),
            })
        }
        Command::SettleLate { late, apply, .. } => {
            let is_owner = record.owner() == by.id;
            if !is_owner && !matches!(by.role, Role::Assistant | Role::Admin) {
                return Err(Rule::RoleForbidden.into());
            }
            let (_, work) = record.late.iter().find(|(seq, _)| seq == late).ok_or(Rule::NotFound)?;
            if work.state != LateState::Held || !matches!(work.kind, LateKind::CardEdit { .. }) {
                return Err(Rule::AlreadySettled.into());
            }
            let state = if *apply { LateState::Applied } else { LateState::Dismissed };
            Ok(EventKind::LateWorkSettled { late: *late, state })
        }
    }
}
