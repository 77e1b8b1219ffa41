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
fn whenever_the_office_does_something_nothing_is_lost_or_leaks() {
    let (seed, stride) = (3, 23);
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

/// A phone offered its own change again after a second restore and kept, beside it, another's that stood before
/// it and that the server had lost: what it did not build on is not there because the server took it (CL-25).
#[test]
fn seed_1845_what_is_offered_again_brings_nothing_back_but_what_it_builds_on() {
    sim::run(1_845).unwrap_or_else(|failure| panic!("{failure}"));
}

/// The first of two answers said that the store failed, the second, to the doubled push, was passed over, and the
/// author's phone took the time of its third push for the receipt (S13).
#[test]
fn seed_593_a_repeated_change_is_shown_as_received_when_it_first_was() {
    sim::run(593).unwrap_or_else(|failure| panic!("{failure}"));
}

/// One edit went in twice, from a phone and from its copy under another actor, and which of the two the card's
/// history told of hung on which had come first (DOC-3).
#[test]
fn seed_738_the_history_of_a_card_is_the_same_in_whatever_order_its_changes_came() {
    sim::run(738).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A phone whose disk was full had let go of an acknowledged visit at a customer that was transferred away, and its
/// disk had not, when the server was restored: a phone offers what it holds (a fault of the oracle).
#[test]
fn seed_2273_what_was_let_go_before_a_restore_is_nobodys_to_offer() {
    sim::run(2_273).unwrap_or_else(|failure| panic!("{failure}"));
}

/// The answer to a release came from before the restore, after it (a fault of the oracle).
#[test]
fn seed_3337_what_an_answer_of_the_former_life_lets_go_is_nobodys_to_offer() {
    sim::run(3_337).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A customer was just being taken away from a phone when the server was restored. The phone offered it again, and
/// went on showing the registration and the transfer of the former life (CL-25).
#[test]
fn seed_4566_events_of_a_former_life_go_with_a_scope_that_was_being_taken_away() {
    sim::run(4_566).unwrap_or_else(|failure| panic!("{failure}"));
}

/// The same, found by other troubles.
#[test]
fn seed_10119_events_of_a_former_life_go_with_a_scope_that_was_being_taken_away() {
    sim::run(10_119).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A customer registered over a phone's former connection was announced whole to its new one in a page that left out
/// the phone's own visits, acknowledged a moment before: the phone dropped them until the next digest (HUB-6).
#[test]
fn seed_20371_a_scope_announced_whole_holds_ones_own_work_too() {
    sim::run(20_371).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A phone was set back to an older copy of itself and got its later work from the server, which was then restored
/// too: the copy does not know that work as its own (a fault of the oracle).
#[test]
fn seed_34929_an_older_copy_of_a_phone_offers_what_it_knows_as_its_own() {
    sim::run(34_929).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A phone and its copy, logged in as a device of its own, offered the same late edits in one moment, and the second
/// was told that they are held (a fault of the oracle, which took the copy for their device).
#[test]
fn seed_2947_what_is_held_already_is_held_from_the_first_device() {
    sim::run(2_947).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A phone that was locked out while its disk was full still held in memory what it could not store, and the world
/// was called at rest before it had.
#[test]
fn seed_841_a_phone_that_is_locked_out_stores_what_its_full_disk_refused() {
    sim::run(841).unwrap_or_else(|failure| panic!("{failure}"));
}
