//! The documents of every workload: the first of them are customer cards, the rest visits, with the words of
//! `bench/peers/phrases.json`, index by index those of `bench/peers/documents.mjs`. Here they are edits,
//! because that is what a phone makes.

use serde::Deserialize;
use shared::edit::{Edit, Patch, Value};
use shared::id::DocId;

/// Customers in a set; the rest are visits.
pub const CUSTOMERS: usize = 300;

/// The lists of words.
#[derive(Deserialize)]
pub struct Phrases {
    company: Vec<String>,
    trade: Vec<String>,
    place: Vec<String>,
    surname: Vec<String>,
    title: Vec<String>,
    visit_kind: Vec<String>,
    purpose: Vec<String>,
    record: Vec<String>,
    countermeasure: Vec<String>,
    product: Vec<String>,
    result: Vec<String>,
}

fn pick(words: &[String], index: usize, step: usize) -> Value {
    Value::Str(word(words, index, step).to_owned())
}

fn word(words: &[String], index: usize, step: usize) -> &str {
    &words[(index * step + index / 7) % words.len()]
}

fn patch<const N: usize>(fields: [(&str, Value); N]) -> Patch {
    fields.into_iter().map(|(path, value)| (path.to_owned(), value)).collect()
}

impl Phrases {
    /// Reads the lists that are built in.
    pub fn load() -> Self {
        serde_json::from_str(include_str!("../../peers/phrases.json")).expect("the file is checked in")
    }

    /// The edit that makes the customer with this number.
    pub fn customer(&self, customer: DocId, index: usize) -> Edit {
        let place = word(&self.place, index, 3);
        let company = word(&self.company, index, 5);
        let trade = word(&self.trade, index, 7);
        let fields = patch([
            ("name", Value::Str(format!("{place}{company}{trade}有限公司{index}"))),
            ("short_name", Value::Str(format!("{company}{trade}"))),
            ("capital", "内资".into()),
            ("industry", "生产制造".into()),
            ("address", Value::Str(format!("{place}工业大道{}号", index + 1))),
            ("phones/phone0001/number", Value::Str(format!("138{:08}", index % 100_000_000))),
            ("phones/phone0001/label", "办公室".into()),
            ("contacts/contact01/name", Value::Str(format!("{}经理", word(&self.surname, index, 2)))),
            ("contacts/contact01/title", pick(&self.title, index, 5)),
            ("contacts/contact01/phone", Value::Str(format!("139{:08}", index % 100_000_000))),
            ("equipment/equip0001/type", "加工中心".into()),
            ("equipment/equip0001/count", Value::Int(5 + (index % 20) as i64)),
            ("need", pick(&self.purpose, index, 3)),
        ]);
        Edit::CreateCustomer { customer, fields }
    }

    /// The edit that makes the visit with this number.
    pub fn visit(&self, visit: DocId, customer: DocId, index: usize) -> Edit {
        let day = format!("2026-{:02}-{:02}", 1 + index % 10, 1 + index % 28);
        let fields = patch([
            ("visit_kind", pick(&self.visit_kind, index, 1)),
            ("arrived", Value::Str(format!("{day}T09:10:00+08:00"))),
            ("left", Value::Str(format!("{day}T10:05:00+08:00"))),
            ("purpose", pick(&self.purpose, index, 3)),
            ("record", pick(&self.record, index, 2)),
            ("countermeasure", pick(&self.countermeasure, index, 3)),
            ("products/product01/name", pick(&self.product, index, 2)),
            ("result", pick(&self.result, index, 2)),
            ("next_actions/action001/text", pick(&self.countermeasure, index, 1)),
            ("next_actions/action001/day", "2026-11-30".into()),
        ]);
        Edit::CreateVisit { visit, customer, fields }
    }
}

/// Fields of free words, of which every document has one.
const WORDS: [&str; 5] = ["name", "address", "record", "size", "status_after"];

/// The same edit with a canary in its words.
pub fn with_canary(mut edit: Edit, canary: &str) -> Edit {
    if let Edit::CreateCustomer { fields, .. }
    | Edit::EditCustomer { fields, .. }
    | Edit::CreateVisit { fields, .. }
    | Edit::EditVisit { fields, .. } = &mut edit
    {
        let marked = |(path, value): (&String, &Value)| match value {
            Value::Str(text) if WORDS.contains(&path.as_str()) => {
                (path.clone(), Value::Str(format!("{text}{canary}")))
            }
            value => (path.clone(), value.clone()),
        };
        *fields = fields.iter().map(marked).collect();
    }
    edit
}

/// The edit that every workload makes to a visit that exists.
pub fn visit_edit(visit: DocId, round: usize) -> Edit {
    Edit::EditVisit { visit, fields: patch([("status_after", Value::Str(format!("changed {round}")))]) }
}

/// The edit that every workload makes to a card that exists.
pub fn customer_edit(customer: DocId, round: usize) -> Edit {
    Edit::EditCustomer { customer, fields: patch([("size", Value::Str(format!("changed {round}")))]) }
}
