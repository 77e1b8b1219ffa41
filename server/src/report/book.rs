//! What an import reads before it plans: customers, cards and visits of the phone, or a book in memory for tests.
//! Decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use shared::client::Client;
use shared::id::{DocId, PersonId};
use shared::time::Now;
use shared::view::{Answer, FieldMap, Query};

use super::width::bare;

/// A customer that the phone knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCustomer {
    /// The card.
    pub id: DocId,
    /// The full name.
    pub name: String,
    /// The short name.
    pub short_name: Option<String>,
    /// Whether the importing person owns it.
    pub mine: bool,
}

/// A card that the phone knows, as far as an import looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownCard {
    /// Single-valued fields as text.
    pub fields: BTreeMap<String, String>,
    /// Telephone numbers, retired ones included.
    pub phones: Vec<String>,
    /// By collection key, the names in it (`name`, `product`, `type`).
    pub names: BTreeMap<String, BTreeSet<String>>,
}

/// A visit that the phone knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownVisit {
    /// What the import that made it saw in the cell.
    pub import_key: Option<String>,
    /// Whether it was voided.
    pub voided: bool,
    /// Ids of its records by collection key.
    pub records: BTreeMap<String, Vec<String>>,
}

/// What an import reads before it plans: the phone, or a book in memory.
pub trait Book {
    /// Who imports: id and name.
    fn person(&mut self) -> Option<(PersonId, String)>;
    /// Every customer that the phone knows.
    fn customers(&mut self) -> Vec<KnownCustomer>;
    /// A card.
    fn card(&mut self, id: DocId) -> Option<KnownCard>;
    /// A visit.
    fn visit(&mut self, id: DocId) -> Option<KnownVisit>;
}

/// A phone at a moment.
pub struct PhoneBook<'a> {
    /// The phone's machine.
    pub client: &'a mut Client,
    /// The moment.
    pub now: Now,
}

impl Book for PhoneBook<'_> {
    fn person(&mut self) -> Option<(PersonId, String)> {
        self.client.profile().map(|profile| (profile.person.id, profile.person.name.clone()))
    }

    fn customers(&mut self) -> Vec<KnownCustomer> {
        let me = self.person().map(|(id, _)| id);
        let everybody = Query::Customers { search: String::new(), limit: usize::MAX };
        match self.client.query(self.now, &everybody) {
            Answer::Customers(rows) => rows
                .into_iter()
                .map(|row| KnownCustomer {
                    id: row.id,
                    name: row.name,
                    short_name: row.short_name,
                    mine: row.owner == me,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    fn card(&mut self, id: DocId) -> Option<KnownCard> {
        let Answer::Customer(Some(card)) = self.client.query(self.now, &Query::Customer { id }) else {
            return None;
        };
        let named = |records: &Vec<FieldMap>| {
            let name = |record: &FieldMap| {
                ["name", "product", "type"].iter().find_map(|key| text_of(record.get(*key)))
            };
            records.iter().filter_map(name).map(|name| bare(&name)).collect()
        };
        Some(KnownCard {
            fields: card
                .fields
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), text_of(Some(value))?)))
                .collect(),
            phones: card.phones.into_iter().map(|phone| phone.number).collect(),
            names: card.records.iter().map(|(key, records)| (key.clone(), named(records))).collect(),
        })
    }

    fn visit(&mut self, id: DocId) -> Option<KnownVisit> {
        let Answer::Visit(Some(visit)) = self.client.query(self.now, &Query::Visit { id }) else {
            return None;
        };
        let ids =
            |records: &Vec<FieldMap>| records.iter().filter_map(|record| text_of(record.get("id"))).collect();
        Some(KnownVisit {
            import_key: text_of(visit.fields.get("import_key")),
            voided: visit.entry.marks.iter().any(|mark| mark == "void"),
            records: visit.records.iter().map(|(key, records)| (key.clone(), ids(records))).collect(),
        })
    }
}

fn text_of(value: Option<&serde_json::Value>) -> Option<String> {
    match value? {
        serde_json::Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
