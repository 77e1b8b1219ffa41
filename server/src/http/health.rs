//! `/healthz`: the process answers. `/readyz`: the hub's thread and the store answer. `/metrics`: figures for
//! Prometheus, none of them about a person.

use std::fmt::Write;
use std::sync::OnceLock;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::http::App;
use crate::http::error::ApiError;
use crate::http::identity;
use crate::hub::Stats;
use crate::store::Lookup;

/// `GET /healthz`
pub async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`
pub async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    identity::read(&app, |lookup| lookup.head()).await?;
    // A write of nothing needs no room on the disk; what was last written in earnest says whether there is any.
    if !app.hub.stats().store_writable {
        return Err(ApiError::StoreUnavailable);
    }
    // It passes through the hub's thread: that answers, and the database is not locked.
    app.hub.write(|_| Ok(())).await.map_err(|failure| identity::unavailable(&failure))?;
    Ok("ready\n")
}

/// `GET /metrics`
pub async fn metrics(State(app): State<App>) -> Response {
    let mut text = recorder().map(PrometheusHandle::render).unwrap_or_default();
    let workers = [
        ("daybook_admission_worker_deaths_total", "counter", app.workers.deaths()),
        ("daybook_admission_worker_starts_total", "counter", app.workers.starts()),
    ];
    for (name, kind, value) in figures(&app.hub.stats()).into_iter().chain(workers) {
        writeln!(text, "# TYPE {name} {kind}\n{name} {value}").expect("writing to a string cannot fail");
    }
    (StatusCode::OK, [(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

fn figures(stats: &Stats) -> [(&'static str, &'static str, u64); 13] {
    [
        ("daybook_sessions", "gauge", stats.sessions),
        ("daybook_pushes_waiting", "gauge", stats.pushes_waiting),
        ("daybook_commits_total", "counter", stats.commits),
        ("daybook_items_accepted_total", "counter", stats.items_accepted),
        ("daybook_items_refused_total", "counter", stats.items_refused),
        ("daybook_items_held_total", "counter", stats.items_held),
        ("daybook_items_known_total", "counter", stats.items_known),
        ("daybook_store_failures_total", "counter", stats.store_failures),
        ("daybook_store_writable", "gauge", u64::from(stats.store_writable)),
        ("daybook_digest_mismatches_total", "counter", stats.digest_mismatches),
        ("daybook_pages_from_ring_total", "counter", stats.pages_from_ring),
        ("daybook_pages_from_store_total", "counter", stats.pages_from_store),
        ("daybook_head_seq", "gauge", stats.head),
    ]
}

/// The process's recorder; installed once, by the first server in it.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().ok()).as_ref()
}
