//! The control store on PostgreSQL, end to end: a schema per tenant, the Iceberg catalog and the ledger in it.

use bonded::demo::corpus::Corpus;
use serde_json::json;

#[path = "../../connectors/src/store/private_postgres.rs"]
pub mod private_postgres;

use crate::world::{OTHER, TENANT, World, files_under, random_plan};

#[test]
fn the_spine_runs_on_postgresql_by_configuration_alone() {
    let Some(cluster) = private_postgres::PrivatePostgres::start() else { return };
    let world = World::on_postgres(&cluster);
    let corpus = Corpus::new(random_plan(40).planting(1)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    let first = world.ingest(TENANT, &files);
    assert!(world.ingest(TENANT, &files).iter().all(|receipt| receipt["duplicate"] == json!(true)));
    assert_eq!(world.json(&["reconcile", "--tenant", TENANT]).len(), 9);
    assert_eq!(world.json(&["deliveries", "--tenant", TENANT]).len(), first.len());
    assert!(world.json(&["deliveries", "--tenant", OTHER]).is_empty());
    assert!(
        !files_under(&world.lake()).iter().any(|path| path.to_string_lossy().contains("sqlite")),
        "SQLite files beside PostgreSQL"
    );
}

/// What the settings of a service must not need: the owner. And what the owner's commands say without it.
#[test]
fn only_what_makes_schemas_needs_the_owner() {
    let Some(cluster) = private_postgres::PrivatePostgres::start() else { return };
    let world = World::on_postgres(&cluster);
    let alone = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.env_remove("BONDED_STORE_POSTGRES_OWNER").env_remove("PRIVATE_OWNER");
        let output = command.output().expect("the binary starts");
        (output.status.code().expect("it ended by itself"), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = alone(&["tenant", "add", "fictional-teapot"]);
    assert!(code == 3 && told.contains("store.postgres_owner"), "{code}: {told}");
    let (code, told) = alone(&["init"]);
    assert!(code == 3 && told.contains("store.postgres_owner"), "{code}: {told}");
    let files = world.corpus_files("in", &Corpus::new(random_plan(5)).expect("fit"));
    let file = files[0].display().to_string();
    for arguments in [vec!["ingest", "--tenant", TENANT, &file], vec!["tenant", "list"], vec!["verify"], vec!["maintain"]] {
        let (code, told) = alone(&arguments);
        assert_eq!(code, 0, "{arguments:?}: {told}");
    }

    // A lake of before: one role made everything, and no proof was ever told to the database.
    cluster.sql("DELETE FROM bonded.proofs");
    let tables = "SELECT string_agg(format('ALTER TABLE %I.%I OWNER TO bonded_app;', schemaname, tablename), ' ') FROM pg_tables
         WHERE schemaname LIKE 'bonded%' AND tablename <> 'proofs'";
    let given = cluster.sql(tables);
    cluster.sql(&given);
    let (code, told) = alone(&["deliveries", "--tenant", TENANT]);
    assert!(code == 4 && told.contains("REASSIGN OWNED"), "{code}: {told}");
    cluster.sql("REASSIGN OWNED BY bonded_app TO bonded_owner");
    world.ok(&["init"]);
    assert_eq!(world.json(&["deliveries", "--tenant", TENANT]).len(), 1);
}
