//! `[doctor]`: from when on `bonded doctor` has something to say.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{parse_duration, serve::chrono_duration};
use crate::error::{Error, Result};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoctorSettings {
    /// How old the last backup may be.
    pub backup_age_max: String,
    /// How long a delivery may wait for a worker, or run.
    pub queue_age_max: String,
    pub certificate_days_min: i64,
    pub disk_free_percent_min: u8,
    /// How far another clock may be from ours.
    pub skew_max: String,
}

impl Default for DoctorSettings {
    fn default() -> Self {
        Self {
            backup_age_max: "48h".into(),
            queue_age_max: "1h".into(),
            certificate_days_min: 21,
            disk_free_percent_min: 10,
            skew_max: "5s".into(),
        }
    }
}

impl DoctorSettings {
    pub(super) fn check(&self) -> Result<()> {
        for (name, text) in
            [("backup_age_max", &self.backup_age_max), ("queue_age_max", &self.queue_age_max), ("skew_max", &self.skew_max)]
        {
            if parse_duration(text).is_none() {
                return Err(Error::setup(format!("settings: doctor.{name} `{text}` is not like 30s, 5m or 1h")));
            }
        }
        match self.disk_free_percent_min <= 100 && self.certificate_days_min >= 0 {
            true => Ok(()),
            false => {
                Err(Error::setup("settings: doctor.disk_free_percent_min is a percentage, certificate_days_min not negative"))
            }
        }
    }

    pub fn backup_age_max(&self) -> TimeDelta {
        time(&self.backup_age_max)
    }

    pub fn queue_age_max(&self) -> TimeDelta {
        time(&self.queue_age_max)
    }

    pub fn skew_max(&self) -> TimeDelta {
        time(&self.skew_max)
    }
}

/// Checked when the settings were loaded; one that was not allows nothing.
fn time(text: &str) -> TimeDelta {
    parse_duration(text).map_or(TimeDelta::zero(), chrono_duration)
}
