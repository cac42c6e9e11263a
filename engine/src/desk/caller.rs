//! Who calls: read anew for each request, so that what was changed a moment ago holds at once.
//! Promise: a scope is given only to an active member (or a live token of one), and never while a proof is still owed.
//! Beside the console, this is where the engine establishes a scope.

use bonded_connectors::identity::token::{self, OwnToken};
use bonded_schemas::{Actor, Role, TenantId, TenantScope};
use chrono::{DateTime, Utc};

use super::{Answer, Denied, Desk, Email, Origin, sessions::Live, tokens::Grant, trail::event};
use crate::error::{ErrorKind, Result};

/// At most so many teams of one person are looked through.
const SEATS_MAX: usize = 64;
const USED_EVERY_MS: i64 = 60_000;

#[derive(Clone, Debug)]
pub struct Caller {
    /// The account's id; of a token, the token's.
    pub user: String,
    /// Empty for tokens and machines.
    pub email: String,
    /// The session's id; empty for tokens and machines.
    pub session: String,
    csrf: String,
    /// Where they work, when they chose, are an active member there now, and owe no proof.
    pub tenant: Option<TenantScope>,
    /// Read with it; none for tokens and machines.
    pub role: Option<Role>,
    /// A code of an authenticator was given in this session.
    pub mfa: bool,
    /// What must come before anything else; then there is no tenant.
    pub owes: Option<Owes>,
    /// Until then keys, roles, exports and shredding are open.
    pub stepped_up_until: Option<DateTime<Utc>>,
    pub kind: CallerKind,
}

/// What an identity provider says of a person, as far as it counts here. Never a role: that is the membership's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Verified by the provider.
    pub email: String,
    pub tenant: Option<TenantId>,
    pub second_factor: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owes {
    /// A code of the authenticator that they have: `second_factor`.
    SecondFactor,
    /// An authenticator: owners and admins must have one; `enrol_totp`.
    Enrolment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerKind {
    Person,
    /// A team's own API token, and what it is good for.
    Token(Vec<Grant>),
    /// A broker's machine: it delivers and reads nothing.
    Machine,
}

impl Caller {
    /// Is this what a request of the session must bring along? Compared in constant time.
    pub fn csrf_matches(&self, sent: &str) -> bool {
        !self.csrf.is_empty() && token::same(&self.csrf, sent)
    }

    /// For the page that sends it back; empty for tokens and machines, which bring no cookie.
    pub fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl Desk {
    /// The caller behind a session's token; `None` when there is no such session or it ended.
    pub async fn whoami(&self, session_token: &str, origin: &Origin) -> Answer<Option<Caller>> {
        let live = match self.live(session_token).await {
            Err(Denied::NoSession) => return Ok(None),
            live => live?,
        };
        let Live { row, known } = live;
        let mfa = row.factors >= 2;
        let enrolled = known.person.authenticator.is_some();
        let mut caller = Caller {
            user: row.user_id.clone(),
            session: row.session_id.clone(),
            csrf: self.csrf_of(&row.token_digest).await?,
            tenant: None,
            role: None,
            mfa,
            owes: (enrolled && !mfa).then_some(Owes::SecondFactor),
            stepped_up_until: self.stepped_up_until(&row),
            kind: CallerKind::Person,
            email: known.person.email,
        };
        if row.tenant.is_empty() || caller.owes.is_some() {
            return Ok(Some(caller));
        }
        let tenant: TenantId = row.tenant.parse().map_err(crate::Error::from)?;
        let Some(role) = self.role_in(&tenant, &row.user_id).await? else { return Ok(Some(caller)) };
        if must_have_factor(role) && !mfa {
            caller.owes = Some(Owes::Enrolment);
            return Ok(Some(caller));
        }
        caller.role = Some(role);
        caller.tenant = Some(scope(tenant, Actor { role: Some(role), ..origin.actor(&caller.email) }));
        Ok(Some(caller))
    }

    /// The caller behind an API token; `None` when it is none, was revoked, expired, or its maker is no active member.
    pub async fn authenticate(&self, token: &str, origin: &Origin) -> Answer<Option<Caller>> {
        let Some(sent) = OwnToken::parse(token) else { return Ok(None) };
        let looking = scope(sent.tenant.clone(), origin.actor(""));
        let ledger = match self.ledger(&looking).await {
            Err(error) if error.kind() == ErrorKind::Refused => return Ok(None),
            ledger => ledger?,
        };
        let team = ledger.team();
        let Some(row) = team.token(&sent.id).await? else { return Ok(None) };
        let now_ms = self.now_ms();
        let right = token::same(&row.digest, &sent.secret.digest());
        let grants: Vec<Grant> = row.scope.split(',').filter_map(Grant::parse).collect();
        let refused = match () {
            () if !right => Some("wrong secret"),
            () if row.state != "active" => Some("revoked"),
            () if row.expires_ms <= now_ms => Some("expired"),
            () if row.made_by.is_empty() => None,
            () => {
                let maker = team.member(&row.made_by).await?.filter(|maker| maker.state == "active");
                let role = maker.and_then(|maker| maker.role.parse::<Role>().ok());
                let within = |role: Role| grants.iter().all(|grant| grant.within(role));
                (!role.is_some_and(within)).then_some("its maker may not, or no longer")
            }
        };
        let name = format!("{}:{}", row.kind, row.token_id);
        if let Some(why) = refused {
            // One entry a wait, so that nobody fills the trail from outside.
            if self.hold_address(origin, "token").await.is_ok() {
                let object = format!("{}/{}", sent.tenant, row.token_id);
                self.tell(&event(&origin.actor(&name), "token.use", &object, &format!("refused: {why}"), None)).await?;
            }
            return Ok(None);
        }
        if now_ms - row.used_ms >= USED_EVERY_MS {
            team.token_used(&row.token_id, now_ms).await?;
        }
        let kind = if row.kind == "machine" { CallerKind::Machine } else { CallerKind::Token(grants) };
        Ok(Some(Caller {
            user: row.token_id,
            email: String::new(),
            session: String::new(),
            csrf: String::new(),
            tenant: Some(scope(sent.tenant, origin.actor(&name))),
            role: None,
            mfa: false,
            owes: None,
            stepped_up_until: None,
            kind,
        }))
    }

    /// The caller behind an access token of the identity provider: the active member of its verified address in its tenant.
    /// `None` when there is none, for whatever reason.
    pub async fn vouched(&self, vouched: &Vouched, origin: &Origin) -> Answer<Option<Caller>> {
        let (Ok(email), Some(tenant)) = (Email::parse(&vouched.email), vouched.tenant.clone()) else { return Ok(None) };
        let actor = origin.actor(email.as_str());
        let ledger = match self.ledger(&scope(tenant.clone(), actor.clone())).await {
            Err(error) if error.kind() == ErrorKind::Refused => return Ok(None),
            ledger => ledger?,
        };
        let digest = self.email_digest(&email).await?;
        let member = ledger.team().member_by_email(&digest).await?.filter(|member| member.state == "active");
        let Some(member) = member else {
            // One entry a wait, as of our own tokens.
            if self.hold_address(origin, "token").await.is_ok() {
                self.tell(&event(
                    &actor,
                    "token.use",
                    tenant.as_str(),
                    "refused: the provider's token is of no active member",
                    None,
                ))
                .await?;
            }
            return Ok(None);
        };
        let role: Role = member.role.parse().map_err(crate::Error::from)?;
        let owes = (must_have_factor(role) && !vouched.second_factor).then_some(Owes::SecondFactor);
        let allowed = owes.is_none();
        Ok(Some(Caller {
            user: member.user_id,
            email: email.to_string(),
            session: String::new(),
            csrf: String::new(),
            tenant: allowed.then(|| scope(tenant, Actor { role: Some(role), ..actor })),
            role: allowed.then_some(role),
            mfa: vouched.second_factor,
            owes,
            stepped_up_until: None,
            kind: CallerKind::Person,
        }))
    }

    /// The role of an active member, read now.
    pub(super) async fn role_in(&self, tenant: &TenantId, user_id: &str) -> Result<Option<Role>> {
        let ledger = match self.ledger(&scope(tenant.clone(), user_id)).await {
            // The tenant is gone.
            Err(error) if error.kind() == ErrorKind::Refused => return Ok(None),
            ledger => ledger?,
        };
        let member = ledger.team().member_of_user(user_id).await?.filter(|member| member.state == "active");
        Ok(member.map(|member| member.role.parse()).transpose()?)
    }

    /// Every team in which the user is active now.
    pub(super) async fn memberships(&self, user_id: &str) -> Result<Vec<(TenantId, Role)>> {
        let mut memberships = Vec::new();
        for tenant in self.people.seats(user_id).await?.into_iter().take(SEATS_MAX) {
            let tenant: TenantId = tenant.parse()?;
            if let Some(role) = self.role_in(&tenant, user_id).await? {
                memberships.push((tenant, role));
            }
        }
        Ok(memberships)
    }
}

/// Who must have an authenticator.
pub(super) fn must_have_factor(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin)
}

/// Here an identity is established: by a session, by a token, or by an invite that its own address accepts.
#[expect(
    clippy::disallowed_methods,
    reason = "the session and the token check are two of the four places that establish a scope"
)]
pub(super) fn scope(tenant: TenantId, actor: impl Into<Actor>) -> TenantScope {
    TenantScope::establish(tenant, actor)
}
