//! The tenant's control store as it stands at one moment, row by row, and what the database says of itself.

use std::collections::HashMap;

use bonded_connectors::{Flaw, store::dump::Row};
use serde_json::Value;

use super::{Mend, Verified};
use crate::{error::Result, lakehouse::Tenant};

/// Rows by table. Receipts are opened one by one later; sealed they are a few kilobytes each.
#[derive(Debug, Default)]
pub(super) struct Store {
    tables: HashMap<String, Vec<Row>>,
}

impl Store {
    pub(super) fn rows(&self, table: &str) -> &[Row] {
        self.tables.get(table).map_or(&[], Vec::as_slice)
    }
}

pub(super) async fn read(tenant: &Tenant, verified: &mut Verified) -> Result<Store> {
    let object = format!("tenants/{}/control.sqlite", tenant.scope.tenant());
    let follows = "the tenant's ledger and catalog are not to be trusted";
    for what in tenant.ledger.integrity().await? {
        verified.tell(Some(tenant), Flaw::new(object.clone(), what), follows, Mend::Rebuild);
    }
    let mut store = Store::default();
    let read = tenant
        .ledger
        .dump(&mut |table, row| {
            store.tables.entry(table.to_owned()).or_default().push(row);
            Ok(())
        })
        .await;
    if let Err(error) = read {
        verified.tell(Some(tenant), Flaw::new(object, error.to_string()), follows, Mend::Rebuild);
    }
    Ok(store)
}

/// A text cell; none where it is null or no text.
pub(super) fn text<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    row.get(column).and_then(Value::as_str)
}

pub(super) fn number(row: &Row, column: &str) -> Option<i64> {
    row.get(column).and_then(Value::as_i64)
}
