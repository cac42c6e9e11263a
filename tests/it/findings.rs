//! Findings over several runs, the received lines behind them, and the scores that they and other faults cost.

use bonded::demo::corpus::{Corpus, ExtraColumn, Layout};
use bonded_schemas::Report;
use serde_json::Value;

use crate::world::{TENANT, World, csv, files_under, random_plan};

fn listed(world: &World, state: &str) -> Vec<Value> {
    world.json(&["finding", "list", "--tenant", TENANT, "--state", state])
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// ES-002 and ES-003 of three entries; the duty of each line in ES-002 as given.
fn deliver(world: &World, round: usize, duties: [&str; 3]) {
    let day = format!("2026-05-{:02}", round + 1);
    let lines: String = duties.iter().enumerate().map(|(at, duty)| format!("XZ91000000{at},01,1,100.00,{duty}\n")).collect();
    let rows: String = (0..3).map(|at| format!("XZ91000000{at},01/0{}/2026,01,000-12-3456,1,1,100.00,10.00\n", at + 1)).collect();
    let es_002 = "Entry Summary Number,Entry Type Code,Entry Summary Line Number,Line Goods Value Amount,Line Duty Amount\n";
    let es_003 = "Entry Summary Number,Entry Date,Entry Type Code,Importer Number,Entry Summary Line Number,\
                  Tariff Ordinal Number,Line Tariff Goods Value Amount,Line Tariff Duty Amount\n";
    for (name, body) in [("es-002", format!("{es_002}{lines}")), ("es-003", format!("{es_003}{rows}"))] {
        // A blank line a round: other bytes, the same rows.
        let file = world.file(&format!("in/{name}-{round}.csv"), format!("{body}{}", "\n".repeat(round)));
        world.ok(&["ingest", "--tenant", TENANT, "--as-of", &day, file.to_str().expect("a path")]);
    }
}

fn reconcile(world: &World) {
    world.ok(&["reconcile", "--tenant", TENANT, "--check", "line_duty"]);
}

#[test]
fn a_finding_opens_is_resolved_recurs_and_keeps_its_identity() {
    let world = World::new();
    deliver(&world, 0, ["10.00", "11.00", "12.00"]);
    reconcile(&world);
    let open = listed(&world, "open");
    assert_eq!(open.len(), 2, "{open:?}");
    reconcile(&world);
    let again = listed(&world, "open");
    assert_eq!(again.iter().map(|f| text(f, "id")).collect::<Vec<_>>(), open.iter().map(|f| text(f, "id")).collect::<Vec<_>>());
    assert!(again.iter().all(|f| f["runs"] == 2 && f["first_seen"] == open[0]["first_seen"]), "{again:?}");

    // Corrected by a later delivery.
    deliver(&world, 1, ["10.00", "10.00", "12.00"]);
    reconcile(&world);
    let (open, resolved) = (listed(&world, "open"), listed(&world, "resolved"));
    assert_eq!((open.len(), resolved.len()), (1, 1));
    assert_eq!(text(&resolved[0], "entry_summary_number"), "XZ910000001");

    // And wrong once more.
    deliver(&world, 2, ["10.00", "11.50", "12.00"]);
    reconcile(&world);
    let recurring = listed(&world, "recurring");
    assert_eq!((recurring.len(), listed(&world, "resolved").len()), (1, 0));
    assert_eq!(recurring[0]["id"], resolved[0]["id"]);
    assert_eq!(text(&recurring[0], "actual"), "11.50");

    // A check that was not run, or could not judge, resolves nothing.
    world.ok(&["reconcile", "--tenant", TENANT, "--check", "line_value"]);
    assert_eq!(world.json(&["finding", "list", "--tenant", TENANT]).len(), 2);
    let counted = world.ask(TENANT, "SELECT count(*) AS n FROM meta.findings WHERE state IN ('open', 'recurring')");
    assert_eq!(counted["n"], 2);
}

#[test]
fn an_explanation_holds_until_the_amounts_change() {
    let world = World::new();
    deliver(&world, 0, ["10.00", "11.00", "10.00"]);
    reconcile(&world);
    let id = text(&listed(&world, "open")[0], "id").to_owned();
    world.ok(&["finding", "explain", "--tenant", TENANT, &id[..10], "--note", "a rounding of the broker"]);
    reconcile(&world);
    let explained = listed(&world, "explained");
    assert_eq!(explained.len(), 1);
    assert_eq!(explained[0]["notes"][0]["text"], "a rounding of the broker");
    assert!(world.json(&["finding", "list", "--tenant", TENANT]).is_empty(), "nobody has to look at it");
    deliver(&world, 1, ["10.00", "13.00", "10.00"]);
    reconcile(&world);
    let open = listed(&world, "open");
    assert_eq!((open.len(), text(&open[0], "id")), (1, id.as_str()));
    assert_eq!(open[0]["notes"][0]["text"], "a rounding of the broker", "what was said stays");
    deliver(&world, 2, ["10.00", "10.00", "10.00"]);
    reconcile(&world);
    let run = world.run(&["finding", "explain", "--tenant", TENANT, &id, "--note", "late"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("resolved"), "{}", run.stderr);
    assert_eq!(world.run(&["finding", "show", "--tenant", TENANT, "ffffffffffff"]).code, 2);
}

#[test]
fn the_received_lines_of_a_finding_are_shown_from_their_bytes() {
    let world = World::new();
    deliver(&world, 0, ["10.00", "11.00", "10.00"]);
    reconcile(&world);
    let finding = &listed(&world, "open")[0];
    let id = text(finding, "id");
    let shown = &world.json(&["finding", "show", "--tenant", TENANT, id])[0];
    let lines = shown["lines"].as_array().expect("lines");
    assert_eq!(lines.len(), 2, "{shown}");
    for line in lines {
        let raw = world.ok(&["raw", "get", text(line, "delivery_id")]);
        let byte = line["byte"].as_u64().expect("an offset") as usize;
        let record = raw[byte..].lines().next().expect("a line");
        assert_eq!(raw[..byte].lines().count() as u64 + 1, line["line"].as_u64().expect("a line"));
        assert!(record.starts_with("XZ910000001"), "{record}");
        assert_eq!(text(line, "text"), record.replace("000-12-3456", "***-**-3456"));
    }
    let read = world.ok(&["finding", "show", "--tenant", TENANT, &id[..12]]);
    assert!(read.contains("XZ910000001,01,1,100.00,11.00") && !read.contains("000-12-3456"), "{read}");
    let places = world.ask(TENANT, "SELECT count(*) AS n, count(byte) AS bytes FROM meta.finding_places");
    assert_eq!((places["n"].as_i64(), places["bytes"].as_i64()), (Some(2), Some(2)));
}

#[test]
fn nothing_of_a_finding_or_a_note_lies_in_the_clear() {
    let world = World::new();
    deliver(&world, 0, ["10.00", "98765.43", "10.00"]);
    reconcile(&world);
    let id = text(&listed(&world, "open")[0], "id").to_owned();
    world.ok(&["finding", "explain", "--tenant", TENANT, &id, "--note", "confidential-reason"]);
    world.ok(&["score", "--tenant", TENANT]);
    for file in files_under(&world.lake()) {
        let bytes = std::fs::read(&file).expect("readable");
        for word in ["98765.43", "XZ910000001", "confidential-reason", "line_duty\"", "completeness_tenths"] {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word} in {}", file.display());
        }
    }
}

fn scores(world: &World) -> Vec<Value> {
    world.json(&["score", "--tenant", TENANT])
}

fn of<'a>(scores: &'a [Value], file: &str) -> &'a Value {
    scores.iter().find(|score| score["file_name"] == file).unwrap_or_else(|| panic!("no {file}"))
}

#[test]
fn scores_fall_with_drift_rejects_and_findings_and_a_quarantined_file_has_none() {
    let world = World::new();
    let plan = random_plan(60);
    let clean = Corpus::new(plan.clone()).expect("fit");
    world.ingest(TENANT, &world.corpus_files("clean", &clean));
    world.ok(&["reconcile", "--tenant", TENANT, "--check", "line_duty"]);
    let before = scores(&world);
    assert_eq!(before.len(), 3);
    for score in &before {
        let parts = ["rejects_tenths", "drift_tenths", "findings_tenths"].map(|part| score[part].as_u64().expect("points"));
        assert_eq!(parts, [250, 150, 200], "{score}");
    }
    let clean_score = of(&before, Corpus::file_name(Report::Es003))["score_tenths"].as_u64().expect("points");

    // The same rows with an unknown column, one row in twenty cut short, and a cell of a needed column emptied.
    let mut drifted = plan.clone();
    drifted
        .layouts
        .insert(Report::Es003, Layout { extra: vec![ExtraColumn::last("Special Program Fee", ["1.25"])], ..Layout::default() });
    let bytes = csv(&Corpus::new(drifted).expect("fit"), Report::Es003);
    let spoilt: String = String::from_utf8(bytes)
        .expect("text")
        .lines()
        .enumerate()
        .map(|(at, line)| if at > 0 && at % 20 == 0 { "XZ9,cut\n".to_owned() } else { format!("{line}\n") })
        .collect();
    world.ingest(TENANT, &[world.file("in/spoilt.csv", spoilt)]);
    let run = world.run(&["ingest", "--tenant", TENANT, world.file("in/none.csv", "no,report\n1,2\n").to_str().expect("a path")]);
    assert_eq!(run.code, 5);
    let after = scores(&world);
    assert_eq!(after.len(), 5);
    let spoilt = of(&after, "spoilt.csv");
    assert_eq!(spoilt["drift_tenths"], 100);
    let rejects = spoilt["rejects_tenths"].as_u64().expect("points");
    assert!((110..=145).contains(&rejects), "{spoilt}");
    assert!(spoilt["score_tenths"].as_u64().expect("points") < clean_score, "{spoilt}");
    assert_eq!(of(&after, "none.csv")["score_tenths"], 0);

    // Findings count against the deliveries that they rest on; explained ones no more.
    world.ok(&["reconcile", "--tenant", TENANT, "--check", "line_duty"]);
    let with_findings = scores(&world);
    let findings = world.json(&["finding", "list", "--tenant", TENANT]);
    assert!(!findings.is_empty(), "rows cut short leave lines that do not add up");
    let lost = of(&with_findings, "spoilt.csv")["findings_tenths"].as_u64().expect("points");
    assert!(lost < 200, "{lost}");
    for finding in &findings {
        world.ok(&["finding", "explain", "--tenant", TENANT, text(finding, "id"), "--note", "cut short"]);
    }
    assert_eq!(of(&scores(&world), "spoilt.csv")["findings_tenths"], 200);

    let months = world.json(&["score", "--tenant", TENANT, "--months"]);
    assert_eq!(months.iter().map(|month| month["deliveries"].as_u64().expect("a count")).sum::<u64>(), 5);
    let kept = world.ask(TENANT, "SELECT count(*) AS n, CAST(min(score) AS VARCHAR) AS low FROM meta.scores");
    assert_eq!((kept["n"].as_i64(), kept["low"].as_str()), (Some(5), Some("0.0")));
    assert!(world.ok(&["score", "--tenant", TENANT]).contains('█'));
}
