//! What a device that was switched off left in quarantine, and what becomes of it when the desk has it restored.

use server::hub::Administration;
use shared::ledger::{Command, Person};
use shared::protocol::ItemResult;
use shared::refusal::Rule;

use crate::world::{COMPLETE, World, patch};

/// HUB-61 (R4): nobody who has left begins to own a customer; that item stays with its reason and holds up nothing else
/// of the device, and the database was never asked for what it refuses.
#[test]
fn a_customer_begun_by_somebody_who_has_left_stays_in_quarantine_alone() {
    let mut world = World::new();
    let (mut li, mut mei) = (world.online("li"), world.online("mei"));
    let factory = world.stored_customer(&mut li);
    let to = world.people["zhao"].id;
    let moved =
        world.request(&mut mei, Command::Transfer { customer: factory, to, reason: None }, &mut [&mut li]);
    assert!(matches!(moved, ItemResult::Accepted(_)), "{moved:?}");
    world.disconnect(&mut li);
    let visit = world.new_visit(&mut li, factory, "没传的拜访");
    let begun = world.new_customer(&mut li, patch(COMPLETE));
    let visit_there = world.new_visit(&mut li, begun, "新厂的拜访");
    let person = Person { active: false, ..world.people["li"].clone() };
    world.administer(Administration::SetPerson { person, by: None });
    let (device, items) = (li.identity.device, std::mem::take(&mut li.unsent));
    world.administer(Administration::Quarantine { device, items });
    let now = world.now;
    assert_eq!(world.hub().handle_restore(now, device).expect("reads"), 3);
    world.settle(&mut [&mut mei]);
    let left = world.lookup(|lookup| lookup.quarantined_of(device).expect("reads"));
    let reasons: Vec<Rule> = left.iter().map(|item| item.reason).collect();
    assert_eq!(reasons, [Rule::OwnerInactive, Rule::DependencyUnknown]);
    assert!(mei.docs.contains_key(&visit), "the rest is stored and told");
    assert!(!mei.docs.contains_key(&begun) && !mei.docs.contains_key(&visit_there));
    assert!(world.hub().stats().store_writable);
}
