//! The joint check over a missing run: what tenant and operator go through together, step by step, until its cause is known.
//! Promise: it opens with the alert, in the same transaction; each tick and its end say by whom and when, each with its event.
//! Never: a closed check is opened again, and none is closed without a cause.

use bonded_connectors::store::{audit::NewEvent, windows::CheckRow};
use bonded_schemas::Report;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{
    Elsewhere, Expected, Kept,
    causes::{self, Cause, Likely, Side},
};
use crate::{
    audit::Change,
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

const WHAT: &str = "joint-check";
const NOTE_CHARS_MAX: usize = 2000;
/// The beginning of an id that is enough to name it, as people type it.
const ID_CHARS_MIN: usize = 8;
const LISTED_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JointCheck {
    pub id: String,
    pub report: Report,
    pub schedule_id: String,
    pub due_at: DateTime<Utc>,
    pub opened_at: DateTime<Utc>,
    /// The strongest first, as it was when the check was opened.
    pub causes: Vec<Likely>,
    pub steps: Vec<Step>,
    pub closed: Option<Closed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub number: u32,
    pub side: Side,
    pub cause: Cause,
    pub text: String,
    pub ticked: Option<Ticked>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticked {
    pub by: String,
    pub at: DateTime<Utc>,
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub by: String,
    pub at: DateTime<Utc>,
    pub cause: Cause,
    pub note: Option<String>,
}

impl JointCheck {
    pub fn state(&self) -> &'static str {
        if self.closed.is_some() { "closed" } else { "open" }
    }
}

/// A check over a window that is missing, to be kept with the step that tells of it.
pub(super) async fn opened(
    house: &Lakehouse,
    tenant: &Tenant,
    schedule: &Kept,
    expected: &Expected,
    elsewhere: &Elsewhere,
) -> Result<CheckRow> {
    let evidence = causes::gather(house, tenant, schedule, expected, elsewhere).await?;
    let causes = causes::rank(schedule.report, &evidence);
    let steps =
        causes.iter().flat_map(|likely| causes::steps(likely.cause).iter().map(|(side, text)| (likely.cause, *side, *text)));
    let check = JointCheck {
        id: Uuid::now_v7().to_string(),
        report: schedule.report,
        schedule_id: expected.schedule_id.clone(),
        due_at: expected.window.due_at,
        opened_at: house.clock.now(),
        steps: (1..)
            .zip(steps)
            .map(|(number, (cause, side, text))| Step { number, side, cause, text: text.to_owned(), ticked: None })
            .collect(),
        causes,
        closed: None,
    };
    row(tenant, &check, 1)
}

fn row(tenant: &Tenant, check: &JointCheck, version: i64) -> Result<CheckRow> {
    Ok(CheckRow {
        check_id: check.id.clone(),
        schedule_id: check.schedule_id.clone(),
        due_ms: check.due_at.timestamp_millis(),
        state: check.state().to_owned(),
        opened_ms: check.opened_at.timestamp_millis(),
        version,
        sealed: tenant.seal(WHAT, &sealed_under(&check.id, version), check)?,
    })
}

fn sealed_under(id: &str, version: i64) -> String {
    format!("{id}/{version}")
}

/// # Errors
/// `Damaged` when a clear cell is not what was sealed.
pub(crate) fn unsealed(tenant: &Tenant, row: &CheckRow) -> Result<JointCheck> {
    let check: JointCheck = tenant.unseal(WHAT, &sealed_under(&row.check_id, row.version), &row.sealed)?;
    let times = (check.due_at.timestamp_millis(), check.opened_at.timestamp_millis());
    let clear = (check.id.as_str(), check.schedule_id.as_str(), check.state(), times);
    match clear == (&*row.check_id, &*row.schedule_id, &*row.state, (row.due_ms, row.opened_ms)) {
        true => Ok(check),
        false => Err(Error::new(ErrorKind::Damaged, format!("the joint check {} is not what was sealed", row.check_id))),
    }
}

/// The newest first.
pub async fn list(tenant: &Tenant) -> Result<Vec<JointCheck>> {
    tenant.ledger.joint_checks(LISTED_MAX).await?.iter().map(|row| unsealed(tenant, row)).collect()
}

/// By its id, or enough of its end to know it: ids that were made at one time begin alike.
async fn find(tenant: &Tenant, id: &str) -> Result<(CheckRow, JointCheck)> {
    let missing =
        || Error::missing(format!("no joint check `{}`; `bonded windows check list` shows those there are", id.escape_default()));
    if let Some(row) = tenant.ledger.joint_check(id).await? {
        return Ok((row.clone(), unsealed(tenant, &row)?));
    }
    let rows = tenant.ledger.joint_checks(LISTED_MAX).await?;
    let mut alike = rows.into_iter().filter(|row| id.len() >= ID_CHARS_MIN && row.check_id.ends_with(id));
    match (alike.next(), alike.next()) {
        (Some(row), None) => Ok((row.clone(), unsealed(tenant, &row)?)),
        (Some(_), Some(_)) => {
            Err(Error::input(format!("several joint checks end in `{}`; give more of the id", id.escape_default())))
        }
        (None, _) => Err(missing()),
    }
}

pub async fn show(tenant: &Tenant, id: &str) -> Result<JointCheck> {
    Ok(find(tenant, id).await?.1)
}

/// Ticks a step off; a tick is not taken back.
pub async fn tick(house: &Lakehouse, tenant: &Tenant, id: &str, number: u32, note: Option<&str>) -> Result<JointCheck> {
    let note = noted(note)?;
    let (before, mut check) = find(tenant, id).await?;
    must_be_open(&check)?;
    let (by, at) = (tenant.scope.actor().to_string(), house.clock.now());
    let step = check.steps.iter_mut().find(|step| step.number == number);
    let step = step.ok_or_else(|| Error::missing(format!("the check has no step {number}")))?;
    if let Some(ticked) = &step.ticked {
        return Err(Error::input(format!("step {number} was ticked off by {} already", ticked.by)));
    }
    step.ticked = Some(Ticked { by, at, note: note.clone() });
    let change = Change::made(&json!({ "step": number, "text": step.text, "note": note }))?;
    moved(house, tenant, &before, check, "windows.check.tick", change).await
}

/// Ends the check with what it was.
pub async fn close(house: &Lakehouse, tenant: &Tenant, id: &str, cause: Cause, note: Option<&str>) -> Result<JointCheck> {
    let note = noted(note)?;
    if cause == Cause::Other && note.is_none() {
        return Err(Error::input("another cause needs a note that says which"));
    }
    let (before, mut check) = find(tenant, id).await?;
    must_be_open(&check)?;
    let (by, at) = (tenant.scope.actor().to_string(), house.clock.now());
    check.closed = Some(Closed { by, at, cause, note: note.clone() });
    let change = Change::between(&json!({ "state": "open" }), &json!({ "state": "closed", "cause": cause, "note": note }))?;
    moved(house, tenant, &before, check, "windows.check.close", change).await
}

async fn moved(
    house: &Lakehouse,
    tenant: &Tenant,
    before: &CheckRow,
    check: JointCheck,
    action: &str,
    change: Change,
) -> Result<JointCheck> {
    let event = tenant.sealed_change(action, &check.id, "done", change)?;
    let event = NewEvent { at: house.clock.now(), sealed: &event };
    match tenant.ledger.move_joint_check(&row(tenant, &check, before.version + 1)?, event).await? {
        true => Ok(check),
        false => Err(Error::new(ErrorKind::Retry, "somebody else moved the check at this moment; look again")),
    }
}

fn must_be_open(check: &JointCheck) -> Result<()> {
    match &check.closed {
        Some(closed) => Err(Error::input(format!("the check was closed by {} already: {}", closed.by, closed.cause.as_str()))),
        None => Ok(()),
    }
}

fn noted(note: Option<&str>) -> Result<Option<String>> {
    match note.map(str::trim).filter(|note| !note.is_empty()) {
        Some(note) if note.chars().count() > NOTE_CHARS_MAX => {
            Err(Error::input(format!("a note has at most {NOTE_CHARS_MAX} characters")))
        }
        note => Ok(note.map(str::to_owned)),
    }
}
