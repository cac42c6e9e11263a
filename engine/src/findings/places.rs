//! Where a finding's rows lie in their files: line as the check tells it, byte as the tables keep it.
//! Promise: looked up once, when a finding is new or rests on other rows; one question for many findings.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::{
    array::{Array, AsArray},
    compute::cast,
    datatypes::{DataType, Int64Type},
};
use bonded_queries::Session;
use bonded_schemas::{DeliveryId, Report};
use serde::{Deserialize, Serialize};

use super::Kept;
use crate::{
    answers::session,
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

/// Lines asked for at once: keeps the question short enough to plan.
const LINES_ASKED_MAX: usize = 2_000;

/// One row that a finding rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub delivery_id: String,
    /// 1-based line where the record starts.
    pub line: i64,
    /// Offset where it starts; absent when the tables no longer hold the row.
    pub byte: Option<i64>,
}

type Bytes = HashMap<(String, i64), i64>;

/// Gives places to those that have none yet.
pub(super) async fn fill(house: &Lakehouse, tenant: &Tenant, findings: &mut [Kept]) -> Result<()> {
    let mut wanted: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for kept in findings.iter().filter(|kept| kept.places.is_empty()) {
        for (delivery, line) in kept.finding.delivery_ids.iter().zip(&kept.finding.lines) {
            wanted.entry(delivery.clone()).or_default().insert(*line);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let bytes = look_up(house, tenant, wanted).await?;
    for kept in findings.iter_mut().filter(|kept| kept.places.is_empty()) {
        let rows = kept.finding.delivery_ids.iter().zip(&kept.finding.lines);
        kept.places = rows
            .map(|(delivery, line)| Place {
                delivery_id: delivery.clone(),
                line: *line,
                byte: bytes.get(&(delivery.clone(), *line)).copied(),
            })
            .collect();
    }
    Ok(())
}

async fn look_up(house: &Lakehouse, tenant: &Tenant, wanted: BTreeMap<String, BTreeSet<i64>>) -> Result<Bytes> {
    let reports: HashMap<String, Report> = tenant
        .ledger
        .deliveries()
        .await?
        .into_iter()
        .filter_map(|row| Some((row.delivery_id.to_string(), row.report?)))
        .collect();
    let session = session(house, tenant).await?;
    let mut bytes = Bytes::new();
    for (delivery, lines) in wanted {
        // The id goes into SQL, so it must be one.
        let Some((report, id)) = reports.get(&delivery).zip(delivery.parse::<DeliveryId>().ok()) else { continue };
        let lines: Vec<i64> = lines.into_iter().collect();
        for some in lines.chunks(LINES_ASKED_MAX) {
            ask(&session, *report, id, some, &mut bytes).await?;
        }
    }
    Ok(bytes)
}

async fn ask(session: &Session, report: Report, delivery: DeliveryId, lines: &[i64], bytes: &mut Bytes) -> Result<()> {
    let list: Vec<String> = lines.iter().map(i64::to_string).collect();
    let table = report.table();
    let sql = format!("SELECT _line, _byte FROM {table} WHERE _delivery_id = '{delivery}' AND _line IN ({})", list.join(", "));
    let mut answer = session.query(&sql).await?;
    while let Some(batch) = answer.next().await? {
        let column = |at: usize| {
            let column = cast(batch.column(at), &DataType::Int64);
            column.map_err(|error| Error::new(ErrorKind::Internal, "a place of a row").with_source(error))
        };
        let (found, offsets) = (column(0)?, column(1)?);
        let (found, offsets) = (found.as_primitive::<Int64Type>(), offsets.as_primitive::<Int64Type>());
        for row in (0..batch.num_rows()).filter(|row| offsets.is_valid(*row)) {
            bytes.insert((delivery.to_string(), found.value(row)), offsets.value(row));
        }
    }
    Ok(())
}
