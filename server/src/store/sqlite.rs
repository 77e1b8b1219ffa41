//! Opening the database, its settings, and the transaction. One connection writes; see [`super::Readers`]
//! for those that read beside it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use shared::id::{IncarnationId, Scope, Seq};
use shared::ledger::people::Principal;

use super::copying::{self, Copying};
use super::{Lookup, Store, StoreFailure, schema};

/// The database's name in the data folder.
const FILE: &str = "daybook.sqlite3";

/// Page cache of the writer, in KiB. Documents are not kept in memory; this holds the inner pages of the
/// indexes of 200,000 documents (about 12 MiB) and the leaves of the day.
const WRITER_CACHE_KIB: i64 = 24 * 1024;

/// Page cache of one reader, in KiB: the inner pages of what one reading asks for. The next commit empties it, and while
/// nobody reads it stands idle.
const READER_CACHE_KIB: i64 = 256;

/// Prepared statements kept per connection; there are about sixty different ones.
const STATEMENTS_KEPT: usize = 96;

/// How long to wait for another program's transaction (a command beside a running server).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The store in one SQLite file.
pub struct SqliteStore {
    connection: Connection,
    /// After the connection: it waits for a thread that ends when the connection is closed.
    copying: Option<Copying>,
    path: Option<PathBuf>,
}

/// Reads on one connection.
#[derive(Clone, Copy)]
pub struct SqliteLookup<'c>(pub(super) &'c Connection);

/// Writes that become durable together. What many changes of one group touch again and again (digests, the
/// feed positions of grants) is gathered here and written once.
pub struct SqliteTransaction<'c> {
    pub(super) transaction: &'c Connection,
    pub(super) lookup: SqliteLookup<'c>,
    pub(super) last: Seq,
    pub(super) digests: HashMap<Scope, u64>,
    pub(super) principal_digests: HashMap<Principal, u64>,
    pub(super) touched: HashMap<Scope, Seq>,
}

impl SqliteStore {
    /// Makes a new database in a folder; `incarnation` names its life.
    ///
    /// # Errors
    /// `Place` if there is one already.
    pub fn create(folder: &Path, incarnation: IncarnationId) -> Result<Self, StoreFailure> {
        let path = folder.join(FILE);
        if path.exists() {
            return Err(StoreFailure::Place(format!("{} exists already", path.display())));
        }
        std::fs::create_dir_all(folder)?;
        let connection = Connection::open(&path)?;
        Self::begin(connection, Some(path), Some(incarnation))
    }

    /// Opens the database of a folder.
    ///
    /// # Errors
    /// `Place` if there is none, `TooNew`, `Database`.
    pub fn open(folder: &Path) -> Result<Self, StoreFailure> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Err(StoreFailure::Place(format!(
                "{} holds no Daybook data; run `daybook init`",
                folder.display()
            )));
        }
        let connection = Connection::open(&path)?;
        Self::begin(connection, Some(path), None)
    }

    /// Makes a database in memory, for simulation and tests. "Durable" means nothing there.
    pub fn in_memory(incarnation: IncarnationId) -> Result<Self, StoreFailure> {
        Self::begin(Connection::open_in_memory()?, None, Some(incarnation))
    }

    /// A store over a connection that somebody else made, such as one to a simulated disk; with an incarnation a
    /// new one. Whoever reads beside it needs a way of their own: it has no path.
    pub fn over(connection: Connection, incarnation: Option<IncarnationId>) -> Result<Self, StoreFailure> {
        Self::begin(connection, None, incarnation)
    }

    /// Where a folder's database is.
    pub fn file_in(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    fn begin(
        mut connection: Connection,
        path: Option<PathBuf>,
        incarnation: Option<IncarnationId>,
    ) -> Result<Self, StoreFailure> {
        settle(&connection, WRITER_CACHE_KIB)?;
        // Before the first table exists; afterwards it changes nothing.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        schema::migrate(&mut connection)?;
        if let Some(incarnation) = incarnation {
            let sql = "INSERT INTO meta (key, value) VALUES ('incarnation', ?)";
            connection.execute(sql, [&incarnation.0[..]])?;
        }
        Ok(Self { connection, copying: None, path })
    }

    /// The file, unless the database is in memory.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Has the write-ahead log copied into the database beside the commits from here on, and not by every
    /// commit that finds it long. For a process that commits all day.
    ///
    /// # Errors
    /// `Place` if the store is in memory.
    pub fn copy_log_beside(&mut self) -> Result<(), StoreFailure> {
        let Some(path) = &self.path else {
            return Err(StoreFailure::Place("a store in memory has no log".to_owned()));
        };
        self.copying = Some(copying::start(&mut self.connection, path)?);
        Ok(())
    }

    /// The connection that writes, for tables that only HTTP knows (logins, tokens) and for maintenance.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Limits the database to so many pages of 4 KiB: a full disk for tests.
    pub fn limit_pages(&mut self, pages: u32) -> Result<(), StoreFailure> {
        Ok(self.connection.pragma_update(None, "max_page_count", pages)?)
    }

    /// What SQLite itself finds wrong with the file; nothing is good.
    pub fn integrity(&self) -> Result<Vec<String>, StoreFailure> {
        let mut found = Vec::new();
        let mut statement = self.connection.prepare("PRAGMA integrity_check(20)")?;
        for line in statement.query_map([], |row| row.get::<_, String>(0))? {
            let line = line?;
            if line != "ok" {
                found.push(line);
            }
        }
        let mut statement = self.connection.prepare("PRAGMA foreign_key_check")?;
        for table in statement.query_map([], |row| row.get::<_, String>(0))? {
            found.push(format!("a row of {} points nowhere", table?));
        }
        Ok(found)
    }

    /// Moves everything out of the write-ahead log and empties its file. Returns whether nobody else was reading,
    /// so that it could be done.
    pub fn clear_log(&mut self) -> Result<bool, StoreFailure> {
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }

    /// Drops the cache of snapshots. They are made again from the log when a document is next needed.
    pub fn drop_snapshots(&mut self) -> Result<(), StoreFailure> {
        self.connection.execute("DELETE FROM snapshots", [])?;
        Ok(())
    }
}

/// What every connection is told.
fn settle(connection: &Connection, cache_kib: i64) -> Result<(), StoreFailure> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Without it SQLite throws a prepared statement's plan away when an `= ?` gets another value, and plans anew.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// Opens a connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreFailure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    settle(&connection, READER_CACHE_KIB)?;
    connection.pragma_update(None, "query_only", "ON")?;
    Ok(connection)
}

impl Store for SqliteStore {
    type Lookup<'s> = SqliteLookup<'s>;
    type Transaction<'s> = SqliteTransaction<'s>;

    fn lookup(&self) -> SqliteLookup<'_> {
        SqliteLookup(&self.connection)
    }

    fn reading<T>(&self, body: impl FnOnce(&SqliteLookup<'_>) -> T) -> Result<T, StoreFailure> {
        // Takes nothing yet; dropped, it ends without a word, as nothing was written.
        let transaction = self.connection.unchecked_transaction()?;
        Ok(body(&SqliteLookup(&transaction)))
    }

    fn foreign_commits(&self) -> Result<u64, StoreFailure> {
        let version: i64 = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        Ok(version as u64)
    }

    fn transaction<T, E: From<StoreFailure>>(
        &mut self,
        body: impl FnOnce(&mut SqliteTransaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // IMMEDIATE: a command beside the server may hold the lock, and we want to wait here, not at commit.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreFailure::from)?;
        let lookup = SqliteLookup(&transaction);
        let mut writing = SqliteTransaction {
            transaction: &transaction,
            lookup,
            last: lookup.head()?,
            digests: HashMap::new(),
            principal_digests: HashMap::new(),
            touched: HashMap::new(),
        };
        let answer = body(&mut writing)?;
        writing.flush()?;
        // With synchronous=FULL the commit returns after the log's fsync. An error here or above drops the
        // transaction, which rolls back.
        transaction.commit().map_err(StoreFailure::from)?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_is_planned_once_whatever_it_is_asked() {
        let store = SqliteStore::in_memory(IncarnationId([1; 16])).expect("opens");
        let sql = "SELECT max(actor_seq) FROM changes WHERE doc = ?1 AND actor = ?2";
        let mut statement = store.connection.prepare_cached(sql).expect("a statement");
        for actor in 0..3 {
            let last: Option<i64> =
                statement.query_row(([1_u8; 16], [actor; 16]), |row| row.get(0)).expect("one row");
            assert_eq!(last, None);
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
