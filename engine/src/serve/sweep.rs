//! The sweep: deliveries that landed and were never finished, because whoever landed them died, are put in the queue; uploads in
//! pieces that were not ended in their time are forgotten.
//! Promise: nothing that is landed waits for ever, whichever way it came; one that is in the queue is not put there twice.
//! A console ingest that still runs is not harmed: whoever commits first, the digest is committed once.

use std::{sync::Arc, time::Duration};

use bonded_schemas::TenantId;
use tokio::sync::watch;

use super::{Shop, Stopped, pause};
use crate::{error::Result, ingest, uploads};

const EVERY_MAX: Duration = Duration::from_secs(300);

pub(super) async fn run(shop: Arc<Shop>, mut stop: watch::Receiver<bool>) -> Stopped {
    let after = shop.house.settings.serve.sweep_after();
    loop {
        match shop.house.tenants().await {
            Ok(tenants) => {
                for record in tenants {
                    let swept = tenant(&shop, &record.tenant, after).await;
                    match swept {
                        Ok(0) => {}
                        Ok(count) => tracing::info!(target: "serve.sweep", tenant = %record.tenant, count, "taken up"),
                        Err(error) => tracing::warn!(target: "serve.sweep", tenant = %record.tenant, %error),
                    }
                }
            }
            Err(error) => tracing::warn!(target: "serve.sweep", %error),
        }
        if !pause(after.min(EVERY_MAX), &mut stop).await {
            return Stopped::default();
        }
    }
}

async fn tenant(shop: &Shop, tenant: &TenantId, after: Duration) -> Result<usize> {
    let scope = (shop.scope_of)(tenant.clone());
    let ledger = shop.house.ledger(&scope).await?;
    let before = shop.house.clock.now() - chrono::Duration::from_std(after).unwrap_or(chrono::Duration::MAX);
    let mut count = 0;
    for row in ledger.unfinished(before).await? {
        count += usize::from(shop.enqueue(&ingest::work(tenant, &row)).await?);
    }
    if !ledger.uploads_before(uploads::over_ms(&shop.house)).await?.is_empty() {
        uploads::sweep(&shop.house, &shop.house.tenant(&scope).await?).await?;
    }
    Ok(count)
}
