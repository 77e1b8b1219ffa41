//! Admission: whether changes may join a document, judged outside the process that owns the database.
//! The bytes come from outside, and Automerge may panic, spin or eat memory on them; so it runs in child
//! processes with limits ([`WorkerPool`]). Knows neither the database nor who asked.

pub mod halving;
mod judging;
mod pool;
mod worker;

pub use judging::{InProcess, Judge, judge};
pub use pool::{PoolCounts, PoolOptions, WorkerPool};
pub use worker::{WORKER_COMMAND, serve, worker_main};

use minicbor::bytes::ByteVec;
use shared::cbor::{Decode, Encode};
use shared::document::Kind;
use shared::id::{ChangeHash, DocId, PersonId, Scope};
use shared::ledger::event::FieldChange;
use shared::refusal::Refusal;

/// Work for one document: may these changes join it?
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Job {
    /// Chosen by the hub; comes back with the verdict.
    #[n(0)]
    pub id: u64,
    /// The document.
    #[n(1)]
    pub doc: DocId,
    /// Its kind.
    #[n(2)]
    pub kind: Kind,
    /// Its scope.
    #[n(3)]
    pub scope: Scope,
    /// Its saved form; none if it is new, or if its snapshot was dropped.
    #[n(4)]
    pub stored: Option<ByteVec>,
    /// Who pushed the changes.
    #[n(5)]
    pub person: PersonId,
    /// How many of `changes` are in the log already: all of them where the snapshot was dropped.
    #[n(6)]
    pub replayed: usize,
    /// The changes in order.
    #[n(7)]
    pub changes: Vec<ByteVec>,
}

/// The document with the admitted changes. Only this module makes one: what is committed was judged.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Admitted {
    #[n(0)]
    saved: ByteVec,
    #[n(1)]
    heads: Vec<ChangeHash>,
    #[n(2)]
    projection: ByteVec,
    #[n(3)]
    applied: usize,
    #[n(4)]
    refused: Option<Refusal>,
    #[n(5)]
    field_changes: Vec<FieldChange>,
}

impl Admitted {
    /// The saved form.
    pub fn saved(&self) -> &[u8] {
        &self.saved
    }

    /// The heads, sorted.
    pub fn heads(&self) -> &[ChangeHash] {
        &self.heads
    }

    /// The encoded [`shared::projection::Projection`].
    pub fn projection(&self) -> &[u8] {
        &self.projection
    }

    /// How many of the job's new changes (after the replayed ones) are in it: a prefix.
    pub fn applied(&self) -> usize {
        self.applied
    }

    /// Why the first one after the prefix is not.
    pub fn refused(&self) -> Option<&Refusal> {
        self.refused.as_ref()
    }

    /// What the new changes did to fields.
    pub fn field_changes(&self) -> &[FieldChange] {
        &self.field_changes
    }
}

/// The answer to a job.
pub type Verdict = Result<Admitted, Refusal>;

/// Answers to jobs, in any order, with the jobs' numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged(pub(crate) Vec<(u64, Verdict)>);

impl Judged {
    /// The jobs' numbers and verdicts.
    pub fn into_verdicts(self) -> Vec<(u64, Verdict)> {
        self.0
    }
}

/// Whoever judges jobs one after another: the simulator and tests judge in process.
pub trait Admitter {
    /// Judges jobs of one group.
    fn judge(&mut self, jobs: Vec<Job>) -> Judged;
}
