//! Damage of every kind, done to copies of a small lake: each is found, and the object that it was done to is named.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bonded::{
    demo::corpus::{Corpus, ExtraColumn, Layout},
    lakehouse::{Doors, Lakehouse},
    settings::Settings,
    verify::{Depth, Verified, closed_house, verify},
};
use bonded_connectors::{clock::SystemClock, store::dump::Row};
use bonded_schemas::{Report, TenantScope};
use serde_json::Value;

use crate::world::{OTHER, TENANT, World, files_under, random_plan};

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
pub fn scope(tenant: &str) -> TenantScope {
    TenantScope::establish(tenant.parse().expect("a tenant name"), "test")
}

pub async fn house(lake: &Path, keys: &Path) -> bonded::Result<Lakehouse> {
    let mut settings = Settings { lake: lake.display().to_string(), ..Settings::default() };
    settings.keys.dir = Some(keys.to_owned());
    Lakehouse::open(settings, Doors::new(Arc::new(SystemClock))).await
}

async fn verified(lake: &Path, keys: &Path) -> Verified {
    let scopes = [scope(TENANT), scope(OTHER)];
    let run = async {
        let house = house(lake, keys).await?;
        let verified = verify(&house, &scopes, Depth::default(), Arc::new(|_, _| {})).await;
        house.control().close().await;
        verified
    };
    match run.await {
        Ok(verified) => verified,
        Err(error) => closed_house(&error).unwrap_or_else(|| panic!("not told as damage: {error}")),
    }
}

/// A lake with everything in it that a lake can hold: three tables, drift, an accepted mapping, a quarantined file, a
/// container, findings with a note, scores, a schedule with its windows, bytes that came again. Its control store lies in its files whole, no journal beside.
fn small_lake() -> World {
    let world = World::new();
    let mut plan = random_plan(30).planting(1);
    // Few months, few files.
    plan.days = 40;
    plan.layouts.insert(
        Report::Es003,
        Layout { extra: vec![ExtraColumn::last("Special Program Fee", ["1.25", "", "3.50"])], ..Layout::default() },
    );
    let corpus = Corpus::new(plan).expect("fit");
    let mut files = world.corpus_files("in", &corpus);
    files.push(world.file("in/letter.csv", "Dear broker,\nthis is no table\n"));
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let mut arguments = vec!["ingest", "--tenant", TENANT];
    arguments.extend(names.iter().map(String::as_str));
    assert_eq!(world.run(&arguments).code, 5);
    let drift = world.json(&["drift", "--tenant", TENANT]);
    let fingerprint = drift.iter().find(|alert| alert["alert"] == "drift").unwrap()["fingerprint"].as_str().unwrap().to_owned();
    world.ok(&["drift", "accept", "--tenant", TENANT, &fingerprint, "--column", "Special Program Fee=money"]);
    world.run(&["reconcile", "--tenant", TENANT]);
    let found = world.json(&["finding", "list", "--tenant", TENANT]);
    world.ok(&["finding", "explain", "--tenant", TENANT, found[0]["id"].as_str().unwrap(), "--note", "looked at it"]);
    world.ok(&["score", "--tenant", TENANT]);
    let when = ["--cadence", "weekly Mon 06:00", "--zone", "America/New_York", "--grace", "6h", "--column", "Entry Type Code"];
    world.ok(&[&["windows", "schedule", "set", "--tenant", TENANT, "--report", "ES-003"], when.as_slice()].concat());
    // The same bytes once more leave a row, too.
    world.ok(&["ingest", "--tenant", TENANT, &names[0]]);
    world
}

/// Closes the journals of SQLite, so that what is flipped is what is read.
async fn settle(world: &World) {
    let house = house(&world.lake(), &world.keys()).await.expect("opens");
    for name in [TENANT, OTHER] {
        house.tenant(&scope(name)).await.expect("opens").ledger.close().await;
    }
    house.control().close().await;
    journals_closed(world).await;
}

/// A connection's own thread closes its file a moment later.
async fn journals_closed(world: &World) {
    for _ in 0..500 {
        if !files_under(&world.lake()).iter().any(|file| file.to_string_lossy().contains("-wal")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

fn relative(world: &World, file: &Path) -> String {
    file.strip_prefix(world.path("")).unwrap().display().to_string()
}

/// However slow the machine is, each file has one flip; the rest go on for so long.
const MORE_FLIPS: std::time::Duration = std::time::Duration::from_secs(20);

/// How damage names what lies in this file.
fn is_named(file: &str, verified: &Verified) -> bool {
    verified.damage.iter().any(|damage| match file {
        file if file.contains("control.sqlite") => {
            let place = damage.place.as_deref().unwrap_or_default();
            damage.object.starts_with("control store")
                || damage.object.contains("control.sqlite")
                || place.contains("control store")
        }
        file if file.starts_with("lake.keys") => damage.object == "keyring",
        file => file.strip_prefix("lake/") == Some(damage.object.as_str()),
    })
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// xorshift; the seed is printed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Every cell of the control store, to tell whether a bit means anything.
async fn cells(world: &World) -> Result<BTreeMap<String, Vec<String>>, String> {
    let house = house(&world.lake(), &world.keys()).await.map_err(|error| error.to_string())?;
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut keep = |name: String, row: Row| all.entry(name).or_default().push(Value::Object(row).to_string());
    house
        .control()
        .dump(&mut |table, row| {
            keep(table.to_owned(), row);
            Ok(())
        })
        .await
        .map_err(|error| error.to_string())?;
    for name in [TENANT, OTHER] {
        let tenant = house.tenant(&scope(name)).await.map_err(|error| error.to_string())?;
        let mut each = |table: &str, row| {
            keep(format!("{name}.{table}"), row);
            Ok(())
        };
        tenant.ledger.dump(&mut each).await.map_err(|error| error.to_string())?;
    }
    all.values_mut().for_each(|rows| rows.sort());
    Ok(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipping_any_bit_anywhere_in_the_lake_is_found_and_named() {
    let world = small_lake();
    settle(&world).await;
    let clean = verified(&world.lake(), &world.keys()).await;
    assert!(clean.damage.is_empty(), "{:#?}", clean.damage);
    assert!(clean.unfinished.is_empty() && clean.litter.is_empty(), "{clean:#?}");
    let before = cells(&world).await.expect("readable");
    let texts: Vec<String> = before.values().flatten().cloned().collect();
    let mut random = Random(uuid::Uuid::new_v4().as_u64_pair().0 | 1);
    println!("seed {}", random.0);
    let started = std::time::Instant::now();
    let (mut flips, mut meaningless, mut classes) = (0, Vec::new(), BTreeMap::new());
    let mut files = files_under(&world.lake());
    files.extend(files_under(&world.keys()));
    // The control store and the keyring have most to flip, so they come before the time is up.
    files.sort_by_key(|file| !(file.to_string_lossy().contains("control.sqlite") || file.ends_with("keyring.json")));
    for file in files {
        let name = relative(&world, &file);
        let Ok(bytes) = std::fs::read(&file) else { continue };
        // A journal that is just being closed, an empty lock file, and what people write by hand, hold no bit of ours.
        if bytes.is_empty() || name.ends_with("root.key") {
            continue;
        }
        let mut bits = vec![random.below(bytes.len() * 8)];
        // The ends of a file are where formats keep what few readers look at.
        let end = if random.below(2) == 0 { 0 } else { bytes.len() - 1 };
        bits.push(end * 8 + random.below(8));
        if name.ends_with("-wal") || name.ends_with("-shm") {
            continue;
        }
        let is_store = name.contains("control.sqlite");
        if is_store {
            bits.extend((0..12).map(|_| random.below(bytes.len() * 8)));
            bits.extend(in_cells(&bytes, &texts, &mut random));
        }
        if name.ends_with("keyring.json") {
            bits.extend((0..8).map(|_| random.below(bytes.len() * 8)));
        }
        for (nth, bit) in bits.into_iter().enumerate() {
            if nth > 0 && started.elapsed() > MORE_FLIPS {
                break;
            }
            journals_closed(&world).await;
            std::fs::write(&file, flipped(&bytes, bit)).unwrap();
            let found = verified(&world.lake(), &world.keys()).await;
            flips += 1;
            *classes.entry(class(&name)).or_insert(0) += 1;
            if !is_named(&name, &found) {
                // SQLite keeps free pages, spare bytes and counters that no reader asks for: then every cell is as before.
                let same = is_store && found.damage.is_empty() && cells(&world).await.as_ref() == Ok(&before);
                assert!(same, "bit {bit} of {name} ({} bytes) is not named: {:#?}", bytes.len(), found.damage);
                meaningless.push(bit / 8);
            }
            std::fs::write(&file, &bytes).unwrap();
            for journal in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{journal}", file.display()));
            }
        }
    }
    println!(
        "{flips} bits flipped in {:?}: {classes:?}; {} in SQLite's spare bytes, every cell as before",
        started.elapsed(),
        meaningless.len()
    );
    let again = verified(&world.lake(), &world.keys()).await;
    assert!(again.damage.is_empty(), "{:#?}", again.damage);
}

/// One bit in each cell that can be found in the file by its text.
fn in_cells(bytes: &[u8], rows: &[String], random: &mut Random) -> Vec<usize> {
    let mut bits = Vec::new();
    for row in rows {
        let row: Row = serde_json::from_str(row).unwrap();
        for text in row.values().filter_map(Value::as_str).filter(|text| text.len() >= 4) {
            let found = bytes.windows(text.len().min(200)).position(|window| window == &text.as_bytes()[..text.len().min(200)]);
            bits.extend(found.map(|at| (at + random.below(text.len().min(200))) * 8 + random.below(8)));
        }
    }
    // Some of each row are enough: the many rows of one table are alike.
    let keep = (bits.len() / 40).max(1);
    bits.into_iter().enumerate().filter(|(n, _)| n % keep == 0).map(|(_, bit)| bit).collect()
}

fn class(name: &str) -> &'static str {
    match name {
        name if name.contains("keyring") => "keyring",
        name if name.contains("control.sqlite") => "control store",
        name if name.ends_with(".note") => "note",
        name if name.contains("/decisions/") => "decision",
        name if name.contains("/raw/tenant.json") => "tenant record",
        name if name.contains("/raw/") => "raw object",
        name if name.ends_with(".parquet") => "data file",
        name if name.ends_with("-m.avro") => "manifest",
        name if name.ends_with(".avro") => "manifest list",
        name if name.ends_with(".json") => "metadata",
        _ => "other",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_cut_and_swapped_objects_are_named() {
    let world = small_lake();
    settle(&world).await;
    let all = files_under(&world.lake().join("tenants").join(TENANT));
    let mut by_class: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
    for file in all.into_iter().filter(|file| !file.to_string_lossy().contains("control.sqlite")) {
        by_class.entry(class(&relative(&world, &file))).or_default().push(file);
    }
    for wanted in ["note", "decision", "tenant record", "raw object", "data file", "manifest", "manifest list", "metadata"] {
        assert!(by_class.contains_key(wanted), "{wanted}: {:?}", by_class.keys());
    }
    for (class, files) in by_class {
        let (file, name) = (&files[0], relative(&world, &files[0]));
        let bytes = std::fs::read(file).unwrap();
        let check = async |what: &str| {
            let found = verified(&world.lake(), &world.keys()).await;
            // A decision that is gone altogether is told by nothing else; a rebuild is as good as its raw zone.
            let unseen = class == "decision" && what == "missing";
            assert_eq!(is_named(&name, &found), !unseen, "{what} {name}: {:#?}", found.damage);
        };
        std::fs::remove_file(file).unwrap();
        check("missing").await;
        std::fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
        check("cut").await;
        std::fs::write(file, b"").unwrap();
        check("empty").await;
        if let Some(other) = files.get(1) {
            std::fs::copy(other, file).unwrap();
            check("swapped").await;
        }
        std::fs::write(file, &bytes).unwrap();
    }
    assert!(verified(&world.lake(), &world.keys()).await.damage.is_empty());
}

#[test]
fn verify_tells_what_follows_and_ends_with_code_6() {
    let world = World::new();
    let corpus = Corpus::new(random_plan(12)).expect("fit");
    world.ingest(TENANT, &world.corpus_files("in", &corpus));
    let clean = &world.json(&["verify"])[0];
    assert!(clean["damage"].as_array().unwrap().is_empty() && clean["rows"].as_u64().unwrap() > 0, "{clean}");
    assert!(world.ok(&["verify", "--tenant", TENANT, "--quick"]).contains("no damage"));
    let lake = files_under(&world.lake());
    let data = lake.iter().find(|file| file.extension().is_some_and(|kind| kind == "parquet")).unwrap();
    let bytes = std::fs::read(data).unwrap();
    std::fs::write(data, flipped(&bytes, bytes.len() * 4)).unwrap();
    let run = world.run(&["--json", "verify"]);
    assert_eq!(run.code, 6);
    let told: Value = serde_json::from_slice(&run.stdout).unwrap();
    let damage = &told["damage"][0];
    assert_eq!((damage["mend"].as_str(), damage["deliveries"].as_array().unwrap().len()), (Some("rebuild"), 1), "{damage}");
    assert!(damage["object"].as_str().unwrap().ends_with(".parquet"));
    std::fs::remove_file(data).unwrap();
    assert_eq!(world.run(&["verify", "--quick"]).code, 6);
    // What nobody refers to is litter and no damage.
    std::fs::write(data, bytes).unwrap();
    std::fs::write(data.with_file_name("stray.parquet"), b"x").unwrap();
    let told = &world.json(&["verify"])[0];
    assert_eq!(told["litter"].as_array().unwrap().len(), 1, "{told}");
    world.ok(&["key", "disable", TENANT]);
    let told = &world.json(&["verify"])[0];
    assert!(told["closed"][0]["what"].as_str().unwrap().contains("disabled"), "{told}");
}
