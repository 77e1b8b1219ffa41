//! Facts about timelines; rules TL-n of `docs/spec.md`.

use super::*;
use crate::card;
use crate::document::Document;
use crate::edit::Edit;
use crate::id::{ActorId, DeviceId, Scope, Seq};
use crate::ledger::event::{FieldChange, LateKind};
use crate::ledger::{EventKind, LateState, LateWork, LedgerEvent};
use crate::settings::Settings;
use crate::testing::{CARD, COMMENT, START, VISIT, bytes, card, copy, edit, patch, person, recorded, writer};

const HOUR: i64 = 3_600_000;

fn name(person: PersonId) -> String {
    ["?", "甲", "乙", "内勤", "主管"].get(usize::from(person.0[0])).copied().unwrap_or("?").to_owned()
}

fn person_of(actor: ActorId) -> Option<PersonId> {
    Some(person(actor.0[0] - 100))
}

fn with_lookup<T>(read: impl FnOnce(&Lookup<'_>) -> T) -> T {
    let settings = Settings::default();
    read(&Lookup { name: &name, person_of: &person_of, settings: &settings })
}

fn about(record: Option<&CustomerRecord>) -> About<'_> {
    About { customer: CARD, name: "立信", record }
}

fn source(doc: DocId, received: Option<i64>) -> Source {
    let sync = if received.is_some() { SyncState::Server } else { SyncState::Local };
    Source { doc, sync, received: received.map(UtcMillis) }
}

fn event(seq: u64, at: i64, by: Option<u8>, kind: EventKind) -> LedgerEvent {
    let scope = Scope::Customer(CARD);
    LedgerEvent { seq: Seq(seq), scope, at: UtcMillis(at), by: by.map(person), request: None, kind }
}

fn registered(at: i64) -> LedgerEvent {
    let kind = EventKind::CustomerRegistered {
        customer: CARD,
        first_recorder: person(1),
        provisional: "临0001".to_owned(),
        recorded: Some(recorded(at)),
    };
    event(1, at, None, kind)
}

fn fold(events: &[LedgerEvent]) -> CustomerRecord {
    events.iter().fold(None, CustomerRecord::fold).expect("registered first")
}

fn visit_at(at: Recorded, fields: crate::edit::Patch) -> Document {
    let mut by = writer(1);
    by.recorded = at;
    Document::create(&by, &Edit::CreateVisit { visit: VISIT, customer: CARD, fields }).expect("valid").0
}

/// Draws entries as lines: what a person reads, in order.
fn drawn(entries: &[TimelineEntry]) -> String {
    let line = |entry: &TimelineEntry| {
        let marks =
            if entry.marks.is_empty() { String::new() } else { format!(" [{}]", entry.marks.join(" ")) };
        format!("{} {} {}: {}{marks}", entry.at, entry.kind, entry.person, entry.text)
    };
    entries.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn entries_of(
    visit: &mut Document,
    received: Option<i64>,
    record: Option<&CustomerRecord>,
) -> Vec<TimelineEntry> {
    with_lookup(|lookup| visit_entries(visit, &source(VISIT, received), about(record), lookup))
}

/// TL-1: a visit stands with its quotes and samples at the time it took place.
#[test]
fn a_visit_stands_with_its_quotes_and_samples() {
    let fields = patch([
        ("arrived", "2025-11-24T09:10:00+08:00".into()),
        ("visit_kind", "上门".into()),
        ("record", "谈了液压油".into()),
        ("result", "继续跟进".into()),
        ("people_met/aaaaaaaa/name", "王工".into()),
        ("next_actions/aaaaaaaa/text", "送样".into()),
        ("next_actions/aaaaaaaa/day", "2025-12-01".into()),
        ("quotes/bbbbbbbb/product", "46#液压油".into()),
        ("quotes/bbbbbbbb/pack", "200L".into()),
        ("quotes/bbbbbbbb/price_fen", crate::edit::Value::Int(185_000)),
        ("quotes/bbbbbbbb/unit", "桶".into()),
        ("quotes/bbbbbbbb/position", crate::edit::Value::Int(2)),
        ("quotes/cccccccc/product", "齿轮油".into()),
        ("quotes/cccccccc/position", crate::edit::Value::Int(1)),
        ("samples/dddddddd/product", "46#".into()),
        ("samples/dddddddd/quantity", "2".into()),
        ("samples/dddddddd/unit", "瓶".into()),
        ("samples/dddddddd/kind", "送样".into()),
        ("photos/eeeeeeee/sha256", "ab".repeat(32).as_str().into()),
    ]);
    let mut visit = visit_at(recorded(START - 14 * HOUR), fields);
    let entries = entries_of(&mut visit, None, None);
    assert_eq!(
        drawn(&entries),
        "2025-11-24T09:10:00+08:00 visit 甲: 谈了液压油\n\
         2025-11-24T09:10:00+08:00 quote 甲: 齿轮油\n\
         2025-11-24T09:10:00+08:00 quote 甲: 46#液压油 200L ¥1850.00/桶\n\
         2025-11-24T09:10:00+08:00 sample 甲: 46# 2 瓶 送样"
    );
    assert_eq!(entries[0].details["next_action_day"], "2025-12-01");
    assert_eq!(entries[0].details["people_met"], serde_json::json!(["王工"]));
    assert_eq!(entries[0].details["photos"], serde_json::json!(["ab".repeat(32)]));
    assert_eq!(entries[2].details["price_fen"], 185_000);
    assert_eq!(entries[3].details["sample_kind"], "送样");
    assert!(entries.iter().all(|entry| entry.received_at.is_none() && entry.sync == SyncState::Local));
    let line = serde_json::to_value(&entries[2]).expect("plain values");
    assert_eq!((&line["kind"], &line["product"]), (&"quote".into(), &"46#液压油".into()));
}

/// TL-2: 补传 where receipt is more than an hour after recording, 补录 where recording is on another day.
#[test]
fn late_upload_and_late_record_follow_from_the_three_times() {
    let full = || {
        patch([
            ("visit_kind", "电话".into()),
            ("record", "谈价".into()),
            ("result", "未跟进".into()),
            ("people_met/aaaaaaaa/name", "王工".into()),
        ])
    };
    let mut punctual = visit_at(recorded(START), full());
    assert!(entries_of(&mut punctual, Some(START + HOUR), None)[0].marks.is_empty());
    let late = &entries_of(&mut punctual, Some(START + 3 * HOUR + 5), None)[0];
    assert_eq!((late.marks.as_slice(), late.late_hours), (&["late_upload".to_owned()][..], Some(3)));
    let mut fields = full();
    fields.insert("at".to_owned(), "2025-11-20".into());
    let mut paper = visit_at(recorded(START), fields);
    assert_eq!(entries_of(&mut paper, Some(START), None)[0].marks, ["late_record"]);
    assert_eq!(entries_of(&mut paper, None, None)[0].at.to_string(), "2025-11-20");
}

/// TL-3: a clock that is not to be believed is called so, with what the phone showed; nothing else is
/// concluded from it (S8).
#[test]
fn a_suspect_clock_is_named_and_keeps_its_place() {
    let mut wrong = recorded(START - 6 * 365 * 24 * HOUR);
    wrong.quality = Quality::Suspect;
    let fields = patch([("record", "早".into())]);
    let mut visit = visit_at(wrong, fields.clone());
    let events = [registered(START)];
    let record = fold(&events);
    let mut entries = entries_of(&mut visit, Some(START + 9 * HOUR), Some(&record));
    assert_eq!(entries[0].marks, ["clock_suspect", "incomplete"]);
    assert_eq!(entries[0].details["device_time"], wrong.device.to_iso(480));
    entries.extend(with_lookup(|lookup| ledger_entries(&events, about(Some(&record)), lookup)));
    sort(&mut entries, Some(&record));
    assert_eq!(entries.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>(), ["registered", "visit"]);
    // Received while the phone's own clock showed the same: the receipt confirms what the phone could not.
    let mut fresh = recorded(START);
    fresh.quality = Quality::Suspect;
    let mut confirmed = visit_at(fresh, fields.clone());
    let entry = &entries_of(&mut confirmed, Some(fresh.device.0 + 60_000), None)[0];
    assert_eq!(entry.marks, ["incomplete"]);
    assert_eq!(entry.details.get("device_time"), None);
    // Ahead of its own receipt: the claim contradicts it, whatever the phone thinks of its clock.
    let mut ahead = visit_at(recorded(START + 8 * HOUR), fields);
    let entry = &entries_of(&mut ahead, Some(START), None)[0];
    assert_eq!(entry.marks[0], "clock_suspect");
}

/// TL-4: work of a former owner says how it stands to the transfer (S2).
#[test]
fn visits_around_a_transfer_are_marked() {
    let late = |kind, doc| LateWork {
        customer: CARD,
        person: person(1),
        device: DeviceId([1; 16]),
        doc,
        recorded: Some(recorded(START)),
        kind,
        state: LateState::Accepted,
    };
    let edit = LateKind::CardEdit {
        fields: vec![FieldChange {
            field: "address".to_owned(), before: None, after: Some("南".to_owned())
        }],
    };
    let mut held = late(edit, Some(CARD));
    held.state = LateState::Held;
    let transfer = EventKind::CustomerTransferred {
        customer: CARD,
        from: person(1),
        to: person(2),
        reason: Some("换区".to_owned()),
    };
    let mut events = vec![
        registered(START),
        event(
            2,
            START + HOUR,
            Some(3),
            EventKind::CustomerAccepted { customer: CARD, code: "KH00001".to_owned() },
        ),
        event(3, START + 2 * HOUR, Some(3), transfer),
        event(
            4,
            START + 3 * HOUR,
            None,
            EventKind::LateWorkArrived { late: late(LateKind::FactAfter, Some(VISIT)) },
        ),
        event(5, START + 3 * HOUR, None, EventKind::LateWorkArrived { late: held }),
    ];
    let record = fold(&events);
    let mut visit = visit_at(recorded(START + 150 * 60_000), patch([("result", "签单".into())]));
    let mut entries = entries_of(&mut visit, Some(START + 3 * HOUR), Some(&record));
    entries.extend(with_lookup(|lookup| ledger_entries(&events, about(Some(&record)), lookup)));
    sort(&mut entries, Some(&record));
    assert_eq!(
        drawn(&entries),
        "2025-11-25T00:00:00+08:00 registered 甲: 临0001\n\
         2025-11-25T01:00:00+08:00 accepted 内勤: KH00001\n\
         2025-11-25T02:00:00+08:00 owner 内勤: 甲 → 乙\n\
         2025-11-25T02:30:00+08:00 visit 甲:  [after_transfer incomplete]\n\
         2025-11-25T03:00:00+08:00 late_edit 甲: – → 南"
    );
    assert_eq!(entries[4].details["state"], "held");
    events.push(event(
        6,
        START + 4 * HOUR,
        Some(2),
        EventKind::LateWorkSettled { late: Seq(5), state: LateState::Applied },
    ));
    let record = fold(&events);
    let entries = with_lookup(|lookup| ledger_entries(&events, about(Some(&record)), lookup));
    assert_eq!(entries[3].details["state"], "applied");
}

/// TL-5: a void stands struck through, and says so when somebody edited beside it (S5).
#[test]
fn a_void_and_what_was_edited_beside_it_are_marked() {
    let mut visit = visit_at(recorded(START), patch([("record", "谈价".into())]));
    let mut other = copy(&mut visit);
    let void = Edit::VoidVisit { visit: VISIT, reason: "重复".to_owned() };
    visit.edit(&writer(1), &void).expect("valid");
    assert_eq!(entries_of(&mut visit, None, None)[0].marks, ["void"]);
    let mut second = writer(2);
    second.person = person(1);
    let change = Edit::EditVisit { visit: VISIT, fields: patch([("result", "签单".into())]) };
    let changes = other.edit(&second, &change).expect("valid");
    visit.apply(&bytes(&changes)).expect("complete");
    assert_eq!(entries_of(&mut visit, None, None)[0].marks, ["void", "edited_after_void"]);
    assert_eq!(entries_of(&mut visit, None, None)[0].details["void_reason"], "重复");
}

/// TL-6: contacts, phones and the level leave their own entries, in the words of the data (S4).
#[test]
fn changes_of_contacts_phones_and_level_are_entries() {
    let (mut document, _) = card([
        ("name", "立信".into()),
        ("level", "C".into()),
        ("contacts/aaaaaaaa/name", "王工".into()),
        ("phones/aaaaaaaa/number", "13800000000".into()),
    ]);
    edit(
        &mut document,
        2,
        [
            ("level", "B".into()),
            ("contacts/bbbbbbbb/name", "李工".into()),
            ("contacts/bbbbbbbb/title", "经理".into()),
        ],
    );
    edit(
        &mut document,
        3,
        [
            ("contacts/aaaaaaaa/state", "离职".into()),
            ("contacts/aaaaaaaa/successor", "bbbbbbbb".into()),
            ("phones/bbbbbbbb/number", "13900000000".into()),
            ("phones/bbbbbbbb/replaces", "aaaaaaaa".into()),
            ("phones/aaaaaaaa/state", "retired".into()),
        ],
    );
    edit(
        &mut document,
        3,
        [("contacts/bbbbbbbb/title", "总监".into()), ("phones/bbbbbbbb/state", "retired".into())],
    );
    edit(&mut document, 3, [("phones/bbbbbbbb", crate::edit::Value::Null)]);
    let mut entries =
        with_lookup(|lookup| card_entries(&mut document, &source(CARD, None), about(None), lookup));
    sort(&mut entries, None);
    let words: Vec<_> =
        entries.iter().map(|entry| format!("{} {}: {}", entry.kind, entry.person, entry.text)).collect();
    assert_eq!(words.len(), 7, "{words:#?}");
    for expected in [
        "level 乙: C → B",
        "contact 乙: 李工 经理",
        "contact 内勤: 王工 离职 → 李工",
        "phone 内勤: 13800000000 → 13900000000",
        "contact 内勤: 李工 经理 → 总监",
        "phone 内勤: 13900000000",
    ] {
        assert!(words.iter().any(|word| word == expected), "{expected} is not in {words:#?}");
    }
}

/// TL-7: two numbers that replace one at once are both to be checked, each with author and time (S3).
#[test]
fn numbers_that_replace_one_at_once_are_to_be_checked() {
    let (mut one, _) = card([("phones/aaaaaaaa/number", "1".into())]);
    let mut other = copy(&mut one);
    let replace = |id: &str, number: &str| {
        patch([
            (format!("phones/{id}/number").as_str(), number.into()),
            (format!("phones/{id}/replaces").as_str(), "aaaaaaaa".into()),
            ("phones/aaaaaaaa/state", "retired".into()),
        ])
    };
    crate::testing::apply_patch(&mut one, &writer(1), replace("bbbbbbbb", "2"));
    let theirs = crate::testing::apply_patch(&mut other, &writer(2), replace("cccccccc", "3"));
    one.apply(&bytes(&theirs)).expect("complete");
    let phones = with_lookup(|lookup| card::phones(&mut one, lookup));
    let drawn: Vec<_> = phones
        .iter()
        .map(|phone| {
            format!(
                "{} {} {} {}",
                phone.number,
                phone.state,
                phone.to_check,
                phone.person.clone().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(drawn, ["2 active true 甲", "3 active true 乙", "1 retired false 甲"]);
    assert!(
        with_lookup(|lookup| card::clashes(&mut one, lookup)).is_empty(),
        "retired twice is retired once"
    );
    edit(&mut one, 3, [("phones/cccccccc/state", "retired".into())]);
    let phones = with_lookup(|lookup| card::phones(&mut one, lookup));
    assert!(phones.iter().all(|phone| !phone.to_check));
}

/// TL-8: both values of a clash are shown with who wrote them and when; the shown one first.
#[test]
fn a_clash_shows_both_values_with_person_and_time() {
    let (mut one, _) = card([("name", "立信".into())]);
    let mut other = copy(&mut one);
    edit(&mut one, 1, [("address", "北".into())]);
    let theirs = edit(&mut other, 2, [("address", "南".into())]);
    one.apply(&bytes(&theirs)).expect("complete");
    let clashes = with_lookup(|lookup| card::clashes(&mut one, lookup));
    assert_eq!(clashes.len(), 1);
    assert_eq!(clashes[0].field, "address");
    let mut values: Vec<_> = clashes[0]
        .values
        .iter()
        .map(|value| (value.value.as_str(), value.person.as_str(), value.recorded_at.as_str()))
        .collect();
    assert_eq!(one.text_of("address").as_deref(), Some(values[0].0));
    values.sort_unstable();
    assert_eq!(
        values,
        [("北", "甲", "2025-11-25T00:00:01+08:00"), ("南", "乙", "2025-11-25T00:00:02+08:00")]
    );
}

/// TL-9: a comment stands at its recording and names the visit that it is about.
#[test]
fn a_comment_stands_at_its_recording() {
    let create = Edit::CreateComment {
        comment: COMMENT,
        customer: CARD,
        about: Some(VISIT),
        text: "请跟进".to_owned(),
    };
    let (mut comment, _) = Document::create(&writer(4), &create).expect("valid");
    let entries = with_lookup(|lookup| {
        comment_entries(&mut comment, &source(COMMENT, Some(START + HOUR)), about(None), lookup)
    });
    assert_eq!(drawn(&entries), "2025-11-25T00:00:04+08:00 comment 主管: 请跟进");
    assert_eq!(entries[0].details["about"], VISIT.to_string());
    assert_eq!(entries[0].received_at.as_deref(), Some("2025-11-25T01:00:00+08:00"));
}

/// TL-10: the order is the same whatever order the entries come in.
#[test]
fn the_order_does_not_depend_on_the_order_of_arrival() {
    let events = [registered(START)];
    let record = fold(&events);
    let fields = patch([("record", "一".into()), ("quotes/bbbbbbbb/product", "油".into())]);
    let mut visit = visit_at(recorded(START), fields);
    let mut entries = entries_of(&mut visit, Some(START), Some(&record));
    entries.extend(with_lookup(|lookup| ledger_entries(&events, about(Some(&record)), lookup)));
    sort(&mut entries, Some(&record));
    let expected = drawn(&entries);
    for _ in 0..entries.len() {
        entries.rotate_left(1);
        sort(&mut entries, Some(&record));
        assert_eq!(drawn(&entries), expected);
    }
}
