//! Who may push what: every refusal by its name, and nothing of a refused change anywhere.

use shared::document::{Document, Kind, Writer};
use shared::edit::Edit;
use shared::id::{ActorId, DocId, Scope};
use shared::limits;
use shared::protocol::{ClientFrame, Goodbye, ItemResult, Push, PushItem};
use shared::refusal::Rule;

use crate::world::{COMPLETE, Phone, World, patch, recorded, rule};

fn item(doc: DocId, kind: Kind, scope: Scope, change: Vec<u8>, world: &World) -> PushItem {
    PushItem::Change { doc, kind, scope, change: change.into(), recorded: recorded(world.now) }
}

fn first_rule(world: &mut World, phone: &mut Phone, items: Vec<PushItem>) -> Option<Rule> {
    rule(&world.push_items(phone, items, &mut [])[0])
}

/// A phone with one stored customer and an edit of it not yet pushed, as bytes.
fn with_edit(world: &mut World) -> (Phone, DocId, Vec<u8>) {
    let mut li = world.online("li");
    let customer = world.stored_customer(&mut li);
    li.edit_card(world.now, customer, [("address", "人民路1号")]);
    let PushItem::Change { change, .. } = li.unsent.remove(0) else { unreachable!("an edit is a change") };
    (li, customer, change.to_vec())
}

/// SYNC-1 (S13): a push repeated after a lost reply has no effect the second time.
#[test]
fn a_repeated_push_is_known() {
    let mut world = World::new();
    let mut li = world.online("li");
    world.new_customer(&mut li, patch(COMPLETE));
    let items = li.unsent.clone();
    let first = world.push(&mut li, &mut []);
    let (head, received) = (world.hub().stats().head, world.now);
    // Everybody goes by the first receipt, and so does its author who never heard of it (S13).
    world.later(60_000);
    world.reconnect(&mut li);
    let second = world.push_items(&mut li, items.clone(), &mut []);
    for (first, second) in first.iter().zip(&second) {
        let ItemResult::Accepted(seq) = first else { panic!("{first:?}") };
        assert_eq!(second, &ItemResult::Known(*seq, Some(received)));
    }
    assert_eq!(world.hub().stats().head, head);
    // Twice in one push, too.
    li.edit_card(world.now, *li.docs.keys().next().expect("one"), [("address", "人民路1号")]);
    let doubled = vec![li.unsent[0].clone(), li.unsent[0].clone()];
    let results = world.push_items(&mut li, doubled, &mut []);
    assert!(
        matches!(results[..], [ItemResult::Accepted(a), ItemResult::Known(b, _)] if a == b),
        "{results:?}"
    );
}

/// SYNC-2: size, form and kind of chunk are judged first.
#[test]
fn bytes_that_are_no_change_are_refused_by_name() {
    let mut world = World::new();
    let (mut li, customer, change) = with_edit(&mut world);
    let scope = Scope::Customer(customer);
    let card = Kind::Customer;
    let large = vec![0; limits::CHANGE_BYTES_MAX + 1];
    let items = vec![item(customer, card, scope, large, &world)];
    assert_eq!(first_rule(&mut world, &mut li, items), Some(Rule::ChangeTooLarge));
    let mut torn = change.clone();
    torn.truncate(change.len() - 1);
    let items = vec![item(customer, card, scope, torn, &world)];
    assert_eq!(first_rule(&mut world, &mut li, items), Some(Rule::ChangeMalformed));
    let saved = li.docs.get_mut(&customer).expect("there").2.save();
    let items = vec![item(customer, card, scope, saved, &world)];
    assert_eq!(first_rule(&mut world, &mut li, items), Some(Rule::ChunkKindForbidden));
}

/// SEC-17: what no phone makes is counted, item by item; what a rule says no to in all honesty is not.
#[test]
fn forgeries_are_offences_and_honest_refusals_are_none() {
    let mut world = World::new();
    let (mut li, customer, change) = with_edit(&mut world);
    let mut stranger = world.online("stranger");
    let scope = Scope::Customer(customer);
    let honest = vec![item(customer, Kind::Customer, scope, change.clone(), &world)];
    assert_eq!(first_rule(&mut world, &mut stranger, honest), Some(Rule::NotFound));
    assert_eq!(stranger.offences, 0);
    let forged = |doc| item(DocId([doc; 16]), Kind::Customer, scope, vec![0; 40], &world);
    let items = vec![forged(1), item(customer, Kind::Customer, scope, change, &world), forged(2)];
    world.push_items(&mut li, items, &mut []);
    assert_eq!(li.offences, 2);
}

/// HUB-20: a document of a scope without grant and one that does not exist get the same answer.
#[test]
fn forbidden_and_absent_are_the_same_answer() {
    let mut world = World::new();
    let (_li, customer, change) = with_edit(&mut world);
    let mut stranger = world.online("stranger");
    let items = vec![item(customer, Kind::Customer, Scope::Customer(customer), change.clone(), &world)];
    let forbidden = world.push_items(&mut stranger, items, &mut []);
    let nowhere = DocId([9; 16]);
    let visit = |scope| {
        let edit = Edit::CreateVisit { visit: DocId([8; 16]), customer, fields: patch([("record", "x")]) };
        let writer =
            Writer { person: stranger.identity.person, actor: stranger.actor, recorded: recorded(world.now) };
        let (_, changes) = Document::create(&writer, &edit).expect("valid");
        item(DocId([8; 16]), Kind::Visit, scope, changes[0].bytes.clone(), &world)
    };
    let (there, absent) = (visit(Scope::Customer(customer)), visit(Scope::Customer(nowhere)));
    let there = world.push_items(&mut stranger, vec![there], &mut []);
    let absent = world.push_items(&mut stranger, vec![absent], &mut []);
    assert_eq!(rule(&forbidden[0]), Some(Rule::NotFound));
    assert_eq!(there, forbidden);
    assert_eq!(absent, forbidden);
}

/// HUB-21: a manager comments and reads, and edits no card.
#[test]
fn a_grant_to_comment_allows_comments_only() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.stored_customer(&mut li);
    let mut boss = world.online("boss");
    boss.edit_card(world.now, customer, [("address", "人民路1号")]);
    assert_eq!(rule(&world.push(&mut boss, &mut [])[0]), Some(Rule::ReadOnly));
    let comment = world.entropy.doc_id();
    let edit = Edit::CreateComment { comment, customer, about: None, text: "抓紧报价".to_owned() };
    boss.create(world.now, &edit);
    assert_eq!(rule(&world.push(&mut boss, &mut [&mut li])[0]), None);
    assert!(li.docs.contains_key(&comment));
}

/// HUB-22: an actor belongs to the device that first used it; its numbers continue.
#[test]
fn actors_and_their_numbers_are_checked() {
    let mut world = World::new();
    let (mut li, customer, change) = with_edit(&mut world);
    let scope = Scope::Customer(customer);
    // Another device of the same person uses the actor.
    let mut tablet = world.online("li");
    let items = vec![item(customer, Kind::Customer, scope, change.clone(), &world)];
    assert_eq!(first_rule(&mut world, &mut tablet, items), Some(Rule::ActorForeign));
    // A gap: the second edit without the first.
    li.edit_card(world.now, customer, [("district", "东区")]);
    let second = li.unsent.remove(0);
    assert_eq!(first_rule(&mut world, &mut li, vec![second.clone()]), Some(Rule::SequenceGap));
    // A restored phone: another change under a number that is taken.
    let items = vec![item(customer, Kind::Customer, scope, change, &world)];
    assert_eq!(first_rule(&mut world, &mut li, items), None);
    assert_eq!(first_rule(&mut world, &mut li, vec![second]), None);
    let mut cloned = world.online("mei");
    cloned.actor = li.actor;
    cloned.identity = li.identity;
    cloned.edit_card(world.now, customer, [("address", "别处")]);
    let change = cloned.unsent.remove(0);
    // The clone had all, so its number is the next; take an older state for the reuse.
    assert_eq!(first_rule(&mut world, &mut li, vec![change]), None);
    let mut old = Document::empty();
    let log = world.lookup(|lookup| lookup.changes(customer, shared::id::Seq(0), shared::id::Seq(u64::MAX)));
    let log = log.expect("reads");
    old.apply(&[&log[0].1]).expect("the first change");
    let edit = Edit::EditCustomer { customer, fields: patch([("address", "旧手机")]) };
    let reused = old.edit(&li.writer(world.now), &edit).expect("valid").remove(0);
    let items = vec![item(customer, Kind::Customer, scope, reused.bytes, &world)];
    assert_eq!(first_rule(&mut world, &mut li, items), Some(Rule::SequenceReused));
}

/// HUB-23: a change whose dependency is not stored is to be offered again; what follows it is skipped.
#[test]
fn an_unknown_dependency_is_a_passing_refusal() {
    let mut world = World::new();
    let (mut li, customer, change) = with_edit(&mut world);
    let mut mei = world.online("mei");
    mei.docs.get_mut(&customer).expect("there").2.apply(&[change]).expect("applies");
    mei.edit_card(world.now, customer, [("district", "东区")]);
    mei.edit_card(world.now, customer, [("city", "苏州")]);
    let results = world.push(&mut mei, &mut [&mut li]);
    assert_eq!(rule(&results[0]), Some(Rule::DependencyUnknown));
    assert_eq!(results[1], ItemResult::Skipped);
    assert!(Rule::DependencyUnknown.is_passing());
}

/// HUB-24: the author written into a change is the device's person.
#[test]
fn a_change_signed_by_somebody_else_is_refused() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.entropy.doc_id();
    let writer = Writer { person: world.people["zhao"].id, actor: li.actor, recorded: recorded(world.now) };
    let edit = Edit::CreateCustomer { customer, fields: patch(COMPLETE) };
    let (_, changes) = Document::create(&writer, &edit).expect("valid");
    let items =
        vec![item(customer, Kind::Customer, Scope::Customer(customer), changes[0].bytes.clone(), &world)];
    assert_eq!(first_rule(&mut world, &mut li, items), Some(Rule::AuthorForeign));
    assert!(world.lookup(|lookup| lookup.document(customer)).expect("reads").is_none());
    assert!(
        world.lookup(|lookup| lookup.actor(li.actor)).expect("reads").is_none(),
        "the actor is not claimed"
    );
}

/// HUB-26: a document keeps the scope and kind of its first change, and a visit its customer.
#[test]
fn a_document_does_not_change_its_scope() {
    let mut world = World::new();
    let (mut li, customer, change) = with_edit(&mut world);
    let other = world.stored_customer(&mut li);
    let items = vec![item(customer, Kind::Customer, Scope::Customer(other), change, &world)];
    assert_eq!(first_rule(&mut world, &mut li, items), Some(Rule::ScopeMismatch));
    let visit = world.entropy.doc_id();
    let edit = Edit::CreateVisit { visit, customer, fields: patch([("record", "x")]) };
    let (_, changes) = Document::create(&li.writer(world.now), &edit).expect("valid");
    let items = vec![item(visit, Kind::Visit, Scope::Customer(other), changes[0].bytes.clone(), &world)];
    assert_eq!(first_rule(&mut world, &mut li, items), Some(Rule::ScopeMismatch));
    assert!(world.lookup(|lookup| lookup.document(visit)).expect("reads").is_none());
}

/// HUB-27: when a customer is refused, the visits pushed with it are kept by the phone and come again.
#[test]
fn a_visit_of_a_refused_customer_is_to_be_offered_again() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.new_customer(&mut li, patch(COMPLETE));
    world.new_visit(&mut li, customer, "第一次");
    // The card's change claims another kind inside than the push says.
    let visit = world.entropy.doc_id();
    let edit = Edit::CreateVisit { visit, customer, fields: patch([("record", "x")]) };
    let (_, wrong) = Document::create(&li.writer(world.now), &edit).expect("valid");
    li.unsent[0] = item(customer, Kind::Customer, Scope::Customer(customer), wrong[0].bytes.clone(), &world);
    let results = world.push(&mut li, &mut []);
    assert!(rule(&results[0]).is_some_and(|rule| !rule.is_passing()), "{results:?}");
    assert_eq!(rule(&results[1]), Some(Rule::DependencyUnknown));
    assert!(world.lookup(|lookup| lookup.customer(customer)).expect("reads").is_none());
}

/// SYNC-3: frames that cannot be read, or come out of order, end the connection by name.
#[test]
fn malformed_frames_end_the_connection() {
    let mut world = World::new();
    for frame in [vec![], vec![0xff; 40], vec![0x82, 0x07, 0x80], vec![0; limits::FRAME_BYTES_MAX + 1]] {
        let mut li = world.online("li");
        world.send_raw(&mut li, &frame);
        assert_eq!(li.goodbye, Some(Goodbye::Malformed));
        world.disconnect(&mut li);
    }
    let mut li = world.online("li");
    let items =
        (0..=limits::BATCH_ITEMS_MAX).map(|_| PushItem::Release { scope: Scope::Organisation }).collect();
    world.send(&mut li, &ClientFrame::Push(Push { batch: 1, items }));
    assert_eq!(li.goodbye, Some(Goodbye::Malformed));
}

/// SYNC-4: two actors that swap documents in one group are judged one after the other.
#[test]
fn two_people_editing_one_card_at_once_both_pass() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.stored_customer(&mut li);
    let mut mei = world.online("mei");
    li.edit_card(world.now, customer, [("address", "人民路1号")]);
    mei.edit_card(world.now, customer, [("address", "解放路2号")]);
    let frame = |phone: &mut Phone| {
        let items = std::mem::take(&mut phone.unsent);
        shared::protocol::encode(&ClientFrame::Push(Push { batch: 77, items }))
    };
    let now = world.now;
    for phone in [&mut li, &mut mei] {
        let (frame, session) = (frame(phone), phone.session.expect("connected"));
        world.hub().handle_frame(now, session, &frame);
    }
    world.settle(&mut [&mut li, &mut mei]);
    for phone in [&li, &mei] {
        assert!(matches!(phone.acks.last().expect("answered").results[..], [ItemResult::Accepted(_)]));
    }
    assert_eq!(
        li.docs.get_mut(&customer).expect("there").2.heads(),
        mei.docs.get_mut(&customer).expect("there").2.heads()
    );
    assert_eq!(li.text(customer, "address"), mei.text(customer, "address"));
}

/// HUB-28: an actor that never wrote is nobody's.
#[test]
fn an_actor_is_claimed_by_its_first_stored_change() {
    let mut world = World::new();
    let mut li = world.online("li");
    world.stored_customer(&mut li);
    let owner = world.lookup(|lookup| lookup.actor(li.actor)).expect("reads");
    assert_eq!(owner, Some((li.identity.device, li.identity.person)));
    assert_eq!(world.lookup(|lookup| lookup.actor(ActorId([1; 16]))).expect("reads"), None);
}
