//! A month in numbers: runs expected, on time, late, missed; and how long it took from arrival to rows that can be asked for.
//! Promise: whole milliseconds, by rank: the p99 is the time of a delivery and no average.

use std::collections::BTreeMap;

use bonded_schemas::{Report, window::State};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::windows;
use crate::{error::Result, lakehouse::Tenant, receipts};

/// One report in one month. A window belongs to the month of its day on the schedule's calendar, a delivery to the month in
/// which it arrived (UTC).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MonthOf {
    pub month: String,
    pub report: String,
    /// Due and not excused; open ones whose time is not over do not count.
    pub expected: u64,
    pub on_time: u64,
    pub late: u64,
    pub missed: u64,
    pub excused: u64,
    pub deliveries: u64,
    /// From arrival to the receipt, which follows the commit.
    pub queryable_p50_ms: Option<i64>,
    pub queryable_p99_ms: Option<i64>,
}

/// Months of all reports, the oldest first; only this one when it is named (`2026-10`).
pub async fn month(tenant: &Tenant, named: Option<&str>) -> Result<Vec<MonthOf>> {
    let mut found: BTreeMap<(String, Report), (MonthOf, Vec<i64>)> = BTreeMap::new();
    let mut entry = |month: String, report: Report, change: &mut dyn FnMut(&mut MonthOf, &mut Vec<i64>)| {
        if named.is_none_or(|named| named == month) {
            let (of, times) = found.entry((month.clone(), report)).or_default();
            (of.month, of.report) = (month, report.code().to_owned());
            change(of, times);
        }
    };
    for expected in windows(tenant, DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC).await? {
        let window = &expected.window;
        entry(window.local_day.format("%Y-%m").to_string(), expected.report, &mut |of, _| match window.state {
            State::Open => {}
            State::Excused => of.excused += 1,
            State::OnTime => (of.expected, of.on_time) = (of.expected + 1, of.on_time + 1),
            State::Late => (of.expected, of.late) = (of.expected + 1, of.late + 1),
            State::Missed => (of.expected, of.missed) = (of.expected + 1, of.missed + 1),
        });
    }
    for row in tenant.ledger.committed(None).await? {
        let (Some(report), Some(receipt)) = (row.report, receipts::unsealed(tenant, &row)?) else { continue };
        let after = (receipt.sealed_at - row.received_at).num_milliseconds().max(0);
        entry(row.received_at.format("%Y-%m").to_string(), report, &mut |of, times| {
            of.deliveries += 1;
            times.push(after);
        });
    }
    let with_ranks = |(mut of, mut times): (MonthOf, Vec<i64>)| {
        times.sort_unstable();
        of.queryable_p50_ms = rank(&times, 50);
        of.queryable_p99_ms = rank(&times, 99);
        of
    };
    // A month in which windows only wait tells nothing yet.
    let tells = |of: &MonthOf| of.expected + of.excused + of.deliveries > 0;
    Ok(found.into_values().map(with_ranks).filter(tells).collect())
}

/// The smallest that so many of a hundred do not exceed.
fn rank(sorted: &[i64], percent: usize) -> Option<i64> {
    sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_one_of_the_times() {
        let times: Vec<i64> = (1..=200).collect();
        assert_eq!((rank(&times, 50), rank(&times, 99), rank(&times, 100)), (Some(100), Some(198), Some(200)));
        assert_eq!((rank(&[7], 50), rank(&[7], 99), rank(&[], 50)), (Some(7), Some(7), None));
    }
}
