//! PostgreSQL over a network: by TLS, its certificate verified, or not at all.

use std::path::Path;

use crate::{
    ErrorKind,
    store::{
        ControlStore, Place,
        private_postgres::PrivatePostgres,
        tests::{made, on},
    },
    tls::make_development_certificate,
};

/// One that is free now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

#[tokio::test]
async fn a_network_is_crossed_by_verified_tls_or_not_at_all() {
    let now = crate::clock::Clock::now(&crate::clock::SystemClock);
    let make = |certificate: &Path, key: &Path| assert!(make_development_certificate(certificate, key, now).expect("made"));
    let Some(cluster) = PrivatePostgres::start_with_tls(free_port(), make) else { return };
    made(on(&cluster)).await;
    let authority = cluster.folder().join("tls.pem");
    let open = |url: String| ControlStore::open(Place::Postgres { url, owner: None });
    let good = cluster.url_by_tls("localhost", &authority);
    open(good.clone()).await.expect("the certificate is the server's, and for this name");
    let told =
        cluster.sql("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND version LIKE 'TLSv1._'");
    assert_ne!(told, "0", "no session is encrypted");
    // Another authority, and no encryption: nothing is said to whoever listens there.
    let folder = tempfile::tempdir().expect("a folder");
    let stranger = folder.path().join("stranger.pem");
    make(&stranger, &folder.path().join("stranger.key"));
    for url in [cluster.url_by_tls("localhost", &stranger), good.replace("verify-full", "disable")] {
        let error = open(url).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Setup, "{error}");
    }
}
