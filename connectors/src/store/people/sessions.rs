//! Sessions: who is signed in, where they work, how they proved it.
//! Promise: a session is found by the SHA-256 of its token; a rotated token finds nothing from then on.

use sqlx::{
    Any, Row,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::People;
use crate::error::Result;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Stays while the token is rotated; it may be told.
    pub session_id: String,
    pub token_digest: String,
    pub user_id: String,
    /// Where they work; empty before they chose.
    pub tenant: String,
    /// 1: the password; 2: a code of an authenticator as well.
    pub factors: i64,
    pub made_ms: i64,
    pub seen_ms: i64,
    /// When they proved again that it is they; 0 before.
    pub stepped_up_ms: i64,
    /// Address and program, sealed.
    pub sealed: String,
}

const COLUMNS: &str = "session_id, token_digest, user_id, tenant, factors, made_ms, seen_ms, stepped_up_ms, sealed";

impl SessionRow {
    pub(super) fn put(&self) -> Query<'_, Any, AnyArguments<'_>> {
        sqlx::query("INSERT INTO sessions VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(&self.session_id)
            .bind(&self.token_digest)
            .bind(&self.user_id)
            .bind(&self.tenant)
            .bind(self.factors)
            .bind(self.made_ms)
            .bind(self.seen_ms)
            .bind(self.stepped_up_ms)
            .bind(&self.sealed)
    }

    pub(super) fn rotate<'q>(&'q self, from: &'q str) -> Query<'q, Any, AnyArguments<'q>> {
        sqlx::query(
            "UPDATE sessions SET token_digest = $1, tenant = $2, factors = $3, seen_ms = $4, stepped_up_ms = $5
             WHERE session_id = $6 AND token_digest = $7",
        )
        .bind(&self.token_digest)
        .bind(&self.tenant)
        .bind(self.factors)
        .bind(self.seen_ms)
        .bind(self.stepped_up_ms)
        .bind(&self.session_id)
        .bind(from)
    }
}

impl People {
    pub async fn session(&self, token_digest: &str) -> Result<Option<SessionRow>> {
        let sql = format!("SELECT {COLUMNS} FROM sessions WHERE token_digest = $1");
        let row = sqlx::query(&sql).bind(token_digest).fetch_optional(&self.pool).await?;
        row.as_ref().map(session).transpose()
    }

    /// Oldest first.
    pub async fn sessions(&self, user_id: &str) -> Result<Vec<SessionRow>> {
        let sql = format!("SELECT {COLUMNS} FROM sessions WHERE user_id = $1 ORDER BY made_ms, session_id");
        let rows = sqlx::query(&sql).bind(user_id).fetch_all(&self.pool).await?;
        rows.iter().map(session).collect()
    }

    /// Notes that the session was used; never backwards.
    pub async fn seen(&self, session_id: &str, now_ms: i64) -> Result<()> {
        let sql = "UPDATE sessions SET seen_ms = $1 WHERE session_id = $2 AND seen_ms < $1";
        sqlx::query(sql).bind(now_ms).bind(session_id).execute(&self.pool).await?;
        Ok(())
    }

    /// Removes what is past every use: sessions, codes, letters and attempts; answers how many rows.
    pub async fn sweep(&self, now_ms: i64, session_made_before_ms: i64, attempts_before_ms: i64) -> Result<u64> {
        let mut gone = 0;
        for (sql, before) in [
            ("DELETE FROM sessions WHERE made_ms < $1", session_made_before_ms),
            ("DELETE FROM codes WHERE expires_ms < $1", now_ms),
            ("DELETE FROM attempts WHERE last_ms < $1", attempts_before_ms),
        ] {
            gone += sqlx::query(sql).bind(before).execute(&self.pool).await?.rows_affected();
        }
        Ok(gone)
    }
}

fn session(row: &AnyRow) -> Result<SessionRow> {
    Ok(SessionRow {
        session_id: row.try_get(0)?,
        token_digest: row.try_get(1)?,
        user_id: row.try_get(2)?,
        tenant: row.try_get(3)?,
        factors: row.try_get(4)?,
        made_ms: row.try_get(5)?,
        seen_ms: row.try_get(6)?,
        stepped_up_ms: row.try_get(7)?,
        sealed: row.try_get(8)?,
    })
}
