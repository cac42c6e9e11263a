//! Narrowing casts mean what they say.
//! Promise: `CAST(amount AS BIGINT) = 5` matches 5.00 to 5.99, as the cast says, whatever the optimizer would prefer.
//! Never: no cast is dropped or changed; it is only hidden from the rewrite that gets it wrong.
//!
//! DataFusion rewrites `CAST(column AS t) = literal` to `column = CAST(literal AS type of column)`. Where the cast
//! loses digits that is another question: of 4,000 lines worth $5.00 to $5.99 it finds those worth $5.00 exactly
//! (apache/datafusion#23095). The rewrite looks for a cast; behind a function that returns its argument it finds none.

use std::sync::{Arc, LazyLock};

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::{
        DFSchema, Result, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode, TreeNodeRewriter},
    },
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility, expr::ScalarFunction, expr_rewriter::NamePreserver, utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

/// Hides casts that lose something from the optimizer. Runs after type coercion.
#[derive(Debug)]
pub(super) struct KeepNarrowingCasts;

impl AnalyzerRule for KeepNarrowingCasts {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(guard_plan).map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "keep_narrowing_casts"
    }
}

fn guard_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
    }
    let mut guard = Guard { schema: &schema };
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expression| {
        let name = names.save(&expression);
        Ok(expression.rewrite(&mut guard)?.update_data(|expression| name.restore(expression)))
    })?
    .map_data(LogicalPlan::recompute_schema)
}

struct Guard<'a> {
    schema: &'a DFSchema,
}

impl TreeNodeRewriter for Guard<'_> {
    type Node = Expr;

    fn f_up(&mut self, expression: Expr) -> Result<Transformed<Expr>> {
        if self.narrows(&expression) { Ok(Transformed::yes(hide(expression))) } else { Ok(Transformed::no(expression)) }
    }
}

impl Guard<'_> {
    fn narrows(&self, expression: &Expr) -> bool {
        let inner = match expression {
            Expr::Cast(cast) => cast.expr.as_ref(),
            Expr::TryCast(cast) => cast.expr.as_ref(),
            // These become casts while the optimizer runs.
            Expr::ScalarFunction(call) if becomes_cast(call.name()) => match call.args.first() {
                Some(inner) => inner,
                None => return false,
            },
            _ => return false,
        };
        if !inner.any_column_refs() && !has_outer_reference(inner) {
            return false;
        }
        match (inner.get_type(self.schema), expression.get_type(self.schema)) {
            (Ok(from), Ok(to)) => loses(&from, &to),
            _ => true,
        }
    }
}

fn becomes_cast(function: &str) -> bool {
    matches!(function, "arrow_cast" | "arrow_try_cast" | "try_arrow_cast" | "to_date") || function.starts_with("to_timestamp")
}

fn has_outer_reference(expression: &Expr) -> bool {
    expression.exists(|node| Ok(matches!(node, Expr::OuterReferenceColumn(..)))).unwrap_or(true)
}

/// Whether two different values may become one, or a value none, on the way from one type to the other.
///
/// Only between types that the rewrite touches: whole numbers, decimals, dates, timestamps.
fn loses(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Date64, Timestamp};
    if from == to {
        return false;
    }
    match (from, to) {
        (Timestamp(fine, _), Timestamp(coarse, _)) => resolution(coarse) < resolution(fine),
        // Dates against timestamps are left alone by the rewrite itself.
        (Date32 | Date64, Date32 | Date64 | Timestamp(..)) | (Timestamp(..), Date32 | Date64) => false,
        _ => match (needs(from), holds(to)) {
            (Some((whole, fraction)), Some((whole_to, fraction_to))) => whole_to < whole || fraction_to < fraction,
            (None, _) | (_, None) => both_touched(from, to),
        },
    }
}

fn both_touched(from: &DataType, to: &DataType) -> bool {
    let touched = |data_type: &DataType| {
        data_type.is_integer()
            || data_type.is_decimal()
            || matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
    };
    touched(from) && touched(to)
}

fn resolution(unit: &datafusion::arrow::datatypes::TimeUnit) -> u8 {
    use datafusion::arrow::datatypes::TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match unit {
        Second => 0,
        Millisecond => 1,
        Microsecond => 2,
        Nanosecond => 3,
    }
}

/// Digits before and after the point that the type's longest value has.
fn needs(data_type: &DataType) -> Option<(i16, i16)> {
    Some(match data_type {
        DataType::Int8 => (3, 0),
        DataType::Int16 => (5, 0),
        DataType::Int32 => (10, 0),
        DataType::Int64 => (19, 0),
        other => return decimal_digits(other),
    })
}

/// Digits before and after the point that the type can hold whatever they are.
fn holds(data_type: &DataType) -> Option<(i16, i16)> {
    Some(match data_type {
        DataType::Int8 => (2, 0),
        DataType::Int16 => (4, 0),
        DataType::Int32 => (9, 0),
        DataType::Int64 => (18, 0),
        other => return decimal_digits(other),
    })
}

fn decimal_digits(data_type: &DataType) -> Option<(i16, i16)> {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => Some((i16::from(*precision) - i16::from(*scale), i16::from(*scale))),
        _ => None,
    }
}

fn hide(expression: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(AS_CAST.clone(), vec![expression]))
}

static AS_CAST: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::from(AsCast { signature: Signature::any(1, Volatility::Immutable) })));

/// Returns its argument. It is in no registry: SQL cannot name it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsCast {
    signature: Signature,
}

impl ScalarUDFImpl for AsCast {
    fn name(&self) -> &str {
        "as_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        match arguments.arg_fields.first() {
            Some(field) => Ok(field.clone()),
            None => datafusion::common::plan_err!("as_cast takes one argument"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(arguments.args.into_iter().next().unwrap_or(ColumnarValue::Scalar(ScalarValue::Null)))
    }
}

#[cfg(test)]
mod tests;
