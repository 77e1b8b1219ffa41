//! Devices: one row an installation. Registered at login by HTTP, read by the hub at every push.

use rusqlite::Connection;
use shared::id::{DeviceId, PersonId};
use shared::time::UtcMillis;

use super::row::{self, DEVICE_COLUMNS};
use super::{DeviceRow, StoreFailure, lookup};

/// Registers a device, or gives a known one a new label. A known device keeps its person, its dates and its
/// revocation: whether this login may use it is the caller's question (see [`find`]).
pub fn put(connection: &Connection, device: &DeviceRow) -> Result<(), StoreFailure> {
    let sql = "INSERT INTO devices (id, person, label, created_at) VALUES (?, ?, ?, ?) \
               ON CONFLICT (id) DO UPDATE SET label = excluded.label";
    connection.prepare_cached(sql)?.execute((
        device.id.0,
        device.person.0,
        &device.label,
        device.created_at.0,
    ))?;
    Ok(())
}

/// A device, revoked or not.
pub fn find(connection: &Connection, id: DeviceId) -> Result<Option<DeviceRow>, StoreFailure> {
    let sql = format!("SELECT {DEVICE_COLUMNS} FROM devices WHERE id = ?");
    lookup::one(connection, &sql, [id.0], row::device)
}

/// All devices, those that spoke last first.
pub fn list(connection: &Connection) -> Result<Vec<DeviceRow>, StoreFailure> {
    let sql = format!("SELECT {DEVICE_COLUMNS} FROM devices ORDER BY last_contact_at DESC NULLS LAST, id");
    lookup::all(connection, &sql, [], row::device)
}

/// The devices of one person.
pub fn of_person(connection: &Connection, person: PersonId) -> Result<Vec<DeviceRow>, StoreFailure> {
    let sql = format!("SELECT {DEVICE_COLUMNS} FROM devices WHERE person = ? ORDER BY created_at");
    lookup::all(connection, &sql, [person.0], row::device)
}

/// Revokes a device for ever. Returns whether it existed and was not revoked before. Call it through
/// [`crate::hub::Administration`], which also closes the device's sessions.
pub fn revoke(connection: &Connection, id: DeviceId, at: UtcMillis) -> Result<bool, StoreFailure> {
    let sql = "UPDATE devices SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
    Ok(connection.prepare_cached(sql)?.execute((at.0, id.0))? != 0)
}
