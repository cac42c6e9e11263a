//! The formula on small numbers.

use bonded_schemas::{DriftFinding, DriftKind};

use super::*;

#[test]
fn one_bad_row_in_ten_costs_all_points_and_one_in_twenty_half() {
    assert_eq!(left(250, 0, 100), 250);
    assert_eq!(left(250, 5, 100), 125);
    assert_eq!(left(250, 10, 100), 0);
    assert_eq!(left(250, 90, 100), 0);
    assert_eq!((left(200, 0, 0), left(200, 1, 0)), (200, 0));
}

fn header(severities: &[Severity]) -> Drift {
    let finding = |severity: &Severity| DriftFinding {
        kind: DriftKind::Added,
        severity: *severity,
        column: String::new(),
        message: String::new(),
        uses: Vec::new(),
        proposal: None,
    };
    Drift { findings: severities.iter().map(finding).collect() }
}

#[test]
fn remarks_on_a_header_cost_nothing_warnings_five_points_and_an_error_all() {
    assert_eq!(drift(&header(&[Severity::Info, Severity::Info])), 150);
    assert_eq!(drift(&header(&[Severity::Warning])), 100);
    assert_eq!(drift(&header(&[Severity::Warning; 4])), 0);
    assert_eq!(drift(&header(&[Severity::Error])), 0);
}

fn scored(month: &str, score_tenths: u64) -> Score {
    Score {
        delivery_id: String::new(),
        file_name: String::new(),
        report: None,
        month: month.to_owned(),
        score_tenths,
        completeness_tenths: 0,
        rejects_tenths: 0,
        drift_tenths: 0,
        findings_tenths: 0,
        scored_at: String::new(),
    }
}

#[test]
fn a_month_is_the_mean_of_its_deliveries() {
    let months = months(&[scored("2026-02", 1000), scored("2026-01", 900), scored("2026-02", 0)]);
    let told: Vec<_> = months.iter().map(|m| (m.month.as_str(), m.deliveries, m.score_tenths)).collect();
    assert_eq!(told, [("2026-01", 1, 900), ("2026-02", 2, 500)]);
}

#[test]
fn the_parts_add_up_to_a_hundred_points() {
    assert_eq!(COMPLETENESS + REJECTS + DRIFT + FINDINGS, 1000);
}
