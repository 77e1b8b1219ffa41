//! The end of a phone that was switched off, itself or with its person (S6): the person has it hand over what is unsent,
//! through a network and to a server that may fail at every moment, and it empties itself; later the assistant has what
//! the device left restored. Does what the drivers of phones and the door of the server do, and no more.

use std::collections::BTreeSet;

use server::hub::{Administration, AdministrationFailure};
use server::store::quarantine::{self, Quarantined};
use server::store::{Lookup, Store};
use shared::client::Handover;
use shared::id::{ChangeHash, DeviceId, DocId, Seq};
use shared::ledger::people::Role;
use shared::protocol::{
    Ack, ClientFrame, ItemResult, Push, PushItem, ServerFrame, decode_client_frame, encode,
};
use shared::time::UtcMillis;

use crate::fault::Fault;
use crate::model::Violation;
use crate::world::disk::{Disk, contains};
use crate::world::server::BROKEN;
use crate::world::{Event, World};

/// After so many rounds without a push the person sees that something cannot be handed over, and keeps the phone as it is.
const EMPTY_ROUNDS_MAX: u32 = 4;

/// How far a phone is with handing over.
#[derive(Debug, Clone, Default)]
pub struct Leaving {
    /// Rounds without a push so far.
    empty_rounds: u32,
    /// Items that were taken.
    taken: usize,
}

/// A round of handing over, on its way.
#[derive(Debug, Clone)]
pub struct Round {
    phone: usize,
    /// The phone's run; what comes back to another one concerns nobody.
    starts: u64,
    device: DeviceId,
    pushes: Vec<Vec<u8>>,
    /// It is a second copy of a request, whose answer nobody waits for.
    is_copy: bool,
}

impl World {
    /// Whether a phone was told that it is switched off, and has not emptied itself.
    pub fn may_hand_over(&self, phone: usize) -> bool {
        let phone = &self.phones[phone];
        !phone.is_former_tab && phone.client.as_ref().is_some_and(|client| client.is_revoked())
    }

    /// The person at a phone that was switched off hands over what is unsent.
    pub fn begin_handover(&mut self, phone: usize) {
        if self.phones[phone].leaving.is_some() || !self.may_hand_over(phone) {
            return;
        }
        self.note(|| format!("phone {phone} hands over what is unsent"));
        self.phones[phone].leaving = Some(Leaving::default());
        let starts = self.phones[phone].starts;
        self.later(1, Event::HandOver { phone, starts });
    }

    /// Some phone that may hands over; none if there is none.
    pub fn hand_some_over(&mut self) {
        let ended: Vec<usize> = self.phones_in_use().filter(|phone| self.may_hand_over(*phone)).collect();
        if let Some(phone) = self.dice.aside().pick(&ended).copied() {
            self.begin_handover(phone);
        }
    }

    /// In a healed world people whose phone was switched off hand over, if they want to.
    pub fn hand_over_where_wanted(&mut self) {
        for phone in 0..self.phones.len() {
            if self.phones[phone].wants_to_leave {
                self.begin_handover(phone);
            }
        }
    }

    /// Whether a phone is in the middle of it, or will be.
    pub fn is_leaving(&self, phone: usize) -> bool {
        let wants = self.healed && self.phones[phone].wants_to_leave && self.may_hand_over(phone);
        self.phones[phone].leaving.is_some() || wants
    }

    /// The next round: the phone says what is left.
    pub(super) fn hand_over(&mut self, phone: usize, starts: u64) -> Result<(), Violation> {
        if self.phones[phone].starts != starts || self.phones[phone].leaving.is_none() {
            return Ok(());
        }
        if !self.may_hand_over(phone) {
            self.phones[phone].leaving = None;
            return Ok(());
        }
        // What was taken leaves the disk before the next round.
        if self.phones[phone].disk.underway() > 0 {
            self.later(15, Event::HandOver { phone, starts });
            return Ok(());
        }
        let pushes = self.with_client(phone, |client, now| client.handover(now))?.unwrap_or_default();
        let Some(leaving) = self.phones[phone].leaving.as_mut() else { return Ok(()) };
        leaving.empty_rounds = if pushes.is_empty() { leaving.empty_rounds + 1 } else { 0 };
        if leaving.empty_rounds > EMPTY_ROUNDS_MAX {
            self.note(|| format!("phone {phone} holds what cannot be handed over"));
            self.phones[phone].leaving = None;
            self.phones[phone].wants_to_leave = false;
            return Ok(());
        }
        let fails = !self.phones[phone].online
            || !self.server_is_up()
            || (!self.healed && self.dice.permille(self.weather.dial_fails_permille));
        if fails {
            self.faults.count(Fault::DialFailed);
            self.phones[phone].leaving = None;
            return Ok(());
        }
        let device = self.phones[phone].device;
        let round = Round { phone, starts, device, pushes, is_copy: false };
        // A request may come twice: a proxy repeats it, or the phone that heard nothing.
        if !self.healed && self.dice.permille(self.weather.double_permille) {
            let delay = self.dice.between(1, 5_000) as i64;
            self.later(delay, Event::HandoverArrives { round: Round { is_copy: true, ..round.clone() } });
        }
        let delay = self.dice.between(1, self.weather.delay_ms_max) as i64;
        self.later(delay, Event::HandoverArrives { round });
        Ok(())
    }

    /// A round reaches the one door that is open to a device that was switched off.
    pub(super) fn take_over_work(&mut self, round: Round) -> Result<(), Violation> {
        let items: Vec<PushItem> = pushes_of(&round.pushes).into_iter().flat_map(|push| push.items).collect();
        let (device, life) = (round.device, self.server.life());
        let command = Administration::Quarantine { device, items: items.clone() };
        let taken = self.with_hub(|hub, now| hub.handle_administration(now, command).map(|_| ()))?;
        let is_kept = matches!(taken, Some(Ok(())));
        let is_answered = is_kept && self.server.life() == life;
        if is_answered {
            self.check_quarantined(device, &items)?;
        }
        let person = self.phones[round.phone].person;
        let is_out = self.model.is_revoked(device) || self.model.person(person).is_some_and(|p| !p.active);
        let lookup = self.server.store().lookup();
        let is_known = lookup.device(device).expect(BROKEN).is_some();
        if let Some(Err(AdministrationFailure::Refused(_))) = taken {
            // It stays as it is: the door is closed for now, or for good where the server was set back to before it was
            // registered.
            self.phones[round.phone].wants_to_leave = false;
        }
        if let Some(Err(AdministrationFailure::Refused(refusal))) = taken
            && is_out
            && is_known
        {
            return Err(format!("{device:?} may not hand over: {refusal} (I8)"));
        }
        if is_kept && !is_out {
            return Err(format!("the door of the quarantine is open to {device:?}, which is in use (I5)"));
        }
        if round.is_copy {
            return Ok(());
        }
        let is_lost = !self.healed && self.dice.permille(100 + 10 * self.weather.drop_permille);
        let answer = (is_answered && !is_lost).then(|| acknowledged(&round.pushes, UtcMillis(self.now_ms)));
        if is_kept && answer.is_none() && !items.is_empty() {
            self.faults.count(Fault::HandoverUnanswered);
        }
        if answer.is_some() {
            items.iter().for_each(|item| self.model.hand_over(device, encode(item)));
        }
        let delay = self.dice.between(1, self.weather.delay_ms_max) as i64;
        let restores = self.faults.of(Fault::ServerRestored);
        self.later(delay, Event::HandoverAnswered { round, answer, restores });
        Ok(())
    }

    /// What is said to be taken is on disk (SIM-2).
    fn check_quarantined(&mut self, device: DeviceId, items: &[PushItem]) -> Result<(), Violation> {
        let kept: BTreeSet<Vec<u8>> = self
            .quarantine()
            .iter()
            .filter(|row| row.device == device)
            .map(|row| encode(&row.item))
            .collect();
        match items.iter().find(|item| !kept.contains(&encode(*item)) && !self.is_of_erased(item)) {
            Some(item) => Err(format!("{item:?} of {device:?} was taken and is not in quarantine (I2)")),
            None => Ok(()),
        }
    }

    /// The answer to a round reaches its phone, or nothing does.
    pub(super) fn handed_over(
        &mut self,
        round: Round,
        answer: Option<Vec<Vec<u8>>>,
        restores: u64,
    ) -> Result<(), Violation> {
        let Round { phone, starts, device, pushes, .. } = round;
        if self.phones[phone].starts != starts || self.phones[phone].leaving.is_none() {
            if answer.is_some() {
                self.faults.count(Fault::HandoverUnanswered);
            }
            return Ok(());
        }
        // Nothing came back: the person tries again some time.
        let Some(answer) = answer else {
            self.phones[phone].leaving = None;
            return Ok(());
        };
        let items = pushes_of(&pushes).iter().map(|push| push.items.len()).sum::<usize>();
        self.phones[phone].handed.extend(pushes.iter().cloned());
        if restores != self.faults.of(Fault::ServerRestored) {
            self.forgive_what_was_handed_over(phone);
        }
        for edit in self.model.typed.iter_mut().filter(|edit| edit.phone == phone && edit.device == device) {
            edit.told |= pushes.iter().any(|push| contains(push, edit.token.as_bytes()));
        }
        let said: Vec<PushItem> = pushes_of(&pushes).into_iter().flat_map(|push| push.items).collect();
        self.forgive_what_is_erased(phone, &said);
        let state = self.with_client(phone, |client, now| client.handle_handed_over(now, &answer))?;
        let Some(leaving) = self.phones[phone].leaving.as_mut() else { return Ok(()) };
        leaving.taken += items;
        let taken = leaving.taken;
        match state {
            Some(Handover::Goes) => self.later(1, Event::HandOver { phone, starts }),
            Some(Handover::Done) => {
                self.note(|| format!("phone {phone} has handed over {taken} items and empties itself"));
                self.phones[phone].leaving = None;
                self.phones[phone].wants_to_leave = false;
                if taken > 0 {
                    self.faults.count(Fault::WorkHandedOver);
                }
                self.forgive_what_was_let_go_unmet(phone);
                self.begin_anew_or_stay(phone)?;
            }
            Some(Handover::Stopped(rule)) => {
                return Err(format!("phone {phone} was told that all was taken, and stops by {rule:?} (I8)"));
            }
            None => self.phones[phone].leaving = None,
        }
        Ok(())
    }

    /// The browser's store is thrown away with the machine, and the person logs in on what is a new device; or the phone
    /// stays as it is.
    fn begin_anew_or_stay(&mut self, phone: usize) -> Result<(), Violation> {
        let person = self.phones[phone].person;
        let is_active = self.model.person(person).is_some_and(|person| person.active);
        if self.healed {
            let device = self.phones[phone].device;
            return if self.dice.permille(500) { self.restore_device(device) } else { Ok(()) };
        }
        if !is_active || self.dice.permille(500) {
            return Ok(());
        }
        self.note(|| format!("phone {phone} is a new device from here on"));
        self.switch_off(phone);
        self.phones[phone].disk = Disk::default();
        self.phones[phone].backup = None;
        self.phones[phone].handed.clear();
        let device = self.register_device(person)?;
        self.phones[phone].device = device;
        self.phones[phone].profile.device = device;
        self.later(10, Event::Boot { phone });
        Ok(())
    }

    /// A restored server has not what was handed over to it since its backup, and the phone let go of it.
    pub fn forgive_what_was_handed_over(&mut self, phone: usize) {
        let stored = self.stored_tokens();
        let handed = &self.phones[phone].handed;
        for edit in self.model.typed.iter_mut().filter(|edit| edit.phone == phone && edit.expected) {
            let was_handed = handed.iter().any(|push| contains(push, edit.token.as_bytes()));
            edit.expected = !was_handed || stored.holds(edit);
        }
    }

    /// A phone that is locked out never hears that the server was set back: what had arrived before that is not unsent to
    /// it, is not handed over, and goes with its copy.
    fn forgive_what_was_let_go_unmet(&mut self, phone: usize) {
        if self.phones[phone].unmet.is_none() {
            return;
        }
        let stored = self.stored_tokens();
        let handed = &self.phones[phone].handed;
        for edit in self.model.typed.iter_mut().filter(|edit| edit.phone == phone && edit.told) {
            let was_handed = handed.iter().any(|push| contains(push, edit.token.as_bytes()));
            edit.expected &= was_handed || stored.holds(edit);
        }
    }

    /// Everything in quarantine.
    pub fn quarantine(&mut self) -> Vec<Quarantined> {
        quarantine::list(self.server.connection(), None).expect(BROKEN)
    }

    /// The assistant has what some device left restored.
    pub fn restore_some_device(&mut self) -> Result<(), Violation> {
        let mut left: Vec<DeviceId> =
            self.quarantine().iter().filter(|row| row.restored_at.is_none()).map(|row| row.device).collect();
        left.dedup();
        match self.dice.aside().pick(&left).copied() {
            Some(device) => self.restore_device(device),
            None => Ok(()),
        }
    }

    fn restore_device(&mut self, device: DeviceId) -> Result<(), Violation> {
        let is_desk = |role: Role| matches!(role, Role::Assistant | Role::Admin);
        if !self.model.people().any(|person| person.active && is_desk(person.role)) {
            return Ok(());
        }
        self.note(|| format!("what {device:?} left is to be restored"));
        match self.with_hub(|hub, now| hub.handle_restore(now, device))? {
            Some(Err(failure)) => Err(format!("the quarantine cannot be read: {failure}")),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// What was restored is merged, held or decided, and what was handed over is in quarantine (SIM-1).
    pub(super) fn check_quarantine(&mut self) -> Result<(), Violation> {
        let rows = self.quarantine();
        let kept: BTreeSet<(DeviceId, Vec<u8>)> =
            rows.iter().map(|row| (row.device, encode(&row.item))).collect();
        let is_gone = |item: &&(DeviceId, Vec<u8>)| {
            let of_erased = minicbor::decode(&item.1).is_ok_and(|item| self.is_of_erased(&item));
            !kept.contains(item) && !of_erased
        };
        if let Some((device, _)) = self.model.handed_over().iter().find(is_gone) {
            return Err(format!("what {device:?} handed over was taken and is gone (I1)"));
        }
        let lookup = self.server.store().lookup();
        for row in rows.iter().filter(|row| row.restored_at.is_some()) {
            let is_there = match &row.item {
                PushItem::Change { doc, change, .. } => {
                    let hash = shared::wire::parse(change).map(|header| header.hash);
                    hash.is_ok_and(|hash| {
                        lookup.change(*doc, &hash).expect(BROKEN).is_some()
                            || lookup.held_change(*doc, &hash).expect(BROKEN).is_some()
                    })
                }
                PushItem::Request { id, .. } => lookup.request(*id).expect(BROKEN).is_some(),
                PushItem::Release { .. } => true,
            };
            if !is_there {
                return Err(format!("{:?} was restored and is not there (I1)", row.item));
            }
            self.faults.count(Fault::WorkRestored);
        }
        Ok(())
    }
}

/// The changes that were restored from quarantine, with when they had been handed over.
pub fn restored_changes(rows: &[Quarantined]) -> Vec<(DocId, ChangeHash, DeviceId, UtcMillis)> {
    let restored = rows.iter().filter(|row| row.restored_at.is_some());
    let change = |row: &Quarantined| match &row.item {
        PushItem::Change { doc, change, .. } => {
            let hash = shared::wire::parse(change).ok()?.hash;
            Some((*doc, hash, row.device, row.received))
        }
        PushItem::Request { .. } | PushItem::Release { .. } => None,
    };
    restored.filter_map(change).collect()
}

fn pushes_of(frames: &[Vec<u8>]) -> Vec<Push> {
    let push = |frame: &Vec<u8>| match decode_client_frame(frame) {
        Ok(ClientFrame::Push(push)) => Some(push),
        Ok(_) | Err(_) => None,
    };
    frames.iter().filter_map(push).collect()
}

/// As the server's door answers.
fn acknowledged(frames: &[Vec<u8>], received: UtcMillis) -> Vec<Vec<u8>> {
    let ack = |push: Push| {
        let results = vec![ItemResult::Held(Seq(0)); push.items.len()];
        encode(&ServerFrame::Ack(Ack { batch: push.batch, received, results }))
    };
    pushes_of(frames).into_iter().map(ack).collect()
}
