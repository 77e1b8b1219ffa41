//! The browser app inside the binary: files of `pwa/dist` with their `.br` and `.gz` twins, cached for ever
//! where the name carries a hash, never otherwise. Unknown paths that a person may have typed get the app
//! itself, which has its own router.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::http::error::ApiError;

#[derive(RustEmbed)]
#[folder = "../pwa/dist"]
#[allow_missing = true]
struct Dist;

const INDEX: &str = "index.html";
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_FIRST: &str = "no-cache";

/// What a binary without the app says in its place.
const NOT_BUILT: &str = "<!doctype html><html lang=\"zh-CN\"><meta charset=\"utf-8\"><title>Daybook</title>\
    <p>此程序未包含网页应用；请用 cargo xtask pwa 构建后重新编译。</p>\
    <p>This binary was built without the browser app: run cargo xtask pwa, then build again.</p></html>";

/// Answers with the file at the path.
pub async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") || path == "sync" || path.starts_with("sync/") {
        return ApiError::NotFound.into_response();
    }
    let path = if path.is_empty() { INDEX } else { path };
    if let Some(response) = file(path, &headers) {
        return response;
    }
    // A missing script must not be answered with a page: the browser would cache it as the script.
    let is_file_name = path.rsplit('/').next().is_some_and(|last| last.contains('.'));
    if is_file_name && path != INDEX {
        return ApiError::NotFound.into_response();
    }
    file(INDEX, &headers).unwrap_or_else(not_built)
}

fn not_built() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::OK, headers, NOT_BUILT).into_response()
}

fn file(path: &str, headers: &HeaderMap) -> Option<Response> {
    // Twins are answers to a negotiation, not files of their own.
    if path.ends_with(".br") || path.ends_with(".gz") {
        return None;
    }
    let plain = Dist::get(path)?;
    let etag = format!("\"{}\"", hex(&plain.metadata.sha256_hash()[..16]));
    let mut response = Response::new(Body::empty());
    let out = response.headers_mut();
    out.insert(header::ETAG, HeaderValue::from_str(&etag).expect("hexadecimal digits"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching(path)));
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let asked = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if asked.is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Some(response);
    }
    let (data, encoding) = best_twin(path, plain.data, headers);
    if let Some(encoding) = encoding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    *response.body_mut() = match data {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    Some(response)
}

fn best_twin(
    path: &str,
    plain: Cow<'static, [u8]>,
    headers: &HeaderMap,
) -> (Cow<'static, [u8]>, Option<&'static str>) {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
    for (encoding, suffix) in [("br", "br"), ("gzip", "gz")] {
        if accepts(accepted, encoding)
            && let Some(twin) = Dist::get(&format!("{path}.{suffix}"))
        {
            return (twin.data, Some(encoding));
        }
    }
    (plain, None)
}

fn accepts(header: &str, encoding: &str) -> bool {
    header.split(',').any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        named && !refused
    })
}

/// Vite puts what it names by content into `assets/`.
fn caching(path: &str) -> &'static str {
    if path.starts_with("assets/") { FOR_EVER } else { ASK_FIRST }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "webmanifest" => "application/manifest+json",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "jpg" | "jpeg" => "image/jpeg",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_accepted_where_it_is_named_and_not_refused() {
        assert!(accepts("gzip, deflate, br;q=0.9", "br"));
        assert!(!accepts("gzip, br;q=0", "br"));
        assert!(!accepts("", "gzip"));
        assert!(!accepts("brotli", "br"));
    }

    // SEC-9
    #[tokio::test]
    async fn an_unknown_page_is_the_app_and_an_unknown_file_is_not() {
        let page = serve(Uri::from_static("/customers/12"), HeaderMap::new()).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let script = serve(Uri::from_static("/assets/gone-12345678.js"), HeaderMap::new()).await;
        assert_eq!(script.status(), StatusCode::NOT_FOUND);
        let api = serve(Uri::from_static("/api/gone"), HeaderMap::new()).await;
        assert_eq!(api.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_types_that_browsers_insist_on() {
        assert_eq!(content_type("assets/core-1a2b.wasm"), "application/wasm");
        assert_eq!(content_type("manifest.webmanifest"), "application/manifest+json");
        assert_eq!(content_type("sw.js"), "text/javascript; charset=utf-8");
        assert_eq!(caching("sw.js"), ASK_FIRST);
        assert_eq!(caching("assets/index-1a2b.js"), FOR_EVER);
    }
}
