//! One conformance suite, run on SQLite and on a private PostgreSQL.

use bonded_schemas::{DeliveryId, DeliveryState, Report, Severity, TenantScope};
use chrono::DateTime;
use sqlx::Row;
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    ControlStore, Place, TenantRecord,
    audit::NewEvent,
    findings::{FindingRow, ScoreRow},
    ledger::LedgerRow,
    private_postgres::PrivatePostgres,
};
use crate::{ErrorKind, seal::ProofKey};

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
pub(super) fn scope(tenant: &str) -> TenantScope {
    TenantScope::establish(tenant.parse().expect("a tenant name"), "test")
}

/// A store that knows the proofs of all tests.
pub(crate) async fn made(place: Place) -> ControlStore {
    ControlStore::create(place).await.expect("made").prove(&ProofKey::of_tests()).await.expect("proven")
}

/// The same, opened again and without the owner.
pub(crate) async fn opened(place: &Place) -> ControlStore {
    let place = match place.clone() {
        Place::Postgres { url, .. } => Place::Postgres { url, owner: None },
        other => other,
    };
    ControlStore::open(place).await.expect("opened").prove(&ProofKey::of_tests()).await.expect("proven")
}

pub(crate) fn on(cluster: &PrivatePostgres) -> Place {
    Place::Postgres { url: cluster.url(), owner: Some(cluster.owner_url()) }
}

/// A room's suite, `async fn conforms(Place)`, as two tests.
macro_rules! on_both_stores {
    () => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn sqlite_conforms() {
            let folder = tempfile::TempDir::new().expect("a temporary folder");
            conforms($crate::store::Place::Sqlite(folder.path().join("lake"))).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn postgresql_conforms() {
            if let Some(cluster) = $crate::store::private_postgres::PrivatePostgres::start() {
                conforms($crate::store::tests::on(&cluster)).await;
            }
        }
    };
}
pub(super) use on_both_stores;

pub(super) fn record(tenant: &str) -> TenantRecord {
    TenantRecord {
        tenant: tenant.parse().expect("a tenant name"),
        key_id: format!("key-of-{tenant}"),
        wrapped_secret: "c2VjcmV0".into(),
        created_at: "2026-04-01T00:00:00+00:00".into(),
    }
}

pub(super) fn landed(digest: &str) -> LedgerRow {
    let at = DateTime::from_timestamp(1_770_000_000, 123_456_000).expect("an instant");
    LedgerRow {
        delivery_id: DeliveryId(Uuid::now_v7()),
        keyed_digest: digest.into(),
        state: DeliveryState::Landed,
        report: None,
        received_at: at,
        as_of: at,
        raw_path: format!("tenants/acme/raw/{digest}"),
        size_bytes: 12_345,
        snapshot_id: None,
        sealed_receipt: None,
    }
}

#[tokio::test]
async fn sqlite_conforms() {
    let folder = TempDir::new().expect("a temporary folder");
    conforms(Place::Sqlite(folder.path().join("lake with a space")), None).await;
}

#[tokio::test]
async fn postgresql_conforms() {
    if let Some(cluster) = PrivatePostgres::start() {
        conforms(on(&cluster), Some(&cluster)).await;
    }
}

async fn conforms(place: Place, cluster: Option<&PrivatePostgres>) {
    let store = made(place.clone()).await;
    assert!(store.add_tenant(&record("acme")).await.expect("added"));
    assert!(!store.add_tenant(&TenantRecord { key_id: "stolen".into(), ..record("acme") }).await.expect("answered"));
    assert!(store.add_tenant(&record("zenith")).await.expect("added"));
    assert_eq!(store.tenants().await.expect("listed"), [record("acme"), record("zenith")]);
    assert_eq!(store.tenant(scope("nobody").tenant()).await.expect("answered"), None);

    // Made again, nothing is changed.
    drop(made(place.clone()).await);
    let maker = store;
    let store = opened(&place).await;
    let acme = store.open_tenant(&scope("acme")).await.expect("a half of its own");
    let first = landed("d1");
    assert_eq!(acme.record_landed(&first).await.expect("recorded"), first);
    // The same bytes under another delivery id: the first row stands.
    assert_eq!(acme.record_landed(&landed("d1")).await.expect("answered"), first);
    assert_eq!(acme.delivery(first.delivery_id).await.expect("answered"), Some(first.clone()));
    assert_eq!(acme.deliveries().await.expect("listed"), std::slice::from_ref(&first));

    acme.record_quarantined("d1", Some(Report::Es003), "sealed").await.expect("quarantined");
    let row = acme.delivery_by_digest("d1").await.expect("answered").expect("there");
    assert_eq!(
        (row.state, row.report, row.sealed_receipt.as_deref()),
        (DeliveryState::Quarantined, Some(Report::Es003), Some("sealed"))
    );
    assert_eq!(acme.record_receipt("d1", "x").await.expect_err("not committed").kind(), ErrorKind::Damaged);
    // A container tried again under other limits opens after all; from then on it stays so.
    for receipt in ["unpacked", "unpacked again"] {
        acme.record_unpacked("d1", receipt).await.expect("unpacked");
        let row = acme.delivery_by_digest("d1").await.expect("answered").expect("there");
        assert_eq!((row.state, row.sealed_receipt.as_deref()), (DeliveryState::Unpacked, Some(receipt)));
    }
    assert_eq!(acme.record_quarantined("d1", None, "x").await.expect_err("unpacked").kind(), ErrorKind::Damaged);
    assert_eq!(acme.record_unpacked("d9", "x").await.expect_err("not there").kind(), ErrorKind::Damaged);
    assert_eq!(acme.record_quarantined("d9", None, "x").await.expect_err("not there").kind(), ErrorKind::Damaged);

    let raise = || acme.raise_alert("drift", Some(Report::Es003), "f1", Severity::Warning, first.received_at, "sealed");
    assert!(raise().await.expect("raised"));
    assert!(!raise().await.expect("counted"));
    let alerts = acme.alerts("drift").await.expect("listed");
    assert_eq!((alerts.len(), alerts[0].deliveries, alerts[0].state.as_str()), (1, 2, "open"));
    acme.accept_alert("drift", "f1").await.expect("accepted");
    assert_eq!(acme.alerts("drift").await.expect("listed")[0].state, "accepted");
    assert_eq!(acme.accept_alert("drift", "f2").await.expect_err("none").kind(), ErrorKind::Input);

    assert_eq!(acme.mapping(Report::Es003).await.expect("answered"), None);
    acme.put_mapping(Report::Es003, "one").await.expect("put");
    acme.put_mapping(Report::Es003, "two").await.expect("put over");
    assert_eq!(acme.mapping(Report::Es003).await.expect("answered").as_deref(), Some("two"));

    assert_eq!(acme.mail_policy().await.expect("answered"), None);
    for (at, sealed) in ["one", "two"].into_iter().enumerate() {
        let before = acme.audit_head().await.expect("answered").events;
        let event = NewEvent { at: first.received_at, sealed: "event" };
        acme.put_mail_policy(sealed, event).await.expect("put");
        assert_eq!(acme.mail_policy().await.expect("answered").as_deref(), Some(sealed), "{at}");
        assert_eq!(acme.audit_head().await.expect("answered").events, before + 1);
    }

    let found = FindingRow {
        id: "f1".into(),
        state: "open".into(),
        severity: "error".into(),
        first_seen: "2026-04-01T00:00:00+00:00".into(),
        last_seen: "2026-04-01T00:00:00+00:00".into(),
        runs: 1,
        sealed: "sealed".into(),
    };
    acme.put_findings(&[found.clone(), FindingRow { id: "f2".into(), ..found.clone() }]).await.expect("put");
    let again = FindingRow {
        state: "resolved".into(),
        first_seen: "2026-05-01T00:00:00+00:00".into(),
        last_seen: "2026-05-01T00:00:00+00:00".into(),
        runs: 2,
        ..found.clone()
    };
    acme.put_findings(std::slice::from_ref(&again)).await.expect("put over");
    let kept = acme.findings().await.expect("listed");
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0], FindingRow { first_seen: found.first_seen.clone(), ..again }, "first sight stays");
    for sealed in ["one", "two"] {
        let score = ScoreRow { delivery_id: "d1".into(), scored_at: "2026-04-01T00:00:00+00:00".into(), sealed: sealed.into() };
        acme.put_scores(std::slice::from_ref(&score)).await.expect("put");
        assert_eq!(acme.scores().await.expect("listed"), [score]);
    }

    let before = acme.audit().await.expect("whole").len();
    for n in before + 1..=before + 3 {
        let seq = acme.append_audit(first.received_at, &format!("event {n}")).await.expect("appended");
        assert_eq!(usize::try_from(seq).expect("small"), n);
    }
    assert_eq!(acme.audit().await.expect("whole").len(), before + 3);
    let forge = "UPDATE audit SET sealed = 'forged' WHERE seq = 2";
    match cluster {
        None => _ = sqlx::query(forge).execute(&acme.pool).await.expect("forged"),
        // The application itself cannot.
        Some(cluster) => {
            let refused = sqlx::query(forge).execute(&acme.pool).await.expect_err("append only").to_string();
            assert!(refused.contains("permission denied for table audit"), "{refused}");
            cluster.sql(&forge.replace("audit", "bonded_acme.audit"));
        }
    }
    assert_eq!(acme.audit().await.expect_err("broken").kind(), ErrorKind::Damaged);

    // Every row goes out and into another store, which takes nothing over what it holds.
    let mut lines = Vec::new();
    let rows = acme.save(&mut lines).await.expect("saved");
    let other = maker.make_tenant(&scope("zenith-copy")).await.expect("a half of its own");
    assert_eq!(other.holds(&mut lines.as_slice()).await.expect("asked"), None);
    assert_eq!(other.load(&mut lines.as_slice()).await.expect("loaded"), rows);
    assert_eq!(other.holds(&mut lines.as_slice()).await.expect("the same"), Some(rows));
    let fewer = lines.split_inclusive(|byte| *byte == b'\n').skip(1).collect::<Vec<_>>().concat();
    let one_more = lines.split_inclusive(|byte| *byte == b'\n').next().expect("a line").repeat(2);
    for odd in [fewer, one_more] {
        assert_eq!(other.holds(&mut odd.as_slice()).await.expect_err("others").kind(), ErrorKind::Refused);
    }
    let mut again = Vec::new();
    other.save(&mut again).await.expect("saved");
    let sorted = |lines: &[u8]| {
        let mut lines: Vec<String> = String::from_utf8_lossy(lines).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&again), sorted(&lines));
    assert_eq!(other.load(&mut lines.as_slice()).await.expect_err("not over it").kind(), ErrorKind::Refused);
    assert_eq!(other.findings().await.expect("listed"), kept);
    assert!(acme.integrity().await.expect("asked").is_empty());
    match cluster {
        None => _ = sqlx::query("CREATE TABLE stray (a TEXT)").execute(&other.pool).await.expect("made"),
        Some(cluster) => _ = cluster.sql("CREATE TABLE \"bonded_zenith-copy\".stray (a TEXT)"),
    }
    assert_eq!(other.integrity().await.expect("asked").len(), 1);
    assert!(acme.integrity().await.expect("asked").is_empty());

    // The other tenant's half holds nothing of it.
    let zenith = store.open_tenant(&scope("zenith")).await.expect("a half of its own");
    assert!(zenith.deliveries().await.expect("listed").is_empty());
    assert!(zenith.alerts("drift").await.expect("listed").is_empty());
    assert!(zenith.findings().await.expect("listed").is_empty() && zenith.scores().await.expect("listed").is_empty());
}

#[tokio::test]
async fn audit_appends_from_many_tasks_keep_one_chain() {
    let folder = TempDir::new().expect("a temporary folder");
    let store = ControlStore::create(Place::Sqlite(folder.path().into())).await.expect("made");
    store.add_tenant(&record("acme")).await.expect("added");
    let acme = store.open_tenant(&scope("acme")).await.expect("a half of its own");
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let acme = acme.clone();
            tokio::spawn(async move { acme.append_audit(DateTime::UNIX_EPOCH, &format!("event of {task}")).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("appended");
    }
    assert_eq!(acme.audit().await.expect("whole").len(), 8);
}

/// A file a tenant: through one's handle there is no other's file, nor the shared one.
#[tokio::test]
async fn a_tenants_handle_on_sqlite_holds_its_own_file_and_no_other() {
    let folder = TempDir::new().expect("a temporary folder");
    let store = ControlStore::create(Place::Sqlite(folder.path().into())).await.expect("made");
    for (tenant, digest) in [("acme", "d1"), ("zenith", "d2")] {
        assert!(store.add_tenant(&record(tenant)).await.expect("added"));
        store.open_tenant(&scope(tenant)).await.expect("opened").record_landed(&landed(digest)).await.expect("landed");
    }
    for (tenant, digest) in [("acme", "d1"), ("zenith", "d2")] {
        let half = store.open_tenant(&scope(tenant)).await.expect("opened");
        let files = sqlx::query("SELECT file FROM pragma_database_list").fetch_all(&half.pool).await.expect("listed");
        let files: Vec<String> = files.iter().map(|row| row.try_get(0).expect("a path")).collect();
        let own = folder.path().join("tenants").join(tenant).join("control.sqlite").canonicalize().expect("there");
        assert_eq!(files, [own.display().to_string()]);
        let digests: Vec<String> = half.deliveries().await.expect("listed").into_iter().map(|row| row.keyed_digest).collect();
        assert_eq!(digests, [digest]);
        for of_others in ["tenants", "queue", "lake_identity", "owners", "shreds"] {
            let asked = sqlx::query(&format!("SELECT * FROM {of_others}")).fetch_all(&half.pool).await;
            assert!(asked.err().expect("not in this file").to_string().contains("no such table"), "{of_others}");
        }
    }
    // A name that leads elsewhere is no tenant's name.
    for name in ["../acme", "acme/../zenith", "..", "acme\0", "tenants/acme"] {
        name.parse::<bonded_schemas::TenantId>().expect_err(name);
    }
}

#[tokio::test]
async fn a_lake_that_was_never_made_is_told_with_the_mend() {
    let folder = TempDir::new().expect("a temporary folder");
    let error = ControlStore::open(Place::Sqlite(folder.path().into())).await.expect_err("none there");
    assert_eq!(error.kind(), ErrorKind::Setup);
    assert!(error.to_string().contains("bonded init"), "{error}");
}

#[test]
fn a_password_in_the_place_is_not_printed() {
    assert_eq!(
        format!("{:?}", Place::Postgres { url: "postgres://user:hunter2@localhost/db".into(), owner: None }),
        "Postgres(..)"
    );
}
