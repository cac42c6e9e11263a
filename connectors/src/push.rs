//! The other side of the front desk: a client that delivers files in pieces, as a broker's machine does.
//! Promise: TLS by rustls, with pins where there are any; every answer is one of a few that the caller acts upon; no wait is
//! without an end.
//! Never: the token is sent anywhere but to the one server, after its certificate was checked; no redirect is followed; the
//! token is in no error and no log.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::{Method, RequestBuilder, StatusCode, header, redirect::Policy};
use ring::digest;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::{
    error::{Error, ErrorKind, Result},
    seal::cipher,
};

mod pin;
#[cfg(test)]
mod tests;

pub use pin::Pin;
use pin::WrongPin;

const CONNECT_MAX: Duration = Duration::from_secs(15);
/// Of an answer to something small.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// The server reads and seals the whole once more.
const FINISH_MAX: Duration = Duration::from_secs(3600);
/// A line slower than this is given up: 16 KiB a second.
const BYTES_PER_SECOND_MIN: u64 = 16 << 10;
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Told to wait longer, we ask again after this all the same.
const WAIT_MAX: Duration = Duration::from_secs(600);
const UPLOAD_OFFSET: &str = "upload-offset";

/// Whom to believe that they are the server.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// PEM certificates; those that browsers trust where there are none.
    pub authorities: Option<Vec<u8>>,
    /// The server's key is one of these; any is where there are none.
    pub pins: Vec<Pin>,
}

/// What is to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Announcement {
    pub file_name: String,
    pub size_bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<DateTime<Utc>>,
}

/// Where an upload stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Standing {
    pub upload_id: String,
    pub offset_bytes: u64,
    pub piece_bytes_min: u64,
    pub piece_bytes_max: u64,
}

/// What the server says of a file that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub delivery_id: String,
    pub state: String,
    pub queued: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    Going(Standing),
    /// These bytes are there already.
    Taken(Taken),
}

/// Why something was not done, by what to do about it.
#[derive(Debug)]
pub enum Failure {
    /// Try again: the line broke, or the server is busy. Not before `after`, where it said so.
    Later { why: String, after: Option<Duration> },
    /// Ask where the upload stands, and go on from there.
    Elsewhere,
    /// The piece is larger than something on the way takes.
    PieceTooLarge,
    /// Not with this token: it is not known, has ended, or may not deliver.
    Token(String),
    /// The server does not take this file.
    Unfit(String),
    /// Not with this set-up: the address, a certificate, a pin.
    Setup(Error),
}

/// One server.
#[derive(Clone)]
pub struct Desk {
    client: reqwest::Client,
    to: Url,
}

impl Desk {
    /// # Errors
    /// `Input` when `to` is no address that a token may be sent to; `Setup` when the authorities are none.
    pub fn new(to: &str, trust: &Trust) -> Result<Self> {
        let to = address(to)?;
        if to.scheme() != "https" && !trust.pins.is_empty() {
            return Err(Error::new(ErrorKind::Input, "a pin needs https://: without TLS no key is shown"));
        }
        let tls = pin::client_config(trust.authorities.as_deref(), &trust.pins)?;
        let mut builder = reqwest::Client::builder()
            .use_preconfigured_tls(tls)
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_MAX)
            .tcp_keepalive(Duration::from_secs(15))
            .pool_max_idle_per_host(1)
            .user_agent(concat!("bonded-push/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&to) {
            builder = builder.no_proxy();
        }
        let client = builder.build();
        let client = client.map_err(|error| Error::new(ErrorKind::Setup, "HTTPS client").with_source(error))?;
        Ok(Self { client, to })
    }

    /// For people.
    pub fn address(&self) -> &str {
        self.to.as_str()
    }

    pub async fn begin(&self, token: &str, what: &Announcement) -> std::result::Result<Begun, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            upload: Option<Standing>,
            delivery: Option<Taken>,
        }
        let asked = self.asked(Method::POST, &["v1", "uploads"], token)?.json(what).timeout(ANSWER_MAX);
        let answer = self.answered(asked).await?;
        match answer.status {
            StatusCode::CREATED | StatusCode::OK => {}
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => return Err(Failure::Unfit(answer.problem())),
            _ => return Err(self.other(&answer)),
        }
        match answer.json()? {
            Answer { delivery: Some(taken), .. } => Ok(Begun::Taken(taken)),
            Answer { upload: Some(standing), .. } => Ok(Begun::Going(standing)),
            Answer { .. } => Err(self.nobody()),
        }
    }

    /// Sends a piece; answers where the upload stands then.
    pub async fn send(&self, token: &str, upload: &str, offset_bytes: u64, piece: Bytes) -> std::result::Result<u64, Failure> {
        let digest = STANDARD.encode(digest::digest(&digest::SHA256, &piece));
        let time_max = ANSWER_MAX + Duration::from_secs(piece.len() as u64 / BYTES_PER_SECOND_MIN);
        let end = offset_bytes + piece.len() as u64;
        let asked = self
            .asked(Method::PATCH, &["v1", "uploads", upload], token)?
            .header(header::CONTENT_TYPE, "application/offset+octet-stream")
            .header(UPLOAD_OFFSET, offset_bytes)
            .header("content-digest", format!("sha-256=:{digest}:"))
            .timeout(time_max)
            .body(piece);
        let answer = self.answered(asked).await?;
        match answer.status.as_u16() {
            204 if answer.offset == Some(end) => Ok(end),
            204 | 404 | 409 | 410 => Err(Failure::Elsewhere),
            413 => Err(Failure::PieceTooLarge),
            // The piece was not what its digest says when it came there, or broke off.
            400 | 460 => Err(Failure::Later { why: answer.problem(), after: None }),
            _ => Err(self.other(&answer)),
        }
    }

    pub async fn finish(&self, token: &str, upload: &str) -> std::result::Result<Taken, Failure> {
        let asked = self.asked(Method::POST, &["v1", "uploads", upload, "finish"], token)?.timeout(FINISH_MAX);
        let answer = self.answered(asked).await?;
        match answer.status.as_u16() {
            200 | 202 => answer.json(),
            404 | 409 | 410 | 460 => Err(Failure::Elsewhere),
            413 | 422 => Err(Failure::Unfit(answer.problem())),
            _ => Err(self.other(&answer)),
        }
    }

    fn asked(&self, method: Method, path: &[&str], token: &str) -> std::result::Result<RequestBuilder, Failure> {
        let mut place = self.to.clone();
        match place.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(path),
            Err(()) => return Err(self.nobody()),
        };
        // Marked as sensitive by the client itself.
        Ok(self.client.request(method, place).bearer_auth(token).header(header::ACCEPT, "application/json"))
    }

    async fn answered(&self, asked: RequestBuilder) -> std::result::Result<Answered, Failure> {
        let mut response = asked.send().await.map_err(|error| self.broken(&error))?;
        let number = |name: &str| response.headers().get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let mut answer = Answered {
            status: response.status(),
            offset: number(UPLOAD_OFFSET),
            after: number("retry-after").map(|seconds| Duration::from_secs(seconds).min(WAIT_MAX)),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if answer.body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(self.nobody());
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    /// What is the same for every request.
    fn other(&self, answer: &Answered) -> Failure {
        let why = answer.problem();
        match answer.status.as_u16() {
            401 | 403 => Failure::Token(why),
            408 | 425 | 429 | 500.. => Failure::Later { why, after: answer.after },
            _ => self.nobody(),
        }
    }

    fn nobody(&self) -> Failure {
        let message = format!("{} does not answer as a front desk of Bonded: check the address", self.to);
        Failure::Setup(Error::new(ErrorKind::Setup, message))
    }

    fn broken(&self, error: &reqwest::Error) -> Failure {
        match certificate_error(error) {
            Some((kind, why)) => {
                Failure::Setup(Error::new(kind, format!("{} is not believed, nothing was sent: {why}", self.to)))
            }
            None => {
                let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached, or broke off" };
                Failure::Later { why: format!("{} {what}: {}", self.to, innermost(error)), after: None }
            }
        }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Desk({})", self.to)
    }
}

struct Answered {
    status: StatusCode,
    offset: Option<u64>,
    after: Option<Duration>,
    body: Vec<u8>,
}

impl Answered {
    fn json<T: serde::de::DeserializeOwned>(&self) -> std::result::Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let error = Error::new(ErrorKind::Setup, "the answer is not that of a front desk of Bonded").with_source(error);
            Failure::Setup(error)
        })
    }

    /// What the server says is wrong, or at least its status.
    fn problem(&self) -> String {
        #[derive(Deserialize)]
        struct Problem {
            title: String,
            detail: String,
        }
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => format!("{}: {}", problem.title, problem.detail),
            Err(_) => format!("the server answered {}", self.status.as_u16()),
        }
    }
}

/// SHA-256 of bytes as they flow by.
pub struct Sum(digest::Context);

impl Default for Sum {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Sum {
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Lower-case hex.
    pub fn finish(self) -> String {
        cipher::hex(self.0.finish().as_ref())
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sum")
    }
}

fn address(text: &str) -> Result<Url> {
    let wrong = |why: &str| Error::new(ErrorKind::Input, format!("the address `{}` {why}", text.escape_default()));
    let to = Url::parse(text).map_err(|error| wrong("is no URL").with_source(error))?;
    if !(to.scheme() == "https" || to.scheme() == "http" && is_loopback(&to)) || to.host().is_none() {
        return Err(wrong("must begin with https:// (http:// only for this machine itself)"));
    }
    if !to.username().is_empty() || to.password().is_some() || to.query().is_some() || to.fragment().is_some() {
        return Err(wrong("must be scheme, host, port and path alone"));
    }
    Ok(to)
}

fn is_loopback(place: &Url) -> bool {
    match place.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What is wrong with the server's certificate, if that is what it is: a wrong pin refuses, all else is set-up.
fn certificate_error(error: &(dyn std::error::Error + 'static)) -> Option<(ErrorKind, String)> {
    // An I/O error is not the source of what it wraps; it may wrap another.
    if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        return certificate_error(inner);
    }
    if let Some(rustls::Error::InvalidCertificate(invalid)) = error.downcast_ref::<rustls::Error>() {
        return Some(match invalid {
            rustls::CertificateError::Other(rustls::OtherError(other)) if other.is::<WrongPin>() => {
                (ErrorKind::Refused, other.to_string())
            }
            other => (ErrorKind::Setup, other.to_string()),
        });
    }
    certificate_error(error.source()?)
}

/// What is worth reading of an error of HTTP.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}
