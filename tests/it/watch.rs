//! The watch on real lakes with a clock that is moved: joint checks, two watches at once, a start past a deadline, months in
//! numbers, what is learned.

use std::sync::Arc;

use bonded::{
    answers::session,
    demo::corpus::{Corpus, Plan as CorpusPlan},
    ingest::{Source, ingest},
    lakehouse::{Doors, Lakehouse, Tenant},
    serve::{self, Role},
    settings::Settings,
    watch::{
        self, Alert, Watch,
        causes::{Cause, Side},
        check,
        freshness::{Standing, freshness},
    },
};
use bonded_connectors::{
    clock::HandClock,
    store::{audit::NewEvent, windows::ScheduleRow},
};
use bonded_queries::Format;
use bonded_schemas::{
    Channel, Report, TenantId,
    schedule::Schedule,
    window::{Excuse, Expectation, Plan, State, Told},
};
use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

use crate::year::lake::scope;

const LANTERN: &str = "fictional-lantern";
const KETTLE: &str = "fictional-kettle";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn name(tenant: &str) -> TenantId {
    tenant.parse().expect("a name")
}

struct House {
    house: Arc<Lakehouse>,
    clock: HandClock,
    settings: Settings,
    corpus: Corpus,
    _folder: TempDir,
}

impl House {
    /// Two tenants, at this time.
    async fn at(now: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut settings = Settings { lake: folder.path().join("lake").display().to_string(), ..Settings::default() };
        settings.keys.dir = Some(folder.path().join("keys"));
        let clock = HandClock::at(at(now));
        let doors = Doors::new(Arc::new(clock.clone()));
        let house = Arc::new(Lakehouse::init(settings.clone(), doors).await.expect("made").0);
        for tenant in [LANTERN, KETTLE] {
            house.add_tenant(&scope(name(tenant))).await.expect("added");
        }
        let corpus = Corpus::new(CorpusPlan::new(7, 1_000)).expect("a corpus");
        Self { house, clock, settings, corpus, _folder: folder }
    }

    async fn tenant(&self, tenant: &str) -> Tenant {
        self.house.tenant(&scope(name(tenant))).await.expect("opens")
    }

    async fn expect(&self, tenant: &str, report: Report, cadence: &str, grace_hours: u32, expects: Expectation) {
        let schedule = Schedule::parse(cadence, "America/New_York").expect("well formed");
        let plan = Plan { schedule, early_minutes: 60, grace_minutes: grace_hours * 60, excuse: Excuse::Expect, expects };
        watch::plan::set(&self.house, &self.tenant(tenant).await, report, plan).await.expect("set");
    }

    /// Eight entries, other ones for each number.
    async fn deliver(&self, tenant: &str, report: Report, number: u32, now: DateTime<Utc>) {
        self.clock.set(now);
        let mut bytes = Vec::new();
        self.corpus.write_entries(report, number * 8..number * 8 + 8, &mut bytes).expect("written");
        let mut bytes = bytes.as_slice();
        let source = Source {
            file_name: "report.csv".into(),
            bytes: &mut bytes,
            channel: Channel::Console,
            as_of: None,
            envelope: None,
            poa: None,
        };
        ingest(&self.house, &self.tenant(tenant).await, source).await.expect("taken in");
    }

    async fn round(&self) -> u64 {
        Watch::default().round(&self.house, &scope, &|| false).await.expect("a round").told
    }

    async fn alerts(&self, tenant: &str) -> Vec<Alert> {
        let tenant = self.tenant(tenant).await;
        let alerts = tenant.ledger.alerts(watch::ALERT).await.expect("listed");
        alerts.iter().map(|alert| tenant.unseal(watch::ALERT, &alert.fingerprint, &alert.sealed).expect("opens")).collect()
    }

    async fn ask(&self, tenant: &str, sql: &str) -> String {
        let session = session(&self.house, &self.tenant(tenant).await).await.expect("a session");
        let mut out = Vec::new();
        let answer = session.query(sql).await.expect("asked");
        answer.write(Format::Csv, &mut out).await.expect("written");
        String::from_utf8(out).expect("text")
    }
}

/// Monday, 6 April 2026, 06:00 in New York.
const DUE: &str = "2026-04-06T10:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_run_opens_a_check_with_what_was_seen_and_both_sides_work_it_to_its_end() {
    let house = House::at("2026-04-01T00:00:00Z").await;
    for tenant in [LANTERN, KETTLE] {
        house.expect(tenant, Report::Es003, "weekly Mon 06:00", 6, Expectation::default()).await;
    }
    // Another report of the same tenant arrives in the window: account and address work.
    house.deliver(LANTERN, Report::Es001, 1, at(DUE) + TimeDelta::hours(1)).await;
    house.clock.set(at(DUE) + TimeDelta::hours(6) - TimeDelta::seconds(1));
    assert_eq!(house.round().await, 0, "its grace still runs");
    house.clock.set(at(DUE) + TimeDelta::hours(6));
    assert_eq!(house.round().await, 2);
    assert_eq!(house.round().await, 0, "told once");
    let alerts = house.alerts(LANTERN).await;
    assert_eq!((alerts.len(), alerts[0].told, alerts[0].due_at), (1, Told::Missed, at(DUE)));

    let tenant = house.tenant(LANTERN).await;
    let checks = check::list(&tenant).await.expect("listed");
    let [opened] = checks.as_slice() else { panic!("{checks:?}") };
    assert_eq!(alerts[0].check_id.as_ref(), Some(&opened.id));
    let first = &opened.causes[0];
    assert_eq!(first.cause, Cause::ScheduleExpired);
    assert!(first.seen.contains("ES-003 never arrived") && first.seen.contains("ES-001 arrived"), "{first:?}");
    let outage = opened.causes.iter().find(|likely| likely.cause == Cause::Outage).expect("the other one misses its run, too");
    assert!(outage.seen.starts_with("1 of 1 other tenants"), "{outage:?}");
    assert!(!serde_json::to_string(opened).expect("JSON").contains(KETTLE), "of another tenant a number, and no name");
    assert!(
        opened.steps.iter().any(|step| step.side == Side::Tenant) && opened.steps.iter().any(|step| step.side == Side::Operator)
    );
    let silent = check::list(&house.tenant(KETTLE).await).await.expect("listed").remove(0);
    assert_eq!(silent.causes[0].cause, Cause::PasswordExpired, "nothing at all arrived there");

    let ending = &opened.id[opened.id.len() - 12..];
    let ticked = check::tick(&house.house, &tenant, ending, 1, Some("looked at it")).await.expect("ticked");
    let tick = ticked.steps[0].ticked.as_ref().expect("ticked");
    assert_eq!((tick.by.as_str(), tick.at), ("console:year", at(DUE) + TimeDelta::hours(6)));
    assert!(check::tick(&house.house, &tenant, ending, 1, None).await.is_err(), "a tick is not taken back, nor given twice");
    assert!(check::tick(&house.house, &tenant, ending, 99, None).await.is_err());
    assert!(check::close(&house.house, &tenant, ending, Cause::Other, Some(" ")).await.is_err(), "another cause says which");
    let closed =
        check::close(&house.house, &tenant, ending, Cause::ScheduleExpired, Some("it had an end date")).await.expect("closed");
    assert_eq!(closed.closed.as_ref().map(|closed| closed.cause), Some(Cause::ScheduleExpired));
    assert!(check::close(&house.house, &tenant, ending, Cause::Outage, None).await.is_err());
    assert!(check::tick(&house.house, &tenant, ending, 2, None).await.is_err());
    assert_eq!(check::show(&tenant, &opened.id).await.expect("read"), closed);
    let trail = tenant.trail().await.expect("whole");
    for action in ["windows.schedule.set", "windows.step", "windows.check.tick", "windows.check.close"] {
        assert_eq!(trail.iter().filter(|(_, event)| event.action == action).count(), 1, "{action}");
    }

    // It comes after all: the window is late, and the alert is over.
    house.deliver(LANTERN, Report::Es003, 1, at(DUE) + TimeDelta::hours(30)).await;
    assert_eq!(house.round().await, 0);
    let windows = watch::windows(&tenant, at(DUE), at(DUE)).await.expect("read");
    assert_eq!(windows[0].window.state, State::Late);
    assert_eq!(tenant.ledger.alerts(watch::ALERT).await.expect("listed")[0].state, "resolved");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_watches_at_once_tell_once_and_a_schedule_that_is_removed_expects_nothing() {
    let house = House::at("2026-04-01T00:00:00Z").await;
    house.expect(LANTERN, Report::Es003, "daily 06:00", 6, Expectation::default()).await;
    house.clock.set(at("2026-04-05T00:00:00Z"));
    let other = Lakehouse::open(house.settings.clone(), Doors::new(Arc::new(house.clock.clone()))).await.expect("opens");
    let (mut one, mut two) = (Watch::default(), Watch::default());
    let (first, second) = tokio::join!(one.round(&house.house, &scope, &|| false), two.round(&other, &scope, &|| false));
    // A round that lost a race looks again.
    let again = house.round().await;
    assert_eq!(first.expect("a round").told + second.expect("a round").told + again, 4);
    assert_eq!(house.alerts(LANTERN).await.len(), 4);
    let tenant = house.tenant(LANTERN).await;
    assert_eq!(check::list(&tenant).await.expect("listed").len(), 4);

    watch::plan::remove(&house.house, &tenant, Report::Es003).await.expect("removed");
    assert!(watch::plan::remove(&house.house, &tenant, Report::Es003).await.is_err());
    house.clock.set(at("2026-04-20T00:00:00Z"));
    assert_eq!(house.round().await, 0);
    let windows = watch::windows(&tenant, at("2026-04-01T00:00:00Z"), DateTime::<Utc>::MAX_UTC).await.expect("read");
    assert_eq!(watch::count(&windows).into_iter().collect::<Vec<_>>(), [(State::Missed, 4)], "what was missed stays missed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_starts_past_a_deadline_tells_of_it_at_once() {
    let house = House::at("2026-04-01T00:00:00Z").await;
    house.expect(LANTERN, Report::Es003, "weekly Mon 06:00", 48, Expectation::default()).await;
    house.clock.set(at(DUE) + TimeDelta::hours(25));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopping = async move {
        stopped.await.ok();
    };
    let serving = tokio::spawn(serve::run(house.house.clone(), &[Role::Watch], Arc::new(scope), |_| Ok(()), stopping));
    let mut told = Vec::new();
    for _ in 0..600 {
        told = house.alerts(LANTERN).await;
        if !told.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    stop.send(()).expect("it runs");
    serving.await.expect("no panic").expect("it stopped");
    assert_eq!(told.len(), 1);
    // A day after it was due, though its grace is longer.
    assert_eq!((told[0].told, told[0].due_at), (Told::Overdue, at(DUE)));
    // Nothing more is told when its grace ends, so this one must reach who wants to hear of errors.
    let alerts = house.tenant(LANTERN).await.ledger.alerts(watch::ALERT).await.expect("listed");
    assert_eq!(alerts[0].severity, "error");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_closed_a_window_of_a_removed_schedule_does_not_stand_before_the_new_one() {
    let house = House::at("2026-04-01T00:00:00Z").await;
    let expect = || house.expect(LANTERN, Report::Es003, "weekly Mon 06:00", 6, Expectation::default());
    expect().await;
    let tenant = house.tenant(LANTERN).await;
    house.deliver(LANTERN, Report::Es003, 1, at(DUE) - TimeDelta::minutes(30)).await;
    assert_eq!(house.round().await, 0);
    watch::plan::remove(&house.house, &tenant, Report::Es003).await.expect("removed");
    expect().await;
    house.clock.set(at(DUE) + TimeDelta::hours(6));
    assert_eq!(house.round().await, 1, "nothing came for the new one");
    house.deliver(LANTERN, Report::Es003, 2, at(DUE) + TimeDelta::hours(7)).await;
    house.round().await;
    let windows = watch::windows(&tenant, at("2026-04-01T00:00:00Z"), at(DUE)).await.expect("read");
    let mut states: Vec<State> = windows.iter().map(|expected| expected.window.state).collect();
    states.sort();
    assert_eq!(states, [State::OnTime, State::Late]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_holiday_moved_is_still_expected_after_the_schedule_is_set_again() {
    // Thanksgiving 2026 is Thursday, 26 November.
    let house = House::at("2026-11-20T00:00:00Z").await;
    let tenant = house.tenant(LANTERN).await;
    let schedule = Schedule::parse("weekly Thu 06:00", "America/New_York").expect("well formed");
    let plan = Plan { schedule, early_minutes: 60, grace_minutes: 60, excuse: Excuse::Shift, expects: Expectation::default() };
    for now in ["2026-11-20T00:00:00Z", "2026-11-26T12:00:00Z"] {
        house.clock.set(at(now));
        watch::plan::set(&house.house, &tenant, Report::Es003, plan.clone()).await.expect("set");
        let until = at("2026-11-28T00:00:00Z");
        let windows = watch::windows(&tenant, at("2026-11-20T00:00:00Z"), until).await.expect("read");
        let due: Vec<DateTime<Utc>> = windows.iter().map(|expected| expected.window.due_at).collect();
        assert_eq!(due, [at("2026-11-27T11:00:00Z")], "set at {now}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_cannot_be_looked_at_hears_of_that_until_it_can() {
    let house = House::at("2026-04-01T00:00:00Z").await;
    house.expect(LANTERN, Report::Es003, "weekly Mon 06:00", 6, Expectation::default()).await;
    let tenant = house.tenant(LANTERN).await;
    let whole = tenant.ledger.schedules().await.expect("listed").remove(0);
    let damaged = ScheduleRow { version: whole.version + 1, sealed: "AAAA".into(), ..whole.clone() };
    let event = || NewEvent { at: at(DUE), sealed: "a hand in the store" };
    assert!(tenant.ledger.put_schedule(whole.version, &damaged, event()).await.expect("put"));
    let mut rounds = Watch::default();
    for alerts in [0, 1, 1] {
        rounds.round(&house.house, &scope, &|| false).await.expect("a round");
        assert_eq!(tenant.ledger.alerts("watch").await.expect("listed").len(), alerts);
    }
    let alive = || async {
        let (alert, life) = tenant.ledger.alerts_alive().await.expect("listed").remove(0);
        (alert.severity, alert.deliveries, life.state)
    };
    assert_eq!(alive().await, ("error".into(), 1, "open".into()));
    assert!(tenant.ledger.put_schedule(damaged.version, &whole, event()).await.expect("put back"));
    rounds.round(&house.house, &scope, &|| false).await.expect("a round");
    assert_eq!(alive().await.2, "resolved");
}

#[tokio::test(flavor = "multi_thread")]
async fn months_freshness_and_sql_tell_what_came_of_each_window() {
    let house = House::at("2026-03-30T00:00:00Z").await;
    let expects = Expectation {
        rows: Some("5..20".parse().expect("a band")),
        columns: vec!["Importer Name".into()],
        ..Expectation::default()
    };
    house.expect(LANTERN, Report::Es001, "weekly Mon 06:00", 6, expects).await;
    let week = |n: i64| at(DUE) + TimeDelta::weeks(n);
    house.clock.set(week(-1) + TimeDelta::hours(6));
    assert_eq!(house.round().await, 1, "the run of 30 March");
    house.deliver(LANTERN, Report::Es001, 1, week(0) + TimeDelta::minutes(10)).await;
    house.deliver(LANTERN, Report::Es001, 2, week(1) - TimeDelta::minutes(10)).await;
    house.deliver(LANTERN, Report::Es001, 3, week(2) + TimeDelta::hours(7)).await;
    house.clock.set(week(3) + TimeDelta::hours(1));
    assert_eq!(house.round().await, 0, "what came before anybody looked was never missing");
    let tenant = house.tenant(LANTERN).await;
    let months = watch::month(&tenant, Some("2026-04")).await.expect("told");
    let [april] = months.as_slice() else { panic!("{months:?}") };
    assert_eq!((april.expected, april.on_time, april.late, april.missed, april.deliveries), (3, 2, 1, 0, 3));
    assert_eq!(
        (april.queryable_p50_ms, april.queryable_p99_ms),
        (Some(0), Some(0)),
        "the clock stood still while they were taken in"
    );
    assert_eq!(watch::month(&tenant, Some("2026-03")).await.expect("told")[0].missed, 1);

    let fresh = freshness(&house.house, &tenant).await.expect("told");
    let [one] = fresh.as_slice() else { panic!("{fresh:?}") };
    assert_eq!((one.report, one.standing, one.missed), (Report::Es001, Standing::Waiting, 1));
    assert_eq!((one.last_due_at, one.next_due_at), (Some(week(3)), Some(week(4))));
    house.clock.set(week(3) + TimeDelta::hours(6));
    assert_eq!(house.round().await, 1);
    assert_eq!(freshness(&house.house, &tenant).await.expect("told")[0].standing, Standing::Missing);

    let sql =
        "SELECT local_day, state, rows, marks FROM meta.windows WHERE due_at <= TIMESTAMP '2026-04-27T10:00:00Z' ORDER BY due_at";
    let told = house.ask(LANTERN, sql).await;
    let expected = "local_day,state,rows,marks\n2026-03-30,missed,,\n2026-04-06,on_time,8,\n2026-04-13,on_time,8,early\n2026-04-20,late,8,\n2026-04-27,missed,,\n";
    assert_eq!(told, expected);
    assert!(
        house
            .ask(LANTERN, "SELECT cadence, zone, rows FROM meta.schedules")
            .await
            .contains("weekly Mon 06:00,America/New_York,5..20")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_weekly_is_proposed_as_a_weekly_schedule_and_set_by_nobody() {
    let house = House::at("2026-03-30T00:00:00Z").await;
    let tenant = house.tenant(LANTERN).await;
    assert!(watch::suggest(&tenant, None).await.expect("told").is_empty());
    for n in 0..6 {
        house.deliver(LANTERN, Report::Es001, n, at(DUE) + TimeDelta::weeks(n.into()) + TimeDelta::minutes(3)).await;
    }
    let suggested = watch::suggest(&tenant, Some("America/New_York".parse().expect("a zone"))).await.expect("told");
    let [weekly] = suggested.as_slice() else { panic!("{suggested:?}") };
    assert_eq!(
        (weekly.report, weekly.cadence.as_str(), weekly.rows.as_deref()),
        (Report::Es001, "weekly Mon 06:00", Some("4..16"))
    );
    assert!(weekly.evidence.contains("came on 6 days") && weekly.command.contains("--tenant fictional-lantern"), "{weekly:?}");
    assert!(watch::kept(&tenant).await.expect("listed").is_empty());
    let refused = Plan {
        schedule: Schedule::parse("daily 06:00", "UTC").expect("well formed"),
        early_minutes: 0,
        grace_minutes: 60,
        excuse: Excuse::Skip,
        expects: Expectation { columns: vec!["Colour".into()], ..Expectation::default() },
    };
    assert!(
        watch::plan::set(&house.house, &tenant, Report::Es001, refused)
            .await
            .expect_err("no such column")
            .to_string()
            .contains("Colour")
    );
}
