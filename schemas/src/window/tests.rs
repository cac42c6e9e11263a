//! Windows under drawn schedules, arrivals, clocks and restarts; excuses, marks and what is learned on known days.

use proptest::{prelude::*, sample::Index};
use uuid::Uuid;

use super::{learn::Seen, *};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn plan(cadence: &str, zone: &str, early_hours: u32, grace_hours: u32) -> Plan {
    Plan {
        schedule: Schedule::parse(cadence, zone).unwrap(),
        early_minutes: early_hours * 60,
        grace_minutes: grace_hours * 60,
        excuse: Excuse::Expect,
        expects: Expectation::default(),
    }
}

fn arrival(number: u128, as_of: DateTime<Utc>, received_at: DateTime<Utc>) -> Arrival {
    let id = ArrivalId { delivery_id: DeliveryId(Uuid::from_u128(number)), repeated_at: None };
    Arrival { id, as_of, received_at }
}

fn with_facts(closers: BTreeMap<DateTime<Utc>, Arrival>) -> BTreeMap<DateTime<Utc>, (Arrival, Facts)> {
    closers.into_iter().map(|(due, arrival)| (due, (arrival, Facts::default()))).collect()
}

/// Windows with their steps laid in; what was told, by due time.
fn apply(windows: &mut [Window], steps: Vec<Step>) -> Vec<(DateTime<Utc>, Told)> {
    let mut told = Vec::new();
    for step in steps {
        told.extend(step.told.map(|told| (step.window.due_at, told)));
        let place = windows.iter_mut().find(|window| window.due_at == step.window.due_at).unwrap();
        *place = step.window;
    }
    told
}

fn states(windows: &[Window]) -> Vec<&str> {
    windows.iter().map(|window| window.state.as_str()).collect()
}

#[test]
fn a_back_fill_closes_the_window_of_its_as_of_time_and_no_newer_one() {
    let plan = plan("weekly Mon 06:00", "America/New_York", 2, 6);
    let (mut windows, _) = plan.windows(at("2026-04-01T00:00:00Z"), at("2026-04-21T00:00:00Z"), &[], 100);
    let [first, second, third] = [windows[0].due_at, windows[1].due_at, windows[2].due_at];
    assert_eq!(first, at("2026-04-06T10:00:00Z"));
    let now = third + TimeDelta::hours(5);
    let steps = turn(&plan.expects, &windows, &BTreeMap::new(), now);
    let told = apply(&mut windows, steps);
    assert_eq!((told, states(&windows)), (vec![(first, Told::Missed), (second, Told::Missed)], vec!["missed", "missed", "open"]));
    // What comes now and says that it is of the first week, is the first week's.
    let late = arrival(1, first + TimeDelta::minutes(3), now);
    let steps = turn(&plan.expects, &windows, &with_facts(assign(&windows, &[late])), now);
    assert!(steps[0].resolved && steps.len() == 1);
    apply(&mut windows, steps);
    assert_eq!(states(&windows), ["late", "missed", "open"]);
    assert_eq!(windows[0].closed.as_ref().unwrap().marks, BTreeSet::from([Mark::BackFilled]));
    // Another of the same week closes nothing more, and what is of the third closes the third.
    let more = [arrival(2, first + TimeDelta::days(2), now), arrival(3, third + TimeDelta::hours(1), now)];
    let closers = assign(&windows, &[late, more[0], more[1]]);
    assert_eq!(closers.into_iter().map(|(due, closer)| (due, closer.id)).collect::<Vec<_>>(), [(third, more[1].id)]);
}

#[test]
fn what_says_that_it_is_of_a_time_to_come_closes_no_window_that_opens_after_its_arrival() {
    let plan = plan("weekly Mon 06:00", "UTC", 2, 6);
    let (windows, _) = plan.windows(at("2026-04-01T00:00:00Z"), at("2026-04-21T00:00:00Z"), &[], 100);
    let received = windows[0].due_at + TimeDelta::hours(1);
    let ahead = arrival(1, at("2099-01-01T00:00:00Z"), received);
    assert_eq!(assign(&windows, &[ahead]).into_keys().collect::<Vec<_>>(), [windows[0].due_at], "that of its arrival");
    let early = arrival(1, windows[0].due_at, windows[0].opens_at - TimeDelta::hours(1));
    assert!(assign(&windows, &[early]).is_empty());
}

#[test]
fn however_long_the_grace_somebody_is_told_a_day_after_it_was_due_and_only_once() {
    let plan = plan("monthly 1 06:00", "UTC", 0, 72);
    let (mut windows, _) = plan.windows(at("2026-04-30T00:00:00Z"), at("2026-05-02T00:00:00Z"), &[], 9);
    let due = windows[0].due_at;
    for (hours, told, state) in
        [(23, None, "open"), (24, Some(Told::Overdue), "open"), (25, None, "open"), (72, None, "missed"), (99, None, "missed")]
    {
        let steps = turn(&plan.expects, &windows, &BTreeMap::new(), due + TimeDelta::hours(hours));
        let seen = apply(&mut windows, steps);
        assert_eq!((seen.first().map(|(_, told)| *told), windows[0].state.as_str()), (told, state), "{hours} hours");
    }
}

#[test]
fn a_holiday_is_skipped_moved_or_expected_as_the_plan_says_and_an_outage_too() {
    // Thanksgiving 2026 is Thursday, 26 November.
    let of = |excuse, cadence| {
        let plan = Plan { excuse, ..plan(cadence, "America/New_York", 1, 6) };
        let (windows, _) = plan.windows(at("2026-11-25T00:00:00Z"), at("2026-11-28T00:00:00Z"), &[], 9);
        windows.iter().map(|window| (window.due_at.to_rfc3339(), window.state, window.excuse.clone())).collect::<Vec<_>>()
    };
    let due = |day: &str| format!("2026-11-{day}T11:00:00+00:00");
    let name = || Some("Thanksgiving Day".to_owned());
    assert_eq!(of(Excuse::Expect, "weekly Thu 06:00"), [(due("26"), State::Open, None)]);
    assert_eq!(of(Excuse::Skip, "weekly Thu 06:00"), [(due("26"), State::Excused, name())]);
    assert_eq!(of(Excuse::Shift, "weekly Thu 06:00"), [(due("27"), State::Open, name())]);
    // Moved onto the run of the next day it is that run.
    assert_eq!(of(Excuse::Shift, "daily 06:00"), [(due("25"), State::Open, None), (due("27"), State::Open, name())]);
    let down = "[[outage]]\nname = \"reports down\"\nfrom = \"2026-11-25T00:00:00Z\"\nuntil = \"2026-11-25T12:00:00Z\"\nmark = \"G\"\nsource = \"made up\"\n";
    let down = parse_outages(down).unwrap();
    let plan = Plan { excuse: Excuse::Skip, ..plan("daily 06:00", "America/New_York", 1, 6) };
    let (windows, _) = plan.windows(at("2026-11-24T12:00:00Z"), at("2026-11-25T12:00:00Z"), &down, 9);
    assert_eq!((windows.len(), windows[0].excuse.as_deref(), windows[0].state), (1, Some("reports down"), State::Excused));
    assert!(parse_outages("[[outage]]\nname = \"x\"\nfrom = \"2026-11-25T00:00:00Z\"\nuntil = \"2026-11-24T00:00:00Z\"\nmark = \"G\"\nsource = \"x\"").is_err());
    assert!(outages().len() < 10_000, "those compiled in parse");
}

#[test]
fn what_came_is_held_against_what_was_expected() {
    let mut plan = plan("daily 06:00", "UTC", 2, 6);
    plan.expects =
        Expectation { rows: Some("100..200".parse().unwrap()), covers: Some("30..2".parse().unwrap()), columns: vec![] };
    let (windows, _) = plan.windows(at("2026-05-01T00:00:00Z"), at("2026-05-03T00:00:00Z"), &[], 9);
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    let good = Facts {
        rows: Some(150),
        dates: Some((day("2026-04-01"), day("2026-04-30"))),
        content: Some("c1".into()),
        ..Facts::default()
    };
    let marks_of = |first: &Facts, second: &Facts, minutes: i64| {
        let [first, second] = [(&windows[0], first, 1), (&windows[1], second, 2)].map(|(window, facts, number)| {
            let received = window.due_at + TimeDelta::minutes(minutes);
            (window.due_at, (arrival(number, received, received), facts.clone()))
        });
        let steps = turn(&plan.expects, &windows, &BTreeMap::from([first, second]), at("2026-05-04T00:00:00Z"));
        let closing = steps[1].window.closed.clone().unwrap();
        (closing.marks.into_iter().map(Mark::as_str).collect::<Vec<_>>(), steps[1].told)
    };
    let other = Facts { content: Some("c2".into()), ..good.clone() };
    assert_eq!(marks_of(&good, &other, 5), (vec![], None));
    assert_eq!(marks_of(&good, &other, -30), (vec!["early"], None));
    assert_eq!(marks_of(&good, &good, 5), (vec!["stale"], Some(Told::Content)));
    assert_eq!(marks_of(&good, &Facts { rows: Some(99), ..other.clone() }, 5), (vec!["thin"], Some(Told::Content)));
    assert_eq!(marks_of(&good, &Facts { rows: Some(201), ..other.clone() }, 5).0, ["fat"]);
    for (first, last, narrow) in
        [("2026-04-02", "2026-04-30", false), ("2026-04-03", "2026-04-30", true), ("2026-04-01", "2026-04-29", true)]
    {
        let facts = Facts { dates: Some((day(first), day(last))), ..other.clone() };
        assert_eq!(!marks_of(&good, &facts, 5).0.is_empty(), narrow, "{first} {last}");
    }
    assert_eq!(marks_of(&good, &Facts { columns_missing: vec!["Entry Date".into()], ..other.clone() }, 5).0, ["columns_missing"]);
    assert_eq!(
        marks_of(&good, &Facts { content: Some("c2".into()), ..Facts::default() }, 5).0,
        [""; 0],
        "what is not known is not judged"
    );
}

#[test]
fn the_same_bytes_once_more_close_a_window_as_a_duplicate_and_each_arrival_only_one() {
    let plan = plan("daily 06:00", "UTC", 1, 6);
    let (mut windows, _) = plan.windows(at("2026-05-01T00:00:00Z"), at("2026-05-03T00:00:00Z"), &[], 9);
    let first = arrival(1, windows[0].due_at, windows[0].due_at);
    let again =
        |received_at| Arrival { id: ArrivalId { repeated_at: Some(received_at), ..first.id }, as_of: received_at, received_at };
    // A resend in the same window changes nothing; one in the next closes that one.
    let arrivals = [first, again(first.received_at + TimeDelta::hours(1)), again(windows[1].due_at)];
    let steps = turn(&plan.expects, &windows, &with_facts(assign(&windows, &arrivals)), at("2026-05-04T00:00:00Z"));
    let told = apply(&mut windows, steps);
    assert_eq!(told, [(windows[1].due_at, Told::Content)]);
    assert_eq!(windows[1].closed.as_ref().unwrap().marks, BTreeSet::from([Mark::Duplicate]));
    assert!(assign(&windows, &arrivals).is_empty());
}

#[test]
fn texts_of_bands_and_spans_read_back_as_themselves() {
    for text in ["1000..50000", "0..7", "5.."] {
        assert_eq!(text.parse::<RowBand>().unwrap().to_string(), text);
    }
    assert_eq!("..9".parse::<RowBand>().unwrap(), RowBand { least: 0, most: 9 });
    for text in ["", "5", "9..5", "a..b", "-1..4", "1...4"] {
        assert!(text.parse::<RowBand>().is_err(), "{text}");
    }
    assert_eq!("30..2".parse::<Covers>().unwrap().to_string(), "30..2");
    for text in ["2..30", "30", "..2", "99999..2"] {
        assert!(text.parse::<Covers>().is_err(), "{text}");
    }
    let plan = Plan { excuse: Excuse::Shift, ..plan("weekly Mon 06:00", "America/New_York", 1, 6) };
    let json = serde_json::to_string(&plan).unwrap();
    assert!(json.contains(r#""cadence":"weekly Mon 06:00","zone":"America/New_York""#), "{json}");
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}

#[test]
fn a_rhythm_is_learned_with_what_speaks_for_it_and_chance_is_not() {
    let zones: Vec<chrono_tz::Tz> = ["America/New_York", "UTC"].iter().map(|zone| zone.parse().unwrap()).collect();
    // Mondays and Thursdays about 06:10 in New York, over the change of the clocks; two runs are missing.
    let source = Schedule::parse("weekly Mon,Thu 06:10", "America/New_York").unwrap();
    let runs = source.between(at("2026-02-01T00:00:00Z"), at("2026-04-30T00:00:00Z"), 100);
    let seen =
        |at: DateTime<Utc>, rows: i64| Seen { received_at: at + TimeDelta::minutes(rows % 9), rows: Some(rows.unsigned_abs()) };
    let mut came: Vec<Seen> = runs.iter().zip(100..).map(|(at, rows)| seen(*at, rows)).collect();
    came.remove(11);
    came.remove(5);
    let learned = learn::learn(&came, &zones).unwrap();
    assert_eq!(learned.schedule.to_string(), "weekly Mon,Thu 06:00 America/New_York");
    assert_eq!((learned.expected, learned.kept, learned.unexpected, learned.days_seen), (25, 23, 0, 23));
    assert_eq!((learned.grace_minutes, learned.confidence), (120, 92));
    assert_eq!(learned.rows.unwrap().to_string(), "50..248");

    let runs = |cadence: &str| {
        let runs = Schedule::parse(cadence, "UTC").unwrap().between(at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z"), 400);
        runs.into_iter().map(|received_at| Seen { received_at, rows: None }).collect::<Vec<_>>()
    };
    for cadence in ["daily 07:30", "weekly Mon,Tue,Wed,Thu,Fri 22:00", "monthly 1,15 00:00", "monthly last 12:15"] {
        let learned = learn::learn(&runs(cadence), &["UTC".parse().unwrap()]).unwrap();
        assert_eq!(learned.schedule.cadence().to_string(), cadence);
        assert!(learned.rows.is_none() && learned.confidence > 90, "{learned:?}");
    }
    // On the first, the fourth, the ninth, ...: no rhythm at all.
    let squares = (1..18i64).map(|n| Seen { received_at: at("2026-01-01T06:00:00Z") + TimeDelta::days(n * n), rows: None });
    assert_eq!(learn::learn(&squares.collect::<Vec<_>>(), &zones), None);
    assert_eq!(learn::learn(&came[..3], &zones), None);
}

fn plans() -> impl Strategy<Value = Plan> {
    let cadence = prop::sample::select(vec![
        "daily 02:30",
        "daily 01:30",
        "weekly Sun 02:30",
        "weekly Mon,Thu 06:00",
        "monthly 1,15,last 23:45",
        "0 */8 * * *",
        "30 2 29 2 *",
    ]);
    let zone = prop::sample::select(vec!["America/New_York", "Europe/London", "Australia/Lord_Howe", "UTC"]);
    let excuse = prop::sample::select(vec![Excuse::Skip, Excuse::Shift, Excuse::Expect]);
    (cadence, zone, 0u32..72, 0u32..72, excuse)
        .prop_map(|(cadence, zone, early, grace, excuse)| Plan { excuse, ..plan(cadence, zone, early, grace) })
}

/// Over both changes of the clocks, a leap day and the end of a year.
fn starts() -> impl Strategy<Value = DateTime<Utc>> {
    let odd = ["2026-02-20T00:00:00Z", "2026-10-15T00:00:00Z", "2028-02-10T00:00:00Z", "2027-12-15T00:00:00Z"];
    (prop::sample::select(odd.to_vec()), 0i64..10_000).prop_map(|(from, minutes)| at(from) + TimeDelta::minutes(minutes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn which_delivery_closes_which_window_does_not_hang_on_the_order_of_looking(
        plan in plans(), start in starts(), times in prop::collection::vec((0i64..60_000, 0i64..60_000), 0..40),
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 0..40),
    ) {
        let (windows, _) = plan.windows(start, start + TimeDelta::days(45), &[], 1_000);
        let arrivals: Vec<Arrival> = times
            .iter()
            .enumerate()
            .map(|(n, (as_of, later))| {
                let as_of = start + TimeDelta::minutes(*as_of);
                arrival(n as u128, as_of, as_of + TimeDelta::minutes(later / 10))
            })
            .collect();
        let closers = assign(&windows, &arrivals);
        let mut shuffled = arrivals.clone();
        if !shuffled.is_empty() {
            swaps.iter().for_each(|(a, b)| shuffled.swap(a.index(arrivals.len()), b.index(arrivals.len())));
        }
        prop_assert_eq!(&assign(&windows, &shuffled), &closers);
        let used: BTreeSet<ArrivalId> = closers.values().map(|closer| closer.id).collect();
        prop_assert_eq!(used.len(), closers.len(), "an arrival closes at most one window");
        for (due, closer) in &closers {
            let window = windows.iter().find(|window| window.due_at == *due).unwrap();
            prop_assert!(window.opens_at <= closer.as_of);
            // No newer window had opened when the report was run.
            prop_assert!(windows.iter().filter(|other| other.due_at > *due).all(|other| other.opens_at > closer.as_of));
        }
        // Looked at as they come in, one by one, the same closes the same.
        let mut live = windows.clone();
        let mut in_order = arrivals.clone();
        in_order.sort_by_key(|arrival| (arrival.received_at, arrival.id));
        for known in 1..=in_order.len() {
            let steps = turn(&plan.expects, &live, &with_facts(assign(&live, &in_order[..known])), start);
            apply(&mut live, steps);
        }
        let lived: BTreeMap<_, _> = live.iter().filter_map(|window| Some((window.due_at, window.closed.as_ref()?.arrival))).collect();
        prop_assert_eq!(lived, closers.iter().map(|(due, closer)| (*due, closer.id)).collect::<BTreeMap<_, _>>());
    }

    /// The watch looks at drawn times: too rarely, after restarts, on a clock that is put forward and back.
    #[test]
    fn each_window_that_nothing_closes_is_told_of_once_and_at_the_first_look_after_its_time(
        plan in plans(), start in starts(), steps in prop::collection::vec(-3_000i64..6_000, 1..60),
    ) {
        let (mut windows, mut made_until, mut now) = (Vec::<Window>::new(), start, start);
        let mut told: BTreeMap<DateTime<Utc>, Vec<DateTime<Utc>>> = BTreeMap::new();
        let (mut looks, mut latest) = (Vec::new(), start);
        for step in steps {
            now += TimeDelta::minutes(step);
            looks.push(now);
            latest = latest.max(now);
            let ahead = now + TimeDelta::days(3);
            if ahead > made_until {
                // At most three at once, so that the limit is met.
                while made_until < ahead {
                    let (new, until) = plan.windows(made_until, ahead, &[], 3);
                    made_until = until;
                    windows.extend(new.into_iter().filter(|new| windows.iter().all(|old| old.due_at != new.due_at)).collect::<Vec<_>>());
                }
                windows.sort_by_key(|window| window.due_at);
            }
            let before = windows.clone();
            for (due, _) in apply(&mut windows, turn(&plan.expects, &before, &BTreeMap::new(), now)) {
                told.entry(due).or_default().push(now);
            }
            for (was, is) in before.iter().zip(&windows) {
                prop_assert!(was.state != State::Missed || is.state == State::Missed, "nothing is un-missed");
            }
        }
        // Made piece by piece they are the windows of the whole time.
        let (whole, _) = plan.windows(start, made_until, &[], 100_000);
        prop_assert_eq!(windows.iter().map(|window| window.due_at).collect::<Vec<_>>(), whole.iter().map(|window| window.due_at).collect::<Vec<_>>());
        for window in &windows {
            let due_told = window.due_at.max(start) + TimeDelta::hours(24).min(window.grace_ends_at - window.due_at);
            let expected = match window.state {
                State::Excused => None,
                _ => looks.iter().copied().find(|look| *look >= due_told),
            };
            prop_assert_eq!(told.get(&window.due_at).cloned().unwrap_or_default(), expected.into_iter().collect::<Vec<_>>());
            prop_assert!(expected.is_some() || window.state == State::Excused || latest < window.due_at + TimeDelta::hours(24));
        }
    }
}
