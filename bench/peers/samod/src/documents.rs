//! The documents of every workload: the twin of `../../documents.mjs`, index by index.

use automerge::transaction::Transactable;
use automerge::{AutoCommit, Automerge, ObjId, ObjType, ROOT, ReadDoc};
use serde_json::{Value, json};

/// Documents of a set that are customers; the rest are visits.
pub const CUSTOMERS: usize = 300;

/// The lists of words.
pub struct Phrases(Value);

impl Phrases {
    pub fn load() -> Self {
        Self(serde_json::from_str(include_str!("../../phrases.json")).expect("the file is checked in"))
    }

    fn pick(&self, list: &str, index: usize, step: usize) -> &str {
        let words = self.0[list].as_array().expect("every list is an array");
        words[(index * step + index / 7) % words.len()].as_str().expect("every word is a text")
    }

    fn customer(&self, index: usize) -> Value {
        let place = self.pick("place", index, 3);
        let company = self.pick("company", index, 5);
        let trade = self.pick("trade", index, 7);
        json!({
            "kind": "customer",
            "name": format!("{place}{company}{trade}有限公司{index}"),
            "short_name": format!("{company}{trade}"),
            "capital": "内资",
            "industry": "生产制造",
            "address": format!("{place}工业大道{}号", index + 1),
            "phones": { "phone0001": { "number": format!("1380000{index:04}"), "label": "办公室" } },
            "contacts": { "contact01": {
                "name": format!("{}经理", self.pick("surname", index, 2)),
                "title": self.pick("title", index, 5),
                "phone": format!("1390000{index:04}"),
            } },
            "equipment": { "equip0001": { "type": "加工中心", "count": 5 + index % 20 } },
            "need": self.pick("purpose", index, 3),
        })
    }

    /// The visit with this number.
    pub fn visit(&self, index: usize) -> Value {
        let date = format!("2026-{:02}-{:02}", 1 + index % 10, 1 + index % 28);
        let customer = format!("{:08x}", ((index % CUSTOMERS) as u64 * 2_654_435_761) % (1 << 32)).repeat(4);
        json!({
            "kind": "visit",
            "customer": customer,
            "visit_kind": self.pick("visit_kind", index, 1),
            "arrived": format!("{date}T09:10:00+08:00"),
            "left": format!("{date}T10:05:00+08:00"),
            "purpose": self.pick("purpose", index, 3),
            "record": self.pick("record", index, 2),
            "countermeasure": self.pick("countermeasure", index, 3),
            "products": { "product01": { "name": self.pick("product", index, 2) } },
            "result": self.pick("result", index, 2),
            "next_actions": { "action001": { "text": self.pick("countermeasure", index, 1), "day": "2026-11-30" } },
        })
    }

    /// The document with this number of the set.
    pub fn document(&self, index: usize) -> Value {
        if index < CUSTOMERS { self.customer(index) } else { self.visit(index - CUSTOMERS) }
    }
}

/// An Automerge document of the value, texts as Automerge texts, as the JavaScript library makes them.
pub fn automerge(value: &Value) -> Automerge {
    let mut document = AutoCommit::new();
    fill(&mut document, &ROOT, value);
    document.commit();
    let saved = document.save();
    Automerge::load(&saved).expect("just saved")
}

fn fill(document: &mut AutoCommit, object: &ObjId, value: &Value) {
    let fields = value.as_object().expect("documents are maps of maps");
    for (key, value) in fields {
        match value {
            Value::Object(_) => {
                let child = document.put_object(object, key.as_str(), ObjType::Map).expect("a new map");
                fill(document, &child, value);
            }
            Value::String(text) => put_text(document, object, key, text),
            Value::Number(number) => document
                .put(object, key.as_str(), number.as_i64().expect("a whole number"))
                .expect("a map takes a value"),
            _ => unreachable!("documents hold maps, texts and whole numbers"),
        }
    }
}

fn put_text(document: &mut AutoCommit, object: &ObjId, key: &str, text: &str) {
    let child = document.put_object(object, key, ObjType::Text).expect("a new text");
    document.splice_text(&child, 0, 0, text).expect("an empty text takes any");
}

/// Sets the remarks, as the changes of every workload do.
pub fn remark(document: &mut Automerge, text: &str) {
    document
        .transact::<_, _, automerge::AutomergeError>(|transaction| {
            let child = transaction.put_object(ROOT, "remarks", ObjType::Text)?;
            transaction.splice_text(&child, 0, 0, text)
        })
        .expect("a map takes a text");
}

/// The remarks.
pub fn remarks(document: &Automerge) -> Option<String> {
    let (_, object) = document.get(ROOT, "remarks").ok()??;
    document.text(object).ok()
}
