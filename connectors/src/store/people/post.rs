//! Letters that wait to be sent, written in the transaction of what they tell.
//! Promise: each is sent at least once, or told as given up; two processes do not send the same one at the same time.

use sqlx::{Any, Row, any::AnyArguments, query::Query};

use super::People;
use crate::error::Result;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostRow {
    pub letter_id: String,
    pub due_ms: i64,
    /// Not sent from then on: the code in it is worth nothing any more.
    pub expires_ms: i64,
    pub tries: i64,
    pub sealed: String,
}

impl PostRow {
    pub(super) fn put(&self) -> Query<'_, Any, AnyArguments<'_>> {
        sqlx::query("INSERT INTO post VALUES ($1, $2, $3, $4, $5)")
            .bind(&self.letter_id)
            .bind(self.due_ms)
            .bind(self.expires_ms)
            .bind(self.tries)
            .bind(&self.sealed)
    }
}

impl People {
    /// What is due, the longest first, at most so many.
    pub async fn due_post(&self, now_ms: i64, letters_max: u32) -> Result<Vec<PostRow>> {
        let rows = sqlx::query(
            "SELECT letter_id, due_ms, expires_ms, tries, sealed FROM post WHERE due_ms <= $1 ORDER BY due_ms, letter_id LIMIT $2",
        )
        .bind(now_ms)
        .bind(i64::from(letters_max))
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(PostRow {
                    letter_id: row.try_get(0)?,
                    due_ms: row.try_get(1)?,
                    expires_ms: row.try_get(2)?,
                    tries: row.try_get(3)?,
                    sealed: row.try_get(4)?,
                })
            })
            .collect()
    }

    /// Takes the letter for sending, until then; `false` when another took it.
    pub async fn take_post(&self, letter: &PostRow, until_ms: i64) -> Result<bool> {
        let done =
            sqlx::query("UPDATE post SET due_ms = $1, tries = tries + 1 WHERE letter_id = $2 AND due_ms = $3 AND tries = $4")
                .bind(until_ms)
                .bind(&letter.letter_id)
                .bind(letter.due_ms)
                .bind(letter.tries)
                .execute(&self.pool)
                .await?;
        Ok(done.rows_affected() == 1)
    }

    pub async fn drop_post(&self, letter_id: &str) -> Result<()> {
        sqlx::query("DELETE FROM post WHERE letter_id = $1").bind(letter_id).execute(&self.pool).await?;
        Ok(())
    }
}
