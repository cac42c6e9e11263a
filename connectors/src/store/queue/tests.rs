//! One conformance suite for the queue, run on SQLite and on a private PostgreSQL.

use std::collections::{BTreeMap, HashSet};

use bonded_schemas::{DeliveryId, TenantId};
use chrono::{DateTime, Duration, Utc};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::store::{private_postgres::PrivatePostgres, tests::made};

const UNLIMITED: Limits = Limits {
    lease: Duration::seconds(60),
    leases_max: 1000,
    tenant_leases_max: 1000,
    bytes_max: u64::MAX,
    tenant_bytes_max: u64::MAX,
    strikes_max: 3,
};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000 + second, 0).expect("an instant")
}

fn work(tenant: &str, digest: &str, size_bytes: u64) -> Work {
    Work {
        tenant: tenant.parse().expect("a tenant name"),
        keyed_digest: digest.into(),
        delivery_id: DeliveryId(Uuid::now_v7()),
        size_bytes,
    }
}

fn tenants(leases: &[Lease]) -> BTreeMap<TenantId, usize> {
    let mut counted = BTreeMap::new();
    for lease in leases {
        *counted.entry(lease.work.tenant.clone()).or_default() += 1;
    }
    counted
}

struct Place {
    store: crate::store::Place,
    _folder: TempDir,
}

impl Place {
    fn sqlite() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        Self { store: crate::store::Place::Sqlite(folder.path().into()), _folder: folder }
    }

    /// A database of its own.
    fn postgres(cluster: &PrivatePostgres) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let (url, owner) = cluster.another(&format!("d{}", Uuid::now_v7().simple()));
        Self { store: crate::store::Place::Postgres { url, owner: Some(owner) }, _folder: folder }
    }

    async fn queue(&self) -> Queue {
        made(self.store.clone()).await.queue().await.expect("a queue")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() {
    conforms(&Place::sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_conforms() {
    let Some(cluster) = PrivatePostgres::start() else { return };
    conforms(&|| Place::postgres(&cluster)).await;
}

/// Each part begins with an empty queue.
async fn conforms(place: &dyn Fn() -> Place) {
    let first = place();
    a_lease_lives_until_it_is_completed(&first.queue().await).await;
    for part in [0, 1, 2, 3, 4] {
        let place = place();
        let queue = place.queue().await;
        match part {
            0 => a_lost_lease_is_lost_for_good(&queue).await,
            1 => failures_strike_and_poison(&queue).await,
            2 => turns_are_fair(&queue).await,
            3 => limits_hold(&queue).await,
            _ => many_workers_share_without_overlap(&place).await,
        }
    }
}

async fn lease(queue: &Queue, second: i64, limits: &Limits) -> Option<Lease> {
    queue.lease("w1", at(second), limits).await.expect("answered")
}

async fn a_lease_lives_until_it_is_completed(queue: &Queue) {
    assert_eq!(lease(queue, 0, &UNLIMITED).await, None);
    let file = work("acme", "d1", 10);
    assert!(queue.enqueue(&file, at(0)).await.expect("enqueued"));
    // The same bytes under another delivery id: the first stands.
    assert!(!queue.enqueue(&work("acme", "d1", 10), at(1)).await.expect("answered"));
    // The same digest of another tenant is another delivery.
    assert!(queue.enqueue(&work("zenith", "d1", 10), at(9)).await.expect("enqueued"));
    assert_eq!(queue.depth(&file.tenant).await.expect("counted"), 1);

    let held = lease(queue, 2, &UNLIMITED).await.expect("due");
    assert_eq!((&held.work, held.attempts, held.exhausted, held.expires_at), (&file, 1, false, at(62)));
    assert_eq!(lease(queue, 3, &UNLIMITED).await, None, "leased, and the other is not due");
    let item = queue.item(file.delivery_id).await.expect("answered").expect("there");
    assert_eq!(
        (item.state, item.worker.as_deref(), item.leased_at, item.due_at, item.token),
        (ItemState::Running, Some("w1"), Some(at(2)), Some(at(62)), held.token)
    );
    assert!(!queue.retry(&item, at(3)).await.expect("answered"), "what runs is not retried");

    assert!(queue.heartbeat(&held, at(50), UNLIMITED.lease).await.expect("beaten"));
    assert_eq!(lease(queue, 70, &UNLIMITED).await.expect("zenith's").work.tenant.as_str(), "zenith");
    assert_eq!(lease(queue, 109, &UNLIMITED).await, None, "the heartbeat holds until 110");
    assert!(queue.complete(&held).await.expect("done"));
    assert!(!queue.complete(&held).await.expect("answered"), "done once");
    assert_eq!(queue.item(file.delivery_id).await.expect("answered"), None);
}

async fn a_lost_lease_is_lost_for_good(queue: &Queue) {
    queue.enqueue(&work("acme", "d1", 10), at(0)).await.expect("enqueued");
    let zombie = lease(queue, 0, &UNLIMITED).await.expect("due");
    assert_eq!(lease(queue, 59, &UNLIMITED).await, None);
    let next = lease(queue, 60, &UNLIMITED).await.expect("it ran out");
    assert!(next.token > zombie.token, "tokens grow");
    assert_eq!(next.attempts, 2);
    assert_eq!(queue.items(None).await.expect("listed")[0].last_failure.as_deref(), Some(LEASE_RAN_OUT));
    for answered in [
        queue.heartbeat(&zombie, at(61), UNLIMITED.lease).await,
        queue.complete(&zombie).await,
        queue.fail(&zombie, "internal", at(61)).await,
        queue.postpone(&zombie, "retry", at(61)).await,
        queue.give_back(&zombie, at(61)).await,
        queue.poison(&zombie).await,
    ] {
        assert!(!answered.expect("answered"), "a zombie moved the queue");
    }
    assert!(queue.heartbeat(&next, at(61), UNLIMITED.lease).await.expect("still held"));
    // A clock that runs behind makes no smaller token.
    queue.enqueue(&work("acme", "d2", 10), at(-100)).await.expect("enqueued");
    assert!(lease(queue, -50, &UNLIMITED).await.expect("due").token > next.token);
}

async fn failures_strike_and_poison(queue: &Queue) {
    queue.enqueue(&work("acme", "d1", 10), at(0)).await.expect("enqueued");
    for attempt in 1..=3 {
        let held = lease(queue, attempt * 100, &UNLIMITED).await.expect("due");
        assert!(!held.exhausted, "{attempt}");
        assert!(queue.fail(&held, "internal", at(attempt * 100 + 50)).await.expect("failed"));
        assert_eq!(lease(queue, attempt * 100 + 49, &UNLIMITED).await, None, "not before its time");
    }
    // What is not the file's fault leaves no strike: full disks and shut-downs poison nothing.
    for second in [400, 401] {
        let held = lease(queue, second, &UNLIMITED).await.expect("due");
        assert!(held.exhausted, "three strikes");
        assert!(queue.postpone(&held, "setup", at(second)).await.expect("postponed"));
    }
    let held = lease(queue, 402, &UNLIMITED).await.expect("due");
    assert!(queue.give_back(&held, at(402)).await.expect("given back"));
    let item = queue.items(None).await.expect("listed").remove(0);
    assert_eq!((item.attempts, item.strikes, item.last_failure.as_deref()), (6, 3, Some("setup")));
    assert!(!queue.drop_poisoned(&item).await.expect("answered"), "it waits");

    let held = lease(queue, 403, &UNLIMITED).await.expect("due");
    assert!(queue.poison(&held).await.expect("poisoned"));
    assert_eq!(lease(queue, 1_000_000, &UNLIMITED).await, None);
    assert!(!queue.enqueue(&held.work, at(500)).await.expect("answered"), "delivered again, still poisoned");
    let item = queue.items(Some(&held.work.tenant)).await.expect("listed").remove(0);
    assert_eq!((item.state, item.due_at), (ItemState::Poisoned, None));
    assert!(queue.retry(&item, at(600)).await.expect("retried"));
    let held = lease(queue, 600, &UNLIMITED).await.expect("due again");
    assert!(!held.exhausted, "with its strikes forgotten");
    assert!(queue.poison(&held).await.expect("poisoned"));
    assert!(queue.drop_poisoned(&item).await.expect("dropped"));
    assert_eq!(queue.items(None).await.expect("listed"), []);
}

/// One tenant with ten thousand files, another with ten that come later: the second does not wait for the first.
async fn turns_are_fair(queue: &Queue) {
    let sql =
        "INSERT INTO queue (tenant, keyed_digest, delivery_id, size_bytes, state, due_ms, enqueued_ms, attempts, strikes, token)
        SELECT 'acme', 'd' || n, 'x', 1, 'waiting', 0, 0, 0, 0, 0 FROM (
            WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 10000) SELECT n FROM c) AS numbers";
    queue.enqueue(&work("acme", "d0", 1), at(0)).await.expect("enqueued");
    sqlx::query(sql).execute(&queue.pool).await.expect("ten thousand files");
    let id = Uuid::now_v7().to_string();
    sqlx::query("UPDATE queue SET delivery_id = $1 WHERE delivery_id = 'x'").bind(id).execute(&queue.pool).await.expect("set");
    for n in 0..10 {
        queue.enqueue(&work("zenith", &format!("z{n}"), 1), at(5)).await.expect("enqueued");
    }
    // Two workers, one after the other, each done before the next lease: turns go round.
    let mut one_by_one = Vec::new();
    for second in 0..10 {
        let held = lease(queue, 10 + second, &UNLIMITED).await.expect("due");
        queue.complete(&held).await.expect("done");
        one_by_one.push(held);
    }
    assert_eq!(tenants(&one_by_one).into_values().collect::<Vec<_>>(), [5, 5]);
    // All of acme's are long and held: zenith, with least running, gets every free worker.
    let mut held = Vec::new();
    for second in 20..30 {
        held.push(lease(queue, second, &UNLIMITED).await.expect("due"));
    }
    assert_eq!(tenants(&held).into_values().collect::<Vec<_>>(), [5, 5]);
    // A third tenant that comes last is served next.
    queue.enqueue(&work("new", "n1", 1), at(30)).await.expect("enqueued");
    assert_eq!(lease(queue, 30, &UNLIMITED).await.expect("due").work.tenant.as_str(), "new");
}

async fn limits_hold(queue: &Queue) {
    let limits = Limits { leases_max: 4, tenant_leases_max: 2, bytes_max: 100, tenant_bytes_max: 60, ..UNLIMITED };
    for (digest, size_bytes) in [("a1", 40), ("a2", 30), ("a3", 10)] {
        queue.enqueue(&work("acme", digest, size_bytes), at(0)).await.expect("enqueued");
    }
    let a1 = lease(queue, 1, &limits).await.expect("due");
    assert_eq!(a1.work.keyed_digest, "a1");
    // 40 + 30 is over the tenant's 60, and the head is not passed by for the small one behind it.
    assert_eq!(lease(queue, 2, &limits).await, None);
    // Larger than any limit: it runs, but alone.
    queue.enqueue(&work("zenith", "huge", 500), at(0)).await.expect("enqueued");
    assert_eq!(lease(queue, 3, &limits).await, None, "40 bytes run");
    assert!(queue.complete(&a1).await.expect("done"));
    let huge = lease(queue, 4, &limits).await.expect("nothing else runs");
    assert_eq!(huge.work.keyed_digest, "huge");
    assert_eq!(lease(queue, 5, &limits).await, None, "acme has room, the house has none");
    assert!(queue.complete(&huge).await.expect("done"));
    let a2 = lease(queue, 6, &limits).await.expect("due");
    let a3 = lease(queue, 7, &limits).await.expect("30 + 10 fit");
    assert_eq!((a2.work.keyed_digest.as_str(), a3.work.keyed_digest.as_str()), ("a2", "a3"));
    queue.enqueue(&work("acme", "a4", 1), at(0)).await.expect("enqueued");
    assert_eq!(lease(queue, 8, &limits).await, None, "two leases of acme run");
    for digest in ["z1", "z2", "y1"] {
        let tenant = if digest == "y1" { "yonder" } else { "zenith" };
        queue.enqueue(&work(tenant, digest, 1), at(0)).await.expect("enqueued");
    }
    assert!(lease(queue, 9, &limits).await.is_some());
    assert!(lease(queue, 10, &limits).await.is_some());
    assert_eq!(lease(queue, 11, &limits).await, None, "four leases run at all");
}

/// Eight workers with connections of their own, until nothing is left: each delivery once, the limit never passed.
async fn many_workers_share_without_overlap(place: &Place) {
    const FILES: usize = 120;
    let queue = place.queue().await;
    for n in 0..FILES {
        queue.enqueue(&work(["acme", "zenith", "yonder"][n % 3], &format!("m{n}"), 10), at(0)).await.expect("enqueued");
    }
    let limits = Limits { bytes_max: 30, ..UNLIMITED };
    let mut workers = Vec::new();
    for worker in 0..8 {
        let queue = place.queue().await;
        workers.push(tokio::spawn(async move {
            let mut done = Vec::new();
            let mut idle = 0;
            while idle < 50 {
                let Some(held) = queue.lease(&format!("w{worker}"), at(1), &limits).await.expect("answered") else {
                    idle += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    continue;
                };
                idle = 0;
                let running = queue.items(None).await.expect("listed");
                let bytes: u64 = running.iter().filter(|i| i.state == ItemState::Running).map(|i| i.work.size_bytes).sum();
                assert!(bytes <= 30, "{bytes} bytes run");
                assert!(queue.complete(&held).await.expect("done"));
                done.push(held);
            }
            done
        }));
    }
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.await.expect("no panic"));
    }
    let tokens: HashSet<i64> = done.iter().map(|held| held.token).collect();
    let digests: HashSet<&str> = done.iter().map(|held| held.work.keyed_digest.as_str()).collect();
    assert_eq!((done.len(), tokens.len(), digests.len()), (FILES, FILES, FILES));
}

#[test]
fn a_wait_is_below_a_ceiling_that_doubles_up_to_the_most() {
    let seconds = std::time::Duration::from_secs;
    let backoff = Backoff { first: seconds(2), most: seconds(900) };
    for (attempts, ceiling) in [(0, 2), (1, 2), (2, 4), (3, 8), (9, 512), (10, 900), (40, 900), (u32::MAX, 900)] {
        assert_eq!(backoff.wait(attempts, 0), seconds(0));
        let longest = backoff.wait(attempts, u64::MAX);
        assert!(longest < seconds(ceiling) && longest >= seconds(ceiling) - seconds(1), "{attempts}: {longest:?}");
        let half = backoff.wait(attempts, u64::MAX / 2);
        assert!(half.abs_diff(seconds(ceiling) / 2) < seconds(1), "{attempts}: {half:?}");
    }
}
