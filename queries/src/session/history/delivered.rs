//! `columns_delivered('es_001')`: which columns each delivery had, told from the manifests.
//! Promise: a column that was delivered and blank is told apart from one that nobody delivered. No data file is opened but
//! those that hold several deliveries, and of those one column.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringArray},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    catalog::{Session, TableFunctionArgs, TableFunctionImpl},
    common::Result as DataFusionResult,
    datasource::{MemTable, TableProvider, TableType},
    logical_expr::Expr,
    physical_plan::ExecutionPlan,
};

use crate::{
    error::{Error, Result},
    provider::{History, columns_by_delivery},
};

/// The table function.
#[derive(Debug)]
pub(in crate::session) struct ColumnsDelivered {
    histories: HashMap<&'static str, Arc<History>>,
}

impl ColumnsDelivered {
    pub(in crate::session) fn new(histories: HashMap<&'static str, Arc<History>>) -> Self {
        Self { histories }
    }
}

impl TableFunctionImpl for ColumnsDelivered {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> DataFusionResult<Arc<dyn TableProvider>> {
        let [Expr::Literal(table, _)] = arguments.exprs() else {
            return Err(Error::input("columns_delivered() takes a table name: columns_delivered('es_001')").into());
        };
        let name = table.try_as_str().flatten().unwrap_or_default();
        if bonded_schemas::Report::ALL.iter().all(|report| report.table() != name) {
            return Err(Error::input(format!(
                "columns_delivered() knows es_001, es_002, es_003 and cape_claim_details, not `{name}`"
            ))
            .into());
        }
        // A table that was never made has no deliveries.
        Ok(Arc::new(OfTable { history: self.histories.get(name).cloned() }))
    }
}

/// Reads the manifests when it is scanned.
#[derive(Debug)]
struct OfTable {
    history: Option<Arc<History>>,
}

fn schema() -> SchemaRef {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![text("_delivery_id", false), text("column_name", false)]))
}

impl OfTable {
    async fn rows(&self, state: &dyn Session) -> Result<RecordBatch> {
        let known = match &self.history {
            Some(history) => columns_by_delivery(history, state).await?,
            None => Vec::new(),
        };
        let rows: Vec<(&str, &str)> = known
            .iter()
            .flat_map(|(delivery, columns)| columns.iter().map(move |column| (delivery.as_str(), column.as_str())))
            .collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(rows.iter().map(|(delivery, _)| *delivery).collect::<Vec<_>>())),
            Arc::new(StringArray::from(rows.iter().map(|(_, column)| *column).collect::<Vec<_>>())),
        ];
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

#[async_trait]
impl TableProvider for OfTable {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        MemTable::try_new(schema(), vec![vec![self.rows(state).await?]])?.scan(state, projection, filters, limit).await
    }
}
