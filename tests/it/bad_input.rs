//! Bad input is normal input: each ends in a clear error or a quarantined delivery, and nothing is lost.

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;
use serde_json::Value;

use crate::world::{TENANT, World, csv, json_lines, random_plan};

/// Delivers the bytes, expects quarantine, and finds them again: the bytes, the alert, no table row.
fn quarantined(world: &World, name: &str, bytes: &[u8]) -> Value {
    let file = world.file(name, bytes);
    let run = world.run(&["--json", "ingest", "--tenant", TENANT, file.to_str().unwrap()]);
    assert_eq!(run.code, 5, "{name}: {} {}", run.stderr, String::from_utf8_lossy(&run.stdout));
    let receipt = json_lines(&String::from_utf8(run.stdout).unwrap()).remove(0);
    assert_eq!(receipt["state"], "quarantined");
    assert_eq!(receipt["rows_committed"], 0);
    let id = receipt["delivery"]["id"].as_str().unwrap();
    assert!(world.run(&["raw", "get", id]).stdout == bytes, "{name}: the bytes are not kept as they came");
    let alerts = world.json(&["drift", "--tenant", TENANT]);
    assert!(
        alerts.iter().any(|alert| alert["alert"] == "quarantine" && alert["delivery"]["id"] == id),
        "{name}: no alert names the delivery"
    );
    for table in world.json(&["tables", "--tenant", TENANT]) {
        assert_eq!(table["info"]["rows"], 0, "{name}: rows of a quarantined file");
    }
    receipt["quarantine"].clone()
}

#[test]
fn files_that_cannot_become_rows_are_quarantined_with_the_reason_and_the_mend() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(12)).expect("fit");
    let es_002 = String::from_utf8(csv(&corpus, Report::Es002)).unwrap();
    let es_003 = String::from_utf8(csv(&corpus, Report::Es003)).unwrap();
    let header = |text: &str| text.lines().next().unwrap().to_owned();
    let without = |text: &str, column: &str| {
        let at = header(text).split(',').position(|name| name == column).expect("a column");
        let cut =
            |line: &str| line.split(',').enumerate().filter(|(i, _)| *i != at).map(|(_, c)| c).collect::<Vec<_>>().join(",");
        text.lines().map(|line| cut(line) + "\n").collect::<String>()
    };
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("empty.csv", vec![], "empty", ""),
        ("blank.csv", b"\r\n\n  \r\n".to_vec(), "empty", ""),
        ("header-only.csv", header(&es_003).into_bytes(), "no_rows", ""),
        ("unknown.csv", b"Name,Colour\nlamp,red\n".to_vec(), "unknown_report", ""),
        ("prose.csv", b"Dear broker,\n\nplease find attached nothing at all.\n".to_vec(), "not_csv", "export"),
        ("binary.csv", (0..5000u32).map(|n| (n * 7919 % 251) as u8).collect(), "not_csv", ""),
        ("workbook.csv", b"PK\x03\x04 not really a workbook".to_vec(), "broken_container", "deliver it once more"),
        ("no-ordinal.csv", without(&es_003, "Tariff Ordinal Number").into_bytes(), "grain_missing", "Tariff Ordinal Number"),
        ("no-line.csv", without(&es_003, "Entry Summary Line Number").into_bytes(), "grain_missing", "Entry Summary Line Number"),
        (
            "two-entries.csv",
            es_002.replacen("Entry Type Code", "Entry Summary Number", 1).into_bytes(),
            "ambiguous",
            "Entry Summary Number",
        ),
        ("long-record.csv", [header(&es_003).as_bytes(), b"\n", &vec![b'a'; 3 << 20]].concat(), "record_too_long", ""),
    ];
    for (name, bytes, reason, told) in cases {
        let quarantine = quarantined(&world, name, &bytes);
        assert_eq!(quarantine["reason"], reason, "{name}: {quarantine}");
        let message = quarantine["message"].as_str().unwrap();
        assert!(message.contains(told) && message.len() > 15, "{name}: {message}");
    }
}

#[test]
fn an_impostor_is_told_from_a_report_by_its_header() {
    // The file that circulates as an "ES-003" of 55 columns: one row a line, rates in percent, no tariff ordinal.
    let mut names =
        vec!["Entry Summary Number".to_owned(), "Entry Summary Line Number".into(), "HTS Number".into(), "Entry Date".into()];
    names.extend(["Base Duty Rate %", "IEEPA Rate %", "Section 301 Rate %"].map(str::to_owned));
    names.extend((names.len()..55).map(|n| format!("Field {n}")));
    let cells: Vec<String> = (0..55).map(|n| if n == 0 { "XZ9-0000001-2".into() } else { "1.5%".into() }).collect();
    let world = World::new();
    let quarantine = quarantined(&world, "es003.csv", format!("{}\n{}\n", names.join(","), cells.join(",")).as_bytes());
    assert_eq!(quarantine["reason"], "impostor", "{quarantine}");
    assert_eq!(quarantine["nearest"], "ES-003");
}

#[test]
fn bad_rows_are_rejected_with_their_place_and_the_others_stay() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(10)).expect("fit");
    let mut lines: Vec<String> = String::from_utf8(csv(&corpus, Report::Es002)).unwrap().lines().map(str::to_owned).collect();
    let good = lines.len() - 1;
    lines.insert(2, "XZ9,ragged,row".into());
    lines.insert(4, lines[1].replacen(",", "\0,", 1));
    let unreadable = lines.len();
    let cells: Vec<&str> = lines[1].split(',').collect();
    let no_line: Vec<&str> = cells.iter().enumerate().map(|(i, c)| if i == 2 { "first" } else { *c }).collect();
    lines.push(no_line.join(","));
    let file = world.file("bad-rows.csv", lines.join("\n") + "\n");
    let receipt = world.ingest(TENANT, &[file]).remove(0);
    assert_eq!(
        (receipt["rows_committed"].as_u64(), receipt["rows_rejected"].as_u64()),
        (Some(good as u64), Some(3)),
        "{receipt}"
    );
    let rejects = receipt["rejects"].as_array().unwrap();
    let places: Vec<u64> = rejects.iter().map(|reject| reject["line"].as_u64().unwrap()).collect();
    assert_eq!(places, [3, 5, unreadable as u64 + 1]);
    let text = lines.join("\n");
    for reject in rejects {
        let before = &text.as_bytes()[..reject["byte"].as_u64().unwrap() as usize];
        assert_eq!(before.iter().filter(|b| **b == b'\n').count() as u64 + 1, reject["line"].as_u64().unwrap());
        assert!(!reject["reason"].as_str().unwrap().is_empty());
    }
    assert_eq!(world.ask(TENANT, "SELECT count(*) AS n FROM es_002")["n"], good);
    assert_eq!(world.ask(TENANT, "SELECT count(*) AS n FROM meta.rejects")["n"], 3);
}

#[test]
fn a_cell_that_fails_its_type_is_kept_as_text_and_its_row_stays() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(10)).expect("fit");
    let text = String::from_utf8(csv(&corpus, Report::Es001)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = lines[0].split(',').position(|name| name == "Total Duty Amount").expect("a column");
    let cells: Vec<&str> = lines[1].split(',').collect();
    let spoiled: Vec<&str> = cells.iter().enumerate().map(|(i, c)| if i == at { "pending" } else { *c }).collect();
    let entry = cells[0].to_owned();
    lines[1] = spoiled.join(",");
    let receipt = world.ingest(TENANT, &[world.file("cell.csv", lines.join("\n"))]).remove(0);
    assert_eq!((receipt["rows_rejected"].as_u64(), receipt["cells_rescued"].as_u64()), (Some(0), Some(1)));
    let row = world.ask(
        TENANT,
        &format!(
            "SELECT total_duty_amount, _rescued['Total Duty Amount'] AS kept FROM es_001 WHERE entry_summary_number = '{entry}'"
        ),
    );
    assert!(row["total_duty_amount"].is_null());
    assert!(row["kept"] == "pending" || row["kept"][0] == "pending", "{row}");
}

#[test]
fn a_file_of_one_endless_line_ends_in_quarantine_in_bounded_memory() {
    let world = World::new();
    let file = world.path("endless.csv");
    {
        let mut out = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
        for _ in 0..100 {
            std::io::Write::write_all(&mut out, &vec![b'x'; 1 << 20]).unwrap();
        }
    }
    let run = world.run(&["--json", "ingest", "--tenant", TENANT, file.to_str().unwrap()]);
    assert_eq!(run.code, 5, "{}", run.stderr);
    let receipt = json_lines(&String::from_utf8(run.stdout).unwrap()).remove(0);
    assert_eq!(receipt["size_bytes"], 100 << 20);
}

#[test]
fn wrong_names_and_places_are_told_with_the_mend() {
    let world = World::new();
    let file = world.file("x.csv", "x");
    let path = file.to_str().unwrap();
    for (arguments, code, told) in [
        (vec!["ingest", "--tenant", "nobody-here", path], 4, "bonded tenant list"),
        (vec!["ingest", "--tenant", "Not A Name", path], 2, "tenant name"),
        (vec!["ingest", "--tenant", TENANT, "no-such-file.csv"], 2, "no-such-file.csv"),
        (vec!["receipt", "not-an-id"], 2, "delivery id"),
        (vec!["receipt", "01890000-0000-7000-8000-000000000000"], 2, "bonded deliveries"),
        (vec!["query", "--tenant", TENANT, "SELECT * FROM es_009"], 2, "es_009"),
        (vec!["query", "--tenant", TENANT, "SELEKT 1"], 2, "SELEKT"),
    ] {
        let run = world.run(&arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(told), "{arguments:?}: {}", run.stderr);
    }
    let nowhere = World::bare();
    let run = nowhere.run(&["deliveries"]);
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("bonded init"), "{}", run.stderr);
}

#[test]
fn a_lake_that_cannot_be_written_is_told() {
    let world = World::bare();
    // Root may write anywhere, so the path leads through a file.
    world.file("lake", "a file where the folder should be");
    let run = world.run(&["init"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains("lake"), "{}", run.stderr);
}
