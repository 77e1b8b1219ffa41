//! Whole sheets through the import into a book in memory that judges every edit by the schema.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use proptest::prelude::*;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
use shared::client::{Client, Output, Profile};
use shared::document::Kind;
use shared::document::schema::{Content, Place, Scalar, schema};
use shared::edit::{Edit, Patch, Value};
use shared::entropy::Entropy;
use shared::id::{DeviceId, DocId, PersonId};
use shared::ledger::{Person, Role as LedgerRole};
use shared::time::{Now, UtcMillis};
use shared::view::{Answer, Query};

use super::book::{Book, KnownCard, KnownCustomer, KnownVisit};
use super::followups::{Plan, Sheet, apply, parse, plan, plan_in};
use super::grid::SheetError;
use super::outcome::{Report, RowStatus};
use super::width::{bare, half_width};

/// Documents as plain fields by path.
#[derive(Default)]
struct MemoryBook {
    cards: BTreeMap<DocId, BTreeMap<String, String>>,
    visits: BTreeMap<DocId, (DocId, BTreeMap<String, String>)>,
}

impl MemoryBook {
    fn make(&mut self, plan: &Plan) {
        for (_, edit) in &plan.edits {
            match edit.clone() {
                Edit::CreateCustomer { customer, fields } => {
                    assert!(self.cards.insert(customer, BTreeMap::new()).is_none(), "made once");
                    write(self.cards.get_mut(&customer).expect("just made"), Kind::Customer, fields);
                }
                Edit::EditCustomer { customer, fields } => {
                    write(self.cards.get_mut(&customer).expect("known"), Kind::Customer, fields);
                }
                Edit::CreateVisit { visit, customer, fields } => {
                    assert!(self.cards.contains_key(&customer), "the card comes first");
                    assert!(self.visits.insert(visit, (customer, BTreeMap::new())).is_none(), "made once");
                    let fields = {
                        write(&mut self.visits.get_mut(&visit).expect("just made").1, Kind::Visit, fields)
                    };
                    assert!(fields, "a visit is never empty");
                }
                Edit::EditVisit { visit, fields } => {
                    write(&mut self.visits.get_mut(&visit).expect("known").1, Kind::Visit, fields);
                }
                other => panic!("an import makes no such edit: {other:?}"),
            }
        }
    }

    /// The visits of a customer in order of their days: `day|kind|record|counter-measure|quotes`.
    fn drawn(&self, name: &str) -> Vec<String> {
        let (id, _) = self.cards.iter().find(|(_, card)| card["name"] == name).expect("a customer");
        let mut visits: Vec<String> = self
            .visits
            .values()
            .filter(|(customer, _)| customer == id)
            .map(|(_, visit)| {
                let get = |key: &str| visit.get(key).cloned().unwrap_or_default();
                let records: BTreeSet<(String, String)> = visit
                    .keys()
                    .filter_map(|path| {
                        let id = path.strip_prefix("quotes/")?.split('/').next()?;
                        Some((visit[&format!("quotes/{id}/position")].clone(), id.to_owned()))
                    })
                    .collect();
                let quotes: Vec<String> = records
                    .iter()
                    .map(|(_, id)| {
                        let part = |key: &str| {
                            visit.get(&format!("quotes/{id}/{key}")).cloned().unwrap_or("-".to_owned())
                        };
                        format!("{} {} {} {}", part("product"), part("pack"), part("price_fen"), part("unit"))
                    })
                    .collect();
                let fields = [get("at"), get("record"), get("countermeasure"), quotes.join(" + ")];
                fields.join("|").trim_end_matches('|').to_owned()
            })
            .collect();
        visits.sort();
        visits
    }
}

/// Writes a patch as the document would, and says whether a record came of it.
fn write(fields: &mut BTreeMap<String, String>, kind: Kind, patch: Patch) -> bool {
    for (path, value) in patch {
        let place = schema(kind).place(&path).unwrap_or_else(|| panic!("no place {path}"));
        let field = match place {
            Place::Field(field) | Place::RecordField { field, .. } => field,
            Place::Record { .. } => {
                assert_eq!(value, Value::Null);
                fields.retain(|other, _| !other.starts_with(&format!("{path}/")));
                continue;
            }
        };
        assert!(field.typed, "{path} is not typed by anybody");
        let text = match (field.content, &value) {
            (Content::Text { max }, Value::Str(text) | Value::Text { text, .. }) => {
                assert!(text.chars().count() <= max, "{path} is too long");
                Some(text.clone())
            }
            (content, value) => {
                match content.accept(value).unwrap_or_else(|| panic!("{path} does not hold {value:?}")) {
                    Some(Scalar::Str(text)) => Some(text),
                    Some(scalar) => Some(scalar.to_string()),
                    None => None,
                }
            }
        };
        match text {
            Some(text) => fields.insert(path, text),
            None => fields.remove(&path),
        };
    }
    fields.get("record").is_some_and(|record| !record.trim().is_empty())
}

impl Book for MemoryBook {
    fn person(&mut self) -> Option<(PersonId, String)> {
        Some((PersonId([7; 16]), "陈志远".to_owned()))
    }

    fn customers(&mut self) -> Vec<KnownCustomer> {
        let known = |(id, card): (&DocId, &BTreeMap<String, String>)| KnownCustomer {
            id: *id,
            name: card["name"].clone(),
            short_name: card.get("short_name").cloned(),
            mine: true,
        };
        self.cards.iter().map(known).collect()
    }

    fn card(&mut self, id: DocId) -> Option<KnownCard> {
        let card = self.cards.get(&id)?;
        let mut known = KnownCard::default();
        for (path, text) in card {
            match path.split('/').collect::<Vec<_>>().as_slice() {
                [field] => drop(known.fields.insert((*field).to_owned(), text.clone())),
                ["phones", _, "number"] => known.phones.push(text.clone()),
                [records, _, "name" | "product" | "type"] => {
                    known.names.entry((*records).to_owned()).or_default().insert(bare(text));
                }
                _ => {}
            }
        }
        Some(known)
    }

    fn visit(&mut self, id: DocId) -> Option<KnownVisit> {
        let (_, visit) = self.visits.get(&id)?;
        let mut known = KnownVisit { import_key: visit.get("import_key").cloned(), ..KnownVisit::default() };
        for path in visit.keys() {
            if let [records, id, _] = path.split('/').collect::<Vec<_>>().as_slice() {
                let ids: &mut Vec<String> = known.records.entry((*records).to_owned()).or_default();
                if !ids.iter().any(|known| known == id) {
                    ids.push((*id).to_owned());
                }
            }
        }
        Some(known)
    }
}

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 22).expect("a day")
}

fn import(book: &mut MemoryBook, sheet: &Sheet) -> Report {
    let plan = plan_in(book, today(), sheet);
    book.make(&plan);
    plan.report
}

fn csv(rows: &[&[&str]]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    rows.iter().for_each(|row| writer.write_record(*row).expect("a row"));
    writer.into_inner().expect("a file")
}

fn sheet(rows: &[&[&str]]) -> Sheet {
    parse(&csv(rows), "跟进.csv").expect("an honest sheet")
}

/// The codes of the remarks on a row.
fn codes(report: &Report, row: usize) -> Vec<String> {
    let code = |note| serde_json::to_value(note).expect("JSON")["code"].as_str().expect("a code").to_owned();
    report.rows[row].notes.iter().map(code).collect()
}

const HEADER: &[&str] = &[
    "客户名称",
    "第一次访谈",
    "对策",
    "第二访谈",
    "对策",
    "第三次访…",
    "对策",
    "第一次报价",
    "第四次访谈",
    "对策",
    "第二次报价",
];

#[test]
fn imp_4_a_row_becomes_visits_with_their_counter_measures_and_quotes_in_order() {
    let row: &[&str] = &[
        "远腾精密机械（台资）",
        "25/11/08 拜访采购王工，现用某品牌46#，月用量6桶",
        "送样一桶试用",
        "4/3/09 试样反馈泡沫多",
        "换抗泡型再试",
        "2009-03-20 试用合格",
        "报价",
        "46#液压油 200L1850/桶；68#导轨油 18L/桶 310元",
        "2009.4.2 催单\n15/4/09 已下单两桶",
        "跟进付款",
        "18L/桶 260元",
    ];
    let mut book = MemoryBook::default();
    let report = import(&mut book, &sheet(&[HEADER, row]));
    assert_eq!(
        book.drawn("远腾精密机械"),
        [
            "2008-11-25|拜访采购王工，现用某品牌46#，月用量6桶|送样一桶试用",
            "2009-03-04|试样反馈泡沫多|换抗泡型再试",
            "2009-03-20|试用合格|报价|46#液压油 200L 185000 桶 + 68#导轨油 18L/桶 31000 桶",
            "2009-04-02|催单",
            "2009-04-15|已下单两桶|跟进付款|- 18L/桶 26000 桶",
        ]
    );
    let card = book.cards.values().next().expect("a card");
    assert_eq!((card["name"].as_str(), card["capital"].as_str()), ("远腾精密机械", "台资"));
    assert_eq!(report.rows[0].status, RowStatus::New);
    assert_eq!((report.totals.visits_new, report.totals.quotes), (5, 3));
    assert!(codes(&report, 0).contains(&"countermeasure_to_last".to_owned()));
}

#[test]
fn imp_9_a_second_run_changes_nothing_and_a_corrected_cell_changes_its_own_visit() {
    let rows: &[&[&str]] = &[
        HEADER,
        &[
            "远腾精密机械（台资）",
            "25/11/08 拜访王工",
            "送样",
            "4/3/09 试样",
            "",
            "",
            "",
            "46#液压油 200L 1850；68#导轨油 18L 310",
        ],
        &["合和五金", "初次电话，无日期", "", "2009-5-1 见到陈总"],
    ];
    let mut book = MemoryBook::default();
    import(&mut book, &sheet(rows));
    let (cards, visits) = (book.cards.clone(), book.visits.clone());
    let again = plan_in(&mut book, today(), &sheet(rows));
    assert_eq!(again.edits, []);
    assert!(again.report.rows.iter().all(|row| row.status == RowStatus::Unchanged));
    assert_eq!(again.report.totals.visits_unchanged, 4);

    let corrected = &[
        "远腾精密机械（台资）",
        "25/11/08 拜访王工",
        "送样",
        "4/3/09 试样不合格",
        "换油",
        "",
        "",
        "46#液压油 200L 1800",
    ];
    let report = import(&mut book, &sheet(&[HEADER, corrected, rows[2]]));
    assert_eq!(
        report.rows.iter().map(|row| row.status).collect::<Vec<_>>(),
        [RowStatus::Updated, RowStatus::Unchanged]
    );
    assert_eq!((report.totals.visits_updated, report.totals.visits_new), (1, 0));
    assert_eq!(
        book.drawn("远腾精密机械"),
        ["2008-11-25|拜访王工|送样", "2009-03-04|试样不合格|换油|46#液压油 200L 180000 -"]
    );
    assert_eq!((book.cards.len(), book.visits.len()), (cards.len(), visits.len()));
}

#[test]
fn imp_9_what_a_person_made_of_an_imported_visit_is_left_alone_while_the_cell_is_the_same() {
    let rows: &[&[&str]] = &[HEADER, &["远腾精密机械", "25/11/08 拜访王工"]];
    let mut book = MemoryBook::default();
    import(&mut book, &sheet(rows));
    let visit = book.visits.values_mut().next().expect("a visit");
    visit.1.insert("record".to_owned(), "拜访王工，补充：还见到了李厂长".to_owned());
    assert_eq!(plan_in(&mut book, today(), &sheet(rows)).edits, []);
}

#[test]
fn imp_9_an_entry_that_left_the_sheet_is_kept_and_said() {
    let mut book = MemoryBook::default();
    import(&mut book, &sheet(&[HEADER, &["远腾精密机械", "25/11/08 拜访\n4/3/09 送样"]]));
    let report = import(&mut book, &sheet(&[HEADER, &["远腾精密机械", "25/11/08 拜访"]]));
    assert_eq!(codes(&report, 0), ["entry_left"]);
    assert_eq!(book.visits.len(), 2);
}

#[test]
fn imp_8_a_customer_is_found_by_the_forms_of_its_name_and_its_card_is_never_overwritten() {
    let mut book = MemoryBook::default();
    let known = |name: &str, address: &str| {
        [("name", name), ("address", address)]
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .into_iter()
            .collect()
    };
    book.cards.insert(DocId([1; 16]), known("远腾精密机械（东莞）有限公司", "长安镇"));
    book.cards.insert(DocId([2; 16]), known("合和五金有限公司", ""));
    book.cards.get_mut(&DocId([2; 16])).expect("known").remove("address");
    book.cards.insert(DocId([3; 16]), known("同名厂", "甲地"));
    book.cards.insert(DocId([4; 16]), known("同名厂", "乙地"));
    let header: &[&str] = &["序号", "客户名称", "联系人", "电话", "地址", "付款方式", "第1次访谈"];
    let report = import(
        &mut book,
        &sheet(&[
            header,
            &[
                "1",
                "远腾精密机械(东莞)有限公司（台资）",
                "王工",
                "13800001234",
                "虎门镇",
                "月结30天",
                "25/11/08 拜访",
            ],
            &["2", "合和五金", "陈总、李工 13900005678", "0769-88881234/13700004321", "大岭山", "", ""],
            &["3", "同名厂", "", "", "", "", "25/11/08 拜访"],
            &["", "", "", "", "", "", "没有名称的一行"],
        ]),
    );
    let statuses: Vec<RowStatus> = report.rows.iter().map(|row| row.status).collect();
    assert_eq!(statuses, [RowStatus::Updated, RowStatus::Updated, RowStatus::Problem, RowStatus::Problem]);
    assert_eq!(book.cards.len(), 4);
    let card = &book.cards[&DocId([1; 16])];
    assert_eq!(
        (card["address"].as_str(), card["capital"].as_str(), card["remarks"].as_str()),
        ("长安镇", "台资", "付款方式：月结30天")
    );
    assert!(codes(&report, 0).contains(&"card_differs".to_owned()));
    assert!(codes(&report, 1).contains(&"matched_loosely".to_owned()));
    assert_eq!(codes(&report, 2)[0], "name_ambiguous");
    assert_eq!(codes(&report, 3)[0], "name_missing");
    let phones = book.cards[&DocId([2; 16])]
        .iter()
        .filter(|(path, _)| path.starts_with("phones/") && path.ends_with("/number"));
    assert_eq!(
        phones.map(|(_, number)| number.as_str()).collect::<BTreeSet<_>>(),
        BTreeSet::from(["0769-88881234", "13700004321", "13900005678"])
    );
}

/// The sheet as an office keeps it in a workbook: titles, merged header cells, numbers as telephones, dates
/// as dates, a customer over two rows, a footer.
fn office_workbook() -> Vec<u8> {
    let mut workbook = Workbook::new();
    let plain = Format::new();
    let date = Format::new().set_num_format("yy/m/d");
    let sheet = workbook.add_worksheet();
    sheet.merge_range(0, 0, 0, 8, "重点客户业务跟进表", &plain).expect("a title");
    sheet.write(1, 0, "部门：业务一部").expect("a cell");
    sheet.merge_range(2, 0, 3, 0, "序号", &plain).expect("a header");
    sheet.merge_range(2, 1, 3, 1, "客户名称", &plain).expect("a header");
    sheet.merge_range(2, 2, 3, 2, "联系电话", &plain).expect("a header");
    sheet.merge_range(2, 3, 2, 5, "第一次访谈", &plain).expect("a header");
    sheet.merge_range(2, 6, 2, 8, "第一次报价", &plain).expect("a header");
    for (column, word) in (3..).zip(["日期", "内容", "对策", "产品", "包装", "单价"]) {
        sheet.write(3, column, word).expect("a header");
    }
    let day = ExcelDateTime::from_ymd(2009, 3, 5).expect("a day");
    sheet.merge_range(4, 1, 5, 1, "远腾精密机械（台资）", &plain).expect("a name");
    sheet.write(4, 0, 1).expect("a cell");
    sheet.write(4, 2, 13_800_001_234_f64).expect("a cell");
    sheet.write_with_format(4, 3, &day, &date).expect("a cell");
    sheet.write(4, 4, "拜访采购王工").expect("a cell");
    sheet.write(4, 5, "送样").expect("a cell");
    for (column, word) in (6..).zip(["46#液压油", "200L"]) {
        sheet.write(4, column, word).expect("a cell");
    }
    sheet.write(4, 8, 1850).expect("a cell");
    sheet.write(5, 4, "4/4/09 试样合格").expect("a cell");
    sheet.write(6, 0, "制表：内勤").expect("a footer");
    let other = workbook.add_worksheet();
    other.write(0, 0, "说明页，没有表头").expect("a cell");
    workbook.save_to_buffer().expect("a workbook")
}

#[test]
fn imp_5_a_workbook_as_offices_keep_it_is_understood() {
    let bytes = office_workbook();
    let mut book = MemoryBook::default();
    let report = import(&mut book, &parse(&bytes, "跟进.xlsx").expect("an honest sheet"));
    assert_eq!(
        book.drawn("远腾精密机械"),
        ["2009-03-05|拜访采购王工|送样|46#液压油 200L 185000 -", "2009-04-04|试样合格"]
    );
    let card = book.cards.values().next().expect("a card");
    assert!(card.values().any(|value| value == "13800001234"));
    let outside: Vec<&str> = report.outside.iter().filter_map(|note| note.text.as_deref()).collect();
    assert_eq!(outside, ["重点客户业务跟进表", "部门：业务一部", "说明页，没有表头", "制表：内勤"]);
    assert_eq!(plan_in(&mut book, today(), &parse(&bytes, "x.xlsx").expect("again")).edits, []);
}

#[test]
fn imp_2_what_is_no_sheet_is_a_named_error() {
    let errors = [
        (parse(b"", "a.csv"), SheetError::Empty),
        (parse(b" \n ,,\n", "a.csv"), SheetError::Empty),
        (parse(b"hello", "a.xlsx"), SheetError::Damaged),
        (parse(b"PK\x03\x04 broken", "a.xlsx"), SheetError::Damaged),
        (parse(&[0xD0, 0xCF, 0x11, 0xE0, 0, 0], "a.xls"), SheetError::OldOrProtected),
        (parse(&csv(&[&["甲", "乙"], &["丙", "丁"]]), "a.csv"), SheetError::NoHeader),
        (parse(&[0xFF; 100], "a.csv"), SheetError::NotASheet),
    ];
    for (result, expected) in errors {
        assert_eq!(result, Err(expected.clone()));
        assert!(!expected.zh().is_empty() && !expected.en().is_empty());
    }
}

#[test]
fn imp_7_texts_beyond_a_record_go_on_in_another_and_products_beyond_a_field_stay_text() {
    let long = "长".repeat(30_000);
    let product = format!("{} 200L 1850元", "油".repeat(300));
    let rows: &[&[&str]] =
        &[HEADER, &["远腾精密机械", &format!("25/11/08 {long}"), &long, "", "", "", "", &product]];
    let mut book = MemoryBook::default();
    let report = import(&mut book, &sheet(rows));
    assert!(report.rows[0].notes.len() >= 3);
    let kept: usize = book
        .visits
        .values()
        .flat_map(|(_, visit)| {
            ["record", "countermeasure"]
                .map(|key| visit.get(key).map_or(0, |text| text.matches('长').count()))
        })
        .sum();
    assert_eq!(kept, 60_000);
    assert!(book.visits.values().any(|(_, visit)| visit["record"] == product));
}

#[test]
fn imp_10_a_second_capital_nature_beside_another_stays_in_the_remarks() {
    let rows: &[&[&str]] = &[&["客户名称", "第一次访谈", "性质"], &["信达模具 日资", "", "台资"]];
    let mut book = MemoryBook::default();
    import(&mut book, &sheet(rows));
    let card = book.cards.values().next().expect("a card");
    assert_eq!(
        (card["capital"].as_str(), card["remarks"].as_str()),
        ("外资", "企业性质：日资\n企业性质：台资")
    );
}

#[test]
fn imp_5_a_row_of_sums_is_no_customer() {
    let rows: &[&[&str]] =
        &[&["序号", "客户名称", "第一次访谈"], &["1", "合和五金", "拜访"], &["合计", "4家", "12次"]];
    let mut book = MemoryBook::default();
    let report = import(&mut book, &sheet(rows));
    assert_eq!((report.rows.len(), book.cards.len()), (1, 1));
    let outside: Vec<_> = report.outside.iter().filter_map(|note| note.text.as_deref()).collect();
    assert_eq!(outside, ["合计", "4家", "12次"]);
}

/// A phone in memory whose store confirms at once.
struct Phone(Client);

impl Phone {
    fn now() -> Now {
        Now { wall: UtcMillis(1_795_312_800_000), monotonic_ms: 1_000, offset_minutes: 480 }
    }

    fn new() -> Phone {
        let client =
            Client::open(Phone::now(), Entropy::from_seed([3; 32]), Vec::new()).expect("a fresh phone");
        let mut phone = Phone(client);
        let person = Person {
            id: PersonId([7; 16]),
            name: "陈志远".to_owned(),
            role: LedgerRole::Rep,
            team: None,
            active: true,
        };
        let profile =
            Profile { person, team: None, device: DeviceId([9; 16]), server: "http://localhost".to_owned() };
        phone.0.handle_login(Phone::now(), profile);
        phone.drain();
        phone
    }

    fn drain(&mut self) {
        while let Some(output) = self.0.poll_output() {
            if let Output::Store(write) = output {
                self.0.handle_stored(Phone::now(), write.id);
            }
        }
    }

    fn import(&mut self, sheet: &Sheet) -> Report {
        let plan = plan(&mut self.0, Phone::now(), sheet);
        let make = |edit| {
            let made = self.0.handle_edit(Phone::now(), edit);
            self.drain();
            Ok::<_, std::convert::Infallible>(made)
        };
        let Ok(report) = apply(plan, make);
        report
    }
}

#[test]
fn imp_9_the_phones_own_machine_takes_every_edit_and_the_second_run_makes_none() {
    let rows: &[&[&str]] = &[
        &[
            "客户名称",
            "联系人",
            "电话",
            "地址",
            "用量",
            "使用产品",
            "付款方式",
            "第一次访谈",
            "对策",
            "第一次报价",
            "第二次访谈",
        ],
        &[
            "远腾精密机械（台资）",
            "王工",
            "13800001234",
            "长安镇",
            "6桶/月",
            "46#液压油",
            "月结30天",
            "25/11/08 拜访\n4/3/09 送样",
            "跟进",
            "46#抗磨 200L 1850；18L 210元",
            "价格高",
        ],
        &["合和五金", "", "", "", "", "", "", &"长".repeat(25_000), "", "价格待定", ""],
    ];
    let mut phone = Phone::new();
    let first = phone.import(&sheet(rows));
    assert_eq!(first.totals.rows_new, 2, "{:#?}", first.rows);
    assert_eq!((first.totals.visits_new, first.totals.quotes), (6, 2));
    let again = plan(&mut phone.0, Phone::now(), &sheet(rows));
    assert_eq!((again.edits.len(), again.report.totals.visits_unchanged), (0, 6));
    let mut corrected = rows[1].to_vec();
    corrected[9] = "46#抗磨 200L 1800";
    let report = phone.import(&sheet(&[rows[0], &corrected, rows[2]]));
    assert_eq!(
        (report.totals.visits_updated, report.totals.visits_new, report.totals.rows_problem),
        (1, 0, 0)
    );
    let customer = report.rows[0].customer_id.expect("a card");
    let Answer::Timeline(entries) = phone.0.query(Phone::now(), &Query::Timeline { customer }) else {
        panic!("a timeline")
    };
    let quotes: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind == "quote")
        .map(|entry| (entry.at.to_string(), entry.details["price_fen"].as_i64()))
        .collect();
    assert_eq!(quotes, [("2009-03-04".to_owned(), Some(180_000))]);
}

/// The words of a text in half width: runs of letters and runs of digits; 日 may end a date or begin a word.
fn words(text: &str) -> Vec<String> {
    let text: Vec<char> = text.chars().map(half_width).collect();
    let class =
        |character: char| (character.is_alphanumeric(), character.is_ascii_digit(), character == '日');
    text.chunk_by(|one, next| class(*one) == class(*next))
        .filter(|run| run[0].is_alphanumeric())
        .map(|run| run.iter().collect())
        .collect()
}

/// Everything that the documents and the report say, in half width without blanks.
fn pool(book: &MemoryBook, report: &Report) -> String {
    let mut pool = String::new();
    book.cards.values().flat_map(BTreeMap::values).for_each(|text| pool.extend([text, "\n"]));
    for (_, visit) in book.visits.values() {
        for (path, text) in visit {
            let fen = path.ends_with("price_fen").then(|| text.parse::<i64>().expect("a number"));
            let yuan =
                fen.map(|fen| format!("{} {}.{:02} ", fen / 100, fen / 100, fen % 100)).unwrap_or_default();
            pool.extend([&yuan, text.as_str(), "\n"]);
        }
    }
    for row in &report.rows {
        pool.extend([
            row.customer.as_str(),
            "\n",
            row.number.as_deref().unwrap_or(""),
            "\n",
            row.rep.as_deref().unwrap_or(""),
            "\n",
        ]);
        row.notes
            .iter()
            .for_each(|note| pool.extend([note.zh.as_str(), "\n", note.text.as_deref().unwrap_or(""), "\n"]));
    }
    report.outside.iter().for_each(|note| pool.extend([note.text.as_deref().unwrap_or(""), "\n"]));
    report.columns.iter().for_each(|column| pool.extend([column.header.as_str(), "\n"]));
    pool.chars().map(half_width).collect::<String>().to_lowercase()
}

fn cell() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "25/11/08",
        "4/3/09",
        "2009-03-05",
        "2009.3.5",
        "2009年3月5日",
        "39877",
        " ",
        "\n",
        "；",
        "，",
        "。",
        "：",
        "（",
        "）",
        "拜访王工",
        "送样两桶",
        "46#液压油",
        "68#导轨油",
        "200L",
        "18L/桶",
        "1850",
        "1850/桶",
        "260元",
        "３１０元／桶",
        "含税",
        "1,850.50元",
        "12.345",
        "试用合格",
        "前",
        "到厂",
        "台资",
        "远腾",
        "13800001234",
        "0769-88881234",
        "/",
        "-",
        "#",
        "元",
        "价格面议",
        "1850-1900元",
        "第一次访谈",
        "合计",
    ]);
    let built = prop::collection::vec(parts, 0..8).prop_map(|parts| parts.concat());
    prop_oneof![4 => built, 1 => "[ -~一-丟\n]{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn imp_10_no_word_of_a_sheet_is_lost_and_a_second_run_changes_nothing(
        header in prop::collection::vec(prop::sample::select(vec![
            "第一次访谈", "第二访谈", "访谈", "对策", "对策", "第一次报价", "报价", "日期", "联系人", "电话", "地址", "用量", "使用产品", "备注", "业务员",
            "等级", "性质", "付款方式", "需求", "设备", "竞争对手", "职务", "序号", "下次拜访", "",
        ]), 2..9),
        rows in prop::collection::vec((
            prop::sample::select(vec!["远腾精密机械（台资）", "合和五金", "合和五金有限公司", "信达模具 日资", "", "昌明塑胶（东莞）厂"]),
            prop::collection::vec(cell(), 9),
        ), 1..5),
    ) {
        let mut table: Vec<Vec<String>> = vec![["客户名称".to_owned()].into_iter().chain(header.iter().map(|word| (*word).to_owned())).collect()];
        for (name, cells) in &rows {
            table.push([(*name).to_owned()].into_iter().chain(cells.iter().take(header.len()).cloned()).collect());
        }
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        table.iter().for_each(|row| writer.write_record(row).expect("a row"));
        let bytes = writer.into_inner().expect("a file");
        let sheet = match parse(&bytes, "跟进.csv") {
            Ok(sheet) => sheet,
            Err(error) => { prop_assert_eq!(error, SheetError::NoHeader); return Ok(()); }
        };
        let mut book = MemoryBook::default();
        let report = import(&mut book, &sheet);
        let pool = pool(&book, &report);
        for text in table.iter().flatten() {
            for word in words(text) {
                let word = word.to_lowercase();
                let number = word.trim_start_matches('0');
                prop_assert!(pool.contains(&word) || (!number.is_empty() && pool.contains(number)), "lost {:?} of {:?}\n{}", word, text, pool);
            }
        }
        let again = plan_in(&mut book, today(), &sheet);
        prop_assert_eq!(again.edits, vec![]);
    }

    #[test]
    fn imp_2_no_bytes_bring_the_import_down(bytes in prop::collection::vec(any::<u8>(), 0..600), name in "[a-z]{1,3}\\.(csv|xlsx)") {
        if let Ok(sheet) = parse(&bytes, &name) {
            import(&mut MemoryBook::default(), &sheet);
        }
    }
}
