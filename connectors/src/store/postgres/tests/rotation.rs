//! A password that is changed at the database and where its secret lies, while the process runs.

use chrono::TimeDelta;

use super::*;
use crate::secrets::{Secret, tests::held_in};

#[tokio::test]
async fn a_password_that_was_changed_is_taken_up_by_the_next_connection_without_a_restart() {
    let Some((cluster, first)) = peopled().await else { return };
    first.close().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("postgres");
    let (role, word) = cluster.app();
    let url = cluster.url();
    std::fs::write(&file, &url).expect("written");
    let (clock, held) = held_in(&file);
    let used: Secret = held.now().await.expect("read");
    let store = ControlStore::open(Place::Postgres { url: url.clone(), owner: None }).await.expect("opened");
    let store = store.prove(&ProofKey::of_tests()).await.expect("proven").renewed_by(held, used);
    assert_eq!(store.tenants().await.expect("read").len(), 2);

    let broken = || {
        let sql = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'");
        cluster.sql(&sql);
    };
    cluster.sql(&format!("ALTER ROLE {role} PASSWORD 'walrus7'"));
    broken();
    let error = store.tenants().await.expect_err("refused, and nothing else to try");
    assert!(!error.to_string().contains(word), "{error}");
    // Another one, which is not it either, and then the right one.
    let written = word.replace('@', "%40").replace('/', "%2F");
    for (other, is_right) in [("tusk8", false), ("walrus7", true)] {
        std::fs::write(&file, url.replace(&format!(":{written}@"), &format!(":{other}@"))).expect("written");
        clock.forward(TimeDelta::seconds(2));
        assert_eq!(store.tenants().await.is_ok(), is_right, "{other}");
    }
    // All halves share the connections, those opened before too; and many that are refused at once all go on.
    let half = store.open_tenant(&scope("acme")).await.expect("opened");
    cluster.sql(&format!("ALTER ROLE {role} PASSWORD 'third9'"));
    std::fs::write(&file, url.replace(&format!(":{written}@"), ":third9@")).expect("written");
    clock.forward(TimeDelta::seconds(2));
    broken();
    let (one, two, three, four) = tokio::join!(half.audit_head(), store.tenants(), half.audit_head(), store.tenants());
    assert!(one.is_ok() && two.is_ok() && three.is_ok() && four.is_ok(), "{two:?} {four:?}");
    store.close().await;
}
