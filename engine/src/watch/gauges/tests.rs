//! The numbers of known windows, line by line.

use bonded_schemas::{Report, window::Window};

use super::*;
use crate::watch::Expected;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn expected(due: &str, state: State, alerted: bool) -> Expected {
    let due_at = at(due);
    let window = Window {
        due_at,
        opens_at: due_at,
        grace_ends_at: due_at + TimeDelta::hours(6),
        local_day: due_at.date_naive(),
        state,
        excuse: None,
        closed: None,
        alerted_at: alerted.then_some(due_at),
    };
    Expected { report: Report::Es003, schedule_id: "s".into(), window }
}

#[test]
fn windows_are_counted_by_state_and_tenants_are_named_only_where_they_may_be() {
    let now = at("2026-05-10T00:00:00Z");
    let mut gauges = Gauges::default();
    let windows = vec![
        expected("2026-03-01T10:00:00Z", State::Missed, true),
        expected("2026-05-01T10:00:00Z", State::Missed, true),
        expected("2026-05-08T10:00:00Z", State::OnTime, false),
        expected("2026-05-09T22:00:00Z", State::Open, false),
        expected("2026-05-11T10:00:00Z", State::Open, false),
    ];
    let queryable_after = [500, 1_500, 90_000_000, -5].map(TimeDelta::milliseconds).to_vec();
    let looked = Looked { next_at: None, told: 3, closed: 4, queryable_after, windows };
    gauges.tenant(&"fictional-lantern".parse().expect("a name"), &looked, now);
    gauges.looked(now);
    let text = gauges.text(now, false);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for expected in [
        // That of March is history, that of tomorrow is not due.
        "bonded_windows{state=\"missed\"} 1",
        "bonded_windows{state=\"on_time\"} 1",
        "bonded_windows{state=\"open\"} 1",
        "bonded_windows{state=\"late\"} 0",
        "bonded_windows_missing 1",
        "bonded_window_oldest_open_seconds 741600",
        "bonded_window_told_total 3",
        "bonded_queryable_seconds_bucket{le=\"1\"} 2",
        "bonded_queryable_seconds_bucket{le=\"2\"} 3",
        "bonded_queryable_seconds_bucket{le=\"86400\"} 3",
        "bonded_queryable_seconds_bucket{le=\"+Inf\"} 4",
        "bonded_queryable_seconds_sum 90002",
        "bonded_queryable_seconds_count 4",
        "bonded_watch_last_round_timestamp_seconds 1778371200",
    ] {
        assert!(lines.contains(&expected), "{expected} in\n{text}");
    }
    assert!(!text.contains("fictional-lantern"));
    let named = gauges.text(now, true);
    assert!(named.contains("bonded_windows{tenant=\"fictional-lantern\",state=\"missed\"} 1"), "{named}");
    assert!(named.contains("bonded_windows_missing{tenant=\"fictional-lantern\"} 1"));
    gauges.forget(&"fictional-lantern".parse().expect("a name"));
    assert!(gauges.text(now, false).contains("bonded_windows{state=\"missed\"} 0"));
}
