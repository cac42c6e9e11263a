//! The IEEPA pack on the real binary: amounts against a sum over the report's own text, upload files against a strict checker
//! written from the rules, claim details read back.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use bonded::demo::corpus::{Corpus, Layout, Plan};
use bonded_schemas::Report;
use chrono::{Duration, NaiveDate};
use serde_json::Value;

use crate::world::{OTHER, TENANT, World, random_plan};

/// A day on which phase 1 is open.
const TODAY: &str = "2026-05-04";

/// Columns that the default layout of ES-001 lacks and CAPE asks for, as a user of ACE would add them: delivered and blank.
fn with_cape_columns(mut plan: Plan) -> Plan {
    let blank = |name: &str| bonded::demo::corpus::ExtraColumn::last(name, Vec::<String>::new());
    let extra = ["Reconciliation Indicator", "Protest Number", "Protest Status"].map(blank).to_vec();
    plan.layouts.insert(Report::Es001, Layout { extra, ..Layout::default() });
    plan
}

fn cape(world: &World, more: &[&str]) -> Value {
    let mut arguments = vec!["cape", "--tenant", TENANT, "--today", TODAY];
    arguments.extend(more);
    world.json(&arguments).remove(0)
}

fn cents(text: &str) -> i64 {
    let (dollars, cents) = text.split_once('.').expect("two places");
    format!("{dollars}{cents}").parse().expect("digits")
}

fn date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%m/%d/%Y").ok()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// What an entry paid, straight from the text of ES-003: (cents within the dates, rows, rows of zero).
fn paid(es_003: &Path) -> BTreeMap<String, (i64, i64, i64)> {
    let text = std::fs::read_to_string(es_003).unwrap();
    let mut paid: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let (entered, hts, duty) = (date(cells[4]).unwrap(), cells[18], cents(cells[26]));
        let from = match hts {
            hts if hts.starts_with("990301") => "2025-02-04",
            hts if hts.starts_with("990302") => "2025-04-05",
            _ => continue,
        };
        let sums = paid.entry(cells[0].to_owned()).or_default();
        sums.0 += if entered >= day(from) && entered < day("2026-02-24") { duty } else { 0 };
        sums.1 += 1;
        sums.2 += i64::from(duty == 0);
    }
    paid
}

#[test]
fn amounts_paid_equal_a_sum_over_the_text_of_the_report_and_exemptions_count_for_nothing() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(400)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files);
    let told: BTreeMap<String, (i64, i64, i64)> = cape(&world, &[])["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            let sums = (cents(e["paid"].as_str().unwrap()), e["ieepa_rows"].as_i64(), e["ieepa_rows_without_amount"].as_i64());
            (e["entry_summary_number"].as_str().unwrap().to_owned(), (sums.0, sums.1.unwrap(), sums.2.unwrap()))
        })
        .collect();
    let expected = paid(&files[2]);
    assert_eq!(told, expected);
    assert!(expected.values().any(|(_, _, zero)| *zero > 0), "the corpus holds exemptions");
    assert!(expected.values().map(|(paid, ..)| paid).sum::<i64>() > 0);
    let without = &cape(&world, &["--phase", "2"])["entries"];
    assert_eq!(without.as_array().unwrap().len(), expected.len(), "every entry with a number is judged in every phase");
}

/// Verdicts of phase 1, reckoned here from the text of ES-001 and ES-003.
#[test]
fn upload_files_hold_exactly_the_eligible_entries_and_pass_a_strict_checker() {
    let world = World::new();
    let mut plan = with_cape_columns(random_plan(400));
    plan.first_entry_date = day("2025-02-01");
    plan.days = 420;
    let corpus = Corpus::new(plan).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files);
    let paid = paid(&files[2]);
    let (mut eligible, mut old, mut antidumping) = (BTreeSet::new(), 0, 0);
    for line in std::fs::read_to_string(&files[0]).unwrap().lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let liquidated = date(cells[10]).filter(|date| *date <= day(TODAY));
        let recent = liquidated.is_none_or(|date| day(TODAY) - date <= Duration::days(80));
        match paid.get(cells[0]) {
            Some((1.., ..)) if !recent => old += 1,
            Some((1.., ..)) if cells[1] == "03" && liquidated.is_none() => antidumping += 1,
            Some((1.., ..)) => assert!(eligible.insert(cells[0].to_owned())),
            _ => {}
        }
    }
    let out = world.path("cape");
    let pack = cape(&world, &["--out", out.to_str().unwrap()]);
    let written = checked(&out, 1);
    assert_eq!(written.get("00-1234567AA"), Some(&eligible));
    assert_eq!(written.len(), 1);
    assert!(eligible.len() > 50 && old > 0, "{} {old}", eligible.len());
    let importer = &pack["importers"][0];
    assert_eq!(importer["eligible"], eligible.len());
    let sum: i64 = eligible.iter().map(|entry| paid[entry].0).sum();
    assert_eq!(cents(importer["eligible_paid"].as_str().unwrap()), sum);
    assert_eq!(importer["cannot_tell"], antidumping);
    for entry in pack["entries"].as_array().unwrap() {
        let reasons = entry["reasons"].as_array().unwrap();
        assert_eq!(entry["verdict"] == "eligible", reasons.is_empty(), "{entry}");
        assert!(reasons.iter().all(|reason| !reason["text"].as_str().unwrap().is_empty()));
    }

    let again = world.run(&["cape", "--tenant", TENANT, "--today", TODAY, "--out", out.to_str().unwrap()]);
    assert_eq!(again.code, 2, "{}", again.stderr);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    let early = world.run(&["cape", "--tenant", TENANT, "--today", "2026-04-19", "--out", world.path("early").to_str().unwrap()]);
    assert_eq!(early.code, 2);
    assert!(early.stderr.contains("opens on 2026-04-20") && !world.path("early").exists(), "{}", early.stderr);
    let third = world.run(&["cape", "--tenant", TENANT, "--phase", "3", "--out", world.path("third").to_str().unwrap()]);
    assert!(third.code == 2 && third.stderr.contains("no known opening date"), "{}", third.stderr);
}

#[test]
fn without_the_columns_nothing_is_eligible_and_the_missing_one_is_named() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(80)).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus));
    let out = world.path("cape");
    let pack = cape(&world, &["--out", out.to_str().unwrap()]);
    assert_eq!((pack["importers"][0]["eligible"].as_u64(), pack["files"].as_array().map(Vec::len)), (Some(0), Some(0)));
    let text = world.ok(&["cape", "--tenant", TENANT, "--today", TODAY]);
    for column in ["Reconciliation Indicator", "Protest Number"] {
        assert!(text.contains(&format!("cannot tell: column {column} is missing")), "{text}");
    }
    assert!(text.contains("drawback"), "{text}");
    let unsure = cape(&world, &["--out", out.to_str().unwrap(), "--unsure"]);
    let entries: usize = checked(&out, 1).values().map(BTreeSet::len).sum();
    assert_eq!(unsure["importers"][0]["cannot_tell"], entries);
    assert!(entries > 0);
}

#[test]
fn importers_have_files_of_their_own_and_social_security_numbers_show_nowhere() {
    let world = World::new();
    let mut numbers = Vec::new();
    for (at, importer) in ["000-00-1234", "999-00-1234", "00-1234567AA"].into_iter().enumerate() {
        let mut plan = with_cape_columns(random_plan(40));
        plan.serial_first = 1_000_000 * (at as u32 + 1);
        plan.importer_number = importer.to_owned();
        plan.first_entry_date = day("2025-06-01");
        plan.days = 200;
        // Spread over one filer's numbers, they must not meet.
        plan.filer_code = format!("XZ{at}");
        let corpus = Corpus::new(plan).expect("fit");
        let files = world.corpus_files(&format!("in-{at}"), &corpus);
        numbers.extend(paid(&files[2]).into_keys());
        world.ingest(TENANT, &files);
    }
    let out = world.path("cape");
    let arguments = ["cape", "--tenant", TENANT, "--today", TODAY];
    let pack = cape(&world, &["--out", out.to_str().unwrap()]);
    let written = checked(&out, 1);
    assert_eq!(written.len(), 3, "one importer a file, though two look alike: {:?}", written.keys());
    let all: BTreeSet<&String> = written.values().flatten().collect();
    assert!(all.len() == written.values().map(BTreeSet::len).sum::<usize>() && all.iter().all(|n| numbers.contains(n)));
    let shown = format!("{pack}{}{:?}", world.ok(&arguments), std::fs::read_dir(&out).unwrap().collect::<Vec<_>>());
    assert!(shown.contains("***-**-1234") && shown.contains("xxx-xx-1234"), "{shown}");
    assert!(!shown.contains("000-00-1234") && !shown.contains("999-00-1234"));
    let config = world.file("open.toml", "[display]\nshow_ssn = true\n");
    let mut allowed = vec!["--config", config.to_str().unwrap()];
    allowed.extend(arguments);
    assert!(world.ok(&allowed).contains("000-00-1234"));
}

/// Every file of a folder against the rules of the template; answers the entries by importer as the names tell it.
fn checked(folder: &Path, phase: u8) -> BTreeMap<String, BTreeSet<String>> {
    let mut by_importer: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut parts: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    let mut everywhere = BTreeSet::new();
    for path in crate::world::files_under(folder) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let stem = name.strip_suffix(".csv").unwrap_or_else(|| panic!("the file ends in .csv: {name}"));
        let stem = stem.strip_prefix(&format!("cape-phase-{phase}_importer-")).unwrap_or_else(|| panic!("{name}"));
        let (importer, part) = stem.rsplit_once("_part-").unwrap();
        let (place, shown) = importer.split_once('_').unwrap();
        assert!(!bonded_schemas::importer_number::is_ssn_form(shown), "{name}");
        let (part, of) = part.split_once("-of-").unwrap();
        parts.entry(importer.to_owned()).or_default().push((part.parse().unwrap(), of.parse().unwrap()));

        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.is_ascii(), "plain text without byte order mark: {name}");
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.ends_with("\r\n"), "every row ends: {name}");
        let rows: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(rows[0], "Entry Number", "the header is that of the template: {name}");
        assert!((1..=9_999).contains(&(rows.len() - 1)), "at most 9,999 entries, at least one: {name}");
        for row in &rows[1..] {
            let fits = row.len() == 11 && row.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
            assert!(fits, "one column of 11 letters and digits, no dash, no quote, no blank: `{row}`");
            assert!(everywhere.insert((*row).to_owned()), "no entry twice, in no two files: {row}");
            let key = if shown.starts_with("xxx") { format!("{place}_{shown}") } else { shown.to_owned() };
            by_importer.entry(key).or_default().insert((*row).to_owned());
        }
    }
    for (importer, mut found) in parts {
        found.sort_unstable();
        let of = found.len();
        assert_eq!(found, (1..=of).map(|part| (part, of)).collect::<Vec<_>>(), "all parts of importer {importer}");
    }
    by_importer
}

#[test]
fn claim_details_are_read_back_with_the_status_and_the_amount_of_each_entry() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(200)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files);
    let paid = paid(&files[2]);
    let ours: Vec<&String> = paid.keys().take(2).collect();
    let csv = format!(
        "\u{feff}ENTRY_NUMBER,CLAIM_NUMBER,STATUS,ERROR_DESCRIPTION\r\n=\"{}\",=\"CAPE-1\",\"Entry Summary Updated\",\r\n=\"{}\",=\"CAPE-1\",Failed,\"PROTEST ON ENTRY, SEE ACE\"\r\n=\"QQ100000017\",=\"CAPE-1\",Failed,INVALID HTS\r\n",
        ours[0], ours[1]
    );
    let file = world.file("claims.csv", csv);
    let claims = world.json(&["cape", "read", "--tenant", TENANT, file.to_str().unwrap()]);
    let told: Vec<_> = claims
        .iter()
        .map(|c| (c["entry_number"].as_str().unwrap(), c["status"].as_str().unwrap(), c["known"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        told,
        [(ours[0].as_str(), "Entry Summary Updated", true), (ours[1].as_str(), "Failed", true), ("QQ100000017", "Failed", false)]
    );
    assert_eq!(cents(claims[0]["paid"].as_str().unwrap()), paid[ours[0]].0);
    assert_eq!(claims[1]["error_description"], "PROTEST ON ENTRY, SEE ACE");
    assert_eq!(claims[1]["line"], 3);
    let of_other = world.json(&["cape", "read", "--tenant", OTHER, file.to_str().unwrap()]);
    assert!(of_other.iter().all(|c| c["known"] == false), "another tenant's tables know nothing of these");
    let wrong = world.run(&["cape", "read", "--tenant", TENANT, files[0].to_str().unwrap()]);
    assert!(wrong.code == 2 && wrong.stderr.contains("CLAIM_NUMBER"), "{}", wrong.stderr);
}

const CLAIMS: &str = "ENTRY_NUMBER,CLAIM_NUMBER,STATUS,ERROR_DESCRIPTION";

#[test]
fn claim_details_are_delivered_like_any_report_and_stand_beside_what_was_paid() {
    let world = World::new();
    let corpus = Corpus::new(with_cape_columns(random_plan(200))).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files);
    let out = world.path("first");
    cape(&world, &["--out", out.to_str().unwrap(), "--unsure"]);
    let before: BTreeSet<String> = checked(&out, 1).into_values().flatten().collect();
    let ours: Vec<&String> = before.iter().take(3).collect();
    let row = |entry: &str, status: &str, why: &str| format!("=\"{entry}\",=\"CAPE-1\",\"{status}\",{why}\r\n");
    let first = [
        row(ours[0], "Failed", "\"PROTEST ON ENTRY, SEE ACE\""),
        row(ours[1], "Failed", "INVALID HTS"),
        row("QQ100000017", "Failed", "INVALID HTS"),
    ];
    let file = world.file("claims/one.csv", format!("\u{feff}{CLAIMS}\r\n{}", first.concat()));
    let receipt = &world.ingest(TENANT, std::slice::from_ref(&file))[0];
    assert_eq!((receipt["state"].as_str(), receipt["report"].as_str()), (Some("committed"), Some("CAPE-CLAIMS")), "{receipt}");
    assert_eq!((receipt["rows_committed"].as_u64(), receipt["drift"]["findings"].as_array().unwrap().len()), (Some(3), 0));
    let again = &world.ingest(TENANT, &[file])[0];
    assert_eq!(again["delivery"]["id"], receipt["delivery"]["id"], "the same file twice is one delivery");

    // Later, one of them was taken; a column was added and one renamed.
    let header = "ENTRY_NUMBER,CLAIM_NUMBER,Status,ERROR_DESCRIPTION,PROCESSED";
    let second = [format!("={q}{}{q},={q}CAPE-1{q},Entry Summary Updated,,07/01/2026\r\n", ours[1], q = '"')];
    let file = world.file("claims/two.csv", format!("{header}\r\n{}", second.concat()));
    let receipt = &world.ingest(TENANT, &[file])[0];
    assert_eq!(receipt["state"], "committed", "{receipt}");
    assert_eq!(world.ask(TENANT, "SELECT count(*) AS rows FROM cape_claim_details")["rows"], 4);
    let now = "SELECT entry_summary_number, status, error_description, _line, _rescued['PROCESSED'] AS processed FROM cape_claims ORDER BY 1";
    let now = world.json(&["query", "--tenant", TENANT, now]);
    let found: BTreeMap<&str, (&str, i64)> = now
        .iter()
        .map(|r| (r["entry_summary_number"].as_str().unwrap(), (r["status"].as_str().unwrap(), r["_line"].as_i64().unwrap())))
        .collect();
    let expected = [(ours[0].as_str(), ("Failed", 2)), (ours[1], ("Entry Summary Updated", 2)), ("QQ100000017", ("Failed", 4))];
    assert_eq!(found, BTreeMap::from(expected), "current truth by entry and claim");
    assert_eq!(now.iter().filter(|r| r["processed"] == "07/01/2026").count(), 1, "no cell is dropped");
    let drift = world.ok(&["drift", "--tenant", TENANT]);
    assert!(drift.contains("CAPE-CLAIMS") && drift.contains("PROCESSED"), "{drift}");

    let out = world.path("second");
    let pack = cape(&world, &["--out", out.to_str().unwrap(), "--unsure"]);
    let entries = pack["entries"].as_array().unwrap();
    let of = |number: &str| entries.iter().find(|e| e["entry_summary_number"] == number).unwrap();
    assert_eq!(of(ours[0])["claims"][0]["error_description"], "PROTEST ON ENTRY, SEE ACE");
    assert_eq!((of(ours[1])["claims"][0]["state"].as_str(), of(ours[2])["claims"].as_array().unwrap().len()), (Some("taken"), 0));
    assert_eq!(pack["claims_of_others"]["QQ100000017"][0]["state"], "failed");
    let after: BTreeSet<String> = checked(&out, 1).into_values().flatten().collect();
    let left_out: Vec<&String> = before.difference(&after).collect();
    assert_eq!(left_out, [ours[1]], "what was taken is not claimed again, what failed may be");
    let text = world.ok(&["cape", "--tenant", TENANT, "--today", TODAY]);
    assert!(text.contains("Entry Summary Updated") && text.contains("INVALID HTS"), "{text}");

    let attested = world.json(&["attest", "--tenant", TENANT]);
    let verdicts: Vec<&str> = attested.iter().map(|a| a["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["agrees"; 5], "{attested:?}");
    assert!(world.ok(&["tables", "--tenant", TENANT]).contains("cape_claim_details"));
    assert_eq!(world.json(&["score", "--tenant", TENANT]).len(), 5);
}

#[test]
fn claim_details_without_their_entry_numbers_wait_in_quarantine() {
    let world = World::new();
    let file = world.file("claims.csv", "CLAIM_NUMBER,STATUS,ERROR_DESCRIPTION\nCAPE-1,Failed,INVALID HTS\n");
    let output = world.run(&["--json", "ingest", "--tenant", TENANT, file.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("quarantined"), "{}", output.stderr);
    assert!(world.json(&["query", "--tenant", TENANT, "SELECT * FROM cape_claims"]).is_empty());
}
