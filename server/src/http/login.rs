//! Login, refresh, logout, tickets. The access token travels in the answer and lives in the page's memory;
//! the refresh token travels in a cookie that no script can read, bound to one device.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use axum::http::{Extensions, HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use shared::id::{ChangeHash, DeviceId, IncarnationId, PersonId, TeamId};
use shared::ledger::{Person, Role};
use shared::protocol::PendingCounts;
use shared::refusal::{Refusal, Rule};
use std::net::{IpAddr, Ipv4Addr};

use crate::clock;
use crate::http::App;
use crate::http::accept::PeerAddress;
use crate::http::auth::token;
use crate::http::error::ApiError;
use crate::http::identity::{self, Caller};
use crate::hub::Administration;
use crate::store::auth::{self, RefreshToken, Rotation};
use crate::store::{DeviceRow, Lookup};

const COOKIE_NAME: &str = "daybook_refresh";

/// Characters of a device's label that are kept.
const LABEL_CHARS_MAX: usize = 80;

/// A refresh token in text is 64 hexadecimal digits, like a hash.
type TokenText = ChangeHash;

#[derive(Deserialize)]
pub struct LoginBody {
    name: String,
    password: String,
    device: Option<DeviceId>,
    #[serde(default)]
    label: String,
}

#[derive(Serialize)]
struct LoginAnswer {
    access_token: String,
    expires_in: u64,
    person: PersonAnswer,
    device: DeviceId,
    incarnation: IncarnationId,
}

#[derive(Serialize)]
struct PersonAnswer {
    id: PersonId,
    name: String,
    role: Role,
    team: Option<TeamId>,
    team_name: Option<String>,
}

#[derive(Serialize)]
struct TicketAnswer {
    ticket: String,
}

/// `POST /api/login`
pub async fn login(
    State(app): State<App>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Result<Json<LoginBody>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(body) = body.map_err(|rejection| match rejection {
        JsonRejection::BytesRejection(_) => ApiError::TooLarge,
        _ => ApiError::Malformed,
    })?;
    let address = caller_address(&app, &headers, &extensions);
    app.brake.attempt(&body.name, address).map_err(|_| ApiError::TooManyAttempts)?;
    let person = check_password(&app, body.name, body.password).await?;
    let device = settle_device(&app, &person, body.device).await?;
    let label: String = body.label.trim().chars().take(LABEL_CHARS_MAX).collect();
    let refresh: RefreshToken = clock::random();
    let row = DeviceRow {
        id: device,
        person: person.id,
        label,
        created_at: clock::utc_now(),
        last_contact_at: None,
        pending: PendingCounts::default(),
        software: String::new(),
        revoked_at: None,
    };
    app.hub.administer(Administration::PutDevice(row)).await.map_err(identity::administration_failed)?;
    let begun =
        app.hub.write(move |connection| auth::begin_family(connection, device, &refresh, clock::utc_now()));
    begun.await.map_err(|failure| identity::unavailable(&failure))?;
    metrics::counter!("daybook_logins_total", "result" => "ok").increment(1);
    answer(&app, person, device, &refresh).await
}

async fn check_password(app: &App, name: String, password: String) -> Result<Person, ApiError> {
    let readers = app.hub.readers().clone();
    let found =
        tokio::task::spawn_blocking(move || readers.with(|connection| auth::login(connection, &name)));
    let found = found.await.map_err(|_| ApiError::Unavailable)?;
    let login = found.map_err(|failure| identity::unavailable(&failure))?;
    // A disabled person's hash is left out, so that person, an unknown one and a wrong password cost the same.
    let active = login.filter(|login| login.person.active);
    let hash = active.as_ref().and_then(|login| login.password.clone());
    if !app.passwords.verify(password, hash).await {
        metrics::counter!("daybook_logins_total", "result" => "refused").increment(1);
        return Err(ApiError::WrongLogin);
    }
    active.map(|login| login.person).ok_or(ApiError::WrongLogin)
}

/// The device that logs in: the one that it says it is, if that is this person's or nobody's; else a new one.
/// Nobody's happens after a restore from a backup: the phone keeps its name, and with it its actors (S14).
async fn settle_device(app: &App, person: &Person, claimed: Option<DeviceId>) -> Result<DeviceId, ApiError> {
    let fresh = DeviceId(clock::random());
    let Some(claimed) = claimed else {
        return Ok(fresh);
    };
    match identity::read(app, move |lookup| lookup.device(claimed)).await? {
        None => Ok(claimed),
        Some(row) if row.person != person.id => Ok(fresh),
        Some(row) if row.revoked_at.is_some() => Err(ApiError::Refused(Refusal::from(Rule::AccessEnded))),
        Some(_) => Ok(claimed),
    }
}

/// `POST /api/refresh`
pub async fn refresh(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    let token = refresh_cookie(&headers).ok_or(ApiError::Unauthenticated)?;
    // A device that was switched off keeps its token: it still opens the door of the quarantine (S6).
    refuse_ended(&app, token).await?;
    let successor = app.keys.successor(&token);
    let rotation =
        app.hub.write(move |connection| auth::rotate(connection, &token, &successor, clock::utc_now()));
    let device = match rotation.await.map_err(|failure| identity::unavailable(&failure))? {
        Rotation::Rotated(device) | Rotation::Repeated(device) => device,
        Rotation::Reused => {
            tracing::warn!("a refresh token was used twice: its family is void");
            metrics::counter!("daybook_refresh_reuse_total").increment(1);
            return Err(ApiError::Unauthenticated);
        }
        Rotation::Unknown => return Err(ApiError::Unauthenticated),
    };
    let row = identity::read(&app, move |lookup| lookup.device(device)).await?;
    let row = row.ok_or(ApiError::Unauthenticated)?;
    let caller = identity::look_up(&app, row.person, device).await?;
    answer(&app, caller.person, device, &successor).await
}

async fn refuse_ended(app: &App, token: RefreshToken) -> Result<(), ApiError> {
    if device_of_token(app, token).await?.is_some_and(|device| device.ended) {
        return Err(ApiError::Refused(Refusal::from(Rule::AccessEnded)));
    }
    Ok(())
}

/// The device of a refresh token.
pub(super) struct TokenDevice {
    /// Its id.
    pub(super) id: DeviceId,
    /// Whether it was switched off, itself or with its person.
    pub(super) ended: bool,
}

/// The device of a refresh token, used or not, without using it up; none if nobody knows the token.
pub(super) async fn device_of_token(app: &App, token: RefreshToken) -> Result<Option<TokenDevice>, ApiError> {
    let readers = app.hub.readers().clone();
    let found = tokio::task::spawn_blocking(move || {
        let device = readers.with(|connection| auth::device_of(connection, &token))?;
        readers.lookup(|lookup| {
            let Some(row) = device.map(|id| lookup.device(id)).transpose()?.flatten() else {
                return Ok(None);
            };
            let active = lookup.person(row.person)?.is_some_and(|person| person.active);
            Ok(Some(TokenDevice { id: row.id, ended: row.revoked_at.is_some() || !active }))
        })
    });
    let found = found.await.map_err(|_| ApiError::Unavailable)?;
    found.map_err(|failure| identity::unavailable(&failure))
}

async fn answer(
    app: &App,
    person: Person,
    device: DeviceId,
    refresh: &RefreshToken,
) -> Result<Response, ApiError> {
    let team = person.team;
    let teams = identity::read(app, |lookup| lookup.teams()).await?;
    let team_name = teams.into_iter().find(|known| Some(known.id) == team).map(|known| known.name);
    let body = LoginAnswer {
        access_token: app.keys.issue(person.id, device, token::seconds_now()),
        expires_in: token::ACCESS_SECONDS,
        person: PersonAnswer { id: person.id, name: person.name, role: person.role, team, team_name },
        device,
        incarnation: app.hub.incarnation(),
    };
    let seconds = auth::REFRESH_MS_MAX / 1000;
    let cookie =
        set_cookie(app, &TokenText::from_slice(refresh).map_or_else(String::new, |t| t.to_string()), seconds);
    Ok(([(SET_COOKIE, cookie), (CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body))
        .into_response())
}

/// `POST /api/logout`: the device stays registered, its refresh tokens are void. Always succeeds.
pub async fn logout(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(token) = refresh_cookie(&headers) {
        let written = app.hub.write(move |connection| auth::forget_family(connection, &token)).await;
        written.map_err(|failure| identity::unavailable(&failure))?;
    }
    Ok(([(SET_COOKIE, set_cookie(&app, "", 0))], axum::http::StatusCode::NO_CONTENT).into_response())
}

/// `POST /api/ticket`
pub async fn ticket(State(app): State<App>, caller: Caller) -> Response {
    let ticket = app.tickets.draw(caller.person.id, caller.device, clock::monotonic_ms());
    let ticket = TokenText::from_slice(&ticket).map_or_else(String::new, |text| text.to_string());
    ([(CACHE_CONTROL, "no-store")], Json(TicketAnswer { ticket })).into_response()
}

fn set_cookie(app: &App, value: &str, max_age_seconds: i64) -> HeaderValue {
    let secure = if app.config.https { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE_NAME}={value}; HttpOnly; SameSite=Strict; Path=/api; Max-Age={max_age_seconds}{secure}"
    );
    HeaderValue::from_str(&cookie).expect("hexadecimal digits and ASCII")
}

pub(super) fn refresh_cookie(headers: &HeaderMap) -> Option<RefreshToken> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
        .and_then(|text| text.parse::<TokenText>().ok())
        .map(|token| token.0)
}

fn caller_address(app: &App, headers: &HeaderMap, extensions: &Extensions) -> IpAddr {
    let told = app.config.address_header.as_ref().and_then(|name| headers.get(name.as_str()));
    let told = told.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let peer = extensions.get::<PeerAddress>().map(|peer| peer.0);
    told.or(peer).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
