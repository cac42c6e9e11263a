//! Drift: new, renamed and missing columns never stop a file, and what a person accepts is filled from what was kept.

use bonded::demo::corpus::{Corpus, ExtraColumn, Layout};
use bonded_schemas::Report;
use serde_json::json;

use crate::world::{TENANT, World, csv, random_plan};

const FEE: &str = "Special Program Fee";

fn with_layout(layout: Layout) -> Corpus {
    let mut plan = random_plan(24);
    plan.layouts.insert(Report::Es003, layout);
    Corpus::new(plan).expect("fit")
}

fn with_fee() -> Corpus {
    with_layout(Layout { extra: vec![ExtraColumn::last(FEE, ["1.25", "", "n/a"])], ..Layout::default() })
}

fn drift_alerts(world: &World) -> Vec<serde_json::Value> {
    world.json(&["drift", "--tenant", TENANT]).into_iter().filter(|alert| alert["alert"] == "drift").collect()
}

#[test]
fn an_unknown_column_is_queryable_at_once_and_raises_one_alert_per_header() {
    let world = World::new();
    for n in 0..3 {
        let file = world.file(&format!("{n}.csv"), csv(&with_fee(), Report::Es003));
        world.ingest(TENANT, &[file]);
    }
    let kept = world.ask(TENANT, &format!("SELECT count(*) AS n FROM es_003 WHERE _rescued['{FEE}'] IS NOT NULL"));
    let rows = world.ask(TENANT, "SELECT count(*) AS n FROM es_003");
    assert!(kept["n"].as_u64().unwrap() > rows["n"].as_u64().unwrap() / 2, "{kept} of {rows}");
    let alerts = drift_alerts(&world);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((&alerts[0]["deliveries"], &alerts[0]["state"]), (&json!(3), &json!("open")));
    assert!(alerts[0]["drift"]["findings"].as_array().unwrap().iter().any(|f| f["kind"] == "added" && f["column"] == FEE));
}

#[test]
fn an_accepted_column_joins_the_table_and_earlier_rows_are_filled() {
    let world = World::new();
    let file = world.file("before.csv", csv(&with_fee(), Report::Es003));
    world.ingest(TENANT, &[file]);
    let count =
        |filter: &str| world.ask(TENANT, &format!("SELECT count(*) AS n FROM es_003 WHERE {filter}"))["n"].as_u64().unwrap();
    let (fees, others) = (count(&format!("_rescued['{FEE}'] = '1.25'")), count(&format!("_rescued['{FEE}'] = 'n/a'")));
    let before = world.ask(TENANT, "SELECT count(*) AS n, CAST(sum(line_tariff_duty_amount) AS VARCHAR) AS duty FROM es_003");
    assert!(fees > 0 && others > 0);

    let fingerprint = drift_alerts(&world)[0]["fingerprint"].as_str().unwrap().to_owned();
    let column = format!("{FEE}=money");
    let accepted = world.json(&["drift", "accept", "--tenant", TENANT, &fingerprint[..12], "--column", &column]).remove(0);
    assert_eq!(accepted["added"], json!([FEE]));
    assert!(accepted["snapshot_id"].is_i64());

    let after = world.ask(TENANT, "SELECT count(*) AS n, CAST(sum(line_tariff_duty_amount) AS VARCHAR) AS duty FROM es_003");
    assert_eq!(before, after, "accepting a column changed other values");
    let sum = world.ask(TENANT, "SELECT CAST(sum(special_program_fee) AS VARCHAR) AS s FROM es_003");
    assert_eq!(sum["s"], json!(format!("{}.{:02}", fees * 125 / 100, fees * 125 % 100)));
    // What does not read as money stays kept as text; what does has moved.
    assert_eq!(count(&format!("_rescued['{FEE}'] = 'n/a'")), others);
    assert_eq!(count(&format!("_rescued['{FEE}'] = '1.25'")), 0);
    assert_eq!(drift_alerts(&world)[0]["state"], "accepted");

    // Later files bind the column by the mapping, and raise nothing new.
    let file = world.file("after.csv", csv(&with_fee(), Report::Es003));
    let receipt = world.ingest(TENANT, &[file]).remove(0);
    let findings = receipt["drift"]["findings"].as_array().unwrap();
    assert!(!findings.iter().any(|f| f["kind"] == "added"), "{findings:?}");
    assert!(count("special_program_fee IS NOT NULL") > fees);
    // Accepting again goes on from where things are.
    world.json(&["drift", "accept", "--tenant", TENANT, &fingerprint, "--column", &column]);
    assert_eq!(count("special_program_fee IS NOT NULL AND special_program_fee <> 1.25"), 0);
}

#[test]
fn an_accepted_rename_fills_the_column_it_stands_for() {
    let world = World::new();
    let renamed = vec![("Line Tariff Duty Amount".to_owned(), "Duty Charged In Dollars".to_owned())];
    let corpus = with_layout(Layout { renamed, ..Layout::default() });
    let receipt = world.ingest(TENANT, &[world.file("renamed.csv", csv(&corpus, Report::Es003))]).remove(0);
    assert_eq!(receipt["state"], "committed", "{receipt}");
    let findings = receipt["drift"]["findings"].as_array().unwrap();
    assert!(
        findings.iter().any(|f| f["kind"] == "missing" && f["uses"].as_array().unwrap().contains(&json!("tie-out"))),
        "{findings:?}"
    );
    let sum = || world.ask(TENANT, "SELECT CAST(sum(line_tariff_duty_amount) AS VARCHAR) AS s FROM es_003")["s"].clone();
    assert!(sum().is_null());
    let fingerprint = drift_alerts(&world)[0]["fingerprint"].as_str().unwrap().to_owned();
    world.ok(&[
        "drift",
        "accept",
        "--tenant",
        TENANT,
        &fingerprint,
        "--rename",
        "Duty Charged In Dollars=Line Tariff Duty Amount",
    ]);
    let (_, cents) = corpus.es_003_totals_cents();
    assert_eq!(sum(), json!(format!("{}.{:02}", cents / 100, cents % 100)));
}

#[test]
fn preamble_other_delimiters_recasing_and_reordering_are_read_and_remarked_on() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(12)).expect("fit");
    let plain = String::from_utf8(csv(&corpus, Report::Es003)).unwrap();
    let rows = plain.lines().count() as u64 - 1;
    let (header, body) = plain.split_once('\n').unwrap();
    let preamble = format!("ES-003 Entry Summary Line Tariff Details\nRun date: 10/15/2026\n\n{plain}");
    let tabs = plain.replace(',', "\t");
    let recased = format!("{}\n{body}", header.to_uppercase());
    let marked = format!("\u{feff}{plain}");
    for (name, text, kind) in
        [("preamble.csv", preamble, "preamble"), ("tabs.txt", tabs, "delimiter"), ("recased.csv", recased, "recased")]
    {
        let receipt = world.ingest(TENANT, &[world.file(name, text)]).remove(0);
        assert_eq!(receipt["rows_committed"], rows, "{name}: {receipt}");
        let findings = receipt["drift"]["findings"].as_array().unwrap();
        assert!(findings.iter().any(|f| f["kind"] == kind), "{name}: {findings:?}");
    }
    let receipt = world.ingest(TENANT, &[world.file("marked.csv", marked)]).remove(0);
    assert_eq!(receipt["rows_committed"], rows);
    // Four deliveries of the same rows: the current view shows them once.
    let counted =
        world.ask(TENANT, "SELECT (SELECT count(*) FROM es_003) AS history, (SELECT count(*) FROM tariff_lines) AS now");
    assert_eq!((&counted["history"], &counted["now"]), (&json!(4 * rows), &json!(rows)));
}

#[test]
fn a_file_quarantined_for_a_missing_grain_column_is_replayed_once_the_column_is_named() {
    let world = World::new();
    let renamed = vec![("Tariff Ordinal Number".to_owned(), "Seq".to_owned())];
    let corpus = with_layout(Layout { renamed, ..Layout::default() });
    let rows = corpus.write(Report::Es003, &mut std::io::sink()).expect("written").rows;
    let file = world.file("seq.csv", csv(&corpus, Report::Es003));
    let run = world.run(&["--json", "ingest", "--tenant", TENANT, file.to_str().unwrap()]);
    assert_eq!(run.code, 5);
    let alert =
        world.json(&["drift", "--tenant", TENANT]).into_iter().find(|alert| alert["alert"] == "quarantine").expect("raised");
    assert_eq!(alert["quarantine"]["reason"], "grain_missing");
    let fingerprint = alert["fingerprint"].as_str().unwrap();
    // A rename that does not mend it is not kept.
    let wrong =
        world.run(&["drift", "accept", "--tenant", TENANT, fingerprint, "--rename", "Textile Category=Tariff Ordinal Number"]);
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    world.ok(&["drift", "accept", "--tenant", TENANT, fingerprint, "--rename", "Seq=Tariff Ordinal Number"]);
    assert_eq!(world.ask(TENANT, "SELECT count(tariff_ordinal_number) AS n FROM es_003")["n"], json!(rows));
    let deliveries = world.json(&["deliveries", "--tenant", TENANT]);
    assert_eq!((deliveries.len(), &deliveries[0]["state"]), (1, &json!("committed")));
    // The same bytes again are known, and the next file of that header needs no decision.
    assert_eq!(world.ingest(TENANT, &[file])[0]["duplicate"], json!(true));
}

#[test]
fn reports_in_their_default_layout_raise_no_alert() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(600)).expect("fit");
    let receipts = world.ingest(TENANT, &world.corpus_files("in", &corpus));
    for receipt in receipts {
        assert_eq!(receipt["drift"]["findings"], json!([]), "{}", receipt["report"]);
        assert_eq!(receipt["warnings"], json!([]), "{}", receipt["report"]);
    }
    assert!(drift_alerts(&world).is_empty());
}
