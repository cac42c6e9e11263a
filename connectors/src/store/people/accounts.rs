//! Accounts, and the steps of which every change to people is made.

use sqlx::{
    Any, Row,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{CodeRow, People, PostRow, SessionRow, Told};
use crate::{
    error::Result,
    store::{ControlStore, Transaction},
};

/// An account. It is there once its address was proven, never before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    pub user_id: String,
    /// Keyed digest of the folded e-mail.
    pub email_digest: String,
    /// Grows with each change; a change names the one that it was made from.
    pub version: i64,
    /// All else, sealed under the lake's document key.
    pub sealed: String,
}

/// One write of a change. A guarded one that finds its row no longer as it was takes the whole change back.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Guarded: nobody has the address.
    AddUser(&'a UserRow),
    /// Guarded by the version that the row was read in.
    ChangeUser {
        user_id: &'a str,
        version: i64,
        sealed: &'a str,
    },
    /// In place of any code of the same kind, subject and matter; its tries begin anew.
    PutCode(&'a CodeRow),
    /// Guarded: this very code is still there.
    UseCode(&'a CodeRow),
    DropCode {
        kind: &'a str,
        subject: &'a str,
        about: &'a str,
    },
    AddSession(&'a SessionRow),
    /// Guarded by the digest that the session had.
    RotateSession {
        from: &'a str,
        to: &'a SessionRow,
    },
    /// Guarded: the user has this session.
    EndSession {
        user_id: &'a str,
        session_id: &'a str,
    },
    /// All of the user's but one; an empty name spares none.
    EndSessions {
        user_id: &'a str,
        but: &'a str,
    },
    /// Those that work in this team.
    EndSessionsIn {
        user_id: &'a str,
        tenant: &'a str,
    },
    Seat {
        user_id: &'a str,
        tenant: &'a str,
    },
    LeaveSeat {
        user_id: &'a str,
        tenant: &'a str,
    },
    Post(&'a PostRow),
    /// Forgets the attempts that were counted.
    Forgive {
        kind: &'a str,
        subject: &'a str,
    },
    /// Takes one counted attempt back, and the wait that it brought.
    Uncount {
        kind: &'a str,
        subject: &'a str,
    },
    /// Notes that this was seen, as [`People::is_known`] asks.
    Know {
        kind: &'a str,
        subject: &'a str,
        at_ms: i64,
    },
}

impl Step<'_> {
    fn is_guarded(&self) -> bool {
        matches!(
            self,
            Step::AddUser(_) | Step::ChangeUser { .. } | Step::UseCode(_) | Step::RotateSession { .. } | Step::EndSession { .. }
        )
    }
}

type Write<'q> = Query<'q, Any, AnyArguments<'q>>;

fn write<'q>(step: &Step<'q>) -> Write<'q> {
    match *step {
        Step::AddUser(user) => sqlx::query("INSERT INTO users VALUES ($1, $2, $3, $4) ON CONFLICT (email_digest) DO NOTHING")
            .bind(&user.user_id)
            .bind(&user.email_digest)
            .bind(user.version)
            .bind(&user.sealed),
        Step::ChangeUser { user_id, version, sealed } => {
            sqlx::query("UPDATE users SET sealed = $1, version = version + 1 WHERE user_id = $2 AND version = $3")
                .bind(sealed)
                .bind(user_id)
                .bind(version)
        }
        Step::PutCode(code) => code.put(),
        Step::UseCode(code) => sqlx::query("DELETE FROM codes WHERE kind = $1 AND subject = $2 AND about = $3 AND digest = $4")
            .bind(&code.kind)
            .bind(&code.subject)
            .bind(&code.about)
            .bind(&code.digest),
        Step::DropCode { kind, subject, about } => {
            sqlx::query("DELETE FROM codes WHERE kind = $1 AND subject = $2 AND about = $3").bind(kind).bind(subject).bind(about)
        }
        Step::AddSession(session) => session.put(),
        Step::RotateSession { from, to } => to.rotate(from),
        Step::EndSession { user_id, session_id } => {
            sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND session_id = $2").bind(user_id).bind(session_id)
        }
        Step::EndSessions { user_id, but } => {
            sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND session_id <> $2").bind(user_id).bind(but)
        }
        Step::EndSessionsIn { user_id, tenant } => {
            sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND tenant = $2").bind(user_id).bind(tenant)
        }
        Step::Seat { user_id, tenant } => {
            sqlx::query("INSERT INTO seats VALUES ($1, $2) ON CONFLICT (user_id, tenant) DO NOTHING").bind(user_id).bind(tenant)
        }
        Step::LeaveSeat { user_id, tenant } => {
            sqlx::query("DELETE FROM seats WHERE user_id = $1 AND tenant = $2").bind(user_id).bind(tenant)
        }
        Step::Post(letter) => letter.put(),
        Step::Forgive { kind, subject } => {
            sqlx::query("DELETE FROM attempts WHERE kind = $1 AND subject = $2").bind(kind).bind(subject)
        }
        Step::Uncount { kind, subject } => sqlx::query(
            "UPDATE attempts SET counted = counted - 1, until_ms = 0 WHERE kind = $1 AND subject = $2 AND counted > 0",
        )
        .bind(kind)
        .bind(subject),
        Step::Know { kind, subject, at_ms } => sqlx::query(
            "INSERT INTO attempts VALUES ($1, $2, 0, $3, 0) ON CONFLICT (kind, subject) DO UPDATE SET last_ms = excluded.last_ms",
        )
        .bind(kind)
        .bind(subject)
        .bind(at_ms),
    }
}

impl People {
    /// All of it, in this order, and its entry in the lake's trail; `false` when a guarded step lost, and then nothing.
    pub async fn change(&self, steps: &[Step<'_>], told: Told<'_>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        if !self.apply(&mut transaction, steps).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        ControlStore::append_audit_in(&mut transaction, told.at, told.event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The same without an entry: for what is no action of anybody, as a letter sent or a code put for a second time.
    pub async fn note(&self, steps: &[Step<'_>]) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        if !self.apply(&mut transaction, steps).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    async fn apply(&self, transaction: &mut Transaction, steps: &[Step<'_>]) -> Result<bool> {
        for step in steps {
            let done = write(step).execute(&mut **transaction).await?;
            if step.is_guarded() && done.rows_affected() == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub async fn user(&self, user_id: &str) -> Result<Option<UserRow>> {
        let sql = "SELECT user_id, email_digest, version, sealed FROM users WHERE user_id = $1";
        let row = sqlx::query(sql).bind(user_id).fetch_optional(&self.pool).await?;
        row.as_ref().map(user).transpose()
    }

    pub async fn user_by_email(&self, email_digest: &str) -> Result<Option<UserRow>> {
        let sql = "SELECT user_id, email_digest, version, sealed FROM users WHERE email_digest = $1";
        let row = sqlx::query(sql).bind(email_digest).fetch_optional(&self.pool).await?;
        row.as_ref().map(user).transpose()
    }

    /// Where the user may have a seat, by name.
    pub async fn seats(&self, user_id: &str) -> Result<Vec<String>> {
        let sql = "SELECT tenant FROM seats WHERE user_id = $1 ORDER BY tenant";
        let rows = sqlx::query(sql).bind(user_id).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

fn user(row: &AnyRow) -> Result<UserRow> {
    Ok(UserRow { user_id: row.try_get(0)?, email_digest: row.try_get(1)?, version: row.try_get(2)?, sealed: row.try_get(3)? })
}
