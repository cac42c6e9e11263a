//! No plaintext: every byte under the lake is searched for what must not be there.

use bonded::demo::corpus::{Corpus, ExtraColumn, Layout};
use bonded_schemas::Report;

use crate::world::{TENANT, World, files_under, random_plan};

/// Cells, statistics and header names planted to be found, in the forms they could lie in.
#[test]
fn no_cell_no_statistic_and_no_unknown_header_lies_in_the_clear() {
    let world = World::new();
    let mut plan = random_plan(120).planting(1);
    let extra = ExtraColumn::last("Zanzibar Surcharge Note", ["ZEBRACROSSING-1", "", "ZEBRACROSSING-2"]);
    plan.layouts.insert(Report::Es003, Layout { extra: vec![extra], ..Layout::default() });
    let corpus = Corpus::new(plan).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files);
    // A quarantined file and a drift alert hold names of columns, too.
    let odd = world.file("odd.csv", "Quagmire Column,Other\nWALRUSVALUE,1\n");
    assert_eq!(world.run(&["ingest", "--tenant", TENANT, odd.to_str().unwrap()]).code, 5);
    world.json(&["reconcile", "--tenant", TENANT]);

    let es_003 = std::fs::read_to_string(&files[2]).unwrap();
    let mut needles: Vec<Vec<u8>> =
        ["Zanzibar", "zanzibar_surcharge_note", "ZEBRACROSSING", "Quagmire", "WALRUSVALUE", "odd.csv"]
            .into_iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
    let rows: Vec<Vec<&str>> = es_003.lines().skip(1).map(|line| line.split(',').collect()).collect();
    // Entry numbers: the smallest and largest would be column statistics.
    let mut entries: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    entries.sort_unstable();
    for entry in [entries[0], entries[entries.len() / 2], entries[entries.len() - 1]] {
        needles.push(entry.as_bytes().to_vec());
    }
    // The largest duty, as text and as the big-endian and little-endian bytes Parquet and Iceberg would write.
    let duty = world.ask(TENANT, "SELECT CAST(max(line_tariff_duty_amount) AS VARCHAR) AS d FROM es_003")["d"]
        .as_str()
        .unwrap()
        .to_owned();
    let cents: i64 = duty.replace('.', "").parse().unwrap();
    needles.push(duty.into_bytes());
    assert!(cents > 0xffff, "the largest duty is long enough to search for");
    needles.push(cents.to_be_bytes().to_vec());
    needles.push(cents.to_le_bytes().to_vec());
    for name in ["Manufacturer Name", "lower_bounds", "PAR1", "Obj\u{1}"] {
        needles.push(name.as_bytes().to_vec());
    }

    let mut searched = 0;
    for path in files_under(&world.lake()) {
        // Plain by the Iceberg spec: it holds the schema and no data.
        let plain_metadata = path.to_string_lossy().ends_with(".metadata.json");
        let bytes = std::fs::read(&path).unwrap();
        searched += bytes.len();
        for needle in &needles {
            if plain_metadata && needle == b"Manufacturer Name" {
                continue;
            }
            let hit = bytes.windows(needle.len()).any(|window| window == needle.as_slice());
            assert!(!hit, "{} in {}", String::from_utf8_lossy(needle), path.display());
        }
    }
    assert!(searched > 100_000, "only {searched} bytes were searched");
    // The search itself works: the same needles are in the file that was delivered.
    assert!(es_003.contains("ZEBRACROSSING-1") && es_003.contains(entries[0]));
}

#[test]
fn the_log_of_a_full_run_holds_no_cell() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(40).planting(1)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    let folder = files[0].parent().unwrap().display().to_string();
    let output = world.command(&["ingest", "--tenant", TENANT, &folder]).env("BONDED_LOG", "trace").output().unwrap();
    assert!(output.status.success());
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("INFO") || log.contains("DEBUG"), "the log is on");
    let es_002 = std::fs::read_to_string(&files[1]).unwrap();
    for line in es_002.lines().skip(1).take(50) {
        let entry = line.split(',').next().unwrap();
        assert!(!log.contains(entry), "{entry} is in the log");
    }
    let key = std::fs::read_to_string(world.keys().join("root.key")).unwrap();
    assert!(!log.contains(key.trim()));
}
