//! Setting and removing schedules: what is expected from now on.
//! Promise: each is one transaction with its event, before and after in it; windows that were due stay what they are.

use bonded_connectors::store::{audit::NewEvent, windows::ScheduleRow};
use bonded_schemas::{Registry, Report, window::Plan};
use uuid::Uuid;

use super::{Kept, kept, make_of, sealed_schedule};
use crate::{
    audit::Change,
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

/// A grace or an allowance longer than this is a slip of the pen.
const MINUTES_MAX: u32 = 31 * 24 * 60;
const COLUMNS_MAX: usize = 100;

/// Sets what is expected of a report, in place of what was, and makes its windows.
///
/// # Errors
/// `Input` when a column is none of the report's; `Retry` when somebody else set it at the same moment.
pub async fn set(house: &Lakehouse, tenant: &Tenant, report: Report, plan: Plan) -> Result<Kept> {
    check(report, &plan)?;
    let before = kept(tenant).await?.into_iter().find(|kept| kept.report == report);
    let now = house.clock.now();
    let version = before.as_ref().map_or(0, |kept| kept.version);
    let row = ScheduleRow {
        schedule_id: before.as_ref().map_or_else(|| Uuid::now_v7().to_string(), |kept| kept.row.schedule_id.clone()),
        report,
        version: version + 1,
        made_ms: now.timestamp_millis(),
        sealed: String::new(),
    };
    let set_by = tenant.scope.actor().to_string();
    let mut after = Kept { report, plan, version: row.version, set_by, set_at: now, row };
    after.row.sealed = sealed_schedule(tenant, &after)?;
    let change = Change::between(&before.as_ref().map(|kept| &kept.plan), &after.plan)?;
    let event = tenant.sealed_change("windows.schedule.set", report.code(), "done", change)?;
    if !tenant.ledger.put_schedule(version, &after.row, NewEvent { at: now, sealed: &event }).await? {
        return Err(Error::new(
            ErrorKind::Retry,
            format!("the schedule of {report} was set by somebody else at this moment; look again"),
        ));
    }
    make_of(tenant, after.clone(), now + house.settings.watch.ahead()).await?;
    Ok(after)
}

/// Expects nothing of a report from now on. What was missed stays missed; what is still open is taken back.
pub async fn remove(house: &Lakehouse, tenant: &Tenant, report: Report) -> Result<()> {
    let before = kept(tenant).await?.into_iter().find(|kept| kept.report == report);
    let before = before.ok_or_else(|| {
        Error::missing(format!("no schedule of {report}; `bonded windows schedule list` shows those there are"))
    })?;
    let change = Change::between(&before.plan, &serde_json::Value::Null)?;
    let event = tenant.sealed_change("windows.schedule.remove", report.code(), "done", change)?;
    let now = house.clock.now();
    if !tenant.ledger.remove_schedule(&before.row, now.timestamp_millis(), NewEvent { at: now, sealed: &event }).await? {
        return Err(Error::new(
            ErrorKind::Retry,
            format!("the schedule of {report} was changed by somebody else at this moment"),
        ));
    }
    Ok(())
}

fn check(report: Report, plan: &Plan) -> Result<()> {
    if plan.early_minutes > MINUTES_MAX || plan.grace_minutes > MINUTES_MAX {
        return Err(Error::input("early and grace are at most 31 days (744h)"));
    }
    if plan.expects.columns.len() > COLUMNS_MAX {
        return Err(Error::input(format!("at most {COLUMNS_MAX} columns can be expected")));
    }
    let known = &Registry::builtin().edition(report).columns;
    match plan.expects.columns.iter().find(|name| known.iter().all(|column| column.name != **name)) {
        Some(name) => Err(Error::input(format!("{report} has no column `{}`", name.escape_default()))),
        None => Ok(()),
    }
}
