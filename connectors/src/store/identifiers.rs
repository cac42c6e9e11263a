//! Ingest identifiers: the shared half finds the tenant behind an address's digest; the tenant's half holds its gates.
//! Promise: an identifier changes only from what was read of it, each change with its event in the lake's trail; a gate is
//! recorded with its event in the tenant's.
//! Never: an address lies here; its SHA-256 does, and what is known of it is not enough to write to it.

use bonded_schemas::TenantId;
use sqlx::{
    Any, Row,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{
    ControlStore, TenantStore, audit,
    audit::NewEvent,
    people::Told,
    tables::{May, Table},
};
use crate::error::Result;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentifierRow {
    /// SHA-256 of the address's local part, lower-case hex.
    pub digest: String,
    pub tenant: TenantId,
    /// It may be told.
    pub identifier: String,
    /// `active` or `suspended`.
    pub state: String,
    pub issued_ms: i64,
    /// When a rotated one ends; 0 for one that does not.
    pub valid_until_ms: i64,
    /// Keyed digest of all of the above: whoever can write here cannot lead an address to another tenant.
    pub mark: String,
}

/// Of the shared half.
pub(super) const SHARED: &[Table] = &[Table::new(
    "identifiers",
    May::Change,
    &[
        "CREATE TABLE IF NOT EXISTS identifiers (
        digest TEXT PRIMARY KEY, tenant TEXT NOT NULL, identifier TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
        issued_ms BIGINT NOT NULL, valid_until_ms BIGINT NOT NULL, mark TEXT NOT NULL)",
        "CREATE INDEX IF NOT EXISTS identifiers_of_tenant ON identifiers (tenant)",
    ],
)];

/// Of each tenant's half.
pub(super) const TENANT: &[Table] = &[Table::new(
    "gates",
    May::Change,
    &["CREATE TABLE IF NOT EXISTS gates (gate TEXT PRIMARY KEY, recorded_ms BIGINT NOT NULL, sealed TEXT NOT NULL)"],
)];

const COLUMNS: &str = "digest, tenant, identifier, state, issued_ms, valid_until_ms, mark";

/// One write of a change; one that finds its row no longer as it was takes the whole change back.
#[derive(Clone, Copy, Debug)]
pub enum IdentifierStep<'a> {
    Issue(&'a IdentifierRow),
    /// State and end change.
    Change {
        from: &'a IdentifierRow,
        to: &'a IdentifierRow,
    },
}

impl ControlStore {
    /// `false` when something was no longer as it was read; then nothing is changed.
    pub async fn change_identifiers(&self, steps: &[IdentifierStep<'_>], event: NewEvent<'_>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        for step in steps {
            if write(step).execute(&mut *transaction).await?.rows_affected() != 1 {
                transaction.rollback().await?;
                return Ok(false);
            }
        }
        audit::append_in(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The one of this digest, whatever its state.
    pub async fn identifier(&self, digest: &str) -> Result<Option<IdentifierRow>> {
        let sql = format!("SELECT {COLUMNS} FROM identifiers WHERE digest = $1");
        let row = sqlx::query(&sql).bind(digest).fetch_optional(&self.pool).await?;
        row.as_ref().map(identifier).transpose()
    }

    /// A tenant's, oldest first.
    pub async fn identifiers(&self, tenant: &TenantId) -> Result<Vec<IdentifierRow>> {
        let sql = format!("SELECT {COLUMNS} FROM identifiers WHERE tenant = $1 ORDER BY issued_ms, identifier");
        let rows = sqlx::query(&sql).bind(tenant.as_str()).fetch_all(&self.pool).await?;
        rows.iter().map(identifier).collect()
    }
}

impl TenantStore {
    /// Records a gate, or records it anew.
    pub async fn put_gates(&self, gates: &[(&str, &str)], recorded_ms: i64, told: Told<'_>) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        for (gate, sealed) in gates {
            sqlx::query(
                "INSERT INTO gates VALUES ($1, $2, $3)
                 ON CONFLICT (gate) DO UPDATE SET recorded_ms = excluded.recorded_ms, sealed = excluded.sealed",
            )
            .bind(*gate)
            .bind(recorded_ms)
            .bind(*sealed)
            .execute(&mut *transaction)
            .await?;
        }
        TenantStore::append_audit_in(&mut transaction, told.at, told.event).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Name and sealed text of each gate that is recorded.
    pub async fn gates(&self) -> Result<Vec<(String, String)>> {
        let rows = sqlx::query("SELECT gate, sealed FROM gates ORDER BY gate").fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
}

fn write<'q>(step: &IdentifierStep<'q>) -> Query<'q, Any, AnyArguments<'q>> {
    match *step {
        IdentifierStep::Issue(row) => {
            sqlx::query("INSERT INTO identifiers VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING")
                .bind(&row.digest)
                .bind(row.tenant.as_str())
                .bind(&row.identifier)
                .bind(&row.state)
                .bind(row.issued_ms)
                .bind(row.valid_until_ms)
                .bind(&row.mark)
        }
        IdentifierStep::Change { from, to } => {
            sqlx::query("UPDATE identifiers SET state = $1, valid_until_ms = $2, mark = $3 WHERE digest = $4 AND mark = $5")
                .bind(&to.state)
                .bind(to.valid_until_ms)
                .bind(&to.mark)
                .bind(&from.digest)
                .bind(&from.mark)
        }
    }
}

fn identifier(row: &AnyRow) -> Result<IdentifierRow> {
    Ok(IdentifierRow {
        digest: row.try_get(0)?,
        tenant: super::tenant_id(&row.try_get::<String, _>(1)?)?,
        identifier: row.try_get(2)?,
        state: row.try_get(3)?,
        issued_ms: row.try_get(4)?,
        valid_until_ms: row.try_get(5)?,
        mark: row.try_get(6)?,
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::store::{
        Place,
        tests::{made, on_both_stores, record, scope},
    };

    on_both_stores!();

    fn row(tenant: &str, digest: &str) -> IdentifierRow {
        IdentifierRow {
            digest: digest.into(),
            tenant: tenant.parse().unwrap(),
            identifier: format!("id-{digest}"),
            state: "active".into(),
            issued_ms: 1,
            valid_until_ms: 0,
            mark: format!("m-{digest}"),
        }
    }

    async fn conforms(place: Place) {
        let store = made(place).await;
        let at = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
        let event = NewEvent { at, sealed: "told" };
        let (first, second) = (row("acme", "d1"), row("acme", "d2"));
        assert!(store.change_identifiers(&[IdentifierStep::Issue(&first)], event).await.unwrap());
        assert!(!store.change_identifiers(&[IdentifierStep::Issue(&first)], event).await.unwrap(), "it is there");
        assert_eq!(store.identifier("d1").await.unwrap(), Some(first.clone()));
        assert_eq!(store.identifier("d3").await.unwrap(), None);
        // A rotation is whole: the old one is no longer as it was read, so there is no new one either.
        let ending = IdentifierRow { valid_until_ms: 500, mark: "m-ending".into(), ..first.clone() };
        let stale = IdentifierRow { mark: "m-stale".into(), ..first.clone() };
        let rotation = [IdentifierStep::Change { from: &stale, to: &ending }, IdentifierStep::Issue(&second)];
        let events = store.audit().await.unwrap().len();
        assert!(!store.change_identifiers(&rotation, event).await.unwrap());
        assert_eq!(store.identifier("d2").await.unwrap(), None);
        assert_eq!(store.audit().await.unwrap().len(), events, "and nothing is told");
        let rotation = [IdentifierStep::Change { from: &first, to: &ending }, IdentifierStep::Issue(&second)];
        assert!(store.change_identifiers(&rotation, event).await.unwrap());
        assert_eq!(store.identifiers(&first.tenant).await.unwrap(), [ending, second]);
        assert_eq!(store.identifiers(&"kettle".parse().unwrap()).await.unwrap(), []);

        store.add_tenant(&record("acme")).await.unwrap();
        let acme = store.open_tenant(&scope("acme")).await.unwrap();
        let told = Told { at, event: "gates" };
        acme.put_gates(&[("nda", "s1"), ("dpa", "s2")], 1, told).await.unwrap();
        acme.put_gates(&[("nda", "s3")], 2, told).await.unwrap();
        let pair = |gate: &str, sealed: &str| (gate.to_owned(), sealed.to_owned());
        assert_eq!(acme.gates().await.unwrap(), [pair("dpa", "s2"), pair("nda", "s3")]);
        assert_eq!(acme.audit().await.unwrap().len(), 2);
    }
}
