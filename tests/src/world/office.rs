//! What the administrator of a simulated organisation does: people, teams, devices, backup and restore.
//! Goes to the hub directly, as the command line and the HTTP face do.

use server::hub::{Administration, AdministrationFailure, Identity, administer};
use server::store::{DeviceRow, Lookup, SqliteStore, Store};
use shared::client::Profile;
use shared::id::{DeviceId, DocId, PersonId, TeamId};
use shared::ledger::people::{Person, Role};
use shared::ledger::{Command, Team};
use shared::protocol::{ClientFrame, PendingCounts, Push, PushItem, encode};
use shared::time::{Quality, Recorded, UtcMillis};

use crate::fault::Fault;
use crate::model::Violation;
use crate::world::World;
use crate::world::clock::Clock;
use crate::world::phone::Phone;
use crate::world::server::{Backup, copy_database};

impl World {
    /// Hires everybody, hands out phones and starts the server.
    pub fn hire(&mut self) -> Result<(), Violation> {
        let mut entropy = self.dice.entropy();
        let mut team = |name: &str| Team { id: entropy.team_id(), name: name.to_owned() };
        let teams = [team("north"), team("south")];
        for team in &teams {
            self.administer_offline(&Administration::SetTeam { team: team.clone(), by: None })?;
        }
        let north = Some(teams[0].id);
        let south = Some(teams[1].id);
        self.employ("rep0", Role::Rep, north, &teams, 1 + self.seed as usize % 2)?;
        let colleague = if self.dice.permille(500) { north } else { south };
        self.employ("rep1", Role::Rep, colleague, &teams, 1)?;
        if self.dice.permille(500) {
            self.employ("rep2", Role::Rep, south, &teams, 1)?;
        }
        let assistant = self.employ("assistant", Role::Assistant, None, &teams, 1)?;
        let managed = *self.dice.pick(&[north, south, None]).expect("three choices");
        self.employ("manager", Role::Manager, managed, &teams, 1)?;
        let person = self.employ("stranger", Role::Rep, south, &teams, 0)?;
        let device = self.register_device(person)?;
        self.stranger = Identity { person, device };
        self.desk = Identity { person: assistant, device: self.register_device(assistant)? };
        self.teams = teams.to_vec();
        self.server_boot()
    }

    fn employ(
        &mut self,
        name: &str,
        role: Role,
        team: Option<TeamId>,
        teams: &[Team],
        phones: usize,
    ) -> Result<PersonId, Violation> {
        let id = self.dice.entropy().person_id();
        let person = Person { id, name: name.to_owned(), role, team, active: true };
        self.administer_offline(&Administration::SetPerson { person: person.clone(), by: None })?;
        for _ in 0..phones {
            let device = self.register_device(id)?;
            let team = teams.iter().find(|other| Some(other.id) == team).cloned();
            let profile = Profile { person: person.clone(), team, device, server: "simulated".to_owned() };
            self.phones.push(Phone::new(profile, Clock::draw(&mut self.dice)));
        }
        Ok(id)
    }

    fn administer_offline(&mut self, command: &Administration) -> Result<(), Violation> {
        let now = UtcMillis(self.now_ms);
        administer(self.server.idle_store(), now, command)
            .map_err(|failure| format!("{command:?}: {failure}"))?;
        self.learn_commits()
    }

    /// Registers a new device of a person, as a login does.
    pub fn register_device(&mut self, person: PersonId) -> Result<DeviceId, Violation> {
        let device = self.dice.entropy().device_id();
        let command = Administration::PutDevice(DeviceRow {
            id: device,
            person,
            label: "simulated".to_owned(),
            created_at: UtcMillis(self.now_ms),
            last_contact_at: None,
            pending: PendingCounts::default(),
            software: String::new(),
            revoked_at: None,
        });
        match self.administer(command)? {
            Ok(()) => Ok(device),
            Err(failure) => Err(format!("a device cannot be registered: {failure}")),
        }
    }

    /// Asks the hub, or the store of a server that is off. The disk does not fail here: a login that fails is
    /// simply tried again.
    pub(super) fn administer(
        &mut self,
        command: Administration,
    ) -> Result<Result<(), AdministrationFailure>, Violation> {
        let now = UtcMillis(self.now_ms);
        if !self.server_is_up() {
            let answer = administer(self.server.idle_store(), now, &command);
            self.learn_commits()?;
            return Ok(answer);
        }
        let answer = self.with_safe_hub(|hub, now| hub.handle_administration(now, command))?;
        Ok(answer.expect("the server is up").map(|_| ()))
    }

    /// The administrator revokes a rep's device.
    pub fn revoke_device(&mut self, phone: usize) -> Result<(), Violation> {
        let live = self.phones.iter().filter(|phone| !self.model.is_revoked(phone.device)).count();
        let device = self.phones[phone].device;
        if live < 4 || !self.is_rep(phone) || self.model.is_revoked(device) {
            return Ok(());
        }
        self.note(|| format!("the device of phone {phone} is revoked"));
        self.faults.count(Fault::DeviceRevoked);
        // From the commit on nothing may leave for it, so the model knows before the hub's outputs are seen.
        let head = self.server.store().lookup().head().map_err(|failure| failure.to_string())?;
        self.model.revoke(device, head);
        match self.administer(Administration::RevokeDevice { device })? {
            Ok(()) => Ok(()),
            Err(failure) => Err(format!("a device cannot be revoked: {failure}")),
        }
    }

    /// The administrator disables a rep, who may own customers: then a rule says no (R4).
    pub fn disable_person(&mut self, phone: usize) -> Result<(), Violation> {
        let Some(person) = self.model.person(self.phones[phone].person).cloned() else { return Ok(()) };
        if person.role != Role::Rep || self.model.active_reps().len() < 3 {
            return Ok(());
        }
        let owns = self.model.owns_customers(person.id);
        self.note(|| format!("{} is disabled, owning customers: {owns}", person.name));
        let disabled = Person { active: false, ..person };
        match (self.administer(Administration::SetPerson { person: disabled, by: None })?, owns) {
            (Ok(()), false) => {
                self.faults.count(Fault::PersonDisabled);
                Ok(())
            }
            (Err(AdministrationFailure::Refused(_)), true) => Ok(()),
            (Ok(()), true) => Err("a person who owns customers was disabled (R4)".to_owned()),
            (Err(failure), _) => Err(format!("a person without customers cannot be disabled: {failure}")),
        }
    }

    /// The administrator moves a rep to the other team: its manager sees the rep's customers from then on.
    pub fn move_team(&mut self, phone: usize) -> Result<(), Violation> {
        let Some(person) = self.model.person(self.phones[phone].person).cloned() else { return Ok(()) };
        let other = self.teams.iter().find(|team| Some(team.id) != person.team).map(|team| team.id);
        if person.role != Role::Rep || !person.active {
            return Ok(());
        }
        self.note(|| format!("{} moves to {other:?}", person.name));
        self.faults.count(Fault::TeamChanged);
        let moved = Person { team: other, ..person };
        self.administer(Administration::SetPerson { person: moved, by: None })?
            .map_err(|failure| format!("a person cannot be moved: {failure}"))
    }

    /// The administrator gives somebody another role: from the commit on the person sees what it sees, and goes on owning
    /// what a rep owned.
    pub fn change_role(&mut self, phone: usize) -> Result<(), Violation> {
        let Some(person) = self.model.person(self.phones[phone].person).cloned() else { return Ok(()) };
        let is_last_rep = person.role == Role::Rep && self.model.active_reps().len() < 2;
        if !person.active || is_last_rep {
            return Ok(());
        }
        let mut roles = vec![Role::Rep, Role::Rep, Role::Assistant, Role::Manager, Role::Admin];
        roles.retain(|role| *role != person.role);
        let role = *self.dice.aside().pick(&roles).expect("there are four roles");
        self.note(|| format!("{} becomes {role:?}", person.name));
        self.faults.count(Fault::RoleChanged);
        let changed = Person { role, ..person };
        self.administer(Administration::SetPerson { person: changed, by: None })?
            .map_err(|failure| format!("a role cannot be changed: {failure}"))
    }

    /// The administrator changes when an entry counts as late.
    pub fn change_settings(&mut self) -> Result<(), Violation> {
        let mut settings = self.server.store().lookup().settings().map_err(|failure| failure.to_string())?;
        settings.late_upload_minutes = self.dice.between(1, 600) as i64;
        self.note(|| format!("late is from {} minutes on", settings.late_upload_minutes));
        self.faults.count(Fault::SettingsChanged);
        self.administer(Administration::PutSettings(settings))?
            .map_err(|failure| format!("settings cannot be changed: {failure}"))
    }

    /// The assistant asks for something at a desk: it is before the hub at once.
    pub fn ask_at_desk(&mut self, command: Command) -> Result<(), Violation> {
        let at = UtcMillis(self.now_ms);
        let recorded = Recorded { at, device: at, quality: Quality::Ok, offset_minutes: 480 };
        let id = self.dice.aside().entropy().request_id();
        let push = Push { batch: 1, items: vec![PushItem::Request { id, command, recorded }] };
        self.speak_and_leave(self.desk, vec![self.hello(), encode(&ClientFrame::Push(push))])
    }

    /// The administrator makes a backup of the running server.
    pub fn server_backup(&mut self) -> Result<(), Violation> {
        let copy = (|| {
            let mut copy = rusqlite::Connection::open_in_memory()?;
            copy_database(self.server.connection(), &mut copy)?;
            Ok::<_, rusqlite::Error>(copy)
        })();
        let connection = copy.map_err(|failure| format!("a backup fails: {failure}"))?;
        self.note(|| "a backup is made".to_owned());
        self.server.backup = Some(Backup { connection, model: self.model.clone() });
        Ok(())
    }

    /// The server's disk breaks and the last backup is put on a new one: a new life begins (S14).
    pub fn server_restore(&mut self) -> Result<(), Violation> {
        let Some(backup) = self.server.backup.take() else { return Ok(()) };
        self.note(|| "the server is restored from its backup".to_owned());
        self.faults.count(Fault::ServerRestored);
        self.server_crash();
        let incarnation = self.dice.entropy().incarnation_id();
        let restored = (|| {
            let mut store = SqliteStore::in_memory(incarnation)?;
            let target = store.connection();
            copy_database(&backup.connection, target)?;
            target.execute("UPDATE meta SET value = ? WHERE key = 'incarnation'", [&incarnation.0[..]])?;
            Ok::<_, server::store::StoreFailure>(store)
        })();
        let store = restored.map_err(|failure| format!("a restore fails: {failure}"))?;
        let head = store.lookup().head().map_err(|failure| failure.to_string())?;
        self.server.replace_store(store, head);
        let erased: Vec<DocId> = self.model.erased().copied().collect();
        self.model.set_back(&backup.model, head);
        self.overheard.clear();
        // The office still knows whom it locked out and which phones it gave out; a login does the rest.
        for phone in 0..self.phones.len() {
            let (person, device) = (self.phones[phone].person, self.phones[phone].device);
            let known = self.server.store().lookup().device(device).map_err(|failure| failure.to_string())?;
            let now = UtcMillis(self.now_ms);
            let command = match (known, self.model.is_revoked(device)) {
                (None, false) => Administration::PutDevice(DeviceRow {
                    id: device,
                    person,
                    label: "simulated".to_owned(),
                    created_at: now,
                    last_contact_at: None,
                    pending: PendingCounts::default(),
                    software: String::new(),
                    revoked_at: None,
                }),
                (Some(row), true) if row.revoked_at.is_none() => Administration::RevokeDevice { device },
                _ => continue,
            };
            administer(self.server.idle_store(), now, &command)
                .map_err(|failure| format!("{command:?} after a restore: {failure}"))?;
        }
        // It erases again, or what was erased is there again.
        if self.dice.aside().permille(600) {
            self.erase_again(erased)?;
        }
        let disks = self.phones.len();
        for phone in 0..disks {
            self.forgive_what_the_disk_lost(phone);
            self.forgive_what_was_handed_over(phone);
            self.phones[phone].unmet = Some(incarnation);
        }
        self.learn_commits()
    }
}
