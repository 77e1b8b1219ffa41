//! Quarantine (S6, S15): what a revoked device handed over, as it came. Nothing of it is merged until somebody at
//! the desk has it judged like anything pushed. Knows no Automerge.

use rusqlite::{Connection, Row, params};
use sha2::{Digest, Sha256};
use shared::id::{DeviceId, DocId, PersonId};
use shared::protocol::PushItem;
use shared::refusal::Rule;
use shared::time::UtcMillis;

use super::row::{self, from_cbor, to_cbor};
use super::{StoreFailure, lookup};

/// The table, as a migration.
pub(super) const TABLES: &str = "
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY,
  device BLOB NOT NULL REFERENCES devices(id),
  person BLOB NOT NULL REFERENCES people(id),
  received INTEGER NOT NULL,
  hash BLOB NOT NULL,
  customer BLOB,
  doc BLOB,
  item BLOB NOT NULL,
  reason BLOB NOT NULL,
  restored_at INTEGER
) STRICT;
CREATE UNIQUE INDEX quarantine_once ON quarantine (device, hash);
CREATE INDEX quarantine_of_doc ON quarantine (doc);
";

/// Bytes that one device may leave in quarantine: a month of a busy phone is 2 MiB.
pub const QUARANTINE_BYTES_MAX: i64 = 32 * 1024 * 1024;

/// One item in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its number.
    pub id: u64,
    /// The device that handed it over.
    pub device: DeviceId,
    /// The person of that device.
    pub person: PersonId,
    /// When it was handed over.
    pub received: UtcMillis,
    /// What it is.
    pub item: PushItem,
    /// Why it lies here: first that the device was revoked; after a restoration that failed, what refused it.
    pub reason: Rule,
    /// When it was taken out and stored like anything pushed.
    pub restored_at: Option<UtcMillis>,
}

/// Keeps an item; one that is here already stays as it is. Returns its number, or none where the device has no
/// room left.
pub fn put(
    connection: &Connection,
    device: DeviceId,
    person: PersonId,
    received: UtcMillis,
    item: &PushItem,
) -> Result<Option<u64>, StoreFailure> {
    let bytes = to_cbor(item);
    let hash: [u8; 32] = Sha256::digest(&bytes).into();
    let sql = "SELECT id FROM quarantine WHERE device = ? AND hash = ?";
    let known = lookup::one(connection, sql, (device.0, hash), |row| row.get::<_, i64>(0))?;
    if let Some(id) = known {
        return Ok(Some(id as u64));
    }
    let sql = "SELECT coalesce(sum(length(item)), 0) FROM quarantine WHERE device = ?";
    let held: i64 = connection.prepare_cached(sql)?.query_row([device.0], |row| row.get(0))?;
    if held + bytes.len() as i64 > QUARANTINE_BYTES_MAX {
        return Ok(None);
    }
    let (customer, doc) = match item {
        PushItem::Change { doc, scope, .. } => (scope.customer(), Some(*doc)),
        PushItem::Request { command, .. } => (Some(command.customer()), None),
        PushItem::Release { scope } => (scope.customer(), None),
    };
    let (customer, doc) = (customer.map(|id| id.0), doc.map(|id| id.0));
    let sql = "INSERT INTO quarantine (device, person, received, hash, customer, doc, item, reason) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let reason = to_cbor(&Rule::AccessEnded);
    connection
        .prepare_cached(sql)?
        .execute(params![device.0, person.0, received.0, hash, customer, doc, bytes, reason])?;
    Ok(Some(connection.last_insert_rowid() as u64))
}

/// Everything in quarantine, or what one device left there, in the order in which it came.
pub fn list(connection: &Connection, device: Option<DeviceId>) -> Result<Vec<Quarantined>, StoreFailure> {
    let sql = "SELECT id, device, person, received, item, reason, restored_at FROM quarantine \
               WHERE ?1 IS NULL OR device = ?1 ORDER BY id";
    let found = lookup::all(connection, sql, [device.map(|id| id.0)], read)?;
    found
        .into_iter()
        .map(|(row, item, reason)| {
            let item = from_cbor(&item, "quarantine")?;
            let reason = from_cbor(&reason, "quarantine")?;
            Ok(Quarantined { item, reason, ..row })
        })
        .collect()
}

type Raw = (Quarantined, Vec<u8>, Vec<u8>);

fn read(row: &Row<'_>) -> rusqlite::Result<Raw> {
    let release = PushItem::Release { scope: shared::id::Scope::Organisation };
    let quarantined = Quarantined {
        id: row.get::<_, i64>(0)? as u64,
        device: DeviceId(row::id(row, 1)?),
        person: PersonId(row::id(row, 2)?),
        received: row::millis(row, 3)?,
        item: release,
        reason: Rule::AccessEnded,
        restored_at: row.get::<_, Option<i64>>(6)?.map(UtcMillis),
    };
    Ok((quarantined, row.get(4)?, row.get(5)?))
}

/// Notes that an item was stored like anything pushed, or what refused it.
pub fn settle(
    connection: &Connection,
    id: u64,
    outcome: Result<UtcMillis, Rule>,
) -> Result<(), StoreFailure> {
    match outcome {
        Ok(at) => {
            let sql = "UPDATE quarantine SET restored_at = ? WHERE id = ?";
            connection.prepare_cached(sql)?.execute((at.0, id as i64))?;
        }
        Err(rule) => {
            let sql = "UPDATE quarantine SET reason = ? WHERE id = ?";
            connection.prepare_cached(sql)?.execute((to_cbor(&rule), id as i64))?;
        }
    }
    Ok(())
}

/// Takes everything of an erased document out, and with a card everything of its customer.
pub fn erase(connection: &Connection, doc: DocId) -> Result<(), StoreFailure> {
    let sql = "DELETE FROM quarantine WHERE doc = ?1 OR customer = ?1";
    connection.prepare_cached(sql)?.execute([doc.0])?;
    Ok(())
}
