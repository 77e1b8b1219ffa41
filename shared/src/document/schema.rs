//! The table of what documents hold: kinds, their fields, their maps of records, and what each field may
//! contain. Edits, admission and projections all read it, so the three cannot disagree. Knows the keys
//! but nothing of Automerge.

use serde::Serialize;

use crate::document::Kind;
use crate::edit::Value;
use crate::limits;
use crate::time::StatedTime;

/// The root key under which a document says what it is.
pub const KIND: &str = "kind";
/// The root key of the schema version that the document's first writer knew.
pub const SCHEMA: &str = "schema";
/// The root key of the customer that a fact is about.
pub const CUSTOMER: &str = "customer";
/// The root key of the person who owns a fact.
pub const AUTHOR: &str = "author";
/// The root key of the visit that a comment is about.
pub const ABOUT: &str = "about";
/// The root keys of [`crate::time::Recorded`]: `at`, `device`, `quality`, `offset_minutes`.
pub const RECORDED: [&str; 4] = ["recorded_at", "recorded_device", "recorded_quality", "recorded_offset"];
/// The reason of a void.
pub const VOID_REASON: &str = "void_reason";
/// When a fact was voided.
pub const VOID_AT: &str = "void_at";

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// A short text of at most so many characters, on one line.
    Word {
        /// Characters.
        max: usize,
    },
    /// A long text, merged character by character.
    Text {
        /// Characters.
        max: usize,
    },
    /// One of a list.
    Choice {
        /// The list.
        choices: &'static [&'static str],
    },
    /// A whole number.
    Int {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// Yes or no.
    Bool,
    /// A day or a time in the form of [`StatedTime`].
    Time,
    /// So many lowercase hexadecimal digits.
    Hex {
        /// Digits.
        digits: usize,
    },
    /// The id of another record: 8 to 32 characters of `[0-9a-z]`.
    Record,
}

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its key in the document, and its path in a [`crate::edit::Patch`].
    pub key: &'static str,
    /// What it holds.
    pub content: Content,
    /// Whether a patch may set it; the others are written by the program when it creates or voids.
    pub typed: bool,
    /// Keys under which earlier versions of the schema kept it; read when the key itself is absent.
    pub formerly: &'static [&'static str],
}

/// One map of records, each under its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Records {
    /// The map's key in the document.
    pub key: &'static str,
    /// What each record may hold.
    pub fields: &'static [Field],
}

/// What a kind of document holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// The kind.
    pub kind: Kind,
    /// Single-valued fields.
    pub fields: &'static [Field],
    /// Maps of records.
    pub records: &'static [Records],
}

const fn field(key: &'static str, content: Content) -> Field {
    Field { key, content, typed: true, formerly: &[] }
}

const fn fixed(key: &'static str, content: Content) -> Field {
    Field { key, content, typed: false, formerly: &[] }
}

const fn word(key: &'static str) -> Field {
    field(key, Content::Word { max: limits::WORD_CHARS_MAX })
}

const fn text(key: &'static str) -> Field {
    field(key, Content::Text { max: limits::TEXT_CHARS_MAX })
}

const fn choice(key: &'static str, choices: &'static [&'static str]) -> Field {
    field(key, Content::Choice { choices })
}

const fn int(key: &'static str, min: i64, max: i64) -> Field {
    field(key, Content::Int { min, max })
}

const fn time(key: &'static str) -> Field {
    field(key, Content::Time)
}

/// Fen: one hundred million yuan is beyond every unit price.
const PRICE_FEN_MAX: i64 = 10_000_000_000;
/// Counts, amounts, places in a list.
const COUNT_MAX: i64 = 1_000_000_000;

const HEADER_KIND: Field = fixed(KIND, Content::Choice { choices: &["customer", "visit", "comment"] });
const HEADER_SCHEMA: Field = fixed(SCHEMA, Content::Int { min: 1, max: u16::MAX as i64 });
const HEADER_AT: Field = fixed(RECORDED[0], Content::Int { min: i64::MIN, max: i64::MAX });
const HEADER_DEVICE: Field = fixed(RECORDED[1], Content::Int { min: i64::MIN, max: i64::MAX });
const HEADER_QUALITY: Field = fixed(RECORDED[2], Content::Int { min: 0, max: 2 });
const HEADER_OFFSET: Field = fixed(RECORDED[3], Content::Int { min: -1_440, max: 1_440 });
const HEADER_AUTHOR: Field = fixed(AUTHOR, Content::Hex { digits: 32 });
const HEADER_CUSTOMER: Field = fixed(CUSTOMER, Content::Hex { digits: 32 });
const HEADER_ABOUT: Field = fixed(ABOUT, Content::Hex { digits: 32 });

/// The keys that a document's first change writes and no later one may touch, besides [`SCHEMA`].
pub const HEADER_KEYS: [&str; 8] =
    [KIND, CUSTOMER, AUTHOR, ABOUT, RECORDED[0], RECORDED[1], RECORDED[2], RECORDED[3]];

static CUSTOMER_SCHEMA: Schema = Schema {
    kind: Kind::Customer,
    fields: &[
        HEADER_KIND,
        HEADER_SCHEMA,
        HEADER_AT,
        HEADER_DEVICE,
        HEADER_QUALITY,
        HEADER_OFFSET,
        word("name"),
        word("short_name"),
        word("credit_code"),
        choice("capital", &["内资", "港资", "台资", "外资"]),
        word("industry"),
        word("size"),
        word("province"),
        word("city"),
        word("district"),
        word("address"),
        int("map_lat_e7", -900_000_000, 900_000_000),
        int("map_lng_e7", -1_800_000_000, 1_800_000_000),
        choice("category", &["新", "固定", "重要", "潜在"]),
        word("level"),
        word("source"),
        word("referrer"),
        text("need"),
        text("remarks"),
    ],
    records: &[
        Records { key: "aliases", fields: &[word("name")] },
        Records {
            key: "phones",
            fields: &[
                word("number"),
                word("label"),
                choice("state", &["active", "retired"]),
                field("replaces", Content::Record),
            ],
        },
        Records { key: "tags", fields: &[word("name")] },
        Records { key: "equipment", fields: &[word("type"), int("count", 0, COUNT_MAX), word("note")] },
        Records {
            key: "consumption",
            fields: &[
                word("product"),
                word("amount"),
                word("unit"),
                word("period"),
                word("present_brand"),
                int("present_price_fen", 0, PRICE_FEN_MAX),
            ],
        },
        Records {
            key: "competitors",
            fields: &[word("name"), word("product"), int("price_fen", 0, PRICE_FEN_MAX), word("note")],
        },
        Records {
            key: "contacts",
            fields: &[
                word("name"),
                choice("sex", &["男", "女"]),
                word("title"),
                word("department"),
                choice("part", &["决策", "影响", "使用", "采购"]),
                word("phone"),
                word("wechat"),
                word("email"),
                choice("state", &["在职", "离职", "调岗"]),
                time("state_date"),
                field("successor", Content::Record),
            ],
        },
    ],
};

static VISIT_SCHEMA: Schema = Schema {
    kind: Kind::Visit,
    fields: &[
        HEADER_KIND,
        HEADER_SCHEMA,
        HEADER_AT,
        HEADER_DEVICE,
        HEADER_QUALITY,
        HEADER_OFFSET,
        HEADER_AUTHOR,
        HEADER_CUSTOMER,
        fixed(VOID_REASON, Content::Word { max: 2_000 }),
        fixed(VOID_AT, Content::Time),
        choice("visit_kind", &["上门", "电话", "微信", "送样", "来访", "寄资料"]),
        time("arrived"),
        time("left"),
        time("at"),
        int("position_lat_e7", -900_000_000, 900_000_000),
        int("position_lng_e7", -1_800_000_000, 1_800_000_000),
        int("position_accuracy_m", 0, 100_000_000),
        word("purpose"),
        text("record"),
        text("problem"),
        text("countermeasure"),
        word("status_after"),
        word("level_after"),
        choice("result", &["继续跟进", "签单", "丢单", "未跟进", "未见到人"]),
        choice("source", &["typed", "import"]),
        word("import_key"),
        field("import_note", Content::Word { max: 2_000 }),
    ],
    records: &[
        Records { key: "people_met", fields: &[field("contact", Content::Record), word("name")] },
        Records { key: "our_people", fields: &[field("person", Content::Hex { digits: 32 }), word("name")] },
        Records { key: "products", fields: &[word("name"), word("note")] },
        Records {
            key: "samples",
            fields: &[
                word("product"),
                word("quantity"),
                word("unit"),
                choice("kind", &["送样", "试样"]),
                word("result"),
            ],
        },
        Records {
            key: "competitor_seen",
            fields: &[word("name"), word("product"), int("price_fen", 0, PRICE_FEN_MAX), word("note")],
        },
        Records {
            key: "quotes",
            fields: &[
                word("product"),
                word("spec"),
                word("pack"),
                int("price_fen", 0, PRICE_FEN_MAX),
                word("unit"),
                time("valid_to"),
                int("position", 0, COUNT_MAX),
            ],
        },
        Records { key: "gifts", fields: &[word("name"), word("quantity")] },
        Records { key: "next_actions", fields: &[word("text"), time("day"), field("done", Content::Bool)] },
        Records {
            key: "photos",
            fields: &[
                field("sha256", Content::Hex { digits: 64 }),
                int("bytes", 0, COUNT_MAX),
                int("width", 0, 1_000_000),
                int("height", 0, 1_000_000),
                time("taken"),
            ],
        },
    ],
};

static COMMENT_SCHEMA: Schema = Schema {
    kind: Kind::Comment,
    fields: &[
        HEADER_KIND,
        HEADER_SCHEMA,
        HEADER_AT,
        HEADER_DEVICE,
        HEADER_QUALITY,
        HEADER_OFFSET,
        HEADER_AUTHOR,
        HEADER_CUSTOMER,
        HEADER_ABOUT,
        text("text"),
    ],
    records: &[],
};

/// The table of a kind.
pub fn schema(kind: Kind) -> &'static Schema {
    match kind {
        Kind::Customer => &CUSTOMER_SCHEMA,
        Kind::Visit => &VISIT_SCHEMA,
        Kind::Comment => &COMMENT_SCHEMA,
    }
}

/// Every table, for generators of types and forms.
pub fn schemas() -> [&'static Schema; 3] {
    [&CUSTOMER_SCHEMA, &VISIT_SCHEMA, &COMMENT_SCHEMA]
}

/// A place that a patch's path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// A single-valued field of the document.
    Field(&'static Field),
    /// A whole record, for its removal.
    Record {
        /// The map.
        records: &'static Records,
        /// The record's id.
        id: &'a str,
    },
    /// A field of a record.
    RecordField {
        /// The map.
        records: &'static Records,
        /// The record's id.
        id: &'a str,
        /// The field.
        field: &'static Field,
    },
}

impl Schema {
    /// The field with this key.
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The field that keeps or kept its value under this key.
    pub fn find(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.is_under(key))
    }

    /// Whether a root key is of the table, now or formerly.
    pub fn knows(&self, key: &str) -> bool {
        self.find(key).is_some() || self.records(key).is_some()
    }

    /// The map of records with this key.
    pub fn records(&self, key: &str) -> Option<&'static Records> {
        self.records.iter().find(|records| records.key == key)
    }

    /// The place that a path names, if this kind of document has it.
    pub fn place<'a>(&self, path: &'a str) -> Option<Place<'a>> {
        let mut parts = path.splitn(3, '/');
        let key = parts.next()?;
        let Some(id) = parts.next() else {
            return self.field(key).map(Place::Field);
        };
        let records = self.records(key)?;
        if !is_record_id(id) {
            return None;
        }
        match parts.next() {
            None => Some(Place::Record { records, id }),
            Some(key) => records.field(key).map(|field| Place::RecordField { records, id, field }),
        }
    }
}

impl Records {
    /// The field with this key.
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The field that keeps or kept its value under this key.
    pub fn find(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.is_under(key))
    }

    /// Whether a key of a record is of the table, now or formerly.
    pub fn knows(&self, key: &str) -> bool {
        self.find(key).is_some()
    }
}

impl Field {
    fn is_under(&self, key: &str) -> bool {
        self.key == key || self.formerly.contains(&key)
    }
}

/// Whether a text may be the id of a record: 8 to 32 characters of `[0-9a-z]`.
pub fn is_record_id(id: &str) -> bool {
    (8..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

/// A value in the form in which documents hold it. Long texts are objects of their own and have none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// A short text, choice, id or time.
    Str(String),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Str(text) => f.write_str(text),
            Scalar::Int(number) => write!(f, "{number}"),
            Scalar::Bool(yes) => write!(f, "{yes}"),
        }
    }
}

impl Content {
    /// Whether a stored value is one that this field may hold.
    pub fn holds(&self, value: &Scalar) -> bool {
        match (self, value) {
            (Content::Word { max }, Scalar::Str(word)) => within(word, *max),
            (Content::Choice { choices }, Scalar::Str(word)) => choices.contains(&word.as_str()),
            (Content::Int { min, max }, Scalar::Int(number)) => (min..=max).contains(&number),
            (Content::Bool, Scalar::Bool(_)) => true,
            (Content::Time, Scalar::Str(word)) => word.parse::<StatedTime>().is_ok(),
            (Content::Hex { digits }, Scalar::Str(word)) => {
                word.len() == *digits && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            }
            (Content::Record, Scalar::Str(word)) => is_record_id(word),
            _ => false,
        }
    }

    /// What a typed value becomes in the document: `Some(None)` removes the field, `None` says that the
    /// value does not fit. Long texts are not judged here.
    pub fn accept(&self, value: &Value) -> Option<Option<Scalar>> {
        let scalar = match (self, value) {
            (_, Value::Null) => return Some(None),
            (Content::Text { .. }, _) | (_, Value::Text { .. }) => return None,
            (_, Value::Bool(yes)) => Scalar::Bool(*yes),
            (_, Value::Int(number)) => Scalar::Int(*number),
            (content, Value::Str(word)) => {
                let word = one_line(word);
                if word.is_empty() {
                    return Some(None);
                }
                match content {
                    Content::Time => Scalar::Str(word.parse::<StatedTime>().ok()?.to_string()),
                    _ => Scalar::Str(word),
                }
            }
        };
        self.holds(&scalar).then_some(Some(scalar))
    }
}

fn within(text: &str, chars_max: usize) -> bool {
    text.len() <= chars_max || text.chars().count() <= chars_max
}

fn one_line(word: &str) -> String {
    let word = word.trim();
    if !word.contains(char::is_control) {
        return word.to_owned();
    }
    word.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_field_a_record_or_a_field_of_a_record() {
        let customer = schema(Kind::Customer);
        assert!(matches!(customer.place("name"), Some(Place::Field(field)) if field.key == "name"));
        assert!(matches!(customer.place("phones/12345678"), Some(Place::Record { id: "12345678", .. })));
        assert!(matches!(
            customer.place("phones/12345678/number"),
            Some(Place::RecordField { field: Field { key: "number", .. }, .. })
        ));
        for path in [
            "nope",
            "phones",
            "phones/short/number",
            "phones/12345678/nope",
            "name/12345678",
            "",
            "/",
            "phones/1234567Z",
        ] {
            assert_eq!(customer.place(path), None, "{path}");
        }
    }

    #[test]
    fn no_key_is_used_twice_in_one_kind() {
        for schema in schemas() {
            let mut keys: Vec<_> = schema.fields.iter().map(|field| field.key).collect();
            keys.extend(schema.records.iter().map(|records| records.key));
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), count, "{:?}", schema.kind);
        }
    }

    #[test]
    fn a_typed_value_is_brought_into_one_form_or_refused() {
        let word = Content::Word { max: 4 };
        assert_eq!(word.accept(&"  油\n脂 ".into()), Some(Some(Scalar::Str("油 脂".to_owned()))));
        assert_eq!(word.accept(&"   ".into()), Some(None));
        assert_eq!(word.accept(&"12345".into()), None);
        assert_eq!(word.accept(&Value::Int(1)), None);
        let time = Content::Time;
        assert_eq!(
            time.accept(&"2026-11-22T09:10:00.5+08:00".into()),
            Some(Some(Scalar::Str("2026-11-22T09:10:00+08:00".to_owned())))
        );
        assert_eq!(time.accept(&"gestern".into()), None);
        assert_eq!(Content::Bool.accept(&Value::Null), Some(None));
        assert!(!Content::Record.holds(&Scalar::Str("短".to_owned())));
    }
}
