//! Facts about documents; rules DOC-n of `docs/spec.md`.

use super::*;
use crate::document::schema::Scalar;
use automerge::ReadDoc as _;

use crate::edit::{Edit, Patch, Value};
use crate::limits;
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
    Document::create(&writer(1), &Edit::CreateCustomer { customer: CARD, fields: patch(fields) })
        .expect("valid")
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

/// DOC-1
#[test]
fn a_card_is_created_saved_loaded_and_edited() {
    let (mut document, changes) =
        card([("name", "立信工厂".into()), ("phones/aaaaaaaa/number", "13800000000".into())]);
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

/// DOC-2, DOC-11
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

/// DOC-3
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
    let own = |(change, is_own): (LocalChange, bool)| is_own.then_some(change);
    let missing = other.missing_of(&[writer(1).actor], None);
    assert_eq!(missing.into_iter().filter_map(own).collect::<Vec<_>>(), changes);
    assert!(other.missing_of(&[writer(1).actor], Some(&mut document)).is_empty());
}

/// DOC-10
#[test]
fn a_fact_is_edited_by_its_author_alone_and_voided_once() {
    let create =
        Edit::CreateVisit { visit: VISIT, customer: CARD, fields: patch([("record", "谈价".into())]) };
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
    let empty =
        Edit::CreateVisit { visit: VISIT, customer: CARD, fields: patch([("purpose", "回访".into())]) };
    assert_eq!(Document::create(&writer(1), &empty).expect_err("empty").rule, Rule::VisitEmpty);
}

/// DOC-8: what newer software wrote outside this table stays, through edits and saves of ours (S12).
#[test]
fn unknown_keys_are_kept_and_ignored() {
    use automerge::transaction::Transactable;
    let (mut document, _) = card([("name", "甲".into()), ("phones/aaaaaaaa/number", "1".into())]);
    let mut newer = automerge::AutoCommit::load(&document.save()).expect("saved");
    let phones = newer.get(automerge::ROOT, "phones").expect("valid").expect("there").1;
    let phone = newer.get(&phones, "aaaaaaaa").expect("valid").expect("there").1;
    newer.put(&phone, "carrier", "移动").expect("valid");
    newer.put(automerge::ROOT, "future", "x").expect("valid");
    let mut document = Document::load(&newer.save_nocompress()).expect("saved");
    let unknown = ["future".to_owned(), "phones/aaaaaaaa/carrier".to_owned()];
    assert_eq!(document.unknown_paths().into_iter().collect::<Vec<_>>(), unknown);
    edit(&mut document, 2, [("name", "乙".into()), ("phones/aaaaaaaa/number", "2".into())]);
    let reloaded = copy(&mut document);
    assert_eq!(reloaded.unknown_paths().into_iter().collect::<Vec<_>>(), unknown);
    assert!(reloaded.check(Kind::Customer, None).is_err());
    assert!(reloaded.check(Kind::Customer, Some(&reloaded.baseline())).is_ok());
}

/// DOC-5: long texts that two people edit at once keep what both wrote.
#[test]
fn a_long_text_keeps_what_both_wrote() {
    let (mut one, _) = card([("remarks", "见到王工。".into())]);
    let mut other = copy(&mut one);
    let typed = |base: &str, text: &str| Value::Text { base: base.to_owned(), text: text.to_owned() };
    edit(&mut one, 1, [("remarks", typed("见到王工。", "今天见到王工。"))]);
    let theirs = edit(&mut other, 2, [("remarks", typed("见到王工。", "见到王工😀。"))]);
    one.apply(&bytes(&theirs)).expect("complete");
    assert_eq!(one.text_of("remarks").as_deref(), Some("今天见到王工😀。"));
    // A form opened before the other's edit arrived gives its difference, not its whole text.
    edit(&mut one, 1, [("remarks", typed("今天见到王工。", "今天见到王工，谈价。"))]);
    assert_eq!(one.text_of("remarks").as_deref(), Some("今天见到王工😀，谈价。"));
}

/// DOC-6: an edit beyond the limits of one change is cut into several, each within them.
#[test]
fn a_large_edit_is_cut_into_changes_within_the_limits() {
    let mut fields = patch([("name", "大".into())]);
    for number in 0..400 {
        fields.insert(format!("contacts/record{number:04}/name"), "长".repeat(200).as_str().into());
        fields.insert(format!("contacts/record{number:04}/title"), "名".repeat(200).as_str().into());
    }
    fields.insert("remarks".to_owned(), "字".repeat(limits::TEXT_CHARS_MAX).as_str().into());
    let (document, changes) =
        Document::create(&writer(1), &Edit::CreateCustomer { customer: CARD, fields }).expect("valid");
    assert!(changes.len() > 20, "{}", changes.len());
    for change in &changes {
        crate::wire::parse(&change.bytes).expect("within the limits");
    }
    let mut other = Document::empty();
    other.apply(&bytes(&changes)).expect("complete");
    assert_eq!(other.record_count("contacts"), 400);
    assert_eq!(document.text_of("remarks").map(|text| text.chars().count()), Some(limits::TEXT_CHARS_MAX));
}

/// DOC-7: an edit that breaks a rule is refused by name and writes nothing.
#[test]
fn an_invalid_edit_is_refused_whole() {
    let (mut document, _) = card([("name", "甲".into())]);
    let heads = document.heads();
    let too_many: Patch = (0..=limits::RECORDS_MAX)
        .map(|number| (format!("tags/record{number:04}/name"), "x".into()))
        .collect();
    let cases = [
        (patch([("name", "乙".into()), ("nope", "x".into())]), Rule::ValueInvalid),
        (patch([("name", "长".repeat(201).as_str().into())]), Rule::ValueInvalid),
        (patch([("capital", "外星".into())]), Rule::ValueInvalid),
        (patch([("map_lat_e7", Value::Int(i64::MAX))]), Rule::ValueInvalid),
        (patch([("kind", "visit".into())]), Rule::ValueInvalid),
        (patch([("phones/x/number", "1".into())]), Rule::ValueInvalid),
        (patch([("phones/aaaaaaaa", "1".into())]), Rule::ValueInvalid),
        (patch([("remarks", "长".repeat(limits::TEXT_CHARS_MAX + 1).as_str().into())]), Rule::ValueInvalid),
        (too_many, Rule::DocumentTooLarge),
    ];
    for (fields, rule) in cases {
        let refusal =
            document.edit(&writer(1), &Edit::EditCustomer { customer: CARD, fields }).expect_err("invalid");
        assert_eq!(refusal.rule, rule);
    }
    let void = Edit::VoidVisit { visit: VISIT, reason: "x".to_owned() };
    assert_eq!(document.edit(&writer(1), &void).expect_err("a card").rule, Rule::SchemaViolated);
    assert_eq!(document.heads(), heads);
}

/// DOC-4: two devices that make the same map or record at once lose nothing; readers see both.
#[test]
fn maps_and_records_made_twice_are_read_as_one() {
    let (mut one, _) = crate::testing::visit([("record", "x".into())]);
    let mut other = copy(&mut one);
    let mut second = writer(2);
    second.person = writer(1).person;
    let change = |fields| Edit::EditVisit { visit: VISIT, fields };
    one.edit(
        &writer(1),
        &change(patch([("quotes/aaaaaaaa/product", "甲".into()), ("quotes/bbbbbbbb/unit", "桶".into())])),
    )
    .expect("valid");
    let theirs = other
        .edit(
            &second,
            &change(patch([("quotes/aaaaaaaa/pack", "200L".into()), ("quotes/cccccccc/unit", "瓶".into())])),
        )
        .expect("valid");
    one.apply(&bytes(&theirs)).expect("complete");
    let quotes = one.records("quotes");
    assert_eq!(quotes.len(), 3);
    let twice = quotes.iter().find(|quote| quote.id == "aaaaaaaa").expect("made twice");
    assert_eq!((twice.text("product"), twice.text("pack")), (Some("甲"), Some("200L")));
    one.edit(&writer(1), &change(patch([("quotes/aaaaaaaa", Value::Null)]))).expect("valid");
    assert_eq!(one.record_count("quotes"), 2);
}

#[test]
fn a_digest_depends_on_document_and_heads_and_not_on_their_order() {
    let (one, two) = (ChangeHash([1; 32]), ChangeHash([2; 32]));
    assert_eq!(digest(CARD, &[one, two]), digest(CARD, &[two, one]));
    assert_ne!(digest(CARD, &[one]), digest(CARD, &[two]));
    assert_ne!(digest(CARD, &[one]), digest(VISIT, &[one]));
}

mod properties {
    use super::*;
    use crate::projection::Projection;
    use crate::testing::{apply_patch, entropy, random_history, random_patch};
    use proptest::prelude::*;

    /// Up to five writers change one document at once, each one or two times.
    fn concurrent(seed: u64, writers: u8) -> (Document, Vec<Vec<Vec<u8>>>) {
        let (mut base, _) = random_history(seed);
        let kind = base.kind().expect("ours");
        let mut entropy = entropy(seed ^ 0xabcd);
        let mut branches = Vec::new();
        for number in 0..writers {
            let mut branch = copy(&mut base);
            let mut by = writer(20 + number);
            if kind.is_fact() {
                by.person = writer(1).person;
            }
            let mut changes = Vec::new();
            for _ in 0..1 + entropy.below(2) {
                let fields = random_patch(&mut entropy, kind, Some(&branch));
                changes.extend(apply_patch(&mut branch, &by, fields).into_iter().map(|change| change.bytes));
            }
            branches.push(changes);
        }
        (base, branches)
    }

    fn state(document: &mut Document) -> (Vec<ChangeHash>, Vec<String>, String, Option<Projection>) {
        let texts = format!("{:?} {:?}", document.texts(), document.writes());
        (document.heads(), document.clashing_paths(), texts, Projection::of(document))
    }

    proptest! {
        #![proptest_config(crate::testing::property(10))]

        /// DOC-3: each of the orders in which up to five concurrent changes can come.
        #[test]
        fn every_order_of_up_to_five_converges(seed in 0u64..1_000_000, writers in 2u8..6) {
            let (mut base, branches) = concurrent(seed, writers);
            let mut expected = None;
            let mut order: Vec<usize> = (0..branches.len()).collect();
            loop {
                let mut replica = copy(&mut base);
                for index in &order {
                    replica.apply(&branches[*index]).expect("complete");
                }
                let state = state(&mut replica);
                prop_assert_eq!(expected.get_or_insert_with(|| state.clone()), &state, "{:?}", order);
                // The next order, as a dictionary has them.
                let Some(turn) = order.windows(2).rposition(|pair| pair[0] < pair[1]) else { break };
                let next = order.iter().rposition(|index| *index > order[turn]).expect("one is larger");
                order.swap(turn, next);
                order[turn + 1..].reverse();
            }
        }
    }

    proptest! {
        #![proptest_config(crate::testing::property(48))]

        /// DOC-3: replicas that hold the same changes show the same, in whatever order they came.
        #[test]
        fn any_order_of_concurrent_changes_converges(
            seed in 0u64..1_000_000,
            order in Just((0..5usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let (mut base, branches) = concurrent(seed, 5);
            let mut straight = copy(&mut base);
            for branch in &branches {
                straight.apply(branch).expect("complete");
            }
            let mut shuffled = copy(&mut base);
            for index in order {
                for change in &branches[index] {
                    shuffled.apply(std::slice::from_ref(change)).expect("complete");
                }
            }
            prop_assert_eq!(state(&mut straight), state(&mut shuffled));
            // Once more, all at once and backwards: nothing happens.
            let mut again: Vec<_> = branches.into_iter().flatten().collect();
            again.reverse();
            let before = state(&mut shuffled);
            shuffled.apply(&again).expect("known");
            prop_assert_eq!(state(&mut shuffled), before.clone());
            prop_assert_eq!(state(&mut copy(&mut shuffled)), before);
        }

        /// DOC-5: whatever was typed is in the text afterwards, and so is what others typed elsewhere.
        #[test]
        fn a_merged_text_holds_what_was_typed(
            base in "[a-c]{0,12}", typed in "[x-z]{1,6}", others in "[p-r]{1,6}", at in 0usize..13, there in 0usize..13,
        ) {
            let insert = |word: &str, at: usize| {
                let at = at.min(base.len());
                format!("{}{word}{}", &base[..at], &base[at..])
            };
            let merged = crate::document::text::merge(&base, &insert(&typed, at), &insert(&others, there));
            let text = crate::document::text::apply(&insert(&others, there), &merged);
            prop_assert!(text.contains(&typed) || at == there, "{text}");
            prop_assert_eq!(text.len(), base.len() + typed.len() + others.len());
        }
    }
}

/// DOC-4: the same within one map: a record that two people make under one id is one with the fields of both.
#[test]
fn a_record_made_twice_in_one_map_is_read_as_one() {
    let (mut one, _) = card([("name", "甲".into())]);
    let mut other = copy(&mut one);
    edit(&mut one, 1, [("phones/aaaaaaaa/number", "1".into())]);
    let theirs = edit(
        &mut other,
        2,
        [("phones/aaaaaaaa/label", "手机".into()), ("phones/aaaaaaaa/number", "2".into())],
    );
    one.apply(&bytes(&theirs)).expect("complete");
    let phones = one.records("phones");
    assert_eq!((phones.len(), phones[0].text("label")), (1, Some("手机")));
    assert_eq!(one.clashing_paths(), ["phones/aaaaaaaa/number"]);
    assert_eq!(one.values("phones/aaaaaaaa/number").len(), 2);
    edit(&mut one, 1, [("phones/aaaaaaaa/number", "3".into())]);
    assert!(one.clashing_paths().is_empty());
    assert_eq!(one.records("phones")[0].text("number"), Some("3"));
}

/// DOC-4, DOC-5: of two texts made at once the empty one hides nothing, whichever Automerge prefers.
#[test]
fn an_empty_text_beside_another_hides_nothing_and_can_be_edited() {
    for emptied_by_first in [true, false] {
        let (mut one, _) = crate::testing::visit([("result", "签单".into())]);
        let mut other = copy(&mut one);
        let mut second = writer(2);
        second.person = writer(1).person;
        let write = |text: &str| Edit::EditVisit { visit: VISIT, fields: patch([("record", text.into())]) };
        let mut theirs = other.edit(&second, &write("乙")).expect("valid");
        one.edit(&writer(1), &write("甲")).expect("valid");
        let expected = if emptied_by_first {
            one.edit(&writer(1), &write("")).expect("valid");
            "乙"
        } else {
            theirs.extend(other.edit(&second, &write("")).expect("valid"));
            "甲"
        };
        one.apply(&bytes(&theirs)).expect("complete");
        assert_eq!(one.text_of("record").as_deref(), Some(expected));
        let typed = Value::Text { base: expected.to_owned(), text: format!("{expected}，下周送样") };
        let edit = Edit::EditVisit { visit: VISIT, fields: patch([("record", typed)]) };
        one.edit(&writer(1), &edit).expect("valid");
        assert_eq!(one.text_of("record"), Some(format!("{expected}，下周送样")));
        assert!(one.clashing_paths().is_empty());
    }
}
