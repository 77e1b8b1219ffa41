//! What phones are told: catching up, live pages, grants, digests, repair.

use server::hub::Administration;
use shared::document::Document;
use shared::edit::Edit;
use shared::id::Scope;
use shared::ledger::{Command, EventKind};
use shared::limits::PERSON_SOCKETS_MAX;
use shared::protocol::{ClientFrame, Cursor, Goodbye, ItemResult, PendingCounts};

use crate::world::{World, patch};

/// HUB-1: what one person commits reaches everybody whose grants cover it, while they are connected.
#[test]
fn a_visit_reaches_the_manager_and_the_desk_but_no_stranger() {
    let mut world = World::new();
    let mut li = world.online("li");
    let (mut boss, mut mei, mut stranger) =
        (world.online("boss"), world.online("mei"), world.online("stranger"));
    let customer = world.new_customer(&mut li, patch([("name", "华东轴承厂")]));
    let visit = world.new_visit(&mut li, customer, "谈了46#液压油");
    world.push(&mut li, &mut [&mut boss, &mut mei, &mut stranger]);
    for phone in [&boss, &mei] {
        assert_eq!(phone.text(customer, "name").as_deref(), Some("华东轴承厂"));
        assert_eq!(phone.text(visit, "record").as_deref(), Some("谈了46#液压油"));
        assert!(phone.events.iter().any(|event| matches!(event.kind, EventKind::CustomerRegistered { .. })));
    }
    assert!(stranger.docs.is_empty(), "HUB-2: no document reaches anyone without a grant");
    assert!(stranger.events.iter().all(|event| event.scope == Scope::Organisation));
    assert_eq!(li.docs.len(), 2);
    assert_eq!(boss.pages, 2, "one page at the hello, one for the commit");
}

/// HUB-3: a new phone gets everything as snapshots, in pages, and may stop in the middle.
#[test]
fn a_first_sync_comes_in_pages_and_resumes_after_any_of_them() {
    let mut world = World::new();
    let mut li = world.online("li");
    let long = "今天走访了车间，".repeat(400);
    let mut docs = 0;
    for _ in 0..6 {
        let customer = world.new_customer(&mut li, patch([("name", "厂")]));
        for _ in 0..20 {
            world.new_visit(&mut li, customer, &long);
        }
        docs += 21;
        while !li.unsent.is_empty() {
            let rest = li.unsent.split_off(li.unsent.len().min(16));
            world.push(&mut li, &mut []);
            li.unsent = rest;
        }
    }
    let mut boss = world.online("boss");
    assert_eq!(boss.docs.len(), docs);
    assert!(boss.pages > 2, "{} pages", boss.pages);
    assert_eq!(boss.wanted_digests, 0);

    // Broken off after the first page: the cursor says where to go on.
    let mut again = world.phone("boss");
    let once = world.now;
    world.connect(&mut again);
    let whole = again.pages;
    let mut third = world.phone("boss");
    third.incarnation = again.incarnation;
    third.cursor = None;
    let session = server::hub::SessionId(9_000);
    world.hub().handle_open(once, session, third.identity, server::hub::Transport::Live);
    third.session = Some(session);
    world.reconnect(&mut third);
    assert_eq!(third.pages, whole);
    assert_eq!(third.digest(), boss.digest());
}

/// HUB-4: a reconnect with nothing changed costs one round trip and at most 400 bytes.
#[test]
fn a_reconnect_with_nothing_changed_is_small() {
    let mut world = World::new();
    let mut li = world.online("li");
    for _ in 0..30 {
        world.stored_customer(&mut li);
    }
    world.reconnect(&mut li);
    li.bytes = 0;
    li.pages = 0;
    world.reconnect(&mut li);
    assert!(li.bytes <= 400, "{} bytes", li.bytes);
    assert_eq!(li.pages, 1);
    assert_eq!(li.wanted_digests, 0);
}

/// HUB-5: after a break a phone gets exactly what changed since.
#[test]
fn a_phone_that_was_away_gets_what_changed_and_no_more() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customers: Vec<_> = (0..20).map(|_| world.stored_customer(&mut li)).collect();
    let mut boss = world.online("boss");
    world.disconnect(&mut boss);
    for customer in &customers[..5] {
        li.edit_card(world.now, *customer, [("address", "人民路1号")]);
    }
    world.push(&mut li, &mut []);
    boss.bytes = 0;
    world.connect(&mut boss);
    assert!(boss.bytes < 2_500, "{} bytes", boss.bytes);
    for (index, customer) in customers.iter().enumerate() {
        assert_eq!(boss.text(*customer, "address").is_some(), index < 5);
    }
    assert_eq!(boss.digest(), {
        world.reconnect(&mut li);
        li.digest()
    });
}

/// HUB-6: a session does not get its own changes back; another device of the same person does.
#[test]
fn changes_are_not_echoed_to_the_session_that_pushed_them() {
    let mut world = World::new();
    let (mut li, mut tablet) = (world.online("li"), world.online("li"));
    let customer = world.stored_customer(&mut li);
    world.reconnect(&mut tablet);
    world.reconnect(&mut li);
    let before = li.received;
    let visit = world.new_visit(&mut li, customer, &"记录".repeat(500));
    world.push(&mut li, &mut [&mut tablet]);
    assert!(li.received - before < 200, "an answer and a cursor, not {} bytes", li.received - before);
    assert!(tablet.docs.contains_key(&visit));
}

/// HUB-7: what a person lost the grant of is removed, and not a byte of what happens there later comes.
#[test]
fn a_revoked_grant_leaks_nothing() {
    let mut world = World::new();
    let (mut li, mut mei, mut zhao) = (world.online("li"), world.online("mei"), world.online("zhao"));
    let customer = world.stored_customer(&mut li);
    let to = world.people["zhao"].id;
    let transfer = Command::Transfer { customer, to, reason: None };
    world.request(&mut mei, transfer, &mut [&mut li, &mut zhao]);
    assert!(li.removed.contains(&Scope::Customer(customer)));
    let heads = li.docs.get_mut(&customer).expect("kept until released").2.heads();
    zhao.edit_card(world.now, customer, [("address", "秘密")]);
    world.new_visit(&mut zhao, customer, "秘密");
    let (events, bytes) = (li.events.len(), li.bytes);
    world.push(&mut zhao, &mut [&mut li]);
    assert_eq!(li.bytes, bytes, "not a byte more");
    world.reconnect(&mut li);
    assert_eq!(li.docs.get_mut(&customer).expect("kept").2.heads(), heads);
    assert_eq!(li.docs.len(), 1);
    assert_eq!(li.events.len(), events);
    // Nor does a cursor of long ago, or none, open anything.
    let mut fresh = world.online("li");
    assert!(fresh.docs.is_empty());
    world.send(&mut fresh, &ClientFrame::Pull(Cursor(vec![].into())));
    assert!(fresh.docs.is_empty());
}

/// HUB-8: a copy that differs is found by its digest and repaired; only what differs is sent.
#[test]
fn a_differing_copy_is_found_and_repaired() {
    let mut world = World::new();
    let mut li = world.online("li");
    let damaged = world.stored_customer(&mut li);
    for _ in 0..5 {
        world.stored_customer(&mut li);
    }
    world.reconnect(&mut li);
    li.docs.get_mut(&damaged).expect("there").2 = Document::empty();
    let lost = *li.docs.keys().find(|id| **id != damaged).expect("five more");
    li.docs.remove(&lost);
    let (pages, bytes) = (li.pages, li.bytes);
    world.reconnect(&mut li);
    assert_eq!(li.wanted_digests, 1, "HUB-8: an incident");
    assert_eq!(li.text(damaged, "name").as_deref(), Some("华东轴承厂"));
    assert!(li.docs.contains_key(&lost));
    assert_eq!(li.pages - pages, 2);
    assert!(li.bytes - bytes < 6_000, "two documents, not six");
    world.reconnect(&mut li);
    assert_eq!(li.wanted_digests, 1, "healed");
}

/// HUB-9: a ping's digest is compared when nothing was sent since the last ping.
#[test]
fn a_ping_with_a_wrong_digest_is_answered_by_a_repair_once_things_are_quiet() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.stored_customer(&mut li);
    let right = li.digest();
    world.send(&mut li, &ClientFrame::Ping(PendingCounts::default(), Some(right)));
    world.send(&mut li, &ClientFrame::Ping(PendingCounts::default(), Some(right)));
    assert_eq!(li.wanted_digests, 0);
    li.docs.remove(&customer);
    let wrong = li.digest();
    world.send(&mut li, &ClientFrame::Ping(PendingCounts { edits: 3, ..Default::default() }, Some(wrong)));
    assert_eq!(li.wanted_digests, 1);
    assert!(li.docs.contains_key(&customer));
    // SYNC-7: the counts are kept with the device, and written with the next upkeep at the latest.
    world.later(5_000);
    let now = world.now;
    world.hub().handle_timeout(now);
    let device = li.identity.device;
    let row = world.lookup(|lookup| lookup.device(device)).expect("reads").expect("registered");
    assert_eq!(row.pending.edits, 3);
    assert!(row.last_contact_at.is_some());
}

/// HUB-10: a person has a bounded number of sockets; the oldest gives way.
#[test]
fn one_socket_too_many_ends_the_oldest() {
    let mut world = World::new();
    let mut first = world.online("li");
    let mut others: Vec<_> = (1..PERSON_SOCKETS_MAX).map(|_| world.online("li")).collect();
    let mut last = world.phone("li");
    world.connect(&mut last);
    // The goodbye went to the first's channel while the last was settled; the session is gone.
    let before = first.pages;
    world.send_raw(&mut first, &shared::protocol::encode(&ClientFrame::Ping(PendingCounts::default(), None)));
    assert_eq!(first.pages, before);
    assert_eq!(world.hub().stats().sessions, PERSON_SOCKETS_MAX as u64);
    assert!(others.iter_mut().all(|phone| phone.goodbye.is_none()));
}

/// HUB-11: a revoked device or person is cut off at once, mid-session, and cannot come back.
#[test]
fn a_revoked_device_gets_a_goodbye_and_nothing_else() {
    let mut world = World::new();
    let (mut li, mut zhao) = (world.online("li"), world.online("zhao"));
    world.administer(Administration::RevokeDevice { device: li.identity.device });
    world.settle(&mut [&mut li]);
    assert_eq!(li.goodbye, Some(Goodbye::Revoked));
    li.goodbye = None;
    world.connect(&mut li);
    assert_eq!(li.goodbye, Some(Goodbye::Revoked));
    let mut person = world.people["zhao"].clone();
    person.active = false;
    world.administer(Administration::SetPerson { person, by: None });
    world.settle(&mut [&mut zhao]);
    assert_eq!(zhao.goodbye, Some(Goodbye::Revoked));
}

/// HUB-15: what phones must know of the settings comes with the welcome; when it is changed, they dial again.
#[test]
fn a_change_of_settings_reaches_every_phone() {
    use shared::settings::{PhoneSettings, Settings};
    let mut world = World::new();
    let mut li = world.online("li");
    assert_eq!(li.settings, Some(PhoneSettings::default()));
    world
        .administer(Administration::PutSettings(Settings { position_allowed: false, ..Settings::default() }));
    world.settle(&mut [&mut li]);
    assert_eq!(li.goodbye.take(), Some(Goodbye::ShuttingDown));
    world.connect(&mut li);
    world.settle(&mut [&mut li]);
    assert_eq!(li.settings, Some(PhoneSettings { position_allowed: false, ..PhoneSettings::default() }));
    assert_eq!(li.goodbye, None);
}

/// HUB-12: a slow reader is owed one page at a time and costs only its cursor.
#[test]
fn a_slow_reader_gets_one_page_for_all_that_happened_meanwhile() {
    use server::admission::{Admitter, InProcess};
    use server::hub::Output;
    let mut world = World::new();
    let (mut li, boss) = (world.online("li"), world.online("boss"));
    let customer = world.new_customer(&mut li, patch([("name", "厂")]));
    let slow = boss.session.expect("connected");
    let mut pages = 0;
    for round in 0..10 {
        if round > 0 {
            li.edit_card(world.now, customer, [("address", if round % 2 == 0 { "甲" } else { "乙" })]);
        }
        let items = std::mem::take(&mut li.unsent);
        let frame =
            shared::protocol::encode(&ClientFrame::Push(shared::protocol::Push { batch: round, items }));
        let (now, session) = (world.now, li.session.expect("connected"));
        let hub = world.hub();
        hub.handle_frame(now, session, &frame);
        while let Some(output) = hub.poll_output(now) {
            match output {
                Output::Judge(jobs) => {
                    let judged = InProcess.judge(jobs);
                    hub.handle_judged(now, judged);
                }
                Output::Read(request) => hub.read_here(now, &request),
                Output::SendPage(to, _) if to == slow => pages += 1,
                Output::SendPage(to, _) => hub.handle_flushed(now, to),
                Output::Send(..) | Output::Close(..) | Output::Offences(..) => {}
            }
        }
    }
    assert_eq!(pages, 1, "the page of the first commit is not written yet");
    let mut boss = boss;
    let now = world.now;
    world.hub().handle_flushed(now, slow);
    boss.session = Some(slow);
    boss.cursor = None;
    let before = boss.pages;
    // The document itself was in the page that this test threw away.
    boss.create(now, &Edit::CreateCustomer { customer, fields: patch([("name", "厂")]) });
    world.disconnect(&mut boss);
    world.connect(&mut boss);
    assert_eq!(boss.pages - before, 1);
    assert_eq!(boss.text(customer, "address").as_deref(), Some("乙"));
}

/// HUB-13: after a restart the same cursor goes on; nothing is sent twice.
#[test]
fn a_restart_changes_nothing_for_a_phone_with_a_cursor() {
    let mut world = World::new();
    let mut li = world.online("li");
    world.stored_customer(&mut li);
    world.reconnect(&mut li);
    world.restart();
    li.bytes = 0;
    li.session = None;
    world.connect(&mut li);
    assert!(li.bytes <= 400, "{} bytes", li.bytes);
    assert_eq!(li.wanted_digests, 0);
}

/// HUB-14: dropped snapshots are made again from the log, for readers and for writers.
#[test]
fn without_snapshots_everything_still_works() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.stored_customer(&mut li);
    world.hub().store_mut().drop_snapshots().expect("drops");
    let boss = world.online("boss");
    assert_eq!(boss.text(customer, "name").as_deref(), Some("华东轴承厂"));
    li.edit_card(world.now, customer, [("address", "人民路1号")]);
    let results = world.push(&mut li, &mut []);
    assert!(matches!(results[..], [ItemResult::Accepted(_)]), "{results:?}");
    let mei = world.online("mei");
    assert_eq!(mei.text(customer, "address").as_deref(), Some("人民路1号"));
}
