//! The front desk's API: the list of every endpoint, and what all of them share.
//! Promise: each endpoint of a tenant begins with `May<...>` (see `permit`); what is listed here is what `/openapi.json`
//! tells, and `tests/golden/access-matrix.txt` says who gets what from each.
//! Never: a handler decides on roles, cookies or tenants; and HTTP is known to nobody outside of this room.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use bonded_connectors::oidc::Provider;
use tokio::sync::watch;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use utoipa::openapi::{Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    desk::Desk,
    error::{Error, Result},
    lakehouse::Lakehouse,
    serve::Shop,
};

mod access;
mod caller;
mod jobs;
mod layers;
mod listen;
mod page;
mod permit;
mod problem;
mod repeat;
mod routes;
mod sent;
mod signed;

pub(crate) use listen::{Door, certificate_files, prepare};
use routes::{
    account, alerts, answers, checks, deliveries, drift, house, identifiers, mail, me, members, provider, settings, sql, tokens,
    trail, uploads, watching,
};

/// What every request is served from.
pub struct Front {
    pub(crate) house: Arc<Lakehouse>,
    pub(crate) shop: Arc<Shop>,
    pub(crate) desk: Arc<Desk>,
    queries: jobs::Queries,
    /// Pieces of uploads on their way.
    pieces: jobs::Queries,
    jobs: jobs::Jobs,
    /// The identity provider of settings, which keeps its keys.
    provider: Option<Provider>,
    /// Where people reach us.
    url: String,
    /// Without TLS, on a loopback address.
    plain: bool,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("plain", &self.plain).finish_non_exhaustive()
    }
}

/// Answers at the door until it is stopped.
pub(crate) async fn run(shop: Arc<Shop>, door: Door, desk: Arc<Desk>, stop: watch::Receiver<bool>) -> Result<()> {
    let house = shop.house.clone();
    let settings = &house.settings.api;
    let front = Arc::new(Front {
        queries: jobs::Queries::new(settings.queries_max, settings.tenant_queries_max),
        pieces: jobs::Queries::new(house.settings.uploads.pieces_max, house.settings.uploads.tenant_pieces_max),
        house: house.clone(),
        shop,
        desk,
        jobs: jobs::Jobs::default(),
        provider: house.identity_provider().await?,
        url: house.settings.desk.url.clone().unwrap_or_else(|| door.url()),
        plain: door.is_plain(),
    });
    let served = door.serve(router(front), stop).await;
    served.map_err(|error| Error::setup("the front desk stopped listening").with_source(error))
}

fn router(front: Arc<Front>) -> Router {
    let settings = &front.house.settings.api;
    let timed = TimeoutLayer::with_status_code(axum::http::StatusCode::REQUEST_TIMEOUT, settings.time_max());
    let (small, listed) = small().split_for_parts();
    let (large, of_large) = large().split_for_parts();
    let mut told = document();
    told.merge(listed);
    told.merge(of_large);
    let told = refusals(told);
    let small = small
        .layer(from_fn_with_state(front.clone(), repeat::once))
        .layer(timed)
        .layer(DefaultBodyLimit::max(settings.body_bytes_max));
    // An upload is bounded where it lands, and by its pauses; a question by its own limits.
    let uploads = Router::new().merge(large);
    Router::new()
        .merge(small)
        .merge(uploads)
        .route("/openapi.json", get(move || async { Json(told) }))
        .route("/.well-known/security.txt", get(house::security_txt))
        .fallback(async || problem::Problem::not_found())
        .layer(from_fn(layers::tag))
        .layer(from_fn_with_state(front.clone(), permit::written))
        .layer(CatchPanicLayer::custom(layers::fell_over))
        .layer(from_fn_with_state(front.clone(), layers::frame))
        .with_state(front)
}

/// Answered at once.
fn small() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new()
        .routes(routes!(house::alive))
        .routes(routes!(house::ready))
        .routes(routes!(house::metrics))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::receipt))
        .routes(routes!(drift::list))
        .routes(routes!(drift::reject))
        .routes(routes!(checks::list))
        .routes(routes!(checks::findings))
        .routes(routes!(checks::finding))
        .routes(routes!(checks::explain))
        .routes(routes!(answers::tables))
        .routes(routes!(sql::begin))
        .routes(routes!(sql::job, sql::cancel))
        .routes(routes!(sql::fetch))
        .merge(account::routes())
        .merge(alerts::routes())
        .merge(me::routes())
        .merge(provider::routes())
        .merge(members::routes())
        .merge(mail::routes())
        .merge(settings::routes())
        .merge(tokens::routes())
        .merge(identifiers::routes())
        .merge(trail::routes())
        .merge(uploads::small())
        .merge(watching::routes())
}

/// What streams, or works for as long as its own limits allow.
fn large() -> OpenApiRouter<Arc<Front>> {
    OpenApiRouter::new()
        .routes(routes!(deliveries::send))
        .routes(routes!(deliveries::raw))
        .routes(routes!(deliveries::replay))
        .routes(routes!(drift::accept))
        .routes(routes!(sql::ask))
        .routes(routes!(checks::reconcile))
        .routes(routes!(answers::deadlines))
        .routes(routes!(answers::cape))
        .routes(routes!(answers::cape_files))
        .routes(routes!(answers::scores))
        .merge(uploads::large())
}

/// Whatever is refused is a problem document; said once for all endpoints.
fn refusals(mut document: OpenApi) -> OpenApi {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let response = ResponseBuilder::new().description("Refused").content("application/problem+json", problem).build();
    for item in document.paths.paths.values_mut() {
        let methods = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in methods.into_iter().flatten() {
            operation.responses.responses.retain(|status, _| !status.starts_with('4') && !status.starts_with('5'));
            operation.responses.responses.insert("default".to_owned(), response.clone().into());
        }
    }
    document
}

fn document() -> OpenApi {
    let about = "Answers over one importer's CBP ACE reports: deliveries, drift, SQL, checks, deadlines, refunds. \
                 The tenant is the one of the token or session. Errors are RFC 9457 problem documents.";
    let licence = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info =
        InfoBuilder::new().title("Bonded").version(env!("CARGO_PKG_VERSION")).description(Some(about)).license(Some(licence));
    OpenApiBuilder::new().info(info.build()).build()
}
