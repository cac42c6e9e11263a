//! Which manifests and files can hold a matching row, told from what the manifests say of them.
//! Promise: nothing that could match is left out. A filter that cannot be judged prunes nothing.
//! Never: no file is opened to decide.

use std::{collections::HashSet, sync::Arc};

use chrono::{Datelike, NaiveDate};
use datafusion::{
    arrow::{
        array::{ArrayRef, BooleanArray, UInt64Array},
        datatypes::{DataType, Schema, SchemaRef, TimeUnit},
    },
    catalog::Session,
    common::{Column, ColumnStatistics, DFSchema, ScalarValue, Statistics, stats::Precision},
    logical_expr::Expr,
    physical_expr::{PhysicalExpr, conjunction},
    physical_optimizer::pruning::{PruningPredicate, PruningStatistics},
};
use iceberg::spec::{
    Datum, ManifestFile, PartitionSpec, PrimitiveLiteral, PrimitiveType, Schema as IcebergSchema, Transform, Type,
};

use super::{columns::field_id, statistics::scalar};
use crate::error::Result;

/// The pushed-down filters, compiled for judging bounds.
pub(super) struct Pruning {
    schema: SchemaRef,
    predicate: Option<PruningPredicate>,
}

impl Pruning {
    /// A filter that does not compile here is left out: the scan's own filter still applies it.
    pub(super) fn new(state: &dyn Session, schema: SchemaRef, filters: &[Expr]) -> Result<Self> {
        let df_schema = DFSchema::try_from(schema.clone())?;
        let compiled: Vec<Arc<dyn PhysicalExpr>> =
            filters.iter().filter_map(|filter| state.create_physical_expr(filter.clone(), &df_schema).ok()).collect();
        let predicate = match compiled.is_empty() {
            true => None,
            false => {
                PruningPredicate::try_new(conjunction(compiled), schema.clone()).ok().filter(|predicate| !predicate.always_true())
            }
        };
        Ok(Self { schema, predicate })
    }

    /// For each container, whether it may hold a matching row.
    pub(super) fn keep(&self, containers: &[Arc<Statistics>]) -> Vec<bool> {
        let Some(predicate) = &self.predicate else { return vec![true; containers.len()] };
        let bounds = Bounds { schema: &self.schema, containers };
        predicate.prune(&bounds).unwrap_or_else(|error| {
            tracing::debug!(name: "query.pruning.skipped", error = %error.strip_backtrace());
            vec![true; containers.len()]
        })
    }

    /// Whether manifests need judging at all.
    pub(super) fn is_idle(&self) -> bool {
        self.predicate.is_none()
    }
}

/// The containers' statistics, column by column, as arrays.
struct Bounds<'a> {
    schema: &'a Schema,
    containers: &'a [Arc<Statistics>],
}

impl Bounds<'_> {
    fn values(&self, column: &Column, pick: impl Fn(&ColumnStatistics) -> &Precision<ScalarValue>) -> Option<ArrayRef> {
        let position = self.schema.index_of(column.name()).ok()?;
        let unknown = ScalarValue::try_from(self.schema.field(position).data_type()).ok()?;
        ScalarValue::iter_to_array(self.containers.iter().map(|container| {
            pick(&container.column_statistics[position]).get_value().cloned().unwrap_or_else(|| unknown.clone())
        }))
        .ok()
    }
}

impl PruningStatistics for Bounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |statistics| &statistics.min_value)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |statistics| &statistics.max_value)
    }

    fn num_containers(&self) -> usize {
        self.containers.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let position = self.schema.index_of(column.name()).ok()?;
        Some(Arc::new(UInt64Array::from_iter(
            self.containers.iter().map(|container| exact(&container.column_statistics[position].null_count)),
        )))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter(self.containers.iter().map(|container| exact(&container.num_rows)))))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

fn exact(count: &Precision<usize>) -> Option<u64> {
    match count {
        Precision::Exact(count) => u64::try_from(*count).ok(),
        _ => None,
    }
}

/// What a manifest's partition summary says of the columns that the table is partitioned by.
///
/// `None` where the summary says nothing; the manifest is then kept.
pub(super) fn of_manifest(schema: &Schema, iceberg: &IcebergSchema, spec: &PartitionSpec, manifest: &ManifestFile) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    let Some(summaries) = &manifest.partitions else { return statistics };
    if summaries.len() != spec.fields().len() {
        return statistics;
    }
    for (partition, summary) in spec.fields().iter().zip(summaries) {
        let position = schema.fields().iter().position(|field| field_id(field) == Some(partition.source_id));
        let source = iceberg.field_by_id(partition.source_id).map(|field| field.field_type.as_ref());
        let (Some(position), Some(Type::Primitive(source))) = (position, source) else { continue };
        let data_type = schema.field(position).data_type();
        let read =
            |bytes: Option<&iceberg::spec::ByteBuf>| bytes.and_then(|bytes| partition_value(&partition.transform, source, bytes));
        let (low, high) = (read(summary.lower_bound.as_ref()), read(summary.upper_bound.as_ref()));
        let column = &mut statistics.column_statistics[position];
        if let Some(value) = low.and_then(|value| edge(&partition.transform, &value, data_type, Edge::Low)) {
            column.min_value = Precision::Inexact(value);
        }
        if let Some(value) = high.and_then(|value| edge(&partition.transform, &value, data_type, Edge::High)) {
            column.max_value = Precision::Inexact(value);
        }
        if !summary.contains_null {
            column.null_count = Precision::Exact(0);
        }
    }
    statistics
}

fn partition_value(transform: &Transform, source: &PrimitiveType, bytes: &[u8]) -> Option<Datum> {
    let kind = match transform {
        Transform::Identity => source.clone(),
        Transform::Month => PrimitiveType::Int,
        _ => return None,
    };
    Datum::try_from_bytes(bytes, kind).ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Low,
    High,
}

/// The least or greatest source value that falls into this partition value.
fn edge(transform: &Transform, value: &Datum, data_type: &DataType, side: Edge) -> Option<ScalarValue> {
    match transform {
        Transform::Identity => scalar(value, data_type),
        Transform::Month => {
            let PrimitiveLiteral::Int(month) = value.literal() else { return None };
            let first = |month: i32| NaiveDate::from_ymd_opt(1970 + month.div_euclid(12), month.rem_euclid(12) as u32 + 1, 1);
            let day = match side {
                Edge::Low => first(*month)?,
                Edge::High => first(month.checked_add(1)?)?,
            };
            let days = i64::from(day.num_days_from_ce()) - i64::from(NaiveDate::default().num_days_from_ce());
            let step_back = i64::from(side == Edge::High);
            match data_type {
                DataType::Date32 => Some(ScalarValue::Date32(Some(i32::try_from(days - step_back).ok()?))),
                DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                    Some(ScalarValue::TimestampMicrosecond(Some(days.checked_mul(86_400_000_000)? - step_back), zone.clone()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
