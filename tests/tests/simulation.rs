//! The worlds of many seeds (SIM-1 to SIM-14). `DAYBOOK_SIM_SEEDS` says how many, `DAYBOOK_SIM_FIRST` from
//! which on.

use daybook_tests::fault::Fault;
use daybook_tests::sim;
use daybook_tests::world::shape::Shape;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Seeds after which every kind of fault must have happened.
const SEEDS_FOR_EVERY_FAULT: u64 = 500;

#[test]
fn no_world_loses_leaks_or_wedges() {
    let first = number("DAYBOOK_SIM_FIRST", 0);
    let count = number("DAYBOOK_SIM_SEEDS", 2_000);
    println!("seeds {first}..{}", first + count);
    let report = sim::run_many(first, count).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report}seeds {first}..{}", first + count);
    let never: Vec<Fault> = report.faults.never();
    assert!(
        count < SEEDS_FOR_EVERY_FAULT || never.is_empty(),
        "never happened, so nothing is proved of it: {never:?}"
    );
}

/// SIM-18. Every step in turn by hand: `cargo xtask sim SEED --sweep`.
#[test]
fn whenever_the_office_does_something_or_the_server_dies_nothing_is_lost_or_leaks() {
    let (seed, stride) = (3, 37);
    println!("seed {seed}, one step in {stride}");
    let sweep = sim::sweep(seed, stride).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{sweep:?}");
    assert!(sweep.worlds > 80 && sweep.struck * 4 > sweep.worlds, "too little was done: {sweep:?}");
}

/// SIM-12
#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 0..12 {
        let (_, first) = sim::tell(seed, &Shape::default()).unwrap_or_else(|failure| panic!("{failure}"));
        let (_, second) = sim::tell(seed, &Shape::default()).unwrap_or_else(|failure| panic!("{failure}"));
        for (line, (one, other)) in first.iter().zip(&second).enumerate() {
            assert_eq!(one, other, "the stories of seed {seed} part at line {line}");
        }
        assert_eq!(first.len(), second.len(), "one story of seed {seed} is longer");
    }
}

/// Seeds whose worlds were wrong once. Worlds have grown since and tell other stories; what each had found is a test of its
/// own by now (docs/reliability.md), and the seeds are kept for what they find next.
#[test]
fn seeds_that_found_something_once_find_nothing() {
    for seed in [
        593, 738, 841, 909, 991, 1_845, 2_259, 2_242, 2_273, 2_947, 3_337, 4_566, 10_119, 12_089, 14_395,
        20_371, 34_929,
    ] {
        sim::run(seed).unwrap_or_else(|failure| panic!("{failure}"));
    }
}
