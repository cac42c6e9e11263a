//! Whether anybody still looks for alerts, and nothing keeps the sign of life back.

use super::Chart;
use crate::{alerts::heartbeat::pulse, error::Result, lakehouse::Lakehouse};

pub(super) async fn look(house: &Lakehouse, chart: &mut Chart) -> Result<()> {
    let pulse = pulse(house).await?;
    let Some(look) = pulse.last_look else {
        chart.not_asked("alerts", "nobody ever looked for any here; `bonded serve` with the role notify does");
        return Ok(());
    };
    if pulse.alive {
        chart.ok("alerts", format!("last looked for at {}", look.to_rfc3339()));
    }
    for wrong in pulse.wrong {
        chart.warn(
            "alerts",
            wrong,
            "see that `bonded serve` runs with the role notify and the roles that it needs, and what its log says",
        );
    }
    Ok(())
}
