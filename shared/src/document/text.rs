//! Three-way merge of long texts: what a person changed between two states of a form, made again on the
//! text as it stands by then. Pure strings; positions are UTF-16 code units, as in the phone's browser.

use std::ops::Range;

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
/// comparison goes by sentences: 2,000 characters against 2,000 take four million steps, about 20 ms on a
/// phone, and as many bits.
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
        let is_same = |at_old: usize, at_new: usize| old[at_old] == new[at_new];
        return changes(old.len(), new.len(), &is_same, &|index| head + index, &|index| head + index);
    }
    let (old_parts, new_parts) = (sentences(old), sentences(new));
    if old_parts.len() + new_parts.len() > FINE_CHARS_MAX {
        return vec![(head..head + old.len(), head..head + new.len())];
    }
    let (old_starts, new_starts) = (starts(&old_parts), starts(&new_parts));
    changes(
        old_parts.len(),
        new_parts.len(),
        &|at_old, at_new| old_parts[at_old] == new_parts[at_new],
        &|index| head + old_starts[index],
        &|index| head + new_starts[index],
    )
}

/// The stretches outside a longest common subsequence of two lists, as places in the texts that the lists were
/// cut from.
fn changes(
    old_len: usize,
    new_len: usize,
    is_same: &dyn Fn(usize, usize) -> bool,
    old_place: &dyn Fn(usize) -> usize,
    new_place: &dyn Fn(usize) -> usize,
) -> Vec<(Range<usize>, Range<usize>)> {
    let skips_old = shorter_by_old(old_len, new_len, is_same);
    let mut changes = Vec::new();
    let (mut old, mut new) = (0, 0);
    while old < old_len || new < new_len {
        let (old_start, new_start) = (old, new);
        while (old < old_len || new < new_len) && !(old < old_len && new < new_len && is_same(old, new)) {
            if new == new_len || (old < old_len && skips_old.holds(old * new_len + new)) {
                old += 1;
            } else {
                new += 1;
            }
        }
        if (old_start, new_start) != (old, new) {
            changes.push((old_place(old_start)..old_place(old), new_place(new_start)..new_place(new)));
        }
        while old < old_len && new < new_len && is_same(old, new) {
            old += 1;
            new += 1;
        }
    }
    changes
}

/// For every pair of places whose items differ: whether the rests share as much without the old item as
/// without the new one. The classic table of the longest common subsequence, one bit an entry.
fn shorter_by_old(old_len: usize, new_len: usize, is_same: &dyn Fn(usize, usize) -> bool) -> Bits {
    let mut bits = Bits(vec![0; (old_len * new_len).div_ceil(8)]);
    // Lengths fit: both lists together have at most FINE_CHARS_MAX items.
    let mut below = vec![0u16; new_len + 1];
    for old in (0..old_len).rev() {
        let mut diagonal = 0;
        for new in (0..new_len).rev() {
            let without_old = below[new];
            if is_same(old, new) {
                below[new] = diagonal + 1;
            } else if without_old >= below[new + 1] {
                bits.set(old * new_len + new);
            } else {
                below[new] = below[new + 1];
            }
            diagonal = without_old;
        }
    }
    bits
}

struct Bits(Vec<u8>);

impl Bits {
    fn set(&mut self, index: usize) {
        self.0[index / 8] |= 1 << (index % 8);
    }

    fn holds(&self, index: usize) -> bool {
        self.0[index / 8] & (1 << (index % 8)) != 0
    }
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
