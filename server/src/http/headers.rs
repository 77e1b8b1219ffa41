//! Headers that every answer carries, and the check of where a request comes from.

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::App;
use crate::http::error::ApiError;

/// Only what the app itself ships may run. WebAssembly needs `wasm-unsafe-eval`; photos are shown from
/// memory (`blob:`); the framework and the worker's loader register the two named policies.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
    style-src 'self'; img-src 'self' blob: data:; font-src 'self'; connect-src 'self'; worker-src 'self'; \
    manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types default svelte-trusted-html 'allow-duplicates'";

/// Adds the headers of safety to every answer.
pub async fn add_safety(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("permissions-policy"), "camera=(self), geolocation=(self), microphone=()");
    response
}

/// Turns away what a browser sends on behalf of another site: anything that changes state, and sockets.
/// Programs that are no browsers send no `Origin` and hold no cookies of somebody else.
pub async fn check_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_socket = request.headers().contains_key(header::UPGRADE);
    if (!is_safe || is_socket) && !origin_allowed(request.headers(), &app.config.origins) {
        return ApiError::OriginForeign.into_response();
    }
    next.run(request).await
}

/// Refuses a body that says itself that it is too long, before a byte of it is read. Bodies that do not say are
/// cut off where they pass the limit of their route.
pub async fn refuse_long(State(max): State<usize>, request: Request, next: Next) -> Response {
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > max as u64) {
        return ApiError::TooLarge.into_response();
    }
    next.run(request).await
}

fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    (authority.is_some() && authority == own) || allowed.iter().any(|entry| entry == origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    // SEC-5
    #[test]
    fn only_the_own_origin_and_listed_ones_pass() {
        let listed = ["https://crm.example.com".to_owned()];
        let host = (header::HOST, "10.0.0.1:8480");
        let passes = |origin| origin_allowed(&headers(&[host.clone(), (header::ORIGIN, origin)]), &listed);
        assert!(passes("http://10.0.0.1:8480"));
        assert!(passes("https://crm.example.com"));
        assert!(!passes("https://crm.example.com.evil.example"));
        assert!(!passes("http://10.0.0.1:8481"));
        assert!(!passes("null"));
        assert!(!passes("10.0.0.1:8480"));
        assert!(origin_allowed(&headers(&[host]), &listed), "no browser, no origin");
    }
}
