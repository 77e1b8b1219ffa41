//! The server's face: routes, sockets, authentication, the embedded app. Hands frames to the hub and knows
//! nothing of documents.

pub mod error;
pub mod auth;
pub mod accept;
mod assets;
mod headers;
mod health;
mod identity;
mod login;
pub mod devices;
mod conduct;
mod files;
mod socket;
mod exchange;
mod handover;
pub mod quarantine;
pub mod serve;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post, put};
use tower_http::timeout::TimeoutLayer;

use crate::admission::PoolCounts;
use crate::config::Config;
use crate::http::auth::guess::GuessBrake;
use crate::http::auth::password::Verifier;
use crate::http::auth::ticket::Tickets;
use crate::http::auth::token::Keys;
use crate::http::conduct::Conduct;
use crate::hub::HubHandle;
use crate::store::files::{FileStore, PART_BYTES_MAX};

/// What every request may use. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    /// How this server is operated.
    pub config: Config,
    /// The server's secrets.
    pub keys: Keys,
    /// The way to the hub.
    pub hub: HubHandle,
    /// Socket tickets that were drawn and not used.
    pub tickets: Tickets,
    /// Lives and deaths of the admission workers.
    pub workers: PoolCounts,
    /// The brake on guessing passwords.
    pub brake: GuessBrake,
    /// What devices have to answer for.
    pub conduct: Conduct,
    /// Verifies passwords.
    pub passwords: Verifier,
    /// Photos.
    pub files: FileStore,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Puts the parts together.
    pub fn new(config: Config, keys: Keys, hub: HubHandle, workers: PoolCounts, files: FileStore) -> App {
        let brake = GuessBrake::new(config.login_per_minute_by_name, config.login_per_minute_by_address);
        App(Arc::new(Parts {
            config,
            keys,
            hub,
            workers,
            tickets: Tickets::default(),
            brake,
            conduct: Conduct::default(),
            passwords: Verifier::default(),
            files,
        }))
    }
}

/// Bytes of a request to the interface for people: names, passwords, labels.
const API_BODY_BYTES_MAX: usize = 16 * 1024;

/// Time for one request, from its head to its answer. Sockets end theirs with the upgrade.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Every route.
pub fn router(app: App) -> Router {
    let api = Router::new()
        .route("/api/login", post(login::login))
        .route("/api/refresh", post(login::refresh))
        .route("/api/logout", post(login::logout))
        .route("/api/ticket", post(login::ticket))
        .route("/api/devices", get(devices::list))
        .route("/api/devices/{id}/revoke", post(devices::revoke))
        .route("/api/devices/{id}/restore", post(quarantine::restore))
        .route("/api/quarantine", get(quarantine::list))
        .layer(DefaultBodyLimit::max(API_BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(API_BODY_BYTES_MAX, headers::refuse_long));
    let files = Router::new()
        .route("/api/files/{id}", get(files::download).put(files::upload))
        .route("/api/files/{id}/held", get(files::held))
        .route("/api/handover/files/{id}", put(handover::upload))
        .route("/api/handover/files/{id}/held", get(handover::held))
        .layer(DefaultBodyLimit::max(PART_BYTES_MAX))
        .layer(middleware::from_fn_with_state(PART_BYTES_MAX, headers::refuse_long));
    let sync = Router::new()
        .route("/sync", post(exchange::exchange))
        .layer(DefaultBodyLimit::max(exchange::BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(exchange::BODY_BYTES_MAX, headers::refuse_long))
        .route("/api/handover", post(handover::hand_over))
        .route("/sync/ws", get(socket::open));
    let health = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics));
    Router::new()
        .merge(api)
        .merge(files)
        .merge(sync)
        .merge(health)
        .fallback(get(assets::serve))
        .method_not_allowed_fallback(async || error::ApiError::NotFound)
        .layer(middleware::from_fn_with_state(app.clone(), headers::check_origin))
        .layer(middleware::from_fn(headers::add_safety))
        .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .with_state(app)
}
