//! Copy-on-write: data files replaced by changed copies in one snapshot, keys and all.
//! Promise: rows added by others meanwhile stay; a file that someone else replaced meanwhile makes it begin again.
//! The rows of a replaced file get new row ids (v3 lineage), as a rewrite without `_row_id` columns does by the spec.

use std::{collections::HashSet, sync::Arc};

use arrow::array::RecordBatch;
use iceberg::spec::{DataFile, Operation};

use super::{
    Outcome, TableWriter, Tables,
    commit::{Change, commit},
    read,
};
use crate::error::{Error, ErrorKind, Result};

const ATTEMPTS_MAX: u32 = 5;

/// Answers the new snapshot, or `None` when no file had to change.
pub(super) async fn rewrite(
    tables: &Tables,
    table: &str,
    change: &(dyn Fn(&RecordBatch) -> Result<Option<RecordBatch>> + Send + Sync),
) -> Result<Option<i64>> {
    for _ in 0..ATTEMPTS_MAX {
        match attempt(tables, table, change).await {
            Err(error) if error.kind() == ErrorKind::Refused => tracing::info!(target: "lake.rewrite.again", table, %error),
            done => return done,
        }
    }
    Err(Error::new(ErrorKind::Retry, format!("{table} was rewritten by others {ATTEMPTS_MAX} times; try again later")))
}

async fn attempt(
    tables: &Tables,
    table: &str,
    change: &(dyn Fn(&RecordBatch) -> Result<Option<RecordBatch>> + Send + Sync),
) -> Result<Option<i64>> {
    let loaded = tables.catalog.load(&tables.ident(table)).await?;
    let schema = Arc::new(iceberg::arrow::schema_to_arrow_schema(loaded.metadata().current_schema())?);
    let mut writer = TableWriter::open(&loaded, None, tables.shape)?;
    let mut replaced: Vec<DataFile> = Vec::new();
    for file in read::live_files(&loaded).await? {
        let batches = read::open(&loaded, &file, &schema).await?.collect::<Result<Vec<_>>>()?;
        let changed = batches.iter().map(change).collect::<Result<Vec<_>>>()?;
        if changed.iter().all(Option::is_none) {
            continue;
        }
        for (before, after) in batches.iter().zip(&changed) {
            let after = after.as_ref().unwrap_or(before);
            if after.num_rows() != before.num_rows() {
                return Err(Error::new(ErrorKind::Internal, "a rewrite may not add or drop rows"));
            }
            writer.write(after).await?;
        }
        replaced.push(file);
    }
    let written = writer.finish().await?;
    if replaced.is_empty() {
        return Ok(None);
    }
    let remove: HashSet<&str> = replaced.iter().map(DataFile::file_path).collect();
    match commit(tables, table, &Change::replace(&written.files, remove, Operation::Overwrite)).await {
        Ok(Outcome::Committed { snapshot_id, .. } | Outcome::AlreadyCommitted { snapshot_id }) => Ok(Some(snapshot_id)),
        Err(error) => {
            if error.kind() != ErrorKind::Ambiguous {
                tables.discard(table, written).await?;
            }
            Err(error)
        }
    }
}
