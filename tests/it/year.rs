//! A simulated year of schedules with planted failures: who is told, of what, and of nothing else.
//! A thousand tenants over the pure core; a few of them, by the same script, on a real lake with the real watch.

use std::collections::BTreeMap;

use bonded_schemas::window::{Arrival, Facts, Outage, Plan, State, Step, Told, Window, assign, next_deadline, turn};
use chrono::{DateTime, TimeDelta, Utc};

pub mod lake;
mod script;

use script::{Fate, Script, drawn_plan, outages};

const TENANTS: u64 = 1_000;
const AHEAD: TimeDelta = TimeDelta::days(35);

/// Printed, so that a year that went wrong can be had again with `YEAR_SEED`.
fn seed() -> u64 {
    let given = std::env::var("YEAR_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("seed {seed}");
    seed
}

/// What the core keeps of one tenant's report.
struct Core<'a> {
    plan: &'a Plan,
    outages: &'a [Outage],
    made_until: DateTime<Utc>,
    windows: Vec<Window>,
    told: Vec<(DateTime<Utc>, Told)>,
}

impl Core<'_> {
    fn look(&mut self, arrivals: &[(Arrival, Facts)], now: DateTime<Utc>) {
        let ahead = now + AHEAD;
        if ahead > self.made_until {
            let (new, until) = self.plan.windows(self.made_until, ahead, self.outages, 10_000);
            for window in new {
                // One that was moved may be there already.
                if let Err(at) = self.windows.binary_search_by_key(&window.due_at, |window| window.due_at) {
                    self.windows.insert(at, window);
                }
            }
            self.made_until = until;
        }
        let alone: Vec<Arrival> = arrivals.iter().map(|(arrival, _)| *arrival).collect();
        let facts =
            |closer: &Arrival| arrivals.iter().find(|(arrival, _)| arrival.id == closer.id).expect("one of them").1.clone();
        let closers = assign(&self.windows, &alone).into_iter();
        let closers = closers.map(|(due, arrival)| (due, (arrival, facts(&arrival)))).collect();
        for Step { window, told, .. } in turn(&self.plan.expects, &self.windows, &closers, now) {
            self.told.extend(told.map(|told| (window.due_at, told)));
            let at = self.windows.binary_search_by_key(&window.due_at, |window| window.due_at).expect("one of them");
            self.windows[at] = window;
        }
    }
}

/// Plays the script as the watch would: it looks when something arrived, a deadline passed, or the clock was put back.
fn play(script: &Script, outages: &[Outage]) -> (Vec<(DateTime<Utc>, Told)>, Vec<Window>) {
    let mut core = Core { plan: &script.plan, outages, made_until: script.start, windows: Vec::new(), told: Vec::new() };
    let mut arrivals: Vec<(Arrival, Facts)> = Vec::new();
    let mut sent = script.sent.iter().peekable();
    let (mut looked_at, mut next_at) = (DateTime::<Utc>::MIN_UTC, None);
    for look in &script.looks {
        let before = arrivals.len();
        while let Some(next) = sent.next_if(|sent| sent.at <= look.at) {
            arrivals.push((next.arrival(), next.facts()));
        }
        let is_due = next_at.is_none_or(|next| look.reading >= next) || look.reading + AHEAD / 2 > core.made_until;
        if arrivals.len() > before || is_due || look.reading < looked_at {
            core.look(&arrivals, look.reading);
            next_at = next_deadline(&core.windows);
        }
        looked_at = look.reading;
    }
    core.told.sort();
    (core.told, core.windows)
}

#[test]
fn a_year_of_a_thousand_tenants_tells_exactly_what_was_planted() {
    let seed = seed();
    let outages = outages();
    let (mut told, mut windows, mut fates) = (BTreeMap::<&str, u64>::new(), 0, BTreeMap::<Fate, u64>::new());
    for tenant in 0..TENANTS {
        let plan = drawn_plan(seed.wrapping_add(tenant));
        let script = Script::drawn(seed.wrapping_add(tenant), plan, &outages, script::start(), TimeDelta::days(365));
        let (found, closed) = play(&script, &outages);
        let expected = script.expected();
        assert_eq!(found, expected.told, "seed {seed}, tenant {tenant}: {}", script.plan.schedule);
        let states: BTreeMap<DateTime<Utc>, State> = closed.iter().map(|window| (window.due_at, window.state)).collect();
        for (due, state) in &expected.states {
            assert_eq!(states.get(due), Some(state), "seed {seed}, tenant {tenant}: {} due {due}", script.plan.schedule);
        }
        for (_, kind) in &found {
            *told.entry(kind.as_str()).or_default() += 1;
        }
        windows += expected.states.len();
        script.runs.iter().for_each(|run| *fates.entry(run.fate).or_default() += 1);
    }
    println!("{windows} windows, told {told:?}, planted {fates:?}");
    // The year had something of everything.
    assert_eq!((told.len(), fates.len()), (3, Fate::ALL.len()));
}
