//! Appending at the end of a chain: one event by itself, or all that wait at once in one transaction.
//! Promise: who was answered has an event that is on the disk; under load the syncs are shared and not the waits. Nobody's
//! event is lost or written twice because somebody else stopped waiting.
//!
//! There is no task of its own: whoever comes first writes for all who came meanwhile. One event alone is written by two
//! statements as it always was; several go in one transaction, in a task that outlives the caller who began it.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use sqlx::query::Query;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard, oneshot};

use super::{ATTEMPTS_MAX, INSERT, LAST, LOCK, busy, head_of};
use crate::{
    audit::chain::{Head, stored_link},
    error::{Error, ErrorKind, Result},
    store::Pool,
};

/// Events in one transaction.
const BATCH_MAX: usize = 512;
/// Rows in one statement; few different texts, so that prepared statements are few.
const ROWS_AT_ONCE: [usize; 3] = [64, 8, 1];

/// Who waits to append to one chain, in this process.
#[derive(Debug, Default)]
pub(in crate::store) struct Tail {
    waiting: Mutex<Vec<Waiting>>,
    turn: Arc<Turn<()>>,
}

#[derive(Debug)]
struct Waiting {
    at: String,
    sealed: String,
    answer: oneshot::Sender<Result<i64>>,
}

pub(super) async fn append(pool: &Pool, tail: &Arc<Tail>, at: DateTime<Utc>, sealed: &str) -> Result<i64> {
    let (answer, mut answered) = oneshot::channel();
    tail.waiting().push(Waiting { at: at.to_rfc3339(), sealed: sealed.to_owned(), answer });
    loop {
        tokio::select! {
            biased;
            // Without an answer, whoever wrote fell over: it is not known whether the event is there.
            written = &mut answered => return written.unwrap_or_else(|_| Err(lost())),
            turn = tail.turn.clone().lock_owned() => lead(pool, tail, turn).await,
        }
    }
}

impl Tail {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        // A list is whole whatever its holder died of.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps everybody waiting.
    #[cfg(test)]
    pub(in crate::store) async fn turn_for_test(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    fn next(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(BATCH_MAX);
        waiting.drain(..count).collect()
    }
}

async fn lead(pool: &Pool, tail: &Tail, turn: OwnedMutexGuard<()>) {
    let mut batch = tail.next();
    match batch.len() {
        0 => {}
        1 => {
            if let Some(Waiting { at, sealed, answer }) = batch.pop() {
                // Nobody listens when the caller gave up.
                drop(answer.send(one(pool, &at, &sealed).await));
            }
        }
        _ => {
            let pool = pool.clone();
            tokio::spawn(async move {
                let written = many(&pool, &batch).await;
                for (waiting, n) in batch.into_iter().zip(0..) {
                    let told = match &written {
                        Ok(first) => Ok(first + n),
                        Err(error) => Err(Error::new(error.kind(), error.to_string())),
                    };
                    drop(waiting.answer.send(told));
                }
                drop(turn);
            });
        }
    }
}

/// Another process may take the number first: then nothing is inserted.
async fn one(pool: &Pool, at: &str, sealed: &str) -> Result<i64> {
    for _ in 0..ATTEMPTS_MAX {
        let last = sqlx::query(LAST).fetch_optional(pool).await?;
        let here = head_of(last.as_ref())?;
        let seq = here.events + 1;
        let hash = stored_link(&here.hash, seq, at, sealed)?;
        if sqlx::query(INSERT).bind(seq).bind(at).bind(sealed).bind(hash).execute(pool).await?.rows_affected() == 1 {
            return Ok(seq);
        }
    }
    Err(busy())
}

/// The number of the first.
async fn many(pool: &Pool, batch: &[Waiting]) -> Result<i64> {
    for _ in 0..ATTEMPTS_MAX {
        let mut transaction = pool.begin().await?;
        sqlx::query(LOCK).execute(&mut *transaction).await?;
        let last = sqlx::query(LAST).fetch_optional(&mut *transaction).await?;
        let here = head_of(last.as_ref())?;
        let rows = linked(&here, batch)?;
        // Who has the next number has the end of the chain until the commit: nobody can follow what is not yet to be seen.
        if insert(INSERT, &rows[..1]).execute(&mut *transaction).await?.rows_affected() != 1 {
            transaction.rollback().await?;
            continue;
        }
        let mut rest = &rows[1..];
        for size in ROWS_AT_ONCE {
            let statement = statement(size);
            while rest.len() >= size {
                let (now, later) = rest.split_at(size);
                insert(&statement, now).execute(&mut *transaction).await?;
                rest = later;
            }
        }
        transaction.commit().await?;
        return Ok(here.events + 1);
    }
    Err(busy())
}

struct Row<'a> {
    seq: i64,
    at: &'a str,
    sealed: &'a str,
    hash: String,
}

fn linked<'a>(head: &Head, batch: &'a [Waiting]) -> Result<Vec<Row<'a>>> {
    let (mut seq, mut hash) = (head.events, head.hash.clone());
    let follow = |waiting: &'a Waiting| {
        seq += 1;
        hash = stored_link(&hash, seq, &waiting.at, &waiting.sealed)?;
        Ok(Row { seq, at: &waiting.at, sealed: &waiting.sealed, hash: hash.clone() })
    };
    batch.iter().map(follow).collect()
}

fn statement(rows: usize) -> String {
    let row = |n: usize| format!("(${}, ${}, ${}, ${})", 4 * n + 1, 4 * n + 2, 4 * n + 3, 4 * n + 4);
    format!("INSERT INTO audit VALUES {}", (0..rows).map(row).collect::<Vec<_>>().join(", "))
}

fn insert<'q>(statement: &'q str, rows: &'q [Row<'q>]) -> Query<'q, sqlx::Any, sqlx::any::AnyArguments<'q>> {
    rows.iter().fold(sqlx::query(statement), |query, row| query.bind(row.seq).bind(row.at).bind(row.sealed).bind(&row.hash))
}

fn lost() -> Error {
    Error::new(ErrorKind::Ambiguous, "an audit event may have been written or not: look at the trail before doing it again")
}
