//! The peer: the least that a durable queue in a SQL database does. One UPDATE takes the oldest waiting row, one DELETE
//! ends it. No turns, no limits, no token that grows, no lease that runs out.

use std::time::{Duration, Instant};

use bonded_connectors::store::Place;
use sqlx::{AnyPool, Executor, Row, any::AnyPoolOptions};

use crate::{Done, Figures, Outcome, figures};

pub async fn run(place: &Place, files: usize, workers: usize) -> Outcome<Figures> {
    let first = pool(place).await?;
    first.execute("DROP TABLE IF EXISTS plain_queue").await?;
    first.execute("CREATE TABLE plain_queue (id BIGINT PRIMARY KEY, state TEXT NOT NULL)").await?;
    first.execute("CREATE INDEX plain_waiting ON plain_queue (state, id)").await?;
    let all = format!(
        "INSERT INTO plain_queue WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {files}) SELECT n, 'waiting' FROM c"
    );
    first.execute(all.as_str()).await?;
    let skip = if matches!(place, Place::Postgres { .. }) { "FOR UPDATE SKIP LOCKED" } else { "" };
    let mut pools = Vec::new();
    for _ in 0..workers {
        pools.push(pool(place).await?);
    }
    let began = Instant::now();
    let tasks: Vec<_> = pools.into_iter().map(|pool| tokio::spawn(work(pool, skip))).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.extend(task.await??);
    }
    figures(done, files, began.elapsed())
}

async fn work(pool: AnyPool, skip: &'static str) -> Outcome<Done> {
    let take = format!(
        "UPDATE plain_queue SET state = 'running'
         WHERE id = (SELECT id FROM plain_queue WHERE state = 'waiting' ORDER BY id LIMIT 1 {skip}) RETURNING id"
    );
    let mut done = Vec::new();
    loop {
        let began = Instant::now();
        let Some(row) = sqlx::query(&take).fetch_optional(&pool).await? else { return Ok(done) };
        let id: i64 = row.try_get(0)?;
        sqlx::query("DELETE FROM plain_queue WHERE id = $1").bind(id).execute(&pool).await?;
        done.push((began.elapsed(), id.to_string()));
    }
}

/// As the control store opens it: the same journal, the same syncs, the same patience.
async fn pool(place: &Place) -> Outcome<AnyPool> {
    sqlx::any::install_default_drivers();
    let options = AnyPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(60));
    Ok(match place {
        Place::Sqlite(folder) => {
            let url = format!("sqlite://{}?mode=rwc", folder.join("plain.sqlite").display());
            let pragmas = "PRAGMA busy_timeout = 30000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
            options
                .after_connect(move |connection, _| Box::pin(async move { connection.execute(pragmas).await.map(|_| ()) }))
                .connect(&url)
                .await?
        }
        // Its table is its own, so it is the owner.
        Place::Postgres { url, owner } => options.connect(owner.as_deref().unwrap_or(url)).await?,
    })
}
