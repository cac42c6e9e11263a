//! The doctor: the whole set-up, looked at as it runs: settings, secrets, files, certificate, disk, keys, control store, catalog,
//! queue, mail by SES, post, trails, backups, and what of the settings changed since last time.
//! Promise: one finding a thing, with what is wrong and what mends it; a probe that fails or does not answer is a finding and
//! keeps no other from looking. Memory and time are bounded whatever it looks at.
//! Never: anything but how the settings were seen is changed; no secret, no cell and no name of a file that was received is told.

use std::{future::Future, time::Duration};

use bonded_schemas::{TenantId, TenantScope};
use serde::Serialize;

use crate::{
    error::{Error, Result},
    lakehouse::{Doors, Lakehouse},
    settings::Settings,
};

mod backups;
mod bucket;
mod catalog;
mod certificate;
mod clocks;
mod disk;
mod drift;
mod files;
mod heartbeat;
mod keys;
mod policy;
mod post;
mod queue;
mod secrets;
mod ses;
mod store;
#[cfg(test)]
mod tests;
mod trails;

pub use drift::Accept;

/// One probe's.
const PROBE_TIME_MAX: Duration = Duration::from_secs(60);
/// Tenants that are looked at one by one; of more it is told that they were not.
const TENANTS_MAX: usize = 1000;

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// There is nothing of the kind in this set-up, or it could not be asked before something else is mended.
    NotAsked,
    Warn,
    Fail,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::NotAsked => "not asked",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub probe: &'static str,
    pub object: String,
    pub verdict: Verdict,
    /// What was seen.
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Examined {
    pub version: &'static str,
    pub at: String,
    pub verdict: Verdict,
    pub findings: Vec<Finding>,
}

impl Examined {
    /// For monitors: 0 all is well, 1 something to look at, 2 something is wrong.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Ok | Verdict::NotAsked => 0,
            Verdict::Warn => 1,
            Verdict::Fail => 2,
        }
    }

    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

/// What one probe writes on.
#[derive(Debug)]
pub(crate) struct Chart {
    probe: &'static str,
    findings: Vec<Finding>,
}

impl Chart {
    fn new() -> Self {
        Self { probe: "", findings: Vec::new() }
    }

    fn note(&mut self, verdict: Verdict, object: impl Into<String>, what: impl Into<String>, mend: Option<String>) {
        self.findings.push(Finding { probe: self.probe, object: object.into(), verdict, what: what.into(), mend });
    }

    fn ok(&mut self, object: impl Into<String>, what: impl Into<String>) {
        self.note(Verdict::Ok, object, what, None);
    }

    fn not_asked(&mut self, object: impl Into<String>, what: impl Into<String>) {
        self.note(Verdict::NotAsked, object, what, None);
    }

    fn warn(&mut self, object: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) {
        self.note(Verdict::Warn, object, what, Some(mend.into()));
    }

    fn fail(&mut self, object: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) {
        self.note(Verdict::Fail, object, what, Some(mend.into()));
    }

    /// A failure of the probe itself; our errors name what mends them.
    fn failed(&mut self, object: impl Into<String>, error: &Error) {
        self.note(Verdict::Fail, object, error.to_string(), None);
    }

    async fn ask(&mut self, probe: &'static str, asking: impl AsyncFnOnce(&mut Chart) -> Result<()>) {
        self.probe = probe;
        let limit = PROBE_TIME_MAX;
        match within(limit, asking(self)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => self.failed(probe, &error),
            None => {
                let what = format!("did not answer within {} s", limit.as_secs());
                self.fail(probe, what, "see whether what it asks is reachable from here, and how busy it is");
            }
        }
    }
}

async fn within<T>(limit: Duration, asking: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, asking).await.ok()
}

/// How a tenant is entered.
pub type ScopeOf<'a> = &'a (dyn Fn(TenantId) -> TenantScope + Send + Sync);

/// The tenants that are looked at, and whether there are more.
pub(crate) struct Looked {
    pub scopes: Vec<TenantScope>,
    pub more: usize,
}

/// What was found, and the open lake for what is to be written of it, where it does open.
pub async fn examine(settings: Settings, doors: Doors, scope_of: ScopeOf<'_>, accept: Accept) -> (Examined, Option<Lakehouse>) {
    let now = doors.clock.now();
    let vault = doors.secrets.clone().unwrap_or_else(|| settings.vault(doors.clock.clone()));
    let doors = Doors { secrets: Some(vault.clone()), ..doors };
    let mut chart = Chart::new();
    chart.ask("secrets", async |chart| secrets::look(&settings, &vault, chart).await).await;
    chart.ask("files", async |chart| files::look(&settings, chart)).await;
    chart.ask("certificate", async |chart| certificate::look(&settings, now, chart)).await;
    chart.ask("disk", async |chart| disk::look(&settings, chart)).await;
    chart.ask("ses", async |chart| ses::look(&settings, chart).await).await;
    chart.probe = "lake";
    let house = match within(PROBE_TIME_MAX, Lakehouse::open(settings.clone(), doors)).await {
        Some(Ok(house)) => {
            chart.ok(settings.lake.clone(), "opens: settings, keys and control store go together");
            Some(house)
        }
        Some(Err(error)) => {
            chart.failed(settings.lake.clone(), &error);
            None
        }
        None => {
            chart.fail(
                settings.lake.clone(),
                "does not open in time",
                "see whether the control store and the key service answer",
            );
            None
        }
    };
    if let Some(house) = &house {
        opened(house, scope_of, accept, &mut chart).await;
    }
    let findings = chart.findings;
    let verdict = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    (Examined { version: env!("CARGO_PKG_VERSION"), at: now.to_rfc3339(), verdict, findings }, house)
}

/// Everything that needs the open lake.
async fn opened(house: &Lakehouse, scope_of: ScopeOf<'_>, accept: Accept, chart: &mut Chart) {
    let mut looked = Looked { scopes: Vec::new(), more: 0 };
    chart
        .ask("tenants", async |chart| {
            let mut records = house.tenants().await?;
            looked.more = records.len().saturating_sub(TENANTS_MAX);
            records.truncate(TENANTS_MAX);
            looked.scopes = records.into_iter().map(|record| scope_of(record.tenant)).collect();
            match looked.more {
                0 => chart.ok("tenants", format!("{} in this lake", looked.scopes.len())),
                more => chart.not_asked("tenants", format!("{TENANTS_MAX} were looked at, and {more} more were not")),
            }
            Ok(())
        })
        .await;
    chart.ask("keys", async |chart| keys::look(house, &looked, chart).await).await;
    chart.ask("store", async |chart| store::look(house, &looked, chart).await).await;
    chart.ask("clocks", async |chart| clocks::look(house, chart).await).await;
    chart.ask("bucket", async |chart| bucket::look(house, chart).await).await;
    chart.ask("catalog", async |chart| catalog::look(house, &looked, chart).await).await;
    chart.ask("queue", async |chart| queue::look(house, chart).await).await;
    chart.ask("heartbeat", async |chart| heartbeat::look(house, chart).await).await;
    chart.ask("post", async |chart| post::look(house, chart).await).await;
    chart.ask("trails", async |chart| trails::look(house, &looked, chart).await).await;
    chart.ask("backups", async |chart| backups::look(house, chart).await).await;
    chart.ask("drift", async |chart| drift::look(house, accept, chart).await).await;
}

/// `3 days`, `2 hours`, `5 minutes`: the largest that there is one of.
pub(crate) fn about(time: chrono::TimeDelta) -> String {
    let (count, unit) = match time {
        time if time.num_days() >= 2 => (time.num_days(), "days"),
        time if time.num_hours() >= 2 => (time.num_hours(), "hours"),
        time if time.num_minutes() >= 2 => (time.num_minutes(), "minutes"),
        time => (time.num_seconds(), "seconds"),
    };
    format!("{count} {unit}")
}

/// Of one tenant's answer: a disabled or destroyed key is told once, by the probe of the keys.
pub(crate) fn is_told_elsewhere(error: &Error) -> bool {
    error.kind() == crate::error::ErrorKind::Refused
}
