//! Clocks beside ours: leases, sessions, signatures and retention rest on them.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Chart, about};
use crate::{error::Result, lakehouse::Lakehouse};

pub(super) async fn look(house: &Lakehouse, chart: &mut Chart) -> Result<()> {
    let before = house.clock.now();
    match house.control().clock().await? {
        Some(theirs) => compare(house, "the database's clock", before, theirs, chart),
        None => chart.not_asked("the database's clock", "SQLite runs in this process"),
    }
    Ok(())
}

/// The time that the asking took is nobody's fault.
pub(super) fn compare(house: &Lakehouse, whose: &str, before: DateTime<Utc>, theirs: DateTime<Utc>, chart: &mut Chart) {
    let after = house.clock.now();
    let off = (theirs - after).max(before - theirs).max(TimeDelta::zero());
    let most = house.settings.doctor.skew_max();
    match off <= most {
        true => chart.ok(whose, format!("within {} of ours", about(most))),
        false => {
            let mend = "let both machines follow NTP (chronyd, systemd-timesyncd); leases and signatures rest on it";
            chart.fail(whose, format!("{} from ours", about(off)), mend);
        }
    }
}
