//! The worker: leases deliveries, takes each to its end, tells the queue how it went.
//! Promise: a delivery that fails is tried again later, then less and less often, then quarantined; one that a worker
//! died over or lost is someone else's, and nothing of this one's is committed.
//! Never: an error's text goes into the queue; its kind does, and the text into the log.

use std::{sync::Arc, time::Duration};

use bonded_connectors::store::{fence::Fence, queue::Lease};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::{Shop, Stopped, pause, stopped};
use crate::{
    error::{Error, ErrorKind, Result},
    ingest,
    lakehouse::Tenant,
};

mod blame;
#[cfg(test)]
mod tests;

/// Of the time of a lease, after which it is told that the worker lives.
const BEATS_PER_LEASE: u32 = 3;
const PANICKED: &str = "panic";

/// How one lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    /// Quarantined, and a person's affair now.
    GaveUp,
    /// Someone else's by now.
    Lost,
}

/// Leases and works until it is to stop; then waits for what is in work, at most for the drain time.
pub(super) async fn run(shop: Arc<Shop>, workers: usize, mut stop: watch::Receiver<bool>) -> Stopped {
    let settings = &shop.house.settings.serve;
    let (limits, poll, drain) = (settings.limits(), settings.poll(), settings.drain());
    let free = Arc::new(Semaphore::new(workers));
    let (abandoning, abandon) = watch::channel(false);
    let mut running = JoinSet::new();
    let mut total = Stopped::default();
    loop {
        while let Some(ended) = running.try_join_next() {
            count(&mut total, ended);
        }
        let permit = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            permit = free.clone().acquire_owned() => permit,
        };
        // Never closed.
        let Ok(permit) = permit else { break };
        match shop.queue.lease(&shop.name, shop.house.clock.now(), &limits).await {
            Ok(Some(lease)) => {
                running.spawn(one(shop.clone(), lease, permit, abandon.clone()));
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(target: "serve.queue", %error, "no lease; trying again"),
        }
        drop(permit);
        tokio::select! {
            () = shop.bell.notified() => {}
            go_on = pause(poll, &mut stop) => if !go_on { break },
        }
    }
    let drained = async {
        while let Some(ended) = running.join_next().await {
            count(&mut total, ended);
        }
    };
    if tokio::time::timeout(drain, drained).await.is_err() {
        abandoning.send(true).ok();
        while let Some(ended) = running.join_next().await {
            count(&mut total, ended);
        }
    }
    total
}

fn count(total: &mut Stopped, ended: std::result::Result<Option<End>, JoinError>) {
    match ended {
        Ok(Some(End::Done | End::GaveUp)) => total.deliveries_done += 1,
        Ok(Some(End::Lost)) => {}
        Ok(None) => total.deliveries_given_back += 1,
        Err(error) => tracing::error!(target: "serve.worker", %error, "a worker fell over"),
    }
}

/// One lease from its start to its end; none when it went back undone.
async fn one(shop: Arc<Shop>, lease: Lease, _permit: OwnedSemaphorePermit, mut abandon: watch::Receiver<bool>) -> Option<End> {
    let began = Instant::now();
    // A task of its own, so that a panic over a sender's bytes is a failure of this delivery and of nothing else.
    let mut work = tokio::spawn(attempt(shop.clone(), lease.clone()));
    let length = shop.house.settings.serve.lease();
    let mut beats = interval_at(began + length / BEATS_PER_LEASE, length / BEATS_PER_LEASE);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        tokio::select! {
            ended = &mut work => break ended,
            _ = beats.tick() => beat(&shop, &lease, length).await,
            () = stopped(&mut abandon) => {
                work.abort();
                // Waits until it stands still, so that what is given back is not worked on here any more.
                drop(work.await);
                settled(&lease, shop.queue.give_back(&lease, shop.house.clock.now()).await);
                return None;
            }
        }
    };
    let end = conclude(&shop, &lease, ended).await;
    tracing::info!(
        target: "serve.delivery", tenant = %lease.work.tenant, delivery = %lease.work.delivery_id, attempt = lease.attempts,
        size_bytes = lease.work.size_bytes, millis = began.elapsed().as_millis() as u64, end = ?end
    );
    shop.bell.notify_one();
    end
}

async fn beat(shop: &Shop, lease: &Lease, length: Duration) {
    let length = chrono::Duration::from_std(length).unwrap_or(chrono::Duration::MAX);
    match shop.queue.heartbeat(lease, shop.house.clock.now(), length).await {
        Ok(true) => {}
        // It goes on to the commit, which is refused and cleans up behind itself.
        Ok(false) => tracing::warn!(target: "serve.lease", delivery = %lease.work.delivery_id, "the lease was lost"),
        Err(error) => tracing::warn!(target: "serve.lease", delivery = %lease.work.delivery_id, %error, "no heartbeat"),
    }
}

/// Tells the queue how it went.
async fn conclude(shop: &Shop, lease: &Lease, ended: std::result::Result<Result<End>, JoinError>) -> Option<End> {
    let (kind, is_the_files) = match ended {
        Ok(Ok(End::Done)) => return settled(lease, shop.queue.complete(lease).await).then_some(End::Done),
        Ok(Ok(End::GaveUp)) => return settled(lease, shop.queue.poison(lease).await).then_some(End::GaveUp),
        Ok(Ok(End::Lost)) => return Some(End::Lost),
        Ok(Err(error)) => {
            let kind = blame::kind(&error);
            tracing::warn!(target: "serve.delivery", delivery = %lease.work.delivery_id, kind, %error, "failed");
            (kind, blame::may_be_the_files(&error))
        }
        Err(error) => {
            tracing::error!(target: "serve.delivery", delivery = %lease.work.delivery_id, %error, "panicked");
            (PANICKED, true)
        }
    };
    let wait = shop.house.settings.serve.backoff().wait(lease.attempts, rand::random());
    let retry_at = shop.house.clock.now() + chrono::Duration::from_std(wait).unwrap_or(chrono::Duration::MAX);
    let told = match is_the_files {
        true => shop.queue.fail(lease, kind, retry_at).await,
        false => shop.queue.postpone(lease, kind, retry_at).await,
    };
    settled(lease, told);
    None
}

/// What the queue does not hear now, it learns when the lease runs out.
fn settled(lease: &Lease, told: bonded_connectors::Result<bool>) -> bool {
    match told {
        Ok(true) => true,
        Ok(false) => {
            tracing::warn!(target: "serve.lease", delivery = %lease.work.delivery_id, "the lease was lost before its end");
            false
        }
        Err(error) => {
            tracing::error!(target: "serve.queue", delivery = %lease.work.delivery_id, %error, "the queue was not told");
            false
        }
    }
}

async fn attempt(shop: Arc<Shop>, lease: Lease) -> Result<End> {
    let tenant = rooms(&shop, &lease).await.map_err(blame::of_the_house)?;
    take_further(&shop, &tenant, &lease).await
}

/// The tenant's rooms behind the lease's fence.
async fn rooms(shop: &Shop, lease: &Lease) -> Result<Tenant> {
    let scope = (shop.scope_of)(lease.work.tenant.clone());
    let fence = Fence { keyed_digest: lease.work.keyed_digest.clone(), token: lease.token };
    shop.house.tenant(&scope).await?.behind(fence).await
}

/// The straight line for one delivery.
async fn take_further(shop: &Shop, tenant: &Tenant, lease: &Lease) -> Result<End> {
    let house = &shop.house;
    let row = match tenant.ledger.delivery_by_digest(&lease.work.keyed_digest).await? {
        Some(row) => row,
        None if lease.exhausted => return Ok(End::GaveUp),
        None => return Err(Error::new(ErrorKind::Damaged, "a delivery in the queue is not in the ledger")),
    };
    if ingest::is_done(&row) {
        return Ok(End::Done);
    }
    if lease.exhausted {
        let item = shop.queue.item(lease.work.delivery_id).await?;
        let kind = item.and_then(|item| item.last_failure).unwrap_or_default();
        ingest::give_up(house, tenant, row, house.settings.serve.attempts_max, &kind).await?;
        return Ok(End::GaveUp);
    }
    match ingest::resume(house, tenant, row).await {
        Ok(_) => Ok(End::Done),
        Err(error) if error.kind() == ErrorKind::Refused && !still_ours(shop, lease).await? => {
            refused(shop, tenant, lease).await?;
            Ok(End::Lost)
        }
        Err(error) => Err(error),
    }
}

async fn still_ours(shop: &Shop, lease: &Lease) -> Result<bool> {
    let length = shop.house.settings.serve.limits().lease;
    Ok(shop.queue.heartbeat(lease, shop.house.clock.now(), length).await?)
}

async fn refused(shop: &Shop, tenant: &Tenant, lease: &Lease) -> Result<()> {
    tracing::warn!(target: "serve.lease", delivery = %lease.work.delivery_id, "a commit was refused: the lease ran out");
    let object = lease.work.delivery_id.to_string();
    tenant.audit(shop.house.clock.as_ref(), "ingest", &object, "refused: the lease ran out and another worker has it").await
}
