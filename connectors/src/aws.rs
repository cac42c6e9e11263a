//! The way to AWS: region, endpoints, and one chain of credentials for every door that a service of AWS stands behind.
//! Promise: credentials come of the standard chain (variables, profile, web identity, container, machine) and are asked for
//! again before they end; a request is tried a bounded number of times, within a bounded time.
//! Never: a credential out of a setting; a request over a network without TLS.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_kms::config::{Credentials, ProvideCredentials};

use crate::error::{Error, ErrorKind, Result};

/// Of one call to a service: the first try and those after it.
const ATTEMPTS_MAX: u32 = 4;
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const CONNECT_MAX: Duration = Duration::from_secs(5);
const ATTEMPT_MAX: Duration = Duration::from_secs(15);
const CALL_MAX: Duration = Duration::from_secs(45);
/// Credentials that end sooner are asked for again.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// Whose log lines at the loudest level tell whole answers of a service: a queue's name addresses, which are secrets.
pub const UNTOLD: &str = "aws_smithy_runtime";

/// The services that may have an endpoint of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Kms,
    S3,
    /// The catalog of tables.
    Glue,
    /// Where secrets are.
    Secrets,
    Sqs,
}

/// Where the services are, as set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// As `eu-central-1`.
    pub region: String,
    /// Of every service that has none of its own; AWS's when absent.
    pub endpoint: Option<String>,
    pub kms_endpoint: Option<String>,
    pub s3_endpoint: Option<String>,
    pub glue_endpoint: Option<String>,
    pub sqs_endpoint: Option<String>,
}

impl Reach {
    /// # Errors
    /// `Setup` when the region is none by its form, or an endpoint is no HTTPS URL and not on this machine.
    pub fn check(&self) -> Result<()> {
        let is_region = self.region.len() <= 32
            && self.region.contains('-')
            && self.region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_region {
            let message = format!("aws.region `{}` is not like us-east-1", self.region.escape_default());
            return Err(Error::new(ErrorKind::Setup, message));
        }
        let of_services = [&self.kms_endpoint, &self.s3_endpoint, &self.glue_endpoint, &self.sqs_endpoint];
        for endpoint in std::iter::once(&self.endpoint).chain(of_services).flatten() {
            is_private(endpoint)?;
        }
        Ok(())
    }

    pub fn endpoint(&self, service: Service) -> Option<&str> {
        let own = match service {
            Service::Kms => &self.kms_endpoint,
            Service::S3 => &self.s3_endpoint,
            Service::Glue => &self.glue_endpoint,
            Service::Sqs => &self.sqs_endpoint,
            Service::Secrets => &None,
        };
        own.as_deref().or(self.endpoint.as_deref())
    }
}

/// Whether the endpoint is plain HTTP, which it may only be on this machine.
fn is_plain(endpoint: &str) -> bool {
    endpoint.starts_with("http://")
}

fn is_private(endpoint: &str) -> Result<()> {
    let url = url::Url::parse(endpoint).ok().filter(|url| url.username().is_empty() && url.password().is_none());
    let here = |url: &url::Url| match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url {
        Some(url) if url.scheme() == "https" || (url.scheme() == "http" && here(&url)) => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Setup,
            "an endpoint in [aws] is no https:// URL (http:// is for this machine only, and no password belongs in it)",
        )),
    }
}

/// An account, as the standard chain of credentials has it. Clones share their credentials.
#[derive(Clone)]
pub struct Account {
    reach: Reach,
    config: SdkConfig,
    current: Arc<Mutex<Option<Credentials>>>,
}

impl Account {
    /// Asks nobody yet: credentials are fetched when they are first needed.
    ///
    /// # Errors
    /// As [`Reach::check`].
    pub async fn open(reach: Reach) -> Result<Self> {
        reach.check()?;
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS_MAX)
            .with_initial_backoff(BACKOFF_FIRST)
            .with_max_backoff(BACKOFF_MAX);
        let times = TimeoutConfig::builder()
            .connect_timeout(CONNECT_MAX)
            .operation_attempt_timeout(ATTEMPT_MAX)
            .operation_timeout(CALL_MAX)
            .build();
        let loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(reach.region.clone()));
        let config = loader.retry_config(retries).timeout_config(times).load().await;
        Ok(Self { reach, config, current: Arc::default() })
    }

    /// With the credentials that emulators take.
    #[cfg(test)]
    pub(crate) async fn of_tests(reach: Reach) -> Self {
        let fixed = Credentials::new(private_aws::CREDENTIAL, private_aws::CREDENTIAL, None, None, "tests");
        let mut account = Self::open(reach).await.expect("a sound reach");
        let provider = aws_sdk_kms::config::SharedCredentialsProvider::new(fixed);
        account.config = account.config.to_builder().credentials_provider(provider).build();
        account
    }

    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// For a client of this service. Endpoints are the settings' alone, which residency looked at: what AWS_ENDPOINT_URL or a
    /// profile names would send keys and secrets anywhere, without TLS.
    pub(crate) fn config(&self, service: Service) -> SdkConfig {
        let (all, mut config) = (&self.config, SdkConfig::builder());
        config
            .set_behavior_version(Some(BehaviorVersion::latest()))
            .set_region(all.region().cloned())
            .set_credentials_provider(all.credentials_provider())
            .set_identity_cache(all.identity_cache())
            .set_http_client(all.http_client())
            .set_sleep_impl(all.sleep_impl())
            .set_time_source(all.time_source())
            .set_retry_config(all.retry_config().cloned())
            .set_timeout_config(all.timeout_config().cloned())
            .set_stalled_stream_protection(all.stalled_stream_protection())
            .set_endpoint_url(self.reach.endpoint(service).map(ToOwned::to_owned));
        config.build()
    }

    /// Whether the service is spoken to without TLS.
    pub(crate) fn is_plain(&self, service: Service) -> bool {
        self.reach.endpoint(service).is_some_and(is_plain)
    }

    /// Good for some minutes at least.
    pub(crate) async fn credentials(&self) -> Result<Credentials> {
        let kept = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(lasts) {
            return Ok(kept);
        }
        let none = || Error::new(ErrorKind::Setup, NO_CREDENTIALS);
        let chain = self.config.credentials_provider().ok_or_else(none)?;
        let fresh = chain.provide_credentials().await.map_err(|error| none().with_source(error))?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
        Ok(fresh)
    }
}

pub(crate) const NO_CREDENTIALS: &str =
    "AWS's standard chain has no credentials here: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the machine a role";

#[expect(clippy::disallowed_methods, reason = "credentials end by the clock of the machine that signs with them")]
fn lasts(credentials: &Credentials) -> bool {
    credentials.expiry().is_none_or(|end| end > SystemTime::now() + RENEW_BEFORE)
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("reach", &self.reach).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod private_aws;
#[cfg(test)]
pub(crate) mod private_proxy;
#[cfg(test)]
mod tests;
