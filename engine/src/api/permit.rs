//! Who may do this: the extractor with which every endpoint of a tenant begins.
//! Promise: a handler that takes `May<A>` runs only for a caller who may do `A` now, in the one tenant of their token or
//! session; whoever is refused is written down. Nothing in path, query or body chooses a tenant.

use std::{
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{Method, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bonded_schemas::{Actor, TenantScope};

use super::{
    Front,
    access::{Action, grant_may, may, role_may},
    caller,
    problem::{Answer, Problem},
};
use crate::{
    desk::{Caller, CallerKind, Grant},
    lakehouse::{Lakehouse, Tenant},
};

/// Proof that the caller may do `A`, and what the handler needs of them.
#[derive(Debug)]
pub struct May<A> {
    pub call: Call,
    /// Private, so that nobody else makes one.
    action: PhantomData<A>,
}

/// A request of someone who may make it.
#[derive(Clone, Debug)]
pub struct Call {
    pub front: Arc<Front>,
    pub caller: Arc<Caller>,
    pub scope: TenantScope,
}

impl Call {
    pub fn house(&self) -> &Lakehouse {
        &self.front.house
    }

    /// The tenant's rooms, acted in by the caller.
    pub async fn tenant(&self) -> Answer<Tenant> {
        Ok(self.front.house.enter(&self.scope).await?)
    }

    /// What a delivery of the caller's names: the power of attorney of a broker's machine.
    pub async fn power_of_attorney(&self, tenant: &Tenant) -> Answer<Option<String>> {
        Ok(self.front.desk.power_of_attorney(tenant, &self.caller).await?)
    }
}

impl<A: may::Permission> FromRequestParts<Arc<Front>> for May<A> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, front: &Arc<Front>) -> Result<Self, Problem> {
        let caller = caller::identified(parts, front).await?;
        let seen = parts.extensions.get::<Seen>().cloned().unwrap_or_default();
        let allowed = allowed(&caller, A::ACTION, front);
        seen.note(&caller, allowed.as_ref().err());
        let scope = allowed?;
        Ok(Self { call: Call { front: front.clone(), caller, scope }, action: PhantomData })
    }
}

/// The one tenant in which the caller may do this.
fn allowed(caller: &Caller, action: Action, front: &Front) -> Answer<TenantScope> {
    let refused = || match action.hides() {
        true => Problem::not_found(),
        false => Problem::forbidden("your role does not allow this"),
    };
    caller::owes_nothing(caller)?;
    // Someone who belongs to no tenant, or has not chosen one, sees nothing of any.
    let scope = caller.tenant.clone().ok_or_else(Problem::not_found)?;
    let may = match &caller.kind {
        CallerKind::Person => caller.role.is_some_and(|role| role_may(role, action)),
        CallerKind::Token(grants) => grants.iter().any(|grant| grant_may(*grant, action)),
        CallerKind::Machine => grant_may(Grant::Deliver, action),
    };
    if !may {
        return Err(refused());
    }
    let is_fresh = caller.stepped_up_until.is_some_and(|until| until > front.house.clock.now());
    if action.needs_step_up() && !is_fresh {
        return Err(Problem::step_up());
    }
    Ok(scope)
}

/// What became known of a request on its way, for the trail.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<Mutex<Option<Noted>>>);

#[derive(Clone, Debug)]
struct Noted {
    actor: Actor,
    scope: Option<TenantScope>,
    refused: Option<&'static str>,
}

impl Seen {
    fn note(&self, caller: &Caller, refused: Option<&Problem>) {
        // Of someone without a tenant the trail is the lake's.
        let actor = caller.tenant.as_ref().map_or_else(|| Actor::from(caller.email.as_str()), |scope| scope.actor().clone());
        let noted = Noted { actor, scope: caller.tenant.clone(), refused: refused.map(Problem::told) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(noted);
    }

    fn take(&self) -> Option<Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Writes down what was read, and what was refused, before the answer leaves; what changes something writes for itself.
pub async fn written(State(front): State<Arc<Front>>, mut request: Request, next: Next) -> Response {
    let seen = Seen::default();
    request.extensions_mut().insert(seen.clone());
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let (method, at) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let Some(noted) = seen.take() else { return response };
    let result = match noted.refused {
        Some(why) => format!("refused: {why}"),
        None if matches!(method, Method::GET | Method::HEAD) && response.status().is_success() => "done".to_owned(),
        None => return response,
    };
    let action = format!("{method} {}", path.as_deref().unwrap_or("?"));
    match write(&front, noted, &action, &at, &result).await {
        Ok(()) => response,
        // What cannot be written down is not answered.
        Err(error) => Problem::from(error).into_response(),
    }
}

async fn write(front: &Front, noted: Noted, action: &str, object: &str, result: &str) -> crate::error::Result<()> {
    match &noted.scope {
        Some(scope) => {
            let tenant = front.house.enter(scope).await?;
            tenant.audit(front.house.clock.as_ref(), action, object, result).await
        }
        None => front.house.audit(noted.actor, action, object, result).await,
    }
}
