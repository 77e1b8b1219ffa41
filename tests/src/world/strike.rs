//! What somebody in the office does at one chosen step of a world, so that it can be done at every step of it in turn
//! ([`crate::sim::sweep`]): the worst moment is among them. A later command joins by a line in [`Strike`] and one in
//! [`World::strike`].

use std::fmt;

use shared::ledger::people::Role;

use crate::fault::Fault;
use crate::kinds::kinds;
use crate::model::Violation;
use crate::world::World;

kinds! {
    /// What is done.
    Strike:
    /// The assistant accepts a customer.
    Accept,
    /// The assistant moves a customer to another rep.
    Transfer,
    /// A rep is disabled.
    Disable,
    /// A rep's device is revoked.
    Revoke,
}

/// A strike and its step, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrikeAt {
    /// What is done.
    pub strike: Strike,
    /// Before which step.
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
            Some(StrikeAt { strike, step }) if step == self.steps => self.strike(strike),
            _ => Ok(()),
        }
    }

    fn strike(&mut self, strike: Strike) -> Result<(), Violation> {
        self.note(|| format!("at this step: {strike:?}"));
        let Some(phone) = self.phone_for(strike) else { return Ok(()) };
        let done = |world: &World| {
            (
                world.commands_taken,
                world.faults.of(Fault::PersonDisabled),
                world.faults.of(Fault::DeviceRevoked),
            )
        };
        let before = done(self);
        match strike {
            Strike::Accept => self.accept(phone)?,
            Strike::Transfer => self.transfer(phone)?,
            Strike::Disable => self.disable_person(phone)?,
            Strike::Revoke => self.revoke_device(phone)?,
        }
        self.has_struck = before != done(self);
        Ok(())
    }

    /// Whose phone it is done on, or to.
    fn phone_for(&mut self, strike: Strike) -> Option<usize> {
        let wanted = match strike {
            Strike::Accept | Strike::Transfer => Role::Assistant,
            Strike::Disable | Strike::Revoke => Role::Rep,
        };
        let fits = |phone: &usize| {
            let person = self.model.person(self.phones[*phone].person);
            let is_on = wanted == Role::Rep || self.phones[*phone].client.is_some();
            is_on && person.is_some_and(|person| person.role == wanted)
        };
        let phones: Vec<usize> = self.phones_in_use().filter(fits).collect();
        self.dice.pick(&phones).copied()
    }
}
