//! Signing in at the house's identity provider: by authorization code with PKCE, for people who have an account here.
//! Promise: what waits for the provider's answer lies sealed in the browser's own cookie, is used once, and nowhere else.
//! Never: an account is made, or a role taken, on the provider's word.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use bonded_connectors::oidc::{self, Pending};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        Front, caller,
        problem::{Answer, Problem},
        sent::Asked,
        signed::Visitor,
    },
    desk::Denied,
    error::{Error, ErrorKind},
};

const CALLBACK: &str = "/v1/provider/callback";
/// Where a person who signed in goes.
const AFTER: &str = "/v1/me";

pub fn routes() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(callback))
}

/// What the provider sends the browser back with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Returned {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Sign in at the identity provider: sends the browser there
#[utoipa::path(
    get, path = "/v1/provider/sign-in", tag = "account",
    responses((status = 303, description = "To the provider"), (status = 404, description = "No provider is set"))
)]
pub async fn begin(State(front): State<Arc<Front>>) -> Answer<Response> {
    let provider = front.provider.as_ref().filter(|_| front.house.settings.oidc.client_id.is_some());
    let provider = provider.ok_or_else(Problem::not_found)?;
    let (place, pending) =
        provider.begin(&format!("{}{CALLBACK}", front.url.trim_end_matches('/'))).await.map_err(Error::from)?;
    let sealed = front.house.identity().await?.seal("provider", "pending", &pending)?;
    let cookie = caller::set_pending(sealed, &front)?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, place.to_string())], AppendHeaders([(header::SET_COOKIE, cookie)]))
        .into_response())
}

/// Where the provider sends the browser back to: a session in its cookie
#[utoipa::path(
    get, path = "/v1/provider/callback", tag = "account", params(Returned),
    responses((status = 303, description = "Signed in"), (status = 401, description = "Not signed in"))
)]
pub async fn callback(
    State(front): State<Arc<Front>>,
    Visitor(origin): Visitor,
    headers: HeaderMap,
    Asked(returned): Asked<Returned>,
) -> Answer<Response> {
    let provider = front.provider.as_ref().ok_or_else(Problem::not_found)?;
    let signed_in = async {
        // None, another browser's, or one that was sealed by another lake.
        let sealed = caller::pending(&headers, &front).ok_or(Denied::Credentials)?;
        let pending: Pending =
            front.house.identity().await?.unseal("provider", "pending", &sealed).map_err(|_| Denied::Credentials)?;
        let Returned { state, code, iss, error } = returned;
        let answer = oidc::Answer { state, code, iss, error };
        let verified = provider.finish(pending, &answer).await.map_err(Error::from).map_err(|error| match error.kind() {
            ErrorKind::Refused | ErrorKind::Input => {
                tracing::info!(target: "api.provider", %error, "a sign-in at the provider was refused");
                Denied::Credentials
            }
            _ => Denied::Failed(error),
        })?;
        let vouched = caller::vouched(verified).ok_or(Denied::Credentials)?;
        front.desk.sign_in_vouched(&vouched, &origin).await
    };
    // What waited is gone, whatever comes of it.
    let gone = caller::unset_pending(&front)?;
    match signed_in.await {
        Ok(signed_in) => {
            let cookie = caller::set(&signed_in.session_token, &front)?;
            let cookies = AppendHeaders([(header::SET_COOKIE, cookie), (header::SET_COOKIE, gone)]);
            Ok((StatusCode::SEE_OTHER, [(header::LOCATION, AFTER)], cookies).into_response())
        }
        Err(denied) => Ok((AppendHeaders([(header::SET_COOKIE, gone)]), Problem::from(denied)).into_response()),
    }
}
