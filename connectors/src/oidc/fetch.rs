//! HTTP to the provider: TLS by rustls, a time and a size limit on every answer, no redirect followed.
//! Never: plain HTTP to anything but this machine, no cookie, no proxy in front of this machine's own addresses.

use std::time::Duration;

use reqwest::{Certificate, StatusCode, redirect::Policy};
use url::{Host, Url};

use crate::{Error, ErrorKind, Result};

#[derive(Clone, Debug)]
pub(super) struct Http {
    outside: reqwest::Client,
    loopback: reqwest::Client,
}

impl Http {
    /// `time_max`: from the first byte sent to the last one read.
    pub fn new(time_max: Duration, authorities: Option<&str>) -> Result<Self> {
        let trusted = match authorities {
            Some(pem) => match Certificate::from_pem_bundle(pem.as_bytes()) {
                Ok(certificates) if !certificates.is_empty() => certificates,
                _ => return Err(Error::new(ErrorKind::Setup, "oidc.authorities has no certificates in PEM form")),
            },
            None => Vec::new(),
        };
        let client = || {
            let builder = reqwest::Client::builder().redirect(Policy::none()).referer(false).timeout(time_max);
            let builder = builder.connect_timeout(time_max).pool_max_idle_per_host(2).user_agent("bonded");
            trusted.iter().cloned().fold(builder, reqwest::ClientBuilder::add_root_certificate)
        };
        let made = |client: reqwest::ClientBuilder| {
            client
                .build()
                .map_err(|error| Error::new(ErrorKind::Setup, "HTTPS client of the identity provider").with_source(error))
        };
        Ok(Self { outside: made(client().https_only(true))?, loopback: made(client().no_proxy())? })
    }

    fn client(&self, place: &Url) -> &reqwest::Client {
        if is_loopback(place) { &self.loopback } else { &self.outside }
    }

    pub async fn get(&self, place: &Url, bytes_max: usize) -> Result<Vec<u8>> {
        let asked = self.client(place).get(place.clone()).header("accept", "application/json");
        let (status, body) = answer(place, asked, bytes_max).await?;
        if status != StatusCode::OK {
            return Err(Error::new(ErrorKind::Retry, format!("{place} answered {status}")));
        }
        Ok(body)
    }

    /// `basic`: id and secret for the `Authorization` header, each already encoded as RFC 6749 2.3.1 wants it.
    pub async fn post(
        &self,
        place: &Url,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
        bytes_max: usize,
    ) -> Result<(StatusCode, Vec<u8>)> {
        let asked = self.client(place).post(place.clone()).header("accept", "application/json").form(form);
        let asked = match basic {
            Some((id, secret)) => asked.basic_auth(id, Some(secret)),
            None => asked,
        };
        answer(place, asked, bytes_max).await
    }
}

async fn answer(place: &Url, asked: reqwest::RequestBuilder, bytes_max: usize) -> Result<(StatusCode, Vec<u8>)> {
    let failed = |error: reqwest::Error| {
        let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        Error::new(ErrorKind::Retry, format!("{place} {what}: {}", innermost(&error)))
    };
    let mut response = asked.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(Error::new(ErrorKind::Retry, format!("{place} answered with more than {bytes_max} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), body))
}

/// What is worth reading of an error of HTTP: a refused connection, a certificate that is not trusted.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}

/// An address that may be called: HTTPS, or plain HTTP to this machine; without a user, a password or a fragment.
pub(super) fn address(name: &str, text: &str) -> Result<Url> {
    let wrong = |why: &str| Error::new(ErrorKind::Setup, format!("oidc.{name} `{}` {why}", text.escape_default()));
    let place = Url::parse(text).map_err(|error| wrong("is no URL").with_source(error))?;
    if !(place.scheme() == "https" || place.scheme() == "http" && is_loopback(&place)) || place.host().is_none() {
        return Err(wrong("must begin with https:// (http:// only for this machine itself)"));
    }
    if !place.username().is_empty() || place.password().is_some() || place.fragment().is_some() {
        return Err(wrong("must have no user, no password and no fragment"));
    }
    Ok(place)
}

pub(super) fn is_loopback(place: &Url) -> bool {
    match place.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
