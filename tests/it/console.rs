//! The console: its JSON, its help, its formats.

use bonded::demo::corpus::Corpus;

use crate::world::{OTHER, TENANT, World, random_plan};

#[test]
fn the_demo_finds_what_it_planted_and_can_be_run_again() {
    let world = World::bare();
    let text = world.ok(&["demo", "--entries", "150", "--seed", "11"]);
    assert!(text.contains("planted 18, found 18, missed 0, named without cause 0"), "{text}");
    assert!(text.contains("Special Program Fee") && text.contains("Try next"), "{text}");
    let findings = || world.json(&["finding", "list", "--tenant", bonded::demo::TENANTS[0]]);
    assert_eq!(findings().len(), 18, "as reconcile would, the demo writes them down");
    let again = world.ok(&["demo", "--entries", "150", "--seed", "11"]);
    assert_eq!(findings().len(), 18);
    assert_eq!(again.matches("delivered before; nothing added").count(), 6, "{again}");
}

#[test]
fn every_command_teaches_and_answers_as_json() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(10)).expect("fit");
    let receipts = world.ingest(TENANT, &world.corpus_files("in", &corpus));
    let id = receipts[0]["delivery"]["id"].as_str().unwrap();
    assert_eq!(world.json(&["tenant", "list"]).len(), 2);
    assert_eq!(world.json(&["deliveries"]).len(), 3);
    assert_eq!(world.json(&["deliveries", "--tenant", OTHER]).len(), 0);
    assert_eq!(world.json(&["receipt", id])[0]["delivery"]["id"], id);
    assert_eq!(world.json(&["tables"]).len(), 3);
    assert_eq!(world.json(&["key", "list"]).len(), 3, "the tenants' and the lake's own");
    assert_eq!(world.json(&["init"])[0]["new"], false);
    assert_eq!(world.json(&["tenant", "add", TENANT])[0]["new"], false);
    for command in
        ["init", "tenant", "ingest", "deliveries", "receipt", "drift", "query", "reconcile", "tables", "raw", "key", "demo"]
    {
        assert!(world.ok(&[command, "--help"]).len() > 200, "{command}");
        assert!(!world.ok(&["deliveries"]).contains("null"));
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.ok(&["completions", shell]).contains("bonded"));
    }
    let error = world.run(&["--json", "receipt", "01890000-0000-7000-8000-000000000000"]);
    let body: serde_json::Value = serde_json::from_str(error.stderr.trim()).expect("errors are JSON, too");
    assert_eq!(body["error"]["kind"], "missing");
}

#[test]
fn answers_come_as_table_csv_json_lines_and_parquet() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(10)).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus));
    let sql = "SELECT entry_summary_number, line_duty_amount, _rescued FROM entry_lines ORDER BY 1, 2";
    let rows = world.json(&["query", "--tenant", TENANT, sql]).len();
    assert!(world.ok(&["query", "--tenant", TENANT, sql]).contains("line_duty_amount"));
    let csv = world.ok(&["query", "--tenant", TENANT, "--format", "csv", sql]);
    assert_eq!(csv.lines().count(), rows + 1);
    let out = world.path("lines.parquet");
    world.ok(&["query", "--tenant", TENANT, "--format", "parquet", "--output", out.to_str().unwrap(), sql]);
    let file = std::fs::File::open(&out).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), rows);
}

#[test]
fn settings_come_from_file_and_environment_and_unknown_ones_are_refused() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(10)).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus));
    let config = world.file("bonded.toml", "[query]\nrows_max = 2\n");
    let config = config.to_str().unwrap();
    let run = world.run(&["--config", config, "query", "--tenant", TENANT, "SELECT * FROM es_003"]);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(run.stderr.contains('2'), "the limit is named: {}", run.stderr);
    let output = world
        .command(&["--config", config, "query", "--tenant", TENANT, "SELECT 1"])
        .env("BONDED_QUERY_ROWS_MAX", "many")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let odd = world.file("odd.toml", "[query]\nrows_maximum = 2\n");
    let run = world.run(&["--config", odd.to_str().unwrap(), "tables"]);
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("rows_maximum"), "{}", run.stderr);
}
