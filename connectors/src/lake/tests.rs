//! The encrypted commit path against real files, a real keyring and a real SQLite catalog.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use arrow::{
    array::{Array, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use bonded_schemas::{Report, TenantScope};
use chrono::Utc;
use iceberg::{TableIdent, encryption::StandardKeyMetadata, spec::ManifestFile, table::Table};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use tempfile::TempDir;

use super::{Lake, Layout, Mark, Outcome, Pointers, Tables, Written, maintain::Retention, open_store};
use crate::{
    ErrorKind,
    clock::SystemClock,
    keys::{
        KeyId, Keys,
        keyring::{Keyring, RootSource},
    },
    store::{
        ControlStore, Place, Probe, TenantRecord, TenantStore,
        ledger::LedgerRow,
        private_postgres::PrivatePostgres,
        tests::{made, on},
    },
};

mod fence;
mod glue;

/// One lake folder, one keyring, and what is made from them.
pub(super) struct World {
    _folder: TempDir,
    pub(super) lake_url: String,
    pub(super) keys: Arc<dyn Keys>,
    control: ControlStore,
    bucket: Option<Arc<super::S3>>,
    pointers: Option<Arc<dyn Pointers>>,
}

pub(super) struct Room {
    pub(super) tables: Tables,
    pub(super) ledger: TenantStore,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) lake: Lake,
    pub(super) key: KeyId,
}

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
pub(super) fn scope(tenant: &str) -> TenantScope {
    TenantScope::establish(tenant.parse().expect("a tenant name"), "test")
}

impl World {
    pub(super) async fn new() -> Self {
        Self::on(None).await
    }

    /// On SQLite, or on the PostgreSQL of this URL.
    pub(super) async fn on(postgres: Option<Place>) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let keys = Keyring::create(&folder.path().join("keys"), RootSource::KeyFile, Arc::new(SystemClock)).expect("a keyring");
        let lake = folder.path().join("lake");
        let control = made(postgres.unwrap_or_else(|| Place::Sqlite(lake.clone()))).await;
        Self {
            lake_url: lake.display().to_string(),
            _folder: folder,
            keys: Arc::new(keys),
            control,
            bucket: None,
            pointers: None,
        }
    }

    /// Tables in a bucket, under keys that the bucket knows; `None` where no emulator is installed.
    async fn in_bucket() -> Option<Self> {
        let (bucket, keys) = super::s3_of_tests(false).await?;
        Some(Self { bucket: Some(bucket), keys, ..Self::new().await })
    }

    /// A tenant with `es_003` made.
    pub(super) async fn room(&self, tenant: &str) -> Room {
        self.try_room(tenant).await.expect("a table")
    }

    async fn try_room(&self, tenant: &str) -> crate::Result<Room> {
        let room = self.bare_room(tenant).await;
        ensure(&room.tables).await?;
        Ok(room)
    }

    /// A tenant without a table.
    async fn bare_room(&self, tenant: &str) -> Room {
        let scope = scope(tenant);
        let key = match self.control.tenant(scope.tenant()).await.expect("readable") {
            Some(record) => KeyId(record.key_id),
            None => {
                let key = self.keys.create_key(scope.tenant()).await.expect("a key");
                let record = TenantRecord {
                    tenant: scope.tenant().clone(),
                    key_id: key.to_string(),
                    wrapped_secret: String::new(),
                    created_at: String::new(),
                };
                assert!(self.control.add_tenant(&record).await.expect("added"));
                key
            }
        };
        let ledger = self.control.open_tenant(&scope).await.expect("a ledger");
        let (store, root) = match &self.bucket {
            Some(bucket) => {
                bucket.assign(scope.tenant(), &key);
                bucket.clone().opened().await.expect("opens")
            }
            None => open_store(&self.lake_url).expect("a store"),
        };
        let lake = Lake::new(store.clone(), &root, self.keys.clone(), Arc::new(SystemClock))
            .in_bucket(self.bucket.clone())
            .with_pointers(self.pointers.clone());
        let tables = lake.tables(&scope, &ledger, &key);
        Room { tables, ledger, store, lake, key }
    }
}

async fn ensure(tables: &Tables) -> crate::Result<()> {
    let layout = Layout { schema: &schema(), partition_by_month_of: "entry_date", sorted_by: &["entry_summary_number"] };
    tables.ensure("es_003", &layout).await
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("entry_summary_number", DataType::Utf8, true),
        Field::new("entry_date", DataType::Date32, true),
        Field::new("duty", DataType::Decimal128(18, 2), true),
        Field::new("_line", DataType::Int64, false),
        Field::new("_as_of", DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), false),
    ])
}

/// `rows` rows of consecutive days, so that several months are touched; duty is the row's number in cents.
pub(super) fn batch(first: i64, rows: i64) -> RecordBatch {
    let numbers = || first..first + rows;
    RecordBatch::try_new(
        Arc::new(schema()),
        vec![
            Arc::new(StringArray::from_iter_values(numbers().map(|n| format!("ZZ9{n:08}")))),
            Arc::new(Date32Array::from_iter_values(numbers().map(|n| 20_000 + (n % 90) as i32))),
            Arc::new(Decimal128Array::from_iter_values(numbers().map(i128::from)).with_precision_and_scale(18, 2).expect("fits")),
            Arc::new(Int64Array::from_iter_values(numbers())),
            Arc::new(TimestampMicrosecondArray::from_iter_values(numbers().map(|_| 0)).with_timezone("+00:00")),
        ],
    )
    .expect("a batch")
}

pub(super) fn only_the_newest() -> Retention {
    Retention { snapshots_min: 1, snapshots_max: 1, age_max: chrono::TimeDelta::hours(72), metadata_versions_max: 20 }
}

impl Room {
    pub(super) fn ident(&self) -> TableIdent {
        TableIdent::new(self.tables.namespace(), "es_003".to_owned())
    }

    pub(super) async fn load(&self) -> Table {
        self.tables.catalog.load(&self.ident()).await.expect("the table loads")
    }

    pub(super) async fn written(&self, first: i64, rows: i64) -> Written {
        let mut writer = self.tables.writer("es_003").await.expect("a writer");
        writer.write(&batch(first, rows)).await.expect("written");
        writer.finish().await.expect("finished")
    }

    /// Records the delivery as landed and appends its rows.
    pub(super) async fn append(&self, digest: &str, first: i64, rows: i64) -> crate::Result<Outcome> {
        self.land(digest).await?;
        let written = self.written(first, rows).await;
        self.commit(digest, written).await
    }

    pub(super) async fn land(&self, digest: &str) -> crate::Result<LedgerRow> {
        let landed = LedgerRow {
            delivery_id: bonded_schemas::DeliveryId(uuid::Uuid::now_v7()),
            keyed_digest: digest.to_owned(),
            state: bonded_schemas::DeliveryState::Landed,
            report: None,
            received_at: chrono::DateTime::<Utc>::UNIX_EPOCH,
            as_of: chrono::DateTime::<Utc>::UNIX_EPOCH,
            raw_path: String::new(),
            size_bytes: 0,
            snapshot_id: None,
            sealed_receipt: None,
        };
        self.ledger.record_landed(&landed).await
    }

    pub(super) async fn commit(&self, digest: &str, written: Written) -> crate::Result<Outcome> {
        let mark = Mark { report: Report::Es003, keyed_digest: digest.to_owned() };
        self.tables.append("es_003", written, &mark).await
    }

    /// Every live row, decrypted: line -> duty in cents.
    pub(super) async fn rows(&self) -> BTreeMap<i64, Option<i128>> {
        let rows = std::sync::Mutex::new(BTreeMap::new());
        let seen = |batch: &RecordBatch| {
            let lines =
                batch.column_by_name("_line").expect("there").as_any().downcast_ref::<Int64Array>().expect("int64").clone();
            let duty =
                batch.column_by_name("duty").map(|c| c.as_any().downcast_ref::<Decimal128Array>().expect("decimal").clone());
            for row in 0..batch.num_rows() {
                let cents = duty.as_ref().filter(|d| d.is_valid(row)).map(|d| d.value(row));
                assert!(rows.lock().expect("one thread").insert(lines.value(row), cents).is_none(), "a row is doubled");
            }
            Ok(None)
        };
        self.tables.rewrite("es_003", &seen).await.expect("readable");
        rows.into_inner().expect("one thread")
    }

    pub(super) async fn manifests(&self, table: &Table) -> Vec<ManifestFile> {
        let snapshot = table.metadata().current_snapshot().expect("a snapshot");
        table.manifest_list_reader(snapshot).load().await.expect("the list opens").consume_entries().into_iter().collect()
    }

    pub(super) async fn stored_bytes(&self, location: &str) -> u64 {
        self.store.head(&self.path(location)).await.expect("the object is there").size
    }

    fn path(&self, location: &str) -> Path {
        Path::parse(location.strip_prefix(self.lake.root()).expect("under the root").trim_start_matches('/')).expect("a path")
    }

    pub(super) async fn objects(&self) -> Vec<String> {
        use futures::TryStreamExt;
        let mut paths: Vec<String> =
            self.store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.expect("listable");
        paths.retain(|path| path.contains("/warehouse/"));
        paths.sort();
        paths
    }
}

#[tokio::test]
async fn rows_come_back_and_the_same_digest_adds_nothing() {
    let world = World::new().await;
    let room = world.room("acme").await;
    let first = room.append("d1", 0, 100).await.expect("committed");
    assert!(matches!(first, Outcome::Committed { attempts: 1, .. }));
    let before = room.objects().await;
    let again = room.append("d1", 0, 100).await.expect("told");
    let Outcome::Committed { snapshot_id, .. } = first else { unreachable!() };
    assert_eq!(again, Outcome::AlreadyCommitted { snapshot_id });
    assert_eq!(room.objects().await, before, "files of the repeated delivery stayed behind");
    assert_eq!(room.rows().await, (0..100).map(|n| (n, Some(i128::from(n)))).collect());
    let row = room.ledger.delivery_by_digest("d1").await.expect("readable").expect("there");
    assert_eq!((row.state, row.snapshot_id), (bonded_schemas::DeliveryState::Committed, Some(snapshot_id)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_all_land_once_and_leave_no_litter() {
    concurrent_appends(World::new().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_all_land_once_on_postgresql_too() {
    if let Some(cluster) = PrivatePostgres::start() {
        concurrent_appends(World::on(Some(on(&cluster))).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_all_land_once_in_a_bucket_too() {
    if let Some(world) = World::in_bucket().await {
        concurrent_appends(world).await;
    }
    if let Some(bucket) = super::s3_at_ceph(true).await {
        concurrent_appends(World { bucket: Some(bucket), ..World::new().await }).await;
    }
}

async fn concurrent_appends(world: World) {
    let room = Arc::new(world.room("acme").await);
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let room = room.clone();
            tokio::spawn(async move {
                for n in 0..5 {
                    let at = task * 5 + n;
                    room.append(&format!("d{at}"), at * 10, 10).await.expect("committed");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let table = room.load().await;
    assert_eq!(table.metadata().snapshots().len(), 20);
    assert_eq!(room.rows().await.len(), 200);
    // 20 manifests and 20 lists: a lost attempt cleaned up after itself.
    let objects = room.objects().await;
    assert_eq!(objects.iter().filter(|path| path.ends_with("-m.avro")).count(), 20);
    assert_eq!(objects.iter().filter(|path| path.contains("/snap-")).count(), 20);
    assert_eq!(objects.iter().filter(|path| path.ends_with(".metadata.json")).count(), 21);
}

/// What a test asks of the next COMMIT: its answer is lost, the commit itself done or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LostAnswer {
    AfterTheEffect,
    BeforeTheEffect,
}

/// Loses answers to COMMIT, on demand, the last asked for first.
#[derive(Debug, Default)]
struct Answers {
    lose: std::sync::Mutex<Vec<LostAnswer>>,
    /// After an answer is lost, no statement is sent any more.
    then_refuse: std::sync::atomic::AtomicBool,
    refusing: std::sync::atomic::AtomicBool,
}

impl Answers {
    fn lost(&self, statement: &str, when: LostAnswer) -> std::io::Result<()> {
        let mut lose = self.lose.lock().expect("one thread");
        if statement == "COMMIT" && lose.last() == Some(&when) {
            lose.pop();
            self.refusing.store(self.then_refuse.load(Relaxed), Relaxed);
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Probe for Answers {
    async fn before(&self, statement: &str) -> std::io::Result<()> {
        if self.refusing.load(Relaxed) {
            return Err(std::io::ErrorKind::ConnectionRefused.into());
        }
        self.lost(statement, LostAnswer::BeforeTheEffect)
    }

    async fn after(&self, statement: &str) -> std::io::Result<()> {
        self.lost(statement, LostAnswer::AfterTheEffect)
    }
}

/// The worst answer a database gives is none. Done or not, one snapshot must come of it.
#[tokio::test]
async fn a_lost_answer_to_commit_is_resolved_by_looking() {
    for lost in [LostAnswer::AfterTheEffect, LostAnswer::BeforeTheEffect] {
        let probe = Arc::new(Answers::default());
        let mut world = World::new().await;
        world.control = world.control.watched_by(probe.clone());
        let room = world.room("acme").await;
        room.append("d0", 0, 10).await.expect("committed");
        probe.lose.lock().expect("one thread").push(lost);
        let outcome = room.append("d1", 10, 10).await.expect("resolved");
        assert!(matches!(outcome, Outcome::Committed { attempts: 2, .. }), "{lost:?}: {outcome:?}");
        let table = room.load().await;
        assert_eq!(table.metadata().snapshots().len(), 2, "{lost:?}");
        assert_eq!(room.rows().await.len(), 20, "{lost:?}");
    }
}

/// The clean-up after a failed rewrite once took the files of a commit that had landed with it: its answer was lost, and what
/// failed next was told instead.
#[tokio::test]
async fn what_an_unanswered_rewrite_wrote_is_left_alone_whatever_fails_next() {
    let probe = Arc::new(Answers::default());
    let mut world = World::new().await;
    world.control = world.control.watched_by(probe.clone());
    let room = world.room("acme").await;
    room.append("d0", 0, 10).await.expect("committed");
    probe.lose.lock().expect("one thread").push(LostAnswer::AfterTheEffect);
    probe.then_refuse.store(true, Relaxed);
    let same = |batch: &RecordBatch| Ok(Some(batch.clone()));
    let error = room.tables.rewrite("es_003", &same).await.expect_err("nobody can say whether it landed");
    assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
    probe.refusing.store(false, Relaxed);
    assert_eq!(room.load().await.metadata().snapshots().len(), 2, "it had landed");
    assert_eq!(room.rows().await.len(), 10);
}

/// The snapshot of an unanswered commit may have expired before it is looked for; the ledger still knows it.
#[tokio::test]
async fn an_unanswered_append_whose_snapshot_expired_keeps_its_files() {
    let probe = Arc::new(ExpireOnLoss::default());
    let mut world = World::new().await;
    let bystander = world.room("acme").await;
    world.control = world.control.watched_by(probe.clone());
    let room = world.room("acme").await;
    *probe.bystander.lock().await = Some(bystander);
    let outcome = room.append("d1", 0, 10).await.expect("resolved");
    assert!(matches!(outcome, Outcome::Committed { attempts: 2, .. }), "{outcome:?}");
    assert_eq!(room.rows().await.len(), 20, "the rows of d1 and those that came meanwhile");
}

/// Loses the first answer to COMMIT; until it is told, another delivery lands and all older snapshots expire.
#[derive(Default)]
struct ExpireOnLoss {
    bystander: tokio::sync::Mutex<Option<Room>>,
}

impl std::fmt::Debug for ExpireOnLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExpireOnLoss")
    }
}

#[async_trait::async_trait]
impl Probe for ExpireOnLoss {
    async fn before(&self, _: &str) -> std::io::Result<()> {
        Ok(())
    }

    async fn after(&self, statement: &str) -> std::io::Result<()> {
        if statement != "COMMIT" {
            return Ok(());
        }
        let Some(bystander) = self.bystander.lock().await.take() else { return Ok(()) };
        bystander.append("d2", 100, 10).await.expect("committed");
        bystander.tables.expire("es_003", &only_the_newest(), false).await.expect("expired");
        Err(std::io::ErrorKind::ConnectionReset.into())
    }
}

#[tokio::test]
async fn stored_lengths_are_recorded_as_java_needs_them() {
    let world = World::new().await;
    let room = world.room("acme").await;
    for n in 0..3 {
        room.append(&format!("d{n}"), n * 50, 50).await.expect("committed");
    }
    let table = room.load().await;
    for snapshot in table.metadata().snapshots() {
        let manager = table.encryption_manager().expect("encrypted");
        let key = table.metadata().encryption_key(snapshot.encryption_key_id().expect("a key id")).expect("recorded");
        let list_key: StandardKeyMetadata = manager.decrypt_manifest_list_key_metadata(key.key_id()).await.expect("opens");
        assert_eq!(list_key.file_length(), Some(room.stored_bytes(snapshot.manifest_list()).await));
    }
    for manifest in room.manifests(&table).await {
        let stored = room.stored_bytes(&manifest.manifest_path).await;
        let key = StandardKeyMetadata::decode(manifest.key_metadata.as_deref().expect("encrypted")).expect("reads");
        assert_eq!((manifest.manifest_length as u64, key.file_length()), (stored, Some(stored)));
        for entry in manifest.load_manifest(table.file_io()).await.expect("opens").entries() {
            assert_eq!(entry.data_file().file_size_in_bytes(), room.stored_bytes(entry.file_path()).await);
        }
    }
}

#[test]
fn stored_length_counts_a_nonce_and_a_tag_per_block_and_at_least_one_block() {
    for (plain, stored) in [(0, 36), (1, 37), (1 << 20, 8 + (1 << 20) + 28), ((1 << 20) + 1, 8 + (1 << 20) + 1 + 56)] {
        assert_eq!(super::lengths::ags1_stored_length(plain), stored);
    }
}

#[tokio::test]
async fn object_paths_tell_nothing_and_files_carry_no_bloom_filter() {
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
    let world = World::new().await;
    let room = world.room("acme").await;
    room.append("d0", 0, 200).await.expect("committed");
    let table = room.load().await;
    let mut months = 0;
    for manifest in room.manifests(&table).await {
        for entry in manifest.load_manifest(table.file_io()).await.expect("opens").entries() {
            months += 1;
            let file = entry.data_file();
            let name = file.file_path().strip_prefix(&format!("{}/data/", table.metadata().location())).expect("flat folder");
            assert!(!name.contains('/') && !name.contains('='), "{name}");
            let bytes = table.file_io().new_input(file.file_path()).expect("a path").read().await.expect("readable");
            assert_eq!(&bytes[..4], b"PARE", "an encrypted footer");
            ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()).expect_err("it must not open without a key");
            let key = StandardKeyMetadata::decode(file.key_metadata().expect("a key")).expect("reads");
            let properties =
                parquet::encryption::decrypt::FileDecryptionProperties::builder(key.encryption_key().as_bytes().to_vec())
                    .with_aad_prefix(key.aad_prefix().expect("a prefix").to_vec())
                    .build()
                    .expect("properties");
            let options = ArrowReaderOptions::new().with_file_decryption_properties(properties);
            let metadata = ArrowReaderMetadata::load(&bytes, options).expect("opens with its key");
            for column in metadata.metadata().row_groups().iter().flat_map(|group| group.columns()) {
                assert!(column.bloom_filter_offset().is_none());
            }
        }
    }
    assert!(months >= 3, "90 days touch at least three months, {months} files");
    let json = String::from_utf8_lossy(
        &table.file_io().new_input(table.metadata_location().expect("there")).expect("a path").read().await.expect("readable"),
    )
    .into_owned();
    assert!(!json.contains("partitions."), "partition summaries would lie in plain metadata.json");
    let properties: Vec<&String> = table
        .metadata()
        .current_snapshot()
        .expect("there")
        .summary()
        .additional_properties
        .keys()
        .filter(|k| k.contains("bonded"))
        .collect();
    assert_eq!(properties, ["bonded.delivery"]);
}

#[tokio::test]
async fn each_data_file_has_a_key_of_its_own() {
    let world = World::new().await;
    let room = world.room("acme").await;
    room.append("d0", 0, 200).await.expect("committed");
    room.append("d1", 200, 200).await.expect("committed");
    let table = room.load().await;
    let mut keys = Vec::new();
    for manifest in room.manifests(&table).await {
        for entry in manifest.load_manifest(table.file_io()).await.expect("opens").entries() {
            let key = StandardKeyMetadata::decode(entry.data_file().key_metadata().expect("a key")).expect("reads");
            assert_eq!(key.encryption_key().len(), 32);
            keys.push(key.encryption_key().as_bytes().to_vec());
        }
    }
    let files = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), files);
}

#[tokio::test]
async fn metadata_that_was_changed_in_storage_is_not_believed() {
    let world = World::new().await;
    let room = world.room("acme").await;
    room.append("d0", 0, 10).await.expect("committed");
    let location = room.load().await.metadata_location().expect("there").to_owned();
    let path = room.path(&location);
    let mut bytes = room.store.get(&path).await.expect("there").bytes().await.expect("readable").to_vec();
    bytes.push(b' ');
    room.store.put(&path, bytes.into()).await.expect("overwritten");
    let error = room.tables.catalog.load(&room.ident()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[tokio::test]
async fn the_kms_is_asked_once_however_often_tables_are_loaded() {
    let world = World::new().await;
    world.room("acme").await.append("d0", 0, 10).await.expect("committed");
    let room = world.room("acme").await;
    for n in 1..4 {
        room.append(&format!("d{n}"), n * 10, 10).await.expect("committed");
        room.rows().await;
    }
    assert_eq!(room.lake.kms_unwraps(), 1);
}

#[tokio::test]
async fn expired_snapshots_take_their_keys_along_and_the_table_still_opens() {
    let world = World::new().await;
    let room = world.room("acme").await;
    for n in 0..4 {
        room.append(&format!("d{n}"), n * 10, 10).await.expect("committed");
    }
    let keys = |table: &Table| table.metadata().encryption_keys_iter().count();
    assert_eq!(keys(&room.load().await), 5, "one KEK and a list key per snapshot");
    assert_eq!(room.tables.expire("es_003", &only_the_newest(), false).await.expect("expired").snapshots_expired, 3);
    assert_eq!(keys(&room.load().await), 2);
    let fresh = world.room("acme").await;
    assert_eq!(fresh.rows().await.len(), 40);
    // The ledger outlives the snapshot that carried the digest.
    assert!(matches!(fresh.append("d0", 0, 10).await.expect("told"), Outcome::AlreadyCommitted { .. }));
    assert_eq!(fresh.rows().await.len(), 40);
}

#[tokio::test]
async fn a_column_dropped_and_added_again_does_not_show_its_old_values() {
    let world = World::new().await;
    let room = world.room("acme").await;
    room.append("d0", 0, 10).await.expect("committed");
    let id = |table: &Table| table.metadata().current_schema().field_id_by_name("duty");
    let before = id(&room.load().await);
    room.tables.drop_column("es_003", "duty").await.expect("dropped");
    room.tables.add_columns("es_003", &[Field::new("duty", DataType::Decimal128(18, 2), true)]).await.expect("added");
    assert_ne!(before, id(&room.load().await));
    room.append("d1", 10, 10).await.expect("committed");
    let rows = room.rows().await;
    assert!((0..10).all(|n| rows[&n].is_none()), "the old column came back");
    assert!((10..20).all(|n| rows[&n] == Some(i128::from(n))));
}

#[tokio::test]
async fn a_rewrite_replaces_files_and_keeps_every_row() {
    let world = World::new().await;
    let room = world.room("acme").await;
    room.append("d0", 0, 100).await.expect("committed");
    room.append("d1", 100, 100).await.expect("committed");
    let doubled = |batch: &RecordBatch| {
        let duty = batch.column_by_name("duty").expect("there").as_any().downcast_ref::<Decimal128Array>().expect("decimal");
        if duty.iter().flatten().all(|cents| cents < 100) {
            return Ok(None);
        }
        let duty =
            Decimal128Array::from_iter(duty.iter().map(|c| c.map(|c| c * 2))).with_precision_and_scale(18, 2).expect("fits");
        let mut columns = batch.columns().to_vec();
        columns[2] = Arc::new(duty);
        Ok(Some(RecordBatch::try_new(batch.schema(), columns).expect("same shape")))
    };
    assert!(room.tables.rewrite("es_003", &doubled).await.expect("rewritten").is_some());
    let rows = room.rows().await;
    assert!((0..200).all(|n| rows[&n] == Some(i128::from(if n < 100 { n } else { n * 2 }))));
    assert_eq!(room.tables.info("es_003").await.expect("told").rows, 200);
}

#[tokio::test]
async fn a_tenant_sees_no_table_of_another_and_its_key_opens_none() {
    let world = World::new().await;
    let acme = world.room("acme").await;
    acme.append("d0", 0, 10).await.expect("committed");
    let other = world.room("zenith").await;
    assert!(other.tables.catalog().load_table(&acme.ident()).await.is_err());
    assert!(!other.tables.catalog().table_exists(&acme.ident()).await.expect("answered"));
    // Even with the other's catalog in hand, a stolen table's KEK does not unwrap under one's own key.
    let table = acme.load().await;
    let kek =
        table.metadata().encryption_keys_iter().find(|key| key.encrypted_by_id() == Some(acme.key.0.as_str())).expect("a KEK");
    let error = world.keys.clone().as_iceberg().unwrap_key(kek.encrypted_key_metadata(), &other.key.0).await;
    assert!(error.is_err());
}

#[tokio::test]
async fn a_disabled_key_yields_no_rows_and_takes_none() {
    let world = World::new().await;
    let room = world.room("acme").await;
    room.append("d0", 0, 10).await.expect("committed");
    world.keys.disable(&room.key).await.expect("disabled");
    let fresh = world.room("acme").await;
    assert!(fresh.tables.rewrite("es_003", &|_| panic!("a row was shown")).await.is_err());
    assert!(fresh.append("d1", 10, 10).await.is_err());
    world.keys.enable(&room.key).await.expect("enabled");
    assert_eq!(world.room("acme").await.rows().await.len(), 10);
}

#[test]
fn other_schemes_are_refused_by_name() {
    let error = open_store("s3://bucket/lake").expect_err("no folder");
    assert_eq!(error.kind(), ErrorKind::Setup);
    assert!(error.to_string().contains("s3://"));
}
