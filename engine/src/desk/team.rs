//! A tenant's team: who is invited, who is in, in which role.
//! Promise: a team that has an active owner keeps one; only owners change owners; a change holds at the next request.

use bonded_connectors::store::people::{MemberRow, TeamChange, TeamStep, Told, Waits, accounts::Step};
use bonded_schemas::{Actor, Role, TenantId, TenantScope};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{
    Answer, Denied, Desk, Email, Origin, Password, Secret,
    caller::scope as scope_of,
    post::Letter,
    trail::{Diff, event, tenant_event},
};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::Tenant,
};

const INVITE: &str = "invite";
/// Invites of one team before waits follow.
const INVITES_FREE: u32 = 50;

#[derive(Clone, Debug, Serialize)]
pub struct Member {
    pub member: String,
    pub email: String,
    pub role: Role,
    pub state: MemberState,
    /// RFC 3339; of the last change.
    pub since: String,
    /// The account's id; none until the invite is accepted.
    pub user: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    Invited,
    Active,
    Suspended,
}

/// What accepting an invite led to.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub tenant: TenantId,
    pub role: Role,
    /// An account was made for it.
    pub new_account: bool,
}

/// Under the tenant's own key, so that it goes when the tenant goes.
#[derive(Serialize, Deserialize)]
struct SealedMember {
    email: String,
}

impl MemberState {
    pub fn as_str(self) -> &'static str {
        match self {
            MemberState::Invited => "invited",
            MemberState::Active => "active",
            MemberState::Suspended => "suspended",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let all = [MemberState::Invited, MemberState::Active, MemberState::Suspended];
        let known = all.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| Error::new(ErrorKind::Damaged, "the state of a member is not readable"))
    }
}

impl Desk {
    /// Mails a code to the address. An invite that is open gets another code, and this role.
    pub async fn invite(&self, scope: &TenantScope, email: &str, role: Role) -> Answer<Member> {
        let email = Email::parse(email)?;
        let tenant = self.house.enter(scope).await?;
        self.may_grant(&tenant, "member.invite", email.as_str(), None, role).await?;
        self.hold("invites", scope.tenant().as_str(), &Waits { free: INVITES_FREE, ..self.rules.account }).await?;
        let member_id = Uuid::now_v7().simple().to_string();
        let row = MemberRow {
            user_id: String::new(),
            email_digest: self.email_digest(&email).await?,
            role: role.as_str().into(),
            state: MemberState::Invited.as_str().into(),
            since: self.now().to_rfc3339(),
            sealed: tenant.seal("member", &member_id, &SealedMember { email: email.to_string() })?,
            member_id,
        };
        let told = tenant_event(&tenant, "member.invite", email.as_str(), "done", diff(None, Some(&row)))?;
        let told = Told { at: self.now(), event: &told };
        if tenant.ledger.team().change(&[TeamStep::Invite(&row)], told).await? != TeamChange::Done {
            return Err(Denied::Conflict(format!("{email} is in this team already")));
        }
        let code = Secret::code();
        let name = scope.tenant().as_str();
        let code_row = self.code_row(INVITE, &row.email_digest, name, &code).await?;
        let text = self.code_text(&code, &format!("join the team {name} as {role}"));
        let letter = self.letter(&Letter::mail(email.as_str(), "You are invited", &text), Some(code_row.expires_ms)).await?;
        self.people.note(&[Step::PutCode(&code_row), Step::Post(&letter)]).await?;
        self.posted.notify_one();
        let there = tenant.ledger.team().member_by_email(&row.email_digest).await?;
        member(&tenant, &there.unwrap_or(row))
    }

    /// Joins by the code of an invite. An address without an account gets one, with this password; one that has an account
    /// must be signed in.
    pub async fn accept_invite(
        &self,
        session_token: Option<&str>,
        email: &str,
        code: &Secret,
        password: Option<&Password>,
        origin: &Origin,
    ) -> Answer<Accepted> {
        let email = Email::parse(email).map_err(|_| Denied::Credentials)?;
        if let Some(password) = password {
            password.check_new(email.as_str())?;
        }
        let subject = self.email_digest(&email).await?;
        let actor = origin.actor(email.as_str());
        let counted = self.hold_codes(&subject, origin).await?;
        let Some(code_row) = self.right_code(INVITE, &subject, code).await? else {
            self.tell(&event(&actor, "invite.accept", "", "refused: wrong or expired code", None)).await?;
            return Err(Denied::Credentials);
        };
        let tenant_id: TenantId = code_row.about.parse().map_err(Error::from)?;
        let looking = scope_of(tenant_id.clone(), actor.clone());
        let team = self.house.ledger(&looking).await?.team();
        let invited = team.member_by_email(&subject).await?.filter(|member| member.state == MemberState::Invited.as_str());
        let Some(invited) = invited else {
            self.tell(&event(&actor, "invite.accept", tenant_id.as_str(), "refused: no open invite", None)).await?;
            return Err(Denied::Conflict("this invite is no longer open".into()));
        };
        let (user_id, new_account) = match self.person_by_email(&subject).await? {
            Some(known) => {
                let live = match session_token {
                    Some(token) => self.live(token).await.ok(),
                    None => None,
                };
                if live.is_none_or(|live| live.row.user_id != known.row.user_id) {
                    self.tell(&event(&actor, "invite.accept", tenant_id.as_str(), "refused: not signed in", None)).await?;
                    return Err(Denied::SignInFirst);
                }
                self.people.note(&[Step::Seat { user_id: &known.row.user_id, tenant: tenant_id.as_str() }]).await?;
                (known.row.user_id, false)
            }
            None => {
                let missing = || Denied::Input("this address has no account yet: choose a password".into());
                let user = self.new_user(&email, subject.clone(), password.ok_or_else(missing)?).await?;
                let told = event(&actor, "account.verify", &user.user_id, "done, by an invite", None);
                let steps = [Step::AddUser(&user), Step::Seat { user_id: &user.user_id, tenant: tenant_id.as_str() }];
                if !self.change(&steps, &told).await? {
                    // Another request made the account a moment ago.
                    return Err(Denied::SignInFirst);
                }
                (user.user_id, true)
            }
        };
        let role: Role = invited.role.parse().map_err(Error::from)?;
        let joining = scope_of(tenant_id.clone(), Actor { role: Some(role), ..actor });
        let tenant = self.house.enter(&joining).await?;
        let to =
            MemberRow { user_id, state: MemberState::Active.as_str().into(), since: self.now().to_rfc3339(), ..invited.clone() };
        let told = tenant_event(&tenant, "invite.accept", email.as_str(), "done", diff(Some(&invited), Some(&to)))?;
        let told = Told { at: self.now(), event: &told };
        if team.change(&[TeamStep::Change { from: &invited, to: &to }], told).await? != TeamChange::Done {
            return Err(Denied::Conflict("this invite is no longer open".into()));
        }
        let used = Step::DropCode { kind: INVITE, subject: &subject, about: tenant_id.as_str() };
        self.people.note(&[used, counted.forgive()]).await?;
        Ok(Accepted { tenant: tenant_id, role, new_account })
    }

    /// In the order in which they were invited.
    pub async fn members(&self, scope: &TenantScope) -> Answer<Vec<Member>> {
        let tenant = self.house.enter(scope).await?;
        tenant.ledger.team().members().await?.iter().map(|row| member(&tenant, row)).collect()
    }

    pub async fn set_role(&self, scope: &TenantScope, member_id: &str, role: Role) -> Answer<Member> {
        let tenant = self.house.enter(scope).await?;
        let from = self.target(&tenant, member_id).await?;
        self.may_grant(&tenant, "member.role", member_id, Some(&from), role).await?;
        let to = MemberRow { role: role.as_str().into(), ..from.clone() };
        self.change_member(&tenant, "member.role", &from, to).await
    }

    /// Ends what the member can do here, at once; the account and its other teams stay.
    pub async fn suspend(&self, scope: &TenantScope, member_id: &str) -> Answer<Member> {
        self.set_state(scope, member_id, "member.suspend", MemberState::Active, MemberState::Suspended).await
    }

    pub async fn resume(&self, scope: &TenantScope, member_id: &str) -> Answer<Member> {
        self.set_state(scope, member_id, "member.resume", MemberState::Suspended, MemberState::Active).await
    }

    async fn set_state(
        &self,
        scope: &TenantScope,
        member_id: &str,
        action: &str,
        before: MemberState,
        after: MemberState,
    ) -> Answer<Member> {
        let tenant = self.house.enter(scope).await?;
        let from = self.target(&tenant, member_id).await?;
        let role = from.role.parse().map_err(Error::from)?;
        self.may_grant(&tenant, action, member_id, Some(&from), role).await?;
        if from.state == after.as_str() {
            return member(&tenant, &from);
        }
        if from.state != before.as_str() {
            return Err(Denied::Conflict(format!("this member is {}, not {}", from.state, before.as_str())));
        }
        let to = MemberRow { state: after.as_str().into(), ..from.clone() };
        let changed = self.change_member(&tenant, action, &from, to).await?;
        if after == MemberState::Suspended {
            self.leave(&tenant, &from, &[]).await?;
        }
        Ok(changed)
    }

    /// Takes a member, or an open invite, out of the team. Tokens that they made are revoked.
    pub async fn remove_member(&self, scope: &TenantScope, member_id: &str) -> Answer<()> {
        let tenant = self.house.enter(scope).await?;
        let row = self.target(&tenant, member_id).await?;
        let role = row.role.parse().map_err(Error::from)?;
        self.may_grant(&tenant, "member.remove", member_id, Some(&row), role).await?;
        self.write(&tenant, "member.remove", member_id, &[TeamStep::Remove(&row)], diff(Some(&row), None)).await?;
        let name = tenant.scope.tenant().as_str();
        let steps = [
            Step::LeaveSeat { user_id: &row.user_id, tenant: name },
            Step::DropCode { kind: INVITE, subject: &row.email_digest, about: name },
        ];
        self.leave(&tenant, &row, &steps).await
    }

    /// The sessions that work here end; the member is read at each request anyhow, so this is only tidiness.
    async fn leave(&self, tenant: &Tenant, row: &MemberRow, more: &[Step<'_>]) -> Answer<()> {
        let mut steps = more.to_vec();
        if !row.user_id.is_empty() {
            steps.push(Step::EndSessionsIn { user_id: &row.user_id, tenant: tenant.scope.tenant().as_str() });
        }
        self.people.note(&steps).await?;
        Ok(())
    }

    async fn target(&self, tenant: &Tenant, member_id: &str) -> Answer<MemberRow> {
        let row = tenant.ledger.team().member(member_id).await?;
        row.ok_or_else(|| Denied::NotFound(format!("no member `{}` in this team", member_id.escape_default())))
    }

    async fn change_member(&self, tenant: &Tenant, action: &str, from: &MemberRow, to: MemberRow) -> Answer<Member> {
        let to = MemberRow { since: self.now().to_rfc3339(), ..to };
        self.write(tenant, action, &from.member_id, &[TeamStep::Change { from, to: &to }], diff(Some(from), Some(&to))).await?;
        member(tenant, &to)
    }

    /// A change of the team with its entry; a refusal gets one as well.
    pub(super) async fn write(
        &self,
        tenant: &Tenant,
        action: &str,
        object: &str,
        steps: &[TeamStep<'_>],
        diff: Diff,
    ) -> Answer<()> {
        let told = tenant_event(tenant, action, object, "done", diff)?;
        match tenant.ledger.team().change(steps, Told { at: self.now(), event: &told }).await? {
            TeamChange::Done => Ok(()),
            TeamChange::Lost => Err(Denied::Conflict("somebody else changed this a moment ago: look at it again".into())),
            TeamChange::NoOwner => {
                let why = "a team needs an active owner: make somebody else one first";
                tenant.audit(self.house.clock.as_ref(), action, object, &format!("refused: {why}")).await?;
                Err(Denied::Conflict(why.into()))
            }
        }
    }

    /// Only owners and admins change the team, and only owners what concerns an owner.
    pub(super) async fn may_grant(
        &self,
        tenant: &Tenant,
        action: &str,
        object: &str,
        of: Option<&MemberRow>,
        role: Role,
    ) -> Answer<()> {
        let concerns_owner = role == Role::Owner || of.is_some_and(|member| member.role == Role::Owner.as_str());
        let why = match authority(&tenant.scope) {
            Some(Role::Owner) => return Ok(()),
            Some(Role::Admin) if !concerns_owner => return Ok(()),
            Some(Role::Admin) => "only an owner changes owners",
            _ => "only owners and admins change the team",
        };
        tenant.audit(self.house.clock.as_ref(), action, object, &format!("refused: {why}")).await?;
        Err(Denied::Forbidden(why.into()))
    }
}

/// The console holds the keys, so it may what an owner may; a token without a role may nothing here.
pub(super) fn authority(scope: &TenantScope) -> Option<Role> {
    let actor = scope.actor();
    // No address has a colon in it, so nobody signs up under such a name.
    actor.role.or_else(|| actor.name.starts_with("console:").then_some(Role::Owner))
}

pub(crate) fn address_of(tenant: &Tenant, row: &MemberRow) -> Result<String> {
    Ok(tenant.unseal::<SealedMember>("member", &row.member_id, &row.sealed)?.email)
}

fn member(tenant: &Tenant, row: &MemberRow) -> Answer<Member> {
    Ok(Member {
        email: address_of(tenant, row)?,
        role: row.role.parse().map_err(Error::from)?,
        state: MemberState::parse(&row.state)?,
        since: row.since.clone(),
        user: Some(row.user_id.clone()).filter(|user| !user.is_empty()),
        member: row.member_id.clone(),
    })
}

fn diff(before: Option<&MemberRow>, after: Option<&MemberRow>) -> Diff {
    let shown = |row: Option<&MemberRow>| row.map_or(json!(null), |row| json!({ "role": row.role, "state": row.state }));
    Some((shown(before), shown(after)))
}
