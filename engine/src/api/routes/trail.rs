//! The audit trail of the tenant, for owners and admins.

use std::sync::Arc;

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Front,
        page::{Page, Paging},
        permit::{May, may},
        problem::Answer,
        sent::Asked,
    },
    lakehouse::AuditEvent,
};

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TrailSought {
    /// An e-mail, `console:<user>`, a machine.
    who: Option<String>,
    /// `drift.accept`, `GET /v1/deliveries`, ...
    action: Option<String>,
    object: Option<String>,
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    #[param(max_length = 512)]
    cursor: Option<String>,
}

/// One thing that was done, or refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    /// Its place in the chain.
    number: u64,
    /// RFC 3339, UTC.
    at: String,
    /// Who, as which role, from where, what, on which object, with which result; before and after of a change.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    event: AuditEvent,
}

/// What was done in this team, and refused, the oldest first
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(TrailSought), responses((status = 200, body = Page<Event>)))]
pub async fn list(May { call, .. }: May<may::ReadAudit>, Asked(sought): Asked<TrailSought>) -> Answer<Json<Page<Event>>> {
    let tenant = call.tenant().await?;
    let is = |asked: &Option<String>, is: &str| asked.as_ref().is_none_or(|asked| asked == is);
    let events = tenant.trail().await?.into_iter().zip(1..).map(|((at, event), number)| Event { number, at, event });
    let wanted = events.filter(|event| {
        let told = &event.event;
        is(&sought.who, &told.actor.name) && is(&sought.action, &told.action) && is(&sought.object, &told.object)
    });
    let paging = Paging { limit: sought.limit, cursor: sought.cursor.clone() };
    Ok(Json(paging.of(wanted, |event| format!("{:020}", event.number))?))
}
