//! How fresh each report is: what came last, what is expected next, how the last run that was due stands.

use std::collections::BTreeMap;

use bonded_schemas::{
    DeliveryId, Report,
    window::{Mark, State},
};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{LOOK_BACK, kept, windows};
use crate::{
    error::Result,
    lakehouse::{Lakehouse, Tenant},
};

/// How a report stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The last run that was due came on time, or late and came.
    Fresh,
    /// A run is due and has not come; its grace still runs.
    Waiting,
    /// The last run that was due is missing.
    Missing,
    /// It is expected, and no run was due so far.
    Expected,
    /// No schedule says when it is expected.
    Unscheduled,
}

/// One report of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Freshness {
    pub report: Report,
    pub standing: Standing,
    pub last_delivery: Option<DeliveryId>,
    pub last_received_at: Option<DateTime<Utc>>,
    /// The newest that any delivery speaks of.
    pub last_as_of: Option<DateTime<Utc>>,
    /// Due time, state and marks of the last run that was due.
    pub last_due_at: Option<DateTime<Utc>>,
    pub last_state: Option<State>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
    /// Windows that nothing closed.
    pub missed: u64,
    pub next_due_at: Option<DateTime<Utc>>,
    pub schedule: Option<String>,
}

impl Standing {
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Fresh => "fresh",
            Standing::Waiting => "waiting",
            Standing::Missing => "missing",
            Standing::Expected => "expected",
            Standing::Unscheduled => "unscheduled",
        }
    }
}

/// Each report that is scheduled or was ever delivered.
pub async fn freshness(house: &Lakehouse, tenant: &Tenant) -> Result<Vec<Freshness>> {
    let now = house.clock.now();
    super::make(house, tenant).await?;
    let schedules: BTreeMap<Report, _> = kept(tenant).await?.into_iter().map(|kept| (kept.report, kept)).collect();
    let windows = windows(tenant, now - LOOK_BACK, DateTime::<Utc>::MAX_UTC).await?;
    let delivered = tenant.ledger.committed(None).await?;
    let mut found = Vec::new();
    for report in Report::ALL {
        let rows = || delivered.iter().filter(|row| row.report == Some(report));
        let schedule = schedules.get(&report);
        let last = rows().max_by_key(|row| (row.received_at, row.delivery_id));
        if schedule.is_none() && last.is_none() {
            continue;
        }
        let of = || windows.iter().filter(|expected| expected.report == report).map(|expected| &expected.window);
        let due = of().rfind(|window| window.due_at <= now && window.state != State::Excused);
        let standing = match (schedule, due.map(|window| window.state)) {
            (None, _) => Standing::Unscheduled,
            (_, None) => Standing::Expected,
            (_, Some(State::OnTime | State::Late | State::Excused)) => Standing::Fresh,
            (_, Some(State::Open)) => Standing::Waiting,
            (_, Some(State::Missed)) => Standing::Missing,
        };
        let closing = due.and_then(|window| window.closed.as_ref());
        found.push(Freshness {
            report,
            standing,
            last_delivery: last.map(|row| row.delivery_id),
            last_received_at: last.map(|row| row.received_at),
            last_as_of: rows().map(|row| row.as_of).max(),
            last_due_at: due.map(|window| window.due_at),
            last_state: due.map(|window| window.state),
            marks: closing.map(|closing| closing.marks.iter().copied().collect()).unwrap_or_default(),
            missed: of().filter(|window| window.state == State::Missed).count() as u64,
            next_due_at: of().find(|window| window.due_at > now).map(|window| window.due_at),
            schedule: schedule.map(|kept| kept.plan.schedule.to_string()),
        });
    }
    Ok(found)
}
