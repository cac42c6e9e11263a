//! Maintenance on the real binary: answers stay the same, also beside processes that take files in.

use std::{ops::Range, path::PathBuf, time::Duration};

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;
use serde_json::{Value, json};

use crate::world::{OTHER, TENANT, World, files_under, random_plan};

const ENTRIES: u32 = 4;

/// One file a report for these entries; ES-001 without its last column for every other file.
fn delivery(world: &World, corpus: &Corpus, name: &str, entries: Range<u32>) -> Vec<PathBuf> {
    let narrow = entries.start.is_multiple_of(8);
    Report::ENTRY_SUMMARIES
        .into_iter()
        .map(|report| {
            let mut bytes = Vec::new();
            corpus.write_entries(report, entries.clone(), &mut bytes).expect("written");
            let mut text = String::from_utf8(bytes).expect("text");
            if narrow && report == Report::Es001 {
                text = text.lines().map(|line| format!("{}\n", line.rsplit_once(',').expect("columns").0)).collect();
            }
            world.file(&format!("{name}/{}.csv", report.code()), text)
        })
        .collect()
}

/// Everything that a person can ask of the rows, row by row.
fn answers(world: &World) -> Vec<Vec<Value>> {
    let mut asked = Vec::new();
    for sql in [
        "SELECT * FROM es_001 ORDER BY _delivery_id, _row",
        "SELECT * FROM es_002 ORDER BY _delivery_id, _row",
        "SELECT * FROM es_003 ORDER BY _delivery_id, _row",
        "SELECT * FROM entry_summaries ORDER BY entry_summary_number",
        "SELECT * FROM entry_lines ORDER BY _delivery_id, _row",
        "SELECT * FROM tariff_lines ORDER BY _delivery_id, _row",
        "SELECT sum(line_tariff_duty_amount) AS duty, sum(line_tariff_goods_value_amount) AS value FROM tariff_lines",
        "SELECT * FROM columns_delivered('es_001') ORDER BY 1, 2",
        "SELECT * FROM columns_delivered('es_003') ORDER BY 1, 2",
    ] {
        asked.push(world.json(&["query", "--tenant", TENANT, sql]));
    }
    asked
}

fn outcome<'a>(done: &'a [Value], step: &str, object: &str) -> &'a Value {
    done.iter().find(|line| line["step"] == step && line["object"] == object).expect("told")
}

#[test]
fn maintenance_changes_no_answer_and_finds_nothing_the_second_time() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(20 * ENTRIES)).expect("fit");
    let mut first = Vec::new();
    for n in 0..20 {
        let files = delivery(&world, &corpus, &format!("d{n}"), n * ENTRIES..(n + 1) * ENTRIES);
        world.ingest(TENANT, &files);
        first = if n == 0 { files } else { first };
    }
    world.ok(&["key", "rotate", TENANT]);
    let before = answers(&world);
    let told = world.json(&["maintain", "--tenant", TENANT, "--dry-run"]);
    assert!(told.iter().all(|line| line["dry_run"] == json!(true)));
    let done = world.json(&["maintain", "--tenant", TENANT]);
    for table in ["es_001", "es_002", "es_003"] {
        let compacted = &outcome(&done, "compact", table)["compacted"];
        assert_eq!(compacted["files_joined"], outcome(&told, "compact", table)["compacted"]["files_joined"]);
        assert_eq!(outcome(&done, "rewrap", table)["rewrapped"]["rewrapped"], json!(1));
    }
    // ES-002 lies in the month of its as-of time: twenty files of one month, joined into one.
    assert_eq!(outcome(&done, "compact", "es_002")["compacted"]["files_joined"], json!(20), "{done:?}");
    assert_eq!(outcome(&done, "compact", "es_002")["compacted"]["files_made"], json!(1));
    assert_eq!(outcome(&done, "rewrap", "secret")["rewrapped"]["rewrapped"], json!(1));
    assert_eq!(answers(&world), before);
    let again = world.json(&["maintain", "--tenant", TENANT]);
    for line in &again {
        assert_eq!(line["compacted"]["files_joined"].as_u64().unwrap_or(0), 0, "{line}");
        assert_eq!(line["rewrapped"]["rewrapped"].as_u64().unwrap_or(0), 0, "{line}");
        assert_eq!(line["expired"]["snapshots_expired"].as_u64().unwrap_or(0), 0, "{line}");
    }
    // The same files again are the same deliveries, and new ones go on as ever.
    assert!(world.ingest(TENANT, &first).iter().all(|receipt| receipt["duplicate"] == json!(true)));
    assert_eq!(answers(&world), before);
}

#[test]
fn staging_left_by_a_crash_goes_and_landed_files_the_ledger_does_not_know_stay() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(8)).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus));
    let raw = world.lake().join(format!("tenants/{TENANT}/raw"));
    let old = |path: PathBuf| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = std::fs::File::create(&path).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - Duration::from_secs(100 * 3600)).unwrap();
        path
    };
    let staged = old(raw.join("staging/6a8f0a3c-0000-4000-8000-000000000001"));
    let half = old(raw.join("staging/6a8f0a3c-0000-4000-8000-000000000002#1"));
    let unknown = old(raw.join("0".repeat(64)));
    let young = world.lake().join(format!("tenants/{TENANT}/raw/staging/6a8f0a3c-0000-4000-8000-000000000003"));
    std::fs::write(&young, b"x").unwrap();
    world.ok(&["maintain", "--tenant", TENANT, "--only", "orphans", "--dry-run"]);
    assert!(staged.exists() && half.exists(), "a dry run removes nothing");
    let landed = files_under(&raw).len();
    let done = world.json(&["maintain", "--tenant", TENANT, "--only", "orphans"]);
    assert!(!staged.exists() && !half.exists());
    assert!(unknown.exists() && young.exists());
    assert_eq!(files_under(&raw).len(), landed - 2);
    assert_eq!(outcome(&done, "orphans", "raw")["raw"], json!({ "objects": 4, "unknown_to_ledger": 1 }));
    let short = world.command(&["maintain"]).env("BONDED_MAINTAIN_ORPHAN_GRACE", "23h").output().unwrap();
    assert_eq!(short.status.code(), Some(3), "a grace that could hurt is refused at start");
}

#[test]
fn a_tenant_whose_key_is_disabled_does_not_keep_the_others_from_theirs() {
    let world = World::new();
    world.ok(&["key", "disable", OTHER]);
    let run = world.run(&["--json", "maintain"]);
    assert_eq!(run.code, 4, "{}", run.stderr);
    let lines = crate::world::json_lines(&String::from_utf8(run.stdout).unwrap());
    assert!(!lines.is_empty() && lines.iter().all(|line| line["tenant"] == TENANT));
}

/// Two processes take files in, a third does maintenance over and over.
#[test]
fn processes_that_take_files_in_and_one_that_maintains_lose_and_double_nothing() {
    const EACH: u32 = 12;
    let world = World::new();
    let corpus = Corpus::new(random_plan(2 * EACH * ENTRIES)).expect("fit");
    let mut expected = 0;
    for process in 0..2 {
        for n in 0..EACH {
            let from = (process * EACH + n) * ENTRIES;
            let mut bytes = Vec::new();
            expected += corpus.write_entries(Report::Es003, from..from + ENTRIES, &mut bytes).expect("written").rows;
            world.file(&format!("p{process}/{n:02}.csv"), bytes);
        }
    }
    let maintain = || {
        let mut command = world.command(&["maintain", "--tenant", TENANT]);
        command.env("BONDED_MAINTAIN_FILES_MIN", "2").env("BONDED_MAINTAIN_SNAPSHOTS_MIN", "1");
        command.env("BONDED_MAINTAIN_SNAPSHOTS_MAX", "1");
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let mut children: Vec<_> =
        (0..2).map(|process| world.spawn(&["ingest", "--tenant", TENANT, &format!("p{process}")])).collect();
    let mut rounds = 0;
    while children.iter_mut().any(|child| child.try_wait().expect("asked").is_none()) {
        maintain();
        rounds += 1;
    }
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    maintain();
    assert!(rounds > 0);
    let (value_cents, duty_cents) = corpus.es_003_totals_cents();
    let told = world.ask(
        TENANT,
        "SELECT count(*) AS n, count(DISTINCT _delivery_id) AS deliveries,
         CAST(CAST(sum(line_tariff_goods_value_amount) * 100 AS BIGINT) AS VARCHAR) AS value,
         CAST(CAST(sum(line_tariff_duty_amount) * 100 AS BIGINT) AS VARCHAR) AS duty FROM es_003",
    );
    assert_eq!((&told["n"], &told["deliveries"]), (&json!(expected), &json!(2 * EACH)));
    assert_eq!((&told["value"], &told["duty"]), (&json!(value_cents.to_string()), &json!(duty_cents.to_string())));
    let table = &world.json(&["tables", "--tenant", TENANT])[0]["info"];
    assert_eq!((&table["rows"], &table["snapshots"]), (&json!(expected), &json!(1)));
}
