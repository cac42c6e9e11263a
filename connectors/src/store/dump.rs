//! The control store read as it stands: every row of every table, in one transaction, the same on both backends.
//! Promise: what is given out is one moment of the store, however many write meanwhile; all tables are there, also those
//! that this file never heard of.
//! Never: nothing is changed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::TryStreamExt;
use serde_json::{Map, Value};
use sqlx::{
    AnyPool, Column, Row as _, TypeInfo, ValueRef,
    any::{AnyRow, AnyTypeInfoKind},
};

use bonded_schemas::TenantId;

use super::{
    Connection, ControlStore, Place, Pool, TenantStore, apply, postgres,
    tables::{self, Table},
};
use crate::error::{Error, ErrorKind, Result};

/// One row: column name to text, number or null.
pub type Row = Map<String, Value>;

/// Takes each row with the name of its table; an error ends the reading.
pub type EachRow<'a> = &'a mut (dyn FnMut(&str, Row) -> Result<()> + Send);

impl TenantStore {
    /// Every row of the tenant's half.
    pub async fn dump(&self, each: EachRow<'_>) -> Result<()> {
        dump(&self.pool.unwatched(), each).await
    }

    /// As [`ControlStore::close`].
    pub async fn close(&self) {
        if !self.is_shared {
            self.pool.bare().close().await;
        }
    }

    /// What the database says of its own pages, and of tables that are not as they are made; empty when all is well.
    pub async fn integrity(&self) -> Result<Vec<String>> {
        match self.is_shared {
            true => postgres::halves(&self.pool, &self.tenant).await,
            false => integrity(self.pool.bare(), tables::tenant()).await,
        }
    }
}

impl ControlStore {
    /// Every row of the shared half.
    pub async fn dump(&self, each: EachRow<'_>) -> Result<()> {
        dump(&self.pool.unwatched(), each).await
    }

    /// Ends all connections; the last one writes what lies in SQLite's journal into its file.
    pub async fn close(&self) {
        self.pool.bare().close().await;
    }

    /// As [`TenantStore::integrity`].
    pub async fn integrity(&self) -> Result<Vec<String>> {
        match &*self.place {
            Place::Postgres { .. } => postgres::halves(&self.pool, &TenantId::lake()).await,
            Place::Sqlite(_) => integrity(self.pool.bare(), tables::shared()).await,
        }
    }

    pub fn place(&self) -> &Place {
        &self.place
    }
}

async fn dump(pool: &Pool, each: EachRow<'_>) -> Result<()> {
    let mut transaction = pool.begin_reading().await?;
    for table in tables(&mut transaction).await? {
        let sql = format!("SELECT * FROM \"{table}\"");
        let mut rows = sqlx::query(&sql).fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await? {
            each(&table, values(&table, &row)?)?;
        }
    }
    transaction.rollback().await?;
    Ok(())
}

/// By name; on PostgreSQL those that the application sees. A name with a quote in it is none of ours.
pub(super) async fn tables(connection: &mut Connection) -> Result<Vec<String>> {
    let sql = match connection.is_postgres() {
        true => "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY 1",
        false => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1",
    };
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    let names = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<std::result::Result<Vec<_>, _>>()?;
    match names.iter().find(|name| !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')) {
        None => Ok(names),
        Some(name) => Err(Error::new(ErrorKind::Damaged, format!("the control store has a table `{}`", name.escape_default()))),
    }
}

fn values(table: &str, row: &AnyRow) -> Result<Row> {
    let mut out = Row::new();
    for (index, column) in row.columns().iter().enumerate() {
        let value = row.try_get_raw(index)?;
        let kind = if value.is_null() { AnyTypeInfoKind::Null } else { value.type_info().kind() };
        let value = match kind {
            AnyTypeInfoKind::Null => Value::Null,
            AnyTypeInfoKind::Bool => row.try_get::<bool, _>(index)?.into(),
            AnyTypeInfoKind::SmallInt => row.try_get::<i16, _>(index)?.into(),
            AnyTypeInfoKind::Integer => row.try_get::<i32, _>(index)?.into(),
            AnyTypeInfoKind::BigInt => row.try_get::<i64, _>(index)?.into(),
            AnyTypeInfoKind::Text => row.try_get::<String, _>(index)?.into(),
            AnyTypeInfoKind::Blob => {
                let bytes = STANDARD.encode(row.try_get::<Vec<u8>, _>(index)?);
                Value::Object(Map::from_iter([("base64".to_owned(), bytes.into())]))
            }
            AnyTypeInfoKind::Real | AnyTypeInfoKind::Double => {
                let message = format!(
                    "column {} of {table} holds a {}, which no column of ours is",
                    column.name(),
                    column.type_info().name()
                );
                return Err(Error::new(ErrorKind::Damaged, message));
            }
        };
        out.insert(column.name().to_owned(), value);
    }
    Ok(out)
}

const COMPLAINTS_MAX: usize = 20;

async fn integrity(pool: &AnyPool, tables: impl Iterator<Item = &'static Table>) -> Result<Vec<String>> {
    let mut connection = pool.acquire().await?;
    let rows = sqlx::query("PRAGMA integrity_check(20)").fetch_all(&mut *connection).await?;
    let mut found = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<std::result::Result<Vec<_>, _>>()?;
    found.retain(|line| line != "ok");
    let fresh = sqlx::any::AnyPoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    apply(&fresh, tables).await?;
    let (expected, there) = (shape(&mut *fresh.acquire().await?).await?, shape(&mut connection).await?);
    found.extend(expected.iter().filter(|line| !there.contains(line)).map(|line| format!("is not as it is made: lacks {line}")));
    found.extend(there.iter().filter(|line| !expected.contains(line)).map(|line| format!("is not as it is made: has {line}")));
    found.truncate(COMPLAINTS_MAX);
    Ok(found)
}

/// A line for each column and each index of each table.
async fn shape(connection: &mut sqlx::AnyConnection) -> Result<Vec<String>> {
    let columns = "SELECT m.name || '.' || p.name || ' ' || p.type || ' ' || p.\"notnull\" || ' ' || p.pk || ' ' || coalesce(p.dflt_value, '')
         FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS p WHERE m.type = 'table'
         UNION ALL SELECT 'index ' || m.name || ' on ' || m.tbl_name || ' ' || coalesce(m.sql, '') FROM sqlite_master AS m WHERE m.type <> 'table'";
    let rows = sqlx::query(columns).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<std::result::Result<Vec<_>, _>>()?)
}
