//! A server that comes back from an older copy (S14), and phones that never do. Rules: `docs/spec.md`, CL-25 and
//! CL-29.

use super::*;
use crate::document::Kind;
use crate::refusal::Rule;

const SECOND: DocId = DocId([0xfb; 16]);
const COMMENT: DocId = DocId([0xc0; 16]);

fn city(customer: DocId, city: &str) -> Edit {
    Edit::EditCustomer { customer, fields: patch([("city", city)]) }
}

fn comment(customer: DocId, text: &str) -> Edit {
    Edit::CreateComment { comment: COMMENT, customer, about: None, text: text.to_owned() }
}

fn assert_same_copy(phone: &Phone, hub: &mut Hub, customer: DocId) {
    let held = phone.client.held.digest(Scope::Customer(customer));
    assert_eq!(held, hub.digest(phone.person.id), "the phone's copy is the hub's");
}

#[test]
fn cl_25_what_is_offered_again_brings_back_nothing_that_it_does_not_build_on() {
    let (mut hub, mut phone) = rep_with_factory();
    let mut desk = colleague(&mut hub, 2);
    let backup = hub.seq();
    // Typed at once: neither builds on the other, and the desk's stands first in both copies.
    phone.disconnect(&mut hub);
    phone.edit(address(FACTORY, "人民路"));
    desk.edit(city(FACTORY, "苏州"));
    desk.sync(&mut hub);
    phone.network = true;
    phone.sync(&mut hub);
    assert_eq!(phone.text(FACTORY, "city").as_deref(), Some("苏州"));
    phone.disconnect(&mut hub);
    hub.restore(backup);
    phone.network = true;
    phone.sync(&mut hub);
    assert_eq!(hub.docs[&FACTORY].document.text_of("address").as_deref(), Some("人民路"));
    assert_eq!(phone.text(FACTORY, "city"), None, "nobody has offered that again");
    assert_same_copy(&phone, &mut hub, FACTORY);
}

#[test]
fn cl_25_what_two_restores_lost_is_offered_again_as_one() {
    let (mut hub, mut phone) = rep();
    let nothing = hub.seq();
    phone.edit(card(FACTORY, "东方机械厂"));
    phone.sync(&mut hub);
    let card_only = hub.seq();
    phone.edit(address(FACTORY, "人民路"));
    phone.sync(&mut hub);
    phone.disconnect(&mut hub);
    hub.restore(card_only);
    hub.refuse.push(("人民路".as_bytes().to_vec(), Rule::StoreUnavailable));
    phone.network = true;
    phone.run(&mut hub);
    phone.disconnect(&mut hub);
    hub.restore(nothing);
    hub.refuse.clear();
    phone.network = true;
    phone.sync(&mut hub);
    assert!(phone.refused().is_empty(), "{:?}", phone.refused());
    assert_eq!(hub.docs[&FACTORY].document.text_of("address").as_deref(), Some("人民路"));
}

#[test]
fn cl_25_events_of_a_former_life_go_with_a_scope_that_was_being_taken_away() {
    let (mut hub, mut phone) = rep();
    let nothing = hub.seq();
    phone.edit(card(FACTORY, "东方机械厂"));
    phone.sync(&mut hub);
    hub.refuse.push((b"WAIT".to_vec(), Rule::StoreUnavailable));
    phone.edit(address(FACTORY, "WAIT"));
    phone.run(&mut hub);
    hub.revoke(phone.person.id, Scope::Customer(FACTORY));
    phone.live(&mut hub);
    assert!(phone.customers()[0].leaving, "for the sake of what waits");
    phone.disconnect(&mut hub);
    hub.restore(nothing);
    hub.refuse.clear();
    hub.time.0 += 60_000;
    phone.network = true;
    phone.sync(&mut hub);
    assert_eq!(hub.docs[&FACTORY].document.text_of("address").as_deref(), Some("WAIT"));
    let of_new_life: Vec<_> =
        hub.events.iter().filter(|event| event.scope == Scope::Customer(FACTORY)).cloned().collect();
    assert_eq!(phone.client.ledger.events(FACTORY), of_new_life);
    assert!(!phone.customers()[0].leaving);
}

/// A rep whose edit came after the customer had been given away, and was held; where the transfer stands in the log.
fn rep_with_held_edit() -> (Hub, Phone, u64) {
    let (mut hub, mut phone) = rep_with_factory();
    hub.hold.push(b"LATE".to_vec());
    phone.disconnect(&mut hub);
    phone.edit(address(FACTORY, "LATE"));
    hub.revoke(phone.person.id, Scope::Customer(FACTORY));
    let transfer = hub.seq();
    phone.network = true;
    phone.sync(&mut hub);
    assert_eq!(hub.held(), 1);
    assert_shown_as_held(&mut phone);
    assert!(phone.customers().is_empty(), "it is somebody else's");
    phone.disconnect(&mut hub);
    phone.network = true;
    (hub, phone, transfer)
}

fn assert_shown_as_held(phone: &mut Phone) {
    let refused = phone.refused();
    let words = serde_json::to_string(&refused).expect("plain data");
    assert!(refused.len() == 1 && refused[0].held && words.contains("LATE"), "{words}");
}

#[test]
fn cl_25_what_a_server_held_is_held_again_after_each_restore() {
    let (mut hub, mut phone, transfer) = rep_with_held_edit();
    for _ in 0..2 {
        hub.restore(transfer);
        assert_eq!(hub.held(), 0, "the older copy knows nothing of it");
        phone.sync(&mut hub);
        assert_eq!(hub.held(), 1);
        assert_shown_as_held(&mut phone);
        assert_eq!(phone.client.faults, 0);
        phone.disconnect(&mut hub);
        phone.network = true;
        phone.reopen();
    }
}

#[test]
fn cl_25_what_a_server_held_is_merged_where_the_restored_one_knows_of_no_transfer() {
    let (mut hub, mut phone, transfer) = rep_with_held_edit();
    hub.hold.clear();
    hub.restore(transfer - 1);
    phone.sync(&mut hub);
    assert!(phone.refused().is_empty(), "{:?}", phone.refused());
    assert_eq!(hub.docs[&FACTORY].document.text_of("address").as_deref(), Some("LATE"));
    assert_same_copy(&phone, &mut hub, FACTORY);
}

#[test]
fn cl_25_what_a_server_held_and_the_restored_one_has_merged_is_let_go() {
    let (mut hub, mut phone, transfer) = rep_with_held_edit();
    let (_, late) = hub.pushed.last().cloned().expect("it was pushed");
    hub.restore(transfer);
    hub.put(FACTORY, Kind::Customer, Scope::Customer(FACTORY), &[late]);
    phone.sync(&mut hub);
    assert!(phone.refused().is_empty(), "{:?}", phone.refused());
    assert_eq!(phone.status().pending.edits, 0);
    assert_eq!(phone.client.faults, 0, "nothing is fetched anew for it");
}

#[test]
fn cl_29_what_a_server_held_of_a_customer_that_the_restored_one_does_not_know_is_shown_in_words() {
    let (mut hub, mut phone, _) = rep_with_held_edit();
    hub.restore(0);
    let person = phone.person.clone();
    hub.add_person(&person);
    phone.sync(&mut hub);
    assert_eq!(phone.status().pending.edits, 0, "nothing keeps the phone from coming to rest");
    let refused = phone.refused();
    let words = serde_json::to_string(&refused).expect("plain data");
    assert!(refused.len() == 1 && !refused[0].held && words.contains("LATE"), "{words}");
}

// CL-54, CL-55
#[test]
fn the_rescue_file_and_the_outbox_say_in_words_what_is_offered_again() {
    let (mut hub, mut phone, transfer) = rep_with_held_edit();
    hub.restore(transfer);
    hub.refuse.push((b"LATE".to_vec(), Rule::StoreUnavailable));
    phone.reopen();
    phone.run(&mut hub);
    let rescue = String::from_utf8(phone.client.export()).expect("JSON");
    assert!(rescue.contains(r#""state":"unsent""#) && rescue.contains("LATE"), "{rescue}");
    let unsent = format!("{:?}", phone.client.query(phone.now(), &Query::Unsent));
    assert!(unsent.contains("LATE") && unsent.contains("again: true"), "{unsent}");
}

#[test]
fn cl_29_what_builds_on_work_that_does_not_come_back_goes_on_in_words() {
    let (mut hub, mut phone) = rep_with_factory();
    let mut desk = colleague(&mut hub, 2);
    let backup = hub.seq();
    phone.edit(address(FACTORY, "在苏州之前"));
    phone.sync(&mut hub);
    desk.sync(&mut hub);
    let remarks = Value::Text { base: String::new(), text: "爱喝茶".to_owned() };
    let fields = Patch::from([("remarks".to_owned(), remarks), ("city".to_owned(), "苏州".into())]);
    desk.edit(Edit::EditCustomer { customer: FACTORY, fields });
    desk.sync(&mut hub);
    desk.disconnect(&mut hub);
    hub.restore(backup);
    desk.network = true;
    // The rep's phone is gone, and with it what the desk's edit builds on.
    desk.sync(&mut hub);
    assert!(desk.refused().is_empty(), "{:?}", desk.refused());
    let known = &mut hub.docs.get_mut(&FACTORY).expect("in the backup").document;
    assert_eq!(known.text_of("city").as_deref(), Some("苏州"));
    assert_eq!(known.text_of("remarks").as_deref(), Some("爱喝茶"));
    assert_eq!(known.text_of("address"), None);
    assert_same_copy(&desk, &mut hub, FACTORY);
}

#[test]
fn cl_29_work_on_a_customer_that_the_server_lost_is_shown_in_words_and_goes_when_the_customer_is_back() {
    let (mut hub, mut phone) = rep_with_factory();
    let mut desk = colleague(&mut hub, 2);
    let backup = hub.seq();
    phone.edit(card(SECOND, "备份之后的厂"));
    phone.sync(&mut hub);
    hub.grant(desk.person.id, Scope::Customer(SECOND), crate::ledger::people::Access::Write);
    desk.sync(&mut hub);
    desk.edit(comment(SECOND, "尽快拜访"));
    desk.edit(city(SECOND, "苏州"));
    desk.sync(&mut hub);
    desk.disconnect(&mut hub);
    phone.disconnect(&mut hub);
    hub.restore(backup);
    desk.network = true;
    desk.sync(&mut hub);
    assert_eq!(desk.status().pending.edits, 0, "nothing keeps the phone from coming to rest");
    let words = serde_json::to_string(&desk.refused()).expect("plain data");
    assert!(words.contains("尽快拜访") && words.contains("苏州"), "{words}");
    assert!(desk.refused().iter().all(|view| view.refusal.rule == Rule::NotFound));
    desk.reopen();
    // The phone that made the customer comes back, and the desk may see it again.
    phone.network = true;
    phone.sync(&mut hub);
    hub.grant(desk.person.id, Scope::Customer(SECOND), crate::ledger::people::Access::Write);
    desk.sync(&mut hub);
    assert!(desk.refused().is_empty(), "{:?}", desk.refused());
    assert_eq!(hub.docs[&COMMENT].document.text_of("text").as_deref(), Some("尽快拜访"));
    assert_eq!(hub.docs[&SECOND].document.text_of("city").as_deref(), Some("苏州"));
    assert_eq!(desk.text(SECOND, "name").as_deref(), Some("备份之后的厂"));
}

#[test]
fn cl_29_work_offered_again_under_numbers_that_are_taken_goes_on_in_words() {
    let (mut hub, mut phone) = rep_with_factory();
    let backup = hub.seq();
    phone.edit(visit(VISIT, FACTORY, "看了设备"));
    phone.sync(&mut hub);
    phone.edit(Edit::VoidVisit { visit: VISIT, reason: "写错了".to_owned() });
    phone.sync(&mut hub);
    phone.disconnect(&mut hub);
    hub.restore(backup);
    let actor = phone.client.meta.actor;
    hub.refuse.push((actor.as_bytes().to_vec(), Rule::ActorForeign));
    phone.network = true;
    phone.sync(&mut hub);
    assert!(phone.refused().is_empty(), "{:?}", phone.refused());
    let known = &hub.docs[&VISIT].document;
    assert_eq!(known.text_of("record").as_deref(), Some("看了设备"));
    assert_eq!(known.text_of("void_reason").as_deref(), Some("写错了"));
}

#[test]
fn cl_60_what_a_restored_server_may_lack_is_handed_over_though_its_copy_has_not_come() {
    let (mut hub, mut phone) = rep();
    phone.edit(card(FACTORY, "东方机械厂"));
    phone.sync(&mut hub);
    phone.disconnect(&mut hub);
    // The welcome of another life, and then not a page of it.
    phone.client.begin_epoch(Some(crate::id::IncarnationId([9; 16])));
    phone.client.handle_disconnected(phone.now(), crate::client::Disconnect::Revoked);
    phone.run(&mut hub);
    let mut handed = Vec::new();
    for _ in 0..3 {
        handed.extend(phone.client.handover(phone.now()).concat());
        phone.run(&mut hub);
    }
    let name = "东方机械厂".as_bytes();
    assert!(handed.windows(name.len()).any(|words| words == name), "the only copy of it is on this phone");
}
