//! The drill: backup, disaster, restore, and proof that every view is as it was. `make drill` runs it and shows what it says.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bonded::demo::corpus::Corpus;
use bonded_schemas::Report;
use serde_json::Value;

use crate::{
    postgres::private_postgres::PrivatePostgres,
    rebuild::{assert_same, eventful, views},
    world::{OTHER, Run, TENANT, World, files_under, random_plan},
};

const PASSPHRASE: &str = "kept in a sealed envelope";

fn run(world: &World, arguments: &[&str]) -> Run {
    let mut command = world.command(arguments);
    command.env("BONDED_BACKUP_KEYS_PASSPHRASE", "env:ENVELOPE").env("ENVELOPE", PASSPHRASE);
    let output = command.output().expect("the binary starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { code: output.status.code().expect("it ended by itself"), stdout: output.stdout, stderr }
}

fn ok(world: &World, arguments: &[&str]) -> Duration {
    let started = Instant::now();
    let done = run(world, arguments);
    assert_eq!(done.code, 0, "{arguments:?}: {}{}", String::from_utf8_lossy(&done.stdout), done.stderr);
    started.elapsed()
}

/// Full, on the lake in this folder with the keys beside it.
fn undamaged(world: &World, lake: &Path) -> Duration {
    let started = Instant::now();
    let mut command = std::process::Command::new(world.command(&[]).get_program());
    let output = command.arg("--lake").arg(lake).args(["--json", "verify"]).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&output.stderr));
    started.elapsed()
}

fn compared(what: &str, before: &std::collections::BTreeMap<String, Vec<String>>, took: [Duration; 3]) {
    let rows: usize = before.values().map(Vec::len).sum();
    println!(
        "{what}: {} views, {rows} rows equal; backup {:.1?}, restore {:.1?}, verify {:.1?}",
        before.len(),
        took[0],
        took[1],
        took[2]
    );
}

#[test]
fn drill_all_is_lost_and_comes_back_from_a_copy() {
    let world = World::new();
    eventful(&world);
    let (lake, keys) = (world.lake(), world.keys());
    let (to, vault, new) = (world.path("backup"), world.path("vault"), world.path("new"));
    let (to, vault) = (to.to_str().unwrap(), vault.to_str().unwrap());
    let before = views(&lake, &keys, None, TENANT);
    let took = ok(&world, &["backup", "--to", to, "--copy", "--keys-to", vault]);
    assert_eq!(run(&world, &["backup", "--to", to]).code, 4, "a backup is not written over");

    // No key and no passphrase is in it, and the key folder tells none without the passphrase.
    let ring = std::fs::read_to_string(keys.join("keyring.json")).unwrap();
    let wraps: Vec<&str> = ring.split('"').filter(|text| text.len() == 80).collect();
    assert!(!wraps.is_empty());
    for file in files_under(Path::new(to)).into_iter().chain(files_under(Path::new(vault))) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!wraps.iter().any(|wrap| text.contains(wrap)) && !text.contains(PASSPHRASE), "{}", file.display());
    }

    std::fs::remove_dir_all(&lake).unwrap();
    std::fs::remove_dir_all(&keys).unwrap();
    let arguments = ["restore", "--from", to, "--to", new.to_str().unwrap(), "--keys-from", vault];
    let mut wrong = world.command(&arguments);
    wrong.env("BONDED_BACKUP_KEYS_PASSPHRASE", "env:ENVELOPE").env("ENVELOPE", "a guess");
    assert_eq!(wrong.output().unwrap().status.code(), Some(4));
    assert!(!new.exists(), "without its keys nothing was made");
    let restored = ok(&world, &arguments);
    let verified = undamaged(&world, &new);
    let new_keys = world.path("new.keys");
    let after = views(&new, &new_keys, None, TENANT);
    assert_same(&before, &after);
    compared("everything lost, restored from a copy", &before, [took, restored, verified]);

    let again = run(&world, &arguments);
    assert!(again.code == 4 && again.stderr.contains("not empty"), "{}", again.stderr);
    // The restored lake is a lake: it takes files in, and knows what it has.
    let corpus = Corpus::new(random_plan(5)).expect("fit");
    let file = world.corpus_files("later", &corpus)[2].display().to_string();
    for (arguments, duplicate) in
        [(["ingest", "--tenant", TENANT, &file], false), (["ingest", "--tenant", TENANT, "in/first.csv"], true)]
    {
        let output = std::process::Command::new(world.command(&[]).get_program())
            .current_dir(world.path(""))
            .arg("--lake")
            .arg(&new)
            .arg("--json")
            .args(arguments)
            .output()
            .unwrap();
        let told: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(told["duplicate"], duplicate);
    }
    undamaged(&world, &new);

    // It is backed up by reference like any other: where it lay before is gone.
    let (referred, third) = (world.path("referred"), world.path("third"));
    let before = views(&new, &new_keys, None, TENANT);
    let of_new = |lake: &Path, arguments: &[&str]| {
        let mut command = std::process::Command::new(world.command(&[]).get_program());
        command.arg("--lake").arg(lake).args(arguments).env("BONDED_KEYS_DIR", &new_keys);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    of_new(&new, &["backup", "--to", referred.to_str().unwrap()]);
    of_new(&third, &["restore", "--from", referred.to_str().unwrap()]);
    assert!(!lake.exists(), "the old place was asked for");
    assert_same(&before, &views(&third, &new_keys, None, TENANT));
    of_new(&third, &["verify"]);

    // One altered byte in the backup, and nothing is restored.
    let object = files_under(&Path::new(to).join("lake"))
        .into_iter()
        .find(|file| file.extension().is_some_and(|kind| kind == "parquet"))
        .unwrap();
    let mut bytes = std::fs::read(&object).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&object, bytes).unwrap();
    let spoilt = world.path("spoilt");
    let refused = run(&world, &["restore", "--from", to, "--to", spoilt.to_str().unwrap()]);
    assert!(refused.code == 6 && !spoilt.exists() && refused.stderr.contains(".parquet"), "{}", refused.stderr);
}

#[test]
fn drill_the_control_store_is_lost_and_comes_back_beside_the_objects() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(20)).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus));
    let (lake, keys) = (world.lake(), world.keys());
    let before = views(&lake, &keys, None, TENANT);
    let to = world.path("backup");
    let took = ok(&world, &["backup", "--to", to.to_str().unwrap()]);
    for file in files_under(&lake).into_iter().filter(|file| file.to_string_lossy().contains("control.sqlite")) {
        std::fs::remove_file(file).unwrap();
    }
    let unsaid = run(&world, &["restore", "--from", to.to_str().unwrap()]);
    assert!(unsaid.code == 4 && unsaid.stderr.contains("--control-store-lost"), "{}", unsaid.stderr);
    let restored = ok(&world, &["restore", "--from", to.to_str().unwrap(), "--control-store-lost"]);
    let verified = undamaged(&world, &lake);
    assert_same(&before, &views(&lake, &keys, None, TENANT));
    compared("control store lost, restored in place", &before, [took, restored, verified]);
}

#[test]
fn drill_a_backup_taken_while_files_come_in_is_of_one_moment() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(60)).expect("fit");
    for n in 0..20_u32 {
        let mut bytes = Vec::new();
        corpus.write_entries(Report::Es003, 3 * n..3 * n + 3, &mut bytes).expect("written");
        world.file(&format!("many/{n:02}.csv"), bytes);
    }
    let mut child = world.spawn(&["ingest", "--tenant", TENANT, "many"]);
    let mut taken = 0;
    while child.try_wait().unwrap().is_none() && taken < 5 {
        let (to, new) = (world.path(&format!("backup-{taken}")), world.path(&format!("new-{taken}")));
        ok(&world, &["backup", "--to", to.to_str().unwrap(), "--copy", "--keys-to", world.path("vault").to_str().unwrap()]);
        ok(
            &world,
            &[
                "restore",
                "--from",
                to.to_str().unwrap(),
                "--to",
                new.to_str().unwrap(),
                "--keys-from",
                world.path("vault").to_str().unwrap(),
            ],
        );
        undamaged(&world, &new);
        taken += 1;
    }
    assert!(child.wait().unwrap().success());
    assert!(taken > 0, "the ingest ended before a backup could be taken");
    println!("{taken} backups taken beside a running ingest, each restored without damage");
}

#[test]
fn drill_a_key_destroyed_after_a_backup_stays_destroyed() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(10)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files);
    world.ingest(OTHER, &files);
    let vault = world.path("vault");
    let vault = vault.to_str().unwrap();
    ok(&world, &["backup", "--to", world.path("before").to_str().unwrap(), "--copy", "--keys-to", vault]);
    // A stale copy of the key folder, as it should not be kept.
    let stale = world.path("stale");
    std::fs::create_dir(&stale).unwrap();
    for file in files_under(Path::new(vault)) {
        std::fs::copy(&file, stale.join(file.file_name().unwrap())).unwrap();
    }
    destroy_key(&world, TENANT);
    ok(&world, &["backup", "--to", world.path("after").to_str().unwrap(), "--keys-to", vault]);
    let before = world.path("before");
    for (name, keys_from, newer) in [("a", vault, None), ("b", stale.to_str().unwrap(), Some(world.path("after")))] {
        let new = world.path(name);
        let mut arguments =
            vec!["restore", "--from", before.to_str().unwrap(), "--to", new.to_str().unwrap(), "--keys-from", keys_from];
        if let Some(newer) = &newer {
            arguments.extend(["--newer", newer.to_str().unwrap()]);
        }
        ok(&world, &arguments);
        let program = world.command(&[]).get_program().to_owned();
        let ask =
            |arguments: &[&str]| std::process::Command::new(&program).arg("--lake").arg(&new).args(arguments).output().unwrap();
        for arguments in [vec!["deliveries", "--tenant", TENANT], vec!["query", "--tenant", TENANT, "SELECT 1"]] {
            let refused = ask(&arguments);
            assert_eq!(refused.status.code(), Some(4), "{}", String::from_utf8_lossy(&refused.stdout));
        }
        assert!(ask(&["deliveries", "--tenant", OTHER]).status.success());
        undamaged(&world, &new);
    }
    println!("a backup from before a key's destruction: nothing of its tenant opens, the other tenant is whole");
}

/// As a shred will: scheduled, and its day come.
fn destroy_key(world: &World, tenant: &str) {
    use bonded_connectors::{
        clock::{Clock, FixedClock, SystemClock},
        keys::{
            KeyId, Keys,
            keyring::{Keyring, RootSource},
        },
    };
    let list = world.json(&["key", "list"]);
    let id = list.iter().find(|key| key["tenant"] == tenant).unwrap()["key_id"].as_str().unwrap().to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let open = |clock: std::sync::Arc<dyn Clock>| Keyring::open(&world.keys(), RootSource::KeyFile, clock).expect("opens");
    let at = runtime.block_on(open(std::sync::Arc::new(SystemClock)).schedule_deletion(&KeyId(id), 7)).expect("scheduled");
    open(std::sync::Arc::new(FixedClock(at + chrono::TimeDelta::hours(1))));
}

#[test]
fn drill_postgresql_comes_back_to_the_moment_before_a_mistake() {
    let Some(cluster) = PrivatePostgres::start_archiving() else { return };
    let world = World::on_postgres(&cluster);
    let corpus = Corpus::new(random_plan(20)).expect("fit");
    let files = world.corpus_files("in", &corpus);
    world.ingest(TENANT, &files[..2]);
    let started = Instant::now();
    cluster.base_backup();
    let took = started.elapsed();
    world.ingest(TENANT, &files[2..]);
    let address = |url: &str, name: &str| format!("file:{}", world.file(name, url).display());
    let before = views(&world.lake(), &world.keys(), Some(&address(&cluster.url(), "first.url")), TENANT);
    let moment = cluster.sql("SELECT now()");
    std::thread::sleep(Duration::from_millis(50));
    // The mistake: rows of the ledger are gone. What is damaged is told.
    cluster.sql(&format!("DELETE FROM \"bonded_{TENANT}\".deliveries"));
    assert_eq!(world.run(&["verify"]).code, 6);
    cluster.sql("SELECT pg_switch_wal()");
    let started = Instant::now();
    let recovered = cluster.recovered_to(&moment);
    let restored = started.elapsed();
    let started = Instant::now();
    let verified = world.command(&["--json", "verify"]).env("PRIVATE_POSTGRES", recovered.url()).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    let verify = started.elapsed();
    assert_same(&before, &views(&world.lake(), &world.keys(), Some(&address(&recovered.url(), "second.url")), TENANT));
    compared("PostgreSQL recovered to the moment before a mistake", &before, [took, restored, verify]);

    // The same store by `backup` and `restore`, into another database.
    let to = world.path("backup");
    let saved =
        world.command(&["backup", "--to", to.to_str().unwrap()]).env("PRIVATE_POSTGRES", recovered.url()).output().unwrap();
    assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
    let (another, its_owner) = recovered.another("another");
    let new = world.path("new");
    let arguments = ["restore", "--from", to.to_str().unwrap(), "--to", new.to_str().unwrap()];
    let mut command = world.command(&arguments);
    command.env("PRIVATE_POSTGRES", &another).env("PRIVATE_OWNER", its_owner).env("BONDED_KEYS_DIR", world.keys());
    let put_back = command.output().unwrap();
    assert!(put_back.status.success(), "{}", String::from_utf8_lossy(&put_back.stderr));
    assert_same(&before, &views(&new, &world.keys(), Some(&address(&another, "third.url")), TENANT));
}
