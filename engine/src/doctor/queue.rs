//! What waits for a worker, for how long, and what nobody tries any more.

use bonded_connectors::store::queue::{ItemState, LISTED_MAX};

use super::{Chart, about};
use crate::{error::Result, lakehouse::Lakehouse};

pub(super) async fn look(house: &Lakehouse, chart: &mut Chart) -> Result<()> {
    let items = house.queue().await?.items(None).await?;
    let now = house.clock.now();
    let poisoned = items.iter().filter(|item| item.state == ItemState::Poisoned).count();
    if poisoned > 0 {
        chart.warn(
            "queue: given up",
            format!("{poisoned} deliveries failed too often; their bytes are kept"),
            "`bonded queue list` tells why; `bonded queue retry ID` after it is mended, or `bonded queue drop ID`",
        );
    }
    let waiting: Vec<_> = items.iter().filter(|item| item.state != ItemState::Poisoned).collect();
    let depth = format!("{}{} deliveries wait or run", waiting.len(), if items.len() >= LISTED_MAX { " or more" } else { "" });
    let oldest = waiting.iter().map(|item| now - item.enqueued_at).max();
    let most = house.settings.doctor.queue_age_max();
    match oldest {
        Some(oldest) if oldest > most => chart.fail(
            "queue",
            format!("{depth}, the oldest for {}", about(oldest)),
            "see that `bonded serve` runs with the role worker, and what its log says; more serve.workers if it is only much",
        ),
        Some(oldest) => chart.ok("queue", format!("{depth}, the oldest for {}", about(oldest))),
        None => chart.ok("queue", "empty"),
    }
    full(house, &waiting, chart);
    Ok(())
}

/// Near the bound from which on a tenant's files are left where they are.
fn full(house: &Lakehouse, waiting: &[&bonded_connectors::store::queue::Item], chart: &mut Chart) {
    let most = house.settings.serve.queued_max;
    let mut of_tenant = std::collections::BTreeMap::<_, u64>::new();
    for item in waiting {
        *of_tenant.entry(&item.work.tenant).or_default() += 1;
    }
    for (tenant, count) in of_tenant.into_iter().filter(|(_, count)| *count >= most - most / 5) {
        let what = format!("{count} of at most {most} places are taken");
        chart.warn(format!("queue of {tenant}"), what, "more workers, or a larger serve.queued_max");
    }
}
