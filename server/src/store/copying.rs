//! Copying the write-ahead log into the database on a thread of its own, so that commits do not wait for it.
//! Durability does not depend on it: a commit is durable when the log is.

use std::os::raw::c_int;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;

use super::StoreFailure;

/// Pages of 4 KiB that gather in the log before they are copied: 4 MiB, half a second of a busy morning. Pages
/// that are written again and again are copied once.
const STEP_PAGES: c_int = 1_000;

/// Pages in the log at which a commit copies the rest itself: 32 MiB. A log begins anew only when all of it is
/// copied, and while commits follow one another the thread always leaves the last few behind.
const ALL_PAGES: c_int = 8_000;

/// The thread that copies. Dropped after the connection that writes; it waits for the thread's end.
pub(super) struct Copying(Option<JoinHandle<()>>);

impl Drop for Copying {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

/// Starts the thread for the connection that writes. It ends when that connection is closed.
pub(super) fn start(writer: &mut Connection, path: &Path) -> Result<Copying, StoreFailure> {
    let copier = Connection::open(path)?;
    let (sender, asked) = sync_channel(1);
    let thread =
        std::thread::Builder::new().name("log-copy".to_owned()).spawn(move || copy(&copier, &asked))?;
    let mut asked_at = 0;
    writer.wal_hook(Some(move |log: &mut Wal, pages: c_int| {
        if pages < asked_at {
            asked_at = 0;
        }
        if pages >= ALL_PAGES {
            // Busy while the thread is at it; the next commit tries again.
            let _ = log.checkpoint();
        } else if pages - asked_at >= STEP_PAGES {
            asked_at = pages;
            // If one request waits already, it covers these pages, too.
            let _ = sender.try_send(());
        }
        Ok(())
    }))?;
    Ok(Copying(Some(thread)))
}

fn copy(copier: &Connection, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        if let Err(failure) = copier.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
            tracing::debug!(%failure, "the log was not copied; the next commits ask again");
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::id::IncarnationId;

    use super::*;
    use crate::store::SqliteStore;

    /// HUB-48: 25,600 pages in a hundred commits, and never a pause between two of them.
    #[test]
    fn the_log_stays_short_while_commits_follow_one_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = SqliteStore::create(folder.path(), IncarnationId([1; 16])).expect("creates");
        store.copy_log_beside().expect("starts");
        store.connection().execute("CREATE TABLE filling (body BLOB NOT NULL)", []).expect("creates");
        for _ in 0..100 {
            store
                .connection()
                .execute("INSERT INTO filling VALUES (zeroblob(1048576))", [])
                .expect("there is room");
        }
        let log = SqliteStore::file_in(folder.path()).with_extension("sqlite3-wal");
        let bytes = std::fs::metadata(log).expect("the log is there").len();
        assert!(bytes < 2 * ALL_PAGES as u64 * 4_096, "{bytes} bytes");
        drop(store);
        let store = SqliteStore::open(folder.path()).expect("opens");
        assert!(store.integrity().expect("reads").is_empty());
    }
}
