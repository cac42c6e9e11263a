//! Maintenance against real files, a real keyring and a real SQLite catalog; only the clocks are doubles.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::{array::AsArray, datatypes::Int64Type};
use chrono::TimeDelta;
use iceberg::spec::Operation;

use super::{
    super::{
        Lake, Outcome, Tables, Written,
        commit::{Change, landed},
        read,
        staging::with_row_ids,
        tests::{Room, World, only_the_newest, scope},
    },
    Compaction, Swept, lineage,
};
use crate::{
    ErrorKind,
    clock::{Clock, FixedClock, SystemClock},
    lake::{Mark, open_store},
};

mod dated;

use dated::Dated;

const JOIN: Compaction = Compaction { file_target_bytes: 8 << 20, files_min: 4 };
const GRACE: TimeDelta = TimeDelta::hours(72);

impl Room {
    /// Line -> row id and sequence number of the last change, as readers inherit or read them.
    async fn lineage(&self) -> BTreeMap<i64, (i64, i64)> {
        let table = self.load().await;
        let schema = lineage::with_lineage(&iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap());
        let mut rows = BTreeMap::new();
        for manifest in self.manifests(&table).await {
            let entries = manifest.load_manifest(table.file_io()).await.expect("opens");
            for (entry, first_row_id) in with_row_ids(&manifest, &entries) {
                let mut next = first_row_id.expect("a v3 table has row ids");
                for batch in read::open(&table, entry.data_file(), &schema).await.expect("opens") {
                    let batch =
                        lineage::fill(&batch.expect("reads"), next, entry.sequence_number().expect("set")).expect("filled");
                    next += batch.num_rows() as i64;
                    let of =
                        |name: &str| batch.column_by_name(name).expect("there").as_primitive::<Int64Type>().values().to_vec();
                    let ids = of("_row_id").into_iter().zip(of("_last_updated_sequence_number"));
                    for (line, lineage) in of("_line").into_iter().zip(ids) {
                        assert!(rows.insert(line, lineage).is_none(), "a row is doubled");
                    }
                }
            }
        }
        rows
    }

    async fn files(&self) -> usize {
        read::live_files(&self.load().await).await.expect("readable").len()
    }

    async fn swept(&self) -> Swept {
        self.lake.sweep(&scope("acme"), &self.tables, GRACE, false).await.expect("swept")
    }
}

/// The same tables behind another clock and a store whose time the test sets.
async fn dated_room(world: &World, clock: Arc<dyn Clock>) -> (Arc<Room>, Dated) {
    let room = world.room("acme").await;
    let (store, root) = open_store(&world.lake_url).expect("a store");
    let dated = Dated::new(store, SystemClock.now());
    let lake = Lake::new(Arc::new(dated.clone()), &root, world.keys.clone(), clock);
    let tables = lake.tables(&scope("acme"), &room.ledger, &room.key);
    (Arc::new(Room { tables, lake, store: Arc::new(dated.clone()), ledger: room.ledger, key: room.key }), dated)
}

#[tokio::test]
async fn joined_files_hold_the_same_rows_ids_and_lengths_and_a_second_run_finds_nothing() {
    let world = World::new().await;
    let room = world.room("acme").await;
    for n in 0..9 {
        room.append(&format!("d{n}"), n * 100, 100).await.expect("committed");
    }
    let (rows, lineage, files) = (room.rows().await, room.lineage().await, room.files().await);
    let planned = room.tables.compact("es_003", &JOIN, true).await.expect("told");
    assert_eq!((planned.files_joined, room.files().await), (files, files), "a dry run changes nothing");
    let done = room.tables.compact("es_003", &JOIN, false).await.expect("joined");
    assert_eq!((done.files_before, done.files_joined, done.rows_moved), (files, files, 900));
    assert_eq!(done.files_made, room.files().await);
    assert_eq!(done.files_made, 4, "90 days from 2024-10-04 on touch four months");
    assert_eq!(room.rows().await, rows);
    assert_eq!(room.lineage().await, lineage);
    let table = room.load().await;
    let snapshot = table.metadata().current_snapshot().expect("there").clone();
    assert_eq!(snapshot.summary().operation, Operation::Replace);
    assert_eq!(snapshot.summary().additional_properties["total-records"], "900");
    // Within a file rows lie in delivery order, and manifests tell what is stored.
    for manifest in room.manifests(&table).await {
        assert_eq!(manifest.manifest_length as u64, room.stored_bytes(&manifest.manifest_path).await);
        for entry in manifest.load_manifest(table.file_io()).await.expect("opens").entries().iter().filter(|e| e.is_alive()) {
            let schema = Arc::new(iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap());
            let mut lines = Vec::new();
            for batch in read::open(&table, entry.data_file(), &schema).await.expect("opens") {
                lines.extend(batch.unwrap().column_by_name("_line").unwrap().as_primitive::<Int64Type>().values().to_vec());
            }
            let deliveries: Vec<i64> = lines.iter().map(|line| line / 100).collect();
            assert!(deliveries.is_sorted(), "{deliveries:?}");
        }
    }
    let again = room.tables.compact("es_003", &JOIN, false).await.expect("told");
    assert_eq!((again.files_joined, again.manifests_after), (0, 0));
    assert_eq!(room.load().await.metadata().current_snapshot_id(), Some(snapshot.snapshot_id()));
    // Row ids survive being moved twice, too.
    for n in 9..13 {
        room.append(&format!("d{n}"), n * 100, 100).await.expect("committed");
    }
    let lineage = room.lineage().await;
    room.tables.compact("es_003", &Compaction { files_min: 2, ..JOIN }, false).await.expect("joined");
    assert_eq!(room.lineage().await, lineage);
    assert_eq!(lineage.values().map(|(id, _)| *id).collect::<std::collections::BTreeSet<_>>().len(), 1300, "ids are unique");
}

#[tokio::test]
async fn a_column_added_or_dropped_between_deliveries_reads_the_same_after_compaction() {
    use arrow::datatypes::{DataType, Field};
    let world = World::new().await;
    let room = world.room("acme").await;
    for n in 0..4 {
        room.append(&format!("a{n}"), n * 100, 100).await.expect("committed");
    }
    room.tables.drop_column("es_003", "duty").await.expect("dropped");
    room.tables.add_columns("es_003", &[Field::new("duty", DataType::Decimal128(18, 2), true)]).await.expect("added");
    for n in 4..8 {
        room.append(&format!("b{n}"), n * 100, 100).await.expect("committed");
    }
    let rows = room.rows().await;
    assert!(rows[&0].is_none() && rows[&799] == Some(799));
    let done = room.tables.compact("es_003", &JOIN, false).await.expect("joined");
    assert!(done.files_joined > 0 && done.files_made == 8, "{done:?}");
    assert_eq!(room.rows().await, rows);
}

#[tokio::test]
async fn many_commits_keep_the_manifest_list_short_and_every_row_id_where_it_was() {
    let world = World::new().await;
    let room = world.room("acme").await;
    for n in 0..99 {
        room.append(&format!("d{n}"), n * 2, 2).await.expect("committed");
    }
    let before = room.lineage().await;
    assert_eq!(room.manifests(&room.load().await).await.len(), 99);
    for n in 99..102 {
        room.append(&format!("d{n}"), n * 2, 2).await.expect("committed");
    }
    // The 101st found a hundred small ones and merged them.
    let manifests = room.manifests(&room.load().await).await;
    assert_eq!(manifests.len(), 3);
    let after = room.lineage().await;
    assert_eq!(after.len(), 204);
    assert!(before.iter().all(|(line, lineage)| after[line] == *lineage));
    // Maintenance merges the rest where no file is worth joining.
    let (had, have) = super::merge_manifests(&room.tables, "es_003", 3, false).await.expect("merged");
    assert_eq!((had, have, room.manifests(&room.load().await).await.len()), (3, 1, 1));
    assert_eq!(room.lineage().await, after);
    let snapshot = room.load().await.metadata().current_snapshot_id();
    assert_eq!(super::merge_manifests(&room.tables, "es_003", 3, false).await.expect("told"), (1, 0));
    assert_eq!(room.load().await.metadata().current_snapshot_id(), snapshot);
}

/// The public incident: a clean-up listed the files of a commit that had not landed yet, and deleted them when it had.
#[tokio::test]
async fn a_commit_that_lands_while_the_folder_is_listed_keeps_its_files() {
    for lands in [true, false] {
        let world = World::new().await;
        let (room, dated) = dated_room(&world, Arc::new(SystemClock)).await;
        room.append("d0", 0, 10).await.expect("committed");
        room.land("slow").await.expect("landed");
        let written = room.written(10, 10).await;
        // A first sweep sees the files as unreferenced, and then they grow old: the worst case.
        assert_eq!(room.swept().await.removed, 0);
        dated.pass(100);
        let before = room.objects().await;
        if lands {
            let committing = room.clone();
            dated.after_listing(async move {
                committing.commit("slow", written).await.expect("it lands");
            });
        } else {
            drop(written);
        }
        let swept = room.swept().await;
        if lands {
            assert_eq!(swept.removed, 0, "{swept:?}");
            let after = room.objects().await;
            assert!(before.iter().all(|path| after.contains(path)));
            assert_eq!(room.rows().await.len(), 20);
        } else {
            assert!(swept.removed > 0, "without the commit they are garbage, and go");
            assert_eq!(room.rows().await.len(), 10);
            assert_eq!(room.swept().await.removed, 0, "the second time there is nothing left");
        }
    }
}

#[tokio::test]
async fn an_orphan_goes_only_when_it_is_old_and_was_seen_long_ago_whatever_our_clock_says() {
    for skew_days in [-400, 0, 400] {
        let world = World::new().await;
        let clock = Arc::new(FixedClock(SystemClock.now() + TimeDelta::days(skew_days)));
        let (room, dated) = dated_room(&world, clock).await;
        let orphan = room.written(0, 10).await;
        let count = orphan.files.len();
        assert_eq!((room.swept().await.young, room.swept().await.removed), (count, 0));
        dated.pass(71);
        assert_eq!((room.swept().await.young, room.swept().await.removed), (count, 0));
        dated.pass(2);
        let told = room.lake.sweep(&scope("acme"), &room.tables, GRACE, true).await.expect("told");
        assert_eq!((told.removed, room.objects().await.len()), (count, count + 1), "a dry run removes nothing");
        let swept = room.swept().await;
        assert_eq!((swept.removed, swept.referenced), (count, 1));
        // Old by its date but never seen before, as after a restore: it waits.
        let late = room.written(0, 10).await;
        dated.pass(100);
        let swept = room.swept().await;
        assert_eq!((swept.waiting, swept.removed), (late.files.len(), 0));
    }
}

#[tokio::test]
async fn a_grace_that_could_hurt_a_running_delivery_is_refused() {
    let world = World::new().await;
    let room = world.room("acme").await;
    let error = room.lake.sweep(&scope("acme"), &room.tables, TimeDelta::hours(23), false).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Input);
}

#[tokio::test]
async fn uploads_that_were_never_finished_go_when_they_are_old() {
    let world = World::new().await;
    let room = world.room("acme").await;
    let data = std::path::Path::new(&world.lake_url).join("tenants/acme/warehouse/es_003/data");
    std::fs::create_dir_all(&data).expect("made");
    let upload = |name: &str, hours: u64| {
        let path = data.join(name);
        let file = std::fs::File::create(&path).expect("made");
        let age = Duration::from_secs(hours * 3600);
        file.set_modified(std::time::SystemTime::from(SystemClock.now()) - age).expect("dated");
        path
    };
    let (old, young) = (upload("a.parquet#1", 100), upload("b.parquet#2", 1));
    assert_eq!(room.swept().await.uploads_removed, 1);
    assert!(!old.exists() && young.exists());
}

/// Everything expired and swept; the ledger still knows.
#[tokio::test]
async fn a_file_delivered_again_a_year_later_is_a_duplicate_though_its_snapshot_and_files_are_gone() {
    let world = World::new().await;
    let room = world.room("acme").await;
    let Outcome::Committed { snapshot_id: first, .. } = room.append("d0", 0, 10).await.expect("committed") else { panic!() };
    for n in 1..6 {
        room.append(&format!("d{n}"), n * 10, 10).await.expect("committed");
    }
    // Too few files of one month to be joined, so that the small manifests are.
    room.tables.compact("es_003", &JOIN, false).await.expect("joined");
    let expired = room.tables.expire("es_003", &only_the_newest(), false).await.expect("expired");
    assert_eq!((expired.snapshots_before, expired.snapshots_expired), (7, 6));
    let clock = Arc::new(FixedClock(SystemClock.now() + TimeDelta::days(365)));
    let (later, dated) = dated_room(&world, clock).await;
    later.swept().await;
    dated.pass(365 * 24);
    let swept = later.swept().await;
    assert!(swept.removed > 12, "old lists, manifests and data files went: {swept:?}");
    let (rows, objects) = (later.rows().await, later.objects().await);
    assert_eq!(rows.len(), 60);
    for _ in 0..2 {
        let again = later.append("d0", 0, 10).await.expect("told");
        assert_eq!(again, Outcome::AlreadyCommitted { snapshot_id: first }, "the snapshot of its first commit is told");
    }
    assert_eq!((later.rows().await, later.objects().await), (rows, objects));
    // And a new one commits as ever.
    assert!(matches!(later.append("new", 60, 10).await.expect("committed"), Outcome::Committed { .. }));
    assert_eq!(later.rows().await.len(), 70);
}

/// COMMIT landed, its answer was lost, and before anyone looked the snapshot expired. Taken for lost, its files would be deleted.
#[tokio::test]
async fn an_unanswered_commit_is_found_in_the_ledger_or_by_its_files_when_its_snapshot_is_gone() {
    let world = World::new().await;
    let room = world.room("acme").await;
    let Outcome::Committed { snapshot_id: first, .. } = room.append("d0", 0, 10).await.expect("committed") else { panic!() };
    room.append("d1", 10, 10).await.expect("committed");
    room.tables.expire("es_003", &only_the_newest(), false).await.expect("expired");
    let table = room.load().await;
    assert!(table.metadata().snapshot_by_id(first).is_none());
    let mark = |digest: &str| Mark { report: bonded_schemas::Report::Es003, keyed_digest: digest.to_owned() };
    let (d0, d9) = (mark("d0"), mark("d9"));
    assert_eq!(landed(&room.tables, &table, &Change::append(&[], &d0), &[first]).await.expect("told"), Some(first));
    assert_eq!(landed(&room.tables, &table, &Change::append(&[], &d0), &[first + 1]).await.expect("told"), None);
    assert_eq!(landed(&room.tables, &table, &Change::append(&[], &d9), &[first]).await.expect("told"), None);
    // A replacement has no mark: its files tell.
    let live = read::live_files(&table).await.expect("readable");
    let replace = |files| Change::replace(files, Default::default(), Operation::Replace);
    assert_eq!(landed(&room.tables, &table, &replace(&live), &[7]).await.expect("told"), Some(7));
    let written = room.written(50, 5).await;
    assert_eq!(landed(&room.tables, &table, &replace(&written.files), &[7]).await.expect("told"), None);
}

#[tokio::test]
async fn a_snapshot_stays_for_a_time_after_another_took_its_place_and_never_more_than_the_limit() {
    let world = World::new().await;
    let room = world.room("acme").await;
    for n in 0..6 {
        room.append(&format!("d{n}"), n * 10, 10).await.expect("committed");
    }
    let retention = |min, max, hours| super::Retention {
        snapshots_min: min,
        snapshots_max: max,
        age_max: TimeDelta::hours(hours),
        metadata_versions_max: 3,
    };
    let told = async |retention| room.tables.expire("es_003", &retention, true).await.expect("told").snapshots_expired;
    assert_eq!(told(retention(1, 100, 1)).await, 0, "all are young");
    assert_eq!(told(retention(1, 4, 1)).await, 2, "but there are too many");
    assert_eq!(told(retention(5, 5, 1)).await, 1);
    assert_eq!(room.load().await.metadata().snapshots().len(), 6, "a dry run changes nothing");
    let later = Arc::new(FixedClock(SystemClock.now() + TimeDelta::hours(2)));
    let tables: Tables = dated_room(&world, later).await.0.tables.clone();
    let expired = tables.expire("es_003", &retention(2, 100, 1), false).await.expect("expired");
    assert_eq!((expired.snapshots_expired, expired.keys_pruned), (4, 4));
    assert_eq!(room.load().await.metadata().metadata_log().len(), 3, "the log of older metadata is trimmed");
    assert_eq!(room.rows().await.len(), 60);
}

#[tokio::test]
async fn keys_are_wrapped_anew_after_a_rotation_and_no_file_but_the_metadata_changes() {
    let world = World::new().await;
    let room = world.room("acme").await;
    for n in 0..3 {
        room.append(&format!("d{n}"), n * 10, 10).await.expect("committed");
    }
    let version = async || {
        let table = room.load().await;
        let wraps = table.metadata().encryption_keys_iter().filter(|key| key.encrypted_by_id() == Some(room.key.0.as_str()));
        wraps.map(|key| world.keys.version_of(key.encrypted_key_metadata())).collect::<Vec<_>>()
    };
    assert_eq!(version().await, [Some(1)]);
    world.keys.rotate(&room.key).await.expect("rotated");
    let before = room.objects().await;
    assert_eq!(room.tables.rewrap("es_003", world.keys.as_ref(), true).await.expect("told").rewrapped, 1);
    assert_eq!(version().await, [Some(1)], "a dry run changes nothing");
    assert_eq!(room.tables.rewrap("es_003", world.keys.as_ref(), false).await.expect("done").rewrapped, 1);
    assert_eq!(version().await, [Some(2)]);
    assert_eq!(room.tables.rewrap("es_003", world.keys.as_ref(), false).await.expect("told").rewrapped, 0);
    let new: Vec<String> = room.objects().await.into_iter().filter(|path| !before.contains(path)).collect();
    assert!(new.len() == 1 && new[0].ends_with(".metadata.json"), "{new:?}");
    let fresh = world.room("acme").await;
    assert_eq!(fresh.rows().await.len(), 30);
    fresh.append("d3", 30, 10).await.expect("committed");
    assert_eq!(fresh.rows().await.len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn maintenance_beside_running_deliveries_and_a_rewrite_loses_and_doubles_nothing() {
    const DELIVERIES: i64 = 24;
    let world = World::new().await;
    let room = Arc::new(world.room("acme").await);
    let mut tasks: Vec<_> = (0..3)
        .map(|task| {
            let room = room.clone();
            tokio::spawn(async move {
                for n in 0..DELIVERIES / 3 {
                    let at = task * DELIVERIES / 3 + n;
                    room.append(&format!("d{at}"), at * 10, 10).await.expect("committed");
                }
            })
        })
        .collect();
    for _ in 0..2 {
        let room = room.clone();
        let keys = world.keys.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..4 {
                room.tables.compact("es_003", &Compaction { files_min: 2, ..JOIN }, false).await.expect("joined");
                room.tables.expire("es_003", &only_the_newest(), false).await.expect("expired");
                room.tables.rewrap("es_003", keys.as_ref(), false).await.expect("wrapped");
                room.swept().await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    room.tables.rewrite("es_003", &|batch| Ok(Some(batch.clone()))).await.expect("rewritten");
    room.tables.compact("es_003", &Compaction { files_min: 2, ..JOIN }, false).await.expect("joined");
    assert_eq!(room.rows().await, (0..DELIVERIES * 10).map(|n| (n, Some(i128::from(n)))).collect());
    let summary = room.tables.info("es_003").await.expect("told");
    assert_eq!((summary.rows, summary.data_files as usize), (DELIVERIES as u64 * 10, room.files().await));
    // Every delivery is still known as committed.
    for n in 0..DELIVERIES {
        assert!(matches!(room.append(&format!("d{n}"), n * 10, 10).await.expect("told"), Outcome::AlreadyCommitted { .. }));
    }
}

#[tokio::test]
async fn a_damaged_manifest_ends_the_sweep_before_anything_is_removed() {
    let world = World::new().await;
    let (room, dated) = dated_room(&world, Arc::new(SystemClock)).await;
    room.append("d0", 0, 10).await.expect("committed");
    let _orphan: Written = room.written(10, 10).await;
    room.swept().await;
    dated.pass(100);
    let manifest = room.manifests(&room.load().await).await.remove(0).manifest_path;
    let path = manifest.strip_prefix(room.lake.root()).expect("under the root").trim_start_matches('/').to_owned();
    let file = std::path::Path::new(&world.lake_url).join(&path);
    let mut bytes = std::fs::read(&file).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let before = room.objects().await;
    room.lake.sweep(&scope("acme"), &room.tables, GRACE, false).await.expect_err("it must not go on");
    assert_eq!(room.objects().await, before);
}
