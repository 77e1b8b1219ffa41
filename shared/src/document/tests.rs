//! Facts about documents; rules DOC-n of `docs/spec.md`.

use super::*;
use crate::document::schema::Scalar;
use crate::edit::{Edit, Patch, Value};
use crate::refusal::Rule;
use crate::time::Quality;

const CARD: DocId = DocId([1; 16]);
const VISIT: DocId = DocId([2; 16]);

fn writer(number: u8) -> Writer {
    let at = UtcMillis(1_764_000_000_000 + i64::from(number) * 1_000);
    Writer {
        person: PersonId([number; 16]),
        actor: ActorId([number + 100; 16]),
        recorded: Recorded { at, device: at, quality: Quality::Ok, offset_minutes: 480 },
    }
}

fn patch<const N: usize>(fields: [(&str, Value); N]) -> Patch {
    fields.into_iter().map(|(path, value)| (path.to_owned(), value)).collect()
}

fn card<const N: usize>(fields: [(&str, Value); N]) -> (Document, Vec<LocalChange>) {
    Document::create(&writer(1), &Edit::CreateCustomer { customer: CARD, fields: patch(fields) }).expect("valid")
}

fn edit<const N: usize>(document: &mut Document, by: u8, fields: [(&str, Value); N]) -> Vec<LocalChange> {
    document.edit(&writer(by), &Edit::EditCustomer { customer: CARD, fields: patch(fields) }).expect("valid")
}

fn copy(document: &mut Document) -> Document {
    Document::load(&document.save()).expect("saved by us")
}

fn bytes(changes: &[LocalChange]) -> Vec<&[u8]> {
    changes.iter().map(|change| change.bytes.as_slice()).collect()
}

#[test]
fn a_card_is_created_saved_loaded_and_edited() {
    let (mut document, changes) = card([("name", "立信工厂".into()), ("phones/aaaaaaaa/number", "13800000000".into())]);
    assert_eq!(changes.len(), 1);
    let mut copied = copy(&mut document);
    assert_eq!(copied.heads(), document.heads());
    assert_eq!(copied.kind(), Some(Kind::Customer));
    assert_eq!(copied.text_of("name").as_deref(), Some("立信工厂"));
    assert_eq!(copied.records("phones")[0].text("number"), Some("13800000000"));
    let more = edit(&mut copied, 2, [("address", "东路 1 号".into())]);
    assert_eq!(more.len(), 1);
    document.apply(&bytes(&more)).expect("nothing is missing");
    assert_eq!(document.heads(), copied.heads());
    assert!(document.contains(&more[0].hash));
    assert!(edit(&mut document, 2, [("address", "东路 1 号".into())]).is_empty());
    assert_eq!(document.recorded(), Some(writer(1).recorded));
}

#[test]
fn both_values_of_a_clash_stand_with_their_writers_and_the_next_write_settles_it() {
    let (mut one, _) = card([("name", "甲".into())]);
    let mut other = copy(&mut one);
    let first = edit(&mut one, 1, [("address", "北".into())]);
    let second = edit(&mut other, 2, [("address", "南".into())]);
    one.apply(&bytes(&second)).expect("complete");
    other.apply(&bytes(&first)).expect("complete");
    assert_eq!(one.values("address"), other.values("address"));
    let values = one.values("address");
    assert_eq!(values.len(), 2);
    assert_eq!(one.value_of("address").as_ref(), Some(&values[0].value));
    assert_eq!(one.text_of("address").map(Scalar::Str).as_ref(), Some(&values[0].value));
    for written in &values {
        let by = if written.value == Scalar::Str("北".to_owned()) { 1 } else { 2 };
        assert_eq!(written.actor, writer(by).actor);
        assert_eq!(written.at, writer(by).recorded.at);
    }
    assert_eq!(one.clashing_paths(), ["address"]);
    let shown = one.text_of("address").expect("shown");
    edit(&mut one, 1, [("address", shown.as_str().into())]);
    assert!(one.clashing_paths().is_empty());
}

#[test]
fn changes_in_any_order_apply_and_a_missing_dependency_applies_nothing() {
    let (mut document, mut changes) = card([("name", "甲".into())]);
    changes.extend(edit(&mut document, 1, [("address", "北".into())]));
    changes.extend(edit(&mut document, 1, [("level", "B".into())]));
    let mut other = Document::empty();
    assert!(matches!(other.apply(&bytes(&changes[1..])), Err(ApplyFailure::DependencyMissing)));
    assert!(other.heads().is_empty());
    let mut backwards = bytes(&changes);
    backwards.reverse();
    other.apply(&backwards).expect("complete");
    assert_eq!(other.heads(), document.heads());
    other.apply(&backwards).expect("known ones are ignored");
    assert_eq!(other.changes_of(&[writer(1).actor]), changes);
}

#[test]
fn a_fact_is_edited_by_its_author_alone_and_voided_once() {
    let create = Edit::CreateVisit { visit: VISIT, customer: CARD, fields: patch([("record", "谈价".into())]) };
    let (mut visit, _) = Document::create(&writer(1), &create).expect("valid");
    assert_eq!((visit.author(), visit.customer()), (Some(writer(1).person), Some(CARD)));
    let change = Edit::EditVisit { visit: VISIT, fields: patch([("result", "签单".into())]) };
    assert_eq!(visit.edit(&writer(2), &change).expect_err("foreign").rule, Rule::NotTheAuthor);
    let mut other = copy(&mut visit);
    let void = Edit::VoidVisit { visit: VISIT, reason: "重复".to_owned() };
    visit.edit(&writer(1), &void).expect("valid");
    assert_eq!(visit.edit(&writer(1), &void).expect_err("void already").rule, Rule::AlreadyVoided);
    assert!(visit.is_void() && !visit.is_edited_after_void());
    let mut device = writer(3);
    device.person = writer(1).person;
    let late = other.edit(&device, &change).expect("valid");
    visit.apply(&bytes(&late)).expect("complete");
    assert!(visit.is_void() && visit.is_edited_after_void());
    let empty = Edit::CreateVisit { visit: VISIT, customer: CARD, fields: patch([("purpose", "回访".into())]) };
    assert_eq!(Document::create(&writer(1), &empty).expect_err("empty").rule, Rule::VisitEmpty);
}
