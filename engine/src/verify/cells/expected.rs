//! Schedules, windows, joint checks and bytes that came again: each clear cell held against what was sealed or marked.

use bonded_connectors::{
    Flaw,
    store::{
        dump::Row,
        marks::OF_REPEAT,
        windows::{CheckRow, RepeatRow, ScheduleRow, WindowRow},
    },
};
use bonded_schemas::Report;
use chrono::{DateTime, Utc};

use super::{Marks, Run, Told, UNREADABLE, cell, number, text};
use crate::watch;

pub(super) fn repeats(run: &Run<'_>, marks: &mut Marks, told: &mut Told) {
    let follows = "a delivery may be taken for the one that closed a window";
    for row in run.store.rows("repeats") {
        let flaw = |what: &str| Flaw::new("control store: repeats", what.to_owned()).at(text(row, "delivery_id").unwrap_or("?"));
        let Some(repeat) = repeat(row) else {
            told.push((flaw(UNREADABLE), follows));
            continue;
        };
        // By the text that stands there, so that another spelling of the same time is seen, too.
        let name = format!("{}/{}", repeat.delivery_id, text(row, "received_at").unwrap_or_default());
        let mark = marks.remove(&(OF_REPEAT.to_owned(), name)).unwrap_or_default();
        let same_text = text(row, "as_of") == Some(&repeat.as_of.to_rfc3339());
        if !same_text || mark != repeat.mark(&run.tenant.names) {
            told.push((flaw("is not what was marked"), follows));
        }
    }
}

fn repeat(row: &Row) -> Option<RepeatRow> {
    let time = |column: &str| DateTime::parse_from_rfc3339(text(row, column)?).ok().map(|at| at.with_timezone(&Utc));
    let delivery_id = text(row, "delivery_id")?.parse().ok()?;
    Some(RepeatRow { delivery_id, received_at: time("received_at")?, as_of: time("as_of")? })
}

pub(super) fn rows(run: &Run<'_>, told: &mut Told) {
    let opened = |row: &Row| -> Option<Result<(), String>> {
        Some(watch::opened(run.tenant, schedule(row)?).map(|_| ()).map_err(|error| error.to_string()))
    };
    each(run, told, "schedules", "what is expected of a report is not to be trusted", &opened);
    let opened = |row: &Row| -> Option<Result<(), String>> {
        Some(watch::opened_window(run.tenant, &window(row)?).map(|_| ()).map_err(|error| error.to_string()))
    };
    each(run, told, "windows", "whether a run came is not to be trusted", &opened);
    let opened = |row: &Row| -> Option<Result<(), String>> {
        Some(watch::check::unsealed(run.tenant, &check(row)?).map(|_| ()).map_err(|error| error.to_string()))
    };
    each(run, told, "checks_joint", "the joint check is not to be trusted", &opened);
}

type Opened<'a> = &'a dyn Fn(&Row) -> Option<Result<(), String>>;

fn each(run: &Run<'_>, told: &mut Told, name: &str, follows: &'static str, opened: Opened<'_>) {
    for row in run.store.rows(name) {
        let what = match opened(row) {
            Some(Ok(())) => continue,
            Some(Err(what)) => what,
            None => UNREADABLE.to_owned(),
        };
        let place = text(row, "check_id").or(text(row, "schedule_id")).unwrap_or("?");
        told.push((Flaw::new(format!("control store: {name}"), what).at(place), follows));
    }
}

/// Only as it is written.
fn report(row: &Row) -> Option<Report> {
    let code = text(row, "report")?;
    Report::ALL.into_iter().find(|report| report.code() == code)
}

fn schedule(row: &Row) -> Option<ScheduleRow> {
    Some(ScheduleRow {
        schedule_id: cell(row, "schedule_id")?,
        report: report(row)?,
        version: number(row, "version")?,
        made_ms: number(row, "made_ms")?,
        sealed: cell(row, "sealed")?,
    })
}

fn window(row: &Row) -> Option<WindowRow> {
    Some(WindowRow {
        schedule_id: cell(row, "schedule_id")?,
        due_ms: number(row, "due_ms")?,
        report: report(row)?,
        state: cell(row, "state")?,
        grace_ends_ms: number(row, "grace_ends_ms")?,
        closed_by: cell(row, "closed_by"),
        version: number(row, "version")?,
        sealed: cell(row, "sealed")?,
    })
}

fn check(row: &Row) -> Option<CheckRow> {
    Some(CheckRow {
        check_id: cell(row, "check_id")?,
        schedule_id: cell(row, "schedule_id")?,
        due_ms: number(row, "due_ms")?,
        state: cell(row, "state")?,
        opened_ms: number(row, "opened_ms")?,
        version: number(row, "version")?,
        sealed: cell(row, "sealed")?,
    })
}
