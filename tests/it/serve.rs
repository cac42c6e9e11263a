//! The process that stays: drop folders, workers, crashes, zombies, poison; on the real binary.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use bonded::{
    demo::corpus::Corpus,
    ingest::{Source, is_done, land_only},
    lakehouse::{Doors, Lakehouse},
    settings::Settings,
};
use bonded_connectors::clock::SystemClock;
use bonded_schemas::{Channel, Report, TenantScope};
use serde_json::{Value, json};

use crate::{
    postgres::private_postgres,
    world::{OTHER, TENANT, World, json_lines, random_plan},
};

const PATIENCE: Duration = Duration::from_secs(180);
/// Quick leases and retries, so that nothing waits for a minute.
const QUICK: [(&str, &str); 6] = [
    ("BONDED_SERVE_SETTLE", "1s"),
    ("BONDED_SERVE_LEASE", "3s"),
    ("BONDED_SERVE_RETRY_FIRST", "1s"),
    ("BONDED_SERVE_RETRY_MAX", "1s"),
    ("BONDED_SERVE_ATTEMPTS_MAX", "3"),
    ("BONDED_SERVE_WORKERS", "2"),
];

/// A running `bonded serve`; killed when dropped.
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it said of itself.
    pub ready: Value,
}

impl Server {
    /// Comes back when it says that it is ready.
    fn start(world: &World, more: &[(&str, &str)]) -> Self {
        // Maintenance makes snapshots of its own, which the tests that count deliveries' snapshots do without.
        let asks = |setting: &str| more.iter().any(|(name, _)| *name == setting);
        let roles = match (asks("BONDED_SERVE_MAINTAIN_EVERY"), asks("BONDED_SERVE_INBOX")) {
            (true, _) => "worker,maintain",
            (_, true) => "worker,inbox",
            _ => "worker",
        };
        Self::start_as(world, roles, more)
    }

    /// The same with these roles.
    pub fn start_as(world: &World, roles: &str, more: &[(&str, &str)]) -> Self {
        let mut command = world.command(&["serve", "--roles", roles]);
        command.envs(QUICK).envs(more.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("readable");
        let ready = json_lines(&line).remove(0);
        assert_eq!(ready["ready"], json!(true), "{line}");
        Self { child, stdout, ready }
    }

    /// Puts it to sleep between two writes: asleep within one it holds SQLite's lock, and nobody could look.
    fn sleep_between_writes(&self, world: &World) {
        for _ in 0..20 {
            self.signal("STOP");
            if world.run(&["deliveries", "--tenant", TENANT]).code != 7 {
                return;
            }
            self.signal("CONT");
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it was within a write twenty times");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(status.success());
    }

    /// Asks it to end; answers its last word.
    pub fn terminate(mut self) -> Value {
        let asked = Instant::now();
        self.signal("TERM");
        let status = self.child.wait().expect("it ends");
        assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?} to end", asked.elapsed());
        assert_eq!(status.code(), Some(0));
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("readable");
        json_lines(&line).remove(0)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("it is gone");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn committed(world: &World, tenant: &str) -> usize {
    world
        .json(&["deliveries", "--tenant", tenant])
        .iter()
        .filter(|row| row["state"] == "committed" && row["rows"].is_u64())
        .count()
}

/// `count` different ES-003 files of one corpus, with the rows that all of them hold.
fn slices(count: u32, entries_each: u32) -> (Vec<Vec<u8>>, u64) {
    let corpus = Corpus::new(random_plan(count * entries_each)).expect("fit");
    let mut rows = 0;
    let files = (0..count).map(|n| {
        let mut bytes = Vec::new();
        let entries = n * entries_each..(n + 1) * entries_each;
        rows += corpus.write_entries(Report::Es003, entries, &mut bytes).expect("written").rows;
        bytes
    });
    (files.collect(), rows)
}

/// As a careful sender does it: written under a name that is left alone, then renamed.
fn drop_file(world: &World, tenant: &str, name: &str, bytes: &[u8]) {
    let hidden = world.file(&format!("inbox/{tenant}/.{name}"), bytes);
    std::fs::rename(&hidden, hidden.with_file_name(name)).expect("renamed");
}

fn dropped(world: &World, tenant: &str) -> usize {
    std::fs::read_dir(world.path("inbox").join(tenant)).expect("listable").count()
}

/// Every row of every file once, each delivery one snapshot, nothing left in the queue.
fn exactly_once(world: &World, tenant: &str, files: usize, rows: u64) {
    assert_eq!(committed(world, tenant), files);
    let counted = world.ask(
        tenant,
        "SELECT count(*) AS n, count(DISTINCT _delivery_id) AS deliveries, count(DISTINCT concat(_delivery_id, '/', _row)) AS places FROM es_003",
    );
    assert_eq!(
        (&counted["n"], &counted["places"], &counted["deliveries"]),
        (&json!(rows), &json!(rows), &json!(files)),
        "rows, places, deliveries"
    );
    assert_eq!(world.json(&["tables", "--tenant", tenant])[0]["info"]["snapshots"], json!(files));
    assert_eq!(world.json(&["queue", "list", "--tenant", tenant]), Vec::<Value>::new());
}

fn drops_become_tables(world: &World, each: u32) {
    let inbox = world.path("inbox");
    std::fs::create_dir(&inbox).expect("made");
    let server = Server::start(world, &[("BONDED_SERVE_INBOX", inbox.to_str().expect("text"))]);
    let mut rows = Vec::new();
    for tenant in [TENANT, OTHER] {
        let (files, total) = slices(each, 3);
        for (n, bytes) in files.iter().enumerate() {
            drop_file(world, tenant, &format!("ES-003 {n:02}.csv"), bytes);
        }
        // One of them twice, under another name.
        drop_file(world, tenant, "again.csv", &files[0]);
        // And one whose sender is not done.
        drop_file(world, tenant, "slow.csv.part", b"half a he");
        rows.push((tenant, total));
    }
    for (tenant, total) in rows {
        wait_until("all files are tables", || committed(world, tenant) == each as usize && dropped(world, tenant) == 1);
        exactly_once(world, tenant, each as usize, total);
        let receipt = &world.json(&["deliveries", "--tenant", tenant])[0];
        let receipt = world.json(&["receipt", receipt["delivery_id"].as_str().expect("an id")]).remove(0);
        assert_eq!(receipt["delivery"]["channel"], "inbox");
    }
    let last = server.terminate();
    // What is dropped twice may come to the queue a second time, to be found done there.
    assert!(last["deliveries_done"].as_u64().expect("a count") >= u64::from(2 * each), "{last}");
}

#[test]
fn twenty_files_dropped_for_two_tenants_become_tables_and_sigterm_ends_it() {
    drops_become_tables(&World::new(), 10);
}

#[test]
fn drops_become_tables_on_postgresql_too() {
    let Some(cluster) = private_postgres::PrivatePostgres::start() else { return };
    drops_become_tables(&World::on_postgres(&cluster), 3);
}

fn enqueue(world: &World, tenant: &str, files: &[Vec<u8>]) -> Vec<Value> {
    for (n, bytes) in files.iter().enumerate() {
        world.file(&format!("queued-{tenant}/{n:02}.csv"), bytes);
    }
    world.json(&["ingest", "--enqueue", "--tenant", tenant, &format!("queued-{tenant}")])
}

#[test]
fn what_is_enqueued_is_answered_at_once_and_worked_on_once() {
    let world = World::new();
    let (files, rows) = slices(2, 3);
    let first = enqueue(&world, TENANT, &files);
    let again = enqueue(&world, TENANT, &files);
    assert_eq!(first.iter().map(|line| &line["state"]).collect::<Vec<_>>(), ["landed", "landed"]);
    assert_eq!(first, again, "the same deliveries");
    let waiting = world.json(&["queue", "list"]);
    assert_eq!(waiting.iter().map(|item| &item["state"]).collect::<Vec<_>>(), ["waiting", "waiting"]);
    let server = Server::start(&world, &[]);
    wait_until("both are committed", || committed(&world, TENANT) == 2);
    wait_until("the queue is empty", || world.json(&["queue", "list"]).is_empty());
    let done = enqueue(&world, TENANT, &files);
    assert!(done.iter().all(|line| line["queued"] == json!(false) && line["state"] == "committed"), "{done:?}");
    server.terminate();
    exactly_once(&world, TENANT, 2, rows);
}

#[test]
fn a_server_killed_in_the_middle_of_its_work_goes_on_where_it_stopped() {
    const FILES: u32 = 12;
    let world = World::new();
    let (files, rows) = slices(FILES, 20);
    enqueue(&world, TENANT, &files);
    for kill_at in [1, 4, 7] {
        // A file may be in work at each kill, and is not to be blamed for it here.
        let server = Server::start(&world, &[("BONDED_SERVE_ATTEMPTS_MAX", "10")]);
        wait_until("some are committed", || committed(&world, TENANT) >= kill_at);
        server.kill();
    }
    let server = Server::start(&world, &[("BONDED_SERVE_ATTEMPTS_MAX", "10")]);
    wait_until("all are committed", || committed(&world, TENANT) == FILES as usize);
    wait_until("the queue is empty", || world.json(&["queue", "list"]).is_empty());
    server.terminate();
    exactly_once(&world, TENANT, FILES as usize, rows);
}

/// The first server sleeps over its lease in the middle of a file; the second takes the file over; the first wakes.
#[test]
fn a_server_that_sleeps_over_its_lease_commits_nothing_when_it_wakes() {
    let world = World::new();
    let (files, rows) = slices(1, 12_000);
    enqueue(&world, TENANT, &files);
    let zombie = Server::start(&world, &[]);
    wait_until("it is in work", || world.json(&["queue", "list"]).iter().any(|item| item["state"] == "running"));
    zombie.sleep_between_writes(&world);
    assert_eq!(committed(&world, TENANT), 0, "the file is too small for this test: it was done before the sleep");
    let second = Server::start(&world, &[]);
    wait_until("the second is at it", || world.json(&["queue", "list"]).iter().any(|item| item["attempts"] == json!(2)));
    // It wakes while the second is at work, and both come to the end.
    zombie.signal("CONT");
    wait_until("it is committed", || committed(&world, TENANT) == 1);
    wait_until("the queue is empty", || world.json(&["queue", "list"]).is_empty());
    let (zombie, second) = (zombie.terminate(), second.terminate());
    assert_eq!((&zombie["deliveries_done"], &second["deliveries_done"]), (&json!(0), &json!(1)));
    exactly_once(&world, TENANT, 1, rows);
}

#[test]
fn a_server_that_may_not_finish_gives_its_delivery_back_unblamed() {
    let world = World::new();
    let (files, rows) = slices(1, 16_000);
    enqueue(&world, TENANT, &files);
    let hurried = Server::start(&world, &[("BONDED_SERVE_DRAIN", "1ms"), ("BONDED_SERVE_LEASE", "1h")]);
    wait_until("it is in work", || world.json(&["queue", "list"]).iter().any(|item| item["state"] == "running"));
    let last = hurried.terminate();
    assert_eq!((&last["deliveries_done"], &last["deliveries_given_back"]), (&json!(0), &json!(1)), "too small a file: {last}");
    let item = world.json(&["queue", "list"]).remove(0);
    assert_eq!((&item["state"], &item["attempts"], &item["failures"]), (&json!("waiting"), &json!(1), &json!(0)));
    // Nobody waits for the lease of an hour.
    let patient = Server::start(&world, &[]);
    wait_until("it is committed", || committed(&world, TENANT) == 1);
    patient.terminate();
    exactly_once(&world, TENANT, 1, rows);
}

#[test]
fn what_cannot_be_taken_in_is_quarantined_with_an_alert_and_retried_after_mending() {
    let world = World::new();
    let (files, rows) = slices(3, 3);
    enqueue(&world, TENANT, &files);
    // A sealed object goes bad on the disk.
    let raw = world.lake().join("tenants").join(TENANT).join("raw");
    let objects = std::fs::read_dir(raw).expect("listable").map(|entry| entry.expect("an entry").path());
    let mut sealed = objects.filter(|path| path.is_file() && path.extension().is_none());
    let victim = sealed.next().expect("three objects");
    let whole = std::fs::read(&victim).expect("readable");
    let mut bad = whole.clone();
    bad[20] ^= 1;
    std::fs::write(&victim, &bad).expect("written");

    let server = Server::start(&world, &[]);
    let poisoned = || world.json(&["queue", "list"]).into_iter().find(|item| item["state"] == "poisoned");
    wait_until("it is poisoned", || poisoned().is_some());
    wait_until("the others are committed", || committed(&world, TENANT) == 2);
    let item = poisoned().expect("there");
    let id = item["delivery_id"].as_str().expect("an id").to_owned();
    assert_eq!((&item["last_failure"], &item["due_at"]), (&json!("damaged"), &Value::Null), "{item}");
    let receipt = world.json(&["receipt", &id]).remove(0);
    assert_eq!((&receipt["state"], &receipt["quarantine"]["reason"]), (&json!("quarantined"), &json!("gave_up")));
    let message = receipt["quarantine"]["message"].as_str().expect("text");
    assert!(message.contains("failed 3 times") && message.contains("damaged") && message.contains("queue retry"), "{message}");
    let alerts = world.json(&["drift", "--tenant", TENANT]);
    assert!(alerts.iter().any(|alert| alert["alert"] == "quarantine" && alert["delivery"]["id"] == json!(id)), "{alerts:?}");

    // Nobody tries again by himself; after mending, a person says so.
    std::fs::write(&victim, &whole).expect("mended");
    assert_eq!(world.run(&["queue", "drop", "0198f3c2-0000-7000-8000-000000000000"]).code, 2);
    world.ok(&["queue", "retry", &id]);
    wait_until("it is committed after all", || committed(&world, TENANT) == 3);
    wait_until("the queue is empty", || world.json(&["queue", "list"]).is_empty());
    server.terminate();
    exactly_once(&world, TENANT, 3, rows);
}

#[test]
fn a_dropped_file_that_cannot_be_taken_stays_and_is_told_of() {
    let world = World::new();
    let inbox = world.path("inbox");
    std::fs::create_dir(&inbox).expect("made");
    drop_file(&world, TENANT, "large.csv", &[b'x'; 4000]);
    let settings = [("BONDED_SERVE_INBOX", inbox.to_str().expect("text")), ("BONDED_INGEST_FILE_BYTES_MAX", "3000")];
    let server = Server::start(&world, &settings);
    let told = || world.json(&["queue", "list"]).into_iter().find(|line| line["state"] == "not_taken");
    wait_until("it is told of", || told().is_some());
    let line = told().expect("there");
    assert_eq!(line["file_name"], "large.csv");
    assert!(line["last_failure"].as_str().expect("text").contains("3000"), "{line}");
    assert_eq!(dropped(&world, TENANT), 1, "it is still there");
    assert!(world.json(&["deliveries", "--tenant", TENANT]).is_empty());
    server.terminate();
}

/// As an ingest does that dies right after it: in the raw zone and in the ledger, and nowhere else.
fn land(world: &World, mut bytes: &[u8]) {
    let settings = Settings { lake: world.lake().display().to_string(), ..Settings::default() };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let house = Lakehouse::open(settings, Doors::new(Arc::new(SystemClock))).await.expect("opens");
        #[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
        let scope = TenantScope::establish(TENANT.parse().expect("a name"), "test");
        let tenant = house.tenant(&scope).await.expect("opens");
        let source = Source {
            file_name: "orphan.csv".into(),
            bytes: &mut bytes,
            channel: Channel::Console,
            as_of: None,
            envelope: None,
            poa: None,
        };
        let row = land_only(&house, &tenant, source).await.expect("landed");
        assert!(!is_done(&row));
    });
}

#[test]
fn a_delivery_whose_ingest_died_after_landing_is_taken_up() {
    let world = World::new();
    let (files, rows) = slices(1, 3);
    land(&world, &files[0]);
    assert!(world.json(&["queue", "list"]).is_empty());
    let server = Server::start(&world, &[("BONDED_SERVE_SWEEP_AFTER", "1s")]);
    wait_until("it is committed", || committed(&world, TENANT) == 1);
    server.terminate();
    exactly_once(&world, TENANT, 1, rows);
}

#[test]
fn a_server_maintains_every_tenant_but_one_whose_key_is_disabled() {
    let world = World::new();
    for tenant in [TENANT, OTHER] {
        let (files, _) = slices(3, 4);
        for (at, file) in files.iter().enumerate() {
            world.ingest(tenant, &[world.file(&format!("{tenant}-{at}.csv"), file)]);
        }
    }
    world.ok(&["key", "disable", OTHER]);
    let server = Server::start(&world, &[("BONDED_SERVE_MAINTAIN_EVERY", "1s")]);
    let maintained = |event: &Value| event["action"].as_str().is_some_and(|action| action == "maintain.orphans");
    wait_until("it is maintained twice", || {
        world.json(&["audit", "--tenant", TENANT]).iter().filter(|event| maintained(event)).count() >= 2
    });
    server.terminate();
    world.ok(&["key", "enable", OTHER]);
    assert!(!world.json(&["audit", "--tenant", OTHER]).iter().any(maintained));
    for tenant in [TENANT, OTHER] {
        assert_eq!(committed(&world, tenant), 3, "{tenant}");
    }
}
