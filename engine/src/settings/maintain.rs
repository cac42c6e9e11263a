//! `[maintain]`: when files are joined, which snapshots stay, how long an orphan waits.
//! Promise: a grace that could delete a running delivery's files is refused at start.

use bonded_connectors::lake::maintain::{Compaction, GRACE_MIN, Retention};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::parse_duration;
use crate::error::{Error, Result};

/// Smaller files are what compaction is there to end.
const FILE_TARGET_BYTES_MIN: u64 = 1 << 20;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaintainSettings {
    /// A joined file is closed at about this size.
    pub file_target_bytes: u64,
    /// As many small files of one month and one class of size are joined; as many small manifests, too.
    pub files_min: usize,
    /// The newest so many snapshots stay in any case.
    pub snapshots_min: usize,
    /// No more than this stay, however young: each commit reads and writes them all.
    pub snapshots_max: usize,
    /// How long a snapshot stays after another took its place.
    pub snapshot_age_max: String,
    /// How many older metadata files a table names.
    pub metadata_versions_max: usize,
    /// How long an object that nothing refers to is kept; at least 24h.
    pub orphan_grace: String,
}

impl Default for MaintainSettings {
    fn default() -> Self {
        Self {
            file_target_bytes: 128 << 20,
            files_min: 8,
            snapshots_min: 10,
            snapshots_max: 100,
            snapshot_age_max: "72h".into(),
            metadata_versions_max: 20,
            orphan_grace: "72h".into(),
        }
    }
}

impl MaintainSettings {
    pub(super) fn check(&self) -> Result<()> {
        self.retention()?;
        if self.orphan_grace()? < GRACE_MIN {
            return Err(Error::setup(
                "settings: maintain.orphan_grace must be at least 24h, so that no running delivery is hurt",
            ));
        }
        if self.files_min < 2 || self.snapshots_min == 0 || self.snapshots_max < self.snapshots_min {
            let rule = "files_min must be at least 2, snapshots_min at least 1, snapshots_max at least snapshots_min";
            return Err(Error::setup(format!("settings: maintain.{rule}")));
        }
        if self.file_target_bytes < FILE_TARGET_BYTES_MIN || self.metadata_versions_max == 0 {
            let rule = "file_target_bytes must be at least 1 MiB, metadata_versions_max at least 1";
            return Err(Error::setup(format!("settings: maintain.{rule}")));
        }
        Ok(())
    }

    pub fn compaction(&self) -> Compaction {
        Compaction { file_target_bytes: self.file_target_bytes, files_min: self.files_min }
    }

    pub fn retention(&self) -> Result<Retention> {
        Ok(Retention {
            snapshots_min: self.snapshots_min,
            snapshots_max: self.snapshots_max,
            age_max: duration("snapshot_age_max", &self.snapshot_age_max)?,
            metadata_versions_max: self.metadata_versions_max,
        })
    }

    pub fn orphan_grace(&self) -> Result<TimeDelta> {
        duration("orphan_grace", &self.orphan_grace)
    }
}

fn duration(name: &str, text: &str) -> Result<TimeDelta> {
    parse_duration(text)
        .and_then(|duration| TimeDelta::from_std(duration).ok())
        .ok_or_else(|| Error::setup(format!("settings: maintain.{name} `{text}` is not like 30m, 24h or 72h")))
}
