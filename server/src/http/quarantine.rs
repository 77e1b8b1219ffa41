//! The one door of a revoked device (S6): it hands its unsent work over into quarantine. And what is shown of the
//! quarantine: to its author, and to the desk, which can have it stored after all.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::document::Kind;
use shared::id::{DeviceId, DocId, Seq};
use shared::ledger::{Person, Role};
use shared::limits;
use shared::protocol::{
    Ack, ClientFrame, ItemResult, Push, PushItem, ServerFrame, decode_client_frame, encode,
};
use shared::refusal::Rule;

use crate::clock;
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::exchange::split;
use crate::http::identity::{self, Caller};
use crate::http::login::refresh_cookie;
use crate::hub::Administration;
use crate::store::quarantine::{self, Quarantined};
use crate::store::{Lookup, auth};

/// An item in quarantine as programs read it.
#[derive(Serialize)]
pub struct QuarantineView {
    id: u64,
    device: DeviceId,
    person_name: String,
    received_at: String,
    recorded_at: Option<String>,
    customer: Option<DocId>,
    doc: Option<DocId>,
    what: &'static str,
    reason: Rule,
    zh: &'static str,
    en: &'static str,
    restored_at: Option<String>,
}

impl QuarantineView {
    /// Views of items, with names and times as people read them.
    pub fn list(items: Vec<Quarantined>, people: &[Person], offset_minutes: i32) -> Vec<QuarantineView> {
        let name = |id| people.iter().find(|person| person.id == id).map(|person| person.name.clone());
        items
            .into_iter()
            .map(|row| {
                let (what, customer, doc, recorded) = match &row.item {
                    PushItem::Change { kind, scope, doc, recorded, .. } => {
                        let what = match kind {
                            Kind::Customer => "customer",
                            Kind::Visit => "visit",
                            Kind::Comment => "comment",
                        };
                        (what, scope.customer(), Some(*doc), Some(*recorded))
                    }
                    PushItem::Request { command, recorded, .. } => {
                        ("request", Some(command.customer()), None, Some(*recorded))
                    }
                    PushItem::Release { scope } => ("release", scope.customer(), None, None),
                };
                QuarantineView {
                    id: row.id,
                    device: row.device,
                    person_name: name(row.person).unwrap_or_default(),
                    received_at: row.received.to_iso(offset_minutes),
                    recorded_at: recorded.map(|recorded| recorded.at.to_iso(recorded.offset_minutes)),
                    customer,
                    doc,
                    what,
                    reason: row.reason,
                    zh: row.reason.zh(),
                    en: row.reason.en(),
                    restored_at: row.restored_at.map(|at| at.to_iso(offset_minutes)),
                }
            })
            .collect()
    }
}

/// `POST /api/handover`: pushes of a revoked device, by its refresh token; the answer is one acknowledgement a
/// push, after all of them are on disk. To any other device there is no such door.
pub async fn hand_over(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, ApiError> {
    let token = refresh_cookie(&headers).ok_or(ApiError::Unauthenticated)?;
    let readers = app.hub.readers().clone();
    let found = tokio::task::spawn_blocking(move || {
        readers.with(|connection| match auth::device_of(connection, &token)? {
            Some(device) => crate::store::devices::find(connection, device),
            None => Ok(None),
        })
    });
    let found = found.await.map_err(|_| ApiError::Unavailable)?;
    let device =
        found.map_err(|failure| identity::unavailable(&failure))?.ok_or(ApiError::Unauthenticated)?;
    if device.revoked_at.is_none() {
        return Err(ApiError::NotFound);
    }
    let body = body.map_err(|_| ApiError::TooLarge)?;
    let pushes = read(&body)?;
    let answer = acknowledged(&pushes);
    let items: Vec<PushItem> = pushes.into_iter().flat_map(|push| push.items).collect();
    let count = items.len();
    let kept = app.hub.administer(Administration::Quarantine { device: device.id, items }).await;
    kept.map_err(identity::administration_failed)?;
    tracing::info!(items = count, "a revoked device handed its work over");
    Ok(([(CONTENT_TYPE, "application/cbor-seq"), (CACHE_CONTROL, "no-store")], answer).into_response())
}

fn read(body: &[u8]) -> Result<Vec<Push>, ApiError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let push = |frame: Vec<u8>| match decode_client_frame(&frame) {
        Ok(ClientFrame::Push(push)) if push.items.len() <= limits::BATCH_ITEMS_MAX => Ok(push),
        _ => Err(ApiError::Malformed),
    };
    split(body)?.into_iter().map(push).collect()
}

fn acknowledged(pushes: &[Push]) -> Vec<u8> {
    let received = clock::utc_now();
    let ack = |push: &Push| {
        let results = vec![ItemResult::Held(Seq(0)); push.items.len()];
        encode(&ServerFrame::Ack(Ack { batch: push.batch, received, results }))
    };
    pushes.iter().flat_map(ack).collect()
}

/// `GET /api/quarantine`: all of it for the desk, one's own for everybody else.
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let readers = app.hub.readers().clone();
    let read = tokio::task::spawn_blocking(move || {
        let items = readers.with(|connection| quarantine::list(connection, None))?;
        let (people, settings) = readers.lookup(|lookup| Ok((lookup.people()?, lookup.settings()?)))?;
        Ok((items, people, settings.offset_minutes))
    });
    let read = read.await.map_err(|_| ApiError::Unavailable)?;
    let (mut items, people, offset) = read.map_err(|failure| identity::unavailable(&failure))?;
    if !is_desk(&caller.person) {
        items.retain(|item| item.person == caller.person.id);
    }
    Ok(Json(QuarantineView::list(items, &people, offset)).into_response())
}

/// `POST /api/devices/{id}/restore`: what the device left in quarantine is judged and stored like anything that
/// its person pushes. What is refused stays, with its reason.
pub async fn restore(
    State(app): State<App>,
    caller: Caller,
    Path(device): Path<String>,
) -> Result<Response, ApiError> {
    let device: DeviceId = device.parse().map_err(|_| ApiError::NotFound)?;
    if !is_desk(&caller.person) {
        return Err(ApiError::NotFound);
    }
    let begun = app.hub.restore(device).await;
    let count = begun.map_err(|failure| identity::unavailable(&failure))?;
    tracing::info!(items = count, "quarantined work is being restored");
    Ok((StatusCode::ACCEPTED, Json(serde_json::json!({ "items": count }))).into_response())
}

fn is_desk(person: &Person) -> bool {
    matches!(person.role, Role::Assistant | Role::Admin)
}
