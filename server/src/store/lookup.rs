//! Reading: every question of [`Lookup`] as one prepared statement.

use rusqlite::{Connection, OptionalExtension, Params, Row};
use shared::id::{
    ActorId, ChangeHash, DeviceId, DocId, IncarnationId, PersonId, RequestId, Scope, Seq, TeamId,
};
use shared::ledger::people::Principal;
use shared::ledger::{CustomerRecord, LedgerEvent, Person, Team};
use shared::protocol::{Digest, ItemResult};
use shared::settings::Settings;

use super::row::{self, CHANGE_COLUMNS, DEVICE_COLUMNS, DOCUMENT_COLUMNS, GRANT_COLUMNS, HELD_COLUMNS};
use super::sqlite::SqliteLookup;
use super::{
    ChangeRow, DeviceRow, DocumentRow, GrantRow, HeldChange, Lookup, Ownership, StoreFailure, principal_key,
    scope_key,
};

type Answer<T> = Result<T, StoreFailure>;

pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Answer<Option<T>> {
    Ok(connection.prepare_cached(sql)?.query_row(params, read).optional()?)
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Answer<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn rows(connection: &Connection, sql: &str) -> Answer<u64> {
    Ok(one(connection, sql, [], |row| row.get::<_, i64>(0))?.unwrap_or(0) as u64)
}

fn number(seq: Seq) -> i64 {
    // Seq::MAX in a range means "to the end".
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn person(row: &Row<'_>) -> rusqlite::Result<(Person, i64)> {
    let role: i64 = row.get(2)?;
    let person = Person {
        id: PersonId(row.get(0)?),
        name: row.get(1)?,
        role: row::role_from(role).unwrap_or(shared::ledger::Role::Rep),
        team: row.get::<_, Option<[u8; 16]>>(3)?.map(TeamId),
        active: row.get(4)?,
    };
    Ok((person, role))
}

fn checked((person, role): (Person, i64)) -> Answer<Person> {
    if row::role_from(role).is_some() { Ok(person) } else { Err(StoreFailure::Damaged("people")) }
}

fn event(found: &Row<'_>) -> rusqlite::Result<LedgerEvent> {
    let damaged = |column| {
        let damage = Box::new(StoreFailure::Damaged("events"));
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, damage)
    };
    let (scope, kind): (Vec<u8>, Vec<u8>) = (found.get(1)?, found.get(5)?);
    Ok(LedgerEvent {
        seq: row::seq(found, 0)?,
        scope: super::scope_from_key(&scope).ok_or_else(|| damaged(1))?,
        at: row::millis(found, 2)?,
        by: found.get::<_, Option<[u8; 16]>>(3)?.map(PersonId),
        request: found.get::<_, Option<[u8; 16]>>(4)?.map(RequestId),
        kind: minicbor::decode(&kind).map_err(|_| damaged(5))?,
    })
}

impl Lookup for SqliteLookup<'_> {
    fn head(&self) -> Answer<Seq> {
        let sql = "SELECT max(coalesce((SELECT max(seq) FROM changes), 0), coalesce((SELECT max(seq) FROM events), 0))";
        Ok(one(self.0, sql, [], |found| row::seq(found, 0))?.unwrap_or_default())
    }

    fn incarnation(&self) -> Answer<IncarnationId> {
        one(self.0, "SELECT value FROM meta WHERE key = 'incarnation'", [], |row| row.get::<_, Vec<u8>>(0))?
            .and_then(|bytes| IncarnationId::from_slice(&bytes))
            .ok_or(StoreFailure::Damaged("meta"))
    }

    fn settings(&self) -> Answer<Settings> {
        let found =
            one(self.0, "SELECT value FROM meta WHERE key = 'settings'", [], |row| row.get::<_, Vec<u8>>(0))?;
        match found {
            Some(json) => serde_json::from_slice(&json).map_err(|_| StoreFailure::Damaged("meta")),
            None => Ok(Settings::default()),
        }
    }

    fn person(&self, id: PersonId) -> Answer<Option<Person>> {
        one(self.0, "SELECT id, name, role, team, active FROM people WHERE id = ?", [id.0], person)?
            .map(checked)
            .transpose()
    }

    fn people(&self) -> Answer<Vec<Person>> {
        let sql = "SELECT id, name, role, team, active FROM people ORDER BY name";
        all(self.0, sql, [], person)?.into_iter().map(checked).collect()
    }

    fn teams(&self) -> Answer<Vec<Team>> {
        all(self.0, "SELECT id, name FROM teams ORDER BY name", [], |row| {
            Ok(Team { id: TeamId(row.get(0)?), name: row.get(1)? })
        })
    }

    fn device(&self, id: DeviceId) -> Answer<Option<DeviceRow>> {
        one(self.0, &format!("SELECT {DEVICE_COLUMNS} FROM devices WHERE id = ?"), [id.0], row::device)
    }

    fn actor(&self, id: ActorId) -> Answer<Option<(DeviceId, PersonId)>> {
        one(self.0, "SELECT device, person FROM actors WHERE id = ?", [id.0], |row| {
            Ok((DeviceId(row.get(0)?), PersonId(row.get(1)?)))
        })
    }

    fn document(&self, id: DocId) -> Answer<Option<DocumentRow>> {
        one(self.0, &format!("SELECT {DOCUMENT_COLUMNS} FROM documents WHERE id = ?"), [id.0], row::document)
    }

    fn documents_since(&self, scope: Scope, since: Seq) -> Answer<Vec<DocumentRow>> {
        let sql = format!(
            "SELECT {DOCUMENT_COLUMNS} FROM documents WHERE scope = ? AND last_seq > ? ORDER BY kind, id"
        );
        all(self.0, &sql, (scope_key(scope), number(since)), row::document)
    }

    fn erased(&self, id: DocId) -> Answer<Option<(Scope, Seq)>> {
        let found = one(self.0, "SELECT doc, scope, seq FROM erased WHERE doc = ?", [id.0], row::erased)?;
        Ok(found.map(|(_, scope, seq)| (scope, seq)))
    }

    fn erased_all(&self) -> Answer<Vec<(DocId, Scope, Seq)>> {
        all(self.0, "SELECT doc, scope, seq FROM erased ORDER BY seq", [], row::erased)
    }

    fn document_ids(&self, after: Option<DocId>, limit: usize) -> Answer<Vec<DocId>> {
        let after = after.map(|id| id.0.to_vec()).unwrap_or_default();
        all(
            self.0,
            "SELECT id FROM documents WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit as i64),
            |row| Ok(DocId(row.get(0)?)),
        )
    }

    fn snapshot(&self, doc: DocId) -> Answer<Option<Vec<u8>>> {
        one(self.0, "SELECT saved FROM snapshots WHERE doc = ?", [doc.0], |row| row.get(0))
    }

    fn projection(&self, doc: DocId) -> Answer<Option<Vec<u8>>> {
        one(self.0, "SELECT body FROM projections WHERE doc = ?", [doc.0], |row| row.get(0))
    }

    fn change(&self, doc: DocId, hash: &ChangeHash) -> Answer<Option<ChangeRow>> {
        let sql = format!("SELECT {CHANGE_COLUMNS} FROM changes WHERE doc = ? AND hash = ?");
        one(self.0, &sql, (doc.0, hash.0), row::change)
    }

    fn actor_seq_last(&self, doc: DocId, actor: ActorId) -> Answer<u64> {
        let sql = "SELECT max(coalesce((SELECT max(actor_seq) FROM changes WHERE doc = ?1 AND actor = ?2), 0), \
                   coalesce((SELECT max(actor_seq) FROM held WHERE doc = ?1 AND actor = ?2), 0))";
        Ok(one(self.0, sql, (doc.0, actor.0), |row| row.get::<_, i64>(0))?.unwrap_or(0) as u64)
    }

    fn changes(&self, doc: DocId, since: Seq, until: Seq) -> Answer<Vec<(ChangeRow, Vec<u8>)>> {
        let sql = format!(
            "SELECT {CHANGE_COLUMNS}, bytes FROM changes WHERE doc = ? AND seq > ? AND seq <= ? ORDER BY seq"
        );
        all(self.0, &sql, (doc.0, number(since), number(until)), |found| {
            Ok((row::change(found)?, found.get(10)?))
        })
    }

    fn changes_stored(&self) -> Answer<u64> {
        rows(self.0, "SELECT count(*) FROM changes")
    }

    fn held_stored(&self) -> Answer<u64> {
        rows(self.0, "SELECT count(*) FROM held")
    }

    fn actors_of(&self, doc: DocId) -> Answer<Vec<(ActorId, PersonId)>> {
        // `changes_by_actor` holds the actors of a document side by side, so this reads the index alone.
        let sql = "SELECT a.id, a.person FROM (SELECT DISTINCT actor FROM changes WHERE doc = ?) c \
                   JOIN actors a ON a.id = c.actor ORDER BY a.id";
        all(self.0, sql, [doc.0], |row| Ok((ActorId(row.get(0)?), PersonId(row.get(1)?))))
    }

    fn held_change(&self, doc: DocId, hash: &ChangeHash) -> Answer<Option<HeldChange>> {
        let sql = format!("SELECT {HELD_COLUMNS} FROM held WHERE doc = ? AND hash = ?");
        one(self.0, &sql, (doc.0, hash.0), row::held)
    }

    fn held_of(&self, late: Seq) -> Answer<Vec<HeldChange>> {
        let sql = format!("SELECT {HELD_COLUMNS} FROM held WHERE late = ? ORDER BY position");
        all(self.0, &sql, [number(late)], row::held)
    }

    fn quarantined_of(&self, device: DeviceId) -> Answer<Vec<super::quarantine::Quarantined>> {
        let mut items = super::quarantine::list(self.0, Some(device))?;
        items.retain(|item| item.restored_at.is_none());
        Ok(items)
    }

    fn request(&self, id: RequestId) -> Answer<Option<ItemResult>> {
        one(self.0, "SELECT result FROM requests WHERE id = ?", [id.0], |row| row.get::<_, Vec<u8>>(0))?
            .map(|bytes| row::from_cbor(&bytes, "requests"))
            .transpose()
    }

    fn customer(&self, id: DocId) -> Answer<Option<CustomerRecord>> {
        one(self.0, "SELECT record FROM customers WHERE id = ?", [id.0], |row| row.get::<_, Vec<u8>>(0))?
            .map(|json| serde_json::from_slice(&json).map_err(|_| StoreFailure::Damaged("customers")))
            .transpose()
    }

    fn customers_owned(&self, owner: PersonId) -> Answer<Vec<DocId>> {
        all(self.0, "SELECT id FROM customers WHERE owner = ? ORDER BY id", [owner.0], |row| {
            Ok(DocId(row.get(0)?))
        })
    }

    fn highest_code_number(&self, prefix: &str) -> Answer<u64> {
        let sql = "SELECT max(number) FROM codes WHERE prefix = ?";
        Ok(one(self.0, sql, [prefix], |row| row.get::<_, Option<i64>>(0))?.flatten().unwrap_or(0) as u64)
    }

    fn codes_given(&self) -> Answer<Vec<(String, DocId)>> {
        all(self.0, "SELECT code, customer FROM codes ORDER BY code", [], |row| {
            Ok((row.get(0)?, DocId(row.get(1)?)))
        })
    }

    fn ownerships(&self, customer: DocId) -> Answer<Vec<Ownership>> {
        let sql = "SELECT owner, from_seq, until_seq FROM ownerships WHERE customer = ? ORDER BY from_seq";
        all(self.0, sql, [customer.0], |row| {
            let seq = |seq: i64| Seq(seq as u64);
            let until = row.get::<_, Option<i64>>(2)?.map(seq);
            Ok(Ownership { owner: PersonId(row.get(0)?), from_seq: seq(row.get(1)?), until_seq: until })
        })
    }

    fn customers_registered(&self) -> Answer<u64> {
        let sql = "SELECT value FROM meta WHERE key = 'customers_registered'";
        let found = one(self.0, sql, [], |row| row.get::<_, Vec<u8>>(0))?;
        Ok(found.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes))
    }

    fn events(&self, scope: Scope, since: Seq, until: Seq) -> Answer<Vec<LedgerEvent>> {
        let sql = "SELECT seq, scope, at, by, request, kind FROM events \
                   WHERE scope = ? AND seq > ? AND seq <= ? ORDER BY seq";
        all(self.0, sql, (scope_key(scope), number(since), number(until)), event)
    }

    fn events_all(&self, since: Seq, limit: usize) -> Answer<Vec<LedgerEvent>> {
        let sql = "SELECT seq, scope, at, by, request, kind FROM events WHERE seq > ? ORDER BY seq LIMIT ?";
        all(self.0, sql, (number(since), limit as i64), event)
    }

    fn grants_since(
        &self,
        principal: Principal,
        since: Seq,
        from: Option<Scope>,
        limit: usize,
    ) -> Answer<Vec<GrantRow>> {
        let from = from.map(|scope| scope_key(scope).to_vec()).unwrap_or_default();
        let sql = format!(
            "SELECT {GRANT_COLUMNS} FROM grants WHERE principal = ? AND last_seq > ? AND scope >= ? \
             ORDER BY scope, from_seq LIMIT ?"
        );
        all(self.0, &sql, (principal_key(principal), number(since), from, limit as i64), row::grant)
    }

    fn grants_of(&self, scope: Scope) -> Answer<Vec<GrantRow>> {
        let sql = format!("SELECT {GRANT_COLUMNS} FROM grants WHERE scope = ? ORDER BY principal, from_seq");
        all(self.0, &sql, [scope_key(scope)], row::grant)
    }

    fn grants_held(&self, principal: Principal) -> Answer<Vec<GrantRow>> {
        let sql = format!(
            "SELECT {GRANT_COLUMNS} FROM grants WHERE principal = ? AND until_seq IS NULL ORDER BY scope"
        );
        all(self.0, &sql, [principal_key(principal)], row::grant)
    }

    fn scope_digest(&self, scope: Scope) -> Answer<Digest> {
        let found =
            one(self.0, "SELECT digest FROM scopes WHERE scope = ?", [scope_key(scope)], |row| row.get(0))?;
        Ok(Digest(found.map_or(0, |digest: i64| digest as u64)))
    }

    fn principal_digest(&self, principal: Principal) -> Answer<Digest> {
        let sql = "SELECT digest FROM principals WHERE principal = ?";
        let found = one(self.0, sql, [principal_key(principal)], |row| row.get(0))?;
        Ok(Digest(found.map_or(0, |digest: i64| digest as u64)))
    }
}
