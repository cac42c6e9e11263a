//! `[ses]`: mail that Amazon SES takes in: the queue that its notifications come by, and the bucket with the mails.
//! Promise: what is set fits together, and lies on AWS or on this machine; its regions are looked at with all others'.

use std::time::Duration;

use bonded_connectors::ses::Place;
use serde::{Deserialize, Serialize};

use super::parse_duration;
use crate::error::{Error, Result};

/// Longest poll of SQS.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// SQS hides a letter for 12 hours from when it was received, however often it is held anew: work and wait must fit in.
const HELD_MAX: Duration = Duration::from_secs(60 * 60);
const RETRY_MAX: Duration = Duration::from_secs(11 * 60 * 60);
/// A letter is held anew three times in this time, each time by a request.
const HELD_MIN: Duration = Duration::from_secs(3);
const AT_ONCE_MAX: usize = 64;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SesSettings {
    /// Of the queue that SES's topic fills. None: no mail comes this way.
    pub queue_url: Option<String>,
    /// Where that queue puts what failed too often; looked at, never read.
    pub dead_letter_url: Option<String>,
    /// The topic; a notification of another is refused. None: the queue's policy alone says who fills it.
    pub topic_arn: Option<String>,
    pub bucket: Option<String>,
    /// Of the objects that SES writes; ends with a slash, or is empty.
    pub prefix: String,
    /// How long one poll waits for a letter.
    pub wait: String,
    /// How long a letter is hidden from other workers. Its worker holds it anew as long as it works.
    pub visibility: String,
    /// Mails taken in at once; each holds about 12 MiB for each of its tenants, up to `mail_in.tenants_max`.
    pub at_once: usize,
    /// The wait after the first failure; each further one has four times the wait before, up to `retry_max`.
    pub retry_first: String,
    pub retry_max: String,
}

impl Default for SesSettings {
    fn default() -> Self {
        Self {
            queue_url: None,
            dead_letter_url: None,
            topic_arn: None,
            bucket: None,
            prefix: "inbound/".into(),
            wait: "20s".into(),
            visibility: "2m".into(),
            at_once: 4,
            retry_first: "1m".into(),
            retry_max: "6h".into(),
        }
    }
}

impl SesSettings {
    /// Every key present, so that the environment can name optional ones.
    pub(super) fn complete() -> Self {
        let text = || Some(String::new());
        Self { queue_url: text(), dead_letter_url: text(), topic_arn: text(), bucket: text(), ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<()> {
        for (name, text, most) in [
            ("wait", &self.wait, WAIT_MAX),
            ("visibility", &self.visibility, HELD_MAX),
            ("retry_first", &self.retry_first, RETRY_MAX),
            ("retry_max", &self.retry_max, RETRY_MAX),
        ] {
            if parse_duration(text).is_none_or(|time| time > most) {
                let most = most.as_secs();
                return Err(Error::setup(format!("settings: ses.{name} `{text}` is not like 20s, 2m or 6h, or above {most}s")));
            }
        }
        if self.visibility() < HELD_MIN {
            return Err(Error::setup(format!("settings: ses.visibility must be at least {}s", HELD_MIN.as_secs())));
        }
        if !(1..=AT_ONCE_MAX).contains(&self.at_once) {
            return Err(Error::setup(format!("settings: ses.at_once must be 1 to {AT_ONCE_MAX}")));
        }
        if !self.prefix.is_empty() && (!self.prefix.ends_with('/') || self.prefix.starts_with('/') || self.prefix.contains("//"))
        {
            return Err(Error::setup("settings: ses.prefix is not like inbound/"));
        }
        if self.queue_url.is_some() != self.bucket.is_some() {
            return Err(Error::setup("settings: ses.queue_url and ses.bucket are set together"));
        }
        Ok(())
    }

    /// Where mails lie; `None` where no mail comes this way.
    pub fn place(&self) -> Option<Place> {
        let bucket = self.bucket.clone()?;
        Some(Place { bucket, prefix: self.prefix.clone(), topic_arn: self.topic_arn.clone() })
    }

    pub fn wait(&self) -> Duration {
        time(&self.wait)
    }

    pub fn visibility(&self) -> Duration {
        time(&self.visibility)
    }

    pub fn retry_first(&self) -> Duration {
        time(&self.retry_first)
    }

    pub fn retry_max(&self) -> Duration {
        time(&self.retry_max)
    }
}

fn time(text: &str) -> Duration {
    parse_duration(text).unwrap_or(Duration::from_secs(60))
}
