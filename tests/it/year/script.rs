//! The script of a year: what becomes of each run, when the watch looks, what its clock shows; and what must come of it.
//! It knows when runs are due from the schedule. What is told of them it says by itself, from when things happened.

use std::collections::{BTreeMap, BTreeSet};

use bonded_schemas::{
    DeliveryId,
    window::{Arrival, ArrivalId, Excuse, Expectation, Facts, Outage, Plan, RowBand, State, Told, parse_outages},
};
use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;

pub const ROWS: u64 = 8;
pub const ROWS_THIN: u64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    OnTime,
    Early,
    Late,
    BackFilled,
    Missed,
    Duplicate,
    Stale,
    Thin,
}

impl Fate {
    pub const ALL: [Fate; 8] =
        [Fate::OnTime, Fate::Early, Fate::Late, Fate::BackFilled, Fate::Missed, Fate::Duplicate, Fate::Stale, Fate::Thin];
}

/// One run of the schedule.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    due_at: DateTime<Utc>,
    grace_ends_at: DateTime<Utc>,
    told_at: DateTime<Utc>,
    excused: bool,
    pub fate: Fate,
    /// When its delivery truly comes, and what the clock shows then.
    came: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// One thing that arrives.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Truly.
    pub at: DateTime<Utc>,
    /// On the clock of whoever receives it.
    pub reading: DateTime<Utc>,
    pub as_of: DateTime<Utc>,
    /// Files of one number are the same bytes.
    pub file: u64,
    /// Files of one content differ around their rows.
    pub content: u64,
    pub rows: u64,
    /// The same bytes came before.
    pub again: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub at: DateTime<Utc>,
    pub reading: DateTime<Utc>,
    /// The process that looks is a new one.
    pub restarted: bool,
}

#[derive(Debug)]
pub struct Script {
    pub plan: Plan,
    pub start: DateTime<Utc>,
    pub runs: Vec<Run>,
    /// In the order of their true times.
    pub sent: Vec<Sent>,
    pub looks: Vec<Look>,
    clock: Clock,
}

/// What must come of it.
pub struct Expected {
    pub told: Vec<(DateTime<Utc>, Told)>,
    pub states: BTreeMap<DateTime<Utc>, State>,
}

/// Before a leap day, with the changes of the clocks in it.
pub fn start() -> DateTime<Utc> {
    "2027-09-01T00:00:00Z".parse().expect("an instant")
}

/// Two made-up ones.
pub fn outages() -> Vec<Outage> {
    let outage = |from: &str, until: &str| {
        format!("[[outage]]\nname = \"made up\"\nfrom = \"{from}\"\nuntil = \"{until}\"\nmark = \"G\"\nsource = \"made up\"\n")
    };
    let text = outage("2027-11-03T04:00:00Z", "2027-11-04T15:00:00Z") + &outage("2028-03-20T00:00:00Z", "2028-03-20T23:00:00Z");
    parse_outages(&text).expect("well formed")
}

pub fn drawn_plan(seed: u64) -> Plan {
    let mut rng = StdRng::seed_from_u64(seed);
    // Mostly weekly, as ACE's own users set them, and some of everything else.
    let cadences = [
        "weekly Mon 06:00",
        "weekly Mon 06:00",
        "weekly Sun 02:30",
        "weekly Mon,Thu 05:15",
        "weekly Sat 01:30",
        "weekly Fri 22:00",
        "monthly 1 06:00",
        "monthly 1,15,last 23:45",
        "0 6 29 2 *",
        "30 2 * * mon-fri",
        "daily 06:00",
    ];
    let zones = ["America/New_York", "America/Chicago", "Europe/London", "Australia/Lord_Howe", "UTC"];
    let cadence = cadences.choose(&mut rng).expect("some");
    let zone = zones.choose(&mut rng).expect("some");
    Plan {
        schedule: bonded_schemas::schedule::Schedule::parse(cadence, zone).expect("well formed"),
        early_minutes: rng.random_range(0..5) * 60,
        grace_minutes: *[60, 6 * 60, 12 * 60, 24 * 60, 48 * 60].choose(&mut rng).expect("some"),
        excuse: *[Excuse::Skip, Excuse::Shift, Excuse::Expect].choose(&mut rng).expect("some"),
        expects: Expectation { rows: Some(RowBand { least: ROWS - 2, most: ROWS + 2 }), ..Expectation::default() },
    }
}

/// What the watch's clock shows: it is put forward or back a few times, for some hours.
#[derive(Clone, Debug)]
struct Clock(Vec<(DateTime<Utc>, DateTime<Utc>, TimeDelta)>);

impl Clock {
    fn drawn(rng: &mut StdRng, start: DateTime<Utc>, length: TimeDelta) -> Self {
        let steps = (0..rng.random_range(0..6)).map(|_| {
            let from = start + TimeDelta::minutes(rng.random_range(0..length.num_minutes()));
            (from, from + TimeDelta::hours(rng.random_range(1..40)), TimeDelta::minutes(rng.random_range(-300..300)))
        });
        Self(steps.collect())
    }

    fn reading(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.0.iter().find(|(from, until, _)| (*from..*until).contains(&at)).map_or(at, |(_, _, shift)| at + *shift)
    }
}

impl Script {
    pub fn drawn(seed: u64, plan: Plan, outages: &[Outage], start: DateTime<Utc>, length: TimeDelta) -> Self {
        Self::drawn_on(None, seed, plan, outages, start, length)
    }

    /// A year on the clock and with the looks of another one from the same start.
    pub fn drawn_on(
        other: Option<&Script>,
        seed: u64,
        plan: Plan,
        outages: &[Outage],
        start: DateTime<Utc>,
        length: TimeDelta,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5eed);
        let clock = Clock::drawn(&mut rng, start, length);
        let clock = other.map_or(clock, |other| other.clock.clone());
        let end = start + length;
        let (windows, _) = plan.windows(start, end + TimeDelta::days(40), outages, 100_000);
        let looks = looks(&mut rng, &clock, start, end);
        let looks = other.map_or(looks, |other| other.looks.clone());
        let (mut runs, mut all_sent) = (Vec::new(), Vec::new());
        let mut files = 0;
        // What closed the run before, if it came while it was expected and for the first time.
        let mut before: Option<Sent> = None;
        for (at, window) in windows.iter().enumerate().take_while(|(_, window)| window.due_at < end) {
            // One run in four years has no next one in sight.
            let next = windows.get(at + 1).map(|next| (next.opens_at, next.due_at));
            let (next_opens, next_due) =
                next.unwrap_or((window.due_at + TimeDelta::days(30), window.due_at + TimeDelta::days(31)));
            let excused = window.state == State::Excused;
            let mut fate = match rng.random_range(0..100) {
                0..60 => Fate::OnTime,
                60..68 => Fate::Early,
                68..74 => Fate::Late,
                74..79 => Fate::BackFilled,
                79..88 => Fate::Missed,
                88..92 => Fate::Duplicate,
                92..96 => Fate::Stale,
                _ => Fate::Thin,
            };
            if excused && fate != Fate::OnTime || next_opens <= window.opens_at {
                fate = Fate::Missed;
            }
            if matches!(fate, Fate::Duplicate | Fate::Stale) && before.is_none()
                || fate == Fate::Early && window.opens_at >= window.due_at
            {
                fate = Fate::OnTime;
            }
            // It says of itself when it was run, somewhere before the next window opens.
            let middle = window.opens_at + (next_opens - window.opens_at) / 2;
            let within = |rng: &mut StdRng, from: DateTime<Utc>, until: DateTime<Utc>| {
                from + TimeDelta::seconds(rng.random_range(0..(until - from).num_seconds().max(1)))
            };
            let at = match fate {
                Fate::Missed => None,
                Fate::Early => Some(within(&mut rng, window.opens_at, window.due_at)),
                Fate::Late => Some(within(&mut rng, window.grace_ends_at, window.grace_ends_at + TimeDelta::hours(12))),
                Fate::BackFilled => Some(within(&mut rng, next_opens, next_opens + TimeDelta::days(20))),
                _ => Some(within(&mut rng, window.due_at, window.grace_ends_at)),
            };
            // A run that comes before its window opens, on the clock of whoever receives it, is none of that window.
            let at = at.filter(|at| clock.reading(*at) >= window.opens_at);
            if at.is_none() {
                fate = Fate::Missed;
            }
            let sent = at.map(|at| {
                files += 1;
                let as_of = middle.min(at);
                let fresh = Sent { at, reading: clock.reading(at), as_of, file: files, content: files, rows: ROWS, again: false };
                match (fate, before) {
                    (Fate::Thin, _) => Sent { rows: ROWS_THIN, ..fresh },
                    (Fate::Stale, Some(before)) => Sent { content: before.content, ..fresh },
                    (Fate::Duplicate, Some(before)) => Sent { file: before.file, content: before.content, again: true, ..fresh },
                    _ => fresh,
                }
            });
            // A second file of the same run, later, closes nothing more.
            if let Some(first) = sent.filter(|first| fate == Fate::OnTime && rng.random_bool(0.1) && first.at < end) {
                files += 1;
                let at = first.at + TimeDelta::hours(rng.random_range(30..100));
                let second = Sent { at, reading: clock.reading(at), file: files, content: files, ..first };
                all_sent.extend((second.reading > first.reading).then_some(second));
            }
            all_sent.extend(sent);
            runs.push(Run {
                due_at: window.due_at,
                grace_ends_at: window.grace_ends_at,
                told_at: window.grace_ends_at.min(window.due_at + TimeDelta::hours(24)),
                excused,
                fate,
                came: sent.map(|sent| (sent.at, sent.reading)),
            });
            // Only what came before the next run's file can be its model; a grace may be longer than the time between two runs.
            before = sent.filter(|sent| matches!(fate, Fate::OnTime | Fate::Early) && sent.at < next_opens.min(next_due));
        }
        all_sent.sort_by_key(|sent: &Sent| sent.at);
        Self { plan, start, runs, sent: all_sent, looks, clock }
    }

    /// From when things came and when somebody looked.
    pub fn expected(&self) -> Expected {
        let mut expected = Expected { told: Vec::new(), states: BTreeMap::new() };
        let Some(last) = self.looks.last() else { return expected };
        for run in &self.runs {
            let first_look = self.looks.iter().find(|look| look.reading >= run.told_at);
            if let Some(look) = first_look.filter(|look| !run.excused && run.came.is_none_or(|(came, _)| came > look.at)) {
                let told = if look.reading >= run.grace_ends_at { Told::Missed } else { Told::Overdue };
                expected.told.push((run.due_at, told));
            }
            let came = run.came.filter(|(at, _)| *at <= last.at);
            if came.is_some() && matches!(run.fate, Fate::Duplicate | Fate::Stale | Fate::Thin) {
                expected.told.push((run.due_at, Told::Content));
            }
            let state = match came {
                Some((_, reading)) if reading < run.grace_ends_at => State::OnTime,
                _ if run.excused => State::Excused,
                Some(_) => State::Late,
                None if self.looks.iter().any(|look| look.reading >= run.grace_ends_at) => State::Missed,
                None => State::Open,
            };
            expected.states.insert(run.due_at, state);
        }
        expected.told.sort();
        expected
    }

    /// Runs that somebody was told of as missing and that came after all.
    pub fn resolved(&self) -> BTreeSet<DateTime<Utc>> {
        let missing: BTreeSet<_> =
            self.expected().told.into_iter().filter(|(_, told)| *told != Told::Content).map(|(due, _)| due).collect();
        let last = self.looks.last().map(|look| look.at);
        let came = self.runs.iter().filter(|run| run.came.is_some_and(|(at, _)| Some(at) <= last)).map(|run| run.due_at);
        came.filter(|due| missing.contains(due)).collect()
    }
}

/// Every few hours; not at all while the process is down.
fn looks(rng: &mut StdRng, clock: &Clock, start: DateTime<Utc>, end: DateTime<Utc>) -> Vec<Look> {
    let (mut looks, mut at, mut restarted) = (Vec::new(), start, true);
    while at < end {
        looks.push(Look { at, reading: clock.reading(at), restarted });
        restarted = rng.random_bool(0.02);
        at += match restarted && rng.random_bool(0.5) {
            true => TimeDelta::hours(rng.random_range(10..80)),
            false => TimeDelta::minutes(rng.random_range(20..720)),
        };
    }
    looks
}

impl Sent {
    pub fn arrival(&self) -> Arrival {
        let delivery_id = DeliveryId(Uuid::from_u128(u128::from(self.file)));
        let id = ArrivalId { delivery_id, repeated_at: self.again.then_some(self.reading) };
        Arrival { id, as_of: self.as_of, received_at: self.reading }
    }

    pub fn facts(&self) -> Facts {
        Facts { rows: Some(self.rows), content: Some(self.content.to_string()), ..Facts::default() }
    }
}
