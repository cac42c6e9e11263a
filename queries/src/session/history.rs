//! The questions that history answers: current truth, as it stood, what changed, what was seen, what vanished, time travel.
//! Promise: each is one SQL file, planned once when the session opens; a function call only fills in its values.
//! Never: no question sorts or ranks the whole history. Which delivery holds for an entry comes from one small aggregate.

use std::{collections::HashMap, sync::Arc};

use bonded_schemas::Report;
use datafusion::{
    catalog::{SchemaProvider, TableFunctionArgs, TableFunctionImpl, TableProvider},
    common::{
        Result as DataFusionResult, ScalarValue,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    datasource::{ViewTable, provider_as_source, source_as_provider},
    execution::context::SessionContext,
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan},
};
use futures::future::join_all;

use super::{instant, masking::ImporterNumbers};
use crate::{
    error::{Error, Result},
    library::View,
    provider::{History, HistoryTable, Standing, standing},
};

mod changes;
mod delivered;

pub(super) use delivered::ColumnsDelivered;

/// Views, in an order in which each finds those it is built on.
const VIEWS: [(&str, &str); 5] = [
    ("entry_summaries", include_str!("../../sql/history/entry_summaries.sql")),
    ("entry_lines", include_str!("../../sql/history/entry_lines.sql")),
    ("tariff_lines", include_str!("../../sql/history/tariff_lines.sql")),
    ("sightings", include_str!("../../sql/history/sightings.sql")),
    ("vanished", include_str!("../../sql/history/vanished.sql")),
];

/// Functions of points in time; `$1`, `$2` stand for the arguments.
const FUNCTIONS: [(&str, usize, &str); 3] = [
    ("entry_summaries_as_of", 1, include_str!("../../sql/history/entry_summaries_as_of.sql")),
    ("entry_lines_as_of", 1, include_str!("../../sql/history/entry_lines_as_of.sql")),
    ("tariff_lines_as_of", 1, include_str!("../../sql/history/tariff_lines_as_of.sql")),
];

/// What CAPE answered, where that table is.
const CLAIMS: (&str, &str) = ("cape_claims", include_str!("../../sql/cape/cape_claims.sql"));

pub(super) async fn register(context: &SessionContext, schema: &dyn SchemaProvider) -> Result<()> {
    let claims = schema.table_exist(Report::CapeClaims.table()).then_some(CLAIMS);
    for (name, sql) in VIEWS.into_iter().chain(claims) {
        let plan = context.state().create_logical_plan(sql).await?;
        schema.register_table(name.to_owned(), Arc::new(ViewTable::new(plan, Some(sql.to_owned()))))?;
    }
    for (name, arguments, sql) in FUNCTIONS {
        let template = context.state().create_logical_plan(sql).await?;
        context.register_udtf(name, Arc::new(OfInstants { name, arguments, template }));
    }
    let template = context.state().create_logical_plan(&changes::sql(schema).await?).await?;
    context.register_udtf("changes", Arc::new(OfInstants { name: "changes", arguments: 2, template }));
    Ok(())
}

/// Lets the views of current truth read what is settled as it lies, and compare deliveries only where several may hold an entry.
pub(super) async fn settle(
    context: &SessionContext,
    schema: &dyn SchemaProvider,
    histories: &HashMap<&'static str, Arc<History>>,
) -> Result<()> {
    let known: Vec<_> = histories.iter().map(|(table, history)| async { (*table, standing(history).await) }).collect();
    for (table, told) in join_all(known).await {
        let view = View::ALL.into_iter().find(|view| view.report().table() == table).map(View::name);
        let sql = VIEWS.into_iter().find(|(name, _)| Some(*name) == view);
        // Manifests that do not read fail the question that needs them, not all others.
        let (Some((name, sql)), Ok(Some(Standing { settled, contested }))) = (sql, told) else { continue };
        let over = async |sql: &str, files| over_files(context.state().create_logical_plan(sql).await?, Arc::new(files));
        let settled = over(&format!("SELECT * FROM {table}"), settled).await?;
        let plan = match contested {
            Some(contested) => LogicalPlanBuilder::from(settled).union(over(sql, contested).await?)?.build()?,
            None => settled,
        };
        schema.deregister_table(name)?;
        schema.register_table(name.to_owned(), Arc::new(ViewTable::new(plan, Some(sql.to_owned()))))?;
    }
    Ok(())
}

/// The plan over these files in the place of its table's.
fn over_files(plan: LogicalPlan, files: Arc<HistoryTable>) -> Result<LogicalPlan> {
    let files = provider_as_source(files);
    let mut replaced = false;
    let plan = plan.transform_up(|node| match node {
        LogicalPlan::TableScan(scan) if source_as_provider(&scan.source)?.is::<HistoryTable>() => {
            replaced = true;
            Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source: files.clone(), ..scan })))
        }
        node => Ok(Transformed::no(node)),
    });
    let plan = plan.data()?;
    if replaced { Ok(plan) } else { Err(Error::internal("a view of current truth reads no history")) }
}

/// A planned question that waits for its points in time.
#[derive(Debug)]
struct OfInstants {
    name: &'static str,
    arguments: usize,
    template: LogicalPlan,
}

impl TableFunctionImpl for OfInstants {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> DataFusionResult<Arc<dyn TableProvider>> {
        if arguments.exprs().len() != self.arguments {
            let times = if self.arguments == 1 { "one point in time" } else { "two points in time" };
            return Err(Error::input(format!("{}() takes {times}", self.name)).into());
        }
        let values = arguments
            .exprs()
            .iter()
            .map(|argument| Ok(ScalarValue::TimestampMicrosecond(Some(instant::microseconds(argument)?), Some("+00:00".into()))))
            .collect::<Result<Vec<_>>>()?;
        let plan = self.template.clone().with_param_values(values)?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

/// `at('es_003', <snapshot id or point in time>)`: a table's rows and columns as they were.
#[derive(Debug)]
pub(super) struct At {
    histories: HashMap<&'static str, Arc<History>>,
    importer_numbers: ImporterNumbers,
}

impl At {
    pub(super) fn new(histories: HashMap<&'static str, Arc<History>>, importer_numbers: ImporterNumbers) -> Self {
        Self { histories, importer_numbers }
    }
}

impl TableFunctionImpl for At {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> DataFusionResult<Arc<dyn TableProvider>> {
        let [Expr::Literal(table, _), when] = arguments.exprs() else {
            return Err(
                Error::input("at() takes a table name and a snapshot id or point in time: at('es_003', '2026-03-31')").into()
            );
        };
        let name = table.try_as_str().flatten().unwrap_or_default();
        let history = self
            .histories
            .get(name)
            .ok_or_else(|| {
                Error::input(format!(
                    "at() knows the tables es_001, es_002, es_003 and cape_claim_details that have rows, not `{name}`"
                ))
            })?
            .clone();
        let table = match when {
            Expr::Literal(ScalarValue::Int64(Some(id)), _) => HistoryTable::at_snapshot(history, *id)?,
            _ => HistoryTable::at_time(history, instant::microseconds(when)?.div_euclid(1000))?,
        };
        Ok(self.importer_numbers.over(name, Arc::new(table))?)
    }
}

#[cfg(test)]
mod tests;
