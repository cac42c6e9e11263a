//! What it costs that PostgreSQL is shown a proof in every transaction: a lone read and a lone write of the control store,
//! beside the same statements on a plain pool of the tables' owner, which keeps its session and its prepared statements.

use std::time::{Duration, Instant};

use bonded_connectors::{
    clock::{Clock, SystemClock},
    seal::LakeSecret,
    store::{ControlStore, Place, queue::Work},
};
use bonded_schemas::{DeliveryId, TenantId};
use sqlx::{AnyPool, any::AnyPoolOptions};
use uuid::Uuid;

use crate::{Outcome, private_postgres::PrivatePostgres};

const STATEMENTS: usize = 500;

pub async fn run(cluster: &PrivatePostgres, rounds: usize) -> Outcome<()> {
    let (url, owner) = cluster.another("statements");
    let store = ControlStore::create(Place::Postgres { url, owner: Some(owner.clone()) }).await?;
    let store = store.prove(&LakeSecret::generate().proofs()).await?;
    let queue = store.queue().await?;
    let tenant: TenantId = "tenant-0".parse().map_err(|_| "a tenant name")?;
    let plain = AnyPoolOptions::new().max_connections(4).connect(&owner).await?;
    // The same rows, without policies.
    for made in [
        "CREATE TABLE plain_items AS SELECT * FROM bonded.queue",
        "CREATE UNIQUE INDEX ON plain_items (tenant, keyed_digest)",
        "CREATE TABLE plain_turns (tenant TEXT PRIMARY KEY, token BIGINT)",
    ] {
        sqlx::query(made).execute(&plain).await?;
    }
    let mut best = [[f64::MAX; 2]; 2];
    for round in 0..rounds {
        for contender in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let (mut read, mut write) = (Vec::new(), Vec::new());
            for n in 0..STATEMENTS {
                let began = Instant::now();
                match contender {
                    0 => _ = queue.depth(&tenant).await?,
                    _ => read_plain(&plain, &tenant).await?,
                }
                read.push(began.elapsed());
                let began = Instant::now();
                match contender {
                    // Two statements, each alone: a turn and an item.
                    0 => {
                        let work = Work {
                            tenant: format!("other-{round}-{n}").parse().map_err(|_| "a tenant name")?,
                            keyed_digest: format!("{n:064x}"),
                            delivery_id: DeliveryId(Uuid::now_v7()),
                            size_bytes: 1,
                        };
                        queue.enqueue(&work, SystemClock.now()).await?;
                    }
                    _ => write_plain(&plain, round, n).await?,
                }
                write.push(began.elapsed() / 2);
            }
            best[contender][0] = best[contender][0].min(median_ms(read));
            best[contender][1] = best[contender][1].min(median_ms(write));
        }
    }
    println!("PostgreSQL, one statement alone, median of {STATEMENTS}, best of {rounds}: ms");
    for (name, [read, write]) in [("proven", best[0]), ("plain", best[1])] {
        println!("{name:<12} read {read:>6.3}  write {write:>6.3}");
    }
    plain.close().await;
    store.close().await;
    Ok(())
}

async fn read_plain(plain: &AnyPool, tenant: &TenantId) -> Outcome<()> {
    let sql = "SELECT COUNT(*) FROM plain_items WHERE tenant = $1";
    sqlx::query(sql).bind(tenant.as_str()).fetch_one(plain).await?;
    Ok(())
}

async fn write_plain(plain: &AnyPool, round: usize, n: usize) -> Outcome<()> {
    let tenant = format!("other-{round}-{n}");
    sqlx::query("INSERT INTO plain_turns VALUES ($1, 0) ON CONFLICT (tenant) DO NOTHING").bind(&tenant).execute(plain).await?;
    sqlx::query(
        "INSERT INTO plain_items (tenant, keyed_digest, delivery_id, size_bytes, state, due_ms, enqueued_ms, attempts, strikes, token)
         VALUES ($1, $2, $3, $4, 'waiting', $5, $5, 0, 0, 0)",
    )
    .bind(&tenant)
    .bind(format!("{n:064x}"))
    .bind(Uuid::now_v7().to_string())
    .bind(1_i64)
    .bind(0_i64)
    .execute(plain)
    .await?;
    Ok(())
}

fn median_ms(mut took: Vec<Duration>) -> f64 {
    took.sort();
    took[took.len() / 2].as_secs_f64() * 1000.0
}
