//! SQL over the real encrypted tables: what the provider reads, prunes, answers from metadata and refuses.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, ListBuilder, MapBuilder, MapFieldNames, RecordBatch,
        StringArray, StringBuilder, TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field, Schema},
    util::pretty::pretty_format_batches,
};
use bonded_connectors::{
    clock::{Clock, FixedClock},
    keys::{
        KeyId, Keys,
        keyring::{Keyring, RootSource},
    },
    lake::{Lake, Layout, Mark, Tables},
    store::{ControlStore, Place, TenantRecord, TenantStore, ledger::LedgerRow},
};
use bonded_queries::{Error, ErrorKind, Limits, Session, SessionParts};
use bonded_schemas::{DeliveryId, DeliveryState, Registry, Report, TenantScope, table};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, memory::InMemory};

const ROOT: &str = "memory://lake";
/// 2026-01-01 as days since 1970.
const NEW_YEAR: i32 = 20_454;

struct House {
    store: Arc<dyn ObjectStore>,
    tables: Tables,
    ledger: TenantStore,
    keys: Arc<Keyring>,
    key: KeyId,
    _folder: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(FixedClock("2026-02-01T00:00:00Z".parse().unwrap()));
        let keys = Arc::new(Keyring::create(&folder.path().join("keys"), RootSource::KeyFile, clock.clone()).unwrap());
        let scope = scope("acme");
        let key = keys.create_key(scope.tenant()).await.unwrap();
        let control = ControlStore::create(Place::Sqlite(folder.path().to_owned())).await.unwrap();
        let record = TenantRecord {
            tenant: scope.tenant().clone(),
            key_id: key.to_string(),
            wrapped_secret: String::new(),
            created_at: "2026-02-01T00:00:00Z".into(),
        };
        control.add_tenant(&record).await.unwrap();
        let tenant_store = control.open_tenant(&scope).await.unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let lake = Lake::new(store.clone(), ROOT, keys.clone(), clock);
        let tables = lake.tables(&scope, &tenant_store, &key);
        let schema = table::schema(&Registry::builtin().edition(Report::Es003).columns);
        let layout = Layout { schema: &schema, partition_by_month_of: "entry_date", sorted_by: &["entry_summary_number"] };
        tables.ensure("es_003", &layout).await.unwrap();
        Self { store, tables, ledger: tenant_store, keys, key, _folder: folder }
    }

    /// One delivery of rows over three months; returns its snapshot.
    async fn deliver(&self, delivery: &str, rows: i32) -> i64 {
        self.deliver_batch(delivery, &batch(delivery, rows)).await
    }

    async fn deliver_batch(&self, delivery: &str, batch: &RecordBatch) -> i64 {
        let instant = "2026-02-01T00:00:00Z".parse().unwrap();
        let landed = LedgerRow {
            delivery_id: DeliveryId(uuid::Uuid::now_v7()),
            keyed_digest: delivery.into(),
            state: DeliveryState::Landed,
            report: None,
            received_at: instant,
            as_of: instant,
            raw_path: delivery.into(),
            size_bytes: 1,
            snapshot_id: None,
            sealed_receipt: None,
        };
        self.ledger.record_landed(&landed).await.unwrap();
        let mut writer = self.tables.writer("es_003").await.unwrap();
        writer.write(batch).await.unwrap();
        let written = writer.finish().await.unwrap();
        self.tables.append("es_003", written, &Mark { report: Report::Es003, keyed_digest: delivery.into() }).await.unwrap();
        self.tables.info("es_003").await.unwrap().snapshot_id.unwrap()
    }

    async fn open(&self) -> Result<Session, Error> {
        Session::open(SessionParts {
            catalog: self.tables.catalog(),
            namespace: self.tables.namespace(),
            store: self.store.clone(),
            root_url: ROOT.into(),
            meta: Box::pin(async { Ok(Vec::new()) }),
            trail: None,
            rules: bonded_schemas::RuleBook::builtin().clone(),
            importer_numbers: bonded_queries::ImporterNumbers::Whole,
            limits: Limits { target_partitions: 2, ..Limits::default() },
        })
        .await
    }

    async fn ask(&self, sql: &str) -> String {
        ask(&self.open().await.unwrap(), sql).await.unwrap()
    }

    async fn data_files(&self) -> Vec<object_store::path::Path> {
        use futures::TryStreamExt;
        let all: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        all.into_iter().map(|object| object.location).filter(|path| path.as_ref().ends_with(".parquet")).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "tests stand where an identity is established")]
fn scope(tenant: &str) -> TenantScope {
    TenantScope::establish(tenant.parse().unwrap(), "test")
}

async fn ask(session: &Session, sql: &str) -> Result<String, Error> {
    let mut answer = session.query(sql).await?;
    let mut batches = vec![RecordBatch::new_empty(answer.schema())];
    while let Some(batch) = answer.next().await? {
        batches.push(batch);
    }
    let drawn = pretty_format_batches(&batches).unwrap().to_string();
    let rows = drawn.lines().skip(3).filter(|line| !line.starts_with('+'));
    Ok(rows
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|"))
        .collect::<Vec<_>>()
        .join("\n"))
}

/// Row n: entry n of month n % 3, value n dollars, one rescued cell and one repair.
fn batch(delivery: &str, rows: i32) -> RecordBatch {
    let numbers = || 0..rows;
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    let mut rescued = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    let mut repairs = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, false));
    for n in numbers() {
        rescued.keys().append_value("Bond Kind");
        rescued.values().append_value(format!("kind {n}"));
        rescued.append(true).unwrap();
        repairs.values().append_value("port padded");
        repairs.append(n % 2 == 0);
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("entry_summary_number", Arc::new(StringArray::from_iter_values(numbers().map(|n| format!("ABC{n:08}"))))),
        ("entry_date", Arc::new(Date32Array::from_iter_values(numbers().map(|n| NEW_YEAR + n % 3 * 31)))),
        ("entry_summary_line_number", Arc::new(Int32Array::from_iter_values(numbers().map(|_| 1)))),
        (
            "line_tariff_goods_value_amount",
            Arc::new(
                Decimal128Array::from_iter_values(numbers().map(|n| i128::from(n) * 100))
                    .with_precision_and_scale(18, 2)
                    .unwrap(),
            ),
        ),
        ("_delivery_id", Arc::new(StringArray::from_iter_values(numbers().map(|_| delivery)))),
        ("_row", Arc::new(Int64Array::from_iter_values(numbers().map(|n| i64::from(n) + 1)))),
        ("_line", Arc::new(Int64Array::from_iter_values(numbers().map(|n| i64::from(n) + 2)))),
        ("_byte", Arc::new(Int64Array::from_iter_values(numbers().map(|n| i64::from(n) * 100)))),
        (
            "_as_of",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(numbers().map(|_| 1_769_904_000_000_000)).with_timezone("+00:00"),
            ),
        ),
        ("_rescued", Arc::new(rescued.finish())),
        ("_repairs", Arc::new(repairs.finish())),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

#[tokio::test]
async fn rows_come_back_with_their_maps_and_lists() {
    let house = House::new().await;
    assert_eq!(house.ask("SELECT count(*) FROM es_003").await, "0");
    assert_eq!(house.ask("SELECT count(*), max(entry_date) FROM entry_summaries").await, "0|");
    house.deliver("d1", 300).await;
    assert_eq!(
        house.ask("SELECT sum(line_tariff_goods_value_amount), count(_rescued), count(_repairs) FROM es_003").await,
        "44850.00|300|150"
    );
    let cell = "SELECT _rescued['Bond Kind'], _repairs[1], _line FROM tariff_lines WHERE entry_summary_number = 'ABC00000042'";
    assert_eq!(house.ask(cell).await, "kind 42|port padded|44");
    assert_eq!(house.ask("SELECT count(*) FROM es_003 WHERE _rescued['Bond Kind'] = 'kind 7'").await, "1");
    assert!(house.ask("SELECT * FROM es_003 WHERE entry_summary_number = 'ABC00000001'").await.contains("{Bond Kind: kind 1}"));
}

#[tokio::test]
async fn counts_and_bounds_come_from_metadata() {
    let house = House::new().await;
    house.deliver("d1", 300).await;
    house.deliver("d2", 30).await;
    let sql = "SELECT count(*), count(hts_number_full), count(entry_date), min(entry_date), max(entry_date),
        min(line_tariff_goods_value_amount), max(line_tariff_goods_value_amount), max(_as_of) FROM es_003";
    let plan = house.ask(&format!("EXPLAIN {sql}")).await;
    assert!(plan.contains("PlaceholderRowExec") && !plan.contains("DataSourceExec"), "{plan}");
    assert_eq!(house.ask(sql).await, "330|0|330|2026-01-01|2026-03-04|0.00|299.00|2026-02-01T00:00:00Z");
    // Bounds of text may be shortened by a writer, so these are read.
    let plan = house.ask("EXPLAIN SELECT max(entry_summary_number) FROM es_003").await;
    assert!(plan.contains("DataSourceExec"), "{plan}");
    assert_eq!(house.ask("SELECT max(entry_summary_number) FROM es_003").await, "ABC00000299");
}

#[tokio::test]
async fn filters_leave_out_files() {
    let house = House::new().await;
    house.deliver("d1", 300).await;
    let files = |plan: &str| plan.matches(".parquet").count();
    let all = house.ask("EXPLAIN SELECT entry_summary_number FROM es_003").await;
    assert_eq!(files(&all), 3, "{all}");
    for (filter, expected, rows) in [
        ("entry_date < DATE '2026-02-01'", 1, "100"),
        ("entry_date BETWEEN '2026-02-01' AND '2026-02-28'", 1, "100"),
        ("entry_date >= '2026-02-01'", 2, "200"),
        ("line_tariff_goods_value_amount >= 299.00", 1, "1"),
        ("line_tariff_goods_value_amount > 299.00", 0, "0"),
        ("entry_summary_number = 'ZZZ00000001'", 0, "0"),
        ("CAST(line_tariff_goods_value_amount AS BIGINT) = 7", 3, "1"),
        ("hts_number_full IS NOT NULL", 0, "0"),
    ] {
        let plan = house.ask(&format!("EXPLAIN SELECT entry_summary_number FROM es_003 WHERE {filter}")).await;
        assert_eq!(files(&plan), expected, "{filter}: {plan}");
        assert_eq!(house.ask(&format!("SELECT count(*) FROM es_003 WHERE {filter}")).await, rows, "{filter}");
    }
}

#[tokio::test]
async fn a_column_added_later_is_null_before_and_a_name_added_again_is_new() {
    let house = House::new().await;
    house.deliver("d1", 30).await;
    house.tables.add_columns("es_003", &[Field::new("bond_kind", DataType::Utf8, true)]).await.unwrap();
    // No new snapshot yet.
    assert_eq!(house.ask("SELECT count(*), count(bond_kind) FROM es_003").await, "30|0");
    assert_eq!(house.ask("SELECT count(*) FROM es_003 WHERE bond_kind IS NULL").await, "30");
    let with_kind = |text: &str| {
        let batch = batch("d2", 30);
        let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new("bond_kind", DataType::Utf8, true));
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(StringArray::from_iter_values((0..30).map(|_| text))));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    };
    house.deliver_batch("d2", &with_kind("continuous")).await;
    assert_eq!(house.ask("SELECT count(*), count(bond_kind), max(bond_kind) FROM es_003").await, "60|30|continuous");
    assert_eq!(house.ask("SELECT count(*) FROM es_003 WHERE bond_kind = 'continuous'").await, "30");
    house.tables.drop_column("es_003", "bond_kind").await.unwrap();
    house.tables.add_columns("es_003", &[Field::new("bond_kind", DataType::Utf8, true)]).await.unwrap();
    assert_eq!(house.ask("SELECT count(*), count(bond_kind), max(bond_kind) FROM es_003").await, "60|0|");
    assert_eq!(house.ask("SELECT count(*) FROM es_003 WHERE bond_kind = 'continuous'").await, "0");
    assert_eq!(
        house.ask("SELECT count(*) FROM (SELECT bond_kind, _rescued, _repairs FROM es_003) AS t WHERE bond_kind IS NULL").await,
        "60"
    );
}

#[tokio::test]
async fn a_table_is_seen_as_it_was() {
    let house = House::new().await;
    let first = house.deliver("d1", 30).await;
    house.tables.add_columns("es_003", &[Field::new("bond_kind", DataType::Utf8, true)]).await.unwrap();
    let second = house.deliver("d2", 60).await;
    assert_eq!(house.ask(&format!("SELECT count(*) FROM at('es_003', {first})")).await, "30");
    assert_eq!(house.ask(&format!("SELECT count(bond_kind) FROM at('es_003', {second})")).await, "0");
    assert_eq!(house.ask("SELECT count(*) FROM at('es_003', '2100-01-01')").await, "90");
    let session = house.open().await.unwrap();
    let kind = |sql: String| {
        let session = &session;
        async move { ask(session, &sql).await.unwrap_err().kind() }
    };
    assert_eq!(kind(format!("SELECT bond_kind FROM at('es_003', {first})")).await, ErrorKind::Input);
    assert_eq!(kind("SELECT * FROM at('es_003', 1)".into()).await, ErrorKind::Input);
    assert_eq!(kind("SELECT * FROM at('es_003', '2000-01-01')".into()).await, ErrorKind::Input);
    assert_eq!(kind("SELECT * FROM at('es_009', '2100-01-01')".into()).await, ErrorKind::Input);
}

#[tokio::test]
async fn a_session_sees_one_state_throughout() {
    let house = House::new().await;
    house.deliver("d1", 30).await;
    let session = house.open().await.unwrap();
    house.deliver("d2", 60).await;
    assert_eq!(ask(&session, "SELECT count(*) FROM es_003").await.unwrap(), "30");
    assert_eq!(house.ask("SELECT count(*) FROM es_003").await, "90");
}

#[tokio::test]
async fn damaged_files_end_in_an_error_and_never_in_part_of_an_answer() {
    let house = House::new().await;
    house.deliver("d1", 3000).await;
    let files = house.data_files().await;
    let original = house.store.get(&files[0]).await.unwrap().bytes().await.unwrap();
    let other = house.store.get(&files[1]).await.unwrap().bytes().await.unwrap();
    let mut grown = original.to_vec();
    grown.extend_from_slice(b"PARE");
    let cases: [(&str, Vec<u8>); 3] = [
        ("cut short", original[..original.len() - 1].to_vec()),
        ("another file in its place", other.to_vec()),
        ("empty", Vec::new()),
    ];
    let sql = "SELECT * FROM es_003";
    for (what, bytes) in cases {
        house.store.put(&files[0], PutPayload::from(bytes)).await.unwrap();
        let session = house.open().await.unwrap();
        match ask(&session, sql).await {
            Ok(_) => panic!("{what}: answered"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}"),
        }
    }
    house.store.delete(&files[0]).await.unwrap();
    assert_eq!(ask(&house.open().await.unwrap(), sql).await.unwrap_err().kind(), ErrorKind::Damaged);
    house.store.put(&files[0], PutPayload::from(original.clone())).await.unwrap();
    let whole = ask(&house.open().await.unwrap(), sql).await.unwrap();
    // Bytes after the stated end are not part of the file and are not looked at.
    house.store.put(&files[0], PutPayload::from(grown)).await.unwrap();
    assert!(ask(&house.open().await.unwrap(), sql).await.unwrap() == whole);
    // A flipped bit is found, or lies where nothing needs to be read: a column that the manifest says is all null.
    let mut found = 0;
    for place in (0..original.len()).step_by(original.len() / 50) {
        let mut flipped = original.to_vec();
        flipped[place] ^= 1;
        house.store.put(&files[0], PutPayload::from(flipped)).await.unwrap();
        match ask(&house.open().await.unwrap(), sql).await {
            Ok(answer) => assert!(answer == whole, "byte {place} changed the answer"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged, "byte {place}: {error}");
                found += 1;
            }
        }
    }
    assert!(found > 10, "{found}");
}

#[tokio::test]
async fn a_disabled_key_opens_nothing() {
    let house = House::new().await;
    house.deliver("d1", 30).await;
    house.keys.disable(&house.key).await.unwrap();
    let clock: Arc<dyn Clock> = Arc::new(FixedClock("2026-02-01T00:00:00Z".parse().unwrap()));
    let control = ControlStore::open(Place::Sqlite(house._folder.path().to_owned())).await.unwrap();
    let scope = scope("acme");
    // A process that has not seen the key yet: nothing of it is cached.
    let lake = Lake::new(house.store.clone(), ROOT, house.keys.clone(), clock);
    let tables = lake.tables(&scope, &control.open_tenant(&scope).await.unwrap(), &house.key);
    let opened = Session::open(SessionParts {
        catalog: tables.catalog(),
        namespace: tables.namespace(),
        store: house.store.clone(),
        root_url: ROOT.into(),
        meta: Box::pin(async { Ok(Vec::new()) }),
        trail: None,
        rules: bonded_schemas::RuleBook::builtin().clone(),
        importer_numbers: bonded_queries::ImporterNumbers::Whole,
        limits: Limits::default(),
    })
    .await;
    let outcome = match opened {
        Ok(session) => ask(&session, "SELECT count(*) FROM es_003").await,
        Err(error) => Err(error),
    };
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Damaged);
}

/// Iceberg's writer passes over a row group's text bound where Parquet has shortened it (64 bytes by default): with a long
/// text in one row group and short ones in another, the file's bounds would cover the short ones only, and a filter on the
/// long one would lose its row. Three months of more than one row group each.
#[tokio::test]
async fn long_texts_are_found_in_files_of_several_row_groups() {
    const ROWS: i32 = 400_000;
    let house = House::new().await;
    let long = format!("Z{}", "z".repeat(200));
    let name = |n: i32| if n == ROWS - 1 { long.as_str() } else { "importer" };
    let batch = batch("d1", ROWS);
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new("importer_name", DataType::Utf8, true));
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(StringArray::from_iter_values((0..ROWS).map(name))));
    house.deliver_batch("d1", &RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()).await;
    assert_eq!(house.ask(&format!("SELECT count(*) FROM es_003 WHERE importer_name = '{long}'")).await, "1");
    assert_eq!(house.ask("SELECT count(*) FROM es_003 WHERE importer_name > 'importer'").await, "0");
    assert_eq!(house.ask("SELECT count(*) FROM es_003 WHERE importer_name LIKE 'Zz%'").await, "1");
}
