//! One tenant's team: its members and its tokens.
//! Promise: a team that has an active owner keeps one, whatever is changed at the same moment; each change is one
//! transaction with its entry in the tenant's trail.

use sqlx::{
    Any, Row,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::Told;
use crate::{
    error::Result,
    store::{Pool, TenantStore, Transaction},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    pub member_id: String,
    /// Empty until the invite is accepted.
    pub user_id: String,
    pub email_digest: String,
    pub role: String,
    /// `invited`, `active` or `suspended`.
    pub state: String,
    /// RFC 3339.
    pub since: String,
    /// The address, under the tenant's own key.
    pub sealed: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    pub token_id: String,
    pub digest: String,
    /// `token` or `machine`.
    pub kind: String,
    pub scope: String,
    /// The member whose token it is; empty for one that the console made.
    pub made_by: String,
    /// `active` or `revoked`.
    pub state: String,
    pub expires_ms: i64,
    pub used_ms: i64,
    pub sealed: String,
}

/// One write of a change; a guarded one that finds its row no longer as it was takes the whole change back.
#[derive(Clone, Copy, Debug)]
pub enum TeamStep<'a> {
    /// Guarded: nobody of this address is in the team but invited.
    Invite(&'a MemberRow),
    /// Guarded by the member as it was read; role, state, user and `since` change.
    Change {
        from: &'a MemberRow,
        to: &'a MemberRow,
    },
    /// Guarded in the same way. Tokens that the member made go with it.
    Remove(&'a MemberRow),
    AddToken(&'a TokenRow),
    /// Guarded: it is active.
    RevokeToken(&'a str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeamChange {
    Done,
    /// Something was no longer as it was read.
    Lost,
    /// It would have left the team without an active owner.
    NoOwner,
}

const MEMBER: &str = "member_id, user_id, email_digest, role, state, since, sealed";
const TOKEN: &str = "token_id, digest, kind, scope, made_by, state, expires_ms, used_ms, sealed";

/// The team of a tenant.
#[derive(Clone, Debug)]
pub struct Team {
    pool: Pool,
}

impl TenantStore {
    pub fn team(&self) -> Team {
        Team { pool: self.pool.clone() }
    }
}

impl Team {
    pub async fn change(&self, steps: &[TeamStep<'_>], told: Told<'_>) -> Result<TeamChange> {
        let mut transaction = self.pool.begin().await?;
        // First of all, since it makes every other change wait: two that each leave one owner would together leave none.
        sqlx::query("INSERT INTO team VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET version = team.version + 1")
            .execute(&mut *transaction)
            .await?;
        let owners_before = owners(&mut transaction).await?;
        for step in steps {
            if !apply(&mut transaction, step).await? {
                transaction.rollback().await?;
                return Ok(TeamChange::Lost);
            }
        }
        if owners_before > 0 && owners(&mut transaction).await? == 0 {
            transaction.rollback().await?;
            return Ok(TeamChange::NoOwner);
        }
        TenantStore::append_audit_in(&mut transaction, told.at, told.event).await?;
        transaction.commit().await?;
        Ok(TeamChange::Done)
    }

    /// Grows with each change of members and tokens.
    pub async fn version(&self) -> Result<i64> {
        let row = sqlx::query("SELECT version FROM team").fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or_default())
    }

    /// In the order of their ids, which is that of their invites.
    pub async fn members(&self) -> Result<Vec<MemberRow>> {
        let sql = format!("SELECT {MEMBER} FROM members ORDER BY member_id");
        let rows = sqlx::query(&sql).fetch_all(&self.pool).await?;
        rows.iter().map(member).collect()
    }

    pub async fn member(&self, member_id: &str) -> Result<Option<MemberRow>> {
        self.one_member("member_id", member_id).await
    }

    pub async fn member_of_user(&self, user_id: &str) -> Result<Option<MemberRow>> {
        self.one_member("user_id", user_id).await
    }

    pub async fn member_by_email(&self, email_digest: &str) -> Result<Option<MemberRow>> {
        self.one_member("email_digest", email_digest).await
    }

    async fn one_member(&self, column: &str, value: &str) -> Result<Option<MemberRow>> {
        // An empty name is that of everybody who has not accepted yet.
        if value.is_empty() {
            return Ok(None);
        }
        let sql = format!("SELECT {MEMBER} FROM members WHERE {column} = $1");
        let row = sqlx::query(&sql).bind(value).fetch_optional(&self.pool).await?;
        row.as_ref().map(member).transpose()
    }

    pub async fn tokens(&self) -> Result<Vec<TokenRow>> {
        let sql = format!("SELECT {TOKEN} FROM tokens ORDER BY token_id");
        let rows = sqlx::query(&sql).fetch_all(&self.pool).await?;
        rows.iter().map(token).collect()
    }

    pub async fn token(&self, token_id: &str) -> Result<Option<TokenRow>> {
        let sql = format!("SELECT {TOKEN} FROM tokens WHERE token_id = $1");
        let row = sqlx::query(&sql).bind(token_id).fetch_optional(&self.pool).await?;
        row.as_ref().map(token).transpose()
    }

    pub async fn token_used(&self, token_id: &str, now_ms: i64) -> Result<()> {
        let sql = "UPDATE tokens SET used_ms = $1 WHERE token_id = $2 AND used_ms < $1";
        sqlx::query(sql).bind(now_ms).bind(token_id).execute(&self.pool).await?;
        Ok(())
    }
}

async fn owners(transaction: &mut Transaction) -> Result<i64> {
    let sql = "SELECT count(*) FROM members WHERE role = 'owner' AND state = 'active'";
    Ok(sqlx::query(sql).fetch_one(&mut **transaction).await?.try_get(0)?)
}

async fn apply(transaction: &mut Transaction, step: &TeamStep<'_>) -> Result<bool> {
    let done = write(step).execute(&mut **transaction).await?;
    if let TeamStep::Remove(member) = step {
        sqlx::query("UPDATE tokens SET state = 'revoked' WHERE made_by = $1")
            .bind(&member.member_id)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(done.rows_affected() == 1)
}

fn write<'q>(step: &TeamStep<'q>) -> Query<'q, Any, AnyArguments<'q>> {
    match *step {
        TeamStep::Invite(member) => sqlx::query(
            "INSERT INTO members VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (email_digest) DO UPDATE
             SET role = excluded.role, since = excluded.since WHERE members.state = 'invited'",
        )
        .bind(&member.member_id)
        .bind(&member.user_id)
        .bind(&member.email_digest)
        .bind(&member.role)
        .bind(&member.state)
        .bind(&member.since)
        .bind(&member.sealed),
        TeamStep::Change { from, to } => sqlx::query(
            "UPDATE members SET user_id = $1, role = $2, state = $3, since = $4
             WHERE member_id = $5 AND user_id = $6 AND role = $7 AND state = $8 AND since = $9",
        )
        .bind(&to.user_id)
        .bind(&to.role)
        .bind(&to.state)
        .bind(&to.since)
        .bind(&from.member_id)
        .bind(&from.user_id)
        .bind(&from.role)
        .bind(&from.state)
        .bind(&from.since),
        TeamStep::Remove(member) => sqlx::query("DELETE FROM members WHERE member_id = $1 AND role = $2 AND state = $3")
            .bind(&member.member_id)
            .bind(&member.role)
            .bind(&member.state),
        TeamStep::AddToken(token) => sqlx::query("INSERT INTO tokens VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(&token.token_id)
            .bind(&token.digest)
            .bind(&token.kind)
            .bind(&token.scope)
            .bind(&token.made_by)
            .bind(&token.state)
            .bind(token.expires_ms)
            .bind(token.used_ms)
            .bind(&token.sealed),
        TeamStep::RevokeToken(token_id) => {
            sqlx::query("UPDATE tokens SET state = 'revoked' WHERE token_id = $1 AND state = 'active'").bind(token_id)
        }
    }
}

fn member(row: &AnyRow) -> Result<MemberRow> {
    Ok(MemberRow {
        member_id: row.try_get(0)?,
        user_id: row.try_get(1)?,
        email_digest: row.try_get(2)?,
        role: row.try_get(3)?,
        state: row.try_get(4)?,
        since: row.try_get(5)?,
        sealed: row.try_get(6)?,
    })
}

fn token(row: &AnyRow) -> Result<TokenRow> {
    Ok(TokenRow {
        token_id: row.try_get(0)?,
        digest: row.try_get(1)?,
        kind: row.try_get(2)?,
        scope: row.try_get(3)?,
        made_by: row.try_get(4)?,
        state: row.try_get(5)?,
        expires_ms: row.try_get(6)?,
        used_ms: row.try_get(7)?,
        sealed: row.try_get(8)?,
    })
}
