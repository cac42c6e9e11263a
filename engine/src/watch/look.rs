//! One look at one tenant: windows made, deliveries assigned, what is missing told.
//! Promise: each step is one transaction with its alert, its joint check and its event; what another watch did first is left.

use std::collections::{BTreeMap, HashSet};

use bonded_connectors::store::{
    alerts::NewAlert,
    audit::NewEvent,
    windows::{CheckRow, WindowRow, WindowStep},
};
use bonded_schemas::{
    Report, Severity,
    window::{self, Mark, Step, Told},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ALERT, Elsewhere, Expected, Kept, LOOK_BACK, arrivals::Arrivals, check, kept, make_of, opened_window, sealed_window,
};
use crate::{
    error::Result,
    lakehouse::{Lakehouse, Tenant},
};

/// The sealed body of an alert over a window. It quotes nothing of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    pub told: Told,
    pub report: Report,
    /// The schedule in words.
    pub schedule: String,
    pub due_at: DateTime<Utc>,
    pub grace_ends_at: DateTime<Utc>,
    /// Of the delivery that came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The joint check that was opened over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_id: Option<String>,
    pub message: String,
}

/// What one look found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// When it is to be looked again, if nothing arrives.
    pub next_at: Option<DateTime<Utc>>,
    pub told: u64,
    pub closed: u64,
    /// Of each delivery that closed a window just now: from its arrival until its rows could be asked for.
    pub queryable_after: Vec<TimeDelta>,
    pub windows: Vec<Expected>,
}

/// Looks at the tenant's windows now, and does what is due.
pub async fn look(house: &Lakehouse, tenant: &Tenant, elsewhere: &Elsewhere) -> Result<Looked> {
    let now = house.clock.now();
    let ahead = house.settings.watch.ahead();
    let schedules = kept(tenant).await?;
    let mut looked = Looked::default();
    for schedule in &schedules {
        let made = make_of(tenant, schedule.clone(), now + ahead).await?;
        // Made again long before the last one made is due.
        looked.next_at = earliest(looked.next_at, Some(made - ahead / 2).filter(|at| *at > now));
    }
    if schedules.is_empty() {
        return Ok(looked);
    }
    let rows = tenant.ledger.windows((now - LOOK_BACK).timestamp_millis(), i64::MAX).await?;
    let arrivals = Arrivals::read(tenant).await?;
    // Also of schedules that are no more: what closed a window closes no other, and must not stand before what may.
    let spent: HashSet<&str> = rows.iter().filter_map(|row| row.closed_by.as_deref()).collect();
    for schedule in &schedules {
        let rows = rows.iter().filter(|row| row.schedule_id == schedule.row.schedule_id);
        let known = rows.map(|row| Ok((opened_window(tenant, row)?, row))).collect::<Result<Vec<_>>>()?;
        let mut windows: Vec<_> = known.iter().map(|(expected, _)| expected.window.clone()).collect();
        let needed = &schedule.plan.expects.columns;
        let mut free = arrivals.of(schedule.report);
        free.retain(|arrival| !spent.contains(arrival.id.to_string().as_str()));
        let closers = window::assign(&windows, &free).into_iter();
        let closers = closers.map(|(due, arrival)| Ok((due, (arrival, arrivals.facts(tenant, &arrival, needed)?))));
        let closers: BTreeMap<_, _> = closers.collect::<Result<_>>()?;
        for step in window::turn(&schedule.plan.expects, &windows, &closers, now) {
            let at = windows.iter().position(|window| window.due_at == step.window.due_at);
            let Some((at, row)) = at.and_then(|at| Some((at, known.get(at)?.1))) else { continue };
            if take(house, tenant, schedule, row, &step, elsewhere).await? {
                looked.told += u64::from(step.told.is_some());
                if let Some(closing) = &step.window.closed {
                    looked.closed += 1;
                    looked.queryable_after.extend(closing.facts.queryable_at.map(|at| at - closing.received_at));
                }
                windows[at] = step.window;
            } else {
                // Another watch was first, or the delivery closed another window: it is looked at again soon.
                looked.next_at = earliest(looked.next_at, Some(now));
            }
        }
        looked.next_at = earliest(looked.next_at, window::next_deadline(&windows));
        looked.windows.extend(windows.into_iter().map(|window| Expected {
            report: schedule.report,
            schedule_id: schedule.row.schedule_id.clone(),
            window,
        }));
    }
    Ok(looked)
}

fn earliest(one: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    [one, other].into_iter().flatten().min()
}

/// Does one step; `false` when another did first.
async fn take(
    house: &Lakehouse,
    tenant: &Tenant,
    schedule: &Kept,
    row: &WindowRow,
    step: &Step,
    elsewhere: &Elsewhere,
) -> Result<bool> {
    let now = house.clock.now();
    let window = &step.window;
    let expected = Expected { report: schedule.report, schedule_id: schedule.row.schedule_id.clone(), window: window.clone() };
    let to = sealed_window(tenant, &expected, row.version + 1)?;
    let missing = matches!(step.told, Some(Told::Missed | Told::Overdue));
    let opened: Option<CheckRow> = match missing {
        true => Some(check::opened(house, tenant, schedule, &expected, elsewhere).await?),
        false => None,
    };
    let alert = match step.told {
        Some(told) => Some(alert(tenant, schedule, &expected, told, opened.as_ref())?),
        None => None,
    };
    let over = step.resolved.then(|| fingerprint(tenant, &expected, Told::Missed));
    let result = match (&window.closed, step.told) {
        (Some(_), _) => window.state.as_str().to_owned(),
        (None, Some(Told::Overdue)) => "overdue".to_owned(),
        (None, _) => window.state.as_str().to_owned(),
    };
    let object = format!("{} {}", schedule.report, window.due_at.format("%Y-%m-%dT%H:%MZ"));
    let event = tenant.sealed_event("windows.step", &object, &result)?;
    let step = WindowStep {
        to: &to,
        raise: alert.as_ref().map(|alert| NewAlert {
            kind: ALERT,
            report: Some(schedule.report),
            fingerprint: &alert.fingerprint,
            severity: alert.severity,
            sealed: &alert.sealed,
        }),
        resolve: over.as_deref(),
        check: opened.as_ref(),
        event: NewEvent { at: now, sealed: &event },
    };
    let done = tenant.ledger.move_window(&step).await?;
    if done && missing {
        tracing::warn!(target: "serve.watch", tenant = %tenant.scope.tenant(), report = %schedule.report, due = %window.due_at, "a run is missing");
    }
    Ok(done)
}

struct ToRaise {
    fingerprint: String,
    severity: Severity,
    sealed: String,
}

/// One for each window over its not being closed, and one over what closed it.
fn fingerprint(tenant: &Tenant, expected: &Expected, told: Told) -> String {
    let about = if told == Told::Content { "content" } else { "missing" };
    tenant.names.keyed_digest(ALERT, format!("{}\n{about}", expected.name()).as_bytes())
}

fn alert(tenant: &Tenant, schedule: &Kept, expected: &Expected, told: Told, opened: Option<&CheckRow>) -> Result<ToRaise> {
    let window = &expected.window;
    let closing = window.closed.as_ref();
    let marks: Vec<Mark> = closing.map(|closing| closing.marks.iter().copied().collect()).unwrap_or_default();
    let report = schedule.report;
    let due = window.due_at.format("%Y-%m-%d %H:%M UTC");
    let grace = window.grace_ends_at.format("%Y-%m-%d %H:%M UTC");
    let (severity, message) = match told {
        Told::Missed => (Severity::Error, format!("{report} was due {due} and did not come; its grace ended {grace}")),
        // Missed is not told after it, so this must reach whoever wants to hear of errors.
        Told::Overdue => (Severity::Error, format!("{report} was due {due} and has not come; its grace ends {grace}")),
        Told::Content => {
            let marks: Vec<&str> = marks.iter().filter(|mark| mark.is_told()).map(|mark| mark.as_str()).collect();
            (Severity::Warning, format!("{report} due {due} came, but not as expected: {}", marks.join(", ")))
        }
    };
    let body = Alert {
        told,
        report,
        schedule: schedule.plan.schedule.to_string(),
        due_at: window.due_at,
        grace_ends_at: window.grace_ends_at,
        marks,
        rows: closing.and_then(|closing| closing.facts.rows),
        check_id: opened.map(|check| check.check_id.clone()),
        message,
    };
    let fingerprint = fingerprint(tenant, expected, told);
    let sealed = tenant.seal(ALERT, &fingerprint, &body)?;
    Ok(ToRaise { fingerprint, severity, sealed })
}
