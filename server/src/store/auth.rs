//! Logins and refresh tokens. Passwords as Argon2 hashes, tokens as SHA-256: a copy of the database logs
//! nobody in. Knows nothing of cookies, and no clock.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use shared::id::{DeviceId, PersonId, TeamId};
use shared::ledger::Person;
use shared::time::UtcMillis;

use super::{StoreFailure, row};

/// The tables, as a migration.
pub(super) const TABLES: &str = "
CREATE TABLE logins (
  person BLOB PRIMARY KEY REFERENCES people(id),
  password TEXT NOT NULL
) STRICT;
CREATE TABLE refresh_tokens (
  hash BLOB PRIMARY KEY,
  family BLOB NOT NULL,
  device BLOB NOT NULL REFERENCES devices(id),
  issued_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_of_family ON refresh_tokens (family, issued_at);
CREATE INDEX refresh_tokens_of_device ON refresh_tokens (device);
";

/// How long a phone may stay away without a new login: 60 days.
pub const REFRESH_MS_MAX: i64 = 60 * 86_400_000;

/// How long after its use a refresh token still brings the same successor, for a reply that was lost.
pub const REPEAT_MS_MAX: i64 = 30_000;

/// How long used tokens are remembered, so that a stolen one betrays itself: 7 days. A phone refreshes some
/// 20 times a day: 140 rows of 150 bytes.
const USED_MS_KEPT: i64 = 7 * 86_400_000;

/// A refresh token as the phone holds it.
pub type RefreshToken = [u8; 32];

/// What became of a presented refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It was good: its successor counts from now on.
    Rotated(DeviceId),
    /// It was used a moment ago and its successor was not: the reply was lost, give the same one again.
    Repeated(DeviceId),
    /// It was used before, so there are two holders: the whole family is void.
    Reused,
    /// Nobody knows it, or it lay unused too long.
    Unknown,
}

/// A login by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The person.
    pub person: Person,
    /// The hash of the password; none before one was set.
    pub password: Option<String>,
}

/// Finds a person by the name typed at login.
pub fn login(connection: &Connection, name: &str) -> Result<Option<Login>, StoreFailure> {
    let sql = "SELECT p.id, p.name, p.role, p.team, p.active, l.password \
               FROM people p LEFT JOIN logins l ON l.person = p.id WHERE p.name = ?";
    let found = connection.prepare_cached(sql)?.query_row([name.trim()], read_login).optional()?;
    found
        .map(|(login, role)| match row::role_from(role) {
            Some(role) => Ok(Login { person: Person { role, ..login.person }, ..login }),
            None => Err(StoreFailure::Damaged("people")),
        })
        .transpose()
}

fn read_login(row: &Row<'_>) -> rusqlite::Result<(Login, i64)> {
    let person = Person {
        id: PersonId(row.get(0)?),
        name: row.get(1)?,
        role: shared::ledger::Role::Rep,
        team: row.get::<_, Option<[u8; 16]>>(3)?.map(TeamId),
        active: row.get(4)?,
    };
    Ok((Login { person, password: row.get(5)? }, row.get(2)?))
}

/// Sets a person's password by its hash.
pub fn set_password(connection: &Connection, person: PersonId, hash: &str) -> Result<(), StoreFailure> {
    let sql = "INSERT INTO logins (person, password) VALUES (?1, ?2) \
               ON CONFLICT (person) DO UPDATE SET password = excluded.password";
    connection.prepare_cached(sql)?.execute(params![person.0, hash])?;
    Ok(())
}

/// Begins a family of refresh tokens for a device; tokens of earlier logins on it are void.
pub fn begin_family(
    connection: &Connection,
    device: DeviceId,
    token: &RefreshToken,
    now: UtcMillis,
) -> Result<(), StoreFailure> {
    forget_device(connection, device)?;
    let family = hash(token);
    insert(connection, token, &family, device, now)
}

/// Voids every refresh token of a device.
pub fn forget_device(connection: &Connection, device: DeviceId) -> Result<(), StoreFailure> {
    connection.prepare_cached("DELETE FROM refresh_tokens WHERE device = ?")?.execute([device.0])?;
    Ok(())
}

/// Voids the family of a token; one that nobody knows is no error.
pub fn forget_family(connection: &Connection, token: &RefreshToken) -> Result<(), StoreFailure> {
    let sql = "DELETE FROM refresh_tokens WHERE family = (SELECT family FROM refresh_tokens WHERE hash = ?)";
    connection.prepare_cached(sql)?.execute([hash(token)])?;
    Ok(())
}

/// Takes a presented token and puts its successor in its place.
pub fn rotate(
    connection: &Connection,
    token: &RefreshToken,
    successor: &RefreshToken,
    now: UtcMillis,
) -> Result<Rotation, StoreFailure> {
    let sql = "SELECT family, device, issued_at, used_at FROM refresh_tokens WHERE hash = ?";
    let found = connection
        .prepare_cached(sql)?
        .query_row([hash(token)], |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, [u8; 16]>(1)?, row.get::<_, i64>(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((family, device, issued_at, used_at)) = found else {
        return Ok(Rotation::Unknown);
    };
    let device = DeviceId(device);
    if let Some(used_at) = used_at {
        let fresh = now.0.abs_diff(used_at) <= REPEAT_MS_MAX as u64;
        if fresh && is_unused(connection, successor)? {
            return Ok(Rotation::Repeated(device));
        }
        connection.prepare_cached("DELETE FROM refresh_tokens WHERE family = ?")?.execute([family])?;
        return Ok(Rotation::Reused);
    }
    if now.0 - issued_at > REFRESH_MS_MAX {
        return Ok(Rotation::Unknown);
    }
    connection
        .prepare_cached("UPDATE refresh_tokens SET used_at = ?2 WHERE hash = ?1")?
        .execute(params![hash(token), now.0])?;
    insert(connection, successor, &family, device, now)?;
    connection
        .prepare_cached("DELETE FROM refresh_tokens WHERE family = ?1 AND issued_at < ?2 AND used_at < ?2")?
        .execute(params![family, now.0 - USED_MS_KEPT])?;
    Ok(Rotation::Rotated(device))
}

/// The device of a token, used or not, without using it.
pub fn device_of(connection: &Connection, token: &RefreshToken) -> Result<Option<DeviceId>, StoreFailure> {
    let sql = "SELECT device FROM refresh_tokens WHERE hash = ?";
    let found = connection.prepare_cached(sql)?.query_row([hash(token)], |row| row.get(0)).optional()?;
    Ok(found.map(DeviceId))
}

fn insert(
    connection: &Connection,
    token: &RefreshToken,
    family: &[u8; 32],
    device: DeviceId,
    now: UtcMillis,
) -> Result<(), StoreFailure> {
    let sql = "INSERT INTO refresh_tokens (hash, family, device, issued_at) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![hash(token), family, device.0, now.0])?;
    Ok(())
}

fn is_unused(connection: &Connection, token: &RefreshToken) -> Result<bool, StoreFailure> {
    let sql = "SELECT used_at IS NULL FROM refresh_tokens WHERE hash = ?";
    Ok(connection
        .prepare_cached(sql)?
        .query_row([hash(token)], |row| row.get(0))
        .optional()?
        .unwrap_or(false))
}

fn hash(token: &RefreshToken) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId([7; 16]);
    const NOW: UtcMillis = UtcMillis(1_700_000_000_000);

    fn database() -> Connection {
        let connection = Connection::open_in_memory().expect("opens");
        let others = "CREATE TABLE people (id BLOB PRIMARY KEY); CREATE TABLE devices (id BLOB PRIMARY KEY);";
        connection.execute_batch(others).expect("creates");
        connection.execute_batch(TABLES).expect("creates");
        connection.execute("INSERT INTO devices VALUES (?)", [DEVICE.0]).expect("inserts");
        begin_family(&connection, DEVICE, &[1; 32], NOW).expect("begins");
        connection
    }

    fn later(ms: i64) -> UtcMillis {
        UtcMillis(NOW.0 + ms)
    }

    // SEC-3
    #[test]
    fn a_refresh_token_is_good_once_and_its_successor_after_it() {
        let database = database();
        let rotation = rotate(&database, &[1; 32], &[2; 32], later(1)).expect("works");
        assert_eq!(rotation, Rotation::Rotated(DEVICE));
        let rotation = rotate(&database, &[2; 32], &[3; 32], later(2)).expect("works");
        assert_eq!(rotation, Rotation::Rotated(DEVICE));
        assert_eq!(rotate(&database, &[9; 32], &[8; 32], later(3)).expect("works"), Rotation::Unknown);
    }

    // SEC-3
    #[test]
    fn a_lost_reply_brings_the_same_successor_for_thirty_seconds() {
        let database = database();
        rotate(&database, &[1; 32], &[2; 32], later(0)).expect("works");
        let again = rotate(&database, &[1; 32], &[2; 32], later(REPEAT_MS_MAX)).expect("works");
        assert_eq!(again, Rotation::Repeated(DEVICE));
        let late = rotate(&database, &[1; 32], &[2; 32], later(REPEAT_MS_MAX + 1)).expect("works");
        assert_eq!(late, Rotation::Reused);
    }

    // SEC-3
    #[test]
    fn a_token_used_twice_voids_the_whole_family() {
        let database = database();
        rotate(&database, &[1; 32], &[2; 32], later(0)).expect("works");
        rotate(&database, &[2; 32], &[3; 32], later(1)).expect("works");
        let stolen = rotate(&database, &[1; 32], &[2; 32], later(2)).expect("works");
        assert_eq!(stolen, Rotation::Reused, "its successor was used, so this is no lost reply");
        let honest = rotate(&database, &[3; 32], &[4; 32], later(3)).expect("works");
        assert_eq!(honest, Rotation::Unknown);
    }

    #[test]
    fn a_token_that_lay_too_long_and_one_of_an_earlier_login_are_void() {
        let database = database();
        let late = rotate(&database, &[1; 32], &[2; 32], later(REFRESH_MS_MAX + 1)).expect("works");
        assert_eq!(late, Rotation::Unknown);
        begin_family(&database, DEVICE, &[5; 32], later(5)).expect("begins");
        assert_eq!(rotate(&database, &[1; 32], &[2; 32], later(6)).expect("works"), Rotation::Unknown);
        assert_eq!(
            rotate(&database, &[5; 32], &[6; 32], later(6)).expect("works"),
            Rotation::Rotated(DEVICE)
        );
    }
}
