//! Runs worlds: one seed with its whole story, or many seeds over threads. Prints the seed first and last,
//! so that a failure can be told again by anybody.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::fault::FaultCounts;
use crate::model::Violation;
use crate::world::World;
use crate::world::machine::Tapes;
use crate::world::shape::{Cause, Shape};
use crate::world::strike::{Strike, StrikeAt};

/// Lines of the story printed with a failure.
const STORY_LINES: usize = 160;

/// What a run that found nothing wrong did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Worlds lived through.
    pub worlds: u64,
    /// What went wrong in them.
    pub faults: FaultCounts,
    /// Edits typed.
    pub edits: u64,
    /// Changes acknowledged.
    pub acknowledged: u64,
    /// Edits and commands that a phone refused at once.
    pub refused_at_once: u64,
    /// Events carried out.
    pub steps: u64,
}

impl Report {
    fn add(&mut self, other: &Report) {
        self.worlds += other.worlds;
        self.faults.add(&other.faults);
        self.edits += other.edits;
        self.acknowledged += other.acknowledged;
        self.refused_at_once += other.refused_at_once;
        self.steps += other.steps;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} worlds, {} steps, {} edits typed ({} refused at once), {} changes acknowledged",
            self.worlds, self.steps, self.edits, self.refused_at_once, self.acknowledged
        )?;
        write!(f, "{}", self.faults)
    }
}

/// A world in which something was not as it must be.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The world's seed.
    pub seed: u64,
    /// What was wrong.
    pub violation: Violation,
    /// The story.
    pub story: Vec<String>,
    /// How much of the world was lived.
    pub shape: Shape,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        let end = self.story.len().saturating_sub(STORY_LINES);
        self.story[end..].iter().try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "\n{}", self.violation)?;
        write!(f, "seed {}; tell it again with: cargo xtask sim {}{}", self.seed, self.seed, self.shape)
    }
}

impl std::error::Error for Failure {}

/// Lives one world. Quiet unless it fails; then the shortest of its stories that fails alike is told.
///
/// # Errors
/// The first violation of an invariant.
pub fn run(seed: u64) -> Result<Report, Failure> {
    run_shaped(seed, None).map(|world| report(&world))
}

fn run_shaped(seed: u64, strike: Option<StrikeAt>) -> Result<Box<World>, Failure> {
    let violation = match live(seed, &Shape { strike, ..Shape::default() }, false) {
        Ok(world) => return Ok(world),
        Err((violation, _)) => violation,
    };
    let shape = shortest(seed, strike, &violation);
    Err(tell(seed, &shape).err().unwrap_or_else(|| Failure {
        seed,
        violation: format!(
            "failed once and not again: something in the world is not drawn from its seed. It was: {violation}"
        ),
        story: Vec::new(),
        shape,
    }))
}

/// Lives one world and says what was wrong in it, if anything was.
pub fn violation(seed: u64) -> Option<Violation> {
    live(seed, &Shape::default(), false).err().map(|(violation, _)| violation)
}

/// The smallest part of a seed's world in which the same invariant is violated, with the same strike.
pub fn shortest(seed: u64, strike: Option<StrikeAt>, violation: &str) -> Shape {
    let invariants = invariants_in(violation);
    shrink(Shape { strike, ..Shape::default() }, |shape| {
        let found = live(seed, shape, false).err();
        found.is_some_and(|(found, _)| invariants_in(&found) == invariants)
    })
}

/// The invariants that a violation names, such as `I8`.
fn invariants_in(violation: &str) -> Vec<&str> {
    let is_name = |word: &&str| word.strip_prefix('I').is_some_and(|number| number.parse::<u8>().is_ok());
    violation.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(is_name).collect()
}

/// Leaves out of a failing world whatever it fails without: causes of trouble one by one, then the end of what
/// people do, again and again until nothing more can go.
pub fn shrink(mut shape: Shape, fails: impl Fn(&Shape) -> bool) -> Shape {
    /// More than any seed draws.
    const ACTS_MAX: u32 = 64;
    loop {
        let before = shape.clone();
        for cause in Cause::ALL {
            let mut smaller = shape.clone();
            if smaller.without.insert(*cause) && fails(&smaller) {
                shape = smaller;
            }
        }
        for acts in 1..shape.acts_max.unwrap_or(ACTS_MAX) {
            let smaller = Shape { acts_max: Some(acts), ..shape.clone() };
            if fails(&smaller) {
                shape = smaller;
                break;
            }
        }
        if shape == before {
            return shape;
        }
    }
}

/// Lives one world, or a part of it, and keeps its story.
///
/// # Errors
/// The first violation of an invariant, with the story.
pub fn tell(seed: u64, shape: &Shape) -> Result<(Report, Vec<String>), Failure> {
    match live(seed, shape, true) {
        Ok(world) => Ok((report(&world), world.trace.last(usize::MAX))),
        Err((violation, story)) => Err(Failure { seed, violation, story, shape: shape.clone() }),
    }
}

/// Lives one world with every machine of its phones on tape ([`crate::world::machine`]). It is another world than
/// that of the same seed without tapes.
///
/// # Errors
/// The first violation of an invariant.
pub fn tape(seed: u64) -> Result<Vec<Vec<String>>, Violation> {
    let tapes = Tapes::default();
    let mut world = World::new(seed, Shape::default(), false)?;
    world.tapes = Some(tapes.clone());
    world.live()?;
    drop(world);
    Ok(tapes.take())
}

fn live(seed: u64, shape: &Shape, telling: bool) -> Result<Box<World>, (Violation, Vec<String>)> {
    let world = World::new(seed, shape.clone(), telling);
    let mut world = Box::new(world.map_err(|violation| (violation, Vec::new()))?);
    // A panic is a bug of a machine, found by this seed like any other violation.
    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.live()));
    match lived {
        Ok(Ok(())) => Ok(world),
        Ok(Err(violation)) => Err((violation, world.trace.last(usize::MAX))),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
            let violation = format!("a machine panicked: {}", words.unwrap_or_default());
            Err((violation, world.trace.last(usize::MAX)))
        }
    }
}

fn report(world: &World) -> Report {
    Report {
        worlds: 1,
        faults: world.faults.clone(),
        edits: world.model.typed.len() as u64,
        acknowledged: world.model.acknowledged().len() as u64,
        refused_at_once: world.refused_at_once,
        steps: world.steps,
    }
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sweep {
    /// Steps of the seed's world.
    pub steps: u64,
    /// Outputs of its server's hub.
    pub outputs: u64,
    /// Worlds lived through.
    pub worlds: u64,
    /// Those in which the strike was more than an attempt.
    pub struck: u64,
}

/// Lives a seed's world once for every strike at every step of it, or at one step in `stride`.
///
/// # Errors
/// The violation of one of them; the other threads stop after their world.
pub fn sweep(seed: u64, stride: u64) -> Result<Sweep, Box<Failure>> {
    let world = run_shaped(seed, None)?;
    let (steps, outputs) = (world.steps, world.server.outputs);
    let places_of = |strike: Strike| {
        let last = if strike == Strike::KillServer { outputs } else { steps };
        (1..=last).step_by(stride as usize).map(move |step| StrikeAt { strike, step })
    };
    let places: Vec<StrikeAt> = Strike::ALL.iter().copied().flat_map(places_of).collect();
    let (next, struck) = (AtomicUsize::new(0), AtomicU64::new(0));
    let failure: Mutex<Option<Box<Failure>>> = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match run_shaped(seed, Some(*place)) {
                        Ok(world) => {
                            struck.fetch_add(u64::from(world.has_struck), Ordering::Relaxed);
                        }
                        Err(found) => {
                            next.store(places.len(), Ordering::Relaxed);
                            *failure.lock().expect("no thread panics with it") = Some(Box::new(found));
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner().expect("no thread panics with it") {
        Some(failure) => Err(failure),
        None => Ok(Sweep { steps, outputs, worlds: places.len() as u64, struck: struck.into_inner() }),
    }
}

/// Lives the worlds of `count` seeds from `first` on and names every one in which something was wrong.
pub fn survey(first: u64, count: u64) -> Vec<(u64, Violation)> {
    let next = AtomicU64::new(first);
    let found = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    if let Some(violation) = violation(seed) {
                        found.lock().expect("no thread panics with it").push((seed, violation));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no thread panics with it");
    found.sort();
    found
}

/// Lives the worlds of `count` seeds from `first` on, over as many threads as there are processors.
///
/// # Errors
/// The violation of the lowest seed found; the other threads stop after their world.
pub fn run_many(first: u64, count: u64) -> Result<Report, Box<Failure>> {
    let next = AtomicU64::new(0);
    let stopped = AtomicBool::new(false);
    let total = Mutex::new(Report::default());
    let failure: Mutex<Option<Box<Failure>>> = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stopped.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    match run(first + number) {
                        Ok(report) => total.lock().expect("no thread panics with it").add(&report),
                        Err(found) => {
                            stopped.store(true, Ordering::Relaxed);
                            let mut failure = failure.lock().expect("no thread panics with it");
                            if failure.as_ref().is_none_or(|other| found.seed < other.seed) {
                                *failure = Some(Box::new(found));
                            }
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner().expect("no thread panics with it") {
        Some(failure) => Err(failure),
        None => Ok(total.into_inner().expect("no thread panics with it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failure_does_not_need_is_left_out() {
        let needs = |shape: &Shape| {
            shape.has(Cause::PhoneCrash)
                && shape.has(Cause::Weather)
                && shape.acts_max.is_none_or(|acts| acts >= 7)
        };
        let shape = shrink(Shape::default(), needs);
        assert_eq!(shape.acts_max, Some(7));
        let left: Vec<_> = Cause::ALL.iter().filter(|cause| shape.has(**cause)).collect();
        assert_eq!(left, [&Cause::Weather, &Cause::PhoneCrash]);
    }

    #[test]
    fn a_failure_that_needs_everything_stays_whole() {
        assert_eq!(shrink(Shape::default(), |shape| *shape == Shape::default()), Shape::default());
    }

    #[test]
    fn a_violation_names_its_invariants() {
        assert_eq!(invariants_in("request 7 took effect twice (I11) (I6)"), ["I11", "I6"]);
        assert_eq!(invariants_in("IMPORTANT: a machine panicked"), Vec::<&str>::new());
    }

    #[test]
    fn a_world_without_trouble_has_none() {
        let without = Cause::ALL.iter().copied().collect();
        let (report, _) = tell(1, &Shape { acts_max: Some(10), without, strike: None })
            .unwrap_or_else(|failure| panic!("{failure}"));
        let troubles = [
            crate::fault::Fault::FrameDropped,
            crate::fault::Fault::PhoneCrashed,
            crate::fault::Fault::ServerCrashedBeforeCommit,
            crate::fault::Fault::PhoneOffline,
            crate::fault::Fault::DeviceRevoked,
        ];
        for fault in troubles {
            assert_eq!(report.faults.of(fault), 0, "{fault:?}");
        }
    }
}
