//! Containers: an archive or a workbook is kept as it came, and each file in it becomes a delivery of its own.

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;
use serde_json::Value;

use crate::world::{Run, TENANT, World, csv, json_lines, random_plan};

pub mod pack;

use pack::{File, X, cells_of, text};

fn corpus() -> Corpus {
    Corpus::new(random_plan(12)).expect("fit")
}

fn report(corpus: &Corpus, report: Report) -> (String, Vec<u8>) {
    (Corpus::file_name(report).to_owned(), csv(corpus, report))
}

fn run(world: &World, name: &str, bytes: &[u8]) -> Run {
    let file = world.file(name, bytes);
    world.run(&["--json", "ingest", "--tenant", TENANT, file.to_str().unwrap()])
}

/// Delivers, expects the exit code, answers the lines: the container first.
fn deliver(world: &World, name: &str, bytes: &[u8], code: i32) -> Vec<Value> {
    let run = run(world, name, bytes);
    assert_eq!(run.code, code, "{name}: {} {}", run.stderr, String::from_utf8_lossy(&run.stdout));
    json_lines(&String::from_utf8(run.stdout).unwrap())
}

fn id(line: &Value) -> String {
    line["delivery"]["id"].as_str().unwrap().to_owned()
}

/// Tables, deliveries and raw objects, counted: nothing that is delivered again may change them.
fn counted(world: &World) -> (Vec<Value>, usize, usize) {
    let tables = world.json(&["tables", "--tenant", TENANT]);
    let raw = crate::world::files_under(&world.lake()).iter().filter(|path| path.to_string_lossy().contains("/raw/")).count();
    (tables, world.json(&["deliveries", "--tenant", TENANT]).len(), raw)
}

/// Of a container that must not be opened: kept byte for byte, told why, nothing in it delivered.
fn refused(world: &World, name: &str, bytes: &[u8], reason: &str, told: &str) {
    let before = world.json(&["deliveries", "--tenant", TENANT]).len();
    let lines = deliver(world, name, bytes, 5);
    assert_eq!(lines.len(), 1, "{name}: {lines:?}");
    let quarantine = &lines[0]["quarantine"];
    assert_eq!((&lines[0]["state"], &quarantine["reason"]), (&"quarantined".into(), &reason.into()), "{name}: {quarantine}");
    assert!(quarantine["message"].as_str().unwrap().contains(told), "{name}: {quarantine}");
    assert!(world.run(&["raw", "get", &id(&lines[0])]).stdout == bytes, "{name}: the bytes are not kept as they came");
    assert_eq!(world.json(&["deliveries", "--tenant", TENANT]).len(), before + 1, "{name}: something in it was delivered");
    let alerts = world.json(&["drift", "--tenant", TENANT]);
    assert!(alerts.iter().any(|alert| alert["alert"] == "quarantine" && alert["delivery"]["id"] == id(&lines[0]).as_str()));
}

#[test]
fn three_reports_and_a_letter_in_a_zip_become_four_deliveries_that_point_at_it() {
    let world = World::new();
    let corpus = corpus();
    let reports = Report::ENTRY_SUMMARIES.map(|one| report(&corpus, one));
    let mut files: Vec<(&str, &[u8])> = reports.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    files.insert(1, ("letters/readme.txt", b"Dear broker,\n\nplease find the reports attached.\n"));
    let packed = pack::zip(&files);
    let lines = deliver(&world, "march.bin", &packed, 5);
    assert_eq!(lines.len(), 5);
    let container = &lines[0];
    assert_eq!((&container["state"], &container["dialect"]["container"]), (&"unpacked".into(), &"zip".into()));
    assert!(world.run(&["raw", "get", &id(container)]).stdout == packed, "the archive is not kept as it came");
    let listed = container["members"].as_array().unwrap();
    assert_eq!(listed.len(), 4);
    for (((name, bytes), line), listed) in files.iter().zip(&lines[1..]).zip(listed) {
        let state = if name.ends_with(".txt") { "quarantined" } else { "committed" };
        assert_eq!(
            (&line["state"], &line["member"], &line["delivery"]["file_name"]),
            (&state.into(), &(*name).into(), &(*name).into())
        );
        assert_eq!(line["delivery"]["container"]["delivery_id"], id(container).as_str());
        assert_eq!(line["delivery"]["as_of"], container["delivery"]["as_of"]);
        assert_eq!((&listed["delivery_id"], &listed["name"]), (&id(line).into(), &(*name).into()));
        assert_eq!((&listed["state"], &listed["duplicate"]), (&state.into(), &false.into()));
        assert!(world.run(&["raw", "get", &id(line)]).stdout == *bytes, "{name} is not kept as it was packed");
    }
    let entry = String::from_utf8(reports[2].1.clone()).unwrap().lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    for file in crate::world::files_under(&world.lake()) {
        let bytes = std::fs::read(&file).unwrap();
        for plain in ["readme", "Dear broker", &entry] {
            let found = bytes.windows(plain.len()).any(|window| window == plain.as_bytes());
            assert!(!found, "{plain} lies readable in {}", file.display());
        }
    }
    for table in world.json(&["tables", "--tenant", TENANT]) {
        assert!(table["info"]["rows"].as_u64() > Some(0), "{table}");
    }

    let before = counted(&world);
    let again = deliver(&world, "again.zip", &packed, 5);
    assert_eq!(again[0]["duplicate"], true);
    assert_eq!(again.iter().map(id).collect::<Vec<_>>(), lines.iter().map(id).collect::<Vec<_>>());
    assert_eq!(counted(&world), before, "delivered again, it added something");

    let shown = world.ok(&["receipt", &id(container)]);
    assert!(shown.contains("letters/readme.txt") && shown.contains("none: a container"), "{shown}");
    assert!(world.ok(&["receipt", &id(&lines[1])]).contains(&id(container)));
    let rows = world.ok(&["deliveries", "--tenant", TENANT]);
    assert!(rows.contains("letters/readme.txt (in march.bin)"), "{rows}");
    let people = world.run(&["ingest", "--tenant", TENANT, world.path("march.bin").to_str().unwrap()]);
    let people = String::from_utf8(people.stdout).unwrap();
    assert!(people.contains("  letters/readme.txt"), "{people}");
}

#[test]
fn an_archive_without_strangers_ends_with_success_both_times() {
    let world = World::new();
    let corpus = corpus();
    let (name, bytes) = report(&corpus, Report::Es001);
    let packed = pack::zip(&[(&name, &bytes)]);
    assert_eq!(deliver(&world, "a.zip", &packed, 0).len(), 2);
    let before = counted(&world);
    let again = deliver(&world, "a.zip", &packed, 0);
    assert!(again.iter().all(|line| line["duplicate"] == true));
    assert_eq!(counted(&world), before);
}

#[test]
fn a_gzip_file_becomes_a_delivery_of_its_own() {
    let world = World::new();
    let (name, bytes) = report(&corpus(), Report::Es003);
    let lines = deliver(&world, "report.csv.gz", &pack::gzip(Some(&name), &bytes), 0);
    assert_eq!((&lines[0]["state"], &lines[1]["state"]), (&"unpacked".into(), &"committed".into()));
    assert_eq!(lines[1]["delivery"]["file_name"], name.as_str());
    assert!(world.run(&["raw", "get", &id(&lines[1])]).stdout == bytes);
}

#[test]
fn an_archive_in_an_archive_is_opened_once_and_not_twice() {
    let world = World::new();
    let corpus = corpus();
    let [one, two, three] = Report::ENTRY_SUMMARIES.map(|one| report(&corpus, one));
    let innermost = pack::zip(&[(&three.0, &three.1)]);
    let inner = pack::zip(&[(&two.0, &two.1), ("too-deep.zip", &innermost)]);
    let lines = deliver(&world, "outer.zip", &pack::zip(&[("inner.zip", &inner), (&one.0, &one.1)]), 5);
    let told: Vec<(Value, Value)> =
        lines.iter().map(|line| (line["state"].clone(), line["quarantine"]["reason"].clone())).collect();
    let expected = [
        ("unpacked", Value::Null),
        ("unpacked", Value::Null),
        ("committed", Value::Null),
        ("quarantined", "bomb".into()),
        ("committed", Value::Null),
    ];
    assert_eq!(told, expected.map(|(state, reason)| (Value::from(state), reason)));
    assert_eq!(lines[1]["delivery"]["container"]["delivery_id"], id(&lines[0]).as_str());
    assert_eq!(lines[2]["delivery"]["container"]["delivery_id"], id(&lines[1]).as_str());
}

#[test]
fn a_member_whose_bytes_came_before_is_listed_and_adds_nothing() {
    let world = World::new();
    let corpus = corpus();
    let [one, two, _] = Report::ENTRY_SUMMARIES.map(|one| report(&corpus, one));
    let alone = deliver(&world, &one.0, &one.1, 0).remove(0);
    let lines = deliver(&world, "both.zip", &pack::zip(&[("renamed.csv", &one.1), (&two.0, &two.1)]), 0);
    assert_eq!((id(&lines[1]), &lines[1]["duplicate"]), (id(&alone), &true.into()));
    assert_eq!(lines[1]["delivery"]["container"], Value::Null, "the first delivery keeps its provenance");
    let listed = &lines[0]["members"];
    assert_eq!((&listed[0]["delivery_id"], &listed[0]["duplicate"]), (&id(&alone).into(), &true.into()));
    assert_eq!((&listed[0]["name"], &listed[1]["duplicate"]), (&"renamed.csv".into(), &false.into()));
    let tables = world.json(&["tables", "--tenant", TENANT]);
    assert_eq!(tables.iter().filter(|table| table["info"]["rows"].as_u64() > Some(0)).count(), 2);
}

/// The report as a workbook: numbers as numbers, dates as days, the prompts beside it.
fn workbook_sheets(corpus: &Corpus) -> Vec<(&'static str, Vec<Vec<X>>)> {
    let lines = String::from_utf8(csv(corpus, Report::Es001)).unwrap();
    let parameters = vec![
        vec![text("ES-001 Entry Summary Header Details")],
        vec![text("Entry Summary Dates Between"), X::Error("#N/A")],
        vec![text("Filer Code"), text("ALL")],
    ];
    vec![("Main Report", cells_of(&lines)), ("Parameters", parameters)]
}

#[test]
fn a_workbooks_main_report_becomes_rows_and_its_parameters_provenance() {
    let corpus = corpus();
    let rows = World::new();
    let as_csv = deliver(&rows, "plain.csv", &csv(&corpus, Report::Es001), 0).remove(0);
    for (format, packed) in [("xlsx", pack::xlsx(&workbook_sheets(&corpus))), ("xls", pack::xls(&workbook_sheets(&corpus)))] {
        let world = World::new();
        let lines = deliver(&world, "report.dat", &packed, 0);
        assert_eq!((lines.len(), &lines[0]["dialect"]["container"]), (2, &format.into()));
        let member = &lines[1];
        assert_eq!(member["member"], "report.dat#Main Report");
        assert_eq!(member["rows_committed"], as_csv["rows_committed"], "{format}");
        assert_eq!(member["control_totals"], as_csv["control_totals"], "{format}");
        assert_eq!(member["drift"]["findings"], as_csv["drift"]["findings"], "{format}");
        assert_eq!(member["delivery"]["provenance"]["Entry Summary Dates Between"], "#N/A");
        assert_eq!(member["delivery"]["provenance"]["Filer Code"], "ALL");
        let shown = world.ok(&["receipt", &id(member)]);
        assert!(shown.contains("sender says: Filer Code"), "{shown}");
        let before = counted(&world);
        assert!(deliver(&world, "again.dat", &packed, 0).iter().all(|line| line["duplicate"] == true));
        assert_eq!(counted(&world), before);
    }
}

#[test]
fn a_workbook_in_a_nested_archive_is_opened_and_every_sheet_that_is_a_report_is_a_member() {
    let world = World::new();
    let corpus = corpus();
    let sheet = |one: Report| cells_of(&String::from_utf8(csv(&corpus, one)).unwrap());
    let book =
        pack::xlsx(&[("Cover", cells_of("Dear broker")), ("Lines", sheet(Report::Es002)), ("Entries", sheet(Report::Es001))]);
    let packed = pack::zip(&[("inner.zip", &pack::zip(&[("book.xlsx", &book)]))]);
    let lines = deliver(&world, "outer.zip", &packed, 0);
    assert_eq!(lines.iter().map(|line| line["report"].clone()).collect::<Vec<_>>()[3..], ["ES-002", "ES-001"]);
    assert_eq!(lines[2]["dialect"]["sheets_not_taken"], "Cover");
    assert_eq!(lines[4]["member"], "book.xlsx#Entries");
}

#[test]
fn what_may_not_be_opened_is_quarantined_with_the_reason_and_the_mend() {
    let world = World::new();
    let (name, bytes) = report(&corpus(), Report::Es003);
    let good = File::deflated(&name, &bytes);
    let zeros = vec![0; 10 << 20];
    let first = File::deflated("a", &bytes);
    let many: Vec<File> = (0..1001).map(|n| File::stored(&format!("{n}.csv"), b"x")).collect();
    let whole = pack::zip(&[(&name, &bytes), ("b.csv", b"a,b\n1,2\n")]);
    let zipped = pack::gzip(None, &bytes);
    let book = pack::xlsx(&[("Main Report", cells_of("a,b"))]);
    let mut wrong = good.clone();
    wrong.crc ^= 1;
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("encrypted.zip", pack::zip_of(&[good.clone(), File { flags: 1, ..good.clone() }]), "encrypted", "password"),
        ("encrypted.xls", pack::xls_encrypted(&[("Main Report", cells_of("a,b"))]), "encrypted", "password"),
        ("encrypted.xlsx", pack::compound_with("/EncryptedPackage", &bytes), "encrypted", "password"),
        ("bomb.zip", pack::zip_of(&[good.clone(), File::deflated("zeros", &zeros)]), "bomb", "ingest.unpack"),
        ("bomb.gz", pack::gzip(None, &zeros), "bomb", "ingest.unpack"),
        ("overlapping.zip", pack::zip_of(&[first.clone(), File { shares: Some(0), ..first }]), "bomb", "overlap"),
        ("many.zip", pack::zip_of(&many), "bomb", "1001"),
        ("cut.zip", whole[..whole.len() - 40].to_vec(), "broken_container", "deliver it once more"),
        ("cut.gz", zipped[..zipped.len() / 2].to_vec(), "broken_container", "cut short"),
        ("cut.xlsx", book[..book.len() / 2].to_vec(), "broken_container", ""),
        ("cut.xls", pack::xls(&[("Main Report", cells_of("a,b"))])[..1500].to_vec(), "broken_container", ""),
        ("wrong-sum.zip", pack::zip_of(&[good.clone(), wrong]), "broken_container", "checksum"),
        ("lzma.zip", pack::zip_of(&[File { method: 14, ..good }]), "broken_container", "lzma"),
        ("nothing.zip", pack::zip(&[]), "empty", ""),
        ("blank.xlsx", pack::xlsx(&[("Main Report", vec![])]), "empty", ""),
        ("letter.docx", pack::zip(&[("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w/>")]), "not_csv", "xlsx"),
        ("letter.doc", pack::compound_with("/WordDocument", b"Dear broker"), "not_csv", ""),
    ];
    for (name, bytes, reason, told) in cases {
        refused(&world, name, &bytes, reason, told);
    }
    for table in world.json(&["tables", "--tenant", TENANT]) {
        assert_eq!(table["info"]["rows"], 0);
    }
}

#[test]
fn a_bomb_in_an_archive_stays_in_quarantine_and_the_others_go_on() {
    let world = World::new();
    let (name, bytes) = report(&corpus(), Report::Es003);
    let bomb = pack::zip(&[("zeros", &vec![0; 10 << 20])]);
    let lines = deliver(&world, "mixed.zip", &pack::zip(&[("bomb.zip", &bomb), (&name, &bytes)]), 5);
    assert_eq!((&lines[1]["quarantine"]["reason"], &lines[2]["state"]), (&"bomb".into(), &"committed".into()));
}

#[test]
fn names_in_a_container_are_shown_without_control_characters_and_cut() {
    let world = World::new();
    let bad = "../../etc/\u{1b}[2J".to_owned() + &"x".repeat(400);
    let lines = deliver(&world, "a.zip", &pack::zip(&[(&bad, b"Dear broker")]), 5);
    let name = lines[1]["delivery"]["file_name"].as_str().unwrap();
    assert!(name.starts_with("../../etc/\\u{1b}[2Jxxx") && name.chars().count() == 256, "{name}");
}

#[test]
fn limits_are_settings() {
    let world = World::new();
    let (name, bytes) = report(&corpus(), Report::Es001);
    let packed = pack::zip(&[(&name, &bytes), ("b.csv", b"a,b\n1,2\n")]);
    let file = world.file("a.zip", &packed);
    let mut command = world.command(&["--json", "ingest", "--tenant", TENANT, file.to_str().unwrap()]);
    let output = command.env("BONDED_INGEST_UNPACK_MEMBERS_MAX", "1").output().expect("it runs");
    assert_eq!(output.status.code(), Some(5));
    let lines = json_lines(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(lines[0]["quarantine"]["reason"], "bomb");
    // With the limit raised, the same file goes on from where it lies.
    let lines = deliver(&world, "a.zip", &packed, 5);
    assert_eq!((&lines[0]["state"], &lines[1]["state"]), (&"unpacked".into(), &"committed".into()));
}

#[test]
fn a_run_that_was_killed_is_gone_on_with_by_the_same_command() {
    let whole = World::new();
    let corpus = Corpus::new(random_plan(2_000)).expect("fit");
    let reports = Report::ENTRY_SUMMARIES.map(|one| report(&corpus, one));
    let files: Vec<(&str, &[u8])> = reports.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let packed = pack::zip(&files);
    let expected: Vec<Value> = deliver(&whole, "a.zip", &packed, 0).iter().map(|line| line["rows_committed"].clone()).collect();
    for wait_ms in [50, 200, 400, 700, 1_100, 1_600] {
        let world = World::new();
        let file = world.file("a.zip", &packed);
        let mut child = world.spawn(&["ingest", "--tenant", TENANT, file.to_str().unwrap()]);
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        child.kill().expect("killed, or done already");
        child.wait().expect("it ended");
        let lines = deliver(&world, "a.zip", &packed, 0);
        let rows: Vec<Value> = lines.iter().map(|line| line["rows_committed"].clone()).collect();
        assert_eq!(rows, expected, "killed after {wait_ms} ms");
        assert!(lines[0]["members"].as_array().unwrap().iter().all(|member| member["duplicate"] == false));
        let states: Vec<Value> =
            world.json(&["deliveries", "--tenant", TENANT]).iter().map(|line| line["state"].clone()).collect();
        assert_eq!(states.iter().filter(|state| *state == "committed").count(), 3, "{states:?}");
        assert_eq!(states.len(), 4, "{states:?}");
    }
}
