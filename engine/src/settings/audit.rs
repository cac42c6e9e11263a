//! `[audit]`: how often the heads of the trails are signed, and how much of them waits to be sealed into segments.

use serde::{Deserialize, Serialize};

use super::{parse_duration, serve::chrono_duration};
use crate::error::{Error, Result};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// A trail that grew by so many events is signed.
    pub checkpoint_events: i64,
    /// And one that has any event that was not signed for so long; `bonded serve` with the role maintain looks that often.
    pub checkpoint_every: String,
    /// So many events that lie in the control store alone are sealed into a segment.
    pub segment_events: i64,
    /// And fewer, when one of them is so old.
    pub segment_every: String,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { checkpoint_events: 1000, checkpoint_every: "15m".into(), segment_events: 10_000, segment_every: "24h".into() }
    }
}

impl AuditSettings {
    pub(super) fn check(&self) -> Result<()> {
        if self.checkpoint_events < 1 || self.segment_events < 1 {
            return Err(Error::setup("settings: audit.checkpoint_events and segment_events must be at least 1"));
        }
        for (name, text) in [("checkpoint_every", &self.checkpoint_every), ("segment_every", &self.segment_every)] {
            if parse_duration(text).is_none() {
                return Err(Error::setup(format!("settings: audit.{name} `{text}` is not like 30s, 5m or 1h")));
            }
        }
        Ok(())
    }

    pub fn segment_every(&self) -> chrono::Duration {
        parse_duration(&self.segment_every).map_or(chrono::Duration::hours(24), chrono_duration)
    }

    /// Checked when the settings were loaded; settings made in code that were not stand for a quarter of an hour.
    pub fn checkpoint_every(&self) -> chrono::Duration {
        parse_duration(&self.checkpoint_every).map_or(chrono::Duration::minutes(15), chrono_duration)
    }
}
