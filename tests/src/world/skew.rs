//! Software of other versions (S12): phones that are too old for the server or newer than it, and documents in
//! which newer software has written what this world's table does not know. What is not understood is kept,
//! and everybody goes on working on the rest.

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{AutoCommit, LoadOptions, TextEncoding};
use server::hub::Identity;
use server::store::{Lookup, Store};
use shared::document::{Kind, SCHEMA_VERSION};
use shared::id::{DocId, Scope};
use shared::protocol::{ClientFrame, Push, PushItem, decode_client_frame, encode};
use shared::time::{Quality, Recorded, UtcMillis};

use crate::fault::Fault;
use crate::model::Violation;
use crate::world::World;

/// A key of a card that no table of this version has.
pub const NEWER_KEY: &str = "newer_field";

/// Which software a phone runs, against the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    /// The same.
    Same,
    /// Older than the server still understands, until it is updated at the next start.
    TooOld,
    /// A version ahead.
    Newer,
}

impl Software {
    /// What is wrong with it.
    pub fn fault(self) -> Option<Fault> {
        match self {
            Software::Same => None,
            Software::TooOld => Some(Fault::SoftwareTooOld),
            Software::Newer => Some(Fault::SoftwareNewer),
        }
    }

    /// The frame as that software sends it.
    pub fn speak(self, frame: Vec<u8>) -> Vec<u8> {
        let schema = match self {
            Software::Same => return frame,
            Software::TooOld => 0,
            Software::Newer => SCHEMA_VERSION + 1,
        };
        match decode_client_frame(&frame) {
            Ok(ClientFrame::Hello(mut hello)) => {
                hello.schema = schema;
                encode(&ClientFrame::Hello(hello))
            }
            _ => frame,
        }
    }
}

impl World {
    /// A phone turns out to run other software than the server.
    pub fn skew_phone(&mut self, phone: usize) -> Result<(), Violation> {
        let software = if self.dice.permille(500) { Software::TooOld } else { Software::Newer };
        self.note(|| format!("phone {phone} runs other software: {software:?}"));
        self.phones[phone].software = software;
        self.cut_phone(phone)
    }

    /// An owner's other device, of newer software, writes into a card what nobody else understands.
    pub fn newer_document(&mut self) -> Result<(), Violation> {
        let owned: Vec<_> = self.model.customers().map(|(id, customer)| (*id, customer.owner)).collect();
        let Some((customer, owner)) = self.dice.pick(&owned).copied() else { return Ok(()) };
        let is_active = self.model.person(owner).is_some_and(|person| person.active);
        if !is_active || !self.server_is_up() {
            return Ok(());
        }
        let device = self.register_device(owner)?;
        let actor = self.dice.entropy().actor_id();
        let Some(change) = self.newer_change(customer, owner.as_bytes(), actor.as_bytes()) else {
            return Ok(());
        };
        self.note(|| format!("newer software of {owner:?} writes into {customer:?}"));
        self.newer.extend(shared::wire::parse(&change).ok().map(|header| (customer, header.hash)));
        let at = UtcMillis(self.now_ms);
        let recorded = Recorded { at, device: at, quality: Quality::Ok, offset_minutes: 480 };
        let scope = Scope::Customer(customer);
        let item =
            PushItem::Change { doc: customer, kind: Kind::Customer, scope, change: change.into(), recorded };
        let push = encode(&ClientFrame::Push(Push { batch: 1, items: vec![item] }));
        let hello = Software::Newer.speak(self.hello());
        self.speak_and_leave(Identity { person: owner, device }, vec![hello, push])
    }

    /// Counts what of it the server has taken.
    pub(super) fn count_newer(&mut self) {
        for (doc, hash) in std::mem::take(&mut self.newer) {
            if self.server.store().lookup().change(doc, &hash).is_ok_and(|change| change.is_some()) {
                self.faults.count(Fault::NewerSchema);
            }
        }
    }

    fn newer_change(&self, customer: DocId, author: &[u8], actor: &[u8]) -> Option<Vec<u8>> {
        let saved = self.server.store().lookup().snapshot(customer).ok()??;
        let options = LoadOptions::new().text_encoding(TextEncoding::Utf16CodeUnit);
        let mut document = AutoCommit::load_with_options(&saved, options).ok()?;
        document.set_author(Some(automerge::Author::from(author.to_vec())));
        document.set_actor(automerge::ActorId::from(actor));
        document.put(automerge::ROOT, NEWER_KEY, "of a later version").ok()?;
        document.put(automerge::ROOT, "schema", i64::from(SCHEMA_VERSION) + 1).ok()?;
        document.commit_with(CommitOptions::default().with_time(self.now_ms));
        document.get_last_local_change().map(|change| change.raw_bytes().to_vec())
    }
}
