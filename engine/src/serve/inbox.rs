//! The drop folder: `<inbox>/<tenant>/file`, taken in when it is complete, removed when it is safely landed.
//! Promise: a file leaves the folder only after its bytes are sealed in the raw zone, in the ledger and in the queue; one
//! that cannot be taken stays where it is and raises an alert.
//! Never: no link is followed, no folder within a tenant's folder is entered, no half-written file is landed.
//!
//! A file is complete when it looks the same twice, `serve.settle` apart. Whoever writes slowly writes under a name that
//! is left alone (`.name`, `name.part`, `name.tmp`, `name~`) and renames at the end.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bonded_schemas::{Channel, Severity, TenantId};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::Instant};

use super::{Shop, Stopped, pause, stopped};
use crate::{
    error::{Error, Result},
    ingest::{self, Source},
    lakehouse::Tenant,
};

pub(crate) mod drop_file;
#[cfg(test)]
mod tests;

use drop_file::{DropFile, Stamp};

/// Kind of the alert over a file that could not be taken.
pub(crate) const ALERT: &str = "inbox";
/// Taken of one tenant before the next one has its turn.
const TAKEN_PER_LOOK_MAX: usize = 32;

/// The sealed body of the alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxAlert {
    pub file_name: String,
    pub message: String,
}

/// What was seen of a file at the last look.
#[derive(Clone, Debug)]
struct Sight {
    stamp: Stamp,
    failures: u32,
    /// Not before then, after a failure.
    again_at: Instant,
}

type Sights = HashMap<PathBuf, Sight>;

pub(super) async fn run(shop: Arc<Shop>, inbox: PathBuf, mut stop: watch::Receiver<bool>) -> Stopped {
    let mut sights: HashMap<TenantId, Sights> = HashMap::new();
    loop {
        let tenants = match shop.house.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => {
                tracing::warn!(target: "serve.inbox", %error);
                Vec::new()
            }
        };
        let mut more = false;
        for record in tenants {
            if *stop.borrow() {
                return Stopped::default();
            }
            let seen = sights.entry(record.tenant.clone()).or_default();
            let folder = inbox.join(record.tenant.as_str());
            let looked = tokio::select! {
                looked = look(&shop, &folder, &record.tenant, seen, &stop) => looked,
                // A landing that is cut off is a crash like any other: the file is still there.
                () = overdue(&shop, stop.clone()) => return Stopped::default(),
            };
            match looked {
                Ok(taken) => more |= taken == TAKEN_PER_LOOK_MAX,
                Err(error) => tracing::warn!(target: "serve.inbox", tenant = %record.tenant, %error),
            }
        }
        let wait = if more { std::time::Duration::ZERO } else { shop.house.settings.serve.settle() };
        if !pause(wait, &mut stop).await {
            return Stopped::default();
        }
    }
}

/// Comes when a stop was asked for and the drain time is over.
async fn overdue(shop: &Shop, mut stop: watch::Receiver<bool>) {
    stopped(&mut stop).await;
    tokio::time::sleep(shop.house.settings.serve.drain()).await;
}

/// One look into one tenant's folder; answers how many files were taken.
async fn look(shop: &Shop, folder: &Path, tenant: &TenantId, seen: &mut Sights, stop: &watch::Receiver<bool>) -> Result<usize> {
    let files = drop_file::list(folder.to_owned()).await?;
    let now = Instant::now();
    let mut complete = Vec::new();
    let mut still_there = Sights::new();
    for file in files {
        let before = seen.remove(&file.path).filter(|sight| sight.stamp == file.stamp);
        let sight = before.clone().unwrap_or(Sight {
            stamp: file.stamp,
            failures: 0,
            again_at: now + shop.house.settings.serve.settle(),
        });
        if sight.again_at <= now && complete.len() < TAKEN_PER_LOOK_MAX {
            complete.push(file.clone());
        }
        still_there.insert(file.path, sight);
    }
    *seen = still_there;
    if complete.is_empty() || shop.queue.depth(tenant).await? >= shop.house.settings.serve.queued_max {
        return Ok(0);
    }
    let scope = (shop.scope_of)(tenant.clone());
    let tenant = shop.house.tenant(&scope).await?;
    let mut taken = 0;
    for file in complete {
        if *stop.borrow() {
            break;
        }
        match take(shop, &tenant, &file).await {
            Ok(()) => {
                taken += 1;
                if seen.remove(&file.path).is_some_and(|sight| sight.failures > 0) {
                    settle_alert(&tenant, &file).await;
                }
            }
            // Someone still writes to it: it is looked at afresh.
            Err(_) if file.stamp_now() != Some(file.stamp) => {
                seen.remove(&file.path);
            }
            Err(error) => {
                tracing::warn!(target: "serve.inbox", tenant = %tenant.scope.tenant(), %error, "a file stays in the drop folder");
                raise_alert(shop, &tenant, &file, &error).await?;
                if let Some(sight) = seen.get_mut(&file.path) {
                    sight.failures += 1;
                    sight.again_at = now + shop.house.settings.serve.backoff().wait(sight.failures, rand::random());
                }
            }
        }
    }
    Ok(taken)
}

/// Landed, recorded, queued, and only then removed. A crash in between brings the same bytes again, which changes nothing.
async fn take(shop: &Shop, tenant: &Tenant, file: &DropFile) -> Result<()> {
    let mut bytes = file.open().await?;
    let source = Source {
        file_name: file.name.clone(),
        bytes: &mut bytes,
        channel: Channel::Inbox,
        as_of: None,
        envelope: None,
        poa: None,
    };
    let row = ingest::land_only(&shop.house, tenant, source).await?;
    let done = ingest::is_done(&row);
    if !done {
        shop.enqueue(&ingest::work(tenant.scope.tenant(), &row)).await?;
    }
    let result = if done { "duplicate" } else { "landed" };
    tenant.audit(shop.house.clock.as_ref(), "inbox", &row.delivery_id.to_string(), result).await?;
    file.remove().await?;
    tracing::info!(target: "serve.inbox", tenant = %tenant.scope.tenant(), delivery = %row.delivery_id, result);
    Ok(())
}

/// The same name with the same content once; a file that was put there anew is another matter.
fn fingerprint(tenant: &Tenant, file: &DropFile) -> String {
    tenant.names.keyed_digest(ALERT, format!("{}\n{:?}", file.name, file.stamp).as_bytes())
}

async fn raise_alert(shop: &Shop, tenant: &Tenant, file: &DropFile, error: &Error) -> Result<()> {
    let fingerprint = fingerprint(tenant, file);
    let body = InboxAlert { file_name: file.name.clone(), message: error.to_string() };
    let sealed = tenant.seal(ALERT, &fingerprint, &body)?;
    tenant.ledger.raise_alert(ALERT, None, &fingerprint, Severity::Error, shop.house.clock.now(), &sealed).await?;
    Ok(())
}

async fn settle_alert(tenant: &Tenant, file: &DropFile) {
    if let Err(error) = tenant.ledger.accept_alert(ALERT, &fingerprint(tenant, file)).await {
        tracing::warn!(target: "serve.inbox", %error, "the alert over a file that was taken stays open");
    }
}
