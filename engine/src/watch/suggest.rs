//! What could be expected of each report, learned from what arrived. Nothing is set.

use bonded_schemas::{
    Report,
    window::learn::{Learned, Seen, learn},
};
use chrono_tz::Tz;
use serde::Serialize;

use super::arrivals::Arrivals;
use crate::{error::Result, lakehouse::Tenant};

/// Where importers and their brokers sit, and UTC; the first of them where several fit alike.
const ZONES: [Tz; 5] = [Tz::America__New_York, Tz::America__Chicago, Tz::America__Denver, Tz::America__Los_Angeles, Tz::UTC];

/// What fits the arrivals of a report, with what speaks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    pub report: Report,
    pub cadence: String,
    pub zone: String,
    pub grace_minutes: u32,
    pub rows: Option<String>,
    /// Of 100.
    pub confidence: u32,
    pub evidence: String,
    /// What sets it.
    pub command: String,
}

/// One for each report with a rhythm; in this zone, or in the one that fits best.
pub async fn suggest(tenant: &Tenant, zone: Option<Tz>) -> Result<Vec<Suggestion>> {
    let arrivals = Arrivals::read(tenant).await?;
    let mut suggestions = Vec::new();
    for report in Report::ALL {
        let mut seen = Vec::new();
        for arrival in arrivals.of(report) {
            let rows = arrivals.facts(tenant, &arrival, &[])?.rows;
            seen.push(Seen { received_at: arrival.received_at, rows });
        }
        let zones = zone.as_ref().map_or(&ZONES[..], std::slice::from_ref);
        suggestions.extend(learn(&seen, zones).map(|learned| shown(tenant, report, &learned)));
    }
    Ok(suggestions)
}

fn shown(tenant: &Tenant, report: Report, learned: &Learned) -> Suggestion {
    let Learned { schedule, grace_minutes, days_seen, expected, kept, unexpected, .. } = learned;
    let (cadence, zone) = (schedule.cadence().to_string(), schedule.zone().name().to_owned());
    let rows = learned.rows.map(|band| band.to_string());
    let evidence = format!(
        "something came on {days_seen} days; of {expected} runs that this would have expected {kept} came on their day, and \
         {unexpected} days with an arrival would not have been expected"
    );
    let grace = format!("{}h", grace_minutes / 60);
    let band = rows.as_ref().map(|rows| format!(" --rows {rows}")).unwrap_or_default();
    let command = format!(
        "bonded windows schedule set --tenant {} --report {report} --cadence \"{cadence}\" --zone {zone} --grace {grace}{band}",
        tenant.scope.tenant()
    );
    Suggestion { report, cadence, zone, grace_minutes: *grace_minutes, rows, confidence: learned.confidence, evidence, command }
}
