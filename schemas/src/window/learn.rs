//! What could be expected, learned from what came: cadence, time, zone, grace and band of rows.
//! Promise: each proposal says on how many arrivals it rests, how many of its runs it would have seen, and how many arrivals it
//! explains; what too little speaks for is not proposed.
//! Never: a schedule is set from here.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Days, NaiveDate, Timelike, Utc, Weekday};
use chrono_tz::Tz;

use super::RowBand;
use crate::schedule::{Cadence, Schedule};

/// Fewer days with an arrival prove no rhythm.
pub const DAYS_MIN: usize = 4;
/// Of a rhythm's days, so many of a hundred must have been kept.
const KEPT_MIN: usize = 70;
/// Runs are expected at a quarter of an hour.
const STEP_MINUTES: u32 = 15;
const HOUR_MINUTES: u32 = 60;
const DAY_MINUTES: u32 = 24 * HOUR_MINUTES;

/// One that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub received_at: DateTime<Utc>,
    pub rows: Option<u64>,
}

/// A schedule that would have fitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    pub schedule: Schedule,
    pub grace_minutes: u32,
    pub rows: Option<RowBand>,
    /// Days with an arrival.
    pub days_seen: usize,
    /// Runs that it would have expected in that time, and those of them on whose day something came.
    pub expected: usize,
    pub kept: usize,
    /// Days with an arrival that it would not have expected.
    pub unexpected: usize,
    /// Of 100.
    pub confidence: u32,
}

/// The zone among `zones` in which the arrivals come at the most regular time, and the rhythm that fits best in it; the
/// first zone where several are alike.
pub fn learn(seen: &[Seen], zones: &[Tz]) -> Option<Learned> {
    let zone = zones.iter().copied().min_by_key(|zone| spread_minutes(&first_of_days(seen, *zone)))?;
    let days = first_of_days(seen, zone);
    if days.len() < DAYS_MIN {
        return None;
    }
    let (due, grace_minutes) = due_and_grace(&days);
    let (first, last) = (*days.first_key_value()?.0, *days.last_key_value()?.0);
    let span: Vec<NaiveDate> = first.iter_days().take_while(|day| *day <= last).collect();
    let candidates = [daily(due), weekly(&days, &span, due), monthly(&days, &span, due)];
    let judged = candidates.into_iter().flatten().map(|cadence| {
        let expected: BTreeSet<NaiveDate> = span.iter().copied().filter(|day| cadence.0(*day)).collect();
        let kept = expected.iter().filter(|day| days.contains_key(day)).count();
        (cadence.1, expected.len(), kept, days.len() - kept)
    });
    // What was kept of it, of all that it expected or should have: the simpler first where two are alike.
    let worth = |(_, expected, kept, unexpected): &(String, usize, usize, usize)| kept * 1000 / (expected + unexpected).max(1);
    let best = judged.reduce(|best, next| if worth(&next) > worth(&best) { next } else { best })?;
    let (text, expected, kept, unexpected) = &best;
    if kept * 100 < expected * KEPT_MIN {
        return None;
    }
    Some(Learned {
        schedule: Schedule::new(text.parse::<Cadence>().ok()?, zone),
        grace_minutes,
        rows: band(seen),
        days_seen: days.len(),
        expected: *expected,
        kept: *kept,
        unexpected: *unexpected,
        // A rhythm seen a few times only may be chance.
        confidence: u32::try_from(worth(&best) / 10 * days.len().min(12) / 12).unwrap_or(0),
    })
}

type Holds<'a> = (Box<dyn Fn(NaiveDate) -> bool + 'a>, String);

fn daily(due: u32) -> Option<Holds<'static>> {
    Some((Box::new(|_| true), format!("daily {}", clock(due))))
}

/// Days of the week on which something came in most of the weeks.
fn weekly(days: &BTreeMap<NaiveDate, u32>, span: &[NaiveDate], due: u32) -> Option<Holds<'static>> {
    let all = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
    let kept: Vec<Weekday> = all
        .into_iter()
        .filter(|weekday| {
            let of_them = span.iter().filter(|day| day.weekday() == *weekday);
            is_kept(of_them.clone().filter(|day| days.contains_key(day)).count(), of_them.count())
        })
        .collect();
    let names: Vec<String> = kept.iter().map(Weekday::to_string).collect();
    let text = format!("weekly {} {}", names.join(","), clock(due));
    (!kept.is_empty()).then_some((Box::new(move |day| kept.contains(&day.weekday())), text))
}

/// Days of the month on which something came in most of the months, counted from its beginning, or its last.
fn monthly(days: &BTreeMap<NaiveDate, u32>, span: &[NaiveDate], due: u32) -> Option<Holds<'static>> {
    let is_last = |day: NaiveDate| day.checked_add_days(Days::new(1)).is_some_and(|next| next.day() == 1);
    let share = |holds: &dyn Fn(NaiveDate) -> bool| {
        let of_them = span.iter().filter(|day| holds(**day));
        is_kept(of_them.clone().filter(|day| days.contains_key(day)).count(), of_them.count())
    };
    let last = share(&is_last);
    let kept: Vec<u32> = (1..=28).filter(|number| share(&|day: NaiveDate| day.day() == *number)).collect();
    if kept.is_empty() && !last {
        return None;
    }
    let names: Vec<String> = kept.iter().map(u32::to_string).chain(last.then(|| "last".to_owned())).collect();
    let text = format!("monthly {} {}", names.join(","), clock(due));
    Some((Box::new(move |day| kept.contains(&day.day()) || (last && is_last(day))), text))
}

/// Twice is the least that can be called a rhythm.
fn is_kept(kept: usize, of: usize) -> bool {
    kept >= 2 && kept * 100 >= of * KEPT_MIN
}

/// The first minute of each local day at which something came.
fn first_of_days(seen: &[Seen], zone: Tz) -> BTreeMap<NaiveDate, u32> {
    let mut days = BTreeMap::new();
    for one in seen {
        let local = one.received_at.with_timezone(&zone);
        let minute = local.hour() * HOUR_MINUTES + local.minute();
        days.entry(local.date_naive()).and_modify(|first: &mut u32| *first = minute.min(*first)).or_insert(minute);
    }
    days
}

fn median(days: &BTreeMap<NaiveDate, u32>) -> u32 {
    let mut minutes: Vec<u32> = days.values().copied().collect();
    minutes.sort_unstable();
    minutes.get(minutes.len() / 2).copied().unwrap_or_default()
}

/// How far the arrivals lie from their median, added up.
fn spread_minutes(days: &BTreeMap<NaiveDate, u32>) -> u32 {
    let median = median(days);
    days.values().map(|minute| minute.abs_diff(median)).sum()
}

/// Due at the quarter of an hour at which most come or have come; a grace in which all came, and an hour beside.
fn due_and_grace(days: &BTreeMap<NaiveDate, u32>) -> (u32, u32) {
    let due = median(days) / STEP_MINUTES * STEP_MINUTES;
    let latest = days.values().copied().max().unwrap_or(due);
    let grace = (latest.saturating_sub(due)).div_ceil(HOUR_MINUTES) * HOUR_MINUTES + HOUR_MINUTES;
    (due, grace.min(DAY_MINUTES))
}

/// From half of the fewest to twice the most.
fn band(seen: &[Seen]) -> Option<RowBand> {
    let rows = || seen.iter().filter_map(|one| one.rows);
    Some(RowBand { least: rows().min()? / 2, most: rows().max()?.saturating_mul(2) })
}

fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute / HOUR_MINUTES, minute % HOUR_MINUTES)
}
