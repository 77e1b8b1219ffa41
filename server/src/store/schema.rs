//! Tables and their migrations. `user_version` counts the migrations that a database has seen; each runs
//! once, in a transaction. A migration that was released is never edited.

use rusqlite::Connection;

use super::StoreFailure;

/// One script a version, in order.
const MIGRATIONS: [&str; 4] = [FIRST, super::auth::TABLES, super::erasing::TABLES, super::quarantine::TABLES];

/// The log: `changes` and `events` share one sequence, which is the feed's. `held` is log too: bytes that
/// reached us and wait. Everything else but people's words in `meta` and `devices` can be rebuilt from these.
const FIRST: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE teams (id BLOB PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE people (
  id BLOB PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  role INTEGER NOT NULL,
  team BLOB REFERENCES teams(id),
  active INTEGER NOT NULL CHECK (active IN (0, 1))
) STRICT;
CREATE TABLE devices (
  id BLOB PRIMARY KEY,
  person BLOB NOT NULL REFERENCES people(id),
  label TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_contact_at INTEGER,
  pending_edits INTEGER NOT NULL DEFAULT 0,
  pending_photos INTEGER NOT NULL DEFAULT 0,
  pending_refused INTEGER NOT NULL DEFAULT 0,
  software TEXT NOT NULL DEFAULT '',
  revoked_at INTEGER
) STRICT;
CREATE INDEX devices_of_person ON devices (person);
CREATE TABLE actors (
  id BLOB PRIMARY KEY,
  device BLOB NOT NULL REFERENCES devices(id),
  person BLOB NOT NULL REFERENCES people(id)
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
  seq INTEGER PRIMARY KEY,
  doc BLOB NOT NULL,
  hash BLOB NOT NULL,
  actor BLOB NOT NULL REFERENCES actors(id),
  actor_seq INTEGER NOT NULL,
  max_op INTEGER NOT NULL,
  device BLOB NOT NULL REFERENCES devices(id),
  person BLOB NOT NULL REFERENCES people(id),
  received INTEGER NOT NULL,
  recorded BLOB NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX changes_by_hash ON changes (doc, hash);
CREATE UNIQUE INDEX changes_by_actor ON changes (doc, actor, actor_seq);
CREATE INDEX changes_in_order ON changes (doc, seq);

CREATE TABLE held (
  late INTEGER NOT NULL REFERENCES events(seq),
  position INTEGER NOT NULL,
  doc BLOB NOT NULL,
  hash BLOB NOT NULL,
  actor BLOB NOT NULL REFERENCES actors(id),
  actor_seq INTEGER NOT NULL,
  max_op INTEGER NOT NULL,
  device BLOB NOT NULL REFERENCES devices(id),
  person BLOB NOT NULL REFERENCES people(id),
  received INTEGER NOT NULL,
  recorded BLOB NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (late, position)
) STRICT;
CREATE UNIQUE INDEX held_by_hash ON held (doc, hash);
CREATE UNIQUE INDEX held_by_actor ON held (doc, actor, actor_seq);

CREATE TABLE events (
  seq INTEGER PRIMARY KEY,
  scope BLOB NOT NULL,
  at INTEGER NOT NULL,
  by BLOB REFERENCES people(id),
  request BLOB,
  kind BLOB NOT NULL
) STRICT;
CREATE INDEX events_of_scope ON events (scope, seq);

CREATE TABLE requests (
  id BLOB PRIMARY KEY,
  person BLOB NOT NULL REFERENCES people(id),
  device BLOB NOT NULL REFERENCES devices(id),
  received INTEGER NOT NULL,
  result BLOB NOT NULL
) STRICT;

CREATE TABLE documents (
  id BLOB PRIMARY KEY,
  kind INTEGER NOT NULL,
  scope BLOB NOT NULL,
  author BLOB NOT NULL REFERENCES people(id),
  first_received INTEGER NOT NULL,
  heads BLOB NOT NULL,
  last_seq INTEGER NOT NULL,
  changes INTEGER NOT NULL,
  digest INTEGER NOT NULL
) STRICT;
CREATE INDEX documents_of_scope ON documents (scope, last_seq);
CREATE TABLE snapshots (doc BLOB PRIMARY KEY, saved BLOB NOT NULL) STRICT;
CREATE TABLE projections (doc BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT;

CREATE TABLE scopes (scope BLOB PRIMARY KEY, digest INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE principals (principal BLOB PRIMARY KEY, digest INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE grants (
  id INTEGER PRIMARY KEY,
  principal BLOB NOT NULL,
  scope BLOB NOT NULL,
  access INTEGER NOT NULL,
  from_seq INTEGER NOT NULL,
  until_seq INTEGER,
  last_seq INTEGER NOT NULL,
  CHECK (until_seq IS NULL OR until_seq > from_seq)
) STRICT;
CREATE INDEX grants_in_feed ON grants (principal, last_seq, scope);
CREATE INDEX grants_of_scope ON grants (scope, principal);
CREATE UNIQUE INDEX grants_once ON grants (principal, scope) WHERE until_seq IS NULL;

CREATE TABLE customers (
  id BLOB PRIMARY KEY,
  status INTEGER NOT NULL,
  code TEXT,
  provisional TEXT NOT NULL UNIQUE,
  owner BLOB NOT NULL REFERENCES people(id),
  record BLOB NOT NULL,
  CHECK ((status = 0) = (code IS NULL))
) STRICT;
CREATE UNIQUE INDEX customers_by_code ON customers (code) WHERE code IS NOT NULL;
CREATE INDEX customers_by_owner ON customers (owner);
CREATE TABLE codes (
  code TEXT PRIMARY KEY,
  prefix TEXT NOT NULL,
  number INTEGER NOT NULL,
  customer BLOB NOT NULL REFERENCES customers(id)
) STRICT;
CREATE INDEX codes_by_number ON codes (prefix, number);
CREATE TABLE ownerships (
  customer BLOB NOT NULL REFERENCES customers(id),
  owner BLOB NOT NULL REFERENCES people(id),
  from_seq INTEGER NOT NULL,
  until_seq INTEGER,
  PRIMARY KEY (customer, from_seq)
) STRICT;
CREATE UNIQUE INDEX ownerships_one_at_a_time ON ownerships (customer) WHERE until_seq IS NULL;

CREATE TRIGGER owner_is_active_on_insert BEFORE INSERT ON customers
WHEN (SELECT active FROM people WHERE id = NEW.owner) IS NOT 1
BEGIN SELECT RAISE(ABORT, 'R4: the owner of a customer is an active employee'); END;
CREATE TRIGGER owner_is_active_on_update BEFORE UPDATE OF owner ON customers
WHEN (SELECT active FROM people WHERE id = NEW.owner) IS NOT 1
BEGIN SELECT RAISE(ABORT, 'R4: the owner of a customer is an active employee'); END;
CREATE TRIGGER owners_stay_active BEFORE UPDATE OF active ON people
WHEN NEW.active = 0 AND EXISTS (SELECT 1 FROM customers WHERE owner = NEW.id)
BEGIN SELECT RAISE(ABORT, 'R4: a person who owns customers stays active'); END;
CREATE TRIGGER codes_are_for_ever BEFORE DELETE ON codes
BEGIN SELECT RAISE(ABORT, 'R2: a code is never reused'); END;
";

/// Brings a database to the present version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreFailure> {
    let known = MIGRATIONS.len() as i64;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(StoreFailure::TooNew { found, known });
    }
    for version in found..known {
        let transaction = connection.transaction()?;
        transaction.execute_batch(MIGRATIONS[version as usize])?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
