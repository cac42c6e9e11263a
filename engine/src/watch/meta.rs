//! `meta.windows` and `meta.schedules`: what is expected and what came of it, for SQL.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use bonded_schemas::window::{Closing, Mark};
use chrono::{DateTime, Utc};

use super::{Expected, kept, windows};
use crate::{
    answers::{batch, maybe_times, text, times},
    error::Result,
    lakehouse::Tenant,
};

pub(crate) async fn tables(tenant: &Tenant) -> Result<Vec<(String, RecordBatch)>> {
    let windows = windows(tenant, DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC).await?;
    fn closing(expected: &Expected) -> Option<&Closing> {
        expected.window.closed.as_ref()
    }
    let marks = |closing: &Closing| closing.marks.iter().map(|mark: &Mark| mark.as_str()).collect::<Vec<_>>().join(",");
    let rows: ArrayRef = Arc::new(windows.iter().map(|w| closing(w)?.facts.rows).collect::<UInt64Array>());
    let by_window = batch(vec![
        ("report", text(windows.iter().map(|w| Some(w.report.code())))),
        ("local_day", text(windows.iter().map(|w| Some(w.window.local_day.to_string())))),
        ("due_at", times(windows.iter().map(|w| w.window.due_at))),
        ("opens_at", times(windows.iter().map(|w| w.window.opens_at))),
        ("grace_ends_at", times(windows.iter().map(|w| w.window.grace_ends_at))),
        ("state", text(windows.iter().map(|w| Some(w.window.state.as_str())))),
        ("excuse", text(windows.iter().map(|w| w.window.excuse.clone()))),
        ("delivery_id", text(windows.iter().map(|w| closing(w).map(|c| c.arrival.delivery_id.to_string())))),
        ("received_at", maybe_times(windows.iter().map(|w| closing(w).map(|c| c.received_at)))),
        ("queryable_at", maybe_times(windows.iter().map(|w| closing(w)?.facts.queryable_at))),
        ("rows", rows),
        ("marks", text(windows.iter().map(|w| closing(w).map(marks)))),
        ("alerted_at", maybe_times(windows.iter().map(|w| w.window.alerted_at))),
    ])?;
    let schedules = kept(tenant).await?;
    let by_report = batch(vec![
        ("report", text(schedules.iter().map(|kept| Some(kept.report.code())))),
        ("cadence", text(schedules.iter().map(|kept| Some(kept.plan.schedule.cadence().to_string())))),
        ("zone", text(schedules.iter().map(|kept| Some(kept.plan.schedule.zone().name())))),
        (
            "early_minutes",
            Arc::new(schedules.iter().map(|kept| Some(u64::from(kept.plan.early_minutes))).collect::<UInt64Array>()),
        ),
        (
            "grace_minutes",
            Arc::new(schedules.iter().map(|kept| Some(u64::from(kept.plan.grace_minutes))).collect::<UInt64Array>()),
        ),
        ("excuse", text(schedules.iter().map(|kept| Some(kept.plan.excuse.to_string())))),
        ("rows", text(schedules.iter().map(|kept| kept.plan.expects.rows.map(|band| band.to_string())))),
        ("set_by", text(schedules.iter().map(|kept| Some(kept.set_by.clone())))),
        ("set_at", times(schedules.iter().map(|kept| kept.set_at))),
    ])?;
    Ok(vec![("windows".into(), by_window), ("schedules".into(), by_report)])
}
