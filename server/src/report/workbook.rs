//! Reads .xlsx as a stream of cells. Measures what the archive inflates to before anything is built from
//! it. Still meant for the limited worker process: the library underneath believes counts that a file claims.

use std::io::{Cursor, Read};

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx};
use chrono::{Days, NaiveDate};

use super::grid::{
    ARCHIVE_ENTRIES_MAX, CELLS_VISITED_MAX, CellKind, FILE_BYTES_MAX, Grid, GridBuilder, INFLATED_BYTES_MAX,
    MERGES_MAX, Merge, SHEETS_MAX, STRINGS_MAX, SheetError,
};

/// Whether the bytes begin like an .xlsx.
pub fn looks_like_workbook(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Whether the bytes begin like an old binary workbook or a protected one.
pub fn looks_like_old_workbook(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0])
}

/// Reads every visible sheet. Runs in the worker process.
///
/// # Errors
/// `FileTooLarge`, `InflatesTooMuch`, `Damaged`, `CellTooFar`, `TextTooLong`, `TooManyCells`.
pub fn read(bytes: &[u8]) -> Result<Vec<Grid>, SheetError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(SheetError::FileTooLarge);
    }
    measure(bytes)?;
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|_| SheetError::Damaged)?;
    let names: Vec<String> = workbook
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible)
        .map(|sheet| sheet.name.clone())
        .take(SHEETS_MAX)
        .collect();
    let mut builder = GridBuilder::default();
    let mut visited = 0;
    let mut grids = Vec::new();
    for name in names {
        let merges = merges(&mut workbook, &name);
        read_cells(&mut workbook, &name, &mut builder, &mut visited)?;
        grids.push(builder.take(name, merges));
    }
    Ok(grids)
}

fn read_cells(
    workbook: &mut Xlsx<Cursor<&[u8]>>,
    name: &str,
    builder: &mut GridBuilder,
    visited: &mut usize,
) -> Result<(), SheetError> {
    let mut cells = workbook.worksheet_cells_reader(name).map_err(|_| SheetError::Damaged)?;
    while let Some(cell) = cells.next_cell().map_err(|_| SheetError::Damaged)? {
        *visited += 1;
        if *visited > CELLS_VISITED_MAX {
            return Err(SheetError::TooManyCells);
        }
        let (row, column) = cell.get_position();
        match cell.get_value() {
            DataRef::Empty => {}
            DataRef::String(text) => builder.put(row, column, text, CellKind::Text)?,
            DataRef::SharedString(text) => builder.put(row, column, text, CellKind::Text)?,
            DataRef::Int(number) => builder.put(row, column, &number.to_string(), CellKind::Number)?,
            DataRef::Float(number) => builder.put(row, column, &number_text(*number), CellKind::Number)?,
            DataRef::Bool(yes) => builder.put(row, column, if *yes { "是" } else { "否" }, CellKind::Text)?,
            DataRef::DateTime(time) => match day_of(*time) {
                Some(text) => builder.put(row, column, &text, CellKind::Day)?,
                None => builder.put(row, column, &number_text(time.as_f64()), CellKind::Number)?,
            },
            DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
                builder.put(row, column, text, CellKind::Text)?
            }
            DataRef::Error(error) => builder.put(row, column, &error.to_string(), CellKind::Text)?,
        }
    }
    Ok(())
}

/// A number as a person would type it: telephone numbers whole, without exponent.
fn number_text(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        format!("{}", number as i64)
    } else {
        format!("{number}")
    }
}

/// The day of a date cell and its text, with the time of day where there is one.
fn day_of(time: calamine::ExcelDateTime) -> Option<String> {
    if time.is_duration() || !(0.0..3_000_000.0).contains(&time.as_f64()) {
        return None;
    }
    let (year, month, date, hour, minute, _, _) = time.to_ymd_hms_milli();
    let day = NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), u32::from(date))?;
    let before_calendars = NaiveDate::from_ymd_opt(1899, 12, 30)?.checked_add_days(Days::new(366))?;
    if day < before_calendars {
        return None;
    }
    let clock = if (hour, minute) == (0, 0) { String::new() } else { format!(" {hour:02}:{minute:02}") };
    Some(format!("{day}{clock}"))
}

fn merges(workbook: &mut Xlsx<Cursor<&[u8]>>, name: &str) -> Vec<Merge> {
    let regions = workbook.merge_cells_by_sheet_name(name).unwrap_or_default();
    regions
        .into_iter()
        .take(MERGES_MAX)
        .map(|region| Merge { first: region.start, last: region.end })
        .collect()
}

/// Inflates every part into nothing and counts, so that a bomb is known before a library builds from it.
fn measure(bytes: &[u8]) -> Result<(), SheetError> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|_| SheetError::Damaged)?;
    if archive.len() > ARCHIVE_ENTRIES_MAX {
        return Err(SheetError::InflatesTooMuch);
    }
    let mut inflated = 0;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|_| SheetError::Damaged)?;
        let is_strings =
            part.name().map_err(|_| SheetError::Damaged)?.to_ascii_lowercase().ends_with("sharedstrings.xml");
        let mut limited = part.take(INFLATED_BYTES_MAX - inflated + 1);
        let mut chunk = [0; 16 * 1024];
        let mut first = true;
        loop {
            let read = limited.read(&mut chunk).map_err(|_| SheetError::Damaged)?;
            if read == 0 {
                break;
            }
            if first && is_strings {
                check_claimed_strings(&chunk[..read])?;
            }
            first = false;
            inflated += read as u64;
        }
        if inflated > INFLATED_BYTES_MAX {
            return Err(SheetError::InflatesTooMuch);
        }
    }
    Ok(())
}

/// The library reserves room for as many texts as the part claims to hold: 1.7 kB can ask for 512 GiB.
fn check_claimed_strings(beginning: &[u8]) -> Result<(), SheetError> {
    let beginning = String::from_utf8_lossy(beginning);
    for (_, rest) in
        beginning.match_indices("niqueCount").map(|(at, word)| beginning.split_at(at + word.len()))
    {
        let digits: String = rest
            .chars()
            .skip_while(|character| !character.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .take(20)
            .collect();
        if digits.parse::<usize>().map_or(!digits.is_empty(), |count| count > STRINGS_MAX) {
            return Err(SheetError::TooManyCells);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

    use super::*;

    fn sample() -> Vec<u8> {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.write(0, 0, "客户名称").expect("a cell");
        sheet.write(1, 0, "远腾精密机械").expect("a cell");
        sheet.write(1, 1, 13_800_001_234_f64).expect("a cell");
        let day = ExcelDateTime::from_ymd(2009, 3, 5).expect("a day");
        sheet.write_with_format(1, 2, &day, &Format::new().set_num_format("d/m/yy")).expect("a cell");
        sheet.write(1, 3, 12.5).expect("a cell");
        sheet.merge_range(3, 0, 4, 1, "合并", &Format::new()).expect("a region");
        workbook.save_to_buffer().expect("a workbook")
    }

    #[test]
    fn imp_1_cells_come_as_a_person_would_type_them() {
        let grids = read(&sample()).expect("an honest sheet");
        let cell = |row, column| grids[0].cell(row, column).map(|cell| cell.text.as_str());
        assert_eq!(cell(1, 1), Some("13800001234"));
        assert_eq!(cell(1, 2), Some("2009-03-05"));
        assert_eq!(grids[0].cell(1, 2).map(|cell| cell.kind), Some(CellKind::Day));
        assert_eq!(cell(1, 3), Some("12.5"));
        assert_eq!(cell(9, 9), None);
        assert_eq!(grids[0].merged_into(4, 1), Some((3, 0)));
    }

    #[test]
    fn imp_2_a_far_away_cell_in_a_workbook_is_named() {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.write(0, 0, "客户名称").expect("a cell");
        sheet.write(1_048_575, 16_383, "远").expect("a cell");
        let bytes = workbook.save_to_buffer().expect("a workbook");
        assert_eq!(read(&bytes), Err(SheetError::CellTooFar { cell: "XFD1048576".to_owned() }));
    }

    /// Writes an archive of the parts that a workbook needs, with this text as shared strings.
    fn archive(strings: &[u8], filler: usize) -> Vec<u8> {
        use std::io::Write;
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        writer.start_file("xl/sharedStrings.xml", options).expect("a part");
        writer.write_all(strings).expect("bytes");
        writer.start_file("xl/worksheets/sheet1.xml", options).expect("a part");
        let blanks = vec![b' '; 1024 * 1024];
        (0..filler).for_each(|_| writer.write_all(&blanks).expect("bytes"));
        writer.finish().expect("an archive").into_inner()
    }

    #[test]
    fn imp_2_a_zip_bomb_is_known_before_anything_is_built_from_it() {
        let bomb = archive(b"<sst/>", 100);
        assert!(bomb.len() < 200 * 1024, "{} bytes", bomb.len());
        assert_eq!(read(&bomb), Err(SheetError::InflatesTooMuch));
    }

    #[test]
    fn imp_2_a_claim_of_endless_texts_is_refused() {
        for count in ["99999999999", "18446744073709551615", "99999999999999999999999"] {
            let claim = archive(format!("<sst uniqueCount=\"{count}\"><si/></sst>").as_bytes(), 0);
            assert_eq!(read(&claim), Err(SheetError::TooManyCells), "{count}");
        }
    }

    #[test]
    fn imp_2_a_broken_workbook_is_damaged_at_every_cut() {
        let whole = sample();
        for cut in (4..whole.len()).step_by(97) {
            assert_eq!(read(&whole[..cut]).err(), Some(SheetError::Damaged), "cut at {cut}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn imp_2_no_changed_byte_of_a_workbook_brings_the_reader_down(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = sample();
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = read(&bytes);
        }
    }
}
