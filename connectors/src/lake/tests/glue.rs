//! The encrypted commit with its pointers in Glue: an emulator that holds to versions, and a proxy of ours before it that
//! loses, delays and alters what goes there.

use std::sync::{Mutex, atomic::AtomicBool};

use bonded_schemas::DeliveryState;

use super::*;
use crate::{
    aws::{
        Account, Reach,
        private_aws::{PrivateAws, REGION},
        private_proxy::{Fate, Gate, PrivateProxy, Rule},
    },
    lake::{
        Glue,
        maintain::{Compaction, GRACE_MIN},
    },
    store::fence::Fence,
};

async fn account(endpoint: &str) -> Account {
    Account::of_tests(Reach { region: REGION.into(), glue_endpoint: Some(endpoint.into()), ..Reach::default() }).await
}

/// Databases of its own for each test.
fn prefix() -> String {
    format!("t{}", uuid::Uuid::new_v4().simple())
}

async fn glue(endpoint: &str, prefix: &str) -> Arc<dyn Pointers> {
    Arc::new(Glue::open(&account(endpoint).await, prefix).expect("a sound prefix"))
}

pub(in super::super) async fn world() -> Option<World> {
    beside(World::new().await, &PrivateAws::ministack()?.endpoint).await
}

async fn beside(world: World, endpoint: &str) -> Option<World> {
    Some(World { pointers: Some(glue(endpoint, &prefix()).await), ..world })
}

/// What a test wants of Glue, request by request.
#[derive(Default)]
struct Script {
    /// Fates of the next requests for these operations, the first first.
    next: Mutex<Vec<(&'static str, Fate)>>,
    asked: Mutex<Vec<String>>,
    without_versions: AtomicBool,
    /// From the next update on, nobody may look.
    then_blind: AtomicBool,
    blind: AtomicBool,
    /// From the next update on, the control store refuses.
    then_refuse: Mutex<Option<Arc<Answers>>>,
}

impl Script {
    fn rule(self: &Arc<Self>) -> Arc<Rule> {
        let script = self.clone();
        Arc::new(move |operation, body| script.fate(operation, body))
    }

    fn fate(&self, operation: &str, body: &mut String) -> Fate {
        self.asked.lock().expect("no panic").push(operation.to_owned());
        if self.without_versions.load(Relaxed) && operation == "UpdateTable" {
            let mut asked: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert!(asked.as_object_mut().expect("an object").remove("VersionId").is_some(), "{asked}");
            *body = asked.to_string();
        }
        if operation == "UpdateTable"
            && let Some(answers) = self.then_refuse.lock().expect("no panic").take()
        {
            answers.refusing.store(true, Relaxed);
        }
        if operation == "UpdateTable" && self.then_blind.load(Relaxed) {
            self.blind.store(true, Relaxed);
        }
        if operation == "GetTable" && self.blind.load(Relaxed) {
            return Fate::Say { is_done: false, status: 400, code: "AccessDeniedException" };
        }
        let mut next = self.next.lock().expect("no panic");
        match next.iter().position(|(of, _)| *of == operation) {
            Some(at) => next.remove(at).1,
            None => Fate::Pass,
        }
    }

    fn then(&self, operation: &'static str, fate: Fate) {
        self.next.lock().expect("no panic").push((operation, fate));
    }

    fn asked(&self, operation: &str) -> usize {
        self.asked.lock().expect("no panic").iter().filter(|asked| *asked == operation).count()
    }

    /// Waits for so many of them.
    async fn until(&self, operation: &str, count: usize) {
        for _ in 0..4000 {
            if self.asked(operation) >= count {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{} of {count} requests for {operation}", self.asked(operation));
    }
}

/// A world behind a proxy with this script.
async fn scripted(script: &Arc<Script>) -> Option<(World, PrivateProxy)> {
    let proxy = PrivateProxy::before(&PrivateAws::ministack()?.endpoint, script.rule());
    let world = beside(World::new().await, &proxy.endpoint).await?;
    Some((world, proxy))
}

impl Room {
    async fn state(&self, digest: &str) -> (DeliveryState, Option<i64>) {
        let row = self.ledger.delivery_by_digest(digest).await.expect("readable").expect("there");
        (row.state, row.snapshot_id)
    }

    async fn swings(&self) -> i64 {
        let row = sqlx::query("SELECT COUNT(*) FROM swings").fetch_one(&self.ledger.pool).await.expect("readable");
        sqlx::Row::try_get(&row, 0).expect("a number")
    }
}

fn committed(outcome: &Outcome, in_attempts: u32) -> i64 {
    match outcome {
        Outcome::Committed { snapshot_id, attempts } if *attempts == in_attempts => *snapshot_id,
        other => panic!("{other:?}"),
    }
}

/// What was delayed comes to its end before what is held goes on.
async fn let_through_before(delayed: Arc<Gate>, held: Arc<Gate>) {
    let both = tokio::task::spawn_blocking(move || {
        delayed.let_through();
        held.open();
    });
    both.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_all_land_once_beside_glue_too() {
    let Some(world) = world().await else { return };
    concurrent_appends(world).await;
    if let Some(cluster) = PrivatePostgres::start() {
        let endpoint = &PrivateAws::ministack().expect("it is there").endpoint;
        concurrent_appends(beside(World::on(Some(on(&cluster))).await, endpoint).await.expect("made")).await;
    }
}

/// Whatever becomes of request and answer, one snapshot comes of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_glue_loses_is_resolved_by_looking() {
    let script = Arc::new(Script::default());
    let Some((world, _proxy)) = scripted(&script).await else { return };
    let room = world.room("acme").await;
    room.append("d0", 0, 10).await.expect("committed");

    // It was done: the next look sees it.
    script.then("UpdateTable", Fate::LoseAnswer);
    let snapshot = committed(&room.append("d1", 10, 10).await.expect("resolved"), 1);
    assert_eq!(room.state("d1").await, (DeliveryState::Committed, Some(snapshot)));

    // It was not: once more.
    script.then("UpdateTable", Fate::LoseRequest);
    committed(&room.append("d2", 20, 10).await.expect("resolved"), 2);

    // It comes when all is done: it finds its version gone.
    let late = Arc::new(Gate::default());
    script.then("UpdateTable", Fate::Delay(late.clone()));
    let snapshot = committed(&room.append("d3", 30, 10).await.expect("resolved"), 2);
    let before = room.load().await.metadata_location().expect("there").to_owned();
    late.let_through();
    assert_eq!(room.load().await.metadata_location(), Some(before.as_str()));
    assert_eq!(room.state("d3").await, (DeliveryState::Committed, Some(snapshot)));

    // It comes while the second try is on its way to Glue: that finds its version gone, and then itself committed.
    let (late, second) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
    script.then("UpdateTable", Fate::Delay(late.clone()));
    script.then("UpdateTable", Fate::Hold(second.clone()));
    let (asked, room) = (script.asked("UpdateTable"), Arc::new(room));
    let appending = tokio::spawn({
        let room = room.clone();
        async move { room.append("d4", 40, 10).await }
    });
    script.until("UpdateTable", asked + 2).await;
    let_through_before(late, second).await;
    let snapshot = committed(&appending.await.expect("no panic").expect("resolved"), 3);
    assert_eq!(room.state("d4").await, (DeliveryState::Committed, Some(snapshot)));

    assert_eq!(room.load().await.metadata().snapshots().len(), 5);
    assert_eq!(room.rows().await.len(), 50);
    let files = room.objects().await.into_iter().filter(|path| path.ends_with("-m.avro")).count();
    assert!(files >= 5, "{files} manifests");
}

/// Glue did it and says that it did not: whatever it says, what it points at stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_that_was_done_has_landed_whatever_is_told_of_it() {
    let script = Arc::new(Script::default());
    let Some((world, _proxy)) = scripted(&script).await else { return };
    let room = world.room("acme").await;
    room.append("d0", 0, 10).await.expect("committed");
    let told = [
        (400, "SomethingNew"),
        (400, "InvalidInputException"),
        (400, "AccessDeniedException"),
        (403, ""),
        (400, "ExpiredTokenException"),
        (400, "ThrottlingException"),
        (400, "ConcurrentModificationException"),
    ];
    for (n, (status, code)) in (1_i64..).zip(told) {
        script.then("UpdateTable", Fate::Say { is_done: true, status, code });
        let digest = format!("d{n}");
        let snapshot = committed(&room.append(&digest, 10 * n, 10).await.expect(code), 1);
        assert_eq!(room.state(&digest).await, (DeliveryState::Committed, Some(snapshot)), "{code}");
        assert_eq!(room.load().await.metadata().snapshots().len(), usize::try_from(n).unwrap() + 1, "{code}");
    }
    assert_eq!(room.rows().await.len(), 10 * (told.len() + 1));

    // Nobody can look either: it is not known, so what was written stays, and whoever looks next finds it.
    for (digest, first) in [("e0", 100), ("e1", 110)] {
        script.then("UpdateTable", Fate::Say { is_done: true, status: 403, code: "" });
        script.then_blind.store(true, Relaxed);
        let error = room.append(digest, first, 10).await.expect_err("nothing can be seen");
        assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
        script.then_blind.store(false, Relaxed);
        script.blind.store(false, Relaxed);
        assert!(matches!(room.append(digest, first, 10).await.expect("found"), Outcome::AlreadyCommitted { .. }));
    }
    // What Glue did refuse is refused, and is in the table no more than in the ledger.
    script.then("UpdateTable", Fate::Say { is_done: false, status: 400, code: "AccessDeniedException" });
    assert_eq!(room.append("f0", 200, 10).await.expect_err("refused").kind(), ErrorKind::Refused);
    assert_eq!((room.rows().await.len(), room.state("f0").await), (10 * (told.len() + 3), (DeliveryState::Landed, None)));
}

/// Each file must be there however often the answer to making the table is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_whose_making_was_not_answered_is_made_once() {
    for fate in [Fate::LoseAnswer, Fate::LoseRequest] {
        let script = Arc::new(Script::default());
        let Some((world, _proxy)) = scripted(&script).await else { return };
        let was_done = matches!(fate, Fate::LoseAnswer);
        world.pointers.as_ref().expect("set").check().await.expect("it holds to versions");
        script.then("CreateTable", fate);
        let making = tokio::spawn(async move { (world.try_room("acme").await.map(|_| ()), world) });
        let (made, world) = making.await.expect("no panic");
        match made {
            Ok(()) => assert!(was_done),
            Err(error) => assert!(!was_done && error.kind() == ErrorKind::Ambiguous, "{error}"),
        }
        let room = world.room("acme").await;
        room.append("d0", 0, 10).await.expect("committed");
        assert_eq!((room.rows().await.len(), room.swings().await), (10, 0));
    }
}

/// The process dies between the swap and the ledger, in all the ways in which its delivery may be taken up again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_the_store_was_not_told_of_is_found_and_told() {
    for expire_first in [false, true] {
        let script = Arc::new(Script::default());
        let Some((mut world, _proxy)) = scripted(&script).await else { return };
        let steady = world.room("acme").await;
        let probe = Arc::new(Answers::default());
        world.control = world.control.watched_by(probe.clone());
        let dying = world.room("acme").await;
        dying.append("d0", 0, 10).await.expect("committed");
        *script.then_refuse.lock().expect("no panic") = Some(probe.clone());
        let error = dying.append("d1", 10, 10).await.expect_err("the store is gone");
        assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
        assert_eq!(steady.state("d1").await, (DeliveryState::Landed, None));
        // Readers see it, and damage it is not.
        assert_eq!((steady.rows().await.len(), steady.load().await.metadata().snapshots().len()), (20, 2));
        assert_eq!(steady.tables.survey("es_003").await.expect("looked at").found, []);
        if expire_first {
            // The snapshot goes that would have told of it; whoever makes it go tells the ledger before.
            steady.append("d2", 20, 10).await.expect("committed");
            steady.tables.expire("es_003", &only_the_newest(), false).await.expect("expired");
            assert_eq!(steady.load().await.metadata().snapshots().len(), 1);
        }
        let again = steady.append("d1", 10, 10).await.expect("told");
        let Outcome::AlreadyCommitted { snapshot_id } = again else { panic!("{again:?}") };
        assert_eq!(steady.state("d1").await, (DeliveryState::Committed, Some(snapshot_id)));
        assert_eq!((steady.rows().await.len(), steady.swings().await), (if expire_first { 30 } else { 20 }, 0));
        assert_eq!(steady.tables.survey("es_003").await.expect("looked at").found, []);
    }
}

/// Its delivery may never come again: maintenance tells the ledger, whichever of its steps is run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_ends_a_swing_that_the_store_was_not_told_of() {
    let script = Arc::new(Script::default());
    let Some((mut world, _proxy)) = scripted(&script).await else { return };
    let steady = world.room("acme").await;
    let probe = Arc::new(Answers::default());
    world.control = world.control.watched_by(probe.clone());
    let dying = world.room("acme").await;
    let compaction = Compaction { file_target_bytes: 1 << 20, files_min: 100 };
    let kept = Retention { snapshots_min: 100, snapshots_max: 100, ..only_the_newest() };
    for (n, step) in (0_i64..).zip(["rewrap", "compact", "expire", "sweep"]) {
        let digest = format!("d{n}");
        probe.refusing.store(false, Relaxed);
        *script.then_refuse.lock().expect("no panic") = Some(probe.clone());
        assert_eq!(dying.append(&digest, 10 * n, 10).await.expect_err("the store is gone").kind(), ErrorKind::Ambiguous);
        let run = async |dry_run: bool| match step {
            "rewrap" => steady.tables.rewrap("es_003", world.keys.as_ref(), dry_run).await.map(drop),
            "compact" => steady.tables.compact("es_003", &compaction, dry_run).await.map(drop),
            "expire" => steady.tables.expire("es_003", &kept, dry_run).await.map(drop),
            _ => {
                let lake = steady.lake.clone();
                lake.sweep(&scope("acme"), &steady.tables, GRACE_MIN, dry_run).await.map(drop)
            }
        };
        run(true).await.expect(step);
        assert_eq!((steady.state(&digest).await.0, steady.swings().await), (DeliveryState::Landed, 1), "{step}: a dry run");
        run(false).await.expect(step);
        assert_eq!((steady.state(&digest).await.0, steady.swings().await), (DeliveryState::Committed, 0), "{step}");
    }
    assert_eq!(steady.rows().await.len(), 40);
}

/// The narrowest place: the sleeper's swap is at Glue's door when the next worker commits, and nobody else has.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_swap_of_a_lease_that_ran_out_does_not_land_once_the_next_has_begun() {
    let script = Arc::new(Script::default());
    let Some((world, _proxy)) = scripted(&script).await else { return };
    let room = world.room("acme").await;
    room.land("d1").await.expect("landed");
    let worker = |token| Fence { keyed_digest: "d1".into(), token };
    let mark = Mark { report: Report::Es003, keyed_digest: "d1".into() };
    room.ledger.raise_fence(&worker(1)).await.expect("raised");
    let (sleeper, theirs) = (room.tables.behind(worker(1)), room.written(0, 10).await);
    let (asleep, ours) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
    script.then("UpdateTable", Fate::Hold(asleep.clone()));
    let asked = script.asked("UpdateTable");
    let sleeping = tokio::spawn({
        let mark = mark.clone();
        async move { sleeper.append("es_003", theirs, &mark).await }
    });
    script.until("UpdateTable", asked + 1).await;
    room.ledger.raise_fence(&worker(2)).await.expect("raised");
    let (next, written) = (room.tables.behind(worker(2)), room.written(0, 10).await);
    // The renewal passes, the swap waits.
    script.then("UpdateTable", Fate::Pass);
    script.then("UpdateTable", Fate::Hold(ours.clone()));
    let committing = tokio::spawn(async move { next.append("es_003", written, &mark).await });
    script.until("UpdateTable", asked + 3).await;
    // The sleeper wakes: nothing was committed since it looked, and it comes too late all the same.
    let_through_before(asleep, ours).await;
    let snapshot = committed(&committing.await.expect("no panic").expect("committed"), 1);
    let woken = sleeping.await.expect("no panic");
    assert!(
        matches!(&woken, Ok(Outcome::AlreadyCommitted { snapshot_id }) if *snapshot_id == snapshot)
            || matches!(&woken, Err(error) if error.kind() == ErrorKind::Refused),
        "{woken:?}"
    );
    assert_eq!((room.rows().await.len(), room.load().await.metadata().snapshots().len()), (10, 1));
    assert_eq!(room.state("d1").await, (DeliveryState::Committed, Some(snapshot)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_glue_that_does_not_look_at_versions_is_refused_before_anything_is_written() {
    let script = Arc::new(Script::default());
    let Some((world, _proxy)) = scripted(&script).await else { return };
    script.without_versions.store(true, Relaxed);
    let error = world.try_room("acme").await.err().expect("it would lose commits");
    assert_eq!(error.kind(), ErrorKind::Setup);
    assert!(error.to_string().contains("would lose commits"), "{error}");
    assert_eq!(script.asked("CreateTable"), 1, "of the probe, and none of the tenant");
    // The same Glue, asked as it is.
    script.without_versions.store(false, Relaxed);
    world.room("acme").await.append("d0", 0, 10).await.expect("committed");
}

/// An answer that it is asked too often tells nothing of whether it looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_probe_proves_nothing_and_a_throttled_swap_is_tried_again() {
    let throttled = || Fate::Say { is_done: false, status: 400, code: "ThrottlingException" };
    let script = Arc::new(Script::default());
    let Some((world, _proxy)) = scripted(&script).await else { return };
    script.without_versions.store(true, Relaxed);
    script.then("UpdateTable", throttled());
    script.then("UpdateTable", Fate::Pass);
    script.then("UpdateTable", Fate::Say { is_done: false, status: 429, code: "" });
    let error = world.try_room("acme").await.err().expect("it would lose commits");
    assert!(error.kind() == ErrorKind::Setup && error.to_string().contains("two updates of one version"), "{error}");
    script.without_versions.store(false, Relaxed);
    script.then("UpdateTable", throttled());
    let room = world.room("acme").await;
    script.then("UpdateTable", throttled());
    committed(&room.append("d0", 0, 10).await.expect("in the end"), 2);
    script.then("UpdateTable", throttled());
    room.tables.drop_column("es_003", "duty").await.expect("in the end");
    assert!(script.next.lock().expect("no panic").is_empty());
}

/// A table's parameters at Glue, changed by someone who is not us.
async fn tamper(endpoint: &str, world: &World, change: impl Fn(&mut std::collections::HashMap<String, String>)) {
    let client = aws_sdk_glue::Client::new(&account(endpoint).await.config(crate::aws::Service::Glue));
    let name = format!("{:?}", world.pointers.as_ref().expect("set"));
    let database = name.trim_start_matches("Glue(").trim_end_matches("*)").to_owned() + "acme";
    let found = client.get_table().database_name(&database).name("es_003").send().await.expect("there").table.expect("told");
    let mut parameters = found.parameters.expect("told");
    change(&mut parameters);
    let input =
        aws_sdk_glue::types::TableInput::builder().name("es_003").set_parameters(Some(parameters)).build().expect("whole");
    client.update_table().database_name(&database).table_input(input).send().await.expect("changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pointer_that_other_hands_moved_is_not_believed() {
    let Some(world) = world().await else { return };
    let endpoint = PrivateAws::ministack().expect("it is there").endpoint.clone();
    let room = world.room("acme").await;
    room.append("d0", 0, 10).await.expect("committed");
    let earlier = room.load().await.metadata_location().expect("there").to_owned();
    let earlier_sha = room.tables.catalog.pointer(&room.ident()).await.unwrap().unwrap().1.unwrap();
    room.append("d1", 10, 10).await.expect("committed");
    let (sound, sound_sha) = room.tables.catalog.pointer(&room.ident()).await.unwrap().unwrap();
    let sound_sha = sound_sha.unwrap();
    // A copy of sound metadata under a name that nobody committed.
    let forged = sound.replace("/metadata/00002-", "/metadata/00003-");
    assert_ne!(forged, sound);
    let bytes = room.store.get(&room.path(&sound)).await.unwrap().bytes().await.unwrap();
    room.store.put(&room.path(&forged), bytes.into()).await.unwrap();
    let set = |location: &str, sha256: &str| {
        let pair = [("metadata_location", location.to_owned()), ("bonded.metadata_sha256", sha256.to_owned())];
        move |parameters: &mut std::collections::HashMap<String, String>| {
            parameters.extend(pair.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        }
    };
    for (location, sha256, what) in [
        (earlier.as_str(), earlier_sha.as_str(), "nobody committed next"),
        (&forged, &sound_sha, "nobody committed next"),
        (&sound, &earlier_sha, "another digest"),
    ] {
        tamper(&endpoint, &world, set(location, sha256)).await;
        let error = room.tables.catalog.load(&room.ident()).await.expect_err("not ours");
        assert!(error.kind() == ErrorKind::Damaged && error.to_string().contains(what), "{error}");
        assert!(room.tables.writer("es_003").await.is_err(), "nothing goes on from there");
        let found = room.tables.survey("es_003").await.expect("looked at").found;
        assert!(found.len() == 1 && found[0].flaw.what.contains(what), "{found:?}");
        tamper(&endpoint, &world, set(&sound, &sound_sha)).await;
    }
    assert_eq!(room.rows().await.len(), 20);
    world.pointers.as_ref().expect("set").remove(scope("acme").tenant(), "es_003").await.expect("removed");
    let error = ensure(&room.tables).await.expect_err("an empty table in its place would hide it");
    assert!(error.kind() == ErrorKind::Damaged && error.to_string().contains("the control store knows it"), "{error}");
    assert_eq!(room.tables.names().await.expect("told"), ["es_003"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_stand_in_glue_as_icebergs_own_readers_expect_them() {
    let Some(world) = world().await else { return };
    let room = world.room("acme-toys").await;
    room.append("d0", 0, 10).await.expect("committed");
    let name = format!("{:?}", world.pointers.as_ref().expect("set"));
    let database = name.trim_start_matches("Glue(").trim_end_matches("*)").to_owned() + "acme_toys";
    let client = account(&PrivateAws::ministack().expect("it is there").endpoint).await.config(crate::aws::Service::Glue);
    let client = aws_sdk_glue::Client::new(&client);
    let found = client.get_table().database_name(&database).name("es_003").send().await.expect("there").table.expect("told");
    let table = room.load().await;
    let parameters = found.parameters().expect("told");
    let told = |key: &str| parameters.get(key).map(String::as_str);
    assert_eq!((told("table_type"), told("metadata_location")), (Some("ICEBERG"), table.metadata_location()));
    assert!(told("previous_metadata_location").is_some_and(|previous| previous.contains("/metadata/00000-")), "{parameters:?}");
    assert_eq!(found.table_type(), Some("EXTERNAL_TABLE"));
    let lies = found.storage_descriptor().expect("told");
    assert_eq!(lies.location(), Some(table.metadata().location()));
    let columns: Vec<(&str, &str)> = lies.columns().iter().map(|c| (c.name(), c.r#type().expect("typed"))).collect();
    let expected = [
        ("entry_summary_number", "string"),
        ("entry_date", "date"),
        ("duty", "decimal(18,2)"),
        ("_line", "bigint"),
        ("_as_of", "timestamp"),
    ];
    assert_eq!(columns, expected);
    // What others put beside the pointer stays, and another tenant sees nothing of it.
    assert_eq!(world.room("zenith").await.rows().await.len(), 0);
    assert_eq!(room.tables.names().await.expect("told"), ["es_003"]);
}

/// The store is lost, Glue is not: what it points at is let go, and the tables are made anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pointers_of_a_lost_store_are_let_go_and_those_of_a_living_one_are_not() {
    let Some(world) = world().await else { return };
    let room = world.room("acme").await;
    room.append("d0", 0, 10).await.expect("committed");
    assert_eq!(room.tables.let_go(false).await.expect_err("in use").kind(), ErrorKind::Refused);
    assert_eq!(room.rows().await.len(), 10);
    let mut lost = World::new().await;
    (lost.lake_url, lost.pointers, lost.keys) = (world.lake_url.clone(), world.pointers.clone(), world.keys.clone());
    let error = lost.try_room("acme").await.err().expect("nobody knows what Glue points at");
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    let empty = lost.bare_room("acme").await;
    // Seen from a copy of the lake they may be of the one that stayed.
    let error = empty.tables.let_go(true).await.expect_err("in use perhaps");
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("catalog.database"), "{error}");
    assert_eq!(room.rows().await.len(), 10);
    empty.tables.let_go(false).await.expect("let go");
    ensure(&empty.tables).await.expect("made anew");
    empty.append("d0", 0, 10).await.expect("committed");
    assert_eq!(empty.rows().await.len(), 10);
}

/// Of a lake that was restored: the store came back, and the catalog is another one, or was emptied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pointers_that_the_store_records_are_put_back_where_there_are_none() {
    let Some(mut world) = world().await else { return };
    let endpoint = &PrivateAws::ministack().expect("it is there").endpoint;
    let room = world.room("acme").await;
    room.append("d0", 0, 10).await.expect("committed");
    assert_eq!(room.tables.put_back(false).await.expect("all there"), 0);
    let error = room.tables.put_back(true).await.expect_err("of whom is not known");
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("old lake's pointers"), "{error}");
    let before = world.pointers.replace(glue(endpoint, &prefix()).await);
    let restored = world.bare_room("acme").await;
    assert_eq!(restored.tables.catalog.load(&restored.ident()).await.expect_err("no pointer").kind(), ErrorKind::Damaged);
    assert_eq!(restored.tables.put_back(true).await.expect("made"), 1);
    assert_eq!(restored.tables.put_back(false).await.expect("all there"), 0);
    restored.append("d1", 10, 10).await.expect("committed");
    assert_eq!(restored.rows().await.len(), 20);
    // The catalog of before stands where the store does not know it any more: nothing of it is written over.
    world.pointers = before;
    let stale = world.bare_room("acme").await;
    assert_eq!(stale.tables.put_back(false).await.expect_err("elsewhere").kind(), ErrorKind::Refused);
}
