//! Three-way merge of long texts: what a person changed between two states of a form, made again on the
//! text as it stands by then. Pure strings; positions are UTF-16 code units, as in the phone's browser.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// One replacement in the present text. Splices are to be made in order; each position counts the effect
/// of those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Splice {
    /// Where, in UTF-16 code units.
    pub position: usize,
    /// Characters to remove there.
    pub delete: String,
    /// Characters to put there.
    pub insert: String,
}

/// Above so many characters on both sides together, after what they share at both ends is set aside, the
/// comparison goes by sentences: comparing 4,000 wholly different characters takes 16 million steps,
/// about 50 ms on a phone.
const FINE_CHARS_MAX: usize = 4_000;

/// The splices that bring `present` what a person changed from `base` to `edited`. What others put into
/// `present` meanwhile stays.
pub(super) fn merge(base: &str, edited: &str, present: &str) -> Vec<Splice> {
    let base: Vec<char> = base.chars().collect();
    let edited: Vec<char> = edited.chars().collect();
    let present: Vec<char> = present.chars().collect();
    let place = places(&base, &present);
    let mut splices = Vec::new();
    let mut shift = 0isize;
    for (old, new) in differences(&base, &edited) {
        // What of the removed stretch still stands in the present text, in runs.
        let start = place.before[old.start];
        let mut inserted = edited[new].iter().collect::<String>();
        let mut position = start;
        let mut runs: Vec<Range<usize>> = Vec::new();
        for index in old.clone() {
            let Some(at) = place.of[index] else { continue };
            match runs.last_mut() {
                Some(run) if run.end == at => run.end += 1,
                _ => runs.push(at..at + 1),
            }
        }
        if let Some(run) = runs.first() {
            position = run.start;
        }
        if runs.is_empty() && !inserted.is_empty() {
            runs.push(position..position);
        }
        for run in runs {
            let units = width(&present[..run.start]) as isize + shift;
            let removed: String = present[run.clone()].iter().collect();
            let put = std::mem::take(&mut inserted);
            shift += put.encode_utf16().count() as isize - removed.encode_utf16().count() as isize;
            let position = usize::try_from(units).expect("earlier splices lie before this one");
            splices.push(Splice { position, delete: removed, insert: put });
        }
    }
    splices
}

/// The text after the splices.
pub(super) fn apply(present: &str, splices: &[Splice]) -> String {
    let mut units: Vec<u16> = present.encode_utf16().collect();
    for splice in splices {
        let end = splice.position + splice.delete.encode_utf16().count();
        units.splice(splice.position..end, splice.insert.encode_utf16());
    }
    String::from_utf16(&units).expect("splices begin and end between characters")
}

struct Places {
    /// Where each character of the base stands in the present text, if it still does.
    of: Vec<Option<usize>>,
    /// Where something put before each character of the base goes; one more than characters.
    before: Vec<usize>,
}

fn places(base: &[char], present: &[char]) -> Places {
    let mut of = vec![None; base.len()];
    let (mut at_base, mut at_present) = (0, 0);
    let mut changed = differences(base, present);
    changed.push((base.len()..base.len(), present.len()..present.len()));
    let mut before = vec![0; base.len() + 1];
    for (old, new) in changed {
        while at_base < old.start {
            of[at_base] = Some(at_present);
            before[at_base] = at_present;
            at_base += 1;
            at_present += 1;
        }
        // An insertion of ours at the place of a replacement of theirs goes after what they put.
        for slot in &mut before[old.start..=old.end] {
            *slot = new.end;
        }
        at_base = old.end;
        at_present = new.end;
    }
    Places { of, before }
}

/// What differs between two texts: stretches of the old with what stands for them in the new.
fn differences(old: &[char], new: &[char]) -> Vec<(Range<usize>, Range<usize>)> {
    let head = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let tail_max = old.len().min(new.len()) - head;
    let tail =
        old.iter().rev().zip(new.iter().rev()).take(tail_max).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    if old.is_empty() && new.is_empty() {
        return Vec::new();
    }
    if old.is_empty() || new.is_empty() {
        return vec![(head..head + old.len(), head..head + new.len())];
    }
    if old.len() + new.len() <= FINE_CHARS_MAX {
        return changes_of(
            &capture_diff_slices(Algorithm::Myers, old, new),
            |index| head + index,
            |index| head + index,
        );
    }
    let (old_parts, new_parts) = (sentences(old), sentences(new));
    if old_parts.len() + new_parts.len() > FINE_CHARS_MAX {
        return vec![(head..head + old.len(), head..head + new.len())];
    }
    let (old_starts, new_starts) = (starts(&old_parts), starts(&new_parts));
    changes_of(
        &capture_diff_slices(Algorithm::Myers, &old_parts, &new_parts),
        |index| head + old_starts[index],
        |index| head + new_starts[index],
    )
}

fn changes_of(
    ops: &[DiffOp],
    old_at: impl Fn(usize) -> usize,
    new_at: impl Fn(usize) -> usize,
) -> Vec<(Range<usize>, Range<usize>)> {
    let mut changes: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for op in ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. })) {
        let (old, new) = (op.old_range(), op.new_range());
        let (old, new) = (old_at(old.start)..old_at(old.end), new_at(new.start)..new_at(new.end));
        match changes.last_mut() {
            Some((last_old, last_new)) if last_old.end == old.start && last_new.end == new.start => {
                last_old.end = old.end;
                last_new.end = new.end;
            }
            _ => changes.push((old, new)),
        }
    }
    changes
}

fn sentences(text: &[char]) -> Vec<&[char]> {
    text.split_inclusive(|char| matches!(char, '\n' | '。' | '；' | '，' | '.' | ';' | ',')).collect()
}

fn starts(parts: &[&[char]]) -> Vec<usize> {
    let mut starts = vec![0];
    for part in parts {
        starts.push(starts[starts.len() - 1] + part.len());
    }
    starts
}

fn width(chars: &[char]) -> usize {
    chars.iter().map(|char| char.len_utf16()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, edited: &str, present: &str, expected: &str) {
        assert_eq!(apply(present, &merge(base, edited, present)), expected);
    }

    #[test]
    fn an_edit_is_made_again_on_what_others_left_meanwhile() {
        check("", "abc", "", "abc");
        check("abc", "abc", "xyz", "xyz");
        check("见到王工。", "见到王工，谈了价格。", "今天见到王工。", "今天见到王工，谈了价格。");
        check("one two three", "one three", "one two three four", "one three four");
        check("abc", "", "abXc", "X");
        check("abc", "aBc", "c", "Bc");
        check("😀b", "😀c", "a😀b", "a😀c");
        check("ab", "aXb", "aYb", "aYXb");
        check("abc", "aXbc", "aYc", "aYXc");
        check("12345", "1", "1", "1");
        check("line one\nline two", "line one\nline 2", "line 1\nline two", "line 1\nline 2");
    }

    #[test]
    fn a_long_text_that_is_wholly_rewritten_is_replaced() {
        let base: String = (0..3_000u32).filter_map(|number| char::from_u32(0x4e00 + number)).collect();
        let edited: String = (0..3_000u32).filter_map(|number| char::from_u32(0x6e00 + number)).collect();
        check(&base, &edited, &base, &edited);
        check(&base, &edited, &format!("{base}，尾"), &format!("{edited}，尾"));
    }
}
