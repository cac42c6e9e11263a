//! Small tables of fictional entries for this room's tests, written as SQL values.

use std::sync::Arc;

use datafusion::{
    arrow::{array::RecordBatch, util::pretty::pretty_format_batches},
    datasource::{MemTable, TableProvider},
    prelude::{SessionConfig, SessionContext},
};
use object_store::ObjectStore;

use crate::{Error, Limits, Session};

/// `(entry, type, entry date, value, duty, paid MPF, delivery, as of, line)`
const ES_001: &str = "SELECT
    arrow_cast(entry, 'Utf8') AS entry_summary_number, arrow_cast(kind, 'Utf8') AS entry_type_code, CAST(day AS DATE) AS entry_date,
    CAST(value AS DECIMAL(18, 2)) AS total_goods_value_amount, CAST(duty AS DECIMAL(18, 2)) AS total_duty_amount,
    CAST(mpf AS DECIMAL(18, 2)) AS total_paid_mpf_amount, arrow_cast(delivery, 'Utf8') AS _delivery_id, CAST(line AS BIGINT) AS _line,
    arrow_cast(as_of, 'Timestamp(Microsecond, Some(\"+00:00\"))') AS _as_of
    FROM (VALUES {rows}) AS t(entry, kind, day, value, duty, mpf, delivery, as_of, line)";

/// `(entry, line number, value, duty, MPF, delivery, as of, line)`
const ES_002: &str = "SELECT
    arrow_cast(entry, 'Utf8') AS entry_summary_number, CAST(number AS INT) AS entry_summary_line_number,
    CAST(value AS DECIMAL(18, 2)) AS line_goods_value_amount, CAST(duty AS DECIMAL(18, 2)) AS line_duty_amount,
    CAST(mpf AS DECIMAL(18, 2)) AS line_mpf_amount, arrow_cast(delivery, 'Utf8') AS _delivery_id, CAST(line AS BIGINT) AS _line,
    arrow_cast(as_of, 'Timestamp(Microsecond, Some(\"+00:00\"))') AS _as_of
    FROM (VALUES {rows}) AS t(entry, number, value, duty, mpf, delivery, as_of, line)";

/// `(entry, entry date, line number, ordinal, value, duty, delivery, as of, line)`
const ES_003: &str = "SELECT
    arrow_cast(entry, 'Utf8') AS entry_summary_number, CAST(day AS DATE) AS entry_date, CAST(number AS INT) AS entry_summary_line_number,
    CAST(ordinal AS INT) AS tariff_ordinal_number, CAST(value AS DECIMAL(18, 2)) AS line_tariff_goods_value_amount,
    CAST(duty AS DECIMAL(18, 2)) AS line_tariff_duty_amount, arrow_cast(delivery, 'Utf8') AS _delivery_id, CAST(line AS BIGINT) AS _line,
    arrow_cast(as_of, 'Timestamp(Microsecond, Some(\"+00:00\"))') AS _as_of
    FROM (VALUES {rows}) AS t(entry, day, number, ordinal, value, duty, delivery, as_of, line)";

/// Rows as SQL tuples; an empty text is a report that was never delivered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Reports<'a> {
    pub(crate) es_001: &'a str,
    pub(crate) es_002: &'a str,
    pub(crate) es_003: &'a str,
}

/// An empty one, in memory.
pub(crate) fn store() -> Arc<dyn ObjectStore> {
    let url = url::Url::parse("memory:///").unwrap();
    Arc::from(object_store::parse_url(&url).unwrap().0)
}

pub(crate) async fn batches(sql: &str) -> Vec<RecordBatch> {
    let config = SessionConfig::new().set_bool("datafusion.sql_parser.parse_float_as_decimal", true);
    SessionContext::new_with_config(config).sql(sql).await.unwrap().collect().await.unwrap()
}

pub(crate) async fn table(sql: &str) -> Arc<dyn TableProvider> {
    let config = SessionConfig::new().set_bool("datafusion.sql_parser.parse_float_as_decimal", true);
    let frame = SessionContext::new_with_config(config).sql(sql).await.unwrap();
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await.unwrap();
    Arc::new(MemTable::try_new(schema, vec![batches]).unwrap())
}

pub(crate) fn small() -> Limits {
    Limits { target_partitions: 2, ..Limits::default() }
}

pub(crate) async fn session(reports: Reports<'_>) -> Session {
    session_with(reports, small()).await
}

pub(crate) async fn session_with(reports: Reports<'_>, limits: Limits) -> Session {
    let mut tables = Vec::new();
    for (name, template, rows, width) in
        [("es_001", ES_001, reports.es_001, 9), ("es_002", ES_002, reports.es_002, 8), ("es_003", ES_003, reports.es_003, 9)]
    {
        let table = if rows.is_empty() {
            let nulls = vec!["NULL"; width].join(", ");
            table(&format!("SELECT * FROM ({}) AS none LIMIT 0", template.replace("{rows}", &format!("({nulls})")))).await
        } else {
            table(&template.replace("{rows}", rows)).await
        };
        tables.push((name.to_owned(), table));
    }
    Session::over(tables, Vec::new(), store(), limits).await.unwrap()
}

/// The answer as a drawn table.
pub(crate) async fn drawn(session: &Session, sql: &str) -> String {
    let mut answer = session.query(sql).await.unwrap();
    let mut batches = vec![RecordBatch::new_empty(answer.schema())];
    while let Some(batch) = answer.next().await.unwrap() {
        batches.push(batch);
    }
    pretty_format_batches(&batches).unwrap().to_string()
}

/// The rows of the answer, cells joined by `|`.
pub(crate) async fn lines(session: &Session, sql: &str) -> Vec<String> {
    drawn(session, sql)
        .await
        .lines()
        .skip(3)
        .filter(|line| !line.starts_with('+'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|"))
        .collect()
}

pub(crate) async fn failure(session: &Session, sql: &str) -> Error {
    match session.query(sql).await {
        Err(error) => error,
        Ok(mut answer) => loop {
            match answer.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("answered: {sql}"),
                Err(error) => break error,
            }
        },
    }
}
