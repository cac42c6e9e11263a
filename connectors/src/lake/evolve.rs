//! Changes of metadata alone: columns added or dropped, and what maintenance expires.
//! Promise: the change is applied to the metadata as it is now, however often others commit meanwhile.

use arrow::datatypes::Field;
use iceberg::{
    TableRequirement, TableUpdate,
    spec::{NestedFieldRef, Schema},
    table::Table,
};

use super::{
    Tables,
    catalog::Swing,
    commit::{Waits, lost},
    create::iceberg_field,
};
use crate::error::{ErrorKind, Result};

const ATTEMPTS_MAX: u32 = 100;

/// Loads, asks for the updates, swings; begins again after a lost race. No updates: nothing to do.
pub(super) async fn change(tables: &Tables, table: &str, updates: impl Fn(&Table) -> Result<Vec<TableUpdate>>) -> Result<()> {
    let ident = tables.ident(table);
    let (mut waits, mut last) = (Waits::default(), None);
    for _ in 0..ATTEMPTS_MAX {
        let loaded = tables.catalog.load(&ident).await?;
        let updates = updates(&loaded)?;
        if updates.is_empty() {
            return Ok(());
        }
        let requirements = vec![TableRequirement::UuidMatch { uuid: loaded.metadata().uuid() }];
        match tables.catalog.swing(&loaded, updates, requirements, None).await {
            Ok(Swing::Landed | Swing::AlreadyCommitted) => return Ok(()),
            // The updates are worked out afresh from what is there, so an unknown answer needs no more than another look.
            Err(error) if matches!(error.kind(), ErrorKind::Retry | ErrorKind::Ambiguous) => {
                waits.before(&error).await;
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(lost(format!("changes to {table} lost their race {ATTEMPTS_MAX} times; try again later"), last))
}

fn current(schema: Schema) -> Vec<TableUpdate> {
    // -1: the schema that was just added.
    vec![TableUpdate::AddSchema { schema }, TableUpdate::SetCurrentSchema { schema_id: -1 }]
}

pub(super) async fn add_columns(tables: &Tables, table: &str, fields: &[Field]) -> Result<()> {
    change(tables, table, |loaded| {
        let schema = loaded.metadata().current_schema();
        let mut id = loaded.metadata().last_column_id();
        let mut all: Vec<NestedFieldRef> = schema.as_struct().fields().to_vec();
        let before = all.len();
        for field in fields.iter().filter(|field| schema.field_by_name(field.name()).is_none()) {
            id += 1;
            all.push(iceberg_field(field, id)?.into());
        }
        if all.len() == before {
            return Ok(Vec::new());
        }
        Ok(current(Schema::builder().with_fields(all).build()?))
    })
    .await
}

pub(super) async fn drop_column(tables: &Tables, table: &str, name: &str) -> Result<()> {
    change(tables, table, |loaded| {
        let schema = loaded.metadata().current_schema();
        let kept: Vec<NestedFieldRef> = schema.as_struct().fields().iter().filter(|field| field.name != name).cloned().collect();
        if kept.len() == schema.as_struct().fields().len() {
            return Ok(Vec::new());
        }
        Ok(current(Schema::builder().with_fields(kept).build()?))
    })
    .await
}
