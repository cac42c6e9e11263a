//! The watch: what each tenant expects of each report, which delivery closed which window, and who is told when none does.
//! Promise: a window is made once, moves on by compare-and-swap and leaves an event for each step, so that two watches at once
//! do what one does; a run that is missing is told of at the first look after its time, also after a restart.
//! Never: of another tenant more than how many are missing something too.

use std::collections::BTreeMap;

use bonded_connectors::store::windows::{ScheduleRow, WindowRow};
use bonded_schemas::{
    DeliveryId, Report,
    window::{Excuse, Plan, State, Window},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

mod arrivals;
pub mod causes;
pub mod check;
pub mod freshness;
pub mod gauges;
mod look;
pub(crate) mod meta;
mod month;
pub mod plan;
pub mod round;
mod suggest;

pub use look::{Alert, look};
pub use month::{MonthOf, month};
pub use round::{Elsewhere, Watch};
pub use suggest::{Suggestion, suggest};

/// Kind of the alerts over windows, and what their bodies are sealed as.
pub const ALERT: &str = bonded_connectors::store::windows::ALERT;
const SCHEDULE: &str = "schedule";
const WINDOW: &str = "window-row";

/// Windows that are older are history: nothing closes them any more.
pub(crate) const LOOK_BACK: TimeDelta = TimeDelta::days(400);
/// Windows that are made of one schedule in one step.
const MADE_AT_ONCE_MAX: usize = 500;
/// No run is moved farther than this.
const MOVED_MAX: TimeDelta = TimeDelta::days(32);
/// One each minute.
const MOVED_COUNT_MAX: usize = 32 * 24 * 60;

/// A schedule as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    pub report: Report,
    #[serde(flatten)]
    pub plan: Plan,
    pub version: i64,
    pub set_by: String,
    pub set_at: DateTime<Utc>,
    #[serde(skip)]
    pub(crate) row: ScheduleRow,
}

/// The sealed body of a schedule.
#[derive(Serialize, Deserialize)]
struct Body {
    report: Report,
    version: i64,
    made_ms: i64,
    plan: Plan,
    set_by: String,
    set_at: DateTime<Utc>,
}

/// A window of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    pub report: Report,
    pub schedule_id: String,
    #[serde(flatten)]
    pub window: Window,
}

impl Expected {
    /// No other window has it.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.schedule_id, self.window.due_at.timestamp_millis())
    }
}

/// What the row of a window is sealed under.
fn sealed_under(schedule_id: &str, due_ms: i64, version: i64) -> String {
    format!("{schedule_id}/{due_ms}/{version}")
}

/// Every schedule of the tenant, by report.
pub async fn kept(tenant: &Tenant) -> Result<Vec<Kept>> {
    tenant.ledger.schedules().await?.into_iter().map(|row| opened(tenant, row)).collect()
}

pub(crate) fn opened(tenant: &Tenant, row: ScheduleRow) -> Result<Kept> {
    let body: Body = tenant.unseal(SCHEDULE, &row.schedule_id, &row.sealed)?;
    if (body.report, body.version, body.made_ms) != (row.report, row.version, row.made_ms) {
        return Err(Error::new(ErrorKind::Damaged, format!("the schedule of {} is not what was sealed", row.report)));
    }
    Ok(Kept { report: body.report, plan: body.plan, version: body.version, set_by: body.set_by, set_at: body.set_at, row })
}

fn sealed_schedule(tenant: &Tenant, kept: &Kept) -> Result<String> {
    let body = Body {
        report: kept.report,
        version: kept.version,
        made_ms: kept.row.made_ms,
        plan: kept.plan.clone(),
        set_by: kept.set_by.clone(),
        set_at: kept.set_at,
    };
    tenant.seal(SCHEDULE, &kept.row.schedule_id, &body)
}

/// The row of a window; `version` is the one that it becomes.
fn sealed_window(tenant: &Tenant, expected: &Expected, version: i64) -> Result<WindowRow> {
    let Expected { report, schedule_id, window } = expected;
    let due_ms = window.due_at.timestamp_millis();
    Ok(WindowRow {
        schedule_id: schedule_id.clone(),
        due_ms,
        report: *report,
        state: window.state.as_str().to_owned(),
        grace_ends_ms: window.grace_ends_at.timestamp_millis(),
        closed_by: window.closed.as_ref().map(|closing| closing.arrival.to_string()),
        version,
        sealed: tenant.seal(WINDOW, &sealed_under(schedule_id, due_ms, version), expected)?,
    })
}

pub(crate) fn opened_window(tenant: &Tenant, row: &WindowRow) -> Result<Expected> {
    let expected: Expected = tenant.unseal(WINDOW, &sealed_under(&row.schedule_id, row.due_ms, row.version), &row.sealed)?;
    let window = &expected.window;
    let clear =
        (expected.report, window.state.as_str(), window.due_at.timestamp_millis(), window.grace_ends_at.timestamp_millis());
    let is_same = clear == (row.report, row.state.as_str(), row.due_ms, row.grace_ends_ms)
        && window.closed.as_ref().map(|closing| closing.arrival.to_string()) == row.closed_by;
    match is_same {
        true => Ok(expected),
        false => Err(Error::new(ErrorKind::Damaged, format!("a window of {} is not what was sealed", row.report))),
    }
}

/// Windows due in a span, in order of their due times.
pub async fn windows(tenant: &Tenant, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<Expected>> {
    let rows = tenant.ledger.windows(from.timestamp_millis(), until.timestamp_millis()).await?;
    rows.iter().map(|row| opened_window(tenant, row)).collect()
}

/// Makes the windows of every schedule as far ahead as settings say; those that are there stay as they are.
pub async fn make(house: &Lakehouse, tenant: &Tenant) -> Result<()> {
    let now = house.clock.now();
    for kept in kept(tenant).await? {
        make_of(tenant, kept, now + house.settings.watch.ahead()).await?;
    }
    Ok(())
}

/// Answers how far windows of the schedule are made; less than asked for when it was changed meanwhile.
async fn make_of(tenant: &Tenant, mut kept: Kept, until: DateTime<Utc>) -> Result<DateTime<Utc>> {
    loop {
        let made = millis(kept.row.made_ms);
        if made >= until {
            return Ok(made);
        }
        let (windows, reached) = kept.plan.windows(made, until, bonded_schemas::window::outages(), MADE_AT_ONCE_MAX);
        let moved = moved_over(&kept, made);
        let windows = moved.into_iter().chain(windows);
        let expected = |window| Expected { report: kept.report, schedule_id: kept.row.schedule_id.clone(), window };
        let rows = windows.map(|window| sealed_window(tenant, &expected(window), 1)).collect::<Result<Vec<_>>>()?;
        kept.row.made_ms = reached.timestamp_millis();
        kept.row.sealed = sealed_schedule(tenant, &kept)?;
        if kept.row.made_ms <= made.timestamp_millis() || !tenant.ledger.make_windows(&kept.row, &rows).await? {
            return Ok(made);
        }
    }
}

/// Runs from before a schedule was set that it moves to after that. Setting it took their windows back.
fn moved_over(kept: &Kept, made: DateTime<Utc>) -> Vec<Window> {
    if kept.plan.excuse != Excuse::Shift || made.timestamp_millis() != kept.set_at.timestamp_millis() {
        return Vec::new();
    }
    let outages = bonded_schemas::window::outages();
    let (mut windows, _) = kept.plan.windows(made - MOVED_MAX, made, outages, MOVED_COUNT_MAX);
    windows.retain(|window| window.due_at > made);
    windows
}

pub(crate) fn millis(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

/// How many windows stand in each state.
pub fn count(windows: &[Expected]) -> BTreeMap<State, u64> {
    let mut counted = BTreeMap::new();
    for expected in windows {
        *counted.entry(expected.window.state).or_default() += 1;
    }
    counted
}

/// The delivery that closed a window.
pub fn closed_by(window: &Window) -> Option<DeliveryId> {
    window.closed.as_ref().map(|closing| closing.arrival.delivery_id)
}
