//! Tests of the dated rules.

use super::*;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn builtin_rules_parse_and_follow_on_without_a_gap() {
    let rules = mpf_rules();
    assert_eq!(rules.len(), 9);
    for pair in rules.windows(2) {
        assert_eq!(pair[0].until, Some(pair[1].from));
        assert!(pair[0].minimum_cents() < pair[1].minimum_cents(), "the fee has only ever risen");
        assert!(pair[0].maximum_cents() < pair[1].maximum_cents());
    }
}

#[test]
fn a_rule_begins_on_its_first_day_and_ends_before_its_last() {
    assert_eq!(mpf_rule(day("2025-09-30")).unwrap().maximum, "634.62");
    assert_eq!(mpf_rule(day("2025-10-01")).unwrap().maximum, "651.50");
    assert_eq!(mpf_rule(day("2026-09-30")).unwrap().minimum_cents(), 3358);
}

#[test]
fn a_day_outside_the_known_years_has_no_rule() {
    assert_eq!(mpf_rule(day("2017-12-31")), None);
    assert_eq!(mpf_rule(day("2026-10-01")), None, "fiscal year 2027 is not known and must not be guessed");
}

#[test]
fn the_sum_of_line_fees_is_held_between_the_bounds() {
    let rule = mpf_rule(day("2026-01-15")).unwrap();
    assert_eq!(rule.clamp_cents(1), 3358);
    assert_eq!(rule.clamp_cents(10_000), 10_000);
    assert_eq!(rule.clamp_cents(65_151), 65_150);
}

#[test]
fn overlapping_or_malformed_rules_are_refused() {
    let rule = |from: &str, until: &str, minimum: &str| {
        format!(
            "[[rule]]\nfrom = \"{from}\"\nuntil = \"{until}\"\nminimum = \"{minimum}\"\nmaximum = \"9.00\"\nmark = \"S\"\nsource = \"x\"\n"
        )
    };
    let overlap = rule("2020-01-01", "2020-06-01", "1.00") + &rule("2020-05-31", "2021-01-01", "1.00");
    assert!(parse_mpf(&overlap).unwrap_err().message.contains("overlap"));
    assert!(parse_mpf(&rule("2020-01-01", "2019-01-01", "1.00")).is_err());
    assert!(parse_mpf(&rule("2020-01-01", "2021-01-01", "10.00")).is_err());
    for amount in ["1", "1.0", "1.000", "-1.00", ".50", "$1.00", "1,0.00"] {
        assert!(parse_mpf(&rule("2020-01-01", "2021-01-01", amount)).unwrap_err().message.contains("needs amounts"), "{amount}");
    }
}
