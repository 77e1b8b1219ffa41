//! What a lost worker costs: the job that it was at, at most, and of that only the changes from the deadly one
//! on (ADM-41, ADM-42); nothing for good if it was not at work (ADM-46). The decision alone; what a worker is
//! and how one is lost is the caller's.

use shared::refusal::{Refusal, Rule};

use super::{Job, Judged, Verdict};

/// How a worker was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It died over the jobs, or worked on them beyond its time: one of them is to blame.
    AtWork,
    /// It could not be started, or the machine gave it no time to work: no job is to blame.
    NotAtWork,
}

/// Judges jobs and may be lost over them. The next call goes to a fresh one.
pub trait Worker {
    /// Judges jobs, in order.
    ///
    /// # Errors
    /// How the worker was lost.
    fn try_jobs(&mut self, jobs: &[Job]) -> Result<Vec<(u64, Verdict)>, Loss>;
}

/// Has every job judged, whatever it does to workers.
pub fn judge_all(worker: &mut impl Worker, jobs: &[Job]) -> Judged {
    let first = worker.try_jobs(jobs);
    let tried = if matches!(first, Err(Loss::NotAtWork)) { worker.try_jobs(jobs) } else { first };
    match tried {
        Ok(verdicts) => Judged(verdicts),
        Err(Loss::NotAtWork) => Judged(jobs.iter().map(|job| (job.id, Err(not_judged()))).collect()),
        // The worker was lost over one of them and does not say which.
        Err(Loss::AtWork) => Judged(jobs.iter().map(|job| (job.id, judge_suspect(worker, job))).collect()),
    }
}

/// The answer to a job that nobody has judged: the phone keeps it and offers it again.
fn not_judged() -> Refusal {
    Rule::StoreUnavailable.into()
}

/// Judges one job alone; if the worker is lost, finds the changes that stand.
fn judge_suspect(worker: &mut impl Worker, job: &Job) -> Verdict {
    match try_one(worker, job) {
        Ok(verdict) => return verdict,
        Err(Loss::NotAtWork) => return Err(not_judged()),
        Err(Loss::AtWork) => {}
    }
    let fresh = job.changes.len() - job.replayed;
    // `stands` changes are known to be judged without loss, `falls` are known to lose the worker.
    let (mut stands, mut falls) = (0, fresh);
    let mut best = None;
    while falls > stands + 1 {
        let middle = stands + (falls - stands) / 2;
        let mut part = job.clone();
        part.changes.truncate(job.replayed + middle);
        match try_one(worker, &part) {
            Ok(verdict) => (stands, best) = (middle, Some(verdict)),
            Err(Loss::AtWork) => falls = middle,
            Err(Loss::NotAtWork) => return Err(not_judged()),
        }
    }
    match best {
        Some(Ok(mut admitted)) => {
            if admitted.refused.is_none() {
                admitted.refused = Some(Rule::Unloadable.into());
            }
            Ok(admitted)
        }
        Some(Err(refusal)) => Err(refusal),
        None => Err(Rule::Unloadable.into()),
    }
}

fn try_one(worker: &mut impl Worker, job: &Job) -> Result<Verdict, Loss> {
    worker.try_jobs(std::slice::from_ref(job))?.pop().map(|(_, verdict)| verdict).ok_or(Loss::AtWork)
}
