//! Connections that read beside the writer, each on its own consistent view of the last commit.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use super::StoreFailure;
use super::sqlite::{SqliteLookup, open_reader};

/// Readers kept open when idle. More may exist for a moment; they are closed when they come back.
const IDLE_MAX: usize = 4;

/// A pool of read-only connections. Cheap to clone. Calls block: from asynchronous code use
/// `tokio::task::spawn_blocking`.
#[derive(Clone)]
pub struct Readers {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// Makes a pool for a database file.
    pub fn new(path: &Path) -> Self {
        Self { path: Arc::new(path.to_owned()), idle: Arc::default() }
    }

    /// Runs a closure on a connection, inside a read transaction: everything it reads is of one moment.
    ///
    /// # Errors
    /// What the closure or the database says.
    pub fn with<T>(
        &self,
        body: impl FnOnce(&Connection) -> Result<T, StoreFailure>,
    ) -> Result<T, StoreFailure> {
        let idle = self.idle.lock().expect("no holder of this lock panics").pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let transaction = connection.transaction()?;
        let answer = body(&transaction);
        let ended = transaction.finish();
        if ended.is_ok() {
            let mut idle = self.idle.lock().expect("no holder of this lock panics");
            if idle.len() < IDLE_MAX {
                idle.push(connection);
            }
        }
        answer
    }

    /// Runs a closure with the domain's questions.
    ///
    /// # Errors
    /// What the closure or the database says.
    pub fn lookup<T>(
        &self,
        body: impl FnOnce(SqliteLookup<'_>) -> Result<T, StoreFailure>,
    ) -> Result<T, StoreFailure> {
        self.with(|connection| body(SqliteLookup(connection)))
    }
}
