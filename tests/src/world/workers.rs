//! The admission workers of the simulated server. They die over jobs, as processes do, and what that costs is
//! decided by the server's own code; now and then they are of newer software than the rest of the world.

use minicbor::bytes::ByteVec;
use server::admission::halving::{self, Loss};
use server::admission::{Admitted, Job, Judged, Verdict, judge};
use shared::cbor::Encode;
use shared::document::Document;
use shared::id::ChangeHash;
use shared::ledger::event::FieldChange;
use shared::projection::Projection;
use shared::refusal::Refusal;

use crate::dice::Dice;
use crate::fault::Fault;
use crate::world::World;
use crate::world::disk::contains;
use crate::world::skew::NEWER_KEY;

/// A worker that dies by chance, or does not come to work.
struct Mortal<'a> {
    dice: &'a mut Dice,
    dies_permille: u64,
    deaths: u64,
    absences: u64,
}

impl halving::Worker for Mortal<'_> {
    fn try_jobs(&mut self, jobs: &[Job]) -> Result<Vec<(u64, Verdict)>, Loss> {
        // Often more than once in a row, for the second try finds the machine as the first did.
        let permille = if self.absences > 0 { 500 } else { self.dies_permille };
        if self.dice.aside().permille(permille) {
            self.absences += 1;
            return Err(Loss::NotAtWork);
        }
        let mut verdicts = Vec::with_capacity(jobs.len());
        for job in jobs {
            if self.dice.permille(self.dies_permille) {
                self.deaths += 1;
                return Err(Loss::AtWork);
            }
            let is_newer = job.changes.iter().any(|change| contains(change, NEWER_KEY.as_bytes()));
            let verdict = if is_newer { newer_verdict(job) } else { None };
            verdicts.push((job.id, verdict.unwrap_or_else(|| judge(job))));
        }
        Ok(verdicts)
    }
}

impl World {
    /// Has jobs judged by workers that may die.
    pub fn judge(&mut self, jobs: &[Job]) -> Judged {
        let dies_permille = if self.healed { 0 } else { self.climate.worker_dies_permille };
        let mut worker = Mortal { dice: &mut self.dice, dies_permille, deaths: 0, absences: 0 };
        let judged = halving::judge_all(&mut worker, jobs);
        let (deaths, absences) = (worker.deaths, worker.absences);
        (0..absences).for_each(|_| self.faults.count(Fault::AdmissionWorkerAbsent));
        if absences > 0 {
            self.note(|| format!("{absences} times no admission worker comes to work"));
        }
        (0..deaths).for_each(|_| self.faults.count(Fault::AdmissionWorkerDied));
        if deaths > 0 {
            self.note(|| format!("{deaths} admission workers die"));
        }
        judged
    }
}

/// The wire form of [`Admitted`], as a worker of another version would write it.
#[derive(Encode)]
struct Answer {
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

/// The verdict of software whose table knows the newer key: the change is as good as any.
fn newer_verdict(job: &Job) -> Option<Verdict> {
    let mut document = match &job.stored {
        Some(saved) => Document::load(saved).ok()?,
        None => Document::empty(),
    };
    let changes: Vec<&[u8]> = job.changes.iter().map(|change| change.as_slice()).collect();
    document.apply(&changes).ok()?;
    let saved = document.save().into();
    let projection = minicbor::to_vec(Projection::of(&mut document)?).ok()?.into();
    let applied = job.changes.len() - job.replayed;
    let heads = document.heads();
    let answer = Answer { saved, heads, projection, applied, refused: None, field_changes: Vec::new() };
    let bytes = minicbor::to_vec(answer).ok()?;
    minicbor::decode::<Admitted>(&bytes).ok().map(Ok)
}
