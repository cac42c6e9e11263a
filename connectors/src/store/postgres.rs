//! The control store on PostgreSQL, isolated by the database itself: an owner's role and an application's role, row-level
//! security on every table, and a proof in every transaction.
//! Promise: a row is seen and written only in a transaction that holds the proof of the half it lies in. The proofs are
//! derived from the lake's secret; the database keeps their SHA-256, where only the owner reads. So the application's
//! password together with a tenant's name reads nothing.
//! Never: the application's role owns, makes or empties anything, and no session state is relied on: each transaction says
//! for itself which schema, whose rows and by what proof, so a pooler may give each another session.
//!
//! The lake comes first. Its wrapped secret is what must be read before there is any proof, so one function gives it out
//! (`bonded.lake_record()`, a ciphertext); everything else, the tenants' wrapped secrets too, is a row behind a proof. All
//! proofs come from the lake's secret and not from each tenant's, because a tenant's rows must be backed up, restored and
//! swept while its own key is disabled, or destroyed; what that key guards lies sealed in them. A transaction for one tenant
//! carries that tenant's proof only, so that nothing that runs in it reaches another's rows.
//!
//! The proof is bound, not written into the statement, because `pg_stat_activity` shows the text of a role's statements to
//! all of its sessions. That costs a message more than `BEGIN; SET ...` would.

use std::fmt;

use bonded_schemas::TenantId;
use ring::digest::{SHA256, digest};
use sqlx::{
    Any, AnyPool, Row,
    any::{AnyArguments, AnyPoolOptions},
    query::Query,
};
use zeroize::Zeroizing;

use super::{Connection, Pool};
use crate::{
    error::{Error, ErrorKind, Result},
    seal::{ProofKey, cipher},
};

mod guard;
mod owner;
mod scram;
#[cfg(test)]
mod tests;

pub(super) use guard::{guard, halves};
pub(super) use owner::{Owner, named};

/// The shared half's schema.
pub(super) const SHARED_SCHEMA: &str = "bonded";
/// What a transaction begins with. `pg_temp` last: else a table that another made in the same session would be found first.
const CLAIM: &str =
    "SELECT set_config('search_path', $1, true), set_config('bonded.tenant', $2, true), set_config('bonded.proof', $3, true)";

/// Whose rows, in which schema, by what proof.
pub(crate) struct Claim {
    tenant: TenantId,
    search_path: String,
    proof: Zeroizing<String>,
}

impl Claim {
    /// Without a proof nothing is seen.
    pub fn unproven() -> Self {
        let tenant = TenantId::lake();
        Self { search_path: search_path(&schema(&tenant)), tenant, proof: Zeroizing::default() }
    }

    pub fn proven(tenant: &TenantId, proofs: &ProofKey) -> Self {
        Self { tenant: tenant.clone(), search_path: search_path(&schema(tenant)), proof: proofs.proof(tenant) }
    }

    /// What the database keeps of the proof.
    fn digest(&self) -> String {
        cipher::hex(digest(&SHA256, self.proof.as_bytes()).as_ref())
    }

    /// For the transaction that is open, and no longer.
    pub async fn make(&self, connection: &mut Connection) -> sqlx::Result<()> {
        self.settings().execute(connection).await.map(|_| ())
    }

    fn settings(&self) -> Query<'_, Any, AnyArguments<'_>> {
        sqlx::query(CLAIM).bind(&self.search_path).bind(self.tenant.as_str()).bind(self.proof.as_str())
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({})", self.tenant)
    }
}

/// Whether the half is there and the pool's claim opens it.
pub(super) async fn opens(pool: &Pool, tenant: &TenantId) -> Result<bool> {
    let table = if *tenant == TenantId::lake() { "tenants" } else { "deliveries" };
    let asked = sqlx::query("SELECT bonded.may($1) AND to_regclass($2) IS NOT NULL").bind(tenant.as_str()).bind(table);
    Ok(asked.fetch_one(&pool.unwatched()).await?.try_get(0)?)
}

/// The schema of a tenant's half, or of the shared one.
pub(super) fn schema(tenant: &TenantId) -> String {
    match *tenant == TenantId::lake() {
        true => SHARED_SCHEMA.to_owned(),
        false => format!("{SHARED_SCHEMA}_{tenant}"),
    }
}

/// A tenant name has no quote in it by construction, so it is safe in an identifier.
fn search_path(schema: &str) -> String {
    format!("\"{schema}\", pg_temp")
}

/// The application's connections, of all halves. They are not tested before use: a dead one is noticed when BEGIN is sent.
pub(super) async fn connect(options: AnyPoolOptions, url: &str) -> Result<AnyPool> {
    options.test_before_acquire(false).connect(url).await.map_err(not_reached)
}

fn not_reached(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::Setup, "cannot reach the PostgreSQL control store").with_source(error)
}

/// The application's role and password, as its URL names them.
fn role_of(url: &str) -> Result<(String, Option<Zeroizing<String>>)> {
    let wrong = |what: &str| Error::new(ErrorKind::Setup, format!("the URL named by store.postgres {what}"));
    let parsed = url::Url::parse(url).map_err(|_| wrong("does not read"))?;
    let user = percent_decoded(parsed.username()).ok_or_else(|| wrong("names a role that is not UTF-8"))?;
    if user.is_empty() || user.contains('\0') {
        return Err(wrong("names no role: postgres://ROLE:PASSWORD@HOST/DATABASE"));
    }
    let password = match parsed.password() {
        Some(password) => Some(percent_decoded(password).ok_or_else(|| wrong("has a password that is not UTF-8"))?),
        None => None,
    };
    Ok((user, password.map(Zeroizing::new)))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match escaped.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
