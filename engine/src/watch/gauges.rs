//! Numbers of the watch for a monitoring system, in Prometheus' text format: what the process that watches has seen.
//! Promise: no tenant's name is in them unless a setting says so, and no number of rows or money ever.
//! Never: a tenant is opened for them; they are what the last look left.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

use bonded_schemas::{TenantId, window::State};
use chrono::{DateTime, TimeDelta, Utc};

use super::look::Looked;

/// Windows that were due longer ago are not counted by state.
const COUNTED: TimeDelta = TimeDelta::days(31);
/// Upper ends of the histogram, in seconds.
const BUCKETS_SECONDS: [u32; 10] = [1, 2, 5, 10, 30, 60, 300, 1_800, 7_200, 86_400];

#[derive(Debug, Default)]
pub struct Gauges {
    tenants: HashMap<TenantId, Counted>,
    /// Of each bucket, and of what lies above them all.
    buckets: [u64; BUCKETS_SECONDS.len() + 1],
    seconds_sum: f64,
    told: u64,
    looked_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Default)]
struct Counted {
    states: BTreeMap<State, u64>,
    oldest_open: Option<DateTime<Utc>>,
    /// Windows that somebody was told of and that nothing closed.
    missing: u64,
}

impl Gauges {
    pub(super) fn tenant(&mut self, tenant: &TenantId, looked: &Looked, now: DateTime<Utc>) {
        let recent: Vec<_> =
            looked.windows.iter().map(|expected| &expected.window).filter(|window| window.due_at > now - COUNTED).collect();
        let mut counted = Counted::default();
        for window in recent.iter().filter(|window| window.due_at <= now) {
            *counted.states.entry(window.state).or_default() += 1;
            counted.missing += u64::from(window.alerted_at.is_some() && window.is_unclosed());
            if window.is_unclosed() && matches!(window.state, State::Open | State::Missed) {
                counted.oldest_open = [counted.oldest_open, Some(window.due_at)].into_iter().flatten().min();
            }
        }
        self.tenants.insert(tenant.clone(), counted);
        self.told += looked.told;
        for after in &looked.queryable_after {
            // A clock that was put back makes nothing negative.
            let seconds = (after.num_milliseconds().max(0) as f64) / 1000.0;
            let bucket = BUCKETS_SECONDS.iter().position(|end| seconds <= f64::from(*end)).unwrap_or(BUCKETS_SECONDS.len());
            self.buckets[bucket] += 1;
            self.seconds_sum += seconds;
        }
    }

    pub(super) fn forget(&mut self, tenant: &TenantId) {
        self.tenants.remove(tenant);
    }

    pub(super) fn looked(&mut self, now: DateTime<Utc>) {
        self.looked_at = Some(now);
    }

    /// In the text format, version 0.0.4; with a series for each tenant where they may be named.
    pub fn text(&self, now: DateTime<Utc>, naming_tenants: bool) -> String {
        let mut out = String::new();
        let head = |out: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        let groups: BTreeMap<String, Vec<&Counted>> = match naming_tenants {
            true => self.tenants.iter().map(|(tenant, counted)| (format!("tenant=\"{tenant}\""), vec![counted])).collect(),
            false => BTreeMap::from([(String::new(), self.tenants.values().collect())]),
        };
        let labels = |one: &str, more: &str| match [one, more].into_iter().filter(|label| !label.is_empty()).collect::<Vec<_>>() {
            labels if labels.is_empty() => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        head(&mut out, "bonded_windows", "gauge", "Windows that were due in the last 31 days, by state.");
        for (tenant, counted) in &groups {
            for state in State::ALL {
                let count: u64 = counted.iter().filter_map(|counted| counted.states.get(&state)).sum();
                let _ = writeln!(out, "bonded_windows{} {count}", labels(tenant, &format!("state=\"{state}\"")));
            }
        }
        head(&mut out, "bonded_windows_missing", "gauge", "Windows somebody was told of and nothing closed yet.");
        for (tenant, counted) in &groups {
            let missing: u64 = counted.iter().map(|counted| counted.missing).sum();
            let _ = writeln!(out, "bonded_windows_missing{} {missing}", labels(tenant, ""));
        }
        head(
            &mut out,
            "bonded_window_oldest_open_seconds",
            "gauge",
            "How long ago the oldest window was due that nothing closed; 0 for none.",
        );
        for (tenant, counted) in &groups {
            let oldest = counted.iter().filter_map(|counted| counted.oldest_open).min();
            let seconds = oldest.map_or(0, |due| (now - due).num_seconds().max(0));
            let _ = writeln!(out, "bonded_window_oldest_open_seconds{} {seconds}", labels(tenant, ""));
        }
        head(&mut out, "bonded_window_told_total", "counter", "Alerts over windows that this process raised.");
        let _ = writeln!(out, "bonded_window_told_total {}", self.told);
        head(
            &mut out,
            "bonded_queryable_seconds",
            "histogram",
            "From arrival until the rows can be asked for, of deliveries that closed a window.",
        );
        let mut below = 0;
        for (end, count) in BUCKETS_SECONDS.iter().zip(self.buckets) {
            below += count;
            let _ = writeln!(out, "bonded_queryable_seconds_bucket{{le=\"{end}\"}} {below}");
        }
        below += self.buckets[BUCKETS_SECONDS.len()];
        let _ = writeln!(out, "bonded_queryable_seconds_bucket{{le=\"+Inf\"}} {below}");
        let _ = writeln!(out, "bonded_queryable_seconds_sum {}\nbonded_queryable_seconds_count {below}", self.seconds_sum);
        if let Some(at) = self.looked_at {
            head(&mut out, "bonded_watch_last_round_timestamp_seconds", "gauge", "When the watch last looked at all tenants.");
            let _ = writeln!(out, "bonded_watch_last_round_timestamp_seconds {}", at.timestamp());
        }
        out
    }
}

#[cfg(test)]
mod tests;
