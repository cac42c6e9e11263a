//! When the last backup was taken, as the lake's own trail tells it.

use super::{Chart, about};
use crate::{audit::meta, error::Result, lakehouse::Lakehouse};

pub(super) async fn look(house: &Lakehouse, chart: &mut Chart) -> Result<()> {
    let entries = house.entries().await?;
    let last = entries.iter().rfind(|entry| entry.event.action == "backup" && entry.event.result == "done");
    let mend = "`bonded backup --to FOLDER`, by a timer; the keys apart (--keys-to)";
    let Some(last) = last else {
        chart.warn("backup", "none was ever taken of this lake", mend);
        return Ok(());
    };
    let age = house.clock.now() - meta::time(&last.row.at)?;
    let most = house.settings.doctor.backup_age_max();
    match age > most {
        true => chart.warn("backup", format!("the last one is {} old (at most {} is asked)", about(age), about(most)), mend),
        false => chart.ok("backup", format!("the last one is {} old", about(age))),
    }
    Ok(())
}
