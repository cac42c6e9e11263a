//! The library through the console: a user's own checks, parameters, reports, rules that a lake adds.

use bonded::demo::corpus::{Corpus, Plan};

use crate::world::{TENANT, World, random_plan};

const LARGE: &str = "-- Which entries are large?\n-- Finance asks; large ones are looked at twice.\n-- severity: info\n\
    -- rule: house rule\n-- needs: entry_summaries.total_goods_value_amount\n-- evidence: entry_summaries entry\n\
    -- param: least money = 999999999.00; what is large\n\
    SELECT entry_summary_number, NULL AS entry_summary_line_number, $least AS expected, total_goods_value_amount AS actual,\n\
    NULL AS not_judged FROM entry_summaries WHERE total_goods_value_amount > $least ORDER BY 1\n";

fn with_corpus(corpus: &Corpus) -> World {
    let world = World::new();
    world.ingest(TENANT, &world.corpus_files("in", corpus));
    world
}

fn config(world: &World) -> String {
    let folder = world.path("checks");
    world.file("bonded.toml", format!("[query]\nchecks_dir = {:?}\n", folder.display().to_string())).display().to_string()
}

#[test]
fn a_users_own_checks_are_run_and_can_do_no_harm() {
    let world = with_corpus(&Corpus::new(random_plan(40)).expect("fit"));
    world.file("checks/large.sql", LARGE);
    world.file("checks/drop.sql", LARGE.replace("SELECT", "DROP TABLE es_003; SELECT"));
    world.file("checks/lost.sql", LARGE.replace("FROM entry_summaries", "FROM '/etc/passwd'"));
    world.file("checks/notes.txt", "not a check");
    let config = config(&world);
    let own = ["--config", &config, "--json", "reconcile", "--tenant", TENANT, "--check", "user.large"];
    let rows = world.ask(TENANT, "SELECT count(*) AS n FROM es_003");
    assert!(world.ok(&own).is_empty(), "no file holds so large a value, and that is an answer");
    let found = world.ok(&[&own[..], &["--param", "least=0.00"]].concat());
    assert_eq!(found.lines().count(), 40);
    let one: serde_json::Value = serde_json::from_str(found.lines().next().expect("a finding")).expect("JSON");
    assert_eq!((&one["check"], &one["severity"], &one["expected"]), (&"user.large".into(), &"info".into(), &"0.00".into()));
    assert_eq!(one["lines"].as_array().map(Vec::len), Some(1), "an own check's findings have their rows, too");
    for (name, said) in [("user.drop", "more than one statement"), ("user.lost", "not found")] {
        let run =
            world.run(&["--config", &config, "--json", "reconcile", "--tenant", TENANT, "--check", name, "--check", "line_duty"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stderr.contains(name) && run.stderr.contains(said), "{}", run.stderr);
    }
    assert_eq!(world.ask(TENANT, "SELECT count(*) AS n FROM es_003"), rows);
    let run = world.run(&[&own[..], &["--param", "least=much"]].concat());
    assert_eq!(run.code, 2, "{}", run.stderr);
    let run = world.run(&[&own[..], &["--param", "most=1"]].concat());
    assert!(run.code == 2 && run.stderr.contains("user.large.least"), "{}", run.stderr);
}

#[test]
fn a_malformed_check_stops_the_run_before_it_begins_and_is_named() {
    let world = World::new();
    world.file("checks/large.sql", LARGE.replace("severity: info", "severity: grave"));
    let config = config(&world);
    for command in [&["checks"][..], &["reconcile", "--tenant", TENANT]] {
        let run = world.run(&[&["--config", config.as_str()][..], command].concat());
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains("`user.large`, line 3") && run.stderr.contains("info, warning or error"), "{}", run.stderr);
    }
}

#[test]
fn checks_and_reports_are_listed_and_each_report_answers() {
    let world = with_corpus(&Corpus::new(random_plan(60)).expect("fit"));
    let questions = world.json(&["checks"]);
    let of = |topic: &str| questions.iter().filter(|question| question["topic"] == topic).collect::<Vec<_>>();
    let checks = of("reconcile");
    assert!(checks.len() >= 24 && checks.iter().all(|check| check["check"]["rule"].is_string()));
    let counts = ["audit", "history", "deadlines", "cape"].map(|topic| of(topic).len());
    assert_eq!(counts, [7, 9, 1, 2]);
    let listed = world.ok(&["checks"]);
    for (question, kind) in [("line_mpf", "check"), ("vanished", "history"), ("entry_facts", "deadlines"), ("ieepa_paid", "cape")]
    {
        assert!(listed.lines().any(|line| line.contains(question) && line.contains(kind)), "{question}: {listed}");
    }
    assert!(world.ok(&["checks", "vanished"]).contains("SELECT"));
    assert!(world.ok(&["checks", "line_mpf"]).contains("19 CFR 24.23(b)(1)(i)(A)"));
    let reports = world.json(&["report"]);
    for report in &reports {
        let name = report["id"].as_str().expect("an id");
        let run = world.run(&["report", "--tenant", TENANT, name]);
        assert_eq!(run.code, 0, "{name}: {}", run.stderr);
    }
    assert_eq!(reports.len(), 7);
    let months = world.json(&["report", "--tenant", TENANT, "statement_months"]);
    let entries: u64 = months.iter().map(|month| month["entries"].as_u64().expect("a count")).sum();
    assert_eq!(entries, 60);
    assert_eq!(world.run(&["report", "statement_months"]).code, 2, "a report is of one tenant");
}

/// All entries are dated in a fiscal year whose bounds are not public; the figures added here are made up.
#[test]
fn a_year_without_rule_is_judged_once_its_rule_is_added() {
    let mut plan = Plan::new(7, 60);
    plan.first_entry_date = "2026-10-01".parse().expect("a date");
    plan.days = 300;
    let world = with_corpus(&Corpus::new(plan).expect("fit"));
    let clamp = ["--json", "reconcile", "--tenant", TENANT, "--check", "entry_mpf_clamp"];
    let run = world.run(&clamp);
    assert!(run.stdout.is_empty() && run.stderr.contains("no rule for this date"), "{}", run.stderr);
    let add = |minimum: &str| {
        let to = ["--maximum", "667.79", "--mark", "G", "--source", "made up, as the corpus has it"];
        world.run(&[&["rules", "add", "mpf", "--from", "2026-10-01", "--minimum", minimum][..], &to].concat())
    };
    assert_eq!(add("34.41").code, 0);
    let run = world.run(&clamp);
    assert!(run.stdout.is_empty() && !run.stderr.contains("no rule for this date"), "{}", run.stderr);
    assert_eq!(add("34.41").code, 0, "the same again changes nothing");
    assert_eq!(add("35.00").code, 3, "other figures for the same day are refused");
    let own: Vec<_> = world.json(&["rules", "list", "mpf"]).into_iter().filter(|rule| rule["own"] == true).collect();
    assert_eq!((own.len(), &own[0]["value"], &own[0]["until"]), (1, &"34.41 to 667.79".into(), &"2027-10-01".into()));
}

#[test]
fn a_question_whose_every_file_is_pruned_has_no_rows_and_no_error() {
    let world = with_corpus(&Corpus::new(random_plan(20)).expect("fit"));
    for sql in [
        "SELECT * FROM entry_summaries WHERE total_goods_value_amount > 99999999999.00",
        "SELECT * FROM entry_lines WHERE entry_summary_number IN ('ZZZ99999999')",
        "SELECT * FROM tariff_lines WHERE entry_summary_number = 'ZZZ99999999' ORDER BY 1",
    ] {
        assert!(world.json(&["query", "--tenant", TENANT, sql]).is_empty(), "{sql}");
    }
}
