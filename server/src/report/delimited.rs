//! Reads CSV as offices save it: UTF-8 with or without a byte order mark, UTF-16, or GBK; comma,
//! semicolon or tab. Knows nothing of what the cells mean, save which delimiter makes more of them.

use encoding_rs::{Encoding, GB18030, UTF_8};

use super::grid::{CellKind, FILE_BYTES_MAX, Grid, GridBuilder, SheetError};

/// The text of a file, whatever its encoding.
///
/// # Errors
/// `NotASheet` where no encoding fits.
pub fn decode(bytes: &[u8]) -> Result<String, SheetError> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let (text, bad) = encoding.decode_without_bom_handling(&bytes[mark..]);
        return clean(text.into_owned(), bad);
    }
    if let Some(text) = UTF_8.decode_without_bom_handling_and_without_replacement(bytes) {
        return clean(text.into_owned(), false);
    }
    let (text, bad) = GB18030.decode_without_bom_handling(bytes);
    clean(text.into_owned(), bad)
}

fn clean(text: String, bad: bool) -> Result<String, SheetError> {
    // A text may hold a damaged character; a file of other bytes is full of what no text has.
    let foreign = text.chars().filter(|character| matches!(character, '\0'..='\u{8}' | '\u{FFFD}')).count();
    let limit = if bad { text.chars().count() / 100 } else { 0 };
    if text.contains('\0') || foreign > limit { Err(SheetError::NotASheet) } else { Ok(text) }
}

/// Reads a CSV file as one grid.
///
/// # Errors
/// `FileTooLarge`, `NotASheet`, `CellTooFar`, `TextTooLong`, `TooManyCells`.
pub fn read(bytes: &[u8]) -> Result<Grid, SheetError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(SheetError::FileTooLarge);
    }
    let text = decode(bytes)?;
    let delimiter = delimiter(&text);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut builder = GridBuilder::default();
    let mut record = csv::StringRecord::new();
    let mut row = 0;
    while reader.read_record(&mut record).map_err(|_| SheetError::NotASheet)? {
        for (column, cell) in (0..).zip(record.iter()) {
            let text = cell
                .strip_prefix('=')
                .and_then(|rest| rest.strip_prefix('"')?.strip_suffix('"'))
                .unwrap_or(cell);
            builder.put(row, column, text, kind(text))?;
        }
        row += 1;
    }
    Ok(builder.take(String::new(), Vec::new()))
}

fn kind(text: &str) -> CellKind {
    let digits = text.trim();
    let number = !digits.is_empty()
        && digits.len() <= 20
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if number { CellKind::Number } else { CellKind::Text }
}

/// The delimiter that stands most often outside quotes in the first lines.
fn delimiter(text: &str) -> u8 {
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    let mut lines = 0;
    for byte in text.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => lines += 1,
            _ if !quoted => {
                counts.iter_mut().filter(|(mark, _)| *mark == byte).for_each(|(_, count)| *count += 1)
            }
            _ => {}
        }
        if lines == 30 {
            break;
        }
    }
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(mark, _)| *mark)
}

#[cfg(test)]
mod tests {
    use encoding_rs::{GBK, UTF_16LE};
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "客户名称,第一次访谈,对策\r\n远腾精密机械（台资）,\"25/11/08 拜访,\n王工\",送样\r\n";

    fn drawn(bytes: &[u8]) -> Vec<String> {
        let grid = read(bytes).expect("an honest sheet");
        grid.rows.iter().flat_map(|row| row.cells.iter().map(|cell| cell.text.clone())).collect()
    }

    #[test]
    fn imp_1_the_same_cells_come_out_of_every_encoding_and_delimiter() {
        let expected =
            ["客户名称", "第一次访谈", "对策", "远腾精密机械（台资）", "25/11/08 拜访,\n王工", "送样"];
        assert_eq!(drawn(TEXT.as_bytes()), expected);
        assert_eq!(drawn(format!("\u{FEFF}{TEXT}").as_bytes()), expected);
        assert_eq!(drawn(&GBK.encode(TEXT).0), expected);
        let utf16: Vec<u8> =
            [0xFF, 0xFE].into_iter().chain(TEXT.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(UTF_16LE.decode(&utf16).0, TEXT);
        assert_eq!(drawn(&utf16), expected);
        for delimiter in [";", "\t"] {
            let other =
                TEXT.replace("称,", &format!("称{delimiter}")).replace("谈,", &format!("谈{delimiter}"));
            let other =
                other.replace("）,", &format!("）{delimiter}")).replace("\",送", &format!("\"{delimiter}送"));
            assert_eq!(drawn(other.as_bytes()), expected);
        }
    }

    #[test]
    fn imp_2_other_bytes_are_no_sheet() {
        assert_eq!(read(&[0xFF; 4096]), Err(SheetError::NotASheet));
        assert_eq!(read(b"\x7fELF\0\0\0\x01"), Err(SheetError::NotASheet));
        assert_eq!(read("x,".repeat(300).as_bytes()), Err(SheetError::CellTooFar { cell: "IW1".to_owned() }));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn imp_2_no_bytes_bring_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = read(&bytes);
        }
    }
}
