//! The nature of a company's capital, as offices write it behind the name. Knows no sheet and no document.

use super::width::{bare, folded};

/// Words for the nature of a company's capital, and the choice that each stands for, where one does.
const NATURES: [(&str, Option<&str>); 27] = [
    ("台资", Some("台资")),
    ("台商", Some("台资")),
    ("台企", Some("台资")),
    ("台商独资", Some("台资")),
    ("港资", Some("港资")),
    ("港商", Some("港资")),
    ("港企", Some("港资")),
    ("港商独资", Some("港资")),
    ("外资", Some("外资")),
    ("外商", Some("外资")),
    ("外企", Some("外资")),
    ("外商独资", Some("外资")),
    ("日资", Some("外资")),
    ("美资", Some("外资")),
    ("韩资", Some("外资")),
    ("德资", Some("外资")),
    ("欧资", Some("外资")),
    ("内资", Some("内资")),
    ("民营", Some("内资")),
    ("民企", Some("内资")),
    ("私营", Some("内资")),
    ("私企", Some("内资")),
    ("国企", Some("内资")),
    ("国营", Some("内资")),
    ("国有", Some("内资")),
    ("合资", None),
    ("中外合资", None),
];

/// The choice that words for a nature stand for, where one does.
pub(super) fn capital(nature: &str) -> Option<&'static str> {
    let nature = bare(nature);
    NATURES
        .iter()
        .find(|(word, _)| *word == nature || format!("{word}企业") == nature)
        .and_then(|(_, capital)| *capital)
}

fn is_nature(words: &str) -> bool {
    let words = bare(words);
    NATURES.iter().any(|(word, _)| *word == words || format!("{word}企业") == words)
}

/// Splits the capital nature off a name: in brackets of either width anywhere, or after a blank at the end.
pub fn split_nature(name: &str) -> (String, Option<String>) {
    let clean = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let raw: Vec<char> = name.chars().collect();
    let half: Vec<char> = folded(name).chars().collect();
    for open in (0..half.len()).filter(|at| matches!(half[*at], '(' | '[' | '<')) {
        let Some(length) = half[open..].iter().position(|character| matches!(character, ')' | ']' | '>'))
        else {
            continue;
        };
        let inner: String = raw[open + 1..open + length].iter().collect();
        if is_nature(&inner) {
            let rest: String = raw[..open].iter().chain(&raw[open + length + 1..]).collect();
            return (clean(&rest), Some(inner.trim().to_owned()));
        }
    }
    let name = clean(name);
    match name.rsplit_once([' ', '-', '－', '—']) {
        Some((rest, nature)) if is_nature(nature) && !rest.trim().is_empty() => {
            (clean(rest), Some(nature.to_owned()))
        }
        _ => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imp_8_the_capital_nature_stands_in_brackets_after_the_name() {
        let table = [
            ("远腾精密机械（台资）", "远腾精密机械", Some("台资")),
            ("远腾精密机械(外资)", "远腾精密机械", Some("外资")),
            ("远腾精密机械 （ 日 资 ）", "远腾精密机械", Some("日 资")),
            ("远腾精密机械【港资】", "远腾精密机械", Some("港资")),
            ("远腾精密机械（东莞）有限公司（台资）", "远腾精密机械（东莞）有限公司", Some("台资")),
            ("远腾精密机械（台资）有限公司", "远腾精密机械有限公司", Some("台资")),
            ("远腾精密机械 台资", "远腾精密机械", Some("台资")),
            ("远腾精密机械（二厂）", "远腾精密机械（二厂）", None),
            ("远腾精密机械（台资", "远腾精密机械（台资", None),
            ("", "", None),
        ];
        for (cell, name, nature) in table {
            assert_eq!(split_nature(cell), (name.to_owned(), nature.map(str::to_owned)), "{cell}");
        }
        assert_eq!(capital("日资"), Some("外资"));
        assert_eq!(capital("合资"), None);
    }
}
