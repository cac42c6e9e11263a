//! Who is to hear of a tenant's alerts: the tenant's routes to members and webhooks, and what each member asked for themselves.
//! Promise: only active members get letters; a webhook's secret is shown once, when its route is made; each change is in the
//! tenant's trail.
//! Never: a letter goes to an address that is no member's.

use std::ops::RangeInclusive;

use bonded_connectors::{
    alerts::Hooks,
    identity::token::Secret,
    store::{alerts::RouteRow, audit::NewEvent, people::MemberRow},
};
use bonded_schemas::{
    Report, Role, Severity,
    routing::{Filter, Pace},
};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::{
    audit::Change,
    desk::address_of,
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
    settings::parse_duration,
};

const ROUTES_MAX: i64 = 50;
/// Of one member.
const SUBSCRIPTIONS_MAX: i64 = 20;
const NAME_CHARS_MAX: usize = 100;
const MEMBERS_MAX: usize = 50;
/// One minute to 31 days.
const ESCALATE_MS: RangeInclusive<i64> = 60_000..=31 * 24 * 60 * 60_000;
const RECIPIENTS_MAX: usize = 200;

/// What a webhook is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Our own JSON, signed
    Bonded,
    /// `{"text": ...}`, as Slack and those like it take it
    Slack,
}

/// Where alerts go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "lowercase", deny_unknown_fields)]
pub enum Channel {
    /// These members, and all of these roles.
    Mail {
        #[serde(default)]
        members: Vec<String>,
        #[serde(default)]
        roles: Vec<Role>,
    },
    Webhook {
        url: String,
        form: Form,
    },
}

/// What is to be made.
#[derive(Clone, Debug)]
pub struct NewRoute {
    pub name: String,
    pub channel: Channel,
    pub filter: Filter,
    pub pace: Pace,
    /// `4h`: when nobody acknowledged for so long, admins are told, and after as long again the owners.
    pub escalate_after: Option<String>,
}

/// A route as it is shown: without the webhook's path, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteInfo {
    pub route: String,
    pub name: String,
    /// The addresses and roles of members, or a webhook's host.
    pub to: Vec<String>,
    /// `mail`, `webhook`, `slack`; `damaged` where the route does not open.
    pub channel: &'static str,
    pub filter: Filter,
    pub pace: Pace,
    pub escalate_after: Option<String>,
}

/// The sealed document.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Route {
    /// Again, so that a row is not exchanged for another.
    route_id: String,
    owner: String,
    pub name: String,
    pub channel: Channel,
    pub filter: Filter,
    pub pace: Pace,
    pub escalate_after_ms: i64,
    /// Signs a webhook's calls.
    pub secret: Option<String>,
}

const WHAT: &str = "alert route";

/// Everybody who is to hear of something, as it is now.
pub(super) struct Directory {
    pub routes: Vec<(String, Route)>,
    members: Vec<(MemberRow, Role)>,
}

/// The tenant's own routes, or one member's subscriptions.
pub async fn list(tenant: &Tenant, owner: &str) -> Result<Vec<RouteInfo>> {
    let rows = tenant.ledger.alert_routes().await?;
    let members = tenant.ledger.team().members().await?;
    rows.iter().filter(|row| row.owner == owner).map(|row| shown(tenant, &members, row)).collect()
}

/// Answers the route and, of a webhook that is signed, its secret: shown now and never again.
pub async fn add(
    house: &Lakehouse,
    tenant: &Tenant,
    hooks: &dyn Hooks,
    owner: &str,
    new: NewRoute,
) -> Result<(RouteInfo, Option<Secret>)> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(Error::input(format!("a route's name has 1 to {NAME_CHARS_MAX} characters")));
    }
    new.filter.check()?;
    let escalate_after_ms = match &new.escalate_after {
        None => 0,
        Some(_) if !owner.is_empty() => return Err(Error::input("only the tenant's routes escalate")),
        Some(text) => {
            let after = parse_duration(text).and_then(|after| i64::try_from(after.as_millis()).ok());
            after.filter(|after| ESCALATE_MS.contains(after)).ok_or_else(|| {
                Error::input(format!("`{}` is not like 30m or 4h, at most 31 days (744h)", text.escape_default()))
            })?
        }
    };
    let members = tenant.ledger.team().members().await?;
    let secret = match &new.channel {
        Channel::Mail { members: named, roles } => {
            if named.is_empty() && roles.is_empty() {
                return Err(Error::input("a route by mail names members or roles"));
            }
            if named.len() > MEMBERS_MAX || roles.len() > Role::ALL.len() {
                return Err(Error::input(format!("a route names at most {MEMBERS_MAX} members, and each role once")));
            }
            let unknown = named.iter().find(|id| members.iter().all(|member| member.member_id != **id));
            if let Some(unknown) = unknown {
                return Err(Error::input(format!("no member `{}` in this team", unknown.escape_default())));
            }
            None
        }
        Channel::Webhook { url, form } => {
            hooks.check(url)?;
            (*form == Form::Bonded).then(Secret::random)
        }
    };
    let route = Route {
        route_id: Uuid::now_v7().simple().to_string(),
        owner: owner.to_owned(),
        name: name.to_owned(),
        channel: new.channel,
        filter: new.filter,
        pace: new.pace,
        escalate_after_ms,
        secret: secret.as_ref().map(|secret| secret.reveal().to_owned()),
    };
    let shown = info(tenant, &members, &route)?;
    let sealed = tenant.seal(WHAT, &route.route_id, &route)?;
    let row = RouteRow { route_id: route.route_id, owner: owner.to_owned(), sealed };
    let (action, most) = match owner.is_empty() {
        true => ("alert.route.add", ROUTES_MAX),
        false => ("alert.subscribe", SUBSCRIPTIONS_MAX),
    };
    let event = tenant.sealed_change(action, &row.route_id, "done", Change::made(&shown)?)?;
    let event = NewEvent { at: house.clock.now(), sealed: &event };
    match tenant.ledger.add_alert_route(&row, most, event).await? {
        true => Ok((shown, secret)),
        false => Err(Error::input(format!("there are {most} already; remove one first"))),
    }
}

/// The route of this id, or the only one whose id begins so.
pub async fn remove(house: &Lakehouse, tenant: &Tenant, owner: &str, id: &str) -> Result<RouteInfo> {
    let row = find_row(tenant, owner, id).await?;
    let members = tenant.ledger.team().members().await?;
    let shown = shown(tenant, &members, &row)?;
    let action = if owner.is_empty() { "alert.route.remove" } else { "alert.unsubscribe" };
    let event = tenant.sealed_change(action, &row.route_id, "done", Change::between(&shown, &serde_json::Value::Null)?)?;
    let event = NewEvent { at: house.clock.now(), sealed: &event };
    match tenant.ledger.remove_alert_route(&row.route_id, owner, event).await? {
        true => Ok(shown),
        false => Err(missing(id)),
    }
}

pub(super) async fn find(tenant: &Tenant, owner: &str, id: &str) -> Result<(RouteRow, Route)> {
    let row = find_row(tenant, owner, id).await?;
    let route = opened(tenant, &row)?;
    Ok((row, route))
}

async fn find_row(tenant: &Tenant, owner: &str, id: &str) -> Result<RouteRow> {
    let rows = tenant.ledger.alert_routes().await?;
    let mut found = rows.into_iter().filter(|row| row.owner == owner && !id.is_empty() && row.route_id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row),
        (Some(_), Some(_)) => {
            Err(Error::input(format!("more than one begins with `{}`; give more of its id", id.escape_default())))
        }
        (None, _) => Err(missing(id)),
    }
}

fn missing(id: &str) -> Error {
    Error::missing(format!("no route `{}`; `bonded alerts routes list` shows them", id.escape_default()))
}

fn opened(tenant: &Tenant, row: &RouteRow) -> Result<Route> {
    let route: Route = tenant.unseal(WHAT, &row.route_id, &row.sealed)?;
    match route.route_id == row.route_id && route.owner == row.owner {
        true => Ok(route),
        false => Err(Error::new(ErrorKind::Damaged, "a route of alerts is not what was sealed")),
    }
}

/// Whether a row opens and is what was sealed.
pub(crate) fn is_whole(tenant: &Tenant, row: &RouteRow) -> Result<()> {
    opened(tenant, row).map(|_| ())
}

/// One that does not open is shown as such, so that it can be removed and the others are seen.
fn shown(tenant: &Tenant, members: &[MemberRow], row: &RouteRow) -> Result<RouteInfo> {
    match opened(tenant, row) {
        Ok(route) => info(tenant, members, &route),
        Err(error) if error.kind() == ErrorKind::Damaged => Ok(RouteInfo {
            route: row.route_id.clone(),
            name: "does not open: remove it and make it anew".into(),
            to: Vec::new(),
            channel: "damaged",
            filter: Filter::default(),
            pace: Pace::default(),
            escalate_after: None,
        }),
        Err(error) => Err(error),
    }
}

fn info(tenant: &Tenant, members: &[MemberRow], route: &Route) -> Result<RouteInfo> {
    let (to, channel) = match &route.channel {
        Channel::Mail { members: named, roles } => {
            let mut to: Vec<String> = roles.iter().map(|role| format!("every {role}")).collect();
            for member in members.iter().filter(|member| named.contains(&member.member_id)) {
                to.push(address_of(tenant, member)?);
            }
            (to, "mail")
        }
        Channel::Webhook { url, form } => {
            let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
            (vec![host], if *form == Form::Slack { "slack" } else { "webhook" })
        }
    };
    Ok(RouteInfo {
        route: route.route_id.clone(),
        name: route.name.clone(),
        to,
        channel,
        filter: route.filter.clone(),
        pace: route.pace,
        escalate_after: (route.escalate_after_ms > 0).then(|| format!("{}m", route.escalate_after_ms / 60_000)),
    })
}

impl Directory {
    pub async fn of(house: &Lakehouse, tenant: &Tenant) -> Result<Self> {
        let mut members = Vec::new();
        for member in tenant.ledger.team().members().await? {
            if member.state == "active" {
                let role = member.role.parse().map_err(Error::from)?;
                members.push((member, role));
            }
        }
        let (mut routes, mut lost) = (Vec::new(), false);
        for row in tenant.ledger.alert_routes().await? {
            // A subscription ends with its member.
            if !row.owner.is_empty() && members.iter().all(|(member, _)| member.member_id != row.owner) {
                continue;
            }
            match opened(tenant, &row) {
                Ok(route) => routes.push((row.route_id.clone(), route)),
                // One row that does not read must not silence the others.
                Err(error) => {
                    tracing::error!(target: "alerts.routes", tenant = %tenant.scope.tenant(), route = row.route_id, %error);
                    lost |= row.owner.is_empty();
                }
            }
        }
        // Whoever a lost route was for, somebody is to hear.
        if lost || (house.settings.alerts.default_route && routes.iter().all(|(_, route)| !route.owner.is_empty())) {
            routes.push(default_route());
        }
        Ok(Self { routes, members })
    }

    /// Those who would hear of such an alert.
    pub fn matching(&self, kind: &str, report: Option<Report>, severity: Severity) -> impl Iterator<Item = &(String, Route)> {
        self.routes.iter().filter(move |(_, route)| route.filter.holds(kind, report, severity))
    }

    /// The addresses of active members, each once.
    pub fn addresses(&self, tenant: &Tenant, ids: &[String], roles: &[Role]) -> Result<Vec<String>> {
        let meant = |(member, role): &&(MemberRow, Role)| ids.contains(&member.member_id) || roles.contains(role);
        self.members.iter().filter(meant).take(RECIPIENTS_MAX).map(|(member, _)| address_of(tenant, member)).collect()
    }

    pub fn has(&self, role: Role) -> bool {
        self.members.iter().any(|(_, of)| *of == role)
    }
}

/// Where nobody said who is to hear: errors, to those who look after the team.
fn default_route() -> (String, Route) {
    let route = Route {
        route_id: DEFAULT.into(),
        owner: String::new(),
        name: DEFAULT.into(),
        channel: Channel::Mail { members: Vec::new(), roles: vec![Role::Owner, Role::Admin] },
        filter: Filter { severity: Severity::Error, ..Filter::default() },
        pace: Pace::AtOnce,
        escalate_after_ms: 0,
        secret: None,
    };
    (DEFAULT.into(), route)
}

const DEFAULT: &str = "default";
