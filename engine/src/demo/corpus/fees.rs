//! Merchandise Processing Fee and Harbor Maintenance Fee as the corpus charges them, in whole cents.
//! Promise: the rules and figures are CBP's where public; beyond the last published year they are plainly invented.

use chrono::NaiveDate;

/// (first entry date, minimum, maximum) in cents of the entry-level MPF. Public figures: CBP's yearly notices, the last being
/// 90 FR 34665 (CBP Dec. 25-10) for the year from 2025-10-01; those of 2021-10-01 and 2022-10-01 are general knowledge.
const MPF_BOUNDS: [((i32, u32, u32), i64, i64); 9] = [
    ((2018, 1, 1), 2567, 49799),
    ((2018, 10, 1), 2622, 50870),
    ((2019, 10, 1), 2679, 51976),
    ((2020, 10, 1), 2723, 52833),
    ((2021, 10, 1), 2775, 53840),
    ((2022, 10, 1), 2966, 57535),
    ((2023, 10, 1), 3167, 61435),
    ((2024, 10, 1), 3271, 63462),
    ((2025, 10, 1), 3358, 65150),
];

/// First entry date whose bounds are not public; nobody may judge from here on.
const MPF_UNKNOWN_FROM: (i32, u32, u32) = (2026, 10, 1);

/// Invented bounds for such dates. They differ from the year before, so that judging by stale figures shows.
const MPF_INVENTED: (i64, i64) = (3441, 66779);

/// The flat MPF of an automated informal entry (90 FR 34665), used for every date: informal entries are not judged.
pub const MPF_INFORMAL_CENTS: i64 = 269;

/// Line MPF before any bound: 0.3464 % of whole dollars, rounded half up to the cent (seen on 728 of 728 real rows).
pub fn line_mpf_cents(value_dollars: i64) -> i64 {
    (value_dollars * 3464 + 5000) / 10_000
}

/// Line HMF of ocean cargo: 0.125 % of whole dollars, rounded half up to the cent (seen on 642 of 642 real rows).
pub fn line_hmf_cents(value_dollars: i64) -> i64 {
    (value_dollars * 125 + 500) / 1000
}

/// Published (minimum, maximum) in cents on this entry date; None before 2018 and from 2026-10-01.
pub fn mpf_bounds_cents(entry_date: NaiveDate) -> Option<(i64, i64)> {
    if entry_date >= day(MPF_UNKNOWN_FROM) {
        return None;
    }
    let (_, minimum, maximum) = MPF_BOUNDS.iter().rev().find(|(from, ..)| entry_date >= day(*from))?;
    Some((*minimum, *maximum))
}

/// Whether the entry-level bounds apply: formal entries of these types only.
pub fn mpf_is_bounded(entry_type: &str) -> bool {
    matches!(entry_type, "01" | "02" | "03" | "07")
}

/// What an entry pays on the sum of its line MPF; nothing stays nothing (all lines exempt).
pub fn entry_mpf_cents(entry_type: &str, entry_date: NaiveDate, sum_cents: i64) -> i64 {
    match entry_type {
        "11" => MPF_INFORMAL_CENTS,
        _ if sum_cents == 0 || !mpf_is_bounded(entry_type) => sum_cents,
        _ => {
            let (minimum, maximum) = mpf_bounds_cents(entry_date).unwrap_or(MPF_INVENTED);
            sum_cents.clamp(minimum, maximum)
        }
    }
}

/// First date of the table: plans may not start before it.
pub fn first_known_date() -> NaiveDate {
    day(MPF_BOUNDS[0].0)
}

fn day((year, month, day): (i32, u32, u32)) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).expect("the tables of this file hold calendar dates")
}
