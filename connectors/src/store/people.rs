//! People: accounts, sessions, codes and waits in the shared half; a team's members and tokens in its tenant's half.
//! Promise: each change is one transaction with its entry in the trail; a change that lost a race changes nothing.
//! Never: an e-mail, a name, a password hash or an authenticator's secret lies here but sealed; a code or a token but digested.

use chrono::{DateTime, Utc};

use super::{
    ControlStore, Pool,
    tables::{May, Table},
};

pub mod accounts;
pub mod codes;
pub mod post;
pub mod sessions;
pub mod team;
#[cfg(test)]
mod tests;
pub mod waits;

pub use accounts::UserRow;
pub use codes::CodeRow;
pub use post::PostRow;
pub use sessions::SessionRow;
pub use team::{MemberRow, Team, TeamChange, TeamStep, TokenRow};
pub use waits::{Attempt, Waits};

/// Of the shared half.
pub(super) const SHARED: &[Table] = &[
    Table::new(
        "users",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS users (
        user_id TEXT PRIMARY KEY, email_digest TEXT NOT NULL UNIQUE, version BIGINT NOT NULL, sealed TEXT NOT NULL)"],
    ),
    Table::new(
        "sessions",
        May::Remove,
        &["CREATE TABLE IF NOT EXISTS sessions (
        session_id TEXT PRIMARY KEY, token_digest TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, tenant TEXT NOT NULL,
        factors BIGINT NOT NULL, made_ms BIGINT NOT NULL, seen_ms BIGINT NOT NULL, stepped_up_ms BIGINT NOT NULL,
        sealed TEXT NOT NULL)"],
    ),
    Table::new(
        "codes",
        May::Remove,
        &["CREATE TABLE IF NOT EXISTS codes (
        kind TEXT NOT NULL, subject TEXT NOT NULL, about TEXT NOT NULL, digest TEXT NOT NULL, expires_ms BIGINT NOT NULL,
        tries BIGINT NOT NULL, PRIMARY KEY (kind, subject, about))"],
    ),
    Table::new(
        "attempts",
        May::Remove,
        &["CREATE TABLE IF NOT EXISTS attempts (
        kind TEXT NOT NULL, subject TEXT NOT NULL, counted BIGINT NOT NULL, last_ms BIGINT NOT NULL, until_ms BIGINT NOT NULL,
        PRIMARY KEY (kind, subject))"],
    ),
    // Which teams a user may belong to: a hint where to look. What holds is the member in the tenant's own half.
    Table::new(
        "seats",
        May::Remove,
        &["CREATE TABLE IF NOT EXISTS seats (user_id TEXT NOT NULL, tenant TEXT NOT NULL, PRIMARY KEY (user_id, tenant))"],
    ),
    Table::new(
        "post",
        May::Remove,
        &["CREATE TABLE IF NOT EXISTS post (
        letter_id TEXT PRIMARY KEY, due_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, tries BIGINT NOT NULL,
        sealed TEXT NOT NULL)"],
    ),
];

/// Of each tenant's half.
pub(super) const TENANT: &[Table] = &[
    // One row, taken first by every change of the team, so that changes come one after the other.
    Table::new(
        "team",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS team (one INTEGER PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL)"],
    ),
    Table::new(
        "members",
        May::Remove,
        &["CREATE TABLE IF NOT EXISTS members (
        member_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, email_digest TEXT NOT NULL UNIQUE, role TEXT NOT NULL,
        state TEXT NOT NULL, since TEXT NOT NULL, sealed TEXT NOT NULL)"],
    ),
    Table::new(
        "tokens",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS tokens (
        token_id TEXT PRIMARY KEY, digest TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL, made_by TEXT NOT NULL,
        state TEXT NOT NULL, expires_ms BIGINT NOT NULL, used_ms BIGINT NOT NULL, sealed TEXT NOT NULL)"],
    ),
];

/// A change's own entry in the trail, sealed.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub at: DateTime<Utc>,
    pub event: &'a str,
}

/// The people of the shared half.
#[derive(Clone, Debug)]
pub struct People {
    pub(super) pool: Pool,
}

impl ControlStore {
    pub fn people(&self) -> People {
        People { pool: self.pool.clone() }
    }
}
