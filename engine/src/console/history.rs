//! `history`, `changes`, `vanished`: what CBP said when, what it said otherwise later, and what it no longer says.
//! Promise: amounts are shown to the cent as they were delivered. Never: a Social Security number whole, unless settings allow it.

use bonded_queries::{Format as AnswerFormat, Session, entry_history::ReportHistory};
use bonded_schemas::{Registry, Report, importer_number::shown_cell};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    args, open,
    output::{Output, table},
    progress::spinning,
};
use crate::{
    answers::session,
    error::{Error, Result},
    lakehouse::Lakehouse,
};

const SHOWN_MAX: usize = 50;

/// One changed cell, or a row that came or went, as `changes()` tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Changed {
    report: String,
    entry_summary_number: String,
    entry_summary_line_number: Option<i64>,
    tariff_ordinal_number: Option<i64>,
    change: String,
    column_name: Option<String>,
    before: Option<String>,
    after: Option<String>,
    goods_value_before: Option<String>,
    goods_value_after: Option<String>,
    duty_before: Option<String>,
    duty_after: Option<String>,
    delivery_id_before: Option<String>,
    delivery_id_after: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Gone {
    report: String,
    entry_summary_number: String,
    entry_date: Option<String>,
    last_delivery_id: String,
    last_as_of: DateTime<Utc>,
    missing_from_delivery_id: String,
    missing_as_of: DateTime<Utc>,
    deliveries_without_it: i64,
    caveat: String,
}

pub async fn history(house: &Lakehouse, args: &args::History, output: &Output) -> Result<u8> {
    let tenant = open(house, &args.tenant).await?;
    let session = session(house, &tenant).await?;
    let mut reports = spinning("reading history", session.entry_history(&args.entry)).await?;
    tenant.audit(house.clock.as_ref(), "history", args.tenant.as_str(), "done").await?;
    if reports.is_empty() {
        return Err(Error::input(format!("no delivery of {} holds the entry `{}`", args.tenant, args.entry)));
    }
    let show_ssn = house.settings.display.show_ssn;
    for change in reports.iter_mut().flat_map(|report| &mut report.statements).flat_map(|statement| &mut statement.changes) {
        let column = change.column_name.clone();
        mask(column.as_deref(), [&mut change.before, &mut change.after], show_ssn);
    }
    output.list(&reports, || reports.iter().map(told).collect::<Vec<_>>().join("\n\n"))?;
    Ok(0)
}

fn told(history: &ReportHistory) -> String {
    let mut out = format!("{}\n", history.report);
    let statements = history.statements.iter().enumerate().map(|(at, s)| {
        let said = match (at, s.changes.len()) {
            (0, _) => "first seen".into(),
            (_, 0) => "the same".into(),
            (_, count) => format!("{count} changes"),
        };
        let amount = |amount: &Option<String>| amount.clone().unwrap_or("-".into());
        [
            s.as_of.format("%Y-%m-%d %H:%M").to_string(),
            s.delivery_id.clone(),
            s.rows.to_string(),
            amount(&s.goods_value),
            amount(&s.duty),
            said,
        ]
    });
    out.push_str(&table(["as of", "delivery", "rows", "value", "duty", "said"], statements));
    let changes = history.statements.iter().flat_map(|s| s.changes.iter().map(move |c| (s, c))).map(|(s, c)| {
        let number = |number: Option<i64>| number.map_or("-".into(), |n| n.to_string());
        let text = |text: &Option<String>| text.clone().unwrap_or("-".into());
        let (line, ordinal) = (number(c.entry_summary_line_number), number(c.tariff_ordinal_number));
        let what = c.column_name.clone().unwrap_or_else(|| format!("row {}", c.change));
        [s.as_of.format("%Y-%m-%d").to_string(), line, ordinal, what, text(&c.before), text(&c.after)]
    });
    let changes: Vec<_> = changes.collect();
    if !changes.is_empty() {
        out.push_str("\n\n");
        out.push_str(&table(["as of", "line", "ordinal", "what changed", "before", "after"], changes));
    }
    if let Some(gone) = &history.vanished {
        let since = gone.missing_as_of.map(|at| at.format("%Y-%m-%d").to_string()).unwrap_or_default();
        let caveat = gone.caveat.as_deref().unwrap_or_default();
        out.push_str(&format!(
            "\n\nvanished: not in {} later deliveries, first on {since}; {caveat}",
            gone.deliveries_without_it
        ));
    }
    out
}

pub async fn changes(house: &Lakehouse, args: &args::Changes, output: &Output) -> Result<u8> {
    let tenant = open(house, &args.tenant).await?;
    let session = session(house, &tenant).await?;
    let (from, to) = (instant(args.from), instant(args.to.unwrap_or(house.clock.now())));
    let sql = format!(
        "SELECT report, entry_summary_number, entry_summary_line_number, tariff_ordinal_number, change, column_name, before, after,
            CAST(goods_value_before AS VARCHAR) AS goods_value_before, CAST(goods_value_after AS VARCHAR) AS goods_value_after,
            CAST(duty_before AS VARCHAR) AS duty_before, CAST(duty_after AS VARCHAR) AS duty_after,
            delivery_id_before, delivery_id_after
        FROM changes('{from}', '{to}') ORDER BY report, entry_summary_number, 3, 4, change, column_name"
    );
    let mut changes: Vec<Changed> = spinning("comparing", objects(&session, &sql)).await?;
    tenant.audit(house.clock.as_ref(), "changes", args.tenant.as_str(), "done").await?;
    for change in &mut changes {
        let column = change.column_name.clone();
        mask(column.as_deref(), [&mut change.before, &mut change.after], house.settings.display.show_ssn);
    }
    output.list(&changes, || {
        let rows = changes.iter().take(SHOWN_MAX).map(|c| {
            let number = |number: Option<i64>| number.map_or("-".into(), |n| n.to_string());
            let (before, after) = match c.column_name {
                Some(_) => (&c.before, &c.after),
                None => (&c.duty_before, &c.duty_after),
            };
            let what = c.column_name.clone().unwrap_or_else(|| format!("row {}; its duty", c.change));
            [
                c.report.clone(),
                c.entry_summary_number.clone(),
                number(c.entry_summary_line_number),
                number(c.tariff_ordinal_number),
                what,
                before.clone().unwrap_or("-".into()),
                after.clone().unwrap_or("-".into()),
            ]
        });
        let mut out = table(["report", "entry", "line", "ordinal", "what changed", "before", "after"], rows);
        if changes.len() > SHOWN_MAX {
            out.push_str(&format!("\n({} more with --json)", changes.len() - SHOWN_MAX));
        }
        out
    })?;
    Ok(0)
}

pub async fn vanished(house: &Lakehouse, args: &args::OneTenant, output: &Output) -> Result<u8> {
    let tenant = open(house, &args.tenant).await?;
    let session = session(house, &tenant).await?;
    let sql = "SELECT * FROM vanished ORDER BY missing_as_of, report, entry_summary_number";
    let gone: Vec<Gone> = spinning("looking for what vanished", objects(&session, sql)).await?;
    tenant.audit(house.clock.as_ref(), "vanished", args.tenant.as_str(), "done").await?;
    output.list(&gone, || {
        let rows = gone.iter().take(SHOWN_MAX).map(|g| {
            [
                g.report.clone(),
                g.entry_summary_number.clone(),
                g.entry_date.clone().unwrap_or("-".into()),
                g.last_as_of.format("%Y-%m-%d %H:%M").to_string(),
                g.missing_as_of.format("%Y-%m-%d %H:%M").to_string(),
                g.deliveries_without_it.to_string(),
            ]
        });
        let mut out = table(["report", "entry", "entry date", "last seen", "missing since", "deliveries"], rows);
        if gone.len() > SHOWN_MAX {
            out.push_str(&format!("\n({} more with --json)", gone.len() - SHOWN_MAX));
        }
        if let Some(first) = gone.first() {
            out.push_str(&format!("\n\n{}", first.caveat));
        }
        out
    })?;
    Ok(0)
}

/// The rows of an answer as objects of ours.
async fn objects<T: DeserializeOwned>(session: &Session, sql: &str) -> Result<Vec<T>> {
    let mut bytes = Vec::new();
    session.query(sql).await?.write(AnswerFormat::JsonLines, &mut bytes).await?;
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| Ok(serde_json::from_slice(line)?)).collect()
}

/// As SQL reads it, to the microsecond.
fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn mask(column: Option<&str>, texts: [&mut Option<String>; 2], show_ssn: bool) {
    let personal = column.is_some_and(may_be_personal);
    for text in texts.into_iter().flatten() {
        *text = shown_cell(personal, text, show_ssn).into_owned();
    }
}

/// Whether an edition says that the column may hold personal data.
fn may_be_personal(column: &str) -> bool {
    let editions = Report::ALL.map(|report| Registry::builtin().edition(report));
    editions.iter().flat_map(|edition| &edition.columns).any(|known| known.personal && known.field() == column)
}
