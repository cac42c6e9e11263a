//! Of `[mail_in]`: whose word on a received mail's sender counts, and how name servers are asked.

use std::time::Duration;

use bonded_connectors::mail::proof::{Hop, Names};

use super::{MailInSettings, parse_duration};
use crate::error::{Error, Result};

impl MailInSettings {
    pub(super) fn check_proof(&self) -> Result<()> {
        if !matches!(self.dns.as_str(), "system" | "off") {
            return Err(Error::setup(format!("settings: mail_in.dns `{}` is neither system nor off", self.dns)));
        }
        if parse_duration(&self.dns_time_max).is_none() {
            let message = format!("settings: mail_in.dns_time_max `{}` is not like 5s or 500ms", self.dns_time_max);
            return Err(Error::setup(message));
        }
        self.hops().map(|_| ())
    }

    pub fn hops(&self) -> Result<Vec<Hop>> {
        let hop =
            |text: &String| text.parse().map_err(|why: String| Error::setup(format!("settings: mail_in.trusted_hops: {why}")));
        self.trusted_hops.iter().map(hop).collect()
    }

    pub fn dns_time_max(&self) -> Duration {
        parse_duration(&self.dns_time_max).unwrap_or(Duration::from_secs(5))
    }

    /// Who is asked; made once, when the first mail comes.
    pub(crate) fn names(&self) -> Result<Names> {
        Ok(if self.dns == "off" { Names::off() } else { Names::system()? })
    }
}
