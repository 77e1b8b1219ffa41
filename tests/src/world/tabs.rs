//! Several tabs of one browser (S9): another tab takes the phone over while the former one still lives. From that
//! moment the store refuses the former one's writes; what it has on its lines goes on, until it notices.

use crate::fault::Fault;
use crate::model::Violation;
use crate::world::clock::Clock;
use crate::world::disk::Disk;
use crate::world::phone::Phone;
use crate::world::{Event, World};

impl World {
    /// Another tab takes over; the former one lives on for a while, with a connection and without a store.
    pub fn take_over(&mut self, index: usize) -> Result<(), Violation> {
        if self.phones[index].client.is_none() {
            return Ok(());
        }
        let former = self.phones.len();
        self.note(|| format!("another tab takes phone {index} over; the former one is phone {former}"));
        self.faults.count(Fault::TabTakenOver);
        // Of the former tab's writes some became durable; it hears of none.
        let (kept, lost) = self.phones[index].disk.crash(&mut self.dice);
        (0..kept).for_each(|_| self.faults.count(Fault::PhoneWriteKept));
        (0..lost).for_each(|_| self.faults.count(Fault::PhoneWriteLost));
        self.forget_unsaved(index);
        let phone = &mut self.phones[index];
        let mut tab = Phone::new(phone.profile.clone(), Clock::clone(&phone.clock));
        tab.client = phone.client.take();
        tab.connection = phone.connection.take();
        tab.online = phone.online;
        tab.disk = Disk::of(phone.disk.rows().clone());
        tab.is_former_tab = true;
        if let Some(connection) = tab.connection.and_then(|id| self.connections.get_mut(&id)) {
            connection.phone = former;
        }
        self.phones.push(tab);
        // The write that it waits for is refused.
        self.later(5, Event::Stored { phone: former, starts: 0, fails: true });
        let delay = self.dice.between(100, 20_000) as i64;
        self.later(delay, Event::TabCloses { phone: former });
        self.boot(index)
    }

    /// A former tab notices that it is none any more.
    pub fn close_tab(&mut self, index: usize) {
        self.switch_off(index);
        self.phones[index].retired = true;
    }
}
