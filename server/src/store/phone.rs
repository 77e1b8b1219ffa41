//! The headless phone's disk: the rows of `shared::client` and the refresh token in one SQLite file, and a
//! lock so that two processes never drive one phone. Knows nothing of what the rows mean.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use shared::client::{Row, Write};

/// How long a second process waits for the first to finish with the folder. Commands take milliseconds;
/// only `watch` holds on longer.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Why the phone's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PhoneStoreFailure {
    /// Another process drives this phone.
    #[error("another daybook process is using this folder")]
    Locked,
    /// The folder or a file cannot be made or read.
    #[error("the folder cannot be used: {0}")]
    File(#[from] io::Error),
    /// SQLite failed.
    #[error("the phone's database failed: {0}")]
    Database(#[from] rusqlite::Error),
}

/// One phone's folder, locked for this process.
pub struct PhoneStore {
    connection: Connection,
    _lock: File,
}

impl PhoneStore {
    /// Opens the folder, making it (mode 0700) if it does not exist.
    ///
    /// # Errors
    /// [`PhoneStoreFailure`]
    pub fn open(dir: &Path) -> Result<PhoneStore, PhoneStoreFailure> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let lock = lock(&dir.join("lock"))?;
        let connection = Connection::open(dir.join("phone.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "trusted_schema", "OFF")?;
        // What was erased, and what a revoked phone held, is overwritten in the file.
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS row (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;",
        )?;
        Ok(PhoneStore { connection, _lock: lock })
    }

    /// Every row.
    ///
    /// # Errors
    /// `Database`
    pub fn rows(&self) -> Result<Vec<Row>, PhoneStoreFailure> {
        let mut statement = self.connection.prepare("SELECT key, value FROM row ORDER BY key")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Carries out a write as one transaction; on disk when this returns.
    ///
    /// # Errors
    /// `Database`; then nothing was written.
    pub fn write(&mut self, write: &Write) -> Result<(), PhoneStoreFailure> {
        let transaction = self.connection.transaction()?;
        {
            let mut put =
                transaction.prepare_cached("INSERT OR REPLACE INTO row (key, value) VALUES (?1, ?2)")?;
            for (key, value) in &write.puts {
                put.execute(params![key, value])?;
            }
            let mut delete = transaction.prepare_cached("DELETE FROM row WHERE key = ?1")?;
            for key in &write.deletes {
                delete.execute([key])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// A value that is the driver's own, such as the refresh token.
    ///
    /// # Errors
    /// `Database`
    pub fn secret(&self, name: &str) -> Result<Option<String>, PhoneStoreFailure> {
        let query = "SELECT value FROM secret WHERE name = ?1";
        Ok(self.connection.query_row(query, [name], |row| row.get(0)).optional()?)
    }

    /// Keeps such a value; on disk when this returns.
    ///
    /// # Errors
    /// `Database`
    pub fn set_secret(&mut self, name: &str, value: &str) -> Result<(), PhoneStoreFailure> {
        self.connection
            .execute("INSERT OR REPLACE INTO secret (name, value) VALUES (?1, ?2)", [name, value])?;
        Ok(())
    }

    /// Forgets the driver's own values and what the write-ahead log remembers of rows that are gone: the end of
    /// a revoked phone.
    ///
    /// # Errors
    /// `Database`
    pub fn forget_secrets(&mut self) -> Result<(), PhoneStoreFailure> {
        self.connection.execute("DELETE FROM secret", [])?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File, PhoneStoreFailure> {
    let file = fs::OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path)?;
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    // Locking with a time limit: the wait happens on a thread of its own, which ends with the process.
    let (done, waiting) = mpsc::channel();
    std::thread::spawn(move || {
        if file.lock().is_ok() {
            let _ = done.send(file);
        }
    });
    waiting.recv_timeout(LOCK_WAIT).map_err(|_| PhoneStoreFailure::Locked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::client::WriteId;

    // CLI-6
    #[test]
    fn a_write_is_whole_and_survives_reopening() {
        let dir = std::env::temp_dir().join(format!("daybook-phone-{:?}", crate::clock::random::<8>()));
        let mut store = PhoneStore::open(&dir).expect("opens");
        let puts = vec![("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])];
        store.write(&Write { id: WriteId(1), puts, deletes: vec!["none".to_owned()] }).expect("writes");
        let puts = vec![("a".to_owned(), vec![3])];
        store.write(&Write { id: WriteId(2), puts, deletes: vec!["b".to_owned()] }).expect("writes");
        store.set_secret("refresh", "t").expect("writes");
        drop(store);
        let store = PhoneStore::open(&dir).expect("opens again");
        assert_eq!(store.rows().expect("reads"), vec![("a".to_owned(), vec![3])]);
        assert_eq!(store.secret("refresh").expect("reads").as_deref(), Some("t"));
        drop(store);
        fs::remove_dir_all(&dir).expect("removed");
    }
}
