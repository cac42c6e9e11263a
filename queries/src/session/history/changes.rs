//! `changes(from, to)`: one question, asked of each report in that report's own names.
//! Promise: every column of the report that differs is told with its text before and after, money to the cent; whatever
//! columns an accepted drift added are compared, too.
//! Never: none of our own columns (delivery, place in the file) counts as a change.

use bonded_schemas::Report;
use datafusion::{arrow::datatypes::SchemaRef, catalog::SchemaProvider};

use crate::error::{Error, Result};

const QUESTION: &str = include_str!("../../../sql/history/changes.sql");

/// What tells the rows of a report apart, and which two amounts stand for it.
struct Shape {
    keys: &'static [&'static str],
    value: &'static str,
    duty: &'static str,
}

const ENTRY: &str = "entry_summary_number";
const LINE: &str = "entry_summary_line_number";
const ORDINAL: &str = "tariff_ordinal_number";

fn shape(report: Report) -> Option<Shape> {
    Some(match report {
        Report::Es001 => Shape { keys: &[ENTRY], value: "total_goods_value_amount", duty: "total_duty_amount" },
        Report::Es002 => Shape { keys: &[ENTRY, LINE], value: "line_goods_value_amount", duty: "line_duty_amount" },
        Report::Es003 => {
            Shape { keys: &[ENTRY, LINE, ORDINAL], value: "line_tariff_goods_value_amount", duty: "line_tariff_duty_amount" }
        }
        // What CAPE says of a claim is in its own words and without amounts: `cape_claims` has it.
        Report::CapeClaims => return None,
    })
}

/// The question over all three reports; `$1` and `$2` are the instants.
pub(super) async fn sql(tables: &dyn SchemaProvider) -> Result<String> {
    let mut parts = Vec::new();
    for (report, shape) in Report::ALL.into_iter().filter_map(|report| Some((report, shape(report)?))) {
        let table = tables
            .table(report.table())
            .await?
            .ok_or_else(|| Error::input(format!("a session needs the table {}", report.table())))?;
        parts.push(format!("SELECT * FROM (\n{})", of_report(report, shape, &table.schema())));
    }
    Ok(parts.join("\nUNION ALL\n"))
}

fn of_report(report: Report, Shape { keys, value, duty }: Shape, schema: &SchemaRef) -> String {
    let compared: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .filter(|name| !name.starts_with('_') && !keys.contains(name))
        .collect();
    let list = |separator: &str, write: &dyn Fn(&str) -> String| {
        compared.iter().map(|name| write(name)).collect::<Vec<_>>().join(separator)
    };
    let cells = list(",\n", &|name| {
        let column = quoted(name);
        let text = |side: &str| format!("CAST({side}.{column} AS VARCHAR)");
        cell(&format!("'{}'", name.replace('\'', "''")), &text("old"), &text("new"))
    });
    let differs = list(" OR ", &|name| format!("(old.{column} IS DISTINCT FROM new.{column})", column = quoted(name)));
    let null = "CAST(NULL AS VARCHAR)";
    let key = |name: &str| match keys.contains(&name) {
        true => format!("coalesce(new.{name}, old.{name})"),
        false => "CAST(NULL AS INTEGER)".to_owned(),
    };
    let each = |separator: &str, write: &dyn Fn(&&str) -> String| keys.iter().map(write).collect::<Vec<_>>().join(separator);
    [
        ("{table}", report.table().to_owned()),
        ("{report}", report.code().to_owned()),
        ("{grain}", each(", ", &|key| format!("{}.{key}", report.table()))),
        ("{same}", each(" AND ", &|key| format!("old.{key} = new.{key}"))),
        ("{line}", key(LINE)),
        ("{ordinal}", key(ORDINAL)),
        ("{value}", value.to_owned()),
        ("{duty}", duty.to_owned()),
        ("{no_cell}", cell(null, null, null)),
        ("{cells}", cells),
        ("{differs}", differs),
    ]
    .into_iter()
    .fold(QUESTION.to_owned(), |sql, (place, text)| sql.replace(place, &text))
}

fn cell(name: &str, before: &str, after: &str) -> String {
    format!("named_struct('column_name', {name}, 'before', {before}, 'after', {after})")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
