//! Files that hold several deliveries, as compaction and rewrites make them: whose they are is asked of their rows.
//! Promise: what is known of a delivery's columns is the same before and after its files were joined with others of the same
//! columns. One column of such files is read, and no more than its distinct values is held.

use std::{collections::BTreeSet, sync::Arc};

use bonded_schemas::table::DELIVERY_ID;
use datafusion::{arrow::array::AsArray, catalog::Session, physical_plan::execute_stream};
use futures::TryStreamExt;

use super::{HistoryTable, files::History};
use crate::error::{Error, Result};

/// Of each delivery the columns that its files hold, blank ones included.
pub(crate) async fn columns_by_delivery(history: &Arc<History>, state: &dyn Session) -> Result<Vec<(String, BTreeSet<String>)>> {
    let held = history.columns_held().await?;
    let mut known = held.by_delivery;
    if !held.shared.is_empty() {
        let table = HistoryTable::current(history.clone())?;
        let at = table.schema.index_of(DELIVERY_ID).map_err(|_| Error::damaged("a table has no _delivery_id"))?;
        for (columns, files) in held.shared {
            let files = history.stored(&table.schema, &files)?;
            let plan = table.read(state, Some(&vec![at]), files, None)?;
            let mut rows = execute_stream(plan, state.task_ctx())?;
            let mut deliveries: BTreeSet<String> = BTreeSet::new();
            while let Some(batch) = rows.try_next().await? {
                let ids = batch.column(0).as_string_opt::<i32>().ok_or_else(|| Error::damaged("_delivery_id is not text"))?;
                for id in ids.iter().flatten() {
                    if !deliveries.contains(id) {
                        deliveries.insert(id.to_owned());
                    }
                }
            }
            for delivery in deliveries {
                known.entry(delivery).or_default().extend(columns.iter().cloned());
            }
        }
    }
    Ok(known.into_iter().collect())
}
