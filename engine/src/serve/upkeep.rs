//! The upkeep: maintenance of every tenant at its interval, and the destruction of keys whose waiting period is over.
//! Promise: a tenant that cannot be opened or maintained keeps no other from it; two processes at once do no harm.
//! A stop is heard between two tenants: every step of maintenance may be left and taken up again.

use std::sync::Arc;

use bonded_connectors::keys::KeyState;
use bonded_schemas::TenantId;
use tokio::sync::watch;

use super::{Shop, Stopped, pause};
use crate::{
    audit::keep,
    error::{ErrorKind, Result},
    maintain::{self, Plan},
    shred,
};

/// Signs the heads of the trails that are due, and then the lake's own.
pub(super) async fn sign(shop: Arc<Shop>, mut stop: watch::Receiver<bool>) -> Stopped {
    let every = shop.house.settings.audit.checkpoint_every().to_std().unwrap_or_default();
    while pause(every, &mut stop).await {
        if let Err(error) = signed(&shop, &stop).await {
            tracing::warn!(target: "serve.upkeep", %error, "the lake's trail is not signed");
        }
    }
    Stopped::default()
}

async fn signed(shop: &Shop, stop: &watch::Receiver<bool>) -> Result<()> {
    for record in shop.house.tenants().await? {
        if *stop.borrow() {
            return Ok(());
        }
        let scope = (shop.scope_of)(record.tenant.clone());
        let one = async {
            let ledger = shop.house.ledger(&scope).await?;
            let due = shop.house.is_checkpoint_due(&ledger).await?;
            ledger.close().await;
            if due {
                let tenant = shop.house.tenant(&scope).await?;
                shop.house.checkpoint(&tenant).await?;
                tenant.ledger.close().await;
            }
            Ok::<_, crate::Error>(())
        };
        if let Err(error) = one.await {
            tracing::warn!(target: "serve.upkeep", tenant = %record.tenant, %error, "the trail is not signed");
        }
    }
    shop.house.checkpoint_lake().await?;
    Ok(())
}

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
        let maintained = async {
            let tenant = shop.house.tenant(&scope).await?;
            let done = maintain::run(&shop.house, &tenant, &Plan::default()).await;
            if keep::is_due(&shop.house, &tenant).await? {
                let sealed = keep::seal(&shop.house, &tenant).await?;
                tracing::info!(target: "serve.upkeep", tenant = %record.tenant, events = sealed.events_sealed, "trail sealed");
            }
            done
        };
        match maintained.await {
            Ok(done) => tracing::info!(target: "serve.upkeep", tenant = %record.tenant, things = done.len(), "maintained"),
            // A disabled or destroyed key: nothing of the tenant is touched, and that is as it should be. With a key that may be
            // used somebody else refuses: a catalog, a bucket.
            Err(error) if error.kind() == ErrorKind::Refused && !is_usable(shop, &record.tenant).await => {
                tracing::debug!(target: "serve.upkeep", tenant = %record.tenant, %error);
            }
            Err(error) => tracing::warn!(target: "serve.upkeep", tenant = %record.tenant, %error),
        }
    }
    Ok(())
}

async fn is_usable(shop: &Shop, tenant: &TenantId) -> bool {
    matches!(shop.house.key_of(tenant).await, Ok((_, KeyState::Enabled)))
}
