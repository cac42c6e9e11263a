//! One history table as SQL sees it: Iceberg's manifests plan, DataFusion's Parquet reader reads.
//! Promise: filters narrow manifests, files, row groups and pages; counts and bounds come from metadata;
//! a file that does not open with its own key ends the scan, and no part of it is an answer.
//! Never: nothing is written, and no file outside the snapshot is read.

use std::{collections::HashSet, fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::SchemaRef,
    catalog::Session,
    common::{Result as DataFusionResult, Statistics},
    datasource::{
        TableProvider, TableType,
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
    },
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};
use iceberg::{arrow::schema_to_arrow_schema, spec::SnapshotRef};
use object_store::ObjectMeta;

use crate::{
    error::{Error, Result},
    lake,
};

mod columns;
mod files;
mod keys;
mod pruning;
mod statistics;

mod shared;
mod standing;

pub(crate) use files::History;
pub(crate) use shared::columns_by_delivery;
pub(crate) use standing::{Standing, standing};

/// A table at one snapshot: the newest when the session opened, or one of the past.
pub(crate) struct HistoryTable {
    history: Arc<History>,
    /// None for a table without rows.
    snapshot: Option<SnapshotRef>,
    schema: SchemaRef,
    /// Locations of the files to read; all when `None`.
    only: Option<HashSet<String>>,
}

impl fmt::Debug for HistoryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}", self.history, self.snapshot.as_ref().map(|snapshot| snapshot.snapshot_id()))
    }
}

impl HistoryTable {
    /// The newest rows under the table's current columns; a column that has no rows yet shows too.
    pub(crate) fn current(history: Arc<History>) -> Result<Self> {
        let metadata = history.table.metadata();
        let schema = Arc::new(schema_to_arrow_schema(metadata.current_schema())?);
        let snapshot = metadata.current_snapshot().cloned();
        Ok(Self { history, snapshot, schema, only: None })
    }

    /// The rows of these files alone.
    fn only(self, locations: HashSet<String>) -> Self {
        Self { only: Some(locations), ..self }
    }

    /// The rows and columns as they were at this snapshot.
    pub(crate) fn at_snapshot(history: Arc<History>, id: i64) -> Result<Self> {
        let metadata = history.table.metadata();
        let snapshot = metadata
            .snapshot_by_id(id)
            .cloned()
            .ok_or_else(|| Error::input(format!("table {} has no snapshot {id}", history.table.identifier().name())))?;
        let schema = Arc::new(schema_to_arrow_schema(&*snapshot.schema(metadata)?)?);
        Ok(Self { history, snapshot: Some(snapshot), schema, only: None })
    }

    /// The rows and columns as they were at this instant (milliseconds since 1970, UTC).
    pub(crate) fn at_time(history: Arc<History>, at_milliseconds: i64) -> Result<Self> {
        let metadata = history.table.metadata();
        let id = metadata
            .history()
            .iter()
            .filter(|entry| entry.timestamp_ms <= at_milliseconds)
            .max_by_key(|entry| entry.timestamp_ms)
            .map(|entry| entry.snapshot_id)
            .ok_or_else(|| Error::input(format!("table {} had no rows at that time", history.table.identifier().name())))?;
        Self::at_snapshot(history, id)
    }
}

#[async_trait]
impl TableProvider for HistoryTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        // Inexact here: files are pruned by it, and the reader applies what it can row by row.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let mut files = match &self.snapshot {
            Some(snapshot) => {
                let pruning = pruning::Pruning::new(state, self.schema.clone(), filters)?;
                self.history.files(snapshot, &self.schema, &pruning).await?
            }
            None => Vec::new(),
        };
        if let Some(only) = &self.only {
            files.retain(|file| only.contains(file.data_file.file_path()));
        }
        self.read(state, projection, files, limit)
    }
}

impl HistoryTable {
    /// A scan of these files.
    fn read(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        files: Vec<files::StoredFile>,
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let mut keys = keys::KeyRing::default();
        let mut known: Vec<Arc<Statistics>> = Vec::with_capacity(files.len());
        let mut parts = Vec::with_capacity(files.len());
        for file in files {
            keys.add(&file.path, file.data_file.key_metadata())?;
            known.push(file.statistics.clone());
            // The footer is looked for at the end of the size that the encrypted manifest states: a file cut short
            // does not open, and bytes added after its end are not looked at.
            let object = ObjectMeta {
                location: file.path,
                last_modified: chrono::DateTime::UNIX_EPOCH,
                size: file.size_bytes,
                e_tag: None,
                version: None,
            };
            parts.push(PartitionedFile::new_from_meta(object).with_statistics(file.statistics));
        }
        if parts.is_empty() {
            // A scan of no file has no partition at all, and a join above it wants at least one.
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => self.schema.clone(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let statistics = statistics::sum(&self.schema, &known);
        let groups = FileGroup::new(parts).split_files(state.config().target_partitions().max(1));

        let mut options = state.table_options().parquet.clone();
        options.global.pushdown_filters = true;
        options.global.reorder_filters = true;
        options.global.enable_page_index = true;
        options.global.bloom_filter_on_read = false;
        let source =
            ParquetSource::new(self.schema.clone()).with_table_parquet_options(options).with_encryption_factory(Arc::new(keys));
        let scan = FileScanConfigBuilder::new(lake::store_url(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_expr_adapter(Some(Arc::new(columns::ByFieldIdFactory)))
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}
