//! How many audit events a second are kept: events of reads, appended by many at once to one chain, beside the least that any
//! durable log in a SQL database does (each event one INSERT that commits by itself), by as many on the same database in the
//! same run.
//! Promise: both are durable (SQLite synchronous FULL, PostgreSQL with fsync) and have the same rows of the same size; a run
//! whose chain is not whole and complete, read again by another store, ends in an error, not a table.
//! Never: an event is prepared before the clock runs: ours are sealed and committed to within it.
//!
//! Settings (environment): BONDED_BENCH_EVENTS (20000), BONDED_BENCH_WRITERS (1, 64 and 256), BONDED_BENCH_ROUNDS (3).

use std::{env, error::Error, process::ExitCode, sync::Arc, time::Instant};

use bonded_connectors::{
    audit::chain,
    clock::{Clock, SystemClock},
    seal::{DocumentKey, LakeSecret, TenantSecret},
    store::{ControlStore, Place},
};
use tempfile::TempDir;

mod databases;
#[path = "audit/peer.rs"]
mod peer;
#[path = "../connectors/src/store/private_postgres.rs"]
mod private_postgres;

use databases::{DATABASES, in_turn, place};
use private_postgres::PrivatePostgres;

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// An event as the engine writes one of a query.
const EVENT: &str = "\"actor\":\"console:bench\",\"action\":\"query\",\"object\":\"SELECT country_of_origin_code, sum(line_duty_amount) \
                     FROM entry_lines GROUP BY 1\",\"result\":\"done\"}";

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
    let events = setting("BONDED_BENCH_EVENTS").unwrap_or(20_000);
    let rounds = setting("BONDED_BENCH_ROUNDS").unwrap_or(3);
    let writers = setting("BONDED_BENCH_WRITERS").map_or_else(|| vec![1, 64, 256], |writers| vec![writers]);
    println!("{events} events (a twentieth of them by one writer), best of {rounds} rounds");
    println!("{:<12} {:>8} {:>14} {:>16} {:>8}", "database", "writers", "chained/s", "bare INSERT/s", "ratio");
    let cluster = PrivatePostgres::start_with("-c fsync=on");
    for database in DATABASES {
        for writers in writers.iter().copied() {
            let events = if writers == 1 { events / 20 } else { events };
            let mut best = [0.0_f64; 2];
            for round in 0..rounds {
                let folder = TempDir::new()?;
                let Some(place) = place(database, &folder, cluster.as_ref(), &format!("writers_{writers}_round_{round}")) else {
                    break;
                };
                for contender in in_turn(round) {
                    let rate = match contender {
                        0 => ours(&place, events, writers).await?,
                        _ => peer::run(&place, events, writers, &stored(&key())).await?,
                    };
                    best[contender] = best[contender].max(rate);
                }
            }
            println!("{database:<12} {writers:>8} {:>14.0} {:>16.0} {:>8.2}", best[0], best[1], best[0] / best[1]);
        }
    }
    Ok(())
}

fn key() -> DocumentKey {
    TenantSecret::generate().derive().1
}

/// The stored text of one event.
fn stored(key: &DocumentKey) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let plain = format!("{{\"salt\":\"{}\",{EVENT}", chain::salt());
    let sealed = STANDARD.encode(key.seal(&["bench", "audit", "event"], plain.as_bytes()));
    chain::bound(&chain::commitment(&plain), &sealed)
}

async fn ours(place: &Place, events: usize, writers: usize) -> Outcome<f64> {
    let proofs = LakeSecret::generate().proofs();
    let store = ControlStore::create(place.clone()).await?.prove(&proofs).await?;
    let before = store.audit_head().await?.events;
    let key = Arc::new(key());
    let began = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (store, key) = (store.clone(), key.clone());
            let own = events / writers + usize::from(writer < events % writers);
            tokio::spawn(async move {
                for _ in 0..own {
                    store.append_audit(SystemClock.now(), &stored(&key)).await?;
                }
                Ok::<_, bonded_connectors::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let took = began.elapsed();
    store.close().await;
    let again = ControlStore::open(place.clone()).await?.prove(&proofs).await?;
    let rows = again.audit().await?.len();
    again.close().await;
    if rows != events + usize::try_from(before)? {
        return Err(format!("{rows} events are kept of {events}; a wrong trail is not timed").into());
    }
    Ok(events as f64 / took.as_secs_f64())
}

fn setting(name: &str) -> Option<usize> {
    env::var(name).ok().and_then(|text| text.parse().ok()).filter(|value| *value > 0)
}
