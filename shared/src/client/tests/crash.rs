//! The power goes at every output, in ordinary days and in recoveries.

use super::*;
use crate::document::Kind;

/// A working day: a customer made offline, two visits, one refused edit, an accepted request, somebody
/// else's edit, and a scope taken away. Whatever the phone forgot in a crash before its disk had it, the
/// person types again.
fn day(mut crash: impl FnMut(&mut Phone)) -> (Hub, Phone) {
    let (mut hub, mut phone) = rep();
    hub.refuse.push((b"BAD".to_vec(), crate::refusal::Rule::SchemaViolated));
    crash(&mut phone);
    phone.network = false;
    for edit in [
        card(FACTORY, "东方机械厂"),
        visit(VISIT, FACTORY, "第一次"),
        address(FACTORY, "人民路"),
        address(FACTORY, "BAD"),
        Edit::EditCustomer { customer: FACTORY, fields: patch([("city", "苏州")]) },
    ] {
        // Typed again until the phone says that it is saved.
        loop {
            let now = phone.now();
            phone.pass(10);
            match phone.client.handle_edit(now, edit.clone()) {
                Ok(_) => {}
                Err(refusal) => assert_eq!(refusal.about.as_deref(), Some("id"), "{refusal:?}"),
            }
            let crashes = phone.crashes;
            phone.run(&mut hub);
            if crashes == phone.crashes {
                break;
            }
        }
    }
    phone.network = true;
    phone.sync(&mut hub);
    let other = crate::document::Writer {
        person: PersonId([8; 16]),
        actor: crate::id::ActorId([8; 16]),
        recorded: phone.client.clock.recorded(phone.now()),
    };
    let mut copy =
        Document::load(&hub.docs.get_mut(&FACTORY).expect("registered").document.save()).expect("saved");
    let fields = patch([("district", "吴中")]);
    let changes = copy.edit(&other, &Edit::EditCustomer { customer: FACTORY, fields }).expect("valid");
    let changes: Vec<Vec<u8>> = changes.into_iter().map(|change| change.bytes).collect();
    hub.put(FACTORY, Kind::Customer, Scope::Customer(FACTORY), &changes);
    phone.sync(&mut hub);
    (hub, phone)
}

fn check(hub: &mut Hub, phone: &mut Phone) {
    for (key, value) in [("address", "人民路"), ("city", "苏州"), ("district", "吴中")] {
        assert_eq!(phone.text(FACTORY, key).as_deref(), Some(value), "{key} on the phone");
        let document = &hub.docs[&FACTORY].document;
        assert_eq!(document.text_of(key).as_deref(), Some(value), "{key} on the hub");
    }
    assert_eq!(hub.docs[&VISIT].document.text_of("record").as_deref(), Some("第一次"));
    assert!(!phone.refused().is_empty(), "the refused edit is shown");
    assert_eq!(phone.client.held.digest(Scope::Customer(FACTORY)), hub.digest(phone.person.id));
    let before = phone.customers();
    phone.network = false;
    phone.reopen();
    assert_eq!(phone.customers(), before, "the rows say what memory said");
}

#[test]
fn cl_2_a_day_without_crashes() {
    let (mut hub, mut phone) = day(|_| {});
    check(&mut hub, &mut phone);
}

#[test]
fn cl_2_the_power_may_go_before_or_after_any_output() {
    let (_, whole) = day(|_| {});
    let outputs = whole.outputs.len() as u32;
    assert!(outputs > 25, "{outputs}");
    for crash_before in [true, false] {
        for at in 1..=outputs {
            let (mut hub, mut phone) = day(|phone| {
                phone.crash_after = Some(at);
                phone.crash_before = crash_before;
            });
            assert_eq!(phone.crashes, 1, "output {at}");
            check(&mut hub, &mut phone);
        }
    }
}

#[test]
fn cl_2_the_power_may_go_at_every_second_output_for_a_while() {
    for stride in 2..9 {
        let mut armed = false;
        let (mut hub, mut phone) = day(|phone| {
            if !armed {
                phone.crash_after = Some(stride);
                armed = true;
            }
        });
        phone.crash_after = Some(stride);
        phone.client.handle_nudge(phone.now());
        phone.sync(&mut hub);
        check(&mut hub, &mut phone);
    }
}

#[test]
fn cl_25_the_power_may_go_at_any_output_of_a_recovery() {
    let story = |crash: Option<(u32, bool)>| {
        let (mut hub, mut phone) = rep_with_factory();
        let backup = hub.seq();
        phone.edit(address(FACTORY, "备份之后"));
        phone.edit(visit(VISIT, FACTORY, "备份之后的拜访"));
        phone.edit(card(DocId([0x22; 16]), "备份之后的厂"));
        phone.sync(&mut hub);
        phone.disconnect(&mut hub);
        hub.restore(backup);
        let start = phone.outputs.len();
        phone.crash_after = crash.map(|(at, _)| at);
        phone.crash_before = crash.is_some_and(|(_, before)| before);
        phone.network = true;
        phone.sync(&mut hub);
        assert_eq!(hub.docs[&FACTORY].document.text_of("address").as_deref(), Some("备份之后"));
        assert_eq!(hub.docs[&VISIT].document.text_of("record").as_deref(), Some("备份之后的拜访"));
        assert_eq!(hub.docs.len(), 3);
        assert_eq!(phone.customers().len(), 2);
        assert!(phone.refused().is_empty());
        (phone.outputs.len() - start) as u32
    };
    let outputs = story(None);
    for at in 1..=outputs {
        story(Some((at, true)));
        story(Some((at, false)));
    }
}
