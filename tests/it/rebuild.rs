//! Rebuild on the real binary: what comes out of the raw zone is what was there, row by row, also after all else is lost.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bonded::{
    answers::session,
    demo::corpus::{Corpus, ExtraColumn, Layout},
    lakehouse::{Doors, Lakehouse},
    settings::Settings,
};
use bonded_connectors::clock::SystemClock;
use bonded_queries::Format;
use bonded_schemas::Report;
use serde_json::Value;

use crate::{
    containers::pack,
    verify::scope,
    world::{OTHER, TENANT, World, csv, random_plan},
};

/// Every view, in SQL.
pub const QUESTIONS: [(&str, &str); 13] = [
    ("es_001", "SELECT * FROM es_001"),
    ("es_002", "SELECT * FROM es_002"),
    ("es_003", "SELECT * FROM es_003"),
    ("entry_summaries", "SELECT * FROM entry_summaries"),
    ("entry_lines", "SELECT * FROM entry_lines"),
    ("tariff_lines", "SELECT * FROM tariff_lines"),
    ("history", "SELECT * FROM changes('2026-01-01', '2027-01-01')"),
    ("sightings", "SELECT * FROM sightings"),
    ("meta.deliveries", "SELECT * EXCLUDE (snapshot_id) FROM meta.deliveries"),
    ("meta.rejects", "SELECT * FROM meta.rejects"),
    ("meta.warnings", "SELECT * FROM meta.warnings"),
    ("meta.control_totals", "SELECT * FROM meta.control_totals"),
    ("meta.drift", "SELECT * EXCLUDE (deliveries) FROM meta.drift"),
];

/// Every view and table of a tenant, and what the session makes of its receipts; each row a line of JSON, sorted.
/// What a rebuild cannot know is left out by name: snapshot ids, and when alerts were raised.
pub fn views(lake: &Path, keys: &Path, postgres: Option<&str>, tenant: &str) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    let mut settings = Settings { lake: lake.display().to_string(), ..Settings::default() };
    settings.keys.dir = Some(keys.to_owned());
    settings.store.postgres = postgres.map(str::to_owned);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let house = Lakehouse::open(settings, Doors::new(Arc::new(SystemClock))).await.expect("opens");
        let tenant = house.tenant(&scope(tenant)).await.expect("opens");
        let session = session(&house, &tenant).await.expect("a session");
        for (name, sql) in QUESTIONS {
            let mut rows = Vec::new();
            session.query(sql).await.expect(name).write(Format::JsonLines, &mut rows).await.expect("written");
            let mut rows: Vec<String> = String::from_utf8(rows).expect("text").lines().map(str::to_owned).collect();
            rows.sort();
            all.insert(name.to_owned(), rows);
        }
        tenant.ledger.close().await;
        house.control().close().await;
    });
    all
}

pub fn assert_same(before: &BTreeMap<String, Vec<String>>, after: &BTreeMap<String, Vec<String>>) {
    for (name, rows) in before {
        let now = &after[name];
        assert_eq!(rows.len(), now.len(), "{name}");
        for (row, same) in rows.iter().zip(now) {
            assert_eq!(row, same, "{name}");
        }
    }
}

/// Two pulls, drift that was accepted between them, a container, a quarantined file that a rename mended, one that stays in
/// quarantine, a duplicate, a finding that was explained.
pub fn eventful(world: &World) {
    let mut plan = random_plan(30).planting(1);
    plan.layouts.insert(
        Report::Es003,
        Layout { extra: vec![ExtraColumn::last("Special Program Fee", ["1.25", "n/a", "3.50"])], ..Layout::default() },
    );
    let corpus = Corpus::new(plan).expect("fit");
    let half = |report: Report, entries: std::ops::Range<u32>| {
        let mut bytes = Vec::new();
        corpus.write_entries(report, entries, &mut bytes).expect("written");
        bytes
    };
    let first = world.file("in/first.csv", half(Report::Es003, 0..15));
    let as_of = |day: &str, file: &Path| world.run(&["ingest", "--tenant", TENANT, "--as-of", day, file.to_str().unwrap()]).code;
    assert_eq!(as_of("2026-01-31", &first), 0);
    let drift = world.json(&["drift", "--tenant", TENANT]);
    let fingerprint = drift[0]["fingerprint"].as_str().unwrap().to_owned();
    world.ok(&["drift", "accept", "--tenant", TENANT, &fingerprint, "--column", "Special Program Fee=money"]);
    assert_eq!(as_of("2026-02-28", &world.file("in/second.csv", half(Report::Es003, 10..30))), 0);
    let es001 = csv(&corpus, Report::Es001);
    let packed =
        pack::zip(&[("ES-001.csv", &es001), ("ES-002.csv", &csv(&corpus, Report::Es002)), ("note.txt", b"Dear broker,\n")]);
    assert_eq!(as_of("2026-02-28", &world.file("in/month.zip", &packed)), 5);
    // The same member once more by itself, and the container once more: duplicates.
    assert_eq!(as_of("2026-03-01", &world.file("in/again.csv", &es001)), 0);
    let renamed = String::from_utf8(es001).unwrap().replacen("Entry Summary Number", "Nr of the summary", 1);
    assert_eq!(as_of("2026-03-31", &world.file("in/renamed.csv", renamed)), 5);
    let alerts = world.json(&["drift", "--tenant", TENANT]);
    let mended = alerts.iter().filter(|alert| alert["alert"] == "quarantine").any(|alert| {
        let fingerprint = alert["fingerprint"].as_str().unwrap();
        world
            .run(&["drift", "accept", "--tenant", TENANT, fingerprint, "--rename", "Nr of the summary=Entry Summary Number"])
            .code
            == 0
    });
    assert!(mended, "{alerts:?}");
    let other = Corpus::new(random_plan(5)).expect("fit");
    world.ingest(OTHER, &world.corpus_files("other", &other));
    world.run(&["reconcile", "--tenant", TENANT]);
    let found = world.json(&["finding", "list", "--tenant", TENANT]);
    world.ok(&["finding", "explain", "--tenant", TENANT, found[0]["id"].as_str().unwrap(), "--note", "corrected since"]);
}

fn explained(world: &World) -> Vec<Value> {
    let all = world.json(&["finding", "list", "--tenant", TENANT, "--all"]);
    all.into_iter().filter(|finding| finding["state"] == "explained").map(|finding| finding["notes"].clone()).collect()
}

#[test]
fn what_is_rebuilt_from_the_raw_zone_alone_is_equal_row_by_row() {
    let world = World::new();
    eventful(&world);
    let (lake, keys) = (world.lake(), world.keys());
    let before = views(&lake, &keys, None, TENANT);
    assert!(before["es_003"].iter().any(|row| row.contains("special_program_fee")));
    assert!(
        before.iter().all(|(name, rows)| !rows.is_empty() || name == "meta.warnings"),
        "{:?}",
        before.iter().map(|(n, r)| (n, r.len())).collect::<Vec<_>>()
    );
    let notes = explained(&world);
    assert_eq!(notes.len(), 1);

    // Into a new folder, beside the lake that stays as it is.
    let new = world.path("new");
    let told = world.json(&["rebuild", "--to", new.to_str().unwrap()]);
    let of_tenant = told.iter().find(|line| line["tenant"] == TENANT).unwrap();
    assert!(of_tenant["left_out"].as_array().unwrap().is_empty(), "{of_tenant}");
    assert_same(&before, &views(&new, &keys, None, TENANT));
    let again = world.run(&["rebuild", "--to", new.to_str().unwrap()]);
    assert_eq!(again.code, 4, "a rebuilt lake is not built over: {}", again.stderr);

    // All but raw zone and keys is lost.
    for tenant in [TENANT, OTHER] {
        let own = lake.join("tenants").join(tenant);
        std::fs::remove_dir_all(own.join("warehouse")).unwrap();
        for entry in std::fs::read_dir(&own).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
    for name in ["control.sqlite", "control.sqlite-wal", "control.sqlite-shm"] {
        let _ = std::fs::remove_file(lake.join(name));
    }
    assert_eq!(world.run(&["deliveries"]).code, 3);
    world.ok(&["rebuild"]);
    assert_same(&before, &views(&lake, &keys, None, TENANT));
    assert_eq!(explained(&world), notes);
    let verified = &world.json(&["verify"])[0];
    assert!(verified["damage"].as_array().unwrap().is_empty(), "{verified:#}");
    // What is done stays done: the same bytes are known.
    let again = world.json(&["ingest", "--tenant", TENANT, "in/first.csv"]);
    assert_eq!(again[0]["duplicate"], true);

    // In place, over a ledger that is there: refused, and moved aside when asked to.
    let refused = world.run(&["rebuild", "--tenant", TENANT]);
    assert!(refused.code == 4 && refused.stderr.contains("--replace"), "{}", refused.stderr);
    world.ok(&["rebuild", "--tenant", TENANT, "--replace"]);
    assert_same(&before, &views(&lake, &keys, None, TENANT));
}

#[test]
fn a_rebuild_that_was_killed_goes_on_and_ends_equal() {
    let world = World::new();
    eventful(&world);
    let (lake, keys) = (world.lake(), world.keys());
    let before = views(&lake, &keys, None, TENANT);
    for wait_ms in [200, 500, 1_200] {
        let new = world.path(&format!("new-{wait_ms}"));
        let mut child = world.spawn(&["rebuild", "--tenant", TENANT, "--to", new.to_str().unwrap()]);
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        child.kill().expect("killed, or done already");
        let done = child.wait().expect("it ended").success();
        let again = world.run(&["rebuild", "--tenant", TENANT, "--to", new.to_str().unwrap()]);
        assert_eq!(again.code, if done { 4 } else { 0 }, "{}", again.stderr);
        assert_same(&before, &views(&new, &keys, None, TENANT));
    }
}

#[test]
fn bytes_that_do_not_open_are_left_out_and_told() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(10)).expect("fit");
    let receipts = world.ingest(TENANT, &world.corpus_files("in", &corpus));
    let path = world.lake().join(receipts[0]["raw_path"].as_str().unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let new = world.path("new");
    let run = world.run(&["--json", "rebuild", "--tenant", TENANT, "--to", new.to_str().unwrap()]);
    assert_eq!(run.code, 6);
    let told: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((told["committed"].as_u64(), told["left_out"].as_array().unwrap().len()), (Some(2), 1), "{told}");
}
