//! `POST /sync`: the frames of a socket in one request and its answer, for background sync, scripts and
//! proxies that break sockets. The body is a CBOR sequence (RFC 8742), the answer too.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use shared::limits;

use crate::http::App;
use crate::http::error::ApiError;
use crate::http::identity::Caller;

/// Bytes of one request: eight full frames.
pub const BODY_BYTES_MAX: usize = 8 * limits::FRAME_BYTES_MAX;

/// Frames of one request.
const FRAMES_MAX: usize = 64;

/// `POST /sync`
pub async fn exchange(
    State(app): State<App>,
    caller: Caller,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|_| ApiError::TooLarge)?;
    let frames = split(&body)?;
    let identity = caller.identity();
    let exchanged = app.hub.exchange(identity, frames).await.map_err(|_| ApiError::Unavailable)?;
    app.conduct.atone(identity.device, exchanged.offences).await;
    let body: Vec<u8> = exchanged.answers.iter().flat_map(|answer| answer.iter().copied()).collect();
    Ok(([(CONTENT_TYPE, "application/cbor-seq"), (CACHE_CONTROL, "no-store")], body).into_response())
}

/// Cuts a sequence into frames without understanding them.
pub(super) fn split(body: &[u8]) -> Result<Vec<Vec<u8>>, ApiError> {
    let mut frames = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let mut decoder = minicbor::Decoder::new(rest);
        decoder.skip().map_err(|_| ApiError::Malformed)?;
        let (frame, after) = rest.split_at(decoder.position());
        if frame.len() > limits::FRAME_BYTES_MAX || frames.len() >= FRAMES_MAX {
            return Err(ApiError::TooLarge);
        }
        frames.push(frame.to_vec());
        rest = after;
    }
    if frames.is_empty() { Err(ApiError::Malformed) } else { Ok(frames) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-8
    #[test]
    fn a_sequence_is_cut_at_its_items_and_garbage_is_refused() {
        assert_eq!(split(&[0x01, 0x82, 0x01, 0x02]), Ok(vec![vec![0x01], vec![0x82, 0x01, 0x02]]));
        assert_eq!(split(&[]), Err(ApiError::Malformed));
        assert_eq!(split(&[0x82, 0x01]), Err(ApiError::Malformed));
        assert_eq!(split(&[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Err(ApiError::Malformed));
        assert_eq!(split(&[0x00; FRAMES_MAX + 1]), Err(ApiError::TooLarge));
        // A thousand nested arrays must not overflow the stack.
        assert_eq!(split(&[0x81; 100_000]), Err(ApiError::Malformed));
    }
}
