//! A phone of the simulated world: the client machine on a disk, a clock and a connection that may all
//! fail. This is a driver like the browser's worker; it decides nothing that a driver would not.

use std::collections::{BTreeMap, BTreeSet};

use server::store::{Lookup, Store};
use shared::client::{Disconnect, Output, Profile};
use shared::id::{DeviceId, DocId, IncarnationId, PersonId};
use shared::limits::{BATCH_ITEMS_MAX, PUSHES_IN_FLIGHT_MAX};
use shared::protocol::{
    ClientFrame, Item, ItemResult, Push, PushItem, ServerFrame, decode_client_frame, decode_server_frame,
    encode,
};
use shared::view::{Answer, Link, Query, StatusView, SyncState};

use crate::fault::Fault;
use crate::invariant::{BEGINNING, END};
use crate::model::{TypedEdit, Violation};
use crate::world::clock::Clock;
use crate::world::disk::{Disk, Rows, contains};
use crate::world::handover::Leaving;
use crate::world::machine::Machine;
use crate::world::network::Direction;
use crate::world::people::says;
use crate::world::server::BROKEN;
use crate::world::skew::Software;
use crate::world::{Event, World};

/// One phone.
pub struct Phone {
    /// Its person.
    pub person: PersonId,
    /// This installation.
    pub device: DeviceId,
    /// What a login answers.
    pub profile: Profile,
    /// The machine; none while the phone is off.
    pub client: Option<Machine>,
    /// Its disk.
    pub disk: Disk,
    /// Its clocks.
    pub clock: Clock,
    /// How often it was started; an event of an earlier run concerns nobody.
    pub starts: u64,
    /// The connection that it believes to have.
    pub connection: Option<u64>,
    /// Whether a dial is under way.
    pub dialling: bool,
    /// Whether it has signal.
    pub online: bool,
    /// An older copy of its disk, with the model's number of typed edits then.
    pub backup: Option<Rows>,
    /// Whether the person has thrown it away: it stays off.
    pub retired: bool,
    /// Whether it is a tab that another has taken over from: its writes are refused.
    pub is_former_tab: bool,
    /// Until when its disk refuses every write.
    pub full_until_ms: i64,
    /// Which software it runs.
    pub software: Software,
    /// The page that it took last.
    pub last_page: Option<Vec<u8>>,
    /// What it pushed and got no answer for, by connection and batch.
    pub pushed: BTreeMap<(u64, u64), Vec<PushItem>>,
    /// The life of a restored server that it has not met yet.
    pub unmet: Option<IncarnationId>,
    /// How far it is with handing over what is unsent, if it is doing so.
    pub leaving: Option<Leaving>,
    /// Whether its person will do so when nothing fails any more.
    pub wants_to_leave: bool,
    /// What it handed over as this device, and heard that it was taken.
    pub handed: Vec<Vec<u8>>,
}

impl Phone {
    /// A phone with an empty disk, switched off.
    pub fn new(profile: Profile, clock: Clock) -> Self {
        Self {
            person: profile.person.id,
            device: profile.device,
            profile,
            client: None,
            disk: Disk::default(),
            clock,
            starts: 0,
            connection: None,
            dialling: false,
            online: true,
            backup: None,
            retired: false,
            is_former_tab: false,
            full_until_ms: 0,
            software: Software::Same,
            last_page: None,
            pushed: BTreeMap::new(),
            unmet: None,
            leaving: None,
            wants_to_leave: false,
            handed: Vec::new(),
        }
    }
}

impl World {
    /// Asks a phone's machine.
    pub fn query(&mut self, phone: usize, query: &Query) -> Option<Answer> {
        let now_ms = self.now_ms;
        let phone = &mut self.phones[phone];
        let now = phone.clock.now(now_ms);
        phone.client.as_mut().map(|client| client.query(now, query))
    }

    /// As [`World::query`], of what nobody at the phone asked.
    fn peek(&mut self, phone: usize, query: &Query) -> Option<Answer> {
        let now_ms = self.now_ms;
        let phone = &mut self.phones[phone];
        let now = phone.clock.now(now_ms);
        phone.client.as_mut().map(|client| client.peek(now, query))
    }

    /// What a phone says of itself; none while it is off.
    pub fn status(&mut self, phone: usize) -> Option<StatusView> {
        match self.query(phone, &Query::Status)? {
            Answer::Status(status) => Some(status),
            other => panic!("a question for the status was answered with {other:?}"),
        }
    }

    /// What a login on a phone answers: its person as the office has it by now.
    fn login_of(&self, index: usize) -> Profile {
        let phone = &self.phones[index];
        let person = self.model.person(phone.person).unwrap_or(&phone.profile.person).clone();
        let team = self.teams.iter().find(|team| Some(team.id) == person.team).cloned();
        Profile { person, team, ..phone.profile.clone() }
    }

    /// Switches a phone on.
    pub fn boot(&mut self, index: usize) -> Result<(), Violation> {
        let seed = self.dice.seed();
        let (login, may_log_in) = (self.login_of(index), self.refuses_login(index).is_none());
        let phone = &mut self.phones[index];
        if phone.client.is_some() || phone.retired {
            return Ok(());
        }
        phone.starts += 1;
        phone.dialling = false;
        phone.leaving = None;
        // An update waits for the next start.
        phone.software = Software::Same;
        phone.clock.restart(self.now_ms, &mut self.dice);
        if phone.clock.is_wrong_by_days() {
            self.faults.count(Fault::ClockWrong);
        }
        let now = phone.clock.now(self.now_ms);
        let client = Machine::open(now, seed, phone.disk.to_rows(), self.tapes.as_ref());
        let mut client =
            client.map_err(|failure| format!("phone {index} cannot be opened again: {failure}"))?;
        // A fresh disk, or a copy of another device's that its person logs in on.
        if may_log_in && client.profile().is_none_or(|known| known.device != phone.device) {
            client.handle_login(now, login);
        }
        phone.client = Some(client);
        self.note(|| format!("phone {index} starts"));
        self.drain_phone(index)
    }

    /// People whose phone asks for a login, and who may log in, do.
    pub fn log_in_where_asked(&mut self) -> Result<(), Violation> {
        for index in 0..self.phones.len() {
            let asked =
                self.status(index).is_some_and(|s| matches!(s.link, Link::LoginNeeded | Link::Revoked));
            if asked && self.refuses_login(index).is_none() {
                self.note(|| format!("phone {index} is logged in again"));
                let login = self.login_of(index);
                self.with_client(index, |client, now| client.handle_login(now, login))?;
            }
        }
        Ok(())
    }

    /// Gives a running machine an input and carries out what it wants.
    pub fn with_client<T>(
        &mut self,
        index: usize,
        input: impl FnOnce(&mut Machine, shared::time::Now) -> T,
    ) -> Result<Option<T>, Violation> {
        let phone = &mut self.phones[index];
        let now = phone.clock.now(self.now_ms);
        let Some(client) = phone.client.as_mut() else { return Ok(None) };
        let value = input(client, now);
        self.drain_phone(index)?;
        self.check_shown(index)?;
        Ok(Some(value))
    }

    /// What is not on the phone's disk is shown as being saved, and what the server has not acknowledged as being here
    /// alone (SIM-13).
    pub fn check_shown(&mut self, index: usize) -> Result<(), Violation> {
        let Phone { device, is_former_tab, .. } = self.phones[index];
        let is_own = |edit: &&TypedEdit| {
            edit.phone == index && edit.device == device && edit.expected && edit.own && !edit.told
        };
        let untold: Vec<TypedEdit> = self.model.typed.iter().filter(is_own).cloned().collect();
        if untold.is_empty() || is_former_tab || self.phones[index].client.is_none() {
            return Ok(());
        }
        let Some(Answer::Refused(refused)) = self.peek(index, &Query::Refused) else { return Ok(()) };
        for edit in untold {
            let allowed: &[SyncState] =
                if edit.saved { &[SyncState::Saving, SyncState::Local] } else { &[SyncState::Saving] };
            let shown = self.shown_sync(index, edit.doc, edit.customer);
            if shown.is_some_and(|shown| !allowed.contains(&shown))
                && !refused.iter().any(|view| says(&view.edit, &edit.token))
            {
                return Err(format!("phone {index} shows {shown:?} of {edit:?} (I13)"));
            }
        }
        Ok(())
    }

    /// How far a document has come, as a phone shows it; a comment in the timeline of its customer.
    fn shown_sync(&mut self, index: usize, doc: DocId, customer: Option<DocId>) -> Option<SyncState> {
        if let Some(Answer::Customer(Some(card))) = self.peek(index, &Query::Customer { id: doc }) {
            return Some(card.row.sync);
        }
        if let Some(Answer::Visit(Some(visit))) = self.peek(index, &Query::Visit { id: doc }) {
            return Some(visit.entry.sync);
        }
        match self.peek(index, &Query::Timeline { customer: customer? }) {
            Some(Answer::Timeline(entries)) => {
                entries.into_iter().find(|entry| entry.doc == Some(doc)).map(|entry| entry.sync)
            }
            _ => None,
        }
    }

    /// The phone hears from the server of these edits: that they arrived, or that they were refused for good.
    fn hear_of(&mut self, index: usize, id: u64, frame: &ServerFrame) {
        let device = self.phones[index].device;
        let mut told = Vec::new();
        match frame {
            ServerFrame::Ack(ack) => {
                let items = self.phones[index].pushed.remove(&(id, ack.batch)).unwrap_or_default();
                for (item, result) in items.into_iter().zip(&ack.results) {
                    let has_arrived = match result {
                        ItemResult::Accepted(_) | ItemResult::Known(..) | ItemResult::Held(_) => true,
                        ItemResult::Refused(refusal) if !refusal.rule.is_passing() => false,
                        ItemResult::Refused(_) | ItemResult::Skipped => continue,
                    };
                    if let PushItem::Change { doc, change, .. } = item {
                        told.push((doc, change.to_vec(), has_arrived));
                    }
                }
            }
            ServerFrame::Page(page) => {
                for item in page.items.clone().unpack().unwrap_or_default() {
                    if let Item::Snapshot { doc, .. } | Item::Changes { doc, .. } = &item {
                        let doc = *doc;
                        // The server may have been set back since; what it sent says it by itself.
                        told.push((doc, encode(&item), true));
                        let lookup = self.server.store().lookup();
                        let changes = lookup.changes(doc, BEGINNING, END).unwrap_or_default();
                        told.extend(changes.into_iter().map(|(_, bytes)| (doc, bytes, true)));
                    }
                }
            }
            _ => {}
        }
        for edit in self.model.typed.iter_mut().filter(|edit| edit.phone == index && edit.device == device) {
            for (doc, bytes, has_arrived) in &told {
                if *doc == edit.doc && contains(bytes, edit.token.as_bytes()) {
                    edit.told = true;
                    edit.arrived |= *has_arrived;
                }
            }
        }
    }

    fn drain_phone(&mut self, index: usize) -> Result<(), Violation> {
        for _ in 0..10_000 {
            let phone = &mut self.phones[index];
            let Some(client) = phone.client.as_mut() else { return Ok(()) };
            let Some(output) = client.poll_output() else { return Ok(()) };
            if !self.healed && self.dice.permille(self.climate.phone_crash_permille) {
                self.crash_phone(index);
                return Ok(());
            }
            self.carry_out(index, output)?;
        }
        Err(format!("phone {index} wants something without end"))
    }

    fn carry_out(&mut self, index: usize, output: Output) -> Result<(), Violation> {
        let starts = self.phones[index].starts;
        match output {
            Output::Store(write) => {
                self.note(|| {
                    let puts: Vec<_> = write.puts.iter().map(|(key, _)| key.as_str()).collect();
                    format!("phone {index} stores {puts:?} deletes {:?}", write.deletes)
                });
                self.phones[index].disk.begin(write);
                let fails = !self.healed && self.dice.permille(self.climate.write_fails_permille);
                let delay = self.dice.between(1, 30) as i64;
                self.later(delay, Event::Stored { phone: index, starts, fails });
            }
            Output::Send(frame) => {
                self.check_sent(index, &frame)?;
                let Some(id) = self.phones[index].connection else { return Ok(()) };
                let software = self.phones[index].software;
                let spoken = software.speak(frame.clone());
                if let Some(fault) = software.fault().filter(|_| spoken != frame) {
                    self.faults.count(fault);
                }
                let frame = spoken;
                match self.connections.get_mut(&id) {
                    // After its request has left, a one-shot exchange takes nothing more.
                    Some(connection) if connection.is_one_shot => {
                        connection.request.iter_mut().for_each(|request| request.push(frame.clone()));
                    }
                    _ => self.put_on_wire(id, Direction::Up, frame),
                }
            }
            Output::Dial => {
                if !std::mem::replace(&mut self.phones[index].dialling, true) {
                    let delay = self.dice.between(1, 200) as i64;
                    self.later(delay, Event::Dialled { phone: index, starts });
                }
            }
            Output::HangUp => {
                if let Some(id) = self.phones[index].connection.take() {
                    self.note(|| format!("phone {index} hangs up {id}"));
                    let now_ms = self.now_ms;
                    if let Some(connection) = self.connections.get_mut(&id) {
                        connection.phone_open = false;
                        connection.close(Direction::Up, now_ms);
                    }
                    self.expect_arrivals(id);
                }
            }
            Output::Changed => {}
        }
        Ok(())
    }

    /// Nothing is sent that a crash of this phone could still lose (SIM-13).
    fn check_sent(&mut self, index: usize, frame: &[u8]) -> Result<(), Violation> {
        let frame =
            decode_client_frame(frame).map_err(|error| format!("phone {index} sends nonsense: {error}"))?;
        self.note(|| format!("phone {index} sends {}", crate::world::trace::client_frame(&frame)));
        let ClientFrame::Push(push) = frame else { return Ok(()) };
        self.check_window(index, &push)?;
        let disk = &self.phones[index].disk;
        for item in &push.items {
            let durable = match item {
                PushItem::Change { change, .. } => disk.holds(change.as_slice()),
                PushItem::Request { id, .. } => {
                    disk.holds(id.as_bytes())
                        || disk.holds(id.to_string().as_bytes())
                        || disk.rows().keys().any(|key| key.contains(&id.to_string()))
                }
                PushItem::Release { .. } => true,
            };
            if !durable {
                return Err(format!("phone {index} sends before its disk has confirmed (I13): {item:?}"));
            }
        }
        Ok(())
    }

    /// What a phone has out on one connection is bounded (I9, SIM-15).
    fn check_window(&mut self, index: usize, push: &Push) -> Result<(), Violation> {
        let Some(id) = self.phones[index].connection else { return Ok(()) };
        self.phones[index].pushed.insert((id, push.batch), push.items.clone());
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        connection.pushes_unanswered += 1;
        if connection.pushes_unanswered > PUSHES_IN_FLIGHT_MAX || push.items.len() > BATCH_ITEMS_MAX {
            return Err(format!(
                "phone {index} has {} pushes out, the last of {} items (I9)",
                connection.pushes_unanswered,
                push.items.len()
            ));
        }
        Ok(())
    }

    /// A write of a phone has come to its end.
    pub fn stored(&mut self, index: usize, starts: u64, fails: bool) -> Result<(), Violation> {
        if self.phones[index].starts != starts || self.phones[index].client.is_none() {
            return Ok(());
        }
        let is_full = !self.healed && self.phones[index].full_until_ms > self.now_ms;
        if fails || is_full || self.phones[index].is_former_tab {
            self.faults.count(if is_full { Fault::PhoneFull } else { Fault::PhoneWriteFailed });
            for id in self.phones[index].disk.fail() {
                self.note(|| format!("phone {index} cannot store"));
                self.with_client(index, |client, now| client.handle_store_failed(now, id))?;
            }
            return Ok(());
        }
        let Some(id) = self.phones[index].disk.complete() else { return Ok(()) };
        self.mark_saved(index);
        self.with_client(index, |client, now| client.handle_stored(now, id))?;
        Ok(())
    }

    /// Edits whose words are on the phone's disk are saved: from here on they may not be lost.
    pub fn mark_saved(&mut self, index: usize) {
        let disk = &self.phones[index].disk;
        for edit in
            self.model.typed.iter_mut().filter(|edit| edit.phone == index && edit.expected && !edit.saved)
        {
            edit.saved = disk.holds(edit.token.as_bytes());
        }
    }

    /// A dial has come to its end.
    pub fn dialled(&mut self, index: usize, starts: u64) -> Result<(), Violation> {
        let phone = &mut self.phones[index];
        if phone.starts != starts || phone.client.is_none() {
            return Ok(());
        }
        phone.dialling = false;
        // Some hold a ticket from a moment before they were locked out, and come to the hub with it.
        if let Some(why) = self.refuses_login(index)
            && self.dice.permille(700)
        {
            self.with_client(index, |client, now| client.handle_disconnected(now, why))?;
            return Ok(());
        }
        let fails = !self.phones[index].online
            || !self.server_is_up()
            || (!self.healed && self.dice.permille(self.weather.dial_fails_permille));
        if fails {
            let is_offline = !self.phones[index].online;
            self.faults.count(if is_offline { Fault::PhoneOffline } else { Fault::DialFailed });
            self.with_client(index, |client, now| client.handle_disconnected(now, Disconnect::Lost))?;
            return Ok(());
        }
        let id = self.open_connection(index);
        self.phones[index].connection = Some(id);
        let is_one_shot = !self.healed && self.dice.permille(self.climate.one_shot_permille);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_one_shot = is_one_shot;
            connection.request = is_one_shot.then(Vec::new);
        }
        self.note(|| format!("phone {index} connects as {id}, for one exchange: {is_one_shot}"));
        let ticket = self.ticket(index);
        self.with_client(index, |client, now| client.handle_connected(now, ticket))?;
        if is_one_shot {
            self.send_request(id);
        }
        Ok(())
    }

    /// A frame or the end of a connection reaches its phone.
    pub fn arrive_at_phone(&mut self, id: u64, frame: Option<Vec<u8>>) -> Result<(), Violation> {
        let Some(index) =
            self.connections.get(&id).filter(|connection| connection.phone_open).map(|c| c.phone)
        else {
            return Ok(());
        };
        if self.phones[index].connection != Some(id) {
            return Ok(());
        }
        match frame {
            Some(frame) => {
                let heard = decode_server_frame(&frame).ok();
                if let Some(connection) = self.connections.get_mut(&id)
                    && matches!(heard, Some(ServerFrame::Ack(_)))
                {
                    connection.pushes_unanswered = connection.pushes_unanswered.saturating_sub(1);
                }
                if matches!(heard, Some(ServerFrame::Page(_))) {
                    self.phones[index].last_page = Some(frame.clone());
                }
                if let Some(ServerFrame::Welcome(welcome)) = &heard
                    && self.phones[index].unmet == Some(welcome.incarnation)
                {
                    self.phones[index].unmet = None;
                    self.forgive_what_was_let_go(index);
                }
                heard.iter().for_each(|heard| self.hear_of(index, id, heard));
                self.with_client(index, |client, now| client.handle_frame(now, &frame))?;
            }
            None => {
                self.lose_connection(index);
                self.with_client(index, |client, now| client.handle_disconnected(now, Disconnect::Lost))?;
            }
        }
        Ok(())
    }

    fn lose_connection(&mut self, index: usize) -> Option<u64> {
        let id = self.phones[index].connection.take()?;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phone_open = false;
        }
        Some(id)
    }

    /// The phone loses or finds its signal.
    pub fn set_online(&mut self, index: usize, online: bool) -> Result<(), Violation> {
        self.phones[index].online = online;
        self.note(|| format!("phone {index} online: {online}"));
        if online {
            self.with_client(index, |client, now| client.handle_nudge(now))?;
            return Ok(());
        }
        if self.phones[index].connection.is_some() {
            self.faults.count(Fault::PhoneOffline);
        }
        self.cut_phone(index)
    }

    /// The phone's connection is cut.
    pub fn cut_phone(&mut self, index: usize) -> Result<(), Violation> {
        let Some(id) = self.phones[index].connection else { return Ok(()) };
        self.cut_connection(id);
        // Now and then the operating system says so at once; else the end arrives, or silence does.
        if self.dice.permille(500) {
            self.lose_connection(index);
            self.with_client(index, |client, now| client.handle_disconnected(now, Disconnect::Lost))?;
        }
        Ok(())
    }

    /// The phone dies here and now. Of its writes under way a prefix survives.
    pub fn crash_phone(&mut self, index: usize) {
        if self.phones[index].is_former_tab {
            return self.close_tab(index);
        }
        self.note(|| format!("phone {index} dies"));
        self.faults.count(Fault::PhoneCrashed);
        self.switch_off(index);
        let (kept, lost) = self.phones[index].disk.crash(&mut self.dice);
        (0..kept).for_each(|_| self.faults.count(Fault::PhoneWriteKept));
        (0..lost).for_each(|_| self.faults.count(Fault::PhoneWriteLost));
        self.forget_unsaved(index);
        let delay = self.dice.between(10, 8_000) as i64;
        self.later(delay, Event::Boot { phone: index });
    }

    /// What no disk had confirmed dies with its program.
    pub fn forget_unsaved(&mut self, index: usize) {
        self.mark_saved(index);
        for edit in self.model.typed.iter_mut().filter(|edit| edit.phone == index && !edit.saved) {
            edit.expected = false;
        }
    }

    /// The phone ends without a word to anybody.
    pub fn switch_off(&mut self, index: usize) {
        self.phones[index].client = None;
        self.phones[index].leaving = None;
        if let Some(id) = self.lose_connection(index) {
            self.cut_connection(id);
        }
    }

    /// Everything that was saved on this phone and that nobody else has dies with the disk's contents.
    pub fn forgive_what_the_disk_lost(&mut self, index: usize) {
        let stored = self.stored_tokens();
        let Phone { disk, device, .. } = &self.phones[index];
        for edit in self.model.typed.iter_mut().filter(|edit| edit.phone == index && edit.expected) {
            // A new installation offers again only what it made itself.
            let is_kept = edit.own && edit.device == *device && disk.holds(edit.token.as_bytes());
            edit.expected = is_kept || stored.holds(edit);
        }
    }

    /// The phone meets the restored server and offers what it holds now. What it let go of before, acknowledged and
    /// released, is gone with the server's disk, though its own disk was full or the answer was still on its way.
    fn forgive_what_was_let_go(&mut self, index: usize) {
        let Some(client) = &self.phones[index].client else { return };
        let held: BTreeSet<DocId> = client.document_heads().into_iter().map(|(doc, _)| doc).collect();
        let Some(Answer::Refused(refused)) = self.query(index, &Query::Refused) else { return };
        let stored = self.stored_tokens();
        for edit in self.model.typed.iter_mut().filter(|edit| edit.phone == index && edit.expected) {
            let is_held =
                held.contains(&edit.doc) || refused.iter().any(|view| says(&view.edit, &edit.token));
            edit.expected = (edit.own && is_held) || stored.holds(edit);
        }
    }

    /// The phone is set back to an older copy of its disk, as by a restored profile.
    pub fn restore_phone(&mut self, index: usize) {
        let Some(rows) = self.phones[index].backup.clone() else { return };
        self.note(|| format!("phone {index} is restored from an older copy"));
        self.faults.count(Fault::PhoneRestored);
        self.switch_off(index);
        self.phones[index].disk = Disk::of(rows);
        self.forgive_what_the_disk_lost(index);
        let is_anothers = |edit: &TypedEdit| {
            let is_here = self.phones[index].disk.holds(edit.token.as_bytes());
            edit.phone == index && (!is_here || self.was_made_again_since(index, edit))
        };
        let anothers: Vec<bool> = self.model.typed.iter().map(is_anothers).collect();
        for (edit, _) in self.model.typed.iter_mut().zip(anothers).filter(|(_, is_anothers)| *is_anothers) {
            edit.own = false;
        }
        self.later(10, Event::Boot { phone: index });
    }

    /// Whether an edit that waits on a phone's disk is on the server in other bytes: it was made again under an actor that
    /// this copy of the disk does not know, and is there as somebody else's.
    fn was_made_again_since(&self, index: usize, edit: &TypedEdit) -> bool {
        let token = edit.token.as_bytes();
        let rows = self.phones[index].disk.rows();
        let waits = rows.iter().any(|(key, row)| key.starts_with("out/") && contains(row, token));
        if !waits {
            return false;
        }
        let mut stored = self.server.store().lookup().changes(edit.doc, BEGINNING, END).expect(BROKEN);
        stored.retain(|(_, bytes)| contains(bytes, token));
        let is_here = |bytes: &[u8]| rows.values().any(|row| contains(row, bytes));
        !stored.is_empty() && !stored.iter().any(|(_, bytes)| is_here(bytes))
    }

    /// Another phone starts from a copy of this one's disk: two installations believe to be one, until the person
    /// logs in on one of them anew.
    pub fn clone_phone(&mut self, index: usize) -> Result<(), Violation> {
        let clone = self.phones.len();
        self.note(|| format!("phone {index} is cloned as {clone}"));
        self.faults.count(Fault::PhoneCloned);
        let mut profile = self.phones[index].profile.clone();
        if self.refuses_login(index).is_none() && self.dice.permille(400) {
            self.faults.count(Fault::PhoneRegisteredAnew);
            profile.device = self.register_device(profile.person.id)?;
        }
        let original = &self.phones[index];
        let mut clone = Phone::new(profile, Clock::draw(&mut self.dice));
        clone.disk = Disk::of(original.disk.rows().clone());
        self.phones.push(clone);
        let phone = self.phones.len() - 1;
        self.later(10, Event::Boot { phone });
        Ok(())
    }

    /// The browser throws everything away; the person logs in again on what is now a new installation.
    pub fn evict_phone(&mut self, index: usize) -> Result<(), Violation> {
        self.note(|| format!("phone {index} loses its storage"));
        self.faults.count(Fault::PhoneEvicted);
        self.switch_off(index);
        self.phones[index].disk = Disk::default();
        self.phones[index].backup = None;
        self.phones[index].handed.clear();
        self.forgive_what_the_disk_lost(index);
        let device = self.register_device(self.phones[index].person)?;
        self.phones[index].device = device;
        self.phones[index].profile.device = device;
        self.later(10, Event::Boot { phone: index });
        Ok(())
    }

    /// Whether a phone that is on believes to have nothing left to do.
    pub fn is_phone_quiet(&mut self, index: usize) -> bool {
        let may_log_in = self.refuses_login(index).is_none();
        let phone = &self.phones[index];
        if phone.retired {
            return true;
        }
        if self.is_leaving(index) {
            return false;
        }
        let phone = &self.phones[index];
        let Some(client) = phone.client.as_ref() else { return false };
        if phone.disk.underway() > 0 {
            return false;
        }
        if !may_log_in {
            // A phone that is locked out has nothing to send, but what it could not store yet it must store.
            return self.status(index).is_some_and(|status| status.saving == 0);
        }
        client.is_settled() && self.status(index).is_some_and(|status| status.link == Link::Live)
    }
}
