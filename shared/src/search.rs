//! Finding customers as people type: by name, short name, alias, pinyin in every reading, initials (`ytwj`),
//! the last digits of a phone, code. Pure comparison with a rank; the caller keeps the keys and sorts.

pub mod readings;

use crate::projection::CustomerProjection;

/// Letters of a needle beyond which nothing is searched: nobody types more into a search box.
const NEEDLE_CHARS_MAX: usize = 40;

/// What search reads of one customer, in comparable form. Made once when the card changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchKey {
    /// Full name, short name, aliases.
    names: Vec<Vec<char>>,
    /// Code and provisional number.
    codes: Vec<Vec<char>>,
    phones: Vec<String>,
}

impl SearchKey {
    /// The key of a card, with its code and provisional number where it has them.
    pub fn of(card: &CustomerProjection, code: Option<&str>, provisional: Option<&str>) -> SearchKey {
        let names = card.name.iter().chain(&card.short_name).chain(&card.aliases);
        SearchKey {
            names: names.map(|name| comparable(name)).filter(|name| !name.is_empty()).collect(),
            codes: code.into_iter().chain(provisional).map(comparable).collect(),
            phones: card.phones.clone(),
        }
    }

    /// How well the needle fits: greater is better, `None` not at all. Every word of the needle must fit; the
    /// worst one counts. An empty needle fits everything alike.
    pub fn rank(&self, needle: &Needle) -> Option<u32> {
        needle
            .words
            .iter()
            .map(|word| self.rank_of_word(word))
            .try_fold(u32::MAX, |worst, rank| Some(worst.min(rank?)))
    }

    fn rank_of_word(&self, word: &[char]) -> Option<u32> {
        let by_code = self.codes.iter().filter_map(|code| rank_code(code, word)).max();
        let by_phone = rank_phones(&self.phones, word);
        let by_name = self.names.iter().enumerate().filter_map(|(index, name)| {
            // The full name stands before the short name, and both before aliases.
            let order = u32::try_from(index).unwrap_or(9).min(9);
            rank_name(name, word).map(|rank| rank - order)
        });
        by_name.chain(by_code).chain(by_phone).max()
    }
}

/// What somebody typed, in comparable form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    words: Vec<Vec<char>>,
}

impl Needle {
    /// Takes what was typed, word by word.
    pub fn new(typed: &str) -> Needle {
        let typed: String = typed.chars().take(NEEDLE_CHARS_MAX).collect();
        let words = typed.split_whitespace().map(comparable);
        Needle { words: words.filter(|word| !word.is_empty()).collect() }
    }

    /// Whether nothing was typed that could be searched for.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

/// A text without case, width, spaces and punctuation: what two ways of writing one name have in common.
pub fn normalised(text: &str) -> String {
    comparable(text).into_iter().collect()
}

/// The overlapping pairs of Han characters of a text, and its other words, separated by spaces: what a
/// full-text index needs to find names of two characters.
pub fn bigrams(text: &str) -> String {
    let chars: Vec<char> = text.chars().map(narrow).collect();
    let mut words = Vec::new();
    for run in chars.chunk_by(|one, other| class(*one) == class(*other)) {
        match class(run[0]) {
            Class::Han if run.len() == 1 => words.push(run[0].to_string()),
            Class::Han => words.extend(run.windows(2).map(|pair| pair.iter().collect::<String>())),
            Class::Word => words.push(run.iter().map(|char| lower(*char)).collect()),
            Class::Gap => {}
        }
    }
    words.join(" ")
}

#[derive(PartialEq, Clone, Copy)]
enum Class {
    Han,
    Word,
    Gap,
}

/// Unicode's blocks instead of its tables: signs and spaces part words, all else is part of them.
fn class(char: char) -> Class {
    match char {
        '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}' => Class::Han,
        '0'..='9' | 'A'..='Z' | 'a'..='z' | '#' => Class::Word,
        '\u{3005}'..='\u{3007}' => Class::Word,
        '\0'..='\u{bf}' | '×' | '÷' => Class::Gap,
        '\u{2000}'..='\u{206f}' | '\u{2190}'..='\u{2bff}' | '\u{3000}'..='\u{303f}' | '・' => Class::Gap,
        '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe6f}' | '\u{ff5f}'..='\u{ff65}' => Class::Gap,
        '\u{1f000}'..='\u{1faff}' => Class::Gap,
        _ => Class::Word,
    }
}

fn comparable(text: &str) -> Vec<char> {
    text.chars().map(narrow).filter(|char| class(*char) != Class::Gap).map(lower).collect()
}

/// The small letter of a Latin, Greek or Cyrillic one. Unicode's whole table is 11 kB in the phone's core, for
/// scripts in which no customer is written down.
fn lower(char: char) -> char {
    let distance = match char {
        '×' => 0,
        'A'..='Z' | 'À'..='Þ' | 'Α'..='Ω' | 'А'..='Я' => 32,
        'Ѐ'..='Џ' => 80,
        _ => 0,
    };
    char::from_u32(char as u32 + distance).unwrap_or(char)
}

/// Full-width letters and digits as plain ones.
fn narrow(char: char) -> char {
    match char {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(char as u32 - 0xfee0).unwrap_or(char),
        '\u{3000}' => ' ',
        _ => char,
    }
}

fn rank_code(code: &[char], word: &[char]) -> Option<u32> {
    if code == word {
        return Some(1_000);
    }
    // `42` finds KH00042.
    let digits: Vec<char> =
        code.iter().copied().filter(char::is_ascii_digit).skip_while(|digit| *digit == '0').collect();
    if !digits.is_empty() && digits == word {
        return Some(880);
    }
    (word.len() >= 2 && code.starts_with(word)).then_some(700)
}

fn rank_phones(phones: &[String], word: &[char]) -> Option<u32> {
    if word.len() < 4 || !word.iter().all(char::is_ascii_digit) {
        return None;
    }
    let digits: String = word.iter().collect();
    if phones.iter().any(|phone| phone.ends_with(&digits)) {
        return Some(900);
    }
    phones.iter().any(|phone| phone.contains(&digits)).then_some(600)
}

fn rank_name(name: &[char], word: &[char]) -> Option<u32> {
    if name == word {
        return Some(950);
    }
    if name.starts_with(word) {
        return Some(850);
    }
    if name.windows(word.len()).any(|part| part == word) {
        return Some(750);
    }
    if !word.iter().any(char::is_ascii_alphabetic) {
        return None;
    }
    (0..name.len()).find_map(|start| {
        let rest = sound(&name[start..], word)?;
        Some(match (start, rest) {
            (0, 0) => 650,
            (0, _) => 550,
            _ => 450,
        })
    })
}

/// Whether the word sounds like the beginning of the name; how many characters of the name are left then, at
/// least. Each character is itself, or is spelled by one of its readings in full or by its initial; the last
/// may break off. Walks the name once with the set of places in the word that can be reached, so that many
/// readings do not multiply.
fn sound(name: &[char], word: &[char]) -> Option<usize> {
    const { assert!(NEEDLE_CHARS_MAX < u64::BITS as usize) };
    let end = 1u64 << word.len();
    let mut reached = 1u64;
    let mut left = None;
    for (index, char) in name.iter().enumerate() {
        let mut next = 0u64;
        for place in (0..word.len()).filter(|place| reached & (1 << place) != 0) {
            next |= steps(*char, &word[place..]) << place;
        }
        if next & end != 0 {
            left = Some(name.len() - index - 1);
        }
        reached = next & !end;
        if reached == 0 {
            break;
        }
    }
    left
}

/// How many letters one character may take from the front of a word, as a set.
fn steps(char: char, word: &[char]) -> u64 {
    let mut steps = 0u64;
    if word[0] == char {
        steps |= 1 << 1;
    }
    for reading in readings::readings(char) {
        let mut taken = 0;
        let mut letters = reading.chars().peekable();
        while let Some(letter) = letters.next() {
            if !word.get(taken).is_some_and(|typed| same(letter, *typed)) {
                break;
            }
            taken += 1;
            let is_initial = taken == 1 || (taken == 2 && letter == 'h');
            if is_initial || letters.peek().is_none() || taken == word.len() {
                steps |= 1 << taken;
            }
        }
    }
    steps
}

/// `ü` is typed as `v` or `u`.
fn same(letter: char, typed: char) -> bool {
    letter == typed || (letter == 'ü' && matches!(typed, 'v' | 'u'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, short_name: &str) -> SearchKey {
        let card = CustomerProjection {
            name: Some(name.to_owned()),
            short_name: Some(short_name.to_owned()),
            aliases: vec!["老厂".to_owned()],
            phones: vec!["13800138000".to_owned()],
            ..CustomerProjection::default()
        };
        SearchKey::of(&card, Some("KH00042"), Some("临0007"))
    }

    fn rank(typed: &str) -> Option<u32> {
        key("深圳市盐田五金制品厂", "盐田五金").rank(&Needle::new(typed))
    }

    #[test]
    fn a_customer_is_found_by_each_way_of_typing() {
        for typed in [
            "深圳市盐田五金制品厂",
            "盐田",
            "ytwj",
            "YTWJ",
            "yantian",
            "yantwj",
            "shzh",
            "szsytwj",
            "盐田 五金",
            "ｙｔｗｊ",
            "shenz",
            "chang",
            "8000",
            "13800138000",
            "KH00042",
            "kh00042",
            "42",
            "老厂",
            "laoc",
            "临0007",
        ] {
            assert!(rank(typed).is_some(), "{typed}");
        }
        for typed in ["xyz", "盐城", "80001", "43", "000", "ytx"] {
            assert_eq!(rank(typed), None, "{typed}");
        }
        assert_eq!(rank(""), Some(u32::MAX));
        assert!(Needle::new(" ，").is_empty());
    }

    #[test]
    fn every_reading_of_a_character_finds_it() {
        for (name, typed) in [
            ("重庆机械", "cqjx"),
            ("重庆机械", "zhongqing"),
            ("重庆机械", "chongqing"),
            ("单县油厂", "shanxian"),
            ("曾记", "zengji"),
            ("绿源", "lvyuan"),
            ("绿源", "luyuan"),
            ("长城", "changcheng"),
        ] {
            assert!(key(name, "x").rank(&Needle::new(typed)).is_some(), "{name} {typed}");
        }
    }

    #[test]
    fn the_better_fit_ranks_higher() {
        let order =
            ["KH00042", "深圳市盐田五金制品厂", "8000", "深圳", "盐田五", "田五", "szsytwjzpc", "szs"];
        let ranks: Vec<_> = order.iter().map(|typed| (rank(typed).expect("found"), typed)).collect();
        for pair in ranks.windows(2) {
            assert!(pair[0].0 >= pair[1].0, "{pair:?}");
        }
    }

    #[test]
    fn a_long_needle_over_a_name_of_many_readings_ends_soon() {
        for (name, typed) in [("重", "z"), ("行", "h"), ("王", "w"), ("单", "d"), ("重", "zh")] {
            let typed: String = typed.repeat(39).chars().take(39).chain(['q']).collect();
            assert_eq!(key(&name.repeat(60), "x").rank(&Needle::new(&typed)), None);
        }
    }

    #[test]
    fn bigrams_make_two_character_names_findable() {
        assert_eq!(bigrams("盐田五金 46#液压油，ABC厂"), "盐田 田五 五金 46# 液压 压油 abc 厂");
        assert_eq!(normalised("Ａbc（深圳） 有限公司"), "abc深圳有限公司");
        assert_eq!(normalised("É·Ω–Яº，46# 々×…"), "éωя46#々");
    }
}
