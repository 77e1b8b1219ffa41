//! Proves that the oracle bites: plants each bug of [`shared::planted`] and lives worlds until one contradicts
//! the invariant that the bug breaks (SIM-16). Another invariant that breaks first does not count, and is told; it is
//! wrong unless the bug is known for it.

use std::fmt;
use std::sync::Mutex;

use shared::planted::{Bug, plant};

use crate::model::Violation;
use crate::sim;
use crate::world::shape::Shape;

/// Worlds within which a bug must be caught.
pub const SEEDS_MAX: u64 = 1_000;

/// A world that contradicts an invariant.
#[derive(Debug, Clone)]
pub struct Caught {
    /// Its seed.
    pub seed: u64,
    /// The smallest part of it that contradicts it.
    pub shape: Shape,
    /// What the oracle says of it.
    pub violation: Violation,
}

/// What came of one bug.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The bug.
    pub bug: Bug,
    /// The first world that contradicts its invariant.
    pub caught: Option<Caught>,
    /// The seeds of worlds in which something else was wrong first for which the bug is not known, with what.
    pub otherwise: Vec<(u64, Violation)>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (invariant, words) = (self.bug.invariant(), self.bug.words());
        match &self.caught {
            Some(Caught { seed, .. }) => write!(f, "| {invariant} | {words} | `{:?}` | {seed} |", self.bug),
            None => write!(f, "| {invariant} | {words} | `{:?}` | not caught |", self.bug),
        }
    }
}

/// Tries every bug, over as many threads as there are processors; the outcomes in the order of the bugs.
pub fn try_all(is_wanted: impl Fn(Bug) -> bool) -> Vec<Outcome> {
    let queue =
        Mutex::new(Bug::ALL.iter().copied().filter(|bug| is_wanted(*bug)).collect::<Vec<_>>().into_iter());
    let outcomes = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no thread panics with it").next();
                    let Some(bug) = next else { return };
                    let outcome = try_one(bug);
                    println!("{outcome}");
                    outcomes.lock().expect("no thread panics with it").push(outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no thread panics with it");
    outcomes.sort_by_key(|outcome| outcome.bug);
    outcomes
}

/// Lives worlds with a bug planted until one contradicts its invariant.
pub fn try_one(bug: Bug) -> Outcome {
    plant(Some(bug));
    let mut outcome = Outcome { bug, caught: None, otherwise: Vec::new() };
    for seed in 0..SEEDS_MAX {
        match sim::violation(seed) {
            Some(violation) if names(&violation, bug.invariant()) => {
                let shape = sim::shortest(seed, None, &violation);
                outcome.caught = Some(Caught { seed, shape, violation });
                break;
            }
            Some(violation) if bug.besides().is_some_and(|besides| names(&violation, besides)) => {}
            Some(violation) => outcome.otherwise.push((seed, violation)),
            None => {}
        }
    }
    plant(None);
    outcome
}

/// Whether a violation is of this invariant.
fn names(violation: &str, invariant: &str) -> bool {
    violation.contains(&format!("({invariant})")) || violation.contains(&format!("({invariant},"))
}
