//! Folding of full-width characters, one character to one character, so that a place in the folded text
//! is the same place in the text as it was typed. Knows nothing of sheets.

/// The half-width form of a character, or the character itself.
pub fn half_width(character: char) -> char {
    match character {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(character as u32 - 0xFEE0).unwrap_or(character),
        '\u{3000}' | '\u{00A0}' | '\u{2002}' | '\u{2003}' | '\u{2009}' => ' ',
        '\u{FFE5}' => '¥',
        '【' | '〔' | '﹝' => '[',
        '】' | '〕' | '﹞' => ']',
        '﹟' => '#',
        '–' | '—' | '―' => '-',
        '∕' | '⁄' => '/',
        '×' => '*',
        '∼' => '~',
        _ => character,
    }
}

/// The text in half-width characters, as many as before.
pub fn fold(text: &str) -> Vec<char> {
    text.chars().map(half_width).collect()
}

/// The text in half-width characters.
pub fn folded(text: &str) -> String {
    text.chars().map(half_width).collect()
}

/// What two spellings of a word have in common: half-width, lower case, letters and digits only.
pub fn bare(text: &str) -> String {
    text.chars()
        .map(half_width)
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// The characters between two places as a text without blanks around it.
pub fn slice(characters: &[char], from: usize, to: usize) -> String {
    let text: String = characters.get(from..to.min(characters.len())).unwrap_or_default().iter().collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_keeps_every_character_at_its_place() {
        let text = "４６＃液压油　２００Ｌ：¥１，８５０／桶（含税）";
        assert_eq!(folded(text), "46#液压油 200L:¥1,850/桶(含税)");
        assert_eq!(fold(text).len(), text.chars().count());
        assert_eq!(bare("远腾 精密（东莞）"), "远腾精密东莞");
    }
}
