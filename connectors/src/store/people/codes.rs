//! Codes that were mailed: six digits for an address, a link for a reset.
//! Promise: a try is counted before it is judged, so that tries at the same moment count each; past the last, no code is right.

use sqlx::{Any, Row, any::AnyArguments, query::Query};

use super::People;
use crate::error::Result;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRow {
    /// `sign-up`, `invite` or `reset`.
    pub kind: String,
    /// Keyed digest of the address, or the user's id.
    pub subject: String,
    /// The tenant of an invite; else empty.
    pub about: String,
    pub digest: String,
    pub expires_ms: i64,
}

impl CodeRow {
    pub(super) fn put(&self) -> Query<'_, Any, AnyArguments<'_>> {
        sqlx::query(
            "INSERT INTO codes VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (kind, subject, about)
             DO UPDATE SET digest = excluded.digest, expires_ms = excluded.expires_ms, tries = 0",
        )
        .bind(&self.kind)
        .bind(&self.subject)
        .bind(&self.about)
        .bind(&self.digest)
        .bind(self.expires_ms)
    }
}

impl People {
    /// Counts a try on every live code of the subject, and answers them.
    pub async fn try_codes(&self, kind: &str, subject: &str, now_ms: i64, tries_max: u32) -> Result<Vec<CodeRow>> {
        let rows = sqlx::query(
            "UPDATE codes SET tries = tries + 1 WHERE kind = $1 AND subject = $2 AND expires_ms > $3 AND tries < $4
             RETURNING about, digest, expires_ms",
        )
        .bind(kind)
        .bind(subject)
        .bind(now_ms)
        .bind(i64::from(tries_max))
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(CodeRow {
                    kind: kind.to_owned(),
                    subject: subject.to_owned(),
                    about: row.try_get(0)?,
                    digest: row.try_get(1)?,
                    expires_ms: row.try_get(2)?,
                })
            })
            .collect()
    }
}
