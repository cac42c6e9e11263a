//! Alerts over HTTP: working them, what each person wants to hear of, and the tenant's own routes.
//! Promise: a webhook's secret is told once, in the answer that made its route.

use std::sync::Arc;

use axum::{
    Extension, Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bonded_schemas::{
    Report, Role,
    routing::{Filter, Pace},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    alerts::{
        self, Notifier, Shown, Sought, State, Worked,
        routes::{self, Channel, Form, NewRoute, RouteInfo},
        send, severity_of,
    },
    api::{
        Front,
        access::may,
        page::{Page, Paging},
        permit::{Call, May},
        problem::{Answer, Problem},
        repeat::ShownOnce,
        sent::{Asked, Named, Sent},
    },
    desk,
    error::Error,
    lakehouse::Tenant,
};

const NOTE_CHARS_MAX: usize = 2000;
/// Hexadecimal digits of an alert's id, and of a route's.
const ID_CHARS: usize = 32;

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(subscriptions, subscribe))
        .routes(routes!(unsubscribe))
        .routes(routes!(team_routes, add_route))
        .routes(routes!(remove_route))
        .routes(routes!(try_route))
        .routes(routes!(show))
        .routes(routes!(acknowledge))
        .routes(routes!(resolve))
        .routes(routes!(mute))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AlertsSought {
    /// `open`, `acknowledged` or `resolved`; the first two when absent.
    state: Option<String>,
    /// `drift`, `quarantine`, `rejects`, ...
    kind: Option<String>,
    /// A report's code.
    report: Option<String>,
    /// `info`, `warning` or `error`: this and what is worse.
    severity: Option<String>,
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    #[param(max_length = 512)]
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Acknowledging {
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolvingAlert {
    /// Why it came, and why it is settled.
    #[schema(min_length = 1, max_length = 2000)]
    cause: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Muting {
    /// At most 90 days ahead; absent ends the mute.
    until: Option<DateTime<Utc>>,
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: String,
}

/// Which alerts; an empty list stands for all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Choosing {
    kinds: Vec<String>,
    /// Codes of reports.
    reports: Vec<String>,
    /// `info`, `warning` or `error`: this and what is worse; all when absent.
    severity: Option<String>,
}

/// What you want to hear of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribing {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[serde(default)]
    filter: Choosing,
    /// `at once` (when absent), `daily 08:00 Europe/Berlin`, `weekly mon 08:00 UTC`.
    pace: Option<String>,
}

/// Whom the team tells.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddingRoute {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Ids of members; they, and every member of the roles, get letters.
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
    /// In their place: `https://...`.
    #[schema(max_length = 2048)]
    webhook: Option<String>,
    /// `bonded` (signed; when absent) or `slack`.
    #[schema(value_type = Option<String>)]
    form: Option<Form>,
    #[serde(default)]
    filter: Choosing,
    /// As of a subscription.
    pace: Option<String>,
    /// `4h`: when nobody acknowledged for so long, admins are told, and after as long again owners.
    escalate_after: Option<String>,
}

/// A route or a subscription; of a webhook only its host is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertRoute {
    route: String,
    name: String,
    /// `mail`, `webhook` or `slack`; `damaged` where the route does not open.
    channel: &'static str,
    to: Vec<String>,
    #[schema(value_type = Object)]
    filter: Filter,
    #[schema(value_type = String)]
    pace: Pace,
    escalate_after: Option<String>,
}

impl From<RouteInfo> for AlertRoute {
    fn from(info: RouteInfo) -> Self {
        let RouteInfo { route, name, to, channel, filter, pace, escalate_after } = info;
        Self { route, name, channel, to, filter, pace, escalate_after }
    }
}

/// A route that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeRoute {
    #[serde(flatten)]
    route: AlertRoute,
    /// Calls are signed with it; shown now and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// What somebody has to look at, the oldest first
#[utoipa::path(get, path = "/v1/alerts", tag = "alerts", params(AlertsSought), responses((status = 200, description = "A page of alerts", body = Page<Object>)))]
pub async fn list(May { call, .. }: May<may::Read>, Asked(asked): Asked<AlertsSought>) -> Answer<Json<Page<Shown>>> {
    let state: Option<State> = asked.state.as_deref().map(str::parse).transpose().map_err(Problem::invalid)?;
    let report = asked.report.as_deref().map(|code| code.parse::<Report>().map_err(Error::from)).transpose()?;
    let severity = asked.severity.as_deref().map(severity_of).transpose()?;
    let tenant = call.tenant().await?;
    let mut found = alerts::list(&tenant, &Sought { state, all: false, kind: asked.kind, report, severity }).await?;
    let key = |shown: &Shown| format!("{} {}", shown.raised_at, shown.alert);
    found.sort_by_key(key);
    Ok(Json(Paging { limit: asked.limit, cursor: asked.cursor }.of(found, key)?))
}

/// One alert, what it says and what was done about it
#[utoipa::path(
    get, path = "/v1/alerts/{alert}", tag = "alerts", params(("alert" = String, Path)),
    responses((status = 200, description = "The alert and its details", body = Object))
)]
pub async fn show(May { call, .. }: May<may::Read>, Named(alert): Named<String>) -> Answer<Json<serde_json::Value>> {
    let (shown, details) = alerts::show(&call.tenant().await?, &named(alert)?).await?;
    Ok(Json(serde_json::json!({ "alert": shown, "details": details })))
}

/// Look after an alert: nobody else is called
#[utoipa::path(
    post, path = "/v1/alerts/{alert}/acknowledge", tag = "alerts", params(("alert" = String, Path)), request_body = Acknowledging,
    responses((status = 200, description = "The alert", body = Object), (status = 409, description = "Somebody did already", body = Problem))
)]
pub async fn acknowledge(
    May { call, .. }: May<may::WorkFindings>,
    Named(alert): Named<String>,
    Sent(sent): Sent<Acknowledging>,
) -> Answer<Json<Shown>> {
    let (tenant, note) = (call.tenant().await?, fitting(sent.note)?);
    worked(alerts::acknowledge(call.house(), &tenant, &named(alert)?, &note).await?)
}

/// Settle an alert; it opens again when it comes back
#[utoipa::path(
    post, path = "/v1/alerts/{alert}/resolve", tag = "alerts", params(("alert" = String, Path)), request_body = ResolvingAlert,
    responses((status = 200, description = "The alert", body = Object), (status = 409, description = "It is resolved already", body = Problem))
)]
pub async fn resolve(
    May { call, .. }: May<may::WorkFindings>,
    Named(alert): Named<String>,
    Sent(sent): Sent<ResolvingAlert>,
) -> Answer<Json<Shown>> {
    let (tenant, cause) = (call.tenant().await?, fitting(sent.cause)?);
    worked(alerts::resolve(call.house(), &tenant, &named(alert)?, &cause).await?)
}

/// Tell nobody of an alert for a time
#[utoipa::path(
    post, path = "/v1/alerts/{alert}/mute", tag = "alerts", params(("alert" = String, Path)), request_body = Muting,
    responses((status = 200, description = "The alert", body = Object), (status = 409, description = "It is resolved, or not muted", body = Problem))
)]
pub async fn mute(
    May { call, .. }: May<may::WorkFindings>,
    Named(alert): Named<String>,
    Sent(sent): Sent<Muting>,
) -> Answer<Json<Shown>> {
    let (tenant, note) = (call.tenant().await?, fitting(sent.note)?);
    worked(alerts::mute(call.house(), &tenant, &named(alert)?, sent.until, &note).await?)
}

/// What you asked to hear of
#[utoipa::path(get, path = "/v1/alerts/subscriptions", tag = "alerts", responses((status = 200, body = Vec<AlertRoute>)))]
pub async fn subscriptions(May { call, .. }: May<may::Subscribe>) -> Answer<Json<Vec<AlertRoute>>> {
    let tenant = call.tenant().await?;
    let member = member_of(&tenant, &call).await?;
    Ok(Json(routes::list(&tenant, &member).await?.into_iter().map(AlertRoute::from).collect()))
}

/// Hear of alerts by mail, to your own address
#[utoipa::path(
    post, path = "/v1/alerts/subscriptions", tag = "alerts", request_body = Subscribing, responses((status = 201, body = AlertRoute))
)]
pub async fn subscribe(
    May { call, .. }: May<may::Subscribe>,
    Sent(sent): Sent<Subscribing>,
) -> Answer<(StatusCode, Json<AlertRoute>)> {
    let tenant = call.tenant().await?;
    let member = member_of(&tenant, &call).await?;
    let new = NewRoute {
        name: sent.name,
        channel: Channel::Mail { members: vec![member.clone()], roles: Vec::new() },
        filter: chosen(sent.filter)?,
        pace: paced(sent.pace)?,
        escalate_after: None,
    };
    let hooks = send::hooks(&call.house().settings.alerts)?;
    let (info, _) = routes::add(call.house(), &tenant, hooks.as_ref(), &member, new).await?;
    Ok((StatusCode::CREATED, Json(info.into())))
}

/// Hear no more of it
#[utoipa::path(delete, path = "/v1/alerts/subscriptions/{route}", tag = "alerts", params(("route" = String, Path)), responses((status = 204)))]
pub async fn unsubscribe(May { call, .. }: May<may::Subscribe>, Named(route): Named<String>) -> Answer<StatusCode> {
    let tenant = call.tenant().await?;
    let member = member_of(&tenant, &call).await?;
    routes::remove(call.house(), &tenant, &member, &named(route)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whom the team tells
#[utoipa::path(get, path = "/v1/alerts/routes", tag = "alerts", responses((status = 200, body = Vec<AlertRoute>)))]
pub async fn team_routes(May { call, .. }: May<may::ReadSettings>) -> Answer<Json<Vec<AlertRoute>>> {
    let tenant = call.tenant().await?;
    Ok(Json(routes::list(&tenant, "").await?.into_iter().map(AlertRoute::from).collect()))
}

/// Tell members, roles or a webhook
#[utoipa::path(post, path = "/v1/alerts/routes", tag = "alerts", request_body = AddingRoute, responses((status = 201, body = MadeRoute)))]
pub async fn add_route(May { call, .. }: May<may::ManageRoutes>, Sent(sent): Sent<AddingRoute>) -> Answer<Response> {
    let channel = match sent.webhook {
        Some(_) if !sent.members.is_empty() || !sent.roles.is_empty() => {
            return Err(Problem::invalid("a route leads to members and roles, or to a webhook"));
        }
        Some(url) => Channel::Webhook { url, form: sent.form.unwrap_or(Form::Bonded) },
        None => Channel::Mail { members: sent.members, roles: sent.roles },
    };
    let new = NewRoute {
        name: sent.name,
        channel,
        filter: chosen(sent.filter)?,
        pace: paced(sent.pace)?,
        escalate_after: sent.escalate_after,
    };
    let tenant = call.tenant().await?;
    let hooks = send::hooks(&call.house().settings.alerts)?;
    let (info, secret) = routes::add(call.house(), &tenant, hooks.as_ref(), "", new).await?;
    let made = MadeRoute { route: info.into(), secret: secret.map(|secret| secret.reveal().to_owned()) };
    Ok((StatusCode::CREATED, Extension(ShownOnce), Json(made)).into_response())
}

/// Tell them no more
#[utoipa::path(delete, path = "/v1/alerts/routes/{route}", tag = "alerts", params(("route" = String, Path)), responses((status = 204)))]
pub async fn remove_route(May { call, .. }: May<may::ManageRoutes>, Named(route): Named<String>) -> Answer<StatusCode> {
    let tenant = call.tenant().await?;
    routes::remove(call.house(), &tenant, "", &named(route)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a message that stands for nothing, now
#[utoipa::path(
    post, path = "/v1/alerts/routes/{route}/test", tag = "alerts", params(("route" = String, Path)),
    responses((status = 204), (status = 409, description = "It did not leave", body = Problem))
)]
pub async fn try_route(May { call, .. }: May<may::ManageRoutes>, Named(route): Named<String>) -> Answer<StatusCode> {
    let tenant = call.tenant().await?;
    let settings = &call.house().settings;
    let mailer = desk::mailer(settings, &call.house().secrets).await?;
    let notifier = Notifier::new(call.front.house.clone(), mailer, send::hooks(&settings.alerts)?);
    match notifier.try_route(&tenant, "", &named(route)?).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        // Not our failure, and worth reading.
        Err(error) if error.kind() == crate::ErrorKind::Retry => Err(Problem::conflict(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// A program names one whole, or it might mean another.
fn named(id: String) -> Answer<String> {
    match id.len() {
        ID_CHARS => Ok(id),
        _ => Err(Problem::not_found()),
    }
}

fn fitting(note: String) -> Answer<String> {
    match note.chars().count() <= NOTE_CHARS_MAX {
        true => Ok(note),
        false => Err(Problem::invalid(format!("a note has at most {NOTE_CHARS_MAX} characters"))),
    }
}

fn worked(worked: Worked) -> Answer<Json<Shown>> {
    match worked {
        Worked::Done(shown) => Ok(Json(*shown)),
        Worked::Conflict(why) => Err(Problem::conflict(why)),
    }
}

fn chosen(choosing: Choosing) -> Answer<Filter> {
    let reports = choosing.reports.iter().map(|code| code.parse::<Report>().map_err(Error::from)).collect::<Result<_, _>>()?;
    let severity = choosing.severity.as_deref().map(severity_of).transpose()?;
    Ok(Filter { kinds: choosing.kinds, reports, severity: severity.unwrap_or(Filter::default().severity) })
}

fn paced(pace: Option<String>) -> Answer<Pace> {
    Ok(pace.as_deref().map(|text| text.parse::<Pace>().map_err(Error::from)).transpose()?.unwrap_or_default())
}

/// Subscriptions are of members; whoever is one by their account.
async fn member_of(tenant: &Tenant, call: &Call) -> Answer<String> {
    let member = tenant.ledger.team().member_of_user(&call.caller.user).await.map_err(Error::from)?;
    member.map(|member| member.member_id).ok_or_else(Problem::not_found)
}
