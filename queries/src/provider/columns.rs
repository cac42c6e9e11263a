//! Columns by field id: Iceberg knows a column by its id, DataFusion by its name.
//! Promise: a column that was dropped and added again under the same name never shows the old data;
//! a column that a file does not have is null in its rows.
//! Never: a file without field ids is not guessed at by name or position.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    arrow::datatypes::{Field, SchemaRef},
    common::{
        Result, ScalarValue,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    physical_expr::{
        PhysicalExpr,
        expressions::{CastExpr, Column, Literal},
    },
    physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory},
};

use crate::error::Error;

const FIELD_ID: &str = "PARQUET:field_id";

/// Iceberg's id of the column, as both the table's schema and the file's carry it.
pub(super) fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(FIELD_ID).and_then(|text| text.parse().ok())
}

/// Makes one [`ByFieldId`] per file.
#[derive(Debug)]
pub(super) struct ByFieldIdFactory;

impl PhysicalExprAdapterFactory for ByFieldIdFactory {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let mut positions = HashMap::with_capacity(physical.fields().len());
        for (position, field) in physical.fields().iter().enumerate() {
            let id = field_id(field)
                .ok_or_else(|| Error::damaged(format!("column {} of a data file has no field id", position + 1)))?;
            if positions.insert(id, position).is_some() {
                return Err(Error::damaged(format!("field id {id} occurs twice in a data file")).into());
            }
        }
        Ok(Arc::new(ByFieldId { logical, physical, positions }))
    }
}

/// Rewrites expressions over the table's columns to the columns of one file.
#[derive(Debug)]
struct ByFieldId {
    logical: SchemaRef,
    physical: SchemaRef,
    /// Field id -> position in the file.
    positions: HashMap<i32, usize>,
}

impl PhysicalExprAdapter for ByFieldId {
    fn rewrite(&self, expression: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        expression
            .transform(|node| match node.downcast_ref::<Column>() {
                Some(column) => self.resolve(column).map(Transformed::yes),
                None => Ok(Transformed::no(node)),
            })
            .data()
    }
}

impl ByFieldId {
    fn resolve(&self, column: &Column) -> Result<Arc<dyn PhysicalExpr>> {
        let wanted = self.logical.field_with_name(column.name())?;
        let id = field_id(wanted)
            .ok_or_else(|| Error::internal(format!("column `{}` of the table has no field id", wanted.name())))?;
        let Some(&position) = self.positions.get(&id) else {
            if !wanted.is_nullable() {
                return Err(Error::damaged(format!("a data file lacks the required column `{}`", wanted.name())).into());
            }
            return Ok(Arc::new(Literal::new(ScalarValue::try_from(wanted.data_type())?)));
        };
        let found = self.physical.field(position);
        let found_column = Arc::new(Column::new(found.name(), position));
        if found.data_type() == wanted.data_type() {
            return Ok(found_column);
        }
        // Iceberg widens types only (int to long, float to double, decimal precision), and the parts
        // of maps and lists may be labelled otherwise; anything else fails in the cast, not silently.
        Ok(Arc::new(CastExpr::new_with_target_field(found_column, Arc::new(wanted.clone()), None)))
    }
}

#[cfg(test)]
mod tests;
