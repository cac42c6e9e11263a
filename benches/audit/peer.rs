//! A log without a chain: each event one INSERT, committed by itself.

use std::time::Instant;

use bonded_connectors::store::Place;
use sqlx::{Executor, any::AnyPoolOptions};
use uuid::Uuid;

use crate::Outcome;

/// As many connections as the store has.
const CONNECTIONS: u32 = 4;

/// Events a second.
pub async fn run(place: &Place, events: usize, writers: usize, event: &str) -> Outcome<f64> {
    sqlx::any::install_default_drivers();
    let (url, set_up) = match place {
        Place::Sqlite(folder) => (
            format!("sqlite://{}?mode=rwc", folder.join("peer.sqlite").display()),
            "PRAGMA busy_timeout = 30000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
        ),
        Place::Postgres { url, owner } => {
            (owner.as_ref().unwrap_or(url).clone(), "CREATE SCHEMA IF NOT EXISTS peer; SET search_path TO peer;")
        }
    };
    let options = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .after_connect(move |connection, _| Box::pin(async move { connection.execute(set_up).await.map(|_| ()) }));
    let pool = options.connect(&url).await?;
    pool.execute("DROP TABLE IF EXISTS log").await?;
    pool.execute("CREATE TABLE log (id TEXT PRIMARY KEY, at TEXT NOT NULL, event TEXT NOT NULL)").await?;
    let began = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (pool, event) = (pool.clone(), event.to_owned());
            let own = events / writers + usize::from(writer < events % writers);
            tokio::spawn(async move {
                for _ in 0..own {
                    sqlx::query("INSERT INTO log VALUES ($1, $2, $3)")
                        .bind(Uuid::now_v7().to_string())
                        .bind("2026-01-01T00:00:00.000000+00:00")
                        .bind(&event)
                        .execute(&pool)
                        .await?;
                }
                Ok::<_, sqlx::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let took = began.elapsed();
    pool.close().await;
    Ok(events as f64 / took.as_secs_f64())
}
