//! The audit trails: how long events have been unsigned, and in no sealed segment.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Chart, Looked, about, is_told_elsewhere};
use crate::{
    audit::{AuditEvent, meta},
    error::Result,
    lakehouse::Lakehouse,
};

/// Signing and sealing come round at their interval; so many of them late is too late.
const LATE: i32 = 3;
const MEND: &str =
    "see that `bonded serve` runs with the role maintain; `bonded audit head` signs now, `bonded audit seal` seals now";

pub(super) async fn look(house: &Lakehouse, looked: &Looked, chart: &mut Chart) -> Result<()> {
    let settings = &house.settings.audit;
    let (now, sign_within, seal_within) =
        (house.clock.now(), settings.checkpoint_every() * LATE, settings.segment_every() * LATE);
    let lake = unsigned_since_of_lake(house).await?;
    told("the lake's trail", lake.map(|since| now - since), sign_within, "signed", chart);
    let mut in_time = 0;
    for scope in &looked.scopes {
        let ages = async {
            let tenant = house.tenant(scope).await?;
            let signed = tenant.ledger.last_checkpoint().await?.map(|signed| signed.checked()).transpose()?;
            let signed = signed.map_or(0, |checkpoint| checkpoint.head.events);
            let sealed = tenant.segments.list(scope).await?.iter().map(|place| place.last).max().unwrap_or_default();
            let mut ages = [None, None];
            for (age, events) in ages.iter_mut().zip([signed, sealed]) {
                if let Some(first) = tenant.ledger.audit_time(events + 1).await? {
                    *age = Some(now - meta::time(&first)?);
                }
            }
            tenant.ledger.close().await;
            Ok::<_, crate::Error>(ages)
        };
        let trail = format!("trail of {}", scope.tenant());
        match ages.await {
            Ok([unsigned, unsealed]) => {
                let before = chart.findings.len();
                late(&trail, unsigned, sign_within, "signed", chart);
                late(&trail, unsealed, seal_within, "sealed into a segment", chart);
                in_time += usize::from(chart.findings.len() == before);
            }
            Err(error) if is_told_elsewhere(&error) => {}
            Err(error) => chart.failed(&trail, &error),
        }
    }
    if in_time > 0 {
        chart.ok("tenants' trails", format!("{in_time} signed and sealed in time"));
    }
    Ok(())
}

fn told(trail: &str, age: Option<TimeDelta>, within: TimeDelta, done: &str, chart: &mut Chart) {
    if !late(trail, age, within, done, chart) {
        chart.ok(trail, format!("{done} in time"));
    }
}

fn late(trail: &str, age: Option<TimeDelta>, within: TimeDelta, done: &str, chart: &mut Chart) -> bool {
    let Some(age) = age.filter(|age| *age > within) else { return false };
    chart.warn(trail, format!("has events that were not {done} for {}", about(age)), MEND);
    true
}

/// When the first event happened that no checkpoint vouches for.
async fn unsigned_since_of_lake(house: &Lakehouse) -> Result<Option<DateTime<Utc>>> {
    let signed = house.control().last_checkpoint().await?.map(|signed| signed.checked()).transpose()?;
    let signed = signed.map_or(0, |checkpoint| checkpoint.head.events);
    let rows = house.control().audit().await?;
    rows.iter().find(|row| row.seq > signed).map(|row| meta::time(&row.at)).transpose()
}

/// Of the lake's own trail, from then on.
pub(super) async fn events_since(house: &Lakehouse, since: DateTime<Utc>) -> Result<Vec<AuditEvent>> {
    let mut found = Vec::new();
    for entry in house.entries().await? {
        if meta::time(&entry.row.at)? >= since {
            found.push(entry.event);
        }
    }
    Ok(found)
}
