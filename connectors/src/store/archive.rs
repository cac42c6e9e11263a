//! The control store written out and read in again, as lines of JSON: one form for SQLite and PostgreSQL.
//! Promise: what is written is one moment of the store; it goes into an empty store only, and whole or not at all. Whether
//! a store is empty, or holds just this, can be asked first.
//! Never: sealed text is opened for it.

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row as _;

use super::{
    Connection, ControlStore, Pool, TenantStore,
    dump::{Row, tables},
    queue,
};
use crate::error::{Error, ErrorKind, Result};

#[derive(Serialize, Deserialize)]
struct Line {
    table: String,
    row: Row,
}

impl ControlStore {
    /// The shared half; answers how many rows.
    pub async fn save(&self, out: &mut (dyn Write + Send)) -> Result<u64> {
        let mut saver = Saver { out, rows: 0 };
        self.dump(&mut |table, row| saver.line(table, row)).await?;
        Ok(saver.rows)
    }

    /// # Errors
    /// `Refused` when rows are there already; `Damaged` when a line does not read.
    pub async fn load(&self, lines: &mut (dyn BufRead + Send)) -> Result<u64> {
        load(&self.pool.unwatched(), lines).await
    }

    /// How many rows are here, if they are just those of the lines; nothing where no row is.
    ///
    /// # Errors
    /// `Refused` when other rows are here.
    pub async fn holds(&self, lines: &mut (dyn BufRead + Send)) -> Result<Option<u64>> {
        let mut found = Vec::new();
        self.dump(&mut |table, row| note(&mut found, table, row)).await?;
        compared(found, lines)
    }
}

impl TenantStore {
    /// As [`ControlStore::save`].
    pub async fn save(&self, out: &mut (dyn Write + Send)) -> Result<u64> {
        let mut saver = Saver { out, rows: 0 };
        self.dump(&mut |table, row| saver.line(table, row)).await?;
        Ok(saver.rows)
    }

    /// As [`ControlStore::load`].
    pub async fn load(&self, lines: &mut (dyn BufRead + Send)) -> Result<u64> {
        load(&self.pool.unwatched(), lines).await
    }

    /// As [`ControlStore::holds`].
    pub async fn holds(&self, lines: &mut (dyn BufRead + Send)) -> Result<Option<u64>> {
        let mut found = Vec::new();
        self.dump(&mut |table, row| note(&mut found, table, row)).await?;
        compared(found, lines)
    }
}

/// A row by its digest, whatever order its columns came in. The gate's row is there since its table was made.
fn note(found: &mut Vec<[u8; 32]>, table: &str, row: Row) -> Result<()> {
    if table == queue::GATE {
        return Ok(());
    }
    let cells: BTreeMap<&String, &Value> = row.iter().collect();
    let text = serde_json::to_vec(&(table, cells))
        .map_err(|error| Error::new(ErrorKind::Internal, "a row cannot be written").with_source(error))?;
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &text).as_ref());
    found.push(digest);
    Ok(())
}

fn compared(mut found: Vec<[u8; 32]>, lines: &mut dyn BufRead) -> Result<Option<u64>> {
    if found.is_empty() {
        return Ok(None);
    }
    let damaged = || Error::new(ErrorKind::Damaged, "the control store's backup cannot be read");
    let (mut expected, mut rows) = (Vec::with_capacity(found.len()), 0);
    for line in lines.lines() {
        let line = line.map_err(|error| damaged().with_source(error))?;
        let line: Line = serde_json::from_str(&line).map_err(|error| damaged().with_source(error))?;
        note(&mut expected, &line.table, line.row)?;
        rows += 1;
    }
    found.sort_unstable();
    expected.sort_unstable();
    match found == expected {
        true => Ok(Some(rows)),
        false => Err(Error::new(ErrorKind::Refused, "the control store holds other rows already; restore into an empty one")),
    }
}

struct Saver<'a> {
    out: &'a mut (dyn Write + Send),
    rows: u64,
}

impl Saver<'_> {
    fn line(&mut self, table: &str, row: Row) -> Result<()> {
        let cannot =
            |error: std::io::Error| Error::new(ErrorKind::Setup, "the control store cannot be written out").with_source(error);
        let text = serde_json::to_string(&Line { table: table.to_owned(), row })
            .map_err(|error| Error::new(ErrorKind::Internal, "a row cannot be written").with_source(error))?;
        self.rows += 1;
        writeln!(self.out, "{text}").map_err(cannot)
    }
}

async fn load(pool: &Pool, lines: &mut (dyn BufRead + Send)) -> Result<u64> {
    let mut transaction = pool.begin().await?;
    for table in tables(&mut transaction).await? {
        if table == queue::GATE {
            // Its one row is there since the table was made; the backup brings its own.
            sqlx::query(&format!("DELETE FROM \"{table}\"")).execute(&mut *transaction).await?;
            continue;
        }
        let row = sqlx::query(&format!("SELECT count(*) FROM \"{table}\"")).fetch_one(&mut *transaction).await?;
        if row.try_get::<i64, _>(0)? > 0 {
            let message = format!("the control store holds rows of {table} already; restore into an empty one");
            return Err(Error::new(ErrorKind::Refused, message));
        }
    }
    let mut rows = 0;
    let mut text = String::new();
    loop {
        text.clear();
        let damaged =
            |what: &str| Error::new(ErrorKind::Damaged, format!("line {} of the control store's backup {what}", rows + 1));
        if lines.read_line(&mut text).map_err(|error| damaged("cannot be read").with_source(error))? == 0 {
            break;
        }
        let line: Line = serde_json::from_str(&text).map_err(|error| damaged("is not a row").with_source(error))?;
        insert(&mut transaction, &line).await?;
        rows += 1;
    }
    transaction.commit().await?;
    Ok(rows)
}

async fn insert(connection: &mut Connection, line: &Line) -> Result<()> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name(&line.table) || !line.row.keys().all(|name| is_name(name)) {
        return Err(Error::new(ErrorKind::Damaged, "the control store's backup names a table or column that none of ours is"));
    }
    let columns: Vec<String> = line.row.keys().map(|name| format!("\"{name}\"")).collect();
    // A bound null has a type, which must not be guessed; a written one has none.
    let mut bound = 0;
    let places: Vec<String> = line
        .row
        .values()
        .map(|value| match value {
            Value::Null => "NULL".to_owned(),
            _ => {
                bound += 1;
                format!("${bound}")
            }
        })
        .collect();
    let sql = format!("INSERT INTO \"{}\" ({}) VALUES ({})", line.table, columns.join(", "), places.join(", "));
    let mut query = sqlx::query(&sql);
    for value in line.row.values() {
        query = match value {
            Value::Null => query,
            Value::Bool(value) => query.bind(*value),
            Value::Number(value) => query.bind(value.as_i64().unwrap_or_default()),
            Value::String(value) => query.bind(value.clone()),
            Value::Object(_) | Value::Array(_) => {
                return Err(Error::new(
                    ErrorKind::Damaged,
                    format!("a row of {} holds bytes, which no table of ours does", line.table),
                ));
            }
        };
    }
    query.execute(connection).await?;
    Ok(())
}
