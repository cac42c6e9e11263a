//! The route: from the address that a mail is for to its tenant. Beside the console and the desk, this is where the engine
//! establishes a scope.
//! Promise: a scope only of an identifier that is active and not over, of this lake's domain; every address costs the same
//! digest and the same lookup, whatever comes of it.
//! Never: anything of a message chooses the tenant but the recipient of its envelope.

use std::net::IpAddr;

use bonded_connectors::{identity::token::Secret, store::identifiers::IdentifierRow};
use bonded_schemas::{Actor, TenantScope};

use super::identifiers::{self, State};
use crate::{error::Result, lakehouse::Lakehouse};

/// Of a digest, kept with a refusal: enough to tell two guesses apart, useless for guessing.
const DIGEST_START_DIGITS: usize = 12;

/// A recipient that is one.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub scope: TenantScope,
    /// Its public id.
    pub identifier: String,
    pub digest: String,
}

/// What an address leads to.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Good(Route),
    /// To a tenant once: it was suspended, or rotated away. The scope is for writing that down.
    Past {
        route: Route,
        state: State,
    },
    Nothing {
        digest_start: String,
    },
}

/// Where an address leads.
pub(super) async fn by_address(house: &Lakehouse, address: &str, peer: Option<IpAddr>) -> Result<Found> {
    let (local, _) = address.rsplit_once('@').unwrap_or((address, ""));
    let digest = Secret::from_text(&local.to_ascii_lowercase()).digest();
    let row = kept(house, &digest).await?;
    Ok(found(house, row.filter(|_| is_of_domain(house, address)), &digest, peer))
}

/// Whether an address is of `mail_in.domain`.
pub(super) fn is_of_domain(house: &Lakehouse, address: &str) -> bool {
    let (_, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let ours = house.settings.mail_in.domain.as_deref().unwrap_or_default();
    !ours.is_empty() && domain.eq_ignore_ascii_case(ours)
}

/// The same for an address that was let in before: what holds is what holds now.
pub(super) async fn by_digest(house: &Lakehouse, digest: &str, peer: Option<IpAddr>) -> Result<Found> {
    let row = kept(house, digest).await?;
    Ok(found(house, row, digest, peer))
}

/// The row of a digest, if it is as somebody wrote it who holds the lake's key.
async fn kept(house: &Lakehouse, digest: &str) -> Result<Option<IdentifierRow>> {
    let identity = house.identity().await?;
    let Some(row) = house.control().identifier(digest).await? else { return Ok(None) };
    if identifiers::is_ours(identity, &row)? {
        return Ok(Some(row));
    }
    tracing::error!(target: "serve.mail", identifier = row.identifier, "an identifier was changed behind our back: it leads nowhere");
    Ok(None)
}

fn found(house: &Lakehouse, row: Option<IdentifierRow>, digest: &str, peer: Option<IpAddr>) -> Found {
    let Some(row) = row else {
        return Found::Nothing { digest_start: digest.chars().take(DIGEST_START_DIGITS).collect() };
    };
    let state = State::of(&row, house.clock.now());
    let actor = Actor { name: format!("mail:{}", row.identifier), ip: peer, ..Actor::default() };
    let route = Route { scope: scope(row.tenant, actor), identifier: row.identifier, digest: row.digest };
    match state {
        State::Active | State::Ending => Found::Good(route),
        State::Suspended | State::Ended => Found::Past { route, state },
    }
}

/// Here an identity is established: by the address of a mail's envelope, which only its tenant was told.
#[expect(clippy::disallowed_methods, reason = "the mail route is one of the four places that establish a scope")]
fn scope(tenant: bonded_schemas::TenantId, actor: Actor) -> TenantScope {
    TenantScope::establish(tenant, actor)
}
