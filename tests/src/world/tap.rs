//! The tap on every frame that leaves the simulated server (SIM-4, SIM-5), and on what it says of what was pushed (SIM-2,
//! SIM-7).

use server::hub::{Identity, SessionId};
use server::store::{Lookup, Store};
use shared::id::{ChangeHash, DeviceId, DocId, Scope};
use shared::protocol::{ItemResult, Push, PushItem, ServerFrame, encode};
use shared::refusal::Rule;

use crate::fault::Fault;
use crate::invariant::{Heard, check_grants};
use crate::model::Violation;
use crate::world::server::BROKEN;
use crate::world::{World, trace};

/// Whether an answer is the answer for ever.
fn is_final(result: &ItemResult) -> bool {
    match result {
        ItemResult::Accepted(_) | ItemResult::Known(..) | ItemResult::Held(_) => true,
        ItemResult::Refused(refusal) => refusal.rule == Rule::Transferred,
        ItemResult::Skipped => false,
    }
}

impl World {
    /// Looks into every frame that leaves the server.
    pub fn tap(&mut self, id: SessionId, bytes: &[u8]) -> Result<(), Violation> {
        let heard = Heard::read(bytes)?;
        let Some(identity) = self.server.identity_of(id) else { return Ok(()) };
        self.note(|| format!("hub to {id:?} {:?}: {}", identity.device, trace::server_frame(&heard.frame)));
        // SIM-5
        let is_active = self.model.person(identity.person).is_some_and(|person| person.active);
        let is_locked_out = self.model.is_revoked(identity.device) || !is_active;
        if is_locked_out && !matches!(heard.frame, ServerFrame::Goodbye(_)) {
            return Err(format!("a frame leaves for the locked out {:?} (I5)", identity.device));
        }
        self.check_nothing_erased(&heard, bytes)?;
        check_grants(identity.person, heard.scopes(), |person, scope| self.model.may_read(person, scope))?;
        let mut sung = self.model.canaries_in(bytes);
        match heard.frame {
            ServerFrame::Page(_) => sung.extend(self.model.canaries_in(&encode(&heard.items))),
            ServerFrame::Ack(ack) => {
                if let Some(items) = self.server.pushed(id, ack.batch) {
                    if items.len() != ack.results.len() {
                        return Err(format!(
                            "{} items were answered by {} results",
                            items.len(),
                            ack.results.len()
                        ));
                    }
                    for (item, result) in items.iter().zip(&ack.results) {
                        self.check_result(identity, item, result)?;
                    }
                    if ack.results.iter().all(is_final) {
                        self.overhear(identity, Push { batch: ack.batch, items });
                    }
                }
            }
            _ => {}
        }
        match sung.iter().find(|customer| !self.model.may_read(identity.person, Scope::Customer(**customer)))
        {
            Some(customer) => {
                Err(format!("words of {customer:?} leave for {:?} without a grant (I4)", identity.person))
            }
            None => Ok(()),
        }
    }

    /// What is acknowledged is on disk (SIM-2).
    fn check_result(
        &mut self,
        identity: Identity,
        item: &PushItem,
        result: &ItemResult,
    ) -> Result<(), Violation> {
        if matches!(result, ItemResult::Refused(refusal) if !refusal.rule.is_passing()) {
            self.faults.count(Fault::EditRefused);
        }
        let PushItem::Change { doc, change, .. } = item else { return Ok(()) };
        let Ok(header) = shared::wire::parse(change) else {
            return match result {
                ItemResult::Refused(_) | ItemResult::Skipped => Ok(()),
                taken => Err(format!("what is no change of {doc:?} was answered {taken:?} (I2)")),
            };
        };
        let lookup = self.server.store().lookup();
        let merged = lookup.change(*doc, &header.hash).expect(BROKEN).is_some();
        let held = lookup.held_change(*doc, &header.hash).expect(BROKEN);
        match result {
            ItemResult::Accepted(_) | ItemResult::Known(..) if !merged && held.is_none() => {
                Err(format!("{:?} of {doc:?} was acknowledged before it was on disk (I2)", header.hash))
            }
            ItemResult::Held(_) if held.is_none() && !merged => {
                Err(format!("{:?} of {doc:?} was said to be held before it was on disk (I2)", header.hash))
            }
            // Somebody else who may read the change may repeat it and is told that it is there.
            ItemResult::Known(..) => {
                self.acknowledge(header.hash, *doc, identity.device);
                Ok(())
            }
            ItemResult::Accepted(_) | ItemResult::Held(_) => {
                self.acknowledge(header.hash, *doc, identity.device);
                // From another phone of the same person it may come again, and is held as it was.
                let first = held.filter(|held| held.person == identity.person).map(|held| held.device);
                self.model
                    .attribute(header.actor, first.unwrap_or(identity.device))
                    .map_err(|violation| format!("{violation} (I7)"))
            }
            ItemResult::Refused(_) | ItemResult::Skipped => Ok(()),
        }
    }

    fn acknowledge(&mut self, hash: ChangeHash, doc: DocId, device: DeviceId) {
        self.model.acknowledge(hash, doc, device);
    }
}
