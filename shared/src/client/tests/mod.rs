//! The client machine against a small hub. Rules: `docs/spec.md`, section CL.

mod crash;
mod feed;
mod hub;
mod phone;
mod push;
mod rebase;
mod restore;
mod views;

use hub::Hub;
use phone::*;

use crate::client::*;
use crate::document::Document;
use crate::edit::{Patch, Value};
use crate::ledger::Role;

const FACTORY: DocId = DocId([0xfa; 16]);
const VISIT: DocId = DocId([0x51; 16]);

/// A hub that knows one rep, and the rep's phone, not yet connected.
fn rep() -> (Hub, Phone) {
    let rep = person(1, Role::Rep);
    let mut hub = Hub::new();
    hub.add_person(&rep);
    (hub, Phone::new(1, rep))
}

/// The same, with one customer registered and a phone that holds it.
fn rep_with_factory() -> (Hub, Phone) {
    let (mut hub, mut phone) = rep();
    phone.edit(card(FACTORY, "东方机械厂"));
    phone.sync(&mut hub);
    (hub, phone)
}

/// A second phone of a person who was granted the factory.
fn colleague(hub: &mut Hub, number: u8) -> Phone {
    let colleague = person(number, Role::Assistant);
    hub.add_person(&colleague);
    hub.grant(colleague.id, Scope::Customer(FACTORY), crate::ledger::people::Access::Write);
    let mut phone = Phone::new(number, colleague);
    phone.sync(hub);
    phone
}
