//! Where a tenant's alerts go: the tenant's routes and its members' own subscriptions, each a sealed document.
//! Promise: each change is one transaction with its entry in the tenant's trail.
//! Never: an address, a URL or a secret lies here but sealed.

use sqlx::{Row, any::AnyRow};

use crate::{
    error::Result,
    store::{
        TenantStore, audit,
        audit::NewEvent,
        tables::{May, Table},
    },
};

pub(in crate::store) const TABLE: Table = Table::new(
    "alert_routes",
    May::Remove,
    &["CREATE TABLE IF NOT EXISTS alert_routes (route_id TEXT PRIMARY KEY, owner TEXT NOT NULL, sealed TEXT NOT NULL)"],
);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRow {
    pub route_id: String,
    /// The member whose subscription it is; empty of the tenant's own routes.
    pub owner: String,
    pub sealed: String,
}

impl TenantStore {
    /// In the order in which they were made.
    pub async fn alert_routes(&self) -> Result<Vec<RouteRow>> {
        let rows =
            sqlx::query("SELECT route_id, owner, sealed FROM alert_routes ORDER BY route_id").fetch_all(&self.pool).await?;
        rows.iter().map(route_row).collect()
    }

    /// `false` when the owner has as many as that already.
    pub async fn add_alert_route(&self, row: &RouteRow, most: i64, event: NewEvent<'_>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        // The write comes first, since it takes the lock under which is counted.
        sqlx::query("INSERT INTO alert_routes VALUES ($1, $2, $3)")
            .bind(&row.route_id)
            .bind(&row.owner)
            .bind(&row.sealed)
            .execute(&mut *transaction)
            .await?;
        let count = sqlx::query("SELECT count(*) FROM alert_routes WHERE owner = $1").bind(&row.owner);
        if count.fetch_one(&mut *transaction).await?.try_get::<i64, _>(0)? > most {
            transaction.rollback().await?;
            return Ok(false);
        }
        audit::append_in(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// `false` when this owner has no such route.
    pub async fn remove_alert_route(&self, route_id: &str, owner: &str, event: NewEvent<'_>) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query("DELETE FROM alert_routes WHERE route_id = $1 AND owner = $2")
            .bind(route_id)
            .bind(owner)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        audit::append_in(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

fn route_row(row: &AnyRow) -> Result<RouteRow> {
    Ok(RouteRow { route_id: row.try_get(0)?, owner: row.try_get(1)?, sealed: row.try_get(2)? })
}
