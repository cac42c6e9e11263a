//! `meta.audit`: the trail as a table for SQL.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    error::ArrowError,
};
use chrono::{DateTime, Utc};

use super::Entry;
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::Tenant,
};

pub const TABLE: &str = "audit";

/// All of the tenant's trail, sealed and live, each event once.
pub(crate) async fn table(tenant: &Tenant) -> Result<RecordBatch> {
    let entries = tenant.entries().await?;
    let text =
        |pick: &dyn Fn(&Entry) -> Option<String>| -> ArrayRef { Arc::new(StringArray::from_iter(entries.iter().map(pick))) };
    let at = entries.iter().map(|entry| time(&entry.row.at)).collect::<Result<Vec<_>>>()?;
    let at = TimestampMicrosecondArray::from_iter_values(at.into_iter().map(|at| at.timestamp_micros())).with_timezone("+00:00");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("seq", Arc::new(Int64Array::from_iter_values(entries.iter().map(|entry| entry.row.seq)))),
        ("at", Arc::new(at)),
        ("actor", text(&|entry| Some(entry.event.actor.name.clone()))),
        ("role", text(&|entry| entry.event.actor.role.map(|role| role.to_string()))),
        ("ip", text(&|entry| entry.event.actor.ip.map(|ip| ip.to_string()))),
        ("request_id", text(&|entry| entry.event.actor.request_id.clone())),
        ("action", text(&|entry| Some(entry.event.action.clone()))),
        ("object", text(&|entry| Some(entry.event.object.clone()))),
        ("result", text(&|entry| Some(entry.event.result.clone()))),
        ("before", text(&|entry| entry.event.before.as_ref().map(ToString::to_string))),
        ("after", text(&|entry| entry.event.after.as_ref().map(ToString::to_string))),
        ("hash", text(&|entry| Some(entry.row.hash.clone()))),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns)
        .map_err(|error: ArrowError| Error::new(ErrorKind::Internal, "the table of the trail").with_source(error))
}

pub(crate) fn time(at: &str) -> Result<DateTime<Utc>> {
    let parsed = DateTime::parse_from_rfc3339(at);
    Ok(parsed.map_err(|error| Error::new(ErrorKind::Damaged, "the time of an audit event").with_source(error))?.to_utc())
}
