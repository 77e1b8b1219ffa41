//! Helpers of this crate's own tests: writers, patches, random edits by the schema's table, and how often properties are
//! tried.

use crate::document::schema::{self, Content, Schema};
use crate::document::{Document, Kind, LocalChange, Writer};
use crate::edit::{Edit, Patch, Value};
use crate::entropy::Entropy;
use crate::id::{ActorId, DocId, PersonId};
use crate::time::{Quality, Recorded, UtcMillis};

pub const CARD: DocId = DocId([1; 16]);
pub const VISIT: DocId = DocId([2; 16]);
pub const COMMENT: DocId = DocId([3; 16]);

/// 2025-11-24T16:00:00Z, which is midnight in China.
pub const START: i64 = 1_764_000_000_000;

pub fn recorded(at: i64) -> Recorded {
    Recorded { at: UtcMillis(at), device: UtcMillis(at), quality: Quality::Ok, offset_minutes: 480 }
}

/// A property tried so many times, or as often as `PROPTEST_CASES` says.
pub fn property(cases: u32) -> proptest::test_runner::Config {
    let told = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    proptest::test_runner::Config {
        cases: told.unwrap_or(cases),
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    }
}

pub fn person(number: u8) -> PersonId {
    PersonId([number; 16])
}

/// The writer of that number: each has a person, an actor and a second of its own.
pub fn writer(number: u8) -> Writer {
    let at = START + i64::from(number) * 1_000;
    Writer { person: person(number), actor: ActorId([number + 100; 16]), recorded: recorded(at) }
}

pub fn patch<const N: usize>(fields: [(&str, Value); N]) -> Patch {
    fields.into_iter().map(|(path, value)| (path.to_owned(), value)).collect()
}

pub fn card<const N: usize>(fields: [(&str, Value); N]) -> (Document, Vec<LocalChange>) {
    Document::create(&writer(1), &Edit::CreateCustomer { customer: CARD, fields: patch(fields) })
        .expect("valid")
}

pub fn visit<const N: usize>(fields: [(&str, Value); N]) -> (Document, Vec<LocalChange>) {
    let edit = Edit::CreateVisit { visit: VISIT, customer: CARD, fields: patch(fields) };
    Document::create(&writer(1), &edit).expect("valid")
}

pub fn edit<const N: usize>(document: &mut Document, by: u8, fields: [(&str, Value); N]) -> Vec<LocalChange> {
    apply_patch(document, &writer(by), patch(fields))
}

pub fn apply_patch(document: &mut Document, writer: &Writer, fields: Patch) -> Vec<LocalChange> {
    let edit = match document.kind() {
        Some(Kind::Customer) => Edit::EditCustomer { customer: CARD, fields },
        _ => Edit::EditVisit { visit: VISIT, fields },
    };
    document.edit(writer, &edit).expect("valid")
}

pub fn copy(document: &mut Document) -> Document {
    Document::load(&document.save()).expect("saved by us")
}

pub fn bytes(changes: &[LocalChange]) -> Vec<Vec<u8>> {
    changes.iter().map(|change| change.bytes.clone()).collect()
}

pub fn entropy(seed: u64) -> Entropy {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    Entropy::from_seed(bytes)
}

/// A patch of one to five valid values for a document of this kind.
pub fn random_patch(entropy: &mut Entropy, kind: Kind, document: Option<&Document>) -> Patch {
    let table = schema::schema(kind);
    let mut fields = Patch::new();
    for _ in 0..1 + entropy.below(5) {
        random_step(entropy, table, document, &mut fields);
    }
    fields
}

fn random_step(entropy: &mut Entropy, table: &Schema, document: Option<&Document>, fields: &mut Patch) {
    let typed: Vec<_> = table.fields.iter().filter(|field| field.typed).collect();
    let pick = entropy.below((typed.len() + table.records.len()) as u64) as usize;
    if let Some(field) = typed.get(pick) {
        let shown = document.and_then(|document| document.text_of(field.key)).unwrap_or_default();
        fields.insert(field.key.to_owned(), random_value(entropy, field.content, &shown));
        return;
    }
    let records = &table.records[pick - typed.len()];
    let id = format!("record{:02}", entropy.below(4));
    if entropy.below(8) == 0 {
        fields.insert(format!("{}/{id}", records.key), Value::Null);
        return;
    }
    let field = &records.fields[entropy.below(records.fields.len() as u64) as usize];
    fields.insert(format!("{}/{id}/{}", records.key, field.key), random_value(entropy, field.content, ""));
}

fn random_value(entropy: &mut Entropy, content: Content, shown: &str) -> Value {
    if entropy.below(10) == 0 {
        return Value::Null;
    }
    match content {
        Content::Word { max } => Value::Str(random_text(entropy, max.min(12))),
        Content::Text { .. } => {
            let mut chars: Vec<char> = shown.chars().collect();
            let start = entropy.below(chars.len() as u64 + 1) as usize;
            let end = start + entropy.below((chars.len() - start) as u64 + 1) as usize;
            chars.splice(start..end, random_text(entropy, 40).chars());
            Value::Text { base: shown.to_owned(), text: chars.into_iter().collect() }
        }
        Content::Choice { choices } => {
            Value::Str(choices[entropy.below(choices.len() as u64) as usize].to_owned())
        }
        Content::Int { min, max } => {
            let span = max.abs_diff(min).min(1_000_000);
            Value::Int(min + entropy.below(span) as i64)
        }
        Content::Bool => Value::Bool(entropy.below(2) == 0),
        Content::Time => {
            Value::Str(format!("2026-{:02}-{:02}", 1 + entropy.below(12), 1 + entropy.below(28)))
        }
        Content::Hex { digits } => Value::Str("0123456789abcdef".repeat(8)[..digits].to_owned()),
        Content::Record => Value::Str(format!("record{:02}", entropy.below(4))),
    }
}

fn random_text(entropy: &mut Entropy, chars_max: usize) -> String {
    const ALPHABET: [char; 12] = ['油', '价', 'a', 'b', ' ', '1', '😀', '，', '。', '\n', '送', 'é'];
    let count = entropy.below(chars_max as u64 + 1);
    (0..count).map(|_| ALPHABET[entropy.below(ALPHABET.len() as u64) as usize]).collect()
}

/// A document that up to four writers edited, partly at once, with all its changes in causal order.
pub fn random_history(seed: u64) -> (Document, Vec<LocalChange>) {
    let mut entropy = entropy(seed);
    let kind = if entropy.below(2) == 0 { Kind::Customer } else { Kind::Visit };
    let first = random_patch(&mut entropy, kind, None);
    let create = match kind {
        Kind::Customer => Edit::CreateCustomer { customer: CARD, fields: first },
        _ => Edit::CreateVisit { visit: VISIT, customer: CARD, fields: patch([("result", "签单".into())]) },
    };
    let (mut document, mut changes) = Document::create(&writer(1), &create).expect("valid");
    for _ in 0..entropy.below(6) {
        let mut branch = copy(&mut document);
        for _ in 0..1 + entropy.below(2) {
            changes.extend(random_edit(&mut entropy, &mut document, 1, kind));
        }
        let number = 2 + entropy.below(3) as u8;
        let theirs = random_edit(&mut entropy, &mut branch, number, kind);
        document.apply(&bytes(&theirs)).expect("complete");
        changes.extend(theirs);
    }
    (document, changes)
}

fn random_edit(entropy: &mut Entropy, document: &mut Document, number: u8, kind: Kind) -> Vec<LocalChange> {
    let fields = random_patch(entropy, kind, Some(document));
    let mut writer = writer(number);
    if kind.is_fact() {
        writer.person = person(1);
    }
    apply_patch(document, &writer, fields)
}
