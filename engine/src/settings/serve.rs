//! `[serve]`: how many workers, how long a lease, when to try again, what may run at once, where files are dropped.

use std::{path::PathBuf, time::Duration};

use bonded_connectors::store::queue::{Backoff, Limits};
use serde::{Deserialize, Serialize};

use super::parse_duration;
use crate::error::{Error, Result};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeSettings {
    /// Deliveries that this process works on at once. 0: as many as there are cores.
    pub workers: usize,
    /// How long a worker that is not heard of keeps its delivery. It is heard of three times in this time.
    pub lease: String,
    /// How often an idle worker looks for work; what this process takes in itself it hears of at once.
    pub poll: String,
    /// How long deliveries in work may go on after a stop was asked for; then they are given back.
    pub drain: String,
    /// Deliveries that landed longer ago than this and are not done are taken up: their ingest died.
    pub sweep_after: String,
    /// So many failures that may be the file's own; then it is quarantined.
    pub attempts_max: u32,
    /// The wait after the first failure is below this; the bound doubles with each, up to `retry_max`.
    pub retry_first: String,
    pub retry_max: String,
    /// Deliveries in work at once, over all processes on this lake.
    pub leases_max: u32,
    pub tenant_leases_max: u32,
    /// Their received bytes. A delivery larger than this runs alone.
    pub bytes_max: u64,
    pub tenant_bytes_max: u64,
    /// Deliveries of one tenant in the queue; beyond, files stay in the drop folder and `ingest --enqueue` is refused.
    pub queued_max: u64,
    /// Folder with a folder per tenant; files dropped there are taken in. None when absent.
    pub inbox: Option<PathBuf>,
    /// A dropped file that did not change for so long is complete.
    pub settle: String,
    /// How often every tenant is maintained, and keys that are due destroyed; the first time at the start.
    pub maintain_every: String,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            workers: 0,
            lease: "60s".into(),
            poll: "1s".into(),
            drain: "30s".into(),
            sweep_after: "15m".into(),
            attempts_max: 6,
            retry_first: "10s".into(),
            retry_max: "15m".into(),
            leases_max: 64,
            tenant_leases_max: 16,
            bytes_max: 16 << 30,
            tenant_bytes_max: 8 << 30,
            queued_max: 100_000,
            inbox: None,
            settle: "2s".into(),
            maintain_every: "24h".into(),
        }
    }
}

impl ServeSettings {
    pub(super) fn check(&self) -> Result<()> {
        for (name, text) in [
            ("lease", &self.lease),
            ("poll", &self.poll),
            ("drain", &self.drain),
            ("sweep_after", &self.sweep_after),
            ("retry_first", &self.retry_first),
            ("retry_max", &self.retry_max),
            ("settle", &self.settle),
            ("maintain_every", &self.maintain_every),
        ] {
            if parse_duration(text).is_none() {
                return Err(Error::setup(format!("settings: serve.{name} `{text}` is not like 30s, 5m or 1h")));
            }
        }
        if [self.attempts_max, self.leases_max, self.tenant_leases_max].contains(&0) || self.queued_max == 0 {
            let message = "settings: serve.attempts_max, leases_max, tenant_leases_max and queued_max must be at least 1";
            return Err(Error::setup(message));
        }
        Ok(())
    }

    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }

    pub fn lease(&self) -> Duration {
        duration(&self.lease)
    }

    pub fn poll(&self) -> Duration {
        duration(&self.poll)
    }

    pub fn drain(&self) -> Duration {
        duration(&self.drain)
    }

    pub fn sweep_after(&self) -> Duration {
        duration(&self.sweep_after)
    }

    pub fn settle(&self) -> Duration {
        duration(&self.settle)
    }

    pub fn maintain_every(&self) -> Duration {
        duration(&self.maintain_every)
    }

    pub fn backoff(&self) -> Backoff {
        Backoff { first: duration(&self.retry_first), most: duration(&self.retry_max) }
    }

    pub fn limits(&self) -> Limits {
        Limits {
            lease: chrono_duration(self.lease()),
            leases_max: self.leases_max,
            tenant_leases_max: self.tenant_leases_max,
            bytes_max: self.bytes_max,
            tenant_bytes_max: self.tenant_bytes_max,
            strikes_max: self.attempts_max,
        }
    }
}

/// Every text was checked when the settings were loaded; settings made in code that were not stand for a minute.
fn duration(text: &str) -> Duration {
    parse_duration(text).unwrap_or(Duration::from_secs(60))
}

pub(crate) fn chrono_duration(duration: Duration) -> chrono::Duration {
    chrono::Duration::from_std(duration).unwrap_or(chrono::Duration::MAX)
}
