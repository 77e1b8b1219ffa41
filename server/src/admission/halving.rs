//! What a lost worker costs: the job that it was at, at most, and of that only the changes from the deadly one
//! on (ADM-41, ADM-42). The decision alone; what a worker is and how one is lost is the caller's.

use shared::refusal::Rule;

use super::{Job, Judged, Verdict};

/// Judges jobs and may be lost over them. The next call goes to a fresh one.
pub trait Worker {
    /// Judges jobs, in order; none if the worker was lost over them.
    fn try_jobs(&mut self, jobs: &[Job]) -> Option<Vec<(u64, Verdict)>>;
}

/// Has every job judged, whatever it does to workers.
pub fn judge_all(worker: &mut impl Worker, jobs: &[Job]) -> Judged {
    if let Some(verdicts) = worker.try_jobs(jobs) {
        return Judged(verdicts);
    }
    // The worker was lost over one of them and does not say which.
    Judged(jobs.iter().map(|job| (job.id, judge_suspect(worker, job))).collect())
}

/// Judges one job alone; if the worker is lost, finds the changes that stand.
fn judge_suspect(worker: &mut impl Worker, job: &Job) -> Verdict {
    if let Some(verdict) = try_one(worker, job) {
        return verdict;
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
            Some(verdict) => (stands, best) = (middle, Some(verdict)),
            None => falls = middle,
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

fn try_one(worker: &mut impl Worker, job: &Job) -> Option<Verdict> {
    worker.try_jobs(std::slice::from_ref(job))?.pop().map(|(_, verdict)| verdict)
}
