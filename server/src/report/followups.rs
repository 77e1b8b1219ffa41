//! The follow-up sheet as offices keep it (one row per customer; 第一次访谈, 对策, …, 第一次报价): from bytes to
//! a plan of edits to a report. The edits go through the phone's own machine, like anything typed. Every id
//! is derived from the importing person and the place in the sheet, so that a second run changes nothing and
//! a corrected cell changes its own visit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use sha2::{Digest, Sha256};
use shared::client::Client;
use shared::edit::{Edit, Patch, Value};
use shared::id::{DocId, PersonId};
use shared::limits::WORD_CHARS_MAX;
use shared::refusal::Refusal;
use shared::time::Now;

use super::book::{Book, KnownCard, KnownCustomer, KnownVisit, PhoneBook};
use super::grid::{Grid, GridRow, SheetError, column_name, place};
use super::header::{self, Header, Role, classify};
use super::nature::split_nature;
use super::outcome::{ColumnReport, NoteReport, Report, RowReport, RowStatus, excerpt};
use super::reading::{CellRemark, RowDraft, VisitDraft, read_row};
use super::remark::Remark;
use super::width::bare;
use super::{delimited, workbook};

/// A file as read: its tables, and what stands outside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// The file's name, for the report.
    pub file_name: String,
    tables: Vec<Table>,
    outside: Vec<(String, CellRemark)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    grid: Grid,
    header: Header,
}

/// Reads a file in this process. For files of strangers use [`super::worker::parse`], which reads workbooks
/// in a limited child process.
///
/// # Errors
/// Every [`SheetError`] except those about the child process.
pub fn parse(bytes: &[u8], file_name: &str) -> Result<Sheet, SheetError> {
    parse_with(bytes, file_name, workbook::read)
}

/// Reads a file; `read_workbook` reads an .xlsx.
pub(super) fn parse_with(
    bytes: &[u8],
    file_name: &str,
    read_workbook: impl FnOnce(&[u8]) -> Result<Vec<Grid>, SheetError>,
) -> Result<Sheet, SheetError> {
    if bytes.is_empty() {
        return Err(SheetError::Empty);
    }
    let is_workbook = workbook::looks_like_workbook(bytes);
    let lower = file_name.to_lowercase();
    if workbook::looks_like_old_workbook(bytes) {
        return Err(SheetError::OldOrProtected);
    }
    if !is_workbook && (lower.ends_with(".xlsx") || lower.ends_with(".xlsm")) {
        return Err(SheetError::Damaged);
    }
    let grids = if is_workbook { read_workbook(bytes)? } else { vec![delimited::read(bytes)?] };
    if grids.iter().all(|grid| grid.rows.is_empty()) {
        return Err(SheetError::Empty);
    }
    let mut sheet = Sheet { file_name: file_name.to_owned(), tables: Vec::new(), outside: Vec::new() };
    for grid in grids {
        match header::find(&grid) {
            Some(header) => {
                let titles = grid.rows.iter().take_while(|row| row.row < header.first_row);
                titles.for_each(|row| outside(&mut sheet.outside, &grid.name, row));
                sheet.tables.push(Table { grid, header });
            }
            None => grid.rows.iter().for_each(|row| outside(&mut sheet.outside, &grid.name, row)),
        }
    }
    if sheet.tables.is_empty() { Err(SheetError::NoHeader) } else { Ok(sheet) }
}

fn outside(outside: &mut Vec<(String, CellRemark)>, sheet: &str, row: &GridRow) {
    outside.extend(row.cells.iter().map(|cell| {
        let text = Some(cell.text.clone());
        (
            sheet.to_owned(),
            CellRemark { cell: place(row.row, cell.column), remark: Remark::OutsideTable, text },
        )
    }));
}

/// What an import will do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The report, as if every edit passed.
    pub report: Report,
    /// The edits in order, each with the index of its row in the report.
    pub edits: Vec<(usize, Edit)>,
}

/// Plans an import into this phone. Nothing is written. A phone without a login plans nothing.
pub fn plan(client: &mut Client, now: Now, sheet: &Sheet) -> Plan {
    let today = now.wall.day(now.offset_minutes).unwrap_or(NaiveDate::MIN);
    plan_in(&mut PhoneBook { client, now }, today, sheet)
}

/// Plans an import into a book.
pub fn plan_in(book: &mut impl Book, today: NaiveDate, sheet: &Sheet) -> Plan {
    let report = Report { file: sheet.file_name.clone(), dry_run: true, ..Report::default() };
    let Some((person, person_name)) = book.person() else {
        return Plan { report, edits: Vec::new() };
    };
    let index = NameIndex::new(book.customers());
    let plan = Plan { report, edits: Vec::new() };
    let mut planner = Planner {
        book,
        today,
        person,
        person_name,
        index,
        cards: HashMap::new(),
        rows_of: HashMap::new(),
        plan,
    };
    planner.plan.report.outside =
        sheet.outside.iter().map(|(name, note)| NoteReport::new(name, note.clone())).collect();
    for (ordinal, table) in sheet.tables.iter().enumerate() {
        planner.plan_table(ordinal, table);
    }
    planner.plan.report.count();
    planner.plan
}

/// Makes the planned edits through `make`, which hands one to the phone's machine and has it stored. A refused
/// edit turns its row into a problem and the others go on.
///
/// # Errors
/// What `make` fails with, apart from refusals.
pub fn apply<T, E>(
    plan: Plan,
    mut make: impl FnMut(Edit) -> Result<Result<T, Refusal>, E>,
) -> Result<Report, E> {
    let Plan { mut report, edits } = plan;
    report.dry_run = false;
    let mut without_card: BTreeSet<DocId> = BTreeSet::new();
    for (row, edit) in edits {
        let visit_of = match &edit {
            Edit::CreateVisit { customer, .. } => Some(*customer),
            _ => None,
        };
        if visit_of.is_some_and(|customer| without_card.contains(&customer)) {
            continue;
        }
        let card = match &edit {
            Edit::CreateCustomer { customer, .. } => Some(*customer),
            _ => None,
        };
        if let Err(refusal) = make(edit)? {
            without_card.extend(card);
            report.rows[row].refuse(&refusal);
        }
    }
    report.count();
    Ok(report)
}

/// Customers by the forms of their names.
struct NameIndex {
    customers: Vec<KnownCustomer>,
    exact: HashMap<String, Vec<usize>>,
    loose: HashMap<String, Vec<usize>>,
}

enum Match {
    One(DocId),
    Loosely(DocId, String),
    Many,
    None,
}

impl NameIndex {
    fn new(customers: Vec<KnownCustomer>) -> Self {
        let (mut exact, mut loose) =
            (HashMap::<String, Vec<usize>>::new(), HashMap::<String, Vec<usize>>::new());
        for (index, customer) in customers.iter().enumerate() {
            for name in [Some(&customer.name), customer.short_name.as_ref()].into_iter().flatten() {
                let name = bare(name);
                let stem = without_form(&name).to_owned();
                for (map, key) in [(&mut exact, name), (&mut loose, stem)] {
                    let known = map.entry(key).or_default();
                    if known.last() != Some(&index) {
                        known.push(index);
                    }
                }
            }
        }
        Self { customers, exact, loose }
    }

    fn find(&self, name: &str, own: DocId) -> Match {
        let name = bare(name);
        let found = |map: &HashMap<String, Vec<usize>>, key: &str| map.get(key).cloned().unwrap_or_default();
        let exact = found(&self.exact, &name);
        if !exact.is_empty() {
            return self.choose(&exact, own).map_or(Match::Many, Match::One);
        }
        if self.customers.iter().any(|customer| customer.id == own) {
            return Match::One(own);
        }
        match found(&self.loose, without_form(&name)).as_slice() {
            [] => Match::None,
            [one] => Match::Loosely(self.customers[*one].id, self.customers[*one].name.clone()),
            _ => Match::Many,
        }
    }

    fn choose(&self, candidates: &[usize], own: DocId) -> Option<DocId> {
        let ids = |test: &dyn Fn(&KnownCustomer) -> bool| {
            let fit =
                candidates.iter().map(|index| &self.customers[*index]).filter(|customer| test(customer));
            let ids: Vec<DocId> = fit.map(|customer| customer.id).collect();
            if let [one] = ids.as_slice() { Some(*one) } else { None }
        };
        ids(&|customer| customer.id == own)
            .or_else(|| ids(&|_| true))
            .or_else(|| ids(&|customer| customer.mine))
    }
}

/// A bare name without the words for its legal form.
fn without_form(name: &str) -> &str {
    let forms = ["股份有限公司", "有限责任公司", "有限公司", "公司"];
    let stem = forms.iter().find_map(|form| name.strip_suffix(form)).unwrap_or(name);
    if stem.is_empty() { name } else { stem }
}

struct Planner<'a, B: Book> {
    book: &'a mut B,
    today: NaiveDate,
    person: PersonId,
    person_name: String,
    index: NameIndex,
    /// Cards as they will be after the edits planned so far.
    cards: HashMap<DocId, KnownCard>,
    /// How many rows a customer has had in the table.
    rows_of: HashMap<(usize, String), usize>,
    plan: Plan,
}

/// What stands alone before the name's column in a row of sums.
const TOTALS: [&str; 3] = ["合计", "总计", "小计"];

/// Words that begin the first cell of a row below the customers.
const FOOTERS: [&str; 10] = ["合计", "总计", "小计", "制表", "审核", "填表", "备注", "说明", "注", "核准"];

impl<B: Book> Planner<'_, B> {
    fn plan_table(&mut self, ordinal: usize, table: &Table) {
        let Table { grid, header } = table;
        self.plan.report.columns.extend(header.columns.iter().map(|column| ColumnReport {
            sheet: grid.name.clone(),
            column: column_name(column.column),
            header: column.header.clone(),
            role: role_name(column.role),
        }));
        for row in grid.rows.iter().skip_while(|row| row.row <= header.last_row) {
            let own = row.cell(header.name_column).map(|cell| cell.text.as_str());
            let merged =
                || grid.merged_into(row.row, header.name_column).filter(|first| first.0 > header.last_row);
            let name = own.or_else(|| {
                merged().and_then(|(row, column)| grid.cell(row, column)).map(|cell| cell.text.as_str())
            });
            if is_outside(header, row, name) {
                let mut notes = Vec::new();
                outside(&mut notes, &grid.name, row);
                self.plan
                    .report
                    .outside
                    .extend(notes.into_iter().map(|(sheet, note)| NoteReport::new(&sheet, note)));
                continue;
            }
            self.plan_row(ordinal, table, row, name);
        }
    }

    fn plan_row(&mut self, ordinal: usize, table: &Table, row: &GridRow, name: Option<&str>) {
        let header = &table.header;
        let name_cell = place(row.row, header.name_column);
        let bare_name = name.map(|name| bare(&split_nature(name).0)).unwrap_or_default();
        if bare_name.is_empty() {
            return self.problem(table, row, name_cell, Remark::NameMissing);
        }
        let draft = read_row(header, row, name.unwrap_or_default(), self.today);
        if draft.name.chars().count() > WORD_CHARS_MAX {
            return self.problem(table, row, name_cell, Remark::NameTooLong);
        }
        let occurrence = self.rows_of.entry((ordinal, bare_name.clone())).or_default();
        let nth = *occurrence;
        *occurrence += 1;
        let own = derived(self.person, &["customer", &bare_name]);
        let matched =
            if self.cards.contains_key(&own) { Match::One(own) } else { self.index.find(&draft.name, own) };
        let mut notes = Vec::new();
        let customer = match matched {
            Match::Many => return self.problem(table, row, name_cell, Remark::NameAmbiguous),
            Match::One(id) => Some(id),
            Match::Loosely(id, name) => {
                notes.push(CellRemark {
                    cell: name_cell.clone(),
                    remark: Remark::MatchedLoosely { name },
                    text: None,
                });
                Some(id)
            }
            Match::None => None,
        };
        if nth > 0 {
            notes.push(CellRemark { cell: name_cell, remark: Remark::CustomerRepeated, text: None });
        }
        let mut report = RowReport {
            sheet: table.grid.name.clone(),
            row: row.row + 1,
            number: draft.number.clone(),
            customer: draft.name.clone(),
            customer_id: Some(customer.unwrap_or(own)),
            rep: draft.rep.clone(),
            status: RowStatus::Unchanged,
            visits_new: 0,
            visits_updated: 0,
            visits_unchanged: 0,
            quotes: draft.visits.iter().map(|visit| visit.quotes.len()).sum(),
            notes: Vec::new(),
        };
        let index = self.plan.report.rows.len();
        let edits_before = self.plan.edits.len();
        self.plan_card(index, customer, own, &draft, &mut notes);
        let scope = format!("{bare_name}/{ordinal}/{nth}");
        let customer_id = customer.unwrap_or(own);
        for visit in &draft.visits {
            self.plan_visit(index, customer_id, &scope, &draft, visit, &mut report, &mut notes);
        }
        self.note_left_entries(&scope, header, row, &draft, &mut notes);
        if customer.is_none() {
            report.status = RowStatus::New;
        } else if self.plan.edits.len() > edits_before {
            report.status = RowStatus::Updated;
        }
        report.notes = draft.notes.into_iter().chain(notes).map(|note| NoteReport::new("", note)).collect();
        self.plan.report.rows.push(report);
    }

    /// A row of which nothing is imported: every word of it stands in the report.
    fn problem(&mut self, table: &Table, row: &GridRow, cell: String, remark: Remark) {
        let mut notes = vec![NoteReport::new("", CellRemark { cell, remark, text: None })];
        notes.extend(row.cells.iter().map(|cell| {
            let text = Some(cell.text.clone());
            NoteReport::new(
                "",
                CellRemark { cell: place(row.row, cell.column), remark: Remark::OutsideTable, text },
            )
        }));
        let name = row.cell(table.header.name_column).map(|cell| cell.text.clone()).unwrap_or_default();
        self.plan.report.rows.push(RowReport {
            sheet: table.grid.name.clone(),
            row: row.row + 1,
            number: None,
            customer: name,
            customer_id: None,
            rep: None,
            status: RowStatus::Problem,
            visits_new: 0,
            visits_updated: 0,
            visits_unchanged: 0,
            quotes: 0,
            notes,
        });
    }

    /// Fills what a card lacks and never overwrites what it says.
    fn plan_card(
        &mut self,
        index: usize,
        customer: Option<DocId>,
        own: DocId,
        draft: &RowDraft,
        notes: &mut Vec<CellRemark>,
    ) {
        let id = customer.unwrap_or(own);
        let mut card = match (self.cards.remove(&id), customer) {
            (Some(card), _) => card,
            (None, Some(_)) => self.book.card(id).unwrap_or_default(),
            (None, None) => KnownCard::default(),
        };
        let mut patch = Patch::new();
        if customer.is_none() {
            patch.insert("name".to_owned(), draft.name.as_str().into());
        }
        for (key, (cell, text)) in &draft.fields {
            match card.fields.get(*key) {
                None => {
                    card.fields.insert((*key).to_owned(), text.clone());
                    patch.insert((*key).to_owned(), text.as_str().into());
                }
                Some(present) if bare(present) == bare(text) => {}
                Some(present) => notes.push(CellRemark {
                    cell: cell.clone(),
                    remark: Remark::CardDiffers { present: excerpt(present) },
                    text: Some(text.clone()),
                }),
            }
        }
        add_contacts(&mut patch, &mut card, draft, notes);
        add_phones(&mut patch, &mut card, &draft.phones);
        let products: Vec<(&str, Option<&str>)> =
            draft.consumption.iter().map(|(product, amount)| (product.as_str(), amount.as_deref())).collect();
        add_records(&mut patch, &mut card, "consumption", "product", &products, Some("amount"), notes);
        let plain =
            |names: &'_ [String]| names.iter().map(|name| (name.clone(), None::<String>)).collect::<Vec<_>>();
        for (records, key, names) in [
            ("equipment", "type", plain(&draft.equipment)),
            ("competitors", "name", plain(&draft.competitors)),
        ] {
            let names: Vec<(&str, Option<&str>)> =
                names.iter().map(|(name, _)| (name.as_str(), None)).collect();
            add_records(&mut patch, &mut card, records, key, &names, None, notes);
        }
        add_remarks(&mut patch, &mut card, &draft.remarks, notes);
        if customer.is_none() {
            self.plan.edits.push((index, Edit::CreateCustomer { customer: id, fields: patch }));
        } else if !patch.is_empty() {
            self.plan.edits.push((index, Edit::EditCustomer { customer: id, fields: patch }));
        }
        self.cards.insert(id, card);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one visit of one row, and the row's two lists to write into"
    )]
    fn plan_visit(
        &mut self,
        index: usize,
        customer: DocId,
        scope: &str,
        row: &RowDraft,
        visit: &VisitDraft,
        report: &mut RowReport,
        notes: &mut Vec<CellRemark>,
    ) {
        let id = derived(self.person, &["visit", scope, &visit.slot]);
        let mut fields =
            visit_fields(visit, row.rep.as_deref().filter(|rep| bare(rep) != bare(&self.person_name)));
        let key = fingerprint(&fields);
        let note = visit.notes.join("；");
        if !note.is_empty() {
            fields.insert("import_note".to_owned(), Value::Str(note));
        }
        fields.insert("source".to_owned(), "import".into());
        fields.insert("import_key".to_owned(), key.as_str().into());
        match self.book.visit(id) {
            None => {
                report.visits_new += 1;
                self.plan.edits.push((index, Edit::CreateVisit { visit: id, customer, fields }));
            }
            Some(known) if known.import_key.as_deref() == Some(key.as_str()) => report.visits_unchanged += 1,
            Some(known) if known.voided => {
                report.visits_unchanged += 1;
                notes.push(CellRemark {
                    cell: visit.cell.clone(),
                    remark: Remark::VisitVoided,
                    text: Some(visit.record.clone()),
                });
            }
            Some(known) => {
                report.visits_updated += 1;
                remove_stale_records(&mut fields, &known);
                self.plan.edits.push((index, Edit::EditVisit { visit: id, fields }));
            }
        }
    }

    /// Where an earlier import made more entries of a cell than it holds now, says so.
    fn note_left_entries(
        &mut self,
        scope: &str,
        header: &Header,
        row: &GridRow,
        draft: &RowDraft,
        notes: &mut Vec<CellRemark>,
    ) {
        let mut counts: BTreeMap<String, (usize, String)> = BTreeMap::new();
        let (mut visits, mut before) = (0, None);
        for column in &header.columns {
            if let Role::Visit(number, _) = column.role
                && (before != Some(column.role) || number.is_none())
            {
                visits += 1;
                for key in [Some(visits), number].into_iter().flatten() {
                    counts.entry(format!("visit/{key}")).or_insert((0, place(row.row, column.column)));
                }
            }
            before = Some(column.role);
        }
        for visit in &draft.visits {
            if let Some((column, entry)) = visit.slot.rsplit_once('/')
                && let Ok(entry) = entry.parse::<usize>()
                && let Some((count, _)) = counts.get_mut(column)
            {
                *count = (*count).max(entry + 1);
            }
        }
        for (column, (count, cell)) in counts {
            let next = derived(self.person, &["visit", scope, &format!("{column}/{count}")]);
            if self.book.visit(next).is_some_and(|known| !known.voided) {
                notes.push(CellRemark { cell, remark: Remark::EntryLeft, text: None });
            }
        }
    }
}

/// Whether a row below the header is no customer's: a footer, or the header repeated on a new page.
fn is_outside(header: &Header, row: &GridRow, name: Option<&str>) -> bool {
    let first = row.cells.first().map(|cell| bare(&cell.text)).unwrap_or_default();
    let is_footer = |text: &str| FOOTERS.iter().any(|footer| text.starts_with(footer));
    if name.is_none() {
        return is_footer(&first);
    }
    // 合计 | 4家: what stands in the name's column counts names.
    let before_name = row.cells.first().is_some_and(|cell| cell.column < header.name_column);
    if before_name && TOTALS.contains(&first.as_str()) {
        return true;
    }
    let name = name.map(bare).unwrap_or_default();
    let repeated = row.cells.iter().filter(|cell| {
        let column = header.columns.iter().find(|column| column.column == cell.column);
        column.is_some_and(|column| bare(&column.header) == bare(&cell.text))
    });
    let is_repeated = classify(&name) == Role::Name && repeated.count() * 2 > row.cells.len();
    is_repeated || (row.cells.len() <= 3 && is_footer(&name) && !name.contains("公司"))
}

/// The fields of a visit that come from the sheet.
fn visit_fields(visit: &VisitDraft, rep: Option<&str>) -> Patch {
    let mut fields = Patch::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("record", visit.record.as_str().into());
    if !visit.countermeasure.is_empty() {
        put("countermeasure", visit.countermeasure.as_str().into());
    }
    if let Some(day) = visit.day {
        put("at", Value::Str(day.to_string()));
    }
    if let Some(kind) = visit.kind {
        put("visit_kind", kind.into());
    }
    if let Some(rep) = rep {
        put(&format!("our_people/{}/name", record_id(&["our_people", rep])), rep.into());
    }
    for (position, (slot, quote)) in visit.quotes.iter().enumerate() {
        let record = format!("quotes/{}", record_id(&["quotes", slot]));
        put(&format!("{record}/price_fen"), Value::Int(quote.price_fen));
        put(&format!("{record}/position"), Value::Int(position as i64));
        let words =
            [("product", Some(&quote.product)), ("pack", quote.pack.as_ref()), ("unit", quote.unit.as_ref())];
        for (key, word) in words {
            if let Some(word) = word.filter(|word| !word.is_empty()) {
                put(&format!("{record}/{key}"), word.as_str().into());
            }
        }
    }
    fields
}

/// What the import saw in the cell: if it is the same on the next run, whatever a person has made of the
/// visit since is left alone.
fn fingerprint(fields: &Patch) -> String {
    let mut hash = Sha256::new();
    for (key, value) in fields {
        let value = serde_json::to_vec(value).expect("a value of a patch is plain JSON");
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key.as_bytes());
        hash.update((value.len() as u64).to_be_bytes());
        hash.update(&value);
    }
    hex(&hash.finalize()[..12])
}

/// Removes the records that an earlier import made and this one does not, and the fields that a record no
/// longer has.
fn remove_stale_records(fields: &mut Patch, known: &KnownVisit) {
    for (key, ids) in &known.records {
        for id in ids.iter().filter(|id| is_imported_record(id)) {
            let record = format!("{key}/{id}");
            if fields.keys().any(|path| path.strip_prefix(&record).is_some_and(|rest| rest.starts_with('/')))
            {
                for part in ["product", "pack", "unit"].iter().filter(|_| key == "quotes") {
                    let path = format!("{record}/{part}");
                    if !fields.contains_key(&path) {
                        fields.insert(path, Value::Null);
                    }
                }
            } else {
                fields.insert(record, Value::Null);
            }
        }
    }
}

/// A document's id, derived from the person and the place.
fn derived(person: PersonId, parts: &[&str]) -> DocId {
    let mut hash = Sha256::new();
    hash.update(b"daybook import 1");
    hash.update(person.as_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    DocId::from_slice(&hash.finalize()[..16]).expect("sixteen bytes")
}

/// A record's id, derived from what it says. Begins with letters that no drawn id has.
fn record_id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    format!("im{}", hex(&hash.finalize()[..8]))
}

fn is_imported_record(id: &str) -> bool {
    id.len() == 18 && id.starts_with("im")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

fn add_phones(patch: &mut Patch, card: &mut KnownCard, phones: &[String]) {
    for number in phones {
        if card.phones.iter().any(|known| digits(known) == digits(number)) {
            continue;
        }
        let record = format!("phones/{}", record_id(&["phones", &digits(number)]));
        patch.insert(format!("{record}/number"), number.as_str().into());
        patch.insert(format!("{record}/state"), "active".into());
        card.phones.push(number.clone());
    }
}

fn add_contacts(patch: &mut Patch, card: &mut KnownCard, draft: &RowDraft, notes: &mut Vec<CellRemark>) {
    for (name, phone) in &draft.contacts {
        // The card itself needs a telephone before it can be accepted (R3).
        add_phones(patch, card, phone.as_slice());
        if !card.names.entry("contacts".to_owned()).or_default().insert(bare(name)) {
            notes.extend(draft.contact_title.as_deref().map(|title| already_there(name, title)));
            continue;
        }
        let record = format!("contacts/{}", record_id(&["contacts", &bare(name)]));
        patch.insert(format!("{record}/name"), name.as_str().into());
        patch.insert(format!("{record}/state"), "在职".into());
        if let Some(phone) = phone {
            patch.insert(format!("{record}/phone"), phone.as_str().into());
        }
        if let Some(title) = &draft.contact_title {
            patch.insert(format!("{record}/title"), title.as_str().into());
        }
    }
}

/// The card has a record of this name, which is left as it is.
fn already_there(name: &str, text: &str) -> CellRemark {
    CellRemark {
        cell: String::new(),
        remark: Remark::CardDiffers { present: excerpt(name) },
        text: Some(text.to_owned()),
    }
}

fn add_records(
    patch: &mut Patch,
    card: &mut KnownCard,
    records: &str,
    key: &str,
    entries: &[(&str, Option<&str>)],
    second: Option<&str>,
    notes: &mut Vec<CellRemark>,
) {
    let names = card.names.entry(records.to_owned()).or_default();
    for (name, more) in entries {
        if !names.insert(bare(name)) {
            notes.extend(more.map(|more| already_there(name, more)));
            continue;
        }
        let record = format!("{records}/{}", record_id(&[records, &bare(name)]));
        patch.insert(format!("{record}/{key}"), (*name).into());
        if let (Some(second), Some(more)) = (second, more) {
            patch.insert(format!("{record}/{second}"), (*more).into());
        }
    }
}

/// Adds lines to the card's remarks that it does not have yet.
fn add_remarks(patch: &mut Patch, card: &mut KnownCard, lines: &[String], notes: &mut Vec<CellRemark>) {
    let present = card.fields.get("remarks").cloned().unwrap_or_default();
    let mut text = present.clone();
    for line in lines {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() || text.lines().any(|known| known.trim() == line) {
            continue;
        }
        let joined = if text.is_empty() { line.clone() } else { format!("{text}\n{line}") };
        if joined.chars().count() > shared::limits::TEXT_CHARS_MAX {
            notes.push(CellRemark {
                cell: String::new(),
                remark: Remark::TextContinued,
                text: Some(line.clone()),
            });
        } else {
            text = joined;
        }
    }
    if text != present {
        let value = if present.is_empty() {
            Value::Str(text.clone())
        } else {
            Value::Text { base: present, text: text.clone() }
        };
        patch.insert("remarks".to_owned(), value);
        card.fields.insert("remarks".to_owned(), text);
    }
}

fn role_name(role: Role) -> String {
    match role {
        Role::Visit(number, _) => number.map_or("visit".to_owned(), |number| format!("visit {number}")),
        Role::Quote(number) => number.map_or("quote".to_owned(), |number| format!("quote {number}")),
        Role::Unknown => "remarks".to_owned(),
        role => {
            let words = format!("{role:?}");
            let mut name = String::new();
            for (at, letter) in words.char_indices() {
                if letter.is_uppercase() && at > 0 {
                    name.push('_');
                }
                name.push(letter.to_ascii_lowercase());
            }
            name
        }
    }
}
