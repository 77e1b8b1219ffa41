//! S2: the customer was transferred while the old rep had unsent work. All four kinds of it.

use shared::id::{DocId, Scope, Seq};
use shared::ledger::event::{LateKind, LateState, LateWork, NoticeKind};
use shared::ledger::{Command, EventKind};
use shared::protocol::{ItemResult, PushItem};
use shared::refusal::Rule;

use crate::world::{Phone, World, recorded, rule};

/// The old rep is offline with the customer when it goes to another.
fn transferred(world: &mut World) -> (Phone, Phone, Phone, DocId) {
    let (mut li, mut zhao, mut mei) = (world.online("li"), world.online("zhao"), world.online("mei"));
    let customer = world.stored_customer(&mut li);
    world.reconnect(&mut mei);
    world.disconnect(&mut li);
    world.later(3_600_000);
    let command = Command::Transfer { customer, to: zhao.identity.person, reason: None };
    world.request(&mut mei, command, &mut [&mut zhao]);
    world.later(3_600_000);
    (li, zhao, mei, customer)
}

fn late_of(phone: &Phone) -> Vec<(Seq, LateWork)> {
    phone
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::LateWorkArrived { late } => Some((event.seq, late.clone())),
            _ => None,
        })
        .collect()
}

/// LED-20 (S2): a visit recorded before the transfer is accepted, credited and marked 移交前.
#[test]
fn a_visit_recorded_before_the_transfer_is_accepted() {
    let mut world = World::new();
    let (mut li, mut zhao, _mei, customer) = transferred(&mut world);
    let before = shared::time::UtcMillis(world.now.0 - 2 * 3_600_000);
    let visit = world.entropy.doc_id();
    let fields = crate::world::patch([("record", "交接前拜访")]);
    li.create(before, &shared::edit::Edit::CreateVisit { visit, customer, fields });
    world.connect(&mut li);
    let results = world.push(&mut li, &mut [&mut zhao]);
    assert!(matches!(results[..], [ItemResult::Accepted(_)]), "{results:?}");
    assert_eq!(zhao.text(visit, "record").as_deref(), Some("交接前拜访"));
    let late = late_of(&zhao);
    assert_eq!(late.len(), 1);
    assert_eq!(late[0].1.kind, LateKind::FactBefore);
    assert_eq!(late[0].1.person, li.identity.person);
    assert_eq!(late[0].1.state, LateState::Accepted);
    let row = world.lookup(|lookup| lookup.document(visit)).expect("reads").expect("stored");
    assert_eq!(row.author, li.identity.person);
}

/// LED-21 (S2): a visit recorded after it is accepted, marked 移交后拜访, and everybody concerned is told.
#[test]
fn a_visit_recorded_after_the_transfer_is_accepted_and_told() {
    let mut world = World::new();
    let (mut li, mut zhao, _mei, customer) = transferred(&mut world);
    let mut boss = world.online("boss");
    let visit = world.new_visit(&mut li, customer, "移交后");
    world.connect(&mut li);
    let results = world.push(&mut li, &mut [&mut zhao, &mut boss]);
    assert!(matches!(results[..], [ItemResult::Accepted(_)]), "{results:?}");
    assert_eq!(late_of(&zhao)[0].1.kind, LateKind::FactAfter);
    let wanted = NoticeKind::VisitAfterTransfer { person: li.identity.person, visit };
    for phone in [&li, &zhao, &boss] {
        let told = phone
            .events
            .iter()
            .any(|event| matches!(&event.kind, EventKind::Notice { notice, .. } if *notice == wanted));
        assert!(told, "both reps and the manager");
    }
    // One late work a visit, even when it is edited later.
    li.edit(
        world.now,
        &shared::edit::Edit::EditVisit { visit, fields: crate::world::patch([("problem", "价格")]) },
    );
    let results = world.push(&mut li, &mut [&mut zhao]);
    assert!(matches!(results[..], [ItemResult::Accepted(_)]), "{results:?}");
    assert_eq!(late_of(&zhao).len(), 1);
}

/// LED-22 (S2): edits of the card are kept but not merged; the new owner sees what they would change.
#[test]
fn card_edits_after_the_transfer_are_held() {
    let mut world = World::new();
    let (mut li, mut zhao, mut mei, customer) = transferred(&mut world);
    li.edit_card(world.now, customer, [("address", "人民路1号")]);
    li.edit_card(world.now, customer, [("district", "东区")]);
    let items = li.unsent.clone();
    world.connect(&mut li);
    let results = world.push(&mut li, &mut [&mut zhao, &mut mei]);
    let [ItemResult::Held(late), ItemResult::Held(same)] = results[..] else { panic!("{results:?}") };
    assert_eq!(late, same, "one late work for edits that build on each other");
    assert_eq!(zhao.text(customer, "address"), None);
    let (seq, work) = late_of(&zhao).remove(0);
    assert_eq!((seq, work.state), (late, LateState::Held));
    let LateKind::CardEdit { fields } = &work.kind else { panic!("{work:?}") };
    let paths: Vec<_> =
        fields.iter().map(|change| (change.field.as_str(), change.after.as_deref())).collect();
    assert_eq!(paths, [("address", Some("人民路1号")), ("district", Some("东区"))]);
    let held = NoticeKind::LateEditHeld { person: li.identity.person, late };
    assert!(
        zhao.events
            .iter()
            .any(|event| matches!(&event.kind, EventKind::Notice { notice, .. } if *notice == held))
    );
    // Sent again: the same answer, nothing new (S13).
    let head = world.hub().stats().head;
    let again = world.push_items(&mut li, items.clone(), &mut []);
    assert_eq!(again, results);
    assert_eq!(world.hub().stats().head, head);

    // LED-23: the new owner merges them by decision, once.
    let settle = Command::SettleLate { customer, late, apply: true };
    let result = world.request(&mut zhao, settle.clone(), &mut [&mut mei]);
    assert!(matches!(result, ItemResult::Accepted(_)), "{result:?}");
    for phone in [&zhao, &mei] {
        assert_eq!(phone.text(customer, "address").as_deref(), Some("人民路1号"));
        assert_eq!(phone.text(customer, "district").as_deref(), Some("东区"));
    }
    let again = world.request(&mut mei, settle, &mut []);
    assert_eq!(rule(&again), Some(Rule::AlreadySettled));
    // Once merged, the old phone's repetition is known.
    let known = world.push_items(&mut li, items, &mut []);
    assert!(matches!(known[..], [ItemResult::Known(..), ItemResult::Known(..)]), "{known:?}");
    let changes = world.lookup(|lookup| lookup.changes(customer, Seq(0), Seq(u64::MAX))).expect("reads");
    assert!(
        changes[1..].iter().all(|(row, _)| row.person == li.identity.person),
        "credited to who made them"
    );
}

/// LED-24: late work laid aside stays in the store and changes nothing.
#[test]
fn late_work_may_be_laid_aside() {
    let mut world = World::new();
    let (mut li, mut zhao, mut mei, customer) = transferred(&mut world);
    li.edit_card(world.now, customer, [("address", "人民路1号")]);
    world.connect(&mut li);
    let results = world.push(&mut li, &mut [&mut zhao]);
    let ItemResult::Held(late) = results[0] else { panic!("{results:?}") };
    let result =
        world.request(&mut mei, Command::SettleLate { customer, late, apply: false }, &mut [&mut zhao]);
    assert!(matches!(result, ItemResult::Accepted(_)), "{result:?}");
    assert_eq!(zhao.text(customer, "address"), None);
    let record = world.lookup(|lookup| lookup.customer(customer)).expect("reads").expect("registered");
    assert_eq!(record.late[0].1.state, LateState::Dismissed);
    assert_eq!(world.lookup(|lookup| lookup.held_of(late)).expect("reads").len(), 1);
}

/// LED-25 (S2): a ledger request of the old rep goes back as 已移交, and the ledger remembers it.
#[test]
fn a_request_of_the_old_owner_is_returned() {
    let mut world = World::new();
    let (mut li, mut zhao, _mei, customer) = transferred(&mut world);
    world.connect(&mut li);
    let id = world.entropy.request_id();
    let item = PushItem::Request { id, command: Command::Accept { customer }, recorded: recorded(world.now) };
    let result = world.push_items(&mut li, vec![item.clone()], &mut [&mut zhao]).remove(0);
    assert_eq!(rule(&result), Some(Rule::Transferred));
    let work = late_of(&zhao).remove(0).1;
    assert_eq!((work.kind, work.state), (LateKind::Request { rule: Rule::Transferred }, LateState::Returned));
    let head = world.hub().stats().head;
    assert_eq!(world.push_items(&mut li, vec![item], &mut []).remove(0), result);
    assert_eq!(world.hub().stats().head, head, "remembered once");
}

/// LED-26 (S2): the copy may be dropped only when the hub has answered everything of that customer.
#[test]
fn a_release_is_granted_when_nothing_waits() {
    let mut world = World::new();
    let (mut li, mut zhao, mut mei, customer) = transferred(&mut world);
    let scope = Scope::Customer(customer);
    let release = PushItem::Release { scope };
    // The owner keeps the copy.
    let kept = world.push_items(&mut zhao, vec![release.clone()], &mut []).remove(0);
    assert_eq!(rule(&kept), Some(Rule::AlreadyOwner));
    world.connect(&mut li);
    // A change that waits for a dependency holds the release back.
    let mut ahead = world.online("mei");
    ahead.edit_card(world.now, customer, [("city", "苏州")]);
    li.docs.get_mut(&customer).expect("there").2 = {
        let saved = ahead.docs.get_mut(&customer).expect("there").2.save();
        shared::document::Document::load(&saved).expect("loads")
    };
    li.edit_card(world.now, customer, [("address", "人民路1号")]);
    let mut items = std::mem::take(&mut li.unsent);
    items.push(release.clone());
    let results = world.push_items(&mut li, items, &mut []);
    assert_eq!(rule(&results[0]), Some(Rule::DependencyUnknown));
    assert_eq!(rule(&results[1]), Some(Rule::DependencyUnknown));
    // With work that is answered, it is granted.
    world.new_visit(&mut li, customer, "移交后");
    let mut items = std::mem::take(&mut li.unsent);
    items.push(release);
    let results = world.push_items(&mut li, items, &mut [&mut zhao, &mut mei]);
    assert!(matches!(results[..], [ItemResult::Accepted(_), ItemResult::Accepted(_)]), "{results:?}");
}

/// LED-27: whoever never had the customer may not pretend to be late.
#[test]
fn a_stranger_has_no_late_work() {
    let mut world = World::new();
    let (_li, _zhao, _mei, customer) = transferred(&mut world);
    let mut stranger = world.online("stranger");
    world.new_visit(&mut stranger, customer, "假的");
    let results = world.push(&mut stranger, &mut []);
    assert_eq!(rule(&results[0]), Some(Rule::NotFound));
}
