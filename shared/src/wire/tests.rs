//! Facts about the pre-parser; rules WIRE-n of `docs/spec.md`.

use super::*;
use crate::testing::{card, edit, entropy, random_history, writer};

fn rule(bytes: &[u8]) -> Rule {
    parse(bytes).expect_err("to be refused").rule
}

/// Puts a body into a chunk with a right checksum.
fn chunk(chunk_type: u8, body: &[u8]) -> Vec<u8> {
    let mut covered = vec![chunk_type];
    let mut length = body.len();
    loop {
        let more = length > 0x7f;
        covered.push((length & 0x7f) as u8 | if more { 0x80 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    covered.extend_from_slice(body);
    let checksum = Sha256::digest(&covered);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&checksum[..4]);
    bytes.extend_from_slice(&covered);
    bytes
}

fn body(bytes: &[u8]) -> Vec<u8> {
    chunk_body(bytes).expect("a chunk").to_vec()
}

/// WIRE-1: the header is what Automerge itself reports.
#[test]
fn a_header_of_a_generated_change_is_what_automerge_reports() {
    let mut seen = 0;
    for seed in 0..600 {
        let (_, changes) = random_history(seed);
        for change in changes {
            let header = parse(&change.bytes).unwrap_or_else(|refusal| panic!("seed {seed}: {refusal:?}"));
            let reported = automerge::Change::from_bytes(change.bytes.clone()).expect("just made");
            assert_eq!(header.hash, change.hash, "seed {seed}");
            assert_eq!(header.hash.0, reported.hash().0);
            assert_eq!(header.actor.as_bytes(), reported.actor_id().to_bytes());
            assert_eq!(header.seq, reported.seq());
            assert_eq!(header.start_op, reported.start_op().get());
            assert_eq!(header.op_count, reported.len() as u64);
            assert_eq!(header.max_op(), reported.max_op());
            assert_eq!(header.timestamp.0, reported.timestamp());
            let deps: Vec<_> = reported.deps().iter().map(|hash| ChangeHash(hash.0)).collect();
            assert_eq!(header.deps, deps);
            let author = reported.author().map(|author| author.as_bytes().to_vec());
            assert_eq!(header.author.map(|author| author.0.to_vec()), author);
            let others: Vec<_> =
                reported.other_actor_ids().iter().map(|actor| actor.to_bytes().to_vec()).collect();
            assert_eq!(header.other_actors.iter().map(|actor| actor.0.to_vec()).collect::<Vec<_>>(), others);
            seen += 1;
        }
    }
    assert!(seen > 4_000, "{seen} changes are too few to show it");
}

/// WIRE-2: nothing panics, whatever comes; what is damaged is refused.
#[test]
fn damaged_bytes_are_refused_and_never_panic() {
    let mut entropy = entropy(7);
    for seed in 0..150 {
        let (_, changes) = random_history(seed);
        for change in changes {
            let mut damaged = change.bytes.clone();
            let at = entropy.below(damaged.len() as u64) as usize;
            damaged[at] ^= 1 << entropy.below(8);
            assert!(parse(&damaged).is_err(), "seed {seed}: a flipped bit at {at} was accepted");
            assert!(parse(&change.bytes[..at]).is_err());
            let mut longer = change.bytes.clone();
            longer.push(0);
            assert!(parse(&longer).is_err());
            // Behind a right checksum the damage reaches the columns.
            for _ in 0..20 {
                let mut body = body(&change.bytes);
                for _ in 0..1 + entropy.below(4) {
                    let at = entropy.below(body.len() as u64) as usize;
                    match entropy.below(3) {
                        0 => body[at] = entropy.below(256) as u8,
                        1 => drop(body.remove(at)),
                        _ => body.insert(at, entropy.below(256) as u8),
                    }
                    if body.is_empty() {
                        break;
                    }
                }
                let _ = parse(&chunk(1, &body));
            }
        }
    }
}

/// WIRE-3: document, compressed and bundle chunks are named as such.
#[test]
fn chunks_of_other_kinds_are_refused_by_name() {
    let (mut document, changes) = card([("name", "甲".into())]);
    assert_eq!(rule(&document.save()), Rule::ChunkKindForbidden);
    let body = body(&changes[0].bytes);
    assert_eq!(rule(&chunk(2, &body)), Rule::ChunkKindForbidden);
    assert_eq!(rule(&chunk(3, &body)), Rule::ChunkKindForbidden);
    assert_eq!(rule(&chunk(9, &body)), Rule::ChangeMalformed);
    assert!(parse(&chunk(1, &body)).is_ok());
    assert_eq!(rule(b""), Rule::ChangeMalformed);
    assert_eq!(rule(&vec![0; limits::CHANGE_BYTES_MAX + 1]), Rule::ChangeTooLarge);
}

/// WIRE-4: an actor's first change names its author, and no other does.
#[test]
fn an_author_stands_in_the_first_change_and_in_no_other() {
    let (mut document, first) = card([("name", "甲".into())]);
    assert_eq!(parse(&first[0].bytes).expect("ours").author, Some(writer(1).person));
    let second = edit(&mut document, 1, [("name", "乙".into())]);
    assert_eq!(parse(&second[0].bytes).expect("ours").author, None);
    let mut without = body(&first[0].bytes);
    without.truncate(without.len() - 18);
    assert_eq!(rule(&chunk(1, &without)), Rule::AuthorForeign);
    let mut with = body(&second[0].bytes);
    with.extend([1, 16]);
    with.extend([7; 16]);
    assert_eq!(rule(&chunk(1, &with)), Rule::AuthorForeign);
    let mut unknown = body(&second[0].bytes);
    unknown.extend([2, 0]);
    assert_eq!(rule(&chunk(1, &unknown)), Rule::ChangeMalformed);
}

/// A change made with Automerge itself, of things that no document of ours holds.
fn foreign(make: impl Fn(&mut automerge::AutoCommit)) -> Vec<u8> {
    let mut document = automerge::AutoCommit::new();
    document.set_author(Some(automerge::Author::from(vec![9; 16])));
    document.set_actor(automerge::ActorId::from([9; 16]));
    make(&mut document);
    let options = automerge::transaction::CommitOptions::default().with_time(1);
    let hash = document.commit_with(options).expect("something was made");
    document.get_change_by_hash(&hash).expect("just made").raw_bytes().to_vec()
}

/// WIRE-5: operations and values that no document of ours holds are refused before Automerge sees them.
#[test]
fn lists_counters_marks_bytes_and_floats_are_outside_the_schema() {
    use automerge::marks::{ExpandMark, Mark};
    use automerge::transaction::Transactable;
    use automerge::{ObjType, ROOT, ScalarValue};
    assert!(parse(&foreign(|document| document.put(ROOT, "name", "甲").expect("valid"))).is_ok());
    let cases: [fn(&mut automerge::AutoCommit); 8] = [
        |document| drop(document.put_object(ROOT, "name", ObjType::List).expect("valid")),
        |document| drop(document.put_object(ROOT, "name", ObjType::Table).expect("valid")),
        |document| document.put(ROOT, "name", ScalarValue::counter(1)).expect("valid"),
        |document| document.put(ROOT, "name", vec![1u8, 2]).expect("valid"),
        |document| document.put(ROOT, "name", 1.5).expect("valid"),
        |document| document.put(ROOT, "name", 1u64).expect("valid"),
        |document| document.put(ROOT, "name", ()).expect("valid"),
        |document| {
            let text = document.put_object(ROOT, "name", ObjType::Text).expect("valid");
            document.splice_text(&text, 0, 0, "abc").expect("valid");
            let mark = Mark::new("bold".to_owned(), true, 0, 2);
            document.mark(&text, mark, ExpandMark::None).expect("valid");
        },
    ];
    for (index, case) in cases.into_iter().enumerate() {
        assert_eq!(rule(&foreign(case)), Rule::SchemaViolated, "case {index}");
    }
}

/// WIRE-6: a change holds at most so many operations, and the number is exact.
#[test]
fn operations_are_counted_and_bounded() {
    use automerge::ROOT;
    use automerge::transaction::Transactable;
    let many = |count: usize| {
        foreign(move |document| {
            let text = document.put_object(ROOT, "record", automerge::ObjType::Text).expect("valid");
            document.splice_text(&text, 0, 0, &"x".repeat(count - 1)).expect("valid");
        })
    };
    let limit = limits::CHANGE_OPS_MAX as usize;
    assert_eq!(parse(&many(limit)).expect("at the limit").op_count, limits::CHANGE_OPS_MAX);
    assert_eq!(rule(&many(limit + 1)), Rule::ChangeTooLarge);
}

/// WIRE-6: the dependencies and the other actors that a change names are bounded before any is read.
#[test]
fn dependencies_and_actors_are_bounded() {
    fn leb(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }
    let (mut document, _) = card([("name", "甲".into())]);
    let body = body(&edit(&mut document, 1, [("name", "乙".into())])[0].bytes);
    assert_eq!((body[0], body[33]), (1, 16), "one dependency, then an actor of sixteen bytes");
    let named = |count: usize| {
        let mut many = leb(count);
        (0..count).for_each(|number| many.extend([&[number as u8], &body[2..33]].concat()));
        many.extend(&body[33..]);
        chunk(1, &many)
    };
    let limit = limits::CHANGE_DEPS_MAX;
    assert_eq!(parse(&named(limit)).expect("at the limit").deps.len(), limit);
    assert_eq!(rule(&named(limit + 1)), Rule::ChangeTooLarge);
    // Behind the actor stand its number and the first counter, one byte each, then the time.
    let time = 33 + 17 + 2;
    let after_time = time + body[time..].iter().position(|byte| byte & 0x80 == 0).expect("a number ends") + 1;
    assert_eq!(body[after_time..after_time + 2], [0, 0], "no message, no other actor");
    let actors = |count: usize| {
        let mut many = body[..=after_time].to_vec();
        many.extend(leb(count));
        for number in 0..count {
            many.push(16);
            many.extend([&(number as u16).to_be_bytes()[..], &[0xff; 14]].concat());
        }
        many.extend(&body[after_time + 2..]);
        chunk(1, &many)
    };
    let limit = limits::CHANGE_ACTORS_MAX;
    let at_limit = parse(&actors(limit));
    assert!(at_limit.is_ok_and(|header| header.other_actors.len() == limit));
    assert_eq!(rule(&actors(limit + 1)), Rule::ChangeTooLarge);
}

/// WIRE-6: a change without operations says nothing and is none.
#[test]
fn a_change_without_operations_is_refused() {
    let mut document = automerge::AutoCommit::new();
    document.set_author(Some(automerge::Author::from(vec![9; 16])));
    document.set_actor(automerge::ActorId::from([9; 16]));
    let hash = document.empty_change(automerge::transaction::CommitOptions::default().with_time(1));
    let change = document.get_change_by_hash(&hash).expect("just made");
    assert_eq!(rule(change.raw_bytes()), Rule::ChangeMalformed);
}

/// WIRE-7: a first counter of zero or beyond Automerge's is absurd.
#[test]
fn a_first_counter_beyond_all_reason_is_refused() {
    let (_, changes) = card([("name", "甲".into())]);
    let body = body(&changes[0].bytes);
    // No dependencies, an actor of sixteen bytes and sequence number 1 stand before the counter.
    assert_eq!(body[0..2], [0, 16]);
    assert_eq!(body[18..20], [1, 1]);
    for counter in [
        &[0][..],
        &[0x80, 0x80, 0x80, 0x80, 0x10],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ] {
        let mut absurd = body.clone();
        absurd.splice(19..20, counter.iter().copied());
        assert_eq!(rule(&chunk(1, &absurd)), Rule::StartOpAbsurd, "{counter:?}");
    }
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::testing::property(2_000))]

        /// WIRE-2: no bytes make it panic, with or without a right frame around them.
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&chunk(1, &bytes));
            // Behind an honest head the bytes are columns.
            let mut body = vec![0, 16];
            body.extend([7; 16]);
            body.extend([2, 1, 1, 0, 0]);
            body.extend(&bytes);
            let _ = parse(&chunk(1, &body));
        }
    }
}
