//! The one door of a device that was switched off, itself or with its person (S6): it hands its unsent work over
//! into quarantine, and the photos that the work shows to the photo store. Nothing comes out of it.

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use shared::id::{DeviceId, Seq};
use shared::limits;
use shared::protocol::{
    Ack, ClientFrame, ItemResult, Push, PushItem, ServerFrame, decode_client_frame, encode,
};

use crate::clock;
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::exchange::split;
use crate::http::files::{self, Place};
use crate::http::identity;
use crate::http::login::{device_of_token, refresh_cookie};
use crate::hub::Administration;

/// A device that was switched off, known by its refresh token, which this does not use up.
pub struct Ended(DeviceId);

impl FromRequestParts<App> for Ended {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Ended, ApiError> {
        let token = refresh_cookie(&parts.headers).ok_or(ApiError::Unauthenticated)?;
        let device = device_of_token(app, token).await?.ok_or(ApiError::Unauthenticated)?;
        device.ended.then_some(Ended(device.id)).ok_or(ApiError::NotFound)
    }
}

/// `POST /api/handover`: pushes of a device that was switched off; the answer is one acknowledgement a push, after
/// all of them are on disk. To any other device there is no such door.
pub async fn hand_over(
    State(app): State<App>,
    Ended(device): Ended,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|_| ApiError::TooLarge)?;
    let pushes = read(&body)?;
    let answer = acknowledged(&pushes);
    let items: Vec<PushItem> = pushes.into_iter().flat_map(|push| push.items).collect();
    let count = items.len();
    let kept = app.hub.administer(Administration::Quarantine { device, items }).await;
    kept.map_err(identity::administration_failed)?;
    tracing::info!(items = count, "a device that was switched off handed its work over");
    Ok(([(CONTENT_TYPE, "application/cbor-seq"), (CACHE_CONTROL, "no-store")], answer).into_response())
}

/// `GET /api/handover/files/{id}/held`: as for a device in use.
pub async fn held(
    State(app): State<App>,
    Ended(device): Ended,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    files::held_of(&app, device, &id).await
}

/// `PUT /api/handover/files/{id}?offset=…&total=…`: as for a device in use.
pub async fn upload(
    State(app): State<App>,
    Ended(device): Ended,
    Path(id): Path<String>,
    Query(place): Query<Place>,
    body: Bytes,
) -> Result<Response, ApiError> {
    files::take(&app, device, &id, place, body).await
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
