//! Writing: the log and, in the same transaction, everything derived from it that the store keeps itself.

use rusqlite::Params;
use shared::id::{ActorId, DeviceId, PersonId, RequestId, Scope, Seq};
use shared::ledger::people::{Access, Principal};
use shared::ledger::{CustomerRecord, CustomerStatus, EventKind, LedgerEvent};
use shared::planted::{self, Bug};
use shared::protocol::{ItemResult, PendingCounts, PushItem};
use shared::refusal::Rule;
use shared::settings::Settings;
use shared::time::UtcMillis;

use super::row::{self, to_cbor};
use super::sqlite::SqliteTransaction;
use super::{
    ChangeRow, DeviceRow, DocumentRow, HeldChange, Lookup, StoreFailure, Transaction, customer_of,
    principal_key, scope_key,
};

pub(super) type Answer = Result<(), StoreFailure>;

impl SqliteTransaction<'_> {
    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<usize, StoreFailure> {
        Ok(self.transaction.prepare_cached(sql)?.execute(params)?)
    }

    /// Writes what was gathered for all scopes and principals.
    pub(super) fn flush(&mut self) -> Answer {
        let mut scopes: Vec<Scope> = self.digests.keys().chain(self.touched.keys()).copied().collect();
        scopes.sort_by_key(|scope| scope_key(*scope));
        scopes.dedup();
        for scope in scopes {
            self.flush_scope(scope)?;
        }
        for (principal, digest) in std::mem::take(&mut self.principal_digests) {
            // SQLite has no XOR: (a | b) - (a & b) is the same number.
            let sql = "INSERT INTO principals (principal, digest) VALUES (?1, ?2) ON CONFLICT (principal) \
                       DO UPDATE SET digest = (digest | ?2) - (digest & ?2)";
            self.run(sql, (principal_key(principal), digest as i64))?;
        }
        Ok(())
    }

    /// Writes what was gathered for one scope; must come before its grants change.
    fn flush_scope(&mut self, scope: Scope) -> Answer {
        if let Some(digest) = self.digests.remove(&scope).filter(|digest| *digest != 0) {
            let sql = "INSERT INTO scopes (scope, digest) VALUES (?1, ?2) ON CONFLICT (scope) \
                       DO UPDATE SET digest = (digest | ?2) - (digest & ?2)";
            self.run(sql, (scope_key(scope), digest as i64))?;
            for grant in self.lookup.grants_of(scope)? {
                if grant.until_seq.is_none() {
                    *self.principal_digests.entry(grant.principal).or_default() ^= digest;
                }
            }
        }
        if let Some(at) = self.touched.remove(&scope) {
            let sql = "UPDATE grants SET last_seq = ? WHERE scope = ? AND until_seq IS NULL";
            self.run(sql, (at.0 as i64, scope_key(scope)))?;
        }
        Ok(())
    }

    pub(super) fn put_record(&self, record: &CustomerRecord) -> Answer {
        let status = match record.status {
            CustomerStatus::Pending => 0,
            CustomerStatus::Active => 1,
        };
        let json = serde_json::to_vec(record).expect("a record is plain data");
        let sql = "INSERT INTO customers (id, status, code, provisional, owner, record) VALUES (?, ?, ?, ?, ?, ?) \
                   ON CONFLICT (id) DO UPDATE SET status = excluded.status, code = excluded.code, \
                   owner = excluded.owner, record = excluded.record";
        let owner = record.owner().0;
        self.run(sql, (record.customer.0, status, &record.code, &record.provisional, owner, json))?;
        Ok(())
    }

    fn project(&self, event: &LedgerEvent) -> Answer {
        if let Some(id) = customer_of(event) {
            let before = self.lookup.customer(id)?;
            let is_transfer = matches!(event.kind, EventKind::CustomerTransferred { .. });
            if is_transfer && planted::is(Bug::TransferNotFolded) {
                return Ok(());
            }
            if let Some(record) = CustomerRecord::fold(before, event) {
                self.put_record(&record)?;
            }
        }
        match &event.kind {
            EventKind::PersonSet { person } => {
                let sql = "INSERT INTO people (id, name, role, team, active) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) \
                           DO UPDATE SET name = excluded.name, role = excluded.role, team = excluded.team, \
                           active = excluded.active";
                let team = person.team.map(|team| team.0);
                self.run(
                    sql,
                    (person.id.0, &person.name, row::role_number(person.role), team, person.active),
                )?;
            }
            EventKind::TeamSet { team } => {
                let sql = "INSERT INTO teams (id, name) VALUES (?, ?) \
                           ON CONFLICT (id) DO UPDATE SET name = excluded.name";
                self.run(sql, (team.id.0, &team.name))?;
            }
            EventKind::CustomerRegistered { customer, first_recorder, .. } => {
                let sql = "INSERT INTO ownerships (customer, owner, from_seq) VALUES (?, ?, ?)";
                self.run(sql, (customer.0, first_recorder.0, event.seq.0 as i64))?;
                let count = self.lookup.customers_registered()? + 1;
                self.put_meta("customers_registered", &count.to_be_bytes())?;
            }
            EventKind::CustomerAccepted { customer, code } => {
                let pattern = self.lookup.settings()?.code;
                let number = pattern.number(code).unwrap_or(0);
                let sql = "INSERT INTO codes (code, prefix, number, customer) VALUES (?, ?, ?, ?)";
                self.run(sql, (code, &pattern.prefix, number as i64, customer.0))?;
            }
            EventKind::CustomerTransferred { customer, to, .. } => {
                let at = event.seq.0 as i64;
                let sql = "UPDATE ownerships SET until_seq = ? WHERE customer = ? AND until_seq IS NULL";
                self.run(sql, (at, customer.0))?;
                let sql = "INSERT INTO ownerships (customer, owner, from_seq) VALUES (?, ?, ?)";
                self.run(sql, (customer.0, to.0, at))?;
            }
            EventKind::LateWorkArrived { .. }
            | EventKind::LateWorkSettled { .. }
            | EventKind::Notice { .. }
            | EventKind::DocumentErased { .. } => {}
        }
        Ok(())
    }

    fn put_meta(&self, key: &str, value: &[u8]) -> Answer {
        let sql = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.run(sql, (key, value))?;
        Ok(())
    }
}

impl Transaction for SqliteTransaction<'_> {
    fn lookup(&self) -> &dyn Lookup {
        &self.lookup
    }

    fn next_seq(&mut self) -> Seq {
        self.last = Seq(self.last.0 + 1);
        self.last
    }

    fn insert_change(&mut self, row: &ChangeRow, bytes: &[u8]) -> Answer {
        let sql = "INSERT INTO changes \
                   (seq, doc, hash, actor, actor_seq, max_op, device, person, received, recorded, bytes) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let (actor_seq, max_op) = (row.actor_seq as i64, row.max_op as i64);
        let recorded = to_cbor(&row.recorded);
        self.run(
            sql,
            rusqlite::params![
                row.seq.0 as i64,
                row.doc.0,
                row.hash.0,
                row.actor.0,
                actor_seq,
                max_op,
                row.device.0,
                row.person.0,
                row.received.0,
                recorded,
                bytes
            ],
        )?;
        Ok(())
    }

    fn put_actor(&mut self, actor: ActorId, device: DeviceId, person: PersonId) -> Answer {
        let sql = "INSERT INTO actors (id, device, person) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING";
        self.run(sql, (actor.0, device.0, person.0))?;
        Ok(())
    }

    fn put_document(&mut self, row: &DocumentRow, saved: &[u8], projection: &[u8]) -> Answer {
        let before = self.lookup.document(row.id)?.map_or(0, |before| before.digest.0);
        *self.digests.entry(row.scope).or_default() ^= before ^ row.digest.0;
        let sql = "INSERT INTO documents \
                   (id, kind, scope, author, first_received, heads, last_seq, changes, digest) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET heads = excluded.heads, \
                   last_seq = excluded.last_seq, changes = excluded.changes, digest = excluded.digest";
        let (kind, heads) = (row::kind_number(row.kind), row::heads_bytes(&row.heads));
        let (last_seq, changes, digest) = (row.last_seq.0 as i64, row.changes as i64, row.digest.0 as i64);
        let (scope, received) = (scope_key(row.scope), row.first_received.0);
        self.run(sql, (row.id.0, kind, scope, row.author.0, received, heads, last_seq, changes, digest))?;
        let sql = "INSERT INTO snapshots (doc, saved) VALUES (?, ?) \
                   ON CONFLICT (doc) DO UPDATE SET saved = excluded.saved";
        self.run(sql, (row.id.0, saved))?;
        let sql = "INSERT INTO projections (doc, body) VALUES (?, ?) \
                   ON CONFLICT (doc) DO UPDATE SET body = excluded.body";
        self.run(sql, (row.id.0, projection))?;
        Ok(())
    }

    fn append_event(&mut self, event: &LedgerEvent) -> Answer {
        let sql = "INSERT INTO events (seq, scope, at, by, request, kind) VALUES (?, ?, ?, ?, ?, ?)";
        // The row comes after the projection: a person's first event names a person that it creates.
        self.project(event)?;
        let (by, request) = (event.by.map(|by| by.0), event.request.map(|request| request.0));
        let (seq, scope, kind) = (event.seq.0 as i64, scope_key(event.scope), to_cbor(&event.kind));
        self.run(sql, (seq, scope, event.at.0, by, request, kind))?;
        if let EventKind::DocumentErased { doc } = event.kind {
            self.erase(doc, event.scope, event.seq)?;
        }
        Ok(())
    }

    fn open_grant(&mut self, principal: Principal, scope: Scope, access: Access, at: Seq) -> Answer {
        self.flush_scope(scope)?;
        let sql = "UPDATE grants SET access = ?, last_seq = ? WHERE principal = ? AND scope = ? AND until_seq IS NULL";
        let (access, at) = (row::access_number(access), at.0 as i64);
        let keys = (principal_key(principal), scope_key(scope));
        if self.run(sql, (access, at, keys.0, keys.1))? == 0 {
            let sql = "INSERT INTO grants (principal, scope, access, from_seq, last_seq) VALUES (?1, ?2, ?3, ?4, ?4)";
            self.run(sql, (keys.0, keys.1, access, at))?;
            *self.principal_digests.entry(principal).or_default() ^= self.lookup.scope_digest(scope)?.0;
        }
        Ok(())
    }

    fn end_grant(&mut self, principal: Principal, scope: Scope, at: Seq) -> Answer {
        self.flush_scope(scope)?;
        let sql = "UPDATE grants SET until_seq = ?1, last_seq = ?1 \
                   WHERE principal = ?2 AND scope = ?3 AND until_seq IS NULL";
        if self.run(sql, (at.0 as i64, principal_key(principal), scope_key(scope)))? != 0 {
            *self.principal_digests.entry(principal).or_default() ^= self.lookup.scope_digest(scope)?.0;
        }
        Ok(())
    }

    fn touch_scope(&mut self, scope: Scope, at: Seq) -> Answer {
        self.touched.insert(scope, at);
        Ok(())
    }

    fn insert_held(&mut self, change: &HeldChange) -> Answer {
        let sql = "INSERT INTO held \
                   (late, position, doc, hash, actor, actor_seq, max_op, device, person, received, recorded, bytes) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let (actor_seq, max_op) = (change.actor_seq as i64, change.max_op as i64);
        let recorded = to_cbor(&change.recorded);
        self.run(
            sql,
            rusqlite::params![
                change.late.0 as i64,
                change.position,
                change.doc.0,
                change.hash.0,
                change.actor.0,
                actor_seq,
                max_op,
                change.device.0,
                change.person.0,
                change.received.0,
                recorded,
                change.bytes
            ],
        )?;
        Ok(())
    }

    fn put_request(
        &mut self,
        id: RequestId,
        person: PersonId,
        device: DeviceId,
        received: UtcMillis,
        result: &ItemResult,
    ) -> Answer {
        let sql = "INSERT INTO requests (id, person, device, received, result) VALUES (?, ?, ?, ?, ?)";
        self.run(sql, (id.0, person.0, device.0, received.0, to_cbor(result)))?;
        Ok(())
    }

    fn put_device(&mut self, device: &DeviceRow) -> Answer {
        super::devices::put(self.transaction, device)
    }

    fn revoke_device(&mut self, device: DeviceId, at: UtcMillis) -> Result<bool, StoreFailure> {
        super::devices::revoke(self.transaction, device, at)
    }

    fn put_quarantined(
        &mut self,
        device: DeviceId,
        person: PersonId,
        received: UtcMillis,
        item: &PushItem,
    ) -> Result<Option<u64>, StoreFailure> {
        super::quarantine::put(self.transaction, device, person, received, item)
    }

    fn settle_quarantined(&mut self, id: u64, outcome: Result<UtcMillis, Rule>) -> Answer {
        super::quarantine::settle(self.transaction, id, outcome)
    }

    fn put_contact(
        &mut self,
        device: DeviceId,
        at: UtcMillis,
        pending: PendingCounts,
        software: Option<&str>,
    ) -> Answer {
        let sql = "UPDATE devices SET last_contact_at = ?, pending_edits = ?, pending_photos = ?, \
                   pending_refused = ?, software = coalesce(?, software) WHERE id = ?";
        self.run(sql, (at.0, pending.edits, pending.photos, pending.refused, software, device.0))?;
        Ok(())
    }

    fn put_settings(&mut self, settings: &Settings) -> Answer {
        let json = serde_json::to_vec(settings).expect("settings are plain data");
        self.put_meta("settings", &json)
    }
}
