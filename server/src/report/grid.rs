//! A sheet as cells of text at places, bounded in every direction, whatever file it came from. Knows
//! nothing of what the cells mean.

use serde::{Deserialize, Serialize};

/// Bytes of a file. A sheet of 2,000 customers with ten visits each is 1.5 MB as .xlsx and 4 MB as CSV.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that the parts of an .xlsx may inflate to together; eight times the largest honest sheet seen.
pub const INFLATED_BYTES_MAX: u64 = 96 * 1024 * 1024;
/// Entries of an .xlsx archive; an honest one has a few dozen.
pub const ARCHIVE_ENTRIES_MAX: usize = 2_000;
/// Distinct texts of an .xlsx.
pub const STRINGS_MAX: usize = 400_000;
/// The last row that may hold something. A cell beyond is an accident or an attack and is named.
pub const ROWS_MAX: u32 = 20_000;
/// The last column that may hold something: `IV`, where old sheets end.
pub const COLUMNS_MAX: u32 = 256;
/// Cells with something in them, over all sheets of a file.
pub const CELLS_MAX: usize = 300_000;
/// Cells visited, blank ones included: formatting alone may fill a sheet.
pub const CELLS_VISITED_MAX: usize = 4_000_000;
/// Characters of one cell, which is the spreadsheets' own limit.
pub const CELL_CHARS_MAX: usize = 32_767;
/// Bytes of text over all sheets of a file.
pub const TEXT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Sheets of one file.
pub const SHEETS_MAX: usize = 50;
/// Merged regions of one sheet; more are not looked at.
pub const MERGES_MAX: usize = 20_000;

/// One sheet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grid {
    /// The sheet's name; empty for CSV.
    pub name: String,
    /// Rows with something in them, in order.
    pub rows: Vec<GridRow>,
    /// Merged regions.
    pub merges: Vec<Merge>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GridRow {
    /// Counted from 0.
    pub row: u32,
    /// Cells with something in them, in order of columns.
    pub cells: Vec<GridCell>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GridCell {
    /// Counted from 0.
    pub column: u32,
    /// What stands in it, never blank: numbers without exponents, days as `2009-03-05`.
    pub text: String,
    /// What kind of value the file says it is.
    pub kind: CellKind,
}

/// What kind of value a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CellKind {
    /// Words.
    Text,
    /// A number.
    Number,
    /// A day: the text begins with it as `2009-03-05`.
    Day,
}

/// A merged region, both corners included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// First row and column.
    pub first: (u32, u32),
    /// Last row and column.
    pub last: (u32, u32),
}

impl Grid {
    /// The cell at a place, if something stands in it.
    pub fn cell(&self, row: u32, column: u32) -> Option<&GridCell> {
        let row = self.rows.binary_search_by_key(&row, |row| row.row).ok()?;
        self.rows[row].cell(column)
    }

    /// The first corner of the merged region that a place lies in.
    pub fn merged_into(&self, row: u32, column: u32) -> Option<(u32, u32)> {
        let inside = |merge: &&Merge| {
            (merge.first.0..=merge.last.0).contains(&row) && (merge.first.1..=merge.last.1).contains(&column)
        };
        self.merges.iter().find(inside).map(|merge| merge.first)
    }
}

impl GridRow {
    /// The cell in a column, if something stands in it.
    pub fn cell(&self, column: u32) -> Option<&GridCell> {
        let index = self.cells.binary_search_by_key(&column, |cell| cell.column).ok()?;
        Some(&self.cells[index])
    }
}

/// A place as spreadsheets write it: `C5`.
pub fn place(row: u32, column: u32) -> String {
    format!("{}{}", column_name(column), u64::from(row) + 1)
}

/// A column as spreadsheets write it: `C`, `AA`.
pub fn column_name(column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = u64::from(column) + 1;
    while rest > 0 {
        letters.push(b'A' + ((rest - 1) % 26) as u8);
        rest = (rest - 1) / 26;
    }
    letters.reverse();
    letters.into_iter().map(char::from).collect()
}

/// Collects cells into a grid and says where a limit is passed.
#[derive(Debug, Default)]
pub struct GridBuilder {
    rows: std::collections::BTreeMap<u32, std::collections::BTreeMap<u32, (String, CellKind)>>,
    cells: usize,
    text_bytes: usize,
}

impl GridBuilder {
    /// Puts a cell; a blank one is nothing. What a file says twice of one place is kept below one another.
    ///
    /// # Errors
    /// `CellTooFar`, `TooManyCells`, `TextTooLong`.
    pub fn put(&mut self, row: u32, column: u32, text: &str, kind: CellKind) -> Result<(), SheetError> {
        let text = text.trim_matches(|character: char| character.is_whitespace() || character.is_control());
        if text.is_empty() {
            return Ok(());
        }
        if row >= ROWS_MAX || column >= COLUMNS_MAX {
            return Err(SheetError::CellTooFar { cell: place(row, column) });
        }
        self.cells += 1;
        self.text_bytes += text.len();
        if self.cells > CELLS_MAX || self.text_bytes > TEXT_BYTES_MAX {
            return Err(SheetError::TooManyCells);
        }
        let columns = self.rows.entry(row).or_default();
        match columns.get_mut(&column) {
            Some((present, kind)) => {
                present.push('\n');
                present.push_str(text);
                *kind = CellKind::Text;
            }
            None => {
                columns.insert(column, (text.to_owned(), kind));
            }
        }
        if columns[&column].0.chars().count() > CELL_CHARS_MAX {
            return Err(SheetError::TextTooLong { cell: place(row, column) });
        }
        Ok(())
    }

    /// Takes the cells put so far as a grid; the counts go on, for they are the whole file's.
    pub fn take(&mut self, name: String, mut merges: Vec<Merge>) -> Grid {
        merges.truncate(MERGES_MAX);
        let cell = |(column, (text, kind))| GridCell { column, text, kind };
        let rows = std::mem::take(&mut self.rows)
            .into_iter()
            .map(|(row, cells)| GridRow { row, cells: cells.into_iter().map(cell).collect() })
            .collect();
        Grid { name, rows, merges }
    }
}

/// Why a file cannot be read. Named, and told to the person in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
#[error("{}", self.en())]
pub enum SheetError {
    /// Longer than [`FILE_BYTES_MAX`].
    FileTooLarge,
    /// Nothing in it.
    Empty,
    /// The old binary format, or protected by a password.
    OldOrProtected,
    /// Neither a workbook nor text.
    NotASheet,
    /// A workbook whose parts cannot be read.
    Damaged,
    /// A workbook that inflates beyond [`INFLATED_BYTES_MAX`] or has too many parts.
    InflatesTooMuch,
    /// More texts, cells or characters than the limits.
    TooManyCells,
    /// Something stands far outside the sheet.
    CellTooFar {
        /// Where.
        cell: String,
    },
    /// One cell holds more than [`CELL_CHARS_MAX`].
    TextTooLong {
        /// Where.
        cell: String,
    },
    /// No row with a column for the customer's name.
    NoHeader,
    /// Reading took too long or too much memory and was ended.
    ReaderEnded,
    /// The reader could not be started.
    ReaderNotStarted,
}

impl SheetError {
    /// One sentence for a person, in Chinese.
    pub fn zh(&self) -> String {
        match self {
            SheetError::FileTooLarge => "文件超过 16 MB，请分成几个文件再导入。".to_owned(),
            SheetError::Empty => "文件是空的。".to_owned(),
            SheetError::OldOrProtected => {
                "这是旧版 .xls 或带密码的文件，请在 Excel 中取消密码、另存为 .xlsx 后再导入。".to_owned()
            }
            SheetError::NotASheet => "这不是表格文件（.xlsx 或 .csv）。".to_owned(),
            SheetError::Damaged => "表格文件已损坏，无法读取。".to_owned(),
            SheetError::InflatesTooMuch => "表格展开后过大，没有导入。".to_owned(),
            SheetError::TooManyCells => "表格内容过多，请分成几个文件再导入。".to_owned(),
            SheetError::CellTooFar { cell } => format!("单元格 {cell} 离表格太远，请删除后再导入。"),
            SheetError::TextTooLong { cell } => format!("单元格 {cell} 的文字过长。"),
            SheetError::NoHeader => "找不到表头：请保留含“客户名称”的标题行。".to_owned(),
            SheetError::ReaderEnded => "读取表格耗时或占用内存过多，已中止。".to_owned(),
            SheetError::ReaderNotStarted => "无法启动表格读取程序。".to_owned(),
        }
    }

    /// One sentence for a person, in English.
    pub fn en(&self) -> String {
        match self {
            SheetError::FileTooLarge => {
                "The file is larger than 16 MB; split it and import the parts.".to_owned()
            }
            SheetError::Empty => "The file is empty.".to_owned(),
            SheetError::OldOrProtected => {
                "This is an old .xls file or has a password; remove it and save as .xlsx.".to_owned()
            }
            SheetError::NotASheet => "This is no sheet (.xlsx or .csv).".to_owned(),
            SheetError::Damaged => "The sheet file is damaged and cannot be read.".to_owned(),
            SheetError::InflatesTooMuch => {
                "The sheet inflates to more than is allowed; nothing was imported.".to_owned()
            }
            SheetError::TooManyCells => "The sheet holds too much; split it and import the parts.".to_owned(),
            SheetError::CellTooFar { cell } => {
                format!("Cell {cell} lies too far outside the sheet; delete it first.")
            }
            SheetError::TextTooLong { cell } => format!("The text in cell {cell} is too long."),
            SheetError::NoHeader => {
                "No header row found: one cell must say 客户名称 (customer name).".to_owned()
            }
            SheetError::ReaderEnded => {
                "Reading the sheet took too much time or memory and was stopped.".to_owned()
            }
            SheetError::ReaderNotStarted => "The sheet reader could not be started.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_as_spreadsheets_name_it() {
        assert_eq!(place(4, 2), "C5");
        assert_eq!(place(0, 25), "Z1");
        assert_eq!(place(0, 26), "AA1");
        assert_eq!(place(1_048_575, 16_383), "XFD1048576");
        assert_eq!(column_name(u32::MAX).len(), 7);
    }

    #[test]
    fn imp_2_a_far_away_cell_is_named_and_costs_nothing() {
        let mut builder = GridBuilder::default();
        let far = builder.put(1_048_575, 16_383, "x", CellKind::Text);
        assert_eq!(far, Err(SheetError::CellTooFar { cell: "XFD1048576".to_owned() }));
        assert_eq!(builder.put(1_048_575, 16_383, " \n", CellKind::Text), Ok(()));
        let long = "长".repeat(CELL_CHARS_MAX + 1);
        assert_eq!(
            builder.put(0, 0, &long, CellKind::Text),
            Err(SheetError::TextTooLong { cell: "A1".to_owned() })
        );
    }
}
