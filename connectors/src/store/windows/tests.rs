//! One conformance suite for schedules, windows and joint checks, run on SQLite and on a private PostgreSQL.

use bonded_schemas::Severity;
use tempfile::TempDir;

use super::*;
use crate::store::{
    Place,
    private_postgres::PrivatePostgres,
    tests::{landed, made, on, record, scope},
};

const HOUR_MS: i64 = 3_600_000;

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).expect("an instant")
}

fn event(ms: i64) -> NewEvent<'static> {
    NewEvent { at: at(ms), sealed: "event" }
}

fn row(due_ms: i64) -> WindowRow {
    WindowRow {
        schedule_id: "s1".into(),
        due_ms,
        report: Report::Es003,
        state: "open".into(),
        grace_ends_ms: due_ms + HOUR_MS,
        closed_by: None,
        version: 1,
        sealed: format!("window {due_ms}"),
    }
}

#[tokio::test]
async fn sqlite_keeps_windows() {
    let folder = TempDir::new().expect("a temporary folder");
    conforms(Place::Sqlite(folder.path().into())).await;
}

#[tokio::test]
async fn postgresql_keeps_windows() {
    if let Some(cluster) = PrivatePostgres::start() {
        conforms(on(&cluster)).await;
    }
}

async fn conforms(place: Place) {
    let control = made(place).await;
    control.add_tenant(&record("acme")).await.expect("added");
    let store = control.open_tenant(&scope("acme")).await.expect("a half of its own");
    let first = ScheduleRow { schedule_id: "s1".into(), report: Report::Es003, version: 1, made_ms: 0, sealed: "plan".into() };
    assert!(store.put_schedule(0, &first, event(1)).await.expect("set"));
    assert!(
        !store.put_schedule(0, &ScheduleRow { schedule_id: "s2".into(), ..first.clone() }, event(1)).await.expect("answered")
    );
    assert_eq!(store.schedules().await.expect("listed"), std::slice::from_ref(&first));

    // Two processes make them at the same moment, one further than the other: each is there once.
    let rows: Vec<WindowRow> = (1..=4).map(|n| row(n * HOUR_MS)).collect();
    let until = |hour: i64| ScheduleRow { made_ms: hour * HOUR_MS, sealed: format!("plan {hour}"), ..first.clone() };
    let (near, far) = (until(2), until(4));
    let (short, long) = (store.clone(), store.clone());
    let both = tokio::join!(short.make_windows(&near, &rows[..2]), long.make_windows(&far, &rows));
    // Whoever comes last with less is told that there is more already.
    assert!(both.1.expect("made") || both.0.expect("made"));
    assert!(store.make_windows(&until(4), &rows).await.expect("made again"));
    assert!(!store.make_windows(&until(1), &rows).await.expect("never back"));
    assert_eq!(store.windows(0, i64::MAX).await.expect("listed"), rows);
    assert_eq!(store.windows(2 * HOUR_MS, 3 * HOUR_MS).await.expect("listed"), rows[1..3]);
    let stale = ScheduleRow { version: 9, ..until(9) };
    assert!(!store.make_windows(&stale, &[row(9 * HOUR_MS)]).await.expect("answered"), "not of this version");

    // Missed, with its alert and its check; another who read it before is late.
    let raise =
        NewAlert { kind: ALERT, report: Some(Report::Es003), fingerprint: "f1", severity: Severity::Error, sealed: "body" };
    let check = CheckRow {
        check_id: "c1".into(),
        schedule_id: "s1".into(),
        due_ms: HOUR_MS,
        state: "open".into(),
        opened_ms: 2 * HOUR_MS,
        version: 1,
        sealed: "causes".into(),
    };
    let missed = WindowRow { state: "missed".into(), version: 2, sealed: "missed".into(), ..rows[0].clone() };
    let step = WindowStep { to: &missed, raise: Some(raise), resolve: None, check: Some(&check), event: event(2 * HOUR_MS) };
    let both = tokio::join!(store.move_window(&step), long.move_window(&step));
    assert!(both.0.expect("answered") ^ both.1.expect("answered"), "one of them moves it");
    let alerts = store.alerts(ALERT).await.expect("listed");
    assert_eq!((alerts.len(), alerts[0].deliveries, alerts[0].state.as_str()), (1, 1, "open"));
    assert_eq!(store.joint_checks(9).await.expect("listed"), std::slice::from_ref(&check));

    // Closed late: the alert is over. The same delivery closes no second window.
    let late = WindowRow { state: "late".into(), closed_by: Some("d1".into()), version: 3, ..missed.clone() };
    let close = WindowStep { to: &late, raise: None, resolve: Some("f1"), check: None, event: event(3 * HOUR_MS) };
    assert!(store.move_window(&close).await.expect("closed"));
    assert_eq!(store.alerts(ALERT).await.expect("listed")[0].state, "resolved");
    assert_eq!(store.window("s1", HOUR_MS).await.expect("read"), Some(late));
    let twice = WindowRow { state: "on_time".into(), closed_by: Some("d1".into()), version: 2, ..rows[1].clone() };
    let again = WindowStep { to: &twice, raise: None, resolve: None, check: None, event: event(3 * HOUR_MS) };
    assert!(!store.move_window(&again).await.expect("answered"));
    assert_eq!(store.window("s1", 2 * HOUR_MS).await.expect("read"), Some(rows[1].clone()));

    let closed = CheckRow { state: "closed".into(), version: 2, sealed: "cause".into(), ..check };
    assert!(store.move_joint_check(&closed, event(4 * HOUR_MS)).await.expect("moved"));
    assert!(!store.move_joint_check(&closed, event(4 * HOUR_MS)).await.expect("answered"));
    assert_eq!(store.joint_check("c1").await.expect("read"), Some(closed));
    assert_eq!(store.joint_check("c2").await.expect("read"), None);

    // A delivery is counted once it is rows with a receipt; its bytes once more each time they come.
    let far: DateTime<Utc> = "+12026-01-01T00:00:00Z".parse().expect("a year of five digits");
    let delivery = store.record_landed(&LedgerRow { as_of: far, ..landed("d1") }).await.expect("read as it was written");
    assert_eq!(store.committed(None).await.expect("listed"), []);
    let repeat = RepeatRow { delivery_id: delivery.delivery_id, received_at: at(5 * HOUR_MS), as_of: far };
    for _ in 0..2 {
        store.record_repeat(&repeat).await.expect("noted");
    }
    assert_eq!(store.repeats().await.expect("listed"), [repeat]);
    let pulse = store.pulse(3 * HOUR_MS).await.expect("read");
    let overdue = vec![(Report::Es003, 3 * HOUR_MS), (Report::Es003, 2 * HOUR_MS)];
    assert_eq!(pulse, Pulse { schedules: (1, 1), arrivals: (0, 1), overdue });

    // Changed: what is due later and unclosed is made anew. Removed: what came of a window stays.
    let second = ScheduleRow { version: 2, made_ms: 3 * HOUR_MS, sealed: "other plan".into(), ..first.clone() };
    assert!(store.put_schedule(1, &second, event(5)).await.expect("changed"));
    assert!(!store.put_schedule(1, &second, event(5)).await.expect("answered"), "it is no longer as it was read");
    assert_eq!(store.windows(0, i64::MAX).await.expect("listed").len(), 3);
    assert!(!store.remove_schedule(&first, 0, event(6)).await.expect("answered"));
    assert!(store.remove_schedule(&second, 2 * HOUR_MS, event(6)).await.expect("removed"));
    assert_eq!(store.windows(0, i64::MAX).await.expect("listed").len(), 1);
    assert!(store.schedules().await.expect("listed").is_empty());
}
