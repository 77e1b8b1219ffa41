//! The memory of the strict reader of changes, which every byte of a client passes: counted by an allocator of
//! its own, and therefore in a process of its own.

use daybook_tests::chunk::Largest;
use daybook_tests::dice::Dice;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// What reading a change may hold at any time, the change itself and the making of it included.
const BYTES_MAX: usize = 1024 * 1024;

// WIRE-8
#[test]
fn reading_the_largest_changes_holds_less_than_a_mebibyte() {
    let seed = 20_261_126;
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let largest = Largest::new().expect("an honest record");
    let _profiler = dhat::Profiler::builder().testing().build();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..3_000 {
        match shared::wire::parse(&largest.draw(&mut dice)) {
            Ok(_) => taken += 1,
            Err(_) => refused += 1,
        }
    }
    let peak = dhat::HeapStats::get().max_bytes;
    println!("{taken} taken, {refused} refused, at most {} KiB at a time", peak / 1024);
    assert!(peak <= BYTES_MAX, "{peak} bytes");
    assert!(taken > 100 && refused > 100, "too little was read: {taken} taken, {refused} refused");
}
