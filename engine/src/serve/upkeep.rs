//! The upkeep: maintenance of every tenant at its interval, and the destruction of keys whose waiting period is over.
//! Promise: a tenant that cannot be opened or maintained keeps no other from it; two processes at once do no harm.
//! A stop is heard between two tenants: every step of maintenance may be left and taken up again.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Shop, Stopped, pause};
use crate::{
    error::{ErrorKind, Result},
    maintain::{self, Plan},
    shred,
};

pub(super) async fn run(shop: Arc<Shop>, mut stop: watch::Receiver<bool>) -> Stopped {
    let every = shop.house.settings.serve.maintain_every();
    loop {
        if let Err(error) = round(&shop, &stop).await {
            tracing::warn!(target: "serve.upkeep", %error);
        }
        if !pause(every, &mut stop).await {
            return Stopped::default();
        }
    }
}

async fn round(shop: &Shop, stop: &watch::Receiver<bool>) -> Result<()> {
    for order in shred::finish(&shop.house, &format!("serve:{}", shop.name)).await? {
        tracing::info!(target: "serve.upkeep", tenant = %order.tenant, order = order.id, "keys destroyed");
    }
    for record in shop.house.tenants().await? {
        if *stop.borrow() {
            return Ok(());
        }
        let scope = (shop.scope_of)(record.tenant.clone());
        let maintained = async { maintain::run(&shop.house, &shop.house.tenant(&scope).await?, &Plan::default()).await };
        match maintained.await {
            Ok(done) => tracing::info!(target: "serve.upkeep", tenant = %record.tenant, things = done.len(), "maintained"),
            // A disabled or destroyed key: nothing of the tenant is touched, and that is as it should be.
            Err(error) if error.kind() == ErrorKind::Refused => {
                tracing::debug!(target: "serve.upkeep", tenant = %record.tenant, %error);
            }
            Err(error) => tracing::warn!(target: "serve.upkeep", tenant = %record.tenant, %error),
        }
    }
    Ok(())
}
