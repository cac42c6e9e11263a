//! What a worker does when its lease is gone, against a real lake: the moment cannot be hit from outside.

use std::sync::Arc;

use bonded_connectors::{clock::SystemClock, store::queue::Work};
use bonded_schemas::{Channel, DeliveryState, Report, TenantId, TenantScope};
use tempfile::TempDir;

use super::*;
use crate::{
    demo::corpus::{Corpus, Plan},
    ingest::{Source, land_only},
    lakehouse::{AuditEvent, Doors, Lakehouse},
    serve::ScopeOf,
    settings::Settings,
};

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::establish(tenant, "test")
}

/// A lake with one tenant and one landed ES-003 in the queue.
async fn shop(folder: &TempDir) -> Shop {
    let lake = folder.path().join("lake").display().to_string();
    let settings = Settings { lake, ..Settings::default() };
    let (house, _) = Lakehouse::init(settings, Doors::new(Arc::new(SystemClock))).await.expect("made");
    let scope_of: ScopeOf = Arc::new(scope);
    let acme = scope_of("acme".parse().expect("a name"));
    house.add_tenant(&acme).await.expect("added");
    let tenant = house.tenant(&acme).await.expect("opens");
    let mut file = Vec::new();
    Corpus::new(Plan::new(1, 5)).expect("fits").write(Report::Es003, &mut file).expect("written");
    let mut bytes = file.as_slice();
    let source = Source {
        file_name: "ES-003.csv".into(),
        bytes: &mut bytes,
        channel: Channel::Inbox,
        as_of: None,
        envelope: None,
        poa: None,
    };
    let row = land_only(&house, &tenant, source).await.expect("landed");
    let queue = house.queue().await.expect("a queue");
    let shop = Shop {
        house: Arc::new(house),
        queue,
        scope_of,
        bell: tokio::sync::Notify::new(),
        name: "test".into(),
        gauges: Arc::default(),
    };
    let work = Work {
        tenant: acme.tenant().clone(),
        keyed_digest: row.keyed_digest,
        delivery_id: row.delivery_id,
        size_bytes: row.size_bytes,
    };
    assert!(shop.enqueue(&work).await.expect("enqueued"));
    shop
}

async fn lease(shop: &Shop, after: chrono::Duration) -> Lease {
    let limits = shop.house.settings.serve.limits();
    shop.queue.lease("test", shop.house.clock.now() + after, &limits).await.expect("answered").expect("due")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_commits_nothing_and_the_trail_says_so() {
    let folder = TempDir::new().expect("a temporary folder");
    let shop = Arc::new(shop(&folder).await);
    let slept = lease(&shop, chrono::Duration::zero()).await;
    let its_rooms = rooms(&shop, &slept).await.expect("open");
    // A minute later the lease has run out, and a second worker begins.
    let next = lease(&shop, chrono::Duration::seconds(61)).await;
    let rooms_of_next = rooms(&shop, &next).await.expect("open");

    assert_eq!(take_further(&shop, &its_rooms, &slept).await.expect("told"), End::Lost);
    let state = || async { rooms_of_next.ledger.delivery(next.work.delivery_id).await.expect("answered").expect("there").state };
    assert_eq!(state().await, DeliveryState::Landed);
    let events = rooms_of_next.ledger.audit().await.expect("whole");
    let last: AuditEvent = rooms_of_next.unseal("audit", "event", &events.last().expect("some").sealed).expect("opens");
    assert_eq!(last.action, "ingest");
    assert!(last.result.contains("another worker has it"), "{}", last.result);

    assert_eq!(take_further(&shop, &rooms_of_next, &next).await.expect("done"), End::Done);
    assert_eq!(state().await, DeliveryState::Committed);
    assert_eq!(rooms_of_next.tables.info("es_003").await.expect("told").snapshots, 1);
    // Whoever sleeps longer still does not even begin.
    assert_eq!(rooms(&shop, &slept).await.expect_err("fenced").kind(), ErrorKind::Refused);
    assert!(conclude(&shop, &slept, Ok(Ok(End::Done))).await.is_none(), "it may not speak for the delivery");
    assert_eq!(conclude(&shop, &next, Ok(Ok(End::Done))).await, Some(End::Done));
    assert_eq!(shop.queue.items(None).await.expect("listed"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_key_postpones_and_never_poisons() {
    let folder = TempDir::new().expect("a temporary folder");
    let shop = Arc::new(shop(&folder).await);
    let record = shop.house.tenants().await.expect("listed").remove(0);
    let (key, _) = shop.house.key_of(&record.tenant).await.expect("there");
    shop.house.keys.disable(&key).await.expect("disabled");
    for hour in 0..10 {
        let held = lease(&shop, chrono::Duration::hours(hour)).await;
        assert!(!held.exhausted);
        let ended = tokio::spawn(attempt(shop.clone(), held.clone())).await;
        assert_eq!(conclude(&shop, &held, ended).await, None);
    }
    let item = shop.queue.items(None).await.expect("listed").remove(0);
    assert_eq!((item.attempts, item.strikes, item.last_failure.as_deref()), (10, 0, Some("refused")));
    shop.house.keys.enable(&key).await.expect("enabled");
    let held = lease(&shop, chrono::Duration::hours(11)).await;
    assert_eq!(attempt(shop.clone(), held).await.expect("done"), End::Done);
}
