//! From a local time to an instant, also where the clocks jump.
//! Promise: every local time stands for exactly one instant, and later local times never for earlier ones.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// No zone is further from UTC than this; Samoa once left out a whole day.
const OFFSET_HOURS_MAX: i64 = 26;

/// Where the clocks skip it, the first instant after the gap; where they show it twice, the first.
pub(super) fn instant(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
        LocalResult::None => after_gap(zone, local),
    }
}

/// The first second at which the zone's clocks show more than a local time that they skip.
fn after_gap(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    let shows = |second: i64| {
        let at = DateTime::from_timestamp(second, 0).unwrap_or_default();
        at.timestamp() + i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
    };
    let sought = local.and_utc().timestamp();
    // Around the gap the clocks only go forward, so that halves can be looked through.
    let (mut before, mut after) = (sought - OFFSET_HOURS_MAX * 3600, sought + OFFSET_HOURS_MAX * 3600);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        match shows(middle) > sought {
            true => after = middle,
            false => before = middle,
        }
    }
    DateTime::from_timestamp(after, 0).unwrap_or_else(|| local.and_utc() + TimeDelta::zero())
}
