//! Dates as offices write them at the beginning of a cell, and the several dated entries that one cell may
//! hold. Day before month before two-digit year with slashes, year first with dots, dashes and 年; what has
//! another meaning than the rule says carries a doubt. Knows nothing of columns.

use chrono::{Datelike, Days, NaiveDate};

use super::width::{fold, slice};

/// Why a date may mean another day than the one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// Read as month/day/year, because day/month/year is no date or lies in the future.
    MonthFirst,
    /// Two-digit parts read as year, month, day.
    YearFirst,
    /// The day lies in the future in every reading.
    Future,
}

/// A date found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The day.
    pub day: NaiveDate,
    /// How many characters it takes.
    pub length: usize,
    /// Why it may mean another day.
    pub doubt: Option<Doubt>,
}

/// One entry of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its day, where it begins with a date.
    pub day: Option<NaiveDate>,
    /// The date as written.
    pub date_text: String,
    /// Why the date may mean another day.
    pub doubt: Option<Doubt>,
    /// The words after the date.
    pub text: String,
}

/// The earliest year that a date is read with; factories of this kind keep no older sheets.
const YEAR_MIN: i32 = 1980;
/// The latest one.
const YEAR_MAX: i32 = 2100;
/// How many entries one cell is split into at most; the rest stays in the last one.
const ENTRIES_MAX: usize = 200;

/// Reads the date that begins at `start` of a folded text.
pub fn date_at(characters: &[char], start: usize, today: NaiveDate) -> Option<Found> {
    let (first, first_digits, after) = number(characters, start)?;
    if first_digits == 8 {
        let day = calendar(first / 10_000, first / 100 % 100, first % 100)?;
        return Some(Found { day, length: after - start, doubt: future(day, today) });
    }
    if first_digits == 3 || first_digits > 4 {
        return None;
    }
    match characters.get(skip_blanks(characters, after)) {
        Some('年') if first_digits != 1 => {
            han_date(characters, start, skip_blanks(characters, after) + 1, first, today)
        }
        Some(&separator @ ('/' | '-' | '.')) if characters.get(after) == Some(&separator) => {
            separated_date(characters, start, after, (first, first_digits), separator, today)
        }
        _ => None,
    }
}

/// `2009年3月5日`, `09年3月5号`, `2009年3月5`.
fn han_date(characters: &[char], start: usize, at: usize, year: u32, today: NaiveDate) -> Option<Found> {
    let (month, _, after) = number(characters, skip_blanks(characters, at))?;
    let after = skip_blanks(characters, after);
    if characters.get(after) != Some(&'月') {
        return None;
    }
    let (date, _, mut end) = number(characters, skip_blanks(characters, after + 1))?;
    if matches!(characters.get(skip_blanks(characters, end)), Some('日' | '号')) {
        end = skip_blanks(characters, end) + 1;
    }
    let year = if year < 100 { year + 2000 } else { year };
    let day = calendar(year, month, date)?;
    Some(Found { day, length: end - start, doubt: future(day, today) })
}

/// Three numbers between two equal separators.
fn separated_date(
    characters: &[char],
    start: usize,
    after_first: usize,
    (first, first_digits): (u32, usize),
    separator: char,
    today: NaiveDate,
) -> Option<Found> {
    let (second, second_digits, after) = number(characters, after_first + 1)?;
    if second_digits > 2 || characters.get(after) != Some(&separator) {
        return None;
    }
    let (third, third_digits, end) = number(characters, after + 1)?;
    let goes_on =
        characters.get(end) == Some(&separator) && characters.get(end + 1).is_some_and(char::is_ascii_digit);
    if goes_on || !matches!(third_digits, 1 | 2 | 4) || (first_digits == 4 && third_digits == 4) {
        return None;
    }
    let year_first = |doubt| (calendar(century(first), second, third), doubt);
    let day_first = (calendar(century(third), second, first), None);
    let month_first = (calendar(century(third), first, second), Some(Doubt::MonthFirst));
    let none = (None, None);
    let readings = match (first_digits, third_digits, separator) {
        (4, _, _) => [year_first(None), none, none],
        (_, 4, _) => [day_first, month_first, none],
        (1, 1, _) => return None,
        (2, 1, _) => [year_first(Some(Doubt::YearFirst)), none, none],
        (1, _, _) => [day_first, month_first, none],
        (_, _, '/') => [day_first, year_first(Some(Doubt::YearFirst)), month_first],
        _ => [year_first(Some(Doubt::YearFirst)), day_first, month_first],
    };
    let possible = || readings.iter().filter_map(|(day, doubt)| day.map(|day| (day, *doubt)));
    let past = possible().find(|(day, _)| future(*day, today).is_none());
    let as_written = readings[0].0.map(|day| (day, Some(Doubt::Future)));
    let (day, doubt) = past.or(as_written)?;
    Some(Found { day, length: end - start, doubt })
}

/// The day that a spreadsheet's serial number stands for (days since 1899-12-30).
pub fn serial_day(serial: f64) -> Option<NaiveDate> {
    if !(29_221.0..73_051.0).contains(&serial) {
        return None;
    }
    NaiveDate::from_ymd_opt(1899, 12, 30)?.checked_add_days(Days::new(serial as u64))
}

fn century(year: u32) -> u32 {
    if year < 100 { 2000 + year } else { year }
}

fn calendar(year: u32, month: u32, day: u32) -> Option<NaiveDate> {
    let year = i32::try_from(year).ok().filter(|year| (YEAR_MIN..=YEAR_MAX).contains(year))?;
    NaiveDate::from_ymd_opt(year, month, day)
}

fn future(day: NaiveDate, today: NaiveDate) -> Option<Doubt> {
    (day.num_days_from_ce() > today.num_days_from_ce() + 1).then_some(Doubt::Future)
}

/// A number of at most eight digits, the count of its digits and the place after it.
fn number(characters: &[char], start: usize) -> Option<(u32, usize, usize)> {
    let digits =
        characters.get(start..)?.iter().take_while(|character| character.is_ascii_digit()).take(9).count();
    if digits == 0 || digits > 8 {
        return None;
    }
    let value = characters[start..start + digits]
        .iter()
        .fold(0, |value, digit| value * 10 + digit.to_digit(10).unwrap_or(0));
    Some((value, digits, start + digits))
}

fn skip_blanks(characters: &[char], mut at: usize) -> usize {
    while characters.get(at) == Some(&' ') {
        at += 1;
    }
    at
}

/// Splits a cell into its dated entries. No character is lost: what is not a date, nor a mark between a date
/// and its words, stands in some entry's text.
pub fn split_entries(text: &str, today: NaiveDate) -> Vec<Entry> {
    let raw: Vec<char> = text.chars().collect();
    let folded = fold(text);
    let starts = entry_starts(&folded, today);
    let Some(&(first_start, _, _)) = starts.first() else {
        return undated(text);
    };
    let prefix = slice(&raw, 0, first_start);
    if starts.len() == 1 && !prefix.is_empty() && prefix.chars().count() <= 12 {
        let (_, _, found) = starts[0];
        let date_text = slice(&raw, starts[0].1, starts[0].1 + found.length);
        return vec![Entry {
            day: Some(found.day),
            date_text,
            doubt: found.doubt,
            text: text.trim().to_owned(),
        }];
    }
    let mut entries = undated(&prefix);
    for (index, &(_, date_start, found)) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map_or(raw.len(), |next| next.0);
        let words = words_start(&folded, date_start + found.length, end);
        entries.push(Entry {
            day: Some(found.day),
            date_text: slice(&raw, date_start, date_start + found.length),
            doubt: found.doubt,
            text: slice(&raw, words, end).trim_end_matches([';', '；', '|']).trim_end().to_owned(),
        });
    }
    entries
}

fn undated(text: &str) -> Vec<Entry> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    vec![Entry { day: None, date_text: String::new(), doubt: None, text: text.to_owned() }]
}

/// Where entries begin: the place of the mark before the date, of the date, and the date.
fn entry_starts(folded: &[char], today: NaiveDate) -> Vec<(usize, usize, Found)> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at < folded.len() && starts.len() < ENTRIES_MAX {
        let date_start = if is_boundary(folded, at) { mark_end(folded, at) } else { at };
        let found = if is_boundary(folded, at) { date_at(folded, date_start, today) } else { None };
        match found.filter(|found| begins_entry(folded, date_start + found.length)) {
            Some(found) => {
                starts.push((at, date_start, found));
                at = date_start + found.length;
            }
            None => at += 1,
        }
    }
    starts
}

/// Whether an entry may begin here: at the start, after the end of a sentence or line, or after a blank that
/// does not follow a word such as "on" or "by".
fn is_boundary(folded: &[char], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).and_then(|before| folded.get(before)) else {
        return true;
    };
    match before {
        '\n' | '\r' | '\t' | ';' | '。' | '!' | '|' => true,
        ' ' => {
            let word = folded[..at].iter().rev().find(|character| **character != ' ');
            !word.is_some_and(|word| {
                "于在到约至从自等前定和与及-~:,，、/期为".contains(*word) || word.is_ascii_digit()
            })
        }
        _ => false,
    }
}

/// Steps over what may stand before a date: `日期：`, `1、`, `①`, an opening bracket.
fn mark_end(folded: &[char], start: usize) -> usize {
    let mut at = skip_blanks(folded, start);
    for label in ["访谈日期", "拜访日期", "访谈时间", "拜访时间", "报价日期", "报价时间", "日期", "时间"]
    {
        let length = label.chars().count();
        if folded.get(at..at + length).is_some_and(|word| word.iter().copied().eq(label.chars())) {
            at += length;
            if folded.get(at) == Some(&':') {
                at += 1;
            }
            at = skip_blanks(folded, at);
            break;
        }
    }
    if matches!(folded.get(at), Some('①'..='⑳')) {
        return skip_blanks(folded, at + 1);
    }
    if matches!(folded.get(at), Some('(' | '[' | '<')) {
        return skip_blanks(folded, at + 1);
    }
    if let Some((_, digits, after)) = number(folded, at)
        && digits <= 2
        && matches!(folded.get(after), Some('、' | ')'))
    {
        return skip_blanks(folded, after + 1);
    }
    at
}

/// Whether the words after a date leave it the date of an entry, rather than a date that the words speak
/// of ("2009-3-10之前").
fn begins_entry(folded: &[char], after: usize) -> bool {
    if folded.get(after).is_some_and(|next| next.is_ascii_digit() || next.is_ascii_alphabetic()) {
        return false;
    }
    let mut rest = folded[after.min(folded.len())..].iter().copied().filter(|character| *character != ' ');
    let (first, second) = (rest.next(), rest.next());
    match (first, second) {
        (Some('前'), second) => matches!(second, Some('往' | '去' | '台')),
        (Some('之' | '以'), Some('前' | '后' | '内'))
        | (Some('左'), Some('右'))
        | (Some('期'), Some('间' | '限')) => false,
        (Some('止' | '#'), _) => false,
        (Some('-' | '~' | '至' | '到'), Some(second)) => !second.is_ascii_digit(),
        _ => true,
    }
}

/// Steps over closing brackets and the mark between a date and its words.
fn words_start(folded: &[char], start: usize, end: usize) -> usize {
    let mut at = start;
    while at < end
        && matches!(
            folded[at],
            ' ' | ')' | ']' | '>' | ':' | ',' | '、' | '.' | ';' | '-' | '~' | '\n' | '\r' | '\t'
        )
    {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 22).expect("a date")
    }

    /// Draws entries as `day|words` lines; a doubt as `?`, no date as `-`.
    fn drawn(text: &str) -> String {
        let draw = |entry: Entry| {
            let day = entry.day.map_or("-".to_owned(), |day| day.to_string());
            format!("{day}{}|{}", if entry.doubt.is_some() { "?" } else { "" }, entry.text)
        };
        split_entries(text, today()).into_iter().map(draw).collect::<Vec<_>>().join(" / ")
    }

    #[test]
    fn imp_3_a_cell_begins_with_a_date_in_any_of_the_forms_that_offices_use() {
        let table = [
            ("25/11/08 拜访采购王工", "2008-11-25|拜访采购王工"),
            ("4/3/09送样两桶", "2009-03-04|送样两桶"),
            ("4/3/09", "2009-03-04|"),
            ("２５／１１／０８：拜访", "2008-11-25|拜访"),
            ("2009-03-05 试样合格", "2009-03-05|试样合格"),
            ("2009.3.5试样", "2009-03-05|试样"),
            ("2009/3/5，试样", "2009-03-05|试样"),
            ("2009年3月5日试样", "2009-03-05|试样"),
            ("2009年3月5号 试样", "2009-03-05|试样"),
            ("2009 年 3 月 5 日 试样", "2009-03-05|试样"),
            ("09年3月5日 试样", "2009-03-05|试样"),
            ("20090305 试样", "2009-03-05|试样"),
            ("5-3-2009 试样", "2009-03-05|试样"),
            ("09.3.5 试样", "2009-03-05?|试样"),
            ("09-03-05 试样", "2009-03-05?|试样"),
            ("5.3.09 试样", "2009-03-05|试样"),
            ("3/25/09 试样", "2009-03-25?|试样"),
            ("25/11/38 试样", "2038-11-25?|试样"),
            ("（25/11/08）拜访", "2008-11-25|拜访"),
            ("【2009-3-5】拜访", "2009-03-05|拜访"),
            ("1、25/11/08 拜访", "2008-11-25|拜访"),
            ("①25/11/08 拜访", "2008-11-25|拜访"),
            ("日期：25/11/08 拜访", "2008-11-25|拜访"),
            ("25/11/08到厂拜访", "2008-11-25|到厂拜访"),
            ("25/11/08前往拜访", "2008-11-25|前往拜访"),
            ("25/11/08 - 拜访", "2008-11-25|拜访"),
            ("28/2/09 拜访", "2009-02-28|拜访"),
            ("王工 25/11/08 谈用量", "2008-11-25|王工 25/11/08 谈用量"),
        ];
        for (text, expected) in table {
            assert_eq!(drawn(text), expected, "{text}");
        }
    }

    #[test]
    fn imp_3_what_is_no_date_stays_in_the_words() {
        for text in [
            "拜访采购王工",
            "3月5日拜访",
            "2009年3月拜访",
            "29/2/09 拜访",
            "31/4/09 拜访",
            "25-26/11/08 拜访",
            "1850/桶",
            "46#液压油 200L",
            "13/13/09",
            "1/2/3/4",
            "192.168.1.1",
            "2009-03-10前要求到货",
            "2009-3-1~2009-3-5 试用",
            "0/0/00",
            "999999999999",
            "2009-3-5左右再来",
            "15W/40/30X",
        ] {
            assert_eq!(drawn(text), format!("-|{text}"), "{text}");
        }
        assert_eq!(drawn("  \n "), "");
    }

    #[test]
    fn imp_4_a_cell_holds_several_dated_entries() {
        let table = [
            ("25/11/08 拜访王工\n4/3/09 送样", "2008-11-25|拜访王工 / 2009-03-04|送样"),
            ("25/11/08拜访王工；4/3/09送样", "2008-11-25|拜访王工 / 2009-03-04|送样"),
            ("25/11/08 拜访。2009.3.5 送样。", "2008-11-25|拜访。 / 2009-03-05|送样。"),
            ("25/11/08 拜访王工 4/3/09 送样", "2008-11-25|拜访王工 / 2009-03-04|送样"),
            ("25/11/08 约定于 2009-3-10 送样", "2008-11-25|约定于 2009-3-10 送样"),
            ("25/11/08 拜访；2009-3-10前送样", "2008-11-25|拜访；2009-3-10前送样"),
            (
                "老客户介绍，负责人姓陈，第一次见面谈得不错\n4/3/09 送样",
                "-|老客户介绍，负责人姓陈，第一次见面谈得不错 / 2009-03-04|送样",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(drawn(text), expected, "{text}");
        }
    }

    #[test]
    fn a_serial_number_is_a_day_only_in_the_years_that_sheets_hold() {
        assert_eq!(serial_day(39_877.0), NaiveDate::from_ymd_opt(2009, 3, 5));
        assert_eq!(serial_day(1850.0), None);
        assert_eq!(serial_day(f64::NAN), None);
        assert_eq!(serial_day(1e300), None);
    }
}
