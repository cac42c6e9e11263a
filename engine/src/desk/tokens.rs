//! A team's own API tokens, and machine identities for brokers.
//! Promise: a token is shown once and kept as a digest; it ends by a date, by being revoked, and with its maker's membership.
//! Never: a machine reads anything; it delivers, under a power of attorney, until that ends.

use bonded_connectors::{
    identity::token::OwnToken,
    store::people::{TeamStep, TokenRow},
};
use bonded_schemas::{Role, TenantScope};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, Caller, CallerKind, Denied, Desk, Secret, instant, team::authority};
use crate::lakehouse::Tenant;

const NAME_CHARS_MAX: usize = 100;
const TOKEN_DAYS_MAX: i64 = 366;
/// A power of attorney is renewed at some time.
const MACHINE_DAYS_MAX: i64 = 3 * 366;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// Deliveries, findings, deadlines, receipts
    Read,
    /// SQL
    Query,
    /// Deliver files
    Deliver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    Token,
    Machine,
}

#[derive(Clone, Debug, Serialize)]
pub struct TokenInfo {
    pub token: String,
    pub kind: TokenKind,
    pub name: String,
    pub grants: Vec<Grant>,
    /// Of a machine: the power of attorney that it works under.
    pub poa: Option<String>,
    pub revoked: bool,
    pub expires_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
}

/// A token that was just made: `secret` is shown now and never again.
#[derive(Clone, Debug)]
pub struct MadeToken {
    pub info: TokenInfo,
    pub secret: Secret,
}

#[derive(Serialize, Deserialize)]
struct SealedToken {
    name: String,
    poa: Option<String>,
    made_by: String,
}

impl Grant {
    pub const ALL: [Grant; 3] = [Grant::Read, Grant::Query, Grant::Deliver];

    pub fn as_str(self) -> &'static str {
        match self {
            Grant::Read => "read",
            Grant::Query => "query",
            Grant::Deliver => "deliver",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Grant::ALL.into_iter().find(|grant| grant.as_str() == text)
    }

    /// May somebody of this role give it away?
    pub fn within(self, role: Role) -> bool {
        match self {
            Grant::Read | Grant::Query => true,
            Grant::Deliver => role <= Role::Operator,
        }
    }
}

impl Desk {
    /// A token for the team's programs. Of a member, it is good as long as they are active and their role covers it.
    pub async fn create_token(
        &self,
        scope: &TenantScope,
        maker: Option<&str>,
        name: &str,
        grants: &[Grant],
        expires_at: DateTime<Utc>,
    ) -> Answer<MadeToken> {
        if grants.is_empty() {
            return Err(Denied::Input("a token is for read, query or deliver: name at least one".into()));
        }
        let tenant = self.house.enter(scope).await?;
        let made_by = match maker {
            Some(user) => {
                let member = tenant.ledger.team().member_of_user(user).await?;
                member.ok_or_else(|| Denied::Forbidden("only members make tokens".into()))?.member_id
            }
            // What a person makes is theirs; only the console makes what is nobody's.
            None if scope.actor().role.is_some() => return Err(Denied::Forbidden("a member's token names its maker".into())),
            None => String::new(),
        };
        let allowed = match authority(scope) {
            Some(role) => grants.iter().all(|grant| grant.within(role)),
            None => false,
        };
        if !allowed {
            return self.refuse(&tenant, "token.create", name, "a token may no more than its maker").await;
        }
        self.make(&tenant, TokenKind::Token, made_by, name, None, grants, expires_at, TOKEN_DAYS_MAX).await
    }

    /// An identity for a broker's machine: it delivers under this power of attorney until that ends.
    pub async fn add_machine(&self, scope: &TenantScope, name: &str, poa: &str, until: DateTime<Utc>) -> Answer<MadeToken> {
        let poa = checked("the reference of the power of attorney", poa)?;
        let tenant = self.house.enter(scope).await?;
        if !matches!(authority(scope), Some(Role::Owner | Role::Admin)) {
            return self.refuse(&tenant, "machine.add", name, "only owners and admins add machines").await;
        }
        self.make(&tenant, TokenKind::Machine, String::new(), name, Some(poa), &[Grant::Deliver], until, MACHINE_DAYS_MAX).await
    }

    /// The power of attorney that this caller works under; none of anyone but a broker's machine.
    pub(crate) async fn power_of_attorney(&self, tenant: &Tenant, caller: &Caller) -> Answer<Option<String>> {
        if caller.kind != CallerKind::Machine {
            return Ok(None);
        }
        let row = tenant.ledger.team().token(&caller.user).await?;
        // It was there a moment ago, when it was looked at who calls.
        let row = row.ok_or(Denied::NoSession)?;
        let sealed: SealedToken = tenant.unseal("token", &row.token_id, &row.sealed)?;
        let missing =
            || crate::Error::new(crate::ErrorKind::Damaged, format!("machine {} names no power of attorney", row.token_id));
        Ok(Some(sealed.poa.ok_or_else(missing)?))
    }

    /// Tokens and machines, also those that were revoked or expired.
    pub async fn tokens(&self, scope: &TenantScope) -> Answer<Vec<TokenInfo>> {
        let tenant = self.house.enter(scope).await?;
        tenant.ledger.team().tokens().await?.iter().map(|row| info(&tenant, row)).collect()
    }

    /// Ends a token at once. A member ends their own; owners and admins any.
    pub async fn revoke_token(&self, scope: &TenantScope, by: Option<&str>, token: &str) -> Answer<()> {
        let tenant = self.house.enter(scope).await?;
        let team = tenant.ledger.team();
        let missing = || Denied::NotFound(format!("no token `{}` in this team", token.escape_default()));
        let row = team.token(token).await?.ok_or_else(missing)?;
        let own = match by {
            Some(user) => team.member_of_user(user).await?.is_some_and(|member| member.member_id == row.made_by),
            None => false,
        };
        if !own && !matches!(authority(scope), Some(Role::Owner | Role::Admin)) {
            return self.refuse(&tenant, "token.revoke", token, "only its maker, owners and admins revoke a token").await;
        }
        if row.state != "active" {
            return Ok(());
        }
        let diff = Some((json!({ "state": "active" }), json!({ "state": "revoked" })));
        self.write(&tenant, "token.revoke", token, &[TeamStep::RevokeToken(token)], diff).await
    }

    #[expect(clippy::too_many_arguments, reason = "what a token is made of; two callers, both above")]
    async fn make(
        &self,
        tenant: &Tenant,
        kind: TokenKind,
        made_by: String,
        name: &str,
        poa: Option<String>,
        grants: &[Grant],
        expires_at: DateTime<Utc>,
        days_max: i64,
    ) -> Answer<MadeToken> {
        let name = checked("the name", name)?;
        let now = self.now();
        if expires_at <= now || expires_at > now + TimeDelta::days(days_max) {
            return Err(Denied::Input(format!("its end must lie ahead, and at most {days_max} days")));
        }
        let new = OwnToken::new(tenant.scope.tenant());
        let (word, action) = match kind {
            TokenKind::Token => ("token", "token.create"),
            TokenKind::Machine => ("machine", "machine.add"),
        };
        let sealed = SealedToken { name, poa, made_by: tenant.scope.actor().name.clone() };
        let scope = grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(",");
        let row = TokenRow {
            digest: new.secret.digest(),
            kind: word.into(),
            made_by,
            state: "active".into(),
            expires_ms: expires_at.timestamp_millis(),
            used_ms: 0,
            sealed: tenant.seal("token", &new.id, &sealed)?,
            token_id: new.id.clone(),
            scope,
        };
        let after = json!({ "name": sealed.name, "poa": sealed.poa, "scope": row.scope, "expires_at": expires_at.to_rfc3339() });
        self.write(tenant, action, &row.token_id, &[TeamStep::AddToken(&row)], Some((json!(null), after))).await?;
        Ok(MadeToken { info: info(tenant, &row)?, secret: new.text() })
    }

    async fn refuse<T>(&self, tenant: &Tenant, action: &str, object: &str, why: &str) -> Answer<T> {
        tenant.audit(self.house.clock.as_ref(), action, object, &format!("refused: {why}")).await?;
        Err(Denied::Forbidden(why.into()))
    }
}

fn checked(what: &str, text: &str) -> Answer<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > NAME_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(Denied::Input(format!("{what} must have 1 to {NAME_CHARS_MAX} characters, on one line")));
    }
    Ok(text.to_owned())
}

fn info(tenant: &Tenant, row: &TokenRow) -> Answer<TokenInfo> {
    let sealed: SealedToken = tenant.unseal("token", &row.token_id, &row.sealed)?;
    Ok(TokenInfo {
        token: row.token_id.clone(),
        kind: if row.kind == "machine" { TokenKind::Machine } else { TokenKind::Token },
        name: sealed.name,
        grants: row.scope.split(',').filter_map(Grant::parse).collect(),
        poa: sealed.poa,
        revoked: row.state != "active",
        expires_at: instant(row.expires_ms),
        used_at: (row.used_ms > 0).then(|| instant(row.used_ms)),
    })
}
