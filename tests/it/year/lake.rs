//! The same script on a real lake: deliveries through the straight line, the watch's own rounds, a clock that is moved.

use std::{collections::BTreeMap, sync::Arc};

use bonded::{
    demo::corpus::{Corpus, Plan as CorpusPlan},
    ingest::{Source, ingest},
    lakehouse::{Doors, Lakehouse, Tenant},
    settings::Settings,
    watch::{self, Alert, Watch},
};
use bonded_connectors::clock::HandClock;
use bonded_schemas::{Channel, DeliveryState, Report, TenantId, TenantScope, window::Told};
use chrono::{DateTime, TimeDelta, Utc};

use super::script::{Look, ROWS, Script, Sent, drawn_plan, start};

const REPORT: Report = Report::Es001;

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
pub fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::establish(tenant, "console:year")
}

/// The bytes of a file of the script: rows of its content, and a blank line more for each file.
fn bytes(corpus: &Corpus, sent: &Sent) -> Vec<u8> {
    let first = u32::try_from(sent.content * ROWS).expect("small");
    let mut bytes = Vec::new();
    let rows = u32::try_from(sent.rows).expect("small");
    corpus.write_entries(REPORT, first..first + rows, &mut bytes).expect("written");
    if sent.file != sent.content {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

async fn deliver(house: &Lakehouse, tenant: &Tenant, corpus: &Corpus, sent: &Sent) {
    let bytes = bytes(corpus, sent);
    let source = Source {
        file_name: format!("{}.csv", sent.file),
        bytes: &mut bytes.as_slice(),
        channel: Channel::Console,
        as_of: Some(sent.as_of),
        envelope: None,
        poa: None,
    };
    let done = ingest(house, tenant, source).await.expect("taken in");
    assert_eq!((done.receipt.state, done.duplicate), (DeliveryState::Committed, sent.again), "{sent:?}");
    assert_eq!(done.receipt.rows_committed, sent.rows);
    assert!(done.receipt.entry_dates.is_some());
}

enum Happens<'a> {
    Arrives(usize, &'a Sent),
    Looked(&'a Look),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_watch_on_a_real_lake_tells_exactly_what_was_planted() {
    let seed = super::seed();
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let mut settings = Settings { lake: folder.path().join("lake").display().to_string(), ..Settings::default() };
    settings.keys.dir = Some(folder.path().join("keys"));
    let clock = HandClock::at(start());
    let doors = || Doors::new(Arc::new(clock.clone()));
    let mut house = Lakehouse::init(settings.clone(), doors()).await.expect("made").0;

    // A year of two weekly reports and a monthly one: schedules whose runs do not crowd.
    let names: Vec<TenantId> =
        ["fictional-anchor", "fictional-buoy", "fictional-crane"].iter().map(|name| name.parse().expect("a name")).collect();
    let wanted = |cadence: &str, offset: u64| {
        let mut plans = (0..).map(|n| drawn_plan(seed.wrapping_add(offset + n)));
        plans.find(|plan| plan.schedule.cadence().to_string().starts_with(cadence)).expect("drawn sooner or later")
    };
    let plans = [wanted("weekly Mon 06:00", 0), wanted("weekly S", 1_000), wanted("monthly 1 06:00", 2_000)];
    // There is one watch, and one clock.
    let drawn = |first: Option<&Script>, plan, seed| Script::drawn_on(first, seed, plan, &[], start(), TimeDelta::days(365));
    let mut scripts: Vec<Script> = Vec::new();
    for (plan, nth) in plans.into_iter().zip(0u64..) {
        let script = drawn(scripts.first(), plan, seed.wrapping_add(nth));
        scripts.push(script);
    }
    let corpus = Corpus::new(CorpusPlan::new(seed, 2_000)).expect("a corpus");

    for (name, script) in names.iter().zip(&scripts) {
        house.add_tenant(&scope(name.clone())).await.expect("added");
        let tenant = house.tenant(&scope(name.clone())).await.expect("opens");
        watch::plan::set(&house, &tenant, REPORT, script.plan.clone()).await.expect("set");
    }
    let arrivals =
        scripts.iter().enumerate().flat_map(|(at, script)| script.sent.iter().map(move |sent| Happens::Arrives(at, sent)));
    let mut happens: Vec<Happens<'_>> = arrivals.chain(scripts[0].looks.iter().map(Happens::Looked)).collect();
    happens.sort_by_key(|happens| match happens {
        Happens::Arrives(_, sent) => (sent.at, 0),
        Happens::Looked(look) => (look.at, 1),
    });
    let last = scripts[0].looks.last().expect("some").at;
    let mut watch = Watch::default();
    let (mut looked_at, mut rounds) = (0, 0);
    for happens in happens {
        match happens {
            Happens::Arrives(_, sent) if sent.at > last => {}
            Happens::Arrives(at, sent) => {
                clock.set(sent.reading);
                let tenant = house.tenant(&scope(names[at].clone())).await.expect("opens");
                deliver(&house, &tenant, &corpus, sent).await;
            }
            Happens::Looked(look) => {
                if look.restarted {
                    house = Lakehouse::open(settings.clone(), doors()).await.expect("opens again");
                    watch = Watch::default();
                }
                clock.set(look.reading);
                let done = watch.round(&house, &scope, &|| false).await.expect("a round");
                (looked_at, rounds) = (looked_at + done.tenants_looked_at, rounds + 1);
            }
        }
    }
    let mut all = 0;
    for (name, script) in names.iter().zip(&scripts) {
        let tenant = house.tenant(&scope(name.clone())).await.expect("opens");
        let mut told = Vec::new();
        for alert in tenant.ledger.alerts(watch::ALERT).await.expect("listed") {
            let body: Alert = tenant.unseal(watch::ALERT, &alert.fingerprint, &alert.sealed).expect("opens");
            assert_eq!((body.report, alert.deliveries), (REPORT, 1));
            let resolved = body.told != Told::Content && script.resolved().contains(&body.due_at);
            assert_eq!(alert.state, if resolved { "resolved" } else { "open" }, "seed {seed}, {name}: {body:?}");
            assert_eq!(body.check_id.is_some(), body.told != Told::Content);
            told.push((body.due_at, body.told));
        }
        told.sort();
        let expected = script.expected();
        assert_eq!(told, expected.told, "seed {seed}, {name}: {}", script.plan.schedule);
        let windows = watch::windows(&tenant, start(), DateTime::<Utc>::MAX_UTC).await.expect("read");
        let states: BTreeMap<_, _> = windows.iter().map(|expected| (expected.window.due_at, expected.window.state)).collect();
        for (due, state) in &expected.states {
            assert_eq!(states.get(due), Some(state), "seed {seed}, {name}: {} due {due}", script.plan.schedule);
        }
        let missing = told.iter().filter(|(_, told)| *told != Told::Content).count();
        assert_eq!(
            watch::check::list(&tenant).await.expect("listed").len(),
            missing,
            "one joint check for each run that was missing"
        );
        all += told.len();
    }
    println!("{rounds} rounds, {looked_at} looks at a tenant, {all} alerts");
    assert!(looked_at < rounds * names.len() / 2, "a tenant in which nothing happened is not opened");
}
