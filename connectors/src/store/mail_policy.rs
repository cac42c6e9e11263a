//! What a tenant asks of the mails that bring its reports: one sealed document.
//! Promise: it changes together with the event that tells of the change.

use sqlx::Row;

use super::{
    TenantStore, audit,
    audit::NewEvent,
    tables::{May, Table},
};
use crate::error::{Error, Result};

pub(super) const TABLES: &[Table] = &[Table::new(
    "mail_policy",
    May::Change,
    &["CREATE TABLE IF NOT EXISTS mail_policy (one INTEGER PRIMARY KEY CHECK (one = 1), sealed TEXT NOT NULL)"],
)];

impl TenantStore {
    /// Sealed; none where the tenant never set one.
    pub async fn mail_policy(&self) -> Result<Option<String>> {
        let row = sqlx::query("SELECT sealed FROM mail_policy WHERE one = 1").fetch_optional(&self.pool).await?;
        row.map(|row| row.try_get(0).map_err(Error::from)).transpose()
    }

    pub async fn put_mail_policy(&self, sealed: &str, event: NewEvent<'_>) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("INSERT INTO mail_policy VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET sealed = excluded.sealed")
            .bind(sealed)
            .execute(&mut *transaction)
            .await?;
        audit::append_in(&mut transaction, event).await?;
        Ok(transaction.commit().await?)
    }
}
