//! One job judged: in this process. Called in the worker process, and by the simulator.

use std::collections::VecDeque;

use minicbor::bytes::ByteVec;
use shared::admission::{AdmissionInput, admit_open};
use shared::document::Document;
use shared::id::DocId;
use shared::projection::Projection;
use shared::refusal::{Refusal, Rule};

use super::{Admitted, Admitter, Job, Judged, Verdict};

/// Documents that a [`Judge`] keeps open: about 40 kB each for visits, 5 MB.
const KEPT_DOCUMENTS_MAX: usize = 128;

/// Operations of them all. A visit has about 200; one of more than this is not kept.
const KEPT_OPERATIONS_MAX: u64 = 64 * 1024;

/// Judges jobs one after another and keeps the last documents open: who saves a form usually saves it again
/// soon, and opening a document takes as long as judging a small change of it.
#[derive(Default)]
pub struct Judge {
    kept: VecDeque<Kept>,
    operations: u64,
}

/// An open document and the very bytes that it was loaded from.
struct Kept {
    doc: DocId,
    saved: ByteVec,
    document: Document,
}

impl Judge {
    /// Judges one job. A dropped snapshot is made again from the changes of the log first. A job without new
    /// changes asks for just that.
    pub fn judge(&mut self, job: &Job) -> Verdict {
        let (log, new) = job.changes.split_at(job.replayed.min(job.changes.len()));
        let stored = if log.is_empty() {
            job.stored.as_ref().map(|saved| saved.to_vec())
        } else {
            Some(replay(log)?.save())
        };
        if new.is_empty() {
            return rebuilt(stored);
        }
        let open = stored.as_ref().and_then(|stored| self.take(job.doc, stored));
        let input = AdmissionInput {
            doc: job.doc,
            kind: job.kind,
            scope: job.scope,
            stored,
            person: job.person,
            changes: new.iter().map(|change| change.to_vec()).collect(),
        };
        let (admitted, document) = admit_open(&input, open)?;
        let saved = ByteVec::from(admitted.saved);
        self.keep(Kept { doc: job.doc, saved: saved.clone(), document });
        Ok(Admitted {
            saved,
            heads: admitted.heads,
            projection: encode(&admitted.projection),
            applied: admitted.applied,
            refused: admitted.refused,
            field_changes: admitted.field_changes,
        })
    }

    /// The document, if it is open in just the form that is stored. The store may hold another: a commit may
    /// have failed, or another worker judged it since.
    fn take(&mut self, doc: DocId, stored: &[u8]) -> Option<Document> {
        let at = self.kept.iter().position(|kept| kept.doc == doc)?;
        let kept = self.kept.remove(at)?;
        self.operations -= kept.document.operation_count();
        (kept.saved.as_slice() == stored).then_some(kept.document)
    }

    fn keep(&mut self, kept: Kept) {
        self.operations += kept.document.operation_count();
        self.kept.push_back(kept);
        while self.kept.len() > KEPT_DOCUMENTS_MAX || self.operations > KEPT_OPERATIONS_MAX {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.operations -= oldest.document.operation_count();
        }
    }
}

/// Judges one job, and keeps nothing.
pub fn judge(job: &Job) -> Verdict {
    Judge::default().judge(job)
}

fn replay(log: &[ByteVec]) -> Result<Document, Refusal> {
    let mut document = Document::empty();
    let changes: Vec<&[u8]> = log.iter().map(|change| change.as_slice()).collect();
    document.apply(&changes).map_err(|_| Refusal::about(Rule::Unloadable, "log"))?;
    Ok(document)
}

fn rebuilt(stored: Option<Vec<u8>>) -> Verdict {
    let saved = stored.ok_or_else(|| Refusal::about(Rule::Unloadable, "log"))?;
    let mut document = Document::load(&saved).map_err(|_| Refusal::about(Rule::Unloadable, "stored"))?;
    let projection = Projection::of(&mut document).ok_or(Rule::SchemaViolated)?;
    Ok(Admitted {
        saved: saved.into(),
        heads: document.heads(),
        projection: encode(&projection),
        applied: 0,
        refused: None,
        field_changes: Vec::new(),
    })
}

fn encode(projection: &Projection) -> ByteVec {
    minicbor::to_vec(projection).expect("writing to a vector cannot fail").into()
}

/// Judges in this process, without the protection of another: for simulation, tests and maintenance.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl Admitter for InProcess {
    fn judge(&mut self, jobs: Vec<Job>) -> Judged {
        Judged(jobs.iter().map(|job| (job.id, judge(job))).collect())
    }
}
