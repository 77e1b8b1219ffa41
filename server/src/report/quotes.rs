//! Quotes as offices write them into one cell: product, pack and price, once or several times
//! (`46#液压油 200L1850/桶`, `68#导轨油 18L 310元/桶；46#抗磨 200L 1850`). What is not certain is not read:
//! it comes back as text for a person. Knows nothing of columns and dates.

use super::width::{fold, slice};

/// One quote as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// What was offered; empty where the cell names no product.
    pub product: String,
    /// The pack as written, such as `200L` or `18L/桶`.
    pub pack: Option<String>,
    /// The price of one unit, in fen.
    pub price_fen: i64,
    /// What the price is for: 桶, KG, 吨 …
    pub unit: Option<String>,
}

/// What a quote cell says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// The quotes, in order.
    pub quotes: Vec<Quote>,
    /// Words beside the quotes, such as 含税 or 月结30天, as written.
    pub beside: Vec<String>,
    /// Parts in which no price could be read, as written.
    pub unread: Vec<String>,
}

/// The highest price that is believed: ten million yuan.
const PRICE_FEN_MAX: i64 = 1_000_000_000;
/// Quotes read from one cell; what follows is left as text.
const QUOTES_MAX: usize = 60;

const CONTAINERS: [&str; 14] =
    ["桶", "罐", "瓶", "箱", "支", "件", "套", "只", "个", "包", "听", "袋", "盒", "壶"];
const MEASURES: [&str; 16] =
    ["公斤", "千克", "毫升", "加仑", "升", "吨", "斤", "克", "kg", "kgs", "ml", "gal", "lb", "l", "g", "t"];

/// Reads a quote cell.
pub fn read_quotes(text: &str) -> Reading {
    let folded = fold(text);
    let mut reading = Reading::default();
    for (from, to) in parts(&folded) {
        read_part(&folded[from..to], &mut reading);
    }
    reading
}

/// The parts between semicolons, full stops and line ends.
fn parts(folded: &[char]) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, character) in folded.iter().enumerate() {
        let ends = matches!(character, ';' | '\n' | '\r' | '。' | '|');
        if ends {
            parts.push((from, at));
            from = at + 1;
        }
    }
    parts.push((from, folded.len()));
    parts.retain(|(from, to)| !slice(folded, *from, *to).is_empty());
    parts
}

/// A pack or a price, and the place after it.
#[derive(Debug, Clone)]
enum Token {
    Pack { text: String, container: Option<String> },
    Price { fen: i64, unit: Option<String>, bare: bool },
    Range,
}

/// Reads one part: packs and prices are found among the words; a price closes a quote.
fn read_part(part: &[char], reading: &mut Reading) {
    let quotes_before = reading.quotes.len();
    let mut words = String::new();
    let mut pack: Option<(String, Option<String>)> = None;
    let mut last_closed: Option<usize> = None;
    let mut spoilt = false;
    let mut at = 0;
    while at < part.len() {
        let found = part[at].is_ascii_digit().then(|| token_at(part, at, pack.is_some(), &words)).flatten();
        match found {
            Some((Token::Range, end)) => {
                spoilt = true;
                words.extend(&part[at..end]);
                at = end;
            }
            Some((Token::Pack { text, container }, end)) if pack.is_none() => {
                let open =
                    last_closed.filter(|index| reading.quotes[*index].pack.is_none() && is_blank(&words));
                match open {
                    Some(index) if !price_follows(part, end) => {
                        let quote = &mut reading.quotes[index];
                        quote.pack = Some(text);
                        quote.unit = quote.unit.take().or(container);
                    }
                    _ => pack = Some((text, container)),
                }
                words.push(' ');
                at = end;
            }
            Some((Token::Price { fen, unit, bare }, end)) if !spoilt && reading.quotes.len() < QUOTES_MAX => {
                let named = product(&words);
                if bare
                    && named.is_empty()
                    && pack.is_none()
                    && (last_closed.is_some() || !is_whole(part, at, end))
                {
                    words.extend(&part[at..end]);
                    at = end;
                    continue;
                }
                let inherited =
                    || last_closed.map(|index| reading.quotes[index].product.clone()).unwrap_or_default();
                let product = if named.is_empty() && pack.is_some() { inherited() } else { named };
                let (pack_text, container) = pack.take().unzip();
                reading.quotes.push(Quote {
                    product,
                    pack: pack_text,
                    price_fen: fen,
                    unit: unit.or(container.flatten()),
                });
                last_closed = Some(reading.quotes.len() - 1);
                words.clear();
                at = end;
            }
            Some((_, end)) => {
                words.extend(&part[at..end]);
                at = end;
            }
            None => {
                // A number that is neither stays whole in the words, so that its tail is not read alone.
                let end = if part[at].is_ascii_digit() { number_end(part, at) } else { at + 1 };
                words.extend(&part[at..end]);
                at = end;
            }
        }
    }
    let rest = words.trim_matches(is_mark).to_owned();
    if reading.quotes.len() == quotes_before {
        reading.unread.push(slice(part, 0, part.len()));
    } else if pack.is_some() || spoilt || rest.chars().any(|character| character.is_ascii_digit()) {
        let pack = pack.map(|(text, _)| text).unwrap_or_default();
        reading.unread.push(format!("{pack} {rest}").trim().to_owned());
    } else if !rest.is_empty() {
        reading.beside.push(rest);
    }
}

/// What stands at a number: a pack, a price, a range of prices, or none of them.
fn token_at(part: &[char], at: usize, has_pack: bool, words: &str) -> Option<(Token, usize)> {
    let before = words.chars().next_back();
    if before.is_some_and(|before| before.is_ascii_alphanumeric() || matches!(before, '-' | '.' | '#')) {
        return None;
    }
    let (hundredths, end) = decimal(part, at)?;
    let next = skip_blanks(part, end);
    match part.get(next) {
        Some('#' | '号' | '%' | '度' | '℃' | '天' | '日' | '月' | '年') => return None,
        Some('-' | '~' | '至' | '到')
            if part.get(skip_blanks(part, next + 1)).is_some_and(char::is_ascii_digit) =>
        {
            let second = number_end(part, skip_blanks(part, next + 1));
            let money = price_tail(part, second).1.is_some() || matches!(part.get(second), Some('元'));
            return money.then_some((Token::Range, second));
        }
        _ => {}
    }
    if let Some((text, container, end)) = pack_at(part, at, end) {
        return Some((Token::Pack { text, container }, end));
    }
    let marked = has_price_label(words);
    let (after_money, money, factor) = money_word(part, end);
    let (after_unit, unit) = price_tail(part, after_money);
    let fen = i64::try_from(hundredths)
        .ok()?
        .checked_mul(factor)
        .filter(|fen| (1..=PRICE_FEN_MAX).contains(fen))?;
    if money || marked || unit.is_some() {
        return Some((Token::Price { fen, unit, bare: false }, after_unit));
    }
    let closed =
        part.get(end).is_none_or(|next| matches!(next, ' ' | ',' | '、' | ')' | ']' | '含' | '不' | '未'));
    let alone = has_pack || !part[end..].iter().any(char::is_ascii_digit);
    let apart = has_pack || words.is_empty() || words.ends_with([' ', ',', ':', '、', '(']);
    (closed && alone && apart).then_some((Token::Price { fen, unit: None, bare: true }, end))
}

/// A pack: a number with a measure, and what it is in (`200L`, `18L/桶`, `4L*4`, `200升桶装`).
fn pack_at(part: &[char], at: usize, number_end: usize) -> Option<(String, Option<String>, usize)> {
    let start = skip_blanks(part, number_end);
    let measure = MEASURES
        .iter()
        .filter(|word| starts_with(part, start, word))
        .max_by_key(|word| word.chars().count())?;
    let mut end = start + measure.chars().count();
    let letters = measure.is_ascii();
    if letters && part.get(end).is_some_and(|next| next.is_ascii_alphabetic() || *next == '-') {
        return None;
    }
    if part.get(end) == Some(&'*') && part.get(end + 1).is_some_and(char::is_ascii_digit) {
        end = number_end_with_container(part, end + 1);
    }
    let slash = usize::from(part.get(end) == Some(&'/'));
    let mut container = None;
    if let Some(word) = CONTAINERS.iter().find(|word| starts_with(part, end + slash, word)) {
        end += slash + word.chars().count();
        container = Some((*word).to_owned());
        if part.get(end) == Some(&'装') {
            end += 1;
        }
    } else if part.get(end) == Some(&'装') {
        end += 1;
    }
    let text: String = part[at..end].iter().filter(|character| **character != ' ').collect();
    Some((text, container, end))
}

fn number_end_with_container(part: &[char], at: usize) -> usize {
    let end = number_end(part, at);
    CONTAINERS.iter().find(|word| starts_with(part, end, word)).map_or(end, |word| end + word.chars().count())
}

/// 元, 块, 圆, RMB, 万元 after a number: the place after it, whether there was one, and the factor.
fn money_word(part: &[char], end: usize) -> (usize, bool, i64) {
    let start = skip_blanks(part, end);
    for (word, factor) in
        [("万元", 10_000), ("万", 10_000), ("元", 1), ("块钱", 1), ("块", 1), ("圆", 1), ("rmb", 1)]
    {
        if starts_with(part, start, word) {
            return (start + word.chars().count(), true, factor);
        }
    }
    (end, false, 1)
}

/// `/桶`, `每桶`, `一桶` after a price: the place after it and the unit.
fn price_tail(part: &[char], end: usize) -> (usize, Option<String>) {
    let start = skip_blanks(part, end);
    if !matches!(part.get(start), Some('/' | '每' | '一')) {
        return (end, None);
    }
    let word_start = skip_blanks(part, start + 1);
    let words = CONTAINERS.iter().chain(&MEASURES).filter(|word| starts_with(part, word_start, word));
    match words.max_by_key(|word| word.chars().count()) {
        Some(word) => {
            let after = word_start + word.chars().count();
            (after, Some(part[word_start..after].iter().collect()))
        }
        None => (end, None),
    }
}

/// Whether a price comes next, with nothing but blanks and marks between.
fn price_follows(part: &[char], end: usize) -> bool {
    let start = part[end..].iter().position(|character| !is_mark(*character)).map(|offset| end + offset);
    start.is_some_and(|start| {
        part[start].is_ascii_digit()
            && matches!(token_at(part, start, true, " "), Some((Token::Price { .. }, _)))
    })
}

/// A decimal number with thousands separators, in hundredths, and the place after it.
fn decimal(part: &[char], at: usize) -> Option<(u64, usize)> {
    let end = number_end(part, at);
    let text: String = part[at..end].iter().filter(|character| **character != ',').collect();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    if whole.len() > 9 || fraction.len() > 2 || whole.is_empty() {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<2}").parse().ok()?;
    Some((whole.parse::<u64>().ok()? * 100 + fraction, end))
}

/// The place after the digits, thousands separators and decimal point that begin at `at`.
fn number_end(part: &[char], at: usize) -> usize {
    let digits = |from: usize| {
        part[from.min(part.len())..].iter().take_while(|character| character.is_ascii_digit()).count()
    };
    let first = digits(at);
    let mut end = at + first;
    if (1..=3).contains(&first) {
        while part.get(end) == Some(&',') && digits(end + 1) == 3 {
            end += 4;
        }
    }
    if part.get(end) == Some(&'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    end
}

fn starts_with(part: &[char], at: usize, word: &str) -> bool {
    let mut characters = part[at.min(part.len())..].iter().map(char::to_ascii_lowercase);
    word.chars().all(|expected| characters.next() == Some(expected))
}

fn skip_blanks(part: &[char], mut at: usize) -> usize {
    while part.get(at) == Some(&' ') {
        at += 1;
    }
    at
}

fn is_mark(character: char) -> bool {
    matches!(
        character,
        ' ' | ',' | '、' | ':' | '(' | ')' | '[' | ']' | '/' | '-' | '=' | '@' | '\t' | '.' | '*'
    )
}

fn is_blank(words: &str) -> bool {
    words.chars().all(is_mark)
}

fn is_whole(part: &[char], at: usize, end: usize) -> bool {
    part[..at].iter().chain(&part[end..]).all(|character| is_mark(*character))
}

const PRICE_LABELS: [&str; 9] = ["含税单价", "含税价", "单价", "报价", "价格", "售价", "价", "¥", "rmb"];

fn has_price_label(words: &str) -> bool {
    let words = words.trim_end_matches([' ', ':', '=', '为']).to_lowercase();
    PRICE_LABELS.iter().any(|label| words.ends_with(label))
}

/// The product among the words before a price: without the word for "price" and the marks around.
fn product(words: &str) -> String {
    let mut words = words.trim_matches(is_mark);
    while let Some(label) = PRICE_LABELS.iter().find(|label| words.to_lowercase().ends_with(*label)) {
        // Lower-casing ASCII letters, which is all that the labels have, keeps the length.
        words = words.get(..words.len() - label.len()).unwrap_or_default().trim_matches(is_mark);
    }
    for label in ["产品", "品名", "报价"] {
        if let Some(rest) = words.strip_prefix(label) {
            words = rest.trim_matches(is_mark);
        }
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws a reading: `product|pack|price in yuan|unit` joined by ` + `, then `~ beside`, then `! unread`.
    fn drawn(text: &str) -> String {
        let reading = read_quotes(text);
        let quote = |quote: &Quote| {
            let (yuan, fen) = (quote.price_fen / 100, quote.price_fen % 100);
            let price = if fen == 0 { yuan.to_string() } else { format!("{yuan}.{fen:02}") };
            let or_dash = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
            format!("{}|{}|{price}|{}", quote.product, or_dash(&quote.pack), or_dash(&quote.unit))
        };
        let mut drawn = reading.quotes.iter().map(quote).collect::<Vec<_>>().join(" + ");
        reading.beside.iter().for_each(|words| drawn += &format!(" ~ {words}"));
        reading.unread.iter().for_each(|words| drawn += &format!(" ! {words}"));
        drawn.trim().to_owned()
    }

    #[test]
    fn imp_6_a_quote_cell_holds_one_or_more_of_product_pack_and_price() {
        let table = [
            ("46#液压油 200L1850/桶", "46#液压油|200L|1850|桶"),
            ("18L/桶 260元", "|18L/桶|260|桶"),
            ("68#导轨油 18L 310元/桶；46#抗磨 200L 1850", "68#导轨油|18L|310|桶 + 46#抗磨|200L|1850|-"),
            ("４６＃液压油　２００Ｌ１８５０／桶", "46#液压油|200L|1850|桶"),
            ("46#液压油 200L 1,850元/桶", "46#液压油|200L|1850|桶"),
            ("46#液压油200L：１，８５０元", "46#液压油|200L|1850|-"),
            ("46#液压油，200L，1850元/桶", "46#液压油|200L|1850|桶"),
            ("L-HM46抗磨液压油 200L 1850/桶", "L-HM46抗磨液压油|200L|1850|桶"),
            ("HM46 170kg 2250", "HM46|170kg|2250|-"),
            ("SAE 15W-40 18L 320元/桶", "SAE 15W-40|18L|320|桶"),
            ("15W/40柴机油 18L/桶 320", "15W/40柴机油|18L/桶|320|桶"),
            ("切削液 200KG 12.5元/KG", "切削液|200KG|12.50|KG"),
            ("切削油 18.6元/升", "切削油|-|18.60|升"),
            ("导热油 1.85万/吨", "导热油|-|18500|吨"),
            ("32号液压油200升桶装1780元", "32号液压油|200升桶装|1780|桶"),
            ("46#抗磨 单价：1850", "46#抗磨|-|1850|-"),
            ("46#抗磨 ¥1850", "46#抗磨|-|1850|-"),
            ("46#抗磨 ￥1,850.50/桶", "46#抗磨|-|1850.50|桶"),
            ("46#抗磨 1850", "46#抗磨|-|1850|-"),
            ("46#抗磨 1850元/桶(200L)", "46#抗磨|200L|1850|桶"),
            ("1850/桶", "|-|1850|桶"),
            ("1850", "|-|1850|-"),
            ("46#液压油 200L 1850元/桶 含税", "46#液压油|200L|1850|桶 ~ 含税"),
            ("46#液压油 200L 1850含税", "46#液压油|200L|1850|- ~ 含税"),
            ("46#液压油 200L 1850元 18L 190元", "46#液压油|200L|1850|- + 46#液压油|18L|190|-"),
            ("46#抗磨 200L 1850，68#导轨油 18L 310", "46#抗磨|200L|1850|- + 68#导轨油|18L|310|-"),
            ("46#抗磨 200L 1850 68#导轨油 18L 310", "46#抗磨|200L|1850|- + 68#导轨油|18L|310|-"),
            ("齿轮油220# 200L 2100\n主轴油10# 18L 280", "齿轮油220#|200L|2100|- + 主轴油10#|18L|280|-"),
            ("防锈油 4L*4桶 160元/箱", "防锈油|4L*4桶|160|箱"),
            ("200L 46#液压油 1850元", "46#液压油|200L|1850|-"),
            ("火花机油 18L 每桶260元", "火花机油 每桶|18L|260|-"),
            ("火花机油 18L 260元每桶", "火花机油|18L|260|桶"),
            ("报价：火花机油 18L 260一桶", "火花机油|18L|260|桶"),
        ];
        for (text, expected) in table {
            assert_eq!(drawn(text), expected, "{text}");
        }
    }

    #[test]
    fn imp_7_what_is_no_certain_price_comes_back_whole() {
        for text in [
            "价格待定",
            "电话报价",
            "46#液压油 1850-1900元/桶",
            "46#液压油",
            "200L",
            "月结30天",
            "46#液压油 200L",
            "0元",
            "99999999999元/桶",
            "15-40",
            "46#液压油 200L 面议",
            "15%",
            "1.2345元",
        ] {
            assert_eq!(drawn(text), format!("! {text}"), "{text}");
        }
        assert_eq!(drawn("46#液压油 200L 1850/桶；68#导轨油待报"), "46#液压油|200L|1850|桶 ! 68#导轨油待报");
        assert_eq!(drawn(" \n ;；"), "");
    }
}
