//! The application's password in other hands: what they can read, change and learn is nothing. And what the start refuses.

use chrono::DateTime;

use super::Claim;
use crate::{
    ErrorKind,
    seal::{LakeSecret, ProofKey},
    store::{
        ControlStore, Place,
        audit::NewEvent,
        identity::{LakeRecord, OwnerRow},
        private_postgres::PrivatePostgres,
        queue::Work,
        tables,
        tests::{landed, made, on, opened, record, scope},
    },
};

mod bouncer;
mod rotation;
mod start;
mod tls;

/// A cluster with rows of two tenants in every half.
async fn peopled() -> Option<(PrivatePostgres, ControlStore)> {
    let cluster = PrivatePostgres::start()?;
    let store = made(on(&cluster)).await;
    let at = DateTime::UNIX_EPOCH;
    let lake = LakeRecord { key_id: "k".into(), wrapped_secret: "w".into(), public_key: "p".into(), created_at: "c".into() };
    assert!(store.put_lake_record(&lake, &ProofKey::of_tests()).await.expect("put"));
    assert!(!store.put_lake_record(&lake, &ProofKey::of_tests()).await.expect("answered"), "once");
    assert_eq!(store.lake_record().await.expect("read"), Some(lake));
    store.append_audit(at, "sealed").await.expect("appended");
    let queue = store.queue().await.expect("a queue");
    for (tenant, digest) in [("acme", "d1"), ("zenith", "d2")] {
        assert!(store.add_tenant(&record(tenant)).await.expect("added"));
        let half = store.open_tenant(&scope(tenant)).await.expect("opened");
        let row = landed(digest);
        half.record_landed(&row).await.expect("landed");
        half.append_audit(at, "sealed").await.expect("appended");
        let owner = OwnerRow { tenant: tenant.parse().unwrap(), name: "o".into(), public_key: "p".into(), added_at: "a".into() };
        assert!(store.add_owner(&owner, NewEvent { at, sealed: "sealed" }).await.expect("added"));
        let work =
            Work { tenant: tenant.parse().unwrap(), keyed_digest: digest.into(), delivery_id: row.delivery_id, size_bytes: 1 };
        assert!(queue.enqueue(&work, at).await.expect("enqueued"));
    }
    Some((cluster, store))
}

/// `name` is a tenant's, or the lake's.
fn claimed(name: &str, proof: &str) -> String {
    format!(
        "SELECT set_config('bonded.tenant', '{name}', true) IS NULL; SELECT set_config('bonded.proof', '{proof}', true) IS NULL;"
    )
}

fn proof_of(tenant: &str) -> String {
    ProofKey::of_tests().proof(&tenant.parse().expect("a name")).to_string()
}

/// Every table of every half, as the catalog has them.
fn all_tables(cluster: &PrivatePostgres) -> Vec<String> {
    let sql = "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables
         WHERE schemaname = 'bonded' OR schemaname LIKE 'bonded\\_%' ORDER BY 1";
    cluster.sql(sql).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_new_table_gets_its_policy_and_its_privileges_by_being_declared() {
    let Some((cluster, _)) = peopled().await else { return };
    let mut expected = vec!["bonded.proofs".to_owned()];
    expected.extend(tables::shared().map(|table| format!("bonded.{}", table.name)));
    for half in ["bonded_acme", "bonded_zenith"] {
        expected.extend(tables::tenant().map(|table| format!("{half}.{}", table.name)));
    }
    expected.sort();
    assert_eq!(all_tables(&cluster), expected);
    let guarded = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname LIKE 'bonded%' AND c.relkind = 'r' AND c.relrowsecurity AND c.relforcerowsecurity
         AND pg_get_userbyid(c.relowner) = 'bonded_owner' AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)";
    assert_eq!(cluster.sql(guarded), expected.len().to_string());
}

#[tokio::test]
async fn a_stolen_password_and_a_tenants_name_read_no_row() {
    let Some((cluster, _)) = peopled().await else { return };
    let filled: Vec<String> =
        all_tables(&cluster).into_iter().filter(|table| cluster.sql(&format!("SELECT count(*) FROM {table}")) != "0").collect();
    for table in ["bonded.tenants", "bonded.queue", "bonded.owners", "bonded_zenith.deliveries", "bonded_zenith.audit"] {
        assert!(filled.iter().any(|filled| filled == table), "{table} has no row to hide: {filled:?}");
    }
    let stolen_digest = cluster.sql("SELECT digest FROM bonded.proofs WHERE tenant = 'zenith'");
    let (acme, zenith, lake) = (proof_of("acme"), proof_of("zenith"), proof_of("bonded-lake"));
    let pretences = [
        String::new(),
        claimed("", ""),
        claimed("zenith", ""),
        claimed("bonded-lake", ""),
        claimed("zenith", &"0".repeat(64)),
        // What a backup of the digests would give.
        claimed("zenith", &stolen_digest),
        // What one tenant's transaction knows opens neither another's half nor the shared one.
        claimed("zenith", &acme),
        claimed("bonded-lake", &acme),
        claimed("bonded-lake", &zenith),
        claimed("acme", &zenith),
        claimed("zenith", &lake),
    ];
    let asked: String = filled
        .iter()
        .filter(|table| *table != "bonded.proofs")
        .map(|table| {
            format!("SELECT count(*) FROM {table}; COPY {table} TO STDOUT; COPY (SELECT 'a row' FROM {table}) TO STDOUT; ")
        })
        .collect();
    for pretence in &pretences {
        let answer = cluster.as_app(&format!("BEGIN; {pretence} {asked}")).expect("answered");
        let counts = answer.lines().filter(|line| *line == "0").count();
        assert_eq!(counts, filled.len() - 1, "{pretence}: {answer}");
        assert!(answer.lines().all(|line| matches!(line, "0" | "f")), "{pretence}: {answer}");
        let denied = cluster.as_app(&format!("BEGIN; {pretence} SELECT * FROM bonded.proofs")).expect_err("read");
        assert!(denied.contains("permission denied for table proofs"), "{denied}");
    }
    // The same questions with the right proof are answered: the policy refuses, nothing else.
    for (name, table, count) in [("zenith", "bonded_zenith.deliveries", "1"), ("bonded-lake", "bonded.tenants", "2")] {
        let asked = format!("BEGIN; {} SELECT count(*) FROM {table}", claimed(name, &proof_of(name)));
        assert_eq!(cluster.as_app(&asked).expect("answered").lines().last(), Some(count));
    }
}

/// Each with all that one tenant's transaction knows: what a hole in the application would give.
#[tokio::test]
async fn who_holds_one_tenants_proof_reaches_nothing_else() {
    let Some((cluster, _)) = peopled().await else { return };
    cluster.sql("ANALYZE");
    let acme = claimed("acme", &proof_of("acme"));
    let refused = [
        ("SET ROLE bonded_owner", "permission denied to set role"),
        ("SET SESSION AUTHORIZATION bonded_owner", "permission denied"),
        ("SET LOCAL row_security = off; SELECT * FROM bonded_zenith.deliveries", "would be affected by row-level security"),
        ("ALTER TABLE bonded_zenith.deliveries DISABLE ROW LEVEL SECURITY", "must be owner"),
        ("DROP POLICY proven ON bonded_zenith.deliveries", "must be owner"),
        ("CREATE POLICY mine ON bonded_zenith.deliveries USING (true)", "must be owner"),
        ("ALTER FUNCTION bonded.may(text) SECURITY INVOKER", "must be owner"),
        ("CREATE OR REPLACE FUNCTION bonded.may(whose text) RETURNS boolean LANGUAGE sql AS 'SELECT true'", "permission denied"),
        ("INSERT INTO bonded.proofs VALUES ('zenith', 'mine')", "permission denied for table proofs"),
        ("UPDATE bonded.proofs SET digest = 'mine'", "permission denied for table proofs"),
        ("CREATE TABLE bonded.mine (a text)", "permission denied for schema"),
        ("CREATE TABLE bonded_acme.mine (a text)", "permission denied for schema"),
        ("CREATE TABLE public.mine (a text)", "permission denied for schema"),
        ("CREATE SCHEMA mine", "permission denied for database"),
        ("CREATE VIEW bonded_acme.mine AS SELECT * FROM bonded_zenith.deliveries", "permission denied for schema"),
        ("CREATE ROLE mine", "permission denied"),
        ("COPY bonded_zenith.deliveries TO PROGRAM 'cat'", "must be superuser"),
        ("SELECT pg_read_file('PG_VERSION')", "permission denied"),
        ("TRUNCATE bonded_acme.deliveries", "permission denied"),
        ("TRUNCATE bonded_zenith.deliveries", "permission denied"),
        ("UPDATE bonded_acme.audit SET sealed = 'forged'", "permission denied for table audit"),
        ("DELETE FROM bonded_acme.audit", "permission denied for table audit"),
        ("SELECT * FROM bonded_acme.audit FOR UPDATE", "permission denied for table audit"),
        ("DELETE FROM bonded_acme.deliveries", "permission denied for table deliveries"),
        (
            "CREATE TRIGGER t BEFORE INSERT ON bonded_acme.audit EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "permission denied",
        ),
    ];
    for (attack, needle) in refused {
        let told = cluster.as_app(&format!("BEGIN; {acme} {attack}")).expect_err(attack);
        assert!(told.contains(needle), "{attack}: {told}");
    }
    let quiet = [
        // A function that tells what it is shown is shown nothing, however cheap it says it is.
        "CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
             AS $$ BEGIN RAISE NOTICE 'leak %', $1; RETURN true; END $$;
         SELECT keyed_digest FROM bonded_zenith.deliveries WHERE pg_temp.leak(keyed_digest)",
        "SELECT 1 FROM bonded_zenith.deliveries WHERE 1 / (CASE WHEN keyed_digest = 'd2' THEN 0 ELSE 1 END) = 1",
        "CREATE TEMP VIEW mine AS SELECT keyed_digest FROM bonded_zenith.deliveries; SELECT * FROM mine",
        "SELECT * FROM pg_stats WHERE schemaname IN ('bonded_zenith', 'bonded')",
        "SELECT d.keyed_digest FROM bonded_acme.deliveries a RIGHT JOIN bonded_zenith.deliveries d ON true",
        "UPDATE bonded_zenith.deliveries SET state = 'quarantined' RETURNING keyed_digest",
        "DELETE FROM bonded_zenith.litter RETURNING path",
        "SELECT keyed_digest FROM bonded_zenith.deliveries FOR UPDATE",
        "SELECT keyed_digest FROM ONLY bonded_zenith.deliveries TABLESAMPLE SYSTEM (100)",
        "DO $$ BEGIN FOR n IN 1..2000 LOOP
             PERFORM set_config('bonded.tenant', 'zenith', true);
             PERFORM set_config('bonded.proof', encode(sha256(n::text::bytea), 'hex'), true);
             IF bonded.may('zenith') THEN RAISE NOTICE 'leak'; END IF; END LOOP; END $$",
    ];
    for attack in quiet {
        let answer = cluster.as_app(&format!("BEGIN; {acme} {attack}")).expect(attack);
        assert!(answer.lines().all(|line| line == "f"), "{attack}: {answer}");
    }
    assert_eq!(cluster.sql("SELECT state FROM bonded_zenith.deliveries"), "landed");
}

#[tokio::test]
async fn whether_another_tenant_has_a_key_cannot_be_learnt() {
    let Some((cluster, _)) = peopled().await else { return };
    let acme = claimed("acme", &proof_of("acme"));
    let told = |digest: &str, conflict: &str| {
        let row = format!("('{digest}', '{digest}', 'landed', 'r', 'a', 'p', 1)");
        let insert =
            "INSERT INTO bonded_zenith.deliveries (delivery_id, keyed_digest, state, received_at, as_of, raw_path, size_bytes)";
        cluster.as_app(&format!("BEGIN; {acme} {insert} VALUES {row} {conflict}")).expect_err("written")
    };
    for conflict in ["", "ON CONFLICT (keyed_digest) DO NOTHING", "ON CONFLICT (keyed_digest) DO UPDATE SET state = 'x'"] {
        let (there, not_there) = (told("d2", conflict), told("d3", conflict));
        assert_eq!(there, not_there, "{conflict}");
        assert!(there.contains("violates row-level security policy"), "{there}");
    }
    let queued = |tenant: &str| {
        let insert = format!("INSERT INTO bonded.queue_turns VALUES ('{tenant}', 0)");
        cluster.as_app(&format!("BEGIN; {acme} {insert}")).expect_err("written")
    };
    assert_eq!(queued("zenith"), queued("nobody"));
}

#[tokio::test]
async fn a_prepared_statement_outlives_its_proof_and_sees_nothing() {
    let Some((cluster, _)) = peopled().await else { return };
    let script = format!(
        "BEGIN; {} PREPARE p AS SELECT 'rows ' || count(*) FROM bonded_acme.deliveries; EXECUTE p; COMMIT; EXECUTE p;
         SELECT 'left ' || coalesce(current_setting('bonded.proof', true), '');
         BEGIN; {} EXECUTE p; COMMIT",
        claimed("acme", &proof_of("acme")),
        claimed("zenith", &proof_of("zenith"))
    );
    let answer = cluster.as_app(&script).expect("answered");
    let told: Vec<&str> = answer.lines().filter(|line| *line != "f").map(str::trim).collect();
    assert_eq!(told, ["rows 1", "rows 0", "left", "rows 0"]);
}

/// Statements of a role are shown to all of its sessions: a proof in their text would be a proof for whoever has the password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proof_stands_in_what_other_sessions_can_read() {
    let Some((cluster, store)) = peopled().await else { return };
    let acme = store.open_tenant(&scope("acme")).await.expect("opened");
    let entered = acme.pool.begin().await.expect("begun");
    let seen = || cluster.as_app("SELECT query FROM pg_stat_activity WHERE usename = current_user").expect("answered");
    let claiming = seen();
    assert!(claiming.contains("set_config('bonded.proof', $3, true)"), "{claiming}");
    drop(entered);
    for _ in 0..20 {
        let reading = tokio::spawn({
            let acme = acme.clone();
            async move {
                for _ in 0..50 {
                    acme.deliveries().await.expect("read");
                }
            }
        });
        let seen = tokio::task::block_in_place(seen);
        for tenant in ["acme", "bonded-lake"] {
            assert!(!seen.contains(&proof_of(tenant)), "a proof is there to be read");
        }
        reading.await.expect("no panic");
    }
}

#[tokio::test]
async fn a_database_of_another_lake_is_refused() {
    let Some((cluster, _)) = peopled().await else { return };
    let other = LakeSecret::generate().proofs();
    for owner in [None, Some(cluster.owner_url())] {
        let store = ControlStore::open(Place::Postgres { url: cluster.url(), owner }).await.expect("opened");
        let kind = store.prove(&other).await.expect_err("not its own").kind();
        assert!(matches!(kind, ErrorKind::Refused | ErrorKind::Setup), "{kind:?}");
    }
    // The owner's hand put no other proof in the place of the one that stood.
    assert_eq!(opened(&on(&cluster)).await.tenants().await.expect("listed").len(), 2);
    assert_ne!(Claim::proven(&"acme".parse().unwrap(), &other).digest(), Claim::unproven().digest());
}
