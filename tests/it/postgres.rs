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
