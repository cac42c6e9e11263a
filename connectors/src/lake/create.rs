//! Making a history table: Iceberg v3, encrypted from its first snapshot, partitioned by month, sorted by entry number.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use iceberg::{
    TableCreation,
    arrow::arrow_schema_to_schema_auto_assign_ids,
    spec::{
        FormatVersion, NullOrder, Schema, SortDirection, SortField, SortOrder, TableProperties, Transform, UnboundPartitionSpec,
    },
};

use super::Tables;
use crate::error::{Error, ErrorKind, Result};

/// AES-256 for data keys; Parquet here knows 128 and 256 bits, not 192.
const DATA_KEY_BYTES: usize = 32;

/// The shape of a table at its making.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    pub schema: &'a ArrowSchema,
    /// Partitioned by the month of this date or timestamp column.
    pub partition_by_month_of: &'a str,
    /// Rows are written in this order; declared so that readers may use it.
    pub sorted_by: &'a [&'a str],
}

pub(super) async fn ensure(tables: &Tables, table: &str, layout: &Layout<'_>) -> Result<()> {
    if tables.catalog.pointer(&tables.ident(table)).await?.is_some() {
        return Ok(());
    }
    let schema = arrow_schema_to_schema_auto_assign_ids(layout.schema)?;
    let field_id = |name: &str| -> Result<i32> {
        schema.field_id_by_name(name).ok_or_else(|| Error::new(ErrorKind::Internal, format!("no column {name} in {table}")))
    };
    let partition = UnboundPartitionSpec::builder()
        .add_partition_field(
            field_id(layout.partition_by_month_of)?,
            format!("{}_month", layout.partition_by_month_of),
            Transform::Month,
        )?
        .build();
    let mut order = SortOrder::builder();
    for column in layout.sorted_by {
        order.with_sort_field(
            SortField::builder()
                .source_id(field_id(column)?)
                .transform(Transform::Identity)
                .direction(SortDirection::Ascending)
                .null_order(NullOrder::First)
                .build(),
        );
    }
    let order = order.with_order_id(1).build(&schema)?;
    let properties = HashMap::from([
        (TableProperties::PROPERTY_ENCRYPTION_KEY_ID.to_owned(), tables.key.to_string()),
        (TableProperties::PROPERTY_ENCRYPTION_DATA_KEY_LENGTH.to_owned(), DATA_KEY_BYTES.to_string()),
    ]);
    let creation = TableCreation::builder()
        .name(table.to_owned())
        .schema(schema)
        .partition_spec(partition)
        .sort_order(order)
        .properties(properties)
        .format_version(FormatVersion::V3)
        .build();
    tables.catalog.create(creation).await?;
    Ok(())
}

/// The Iceberg type and doc of one Arrow field, to add it to a table later.
pub(super) fn iceberg_field(field: &Field, id: i32) -> Result<iceberg::spec::NestedField> {
    let nested = matches!(field.data_type(), DataType::Map(..) | DataType::List(_) | DataType::Struct(_));
    if nested {
        return Err(Error::new(ErrorKind::Input, format!("column {} is nested; only plain columns can be added", field.name())));
    }
    let schema: Schema = arrow_schema_to_schema_auto_assign_ids(&ArrowSchema::new(vec![field.clone().with_nullable(true)]))?;
    let typed = schema.as_struct().fields()[0].field_type.as_ref().clone();
    let mut made = iceberg::spec::NestedField::optional(id, field.name(), typed);
    made.doc = field.metadata().get("doc").cloned();
    Ok(made)
}
