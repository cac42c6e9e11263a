//! `[watch]`: how often the watch looks, how far ahead it expects, what its numbers show.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{parse_duration, serve::chrono_duration};
use crate::error::{Error, Result};

/// Below this the watch would do nothing but look.
const EVERY_MIN: Duration = Duration::from_secs(1);
const AHEAD_MIN: Duration = Duration::from_secs(24 * 3600);
const AHEAD_MAX: Duration = Duration::from_secs(400 * 24 * 3600);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchSettings {
    /// How often every tenant is asked whether something arrived or is due; at a window's own deadline it is looked at in
    /// any case.
    pub every: String,
    /// How far ahead windows are made.
    pub ahead: String,
    /// `/metrics` answers, to whoever reaches the front desk.
    pub metrics: bool,
    /// With a series for each tenant, by its name.
    pub metrics_name_tenants: bool,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self { every: "1m".into(), ahead: "840h".into(), metrics: false, metrics_name_tenants: false }
    }
}

impl WatchSettings {
    pub(super) fn check(&self) -> Result<()> {
        for (name, text) in [("every", &self.every), ("ahead", &self.ahead)] {
            if parse_duration(text).is_none() {
                return Err(Error::setup(format!("settings: watch.{name} `{text}` is not like 30s, 5m or 1h")));
            }
        }
        if self.every() < EVERY_MIN {
            return Err(Error::setup("settings: watch.every must be at least 1s"));
        }
        if !parse_duration(&self.ahead).is_some_and(|ahead| (AHEAD_MIN..=AHEAD_MAX).contains(&ahead)) {
            return Err(Error::setup("settings: watch.ahead must be 24h to 9600h"));
        }
        Ok(())
    }

    /// Checked when the settings were loaded; settings made in code that were not stand for a minute.
    pub fn every(&self) -> Duration {
        parse_duration(&self.every).unwrap_or(Duration::from_secs(60))
    }

    pub fn ahead(&self) -> TimeDelta {
        parse_duration(&self.ahead).map_or(TimeDelta::days(35), chrono_duration)
    }
}
