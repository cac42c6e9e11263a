//! The drill in a bucket: a lake on S3 under KMS keys, backed up, and made again under another prefix.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    sync::{Arc, mpsc},
    time::Duration,
};

use bonded::demo::corpus::Corpus;

use crate::{
    aws::private_aws::PrivateAws,
    glue::private_proxy::{Fate, Gate, PrivateProxy},
    postgres::private_postgres::PrivatePostgres,
    rebuild::{QUESTIONS, assert_same, eventful},
    world::{Bucket, OTHER, TENANT, World, random_plan},
};

type Views = BTreeMap<String, Vec<String>>;

fn world(aws: &PrivateAws, bucket: &str, cluster: Option<&PrivatePostgres>) -> World {
    World::in_bucket(Bucket { endpoint: aws.endpoint.clone(), name: bucket.to_owned() }, cluster)
}

/// As the console answers, each row a line.
fn views(world: &World, tenant: &str) -> Views {
    let ask = |sql: &str| {
        let mut rows: Vec<String> = world.ok(&["--json", "query", "--tenant", tenant, sql]).lines().map(str::to_owned).collect();
        rows.sort();
        rows
    };
    QUESTIONS.iter().map(|(name, sql)| ((*name).to_owned(), ask(sql))).collect()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn under(aws: &PrivateAws, bucket: &str, prefix: &str) -> Vec<String> {
    let listed = aws.ask("GET", &format!("/{bucket}?list-type=2&prefix={prefix}/"), &[], "");
    listed.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned())).collect()
}

/// The key that S3 encrypts an object with, where it is one of the KMS's.
fn key_of(aws: &PrivateAws, bucket: &str, key: &str) -> Option<String> {
    let head = aws.ask("HEAD", &format!("/{bucket}/{key}"), &[], "").to_ascii_lowercase();
    head.lines().find_map(|line| line.strip_prefix("x-amz-server-side-encryption-aws-kms-key-id: ").map(str::to_owned))
}

fn keys(world: &World) -> BTreeMap<String, String> {
    let told = world.json(&["key", "list"]);
    let cell = |line: &serde_json::Value, name: &str| line[name].as_str().expect("text").to_owned();
    told.iter().map(|line| (cell(line, "tenant"), cell(line, "key_id"))).collect()
}

#[test]
fn drill_a_lake_in_a_bucket_comes_back_under_another_prefix() {
    let Some(aws) = PrivateAws::localstack() else { return };
    // Nothing in it can be written over or removed, and a restore needs neither.
    let bucket = aws.bucket("drill", true);
    let lake = world(aws, &bucket, None).peopled();
    eventful(&lake);
    let files = lake.corpus_files("other", &Corpus::new(random_plan(8)).expect("fit"));
    lake.ingest(OTHER, &files);
    lake.file("lake/rules.toml", "# none of its own\n");
    let before = [TENANT, OTHER].map(|tenant| views(&lake, tenant));
    let (copied, referred) = (text(&lake.path("copied")), text(&lake.path("referred")));
    lake.ok(&["backup", "--to", &copied, "--copy"]);
    lake.ok(&["backup", "--to", &referred]);

    let owned = keys(&lake);
    for (prefix, from) in [("again", &copied), ("by-reference", &referred)] {
        let new = world(aws, &format!("{bucket}/{prefix}"), None);
        new.ok(&["restore", "--from", from]);
        // Both where the copy was taken from; one where each object was read in its old place.
        for (tenant, before) in [TENANT, OTHER].iter().zip(&before).take(if prefix == "again" { 2 } else { 1 }) {
            assert_same(before, &views(&new, tenant));
        }
        new.ok(&["verify"]);
        assert!(new.lake().join("rules.toml").is_file());
        // Each object under its tenant's key.
        let objects = under(aws, &bucket, prefix);
        assert!(objects.len() > 30, "{objects:?}");
        for tenant in [TENANT, OTHER] {
            let own: Vec<_> = objects.iter().filter(|key| key.contains(&format!("/tenants/{tenant}/"))).collect();
            assert!(own.iter().all(|key| key_of(aws, &bucket, key).as_ref() == owned.get(tenant)), "{tenant}");
        }
        let again = new.run(&["restore", "--from", from]);
        assert!(again.code == 4 && again.stderr.contains("not empty"), "{}", again.stderr);
    }

    // It is a lake: it knows what it has, takes more, and the one that it came from is as it was.
    let new = world(aws, &format!("{bucket}/again"), None);
    std::fs::remove_dir(new.lake()).ok();
    let third = world(aws, &format!("{bucket}/third"), None);
    third.ok(&["restore", "--from", &copied]);
    assert!(third.ingest(OTHER, &files).iter().all(|receipt| receipt["duplicate"] == true));
    let more = third.corpus_files("more", &Corpus::new(random_plan(5)).expect("fit"));
    assert_eq!(third.ingest(OTHER, &more[..1])[0]["duplicate"], false);
    third.ok(&["maintain"]);
    third.ok(&["verify"]);
    assert_same(&before[1], &views(&lake, OTHER));

    // Where a lake is, none is made: not with another control store, and not beside what is no lake at all.
    for from in [&copied, &referred] {
        let finished = new.run(&["restore", "--from", from]);
        assert!(finished.code == 4 && finished.stderr.contains("holds a lake"), "{}", finished.stderr);
    }
    aws.ask("PUT", &format!("/{bucket}/taken/lake/readme"), &[], "somebody's");
    let taken = world(aws, &format!("{bucket}/taken"), None).run(&["restore", "--from", &copied]);
    assert!(taken.code == 4 && taken.stderr.contains("holds something already"), "{}", taken.stderr);
    assert_eq!(under(aws, &bucket, "taken").len(), 1);
}

#[test]
fn drill_the_control_store_of_a_lake_in_a_bucket_comes_back_in_place() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let bucket = aws.bucket("drill", false);
    let lake = world(aws, &bucket, None).peopled();
    let files = lake.corpus_files("in", &Corpus::new(random_plan(10)).expect("fit"));
    lake.ingest(TENANT, &files);
    let before = views(&lake, TENANT);
    let to = text(&lake.path("backup"));
    lake.ok(&["backup", "--to", &to]);
    let kept = lake.run(&["restore", "--from", &to]);
    assert!(kept.code == 4 && kept.stderr.contains("not empty"), "{}", kept.stderr);
    for _ in 0..2 {
        std::fs::remove_dir_all(lake.lake()).unwrap();
        let unsaid = lake.run(&["restore", "--from", &to]);
        assert!(unsaid.code == 4 && unsaid.stderr.contains("--control-store-lost"), "{}", unsaid.stderr);
        lake.ok(&["restore", "--from", &to, "--control-store-lost"]);
        assert_same(&before, &views(&lake, TENANT));
        lake.ok(&["verify"]);
    }
}

#[test]
fn drill_a_restored_lake_in_a_bucket_is_backed_up_where_it_is_and_is_nobody_elses() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let bucket = aws.bucket("drill", false);
    let lake = world(aws, &bucket, None).peopled();
    let files = lake.corpus_files("in", &Corpus::new(random_plan(8)).expect("fit"));
    lake.ingest(TENANT, &files[..2]);
    let (copied, referred) = (text(&lake.path("copied")), text(&lake.path("referred")));
    lake.ok(&["backup", "--to", &copied, "--copy"]);
    let moved = world(aws, &format!("{bucket}/moved"), None);
    moved.ok(&["restore", "--from", &copied]);
    moved.ingest(TENANT, &files[2..]);
    let before = views(&moved, TENANT);
    moved.ok(&["backup", "--to", &referred]);

    // Where it lay before is gone, and the third place has all.
    for key in under(aws, &bucket, "lake") {
        aws.ask("DELETE", &format!("/{bucket}/{key}"), &[], "");
    }
    let third = world(aws, &format!("{bucket}/third"), None);
    third.ok(&["restore", "--from", &referred]);
    assert_same(&before, &views(&third, TENANT));
    third.ok(&["verify"]);

    // It lives, so no second control store comes to its objects unless the first is said to be lost.
    let second = world(aws, &format!("{bucket}/moved"), None);
    let refused = second.run(&["restore", "--from", &referred]);
    assert!(refused.code == 4 && refused.stderr.contains("holds a lake") && !second.lake().exists(), "{}", refused.stderr);
    std::fs::remove_dir_all(moved.lake()).unwrap();
    second.ok(&["restore", "--from", &referred, "--control-store-lost"]);
    assert_same(&before, &views(&second, TENANT));
    second.ok(&["verify"]);
    let trail = second.ok(&["--json", "audit"]);
    assert!(trail.contains("control_store_lost"), "{trail}");
}

/// Restores until S3 is asked to take such an object, and kills it there. The request may arrive all the same.
fn killed_at(aws: &PrivateAws, world: &World, from: &str, object: &'static str, lands: bool) {
    let (came, has_come) = mpsc::channel();
    let gate = Arc::new(Gate::default());
    let held = gate.clone();
    let rule = move |operation: &str, _: &mut String| {
        if !(operation.starts_with("PUT ") && operation.split('?').next().is_some_and(|path| path.ends_with(object))) {
            return Fate::Pass;
        }
        let _ = came.send(());
        if lands { Fate::Hold(held.clone()) } else { Fate::LoseRequest }
    };
    let proxy = PrivateProxy::before(&aws.endpoint, Arc::new(rule));
    let mut command = world.command(&["restore", "--from", from]);
    command.env("BONDED_AWS_ENDPOINT", &proxy.endpoint).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary starts");
    let came = has_come.recv_timeout(Duration::from_secs(120));
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    came.expect("it got there");
    if lands {
        gate.let_through();
    }
}

#[test]
fn drill_keys_at_the_kms_are_in_no_backup_and_must_answer() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let bucket = aws.lockable_bucket("drill");
    let lake = world(aws, &bucket, None).peopled();
    let files = lake.corpus_files("in", &Corpus::new(random_plan(6)).expect("fit"));
    for tenant in [TENANT, OTHER] {
        lake.ingest(tenant, &files);
    }
    let before = views(&lake, TENANT);
    let to = text(&lake.path("backup"));
    lake.ok(&["backup", "--to", &to, "--copy"]);
    let owned = keys(&lake);
    let key = owned[OTHER].clone();
    lake.ok(&["key", "disable", OTHER]);

    let new = world(aws, &format!("{bucket}/again"), None);
    let refused = new.run(&["restore", "--from", &to]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    for part in ["in no backup", &key, OTHER, "--without", "disabled"] {
        assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
    }
    assert!(under(aws, &bucket, "again").is_empty() && !new.lake().exists(), "something was written");
    for (arguments, says) in [
        (["--without", "no-such-tenant"], "no tenant `no-such-tenant`"),
        (["--keys-from", "vault"], "--keys-from is for a keyring"),
    ] {
        let odd = new.run(&[&["restore", "--from", &to], &arguments[..]].concat());
        assert!(odd.code == 2 && odd.stderr.contains(says), "{} {}", odd.code, odd.stderr);
    }
    let mut restoring = new.command(&["--json", "restore", "--from", &to, "--without", OTHER]);
    let told = restoring.env("BONDED_AWS_RETAIN", "2d").output().expect("the binary starts");
    let (said, remarks) =
        (String::from_utf8_lossy(&told.stdout).into_owned(), String::from_utf8_lossy(&told.stderr).into_owned());
    assert!(told.status.success() && said.contains("left_out"), "{said} {remarks}");
    assert_same(&before, &views(&new, TENANT));
    new.ok(&["verify"]);
    assert_eq!(new.run(&["deliveries", "--tenant", OTHER]).code, 4);
    // The keys go by the name of the lake that they were made for, and the restore says by which.
    let named = remarks.split('`').find(|word| word.len() == 16).unwrap_or_else(|| panic!("{remarks}"));
    assert!(keys(&new).is_empty());
    let listed = new.command(&["--json", "key", "list"]).env("BONDED_KEYS_LAKE", named).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), owned.len());
    let mut kept = 0;
    for key in under(aws, &bucket, "again") {
        assert!(!key.contains(OTHER), "{key}");
        // What is written once is kept by S3 here as well.
        let written_once = ["/raw/", "/audit/"].iter().any(|part| key.contains(part));
        let (status, text) = aws.try_ask("GET", &format!("/{bucket}/{key}?retention"), &[], "").expect("an answer");
        assert_eq!(status == 200 && text.contains("COMPLIANCE"), written_once, "{key}");
        kept += usize::from(written_once);
    }
    assert!(kept >= 5, "files, their notes and the tenant's record");
}

#[test]
fn drill_a_restore_into_a_bucket_that_was_killed_goes_on_and_takes_nothing_altered() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let bucket = aws.bucket("drill", false);
    let lake = world(aws, &bucket, None).peopled();
    lake.ingest(TENANT, &lake.corpus_files("in", &Corpus::new(random_plan(10)).expect("fit")));
    let before = views(&lake, TENANT);
    let to = text(&lake.path("backup"));
    lake.ok(&["backup", "--to", &to, "--copy"]);
    let data = |keys: &[String]| keys.iter().filter(|key| key.ends_with(".parquet")).count();
    let all = data(&under(aws, &bucket, "lake"));
    for (at, (object, lands)) in
        [("/lake/root.url", true), (".parquet", false), ("/lake/restored", false), ("/lake/restored", true)]
            .into_iter()
            .enumerate()
    {
        let prefix = format!("killed-{at}");
        let new = world(aws, &format!("{bucket}/{prefix}"), None);
        killed_at(aws, &new, &to, object, lands);
        let left = under(aws, &bucket, &prefix);
        let are_all_there = object.ends_with("restored");
        assert!(!new.lake().exists() && !left.is_empty() && (data(&left) == all) == are_all_there, "{object} {left:?}");
        assert_eq!(left.iter().any(|key| key.ends_with("/lake/restored")), are_all_there && lands);
        if are_all_there && lands {
            // From then on it is a lake to everybody else.
            let other = world(aws, &format!("{bucket}/{prefix}"), None).run(&["restore", "--from", &to]);
            assert!(other.code == 4 && other.stderr.contains("holds a lake"), "{}", other.stderr);
        }
        new.ok(&["restore", "--from", &to]);
        assert_same(&before, &views(&new, TENANT));
        new.ok(&["verify"]);
    }

    // What lies there and is not what was backed up is found; and so is an altered backup.
    let new = world(aws, &format!("{bucket}/altered"), None);
    let root = format!("s3://{bucket}/lake\n");
    aws.ask("PUT", &format!("/{bucket}/altered/lake/root.url"), &[], &root);
    let path = under(aws, &bucket, "lake").into_iter().find(|key| key.ends_with(".parquet")).expect("a data file");
    aws.ask("PUT", &format!("/{bucket}/altered/{path}"), &[], "not what was backed up");
    let refused = new.run(&["restore", "--from", &to]);
    assert!(refused.code == 6 && refused.stderr.contains(".parquet") && !new.lake().exists(), "{}", refused.stderr);
    let object = Path::new(&to).join(&path);
    let mut bytes = std::fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&object, bytes).unwrap();
    let new = world(aws, &format!("{bucket}/spoilt"), None);
    let refused = new.run(&["restore", "--from", &to]);
    assert!(refused.code == 6 && refused.stderr.contains(".parquet") && !new.lake().exists(), "{}", refused.stderr);
    assert!(!under(aws, &bucket, "spoilt").iter().any(|key| key.ends_with(&path)), "an altered object was written");
}

#[test]
fn drill_a_lake_in_a_bucket_and_postgresql_comes_back_in_another_database() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let Some(cluster) = PrivatePostgres::start() else { return };
    let bucket = aws.bucket("drill", true);
    let lake = world(aws, &bucket, Some(&cluster));
    let beside = text(&lake.path("beside"));
    let lake = lake.told(vec![("BONDED_STORE_FOLDER", Some(beside))]).peopled();
    lake.file("beside/rules.toml", "# none of its own\n");
    let files = lake.corpus_files("in", &Corpus::new(random_plan(8)).expect("fit"));
    for tenant in [TENANT, OTHER] {
        lake.ingest(tenant, &files);
    }
    let before = [TENANT, OTHER].map(|tenant| views(&lake, tenant));
    let to = text(&lake.path("backup"));
    lake.ok(&["backup", "--to", &to, "--copy"]);
    let new = world(aws, &format!("{bucket}/again"), Some(&cluster));
    let beside = new.path("beside");
    let mut new = new.told(vec![("BONDED_STORE_FOLDER", Some(text(&beside)))]);
    // The store that is there is another lake's.
    let refused = new.run(&["restore", "--from", &to]);
    assert!(refused.code == 4 && refused.stderr.contains("empty"), "{}", refused.stderr);
    assert!(under(aws, &bucket, "again").is_empty(), "it was noticed after objects were written");
    new.postgres = Some(cluster.another("again"));
    // Cut short when all rows are there, it goes on; but not over rules that somebody wrote meanwhile.
    killed_at(aws, &new, &to, "/lake/restored", false);
    let rules = beside.join("rules.toml");
    let carried = std::fs::read(&rules).expect("carried");
    std::fs::write(&rules, "# another's\n").unwrap();
    let refused = new.run(&["restore", "--from", &to]);
    assert!(refused.code == 4 && refused.stderr.contains("move it away"), "{}", refused.stderr);
    std::fs::write(&rules, carried).unwrap();
    new.ok(&["restore", "--from", &to]);
    for (tenant, before) in [TENANT, OTHER].iter().zip(&before) {
        assert_same(before, &views(&new, tenant));
    }
    new.ok(&["verify"]);
    assert!(new.ingest(TENANT, &files).iter().all(|receipt| receipt["duplicate"] == true));
}
