//! `reconnect_*` and `restart`: a phone holds many documents, few or none changed on the server.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, OpenFlags};

use super::{Seeded, connect};
use crate::documents::visit_edit;
use crate::figures::{Figures, percentile};
use crate::phone::milliseconds;

/// Documents that change between two connections.
const CHANGED: usize = 10;
/// Reconnects measured; times are their median, bytes their largest.
const ROUNDS: usize = 20;

/// Changes ten visits on the server.
async fn change_ten(seeded: &mut Seeded, round: usize) -> Result<()> {
    let chosen = seeded.visits[seeded.visits.len() - CHANGED..].to_vec();
    let mut items = Vec::new();
    for (visit, scope) in chosen {
        items.extend(seeded.writer.edit(&visit_edit(visit, round), scope)?);
    }
    ensure!(items.len() == CHANGED, "one change a document");
    seeded.writer.push_all(items).await
}

/// Reconnects with ten documents changed, for every size asked for.
///
/// # Errors
/// If the server fails or refuses.
pub async fn changed(binary: &Path, figures: &mut Figures, name: &str, documents: usize) -> Result<()> {
    let mut seeded = Seeded::new(binary, documents).await?;
    let (mut phone, _) = seeded.second_phone().await?;
    ensure!(phone.held() == documents, "{} documents held", phone.held());
    let (mut times, mut bytes, mut questions) = (Vec::new(), 0, 0);
    for round in 0..ROUNDS {
        change_ten(&mut seeded, round).await?;
        let caught = connect(&mut phone, &seeded.server).await?;
        phone.hang_up().await;
        ensure!(caught.changes == CHANGED, "{} changes came", caught.changes);
        ensure!(phone.digest() == seeded.writer.digest(), "the phones differ after round {round}");
        times.push(caught.ms);
        bytes = bytes.max(caught.count.bytes);
        questions = questions.max(caught.count.questions);
    }
    figures.add(name, "round_trips", questions as f64);
    figures.add(name, "bytes", bytes as f64);
    figures.add(name, "ms", percentile(&times, 0.5));
    figures.add(name, "worst_ms", percentile(&times, 1.0));
    Ok(())
}

/// Reconnects with nothing changed.
///
/// # Errors
/// If the server fails or refuses.
pub async fn idle(binary: &Path, figures: &mut Figures, name: &str, documents: usize) -> Result<()> {
    let seeded = Seeded::new(binary, documents).await?;
    let (mut phone, _) = seeded.second_phone().await?;
    let (mut times, mut bytes) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let caught = connect(&mut phone, &seeded.server).await?;
        phone.hang_up().await;
        ensure!(caught.documents.is_empty(), "{} documents came", caught.documents.len());
        times.push(caught.ms);
        bytes = bytes.max(caught.count.bytes);
    }
    figures.add(name, "bytes", bytes as f64);
    figures.add(name, "ms", percentile(&times, 0.5));
    Ok(())
}

/// The server ends and begins again; the phone is told of ten changes right after.
///
/// # Errors
/// If the server fails or refuses.
pub async fn restart(binary: &Path, figures: &mut Figures) -> Result<()> {
    let mut seeded = Seeded::new(binary, 2000).await?;
    let (mut phone, _) = seeded.second_phone().await?;
    change_ten(&mut seeded, 0).await?;
    let Seeded { site, server, mut writer, .. } = seeded;
    writer.hang_up().await;
    server.stop().await?;
    let before = stored_documents(&site.data())?;
    let server = site.serve().await?;
    let ready = milliseconds(server.started.elapsed());
    let caught = connect(&mut phone, &server).await?;
    let first_answer = milliseconds(server.started.elapsed());
    ensure!(caught.changes == CHANGED, "{} changes came", caught.changes);
    ensure!(phone.digest() == writer.digest(), "the phones differ after the restart");
    phone.hang_up().await;
    // Whatever the server does with its documents after a start, it has done when it has ended again.
    let asked = Instant::now();
    server.stop().await?;
    let stopped = milliseconds(asked.elapsed());
    let after = stored_documents(&site.data())?;
    let rewritten = after.iter().filter(|(key, value)| before.get(*key) != Some(value)).count();
    figures.add("restart", "first_answer_ms", first_answer);
    figures.add("restart", "ready_ms", ready);
    figures.add("restart", "reconnect_ms", caught.ms);
    figures.add("restart", "stop_ms", stopped);
    figures.add("restart", "documents_rewritten", rewritten as f64);
    Ok(())
}

/// A fingerprint of every row that holds a document, from the file of a stopped server.
fn stored_documents(data: &Path) -> Result<BTreeMap<String, String>> {
    let database = fs::read_dir(data)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "sqlite3"))
        .context("no database in the folder")?;
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('documents', 'snapshots', 'changes')")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    ensure!(tables.len() == 3, "the store's tables have other names: {tables:?}");
    let mut rows = BTreeMap::new();
    for table in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let mut all = statement.query([])?;
        while let Some(row) = all.next()? {
            let values: Vec<String> = (0..columns)
                .map(|column| row.get_ref(column).map(|value| format!("{value:?}")))
                .collect::<Result<_, _>>()?;
            let key = format!("{table} {}", values[..2.min(columns)].join(" "));
            rows.insert(key, values.join("|"));
        }
    }
    Ok(rows)
}
