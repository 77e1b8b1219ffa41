//! Replays the kept corpus of every fuzz target: `tests/corpus/TARGET/*`. A crash that fuzzing found is put
//! there and stays. Every target must take some of its inputs and refuse others, or it shows nothing.

use std::path::Path;

use daybook_tests::dice::Dice;
use daybook_tests::fuzzing::{Fate, TARGETS, large_inputs};

#[test]
fn every_kept_input_of_every_fuzz_target_passes() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("the folder is readable").path())
            .collect();
        files.sort();
        let mut fates = Vec::new();
        for file in files {
            let bytes = std::fs::read(&file).expect("the file is readable");
            println!("{}", file.display());
            fates.push(target(&bytes));
        }
        for fate in [Fate::Taken, Fate::Refused] {
            assert!(fates.contains(&fate), "no input of {} is {fate:?}", folder.display());
        }
    }
}

/// The `large` inputs of the corpus, for mutation to begin with: written anew with `DAYBOOK_GENERATE=1`.
#[test]
fn every_target_keeps_its_large_input_as_it_is_made_and_takes_it() {
    for ((name, target), (of, made)) in TARGETS.into_iter().zip(large_inputs()) {
        assert_eq!(name, of);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name).join("large");
        if std::env::var_os("DAYBOOK_GENERATE").is_some() {
            std::fs::write(&file, &made).expect("the folder can be written");
        }
        assert!((60_000..66_000).contains(&made.len()), "the large input of {name} has {} bytes", made.len());
        assert!(std::fs::read(&file).is_ok_and(|kept| kept == made), "{} is stale", file.display());
        assert_eq!(target(&made), Fate::Taken, "{name}");
    }
}

#[test]
fn a_workbook_is_read_as_an_archive_and_as_its_worksheet() {
    let (_, target) = TARGETS.into_iter().find(|(name, _)| *name == "sheet").expect("a target");
    for name in ["workbook", "worksheet"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/sheet").join(name);
        assert_eq!(target(&std::fs::read(file).expect("it is kept")), Fate::Taken, "{name}");
    }
}

#[test]
fn random_inputs_pass_every_fuzz_target() {
    let seed = 20_261_122;
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    for (name, target) in TARGETS {
        for round in 0..40 {
            let bytes: Vec<u8> = (0..dice.between(0, 400)).map(|_| dice.word() as u8).collect();
            println!("{name} {round}");
            target(&bytes);
        }
    }
}
