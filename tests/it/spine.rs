//! The spine: files in, rows and receipts out, once each.

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;
use serde_json::json;

use crate::world::{OTHER, TENANT, World, csv, files_under, random_plan};

fn tables(world: &World) -> Vec<serde_json::Value> {
    world.json(&["tables", "--tenant", TENANT])
}

#[test]
fn the_same_file_twice_adds_no_row_no_snapshot_and_no_raw_object() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(60)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    let first = world.ingest(TENANT, &files);
    let tables_before = tables(&world);
    let raw = || files_under(&world.lake()).into_iter().filter(|path| path.to_string_lossy().contains("/raw/")).count();
    let raw_before = raw();
    // The same bytes under other names, too.
    let renamed: Vec<_> = files
        .iter()
        .map(|file| world.file(&format!("again/x-{}", file.file_name().unwrap().display()), std::fs::read(file).unwrap()))
        .collect();
    for again in [world.ingest(TENANT, &files), world.ingest(TENANT, &renamed)] {
        for (before, after) in first.iter().zip(&again) {
            assert_eq!(after["duplicate"], json!(true));
            assert_eq!(before["delivery"]["id"], after["delivery"]["id"]);
            assert_eq!(before["snapshot_id"], after["snapshot_id"]);
        }
    }
    assert_eq!(tables(&world), tables_before);
    assert_eq!(raw(), raw_before);
    // For people it says so in words.
    let text = world.ok(&["ingest", "--tenant", TENANT, files[0].to_str().unwrap()]);
    assert!(text.contains("delivered before; nothing added"), "{text}");
}

#[test]
fn receipts_rows_and_sums_agree_with_the_file_and_with_sql() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(80)).expect("fit");
    let receipts = world.ingest(TENANT, &world.corpus_files("in", &corpus));
    for (receipt, report) in receipts.iter().zip(Report::ENTRY_SUMMARIES) {
        let rows = corpus.write(report, &mut std::io::sink()).expect("written").rows;
        assert_eq!(receipt["report"], json!(report.code()));
        assert_eq!(
            (&receipt["rows_read"], &receipt["rows_committed"], &receipt["rows_rejected"]),
            (&json!(rows), &json!(rows), &json!(0))
        );
        let counted = world.ask(TENANT, &format!("SELECT count(*) AS n FROM {}", report.table()));
        assert_eq!(counted["n"], json!(rows));
    }
    let (value_cents, duty_cents) = corpus.es_003_totals_cents();
    let sums = world.ask(
        TENANT,
        "SELECT CAST(sum(line_tariff_goods_value_amount) AS VARCHAR) AS value, CAST(sum(line_tariff_duty_amount) AS VARCHAR) AS duty FROM es_003",
    );
    let dollars = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
    assert_eq!((&sums["value"], &sums["duty"]), (&json!(dollars(value_cents)), &json!(dollars(duty_cents))));
    let totals = receipts[2]["control_totals"].as_array().expect("a list");
    let duty = totals.iter().find(|total| total["column"] == "Line Tariff Duty Amount").expect("there");
    assert_eq!(duty["sum"], json!(dollars(duty_cents)));
}

#[test]
fn raw_get_gives_the_exact_bytes_back() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(40)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    for (receipt, file) in world.ingest(TENANT, &files).iter().zip(&files) {
        let id = receipt["delivery"]["id"].as_str().expect("an id");
        assert_eq!(world.run(&["raw", "get", id]).stdout, std::fs::read(file).unwrap());
    }
}

#[test]
fn folders_and_standard_input_are_taken_in() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(20)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    let folder = files[0].parent().unwrap().display().to_string();
    assert_eq!(world.json(&["ingest", "--tenant", TENANT, &folder]).len(), 3);
    let mut command = world.command(&["--json", "ingest", "--tenant", OTHER, "-"]);
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &csv(&corpus, Report::Es002)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let receipt: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&receipt["report"], &receipt["delivery"]["file_name"]), (&json!("ES-002"), &json!("standard input")));
}

#[test]
fn each_row_points_at_its_line_and_byte_in_the_received_file() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(30)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files);
    let received = String::from_utf8(std::fs::read(&files[2]).unwrap()).unwrap();
    let lines: Vec<&str> = received.lines().collect();
    for row in world.json(&[
        "query",
        "--tenant",
        TENANT,
        "SELECT _line, _byte, _row, entry_summary_number AS entry FROM es_003 WHERE _row % 7 = 1",
    ]) {
        let entry = row["entry"].as_str().unwrap();
        let (line, byte) = (row["_line"].as_u64().unwrap() as usize, row["_byte"].as_u64().unwrap() as usize);
        assert!(lines[line - 1].starts_with(entry), "line {line}");
        assert!(received[byte..].starts_with(entry), "byte {byte}");
        assert_eq!(row["_row"].as_u64().unwrap() + 1, line as u64);
    }
}

/// Two processes, twenty different files each, one table.
#[test]
fn two_processes_append_to_one_table_and_no_row_is_lost_or_doubled() {
    const EACH: u32 = 20;
    const ENTRIES: u32 = 3;
    let world = World::new();
    let plan = random_plan(2 * EACH * ENTRIES);
    let corpus = Corpus::new(plan).expect("fit");
    let mut rows = 0;
    for process in 0..2 {
        for n in 0..EACH {
            let first = (process * EACH + n) * ENTRIES;
            let mut bytes = Vec::new();
            rows += corpus.write_entries(Report::Es003, first..first + ENTRIES, &mut bytes).expect("written").rows;
            world.file(&format!("p{process}/{n:02}.csv"), bytes);
        }
    }
    let children: Vec<_> = (0..2).map(|process| world.spawn(&["ingest", "--tenant", TENANT, &format!("p{process}")])).collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let table = &tables(&world)[0]["info"];
    assert_eq!((&table["snapshots"], &table["rows"]), (&json!(2 * EACH), &json!(rows)));
    let counted = world.ask(TENANT, "SELECT count(*) AS n, count(DISTINCT _delivery_id) AS deliveries FROM (SELECT DISTINCT * FROM (SELECT _delivery_id, _row FROM es_003))");
    assert_eq!((&counted["n"], &counted["deliveries"]), (&json!(rows), &json!(2 * EACH)));
}

/// A key rotation changes nothing for what is there, and new files go under the new version.
#[test]
fn after_a_key_rotation_old_and_new_rows_both_open() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(20)).expect("fit");
    let mut rows = 0;
    for half in [0..10, 10..20] {
        let mut bytes = Vec::new();
        rows += corpus.write_entries(Report::Es003, half.clone(), &mut bytes).expect("written").rows;
        let file = world.file(&format!("{}.csv", half.start), bytes);
        world.ingest(TENANT, &[file]);
        world.ok(&["key", "rotate", TENANT]);
    }
    assert_eq!(world.ask(TENANT, "SELECT count(*) AS n FROM es_003")["n"], json!(rows));
    let keys = world.json(&["key", "list"]);
    assert!(keys.iter().any(|key| key["tenant"] == TENANT && key["version"] == 3), "{keys:?}");
}
