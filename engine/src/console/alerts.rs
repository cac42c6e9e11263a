//! `alerts`: what somebody has to look at, who took it up, who is to hear of it, and whether anybody watches.

use std::sync::Arc;

use bonded_schemas::{TenantId, routing::Filter};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    args::{AddRoute, AlertList, AlertsAction, RoutesAction},
    open,
    output::{Output, table},
    scope, which,
};
use crate::{
    alerts::{
        self, Notifier, Shown, Sought, Worked, heartbeat,
        routes::{self, Channel, NewRoute, RouteInfo},
        send, severity_of,
    },
    desk::{self, Desk},
    error::{Error, ErrorKind, Result},
    lakehouse::Lakehouse,
    settings::secret,
};

/// Enough of an id for people.
const SHORT: usize = 12;

#[derive(Serialize)]
struct Line {
    tenant: TenantId,
    #[serde(flatten)]
    alert: Shown,
}

pub async fn alerts(house: &Arc<Lakehouse>, action: &AlertsAction, output: &Output) -> Result<u8> {
    let (tenant, worked) = match action {
        AlertsAction::List(args) => return list(house, args, output).await,
        AlertsAction::Show(one) => {
            let tenant = open(house, &one.tenant).await?;
            let (shown, details) = alerts::show(&tenant, &one.alert).await?;
            tenant.audit(house.clock.as_ref(), "alerts.show", &shown.alert, "done").await?;
            let body = serde_json::json!({ "alert": shown, "details": details });
            output.object(&body, || told(&shown, &details))?;
            return Ok(0);
        }
        AlertsAction::Routes { action } => return of_routes(house, action, output).await,
        AlertsAction::Heartbeat => return pulse(house, output).await,
        AlertsAction::Ack { alert, note } => {
            let tenant = open(house, &alert.tenant).await?;
            let worked = alerts::acknowledge(house, &tenant, &alert.alert, note).await?;
            (tenant, worked)
        }
        AlertsAction::Resolve { alert, cause } => {
            let tenant = open(house, &alert.tenant).await?;
            let worked = alerts::resolve(house, &tenant, &alert.alert, cause).await?;
            (tenant, worked)
        }
        AlertsAction::Mute { alert, until, note, end: _ } => {
            let tenant = open(house, &alert.tenant).await?;
            let worked = alerts::mute(house, &tenant, &alert.alert, *until, note).await?;
            (tenant, worked)
        }
    };
    match worked {
        Worked::Conflict(why) => Err(Error::input(why)),
        Worked::Done(shown) => {
            output.object(&Line { tenant: tenant.scope.tenant().clone(), alert: (*shown).clone() }, || {
                let muted = shown.muted_until.map(|until| format!(", muted until {}", time(until))).unwrap_or_default();
                format!("alert {}: {}{muted}", short(&shown.alert), shown.state.as_str())
            })?;
            Ok(0)
        }
    }
}

async fn list(house: &Lakehouse, args: &AlertList, output: &Output) -> Result<u8> {
    let sought = Sought {
        state: args.state,
        all: args.all,
        kind: args.kind.clone(),
        report: args.report,
        severity: args.severity.as_deref().map(severity_of).transpose()?,
    };
    let mut lines = Vec::new();
    for tenant in which(house, args.tenant.as_ref()).await? {
        let opened = match open(house, &tenant).await {
            Ok(opened) => opened,
            // Where all are asked for, one that is closed hides no other.
            Err(error) if args.tenant.is_none() && error.kind() == ErrorKind::Refused => {
                output.remark(&format!("{tenant}: {error}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        let found = alerts::list(&opened, &sought).await?;
        lines.extend(found.into_iter().map(|alert| Line { tenant: tenant.clone(), alert }));
    }
    output.list(&lines, || {
        let rows = lines.iter().map(|Line { tenant, alert }| {
            let state = match alert.muted_until {
                Some(until) => format!("{}, muted until {}", alert.state.as_str(), time(until)),
                None => alert.state.as_str().to_owned(),
            };
            [
                short(&alert.alert).to_owned(),
                tenant.to_string(),
                alert.severity.to_string(),
                alert.kind.clone(),
                alert.report.clone().unwrap_or_else(|| "-".into()),
                state,
                time(alert.since),
                alert.deliveries.to_string(),
                alert.opened.to_string(),
            ]
        });
        table(["alert", "tenant", "severity", "kind", "report", "state", "since", "times", "opened"], rows)
    })?;
    Ok(0)
}

fn told(shown: &Shown, details: &serde_json::Value) -> String {
    let mut facts: Vec<[String; 2]> = vec![
        ["alert".into(), shown.alert.clone()],
        ["kind, severity".into(), format!("{}, {}", shown.kind, shown.severity)],
        ["report".into(), shown.report.clone().unwrap_or_else(|| "-".into())],
        ["state".into(), format!("{} since {}", shown.state.as_str(), time(shown.since))],
        ["times, opened".into(), format!("{}, {}", shown.deliveries, shown.opened)],
        ["first, last".into(), format!("{}, {}", shown.raised_at, shown.last_at)],
    ];
    facts.extend(shown.muted_until.map(|until| ["muted until".into(), time(until)]));
    facts.extend(shown.decision.clone().map(|decision| ["decision".into(), decision]));
    for note in &shown.notes {
        facts.push([format!("{} by {}", note.did, note.by), format!("{} {}", time(note.at), note.text)]);
    }
    let details = serde_json::to_string_pretty(details).unwrap_or_default();
    format!("{}\n\n{details}", table(["alert", ""], facts))
}

async fn of_routes(house: &Arc<Lakehouse>, action: &RoutesAction, output: &Output) -> Result<u8> {
    match action {
        RoutesAction::Add(args) => add(house, args, output).await,
        RoutesAction::List { tenant } => {
            let listed = routes::list(&open(house, tenant).await?, "").await?;
            output.list(&listed, || {
                let line = |route: &RouteInfo| {
                    let filter = [
                        route.filter.kinds.join(","),
                        route.filter.reports.iter().map(|r| r.code()).collect::<Vec<_>>().join(","),
                    ];
                    let only: Vec<&str> = filter.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
                    [
                        short(&route.route).to_owned(),
                        route.name.clone(),
                        route.channel.to_owned(),
                        route.to.join(", "),
                        format!("{} {}", route.filter.severity, only.join(" ")).trim().to_owned(),
                        route.pace.to_string(),
                        route.escalate_after.clone().unwrap_or_else(|| "-".into()),
                    ]
                };
                table(["route", "name", "by", "to", "from", "pace", "escalates after"], listed.iter().map(line))
            })?;
            Ok(0)
        }
        RoutesAction::Remove { tenant, route } => {
            let removed = routes::remove(house, &open(house, tenant).await?, "", route).await?;
            output.object(&removed, || format!("route {} ({}) is removed", short(&removed.route), removed.name))?;
            Ok(0)
        }
        RoutesAction::Test { tenant, route } => {
            let hooks = send::hooks(&house.settings.alerts)?;
            let notifier = Notifier::new(house.clone(), desk::mailer(&house.settings, &house.secrets).await?, hooks);
            let count = notifier.try_route(&open(house, tenant).await?, "", route).await?;
            output.object(&serde_json::json!({ "route": route, "sent": count }), || format!("sent to {count}"))?;
            Ok(0)
        }
    }
}

async fn add(house: &Arc<Lakehouse>, args: &AddRoute, output: &Output) -> Result<u8> {
    let channel = match &args.webhook {
        Some(reference) => {
            let url = secret(&house.secrets, "--webhook", reference).await?;
            Channel::Webhook { url: url.reveal().trim().to_owned(), form: args.form }
        }
        None => Channel::Mail { members: members(house, args).await?, roles: args.role.clone() },
    };
    let filter = Filter { kinds: args.kind.clone(), reports: args.report.clone(), severity: severity_of(&args.severity)? };
    let new = NewRoute { name: args.name.clone(), channel, filter, pace: args.pace, escalate_after: args.escalate_after.clone() };
    let hooks = send::hooks(&house.settings.alerts)?;
    let (shown, secret) = routes::add(house, &open(house, &args.tenant).await?, hooks.as_ref(), "", new).await?;
    let body = serde_json::json!({ "route": shown, "secret": secret.as_ref().map(|secret| secret.reveal()) });
    output.object(&body, || {
        let made = format!("route {} to {}", short(&shown.route), shown.to.join(", "));
        match &secret {
            Some(secret) => format!("{made}\nIts calls are signed with this secret, which is shown once:\n{}", secret.reveal()),
            None => made,
        }
    })?;
    Ok(0)
}

/// The ids of members by their addresses.
async fn members(house: &Arc<Lakehouse>, args: &AddRoute) -> Result<Vec<String>> {
    if args.to.is_empty() {
        return Ok(Vec::new());
    }
    let desk = Desk::new(house.clone(), desk::mailer(&house.settings, &house.secrets).await?);
    let there = desk.members(&scope(args.tenant.clone())).await?;
    let id = |address: &String| {
        let email = desk::Email::parse(address)?;
        let member = there.iter().find(|member| member.email == email.as_str());
        member.map(|member| member.member.clone()).ok_or_else(|| {
            Error::input(format!("no member {email} in {}; `bonded member list` shows those there are", args.tenant))
        })
    };
    args.to.iter().map(id).collect()
}

/// A monitor reads the exit code.
async fn pulse(house: &Lakehouse, output: &Output) -> Result<u8> {
    let pulse = heartbeat::pulse(house).await?;
    output.object(&pulse, || {
        let at = |at: Option<DateTime<Utc>>| at.map_or_else(|| "never".to_owned(), time);
        let mut lines = vec![format!("last look {}, last sign of life {}", at(pulse.last_look), at(pulse.last_sign))];
        lines.extend(pulse.wrong.iter().cloned());
        lines.join("\n")
    })?;
    Ok(if pulse.alive { 0 } else { ErrorKind::Setup.exit_code() })
}

fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}
