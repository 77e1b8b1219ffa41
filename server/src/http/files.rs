//! Photos over HTTP: parts go up and are kept where they were cut, whole files come down to whoever may read the
//! visit that shows them (S10). A part is answered after it is on disk; the whole after its hash was verified.

use std::io::Read as _;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use shared::id::{DeviceId, DocId, Scope};
use shared::ledger::Person;
use shared::projection::Projection;

use crate::http::App;
use crate::http::error::ApiError;
use crate::http::identity::{self, Caller};
use crate::store::files::{FILE_BYTES_MAX, FileError, FileId, FileStore, Held, Part};
use crate::store::{Lookup, StoreFailure};

/// What the server holds of a file, as programs read it.
#[derive(Serialize)]
struct HeldView {
    /// Bytes on disk, from the first on: where to go on.
    held: u64,
    /// Whether that is all of it, with the right hash: only then may the original be evicted.
    whole: bool,
}

impl From<Held> for HeldView {
    fn from(held: Held) -> Self {
        match held {
            Held::Part(held) => HeldView { held, whole: false },
            Held::Whole(held) => HeldView { held, whole: true },
        }
    }
}

/// Which part of the file the body is.
#[derive(Deserialize)]
pub struct Place {
    /// The place of its first byte.
    offset: u64,
    /// The length of the whole file.
    total: u64,
}

/// In which visit the caller saw the photo.
#[derive(Deserialize)]
pub struct SeenIn {
    visit: DocId,
}

/// `GET /api/files/{id}/held`: where to go on.
pub async fn held(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    held_of(&app, caller.device, &id).await
}

/// Where a device goes on with a file.
pub(super) async fn held_of(app: &App, device: DeviceId, id: &str) -> Result<Response, ApiError> {
    let id = FileId::parse(id).ok_or(ApiError::NotFound)?;
    let held = on_disk(app, move |files| files.held(id, device)).await?;
    Ok(Json(HeldView::from(held.map_err(|error| failed(&error.into()))?)).into_response())
}

/// `PUT /api/files/{id}?offset=…&total=…`: one part. A part out of place is answered 409 with where to go on.
pub async fn upload(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(place): Query<Place>,
    body: Bytes,
) -> Result<Response, ApiError> {
    take(&app, caller.device, &id, place, body).await
}

/// Takes a part from a device.
pub(super) async fn take(
    app: &App,
    device: DeviceId,
    id: &str,
    Place { offset, total }: Place,
    body: Bytes,
) -> Result<Response, ApiError> {
    let id = FileId::parse(id).ok_or(ApiError::NotFound)?;
    match on_disk(app, move |files| files.append(id, device, Part { offset, total, bytes: &body })).await? {
        Ok(held) => Ok(Json(HeldView::from(held)).into_response()),
        Err(FileError::WrongOffset(held)) => {
            let view = HeldView::from(Held::Part(held));
            Ok((StatusCode::CONFLICT, Json(view)).into_response())
        }
        Err(error) => Err(failed(&error)),
    }
}

/// `GET /api/files/{id}?visit=…`: the photo, for whoever may read that visit.
pub async fn download(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(seen): Query<SeenIn>,
) -> Result<Response, ApiError> {
    let id = FileId::parse(&id).ok_or(ApiError::NotFound)?;
    let shown =
        identity::read(&app, move |lookup| is_shown_to(&lookup, &caller.person, seen.visit, id)).await?;
    if !shown {
        return Err(ApiError::NotFound);
    }
    let bytes = on_disk(&app, move |files| {
        let Some(file) = files.open_whole(id)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    });
    let bytes =
        bytes.await?.map_err(|error: std::io::Error| failed(&error.into()))?.ok_or(ApiError::NotFound)?;
    let mut response = Response::new(bytes.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    Ok(response)
}

fn is_shown_to(
    lookup: &impl Lookup,
    person: &Person,
    visit: DocId,
    id: FileId,
) -> Result<bool, StoreFailure> {
    let Some(document) = lookup.document(visit)? else { return Ok(false) };
    if !may_read(lookup, person, document.scope)? {
        return Ok(false);
    }
    let bytes = lookup.projection(visit)?.ok_or(StoreFailure::Damaged("projection"))?;
    let projection: Projection = minicbor::decode(&bytes).map_err(|_| StoreFailure::Damaged("projection"))?;
    let name = id.to_string();
    Ok(matches!(projection, Projection::Visit(visit) if visit.photos.contains(&name)))
}

fn may_read(lookup: &impl Lookup, person: &Person, scope: Scope) -> Result<bool, StoreFailure> {
    let principals = person.principals();
    let grants = lookup.grants_of(scope)?;
    Ok(grants.iter().any(|grant| grant.until_seq.is_none() && principals.contains(&grant.principal)))
}

async fn on_disk<T: Send + 'static>(
    app: &App,
    body: impl FnOnce(&FileStore) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let files = app.files.clone();
    tokio::task::spawn_blocking(move || body(&files)).await.map_err(|_| ApiError::Unavailable)
}

fn failed(error: &FileError) -> ApiError {
    match error {
        FileError::TooLarge => ApiError::TooLarge,
        FileError::WrongHash | FileError::WrongOffset(_) => ApiError::Malformed,
        FileError::Io(failure) => {
            tracing::error!(%failure, "the file store failed");
            ApiError::StoreUnavailable
        }
    }
}
