//! What somebody in the office does at one chosen step of a world, so that it can be done at every step of it in turn
//! ([`crate::sim::sweep`]): the worst moment is among them. A later command joins by a line in [`Strike`] and one in
//! [`World::strike`].

use std::fmt;

use shared::id::{DocId, Seq};
use shared::ledger::Command;

use crate::fault::Fault;
use crate::kinds::kinds;
use crate::model::{Customer, Violation};
use crate::world::World;

kinds! {
    /// What is done.
    Strike:
    /// The assistant accepts a customer.
    Accept,
    /// The assistant moves a customer to another rep.
    Transfer,
    /// The assistant decides about late work.
    Settle,
    /// A rep is disabled.
    Disable,
    /// A rep's device is revoked.
    Revoke,
    /// A phone that was switched off hands over; where none was, a rep's is switched off and hands over in the end.
    HandOver,
    /// The assistant has what a device left restored.
    Restore,
    /// A document is erased for good.
    Erase,
    /// A rep moves to another team.
    MoveTeam,
    /// Somebody gets another role.
    ChangeRole,
    /// The settings change.
    ChangeSettings,
    /// The server dies. Its steps are the outputs of its hub.
    KillServer,
}

/// A strike and its step, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrikeAt {
    /// What is done.
    pub strike: Strike,
    /// Before which step, or before which output of the server's hub.
    pub step: u64,
}

/// As an argument of `cargo xtask sim SEED --strike`.
impl fmt::Display for StrikeAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{}", self.strike, self.step)
    }
}

impl StrikeAt {
    /// Reads what is displayed.
    pub fn read(text: &str) -> Option<StrikeAt> {
        let (name, step) = text.split_once('@')?;
        Some(StrikeAt { strike: Strike::named(name)?, step: step.parse().ok()? })
    }
}

impl World {
    /// Does what the shape asks for at this step.
    pub(super) fn strike_if_due(&mut self) -> Result<(), Violation> {
        match self.shape.strike {
            Some(StrikeAt { strike, step }) if step == self.steps && strike != Strike::KillServer => {
                self.strike(strike)
            }
            _ => Ok(()),
        }
    }

    /// Whether the shape asks for the server's death before the output that is due.
    pub(super) fn is_struck_at_output(&mut self) -> bool {
        let due = StrikeAt { strike: Strike::KillServer, step: self.server.outputs };
        let is_struck = self.shape.strike == Some(due);
        self.has_struck |= is_struck;
        is_struck
    }

    fn strike(&mut self, strike: Strike) -> Result<(), Violation> {
        self.note(|| format!("at this step: {strike:?}"));
        let done = |world: &World| {
            let counted = [Fault::DeviceRevoked, Fault::SettingsChanged];
            let leaving = world.phones.iter().filter(|phone| phone.leaving.is_some()).count();
            let outputs = if strike == Strike::Restore { world.server.outputs } else { 0 };
            (world.server.learned(), counted.map(|fault| world.faults.of(fault)), leaving, outputs)
        };
        let before = done(self);
        match strike {
            Strike::Accept | Strike::Transfer | Strike::Settle => {
                if let Some(command) = self.command_for(strike) {
                    self.ask_at_desk(command)?;
                }
            }
            Strike::Erase => self.erase_something()?,
            Strike::Restore => self.restore_some_device()?,
            Strike::Disable | Strike::Revoke | Strike::HandOver | Strike::MoveTeam => {
                let reps: Vec<usize> = self.phones_in_use().filter(|phone| self.is_rep(*phone)).collect();
                if strike == Strike::HandOver {
                    self.hand_some_over();
                }
                match (self.dice.aside().pick(&reps).copied(), strike) {
                    (Some(_), Strike::HandOver)
                        if self.phones.iter().any(|phone| phone.leaving.is_some()) => {}
                    (Some(phone), Strike::HandOver) => {
                        self.phones[phone].wants_to_leave = true;
                        self.revoke_device(phone)?;
                    }
                    (Some(phone), Strike::Disable) => self.disable_person(phone)?,
                    (Some(phone), Strike::Revoke) => self.revoke_device(phone)?,
                    (Some(phone), _) => self.move_team(phone)?,
                    (None, _) => {}
                }
            }
            Strike::ChangeRole => {
                let in_use: Vec<usize> = self.phones_in_use().collect();
                self.dice.aside().pick(&in_use).copied().map_or(Ok(()), |phone| self.change_role(phone))?;
            }
            Strike::ChangeSettings => self.change_settings()?,
            Strike::KillServer => {}
        }
        self.has_struck = before != done(self);
        Ok(())
    }

    /// What the assistant asks for; none if there is nothing to decide.
    fn command_for(&self, strike: Strike) -> Option<Command> {
        let mut dice = self.dice.aside();
        if strike == Strike::Settle {
            let open: Vec<(Seq, DocId)> = self.model.held().collect();
            let (late, customer) = *dice.pick(&open)?;
            return Some(Command::SettleLate { customer, late, apply: dice.permille(600) });
        }
        let is_wanted = |customer: &Customer| strike == Strike::Transfer || customer.code.is_none();
        let customers: Vec<_> = self.model.customers().filter(|(_, customer)| is_wanted(customer)).collect();
        let (id, customer) = *dice.pick(&customers)?;
        if strike == Strike::Accept {
            return Some(Command::Accept { customer: *id });
        }
        let mut others = self.model.active_reps();
        others.retain(|rep| *rep != customer.owner);
        let to = *dice.pick(&others)?;
        Some(Command::Transfer { customer: *id, to, reason: None })
    }
}
