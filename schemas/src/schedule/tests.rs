//! Occurrences against known days, and against a walk that looks at every minute of the zone's own clocks.

use chrono::{TimeDelta, Timelike};
use chrono_tz::{America, Australia, Europe, Pacific, UTC};
use proptest::prelude::*;

use super::*;

fn schedule(cadence: &str, zone: &str) -> Schedule {
    Schedule::parse(cadence, zone).unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn year(cadence: &str, zone: &str, year: i32) -> Vec<String> {
    let (from, until) = (format!("{}-12-31T23:59:59Z", year - 1), format!("{year}-12-31T23:59:59Z"));
    schedule(cadence, zone).between(at(&from), at(&until), 500).iter().map(|at| at.format("%m-%d %H:%M").to_string()).collect()
}

#[test]
fn a_local_time_that_the_clocks_skip_is_the_first_instant_after_the_gap() {
    // New York, 8 March 2026: 02:00 EST is 03:00 EDT.
    let daily = schedule("daily 02:30", "America/New_York");
    assert_eq!(daily.next_after(at("2026-03-07T12:00:00Z")), Some(at("2026-03-08T07:00:00Z")));
    assert_eq!(daily.next_after(at("2026-03-08T07:00:00Z")), Some(at("2026-03-09T06:30:00Z")));
    // Two local times in the gap, and the one right behind it, are one occurrence.
    let quarters = schedule("0,30 2,3 * * *", "America/New_York");
    let of_the_day = quarters.between(at("2026-03-08T00:00:00Z"), at("2026-03-08T23:00:00Z"), 9);
    assert_eq!(of_the_day, [at("2026-03-08T07:00:00Z"), at("2026-03-08T07:30:00Z")]);
    // A gap at midnight (Chile, 6 September 2026) and one of a whole day (Samoa, 30 December 2011).
    assert_eq!(
        schedule("daily 00:00", "America/Santiago").next_after(at("2026-09-05T12:00:00Z")),
        Some(at("2026-09-06T04:00:00Z"))
    );
    assert_eq!(
        schedule("30 12 30 12 *", "Pacific/Apia").next_after(at("2011-01-01T00:00:00Z")),
        Some(at("2011-12-30T10:00:00Z"))
    );
}

#[test]
fn a_local_time_that_comes_twice_is_its_first_coming() {
    // New York, 1 November 2026: 02:00 EDT is 01:00 EST.
    let daily = schedule("daily 01:30", "America/New_York");
    assert_eq!(daily.next_after(at("2026-10-31T12:00:00Z")), Some(at("2026-11-01T05:30:00Z")));
    assert_eq!(daily.next_after(at("2026-11-01T05:30:00Z")), Some(at("2026-11-02T06:30:00Z")));
    assert_eq!(daily.last_before(at("2026-11-01T06:30:00Z")), Some(at("2026-11-01T05:30:00Z")));
}

#[test]
fn months_have_the_days_that_they_have() {
    assert_eq!(year("monthly 31 06:00", "UTC", 2026).len(), 7);
    assert_eq!(year("monthly last 06:00", "UTC", 2028)[..3], ["01-31 06:00", "02-29 06:00", "03-31 06:00"]);
    assert_eq!(year("monthly 15|1 00:00", "UTC", 2026).len(), 24);
    assert_eq!(schedule("0 6 29 2 *", "UTC").next_after(at("2096-03-01T00:00:00Z")), Some(at("2104-02-29T06:00:00Z")));
    assert_eq!(schedule("0 6 29 2 *", "UTC").last_before(at("2104-02-29T06:00:00Z")), Some(at("2096-02-29T06:00:00Z")));
}

/// crontab(5): `30 4 1,15 * 5` runs on the 1st and 15th of each month, and on every Friday.
#[test]
fn two_restricted_day_fields_hold_on_either_and_a_star_makes_them_hold_on_both() {
    let either = year("30 4 1,15 * 5", "UTC", 2026);
    assert!(["01-01 04:30", "01-02 04:30", "01-15 04:30", "01-16 04:30"].iter().all(|day| either.contains(&(*day).to_owned())));
    let both = year("0 6 */2 * mon", "UTC", 2026);
    assert_eq!(both[..3], ["01-05 06:00", "01-19 06:00", "02-09 06:00"], "odd days of the month that are a Monday");
    assert_eq!(year("0 0 * * 0", "UTC", 2026), year("0 0 * * 7", "UTC", 2026));
    assert_eq!(year("0 0 * * 5-7", "UTC", 2026), year("0 0 * * fri,sat,sun", "UTC", 2026));
    assert_eq!(
        year("0 8-18/5 1 jan,Feb *", "UTC", 2026),
        ["01-01 08:00", "01-01 13:00", "01-01 18:00", "02-01 08:00", "02-01 13:00", "02-01 18:00"]
    );
}

#[test]
fn what_is_no_cadence_is_refused_by_name() {
    for (text, says) in [
        ("", "no cadence"),
        ("hourly", "no cadence"),
        ("daily 24:00", "24:00"),
        ("daily 6:00", "6:00"),
        ("daily 06:00:00", "no time of day"),
        ("weekly Mon,Nopeday 06:00", "Nopeday"),
        ("weekly  06:00", "no cadence"),
        ("monthly 0 06:00", "`0`"),
        ("monthly 32 06:00", "`32`"),
        ("60 * * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 6 31 2 *", "never comes"),
        ("0 6 30 2 *", "never comes"),
        ("* * * * *", "more than 96"),
        ("0 6 * * fri-mon", "day of week"),
        ("0 6 * 13 *", "month"),
        ("0 5/2 * * *", "hour"),
        ("0 */0 * * *", "hour"),
        ("0 6,, * * *", "hour"),
        ("0 6 * * +1", "day of week"),
    ] {
        let error = text.parse::<Cadence>().expect_err(text);
        assert!(error.message.contains(says), "{text}: {error}");
    }
    assert!(Schedule::parse("daily 06:00", "America/Gotham").unwrap_err().message.contains("America/Gotham"));
}

/// Whether the clocks of the zone show this local minute at this instant, by the rules as a person would check them.
fn due(schedule: &Schedule, at: DateTime<Utc>) -> bool {
    let local = at.with_timezone(&schedule.zone).naive_local();
    let earlier = (at - TimeDelta::minutes(1)).with_timezone(&schedule.zone).naive_local();
    let shown = |minute: chrono::NaiveDateTime| {
        schedule.cadence.holds(minute.date())
            && schedule.cadence.times().iter().any(|time| *time == minute.time().with_second(0).unwrap())
    };
    // Shown for the second time: the same local minute was there within the last day.
    let again = || (1..=26 * 60).any(|back| (at - TimeDelta::minutes(back)).with_timezone(&schedule.zone).naive_local() == local);
    let step = local - earlier;
    let skipped = || (1..step.num_minutes()).any(|minute| shown(earlier + TimeDelta::minutes(minute)));
    (shown(local) && !again()) || (step > TimeDelta::minutes(1) && skipped())
}

fn cadences() -> impl Strategy<Value = String> {
    let time = || (0u32..24, 0u32..60).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"));
    // Around the hours in which clocks change more often than not.
    let early =
        || (0u32..4, prop::sample::select(vec![0, 15, 30, 59])).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"));
    let time = move || prop_oneof![time(), early()];
    let day = || prop::sample::select(vec!["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]);
    let month_day = || prop_oneof![(1u32..32).prop_map(|day| day.to_string()), Just("last".to_owned())];
    let cron =
        ("[0-9]|[1-5][0-9]|\\*/30|0,30", "[0-9]|1[0-9]|0-3|\\*/6", "\\*|1-7|\\*/3|29", "\\*|2|1-6|11", "\\*|[0-7]|mon-fri");
    prop_oneof![
        time().prop_map(|time| format!("daily {time}")),
        (prop::collection::vec(day(), 1..4), time()).prop_map(|(days, time)| format!("weekly {} {time}", days.join(","))),
        (prop::collection::vec(month_day(), 1..4), time()).prop_map(|(days, time)| format!("monthly {} {time}", days.join(","))),
        cron.prop_map(|(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}")),
    ]
}

fn zones() -> impl Strategy<Value = Tz> {
    // Changes at 2, 1, midnight, by half an hour, of a whole day, and none.
    prop::sample::select(vec![
        America::New_York,
        Europe::London,
        America::Santiago,
        Australia::Lord_Howe,
        Pacific::Apia,
        America::Phoenix,
        UTC,
    ])
}

/// Days around which something happens: changes of clocks, leap days, ends of years, Samoa's missing day.
fn days() -> impl Strategy<Value = NaiveDate> {
    let odd = [
        "2026-03-07",
        "2026-10-31",
        "2026-03-28",
        "2026-10-24",
        "2026-09-05",
        "2026-04-04",
        "2026-10-03",
        "2028-02-28",
        "2027-12-31",
        "2011-12-29",
    ];
    let odd: Vec<NaiveDate> = odd.iter().map(|day| day.parse().unwrap()).collect();
    prop_oneof![
        prop::sample::select(odd),
        (0u64..20_000).prop_map(|days| NaiveDate::from_ymd_opt(1990, 1, 1).unwrap() + Days::new(days)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn occurrences_are_those_of_a_walk_minute_by_minute(text in cadences(), zone in zones(), day in days()) {
        let Ok(cadence) = text.parse::<Cadence>() else { return Ok(()) };
        let schedule = Schedule::new(cadence, zone);
        let from = day.and_hms_opt(0, 0, 0).unwrap().and_utc();
        let until = from + TimeDelta::days(3);
        let minutes = (1..=3 * 24 * 60).map(|minute| from + TimeDelta::minutes(minute));
        let walked: Vec<DateTime<Utc>> = minutes.filter(|at| due(&schedule, *at)).collect();
        prop_assert_eq!(&schedule.between(from, until, 1_000), &walked, "{} {}", text, zone);
        // Step by step, forwards and backwards, the same.
        let mut at = from;
        for expected in &walked {
            prop_assert_eq!(schedule.next_after(at), Some(*expected));
            at = *expected;
        }
        let mut at = until + TimeDelta::seconds(1);
        for expected in walked.iter().rev() {
            prop_assert_eq!(schedule.last_before(at), Some(*expected));
            at = *expected;
        }
    }

    #[test]
    fn a_cadence_reads_back_as_itself(text in cadences(), zone in zones()) {
        let Ok(cadence) = text.parse::<Cadence>() else { return Ok(()) };
        prop_assert_eq!(&cadence.to_string().parse::<Cadence>().unwrap(), &cadence);
        let schedule = Schedule::new(cadence, zone);
        let json = serde_json::to_string(&schedule).unwrap();
        prop_assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
    }

    #[test]
    fn no_text_is_too_odd_to_be_refused(text in "[ -~]{0,40}|[0-9*,/ -]{0,30}") {
        let _ = text.parse::<Cadence>();
    }
}
