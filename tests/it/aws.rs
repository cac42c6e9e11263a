//! A lake in a bucket with its keys at the KMS, by configuration alone, on emulators: the real binary, the whole spine.

use bonded::demo::corpus::{Corpus, Plan};
use serde_json::{Value, json};

#[path = "../../connectors/src/aws/private_aws.rs"]
pub mod private_aws;

use crate::{
    postgres::private_postgres::PrivatePostgres,
    world::{Bucket, OTHER, TENANT, World, random_plan},
};
use private_aws::PrivateAws;

/// A lake with two tenants in a new bucket.
fn world(aws: &PrivateAws, locked: bool, cluster: Option<&PrivatePostgres>) -> World {
    bare(aws, locked, cluster).peopled()
}

fn bare(aws: &PrivateAws, locked: bool, cluster: Option<&PrivatePostgres>) -> World {
    World::in_bucket(Bucket { endpoint: aws.endpoint.clone(), name: aws.bucket("bonded", locked) }, cluster)
}

fn bucket_of(world: &World) -> &str {
    &world.bucket.as_ref().expect("in a bucket").name
}

fn corpus(plan: Plan) -> Corpus {
    Corpus::new(plan).expect("fit")
}

/// Calls to the KMS while a command runs, by what they are.
fn calls(world: &World, arguments: &[&str]) -> Vec<String> {
    let output = world.command(arguments).env("BONDED_LOG", "error,kms.call=debug").output().expect("the binary starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let of = |line: &str| Some(line.split_once("operation=\"")?.1.split_once('"')?.0.to_owned());
    told.lines().filter(|line| line.contains("kms.call")).filter_map(of).collect()
}

fn rows(world: &World, tenant: &str, table: &str) -> u64 {
    world.ask(tenant, &format!("SELECT count(*) AS n FROM {table}"))["n"].as_u64().expect("a number")
}

#[test]
fn the_spine_runs_in_a_bucket_under_kms_keys_by_configuration_alone() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let world = world(aws, true, None);
    let corpus = corpus(random_plan(40).planting(1));
    let files = world.corpus_files("in", &corpus);
    let first = world.ingest(TENANT, &files);
    assert!(world.ingest(TENANT, &files).iter().all(|receipt| receipt["duplicate"] == json!(true)));
    assert_eq!(world.json(&["reconcile", "--tenant", TENANT]).len(), 9);
    for (receipt, file) in first.iter().zip(&files) {
        let id = receipt["delivery"]["id"].as_str().expect("an id");
        assert!(world.run(&["raw", "get", id]).stdout == std::fs::read(file).unwrap(), "other bytes came back");
    }
    let verdicts: Vec<Value> = world.json(&["attest", "--tenant", TENANT]);
    assert!(verdicts.len() == 3 && verdicts.iter().all(|line| line["verdict"] == "agrees"), "{verdicts:?}");
    world.ok(&["maintain"]);
    world.ok(&["verify"]);
    assert!(world.json(&["deliveries", "--tenant", OTHER]).is_empty());

    // Nothing of the files lies in the bucket as it came, and nothing outside of the lake's folder.
    let marker = String::from_utf8(std::fs::read(&files[1]).unwrap()).unwrap();
    let number = marker.lines().nth(1).and_then(|line| line.split(',').next()).expect("a cell").trim_matches('"').to_owned();
    assert!(number.len() > 8, "{number} could be anywhere");
    let objects = aws.objects(bucket_of(&world));
    assert!(objects.len() > 20, "{objects:?}");
    for key in &objects {
        assert!(key.starts_with("lake/"), "{key}");
        let stored = aws.ask("GET", &format!("/{}/{key}", bucket_of(&world)), &[], "");
        assert!(!stored.contains(&number), "{key} holds a cell as it came");
        let encrypted = stored.to_ascii_lowercase().contains("x-amz-server-side-encryption: aws:kms");
        assert_eq!(encrypted, key.starts_with("lake/tenants/"), "{key}");
    }
}

/// Settings were held against the allowed regions; the environment was not.
#[test]
fn no_endpoint_but_the_settings_is_asked() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("set");
    let url = format!("http://{}", elsewhere.local_addr().expect("bound"));
    let world = bare(aws, false, None);
    for arguments in [["init"].as_slice(), &["tenant", "add", TENANT], &["key", "list"]] {
        let mut command = world.command(arguments);
        for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL_S3"] {
            command.env(name, &url);
        }
        let output = command.output().expect("the binary starts");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let asked = elsewhere.accept().map(|(_, peer)| peer);
    assert!(asked.is_err(), "{asked:?} was sent there by the environment");
}

#[test]
fn a_delivery_costs_few_calls_to_the_kms_and_a_question_a_known_number() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let world = world(aws, false, None);
    let files = world.corpus_files("in", &corpus(random_plan(20)));
    let file = |at: usize| files[at].display().to_string();
    let count = |calls: &[String], what: &str| calls.iter().filter(|call| *call == what).count();
    world.ok(&["ingest", "--tenant", TENANT, &file(0)]);
    let calls_of_one = calls(&world, &["ingest", "--tenant", TENANT, &file(1)]);
    println!("one delivery: {calls_of_one:?}");
    // The raw object's data key, and the new table's key-encryption key; not one a data file.
    assert!(count(&calls_of_one, "Encrypt") + count(&calls_of_one, "GenerateDataKey") <= 2, "{calls_of_one:?}");
    let again = calls(&world, &["query", "--tenant", TENANT, "SELECT count(*) FROM es_001"]);
    println!("one question: {again:?}");
    assert_eq!(count(&again, "Encrypt"), 0, "{again:?}");
    // Twice the question in one process: nothing more is opened.
    let sql = "SELECT (SELECT count(*) FROM es_001) + (SELECT count(*) FROM es_001)";
    let twice = calls(&world, &["query", "--tenant", TENANT, sql]);
    assert_eq!(count(&twice, "Decrypt"), count(&again, "Decrypt"), "{twice:?}");
}

#[test]
fn a_disabled_key_refuses_its_tenant_and_no_other() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let world = world(aws, false, None);
    let files = world.corpus_files("in", &corpus(random_plan(10)));
    for tenant in [TENANT, OTHER] {
        world.ingest(tenant, &files[..1]);
    }
    world.ok(&["key", "disable", TENANT]);
    let file = files[1].display().to_string();
    for arguments in [
        vec!["query", "--tenant", TENANT, "SELECT 1"],
        vec!["ingest", "--tenant", TENANT, &file],
        vec!["reconcile", "--tenant", TENANT],
        vec!["attest", "--tenant", TENANT],
    ] {
        let run = world.run(&arguments);
        assert!(run.code == 4 && run.stderr.contains("disabled"), "{arguments:?}: {} {}", run.code, run.stderr);
        assert!(run.stdout.is_empty());
    }
    assert!(rows(&world, OTHER, "es_001") > 0);
    world.ok(&["key", "enable", TENANT]);
    assert_eq!(world.ingest(TENANT, &files[1..2])[0]["duplicate"], json!(false));
    world.ok(&["key", "rotate", TENANT]);
    world.ok(&["maintain"]);
    assert!(rows(&world, TENANT, "es_002") > 0, "what lay there before a rotation opens after it");
    let states: Vec<Value> = world.json(&["key", "list"]);
    let ours = states.iter().find(|key| key["tenant"] == TENANT).expect("listed");
    assert_eq!((&ours["state"], &ours["version"]), (&json!("enabled"), &json!(2)));
}

/// Keys in the same account, objects in the same bucket: the control store of one lake with the names of another opens nothing.
#[test]
fn the_keys_of_another_tenant_open_nothing() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let world = world(aws, false, None);
    let receipt = world.ingest(TENANT, &world.corpus_files("in", &corpus(random_plan(10)))[..1]).remove(0);
    let path = receipt["raw_path"].as_str().expect("a path").to_owned();
    let theirs = path.replace(TENANT, OTHER);
    // Whoever may write to the bucket puts our object into the other tenant's place.
    let (bucket, source) = (bucket_of(&world), format!("x-amz-copy-source: /{}/lake/{path}", bucket_of(&world)));
    aws.ask("PUT", &format!("/{bucket}/lake/{theirs}"), &[&source], "");
    let record = format!("lake/tenants/{TENANT}/raw/tenant.json");
    aws.ask(
        "PUT",
        &format!("/{bucket}/{}", record.replace(TENANT, OTHER)),
        &[&format!("x-amz-copy-source: /{bucket}/{record}")],
        "",
    );
    let run = world.run(&["verify"]);
    assert_ne!(run.code, 0, "a foreign object and a foreign record were not found");
    assert!(String::from_utf8_lossy(&run.stdout).contains(OTHER), "{}", String::from_utf8_lossy(&run.stdout));
}

#[test]
fn two_processes_that_append_at_once_lose_nothing_and_double_nothing() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let Some(cluster) = PrivatePostgres::start() else { return };
    let world = world(aws, true, Some(&cluster));
    let halves: Vec<Corpus> = (0..2).map(|half| corpus(Plan { serial_first: half * 1000, ..random_plan(30) })).collect();
    let folders: Vec<Vec<String>> = halves
        .iter()
        .enumerate()
        .map(|(at, corpus)| {
            world.corpus_files(&format!("in-{at}"), corpus).iter().map(|file| file.display().to_string()).collect()
        })
        .collect();
    // Each has the other's first file as well.
    let children: Vec<_> = [(0, 1), (1, 0)]
        .map(|(own, other)| {
            let mut arguments = vec!["ingest", "--tenant", TENANT];
            arguments.extend(folders[own].iter().map(String::as_str));
            arguments.push(&folders[other][0]);
            world.spawn(&arguments)
        })
        .into();
    for child in children {
        let output = child.wait_with_output().expect("it ended");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for (report, table) in bonded_schemas::Report::ENTRY_SUMMARIES.into_iter().map(|report| (report, report.table())) {
        let written: u64 = halves.iter().map(|half| half.write(report, &mut std::io::sink()).expect("written").rows).sum();
        assert_eq!(rows(&world, TENANT, table), written, "{table}");
    }
    assert_eq!(world.json(&["deliveries", "--tenant", TENANT]).len(), 6);
}

#[test]
fn what_a_bucket_cannot_give_is_refused_by_name() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let world = bare(aws, false, None);
    let without = |name: &str, value: Option<&str>, arguments: &[&str]| {
        let mut command = world.command(arguments);
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
        let output = command.output().expect("the binary starts");
        (output.status.code().expect("it ended by itself"), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (name, value, says) in [
        ("BONDED_STORE_FOLDER", None, "store.postgres, or store.folder"),
        ("BONDED_AWS_LOCK", Some("true"), "compliance mode"),
        ("BONDED_AWS_ENDPOINT", Some("http://kms.example"), "https://"),
        ("BONDED_AWS_REGION", Some("nowhere"), "aws.region"),
        ("AWS_ACCESS_KEY_ID", None, "standard chain"),
        ("BONDED_KEYS_LAKE", Some("a b"), "keys.lake"),
    ] {
        let (code, told) = without(name, value, &["init"]);
        assert!(code == 3 && told.contains(says), "{name}: {code} {told}");
    }
    world.ok(&["init"]);
    let folder = world.path("copy").display().to_string();
    for (arguments, code, says) in [
        (vec!["rebuild", "--to", &folder], 2, "rebuilt in place"),
        (vec!["restore", "--from", &folder], 2, "no backup in"),
        (vec!["restore", "--from", &folder, "--to", "s3://Not A Bucket"], 2, "no backup in"),
        (vec!["backup", "--to", &folder, "--keys-to", &folder], 3, "keys"),
    ] {
        let run = world.run(&arguments);
        assert!(run.code == code && run.stderr.contains(says), "{arguments:?}: {} {}", run.code, run.stderr);
    }
}

#[test]
fn a_lost_control_store_is_made_again_from_the_raw_zone_in_the_bucket() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let world = world(aws, true, None);
    let files = world.corpus_files("in", &corpus(random_plan(20).planting(1)));
    world.ingest(TENANT, &files);
    let (before, findings) = (rows(&world, TENANT, "es_003"), world.json(&["reconcile", "--tenant", TENANT]).len());
    std::fs::remove_dir_all(world.lake()).unwrap();
    let run = world.run(&["deliveries", "--tenant", TENANT]);
    assert!(run.code == 3, "{}", run.stderr);
    world.ok(&["rebuild"]);
    assert_eq!(rows(&world, TENANT, "es_003"), before);
    assert_eq!(world.json(&["reconcile", "--tenant", TENANT]).len(), findings);
    assert!(world.ingest(TENANT, &files).iter().all(|receipt| receipt["duplicate"] == json!(true)));
    world.ok(&["verify"]);
}

#[test]
fn received_files_and_the_trail_are_kept_by_s3_and_the_doctor_sees_it() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let bucket = Bucket { endpoint: aws.endpoint.clone(), name: aws.lockable_bucket("bonded") };
    let world = World::in_bucket(bucket, None);
    let run = |arguments: &[&str]| {
        let output = world.command(arguments).env("BONDED_AWS_RETAIN", "2d").output().expect("the binary starts");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let ok = |arguments: &[&str]| {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
        stdout
    };
    for arguments in [["init"].as_slice(), &["tenant", "add", TENANT]] {
        ok(arguments);
    }
    let file = world.corpus_files("in", &corpus(random_plan(10)))[0].display().to_string();
    ok(&["ingest", "--tenant", TENANT, &file]);
    ok(&["maintain"]);
    let retention =
        |key: &str| aws.try_ask("GET", &format!("/{}/{key}?retention", bucket_of(&world)), &[], "").expect("an answer");
    let mut kept = 0;
    for key in aws.objects(bucket_of(&world)) {
        let written_once = ["/raw/", "/audit/"].iter().any(|part| key.contains(part)) && !key.contains("/staging/");
        let (status, text) = retention(&key);
        assert_eq!(status == 200 && text.contains("COMPLIANCE"), written_once, "{key}: {status} {text}");
        kept += usize::from(written_once);
    }
    assert!(kept >= 3, "a file, its note and the tenant's record");
    let told = crate::world::json_lines(&run(&["--json", "doctor"]).1).remove(0);
    let of_lock = |finding: &&Value| finding["object"].as_str().is_some_and(|object| object.ends_with("object-lock"));
    let seen = told["findings"].as_array().expect("a list").iter().find(of_lock).expect("a finding");
    assert_eq!(seen["verdict"], "ok", "{seen}");
    // The same bucket, asked for what it does not have.
    let refused = world.command(&["tenant", "list"]).env("BONDED_AWS_LOCK", "true").output().expect("the binary starts");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("aws.lock"));
    let unlockable = World::in_bucket(Bucket { endpoint: aws.endpoint.clone(), name: aws.bucket("bonded", false) }, None);
    let refused = unlockable.command(&["init"]).env("BONDED_AWS_RETAIN", "2d").output().expect("the binary starts");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("aws.retain"));
}
