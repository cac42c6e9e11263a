//! What the start refuses: a role that policies do not bind, and a database that forgot one.

use super::*;

#[tokio::test]
async fn a_role_above_the_policies_and_a_table_without_one_are_refused_at_the_start() {
    let Some((cluster, _)) = peopled().await else { return };
    // What is done, what undoes it, and what must be told.
    let cases = [
        ("ALTER ROLE bonded_app SUPERUSER", "ALTER ROLE bonded_app NOSUPERUSER", "policies do not bind"),
        ("ALTER ROLE bonded_app BYPASSRLS", "ALTER ROLE bonded_app NOBYPASSRLS", "policies do not bind bonded_app"),
        ("ALTER ROLE bonded_app CREATEROLE", "ALTER ROLE bonded_app NOCREATEROLE", "policies do not bind bonded_app"),
        ("ALTER ROLE bonded_app REPLICATION", "ALTER ROLE bonded_app NOREPLICATION", "policies do not bind bonded_app"),
        ("GRANT pg_read_server_files TO bonded_app", "REVOKE pg_read_server_files FROM bonded_app", "pg_read_server_files"),
        ("GRANT bonded_owner TO bonded_app", "REVOKE bonded_owner FROM bonded_app", "bonded_owner"),
        (
            "ALTER TABLE bonded_acme.litter OWNER TO bonded_app",
            // Its privileges went with the ownership.
            "ALTER TABLE bonded_acme.litter OWNER TO bonded_owner;
             GRANT SELECT, INSERT, UPDATE, DELETE ON bonded_acme.litter TO bonded_app",
            "owns, or is a member of the role that owns bonded_acme.litter",
        ),
        (
            "ALTER FUNCTION bonded.may(text) OWNER TO bonded_app",
            "ALTER FUNCTION bonded.may(text) OWNER TO bonded_owner; GRANT EXECUTE ON FUNCTION bonded.may(text) TO bonded_app",
            "owns function bonded.may",
        ),
        (
            "GRANT CREATE ON SCHEMA bonded TO bonded_app",
            "REVOKE CREATE ON SCHEMA bonded FROM bonded_app",
            "may create in schema bonded",
        ),
        (
            "GRANT CREATE ON DATABASE bonded TO bonded_app",
            "REVOKE CREATE ON DATABASE bonded FROM bonded_app",
            "may create in the database",
        ),
        (
            "GRANT TRUNCATE ON bonded_acme.deliveries TO bonded_app",
            "REVOKE TRUNCATE ON bonded_acme.deliveries FROM bonded_app",
            "more privileges than it may have on bonded_acme.deliveries",
        ),
        ("GRANT SELECT ON bonded.proofs TO bonded_app", "REVOKE SELECT ON bonded.proofs FROM bonded_app", "bonded.proofs"),
        (
            "GRANT UPDATE (sealed) ON bonded_zenith.audit TO bonded_app",
            "REVOKE UPDATE (sealed) ON bonded_zenith.audit FROM bonded_app",
            "bonded_zenith.audit with just the privileges",
        ),
        (
            "GRANT DELETE ON bonded.audit TO PUBLIC",
            "REVOKE DELETE ON bonded.audit FROM PUBLIC",
            "bonded.audit with just the privileges",
        ),
        (
            "ALTER TABLE bonded_acme.marks DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE bonded_acme.marks ENABLE ROW LEVEL SECURITY",
            "bonded_acme.marks has no row-level security",
        ),
        (
            "ALTER TABLE bonded_acme.marks NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE bonded_acme.marks FORCE ROW LEVEL SECURITY",
            "bonded_acme.marks does not force row-level security",
        ),
        (
            "CREATE POLICY wide ON bonded_acme.marks USING (true)",
            "DROP POLICY wide ON bonded_acme.marks",
            "bonded_acme.marks has a policy that asks for no proof",
        ),
        (
            "CREATE POLICY wide ON bonded_acme.marks FOR INSERT WITH CHECK ((SELECT bonded.may('zenith')))",
            "DROP POLICY wide ON bonded_acme.marks",
            "bonded_acme.marks has a policy that asks for no proof",
        ),
        ("CREATE TABLE bonded.forgotten (a TEXT)", "DROP TABLE bonded.forgotten", "bonded.forgotten has no row-level security"),
        (
            "CREATE TABLE bonded.forgotten (a TEXT);
             ALTER TABLE bonded.forgotten ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            "DROP TABLE bonded.forgotten",
            "bonded.forgotten has no policy",
        ),
        (
            "CREATE VIEW bonded.wide AS SELECT * FROM bonded_acme.marks",
            "DROP VIEW bonded.wide",
            "bonded.wide is a view without security_invoker",
        ),
        (
            "CREATE MATERIALIZED VIEW bonded.wide AS SELECT * FROM bonded_acme.marks",
            "DROP MATERIALIZED VIEW bonded.wide",
            "bonded.wide is a materialized view",
        ),
        (
            "ALTER TABLE bonded_acme.marks RENAME TO lost",
            "ALTER TABLE bonded_acme.lost RENAME TO marks",
            "it lacks bonded_acme.marks",
        ),
    ];
    let place = Place::Postgres { url: cluster.url(), owner: None };
    for (wrong, right, needle) in cases {
        cluster.sql(wrong);
        let error = ControlStore::open(place.clone()).await.expect_err(wrong);
        assert!(matches!(error.kind(), ErrorKind::Refused | ErrorKind::Setup), "{wrong}: {error:?}");
        assert!(error.to_string().contains(needle) && error.to_string().contains("bonded init"), "{wrong}: {error}");
        cluster.sql(right);
        ControlStore::open(place.clone()).await.unwrap_or_else(|error| panic!("after {right}: {error}"));
    }
    // A view that asks as its caller is no hole.
    cluster.sql("CREATE VIEW bonded.narrow WITH (security_invoker = true) AS SELECT * FROM bonded_acme.marks");
    ControlStore::open(place).await.expect("opened");
}

#[tokio::test]
async fn init_mends_a_policy_and_a_privilege_that_went_missing() {
    let Some((cluster, _)) = peopled().await else { return };
    let place = Place::Postgres { url: cluster.url(), owner: None };
    for wrong in [
        "DROP POLICY proven ON bonded_acme.deliveries",
        "ALTER TABLE bonded.queue NO FORCE ROW LEVEL SECURITY",
        "GRANT DELETE ON bonded_zenith.audit TO bonded_app",
        "REVOKE INSERT ON bonded_zenith.audit FROM bonded_app",
        "DROP INDEX bonded.queue_due; DROP TABLE bonded_acme.litter",
    ] {
        cluster.sql(wrong);
        ControlStore::open(place.clone()).await.expect_err(wrong);
        drop(made(on(&cluster)).await);
        let store = opened(&on(&cluster)).await;
        assert_eq!(store.tenants().await.expect("listed").len(), 2);
        assert_eq!(store.open_tenant(&scope("acme")).await.expect("opened").deliveries().await.expect("listed").len(), 1);
    }
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_indexes WHERE indexname = 'queue_due'"), "1");
}

#[tokio::test]
async fn without_the_owner_nothing_is_made_and_the_mend_is_told() {
    let Some(cluster) = PrivatePostgres::start() else { return };
    let told = async |url: String, owner: Option<String>| {
        let error = ControlStore::create(Place::Postgres { url, owner }).await.expect_err("made");
        assert_eq!(error.kind(), ErrorKind::Setup, "{error}");
        error.to_string()
    };
    assert!(told(cluster.url(), None).await.contains("store.postgres_owner"));
    let nobody = cluster.url().replacen("bonded_app:app%40pass%2Fword@", "", 1);
    assert!(told(nobody, Some(cluster.owner_url())).await.contains("names no role"));
    cluster.sql("ALTER ROLE bonded_owner NOCREATEROLE");
    let by_hand = told(cluster.url(), Some(cluster.owner_url())).await;
    assert!(by_hand.contains("make it by hand") && !by_hand.contains("pass/word"), "{by_hand}");
    cluster.sql("ALTER ROLE bonded_owner CREATEROLE");
    // A role that is there is taken as it is. No lake yet: the start says so.
    cluster.sql("CREATE ROLE bonded_app LOGIN PASSWORD 'app@pass/word'");
    let error = ControlStore::open(Place::Postgres { url: cluster.url(), owner: None }).await.expect_err("no lake");
    assert_eq!(error.kind(), ErrorKind::Setup, "{error}");
    assert!(error.to_string().contains("bonded init"), "{error}");
    // A tenant is made by the owner only; one that is there needs nobody.
    let store = made(on(&cluster)).await;
    assert!(store.add_tenant(&record("acme")).await.expect("added"));
    let alone = opened(&on(&cluster)).await;
    assert!(!alone.add_tenant(&record("acme")).await.expect("there"));
    let error = alone.add_tenant(&record("zenith")).await.expect_err("no owner");
    assert!(error.kind() == ErrorKind::Setup && error.to_string().contains("store.postgres_owner"), "{error}");
    assert_eq!(alone.tenants().await.expect("listed").len(), 1);
    // A half that went is made again for a tenant that is known.
    cluster.sql("ALTER SCHEMA bonded_acme RENAME TO set_aside");
    assert_eq!(alone.open_tenant(&scope("acme")).await.expect_err("no half").kind(), ErrorKind::Refused);
    assert!(!store.add_tenant(&record("acme")).await.expect("there"));
    assert!(alone.open_tenant(&scope("acme")).await.expect("opened").deliveries().await.expect("listed").is_empty());
    assert_eq!(alone.open_tenant(&scope("zenith")).await.expect_err("no half").kind(), ErrorKind::Refused);
}

/// A lake of before, whose one role made everything: the start says how to part them, and no row is lost by it.
#[tokio::test]
async fn tables_that_the_application_made_itself_are_given_to_the_owner() {
    let Some((cluster, _)) = peopled().await else { return };
    for table in all_tables(&cluster).into_iter().filter(|table| table != "bonded.proofs") {
        cluster.sql(&format!(
            "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY; DROP POLICY proven ON {table}"
        ));
        cluster.sql(&format!("ALTER TABLE {table} OWNER TO bonded_app"));
    }
    for schema in ["bonded", "bonded_acme", "bonded_zenith"] {
        cluster.sql(&format!("ALTER SCHEMA {schema} OWNER TO bonded_app"));
    }
    cluster.sql("DROP FUNCTION bonded.may(text); DROP FUNCTION bonded.lake_record(); DROP TABLE bonded.proofs");
    cluster.sql("DROP POLICY of_owner ON bonded.lake_identity");
    let error = ControlStore::open(Place::Postgres { url: cluster.url(), owner: None }).await.expect_err("one role for all");
    assert!(error.to_string().contains("REASSIGN OWNED"), "{error}");
    cluster.sql("REASSIGN OWNED BY bonded_app TO bonded_owner");
    let store = made(on(&cluster)).await;
    assert_eq!(store.tenants().await.expect("listed").len(), 2);
    for tenant in ["acme", "zenith"] {
        let half = store.make_tenant(&scope(tenant)).await.expect("made again");
        assert_eq!(half.deliveries().await.expect("listed").len(), 1);
    }
}
