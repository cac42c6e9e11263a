//! One chain, whoever appends to it and how many at once; on SQLite and on a private PostgreSQL.

use bonded_schemas::TenantScope;
use chrono::DateTime;
use tempfile::TempDir;

use super::*;
use crate::{
    audit::{Checkpoint, chain, checkpoint::chain_name},
    seal::LakeSecret,
    store::{
        Place, TenantRecord,
        private_postgres::PrivatePostgres,
        tests::{made, on, opened},
    },
};

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
fn scope(tenant: &str) -> TenantScope {
    TenantScope::establish(tenant.parse().expect("a tenant name"), "test")
}

async fn store(place: &Place) -> ControlStore {
    let store = made(place.clone()).await;
    let record = TenantRecord {
        tenant: "acme".parse().expect("a tenant name"),
        key_id: "key".into(),
        wrapped_secret: "c2VjcmV0".into(),
        created_at: "2026-04-01T00:00:00+00:00".into(),
    };
    store.add_tenant(&record).await.expect("added");
    store
}

fn stored(n: usize) -> String {
    chain::bound(&chain::commitment(&format!("event {n}")), "c2VhbGVk")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_append_to_one_chain_on_sqlite() {
    let folder = TempDir::new().expect("a temporary folder");
    one_chain(Place::Sqlite(folder.path().into())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_append_to_one_chain_on_postgresql() {
    if let Some(cluster) = PrivatePostgres::start() {
        one_chain(on(&cluster)).await;
    }
}

/// Three stores as three processes would have them, each with forty at once; some events in transactions of others.
async fn one_chain(place: Place) {
    const PROCESSES: usize = 3;
    const AT_ONCE: usize = 40;
    store(&place).await;
    let mut tasks = Vec::new();
    for process in 0..PROCESSES {
        let acme = opened(&place).await.open_tenant(&scope("acme")).await.expect("a half of its own");
        for n in 0..AT_ONCE {
            let acme = acme.clone();
            tasks.push(tokio::spawn(async move {
                let event = stored(process * AT_ONCE + n);
                if n % 10 == 9 {
                    let mut transaction = acme.pool.begin().await.expect("begun");
                    sqlx::query(LOCK).execute(&mut *transaction).await.expect("locked");
                    append_in(&mut transaction, NewEvent { at: DateTime::UNIX_EPOCH, sealed: &event }).await.expect("appended");
                    transaction.commit().await.expect("committed");
                    return None;
                }
                Some(acme.append_audit(DateTime::UNIX_EPOCH, &event).await.expect("appended"))
            }));
        }
    }
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.extend(task.await.expect("no panic"));
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), PROCESSES * AT_ONCE * 9 / 10, "each has a number of its own");
    let acme = store(&place).await.open_tenant(&scope("acme")).await.expect("a half of its own");
    let rows = acme.audit().await.expect("one chain");
    let mut events: Vec<_> = rows.iter().map(AuditRow::stored).collect();
    events.sort_unstable();
    events.dedup();
    assert_eq!((rows.len(), events.len()), (PROCESSES * AT_ONCE, PROCESSES * AT_ONCE), "none is lost or doubled");
    assert_eq!(
        acme.audit_head().await.expect("a head"),
        Head { events: rows.len() as i64, hash: rows.last().expect("some").hash.clone() }
    );
    let half = Head { events: 60, hash: rows[59].hash.clone() };
    assert_eq!(acme.audit_after(&half).await.expect("follows"), rows[60..]);
    assert_eq!(acme.audit_range(&half, 7).await.expect("follows"), rows[60..67]);
    let wrong = Head { events: 60, hash: rows[58].hash.clone() };
    assert_eq!(acme.audit_after(&wrong).await.expect_err("does not follow").kind(), ErrorKind::Damaged);
}

#[tokio::test]
async fn events_whose_callers_gave_up_harm_nobody_elses() {
    let folder = TempDir::new().expect("a temporary folder");
    let acme = store(&Place::Sqlite(folder.path().into())).await.open_tenant(&scope("acme")).await.expect("opened");
    let turn = acme.tail.turn_for_test().await;
    let texts: Vec<String> = (0..6).map(stored).collect();
    let mut waiting: Vec<_> = texts.iter().map(|text| Box::pin(acme.append_audit(DateTime::UNIX_EPOCH, text))).collect();
    for one in &mut waiting {
        assert!(futures::poll!(one).is_pending());
    }
    // Two go away while all wait; the rest are answered.
    drop(waiting.remove(4));
    drop(waiting.remove(0));
    drop(turn);
    let numbers = futures::future::join_all(waiting).await;
    assert!(numbers.iter().all(Result::is_ok), "{numbers:?}");
    assert_eq!(acme.audit().await.expect("one chain").len(), 6);
}

#[tokio::test]
async fn a_chain_is_taken_up_where_it_follows_and_nowhere_else() {
    let folder = TempDir::new().expect("a temporary folder");
    let control = store(&Place::Sqlite(folder.path().into())).await;
    let acme = control.open_tenant(&scope("acme")).await.expect("opened");
    for n in 0..5 {
        acme.append_audit(DateTime::UNIX_EPOCH, &stored(n)).await.expect("appended");
    }
    let rows = acme.audit().await.expect("whole");
    let head = acme.audit_head().await.expect("a head");
    let says = Checkpoint { chain: chain_name(Some("acme")), head, at: DateTime::UNIX_EPOCH, anchor: None };
    let signed = says.signed(&LakeSecret::generate().audit_key());
    assert!(acme.put_checkpoint(5, &signed).await.expect("put") && !acme.put_checkpoint(5, &signed).await.expect("once"));

    let empty = control.make_tenant(&scope("empty")).await.expect("opened");
    assert_eq!(empty.take_up_audit(&rows[..3], &[]).await.expect("taken up"), Some(3));
    assert_eq!(empty.take_up_audit(&rows, &[(5, signed.clone())]).await.expect("the rest"), Some(2));
    assert_eq!(
        (empty.audit().await.expect("whole"), empty.checkpoints().await.expect("kept")),
        (rows.clone(), vec![signed.clone()])
    );
    assert_eq!(empty.take_up_audit(&rows, &[(5, signed)]).await.expect("nothing is missing"), Some(0));

    let other = control.open_tenant(&scope("other")).await.expect("opened");
    other.append_audit(DateTime::UNIX_EPOCH, &stored(9)).await.expect("appended");
    assert_eq!(other.take_up_audit(&rows, &[]).await.expect("answered"), None);
    assert_eq!(other.audit().await.expect("whole").len(), 1);
    let mut forged = rows;
    forged[3].at = "later".into();
    let fresh = control.open_tenant(&scope("fresh")).await.expect("opened");
    assert_eq!(fresh.take_up_audit(&forged, &[]).await.expect_err("broken").kind(), ErrorKind::Damaged);
    assert!(fresh.audit().await.expect("empty").is_empty());
}
