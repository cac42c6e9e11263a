//! The team: who is in it, inviting, roles, suspending. One owner at least stays, whatever is asked.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bonded_schemas::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::account::Typed;
use crate::{
    api::{
        Front,
        access::may,
        permit::May,
        problem::{Answer, Problem},
        sent::{Named, Sent},
        signed::{MaybeSigned, Visitor},
    },
    desk::{Member, MemberState, Secret},
};

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(change, remove)).routes(routes!(invite)).routes(routes!(accept))
}

/// Somebody in the team, or invited to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeamMember {
    member: String,
    email: String,
    #[schema(value_type = String)]
    role: Role,
    /// `invited`, `active` or `suspended`.
    #[schema(value_type = String)]
    state: MemberState,
    /// RFC 3339; of the last change.
    since: String,
}

impl From<Member> for TeamMember {
    fn from(member: Member) -> Self {
        let Member { member, email, role, state, since, .. } = member;
        Self { member, email, role, state, since }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Inviting {
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// `owner`, `admin`, `operator` or `viewer`.
    #[schema(value_type = String)]
    role: Role,
}

/// One of both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Changing {
    /// `owner`, `admin`, `operator` or `viewer`.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// `true` suspends, `false` resumes.
    suspended: Option<bool>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptingInvite {
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// Six digits from the mail.
    #[schema(value_type = String)]
    code: Typed,
    /// For an address that has no account yet.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Typed>,
}

/// The team that was joined.
#[derive(Debug, Serialize, ToSchema)]
pub struct Joined {
    team: String,
    #[schema(value_type = String)]
    role: Role,
    /// An account was made for it: sign in with it.
    new_account: bool,
}

/// Who is in the team
#[utoipa::path(get, path = "/v1/members", tag = "team", responses((status = 200, body = Vec<TeamMember>)))]
pub async fn list(May { call, .. }: May<may::ReadMembers>) -> Answer<Json<Vec<TeamMember>>> {
    let members = call.front.desk.members(&call.scope).await?;
    Ok(Json(members.into_iter().map(TeamMember::from).collect()))
}

/// Invite somebody: a code is mailed
#[utoipa::path(
    post, path = "/v1/invites", tag = "team", request_body = Inviting,
    responses((status = 201, body = TeamMember), (status = 409, description = "In the team already", body = Problem))
)]
pub async fn invite(
    May { call, .. }: May<may::ManageMembers>,
    Sent(inviting): Sent<Inviting>,
) -> Answer<(StatusCode, Json<TeamMember>)> {
    let member = call.front.desk.invite(&call.scope, &inviting.email, inviting.role).await?;
    Ok((StatusCode::CREATED, Json(member.into())))
}

/// Change a role, suspend or resume; it holds at once, in sessions under way too
#[utoipa::path(
    patch, path = "/v1/members/{member}", tag = "team", params(("member" = String, Path)), request_body = Changing,
    responses((status = 200, body = TeamMember), (status = 409, description = "The team would have no owner", body = Problem))
)]
pub async fn change(
    May { call, .. }: May<may::ManageMembers>,
    Named(member): Named<String>,
    Sent(changing): Sent<Changing>,
) -> Answer<Json<TeamMember>> {
    let (desk, scope) = (&call.front.desk, &call.scope);
    let changed = match (changing.role, changing.suspended) {
        (Some(role), None) => desk.set_role(scope, &member, role).await?,
        (None, Some(true)) => desk.suspend(scope, &member).await?,
        (None, Some(false)) => desk.resume(scope, &member).await?,
        _ => return Err(Problem::invalid("change the role or the suspension, one at a time")),
    };
    Ok(Json(changed.into()))
}

/// Take somebody, or an open invite, out of the team
#[utoipa::path(
    delete, path = "/v1/members/{member}", tag = "team", params(("member" = String, Path)),
    responses((status = 204), (status = 409, description = "The team would have no owner", body = Problem))
)]
pub async fn remove(May { call, .. }: May<may::ManageMembers>, Named(member): Named<String>) -> Answer<StatusCode> {
    call.front.desk.remove_member(&call.scope, &member).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Join a team by the code of an invite
#[utoipa::path(
    post, path = "/v1/invites/accept", tag = "team", request_body = AcceptingInvite,
    responses(
        (status = 200, body = Joined), (status = 401, body = Problem),
        (status = 409, description = "The address has an account: sign in first; or the invite is no longer open", body = Problem),
        (status = 429, body = Problem),
    )
)]
pub async fn accept(
    State(front): State<Arc<Front>>,
    Visitor(origin): Visitor,
    MaybeSigned(session): MaybeSigned,
    Sent(accepting): Sent<AcceptingInvite>,
) -> Answer<Response> {
    let password = accepting.password.map(Typed::password);
    let session = session.as_ref().map(Secret::reveal);
    let code = accepting.code.secret();
    let joined = front.desk.accept_invite(session, &accepting.email, &code, password.as_ref(), &origin).await?;
    let joined = Joined { team: joined.tenant.to_string(), role: joined.role, new_account: joined.new_account };
    Ok(Json(joined).into_response())
}
