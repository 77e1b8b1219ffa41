//! How Chinese characters sound: every reading of every character of the basic block, without tones, from a
//! table of 50 kB that packs into 33. `crate::generated` makes the table from the `pinyin` crate.

use std::sync::OnceLock;

/// Syllables with spaces between, frequent ones first; a line feed; how many readings each character has, a
/// byte each; the readings of all characters in order, see [`code`].
static TABLE: &[u8] = include_bytes!("readings.bin");

pub(crate) const FIRST: char = '\u{4e00}';
pub(crate) const LAST: char = '\u{9fff}';
const CHARACTERS: usize = LAST as usize - FIRST as usize + 1;

/// Numbers of syllables below this are one byte; the others are two.
pub(crate) const SHORT_CODES: usize = 240;

struct Readings {
    syllables: Vec<&'static str>,
    /// Where the readings of each character begin, and where the last one's end.
    starts: Vec<u32>,
    /// Numbers of syllables.
    codes: Vec<u16>,
}

/// The readings of a character; none for what is no Chinese character or a rare one. `ü` is one letter.
pub(super) fn readings(char: char) -> impl Iterator<Item = &'static str> {
    static READINGS: OnceLock<Readings> = OnceLock::new();
    let table = READINGS.get_or_init(unpack);
    let codes = match (FIRST..=LAST).contains(&char) {
        true => {
            let index = char as usize - FIRST as usize;
            &table.codes[table.starts[index] as usize..table.starts[index + 1] as usize]
        }
        false => &[],
    };
    codes.iter().map(|code| table.syllables[usize::from(*code)])
}

fn unpack() -> Readings {
    let why = "the table is part of the program";
    let end = TABLE.iter().position(|byte| *byte == b'\n').expect(why);
    let syllables = std::str::from_utf8(&TABLE[..end]).expect(why).split(' ').collect();
    let (counts, mut rest) = TABLE[end + 1..].split_at(CHARACTERS);
    let mut starts = vec![0];
    let mut codes = Vec::new();
    for count in counts {
        for _ in 0..*count {
            let (code, after) = code(rest);
            codes.push(code);
            rest = after;
        }
        starts.push(codes.len() as u32);
    }
    Readings { syllables, starts, codes }
}

/// One syllable's number from the front.
fn code(bytes: &[u8]) -> (u16, &[u8]) {
    let first = usize::from(bytes[0]);
    if first < SHORT_CODES {
        return (first as u16, &bytes[1..]);
    }
    let number = SHORT_CODES + (first - SHORT_CODES) * 256 + usize::from(bytes[1]);
    (number as u16, &bytes[2..])
}
