//! Ledger commands: codes, acceptance, transfer, administration; idempotent and in one transaction with grants.

use server::hub::Administration;
use server::store::Lookup;
use shared::id::Scope;
use shared::ledger::event::NoticeKind;
use shared::ledger::{Command, CustomerStatus, EventKind};
use shared::protocol::{ItemResult, PushItem};
use shared::refusal::Rule;

use crate::world::{COMPLETE, World, patch, recorded, rule};

/// LED-1 (R10): the first change of a card registers the customer, owned by who recorded it.
#[test]
fn a_new_card_becomes_a_pending_customer_of_its_recorder() {
    let mut world = World::new();
    let mut li = world.online("li");
    let first = world.stored_customer(&mut li);
    let second = world.stored_customer(&mut li);
    let record = world.lookup(|lookup| lookup.customer(second)).expect("reads").expect("registered");
    assert_eq!(record.status, CustomerStatus::Pending);
    assert_eq!((record.owner(), record.first_recorder), (li.identity.person, li.identity.person));
    assert_eq!(record.provisional, "临0002");
    assert_ne!(first, second);
    assert!(li.events.iter().any(
        |event| matches!(event.kind, EventKind::CustomerRegistered { customer, .. } if customer == second)
    ));
}

/// LED-2 (R2): codes are given at acceptance, one after another, by the desk alone.
#[test]
fn acceptance_gives_the_next_code() {
    let mut world = World::new();
    let (mut li, mut mei) = (world.online("li"), world.online("mei"));
    let (first, second) = (world.stored_customer(&mut li), world.stored_customer(&mut li));
    let refused = world.request(&mut li, Command::Accept { customer: first }, &mut []);
    assert_eq!(rule(&refused), Some(Rule::RoleForbidden));
    for (customer, code) in [(second, "KH00001"), (first, "KH00002")] {
        let result = world.request(&mut mei, Command::Accept { customer }, &mut [&mut li]);
        assert!(matches!(result, ItemResult::Accepted(_)), "{result:?}");
        let record = world.lookup(|lookup| lookup.customer(customer)).expect("reads").expect("registered");
        assert_eq!(record.code.as_deref(), Some(code));
    }
    let again = world.request(&mut mei, Command::Accept { customer: first }, &mut []);
    assert_eq!(rule(&again), Some(Rule::AlreadyAccepted));
    assert!(
        li.events.iter().any(
            |event| matches!(&event.kind, EventKind::CustomerAccepted { code, .. } if code == "KH00002")
        )
    );
}

/// LED-3 (R3): what is missing is named.
#[test]
fn an_incomplete_card_is_not_accepted() {
    let mut world = World::new();
    let (mut li, mut mei) = (world.online("li"), world.online("mei"));
    let customer = world.new_customer(&mut li, patch([("name", "厂")]));
    world.push(&mut li, &mut []);
    let ItemResult::Refused(refusal) = world.request(&mut mei, Command::Accept { customer }, &mut []) else {
        panic!("refused")
    };
    assert_eq!(refusal.rule, Rule::AcceptanceIncomplete);
    assert_eq!(refusal.about.as_deref(), Some("contact,phone"));
}

/// LED-4 (S13): a request is decided once, however often it is sent.
#[test]
fn a_repeated_request_gets_the_same_answer() {
    let mut world = World::new();
    let (mut li, mut mei) = (world.online("li"), world.online("mei"));
    let customer = world.stored_customer(&mut li);
    let id = world.entropy.request_id();
    let item = PushItem::Request { id, command: Command::Accept { customer }, recorded: recorded(world.now) };
    let first = world.push_items(&mut mei, vec![item.clone()], &mut []).remove(0);
    let ItemResult::Accepted(seq) = first else { panic!("{first:?}") };
    let head = world.hub().stats().head;
    let second = world.push_items(&mut mei, vec![item], &mut []).remove(0);
    assert_eq!(second, ItemResult::Known(seq, None));
    assert_eq!(world.hub().stats().head, head);
}

/// LED-5 (R8): a transfer moves the grants at one moment and tells both reps.
#[test]
fn a_transfer_moves_the_customer_whole() {
    let mut world = World::new();
    let (mut li, mut zhao, mut boss) = (world.online("li"), world.online("zhao"), world.online("boss"));
    let customer = world.stored_customer(&mut li);
    let visit = world.new_visit(&mut li, customer, "谈了46#液压油");
    world.push(&mut li, &mut [&mut boss]);
    let to = zhao.identity.person;
    let result =
        world.request(&mut boss, Command::Transfer { customer, to, reason: None }, &mut [&mut li, &mut zhao]);
    assert!(matches!(result, ItemResult::Accepted(_)), "{result:?}");
    assert_eq!(zhao.text(visit, "record").as_deref(), Some("谈了46#液压油"));
    assert!(li.removed.contains(&Scope::Customer(customer)));
    let told = |events: &[shared::ledger::LedgerEvent], wanted: NoticeKind| {
        events.iter().any(|event| {
            matches!(&event.kind, EventKind::Notice { notice, customer_name, .. }
                if *notice == wanted && customer_name == "华东轴承厂")
        })
    };
    assert!(told(&li.events, NoticeKind::TransferredAway { to }));
    assert!(told(&zhao.events, NoticeKind::TransferredToYou { from: li.identity.person }));
    zhao.edit_card(world.now, customer, [("address", "人民路1号")]);
    assert_eq!(rule(&world.push(&mut zhao, &mut [])[0]), None);
    let again = world.request(&mut boss, Command::Transfer { customer, to, reason: None }, &mut []);
    assert_eq!(rule(&again), Some(Rule::AlreadyOwner));
    let to = boss.identity.person;
    let wrong = world.request(&mut boss, Command::Transfer { customer, to, reason: None }, &mut []);
    assert_eq!(rule(&wrong), Some(Rule::OwnerInactive));
}

/// LED-6: a customer that came back is whole again on the phone that had it.
#[test]
fn a_customer_may_come_back() {
    let mut world = World::new();
    let (mut li, mut zhao, mut mei) = (world.online("li"), world.online("zhao"), world.online("mei"));
    let customer = world.stored_customer(&mut li);
    for to in [zhao.identity.person, li.identity.person] {
        let command = Command::Transfer { customer, to, reason: None };
        world.request(&mut mei, command, &mut [&mut li, &mut zhao]);
    }
    assert!(!li.removed.contains(&Scope::Customer(customer)));
    assert!(zhao.removed.contains(&Scope::Customer(customer)));
    li.edit_card(world.now, customer, [("address", "人民路1号")]);
    assert_eq!(rule(&world.push(&mut li, &mut [])[0]), None);
    assert_eq!(li.digest(), {
        world.reconnect(&mut li);
        li.digest()
    });
    assert_eq!(li.wanted_digests, 0);
}

/// LED-7 (R4): a person who owns customers stays active; the database itself says so, too.
#[test]
fn an_owner_cannot_be_deactivated() {
    let mut world = World::new();
    let mut li = world.online("li");
    world.stored_customer(&mut li);
    let mut person = world.people["li"].clone();
    person.active = false;
    let now = world.now;
    let refused = world.hub().handle_administration(now, Administration::SetPerson { person, by: None });
    let Err(server::hub::AdministrationFailure::Refused(refusal)) = refused else { panic!("refused") };
    assert_eq!(refusal.rule, Rule::StillOwnsCustomers);
    let forced =
        world.hub().store_mut().connection().execute("UPDATE people SET active = 0 WHERE name = 'li'", []);
    assert!(forced.expect_err("refused").to_string().contains("R4"));
    let reused = world.hub().store_mut().connection().execute("DELETE FROM codes", []);
    assert!(reused.is_ok(), "none was given yet");
}

/// LED-8: names of people are unique, teams must exist.
#[test]
fn a_person_needs_a_free_name_and_a_known_team() {
    let mut world = World::new();
    let now = world.now;
    let mut person = world.people["li"].clone();
    person.id = world.entropy.person_id();
    let twice = Administration::SetPerson { person: person.clone(), by: None };
    assert!(world.hub().handle_administration(now, twice).is_err());
    person.name = "neu".to_owned();
    person.team = Some(world.entropy.team_id());
    let nowhere = Administration::SetPerson { person: person.clone(), by: None };
    assert!(world.hub().handle_administration(now, nowhere).is_err());
    person.team = None;
    assert!(world.hub().handle_administration(now, Administration::SetPerson { person, by: None }).is_ok());
}

/// LED-9: when a rep changes teams, the managers of the new team see the customers, the others no more.
#[test]
fn a_rep_takes_the_customers_along_to_another_team() {
    let mut world = World::new();
    let (mut li, mut boss) = (world.online("li"), world.online("boss"));
    let customer = world.new_customer(&mut li, patch(COMPLETE));
    world.push(&mut li, &mut [&mut boss]);
    assert!(boss.docs.contains_key(&customer));
    let team = shared::ledger::Team { id: world.entropy.team_id(), name: "西区".to_owned() };
    world.administer(Administration::SetTeam { team: team.clone(), by: None });
    let mut person = world.people["li"].clone();
    person.team = Some(team.id);
    world.administer(Administration::SetPerson { person, by: None });
    world.settle(&mut [&mut li, &mut boss]);
    assert!(boss.removed.contains(&Scope::Customer(customer)));
    let mut chief = world.online("chief");
    assert!(chief.docs.contains_key(&customer));
    assert_eq!(chief.digest(), {
        world.reconnect(&mut chief);
        chief.digest()
    });
    assert_eq!(chief.wanted_digests, 0);
    let owned =
        world.lookup(|lookup: &dyn Lookup| lookup.customers_owned(li.identity.person)).expect("reads");
    assert_eq!(owned, vec![customer]);
}
