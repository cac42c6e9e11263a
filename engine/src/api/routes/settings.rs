//! How the house is set for this tenant: its key, the limits that its requests meet, what is masked.

use std::sync::Arc;

use axum::Json;
use bonded_connectors::keys::KeyState;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{Front, access::may, permit::May, problem::Answer},
    audit::Change,
    error::Error,
};

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new().routes(routes!(settings)).routes(routes!(rotate))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Settings {
    team: String,
    key: Key,
    /// Larger files are not taken in.
    file_bytes_max: u64,
    query: Query,
    /// Importer numbers in Social Security form are shown whole.
    show_ssn: bool,
}

/// The tenant's own key; its id, never itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct Key {
    id: String,
    /// `enabled`, `disabled` or `pending_deletion`.
    #[schema(value_type = String)]
    state: KeyState,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Query {
    memory_bytes_max: usize,
    time_max: String,
    rows_max: usize,
    /// At work at once.
    at_once_max: usize,
}

/// How the house is set for this team
#[utoipa::path(get, path = "/v1/settings", tag = "settings", responses((status = 200, body = Settings)))]
pub async fn settings(May { call, .. }: May<may::ReadSettings>) -> Answer<Json<Settings>> {
    let house = call.house();
    let (id, state) = house.key_of(call.scope.tenant()).await?;
    let (set, query) = (&house.settings, &house.settings.query);
    Ok(Json(Settings {
        team: call.scope.tenant().to_string(),
        key: Key { id: id.to_string(), state },
        file_bytes_max: set.ingest.file_bytes_max,
        query: Query {
            memory_bytes_max: query.memory_bytes_max,
            time_max: query.time_max.clone(),
            rows_max: query.rows_max,
            at_once_max: set.api.tenant_queries_max,
        },
        show_ssn: set.display.show_ssn,
    }))
}

/// A new version of the tenant's key: what is written from here on is under it, what was written stays readable
#[utoipa::path(post, path = "/v1/key/rotate", tag = "settings", responses((status = 200, body = Key)))]
pub async fn rotate(May { call, .. }: May<may::ManageIntegrations>) -> Answer<Json<Key>> {
    let house = call.house();
    let tenant = call.tenant().await?;
    let before = house.keys.describe(&tenant.key).await.map_err(Error::from)?;
    let version = house.keys.rotate(&tenant.key).await.map_err(Error::from)?;
    let change = Change::between(&json!({ "version": before.version }), &json!({ "version": version }))?;
    tenant.audit_change(house.clock.as_ref(), "key.rotate", &tenant.key.to_string(), "done", change).await?;
    let (id, state) = house.key_of(call.scope.tenant()).await?;
    Ok(Json(Key { id: id.to_string(), state }))
}
