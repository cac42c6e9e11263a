//! How fast workers get work: lease and complete, eight workers, beside the least that any queue in a SQL database does
//! (one UPDATE that takes the oldest row, one DELETE), on the same database in the same run.
//! Promise: both are durable (SQLite synchronous FULL, PostgreSQL with fsync), both begin with the same number of items,
//! and a run in which an item was leased twice or not at all ends in an error, not a table.
//! Never: a worker shares a connection with another one, as processes would not.
//!
//! Settings (environment): BONDED_BENCH_FILES (2000), BONDED_BENCH_WORKERS (8), BONDED_BENCH_ROUNDS (3).

use std::{
    collections::HashSet,
    env,
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};

use bonded_connectors::{
    clock::{Clock, SystemClock},
    seal::LakeSecret,
    store::{
        ControlStore, Place,
        queue::{Limits, Queue, Work},
    },
};
use bonded_schemas::DeliveryId;
use tempfile::TempDir;
use uuid::Uuid;

mod databases;
#[path = "queue/peer.rs"]
mod peer;
#[path = "../connectors/src/store/private_postgres.rs"]
mod private_postgres;
#[path = "queue/statements.rs"]
mod statements;

use databases::{DATABASES, in_turn, place};
use private_postgres::PrivatePostgres;

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const TENANTS: usize = 10;
/// Generous, so that what is measured is the queue and not a limit. They are checked all the same.
const LIMITS: Limits = Limits {
    lease: chrono::Duration::seconds(60),
    leases_max: 1000,
    tenant_leases_max: 1000,
    bytes_max: u64::MAX,
    tenant_bytes_max: u64::MAX,
    strikes_max: 6,
};

/// What one worker did: how long each lease with its completion took, and of which items.
pub type Done = Vec<(Duration, String)>;

fn main() -> ExitCode {
    match tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let files = setting("BONDED_BENCH_FILES", 2000);
    let workers = setting("BONDED_BENCH_WORKERS", 8);
    let rounds = setting("BONDED_BENCH_ROUNDS", 3);
    println!("{files} deliveries of {TENANTS} tenants, {workers} workers, best of {rounds}; a lease is one with its completion");
    println!("{:<12} {:<12} {:>10} {:>10} {:>10} {:>8}", "database", "queue", "leases/s", "median ms", "p99 ms", "of peer");
    let cluster = PrivatePostgres::start_with("-c fsync=on");
    if let Some(cluster) = &cluster {
        statements::run(cluster, rounds).await?;
    }
    for database in DATABASES {
        let mut best = [Figures::default(); 2];
        for round in 0..rounds {
            let folder = TempDir::new()?;
            let Some(place) = place(database, &folder, cluster.as_ref(), &format!("round_{round}")) else { break };
            for contender in in_turn(round) {
                let figures = match contender {
                    0 => ours(&place, files, workers).await?,
                    _ => peer::run(&place, files, workers).await?,
                };
                if figures.leases_per_second > best[contender].leases_per_second {
                    best[contender] = figures;
                }
            }
        }
        for (name, figures) in [("bonded", best[0]), ("one UPDATE", best[1])] {
            println!(
                "{database:<12} {name:<12} {:>10.0} {:>10.2} {:>10.2} {:>8.2}",
                figures.leases_per_second,
                figures.median_ms,
                figures.p99_ms,
                figures.leases_per_second / best[1].leases_per_second
            );
        }
    }
    Ok(())
}

async fn ours(place: &Place, files: usize, workers: usize) -> Outcome<Figures> {
    let proofs = LakeSecret::generate().proofs();
    let store = ControlStore::create(place.clone()).await?.prove(&proofs).await?;
    let queue = store.queue().await?;
    for n in 0..files {
        let work = Work {
            tenant: format!("tenant-{}", n % TENANTS).parse().map_err(|_| "a tenant name")?,
            keyed_digest: format!("{n:064x}"),
            delivery_id: DeliveryId(Uuid::now_v7()),
            size_bytes: 1 << 20,
        };
        queue.enqueue(&work, SystemClock.now()).await?;
    }
    let mut queues = Vec::new();
    for _ in 0..workers {
        queues.push(ControlStore::open(place.clone()).await?.prove(&proofs).await?.queue().await?);
    }
    let began = Instant::now();
    let tasks: Vec<_> = queues.into_iter().enumerate().map(|(n, queue)| tokio::spawn(work(queue, n))).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.extend(task.await??);
    }
    figures(done, files, began.elapsed())
}

async fn work(queue: Queue, worker: usize) -> Outcome<Done> {
    let name = format!("worker {worker}");
    let mut done = Vec::new();
    loop {
        let began = Instant::now();
        let Some(lease) = queue.lease(&name, SystemClock.now(), &LIMITS).await? else { return Ok(done) };
        if !queue.complete(&lease).await? {
            return Err("a lease was lost".into());
        }
        done.push((began.elapsed(), lease.work.keyed_digest));
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    leases_per_second: f64,
    median_ms: f64,
    p99_ms: f64,
}

pub fn figures(mut done: Done, files: usize, wall: Duration) -> Outcome<Figures> {
    let different: HashSet<&str> = done.iter().map(|(_, item)| item.as_str()).collect();
    if done.len() != files || different.len() != files {
        return Err(
            format!("{files} items, {} leases of {} items; a wrong queue is not timed", done.len(), different.len()).into()
        );
    }
    done.sort();
    let at = |part: f64| done[((done.len() - 1) as f64 * part) as usize].0.as_secs_f64() * 1000.0;
    Ok(Figures { leases_per_second: files as f64 / wall.as_secs_f64(), median_ms: at(0.5), p99_ms: at(0.99) })
}

fn setting(name: &str, default: usize) -> usize {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default).max(1)
}
