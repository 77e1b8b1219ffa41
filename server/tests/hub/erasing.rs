//! Erasure: nothing of an erased document is left, nobody gets it any more, and no phone brings it back.

use server::admission::{Admitter, InProcess};
use server::hub::{Administration, Output, administer, verify};
use server::store::Store;
use shared::id::{DocId, Scope};
use shared::ledger::Command;
use shared::ledger::event::EventKind;
use shared::protocol::{ClientFrame, ItemResult, Push, PushItem, encode};
use shared::refusal::Rule;

use crate::world::{COMPLETE, Phone, World, patch, recorded, rule};

/// A word that stands nowhere else.
const CANARY: &str = "canary7319";

/// The tables that hold the canary, whatever the column.
fn tables_with_canary(world: &mut World) -> Vec<String> {
    let connection = world.hub().store_mut().connection();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).expect("a query");
        let rows = statement.query_map([], |row| row.get(0)).expect("reads");
        rows.collect::<Result<_, _>>().expect("reads")
    };
    let mut found = Vec::new();
    for table in names("SELECT name FROM sqlite_schema WHERE type = 'table'") {
        let columns = names(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let holds = columns.iter().any(|column| {
            let sql = format!(
                "SELECT count(*) FROM {table} WHERE instr(CAST({column} AS BLOB), CAST(? AS BLOB)) > 0"
            );
            connection.query_row(&sql, [CANARY], |row| row.get::<_, i64>(0)).expect("reads") > 0
        });
        if holds {
            found.push(table);
        }
    }
    found
}

fn erase(world: &mut World, doc: DocId, phones: &mut [&mut Phone]) {
    world.administer(Administration::Erase { doc, by: None });
    world.settle(phones);
}

fn assert_verified(world: &mut World) {
    let found = verify(&world.hub().store().lookup(), &mut InProcess).expect("reads");
    assert_eq!(found.told, Vec::<String>::new());
    assert_eq!(world.hub().store().integrity().expect("reads"), Vec::<String>::new());
}

/// HUB-50: an erased visit leaves every table, live phones drop it, and the check agrees.
#[test]
fn nothing_of_an_erased_visit_is_left() {
    let mut world = World::new();
    let (mut li, mut mei) = (world.online("li"), world.online("mei"));
    let customer = world.new_customer(&mut li, patch(COMPLETE));
    let visit = world.new_visit(&mut li, customer, CANARY);
    let kept = world.new_visit(&mut li, customer, "还在");
    world.push(&mut li, &mut [&mut mei]);
    assert!(mei.docs.contains_key(&visit));
    assert_eq!(tables_with_canary(&mut world), ["changes", "snapshots", "projections"]);
    erase(&mut world, visit, &mut [&mut li, &mut mei]);
    assert_eq!(tables_with_canary(&mut world), Vec::<String>::new());
    for phone in [&mut li, &mut mei] {
        assert!(!phone.docs.contains_key(&visit) && phone.docs.contains_key(&kept));
        world.reconnect(phone);
        assert_eq!(phone.wanted_digests, 0, "the digests agree without it");
    }
    let is_event = |phone: &Phone| {
        phone.events.iter().any(|event| matches!(event.kind, EventKind::DocumentErased { .. }))
    };
    assert!(!is_event(&li), "phones hear of it as an item of its own");
    assert!(!world.online("boss").docs.contains_key(&visit));
    assert_verified(&mut world);
    // Again is no error, of something that never was it is.
    let head = world.hub().stats().head;
    erase(&mut world, visit, &mut []);
    assert_eq!(world.hub().stats().head, head);
    let (now, doc) = (world.now, DocId([9; 16]));
    assert!(world.hub().handle_administration(now, Administration::Erase { doc, by: None }).is_err());
}

/// HUB-51: a phone that was away is told when it comes back, and what it offers of the document is refused by
/// name; to a stranger the document looks as if it had never been.
#[test]
fn an_erased_document_never_comes_back_from_a_phone() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.stored_customer(&mut li);
    let visit = world.new_visit(&mut li, customer, CANARY);
    let before = li.unsent.clone();
    world.push(&mut li, &mut []);
    world.disconnect(&mut li);
    let edit = shared::edit::Edit::EditVisit { visit, fields: patch([("record", "改过")]) };
    li.edit(world.now, &edit);
    erase(&mut world, visit, &mut []);
    world.connect(&mut li);
    assert!(!li.docs.contains_key(&visit));
    let results = world.push(&mut li, &mut []);
    assert_eq!(rule(&results[0]), Some(Rule::Erased), "{results:?}");
    let results = world.push_items(&mut li, before.clone(), &mut []);
    assert_eq!(rule(&results[0]), Some(Rule::Erased), "the very change that was stored: {results:?}");
    let mut stranger = world.online("stranger");
    let results = world.push_items(&mut stranger, before, &mut []);
    assert_eq!(rule(&results[0]), Some(Rule::NotFound));
    assert!(!Rule::Erased.is_passing());
    assert_eq!(tables_with_canary(&mut world), Vec::<String>::new());
    assert_verified(&mut world);
}

/// HUB-52: with a card everything of its customer goes, and so do the words about it in the ledger's events;
/// the code stays taken, nobody visits or decides there any more, and its owner may leave the company.
#[test]
fn with_a_card_goes_everything_of_its_customer() {
    let mut world = World::new();
    let (mut li, mut zhao, mut mei) = (world.online("li"), world.online("zhao"), world.online("mei"));
    let fields = [COMPLETE[1], COMPLETE[2], ("name", CANARY)];
    let customer = world.new_customer(&mut li, patch(fields));
    world.new_visit(&mut li, customer, CANARY);
    world.push(&mut li, &mut [&mut mei]);
    world.request(&mut mei, Command::Accept { customer }, &mut [&mut li]);
    let command =
        Command::Transfer { customer, to: zhao.identity.person, reason: Some(format!("{CANARY} 太远")) };
    world.request(&mut mei, command, &mut [&mut li, &mut zhao]);
    world.later(1_000);
    li.edit_card(world.now, customer, [("address", CANARY)]);
    let results = world.push(&mut li, &mut [&mut mei, &mut zhao]);
    let ItemResult::Held(late) = results[0] else { panic!("{results:?}") };
    assert_eq!(
        tables_with_canary(&mut world),
        ["changes", "held", "events", "snapshots", "projections", "customers"]
    );

    erase(&mut world, customer, &mut [&mut li, &mut zhao, &mut mei]);
    assert_eq!(tables_with_canary(&mut world), Vec::<String>::new());
    assert_verified(&mut world);
    assert!(zhao.docs.is_empty() && mei.docs.is_empty());
    let code = world.lookup(|lookup| lookup.customer(customer)).expect("reads").expect("a record").code;
    assert!(code.is_some(), "R2: a code is never reused");
    world.new_visit(&mut zhao, customer, "又去了");
    assert_eq!(rule(&world.push(&mut zhao, &mut [])[0]), Some(Rule::Erased));
    let settle = Command::SettleLate { customer, late, apply: true };
    for command in [settle, Command::Accept { customer }] {
        assert_eq!(rule(&world.request(&mut mei, command, &mut [])), Some(Rule::Erased));
    }
    let mut person = world.people["zhao"].clone();
    person.active = false;
    world.administer(Administration::SetPerson { person, by: None });
    assert_verified(&mut world);
    for phone in [&mut li, &mut mei] {
        world.reconnect(phone);
        assert_eq!(phone.wanted_digests, 0);
    }
}

/// HUB-50, HUB-60: what a device that was switched off hands over afterwards leaves no word either, a request's reason
/// included.
#[test]
fn of_an_erased_customer_nothing_is_kept_in_quarantine() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.new_customer(&mut li, patch(COMPLETE));
    world.push(&mut li, &mut []);
    world.new_visit(&mut li, customer, CANARY);
    let mut items = std::mem::take(&mut li.unsent);
    let (id, to) = (world.entropy.request_id(), world.people["zhao"].id);
    let command = Command::Transfer { customer, to, reason: Some(CANARY.to_owned()) };
    items.push(PushItem::Request { id, command, recorded: recorded(world.now) });
    let device = li.identity.device;
    world.administer(Administration::RevokeDevice { device });
    erase(&mut world, customer, &mut [&mut li]);
    world.administer(Administration::Quarantine { device, items });
    assert_eq!(tables_with_canary(&mut world), Vec::<String>::new());
}

/// HUB-53: an erasure that overtakes a change in judgement wins.
#[test]
fn a_change_that_was_being_judged_does_not_bring_an_erased_document_back() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.stored_customer(&mut li);
    let visit = world.new_visit(&mut li, customer, "第一次");
    world.push(&mut li, &mut []);
    let edit = shared::edit::Edit::EditVisit { visit, fields: patch([("record", CANARY)]) };
    li.edit(world.now, &edit);
    let frame = encode(&ClientFrame::Push(Push { batch: 90, items: std::mem::take(&mut li.unsent) }));
    let (now, session) = (world.now, li.session.expect("connected"));
    world.hub().handle_frame(now, session, &frame);
    let Some(Output::Judge(jobs)) = world.hub().poll_output(now) else { panic!("a job") };
    let judged = InProcess.judge(jobs);
    world.hub().handle_administration(now, Administration::Erase { doc: visit, by: None }).expect("erased");
    world.hub().handle_judged(now, judged);
    world.settle(&mut [&mut li]);
    let ack = li.acks.last().filter(|ack| ack.batch == 90).expect("answered");
    assert_eq!(rule(&ack.results[0]), Some(Rule::Erased));
    assert!(!li.docs.contains_key(&visit));
    assert_eq!(tables_with_canary(&mut world), Vec::<String>::new());
    assert_verified(&mut world);
}

/// HUB-41, HUB-50: the check finds a tombstone that lies.
#[test]
fn a_check_finds_what_an_erasure_left_behind() {
    let damages = [
        "DELETE FROM erased",
        "INSERT INTO snapshots SELECT doc, x'00' FROM erased",
        "INSERT INTO projections SELECT doc, x'00' FROM erased",
        "INSERT INTO erased SELECT id, scope, (SELECT max(seq) FROM events) FROM documents LIMIT 1",
    ];
    for damage in damages {
        let mut world = World::new();
        let mut li = world.online("li");
        let customer = world.stored_customer(&mut li);
        let visit = world.new_visit(&mut li, customer, CANARY);
        world.push(&mut li, &mut []);
        erase(&mut world, visit, &mut [&mut li]);
        world.hub().store_mut().connection().execute(damage, []).expect(damage);
        let found = verify(&world.hub().store().lookup(), &mut InProcess).expect("reads");
        assert!(found.differences > 0, "{damage}");
    }
}

/// HUB-50: a store without a hub is erased alike; a hub that is begun on it tells phones with a cursor.
#[test]
fn an_erasure_by_a_command_is_told_by_the_next_hub() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.stored_customer(&mut li);
    let visit = world.new_visit(&mut li, customer, CANARY);
    world.push(&mut li, &mut []);
    world.disconnect(&mut li);
    let now = world.now;
    administer(world.hub().store_mut(), now, &Administration::Erase { doc: visit, by: None })
        .expect("erased");
    world.restart();
    world.connect(&mut li);
    assert!(!li.docs.contains_key(&visit));
    assert!(li.scopes.contains(&Scope::Customer(customer)));
    assert_eq!(li.wanted_digests, 0);
}
