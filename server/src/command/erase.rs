//! `daybook erase`: takes documents out of the store for good, with their photos. Works beside a running
//! server, which notices foreign commits. Does not reach into backups.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use shared::document::Kind;
use shared::id::{DocId, Scope, Seq};
use shared::projection::Projection;

use crate::command::people::{administer, open};
use crate::http::serve::FILES_FOLDER;
use crate::hub::Administration;
use crate::outcome::{CommandError, CommandResult, Outcome, told};
use crate::store::files::{FileId, FileStore};
use crate::store::{Lookup, Store, StoreFailure};

/// Documents read at once while the photos of all visits are looked at.
const STEP: usize = 500;

#[derive(Serialize)]
struct Tombstone {
    doc: DocId,
    customer: Option<DocId>,
}

#[derive(Serialize)]
struct Erased {
    erased: Vec<DocId>,
    photos: usize,
    log_cleared: bool,
}

/// Lists what was erased, in order.
pub fn list(data: &Path) -> CommandResult {
    let store = open(data)?;
    let all = store.lookup().erased_all().context("reading the tombstones")?;
    let tombstones: Vec<Tombstone> =
        all.into_iter().map(|(doc, scope, _)| Tombstone { doc, customer: scope.customer() }).collect();
    let text: String = tombstones.iter().map(|tombstone| format!("{}\n", tombstone.doc)).collect();
    Ok(Outcome::new(&tombstones, text))
}

/// Erases documents. Photos go first: if we die between, the same command again finds the document and ends
/// what was begun.
pub fn erase(data: &Path, typed: &[String]) -> CommandResult {
    let docs: Vec<DocId> = typed.iter().map(|typed| parse(typed)).collect::<Result<_, _>>()?;
    let mut store = open(data)?;
    let doomed = doomed(&store.lookup(), &docs)?;
    let photos = photos_of(&store.lookup(), &doomed).context("looking for photos")?;
    let files = FileStore::open(&data.join(FILES_FOLDER)).context("opening the photos")?;
    for photo in &photos {
        files.remove(*photo).context("removing a photo")?;
    }
    for doc in docs {
        administer(&mut store, Administration::Erase { doc, by: None })?;
    }
    let log_cleared = store.clear_log().context("clearing the write-ahead log")?;
    if !log_cleared {
        eprintln!(
            "服务器正在使用数据库；旧内容在下一次检查点后才从日志文件中消失，可稍后再运行一次。\n\
             The server is reading: the write-ahead log still holds the bytes. Run the command again later."
        );
    }
    let text = format!("已永久删除 erased: {} documents, {} photos", doomed.len(), photos.len());
    Ok(Outcome::new(Erased { erased: doomed.into_iter().collect(), photos: photos.len(), log_cleared }, text))
}

fn parse(typed: &str) -> Result<DocId, CommandError> {
    typed.trim().parse().map_err(|_| {
        told("id_malformed", format!("“{typed}”不是资料编号。"), format!("“{typed}” is no document's id."))
    })
}

/// The documents that go: with a card everything of its customer.
fn doomed(lookup: &impl Lookup, docs: &[DocId]) -> Result<BTreeSet<DocId>, CommandError> {
    let mut doomed = BTreeSet::new();
    for doc in docs {
        let Some(row) = lookup.document(*doc).context("reading a document")? else { continue };
        if row.scope == Scope::Customer(*doc) {
            let all = lookup.documents_since(row.scope, Seq(0)).context("reading a customer")?;
            doomed.extend(all.into_iter().map(|row| row.id));
        }
        doomed.insert(*doc);
    }
    Ok(doomed)
}

/// The photos that no other visit shows.
fn photos_of(lookup: &impl Lookup, doomed: &BTreeSet<DocId>) -> Result<BTreeSet<FileId>, StoreFailure> {
    let mut going = BTreeSet::new();
    for doc in doomed {
        going.extend(shown_in(lookup, *doc)?);
    }
    let mut after = None;
    while !going.is_empty() {
        let ids = lookup.document_ids(after, STEP)?;
        let Some(last) = ids.last() else { break };
        after = Some(*last);
        for id in ids.iter().filter(|id| !doomed.contains(id)) {
            for photo in shown_in(lookup, *id)? {
                going.remove(&photo);
            }
        }
    }
    Ok(going)
}

fn shown_in(lookup: &impl Lookup, doc: DocId) -> Result<Vec<FileId>, StoreFailure> {
    let Some(row) = lookup.document(doc)?.filter(|row| row.kind == Kind::Visit) else {
        return Ok(Vec::new());
    };
    let Some(bytes) = lookup.projection(row.id)? else { return Ok(Vec::new()) };
    let projection = minicbor::decode(&bytes).map_err(|_| StoreFailure::Damaged("projections"))?;
    Ok(match projection {
        Projection::Visit(visit) => visit.photos.iter().filter_map(|name| FileId::parse(name)).collect(),
        _ => Vec::new(),
    })
}
