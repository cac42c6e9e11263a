//! The tie-out names exactly what was planted: no more, no less, on seeds chosen at random and printed.

use bonded::demo::corpus::{Corpus, Discrepancy, Expected, Plan};
use serde_json::Value;

use crate::world::{TENANT, World, random_plan};

pub fn named(finding: &Value) -> Expected {
    let text = |key: &str| finding[key].as_str().map(str::to_owned);
    let line = finding["entry_summary_line_number"].as_i64().map(|line| line as i32);
    let (check, entry) = (text("check").expect("a check"), text("entry_summary_number").expect("an entry"));
    Expected::found(&check, &entry, line, text("expected"), text("actual"))
}

/// What the checks name, and what was planted; no finding is named twice.
fn found_and_planted(plan: Plan) -> (Vec<Expected>, Vec<Expected>) {
    let world = World::new();
    let corpus = Corpus::new(plan).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus));
    let mut found: Vec<Expected> = world.json(&["reconcile", "--tenant", TENANT]).iter().map(named).collect();
    found.sort();
    (found, corpus.expected_findings())
}

#[test]
fn exactly_the_planted_discrepancies_are_named() {
    for _ in 0..2 {
        let (found, planted) = found_and_planted(random_plan(250).planting(3));
        assert_eq!(planted.len(), 27, "three of each of nine kinds");
        assert_eq!(found, planted);
    }
}

#[test]
fn exactly_what_was_planted_for_the_other_checks_is_named() {
    for _ in 0..2 {
        let (found, planted) = found_and_planted(random_plan(250).planting(1).planting_of(&Discrepancy::REVIEW, 3));
        for kind in Discrepancy::REVIEW {
            assert_eq!(planted.iter().filter(|finding| finding.check == kind.check()).count(), 3, "{kind:?}");
        }
        assert_eq!(found, planted);
    }
}

#[test]
fn what_is_unlike_the_rest_of_its_product_is_named_and_nothing_else() {
    let plan = random_plan(2500).planting_of(&Discrepancy::OF_CROWDS, 3).planting_of(&Discrepancy::REVIEW, 1);
    let (found, planted) = found_and_planted(plan);
    for kind in Discrepancy::OF_CROWDS {
        assert_eq!(planted.iter().filter(|finding| finding.check == kind.check()).count(), 3, "{kind:?}");
    }
    assert_eq!(found, planted);
}

#[test]
fn each_finding_is_traced_to_deliveries_and_lines() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(60).planting(1)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    let receipts = world.ingest(TENANT, &files);
    let findings = world.json(&["reconcile", "--tenant", TENANT]);
    assert_eq!(findings.len(), 9);
    for finding in findings {
        let entry = finding["entry_summary_number"].as_str().expect("an entry");
        let deliveries = finding["delivery_ids"].as_array().expect("a list");
        let lines = finding["lines"].as_array().expect("a list");
        assert!(!lines.is_empty() && deliveries.len() == lines.len(), "{finding}");
        for (delivery, line) in deliveries.iter().zip(lines) {
            let at = receipts.iter().position(|receipt| &receipt["delivery"]["id"] == delivery).expect("one of ours");
            let text = std::fs::read_to_string(&files[at]).unwrap();
            let line = text.lines().nth(line.as_u64().unwrap() as usize - 1).expect("inside the file");
            assert!(line.starts_with(entry), "{finding}: {line}");
        }
    }
}

#[test]
fn clean_reports_have_no_finding_and_one_check_can_be_asked_alone() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(80)).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus));
    assert!(world.json(&["reconcile", "--tenant", TENANT]).is_empty());
    assert!(world.json(&["reconcile", "--tenant", TENANT, "--check", "line_duty"]).is_empty());
    let run = world.run(&["reconcile", "--tenant", TENANT, "--check", "line_dooty"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("line_dooty"), "{}", run.stderr);
}

#[test]
fn a_report_that_never_came_makes_checks_not_judged_rather_than_a_flood() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(30)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files[2..]);
    let run = world.run(&["--json", "reconcile", "--tenant", TENANT]);
    assert_eq!((run.code, run.stdout.len()), (0, 0), "{}", String::from_utf8_lossy(&run.stdout));
    for check in ["line_value", "entry_duty", "entry_mpf_clamp", "missing_in_es_001", "missing_in_es_002"] {
        assert!(run.stderr.lines().any(|line| line.starts_with(check) && line.contains("not judged")), "{check}: {}", run.stderr);
    }
}
