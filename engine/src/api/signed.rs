//! Who asks, of endpoints that belong to no tenant: a visitor, or a person with a session.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{Method, request::Parts},
};

use super::{Front, caller, problem::Problem};
use crate::desk::{Caller, Origin, Secret};

/// Where a request of nobody in particular came from; one that changes something and comes from another site is refused.
pub struct Visitor(pub Origin);

impl FromRequestParts<Arc<Front>> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Front>) -> Result<Self, Problem> {
        // A provider sends the browser back from its own site, by GET; what it brings along is checked for itself.
        if parts.method != Method::GET {
            caller::from_here(parts)?;
        }
        Ok(Self(caller::origin(parts)?))
    }
}

/// A person with a session, whatever they still owe.
pub struct Signed {
    pub caller: Arc<Caller>,
    pub token: Secret,
    pub origin: Origin,
}

impl FromRequestParts<Arc<Front>> for Signed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, front: &Arc<Front>) -> Result<Self, Problem> {
        let caller = caller::identified(parts, front).await?;
        // Tokens and machines have no account.
        caller::is_person(&caller)?;
        let token = caller::session(&parts.headers, front).ok_or_else(Problem::sign_in)?;
        Ok(Self { caller, token, origin: caller::origin(parts)? })
    }
}

/// A session, if there is one: who has an account accepts an invite signed in.
pub struct MaybeSigned(pub Option<Secret>);

impl FromRequestParts<Arc<Front>> for MaybeSigned {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, front: &Arc<Front>) -> Result<Self, Problem> {
        let Some(token) = caller::session(&parts.headers, front) else { return Ok(Self(None)) };
        caller::identified(parts, front).await?;
        Ok(Self(Some(token)))
    }
}
