//! `meta.findings` and `meta.finding_places`: the kept findings as tables of a session.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray},
    error::ArrowError,
};

use super::Kept;
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::Tenant,
};

/// One row a finding, and one row for each place that it rests on.
pub(crate) async fn tables(tenant: &Tenant) -> Result<Vec<(String, RecordBatch)>> {
    let kept = super::kept(tenant).await?;
    let text = |pick: &dyn Fn(&Kept) -> Option<String>| -> ArrayRef { Arc::new(kept.iter().map(pick).collect::<StringArray>()) };
    let findings = batch(vec![
        ("id", text(&|kept| Some(kept.id.clone()))),
        ("check", text(&|kept| Some(kept.finding.check.clone()))),
        ("severity", text(&|kept| Some(kept.finding.severity.to_string()))),
        ("state", text(&|kept| Some(kept.state.as_str().to_owned()))),
        ("entry_summary_number", text(&|kept| Some(kept.finding.entry_summary_number.clone()))),
        (
            "entry_summary_line_number",
            Arc::new(kept.iter().map(|kept| kept.finding.entry_summary_line_number).collect::<Int32Array>()),
        ),
        ("expected", text(&|kept| kept.finding.expected.clone())),
        ("actual", text(&|kept| kept.finding.actual.clone())),
        ("first_seen", text(&|kept| Some(kept.first_seen.clone()))),
        ("last_seen", text(&|kept| Some(kept.last_seen.clone()))),
        ("runs", Arc::new(kept.iter().map(|kept| kept.runs).collect::<Int64Array>())),
        ("as_of_differs", Arc::new(kept.iter().map(|kept| Some(kept.finding.as_of_differs)).collect::<BooleanArray>())),
        ("note", text(&|kept| kept.notes.last().map(|note| note.text.clone()))),
    ])?;
    let places: Vec<_> = kept.iter().flat_map(|kept| kept.places.iter().map(move |place| (&kept.id, place))).collect();
    let places = batch(vec![
        ("id", Arc::new(places.iter().map(|(id, _)| Some(id.as_str())).collect::<StringArray>())),
        ("delivery_id", Arc::new(places.iter().map(|(_, place)| Some(place.delivery_id.as_str())).collect::<StringArray>())),
        ("line", Arc::new(places.iter().map(|(_, place)| place.line).collect::<Int64Array>())),
        ("byte", Arc::new(places.iter().map(|(_, place)| place.byte).collect::<Int64Array>())),
    ])?;
    Ok(vec![("findings".into(), findings), ("finding_places".into(), places)])
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).map_err(failed)
}

fn failed(error: ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "a meta table of findings").with_source(error)
}
