//! `deadlines`: what expires next, with the duty at stake, as table, JSON and calendar.
//! Promise: the raw date and the one that weekends and holidays make of it stand apart; what is not judged is counted with its reason.

use bonded_queries::deadlines::{Count, Deadlines};
use bonded_schemas::deadline::{Deadline, NOT_ADVICE, State};

use super::{
    args, open,
    output::{Output, table},
    progress::spinning,
};
use crate::{
    answers::session,
    error::{Error, Result},
    icalendar,
    lakehouse::Lakehouse,
};

const SHOWN_MAX: usize = 50;

pub async fn deadlines(house: &Lakehouse, args: &args::Deadlines, output: &Output) -> Result<u8> {
    let tenant = open(house, &args.tenant).await?;
    let session = session(house, &tenant).await?;
    let now = house.clock.now();
    let today = args.today.unwrap_or(now.date_naive());
    let found = spinning("looking at deadlines", session.deadlines(today, |deadline| wanted(args, deadline))).await?;
    if let Some(unknown) = args.kinds.iter().find(|kind| !found.counts.iter().any(|count| count.kind == **kind)) {
        output.remark(&format!("no deadline of kind `{unknown}` runs"));
    }
    if let Some(path) = &args.ics {
        let open: Vec<Deadline> = found.deadlines.iter().filter(|deadline| deadline.state.is_open()).cloned().collect();
        match icalendar::calendar(&args.tenant, &open, now) {
            Some(text) => std::fs::write(path, text)
                .map_err(|error| Error::input(format!("cannot write {}", path.display())).with_source(error))?,
            None => output.remark("no deadline is open: no calendar was written"),
        }
    }
    tenant.audit(house.clock.as_ref(), "deadlines", args.tenant.as_str(), "done").await?;
    if output.json {
        for count in found.counts.iter().filter(|count| count.why.is_some()) {
            output.remark(&remark(count));
        }
        output.remark(NOT_ADVICE);
    }
    output.list(&found.deadlines, || text(&found))?;
    Ok(0)
}

fn wanted(args: &args::Deadlines, deadline: &Deadline) -> bool {
    let in_time = match (args.within, deadline.days_left) {
        (Some(within), Some(days)) => days <= within,
        (Some(_), None) => args.all,
        (None, _) => true,
    };
    let of_kind = args.kinds.is_empty() || args.kinds.contains(&deadline.kind);
    of_kind && in_time && (args.all || deadline.state.is_open())
}

fn remark(count: &Count) -> String {
    format!("{}: {} not judged: {}", count.kind, count.deadlines, count.why.as_deref().unwrap_or_default())
}

fn text(found: &Deadlines) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or("-".into());
    let rows = found.deadlines.iter().take(SHOWN_MAX).map(|d| {
        let rolled = d.rolled_date.filter(|date| Some(*date) != d.raw_date).map(|date| date.to_string());
        [
            or_dash(d.days_left.map(|days| days.to_string())),
            or_dash(d.raw_date.map(|date| date.to_string())),
            or_dash(rolled),
            d.kind.clone(),
            d.state.as_str().to_owned(),
            d.entry_summary_number.clone(),
            or_dash(d.duty_at_stake.clone()),
            or_dash(d.basis.clone().or(d.why.clone())),
        ]
    });
    let mut out = table(["days left", "raw date", "rolls to", "deadline", "state", "entry", "at stake", "basis"], rows);
    if found.deadlines.len() > SHOWN_MAX {
        out.push_str(&format!("\n({} more with --json)", found.deadlines.len() - SHOWN_MAX));
    }
    let counts = found.counts.iter().map(|count| {
        let state = if count.state == State::NotJudged { "not judged" } else { count.state.as_str() };
        [count.kind.clone(), state.to_owned(), count.deadlines.to_string(), count.why.clone().unwrap_or_default()]
    });
    out.push_str(&format!("\n\nof {} entries:\n", found.entries));
    out.push_str(&table(["deadline", "state", "entries", "why"], counts));
    out.push_str(&format!("\n\n{NOT_ADVICE}"));
    out
}
