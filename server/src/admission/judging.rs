//! One job judged: in this process. Called in the worker process, and by the simulator.

use minicbor::bytes::ByteVec;
use shared::admission::{AdmissionInput, admit};
use shared::document::Document;
use shared::projection::Projection;
use shared::refusal::{Refusal, Rule};

use super::{Admitted, Admitter, Job, Judged, Verdict};

/// Judges one job. A dropped snapshot is made again from the changes of the log first. A job without new
/// changes asks for just that.
pub fn judge(job: &Job) -> Verdict {
    let (log, new) = job.changes.split_at(job.replayed.min(job.changes.len()));
    let stored = if log.is_empty() {
        job.stored.as_ref().map(|saved| saved.to_vec())
    } else {
        Some(replay(log)?.save())
    };
    if new.is_empty() {
        return rebuilt(stored);
    }
    let input = AdmissionInput {
        doc: job.doc,
        kind: job.kind,
        scope: job.scope,
        stored,
        person: job.person,
        changes: new.iter().map(|change| change.to_vec()).collect(),
    };
    let admitted = admit(&input)?;
    Ok(Admitted {
        saved: admitted.saved.into(),
        heads: admitted.heads,
        projection: encode(&admitted.projection),
        applied: admitted.applied,
        refused: admitted.refused,
        field_changes: admitted.field_changes,
    })
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
