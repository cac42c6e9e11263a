//! Uploads that come in pieces: how far each has come, and which pieces it is made of.
//! Promise: a piece counts once, at the offset that the upload had: of two that come for one offset, one wins. Limits hold
//! whoever asks at the same moment; what is told in a trail is told in the same transaction.
//! Never: a file's name or a digest that somebody could guess lies here in the clear.

use sqlx::{Row, any::AnyRow};

use super::{
    TenantStore, Transaction,
    audit::NewEvent,
    tables::{May, Table},
};
use crate::error::{Error, ErrorKind, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRow {
    pub upload_id: String,
    /// Whose it is: nobody else sees it or adds to it.
    pub caller: String,
    /// Of what the whole is said to be, as deliveries are named.
    pub keyed_digest: String,
    pub size_bytes: u64,
    /// What is kept of it.
    pub offset_bytes: u64,
    /// What it became; empty until then.
    pub delivery_id: String,
    pub begun_ms: i64,
    pub sealed: String,
}

/// A part of an upload, by the name under which it is staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceRow {
    pub offset_bytes: u64,
    pub size_bytes: u64,
    pub name: String,
}

/// Of the open uploads of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    pub open_max: u64,
    /// Of all that they are said to hold, come or not.
    pub bytes_max: u64,
}

/// How the wish for a new upload ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    New,
    /// The caller has one of the same bytes.
    There(UploadRow),
    TooMany,
    TooLarge,
}

pub(super) const TABLES: &[Table] = &[
    Table::new(
        "uploads",
        May::Remove,
        &["CREATE TABLE IF NOT EXISTS uploads (
        upload_id TEXT PRIMARY KEY, caller TEXT NOT NULL, keyed_digest TEXT NOT NULL, size_bytes BIGINT NOT NULL,
        offset_bytes BIGINT NOT NULL, delivery_id TEXT NOT NULL, begun_ms BIGINT NOT NULL, sealed TEXT NOT NULL,
        UNIQUE (caller, keyed_digest))"],
    ),
    Table::new(
        "upload_pieces",
        May::Remove,
        &["CREATE TABLE IF NOT EXISTS upload_pieces (
        upload_id TEXT NOT NULL, offset_bytes BIGINT NOT NULL, size_bytes BIGINT NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (upload_id, offset_bytes))"],
    ),
    // One row, which makes those who begin an upload wait for each other.
    Table::new(
        "upload_gate",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS upload_gate (one BIGINT PRIMARY KEY, version BIGINT NOT NULL)"],
    ),
];

const UPLOAD: &str = "upload_id, caller, keyed_digest, size_bytes, offset_bytes, delivery_id, begun_ms, sealed";

impl TenantStore {
    /// Begins an upload, unless its caller has one of the same bytes or there are too many.
    pub async fn begin_upload(&self, row: &UploadRow, limits: UploadLimits, told: NewEvent<'_>) -> Result<Begun> {
        let mut transaction = self.pool.begin().await?;
        // First of all: two that each find room for one would together take room for two.
        sqlx::query("INSERT INTO upload_gate VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET version = upload_gate.version + 1")
            .execute(&mut *transaction)
            .await?;
        let refused = match same(&mut transaction, row).await? {
            Some(there) => Some(Begun::There(there)),
            None => too_much(&mut transaction, row, limits).await?,
        };
        if let Some(refused) = refused {
            transaction.rollback().await?;
            return Ok(refused);
        }
        sqlx::query("INSERT INTO uploads VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(&row.upload_id)
            .bind(&row.caller)
            .bind(&row.keyed_digest)
            .bind(signed(row.size_bytes)?)
            .bind(signed(row.offset_bytes)?)
            .bind(&row.delivery_id)
            .bind(row.begun_ms)
            .bind(&row.sealed)
            .execute(&mut *transaction)
            .await?;
        Self::append_audit_in(&mut transaction, told.at, told.sealed).await?;
        transaction.commit().await?;
        Ok(Begun::New)
    }

    /// `None` also for one that is somebody else's.
    pub async fn upload(&self, upload_id: &str, caller: &str) -> Result<Option<UploadRow>> {
        let sql = format!("SELECT {UPLOAD} FROM uploads WHERE upload_id = $1 AND caller = $2");
        let row = sqlx::query(&sql).bind(upload_id).bind(caller).fetch_optional(&self.pool).await?;
        row.as_ref().map(upload).transpose()
    }

    /// Makes the staged piece a part of the upload; `false` when the upload is not, or no longer, where the piece begins.
    pub async fn add_piece(&self, upload_id: &str, piece: &PieceRow) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let moved = sqlx::query(
            "UPDATE uploads SET offset_bytes = $3 WHERE upload_id = $1 AND offset_bytes = $2 AND size_bytes >= $3
             AND delivery_id = ''",
        )
        .bind(upload_id)
        .bind(signed(piece.offset_bytes)?)
        .bind(signed(piece.offset_bytes.saturating_add(piece.size_bytes))?)
        .execute(&mut *transaction)
        .await?;
        if moved.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        sqlx::query("INSERT INTO upload_pieces VALUES ($1, $2, $3, $4)")
            .bind(upload_id)
            .bind(signed(piece.offset_bytes)?)
            .bind(signed(piece.size_bytes)?)
            .bind(&piece.name)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// In the order in which they make up the whole.
    pub async fn pieces(&self, upload_id: &str) -> Result<Vec<PieceRow>> {
        let sql = "SELECT offset_bytes, size_bytes, name FROM upload_pieces WHERE upload_id = $1 ORDER BY offset_bytes";
        let rows = sqlx::query(sql).bind(upload_id).fetch_all(&self.pool).await?;
        rows.iter().map(piece).collect()
    }

    /// The upload became this delivery; its pieces are no longer needed, and answered to be removed. Nobody else's call
    /// for the same does it a second time: then nothing is told, and `None` is answered.
    pub async fn end_upload(&self, upload_id: &str, delivery_id: &str, told: NewEvent<'_>) -> Result<Option<Vec<PieceRow>>> {
        let mut transaction = self.pool.begin().await?;
        let ended = sqlx::query("UPDATE uploads SET delivery_id = $2 WHERE upload_id = $1 AND delivery_id = ''")
            .bind(upload_id)
            .bind(delivery_id)
            .execute(&mut *transaction)
            .await?;
        self.taken(transaction, ended.rows_affected(), upload_id, Some(told)).await
    }

    /// Forgets an upload, whatever became of it; its pieces are answered to be removed. `None` when it is not there.
    pub async fn forget_upload(&self, upload_id: &str, told: Option<NewEvent<'_>>) -> Result<Option<Vec<PieceRow>>> {
        let mut transaction = self.pool.begin().await?;
        let gone = sqlx::query("DELETE FROM uploads WHERE upload_id = $1").bind(upload_id).execute(&mut *transaction).await?;
        self.taken(transaction, gone.rows_affected(), upload_id, told).await
    }

    async fn taken(
        &self,
        mut transaction: Transaction,
        rows: u64,
        upload_id: &str,
        told: Option<NewEvent<'_>>,
    ) -> Result<Option<Vec<PieceRow>>> {
        if rows == 0 {
            transaction.rollback().await?;
            return Ok(None);
        }
        // A piece that came at this moment lost against the row, or is among these.
        let rows = sqlx::query("SELECT offset_bytes, size_bytes, name FROM upload_pieces WHERE upload_id = $1")
            .bind(upload_id)
            .fetch_all(&mut *transaction)
            .await?;
        let pieces = rows.iter().map(piece).collect::<Result<_>>()?;
        sqlx::query("DELETE FROM upload_pieces WHERE upload_id = $1").bind(upload_id).execute(&mut *transaction).await?;
        if let Some(told) = told {
            Self::append_audit_in(&mut transaction, told.at, told.sealed).await?;
        }
        transaction.commit().await?;
        Ok(Some(pieces))
    }

    /// Those begun before then, ended or not; at most 1,000.
    pub async fn uploads_before(&self, before_ms: i64) -> Result<Vec<UploadRow>> {
        let sql = format!("SELECT {UPLOAD} FROM uploads WHERE begun_ms < $1 ORDER BY begun_ms LIMIT 1000");
        let rows = sqlx::query(&sql).bind(before_ms).fetch_all(&self.pool).await?;
        rows.iter().map(upload).collect()
    }
}

async fn same(transaction: &mut Transaction, row: &UploadRow) -> Result<Option<UploadRow>> {
    let sql = format!("SELECT {UPLOAD} FROM uploads WHERE caller = $1 AND keyed_digest = $2");
    let found = sqlx::query(&sql).bind(&row.caller).bind(&row.keyed_digest).fetch_optional(&mut **transaction).await?;
    found.as_ref().map(upload).transpose()
}

async fn too_much(transaction: &mut Transaction, row: &UploadRow, limits: UploadLimits) -> Result<Option<Begun>> {
    let sql = "SELECT CAST(count(*) AS BIGINT), CAST(coalesce(sum(size_bytes), 0) AS BIGINT) FROM uploads WHERE delivery_id = ''";
    let found = sqlx::query(sql).fetch_one(&mut **transaction).await?;
    let (open, bytes) = (unsigned(&found, 0)?, unsigned(&found, 1)?);
    Ok(match () {
        () if open >= limits.open_max => Some(Begun::TooMany),
        () if bytes.saturating_add(row.size_bytes) > limits.bytes_max => Some(Begun::TooLarge),
        () => None,
    })
}

fn signed(bytes: u64) -> Result<i64> {
    i64::try_from(bytes).map_err(|error| Error::new(ErrorKind::Input, "no upload has so many bytes").with_source(error))
}

fn unsigned(row: &AnyRow, column: usize) -> Result<u64> {
    u64::try_from(row.try_get::<i64, _>(column)?)
        .map_err(|error| Error::new(ErrorKind::Damaged, "an upload of less than no bytes").with_source(error))
}

fn upload(row: &AnyRow) -> Result<UploadRow> {
    Ok(UploadRow {
        upload_id: row.try_get(0)?,
        caller: row.try_get(1)?,
        keyed_digest: row.try_get(2)?,
        size_bytes: unsigned(row, 3)?,
        offset_bytes: unsigned(row, 4)?,
        delivery_id: row.try_get(5)?,
        begun_ms: row.try_get(6)?,
        sealed: row.try_get(7)?,
    })
}

fn piece(row: &AnyRow) -> Result<PieceRow> {
    Ok(PieceRow { offset_bytes: unsigned(row, 0)?, size_bytes: unsigned(row, 1)?, name: row.try_get(2)? })
}

#[cfg(test)]
mod tests;
