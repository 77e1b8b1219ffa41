//! Files of the repository that are made from this crate: a test fails when one differs from what it is made
//! of, and `cargo xtask generate` writes them.

#![expect(clippy::disallowed_methods, reason = "compares with files of the repository")]

use std::path::Path;

use pinyin::ToPinyinMulti;
use ts_rs::{Config, TS};

use crate::edit::{Edit, Value};
use crate::id::{DeviceId, DocId, PersonId, RequestId, Seq};
use crate::ledger::event::{FieldChange, LateKind, LateState, LateWork, NoticeKind};
use crate::ledger::people::{Access, Role};
use crate::ledger::{Command, CustomerStatus};
use crate::protocol::PendingCounts;
use crate::refusal::{Refusal, Rule};
use crate::search::readings;
use crate::time::{Quality, Recorded, StatedTime, UtcMillis};
use crate::view;

/// Compares a file of the repository with what it should hold, or writes it if `DAYBOOK_GENERATE` is set.
#[track_caller]
fn check(path: &str, expected: &[u8]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("DAYBOOK_GENERATE").is_some() {
        std::fs::write(&file, expected).expect("the repository can be written");
    }
    let present = std::fs::read(&file).unwrap_or_default();
    assert!(present == expected, "{path} is stale: cargo xtask generate");
}

/// What JSON can hold and `ts-rs` cannot know: [`crate::edit::Patch`], [`view::FieldMap`].
const TYPES_HEADER: &str = "\
// The shapes in which the core speaks to screens, made from Rust by `cargo xtask generate`. Not to be edited.

export type Patch = Record<string, Value>;
export type FieldValue = null | boolean | number | string | FieldValue[] | { [key: string]: FieldValue };
export type FieldMap = Record<string, FieldValue>;
";

fn declaration<T: TS>(config: &Config) -> String {
    format!("\n{}export {}\n", T::docs().unwrap_or_default(), T::decl(config))
}

/// `details` are flattened into an entry: beside the fields that every entry has, others by kind.
fn timeline_entry(config: &Config) -> String {
    let declaration = declaration::<view::TimelineEntry>(config);
    let declaration = declaration.trim_end().trim_end_matches(';');
    format!("{declaration} & {{ [detail: string]: FieldValue | Recorded }};\n")
}

/// What each query is answered with.
fn answers(config: &Config) -> String {
    fn name<T: TS>(config: &Config) -> String {
        T::name(config)
    }
    let answers = [
        ("status", name::<view::StatusView>(config)),
        ("home", name::<view::HomeView>(config)),
        ("customers", name::<Vec<view::CustomerRow>>(config)),
        ("customer", name::<Option<view::CustomerCard>>(config)),
        ("timeline", name::<Vec<view::TimelineEntry>>(config)),
        ("visit", name::<Option<view::VisitView>>(config)),
        ("newest", name::<Vec<view::TimelineEntry>>(config)),
        ("to_accept", name::<Vec<view::CustomerRow>>(config)),
        ("late", name::<Vec<view::LateView>>(config)),
        ("people", name::<Vec<view::PersonView>>(config)),
        ("refused", name::<Vec<view::RefusedView>>(config)),
        ("unsent", name::<Vec<view::UnsentView>>(config)),
        ("requests", name::<Vec<view::RequestView>>(config)),
    ];
    let lines: String = answers.iter().map(|(query, answer)| format!("  {query}: {answer};\n")).collect();
    format!("\n/** What each query is answered with. */\nexport type Answers = {{\n{lines}}};\n")
}

#[test]
fn the_types_of_screens_are_those_of_the_core() {
    // Numbers of the core stay below 2^53.
    let config = Config::new().with_large_int("number");
    let mut file = TYPES_HEADER.to_owned();
    macro_rules! declare {
        ($($type:ty),* $(,)?) => { $( file.push_str(&declaration::<$type>(&config)); )* };
    }
    declare!(DocId, PersonId, DeviceId, RequestId, Seq, UtcMillis, StatedTime, Quality, Recorded);
    declare!(Rule, Refusal, Role, Access, CustomerStatus, Value, Edit, Command);
    declare!(NoticeKind, FieldChange, LateKind, LateState, LateWork, PendingCounts);
    declare!(view::SyncState, view::Link, view::ProfileView, view::StatusView, view::CustomerRow);
    declare!(view::ClashValue, view::Clash, view::PhoneView, view::OwnerView, view::PersonView);
    declare!(view::OpenAction);
    file.push_str(&timeline_entry(&config));
    declare!(view::LateView, view::RefusedView, view::UnsentView, view::RequestView, view::NoticeView);
    declare!(view::HomeView, view::CustomerCard, view::VisitView, view::Query);
    file.push_str(&answers(&config));
    check("pwa/src/generated/types.ts", file.as_bytes());
}

/// The readings of a character, each once, the first one first.
fn readings_of(char: char) -> Vec<&'static str> {
    let mut readings = Vec::new();
    for reading in char.to_pinyin_multi().into_iter().flatten() {
        if !readings.contains(&reading.plain()) {
            readings.push(reading.plain());
        }
    }
    readings
}

#[test]
fn the_table_of_readings_is_what_the_pinyin_crate_says() {
    let all: Vec<Vec<&str>> = (readings::FIRST..=readings::LAST).map(readings_of).collect();
    let mut frequencies = std::collections::BTreeMap::<&str, usize>::new();
    for reading in all.iter().flatten() {
        *frequencies.entry(reading).or_default() += 1;
    }
    let mut syllables: Vec<&str> = frequencies.keys().copied().collect();
    syllables.sort_by_key(|syllable| std::cmp::Reverse(frequencies[syllable]));
    let mut table = syllables.join(" ").into_bytes();
    table.push(b'\n');
    table.extend(all.iter().map(|readings| readings.len() as u8));
    for reading in all.iter().flatten() {
        let number = syllables.iter().position(|syllable| syllable == reading).expect("listed");
        match number.checked_sub(readings::SHORT_CODES) {
            None => table.push(number as u8),
            Some(rest) => table.extend([(readings::SHORT_CODES + rest / 256) as u8, (rest % 256) as u8]),
        }
    }
    check("shared/src/search/readings.bin", &table);
}
