//! What went wrong, as RFC 9457 problem documents.
//! Promise: one place turns an error into a status; what a caller may not see is 404, and looks like what is not there.
//! Never: no source of an internal failure leaves the house: it goes to the log, under the request's id.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Error, ErrorKind};

/// RFC 9457.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:bonded:problem:<kind>`; stable.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    /// What it is about, and the mend.
    detail: String,
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

/// The answer of every handler.
pub type Answer<T> = Result<T, Problem>;

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str, detail: impl Into<String>) -> Self {
        let kind = format!("urn:bonded:problem:{kind}");
        Self { kind, title, status: status.as_u16(), detail: detail.into(), retry_after_s: None }
    }

    /// Not well formed as a request.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "the request is not well formed", detail)
    }

    /// Well formed, and not possible.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "the request cannot be carried out", detail)
    }

    pub fn sign_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "sign-in", "no valid sign-in", "sign in, or send a valid token")
    }

    /// E-mail, password, code or link do not fit; which of them is not told.
    pub fn credentials(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "credentials", "not accepted", detail)
    }

    pub fn unavailable() -> Self {
        let down = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "cannot work now", "try again in a moment");
        Self { retry_after_s: Some(5), ..down }
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "not allowed", detail)
    }

    pub fn second_factor(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "second-factor", "a second factor is needed", detail)
    }

    pub fn step_up() -> Self {
        let detail = "show your second factor or password again: POST /v1/step-up";
        Self::new(StatusCode::FORBIDDEN, "step-up", "a fresh proof is needed", detail)
    }

    /// Not there, or not to be seen: both say the same.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "not found", "there is nothing at this address")
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "in conflict with what is there", detail)
    }

    /// Bytes that are not what was said of them: tus' own status.
    pub fn checksum(detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, "checksum", "not what was announced", detail)
    }

    pub fn busy(detail: impl Into<String>, retry_after_s: u64) -> Self {
        let busy = Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", "too many requests", detail);
        Self { retry_after_s: Some(retry_after_s), ..busy }
    }

    /// Of a status that a layer beneath decided on.
    pub fn of_status(status: StatusCode) -> Self {
        let (kind, title, detail) = match status {
            StatusCode::NOT_FOUND => return Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("method", "method not allowed", "this address takes another method; see /openapi.json")
            }
            StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "too large", "the body is larger than this address takes"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("media-type", "media type not supported", "see /openapi.json for what this address takes")
            }
            StatusCode::REQUEST_TIMEOUT => ("timeout", "took too long", "the request did not end in time; nothing is half done"),
            StatusCode::BAD_REQUEST => ("malformed", "the request is not well formed", "see /openapi.json"),
            StatusCode::UNPROCESSABLE_ENTITY => ("invalid", "the request cannot be carried out", "see /openapi.json"),
            StatusCode::NOT_ACCEPTABLE => ("not-acceptable", "no such form", "see /openapi.json for the forms of this answer"),
            _ if status.is_client_error() => ("refused", "refused", "see /openapi.json"),
            _ => return Self::internal(),
        };
        Self::new(status, kind, title, detail)
    }

    pub fn internal() -> Self {
        let detail = "this is ours to mend; the log has it under this request's id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "failed", detail)
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// For the audit trail.
    pub fn told(&self) -> &'static str {
        self.title
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Input => Self::invalid(error.to_string()),
            ErrorKind::Missing => Self::not_found(),
            ErrorKind::Refused => Self::forbidden(error.to_string()),
            ErrorKind::Retry => {
                let busy = Self::new(StatusCode::SERVICE_UNAVAILABLE, "retry", "busy", "try again in a moment");
                tracing::warn!(target: "api.retry", %error);
                Self { retry_after_s: Some(1), ..busy }
            }
            ErrorKind::Setup | ErrorKind::Damaged | ErrorKind::Internal => {
                tracing::error!(target: "api.failed", kind = ?error.kind(), %error);
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, wait) = (self.status(), self.retry_after_s);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = wait {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
