//! How values stand in columns: identifiers as their bytes, small enums as numbers, structures as CBOR.

use rusqlite::Row;
use shared::cbor::{Decode, Encode};
use shared::document::Kind;
use shared::id::{ChangeHash, DocId, Scope, Seq};
use shared::ledger::people::{Access, Role};
use shared::protocol::{Digest, PendingCounts};
use shared::time::UtcMillis;

use super::{
    ChangeRow, DeviceRow, DocumentRow, GrantRow, HeldChange, StoreFailure, principal_from_key, scope_from_key,
};

pub(super) fn to_cbor<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to a vector cannot fail")
}

pub(super) fn from_cbor<'b, T: Decode<'b, ()>>(
    bytes: &'b [u8],
    table: &'static str,
) -> Result<T, StoreFailure> {
    minicbor::decode(bytes).map_err(|_| StoreFailure::Damaged(table))
}

pub(super) fn id<const N: usize>(row: &Row<'_>, column: usize) -> rusqlite::Result<[u8; N]> {
    row.get(column)
}

pub(super) fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<Seq> {
    Ok(Seq(row.get::<_, i64>(column)? as u64))
}

pub(super) fn erased(row: &Row<'_>) -> rusqlite::Result<(DocId, Scope, Seq)> {
    let scope: Vec<u8> = row.get(1)?;
    let damaged = || {
        let damage = Box::new(StoreFailure::Damaged("erased"));
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, damage)
    };
    Ok((DocId(id(row, 0)?), scope_from_key(&scope).ok_or_else(damaged)?, seq(row, 2)?))
}

pub(super) fn millis(row: &Row<'_>, column: usize) -> rusqlite::Result<UtcMillis> {
    Ok(UtcMillis(row.get(column)?))
}

pub(super) fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Customer => 0,
        Kind::Visit => 1,
        Kind::Comment => 2,
    }
}

fn kind_from(number: i64) -> Option<Kind> {
    Some(match number {
        0 => Kind::Customer,
        1 => Kind::Visit,
        2 => Kind::Comment,
        _ => return None,
    })
}

pub(super) fn access_number(access: Access) -> i64 {
    match access {
        Access::Read => 0,
        Access::Comment => 1,
        Access::Write => 2,
    }
}

fn access_from(number: i64) -> Option<Access> {
    Some(match number {
        0 => Access::Read,
        1 => Access::Comment,
        2 => Access::Write,
        _ => return None,
    })
}

pub(super) fn role_number(role: Role) -> i64 {
    match role {
        Role::Rep => 0,
        Role::Assistant => 1,
        Role::Manager => 2,
        Role::Admin => 3,
    }
}

pub(super) fn role_from(number: i64) -> Option<Role> {
    Some(match number {
        0 => Role::Rep,
        1 => Role::Assistant,
        2 => Role::Manager,
        3 => Role::Admin,
        _ => return None,
    })
}

pub(super) fn heads_bytes(heads: &[ChangeHash]) -> Vec<u8> {
    heads.iter().flat_map(|head| head.0).collect()
}

fn damaged(column: usize, table: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        rusqlite::types::Type::Blob,
        Box::new(StoreFailure::Damaged(table)),
    )
}

/// `id, kind, scope, author, first_received, heads, last_seq, changes, digest`
pub(super) fn document(row: &Row<'_>) -> rusqlite::Result<DocumentRow> {
    let heads: Vec<u8> = row.get(5)?;
    let scope: Vec<u8> = row.get(2)?;
    Ok(DocumentRow {
        id: shared::id::DocId(id(row, 0)?),
        kind: kind_from(row.get(1)?).ok_or_else(|| damaged(1, "documents"))?,
        scope: scope_from_key(&scope).ok_or_else(|| damaged(2, "documents"))?,
        author: shared::id::PersonId(id(row, 3)?),
        first_received: millis(row, 4)?,
        heads: heads.chunks_exact(32).filter_map(ChangeHash::from_slice).collect(),
        last_seq: seq(row, 6)?,
        changes: row.get::<_, i64>(7)? as u64,
        digest: Digest(row.get::<_, i64>(8)? as u64),
    })
}

pub(super) const DOCUMENT_COLUMNS: &str =
    "id, kind, scope, author, first_received, heads, last_seq, changes, digest";

pub(super) const CHANGE_COLUMNS: &str =
    "seq, doc, hash, actor, actor_seq, max_op, device, person, received, recorded";

pub(super) fn change(row: &Row<'_>) -> rusqlite::Result<ChangeRow> {
    let recorded: Vec<u8> = row.get(9)?;
    Ok(ChangeRow {
        seq: seq(row, 0)?,
        doc: shared::id::DocId(id(row, 1)?),
        hash: ChangeHash(id(row, 2)?),
        actor: shared::id::ActorId(id(row, 3)?),
        actor_seq: row.get::<_, i64>(4)? as u64,
        max_op: row.get::<_, i64>(5)? as u64,
        device: shared::id::DeviceId(id(row, 6)?),
        person: shared::id::PersonId(id(row, 7)?),
        received: millis(row, 8)?,
        recorded: minicbor::decode(&recorded).map_err(|_| damaged(9, "changes"))?,
    })
}

pub(super) const HELD_COLUMNS: &str =
    "late, position, doc, hash, actor, actor_seq, max_op, device, person, received, recorded, bytes";

pub(super) fn held(row: &Row<'_>) -> rusqlite::Result<HeldChange> {
    let recorded: Vec<u8> = row.get(10)?;
    Ok(HeldChange {
        late: seq(row, 0)?,
        position: row.get(1)?,
        doc: shared::id::DocId(id(row, 2)?),
        hash: ChangeHash(id(row, 3)?),
        actor: shared::id::ActorId(id(row, 4)?),
        actor_seq: row.get::<_, i64>(5)? as u64,
        max_op: row.get::<_, i64>(6)? as u64,
        device: shared::id::DeviceId(id(row, 7)?),
        person: shared::id::PersonId(id(row, 8)?),
        received: millis(row, 9)?,
        recorded: minicbor::decode(&recorded).map_err(|_| damaged(10, "held"))?,
        bytes: row.get(11)?,
    })
}

pub(super) const GRANT_COLUMNS: &str = "principal, scope, access, from_seq, until_seq, last_seq";

pub(super) fn grant(row: &Row<'_>) -> rusqlite::Result<GrantRow> {
    let principal: Vec<u8> = row.get(0)?;
    let scope: Vec<u8> = row.get(1)?;
    Ok(GrantRow {
        principal: principal_from_key(&principal).ok_or_else(|| damaged(0, "grants"))?,
        scope: scope_from_key(&scope).ok_or_else(|| damaged(1, "grants"))?,
        access: access_from(row.get(2)?).ok_or_else(|| damaged(2, "grants"))?,
        from_seq: seq(row, 3)?,
        until_seq: row.get::<_, Option<i64>>(4)?.map(|seq| Seq(seq as u64)),
        last_seq: seq(row, 5)?,
    })
}

pub(super) const DEVICE_COLUMNS: &str = "id, person, label, created_at, last_contact_at, pending_edits, \
     pending_photos, pending_refused, software, revoked_at";

pub(super) fn device(row: &Row<'_>) -> rusqlite::Result<DeviceRow> {
    Ok(DeviceRow {
        id: shared::id::DeviceId(id(row, 0)?),
        person: shared::id::PersonId(id(row, 1)?),
        label: row.get(2)?,
        created_at: millis(row, 3)?,
        last_contact_at: row.get::<_, Option<i64>>(4)?.map(UtcMillis),
        pending: PendingCounts { edits: row.get(5)?, photos: row.get(6)?, refused: row.get(7)? },
        software: row.get(8)?,
        revoked_at: row.get::<_, Option<i64>>(9)?.map(UtcMillis),
    })
}
