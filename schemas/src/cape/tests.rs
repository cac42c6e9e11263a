use super::*;
use crate::entry_facts::{DateColumn, EntryFacts, Ieepa, TextColumn};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

const TODAY: &str = "2026-07-10";

/// An unliquidated type 01 entry that paid, with every column delivered.
fn paid() -> EntryFacts {
    let mut facts = EntryFacts::new("XZ910000013");
    facts.delivered = std::sync::Arc::new(
        DateColumn::ALL.map(DateColumn::field).into_iter().chain(TextColumn::ALL.map(TextColumn::field)).collect(),
    );
    facts.set_date(DateColumn::EntryDate, Some(day("2025-06-01")));
    facts.set_text(TextColumn::EntryTypeCode, Some("01".into()));
    facts.set_text(TextColumn::ImporterNumber, Some("00-1234567AA".into()));
    facts.set_text(TextColumn::LiquidationStatus, Some("Unliquidated".into()));
    facts.ieepa = Ieepa { paid_cents: 1_000, rows: 2, rows_without_amount: 1, ..Ieepa::default() };
    facts
}

fn judge(phase: u8, facts: &EntryFacts) -> Judgement {
    cape_rules().phase(phase).unwrap().judge(facts, day(TODAY))
}

/// The verdict and the one subject that speaks.
fn one(phase: u8, facts: &EntryFacts) -> (Verdict, Option<Subject>) {
    let judgement = judge(phase, facts);
    assert!(judgement.reasons.len() <= 1, "{judgement:?}");
    (judgement.verdict, judgement.reasons.first().map(|reason| reason.subject))
}

#[test]
fn an_open_entry_that_paid_is_eligible_in_phase_1() {
    assert_eq!(one(1, &paid()), (Verdict::Eligible, None));
    for status in ["Suspended", "Extended", "Under Review"] {
        let mut facts = paid();
        facts.set_text(TextColumn::LiquidationStatus, Some(status.into()));
        assert_eq!(one(1, &facts), (Verdict::Eligible, None), "{status}");
    }
}

#[test]
fn an_amount_counts_and_not_a_number() {
    let mut facts = paid();
    facts.ieepa = Ieepa { rows: 3, rows_without_amount: 3, ..Ieepa::default() };
    assert_eq!(one(1, &facts), (Verdict::Excluded, Some(Subject::Amount)));
    facts.ieepa = Ieepa { outside_cents: 500, rows: 1, ..Ieepa::default() };
    assert!(judge(1, &facts).reasons[0].text.contains("5.00 was paid under IEEPA numbers outside their dates"));
    facts.ieepa = Ieepa { undated_cents: 500, rows: 1, ..Ieepa::default() };
    assert_eq!(one(1, &facts), (Verdict::CannotTell, Some(Subject::Amount)));
}

#[test]
fn eighty_days_after_liquidation_are_taken_and_eighty_one_are_not() {
    let mut facts = paid();
    facts.set_text(TextColumn::LiquidationStatus, Some("Liquidated".into()));
    facts.set_date(DateColumn::LiquidationDate, Some(day("2026-04-21")));
    assert_eq!(one(1, &facts), (Verdict::Eligible, None), "80 days");
    assert_eq!(one(3, &facts), (Verdict::Excluded, Some(Subject::Liquidation)));
    facts.set_date(DateColumn::LiquidationDate, Some(day("2026-04-20")));
    assert_eq!(one(1, &facts), (Verdict::Excluded, Some(Subject::Liquidation)), "81 days");
    assert!(judge(1, &facts).reasons[0].text.contains("81 days ago"));
    assert_eq!(one(3, &facts), (Verdict::Eligible, None));
    facts.set_date(DateColumn::LiquidationDate, Some(day("2026-07-17")));
    assert_eq!(one(1, &facts), (Verdict::Eligible, None), "scheduled");
    facts.set_date(DateColumn::LiquidationDate, None);
    assert_eq!(one(1, &facts), (Verdict::CannotTell, Some(Subject::Liquidation)), "liquidated, but when?");
    facts.set_text(TextColumn::LiquidationStatus, None);
    assert_eq!(one(1, &facts), (Verdict::Excluded, Some(Subject::Liquidation)), "no status in ACE");
}

#[test]
fn entry_types_are_excluded_by_phase() {
    for code in ["08", "09", "23", "47"] {
        let mut facts = paid();
        facts.set_text(TextColumn::EntryTypeCode, Some(code.into()));
        assert_eq!(one(1, &facts), (Verdict::Excluded, Some(Subject::EntryType)), "{code}");
    }
    let mut facts = paid();
    facts.set_text(TextColumn::ReconciliationIndicator, Some("Y".into()));
    facts.set_text(TextColumn::EntryTypeCode, Some("11".into()));
    assert_eq!(one(2, &facts), (Verdict::Excluded, Some(Subject::EntryType)));
}

#[test]
fn phase_2_takes_flagged_entries_without_a_type_09_and_phase_1_takes_none() {
    let mut facts = paid();
    assert_eq!(one(2, &facts), (Verdict::Excluded, Some(Subject::Reconciliation)), "not flagged");
    facts.set_text(TextColumn::ReconciliationIndicator, Some("Y".into()));
    assert_eq!(one(2, &facts), (Verdict::Eligible, None));
    assert_eq!(one(1, &facts), (Verdict::Excluded, Some(Subject::Reconciliation)));
    facts.set_text(TextColumn::ReconciliationOtherEntrySummaryNumber, Some("XZ990000097".into()));
    assert_eq!(one(2, &facts), (Verdict::Excluded, Some(Subject::Reconciliation)));
}

#[test]
fn an_open_protest_excludes_and_one_of_unknown_standing_cannot_be_told() {
    let mut facts = paid();
    facts.set_text(TextColumn::ProtestNumber, Some("000126100001".into()));
    assert_eq!(one(1, &facts), (Verdict::CannotTell, Some(Subject::Protest)));
    facts.set_text(TextColumn::ProtestStatus, Some("Open".into()));
    assert_eq!(one(1, &facts), (Verdict::Excluded, Some(Subject::Protest)));
    facts.set_text(TextColumn::ProtestStatus, Some("Denied".into()));
    assert_eq!(one(1, &facts), (Verdict::CannotTell, Some(Subject::Protest)));
}

#[test]
fn unliquidated_antidumping_entries_cannot_be_told() {
    let mut facts = paid();
    facts.antidumping_cents = Some(1);
    assert_eq!(one(1, &facts), (Verdict::CannotTell, Some(Subject::Antidumping)));
    facts.set_date(DateColumn::LiquidationDate, Some(day("2026-07-03")));
    assert_eq!(one(1, &facts), (Verdict::Eligible, None), "no longer pending");
    let mut facts = paid();
    facts.set_text(TextColumn::EntryTypeCode, Some("03".into()));
    assert_eq!(one(1, &facts), (Verdict::CannotTell, Some(Subject::Antidumping)));
}

#[test]
fn a_missing_column_is_named_and_nothing_is_guessed() {
    let mut facts = paid();
    facts.delivered = std::sync::Arc::default();
    facts.set_text(TextColumn::LiquidationStatus, None);
    facts.set_text(TextColumn::EntryTypeCode, None);
    facts.set_text(TextColumn::ImporterNumber, None);
    let judgement = judge(1, &facts);
    assert_eq!(judgement.verdict, Verdict::CannotTell);
    let texts: Vec<&str> = judgement.reasons.iter().map(|reason| reason.text.as_str()).collect();
    let columns = ["Entry Type Code", "Importer Number", "Liquidation Status", "Reconciliation Indicator", "Protest Number"];
    assert_eq!(texts, columns.map(|column| format!("cannot tell: column {column} is missing")));
}

#[test]
fn a_phase_is_open_between_its_dates_and_closed_without_one() {
    let phase = |number| cape_rules().phase(number).unwrap();
    assert!(phase(1).is_open(day("2026-04-19")).unwrap_err().contains("opens on 2026-04-20"));
    assert!(phase(1).is_open(day("2026-04-20")).is_ok());
    assert!(phase(2).is_open(day("2026-06-28")).is_err() && phase(2).is_open(day("2026-06-29")).is_ok());
    assert!(phase(3).is_open(day("2027-01-01")).unwrap_err().contains("no known opening date"));
}

#[test]
fn upload_files_hold_one_importer_and_at_most_9999_entries_each_once() {
    let numbers: Vec<String> = (0..10_000).map(|n| format!("XZ9{n:08}")).collect();
    let mut entries: Vec<(&str, &str)> = numbers.iter().map(|number| ("00-1234567AA", number.as_str())).collect();
    entries.extend([("000-00-1234", "XZ9-9999999-1"), ("000-00-1234", "xz999999991"), ("999-00-1234", "XZ999999992")]);
    let files = uploads(1, entries, false);
    let counts: Vec<usize> = files.iter().map(|file| file.entries).collect();
    assert_eq!(counts, [9_999, 1, 1, 1]);
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "cape-phase-1_importer-1_00-1234567AA_part-1-of-2.csv",
            "cape-phase-1_importer-1_00-1234567AA_part-2-of-2.csv",
            "cape-phase-1_importer-2_xxx-xx-1234_part-1-of-1.csv",
            "cape-phase-1_importer-3_xxx-xx-1234_part-1-of-1.csv"
        ]
    );
    assert_eq!(files[2].text, "Entry Number\r\nXZ999999991\r\n");
}

#[test]
fn a_status_that_was_never_seen_is_neither_taken_nor_failed() {
    for (status, state) in [
        ("Entry Summary Updated", ClaimState::Taken),
        (" entry summary UPDATED ", ClaimState::Taken),
        ("Failed", ClaimState::Failed),
        ("Entry Summary Not Updated", ClaimState::Unknown),
        ("", ClaimState::Unknown),
    ] {
        assert_eq!(ClaimState::of(status), state, "{status}");
    }
}

#[test]
fn rules_that_end_before_they_begin_are_refused() {
    let text = include_str!("../../rules/cape.toml");
    assert!(parse_cape(text).unwrap().duties.iter().all(|duty| !duty.source.is_empty()));
    assert!(parse_cape(&text.replace("prefix = \"990301\"", "prefix = \"9903\"")).is_err());
    assert!(parse_cape(&text.replace("until = \"2026-02-24\"", "until = \"2025-02-04\"")).is_err());
}
