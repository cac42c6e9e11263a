//! Isolation, as an attacker on the storage or in a neighbouring tenant would try it.

use std::path::PathBuf;

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;

use crate::world::{OTHER, TENANT, World, files_under, random_plan};

/// Both tenants hold the three reports of corpora of their own.
fn two_tenants() -> (World, Vec<serde_json::Value>, Vec<serde_json::Value>) {
    let world = World::new();
    let one = Corpus::new(random_plan(30)).expect("fit");
    let two = Corpus::new(random_plan(30)).expect("fit");
    let first = world.ingest(TENANT, &world.corpus_files("one", &one));
    let second = world.ingest(OTHER, &world.corpus_files("two", &two));
    (world, first, second)
}

fn raw(world: &World, receipt: &serde_json::Value) -> PathBuf {
    world.lake().join(receipt["raw_path"].as_str().expect("a path"))
}

fn swap(a: &PathBuf, b: &PathBuf) {
    let aside = a.with_extension("aside");
    std::fs::rename(a, &aside).unwrap();
    std::fs::rename(b, a).unwrap();
    std::fs::rename(&aside, b).unwrap();
}

#[test]
fn swapped_sealed_objects_are_refused_within_a_tenant_and_between_tenants() {
    let (world, first, second) = two_tenants();
    for (a, b) in [(&first[0], &first[1]), (&first[2], &second[2])] {
        swap(&raw(&world, a), &raw(&world, b));
        for receipt in [a, b] {
            let run = world.run(&["raw", "get", receipt["delivery"]["id"].as_str().unwrap()]);
            assert!([4, 6].contains(&run.code), "exit {}: {}", run.code, run.stderr);
            assert!(run.stdout.is_empty(), "bytes came out of a swapped object");
        }
        swap(&raw(&world, a), &raw(&world, b));
    }
    assert_eq!(world.run(&["raw", "get", first[0]["delivery"]["id"].as_str().unwrap()]).code, 0);
}

#[test]
fn swapped_table_files_are_refused_and_yield_no_row() {
    let (world, ..) = two_tenants();
    let data =
        |tenant: &str| -> Vec<PathBuf> { files_under(&world.lake().join(format!("tenants/{tenant}/warehouse/es_002/data"))) };
    let (ours, theirs) = (data(TENANT), data(OTHER));
    swap(&ours[0], &theirs[0]);
    for tenant in [TENANT, OTHER] {
        let run = world.run(&["query", "--tenant", tenant, "--format", "csv", "SELECT entry_summary_number FROM es_002"]);
        assert_ne!(run.code, 0);
        assert!(!String::from_utf8_lossy(&run.stdout).contains("XZ9"), "rows came out of a swapped file");
    }
}

#[test]
fn a_wrong_keyring_opens_nothing() {
    let (world, first, _) = two_tenants();
    let stranger = World::new();
    std::fs::remove_dir_all(world.keys()).unwrap();
    std::fs::create_dir(world.keys()).unwrap();
    for file in files_under(&stranger.keys()) {
        std::fs::copy(&file, world.keys().join(file.file_name().unwrap())).unwrap();
    }
    let id = first[0]["delivery"]["id"].as_str().unwrap();
    for arguments in [
        vec!["query", "--tenant", TENANT, "SELECT * FROM es_003"],
        vec!["deliveries"],
        vec!["raw", "get", id, "--tenant", TENANT],
        vec!["reconcile", "--tenant", TENANT],
    ] {
        let run = world.run(&arguments);
        assert!([3, 4, 6].contains(&run.code), "{arguments:?}: exit {}: {}", run.code, run.stderr);
        assert!(run.stdout.is_empty(), "{arguments:?} answered");
    }
}

#[test]
fn a_disabled_key_refuses_everything_until_it_is_enabled() {
    let (world, ..) = two_tenants();
    world.ok(&["key", "disable", TENANT]);
    let file = world.file("more.csv", "x");
    for arguments in [
        vec!["query", "--tenant", TENANT, "SELECT count(*) FROM es_003"],
        vec!["ingest", "--tenant", TENANT, file.to_str().unwrap()],
        vec!["reconcile", "--tenant", TENANT],
    ] {
        let run = world.run(&arguments);
        assert_eq!(run.code, 4, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains("disabled"), "{}", run.stderr);
    }
    assert_eq!(world.run(&["query", "--tenant", OTHER, "SELECT count(*) FROM es_003"]).code, 0);
    world.ok(&["key", "enable", TENANT]);
    assert_eq!(world.run(&["query", "--tenant", TENANT, "SELECT count(*) FROM es_003"]).code, 0);
}

#[test]
fn sql_reaches_one_tenant_and_no_file() {
    let (world, ..) = two_tenants();
    let data = files_under(&world.lake().join(format!("tenants/{OTHER}/warehouse")));
    let file = data.iter().find(|path| path.extension().is_some_and(|e| e == "parquet")).unwrap().display().to_string();
    let csv = world.path("two").join(Corpus::file_name(Report::Es003)).display().to_string();
    for sql in [
        format!("SELECT * FROM \"{OTHER}\".es_003"),
        format!("SELECT * FROM bonded.\"{OTHER}\".es_003"),
        format!("SELECT * FROM '{file}'"),
        format!("SELECT * FROM '{csv}'"),
        format!("SELECT * FROM read_csv('{csv}')"),
        format!("SELECT * FROM read_parquet('{file}')"),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{csv}'"),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "COPY es_003 TO 'stolen.csv'".to_owned(),
        "COPY (SELECT 1) TO 'stolen.parquet'".to_owned(),
        "INSERT INTO es_003 SELECT * FROM es_003".to_owned(),
        "DROP TABLE es_003".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "EXPLAIN ANALYZE COPY es_003 TO 'stolen.csv'".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
    ] {
        let run = world.run(&["query", "--tenant", TENANT, "--format", "csv", &sql]);
        assert!([2, 4].contains(&run.code), "{sql}: exit {} {}", run.code, String::from_utf8_lossy(&run.stdout));
        assert!(run.stdout.is_empty(), "{sql} answered");
    }
    assert!(!world.path("stolen.csv").exists() && !world.path("stolen.parquet").exists());
}
