//! What a session answers, and what it refuses.
//! Promise: one statement that reads (SELECT, EXPLAIN, SHOW, DESCRIBE), checked as written and again as planned.
//! Never: nothing that writes, defines, sets, or opens a file passes, whatever it is wrapped in.

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    execution::context::{SQLOptions, SessionState},
    logical_expr::LogicalPlan,
    sql::{
        parser::{DFParserBuilder, Statement},
        sqlparser::{ast::Statement as SqlStatement, dialect::GenericDialect},
    },
};

use crate::error::{Error, Result};

/// SQL nested deeper than this is refused before it can exhaust the stack.
const DEPTH_MAX: usize = 64;
/// Longer questions are refused; the longest of our own has a few thousand characters.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Reads the one statement of a question; refuses it unless it reads.
pub(super) fn parse(sql: &str) -> Result<Statement> {
    if sql.len() > TEXT_BYTES_MAX {
        return Err(Error::limit(format!("the question is longer than {TEXT_BYTES_MAX} bytes")));
    }
    let mut statements = DFParserBuilder::new(sql)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(DEPTH_MAX)
        .build()
        .and_then(|mut parser| parser.parse_statements())?;
    match (statements.pop_front(), statements.len()) {
        (None, _) => Err(Error::input("no statement; ask `SELECT ...`")),
        (Some(statement), 0) => reads(&statement).map(|()| statement),
        (Some(_), _) => Err(Error::refused("more than one statement; ask one at a time")),
    }
}

fn reads(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Explain(explain) => reads(&explain.statement),
        Statement::Statement(inner) => match inner.as_ref() {
            SqlStatement::Query(_)
            | SqlStatement::ExplainTable { .. }
            | SqlStatement::ShowTables { .. }
            | SqlStatement::ShowColumns { .. }
            | SqlStatement::ShowFunctions { .. }
            | SqlStatement::ShowVariable { .. } => Ok(()),
            SqlStatement::Explain { statement, .. } => reads(&Statement::Statement(statement.clone())),
            other => Err(refused(&other.to_string())),
        },
        other => Err(refused(&other.to_string())),
    }
}

fn refused(sql: &str) -> Error {
    let verb: String = sql.split_whitespace().next().unwrap_or_default().chars().take(20).collect();
    Error::refused(format!("`{verb}` is refused: a session only reads; use SELECT, EXPLAIN, SHOW or DESCRIBE"))
}

/// Plans the statement and checks every node of the plan, subqueries included.
pub(super) async fn plan(state: &SessionState, statement: Statement) -> Result<LogicalPlan> {
    let plan = state.statement_to_plan(statement).await?;
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|error| Error::refused("a session only reads; use SELECT, EXPLAIN, SHOW or DESCRIBE").with_source(error))?;
    check(&plan)?;
    Ok(plan)
}

fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Explain(explain) = node {
            check(&explain.plan)?;
        }
        match node {
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::TableScan(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::DescribeTable(_)
            | LogicalPlan::Unnest(_)
            | LogicalPlan::RecursiveQuery(_) => Ok(TreeNodeRecursion::Continue),
            other => Err(refused(&other.display().to_string()).into()),
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests;
