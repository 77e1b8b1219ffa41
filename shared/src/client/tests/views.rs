//! What screens and scripts read.

use super::*;
use crate::edit::{Patch, Value};
use crate::settings::PhoneSettings;
use crate::view::{CustomerCard, CustomerRow, HomeView, SyncState, TimelineEntry, VisitView};

fn ask<T>(phone: &mut Phone, query: Query, answer: impl FnOnce(Answer) -> Option<T>) -> T {
    let now = phone.now();
    answer(phone.client.query(now, &query)).expect("each question has its own answer")
}

fn timeline(phone: &mut Phone, customer: DocId) -> Vec<TimelineEntry> {
    ask(phone, Query::Timeline { customer }, |answer| match answer {
        Answer::Timeline(entries) => Some(entries),
        _ => None,
    })
}

fn newest(phone: &mut Phone, limit: usize) -> Vec<TimelineEntry> {
    ask(phone, Query::Newest { limit }, |answer| match answer {
        Answer::Timeline(entries) => Some(entries),
        _ => None,
    })
}

fn card_of(phone: &mut Phone, id: DocId) -> Option<Box<CustomerCard>> {
    ask(phone, Query::Customer { id }, |answer| match answer {
        Answer::Customer(card) => Some(card),
        _ => None,
    })
}

fn visit_of(phone: &mut Phone, id: DocId) -> Option<Box<VisitView>> {
    ask(phone, Query::Visit { id }, |answer| match answer {
        Answer::Visit(visit) => Some(visit),
        _ => None,
    })
}

fn home(phone: &mut Phone) -> HomeView {
    ask(phone, Query::Home, |answer| match answer {
        Answer::Home(home) => Some(home),
        _ => None,
    })
}

fn search(phone: &mut Phone, search: &str) -> Vec<CustomerRow> {
    ask(phone, Query::Customers { search: search.to_owned(), limit: 10 }, |answer| match answer {
        Answer::Customers(rows) => Some(rows),
        _ => None,
    })
}

fn full_visit(id: DocId, record: &str, action: (&str, &str)) -> Edit {
    let fields = patch([
        ("record", record),
        ("visit_kind", "上门"),
        ("quotes/q0000001/product", "46#液压油"),
        ("next_actions/a0000001/text", action.0),
        ("next_actions/a0000001/day", action.1),
    ]);
    Edit::CreateVisit { visit: id, customer: FACTORY, fields }
}

#[test]
fn cl_52_the_manager_sees_the_visit_in_the_timeline_with_who_and_how_far() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.disconnect(&mut hub);
    phone.edit(full_visit(VISIT, "看了注塑车间", ("送样", "2025-12-01")));
    phone.run(&mut hub);
    let entry =
        timeline(&mut phone, FACTORY).into_iter().find(|entry| entry.kind == "visit").expect("the visit");
    assert_eq!(
        (entry.sync, entry.received_at.is_none(), entry.person.as_str()),
        (SyncState::Local, true, "人1")
    );
    phone.network = true;
    phone.sync(&mut hub);
    let entry =
        timeline(&mut phone, FACTORY).into_iter().find(|entry| entry.kind == "visit").expect("the visit");
    assert_eq!((entry.sync, entry.received_at.is_some()), (SyncState::Server, true));
    let mut manager = colleague(&mut hub, 2);
    hub.add_person(&person(1, Role::Rep));
    manager.live(&mut hub);
    let entries = timeline(&mut manager, FACTORY);
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["registered", "visit", "quote"]);
    assert_eq!((entries[1].text.as_str(), entries[1].person.as_str()), ("看了注塑车间", "人1"));
    assert_eq!(entries[1].customer_name, "东方机械厂");
    let comment = DocId([0xc0; 16]);
    let text = "跟紧".to_owned();
    manager.edit(Edit::CreateComment { comment, customer: FACTORY, about: Some(VISIT), text });
    manager.sync(&mut hub);
    phone.live(&mut hub);
    assert_eq!(timeline(&mut phone, FACTORY).last().map(|entry| entry.text.clone()).as_deref(), Some("跟紧"));
    let newest = newest(&mut phone, 10);
    assert_eq!(newest.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>(), ["comment", "visit"]);
}

#[test]
fn cl_52_an_entry_follows_its_document_its_customer_and_its_people() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.edit(visit(VISIT, FACTORY, "一"));
    phone.sync(&mut hub);
    assert_eq!(timeline(&mut phone, FACTORY)[1].text, "一");
    phone.edit(Edit::EditVisit { visit: VISIT, fields: patch([("record", "二")]) });
    phone.edit(Edit::EditCustomer {
        customer: FACTORY, fields: patch([("name", "东方机械有限公司")])
    });
    let entry = timeline(&mut phone, FACTORY)[1].clone();
    assert_eq!((entry.text.as_str(), entry.customer_name.as_str()), ("二", "东方机械有限公司"));
    assert_eq!(entry.sync, SyncState::Saving);
    phone.sync(&mut hub);
    let renamed = Person { name: "王强".to_owned(), ..phone.person.clone() };
    hub.add_person(&renamed);
    phone.live(&mut hub);
    let entry = timeline(&mut phone, FACTORY)[1].clone();
    assert_eq!((entry.person.as_str(), entry.sync), ("王强", SyncState::Server));
    let reason = "写错客户".to_owned();
    phone.edit(Edit::VoidVisit { visit: VISIT, reason });
    assert!(timeline(&mut phone, FACTORY)[1].marks.contains(&"void".to_owned()));
}

#[test]
fn cl_52_a_card_shows_both_values_of_a_clash_and_both_new_phones() {
    let (mut hub, mut one) = rep_with_factory();
    let phone_number = |id: &str, number: &str, replaces: &str| {
        let mut fields = Patch::new();
        fields.insert(format!("phones/{id}/number"), Value::from(number));
        if !replaces.is_empty() {
            fields.insert(format!("phones/{id}/replaces"), Value::from(replaces));
            fields.insert(format!("phones/{replaces}/state"), Value::from("retired"));
        }
        Edit::EditCustomer { customer: FACTORY, fields }
    };
    one.edit(phone_number("p0000001", "13800000001", ""));
    one.sync(&mut hub);
    let mut two = colleague(&mut hub, 2);
    one.disconnect(&mut hub);
    two.disconnect(&mut hub);
    one.edit(address(FACTORY, "人民路1号"));
    one.edit(phone_number("p0000002", "13800000002", "p0000001"));
    two.edit(address(FACTORY, "解放路2号"));
    two.edit(phone_number("p0000003", "13800000003", "p0000001"));
    one.network = true;
    two.network = true;
    one.sync(&mut hub);
    two.sync(&mut hub);
    one.live(&mut hub);
    for phone in [&mut one, &mut two] {
        let card = card_of(phone, FACTORY).expect("held");
        assert_eq!(card.clashes.len(), 1, "{:?}", card.clashes);
        assert_eq!(card.clashes[0].field, "address");
        assert_eq!(card.clashes[0].values.len(), 2);
        assert_eq!(card.row.clashes, 1);
        let active: Vec<_> = card.phones.iter().filter(|phone| phone.state == "active").collect();
        assert_eq!(active.len(), 2);
        assert!(active.iter().all(|phone| phone.to_check));
    }
    let shown = |phone: &mut Phone| card_of(phone, FACTORY).expect("held").fields["address"].clone();
    assert_eq!(shown(&mut one), shown(&mut two));
}

#[test]
fn cl_53_the_next_action_is_due_until_a_later_visit_has_dealt_with_it() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.edit(full_visit(VISIT, "第一次", ("送样", "2025-11-20")));
    phone.sync(&mut hub);
    // The visit took place on 2025-11-25, after the day of its action: only another visit deals with it.
    let view = home(&mut phone);
    assert_eq!(view.due.len(), 1, "{view:?}");
    assert_eq!(view.due[0].next_action_text.as_deref(), Some("送样"));
    assert_eq!(view.today.len(), 1);
    let open = card_of(&mut phone, FACTORY).expect("held").open_actions;
    assert_eq!(open.iter().filter_map(|action| action.text.as_deref()).collect::<Vec<_>>(), ["送样"]);
    phone.pass(86_400_000);
    phone.edit(visit(DocId([0x52; 16]), FACTORY, "第二次"));
    phone.sync(&mut hub);
    let view = home(&mut phone);
    assert!(view.due.is_empty());
    assert!(card_of(&mut phone, FACTORY).expect("held").open_actions.is_empty());
    assert_eq!(view.today.len(), 1, "yesterday's is not today's");
    assert_eq!((view.customers, view.to_accept), (1, 1));
}

#[test]
fn customers_are_found_by_name_initials_and_phone() {
    let (mut hub, mut phone) = rep_with_factory();
    let fields = patch([("phones/p0000001/number", "0512-6688 1234")]);
    phone.edit(Edit::EditCustomer { customer: FACTORY, fields });
    phone.edit(card(DocId([0x33; 16]), "苏州华瑞塑胶"));
    phone.sync(&mut hub);
    for needle in ["东方", "dfjx", "dongfang", "1234", "临0001"] {
        assert_eq!(search(&mut phone, needle).first().map(|row| row.id), Some(FACTORY), "{needle}");
    }
    assert!(search(&mut phone, "没有这家").is_empty());
    assert!(search(&mut phone, "，。").is_empty(), "nothing to search for");
    assert_eq!(search(&mut phone, " ").len(), 2, "all");
    phone.edit(Edit::EditCustomer { customer: FACTORY, fields: patch([("name", "西方机械厂")]) });
    assert!(search(&mut phone, "东方").is_empty());
    assert_eq!(search(&mut phone, "西方").len(), 1);
}

#[test]
fn a_visit_opens_for_its_form_and_only_for_its_author() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.edit(full_visit(VISIT, "看了设备", ("送样", "2025-12-01")));
    phone.sync(&mut hub);
    let form = visit_of(&mut phone, VISIT).expect("held");
    assert!(form.mine);
    assert_eq!(form.fields["record"], "看了设备");
    assert_eq!(form.records["quotes"].len(), 1);
    let mut other = colleague(&mut hub, 2);
    assert!(!visit_of(&mut other, VISIT).expect("held").mine);
    assert!(visit_of(&mut other, DocId([9; 16])).is_none());
    assert!(card_of(&mut other, DocId([9; 16])).is_none());
}

#[test]
fn cl_54_the_rescue_file_holds_all_unsent_work_in_words_and_bytes() {
    let (mut hub, mut phone) = rep_with_factory();
    hub.refuse.push((b"BAD".to_vec(), crate::refusal::Rule::SchemaViolated));
    phone.edit(address(FACTORY, "BAD"));
    phone.sync(&mut hub);
    phone.disconnect(&mut hub);
    phone.edit(visit(VISIT, FACTORY, "只在手机上"));
    let file: serde_json::Value = serde_json::from_slice(&phone.client.export()).expect("JSON");
    let work = file["work"].as_array().expect("a list");
    assert_eq!(work.len(), 2);
    assert_eq!((work[0]["state"].as_str(), work[1]["state"].as_str()), (Some("refused"), Some("unsent")));
    assert_eq!(work[1]["what"]["edit"]["fields"]["record"], "只在手机上");
    assert_eq!(work[1]["customer_name"], "东方机械厂");
    let bytes = work[1]["changes"][0].as_str().expect("hexadecimal");
    assert!(bytes.starts_with("856f4a83"), "one change chunk: {bytes}");
}

#[test]
fn more_documents_than_may_be_open_are_all_shown() {
    let (mut hub, mut phone) = rep_with_factory();
    hub.page_items = 1_000;
    for number in 0..150_u8 {
        phone.edit(visit(DocId([number, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]), FACTORY, "记录"));
    }
    phone.sync(&mut hub);
    assert_eq!(timeline(&mut phone, FACTORY).iter().filter(|entry| entry.kind == "visit").count(), 150);
    assert_eq!(newest(&mut phone, 20).len(), 20);
}

// CL-47
#[test]
fn a_phone_goes_by_the_settings_that_the_last_welcome_brought() {
    let (mut hub, mut phone) = (Hub::new(), Phone::new(1, person(1, Role::Rep)));
    assert!(phone.status().position_allowed, "allowed unless it is forbidden");
    hub.settings = Some(PhoneSettings { position_allowed: false, late_upload_minutes: 120 });
    phone.sync(&mut hub);
    assert!(!phone.status().position_allowed);
    phone.disconnect(&mut hub);
    phone.reopen();
    assert!(!phone.status().position_allowed, "without a network too");
    hub.settings = None;
    phone.network = true;
    phone.sync(&mut hub);
    assert!(!phone.status().position_allowed, "a server that says nothing changes nothing");
    hub.settings = Some(PhoneSettings::default());
    phone.disconnect(&mut hub);
    phone.network = true;
    phone.sync(&mut hub);
    assert!(phone.status().position_allowed);
}

// CL-47
#[test]
fn what_was_looked_at_before_is_late_by_the_new_settings() {
    let (mut hub, mut phone) = rep_with_factory();
    phone.disconnect(&mut hub);
    phone.edit(visit(VISIT, FACTORY, "看了设备"));
    phone.pass(120_000);
    hub.time.0 += 120_000;
    phone.network = true;
    phone.sync(&mut hub);
    let is_late = |phone: &mut Phone| {
        timeline(phone, FACTORY).iter().any(|entry| entry.marks.iter().any(|mark| mark == "late_upload"))
    };
    assert!(!is_late(&mut phone), "an hour is allowed");
    hub.settings = Some(PhoneSettings { late_upload_minutes: 1, ..PhoneSettings::default() });
    phone.disconnect(&mut hub);
    phone.network = true;
    phone.sync(&mut hub);
    assert!(is_late(&mut phone));
}

// CL-55
#[test]
fn what_the_counter_counts_can_be_read_edit_by_edit() {
    let (mut hub, mut phone) = (Hub::new(), Phone::new(1, person(1, Role::Rep)));
    phone.sync(&mut hub);
    phone.disconnect(&mut hub);
    let unsent = |phone: &mut Phone| {
        ask(phone, Query::Unsent, |answer| match answer {
            Answer::Unsent(edits) => Some(edits),
            _ => None,
        })
    };
    let call = DocId([2; 16]);
    phone.edit(card(FACTORY, "明达机械"));
    phone.edit(visit(call, FACTORY, "谈了样品"));
    phone.edit(address(FACTORY, "高新路 16 号"));
    let waiting = unsent(&mut phone);
    assert_eq!(waiting.iter().map(|one| one.doc).collect::<Vec<_>>(), [FACTORY, call, FACTORY]);
    assert_eq!(waiting[1].edit, Some(visit(call, FACTORY, "谈了样品")));
    assert!(waiting.iter().all(|one| one.customer == Some(FACTORY) && one.customer_name == "明达机械"));
    assert_eq!(phone.status().pending.edits, 3);
    phone.network = true;
    phone.sync(&mut hub);
    assert_eq!(unsent(&mut phone), []);
}
