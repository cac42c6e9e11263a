//! `bonded member`, `token` and `machine`: who may come in by the front desk, and the first owner's way in.

use std::sync::Arc;

use bonded_schemas::{TenantId, TenantScope};
use chrono::{Days, NaiveTime, TimeDelta};

use super::{
    args::{MachineAction, MemberAction, TokenAction},
    output::{Output, table},
    scope,
};
use crate::{
    desk::{self, Desk, MadeToken, Member, TokenInfo, TokenKind},
    error::{Error, Result},
    lakehouse::Lakehouse,
};

async fn open(house: &Arc<Lakehouse>) -> Result<Desk> {
    Ok(Desk::new(house.clone(), desk::mailer(&house.settings, &house.secrets).await?))
}

pub async fn member(house: &Arc<Lakehouse>, action: &MemberAction, output: &Output) -> Result<u8> {
    let desk = open(house).await?;
    let changed = match action {
        MemberAction::List { tenant } => {
            let members = desk.members(&scope(tenant.clone())).await?;
            output.list(&members, || {
                let line = |m: &Member| {
                    [
                        m.email.clone(),
                        m.role.to_string(),
                        m.state.as_str().into(),
                        m.since.chars().take(19).collect(),
                        m.member.clone(),
                    ]
                };
                table(["member", "role", "state", "since", "id"], members.iter().map(line))
            })?;
            return Ok(0);
        }
        MemberAction::Invite { tenant, email, role } => {
            let invited = desk.invite(&scope(tenant.clone()), email, *role).await?;
            // Nothing else may be running that would send it.
            desk.send_due_post().await?;
            output.object(&invited, || {
                let way = match &house.settings.mail.smtp {
                    Some(_) => "by mail".to_owned(),
                    None => {
                        house.settings.outbox_dir().map(|dir| format!("as a letter in {}", dir.display())).unwrap_or_default()
                    }
                };
                format!("{} is invited to {tenant} as {role}; the code went out {way}", invited.email)
            })?;
            return Ok(0);
        }
        MemberAction::Role { tenant, email, role } => {
            let (scope, member) = find(&desk, tenant, email).await?;
            desk.set_role(&scope, &member.member, *role).await?
        }
        MemberAction::Suspend { tenant, email } => {
            let (scope, member) = find(&desk, tenant, email).await?;
            desk.suspend(&scope, &member.member).await?
        }
        MemberAction::Resume { tenant, email } => {
            let (scope, member) = find(&desk, tenant, email).await?;
            desk.resume(&scope, &member.member).await?
        }
        MemberAction::Remove { tenant, email } => {
            let (scope, member) = find(&desk, tenant, email).await?;
            desk.remove_member(&scope, &member.member).await?;
            let body = serde_json::json!({ "tenant": tenant, "removed": member.email });
            output.object(&body, || format!("{} is out of {tenant}", member.email))?;
            return Ok(0);
        }
    };
    output.object(&changed, || format!("{}: {}, {}", changed.email, changed.role, changed.state.as_str()))?;
    Ok(0)
}

async fn find(desk: &Desk, tenant: &TenantId, email: &str) -> Result<(TenantScope, Member)> {
    let scope = scope(tenant.clone());
    let email = desk::Email::parse(email)?;
    let members = desk.members(&scope).await?;
    let member = members.into_iter().find(|member| member.email == email.as_str());
    let missing = || Error::input(format!("no member {email} in {tenant}; `bonded member list` shows those there are"));
    Ok((scope, member.ok_or_else(missing)?))
}

pub async fn token(house: &Arc<Lakehouse>, action: &TokenAction, output: &Output) -> Result<u8> {
    let desk = open(house).await?;
    match action {
        TokenAction::Create { tenant, name, grant, days } => {
            let expires_at = house.clock.now() + TimeDelta::days(i64::from(*days));
            let made = desk.create_token(&scope(tenant.clone()), None, name, grant, expires_at).await?;
            show(&made, tenant, output)?;
        }
        TokenAction::List { tenant } => {
            let tokens = desk.tokens(&scope(tenant.clone())).await?;
            let now = house.clock.now();
            output.list(&tokens, || {
                let line = |token: &TokenInfo| {
                    let state = match () {
                        () if token.revoked => "revoked",
                        () if token.expires_at <= now => "expired",
                        () => "good",
                    };
                    let kind = match token.kind {
                        TokenKind::Token => "token".to_owned(),
                        TokenKind::Machine => format!("machine, {}", token.poa.as_deref().unwrap_or_default()),
                    };
                    let grants: Vec<&str> = token.grants.iter().map(|grant| grant.as_str()).collect();
                    let until = token.expires_at.format("%Y-%m-%d").to_string();
                    [token.name.clone(), kind, grants.join(","), state.into(), until, token.token.clone()]
                };
                table(["name", "kind", "for", "state", "until", "id"], tokens.iter().map(line))
            })?;
        }
        TokenAction::Revoke { tenant, id } => {
            desk.revoke_token(&scope(tenant.clone()), None, id).await?;
            output.object(&serde_json::json!({ "tenant": tenant, "revoked": id }), || format!("{id} is revoked"))?;
        }
    }
    Ok(0)
}

pub async fn machine(house: &Arc<Lakehouse>, action: &MachineAction, output: &Output) -> Result<u8> {
    let MachineAction::Add { tenant, name, poa, until } = action;
    // The last day is one on which it still delivers.
    let end = until.checked_add_days(Days::new(1)).ok_or_else(|| Error::input("this date is beyond the calendar"))?;
    let desk = open(house).await?;
    // A tenant that is not there is told before a token of another is made.
    for tenant in tenant {
        house.tenant(&scope(tenant.clone())).await?;
    }
    for tenant in tenant {
        let made = desk.add_machine(&scope(tenant.clone()), name, poa, end.and_time(NaiveTime::MIN).and_utc()).await?;
        show(&made, tenant, output)?;
    }
    Ok(0)
}

/// The one time that a token is seen.
fn show(made: &MadeToken, tenant: &TenantId, output: &Output) -> Result<()> {
    let body = serde_json::json!({ "tenant": tenant, "info": made.info, "secret": made.secret.reveal() });
    output.object(&body, || {
        let until = made.info.expires_at.format("%Y-%m-%d %H:%M");
        let of = format!("It is of {tenant} and good until {until} UTC, or until `bonded token revoke`.");
        format!("{}\nThis is shown once. {of}", made.secret.reveal())
    })
}
