//! What comes from the server: pages, grants, removals, repairs.

use super::*;
use crate::client::views::Moment;
use crate::document::Kind;
use crate::ledger::EventKind;
use crate::ledger::people::Access;
use crate::protocol::{Cursor, Item, Page, PageItems, ServerFrame, encode};
use crate::view::{Link, SyncState};

#[test]
fn cl_20_two_phones_come_to_the_same_card_and_digest() {
    let (mut hub, mut one) = rep_with_factory();
    let mut two = colleague(&mut hub, 2);
    assert_eq!(two.text(FACTORY, "name").as_deref(), Some("东方机械厂"));
    one.disconnect(&mut hub);
    two.disconnect(&mut hub);
    one.edit(address(FACTORY, "人民路1号"));
    two.edit(Edit::EditCustomer { customer: FACTORY, fields: patch([("city", "苏州")]) });
    one.network = true;
    two.network = true;
    one.sync(&mut hub);
    two.sync(&mut hub);
    one.live(&mut hub);
    for phone in [&mut one, &mut two] {
        assert_eq!(phone.text(FACTORY, "address").as_deref(), Some("人民路1号"));
        assert_eq!(phone.text(FACTORY, "city").as_deref(), Some("苏州"));
        assert_eq!(phone.client.held.digest(Scope::Customer(FACTORY)), hub.digest(phone.person.id));
    }
}

#[test]
fn cl_21_a_first_sync_in_pages_resumes_where_it_was_cut() {
    let (mut hub, mut one) = rep_with_factory();
    for number in 0..20 {
        one.edit(visit(DocId([number; 16]), FACTORY, "记录"));
    }
    one.sync(&mut hub);
    let desk = person(2, Role::Assistant);
    hub.add_person(&desk);
    hub.grant(desk.id, Scope::Customer(FACTORY), Access::Write);
    let mut two = Phone::new(2, desk);
    two.crash_after = Some(9);
    two.wakes_offline = true;
    two.run(&mut hub);
    assert_eq!(two.crashes, 1);
    let held = two.client.held.len();
    assert!((1..21).contains(&held), "cut in the middle: {held}");
    two.network = true;
    two.client.handle_nudge(two.now());
    two.sync(&mut hub);
    assert_eq!(two.client.held.len(), 21);
    assert!(two.status().complete);
}

#[test]
fn cl_22_a_page_taken_twice_changes_nothing() {
    let (mut hub, mut one) = rep_with_factory();
    let mut two = colleague(&mut hub, 2);
    let before = two.client.meta.cursor.clone();
    one.edit(visit(VISIT, FACTORY, "记录"));
    one.sync(&mut hub);
    two.live(&mut hub);
    let rows = two.rows.clone();
    let page = hub.page(two.person.id, before);
    two.client.handle_frame(two.now(), &encode(&page));
    two.run(&mut hub);
    assert_eq!(two.rows.get(&format!("doc/{VISIT}")), rows.get(&format!("doc/{VISIT}")));
    assert_eq!(two.client.ledger.events(FACTORY).len(), 1);
    assert_eq!(two.status().link, Link::Live);
}

#[test]
fn cl_23_a_removed_scope_is_kept_until_everything_unsent_has_gone_and_then_dropped() {
    let (mut hub, mut phone) = rep_with_factory();
    let scope = Scope::Customer(FACTORY);
    phone.disconnect(&mut hub);
    phone.edit(visit(VISIT, FACTORY, "最后一次"));
    hub.revoke(phone.person.id, scope);
    phone.network = true;
    phone.disk = Disk::Works;
    phone.client.handle_nudge(phone.now());
    phone.run(&mut hub);
    phone.sync(&mut hub);
    assert!(hub.docs.contains_key(&VISIT), "the late visit reached the hub");
    assert!(phone.customers().is_empty());
    let left: Vec<_> = phone.rows.keys().filter(|key| key.contains(&FACTORY.to_string())).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!phone.rows.contains_key(&format!("doc/{VISIT}")));
}

#[test]
fn cl_23_a_scope_granted_again_while_leaving_stays() {
    let (mut hub, mut phone) = rep_with_factory();
    let scope = Scope::Customer(FACTORY);
    hub.refuse.push((b"WAIT".to_vec(), crate::refusal::Rule::StoreUnavailable));
    phone.edit(address(FACTORY, "WAIT"));
    phone.run(&mut hub);
    hub.revoke(phone.person.id, scope);
    phone.live(&mut hub);
    assert!(phone.customers()[0].leaving);
    hub.grant(phone.person.id, scope, Access::Write);
    phone.live(&mut hub);
    assert!(!phone.customers()[0].leaving);
    hub.refuse.clear();
    phone.sync(&mut hub);
    assert_eq!(phone.customers().len(), 1);
    assert_eq!(hub.docs[&FACTORY].document.text_of("address").as_deref(), Some("WAIT"));
}

#[test]
fn cl_24_a_scope_sent_whole_replaces_what_was_held_except_unsent_work() {
    let (mut hub, mut phone) = rep_with_factory();
    let ghost = DocId([0x90; 16]);
    phone.edit(visit(ghost, FACTORY, "服务器不再有"));
    phone.sync(&mut hub);
    hub.erase(ghost);
    hub.refuse.push((b"WAIT".to_vec(), crate::refusal::Rule::StoreUnavailable));
    phone.edit(visit(VISIT, FACTORY, "WAIT"));
    phone.run(&mut hub);
    hub.renew(Scope::Customer(FACTORY));
    phone.live(&mut hub);
    assert_eq!(phone.text(ghost, "record"), None);
    assert_eq!(phone.text(VISIT, "record").as_deref(), Some("WAIT"));
    assert!(!phone.rows.contains_key(&format!("doc/{ghost}")));
    assert_eq!(phone.client.held.digest(Scope::Customer(FACTORY)), hub.digest(phone.person.id));
}

#[test]
fn cl_28_an_erased_document_leaves_the_phone_and_what_was_typed_to_it_is_shown() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.edit(visit(VISIT, FACTORY, "要删除的话"));
    phone.sync(&mut hub);
    let notice = crate::ledger::event::NoticeKind::TransferredToYou { from: PersonId([9; 16]) };
    let name = "要删除的厂".to_owned();
    let kind = EventKind::Notice { customer: FACTORY, customer_name: name.clone(), notice };
    hub.event(phone.person.scope(), None, kind);
    phone.live(&mut hub);
    let holds = |phone: &Phone, words: &str| {
        let is_in = |bytes: &Vec<u8>| bytes.windows(words.len()).any(|window| window == words.as_bytes());
        phone.rows.iter().filter(|(_, bytes)| is_in(bytes)).map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    assert!(!holds(&phone, "要删除的话").is_empty() && !holds(&phone, &name).is_empty());
    hub.refuse.push((b"WAIT".to_vec(), crate::refusal::Rule::StoreUnavailable));
    phone.edit(Edit::EditVisit { visit: VISIT, fields: patch([("purpose", "WAIT")]) });
    phone.run(&mut hub);
    let items = vec![Item::Erased { doc: VISIT }, Item::Erased { doc: FACTORY }];
    let cursor = phone.client.meta.cursor.clone().expect("it was in touch");
    let page = Page { cursor, more: false, items: PageItems::Plain(items) };
    phone.client.handle_frame(phone.now(), &encode(&ServerFrame::Page(page)));
    phone.run(&mut hub);
    assert_eq!(holds(&phone, "要删除的话"), Vec::<String>::new());
    assert_eq!(holds(&phone, &name), Vec::<String>::new());
    assert_eq!(phone.text(VISIT, "record"), None);
    let refused = phone.refused();
    assert_eq!(refused.len(), 1, "what was typed and not sent is its author's to see");
    assert_eq!(refused[0].refusal.rule, crate::refusal::Rule::Erased);
    phone.reopen();
    assert_eq!(holds(&phone, &name), Vec::<String>::new());
    assert!(phone.client.ledger.notices().all(|notice| notice.customer_name.is_empty()));
}

#[test]
fn cl_25_a_restored_server_is_offered_everything_again() {
    let (mut hub, mut phone) = rep_with_factory();
    let mut desk = colleague(&mut hub, 2);
    let backup = hub.seq();
    let second = DocId([0x22; 16]);
    phone.edit(address(FACTORY, "备份之后"));
    phone.edit(visit(VISIT, FACTORY, "备份之后的拜访"));
    phone.edit(card(second, "备份之后的厂"));
    phone.edit(visit(DocId([0x52; 16]), second, "第一次"));
    phone.sync(&mut hub);
    desk.live(&mut hub);
    desk.edit(Edit::EditCustomer { customer: FACTORY, fields: patch([("city", "苏州")]) });
    desk.sync(&mut hub);
    phone.live(&mut hub);
    phone.edit(address(FACTORY, "在苏州之后"));
    phone.sync(&mut hub);

    hub.restore(backup);
    assert!(!hub.docs.contains_key(&VISIT));
    phone.disconnect(&mut hub);
    desk.disconnect(&mut hub);
    phone.network = true;
    desk.network = true;
    phone.edit(visit(DocId([0x53; 16]), FACTORY, "恢复后"));
    // The desk's edit builds on one that only the phone can offer again, and the phone's last on the desk's: each
    // waits for the other, and nothing is refused.
    sync_all(&mut [&mut desk, &mut phone], &mut hub);
    sync_all(&mut [&mut desk, &mut phone], &mut hub);
    assert!(desk.refused().is_empty(), "{:?}", desk.refused());
    assert!(phone.refused().is_empty(), "{:?}", phone.refused());
    assert_eq!(hub.docs[&FACTORY].document.text_of("address").as_deref(), Some("在苏州之后"));
    assert_eq!(hub.docs[&FACTORY].document.text_of("city").as_deref(), Some("苏州"));
    assert_eq!(hub.docs[&VISIT].document.text_of("record").as_deref(), Some("备份之后的拜访"));
    assert_eq!(hub.docs[&second].document.text_of("name").as_deref(), Some("备份之后的厂"));
    assert_eq!(hub.docs.len(), 5);
    assert_eq!(phone.customers().len(), 2);
    assert_eq!(phone.sync_state(VISIT), SyncState::Server);
    let digest = hub.digest(phone.person.id);
    let held =
        [FACTORY, second].iter().fold(0, |sum, id| sum ^ phone.client.held.digest(Scope::Customer(*id)).0);
    assert_eq!(held, digest.0);
    assert_eq!(phone.client.ledger.events(FACTORY).len(), 1, "events are the restored server's");
    assert_eq!(desk.text(FACTORY, "address").as_deref(), Some("在苏州之后"));
}

#[test]
fn cl_26_a_document_that_does_not_fit_is_dropped_and_fetched_again_and_unsent_edits_stay() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.edit(address(FACTORY, "人民路"));
    phone.sync(&mut hub);
    hub.refuse.push((b"WAIT".to_vec(), crate::refusal::Rule::StoreUnavailable));
    phone.edit(Edit::EditCustomer { customer: FACTORY, fields: patch([("city", "WAIT")]) });
    phone.run(&mut hub);
    let item = Item::Changes {
        doc: FACTORY,
        kind: Kind::Customer,
        scope: Scope::Customer(FACTORY),
        changes: vec![b"no change at all".to_vec().into()],
        received: hub.time,
    };
    let page = Page { cursor: Cursor(vec![1].into()), more: false, items: PageItems::Plain(vec![item]) };
    phone.client.handle_frame(phone.now(), &encode(&ServerFrame::Page(page)));
    assert_eq!(phone.client.incidents().faults, 1);
    hub.refuse.clear();
    phone.sync(&mut hub);
    assert_eq!(phone.text(FACTORY, "address").as_deref(), Some("人民路"));
    assert_eq!(hub.docs[&FACTORY].document.text_of("city").as_deref(), Some("WAIT"));
    assert_eq!(phone.client.incidents().faults, 1);
}

#[test]
fn cl_26_damaged_copies_are_fetched_again_but_damaged_unsent_work_is_left_for_a_rescue() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.rows.insert(format!("doc/{FACTORY}"), b"garbage".to_vec());
    phone.reopen();
    phone.sync(&mut hub);
    assert_eq!(phone.text(FACTORY, "name").as_deref(), Some("东方机械厂"));
    phone.rows.insert("out/000000000099".to_owned(), b"garbage".to_vec());
    let rows = phone.rows.clone().into_iter().collect();
    let opened = Client::open(phone.now(), Entropy::from_seed([9; 32]), rows);
    assert!(matches!(opened, Err(OpenFailure::Damaged(key)) if key == "out/000000000099"));
}

#[test]
fn cl_27_garbage_from_the_server_ends_the_connection_and_nothing_else() {
    let (mut hub, mut phone) = rep_with_factory();
    let mut entropy = Entropy::from_seed([3; 32]);
    let good = encode(&hub.page(phone.person.id, None));
    let mut rejected = 0;
    for round in 0..400 {
        phone.sync(&mut hub);
        let mut bytes = good.clone();
        for _ in 0..=entropy.below(4) {
            let place = entropy.below(bytes.len() as u64) as usize;
            bytes[place] = entropy.below(256) as u8;
        }
        if round % 3 == 0 {
            bytes.truncate(entropy.below(bytes.len() as u64) as usize);
        }
        let before = phone.client.incidents().faults;
        phone.client.handle_frame(phone.now(), &bytes);
        rejected += u64::from(phone.client.incidents().faults > before);
        phone.run(&mut hub);
    }
    assert!(rejected > 100, "the mutations did something: {rejected}");
    phone.client.begin_epoch(None);
    phone.disconnect(&mut hub);
    phone.network = true;
    phone.sync(&mut hub);
    assert_eq!(phone.text(FACTORY, "name").as_deref(), Some("东方机械厂"));
}

#[test]
fn cl_50_opening_over_list_rows_opens_no_document() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.edit(visit(VISIT, FACTORY, "记录"));
    phone.sync(&mut hub);
    // A document that cannot be loaded proves that nobody tried.
    let key = format!("doc/{VISIT}");
    let mut row: crate::client::rows::DocRow =
        crate::client::rows::decode(&phone.rows[&key]).expect("our own row");
    row.saved = b"unloadable".to_vec().into();
    phone.rows.insert(key, crate::client::rows::encode(&row));
    phone.network = false;
    phone.reopen();
    assert_eq!(phone.customers().len(), 1);
    assert!(phone.customers()[0].last_visit.is_some());
    assert_eq!(phone.client.incidents().faults, 0);
    let home = phone.client.home(phone.now(), Moment::Present);
    assert_eq!(home.customers, 1);
}

#[test]
fn cl_51_the_stored_first_screen_is_true_when_its_write_is_on_disk() {
    let (mut hub, mut phone) = rep();
    phone.network = false;
    phone.edit(card(FACTORY, "东方机械厂"));
    phone.run(&mut hub);
    let home: serde_json::Value = serde_json::from_slice(&phone.rows["view/home"]).expect("JSON of a home");
    assert_eq!(home["recent"].as_array().map(Vec::len), Some(1));
    assert_eq!(home["recent"][0]["sync"], "local", "not `saving`: the write that says so is on disk");
    assert_eq!(home["status"]["pending"]["edits"], 1);
    assert_eq!(home["status"]["link"], "offline");
    assert_eq!(home["status"]["saving"], 0);
}

#[test]
fn cl_45_another_person_cannot_take_over_unsent_work_and_an_empty_phone_is_emptied() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.disconnect(&mut hub);
    phone.edit(visit(VISIT, FACTORY, "未传"));
    phone.run(&mut hub);
    let other = person(7, Role::Rep);
    hub.add_person(&other);
    let profile =
        Profile { person: other.clone(), team: None, device: DeviceId([7; 16]), server: "test".to_owned() };
    assert!(!phone.client.may_login(other.id));
    phone.client.handle_login(phone.now(), profile.clone());
    phone.run(&mut hub);
    assert_eq!(phone.status().link, Link::LoginNeeded);
    assert_eq!(phone.status().pending.edits, 1);
    let same = phone.client.profile().expect("still the first person's").clone();
    phone.client.handle_login(phone.now(), same);
    phone.network = true;
    phone.sync(&mut hub);
    let actor = phone.client.meta.actor;
    phone.client.handle_login(phone.now(), profile);
    phone.person = other;
    phone.sync(&mut hub);
    assert!(phone.customers().is_empty());
    assert_ne!(phone.client.meta.actor, actor, "an actor belongs to one person's device");
    assert!(!phone.rows.keys().any(|key| key.starts_with("doc/") || key.starts_with("row/")));
}

#[test]
fn cl_46_goodbyes_lead_to_their_links() {
    use crate::protocol::Goodbye;
    let says = |phone: &mut Phone, goodbye| {
        phone.client.handle_frame(phone.now(), &encode(&ServerFrame::Goodbye(goodbye)));
        phone.status().link
    };
    let (mut hub, mut phone) = rep_with_factory();
    assert_eq!(says(&mut phone, Goodbye::ShuttingDown), Link::Offline);
    phone.sync(&mut hub);
    assert_eq!(
        says(&mut phone, Goodbye::Unauthenticated),
        Link::Offline,
        "the ticket may only have been late"
    );
    let due = phone.client.poll_timeout().expect("dials again");
    phone.pass(due - phone.monotonic);
    phone.client.handle_timeout(phone.now());
    while phone.client.poll_output().is_some() {}
    phone.client.handle_connected(phone.now(), None);
    assert_eq!(says(&mut phone, Goodbye::Unauthenticated), Link::LoginNeeded);
    assert_eq!(phone.client.poll_timeout(), None);
    let same = phone.client.profile().expect("logged in once").clone();
    phone.client.handle_login(phone.now(), same);
    phone.sync(&mut hub);
    assert_eq!(says(&mut phone, Goodbye::Revoked), Link::Revoked);
    phone.edit(address(FACTORY, "还能写"));
    phone.reopen();
    assert!(phone.client.profile().is_some());
}

#[test]
fn cl_31_a_clock_that_once_ran_ahead_is_forgiven_when_it_is_measured() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.wall += 10 * 365 * 86_400_000;
    phone.edit(address(FACTORY, "2035年"));
    phone.sync(&mut hub);
    phone.wall -= 10 * 365 * 86_400_000;
    phone.pass(70_000);
    phone.client.handle_timeout(phone.now());
    phone.sync(&mut hub);
    phone.network = false;
    phone.reopen();
    let recorded = phone.client.clock.recorded(phone.now());
    assert_eq!(recorded.quality, crate::time::Quality::Estimated);
}

#[test]
fn cl_45_a_phone_that_is_registered_anew_writes_under_a_fresh_actor() {
    let (mut hub, mut phone) = rep_with_factory();
    let actor = phone.client.meta.actor;
    let mut profile = phone.client.profile().expect("logged in").clone();
    profile.device = DeviceId([0xdd; 16]);
    phone.client.handle_login(phone.now(), profile);
    phone.edit(address(FACTORY, "人民路"));
    phone.sync(&mut hub);
    assert_ne!(phone.client.meta.actor, actor);
    assert!(phone.client.meta.former_actors.contains(&actor), "still its own after a restore of the server");
    assert_eq!(hub.actors.len(), 2);
}

#[test]
fn cl_23_a_former_owner_loses_nothing_of_all_four_kinds_of_unsent_work() {
    use crate::ledger::Command;
    let (mut hub, mut phone) = rep_with_factory();
    hub.hold.push("新地址".as_bytes().to_vec());
    phone.disconnect(&mut hub);
    phone.edit(visit(VISIT, FACTORY, "移交前后都要收"));
    phone.edit(address(FACTORY, "新地址"));
    let settle = Command::SettleLate { customer: FACTORY, late: Seq(1), apply: true };
    phone.client.handle_command(phone.now(), settle).expect("the owner may");
    let scope = Scope::Customer(FACTORY);
    hub.revoke(phone.person.id, scope);
    phone.network = true;
    phone.sync(&mut hub);
    assert!(hub.docs.contains_key(&VISIT));
    assert!(phone.customers().is_empty(), "the copy is gone");
    let kept = phone.refused();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].held);
    assert_eq!(kept[0].customer_name, "东方机械厂", "although the card is gone");
    let Answer::Requests(requests) = phone.client.query(phone.now(), &Query::Requests) else {
        panic!("requests answer")
    };
    assert_eq!(requests.len(), 1);
    assert!(requests[0].refusal.is_some());
    assert_eq!(requests[0].customer_name, "东方机械厂");
    phone.reopen();
    assert_eq!(phone.refused().len(), 1);
}

#[test]
fn cl_15_after_a_lost_answer_the_time_of_receipt_is_that_of_the_first_push() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.drop_frames = 1;
    phone.edit(visit(VISIT, FACTORY, "看了设备"));
    phone.run(&mut hub);
    let first = hub.time;
    phone.disconnect(&mut hub);
    hub.time.0 += 3_600_000;
    phone.network = true;
    phone.sync(&mut hub);
    assert_eq!(phone.client.held.get(VISIT).map(|row| row.received), Some(first));
}
