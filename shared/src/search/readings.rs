//! How Chinese characters sound: every reading of every character of the basic block, without tones, from a
//! table of 50 kB that packs into 33. `crate::generated` makes the table from the `pinyin` crate. A browser fetches
//! it beside the core and gives it in, because nothing but a search by sound waits for it; elsewhere it is part of
//! the program.

use std::sync::OnceLock;

pub(crate) const FIRST: char = '\u{4e00}';
pub(crate) const LAST: char = '\u{9fff}';
const CHARACTERS: usize = LAST as usize - FIRST as usize + 1;

/// Numbers of syllables below this are one byte; the others are two.
pub(crate) const SHORT_CODES: usize = 240;

/// Given once; empty until then.
static READINGS: OnceLock<Readings> = OnceLock::new();

struct Readings {
    syllables: Vec<String>,
    /// Where the readings of each character begin, and where the last one's end.
    starts: Vec<u32>,
    /// Numbers of syllables.
    codes: Vec<u16>,
}

/// Takes the table: syllables with spaces between, frequent ones first; a line feed; how many readings each
/// character has, a byte each; the readings of all characters in order, see [`code`]. False if it is not such a
/// table.
pub fn give(table: &[u8]) -> bool {
    let readings = unpack(table);
    readings.is_some_and(|readings| {
        // A second table says what the first one said.
        let _ = READINGS.set(readings);
        true
    })
}

#[cfg(not(target_arch = "wasm32"))]
fn present() -> Option<&'static Readings> {
    let own = || unpack(include_bytes!("readings.bin")).expect("the table is part of the program");
    Some(READINGS.get_or_init(own))
}

#[cfg(target_arch = "wasm32")]
fn present() -> Option<&'static Readings> {
    READINGS.get()
}

/// The readings of a character; none for what is no Chinese character or a rare one. `ü` is one letter.
pub(super) fn readings(char: char) -> impl Iterator<Item = &'static str> {
    let table = present().filter(|_| (FIRST..=LAST).contains(&char));
    let of = table.map(|table| {
        let index = char as usize - FIRST as usize;
        let codes = &table.codes[table.starts[index] as usize..table.starts[index + 1] as usize];
        codes.iter().map(|code| table.syllables[usize::from(*code)].as_str())
    });
    of.into_iter().flatten()
}

fn unpack(table: &[u8]) -> Option<Readings> {
    let end = table.iter().position(|byte| *byte == b'\n')?;
    let syllables: Vec<String> =
        std::str::from_utf8(&table[..end]).ok()?.split(' ').map(str::to_owned).collect();
    let (counts, mut rest) = table[end + 1..].split_at_checked(CHARACTERS)?;
    let mut starts = vec![0];
    let mut codes = Vec::new();
    for count in counts {
        for _ in 0..*count {
            let (code, after) = code(rest)?;
            if usize::from(code) >= syllables.len() {
                return None;
            }
            codes.push(code);
            rest = after;
        }
        starts.push(codes.len() as u32);
    }
    rest.is_empty().then_some(Readings { syllables, starts, codes })
}

/// One syllable's number from the front.
fn code(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let first = usize::from(*first);
    if first < SHORT_CODES {
        return Some((first as u16, rest));
    }
    let (second, rest) = rest.split_first()?;
    let number = SHORT_CODES + (first - SHORT_CODES) * 256 + usize::from(*second);
    Some((number as u16, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_none_is_not_taken() {
        let table = include_bytes!("readings.bin");
        assert!(give(table) && give(table), "twice is once");
        for broken in [&b""[..], b"a b", &table[..table.len() - 1], &table[..30_000], &[0; 60_000]] {
            assert!(!give(broken));
        }
        let unknown = [b"a\n".as_slice(), &[1; CHARACTERS], &[7; CHARACTERS]].concat();
        assert!(!give(&unknown), "the eighth syllable of one");
    }
}
