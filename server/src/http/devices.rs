//! The list of devices, for those who look after them, and the revocation of one (S6).

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::id::{DeviceId, PersonId};
use shared::ledger::{Person, Role};
use shared::protocol::PendingCounts;

use crate::http::App;
use crate::http::error::ApiError;
use crate::http::identity::{self, Caller};
use crate::hub::Administration;
use crate::store::quarantine::{self, Quarantined};
use crate::store::{DeviceRow, devices};

/// A device as lists show it.
#[derive(Debug, Serialize)]
pub struct DeviceView {
    /// Its id.
    pub id: DeviceId,
    /// Its person.
    pub person: PersonId,
    /// The person's name.
    pub person_name: String,
    /// What the person called it.
    pub label: String,
    /// When it was registered: ISO 8601.
    pub created_at: String,
    /// When it last spoke with the hub: ISO 8601.
    pub last_contact_at: Option<String>,
    /// What it held unsent then.
    pub pending: PendingCounts,
    /// The name and version of its software.
    pub software: String,
    /// When it was revoked: ISO 8601.
    pub revoked_at: Option<String>,
    /// How many items it left in quarantine that nobody has restored (S6).
    pub quarantined: usize,
}

impl DeviceView {
    /// Joins devices with their people.
    pub fn list(
        rows: Vec<DeviceRow>,
        people: &[Person],
        quarantine: &[Quarantined],
        offset_minutes: i32,
    ) -> Vec<DeviceView> {
        let waiting = |id| {
            let is_waiting = |item: &&Quarantined| item.device == id && item.restored_at.is_none();
            quarantine.iter().filter(is_waiting).count()
        };
        let name = |id| people.iter().find(|person| person.id == id).map(|person| person.name.clone());
        rows.into_iter()
            .map(|row| DeviceView {
                id: row.id,
                person: row.person,
                person_name: name(row.person).unwrap_or_default(),
                label: row.label,
                created_at: row.created_at.to_iso(offset_minutes),
                last_contact_at: row.last_contact_at.map(|at| at.to_iso(offset_minutes)),
                pending: row.pending,
                software: row.software,
                revoked_at: row.revoked_at.map(|at| at.to_iso(offset_minutes)),
                quarantined: waiting(row.id),
            })
            .collect()
    }
}

/// `GET /api/devices`: all for assistants, administrators and managers without a team; a manager's own team's
/// for the others. To a rep there is no such list.
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let (rows, people, quarantine, offset) = everything(&app).await?;
    let seen = rows.into_iter().filter(|row| may_see(&caller.person, row, &people)).collect();
    if caller.person.role == Role::Rep {
        return Err(ApiError::NotFound);
    }
    Ok(Json(DeviceView::list(seen, &people, &quarantine, offset)).into_response())
}

/// `POST /api/devices/{id}/revoke`
pub async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(device): Path<String>,
) -> Result<Response, ApiError> {
    let device: DeviceId = device.parse().map_err(|_| ApiError::NotFound)?;
    let (rows, people, _, _) = everything(&app).await?;
    let seen = rows.iter().any(|row| row.id == device && may_see(&caller.person, row, &people));
    if caller.person.role == Role::Rep || !seen {
        return Err(ApiError::NotFound);
    }
    let revoked = app.hub.administer(Administration::RevokeDevice { device }).await;
    revoked.map_err(identity::administration_failed)?;
    tracing::info!("a device was revoked");
    Ok(axum::http::StatusCode::NO_CONTENT.into_response())
}

type Everything = (Vec<DeviceRow>, Vec<Person>, Vec<Quarantined>, i32);

async fn everything(app: &App) -> Result<Everything, ApiError> {
    let readers = app.hub.readers().clone();
    let task = tokio::task::spawn_blocking(move || {
        let rows = readers.with(devices::list)?;
        let quarantine = readers.with(|connection| quarantine::list(connection, None))?;
        let (people, settings) = readers.lookup(|lookup| {
            Ok((crate::store::Lookup::people(&lookup)?, crate::store::Lookup::settings(&lookup)?))
        })?;
        Ok((rows, people, quarantine, settings.offset_minutes))
    });
    task.await.map_err(|_| ApiError::Unavailable)?.map_err(|failure| identity::unavailable(&failure))
}

fn may_see(by: &Person, row: &DeviceRow, people: &[Person]) -> bool {
    match (by.role, by.team) {
        (Role::Rep, _) => false,
        (Role::Assistant | Role::Admin, _) | (Role::Manager, None) => true,
        (Role::Manager, Some(team)) => {
            people.iter().any(|person| person.id == row.person && person.team == Some(team))
        }
    }
}
