//! What an import did or would do, row by row: for the person who started it and for programs. Knows nothing of
//! sheets beyond the places it names.

use serde::Serialize;
use shared::id::DocId;
use shared::refusal::Refusal;

use super::reading::CellRemark;
use super::remark::Remark;

/// What an import did, row by row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Counts over all rows.
    pub totals: Totals,
    /// What each column was taken for.
    pub columns: Vec<ColumnReport>,
    /// What became of each row.
    pub rows: Vec<RowReport>,
    /// Titles, footers and other words that belong to no customer.
    pub outside: Vec<NoteReport>,
}

/// Counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Rows with a customer that is new.
    pub rows_new: usize,
    /// Rows that changed something of a customer that was known.
    pub rows_updated: usize,
    /// Rows that changed nothing.
    pub rows_unchanged: usize,
    /// Rows that were not imported, or not wholly.
    pub rows_problem: usize,
    /// Visits made.
    pub visits_new: usize,
    /// Visits changed.
    pub visits_updated: usize,
    /// Visits left as they are.
    pub visits_unchanged: usize,
    /// Quotes read.
    pub quotes: usize,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnReport {
    /// The sheet's name; empty for CSV.
    pub sheet: String,
    /// Its letter.
    pub column: String,
    /// The header's words.
    pub header: String,
    /// What it was taken for.
    pub role: String,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowStatus {
    /// 新增
    New,
    /// 更新
    Updated,
    /// 无变化
    Unchanged,
    /// 错误
    Problem,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowReport {
    /// The sheet's name; empty for CSV.
    pub sheet: String,
    /// The row as the sheet counts, from 1.
    pub row: u32,
    /// The number that the sheet gives the row.
    pub number: Option<String>,
    /// The customer's name as read.
    pub customer: String,
    /// The card.
    pub customer_id: Option<DocId>,
    /// Who looks after the customer, as the sheet says.
    pub rep: Option<String>,
    /// What happened.
    pub status: RowStatus,
    /// Visits made.
    pub visits_new: usize,
    /// Visits changed.
    pub visits_updated: usize,
    /// Visits left as they are.
    pub visits_unchanged: usize,
    /// Quotes read.
    pub quotes: usize,
    /// What a person should know.
    pub notes: Vec<NoteReport>,
}

/// A remark about a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoteReport {
    /// The sheet's name; empty for CSV and inside a row's report.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sheet: String,
    /// Where, such as `C5`.
    pub cell: String,
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
    /// The cell's words, where they stand nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What, by name.
    #[serde(flatten)]
    pub remark: Remark,
}

impl NoteReport {
    pub(super) fn new(sheet: &str, note: CellRemark) -> Self {
        let (zh, en) = (note.remark.zh(), note.remark.en());
        NoteReport { sheet: sheet.to_owned(), cell: note.cell, zh, en, text: note.text, remark: note.remark }
    }
}

impl RowReport {
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.status = RowStatus::Problem;
        // Counts say what was made; of a row with a refusal the notes say more.
        let about = refusal.about.as_deref().map(|about| format!(" ({about})")).unwrap_or_default();
        let remark = Remark::Refused {
            zh: format!("{}{about}", refusal.rule.zh()),
            en: format!("{}{about}", refusal.rule.en()),
        };
        self.notes
            .push(NoteReport::new("", CellRemark { cell: format!("{}", self.row), remark, text: None }));
    }
}

impl Report {
    /// The report as lines for a person.
    pub fn lines(&self) -> String {
        use std::fmt::Write;
        let mut lines = String::new();
        let mut say =
            |line: std::fmt::Arguments| writeln!(lines, "{line}").expect("writing to a text cannot fail");
        for row in &self.rows {
            let status = match row.status {
                RowStatus::New => "新增",
                RowStatus::Updated => "更新",
                RowStatus::Unchanged => "无变化",
                RowStatus::Problem => "问题",
            };
            let (sheet, new, updated) = (&row.sheet, row.visits_new, row.visits_updated);
            say(format_args!(
                "{sheet} {} {status} {}：{new} 条新记录，{updated} 条更新，{} 条报价",
                row.row, row.customer, row.quotes
            ));
            for note in row.notes.iter().filter(|note| note.remark != Remark::QuoteSource) {
                let text =
                    note.text.as_deref().map(|text| format!("：{}", excerpt(text))).unwrap_or_default();
                say(format_args!("    {} {}{text}", note.cell, note.zh));
            }
        }
        let Totals { rows_new, rows_updated, rows_unchanged, rows_problem, .. } = self.totals;
        let dry = if self.dry_run { "（试运行，未写入）" } else { "" };
        say(format_args!(
            "新增 {rows_new} 更新 {rows_updated} 无变化 {rows_unchanged} 问题 {rows_problem}{dry}"
        ));
        lines
    }

    pub(super) fn count(&mut self) {
        let mut totals = Totals::default();
        for row in &self.rows {
            match row.status {
                RowStatus::New => totals.rows_new += 1,
                RowStatus::Updated => totals.rows_updated += 1,
                RowStatus::Unchanged => totals.rows_unchanged += 1,
                RowStatus::Problem => totals.rows_problem += 1,
            }
            totals.visits_new += row.visits_new;
            totals.visits_updated += row.visits_updated;
            totals.visits_unchanged += row.visits_unchanged;
            totals.quotes += row.quotes;
        }
        self.totals = totals;
    }
}

pub(super) fn excerpt(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
