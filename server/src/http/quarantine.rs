//! What is shown of the quarantine (S6, S15): to its author, and to the desk, which can have it stored after all.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::document::Kind;
use shared::id::{DeviceId, DocId};
use shared::ledger::{Person, Role};
use shared::protocol::PushItem;
use shared::refusal::Rule;

use crate::http::App;
use crate::http::error::ApiError;
use crate::http::identity::{self, Caller};
use crate::store::Lookup;
use crate::store::quarantine::{self, Quarantined};

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
