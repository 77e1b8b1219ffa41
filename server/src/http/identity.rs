//! From a bearer token to a person on a device, looked up anew at every request: a revoked device or a
//! disabled person is out at once, whatever the token says.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use shared::id::{DeviceId, PersonId};
use shared::ledger::Person;
use shared::refusal::{Refusal, Rule};

use crate::http::App;
use crate::http::error::ApiError;
use crate::hub::{AdministrationFailure, Identity};
use crate::store::{Lookup, StoreFailure};

/// Somebody who holds a valid access token on a device that is in use.
pub struct Caller {
    /// The person.
    pub person: Person,
    /// The device.
    pub device: DeviceId,
}

impl Caller {
    /// Who the hub hears speaking.
    pub fn identity(&self) -> Identity {
        Identity { person: self.person.id, device: self.device }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Caller, ApiError> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token =
            header.and_then(|value| value.strip_prefix("Bearer ")).ok_or(ApiError::Unauthenticated)?;
        let claims = app.keys.check(token).map_err(|_| ApiError::Unauthenticated)?;
        look_up(app, claims.sub, claims.device).await
    }
}

/// The person on the device, if both are in use.
///
/// # Errors
/// `Unauthenticated` if they do not belong together; `Refused(AccessEnded)` if either was switched off.
pub async fn look_up(app: &App, person: PersonId, device: DeviceId) -> Result<Caller, ApiError> {
    let found = read(app, move |lookup| Ok((lookup.person(person)?, lookup.device(device)?))).await?;
    let (Some(person), Some(device)) = found else {
        return Err(ApiError::Unauthenticated);
    };
    if device.person != person.id {
        return Err(ApiError::Unauthenticated);
    }
    if device.revoked_at.is_some() || !person.active {
        return Err(ApiError::Refused(Refusal::from(Rule::AccessEnded)));
    }
    Ok(Caller { person, device: device.id })
}

/// Asks the store on a blocking thread.
///
/// # Errors
/// `StoreUnavailable` if the store fails, which is logged.
pub async fn read<T: Send + 'static>(
    app: &App,
    body: impl FnOnce(crate::store::SqliteLookup<'_>) -> Result<T, StoreFailure> + Send + 'static,
) -> Result<T, ApiError> {
    let readers = app.hub.readers().clone();
    let task = tokio::task::spawn_blocking(move || readers.lookup(body));
    match task.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(failure)) => Err(unavailable(&failure)),
        Err(_) => Err(ApiError::Unavailable),
    }
}

/// Logs a failure of the store and says what the caller hears.
pub fn unavailable(failure: &StoreFailure) -> ApiError {
    tracing::error!(%failure, "the store failed");
    ApiError::StoreUnavailable
}

/// What the caller hears of an administrator's wish that was not fulfilled.
pub fn administration_failed(failure: AdministrationFailure) -> ApiError {
    match failure {
        AdministrationFailure::Refused(refusal) if refusal.rule == Rule::NotFound => ApiError::NotFound,
        AdministrationFailure::Refused(refusal) => ApiError::Refused(refusal),
        AdministrationFailure::Store(failure) => unavailable(&failure),
    }
}
