//! The SQL files that are compiled in.

use super::{Question, Topic, Work, header};
use crate::error::Result;

macro_rules! files {
    ($topic:expr, $folder:literal, [$($id:literal),* $(,)?]) => {
        &[$(($topic, $id, include_str!(concat!("../../sql/", $folder, "/", $id, ".sql")))),*]
    };
}

type File = (Topic, &'static str, &'static str);

/// In the order in which they are run and told.
pub(super) const RECONCILE: &[File] = files!(
    Topic::Reconcile,
    "reconcile",
    [
        "line_value",
        "line_duty",
        "entry_value",
        "entry_duty",
        "entry_mpf_clamp",
        "missing_in_es_001",
        "missing_in_es_002",
        "missing_in_es_003",
        "duplicate_in_es_001",
        "duplicate_in_es_002",
        "duplicate_in_es_003",
        "line_mpf",
        "line_hmf",
        "tariff_ordinals",
        "tariff_count",
        "chapter_99_value",
        "chapter_99_order",
        "chapter_99_dates",
        "rate_outlier",
        "spi_with_duty",
        "duty_free_without_spi",
        "classification_changed",
        "entry_check_digit",
        "entry_type_unknown",
    ]
);

pub(super) const AUDIT: &[File] = files!(
    Topic::Audit,
    "audit",
    ["statement_months", "filers", "ports", "additional_duties", "effective_rates", "classifications", "spi_not_claimed"]
);

pub(super) const HISTORY: &[File] = files!(
    Topic::History,
    "history",
    [
        "entry_summaries",
        "entry_lines",
        "tariff_lines",
        "entry_summaries_as_of",
        "entry_lines_as_of",
        "tariff_lines_as_of",
        "changes",
        "sightings",
        "vanished",
    ]
);

pub(super) const DEADLINES: &[File] = files!(Topic::Deadlines, "deadlines", ["entry_facts"]);

pub(super) const CAPE: &[File] = files!(Topic::Cape, "cape", ["ieepa_paid", "cape_claims"]);

/// What `work.sums` is, for a session that cannot add it up as it reads.
pub(crate) const SUMS: &str = include_str!("../../sql/work/sums.sql");

impl Work {
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Work::Entries => include_str!("../../sql/work/entries.sql"),
            Work::Lines => include_str!("../../sql/work/lines.sql"),
            Work::Stacks => include_str!("../../sql/work/stacks.sql"),
            Work::Fees => include_str!("../../sql/work/fees.sql"),
            Work::Rates => include_str!("../../sql/work/rates.sql"),
            Work::Numbers => include_str!("../../sql/work/numbers.sql"),
        }
    }
}

pub(super) fn read_all() -> Result<Vec<Question>> {
    let all = [RECONCILE, AUDIT, HISTORY, DEADLINES, CAPE].concat();
    all.into_iter().map(|(topic, id, sql)| header::read(topic, id, sql)).collect()
}
