//! The real binary killed, starved of space, refused its syncs and cut from power: nothing is lost, nothing is doubled.
//! What a machine cannot do (mount, trace) is left out with its reason.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bonded::demo::corpus::{Corpus, Plan};
use bonded_schemas::Report;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;

use crate::{
    faults::seed,
    world::{TENANT, World},
};

mod disk;
mod trace;

/// Entries of one delivery: an ingest that lasts long enough to be hit.
const ENTRIES: u32 = 60;

/// Deliveries of entries that do not overlap, and what all of them hold.
struct Files {
    corpus: Corpus,
    paths: Vec<PathBuf>,
    rows: Vec<u64>,
}

impl Files {
    fn new(world: &World, count: u32, entries: u32) -> Self {
        let corpus = Corpus::new(Plan { days: 60, ..Plan::new(7, count * entries) }).expect("fit");
        let (mut paths, mut rows) = (Vec::new(), Vec::new());
        for n in 0..count {
            let mut bytes = Vec::new();
            rows.push(corpus.write_entries(Report::Es003, n * entries..(n + 1) * entries, &mut bytes).expect("written").rows);
            paths.push(world.file(&format!("in/{n:03}.csv"), bytes));
        }
        Self { corpus, paths, rows }
    }

    fn path(&self, n: usize) -> &str {
        self.paths[n].to_str().expect("text")
    }

    /// All of them are there, once each, to the cent.
    fn check(&self, world: &World) {
        self.check_first(world, self.paths.len());
        let sums = world.ask(
            TENANT,
            "SELECT CAST(sum(line_tariff_goods_value_amount) AS VARCHAR) AS value, CAST(sum(line_tariff_duty_amount) AS VARCHAR) AS duty FROM es_003",
        );
        let dollars = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
        let (value, duty) = self.corpus.es_003_totals_cents();
        assert_eq!((&sums["value"], &sums["duty"]), (&json!(dollars(value)), &json!(dollars(duty))));
    }

    fn check_first(&self, world: &World, count: usize) {
        let rows: u64 = self.rows[..count].iter().sum();
        let table = world.json(&["tables", "--tenant", TENANT]).remove(0);
        assert_eq!((&table["info"]["snapshots"], &table["info"]["rows"]), (&json!(count), &json!(rows)));
        let found = world.ask(TENANT, "SELECT count(*) AS n, count(DISTINCT _delivery_id) AS deliveries FROM es_003");
        assert_eq!((&found["n"], &found["deliveries"]), (&json!(rows), &json!(count)));
        let listed = world.json(&["deliveries", "--tenant", TENANT]);
        assert_eq!(listed.len(), count);
        assert!(listed.iter().all(|delivery| delivery.to_string().contains("committed")), "{listed:?}");
    }

    /// Delivered to its end, and once more: known.
    fn finish(&self, world: &World, n: usize) {
        let receipt = world.ingest(TENANT, &self.paths[n..=n]).remove(0);
        assert_eq!((&receipt["state"], &receipt["rows_committed"]), (&json!("committed"), &json!(self.rows[n])));
        let again = world.ingest(TENANT, &self.paths[n..=n]).remove(0);
        assert_eq!((&again["duplicate"], &again["delivery"]["id"]), (&json!(true), &receipt["delivery"]["id"]));
    }
}

fn kill(child: &mut Child, after: Duration) -> bool {
    std::thread::sleep(after);
    let running = child.try_wait().expect("asked").is_none();
    child.kill().expect("killed");
    child.wait().expect("it ended");
    running
}

/// Starts a process for each file and kills it at a random moment until it was hit so often; then it may finish.
/// Another command line can be killed the same way: `start` is given the file that is to be delivered.
fn kill_loop(files: &Files, each: usize, random: &mut StdRng, start: &dyn Fn(&str) -> Child, finish: &dyn Fn(usize)) -> usize {
    let started = Instant::now();
    start(files.path(0)).wait().expect("it ends");
    let mut longest = started.elapsed();
    let mut hit = 0;
    for n in 1..files.paths.len() {
        let wanted = hit + each;
        for _ in 0..3 * each {
            let mut child = start(files.path(n));
            if kill(&mut child, longest.mul_f64(random.random())) {
                hit += 1;
                // Towards the end of a run and a little beyond, so that the last steps are hit as often as the others.
                longest = longest.mul_f64(1.04);
            } else {
                longest = longest.mul_f64(0.8);
            }
            if hit == wanted {
                break;
            }
        }
        finish(n);
    }
    println!("{hit} were killed, within {} ms at last", longest.as_millis());
    hit
}

fn killed_at_random(files: u32, each: usize) {
    let mut random = StdRng::seed_from_u64(seed("CHAOS_SEED"));
    let world = World::new();
    let files = Files::new(&world, files, ENTRIES);
    let hit = kill_loop(&files, each, &mut random, &|file| world.spawn(&["ingest", "--tenant", TENANT, file]), &|n| {
        files.finish(&world, n)
    });
    assert!(hit * 5 >= each * (files.paths.len() - 1) * 4, "too many kills came too late: {hit} did not");
    files.check(&world);
}

#[test]
fn an_ingest_killed_at_random_moments_loses_and_doubles_nothing() {
    killed_at_random(5, 3);
}

/// `make chaos`.
#[test]
#[ignore = "long: make chaos runs it"]
fn an_ingest_killed_a_hundred_times_loses_and_doubles_nothing() {
    killed_at_random(41, 3);
}

fn two_killed(rounds: usize) {
    let mut random = StdRng::seed_from_u64(seed("CHAOS_SEED"));
    let world = World::new();
    let files = Files::new(&world, 2, ENTRIES);
    let start = |first: usize, second: usize| world.spawn(&["ingest", "--tenant", TENANT, files.path(first), files.path(second)]);
    for _ in 0..rounds {
        let (mut one, mut two) = (start(0, 1), start(1, 0));
        kill(&mut one, Duration::from_millis(random.random_range(20..700)));
        kill(&mut two, Duration::from_millis(random.random_range(0..400)));
    }
    for child in [start(0, 1), start(1, 0)] {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    files.finish(&world, 0);
    files.check(&world);
}

#[test]
fn two_ingests_of_the_same_files_killed_together_lose_and_double_nothing() {
    two_killed(2);
}

/// `make chaos`.
#[test]
#[ignore = "long: make chaos runs it"]
fn two_ingests_killed_together_again_and_again_lose_and_double_nothing() {
    for _ in 0..5 {
        two_killed(4);
    }
}

/// Whatever of the disk is left when the delivery comes: an error that names the mend, and after it the same command works.
#[test]
fn on_a_full_disk_the_error_names_the_mend_and_the_same_command_completes_later() {
    let Some(disk) = disk::Small::new("24m") else { return };
    let world = World::under(disk.path());
    let files = Files::new(&world, 5, 400);
    let filler = disk.path().join("filler");
    let mut full = 0;
    for (n, free_bytes) in [0, 96 << 10, 256 << 10, 400 << 10, 900 << 10].into_iter().enumerate() {
        disk::fill(&filler, free_bytes);
        let run = world.run(&["ingest", "--tenant", TENANT, files.path(n)]);
        std::fs::remove_file(&filler).expect("removed");
        if run.code != 0 {
            full += 1;
            assert!(run.stderr.contains("disk") && run.stderr.contains("full"), "{free_bytes} free: {}", run.stderr);
            assert_eq!(run.code, 3, "{free_bytes} free: {}", run.stderr);
        }
        files.finish(&world, n);
    }
    assert!(full >= 3, "the disk was full only {full} times");
    files.check(&world);
}

fn refused_syncs(runs: u32) {
    if !trace::works() {
        println!("left out: strace is not there, or may not trace here (tests/setup.sh installs it as root)");
        return;
    }
    let mut random = StdRng::seed_from_u64(seed("CHAOS_SEED"));
    let world = World::new();
    let files = Files::new(&world, runs + 1, 6);
    // The first one makes the table.
    files.finish(&world, 0);
    let mut refused = 0;
    for n in 1..=runs as usize {
        let from = random.random_range(1..=5);
        let command = world.command(&["ingest", "--tenant", TENANT, files.path(n)]);
        let (run, injected) = trace::refusing_syncs(&world.path("log"), &command, from);
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        if run.status.success() {
            // What of the ledger failed may have been done again by another connection; an object is never passed over.
            let objects: Vec<_> = injected.iter().filter(|call| call.contains("/raw") || call.contains("/warehouse")).collect();
            assert!(objects.is_empty(), "it believed, from {from} on: {objects:#?}");
        } else {
            refused += 1;
            assert!(told.contains("disk") && !injected.is_empty(), "{told}");
        }
        files.finish(&world, n);
    }
    println!("{refused} of {runs} ingests were refused a sync and said so");
    assert!(refused > 0, "no sync was refused");
    files.check(&world);
}

#[test]
fn an_ingest_whose_syncs_fail_does_not_believe_and_completes_later() {
    refused_syncs(4);
}

/// `make chaos`.
#[test]
#[ignore = "long: make chaos runs it"]
fn an_ingest_whose_syncs_fail_anywhere_does_not_believe_and_completes_later() {
    refused_syncs(40);
}

#[test]
fn every_object_is_synced_with_its_name_before_the_ledger_believes_it() {
    if !trace::works() {
        println!("left out: strace is not there, or may not trace here (tests/setup.sh installs it as root)");
        return;
    }
    let world = World::new();
    let files = Files::new(&world, 2, 20);
    for n in 0..2 {
        let log = world.path("log");
        let run = trace::log(&log, &world.command(&["ingest", "--tenant", TENANT, files.path(n)]));
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let (objects, commits) = trace::unsynced_at_commits(&std::fs::read_to_string(&log).expect("a log"), &world.lake());
        println!("{objects} objects, {commits} syncs of the ledger");
        // Landed, committed, sealed.
        assert!(objects >= 8 && commits >= 3, "the log was not understood: {objects} objects, {commits} commits");
    }
    files.check(&world);
}

fn power_cuts(cuts: u32) {
    let mut random = StdRng::seed_from_u64(seed("CHAOS_SEED"));
    let Some(mut disk) = disk::PowerCut::new() else { return };
    let world = World::under(&disk.path());
    let files = Files::new(&world, cuts, ENTRIES);
    // What lies in these folders was answered for by nobody; the reports must outlive the cut.
    Command::new("sync").arg("-f").arg(disk.path()).status().expect("synced");
    for n in 0..cuts as usize {
        let mut child = world.spawn(&["ingest", "--tenant", TENANT, files.path(n)]);
        // Every other time right after the answer, when nothing that was told may be lost.
        let answered = n % 2 == 0;
        if answered {
            assert!(child.wait().expect("it ends").success());
        } else {
            std::thread::sleep(Duration::from_millis(random.random_range(30..900)));
        }
        disk.cut();
        child.kill().ok();
        child.wait().expect("it ended");
        disk.restore();
        let receipt = world.ingest(TENANT, &files.paths[n..=n]).remove(0);
        if answered {
            assert_eq!(receipt["duplicate"], json!(true), "a delivery that was answered for is gone after the power cut");
        }
        files.finish(&world, n);
        files.check_first(&world, n + 1);
    }
    files.check(&world);
}

#[test]
fn what_was_answered_for_survives_a_power_cut() {
    power_cuts(2);
}

/// `make chaos`.
#[test]
#[ignore = "long: make chaos runs it"]
fn what_was_answered_for_survives_many_power_cuts() {
    power_cuts(12);
}

fn run_quietly(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}
