//! Expected windows: one row for each run of a schedule, closed by exactly one delivery or missed.
//! Promise: which delivery closes which window depends on the set of them and not on the order in which it is looked at; a
//! back-fill closes the window of its own as-of time and no other, so that it cannot hide a hole.
//! Never: a window that was missed is open again, and none raises more than one alert over not being closed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    calendar::{self, holiday},
    delivery::DeliveryId,
    error::{Error, Result},
    schedule::Schedule,
};

mod expect;
pub mod learn;
mod outage;
#[cfg(test)]
mod tests;

pub use expect::{Covers, Expectation, Facts, RowBand};
pub use outage::{Outage, outages, parse_outages};

/// However long the grace, someone is told this long after the run was due.
pub const TOLD_AFTER: TimeDelta = TimeDelta::hours(24);
/// A day is looked for so many days on when a run moves to the next business day.
const SHIFT_DAYS_MAX: u32 = 14;

/// What a tenant expects of one report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub schedule: Schedule,
    /// So long before it is due it may come and still be this run.
    pub early_minutes: u32,
    /// So long after it is due it is on time.
    pub grace_minutes: u32,
    pub excuse: Excuse,
    #[serde(default)]
    pub expects: Expectation,
}

/// What becomes of a run that is due on a federal holiday or while CBP's system is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Excuse {
    /// Nobody waits for it; it closes its window if it comes.
    Skip,
    /// It is due at the same time of the next business day.
    Shift,
    /// It is expected as on any other day.
    #[default]
    Expect,
}

/// Where a window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing closed it, and it may still be closed on time.
    Open,
    /// Received before the end of its grace.
    OnTime,
    /// Received after it.
    Late,
    /// Its grace is over and nothing closed it.
    Missed,
    /// Nobody waits for it: a holiday, an outage.
    Excused,
}

/// What there is to say of the delivery that closed a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Before it was due.
    Early,
    /// After the next window had opened.
    BackFilled,
    /// The very bytes of an earlier delivery.
    Duplicate,
    /// Other bytes, and the rows, totals and dates of the delivery that closed the window before.
    Stale,
    /// Fewer rows than expected.
    Thin,
    /// More rows than expected.
    Fat,
    /// Its dates do not reach as far as expected.
    Narrow,
    /// A needed column is not there.
    ColumnsMissing,
}

/// One expected run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub due_at: DateTime<Utc>,
    pub opens_at: DateTime<Utc>,
    pub grace_ends_at: DateTime<Utc>,
    /// On the schedule's own calendar.
    pub local_day: NaiveDate,
    pub state: State,
    /// Why nobody waits for it, or what it was moved over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excuse: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closing>,
    /// When someone was told that nothing came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerted_at: Option<DateTime<Utc>>,
}

/// One arrival: a delivery, or bytes of an earlier delivery that came once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ArrivalId {
    pub delivery_id: DeliveryId,
    /// Of bytes that came again, when; the first arrival has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub id: ArrivalId,
    pub as_of: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
}

/// What closed a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    pub arrival: ArrivalId,
    pub as_of: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    #[serde(flatten)]
    pub facts: Facts,
    pub marks: BTreeSet<Mark>,
}

/// Why somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// A day after it was due, while its grace still runs.
    Overdue,
    /// Its grace ended.
    Missed,
    /// It came, and what came is not what was expected.
    Content,
}

/// A window that moved on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub window: Window,
    pub told: Option<Told>,
    /// The alert over its not being closed is over.
    pub resolved: bool,
}

impl Plan {
    /// The windows of the occurrences after `after` up to `until`, in order of their due times; at most so many occurrences.
    /// Answers also how far it came: the next call goes on there.
    pub fn windows(
        &self,
        after: DateTime<Utc>,
        until: DateTime<Utc>,
        outages: &[Outage],
        count_max: usize,
    ) -> (Vec<Window>, DateTime<Utc>) {
        let occurrences = self.schedule.between(after, until, count_max);
        let made_until = match occurrences.last() {
            Some(last) if occurrences.len() == count_max => *last,
            _ => until.max(after),
        };
        let mut by_due: BTreeMap<DateTime<Utc>, Window> = BTreeMap::new();
        for at in occurrences {
            let window = self.window(at, outages);
            // A run that was moved onto the next one is the next one.
            by_due.entry(window.due_at).or_insert(window);
        }
        (by_due.into_values().collect(), made_until)
    }

    fn window(&self, at: DateTime<Utc>, outages: &[Outage]) -> Window {
        let why = |due: DateTime<Utc>| {
            let outage = outages.iter().find(|outage| outage.from <= due && due < outage.until);
            outage.map(|outage| outage.name.as_str()).or_else(|| holiday(self.schedule.local_day(due)))
        };
        let (mut due_at, mut state, mut excuse) = (at, State::Open, None);
        match (why(at), self.excuse) {
            (None, _) | (_, Excuse::Expect) => {}
            (Some(name), Excuse::Skip) => (state, excuse) = (State::Excused, Some(name.to_owned())),
            (Some(name), Excuse::Shift) => {
                excuse = Some(name.to_owned());
                for _ in 0..SHIFT_DAYS_MAX {
                    let next = self.schedule.local_day(due_at).succ_opt().unwrap_or(NaiveDate::MAX);
                    due_at = self.schedule.same_time_on(at, calendar::roll(next, &[]).date);
                    if why(due_at).is_none() {
                        break;
                    }
                }
            }
        }
        let earliest = due_at - TimeDelta::minutes(self.early_minutes.into());
        // What comes before the run before this one was due is not this one.
        let opens_at = self.schedule.last_before(at).map_or(earliest, |before| earliest.max(before));
        Window {
            due_at,
            opens_at,
            grace_ends_at: due_at + TimeDelta::minutes(self.grace_minutes.into()),
            local_day: self.schedule.local_day(due_at),
            state,
            excuse,
            closed: None,
            alerted_at: None,
        }
    }
}

impl Window {
    /// When someone is told that nothing came.
    pub fn told_at(&self) -> DateTime<Utc> {
        self.grace_ends_at.min(self.due_at + TOLD_AFTER)
    }

    /// Nothing closed it yet.
    pub fn is_unclosed(&self) -> bool {
        self.closed.is_none()
    }
}

/// Which arrival closes which window, by due time: at most one each, and each arrival at most one. `windows` are in order of
/// their due times, and what is closed stays as it is.
///
/// An arrival is at home in the last window that had opened at its as-of time, and at its arrival. Of those at home in an unclosed window, the
/// first to arrive closes it.
pub fn assign(windows: &[Window], arrivals: &[Arrival]) -> BTreeMap<DateTime<Utc>, Arrival> {
    // The earliest opening from each window on, so that the last one that had opened is found by halves.
    let mut opened: Vec<DateTime<Utc>> = windows.iter().map(|window| window.opens_at).collect();
    for at in (1..opened.len()).rev() {
        opened[at - 1] = opened[at - 1].min(opened[at]);
    }
    let at_home = |arrival: &Arrival| {
        // No run is of later than its arrival, whatever it says.
        let as_of = arrival.as_of.min(arrival.received_at);
        let at = opened.partition_point(|opened| *opened <= as_of).checked_sub(1)?;
        Some(&windows[at]).filter(|home| home.is_unclosed())
    };
    let candidates: Vec<(&Window, &Arrival)> = arrivals.iter().filter_map(|arrival| Some((at_home(arrival)?, arrival))).collect();
    let mut closers: BTreeMap<DateTime<Utc>, Arrival> = BTreeMap::new();
    if candidates.is_empty() {
        return closers;
    }
    // A schedule may have changed since an arrival closed a window elsewhere.
    let spent: BTreeSet<ArrivalId> = windows.iter().filter_map(|window| Some(window.closed.as_ref()?.arrival)).collect();
    for (home, arrival) in candidates.into_iter().filter(|(_, arrival)| !spent.contains(&arrival.id)) {
        let closer = closers.entry(home.due_at).or_insert(*arrival);
        if (arrival.received_at, arrival.id) < (closer.received_at, closer.id) {
            *closer = *arrival;
        }
    }
    closers
}

/// What becomes of the windows now, given what closes them. Those that stay as they are, are not answered.
pub fn turn(
    expects: &Expectation,
    windows: &[Window],
    closers: &BTreeMap<DateTime<Utc>, (Arrival, Facts)>,
    now: DateTime<Utc>,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (at, window) in windows.iter().enumerate() {
        let step = match closers.get(&window.due_at) {
            Some((arrival, facts)) if window.is_unclosed() => {
                let next_opens = windows.get(at + 1).map(|next| next.opens_at);
                let before = content_before(&windows[..at], &steps);
                Some(closed(expects, window, *arrival, facts.clone(), before, next_opens))
            }
            _ => waited(window, now),
        };
        steps.extend(step);
    }
    steps
}

/// Content of what closed the last of these windows that anything closed, just now or before.
fn content_before<'a>(windows: &'a [Window], steps: &'a [Step]) -> Option<&'a str> {
    let closed_now = steps.iter().map(|step| &step.window).rfind(|window| !window.is_unclosed());
    let closed_before = windows.iter().rfind(|window| !window.is_unclosed());
    let last = [closed_now, closed_before].into_iter().flatten().max_by_key(|window| window.due_at)?;
    last.closed.as_ref()?.facts.content.as_deref()
}

fn closed(
    expects: &Expectation,
    window: &Window,
    arrival: Arrival,
    facts: Facts,
    before: Option<&str>,
    next_opens: Option<DateTime<Utc>>,
) -> Step {
    let in_time = arrival.received_at < window.grace_ends_at;
    let state = match (in_time, window.state) {
        (true, _) => State::OnTime,
        // Nobody waited for it, so it cannot be late.
        (false, State::Excused) => State::Excused,
        (false, _) => State::Late,
    };
    let mut marks = expects.marks(window.local_day, &facts);
    if arrival.received_at < window.due_at {
        marks.insert(Mark::Early);
    }
    if state == State::Late && next_opens.is_some_and(|next| arrival.received_at >= next) {
        marks.insert(Mark::BackFilled);
    }
    if arrival.id.repeated_at.is_some() {
        marks.insert(Mark::Duplicate);
    } else if before.is_some() && before == facts.content.as_deref() {
        marks.insert(Mark::Stale);
    }
    let told = marks.iter().any(|mark| mark.is_told()).then_some(Told::Content);
    let closing = Closing { arrival: arrival.id, as_of: arrival.as_of, received_at: arrival.received_at, facts, marks };
    let resolved = window.alerted_at.is_some();
    Step { window: Window { state, closed: Some(closing), ..window.clone() }, told, resolved }
}

/// Nothing came so far.
fn waited(window: &Window, now: DateTime<Utc>) -> Option<Step> {
    if window.state != State::Open {
        return None;
    }
    let missed = now >= window.grace_ends_at;
    let state = if missed { State::Missed } else { State::Open };
    let told =
        (window.alerted_at.is_none() && now >= window.told_at()).then_some(if missed { Told::Missed } else { Told::Overdue });
    if !missed && told.is_none() {
        return None;
    }
    let alerted_at = window.alerted_at.or(told.map(|_| now));
    Some(Step { window: Window { state, alerted_at, ..window.clone() }, told, resolved: false })
}

/// When the next of these windows moves on by itself.
pub fn next_deadline(windows: &[Window]) -> Option<DateTime<Utc>> {
    let open = windows.iter().filter(|window| window.state == State::Open);
    open.map(|window| if window.alerted_at.is_none() { window.told_at() } else { window.grace_ends_at }).min()
}

impl Mark {
    /// Somebody should look at what came.
    pub fn is_told(self) -> bool {
        !matches!(self, Mark::Early | Mark::BackFilled)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Mark::Early => "early",
            Mark::BackFilled => "back_filled",
            Mark::Duplicate => "duplicate",
            Mark::Stale => "stale",
            Mark::Thin => "thin",
            Mark::Fat => "fat",
            Mark::Narrow => "narrow",
            Mark::ColumnsMissing => "columns_missing",
        }
    }
}

impl Told {
    pub fn as_str(self) -> &'static str {
        match self {
            Told::Overdue => "overdue",
            Told::Missed => "missed",
            Told::Content => "content",
        }
    }
}

impl State {
    pub const ALL: [State; 5] = [State::Open, State::OnTime, State::Late, State::Missed, State::Excused];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::OnTime => "on_time",
            State::Late => "late",
            State::Missed => "missed",
            State::Excused => "excused",
        }
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = State::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| {
            Error::input(format!("no window state `{}`; use open, on_time, late, missed or excused", text.escape_default()))
        })
    }
}

impl FromStr for Excuse {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "skip" => Ok(Excuse::Skip),
            "shift" => Ok(Excuse::Shift),
            "expect" => Ok(Excuse::Expect),
            other => Err(Error::input(format!("no policy of holidays `{}`; use skip, shift or expect", other.escape_default()))),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Excuse::Skip => "skip",
            Excuse::Shift => "shift",
            Excuse::Expect => "expect",
        })
    }
}

impl fmt::Display for ArrivalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.repeated_at {
            Some(at) => write!(f, "{}@{}", self.delivery_id, at.timestamp_millis()),
            None => write!(f, "{}", self.delivery_id),
        }
    }
}
