//! `windows` and `freshness`: what is expected, what came of it, and what is gone through together when it did not come.

use bonded_schemas::{
    TenantId,
    window::{Expectation, Mark, Plan},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{
    args::{self, CheckAction, ScheduleAction, SetSchedule, WindowsAction, WindowsList},
    open,
    output::{Output, table},
    which,
};
use crate::{
    error::Result,
    lakehouse::Lakehouse,
    watch::{self, Expected, Kept, check::JointCheck, freshness::Freshness},
};

/// A line of any of these lists, with whose it is.
#[derive(Serialize)]
struct Of<T> {
    tenant: String,
    #[serde(flatten)]
    line: T,
}

pub async fn windows(house: &Lakehouse, action: &WindowsAction, output: &Output) -> Result<u8> {
    match action {
        WindowsAction::List(args) => list(house, args, output).await,
        WindowsAction::Schedule { action } => schedule(house, action, output).await,
        WindowsAction::Suggest { tenant, zone } => {
            let tenant = open(house, tenant).await?;
            let suggestions = watch::suggest(&tenant, *zone).await?;
            output.list(&suggestions, || {
                let shown = suggestions.iter().map(|s| {
                    format!(
                        "{}: {} {} (confidence {} of 100)\n  {}\n  {}",
                        s.report, s.cadence, s.zone, s.confidence, s.evidence, s.command
                    )
                });
                let shown: Vec<String> = shown.collect();
                if shown.is_empty() { "too little arrived to see a rhythm".to_owned() } else { shown.join("\n\n") }
            })?;
            Ok(0)
        }
        WindowsAction::Check { action } => joint(house, action, output).await,
    }
}

async fn schedule(house: &Lakehouse, action: &ScheduleAction, output: &Output) -> Result<u8> {
    match action {
        ScheduleAction::Set(set) => {
            let tenant = open(house, &set.tenant).await?;
            let kept = watch::plan::set(house, &tenant, set.report, plan(set)?).await?;
            let next = kept.plan.schedule.next_after(house.clock.now());
            let next = next.map_or("never again".to_owned(), |at| format!("next due {}", at.format("%Y-%m-%d %H:%M UTC")));
            output.object(&kept, || format!("{}: expected {}; {next}", kept.report, kept.plan.schedule))?;
        }
        ScheduleAction::List { tenant } => {
            let mut lines: Vec<Of<Kept>> = Vec::new();
            for name in which(house, tenant.as_ref()).await? {
                let kept = watch::kept(&open(house, &name).await?).await?;
                lines.extend(kept.into_iter().map(|line| Of { tenant: name.to_string(), line }));
            }
            output.list(&lines, || {
                let rows = lines.iter().map(|Of { tenant, line }| {
                    let plan = &line.plan;
                    let band = plan.expects.rows.map_or("-".to_owned(), |band| band.to_string());
                    [
                        tenant.clone(),
                        line.report.to_string(),
                        plan.schedule.to_string(),
                        hours(plan.early_minutes),
                        hours(plan.grace_minutes),
                        plan.excuse.to_string(),
                        band,
                        line.set_by.clone(),
                    ]
                });
                table(["tenant", "report", "expected", "early", "grace", "holidays", "rows", "set by"], rows)
            })?;
        }
        ScheduleAction::Remove { tenant, report } => {
            watch::plan::remove(house, &open(house, tenant).await?, *report).await?;
            output.object(&serde_json::json!({ "tenant": tenant, "report": report, "removed": true }), || {
                format!("{report}: nothing is expected any more")
            })?;
        }
    }
    Ok(0)
}

fn plan(set: &SetSchedule) -> Result<Plan> {
    Ok(Plan {
        schedule: bonded_schemas::schedule::Schedule::parse(&set.cadence, &set.zone)?,
        early_minutes: set.early,
        grace_minutes: set.grace,
        excuse: set.holidays,
        expects: Expectation { rows: set.rows, covers: set.covers, columns: set.columns.clone() },
    })
}

fn hours(minutes: u32) -> String {
    if minutes.is_multiple_of(60) { format!("{}h", minutes / 60) } else { format!("{minutes}m") }
}

fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

fn marks<'a>(marks: impl IntoIterator<Item = &'a Mark>) -> String {
    marks.into_iter().map(|mark| mark.as_str()).collect::<Vec<_>>().join(", ")
}

async fn list(house: &Lakehouse, args: &WindowsList, output: &Output) -> Result<u8> {
    let now = house.clock.now();
    let (from, until) = (args.from.unwrap_or(now - TimeDelta::days(31)), args.until.unwrap_or(now + TimeDelta::days(8)));
    let mut lines: Vec<Of<Expected>> = Vec::new();
    for name in which(house, args.tenant.as_ref()).await? {
        let tenant = open(house, &name).await?;
        watch::make(house, &tenant).await?;
        let found = watch::windows(&tenant, from, until).await?.into_iter();
        let found = found.filter(|line| args.report.is_none_or(|report| line.report == report));
        let found = found.filter(|line| args.state.is_none_or(|state| line.window.state == state));
        lines.extend(found.map(|line| Of { tenant: name.to_string(), line }));
    }
    output.list(&lines, || {
        let rows = lines.iter().map(|Of { tenant, line }| {
            let window = &line.window;
            let closing = window.closed.as_ref();
            let excuse = window.excuse.as_ref().map(|excuse| format!("({excuse})"));
            let told =
                [closing.map(|closing| marks(&closing.marks)), excuse].into_iter().flatten().filter(|text| !text.is_empty());
            [
                tenant.clone(),
                line.report.to_string(),
                minute(window.due_at),
                minute(window.grace_ends_at),
                window.state.to_string(),
                closing.map_or("-".to_owned(), |closing| minute(closing.received_at)),
                closing.and_then(|closing| closing.facts.rows).map_or("-".to_owned(), |rows| rows.to_string()),
                told.collect::<Vec<_>>().join(" "),
            ]
        });
        table(["tenant", "report", "due (UTC)", "grace ends", "state", "received", "rows", "remarks"], rows)
    })?;
    Ok(0)
}

async fn joint(house: &Lakehouse, action: &CheckAction, output: &Output) -> Result<u8> {
    match action {
        CheckAction::List { tenant, all } => {
            let mut lines: Vec<Of<JointCheck>> = Vec::new();
            for name in which(house, tenant.as_ref()).await? {
                let checks = watch::check::list(&open(house, &name).await?).await?.into_iter();
                let checks = checks.filter(|check| *all || check.closed.is_none());
                lines.extend(checks.map(|line| Of { tenant: name.to_string(), line }));
            }
            output.list(&lines, || {
                let rows = lines.iter().map(|Of { tenant, line }| {
                    let ticked = line.steps.iter().filter(|step| step.ticked.is_some()).count();
                    let likely = line.causes.first().map_or("-", |likely| likely.cause.as_str());
                    let known = line.closed.as_ref().map_or("-", |closed| closed.cause.as_str());
                    [
                        tenant.clone(),
                        line.id.clone(),
                        line.report.to_string(),
                        minute(line.due_at),
                        line.state().to_owned(),
                        likely.to_owned(),
                        format!("{ticked} of {}", line.steps.len()),
                        known.to_owned(),
                    ]
                });
                table(["tenant", "check", "report", "due (UTC)", "state", "most likely", "steps", "cause"], rows)
            })?;
        }
        CheckAction::Show { tenant, id } => shown(&watch::check::show(&open(house, tenant).await?, id).await?, output)?,
        CheckAction::Tick { tenant, id, step, note } => {
            let tenant = open(house, tenant).await?;
            shown(&watch::check::tick(house, &tenant, id, *step, note.as_deref()).await?, output)?;
        }
        CheckAction::Close { tenant, id, cause, note } => {
            let tenant = open(house, tenant).await?;
            shown(&watch::check::close(house, &tenant, id, *cause, note.as_deref()).await?, output)?;
        }
    }
    Ok(0)
}

fn shown(check: &JointCheck, output: &Output) -> Result<()> {
    output.object(check, || {
        let mut out = format!("{}, due {} UTC: {}\ncheck {}\n", check.report, minute(check.due_at), check.state(), check.id);
        for likely in &check.causes {
            out.push_str(&format!("\n  {:>3}  {}: {}", likely.weight, likely.cause.as_str(), likely.seen));
        }
        out.push('\n');
        for step in &check.steps {
            let side = serde_json::to_value(step.side).ok().and_then(|side| side.as_str().map(str::to_owned)).unwrap_or_default();
            let ticked = step.ticked.as_ref().map(|ticked| format!(" ({}, {})", ticked.by, minute(ticked.at)));
            let mark = if ticked.is_some() { "x" } else { " " };
            out.push_str(&format!("\n  [{mark}] {:>2} {side}: {}{}", step.number, step.text, ticked.unwrap_or_default()));
        }
        if let Some(closed) = &check.closed {
            let note = closed.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
            out.push_str(&format!("\n\nclosed by {}, {}: {}{note}", closed.by, minute(closed.at), closed.cause.as_str()));
        }
        out
    })
}

pub async fn freshness(house: &Lakehouse, args: &args::Freshness, output: &Output) -> Result<u8> {
    let tenants = which(house, args.tenant.as_ref()).await?;
    match args.month.is_some() || args.months {
        true => months(house, &tenants, args.month.as_deref(), output).await,
        false => standing(house, &tenants, output).await,
    }
}

async fn standing(house: &Lakehouse, tenants: &[TenantId], output: &Output) -> Result<u8> {
    let mut lines: Vec<Of<Freshness>> = Vec::new();
    for name in tenants {
        let found = watch::freshness::freshness(house, &open(house, name).await?).await?;
        lines.extend(found.into_iter().map(|line| Of { tenant: name.to_string(), line }));
    }
    output.list(&lines, || {
        let at = |at: Option<DateTime<Utc>>| at.map_or("-".to_owned(), minute);
        let rows = lines.iter().map(|Of { tenant, line }| {
            [
                tenant.clone(),
                line.report.to_string(),
                line.standing.as_str().to_owned(),
                at(line.last_received_at),
                at(line.last_as_of),
                at(line.last_due_at),
                line.last_state.map_or("-".to_owned(), |state| state.to_string()),
                marks(&line.marks),
                line.missed.to_string(),
                at(line.next_due_at),
            ]
        });
        table(
            ["tenant", "report", "standing", "last received", "as of", "last due", "state", "marks", "missed", "next due"],
            rows,
        )
    })?;
    Ok(0)
}

async fn months(house: &Lakehouse, tenants: &[TenantId], month: Option<&str>, output: &Output) -> Result<u8> {
    let mut lines: Vec<Of<watch::MonthOf>> = Vec::new();
    for name in tenants {
        let found = watch::month(&open(house, name).await?, month).await?;
        lines.extend(found.into_iter().map(|line| Of { tenant: name.to_string(), line }));
    }
    output.list(&lines, || {
        let seconds = |ms: Option<i64>| ms.map_or("-".to_owned(), |ms| format!("{}.{:03}", ms / 1000, ms % 1000));
        let rows = lines.iter().map(|Of { tenant, line }| {
            [
                line.month.clone(),
                tenant.clone(),
                line.report.clone(),
                line.expected.to_string(),
                line.on_time.to_string(),
                line.late.to_string(),
                line.missed.to_string(),
                line.excused.to_string(),
                line.deliveries.to_string(),
                seconds(line.queryable_p50_ms),
                seconds(line.queryable_p99_ms),
            ]
        });
        table(
            ["month", "tenant", "report", "expected", "on time", "late", "missed", "excused", "deliveries", "p50 s", "p99 s"],
            rows,
        )
    })?;
    Ok(0)
}
