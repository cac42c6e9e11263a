//! Calls of webhooks over HTTP.
//! Promise: the name is resolved once and the addresses that were judged are called; a receiver has so long in all, whatever it
//! does meanwhile. Only `2xx` counts as taken.
//! Never: a redirect is followed, a proxy is asked, an answer's body is read, an unknown certificate is believed.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use async_trait::async_trait;
use reqwest::{Certificate, Client, ClientBuilder, StatusCode, redirect::Policy};
use url::{Host, Url};

use super::{
    Hook, Hooks,
    guard::{Reach, checked, judged},
    signature::{DELIVERY_HEADER, HEADER, sign},
};
use crate::error::{Error, ErrorKind, Result};

pub struct Webhook {
    reach: Reach,
    time_max: Duration,
    trusted: Vec<Certificate>,
}

impl Webhook {
    /// `authorities`: certificates in PEM form that are trusted beside the public ones.
    ///
    /// # Errors
    /// `Setup` when there are none in it.
    pub fn new(reach: Reach, time_max: Duration, authorities: Option<&str>) -> Result<Self> {
        let trusted = match authorities {
            Some(pem) => match Certificate::from_pem_bundle(pem.as_bytes()) {
                Ok(certificates) if !certificates.is_empty() => certificates,
                _ => return Err(Error::new(ErrorKind::Setup, "alerts.webhook_authorities has no certificates in PEM form")),
            },
            None => Vec::new(),
        };
        Ok(Self { reach, time_max, trusted })
    }

    /// A client that knows one way to one host, and no other.
    async fn client(&self, url: &Url) -> Result<Client> {
        let builder = Client::builder().redirect(Policy::none()).referer(false).no_proxy().user_agent("bonded");
        let builder = builder.connect_timeout(self.time_max).timeout(self.time_max).pool_max_idle_per_host(0);
        let builder = self.trusted.iter().cloned().fold(builder, ClientBuilder::add_root_certificate);
        let builder = match url.host() {
            Some(Host::Domain(name)) => {
                let addresses = judged(resolved(name, url).await?, self.reach)?;
                builder.resolve_to_addrs(name, &addresses)
            }
            Some(Host::Ipv4(ip)) => self.literal(builder, ip.into())?,
            Some(Host::Ipv6(ip)) => self.literal(builder, ip.into())?,
            None => return Err(Error::new(ErrorKind::Input, "the webhook's URL names no host")),
        };
        builder.build().map_err(|error| Error::new(ErrorKind::Setup, "HTTPS client of webhooks").with_source(error.without_url()))
    }

    fn literal(&self, builder: ClientBuilder, ip: IpAddr) -> Result<ClientBuilder> {
        judged(vec![SocketAddr::new(ip, 0)], self.reach)?;
        Ok(builder)
    }

    async fn answer(&self, id: &str, url: &Url, build: impl FnOnce(&Client) -> reqwest::RequestBuilder) -> Result<()> {
        let call = async {
            let client = self.client(url).await?;
            build(&client).send().await.map_err(|error| {
                let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
                let message = format!("the receiver of call {id} {what}: {}", innermost(&error));
                Error::new(ErrorKind::Retry, message)
            })
        };
        let late = || Error::new(ErrorKind::Retry, format!("the receiver of call {id} did not answer in time"));
        let response = tokio::time::timeout(self.time_max, call).await.map_err(|_| late())??;
        match response.status() {
            status if status.is_success() => Ok(()),
            // It says itself that it is gone for good.
            StatusCode::GONE => Err(Error::new(ErrorKind::Input, format!("the receiver of call {id} is gone (410)"))),
            status if status.is_redirection() => {
                let message = format!("the receiver of call {id} answered {}: redirects are not followed", status.as_u16());
                Err(Error::new(ErrorKind::Retry, message))
            }
            status => Err(Error::new(ErrorKind::Retry, format!("the receiver of call {id} answered {}", status.as_u16()))),
        }
    }
}

#[async_trait]
impl Hooks for Webhook {
    async fn post(&self, hook: &Hook) -> Result<()> {
        let url = checked(&hook.url, self.reach)?;
        self.answer(&hook.id, &url, |client| {
            let call = client.post(url.clone()).header("content-type", "application/json").header(DELIVERY_HEADER, &hook.id);
            let call = match &hook.secret {
                Some(secret) => call.header(HEADER, sign(secret, hook.at_s, &hook.body)),
                None => call,
            };
            call.body(hook.body.clone())
        })
        .await
    }

    async fn knock(&self, url: &str) -> Result<()> {
        let url = checked(url, self.reach)?;
        self.answer("heartbeat", &url, |client| client.post(url.clone()).body("")).await
    }

    fn check(&self, url: &str) -> Result<()> {
        checked(url, self.reach).map(|_| ())
    }
}

async fn resolved(name: &str, url: &Url) -> Result<Vec<SocketAddr>> {
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::net::lookup_host((name, port)).await;
    let failed = |error| Error::new(ErrorKind::Retry, "the webhook's host cannot be resolved").with_source(error);
    Ok(found.map_err(failed)?.collect())
}

/// What is worth reading of an error of HTTP; the outer ones repeat the URL.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(source) => innermost(source),
        // One that has nothing beneath it may be the one with the URL in it.
        None if error.is::<reqwest::Error>() => "the connection failed".into(),
        None => error.to_string(),
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("reach", &self.reach).field("time_max", &self.time_max).finish_non_exhaustive()
    }
}
