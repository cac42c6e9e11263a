//! Of the house itself: whether it lives, whether it can work, how to tell it of a weakness.

use std::sync::{Arc, PoisonError};

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{
    Front,
    problem::{Answer, Problem},
};

#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
}

/// Whether the process answers
#[utoipa::path(get, path = "/healthz", tag = "house", responses((status = 200, body = Health)))]
pub async fn alive() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the control store answers
#[utoipa::path(get, path = "/readyz", tag = "house", responses((status = 200, body = Health), (status = 503, body = Problem)))]
pub async fn ready(State(front): State<Arc<Front>>) -> Answer<Json<Health>> {
    match front.house.answers().await {
        Ok(()) => Ok(Json(Health { status: "ok" })),
        Err(error) => {
            tracing::error!(target: "api.ready", %error);
            Err(Problem::unavailable())
        }
    }
}

/// What the watch of this process saw last, in Prometheus' text format, where settings open it
#[utoipa::path(get, path = "/metrics", tag = "house", responses((status = 200, content((String = "text/plain")))))]
pub async fn metrics(State(front): State<Arc<Front>>) -> Answer<Response> {
    let settings = &front.house.settings.watch;
    if !settings.metrics {
        return Err(Problem::not_found());
    }
    let text = {
        let gauges = front.shop.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.text(front.house.clock.now(), settings.metrics_name_tenants)
    };
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// RFC 9116, where settings name a contact.
pub async fn security_txt(State(front): State<Arc<Front>>) -> Answer<Response> {
    let contact = front.house.settings.api.security_contact.as_ref().ok_or_else(Problem::not_found)?;
    let expires = front.house.clock.now() + chrono::TimeDelta::days(180);
    let text = format!("Contact: {contact}\nExpires: {}\nPreferred-Languages: en\n", expires.format("%Y-%m-%dT%H:%M:%SZ"));
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
