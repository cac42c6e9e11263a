//! A lake in a bucket, its keys at the KMS and its pointers in Glue, by configuration alone, on emulators: the real binary.

use std::sync::{Arc, Mutex, mpsc};

use bonded::demo::corpus::{Corpus, Plan};
use bonded_schemas::Report;
use serde_json::{Value, json};

#[path = "../../connectors/src/aws/private_proxy.rs"]
pub mod private_proxy;

use crate::{
    aws::private_aws::PrivateAws,
    postgres::private_postgres::PrivatePostgres,
    world::{Bucket, OTHER, TENANT, World, random_plan},
};
use private_proxy::{Fate, Gate, PrivateProxy};

fn bare(cluster: Option<&PrivatePostgres>) -> Option<(World, &'static PrivateAws)> {
    let (store, glue) = (PrivateAws::localstack()?, PrivateAws::ministack()?);
    let bucket = Bucket { endpoint: store.endpoint.clone(), name: store.bucket("bonded", false) };
    Some((World::in_bucket(bucket, cluster).beside_glue(&glue.endpoint), glue))
}

fn rows(world: &World, table: &str) -> u64 {
    world.ask(TENANT, &format!("SELECT count(*) AS n FROM {table}"))["n"].as_u64().expect("a number")
}

/// What Glue itself answers.
fn asked(glue: &PrivateAws, operation: &str, body: Value) -> Value {
    let target = format!("X-Amz-Target: AWSGlue.{operation}");
    let answer = glue.ask("POST", "/", &[&target, "Content-Type: application/x-amz-json-1.1"], &body.to_string());
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn database(world: &World, tenant: &str) -> String {
    format!("{}_{}", world.glue_database(), tenant.replace('-', "_"))
}

#[test]
fn the_spine_runs_with_its_pointers_in_glue_by_configuration_alone() {
    let Some((world, glue)) = bare(None) else { return };
    let world = world.peopled();
    let files = world.corpus_files("in", &Corpus::new(random_plan(30).planting(1)).expect("fit"));
    assert!(world.ingest(TENANT, &files).iter().all(|receipt| receipt["duplicate"] == json!(false)));
    assert!(world.ingest(TENANT, &files).iter().all(|receipt| receipt["duplicate"] == json!(true)));
    let (before, findings) = (rows(&world, "es_003"), world.json(&["reconcile", "--tenant", TENANT]));
    assert_eq!(findings.len(), 9);
    let verdicts: Vec<Value> = world.json(&["attest", "--tenant", TENANT]);
    assert!(verdicts.len() == 3 && verdicts.iter().all(|line| line["verdict"] == "agrees"), "{verdicts:?}");
    world.ok(&["maintain"]);
    world.ok(&["verify"]);
    let chart = world.run(&["--json", "doctor"]);
    let told = String::from_utf8(chart.stdout).expect("text");
    assert!(told.contains("refuses an update of a version that is no more"), "{told}");
    assert!(told.contains("3 tables of 2 tenants open"), "{told}");

    // What stands in Glue is where the tables are, and nothing of what is in them.
    let of_tenant = |tenant: &str| asked(glue, "GetTables", json!({ "DatabaseName": database(&world, tenant) }));
    let tables = of_tenant(TENANT)["TableList"].as_array().expect("a list").clone();
    assert_eq!(tables.len(), 3);
    let lake = format!("s3://{}/lake/tenants/{TENANT}/warehouse/", world.bucket.as_ref().unwrap().name);
    for table in &tables {
        assert_eq!(table["Parameters"]["table_type"], "ICEBERG");
        assert!(table["Parameters"]["metadata_location"].as_str().expect("there").starts_with(&lake), "{table}");
        assert!(table["StorageDescriptor"]["Columns"].as_array().expect("a list").len() > 10, "{table}");
    }
    assert_eq!(of_tenant(OTHER)["TableList"], json!([]));

    // Without its control store the lake does not believe Glue; the raw zone makes both again.
    std::fs::remove_dir_all(world.lake()).unwrap();
    world.ok(&["rebuild"]);
    assert_eq!(rows(&world, "es_003"), before);
    assert_eq!(world.json(&["reconcile", "--tenant", TENANT]).len(), findings.len());
    assert!(world.ingest(TENANT, &files).iter().all(|receipt| receipt["duplicate"] == json!(true)));
    world.ok(&["verify"]);

    // Other hands take a table away: nothing makes an empty one in its place.
    asked_away(glue, &world);
    let run = world.run(&["query", "--tenant", TENANT, "SELECT count(*) FROM es_003"]);
    assert!(run.code != 0 && run.stderr.contains("the control store knows it"), "{} {}", run.code, run.stderr);
    let verified = world.run(&["verify"]);
    assert!(verified.code == 6 && String::from_utf8_lossy(&verified.stdout).contains("es_003"), "{}", verified.code);
    world.ok(&["init"]);
    assert_eq!(rows(&world, "es_003"), before);
    assert!(world.ok(&["audit", "--tenant", TENANT]).contains("catalog.put_back"));

    // Settings that name another catalog open nothing, and change nothing.
    let mut commands = vec![vec!["init"], vec!["tables", "--tenant", TENANT], vec!["rebuild"]];
    commands.push(vec!["ingest", "--tenant", TENANT, "in"]);
    for (name, value, says) in [
        ("BONDED_CATALOG_KIND", "sql", "and the settings name the control store: set catalog.kind = \"glue\""),
        ("BONDED_CATALOG_DATABASE", "another", "and the settings name the Glue database `another`: set catalog.kind"),
    ] {
        for command in &commands {
            let output = world.command(command).env(name, value).output().expect("the binary starts");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && told.contains(says), "{name} {command:?}: {told}");
        }
    }
    assert_eq!(rows(&world, "es_003"), before);

    // The lake comes back under another prefix, with databases of its own.
    let to = world.path("backup").display().to_string();
    world.ok(&["backup", "--to", &to, "--copy"]);
    let old = world.bucket.as_ref().expect("in a bucket");
    let bucket = Bucket { endpoint: old.endpoint.clone(), name: format!("{}/again", old.name) };
    let again = World::in_bucket(bucket, None).beside_glue(&glue.endpoint);
    // Not with those of the lake that it is a copy of, which goes on.
    let with_its = |command: &[&str]| {
        let mut command = again.command(command);
        let output = command.env("BONDED_CATALOG_DATABASE", world.glue_database()).output().expect("the binary starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (command, says) in [
        (vec!["restore", "--from", &to], "these are the old lake's pointers"),
        (vec!["init"], "these are the old lake's pointers"),
        (vec!["tables", "--tenant", TENANT], "run `bonded init`"),
    ] {
        let (is_done, told) = with_its(&command);
        assert!(!is_done && told.contains(says), "{command:?}: {told}");
    }
    assert!(world.ingest(TENANT, &files).iter().all(|receipt| receipt["duplicate"] == json!(true)));
    let later = Plan { serial_first: 5000, ..random_plan(5) };
    let later = world.corpus_files("later", &Corpus::new(later).expect("fit"));
    assert!(world.ingest(TENANT, &later).iter().all(|receipt| receipt["state"] == "committed"));
    assert!(rows(&world, "es_003") > before);
    world.ok(&["verify"]);
    again.ok(&["init"]);
    again.ok(&["init"]);
    assert_eq!(rows(&again, "es_003"), before);
    assert!(again.ingest(TENANT, &files).iter().all(|receipt| receipt["duplicate"] == json!(true)));
    again.ok(&["verify"]);

    // Its control store lost, it is made again with that for its catalog; Glue's are then refused until they are founded anew.
    std::fs::remove_dir_all(again.lake()).unwrap();
    let by_its_store = |command: &[&str]| {
        let output = again.command(command).env("BONDED_CATALOG_KIND", "sql").output().expect("the binary starts");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    by_its_store(&["rebuild"]);
    by_its_store(&["verify"]);
    assert!(by_its_store(&["tables", "--tenant", TENANT]).contains("es_003"));
    let run = again.run(&["tables", "--tenant", TENANT]);
    assert!(run.code != 0 && run.stderr.contains("does not tell of the catalog"), "{} {}", run.code, run.stderr);
}

fn asked_away(glue: &PrivateAws, world: &World) {
    asked(glue, "DeleteTable", json!({ "DatabaseName": database(world, TENANT), "Name": "es_003" }));
}

#[test]
fn two_processes_append_to_one_table_beside_glue_and_no_row_is_lost_or_doubled() {
    const EACH: u32 = 20;
    const ENTRIES: u32 = 3;
    let Some(cluster) = PrivatePostgres::start() else { return };
    let Some((world, _)) = bare(Some(&cluster)) else { return };
    let world = world.peopled();
    let corpus = Corpus::new(random_plan(2 * EACH * ENTRIES)).expect("fit");
    let mut written = 0;
    for process in 0..2 {
        for n in 0..EACH {
            let first = (process * EACH + n) * ENTRIES;
            let mut bytes = Vec::new();
            written += corpus.write_entries(Report::Es003, first..first + ENTRIES, &mut bytes).expect("written").rows;
            world.file(&format!("p{process}/{n:02}.csv"), bytes);
        }
    }
    let begun = std::time::Instant::now();
    let children: Vec<_> = (0..2).map(|process| world.spawn(&["ingest", "--tenant", TENANT, &format!("p{process}")])).collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    println!("{} files by two processes: {:?}", 2 * EACH, begun.elapsed());
    let table = &world.json(&["tables", "--tenant", TENANT])[0]["info"];
    assert_eq!((&table["snapshots"], &table["rows"]), (&json!(2 * EACH), &json!(written)));
    let counted = world.ask(
        TENANT,
        "SELECT count(*) AS n, count(DISTINCT _delivery_id) AS deliveries FROM (SELECT DISTINCT _delivery_id, _row FROM es_003)",
    );
    assert_eq!((&counted["n"], &counted["deliveries"]), (&json!(written), &json!(2 * EACH)));
    world.ok(&["verify"]);
}

/// The process is killed when Glue has moved the pointer and nobody was told; and when its request is still on its way, which
/// then comes after another process has done the work.
#[test]
fn kill_9_at_the_swap_loses_and_doubles_nothing() {
    let Some((world, glue)) = bare(None) else { return };
    let next: Arc<Mutex<Option<Fate>>> = Arc::default();
    let fates = next.clone();
    let proxy = PrivateProxy::before(
        &glue.endpoint,
        Arc::new(move |operation, body| {
            let ours = operation == "UpdateTable" && !body.contains("bonded_probe");
            if ours { fates.lock().unwrap().take().unwrap_or(Fate::Pass) } else { Fate::Pass }
        }),
    );
    let world = world.beside_glue(&proxy.endpoint).peopled();
    let files = world.corpus_files("in", &Corpus::new(random_plan(10)).expect("fit"));
    let ingest = |at: usize| world.spawn(&["ingest", "--tenant", TENANT, &files[at].display().to_string()]);
    let once = |at: usize| {
        let receipt = world.ingest(TENANT, &files[at..=at]).remove(0);
        assert_eq!(receipt["state"], "committed", "{receipt}");
        let table = world.json(&["tables", "--tenant", TENANT]).remove(at)["info"].clone();
        assert_eq!((&table["snapshots"], &table["rows"]), (&json!(1), &receipt["rows_committed"]), "{table}");
        world.ok(&["verify"]);
    };

    let (done, is_done) = mpsc::channel();
    let (killed, is_killed) = mpsc::channel::<()>();
    *next.lock().unwrap() = Some(Fate::Then(Box::new(move || {
        done.send(()).expect("heard");
        is_killed.recv().expect("told");
    })));
    let mut child = ingest(0);
    is_done.recv_timeout(std::time::Duration::from_secs(120)).expect("it comes to the swap");
    child.kill().expect("killed");
    child.wait().expect("it ended");
    killed.send(()).expect("heard");
    // The rows are there, the ledger does not know it, and neither is damage.
    assert!(rows(&world, "es_001") > 0);
    world.ok(&["verify"]);
    once(0);

    let gate = Arc::new(Gate::default());
    *next.lock().unwrap() = Some(Fate::Hold(gate.clone()));
    let mut child = ingest(1);
    while next.lock().unwrap().is_some() {
        assert!(child.try_wait().expect("it can be asked").is_none(), "it ended before the swap");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().expect("killed");
    child.wait().expect("it ended");
    once(1);
    gate.let_through();
    once(1);
}

#[test]
fn a_delivery_costs_few_requests_to_glue() {
    let Some((world, glue)) = bare(None) else { return };
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = asked.clone();
    let proxy = PrivateProxy::before(
        &glue.endpoint,
        Arc::new(move |operation, body| {
            let of = if body.contains("bonded_probe") { "probe " } else { "" };
            heard.lock().unwrap().push(format!("{of}{operation}"));
            Fate::Pass
        }),
    );
    let world = world.beside_glue(&proxy.endpoint).peopled();
    let file = |serial_first| {
        let plan = Plan { serial_first, ..random_plan(10) };
        world.corpus_files(&format!("in-{serial_first}"), &Corpus::new(plan).expect("fit"))[2].display().to_string()
    };
    world.ok(&["ingest", "--tenant", TENANT, &file(0)]);
    let second = file(1000);
    asked.lock().unwrap().clear();
    world.ok(&["ingest", "--tenant", TENANT, &second]);
    let mut calls = std::collections::BTreeMap::new();
    for call in asked.lock().unwrap().drain(..) {
        *calls.entry(call).or_insert(0) += 1;
    }
    println!("one delivery: {calls:?}");
    let count = |call: &str| calls.get(call).copied().unwrap_or(0);
    assert!(count("GetTable") <= 6 && count("UpdateTable") == 1, "{calls:?}");
    assert_eq!((count("probe GetTable"), count("probe UpdateTable"), count("CreateTable")), (1, 2, 0), "{calls:?}");
    // A question changes nothing there, and probes nothing.
    world.ask(TENANT, "SELECT count(*) FROM es_003");
    assert!(asked.lock().unwrap().iter().all(|call| call.starts_with("Get")), "{asked:?}");
}

#[test]
fn what_a_catalog_cannot_give_is_refused_by_name() {
    let Some((world, glue)) = bare(None) else { return };
    let proxy = PrivateProxy::before(
        &glue.endpoint,
        Arc::new(|operation, body| {
            if operation == "UpdateTable" {
                let mut asked: Value = serde_json::from_str(body).expect("JSON");
                asked.as_object_mut().expect("an object").remove("VersionId");
                *body = asked.to_string();
            }
            Fate::Pass
        }),
    );
    for (name, value, says) in [
        ("BONDED_AWS_GLUE_ENDPOINT", Some(proxy.endpoint.as_str()), "would lose commits"),
        ("BONDED_AWS_GLUE_ENDPOINT", Some("https://glue.eu-west-1.amazonaws.com"), "eu-west-1"),
        ("BONDED_AWS_GLUE_ENDPOINT", Some("http://glue.example"), "https://"),
        ("BONDED_CATALOG_DATABASE", Some("Bonded-1"), "catalog.database"),
        ("BONDED_CATALOG_KIND", Some("hive"), "catalog"),
        ("AWS_ACCESS_KEY_ID", None, "standard chain"),
    ] {
        let mut command = world.command(&["init"]);
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
        let output = command.output().expect("the binary starts");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(says), "{name} {value:?}: {told}");
    }
    let folder = World::bare();
    let output = folder.command(&["init"]).env("BONDED_CATALOG_KIND", "glue").output().expect("the binary starts");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is for a lake on s3://"), "{output:?}");
    world.ok(&["init"]);
}
