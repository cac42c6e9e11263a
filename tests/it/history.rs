//! History on the real binary: what CBP said when, what changed between two pulls, what is no longer there.

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;
use serde_json::Value;

use crate::world::{TENANT, World, csv, random_plan};

/// A second pull of ES-001 a month later, some of its lines altered.
fn second_pull(world: &World, first: &str, alter: impl Fn(&str) -> Option<String>) -> String {
    let mut lines = first.lines();
    let header = lines.next().unwrap().to_owned();
    let text: Vec<String> = std::iter::once(header).chain(lines.filter_map(alter)).collect();
    let path = world.file("second/ES-001_Entry_Summary_Header.csv", text.join("\n") + "\n");
    path.display().to_string()
}

fn ingest_as_of(world: &World, day: &str, file: &str) {
    world.json(&["ingest", "--tenant", TENANT, "--as-of", day, file]);
}

/// Of 60 entries the first 20 came once, the next 20 twice, the last 20 beside them: what nobody restated is read as it lies, what
/// two deliveries may hold is compared, and both are one truth, before and after their files are joined.
#[test]
fn what_one_delivery_holds_alone_and_what_several_hold_make_one_truth() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(60)).expect("fit");
    for (day, entries) in [("2026-01-31", 0..20), ("2026-02-28", 20..60), ("2026-03-31", 20..40)] {
        let mut bytes = Vec::new();
        corpus.write_entries(Report::Es003, entries, &mut bytes).unwrap();
        let file = world.file(&format!("{day}/{}", Corpus::file_name(Report::Es003)), bytes);
        ingest_as_of(&world, day, file.to_str().unwrap());
    }
    let rows = String::from_utf8(csv(&corpus, Report::Es003)).unwrap().lines().count() as u64 - 1;
    let truth = "SELECT CAST(max(_as_of) AS DATE) AS day, count(DISTINCT entry_summary_number) AS entries, count(*) AS rows
        FROM tariff_lines GROUP BY _delivery_id ORDER BY min(entry_summary_number)";
    let plan = "EXPLAIN SELECT entry_summary_number FROM tariff_lines";
    for joined in [false, true] {
        let parts = world.json(&["query", "--tenant", TENANT, truth]);
        let told: Vec<_> = parts.iter().map(|part| (part["day"].as_str().unwrap(), part["entries"].as_u64().unwrap())).collect();
        assert_eq!(told, [("2026-01-31", 20), ("2026-03-31", 20), ("2026-02-28", 20)]);
        assert_eq!(parts.iter().map(|part| part["rows"].as_u64().unwrap()).sum::<u64>(), rows);
        if !joined {
            let told = world.ok(&["query", "--tenant", TENANT, plan]);
            assert!(told.contains("UnionExec") && told.contains("RightSemi"), "{told}");
            world.ok(&["maintain", "--tenant", TENANT]);
        }
    }
}

fn cell(line: &str, at: usize) -> &str {
    line.split(',').nth(at).unwrap()
}

#[test]
fn a_restated_entry_is_told_column_by_column_and_an_absent_one_has_vanished() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(60)).expect("fit");
    let first = String::from_utf8(csv(&corpus, Report::Es001)).unwrap();
    let rows: Vec<&str> = first.lines().skip(1).collect();
    // One from the middle of the entry dates vanishes, so that any later span holds it.
    let (restated, gone) = (rows[20].to_owned(), rows[30].to_owned());
    let file = world.file("first/ES-001_Entry_Summary_Header.csv", &first);
    ingest_as_of(&world, "2026-01-31", file.to_str().unwrap());
    let second = second_pull(&world, &first, |line| match line {
        line if line == gone => None,
        line if line == restated => {
            let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
            cells[3] = "5309".into();
            cells[7] = "987654.32".into();
            Some(cells.join(","))
        }
        line => Some(line.to_owned()),
    });
    ingest_as_of(&world, "2026-02-28", &second);

    let changes = world.json(&["changes", "--tenant", TENANT, "--from", "2026-01-31", "--to", "2026-02-28"]);
    let told: Vec<[&str; 4]> = changes
        .iter()
        .map(|c| ["entry_summary_number", "column_name", "before", "after"].map(|key| c[key].as_str().unwrap()))
        .collect();
    let (entry, port, duty) = (cell(&restated, 0), cell(&restated, 3), cell(&restated, 7));
    assert_eq!(told, [[entry, "port_of_entry_code", port, "5309"], [entry, "total_duty_amount", duty, "987654.32"]]);
    assert!(world.json(&["changes", "--tenant", TENANT, "--from", "2026-02-28"]).is_empty());
    // Over real tables, whose columns carry field ids, an aggregate over the union of three reports must plan, too.
    let counted = "SELECT report, max(delivery_id_after) AS id, max(duty_after) AS duty, count(*) AS told FROM changes('2026-01-31', '2026-02-28') GROUP BY report";
    assert_eq!(world.ask(TENANT, counted)["told"], 2);
    let seen = "SELECT last_delivery_id, count(*) AS entries FROM sightings GROUP BY last_delivery_id ORDER BY 2";
    let seen = world.json(&["query", "--tenant", TENANT, seen]);
    assert_eq!(seen.iter().map(|row| row["entries"].as_i64().unwrap()).collect::<Vec<_>>(), [1, rows.len() as i64 - 1]);

    let vanished = world.json(&["vanished", "--tenant", TENANT]);
    let [only] = vanished.as_slice() else { panic!("{vanished:?}") };
    assert_eq!((only["entry_summary_number"].as_str(), only["report"].as_str()), (Some(cell(&gone, 0)), Some("ES-001")));
    assert!(only["caveat"].as_str().unwrap().contains("narrower prompt"));
    assert!(world.ok(&["vanished", "--tenant", TENANT]).contains("narrower prompt"));

    let history = world.json(&["history", "--tenant", TENANT, entry]);
    let statements = history[0]["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 2);
    assert!(statements[0]["as_of"].as_str().unwrap().starts_with("2026-01-31"));
    assert_eq!((statements[0]["duty"].as_str(), statements[1]["duty"].as_str()), (Some(duty), Some("987654.32")));
    assert_eq!(statements[1]["changes"].as_array().unwrap().len(), 2);
    let dashed = format!("{}-{}-{}", &entry[..3], &entry[3..10], &entry[10..]);
    assert_eq!(world.json(&["history", "--tenant", TENANT, &dashed]), history);
    let of_gone = world.ok(&["history", "--tenant", TENANT, cell(&gone, 0)]);
    assert!(of_gone.contains("vanished: not in 1 later deliveries, first on 2026-02-28"), "{of_gone}");
    assert_eq!(world.run(&["history", "--tenant", TENANT, "XZ900000000"]).code, 2);
}

#[test]
fn a_social_security_number_is_masked_in_what_changed_unless_settings_allow_it() {
    let world = World::new();
    let mut plan = random_plan(5);
    plan.importer_number = "000-00-1234".into();
    let first = String::from_utf8(csv(&Corpus::new(plan).expect("fit"), Report::Es001)).unwrap();
    let file = world.file("first/ES-001_Entry_Summary_Header.csv", &first);
    ingest_as_of(&world, "2026-01-31", file.to_str().unwrap());
    let second = second_pull(&world, &first, |line| Some(line.replace("000-00-1234", "000-00-5678")));
    ingest_as_of(&world, "2026-02-28", &second);
    let arguments = ["--json", "changes", "--tenant", TENANT, "--from", "2026-01-31"];
    let shown = world.ok(&arguments) + &world.ok(&["history", "--tenant", TENANT, cell(first.lines().nth(1).unwrap(), 0)]);
    assert!(shown.contains("***-**-1234") && shown.contains("***-**-5678") && !shown.contains("000-00"), "{shown}");
    let config = world.file("open.toml", "[display]\nshow_ssn = true\n");
    let mut allowed = vec!["--config", config.to_str().unwrap()];
    allowed.extend(arguments);
    assert!(world.ok(&allowed).contains("000-00-5678"));
    let output = world.command(&arguments).env("BONDED_DISPLAY_SHOW_SSN", "true").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("000-00-1234"));
}

#[test]
fn a_column_that_was_delivered_blank_is_told_apart_from_one_that_was_not_delivered() {
    let world = World::new();
    let header = "Entry Summary Number,Entry Date,Protest Number\n";
    let file = world.file("ES-001.csv", format!("{header}XZ910000013,01/05/2026,\nXZ910000021,01/06/2026,\n"));
    world.ingest(TENANT, &[file]);
    let sql = "SELECT column_name FROM columns_delivered('es_001') WHERE column_name IN ('protest_number', 'protest_status') ORDER BY 1";
    let columns: Vec<Value> = world.json(&["query", "--tenant", TENANT, sql]);
    assert_eq!(columns.iter().map(|c| c["column_name"].as_str().unwrap()).collect::<Vec<_>>(), ["protest_number"]);
    assert!(world.json(&["query", "--tenant", TENANT, "SELECT * FROM columns_delivered('es_003')"]).is_empty());
    let sql = "SELECT count(DISTINCT _delivery_id) AS known FROM columns_delivered('es_001') WHERE _delivery_id IN (SELECT _delivery_id FROM es_001)";
    assert_eq!(world.ask(TENANT, sql)["known"], 1);
}

#[test]
fn each_command_of_history_deadlines_and_refunds_teaches() {
    let world = World::bare();
    for command in [&["history"][..], &["changes"], &["vanished"], &["deadlines"], &["cape"], &["cape", "read"]] {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let text = world.ok(&arguments);
        assert!(text.len() > 200 && text.contains("--tenant"), "{command:?}: {text}");
    }
    let run = world.run(&["cape"]);
    assert!(run.code != 0 && !run.stderr.is_empty());
    let run = world.run(&["deadlines", "--tenant", TENANT, "--within", "soon"]);
    assert!(run.code == 2 && run.stderr.contains("30d"), "{}", run.stderr);
}
