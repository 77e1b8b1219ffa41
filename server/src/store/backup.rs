//! Backup of a running server and restore into a folder (S14).

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};
use shared::id::IncarnationId;

use super::{SqliteStore, StoreFailure};

/// Pages copied at once; between two such steps writers go on.
const STEP_PAGES: i32 = 1_000;

/// Copies the database of a data folder, which a server may be using, to a new file. The copy is one
/// consistent state.
///
/// # Errors
/// `Place` if the target exists or the folder holds no data.
pub fn backup(folder: &Path, target: &Path) -> Result<(), StoreFailure> {
    if target.exists() {
        return Err(StoreFailure::Place(format!("{} exists already", target.display())));
    }
    let source = SqliteStore::file_in(folder);
    if !source.exists() {
        return Err(StoreFailure::Place(format!("{} holds no Daybook data", folder.display())));
    }
    let source = Connection::open_with_flags(source, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut copy = Connection::open(target)?;
    Backup::new(&source, &mut copy)?.run_to_completion(STEP_PAGES, Duration::from_millis(1), None)?;
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    copy.close().map_err(|(_, error)| error)?;
    std::fs::File::open(target)?.sync_all()?;
    Ok(())
}

/// Puts a backup into an empty data folder and begins a new incarnation, so that phones notice the step back
/// and offer again what they hold.
///
/// # Errors
/// `Place` if the folder has a database already or the file is no backup.
pub fn restore(file: &Path, folder: &Path, incarnation: IncarnationId) -> Result<(), StoreFailure> {
    let target = SqliteStore::file_in(folder);
    if target.exists() {
        return Err(StoreFailure::Place(format!("{} exists already", target.display())));
    }
    if !file.exists() {
        return Err(StoreFailure::Place(format!("{} does not exist", file.display())));
    }
    std::fs::create_dir_all(folder)?;
    let source = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let tables: i64 = source
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name IN ('changes', 'events', 'meta')",
            [],
            |row| row.get(0),
        )
        .map_err(|_| StoreFailure::Place(format!("{} is no backup of Daybook", file.display())))?;
    if tables != 3 {
        return Err(StoreFailure::Place(format!("{} is no backup of Daybook", file.display())));
    }
    let mut copy = Connection::open(&target)?;
    Backup::new(&source, &mut copy)?.run_to_completion(STEP_PAGES, Duration::ZERO, None)?;
    // Before the first start: a phone must never see the old incarnation with the old log.
    copy.execute("UPDATE meta SET value = ? WHERE key = 'incarnation'", [&incarnation.0[..]])?;
    copy.close().map_err(|(_, error)| error)?;
    SqliteStore::open(folder)?;
    Ok(())
}
