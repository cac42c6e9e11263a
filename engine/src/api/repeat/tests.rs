//! What is kept of an answer, and what it is told as when the request comes again.

use std::sync::Arc;

use axum::Extension;
use bonded_connectors::clock::SystemClock;
use bonded_schemas::TenantScope;
use tempfile::TempDir;

use super::*;
use crate::{
    lakehouse::{Doors, Lakehouse},
    settings::Settings,
};

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
async fn tenant(folder: &TempDir) -> Tenant {
    let lake = folder.path().join("lake").display().to_string();
    let settings = Settings { lake, ..Settings::default() };
    let house = Lakehouse::init(settings, Doors::new(Arc::new(SystemClock))).await.unwrap().0;
    let scope = TenantScope::establish("fictional-lantern".parse().unwrap(), "test");
    house.add_tenant(&scope).await.unwrap();
    house.tenant(&scope).await.unwrap()
}

async fn repeated(tenant: &Tenant, response: Response) -> (usize, Answer<Response>) {
    let (kept, first) = keep(tenant, "key", response).await.unwrap();
    let first = axum::body::to_bytes(first.into_body(), usize::MAX).await.unwrap();
    (first.len(), again(tenant, "key", &kept.expect("kept"), "/v1/things/7"))
}

/// It was carried out again once: an answer that was too large was not kept, and the key was free.
#[tokio::test]
async fn a_request_whose_answer_is_too_large_to_keep_is_not_carried_out_again() {
    let folder = TempDir::new().unwrap();
    let tenant = tenant(&folder).await;
    let of = |bytes: usize| (StatusCode::CREATED, "x".repeat(bytes)).into_response();

    let (length, second) = repeated(&tenant, of(ANSWER_BYTES_MAX)).await;
    let second = second.expect("told again");
    assert_eq!((length, second.status()), (ANSWER_BYTES_MAX, StatusCode::CREATED));
    assert_eq!(axum::body::to_bytes(second.into_body(), usize::MAX).await.unwrap().len(), ANSWER_BYTES_MAX);

    let (length, second) = repeated(&tenant, of(ANSWER_BYTES_MAX + 1)).await;
    let problem = second.expect_err("it is not there to be told");
    assert_eq!((length, problem.status()), (ANSWER_BYTES_MAX + 1, StatusCode::CONFLICT));
    assert!(problem.detail().contains("carried out") && problem.detail().contains("/v1/things/7"), "{}", problem.detail());
    let at = ([(header::LOCATION, "/v1/deliveries/8")], "x".repeat(ANSWER_BYTES_MAX + 1)).into_response();
    let problem = repeated(&tenant, at).await.1.expect_err("not there");
    assert!(problem.detail().contains("/v1/deliveries/8"), "{}", problem.detail());
    // What shows a secret says so, however long it is.
    let secret = (Extension(ShownOnce), "x".repeat(ANSWER_BYTES_MAX + 1)).into_response();
    let problem = repeated(&tenant, secret).await.1.expect_err("shown once");
    assert!(problem.detail().contains("shown once"), "{}", problem.detail());
    // A failure is not kept: it may be tried again.
    assert!(keep(&tenant, "key", Problem::not_found().into_response()).await.unwrap().0.is_none());
}
