//! Reads one row of a follow-up sheet: the customer, and visits with their counter-measures and quotes in
//! the order of the columns. Whatever is not understood stays as words. Knows no documents.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::NaiveDate;
use shared::limits::{TEXT_CHARS_MAX, WORD_CHARS_MAX};

use super::dates::{Entry, serial_day, split_entries};
use super::grid::{CellKind, GridCell, GridRow, place};
use super::header::{Header, Role};
use super::nature::{capital, split_nature};
use super::quotes::{Quote, read_quotes};
use super::remark::Remark;
use super::width::{bare, folded};

/// A remark about a cell, with the cell's words where they stand nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellRemark {
    /// Where, such as `C5`.
    pub cell: String,
    /// What.
    pub remark: Remark,
    /// The cell's words.
    pub text: Option<String>,
}

/// A visit as the sheet tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitDraft {
    /// What stays the same when the cell is corrected: kind and number of the column, number of the entry.
    pub slot: String,
    /// Where it stands.
    pub cell: String,
    /// The column's words.
    pub title: String,
    /// When it took place.
    pub day: Option<NaiveDate>,
    /// The date as the sheet wrote it.
    pub written: String,
    /// Kind of visit, where the header says it.
    pub kind: Option<&'static str>,
    /// The record; never blank once the row is read.
    pub record: String,
    /// The counter-measure.
    pub countermeasure: String,
    /// Quotes, each with what keeps it the same on the next run.
    pub quotes: Vec<(String, Quote)>,
    /// What a reader of the visit should know, in Chinese.
    pub notes: Vec<String>,
}

/// A row as read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowDraft {
    /// The customer's name without the capital nature.
    pub name: String,
    /// The row's own number in the sheet.
    pub number: Option<String>,
    /// Who the sheet says looks after the customer.
    pub rep: Option<String>,
    /// Single-valued card fields by key, with their cell.
    pub fields: BTreeMap<&'static str, (String, String)>,
    /// Contacts: name and telephone.
    pub contacts: Vec<(String, Option<String>)>,
    /// The title of the only contact.
    pub contact_title: Option<String>,
    /// Telephone numbers.
    pub phones: Vec<String>,
    /// Consumption: product and amount.
    pub consumption: Vec<(String, Option<String>)>,
    /// Equipment.
    pub equipment: Vec<String>,
    /// Competitors.
    pub competitors: Vec<String>,
    /// Lines for the card's remarks.
    pub remarks: Vec<String>,
    /// Visits in the order of the columns.
    pub visits: Vec<VisitDraft>,
    /// Remarks on cells.
    pub notes: Vec<CellRemark>,
}

/// Bytes that an import note may fill; below the field's limit of characters.
const NOTE_CHARS_MAX: usize = 1_900;
/// Pieces that one cell of telephones, contacts or products is split into.
const PIECES_MAX: usize = 30;

/// Reads a row below the header. The row has a name, possibly one merged from above.
pub fn read_row(header: &Header, row: &GridRow, name: &str, today: NaiveDate) -> RowDraft {
    let mut reader = RowReader { header, row, today, draft: RowDraft::default(), last_visit: 0..0 };
    reader.read_name(name);
    reader.read_card();
    reader.read_visits();
    reader.date_the_undated();
    reader.cut_long_texts();
    reader.draft
}

struct RowReader<'a> {
    header: &'a Header,
    row: &'a GridRow,
    today: NaiveDate,
    draft: RowDraft,
    /// The entries of the last visit column, which counter-measures and quotes belong to.
    last_visit: Range<usize>,
}

impl RowReader<'_> {
    fn note(&mut self, column: u32, remark: Remark, text: Option<&str>) {
        let cell = place(self.row.row, column);
        self.draft.notes.push(CellRemark { cell, remark, text: text.map(str::to_owned) });
    }

    /// `远腾精密机械（台资）`: the name, and the capital nature where the brackets hold one.
    fn read_name(&mut self, name: &str) {
        let column = self.header.name_column;
        let (name, nature) = split_nature(name);
        if let Some(nature) = nature {
            self.set_capital(column, &nature);
        }
        self.draft.name = name;
    }

    /// Sets the choice that the words stand for. Words that say more than the choice, and a second choice beside
    /// another one, stay as remarks.
    fn set_capital(&mut self, column: u32, nature: &str) {
        let Some(capital) = capital(nature) else {
            return self.keep_in_remarks(column, "企业性质", nature);
        };
        let cell = place(self.row.row, column);
        let (_, chosen) = self.draft.fields.entry("capital").or_insert((cell, capital.to_owned()));
        if bare(nature) != *chosen {
            self.keep_in_remarks(column, "企业性质", nature);
        }
    }

    fn keep_in_remarks(&mut self, column: u32, title: &str, text: &str) {
        let line = format!("{title}：{}", text.lines().map(str::trim).collect::<Vec<_>>().join(" "));
        self.note(column, Remark::KeptInRemarks, None);
        self.draft.remarks.push(line);
    }

    fn read_card(&mut self) {
        for column in &self.header.columns {
            let Some(cell) = self.row.cell(column.column) else {
                continue;
            };
            let text = cell.text.as_str();
            match column.role {
                Role::Number if self.draft.number.is_none() => self.draft.number = Some(text.to_owned()),
                Role::Rep if self.draft.rep.is_none() && text.chars().count() <= WORD_CHARS_MAX => {
                    self.draft.rep = Some(text.to_owned());
                }
                Role::Capital => self.set_capital(cell.column, text),
                Role::ShortName => self.set_field("short_name", cell, &column.title()),
                Role::CreditCode => self.set_field("credit_code", cell, &column.title()),
                Role::Industry => self.set_field("industry", cell, &column.title()),
                Role::Size => self.set_field("size", cell, &column.title()),
                Role::Source => self.set_field("source", cell, &column.title()),
                Role::District => self.set_field("district", cell, &column.title()),
                Role::Address => self.set_field("address", cell, &column.title()),
                Role::Level if matches!(bare(text).as_str(), "b" | "c") => {
                    self.set_field("level", cell, &column.title())
                }
                Role::Need => self.set_long_field("need", cell),
                Role::Remarks => self
                    .draft
                    .remarks
                    .extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)),
                Role::Contact => self.read_contacts(cell, &column.title()),
                Role::ContactTitle
                    if self.draft.contact_title.is_none() && text.chars().count() <= WORD_CHARS_MAX =>
                {
                    self.draft.contact_title = Some(text.to_owned());
                }
                Role::Phone => self.read_phones(cell, &column.title()),
                Role::Product => {
                    let pieces = self.pieces(cell, &column.title());
                    self.draft.consumption.extend(pieces.into_iter().map(|product| (product, None)));
                }
                Role::Competitor => {
                    let pieces = self.pieces(cell, &column.title());
                    self.draft.competitors.extend(pieces);
                }
                Role::Equipment => {
                    let pieces = self.pieces(cell, &column.title());
                    self.draft.equipment.extend(pieces);
                }
                Role::Name
                | Role::Visit(..)
                | Role::VisitDate
                | Role::Countermeasure
                | Role::Quote(_)
                | Role::Consumption => {}
                Role::Number | Role::Rep | Role::Level | Role::ContactTitle | Role::Unknown => {
                    self.keep_in_remarks(cell.column, &column.title(), text);
                }
            }
        }
        self.read_consumption();
        if self.draft.contact_title.is_some() && self.draft.contacts.len() != 1 {
            let title = self.draft.contact_title.take().unwrap_or_default();
            self.draft.remarks.push(format!("职务：{title}"));
        }
    }

    fn set_field(&mut self, key: &'static str, cell: &GridCell, title: &str) {
        let text = cell.text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.chars().count() > WORD_CHARS_MAX || self.draft.fields.contains_key(key) {
            return self.keep_in_remarks(cell.column, title, &cell.text);
        }
        self.draft.fields.insert(key, (place(self.row.row, cell.column), text));
    }

    fn set_long_field(&mut self, key: &'static str, cell: &GridCell) {
        let place = place(self.row.row, cell.column);
        let cut: String = cell.text.chars().take(TEXT_CHARS_MAX).collect();
        if cut.len() < cell.text.len() {
            self.note(cell.column, Remark::TextContinued, Some(&cell.text));
        }
        let entry = self.draft.fields.entry(key).or_insert((place, String::new()));
        if entry.1.is_empty() {
            entry.1 = cut;
        } else if !entry.1.contains(&cut) {
            self.draft.remarks.push(cut.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }

    /// The pieces of a cell that lists things; a piece too long for a field goes to the remarks.
    fn pieces(&mut self, cell: &GridCell, title: &str) -> Vec<String> {
        let (fit, rest) = split_list(&cell.text);
        rest.iter().for_each(|piece| self.keep_in_remarks(cell.column, title, piece));
        fit
    }

    /// `王工 13800001234`: a contact with a number; a piece without a number is a name.
    fn read_contacts(&mut self, cell: &GridCell, title: &str) {
        for piece in self.pieces(cell, title) {
            match split_phone(&piece, 7) {
                Some((words, number)) if words.is_empty() => self.draft.phones.push(number),
                Some((words, number)) => self.draft.contacts.push((words, Some(number))),
                None => self.draft.contacts.push((piece, None)),
            }
        }
    }

    /// A telephone column may name who answers.
    fn read_phones(&mut self, cell: &GridCell, title: &str) {
        for piece in self.pieces(cell, title) {
            match split_phone(&piece, 5) {
                Some((words, number)) => {
                    if !words.is_empty() {
                        self.draft.contacts.push((words, Some(number.clone())));
                    }
                    self.draft.phones.push(number);
                }
                None => self.keep_in_remarks(cell.column, title, &piece),
            }
        }
    }

    /// 用量 belongs to the only product; otherwise it is a line of its own.
    fn read_consumption(&mut self) {
        let header = self.header;
        for column in header.columns.iter().filter(|column| column.role == Role::Consumption) {
            let Some(cell) = self.row.cell(column.column) else {
                continue;
            };
            let fits = cell.text.chars().count() <= WORD_CHARS_MAX;
            match self.draft.consumption.as_mut_slice() {
                [(_, amount @ None)] if fits => *amount = Some(cell.text.clone()),
                _ => self.keep_in_remarks(cell.column, &column.title(), &cell.text),
            }
        }
    }

    fn read_visits(&mut self) {
        let header = self.header;
        let numbered = |role: fn(Role) -> Option<Option<u32>>| {
            let numbers: Vec<Option<u32>> = groups(header, role).iter().map(|(number, _)| *number).collect();
            let mut distinct: Vec<u32> = numbers.iter().flatten().copied().collect();
            distinct.sort_unstable();
            distinct.dedup();
            distinct.len() == numbers.len()
        };
        let visits_numbered = numbered(visit_number);
        let quotes_numbered = numbered(quote_number);
        let (mut visits, mut quotes, mut countermeasures) = (0, 0, 0);
        let mut index = 0;
        while index < header.columns.len() {
            let column = &header.columns[index];
            let mut end = index + 1;
            match column.role {
                Role::VisitDate => {}
                Role::Visit(number, kind) => {
                    while header
                        .columns
                        .get(end)
                        .is_some_and(|next| next.role == column.role && number.is_some())
                    {
                        end += 1;
                    }
                    visits += 1;
                    let key = number.filter(|_| visits_numbered).unwrap_or(visits);
                    let date = index
                        .checked_sub(1)
                        .map(|before| &header.columns[before])
                        .filter(|before| before.role == Role::VisitDate);
                    self.read_visit(&format!("visit/{key}"), kind, index..end, date.map(|date| date.column));
                }
                Role::Countermeasure => {
                    countermeasures += 1;
                    self.read_countermeasure(&format!("countermeasure/{countermeasures}"), index);
                }
                Role::Quote(number) => {
                    while header
                        .columns
                        .get(end)
                        .is_some_and(|next| next.role == column.role && number.is_some())
                    {
                        end += 1;
                    }
                    quotes += 1;
                    let key = number.filter(|_| quotes_numbered).unwrap_or(quotes);
                    self.read_quote(&format!("quote/{key}"), index..end);
                }
                _ => {}
            }
            index = end;
        }
    }

    /// The words of a group of columns, and the first cell that has any.
    fn joined(&self, columns: Range<usize>, separator: &str) -> Option<(GridCell, String)> {
        let columns = &self.header.columns[columns];
        let cells: Vec<&GridCell> =
            columns.iter().filter_map(|column| self.row.cell(column.column)).collect();
        let first = (*cells.first()?).clone();
        let text = cells.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join(separator);
        Some((first, text))
    }

    fn read_visit(
        &mut self,
        slot: &str,
        kind: Option<&'static str>,
        columns: Range<usize>,
        date_column: Option<u32>,
    ) {
        let title = self.header.columns[columns.start].title();
        let found = self.joined(columns, "\n");
        let date = date_column.and_then(|column| self.row.cell(column)).cloned();
        let begin = self.draft.visits.len();
        let cell = found.as_ref().map(|(cell, _)| cell).or(date.as_ref()).cloned();
        let Some(cell) = cell else {
            self.last_visit = begin..begin;
            return;
        };
        let mut entries = match &found {
            Some((cell, text)) => cell_entries(cell, text, self.today),
            None => vec![Entry { day: None, date_text: String::new(), doubt: None, text: String::new() }],
        };
        if let Some(date) = date {
            self.take_date(&date, &mut entries);
            entries.retain(|entry| entry.day.is_some() || !entry.text.is_empty());
        }
        for (number, entry) in entries.into_iter().enumerate() {
            self.push_visit(format!("{slot}/{number}"), &title, cell.column, kind, entry);
        }
        self.last_visit = begin..self.draft.visits.len();
    }

    /// Gives the day of a date column to the first entry that has none.
    fn take_date(&mut self, date: &GridCell, entries: &mut [Entry]) {
        let read = cell_entries(date, &date.text, self.today).into_iter().next();
        let only_date = read.filter(|read| read.day.is_some());
        let target = entries.iter_mut().find(|entry| entry.day.is_none());
        match (only_date, target) {
            (Some(read), Some(entry)) => {
                entry.day = read.day;
                entry.doubt = read.doubt;
                entry.date_text = date.text.clone();
            }
            _ => self.note(date.column, Remark::DateUnread, Some(&date.text)),
        }
    }

    fn push_visit(
        &mut self,
        slot: String,
        title: &str,
        column: u32,
        kind: Option<&'static str>,
        entry: Entry,
    ) {
        let mut notes = Vec::new();
        let written = entry.date_text.as_str();
        if let (Some(day), Some(doubt)) = (entry.day, entry.doubt) {
            let remark = Remark::doubt(written, day, doubt);
            notes.push(remark.zh());
            self.note(column, remark, None);
        } else if entry.day.is_some_and(|day| day.to_string() != written) && !entry.text.contains(written) {
            notes.push(format!("原日期 {written}"));
        }
        let mut record = entry.text;
        if record.is_empty() {
            record = entry.date_text.clone();
            notes.push(Remark::DateOnly.zh());
            self.note(column, Remark::DateOnly, None);
        }
        self.draft.visits.push(VisitDraft {
            slot,
            cell: place(self.row.row, column),
            title: title.to_owned(),
            day: entry.day,
            written: entry.date_text,
            kind,
            record,
            countermeasure: String::new(),
            quotes: Vec::new(),
            notes,
        });
    }

    fn read_countermeasure(&mut self, slot: &str, index: usize) {
        let column = &self.header.columns[index];
        let Some(cell) = self.row.cell(column.column).cloned() else {
            return;
        };
        let entries = cell_entries(&cell, &cell.text, self.today);
        if self.last_visit.is_empty() {
            self.note(cell.column, Remark::CountermeasureAlone, None);
            let begin = self.draft.visits.len();
            for (number, entry) in entries.into_iter().enumerate() {
                self.push_visit(format!("{slot}/{number}"), &column.title(), cell.column, None, entry);
            }
            self.draft.visits[begin..]
                .iter_mut()
                .for_each(|visit| visit.notes.push(Remark::CountermeasureAlone.zh()));
            return;
        }
        let visits = self.last_visit.clone();
        if entries.len() <= 1 {
            let day = entries.first().and_then(|entry| entry.day);
            let same_day = visits.clone().find(|visit| day.is_some() && self.draft.visits[*visit].day == day);
            let target = same_day.unwrap_or(visits.end - 1);
            if visits.len() > 1 && same_day.is_none() {
                self.note_moved(cell.column, target);
            }
            let text = match entries.into_iter().next() {
                Some(entry)
                    if same_day.is_some()
                        && entry.date_text == self.draft.visits[target].written
                        && !entry.text.is_empty() =>
                {
                    entry.text
                }
                _ => cell.text.clone(),
            };
            return self.add_countermeasure(target, &text);
        }
        let one_to_one = entries.len() == visits.len();
        for (number, entry) in entries.into_iter().enumerate() {
            let same_day = visits
                .clone()
                .find(|visit| entry.day.is_some() && self.draft.visits[*visit].day == entry.day);
            let target = same_day.unwrap_or(if one_to_one { visits.start + number } else { visits.end - 1 });
            if same_day.is_none() && !one_to_one {
                self.note_moved(cell.column, target);
            }
            let whole = if entry.text.contains(&entry.date_text) {
                entry.text.clone()
            } else {
                format!("{} {}", entry.date_text, entry.text)
            };
            let plain = same_day.is_some()
                && entry.date_text == self.draft.visits[target].written
                && !entry.text.is_empty();
            self.add_countermeasure(target, if plain { &entry.text } else { whole.trim() });
        }
    }

    fn note_moved(&mut self, column: u32, target: usize) {
        self.note(column, Remark::CountermeasureToLast, None);
        let notes = &mut self.draft.visits[target].notes;
        let note = Remark::CountermeasureToLast.zh();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    fn add_countermeasure(&mut self, visit: usize, text: &str) {
        let countermeasure = &mut self.draft.visits[visit].countermeasure;
        if !countermeasure.is_empty() {
            countermeasure.push('\n');
        }
        countermeasure.push_str(text);
    }

    /// A quote belongs to the visit before it, unless it has a day of its own, no visit stands before it, or
    /// not all of it could be read.
    fn read_quote(&mut self, slot: &str, columns: Range<usize>) {
        let title = self.header.columns[columns.start].title();
        let Some((cell, text)) = self.joined(columns, " ") else {
            return;
        };
        let entries = match cell.kind {
            CellKind::Number => split_entries(&text, self.today),
            CellKind::Text | CellKind::Day => cell_entries(&cell, &text, self.today),
        };
        for (number, entry) in entries.into_iter().enumerate() {
            let mut reading = read_quotes(&entry.text);
            let fits = |quote: &Quote| {
                let long = |text: &str| text.chars().count() > WORD_CHARS_MAX;
                !long(&quote.product) && !quote.pack.as_deref().is_some_and(long)
            };
            if !reading.quotes.iter().all(fits) {
                reading.quotes.retain(fits);
                reading.unread.push(entry.text.clone());
            }
            let slot = format!("{slot}/{number}");
            let quotes: Vec<(String, Quote)> = reading
                .quotes
                .into_iter()
                .enumerate()
                .map(|(index, quote)| (format!("{slot}/{index}"), quote))
                .collect();
            let before = self.last_dated_visit(entry.day);
            match before.filter(|_| !quotes.is_empty() && reading.unread.is_empty()) {
                Some(visit) => {
                    let source = [entry.date_text.as_str(), entry.text.as_str()].join(" ");
                    self.note(cell.column, Remark::QuoteSource, Some(source.trim()));
                    let visit = &mut self.draft.visits[visit];
                    visit.quotes.extend(quotes);
                    visit.notes.push(format!(
                        "{title}原文：{}",
                        source.split_whitespace().collect::<Vec<_>>().join(" ")
                    ));
                }
                None => {
                    let remark = match (quotes.is_empty(), reading.unread.is_empty()) {
                        (true, _) => Some(Remark::QuoteUnread),
                        (false, false) => Some(Remark::QuotePartly),
                        (false, true) => None,
                    };
                    self.push_visit(slot, &title, cell.column, None, entry);
                    if let Some(remark) = remark {
                        self.draft.visits.last_mut().expect("just pushed").notes.push(remark.zh());
                        self.note(cell.column, remark, None);
                    }
                    self.draft.visits.last_mut().expect("just pushed").quotes = quotes;
                }
            }
        }
    }

    /// The visit that a quote belongs to: the last entry of a visit column, if the day does not differ.
    fn last_dated_visit(&self, day: Option<NaiveDate>) -> Option<usize> {
        let is_visit = |visit: &VisitDraft| visit.slot.starts_with("visit/");
        let index = self.draft.visits.iter().rposition(is_visit)?;
        (day.is_none() || self.draft.visits[index].day == day).then_some(index)
    }

    /// An entry without a day stands at that of the entry before it, else of the one after it.
    fn date_the_undated(&mut self) {
        let days: Vec<Option<NaiveDate>> = self.draft.visits.iter().map(|visit| visit.day).collect();
        for (index, day) in days.iter().enumerate() {
            if day.is_some() {
                continue;
            }
            let before = days[..index].iter().rev().flatten().next();
            let borrowed = before.or_else(|| days[index..].iter().flatten().next()).copied();
            let remark = match borrowed {
                Some(day) => Remark::DateBorrowed { day: day.to_string() },
                None => Remark::DateMissing,
            };
            let visit = &mut self.draft.visits[index];
            visit.day = borrowed;
            visit.notes.push(remark.zh());
            let cell = visit.cell.clone();
            self.draft.notes.push(CellRemark { cell, remark, text: None });
        }
    }

    /// A text beyond the limit of a record goes on in another visit of the same day.
    fn cut_long_texts(&mut self) {
        let mut visits = Vec::with_capacity(self.draft.visits.len());
        for mut visit in std::mem::take(&mut self.draft.visits) {
            let mut more: Vec<String> = cut(&mut visit.record);
            more.extend(cut(&mut visit.countermeasure));
            let mut note: String = visit.notes.join("；");
            if note.chars().count() > NOTE_CHARS_MAX {
                note = note.chars().take(NOTE_CHARS_MAX).collect();
                visit.notes = vec![note];
            }
            let (slot, cell, title, day) =
                (visit.slot.clone(), visit.cell.clone(), visit.title.clone(), visit.day);
            visits.push(visit);
            for (number, record) in more.into_iter().enumerate() {
                self.draft.notes.push(CellRemark {
                    cell: cell.clone(),
                    remark: Remark::TextContinued,
                    text: None,
                });
                visits.push(VisitDraft {
                    slot: format!("{slot}/more/{number}"),
                    cell: cell.clone(),
                    title: title.clone(),
                    day,
                    written: String::new(),
                    kind: None,
                    record,
                    countermeasure: String::new(),
                    quotes: Vec::new(),
                    notes: vec![Remark::TextContinued.zh()],
                });
            }
        }
        self.draft.visits = visits;
    }
}

/// Cuts a text to the limit of a record and returns what goes beyond, in pieces.
fn cut(text: &mut String) -> Vec<String> {
    if text.len() <= TEXT_CHARS_MAX {
        return Vec::new();
    }
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= TEXT_CHARS_MAX {
        return Vec::new();
    }
    let mut pieces = characters.chunks(TEXT_CHARS_MAX).map(|piece| piece.iter().collect::<String>());
    *text = pieces.next().unwrap_or_default();
    pieces.filter(|piece| !piece.trim().is_empty()).collect()
}

/// The entries of a cell; a cell that is nothing but a serial number is a day.
fn cell_entries(cell: &GridCell, text: &str, today: NaiveDate) -> Vec<Entry> {
    if cell.kind == CellKind::Number
        && cell.text == text
        && let Some(day) = text.parse().ok().and_then(serial_day)
    {
        return vec![Entry { day: Some(day), date_text: text.to_owned(), doubt: None, text: String::new() }];
    }
    split_entries(text, today)
}

type Number = Option<u32>;

fn visit_number(role: Role) -> Option<Number> {
    match role {
        Role::Visit(number, _) => Some(number),
        _ => None,
    }
}

fn quote_number(role: Role) -> Option<Number> {
    match role {
        Role::Quote(number) => Some(number),
        _ => None,
    }
}

/// The groups of neighbouring columns with one role and number.
fn groups(header: &Header, number: fn(Role) -> Option<Number>) -> Vec<(Number, u32)> {
    let mut groups: Vec<(Number, u32)> = Vec::new();
    let mut before: Option<Role> = None;
    for column in &header.columns {
        if let Some(number) = number(column.role)
            && (before != Some(column.role) || number.is_none())
        {
            groups.push((number, column.column));
        }
        before = Some(column.role);
    }
    groups
}

/// Splits a list at its marks. The second part is what is too long for a field, or beyond the number of
/// pieces.
fn split_list(text: &str) -> (Vec<String>, Vec<String>) {
    let pieces = text
        .split(['、', '，', ',', '；', ';', '/', '\n', '|'])
        .map(str::trim)
        .filter(|piece| !piece.is_empty());
    let (mut fit, mut rest) = (Vec::new(), Vec::new());
    for piece in pieces {
        let fits = piece.chars().count() <= WORD_CHARS_MAX && fit.len() < PIECES_MAX;
        if fits { fit.push(piece.to_owned()) } else { rest.push(piece.to_owned()) }
    }
    let rest = if rest.is_empty() { rest } else { vec![rest.join("、")] };
    (fit, rest)
}

/// Splits the telephone number of at least so many digits off the words around it.
fn split_phone(piece: &str, digits_min: usize) -> Option<(String, String)> {
    let characters: Vec<char> = folded(piece).chars().collect();
    let belongs = |character: &char| {
        character.is_ascii_digit() || matches!(character, '-' | ' ' | '(' | ')' | '+' | '转')
    };
    let digits = |run: &[char]| run.iter().filter(|character| character.is_ascii_digit()).count();
    let runs: Vec<&[char]> = characters.chunk_by(|one, next| belongs(one) == belongs(next)).collect();
    let number =
        runs.iter().enumerate().filter(|(_, run)| belongs(&run[0])).max_by_key(|(_, run)| digits(run))?;
    if digits(number.1) < digits_min {
        return None;
    }
    let words: Vec<String> = runs
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != number.0)
        .map(|(_, run)| run.iter().collect())
        .collect();
    let words = words
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .trim_matches([':', ',', '(', ')', '-'])
        .trim()
        .to_owned();
    let words = if bare(&words).is_empty() { String::new() } else { words };
    let number: String = number.1.iter().collect();
    Some((words, number.trim_matches([' ', '(', ')', '-', '转']).to_owned()))
}
