//! Who vouches: the lake's own key and public key, and the owners of tenants by their public keys.
//! Promise: the lake has one identity, whoever asks first; an owner's key is never changed, only added.

use bonded_schemas::TenantId;
use sqlx::{Any, Row, any::AnyArguments, query::Query};

use super::{
    ControlStore, Place, audit,
    audit::NewEvent,
    postgres::{Claim, Owner},
    tables::{May, Table},
};
use crate::{error::Result, seal::ProofKey};

/// The lake's key, its secret wrapped under that key, and the public half of its signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeRecord {
    pub key_id: String,
    /// Base64.
    pub wrapped_secret: String,
    /// Ed25519, base64.
    pub public_key: String,
    /// RFC 3339.
    pub created_at: String,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OwnerRow {
    pub tenant: TenantId,
    pub name: String,
    /// Ed25519, base64.
    pub public_key: String,
    /// RFC 3339.
    pub added_at: String,
}

pub(super) const TABLES: &[Table] = &[
    Table::new(
        "lake_identity",
        May::Append,
        &["CREATE TABLE IF NOT EXISTS lake_identity (
        one INTEGER PRIMARY KEY CHECK (one = 1), key_id TEXT NOT NULL, wrapped_secret TEXT NOT NULL, public_key TEXT NOT NULL,
        created_at TEXT NOT NULL)"],
    ),
    Table::new(
        "owners",
        May::Append,
        &["CREATE TABLE IF NOT EXISTS owners (
        tenant TEXT NOT NULL, name TEXT NOT NULL, public_key TEXT NOT NULL, added_at TEXT NOT NULL,
        PRIMARY KEY (tenant, public_key))"],
    ),
];

impl LakeRecord {
    pub(super) fn insert(&self) -> Query<'_, Any, AnyArguments<'_>> {
        sqlx::query("INSERT INTO lake_identity VALUES (1, $1, $2, $3, $4) ON CONFLICT (one) DO NOTHING")
            .bind(&self.key_id)
            .bind(&self.wrapped_secret)
            .bind(&self.public_key)
            .bind(&self.created_at)
    }
}

impl ControlStore {
    /// On PostgreSQL this is what is read before there is any proof, so it comes from a function, not from the table.
    pub async fn lake_record(&self) -> Result<Option<LakeRecord>> {
        let sql = match *self.place {
            Place::Sqlite(_) => "SELECT key_id, wrapped_secret, public_key, created_at FROM lake_identity",
            Place::Postgres { .. } => "SELECT key_id, wrapped_secret, public_key, created_at FROM bonded.lake_record()",
        };
        let row = sqlx::query(sql).fetch_optional(&self.pool).await?;
        row.map(|row| {
            Ok(LakeRecord {
                key_id: row.try_get(0)?,
                wrapped_secret: row.try_get(1)?,
                public_key: row.try_get(2)?,
                created_at: row.try_get(3)?,
            })
        })
        .transpose()
    }

    /// `false` when another process was first; its record holds. On PostgreSQL it comes with the lake's proof, by the owner.
    pub async fn put_lake_record(&self, record: &LakeRecord, proofs: &ProofKey) -> Result<bool> {
        if let Place::Postgres { url, owner } = &*self.place {
            let mut owner = Owner::connect(url, owner.as_deref()).await?;
            let founded = owner.found(record, &Claim::proven(&TenantId::lake(), proofs)).await;
            owner.close().await;
            return founded;
        }
        Ok(record.insert().execute(&self.pool).await?.rows_affected() == 1)
    }

    /// With its event in the lake's trail; `false` when the key is an owner's of this tenant already.
    pub async fn add_owner(&self, owner: &OwnerRow, event: NewEvent<'_>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query("INSERT INTO owners VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, public_key) DO NOTHING")
            .bind(owner.tenant.as_str())
            .bind(&owner.name)
            .bind(&owner.public_key)
            .bind(&owner.added_at)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append_in(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    pub async fn owners(&self, tenant: &TenantId) -> Result<Vec<OwnerRow>> {
        let rows = sqlx::query("SELECT name, public_key, added_at FROM owners WHERE tenant = $1 ORDER BY added_at, name")
            .bind(tenant.as_str())
            .fetch_all(&self.pool)
            .await?;
        let owner = |row: &sqlx::any::AnyRow| {
            Ok(OwnerRow { tenant: tenant.clone(), name: row.try_get(0)?, public_key: row.try_get(1)?, added_at: row.try_get(2)? })
        };
        rows.iter().map(owner).collect()
    }
}
