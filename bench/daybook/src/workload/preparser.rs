//! `preparser_64k`: how long the strict reader of changes looks at the largest of them, honest and hostile. No
//! server: the function alone.

use std::time::{Duration, Instant};

use anyhow::Result;
use daybook_tests::chunk::Largest;
use daybook_tests::dice::Dice;

use crate::figures::Figures;
use crate::phone::milliseconds;

const CHANGES: usize = 5_000;
/// Each is read so often, and its fastest reading counts: the others measure what else the machine did.
const READINGS: usize = 3;

/// # Errors
/// If the honest change is refused.
pub fn run(figures: &mut Figures) -> Result<()> {
    let largest = Largest::new()?;
    let mut dice = Dice::new(64);
    let (mut slowest, mut taken) = (Duration::ZERO, 0);
    for _ in 0..CHANGES {
        let change = largest.draw(&mut dice);
        let mut fastest = Duration::MAX;
        for _ in 0..READINGS {
            let begun = Instant::now();
            let read = std::hint::black_box(shared::wire::parse(std::hint::black_box(&change)));
            fastest = fastest.min(begun.elapsed());
            taken += usize::from(read.is_ok());
        }
        slowest = slowest.max(fastest);
    }
    figures.add("preparser_64k", "ms", milliseconds(slowest));
    figures.add("preparser_64k", "taken", (taken / READINGS) as f64);
    Ok(())
}
