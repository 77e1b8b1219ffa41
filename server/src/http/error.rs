//! The one table from what went wrong to what the caller is told: status, code and a sentence in both
//! languages. "Not there" and "not yours" are one answer.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::refusal::{Refusal, Rule};

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// Name or password is wrong, or the person is disabled: one answer.
    WrongLogin,
    /// No token, or one that is not valid, or its device was revoked.
    Unauthenticated,
    /// There is no such thing, or the caller has no right to it.
    NotFound,
    /// The request could not be read.
    Malformed,
    /// The request is longer than its limit.
    TooLarge,
    /// A browser of a foreign site sent this.
    OriginForeign,
    /// Too many attempts for the moment.
    TooManyAttempts,
    /// The server took too long or is shutting down.
    Unavailable,
    /// The database or the photo store cannot write or read: the disk is full, most likely. It may pass, and
    /// phones try again.
    StoreUnavailable,
    /// A rule said no.
    Refused(Refusal),
}

#[derive(Serialize)]
struct Body {
    error: Told,
}

#[derive(Serialize)]
struct Told {
    code: String,
    zh: String,
    en: String,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            ApiError::WrongLogin | ApiError::Unauthenticated => StatusCode::UNAUTHORIZED,
            ApiError::NotFound => StatusCode::NOT_FOUND,
            ApiError::Malformed => StatusCode::BAD_REQUEST,
            ApiError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::OriginForeign => StatusCode::FORBIDDEN,
            ApiError::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            ApiError::Unavailable | ApiError::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::Refused(refusal) if refusal.rule == Rule::AccessEnded => StatusCode::FORBIDDEN,
            ApiError::Refused(_) => StatusCode::CONFLICT,
        }
    }

    /// The stable name of the error, for programs.
    pub fn code(&self) -> String {
        match self {
            ApiError::WrongLogin => "wrong_login".to_owned(),
            ApiError::Unauthenticated => "unauthenticated".to_owned(),
            ApiError::NotFound => "not_found".to_owned(),
            ApiError::Malformed => "malformed".to_owned(),
            ApiError::TooLarge => "too_large".to_owned(),
            ApiError::OriginForeign => "origin_foreign".to_owned(),
            ApiError::TooManyAttempts => "too_many_attempts".to_owned(),
            ApiError::Unavailable => "unavailable".to_owned(),
            ApiError::StoreUnavailable => "store_unavailable".to_owned(),
            ApiError::Refused(refusal) => serde_json::to_value(refusal.rule)
                .ok()
                .and_then(|name| name.as_str().map(str::to_owned))
                .unwrap_or_else(|| "refused".to_owned()),
        }
    }

    /// The sentence for a person, Chinese and English.
    pub fn told(&self) -> (&'static str, &'static str) {
        match self {
            ApiError::WrongLogin => {
                ("姓名或密码不对，或账号已停用。", "The name or password is wrong, or the account is off.")
            }
            ApiError::Unauthenticated => ("请重新登录。", "Please log in again."),
            ApiError::NotFound => {
                ("找不到，或者您没有权限。", "There is nothing here, or you have no right to it.")
            }
            ApiError::Malformed => ("请求无法识别。", "The request could not be read."),
            ApiError::TooLarge => ("请求过大。", "The request is too large."),
            ApiError::OriginForeign => {
                ("不接受来自其他网站的请求。", "Requests from other sites are not accepted.")
            }
            ApiError::TooManyAttempts => {
                ("尝试次数过多，请一分钟后再试。", "Too many attempts; please try again in a minute.")
            }
            ApiError::Unavailable => (
                "服务器暂时无法处理，请稍后再试。",
                "The server cannot answer right now; please try again later.",
            ),
            ApiError::StoreUnavailable => (Rule::StoreUnavailable.zh(), Rule::StoreUnavailable.en()),
            ApiError::Refused(refusal) => (refusal.rule.zh(), refusal.rule.en()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (zh, en) = self.told();
        let told = Told { code: self.code(), zh: zh.to_owned(), en: en.to_owned() };
        let mut response = (self.status(), Json(Body { error: told })).into_response();
        if self == ApiError::TooManyAttempts {
            response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static("60"));
        }
        response
    }
}
