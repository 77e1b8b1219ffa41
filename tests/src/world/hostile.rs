//! Bytes that no honest phone sends, and messages that come again. The stranger is a rep with a login and
//! no customers who has overheard the others' frames; whatever the stranger sends, the tap and the model go
//! on judging, and nobody else may notice.

use std::collections::BTreeMap;

use minicbor::bytes::ByteVec;
use server::hub::Identity;
use server::store::{Lookup, Store};
use shared::document::Kind;
use shared::id::{ChangeHash, DocId, Scope, Seq};
use shared::protocol::{
    ClientFrame, Cursor, Digest, Hello, PROTOCOL_VERSION, PendingCounts, Push, PushItem, decode_client_frame,
    encode,
};
use shared::time::{Quality, Recorded, UtcMillis};

use crate::fault::Fault;
use crate::model::Violation;
use crate::world::World;

/// Pushes kept for the stranger and for repeating.
const KEPT: usize = 60;

/// A push that was answered in full.
pub struct Overheard {
    /// Who pushed it.
    pub identity: Identity,
    /// The frame.
    pub frame: Vec<u8>,
}

impl World {
    /// Remembers an answered push.
    pub fn overhear(&mut self, identity: Identity, push: Push) {
        if self.overheard.len() == KEPT {
            let forgotten = self.dice.below(KEPT as u64) as usize;
            self.overheard.swap_remove(forgotten);
        }
        self.overheard.push(Overheard { identity, frame: encode(&ClientFrame::Push(push)) });
    }

    /// A hello without a past.
    pub fn hello(&self) -> Vec<u8> {
        encode(&ClientFrame::Hello(Hello {
            protocol: PROTOCOL_VERSION,
            schema: shared::document::SCHEMA_VERSION,
            ticket: None,
            incarnation: None,
            cursor: None,
            pending: PendingCounts::default(),
            digest: None,
            software: "stranger".to_owned(),
        }))
    }

    /// The stranger says something.
    pub fn hostile_frame(&mut self) -> Result<(), Violation> {
        if !self.server_is_up() {
            return Ok(());
        }
        self.faults.count(Fault::HostileFrame);
        let frame = self.draw_hostile_frame();
        self.note(|| {
            format!("the stranger sends {} bytes: {:02x?}", frame.len(), frame.get(..40).unwrap_or(&frame))
        });
        let hello = self.hello();
        let greeting = if self.dice.permille(900) { vec![hello, frame] } else { vec![frame] };
        let stranger = self.stranger;
        self.speak_as(stranger, greeting).map(|_| ())
    }

    fn draw_hostile_frame(&mut self) -> Vec<u8> {
        let overheard =
            self.dice.index(self.overheard.len()).map(|index| self.overheard[index].frame.clone());
        match (self.dice.below(8), overheard) {
            (0, _) | (_, None) => (0..self.dice.between(0, 300)).map(|_| self.dice.word() as u8).collect(),
            (1, Some(mut frame)) => {
                let kept = self.dice.below(frame.len() as u64) as usize;
                frame.truncate(kept);
                frame
            }
            (2 | 3, Some(mut frame)) => {
                let place = self.dice.below(frame.len() as u64) as usize;
                frame[place] ^= 1 << self.dice.below(8);
                frame
            }
            (4 | 5, Some(frame)) => frame,
            (6, Some(frame)) => self.in_anothers_scope(&frame),
            _ => {
                let cursor: Vec<u8> = (0..self.dice.between(0, 40)).map(|_| self.dice.word() as u8).collect();
                match self.dice.below(2) {
                    0 => encode(&ClientFrame::Pull(Cursor(cursor.into()))),
                    _ => {
                        let scope = self.model.customers().next().map(|(id, _)| Scope::Customer(*id));
                        encode(&ClientFrame::Digests(vec![(scope.unwrap_or(Scope::Organisation), Digest(7))]))
                    }
                }
            }
        }
    }

    /// A comment of the stranger's own making, on a customer that is none of the stranger's business.
    fn in_anothers_scope(&mut self, frame: &[u8]) -> Vec<u8> {
        let Ok(ClientFrame::Push(push)) = decode_client_frame(frame) else { return frame.to_vec() };
        let mut entropy = self.dice.entropy();
        let mut items = Vec::new();
        for item in push.items {
            let PushItem::Change { scope: Scope::Customer(customer), .. } = item else { continue };
            let at = UtcMillis(self.now_ms);
            let recorded = Recorded { at, device: at, quality: Quality::Ok, offset_minutes: 480 };
            let writer = shared::document::Writer {
                person: self.stranger.person,
                actor: entropy.actor_id(),
                recorded,
            };
            let comment = entropy.doc_id();
            let text = "I was never here".to_owned();
            let edit = shared::edit::Edit::CreateComment { comment, customer, about: None, text };
            let Ok((_, changes)) = shared::document::Document::create(&writer, &edit) else { continue };
            items.extend(changes.into_iter().map(|change| PushItem::Change {
                doc: comment,
                kind: Kind::Comment,
                scope: Scope::Customer(customer),
                change: ByteVec::from(change.bytes),
                recorded,
            }));
        }
        items.truncate(shared::limits::BATCH_ITEMS_MAX);
        encode(&ClientFrame::Push(Push { batch: 1, items }))
    }

    /// Every document with its heads, and the place of the last commit.
    fn state(&self) -> (Seq, BTreeMap<DocId, Vec<ChangeHash>>) {
        let lookup = self.server.store().lookup();
        let read = || -> Result<_, server::store::StoreFailure> {
            let mut documents = BTreeMap::new();
            for doc in lookup.document_ids(None, usize::MAX >> 1)? {
                documents.insert(doc, lookup.document(doc)?.map(|row| row.heads).unwrap_or_default());
            }
            Ok((lookup.head()?, documents))
        };
        read().expect("an in-memory database can be read")
    }

    /// What was answered in full and comes again leaves everything as it is (SIM-11).
    pub fn check_repetition_changes_nothing(&mut self) -> Result<(), Violation> {
        let before = self.state();
        for Overheard { identity, frame } in std::mem::take(&mut self.overheard) {
            let active = self.model.person(identity.person).is_some_and(|person| person.active);
            if active && !self.model.is_revoked(identity.device) {
                let hello = self.hello();
                self.speak_as(identity, vec![hello, frame.clone(), frame])?;
                self.finish_server_work()?;
            }
        }
        let after = self.state();
        if before != after {
            return Err(format!(
                "messages that came again moved the log from {:?} to {:?} (I11)",
                before.0, after.0
            ));
        }
        Ok(())
    }
}
