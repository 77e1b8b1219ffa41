//! Facts about admission; rules ADM-n of `docs/spec.md`.

use super::*;
use crate::edit::Edit;
use crate::testing::{
    CARD, START, VISIT, bytes, card, copy, edit, patch, person, random_history, recorded, visit, writer,
};

fn card_input(stored: Option<Vec<u8>>, by: u8, changes: Vec<Vec<u8>>) -> AdmissionInput {
    AdmissionInput {
        doc: CARD,
        kind: Kind::Customer,
        scope: Scope::Customer(CARD),
        stored,
        person: person(by),
        changes,
    }
}

fn visit_input(stored: Option<Vec<u8>>, by: u8, changes: Vec<Vec<u8>>) -> AdmissionInput {
    AdmissionInput { doc: VISIT, kind: Kind::Visit, ..card_input(stored, by, changes) }
}

fn rule(input: &AdmissionInput) -> Rule {
    admit(input).expect_err("to be refused").rule
}

/// ADM-1
#[test]
fn an_honest_document_is_admitted_saved_and_projected() {
    let (mut document, mut changes) =
        card([("name", "立信".into()), ("phones/aaaaaaaa/number", "１38-0000".into())]);
    changes.extend(edit(&mut document, 1, [("address", "东路".into())]));
    let admitted = admit(&card_input(None, 1, bytes(&changes))).expect("honest");
    assert_eq!((admitted.applied, admitted.refused.clone()), (2, None));
    assert_eq!(admitted.heads, document.heads());
    assert_eq!(admitted.saved, document.save());
    let projection = admitted.projection.customer().expect("a card").clone();
    assert_eq!(projection.name.as_deref(), Some("立信"));
    assert_eq!(projection.phones, ["1380000"]);
    assert_eq!(projection.missing(), ["contact"]);
    let more = edit(&mut document, 2, [("address", "西路".into())]);
    let admitted = admit(&card_input(Some(admitted.saved), 2, bytes(&more))).expect("honest");
    let change = FieldChange {
        field: "address".to_owned(),
        before: Some("东路".to_owned()),
        after: Some("西路".to_owned()),
    };
    assert_eq!(admitted.field_changes, [change]);
    let text = serde_json::to_string(&admitted.projection).expect("plain values");
    assert_eq!(serde_json::from_str::<Projection>(&text).expect("just written"), admitted.projection);
    let cbor = minicbor::to_vec(&admitted.projection).expect("plain values");
    assert_eq!(minicbor::decode::<Projection>(&cbor).expect("just written"), admitted.projection);
}

/// ADM-1
#[test]
fn random_histories_are_admitted_change_by_change() {
    for seed in 0..120 {
        let (mut document, changes) = random_history(seed);
        let mut stored = None;
        for change in &changes {
            let header = wire::parse(&change.bytes).expect("ours");
            let by = if document.kind() == Some(Kind::Customer) { header.actor.0[0] - 100 } else { 1 };
            let mut input = card_input(stored, by, vec![change.bytes.clone()]);
            input.kind = document.kind().expect("ours");
            let admitted = admit(&input).unwrap_or_else(|refusal| panic!("seed {seed}: {refusal:?}"));
            stored = Some(admitted.saved);
        }
        let mut stored = Document::load(&stored.expect("at least one change")).expect("saved");
        assert_eq!(stored.heads(), document.heads(), "seed {seed}");
    }
}

/// ADM-1
#[test]
fn the_prefix_before_a_bad_change_is_admitted() {
    let (mut document, mut changes) = card([("name", "甲".into())]);
    changes.extend(edit(&mut document, 1, [("name", "乙".into())]));
    let good = document.save();
    let mut chunks = bytes(&changes);
    chunks.push(b"garbage".to_vec());
    let admitted = admit(&card_input(None, 1, chunks)).expect("two are good");
    assert_eq!((admitted.applied, admitted.saved), (2, good));
    assert_eq!(admitted.refused.map(|refusal| refusal.rule), Some(Rule::ChangeMalformed));
}

/// ADM-1
#[test]
fn what_is_known_already_is_admitted_without_effect() {
    let (mut document, changes) = card([("name", "甲".into())]);
    let stored = document.save();
    let again = admit(&card_input(Some(stored.clone()), 1, bytes(&changes))).expect("known");
    assert_eq!((again.saved, again.applied, again.field_changes.len()), (stored, 1, 0));
}

/// ADM-2
#[test]
fn a_foreign_author_a_gap_a_repetition_and_a_missing_dependency_are_named() {
    let (mut document, first) = card([("name", "甲".into())]);
    let stored = document.save();
    assert_eq!(rule(&card_input(None, 2, bytes(&first))), Rule::AuthorForeign);
    let mut fork = copy(&mut document);
    let second = edit(&mut document, 1, [("name", "乙".into())]);
    let third = edit(&mut document, 1, [("name", "丙".into())]);
    assert_eq!(rule(&card_input(Some(stored.clone()), 2, bytes(&second))), Rule::AuthorForeign);
    assert_eq!(rule(&card_input(Some(stored.clone()), 1, bytes(&third))), Rule::SequenceGap);
    let cloned = edit(&mut fork, 1, [("name", "丁".into())]);
    assert_eq!(rule(&card_input(Some(document.save()), 1, bytes(&cloned))), Rule::SequenceReused);
    let other = edit(&mut document, 2, [("name", "戊".into())]);
    assert_eq!(rule(&card_input(Some(stored), 2, bytes(&other))), Rule::DependencyUnknown);
    assert_eq!(rule(&card_input(Some(b"damaged".to_vec()), 1, bytes(&first))), Rule::Unloadable);
}

/// ADM-4
#[test]
fn a_fact_is_changed_by_its_author_alone_and_stays_in_its_scope() {
    let (mut document, first) = visit([("record", "谈价".into())]);
    let stored = document.save();
    assert!(admit(&visit_input(None, 1, bytes(&first))).is_ok());
    assert_eq!(rule(&visit_input(Some(stored.clone()), 2, bytes(&first))), Rule::NotTheAuthor);
    let mut elsewhere = visit_input(None, 1, bytes(&first));
    elsewhere.scope = Scope::Customer(DocId([8; 16]));
    assert_eq!(rule(&elsewhere), Rule::ScopeMismatch);
    elsewhere.scope = Scope::Organisation;
    assert_eq!(rule(&elsewhere), Rule::ScopeMismatch);
    let (_, card_changes) = card([("name", "甲".into())]);
    let mut misplaced = card_input(None, 1, bytes(&card_changes));
    misplaced.doc = VISIT;
    assert_eq!(rule(&misplaced), Rule::ScopeMismatch);
    misplaced.kind = Kind::Visit;
    assert_eq!(rule(&misplaced), Rule::SchemaViolated);
}

/// A change of a stored card, made with Automerge itself.
fn crafted(stored: &[u8], make: impl Fn(&mut automerge::AutoCommit)) -> AdmissionInput {
    let mut document = automerge::AutoCommit::load(stored).expect("saved");
    document.set_author(Some(automerge::Author::from(vec![2; 16])));
    document.set_actor(automerge::ActorId::from([102; 16]));
    make(&mut document);
    let options = automerge::transaction::CommitOptions::default().with_time(1);
    let hash = document.commit_with(options).expect("something was made");
    let change = document.get_change_by_hash(&hash).expect("just made").raw_bytes().to_vec();
    card_input(Some(stored.to_vec()), 2, vec![change])
}

/// ADM-5
#[test]
fn keys_types_values_and_depths_outside_the_schema_are_refused() {
    use automerge::transaction::Transactable;
    use automerge::{ObjType, ROOT, ReadDoc};
    let (mut document, _) = card([("name", "甲".into()), ("phones/aaaaaaaa/number", "1".into())]);
    let stored = document.save();
    let honest = crafted(&stored, |document| document.put(ROOT, "name", "乙").expect("valid"));
    assert!(admit(&honest).is_ok());
    let phones =
        |document: &automerge::AutoCommit| document.get(ROOT, "phones").expect("valid").expect("there").1;
    type Craft = Box<dyn Fn(&mut automerge::AutoCommit)>;
    let cases: Vec<(&str, Craft)> = vec![
        ("unknown", Box::new(|document| document.put(ROOT, "unknown", "x").expect("valid"))),
        ("name", Box::new(|document| document.put(ROOT, "name", 1).expect("valid"))),
        ("name", Box::new(|document| document.put(ROOT, "name", "x".repeat(201)).expect("valid"))),
        ("name", Box::new(|document| drop(document.put_object(ROOT, "name", ObjType::Map).expect("valid")))),
        ("capital", Box::new(|document| document.put(ROOT, "capital", "外星").expect("valid"))),
        ("remarks", Box::new(|document| document.put(ROOT, "remarks", "words").expect("valid"))),
        ("phones", Box::new(|document| document.put(ROOT, "phones", "1").expect("valid"))),
        (
            "phones",
            Box::new(|document| drop(document.put_object(ROOT, "phones", ObjType::Text).expect("valid"))),
        ),
        ("kind", Box::new(|document| document.put(ROOT, "kind", "visit").expect("valid"))),
        ("recorded_at", Box::new(|document| document.put(ROOT, "recorded_at", 7).expect("valid"))),
        ("author", Box::new(|document| document.put(ROOT, "author", "0".repeat(32)).expect("valid"))),
        ("schema", Box::new(|document| document.put(ROOT, "schema", 2).expect("valid"))),
        (
            "phones/x",
            Box::new(move |document| {
                drop(document.put_object(phones(document), "x", ObjType::Map).expect("valid"));
            }),
        ),
        (
            "phones/bbbbbbbb",
            Box::new(move |document| document.put(phones(document), "bbbbbbbb", 1).expect("valid")),
        ),
        (
            "phones/bbbbbbbb/deep",
            Box::new(move |document| {
                let record = document.put_object(phones(document), "bbbbbbbb", ObjType::Map).expect("valid");
                let mut deep = document.put_object(record, "deep", ObjType::Map).expect("valid");
                for _ in 0..50 {
                    deep = document.put_object(deep, "deep", ObjType::Map).expect("valid");
                }
            }),
        ),
    ];
    for (path, make) in cases {
        let refusal = admit(&crafted(&stored, make)).expect_err(path);
        assert!(matches!(refusal.rule, Rule::SchemaViolated), "{path}: {refusal:?}");
        assert!(
            refusal.about.as_deref().is_some_and(|about| about == path || path == "kind"),
            "{path}: {refusal:?}"
        );
    }
}

/// ADM-6
#[test]
fn records_and_texts_beyond_twice_their_limit_are_refused() {
    use automerge::transaction::Transactable;
    use automerge::{ObjType, ROOT, ReadDoc};
    let (mut document, _) = card([("name", "甲".into())]);
    let stored = document.save();
    let many = crafted(&stored, |document| {
        let phones = document.get(ROOT, "phones").expect("valid").expect("there").1;
        for number in 0..=2 * limits::RECORDS_MAX {
            document.put_object(&phones, format!("record{number:04}"), ObjType::Map).expect("valid");
        }
    });
    assert_eq!(rule(&many), Rule::DocumentTooLarge);
    let mut stored = stored;
    let mut refused = None;
    for _ in 0..25 {
        let mut long = crafted(&stored, |document| {
            let remarks = document.get(ROOT, "remarks").expect("valid").expect("there").1;
            document.splice_text(&remarks, 0, 0, &"长".repeat(1_900)).expect("valid");
        });
        long.stored = Some(stored.clone());
        match admit(&long) {
            Ok(admitted) => stored = admitted.saved,
            Err(refusal) => {
                refused = Some(refusal.rule);
                break;
            }
        }
    }
    assert_eq!(refused, Some(Rule::DocumentTooLarge));
}

/// ADM-6: what is deleted stays in a document's bytes, so that a short document may be a large one.
#[test]
fn a_document_beyond_its_bytes_is_refused_although_little_of_it_shows() {
    use automerge::transaction::Transactable;
    use automerge::{ROOT, ReadDoc};
    let (mut document, _) = card([("name", "甲".into())]);
    let mut grown = automerge::AutoCommit::load(&document.save()).expect("saved");
    grown.set_actor(automerge::ActorId::from([101; 16]));
    let remarks = grown.get(ROOT, "remarks").expect("valid").expect("there").1;
    let mut dice = crate::testing::entropy(5);
    while grown.save_nocompress().len() <= limits::DOCUMENT_BYTES_MAX - 2_000 {
        // Different each time, so that no run of equal columns makes it small.
        let words: String =
            (0..10_000).filter_map(|_| char::from_u32(0x4e00 + dice.below(0x5000) as u32)).collect();
        grown.splice_text(&remarks, 0, 0, &words).expect("valid");
        grown.splice_text(&remarks, 0, 10_000, "").expect("valid");
        grown.commit();
    }
    let stored = grown.save_nocompress();
    let one_more = |count: usize| {
        crafted(&stored, |document| {
            let remarks = document.get(ROOT, "remarks").expect("valid").expect("there").1;
            document.splice_text(&remarks, 0, 0, &"长".repeat(count)).expect("valid");
        })
    };
    let over = stored.len() > limits::DOCUMENT_BYTES_MAX;
    assert!(over || admit(&one_more(1)).is_ok(), "{} bytes", stored.len());
    assert_eq!(rule(&one_more(1_900)), Rule::DocumentTooLarge);
}

/// ADM-3
#[test]
fn only_the_counter_after_the_highest_known_one_is_legal() {
    let (_, changes) = card([("name", "甲".into())]);
    let mut header = wire::parse(&changes[0].bytes).expect("ours");
    let ground = Ground::default();
    assert!(ground.judge(&header, person(1)).is_ok());
    header.start_op = 2;
    assert_eq!(ground.judge(&header, person(1)).expect_err("a gap").rule, Rule::StartOpAbsurd);
}

/// DOC-6, ADM-1
#[test]
fn a_long_record_arrives_in_several_changes_and_is_admitted_as_a_whole() {
    let long: String = "今天见到王工谈了价格。".repeat(1_500);
    let create =
        Edit::CreateVisit { visit: VISIT, customer: CARD, fields: patch([("record", long.as_str().into())]) };
    let mut by = writer(1);
    by.recorded = recorded(START);
    let (document, changes) = Document::create(&by, &create).expect("valid");
    assert!(changes.len() > 5);
    let admitted = admit(&visit_input(None, 1, bytes(&changes))).expect("honest");
    assert_eq!(admitted.applied, changes.len());
    assert_eq!(document.text_of("record"), Some(long));
}

/// ADM-1
#[test]
fn a_difference_deep_in_a_long_text_is_shown() {
    let (mut document, _) = card([("remarks", "旧".repeat(300).as_str().into())]);
    let stored = document.save();
    let changes = edit(&mut document, 2, [("remarks", format!("{}新", "旧".repeat(300)).as_str().into())]);
    let admitted = admit(&card_input(Some(stored), 2, bytes(&changes))).expect("honest");
    assert_eq!(admitted.field_changes[0].after.as_deref(), Some(format!("…{}新", "旧".repeat(20)).as_str()));
}

/// Brings a changed body into a chunk with a right checksum.
fn resealed(body: &[u8]) -> Vec<u8> {
    use sha2::Digest as _;
    let mut covered = vec![1];
    let mut length = body.len();
    while length > 0x7f {
        covered.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    covered.push(length as u8);
    covered.extend_from_slice(body);
    let mut bytes = vec![0x85, 0x6f, 0x4a, 0x83];
    bytes.extend_from_slice(&sha2::Sha256::digest(&covered)[..4]);
    bytes.extend_from_slice(&covered);
    bytes
}

/// ADM-7: what passes the pre-parser and is nonsense all the same is either harmless, so that its saved form
/// loads again, or refused; nothing escapes as a panic.
#[test]
fn altered_changes_are_admitted_only_if_they_can_be_loaded_again() {
    let mut entropy = crate::testing::entropy(11);
    let (mut tried, mut unloadable) = (0, 0);
    for seed in 0..400 {
        if tried > 700 && unloadable > 25 {
            break;
        }
        let (document, changes) = random_history(seed);
        let Some(last) = changes.last().filter(|_| changes.len() > 1) else { continue };
        let kind = document.kind().expect("ours");
        let mut stored = Document::empty();
        stored.apply(&bytes(&changes[..changes.len() - 1])).expect("complete");
        let actor = wire::parse(&last.bytes).expect("ours").actor;
        let by = if kind.is_fact() { 1 } else { actor.0[0] - 100 };
        let header_length = if last.bytes[9] < 0x80 { 10 } else { 11 };
        for _ in 0..60 {
            let mut body = last.bytes[header_length..].to_vec();
            for _ in 0..1 + entropy.below(2) {
                let at = body.len() / 3 + entropy.below((body.len() - body.len() / 3) as u64) as usize;
                body[at] = body[at].wrapping_add(1 + entropy.below(3) as u8);
            }
            let altered = resealed(&body);
            if wire::parse(&altered).is_err() {
                continue;
            }
            tried += 1;
            let mut input = card_input(Some(stored.save()), by, vec![altered]);
            input.kind = kind;
            match admit(&input) {
                Ok(admitted) => {
                    let mut again = Document::load(&admitted.saved).expect("admitted, so it loads");
                    assert_eq!(again.heads(), admitted.heads, "seed {seed}");
                }
                Err(refusal) => unloadable += usize::from(refusal.rule == Rule::Unloadable),
            }
        }
    }
    assert!(tried > 500 && unloadable > 20, "{tried} tried, {unloadable} unloadable: too few to show it");
}

/// ADM-1, ADM-5: where a change in the middle leaves what the schema does not allow, what stands before it is
/// admitted and its refusal is told.
#[test]
fn the_prefix_before_a_change_outside_the_schema_is_admitted() {
    use automerge::ROOT;
    use automerge::transaction::Transactable;
    let (mut document, _) = card([("name", "甲".into())]);
    let stored = document.save();
    let mut input = crafted(&stored, |document| document.put(ROOT, "name", "乙").expect("valid"));
    let mut middle = Document::load(&stored).expect("saved");
    middle.apply(&input.changes).expect("complete");
    for (key, by) in [("unknown", "x"), ("address", "北")] {
        let next = crafted(&middle.save(), |document| document.put(ROOT, key, by).expect("valid"));
        middle.apply(&next.changes).expect("complete");
        input.changes.extend(next.changes);
    }
    let admitted = admit(&input).expect("the first stands");
    assert_eq!(admitted.applied, 1);
    let refused = admitted.refused.expect("the second does not");
    assert_eq!((refused.rule, refused.about.as_deref()), (Rule::SchemaViolated, Some("unknown")));
    assert_eq!(admitted.projection.customer().and_then(|card| card.name.as_deref()), Some("乙"));
}
