use super::*;
use crate::entry_facts::{Ieepa, TextColumn};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Entered and liquidated on these days, with all columns that the rules look at delivered and blank.
fn entry(entered: &str, liquidated: Option<&str>) -> EntryFacts {
    let mut facts = EntryFacts::new("XZ910000013");
    facts.delivered = std::sync::Arc::new(
        DateColumn::ALL.map(DateColumn::field).into_iter().chain(TextColumn::ALL.map(TextColumn::field)).collect(),
    );
    facts.set_date(DateColumn::EntryDate, Some(day(entered)));
    facts.set_date(DateColumn::LiquidationDate, liquidated.map(day));
    facts.duty = Some((123_456, "ES-001 Total Duty Amount"));
    facts
}

fn find(facts: &EntryFacts, today: &str, kind: &str) -> Option<Deadline> {
    deadlines(RuleBook::builtin(), facts, day(today)).into_iter().find(|deadline| deadline.kind == kind)
}

#[test]
fn a_protest_runs_180_days_from_liquidation_and_rolls_apart_from_its_raw_date() {
    // 2026-01-05 + 180 days is Saturday 2026-07-04; Independence Day is kept on Friday the 3rd, so Monday is the next open day.
    let facts = entry("2025-02-24", Some("2026-01-05"));
    let protest = find(&facts, "2026-07-01", "protest").unwrap();
    assert_eq!((protest.raw_date, protest.rolled_date), (Some(day("2026-07-04")), Some(day("2026-07-06"))));
    assert_eq!(protest.rolled_over, ["Saturday", "Sunday"]);
    assert_eq!((protest.state, protest.days_left), (State::Open, Some(3)));
    assert_eq!(protest.basis.as_deref(), Some("180 days after Liquidation Date 2026-01-05"));
    assert_eq!((protest.duty_at_stake.as_deref(), protest.duty_from), (Some("1234.56"), Some("ES-001 Total Duty Amount")));
    assert!(protest.source.contains("1514"));
    assert_eq!(find(&facts, "2026-07-04", "protest").unwrap().state, State::Open, "the last day counts");
    assert_eq!(find(&facts, "2026-07-06", "protest").unwrap().state, State::OpenIfRolled);
    assert_eq!(find(&facts, "2026-07-07", "protest").unwrap().state, State::Expired);
}

#[test]
fn an_entry_of_before_december_2004_had_90_days_to_protest() {
    assert_eq!(
        find(&entry("2004-12-17", Some("2005-10-28")), "2006-01-01", "protest").unwrap().raw_date,
        Some(day("2006-01-26"))
    );
    assert_eq!(
        find(&entry("2004-12-18", Some("2005-10-28")), "2006-01-01", "protest").unwrap().raw_date,
        Some(day("2006-04-26"))
    );
}

#[test]
fn a_correction_ends_at_the_earlier_of_entry_plus_300_and_liquidation_minus_15() {
    let psc = |entered, liquidated, today| find(&entry(entered, liquidated), today, "psc").unwrap();
    let early = psc("2025-06-01", Some("2026-04-03"), "2026-01-01");
    assert_eq!(early.raw_date, Some(day("2026-03-19")), "15 days before the scheduled liquidation");
    assert_eq!(early.basis.as_deref(), Some("15 days before Liquidation Date 2026-04-03"));
    assert!(early.remarks.iter().any(|remark| remark.contains("scheduled for 2026-04-03")));
    let late = psc("2025-06-01", Some("2026-05-29"), "2026-01-01");
    assert_eq!(late.raw_date, Some(day("2026-03-28")), "300 days from entry");
    assert_eq!(late.raw_date, late.rolled_date, "a Saturday: corrections do not roll");
    let unscheduled = psc("2025-06-01", None, "2026-01-01");
    assert_eq!(unscheduled.raw_date, Some(day("2026-03-28")));
    assert!(unscheduled.remarks[0].contains("15 days before Liquidation Date"), "{:?}", unscheduled.remarks);
    assert_eq!(psc("2016-06-01", None, "2016-12-01").raw_date, Some(day("2017-02-26")), "270 days before 2017-01-14");
}

#[test]
fn a_correction_of_an_extended_entry_is_not_judged() {
    let mut facts = entry("2025-06-01", None);
    facts.set_text(TextColumn::LiquidationStatus, Some("EXTENDED".into()));
    let psc = find(&facts, "2026-01-01", "psc").unwrap();
    assert_eq!((psc.state, psc.raw_date), (State::NotJudged, None));
    assert!(psc.why.unwrap().contains("84 FR 40430"));
}

#[test]
fn a_reconciliation_runs_for_flagged_entries_until_its_type_09_is_filed() {
    let mut facts = entry("2025-06-01", None);
    facts.set_date(DateColumn::EntrySummaryDate, Some(day("2025-06-12")));
    facts.set_date(DateColumn::ImportationDate, Some(day("2025-02-28")));
    assert!(find(&facts, "2026-01-01", "reconciliation_other").is_none(), "not flagged");
    facts.set_text(TextColumn::ReconciliationIndicator, Some("Y".into()));
    facts.set_text(TextColumn::NaftaReconciliationIndicator, Some("y".into()));
    assert_eq!(find(&facts, "2026-01-01", "reconciliation_other").unwrap().raw_date, Some(day("2027-03-12")));
    assert_eq!(find(&facts, "2026-01-01", "reconciliation_fta").unwrap().raw_date, Some(day("2026-02-28")));
    facts.set_date(DateColumn::ReconciliationOtherDueDate, Some(day("2027-01-04")));
    let stated = find(&facts, "2026-01-01", "reconciliation_other").unwrap();
    assert_eq!(stated.raw_date, Some(day("2027-01-04")));
    assert!(stated.basis.unwrap().contains("as CBP states it"));
    facts.set_text(TextColumn::ReconciliationOtherEntrySummaryNumber, Some("XZ990000097".into()));
    assert!(find(&facts, "2026-01-01", "reconciliation_other").is_none());
}

#[test]
fn a_missing_column_makes_a_deadline_not_judged_and_is_named_while_a_blank_one_only_does_not_run() {
    let blank = entry("2025-06-01", None);
    assert!(find(&blank, "2026-01-01", "protest").is_none(), "not liquidated");
    let mut facts = entry("2025-06-01", None);
    facts.delivered = std::sync::Arc::default();
    for (kind, column) in [
        ("protest", "Liquidation Date"),
        ("voluntary_reliquidation", "Liquidation Date"),
        ("reconciliation_other", "Reconciliation Indicator"),
        ("reconciliation_fta", "NAFTA Reconciliation Indicator"),
    ] {
        let deadline = find(&facts, "2026-01-01", kind).unwrap();
        assert_eq!(deadline.state, State::NotJudged);
        assert!(deadline.why.unwrap().contains(&format!("column {column} was not delivered")), "{kind}");
    }
    facts.set_date(DateColumn::EntryDate, None);
    let all = deadlines(RuleBook::builtin(), &facts, day("2026-01-01"));
    assert_eq!(all.iter().filter(|deadline| deadline.kind == "protest").count(), 1, "told once, not once a rule");
}

#[test]
fn cape_takes_an_entry_that_paid_for_80_days_from_liquidation() {
    let mut facts = entry("2025-06-01", Some("2026-04-17"));
    facts.set_text(TextColumn::EntryTypeCode, Some("01".into()));
    facts.set_text(TextColumn::ImporterNumber, Some("00-1234567AA".into()));
    facts.set_text(TextColumn::LiquidationStatus, Some("Liquidated".into()));
    assert!(find(&facts, "2026-06-01", "cape_phase_1").is_none(), "nothing was paid");
    facts.ieepa = Ieepa { paid_cents: 5_000, rows: 1, ..Ieepa::default() };
    let cape = find(&facts, "2026-06-01", "cape_phase_1").unwrap();
    assert_eq!((cape.raw_date, cape.duty_at_stake.as_deref()), (Some(day("2026-07-06")), Some("50.00")));
    assert!(cape.remarks.is_empty() && find(&facts, "2026-06-01", "cape_phase_2").is_none(), "not flagged");
    let mut unknown = facts.clone();
    unknown.delivered = std::sync::Arc::default();
    assert!(find(&unknown, "2026-06-01", "cape_phase_2").is_none(), "nobody knows whether it is flagged");
    let remarks = find(&unknown, "2026-06-01", "cape_phase_1").unwrap().remarks;
    assert!(remarks.contains(&"cannot tell: column Reconciliation Indicator is missing".to_owned()), "{remarks:?}");
    assert_eq!(find(&facts, "2026-07-07", "cape_phase_1").unwrap().state, State::Expired);
    facts.set_text(TextColumn::EntryTypeCode, Some("23".into()));
    assert!(find(&facts, "2026-06-01", "cape_phase_1").is_none(), "type 23 is not taken");
    facts.set_text(TextColumn::EntryTypeCode, Some("01".into()));
    facts.set_date(DateColumn::LiquidationDate, Some(day("2026-01-02")));
    assert!(find(&facts, "2026-06-01", "cape_phase_1").is_none(), "its 80 days ended before CAPE opened");
}

#[test]
fn what_expires_next_comes_first_and_what_is_not_judged_last() {
    let mut all: Vec<Deadline> = [entry("2025-06-01", Some("2026-03-06")), entry("2024-03-01", Some("2025-01-10"))]
        .iter()
        .flat_map(|facts| deadlines(RuleBook::builtin(), facts, day("2026-03-10")))
        .collect();
    let mut unknown = entry("2025-06-01", None);
    unknown.delivered = std::sync::Arc::default();
    all.extend(deadlines(RuleBook::builtin(), &unknown, day("2026-03-10")));
    all.reverse();
    sort(&mut all);
    let states: Vec<State> = all.iter().map(|deadline| deadline.state).collect();
    let ends = |state| states.iter().rposition(|found| *found == state).unwrap();
    assert!(ends(State::Open) < ends(State::Expired) && ends(State::Expired) < ends(State::NotJudged), "{states:?}");
    let open: Vec<_> = all.iter().filter(|deadline| deadline.state.is_open()).map(|deadline| deadline.raw_date).collect();
    assert!(open.is_sorted() && open.len() >= 2, "{open:?}");
}

#[test]
fn every_rule_has_its_source_and_rules_that_overlap_are_refused() {
    assert!(deadline_rules().iter().all(|rule| !rule.source.is_empty() && !rule.whose.is_empty()));
    let rule = |from: &str| {
        format!(
            "[[rule]]\nkind = \"protest\"\ntitle = \"Protest\"\nwhose = \"importer\"\n{from}\nterms = [{{ column = \"liquidation_date\", days = 180 }}]\nrolls = true\nmark = \"S\"\nsource = \"none\"\n"
        )
    };
    assert!(parse_deadlines(&(rule("until = \"2020-01-01\"") + &rule("from = \"2020-01-01\""))).is_ok());
    let error = parse_deadlines(&(rule("until = \"2020-01-02\"") + &rule("from = \"2020-01-01\""))).unwrap_err();
    assert!(error.message.contains("overlap"));
    assert!(parse_deadlines(&rule("").replace("days = 180", "days = 180, months = 6")).is_err());
}

#[test]
fn a_last_day_that_no_source_lets_roll_stays_and_is_remarked_on_a_weekend() {
    // 300 days after 2025-01-05 is Saturday, 2025-11-01; the day after entry's is a Sunday, the next a Monday.
    for (entered, closed) in [("2025-01-05", Some("Saturday")), ("2025-01-06", Some("Sunday")), ("2025-01-07", None)] {
        let psc = find(&entry(entered, None), "2025-06-01", "psc").unwrap();
        assert_eq!(psc.raw_date, psc.rolled_date, "{entered}");
        let remark = psc.remarks.iter().find(|remark| remark.contains("not rolled"));
        assert_eq!(remark.map(|text| text.contains(closed.unwrap_or("?"))), closed.map(|_| true), "{entered}: {:?}", psc.remarks);
    }
}
