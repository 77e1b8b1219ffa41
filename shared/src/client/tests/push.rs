//! What goes to the server: order, answers, refusals, held and late work.

use super::*;
use crate::client::{Disconnect, Handover};
use crate::id::Seq;
use crate::protocol::{Ack, ClientFrame, ItemResult, ServerFrame, decode_client_frame, encode};
use crate::refusal::Rule;
use crate::time::UtcMillis;
use crate::view::{Link, SyncState};

#[test]
fn cl_1_nothing_is_sent_or_called_saved_before_the_store_has_confirmed_it() {
    let (mut hub, mut phone) = rep_with_factory();
    let sent = phone.sent_pushes();
    phone.disk = Disk::Hangs;
    phone.edit(visit(VISIT, FACTORY, "看了设备"));
    phone.run(&mut hub);
    assert_eq!(phone.sync_state(VISIT), SyncState::Saving);
    assert_eq!(phone.status().saving, 1);
    assert_eq!(phone.sent_pushes(), sent);
    let Some(Output::Store(write)) =
        phone.outputs.iter().rfind(|output| matches!(output, Output::Store(_))).cloned()
    else {
        panic!("the edit was never given to the store")
    };
    phone.disk = Disk::Works;
    let now = phone.now();
    phone.network = false;
    phone.client.handle_stored(now, write.id);
    assert_eq!(phone.sync_state(VISIT), SyncState::Local);
    phone.run(&mut hub);
    assert_eq!(phone.sent_pushes(), sent + 1);
    assert_eq!(phone.sync_state(VISIT), SyncState::Server);
}

#[test]
fn cl_3_a_failed_store_keeps_the_edit_unsaved_and_tries_again() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.disk = Disk::Fails;
    phone.edit(visit(VISIT, FACTORY, "看了设备"));
    phone.run(&mut hub);
    for _ in 0..5 {
        assert_eq!(phone.sync_state(VISIT), SyncState::Saving);
        assert_eq!(phone.text(VISIT, "record").as_deref(), Some("看了设备"));
        phone.pass(60_000);
        phone.client.handle_timeout(phone.now());
        phone.run(&mut hub);
    }
    phone.disk = Disk::Works;
    phone.sync(&mut hub);
    assert_eq!(phone.sync_state(VISIT), SyncState::Server);
    assert!(phone.rows.contains_key(&format!("doc/{VISIT}")));
}

#[test]
fn cl_4_an_edit_made_offline_survives_a_restart_and_reaches_the_hub() {
    let (mut hub, mut phone) = rep();
    phone.network = false;
    phone.edit(card(FACTORY, "东方机械厂"));
    phone.edit(visit(VISIT, FACTORY, "第一次"));
    phone.run(&mut hub);
    phone.reopen();
    assert_eq!(phone.text(VISIT, "record").as_deref(), Some("第一次"));
    assert_eq!(phone.customers()[0].sync, SyncState::Local);
    assert_eq!(phone.customers()[0].status, None, "not registered yet");
    assert_eq!(phone.status().pending.edits, 2);
    phone.network = true;
    phone.sync(&mut hub);
    assert_eq!(hub.docs[&VISIT].document.text_of("record").as_deref(), Some("第一次"));
    assert_eq!(phone.customers()[0].provisional.as_deref(), Some("临0001"));
    assert_eq!(phone.status().pending.edits, 0);
    assert!(!phone.rows.keys().any(|key| key.starts_with("out/")), "{:?}", phone.rows.keys());
    assert_eq!(phone.status().link, Link::Live);
}

#[test]
fn cl_5_every_change_of_an_installation_has_one_actor() {
    let (mut hub, mut phone) = rep_with_factory();
    for number in 0..5 {
        phone.edit(address(FACTORY, &format!("路{number}号")));
        phone.sync(&mut hub);
        phone.reopen();
    }
    assert_eq!(hub.actors.len(), 1);
}

#[test]
fn cl_11_a_refused_edit_is_taken_back_kept_and_shown_and_later_edits_are_made_again() {
    let (mut hub, mut phone) = rep_with_factory();
    hub.refuse.push((b"BAD".to_vec(), Rule::SchemaViolated));
    phone.network = false;
    phone.disconnect(&mut hub);
    phone.edit(Edit::EditCustomer { customer: FACTORY, fields: patch([("city", "苏州")]) });
    let bad = phone.edit(Edit::EditCustomer { customer: FACTORY, fields: patch([("address", "BAD")]) });
    phone.edit(Edit::EditCustomer { customer: FACTORY, fields: patch([("district", "吴中")]) });
    phone.network = true;
    phone.sync(&mut hub);
    assert_eq!(phone.text(FACTORY, "address"), None);
    assert_eq!(phone.text(FACTORY, "district").as_deref(), Some("吴中"));
    assert_eq!(hub.docs[&FACTORY].document.text_of("district").as_deref(), Some("吴中"));
    assert_eq!(hub.docs[&FACTORY].document.text_of("city").as_deref(), Some("苏州"));
    let refused = phone.refused();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (refused[0].edit_id, refused[0].refusal.rule, refused[0].held),
        (bad.0, Rule::SchemaViolated, false)
    );
    assert_eq!(refused[0].customer_name, "东方机械厂");
    assert_eq!(phone.status().pending.refused, 1);
    assert_eq!(hub.actors.len(), 2, "the rebase wrote under a fresh actor");
    phone.reopen();
    assert_eq!(phone.refused().len(), 1, "until it is dismissed");
    phone.client.handle_dismiss_refused(phone.now(), bad);
    phone.run(&mut hub);
    phone.reopen();
    assert_eq!(phone.refused().len(), 0);
}

#[test]
fn cl_12_a_held_edit_leaves_the_card_and_is_shown_as_held() {
    let (mut hub, mut phone) = rep_with_factory();
    hub.hold.push(b"LATE".to_vec());
    phone.edit(address(FACTORY, "LATE 路"));
    phone.sync(&mut hub);
    assert_eq!(phone.text(FACTORY, "address"), None);
    let refused = phone.refused();
    assert!(refused[0].held, "{refused:?}");
    assert_eq!(phone.status().pending.refused, 0, "held is not refused");
    assert_eq!(phone.status().pending.edits, 0);
}

#[test]
fn cl_13_a_passing_refusal_is_offered_again_later_without_a_rebase() {
    let (mut hub, mut phone) = rep_with_factory();
    hub.refuse.push((b"FULL".to_vec(), Rule::StoreUnavailable));
    phone.edit(address(FACTORY, "FULL 路"));
    phone.run(&mut hub);
    assert_eq!(phone.status().pending.edits, 1);
    assert_eq!(phone.text(FACTORY, "address").as_deref(), Some("FULL 路"));
    hub.refuse.clear();
    phone.sync(&mut hub);
    assert_eq!(hub.docs[&FACTORY].document.text_of("address").as_deref(), Some("FULL 路"));
    assert_eq!(phone.client.incidents().rebases, 0);
    assert_eq!(hub.actors.len(), 1);
}

#[test]
fn cl_13_visits_of_a_card_that_cannot_be_registered_yet_wait_for_it() {
    let (mut hub, mut phone) = rep();
    hub.refuse.push((b"FULL".to_vec(), Rule::StoreUnavailable));
    phone.network = false;
    phone.edit(card(FACTORY, "FULL"));
    phone.edit(visit(VISIT, FACTORY, "第一次"));
    phone.network = true;
    phone.run(&mut hub);
    assert_eq!(phone.status().pending.edits, 2);
    hub.refuse.clear();
    phone.sync(&mut hub);
    assert!(phone.refused().is_empty(), "{:?}", phone.refused());
    assert!(hub.docs.contains_key(&VISIT));
}

#[test]
fn cl_14_numbering_refusals_are_answered_with_a_fresh_actor_and_nothing_is_shown() {
    let (mut hub, mut phone) = rep_with_factory();
    let actor = phone.client.meta.actor;
    hub.refuse.push((actor.as_bytes().to_vec(), Rule::SequenceReused));
    phone.edit(address(FACTORY, "人民路"));
    phone.sync(&mut hub);
    assert!(phone.refused().is_empty());
    assert_eq!(hub.docs[&FACTORY].document.text_of("address").as_deref(), Some("人民路"));
}

#[test]
fn cl_14_a_numbering_refusal_that_never_ends_is_shown_at_last() {
    let (mut hub, mut phone) = rep_with_factory();
    hub.refuse.push((b"LOOP".to_vec(), Rule::SequenceGap));
    phone.edit(address(FACTORY, "LOOP"));
    phone.sync(&mut hub);
    assert_eq!(phone.refused().len(), 1);
    assert!(phone.client.incidents().rebases <= 5);
}

#[test]
fn cl_15_a_lost_answer_is_as_good_as_none_and_the_second_push_changes_nothing() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.drop_frames = 1;
    phone.edit(visit(VISIT, FACTORY, "看了设备"));
    phone.run(&mut hub);
    assert_eq!(phone.status().pending.edits, 1);
    phone.disconnect(&mut hub);
    phone.network = true;
    phone.sync(&mut hub);
    assert_eq!(phone.status().pending.edits, 0);
    assert_eq!(phone.sync_state(VISIT), SyncState::Server);
    assert_eq!(hub.docs[&VISIT].document.change_count(), 1);
}

#[test]
fn cl_16_pushes_stay_within_the_frame_and_the_batch_and_keep_order() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.disconnect(&mut hub);
    hub.page_items = 1_000;
    for number in 0..150_u16 {
        let mut id = [7; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        phone.edit(visit(DocId(id), FACTORY, &format!("{number}: {}", "很长的记录".repeat(280))));
    }
    phone.network = true;
    let before = hub.pushed.len();
    phone.sync(&mut hub);
    let order: Vec<_> = hub.pushed[before..].iter().map(|(doc, _)| *doc).collect();
    let mut sorted = order.clone();
    sorted.sort_by_key(|doc| doc.0[..2].to_vec());
    assert_eq!(order, sorted);
    for output in &phone.outputs {
        if let Output::Send(bytes) = output {
            assert!(bytes.len() <= crate::limits::FRAME_BYTES_MAX, "{}", bytes.len());
        }
    }
}

#[test]
fn cl_17_a_request_waits_offline_is_answered_once_and_a_refused_one_is_kept_with_its_reason() {
    use crate::ledger::Command;
    let (mut hub, _) = rep_with_factory();
    let mut desk = colleague(&mut hub, 2);
    desk.disconnect(&mut hub);
    let accept = Command::Accept { customer: FACTORY };
    let first = desk.client.handle_command(desk.now(), accept.clone()).expect("the desk may");
    let again = desk.client.handle_command(desk.now(), accept).expect("the desk may");
    assert_eq!(first, again, "a second tap is the same request");
    let to = PersonId([9; 16]);
    let transfer = Command::Transfer { customer: FACTORY, to, reason: None };
    let second = desk.client.handle_command(desk.now(), transfer).expect("the desk may");
    assert!(desk.customers()[0].requested);
    desk.run(&mut hub);
    desk.reopen();
    assert!(desk.customers()[0].requested, "survives a restart");
    desk.network = true;
    desk.sync(&mut hub);
    let row = &desk.customers()[0];
    assert_eq!((row.code.as_deref(), row.requested, row.sync), (Some("KH00001"), false, SyncState::Accepted));
    let Answer::Requests(requests) = desk.client.query(desk.now(), &Query::Requests) else {
        panic!("requests answer")
    };
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].refusal.as_ref().map(|refusal| refusal.rule), Some(Rule::OwnerInactive));
    desk.client.handle_dismiss_request(desk.now(), second);
    let Answer::Requests(requests) = desk.client.query(desk.now(), &Query::Requests) else {
        panic!("requests answer")
    };
    assert!(requests.is_empty());
}

#[test]
fn cl_18_what_the_rules_forbid_is_refused_before_anything_is_kept() {
    use crate::ledger::Command;
    let (mut hub, mut phone) = rep_with_factory();
    let rule = |refused: Result<EditId, Refusal>| refused.expect_err("forbidden").rule;
    let now = phone.now();
    let unknown = DocId([9; 16]);
    assert_eq!(rule(phone.client.handle_edit(now, address(unknown, "x"))), Rule::NotFound);
    assert_eq!(rule(phone.client.handle_edit(now, visit(VISIT, unknown, "x"))), Rule::NotFound);
    assert_eq!(rule(phone.client.handle_edit(now, card(FACTORY, "again"))), Rule::ValueInvalid);
    let accept = phone.client.handle_command(now, Command::Accept { customer: FACTORY });
    assert_eq!(accept.expect_err("a rep may not").rule, Rule::RoleForbidden);
    phone.edit(visit(VISIT, FACTORY, "我写的"));
    phone.sync(&mut hub);
    let mut other = colleague(&mut hub, 2);
    let now = other.now();
    let edit = Edit::EditVisit { visit: VISIT, fields: patch([("record", "改")]) };
    assert_eq!(rule(other.client.handle_edit(now, edit)), Rule::NotTheAuthor);
    assert_eq!(other.status().pending.edits, 0);
}

#[test]
fn cl_18_a_phone_that_holds_as_many_documents_as_it_may_takes_no_new_one() {
    let mut hub = Hub::new();
    let mut phone = Phone::new(1, person(1, Role::Rep));
    hub.add_person(&phone.person.clone());
    phone.edit(card(FACTORY, "甲厂"));
    phone.edit(visit(VISIT, FACTORY, "第一次"));
    phone.sync(&mut hub);
    let of = |phone: &Phone, kind: &str| phone.rows[&format!("{kind}/{VISIT}")].clone();
    let (document, list) = (of(&phone, "doc"), of(&phone, "row"));
    for number in 2..crate::limits::DEVICE_DOCUMENTS_MAX as u32 {
        let mut id = [0xee; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        phone.rows.insert(format!("doc/{}", DocId(id)), document.clone());
        phone.rows.insert(format!("row/{}", DocId(id)), list.clone());
    }
    phone.reopen();
    let now = phone.now();
    let full = phone.client.handle_edit(now, visit(DocId([0x77; 16]), FACTORY, "再一次"));
    assert_eq!(full.expect_err("it is full").rule, crate::refusal::Rule::DeviceFull);
    let edited =
        phone.client.handle_edit(now, Edit::EditVisit { visit: VISIT, fields: patch([("record", "改")]) });
    assert!(edited.is_ok(), "what it holds can be edited");
}

#[test]
fn cl_60_a_revoked_phone_hands_everything_over_and_is_empty_only_when_all_of_it_was_taken() {
    let (mut hub, mut phone) = rep_with_factory();
    hub.refuse.push((b"BAD".to_vec(), Rule::SchemaViolated));
    hub.hold.push(b"LATE".to_vec());
    phone.edit(address(FACTORY, "BAD"));
    phone.sync(&mut hub);
    phone.edit(address(FACTORY, "LATE"));
    phone.sync(&mut hub);
    assert_eq!(phone.refused().iter().map(|view| view.held).collect::<Vec<_>>(), [false, true]);
    phone.disconnect(&mut hub);
    phone.edit(visit(VISIT, FACTORY, "没传的拜访"));
    phone.run(&mut hub);
    assert!(phone.client.handover(phone.now()).is_empty(), "nobody said that it is revoked");
    phone.client.handle_disconnected(phone.now(), Disconnect::Revoked);
    phone.run(&mut hub);
    let mut taken = Vec::new();
    let mut stopped = false;
    for round in 0..20 {
        let pushes = phone.client.handover(phone.now());
        phone.run(&mut hub);
        let answers = |result: ItemResult| -> Vec<Vec<u8>> {
            let ack = |bytes: &Vec<u8>| {
                let Ok(ClientFrame::Push(push)) = decode_client_frame(bytes) else { panic!("a push") };
                let results = vec![result.clone(); push.items.len()];
                let received = UtcMillis(0);
                encode(&ServerFrame::Ack(Ack { batch: push.batch, received, results }))
            };
            pushes.iter().map(ack).collect()
        };
        if !pushes.is_empty() && !stopped {
            stopped = true;
            let refusal = ItemResult::Refused(Rule::StoreUnavailable.into());
            let state = phone.client.handle_handed_over(phone.now(), &answers(refusal));
            assert_eq!(state, Handover::Stopped(Rule::StoreUnavailable));
            assert!(!phone.customers().is_empty(), "not taken, so all of it is still here");
            phone.run(&mut hub);
            // The power goes: it begins again.
            phone.reopen();
            phone.client.handle_disconnected(phone.now(), Disconnect::Revoked);
            phone.run(&mut hub);
            continue;
        }
        let held = answers(ItemResult::Held(Seq(0)));
        taken.extend(pushes.iter().flatten().copied());
        let state = phone.client.handle_handed_over(phone.now(), &held);
        phone.run(&mut hub);
        if state == Handover::Done {
            break;
        }
        assert!(round < 19, "it never ends");
    }
    // What is held, too: the server may have been set back since, and a phone that is switched off does not hear so.
    for words in ["BAD", "LATE", "没传的拜访"] {
        let holds = taken.windows(words.len()).any(|window| window == words.as_bytes());
        assert!(holds, "{words} was not handed over");
    }
    let left: Vec<_> = phone.rows.keys().filter(|key| !["meta", "actors"].contains(&key.as_str())).collect();
    assert!(left.iter().all(|key| key.starts_with("view/")), "{left:?}");
    assert!(phone.client.profile().is_none());
    assert!(
        !phone.rows.values().any(|bytes| bytes.windows(15).any(|window| window == "没传的拜访".as_bytes()))
    );
}
