//! What a tenant has: receipts, rows by delivery, snapshots by mark, alerts, what the trail tells. Two runs that should end
//! alike are compared by it.
//! Promise: taking it proves that every file a snapshot refers to is there and opens, that every raw object holds what it
//! was landed for, and that the audit chain is whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Decimal128Type, Int64Type},
};
use bonded::lakehouse::{AuditEvent, Lakehouse};
use bonded_schemas::{DeliveryState, Receipt};
use futures::TryStreamExt;
use iceberg::TableIdent;
use object_store::{ObjectStoreExt, path::Path};
use serde_json::Value;

use super::lair::{Lair, scope};

/// Rows of one delivery in one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub count: u64,
    /// Sums of the decimal columns in their smallest unit.
    pub sums: BTreeMap<String, i128>,
    /// Cells with a value, by column.
    pub filled: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// By keyed digest, without what must differ: ids of deliveries and of snapshots.
    pub receipts: BTreeMap<String, Value>,
    /// By table and keyed digest.
    pub rows: BTreeMap<String, BTreeMap<String, Rows>>,
    /// Retained snapshots by table, and how many of them carry each digest.
    pub snapshots: BTreeMap<String, (usize, BTreeMap<String, usize>)>,
    /// Kind, report, fingerprint, state and how many deliveries brought it.
    pub alerts: Vec<(String, String, String, String, i64)>,
    /// Action, object (a keyed digest where it is a delivery), result; duplicates left out.
    pub events: BTreeSet<(String, String, String)>,
}

impl Picture {
    /// The parts that are not alike, as text.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let parts = |p: &Self| -> BTreeMap<String, String> {
            let mut parts = BTreeMap::new();
            parts.extend(p.receipts.iter().map(|(digest, receipt)| (format!("receipt {digest}"), receipt.to_string())));
            for (table, deliveries) in &p.rows {
                parts.extend(
                    deliveries.iter().map(|(digest, rows)| (format!("rows of {digest} in {table}"), format!("{rows:?}"))),
                );
            }
            parts.extend(p.snapshots.iter().map(|(table, marks)| (format!("snapshots of {table}"), format!("{marks:?}"))));
            parts.extend(p.alerts.iter().map(|alert| (format!("alert {}", alert.2), format!("{alert:?}"))));
            parts.extend(p.events.iter().map(|event| (format!("event {event:?}"), String::new())));
            parts
        };
        let (ours, theirs) = (parts(self), parts(other));
        let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let differing = names.into_iter().filter(|name| ours.get(*name) != theirs.get(*name));
        differing.map(|name| format!("{name}: {:?} and {:?}", ours.get(name), theirs.get(name))).collect()
    }
}

/// Objects that nothing refers to: allowed, and counted.
pub type Garbage = Vec<String>;

pub async fn take(lair: &Lair, house: &Lakehouse, tenant: &str) -> (Picture, Garbage) {
    let tenant = house.tenant(&scope(tenant)).await.expect("opens");
    let ledger = tenant.ledger.deliveries().await.expect("listed");
    let digests: BTreeMap<String, String> =
        ledger.iter().map(|row| (row.delivery_id.to_string(), row.keyed_digest.clone())).collect();
    let mut referenced = BTreeSet::new();

    let mut receipts = BTreeMap::new();
    for row in &ledger {
        let sealed = row.sealed_receipt.as_ref().unwrap_or_else(|| panic!("{} {:?} has no receipt", row.keyed_digest, row.state));
        let receipt: Receipt = tenant.unseal("receipt", &row.keyed_digest, sealed).expect("the receipt opens");
        assert_eq!((receipt.state, receipt.report, receipt.snapshot_id), (row.state, row.report, row.snapshot_id));
        assert_eq!(receipt.delivery.id, row.delivery_id);
        let reader = house.raw.open(&tenant.scope, &tenant.key, &row.raw_path).await.expect("the raw object opens");
        assert_eq!((reader.sha256(), reader.size_bytes()), (receipt.sha256.clone(), receipt.size_bytes));
        let note = house.raw.note(&tenant.scope, tenant.documents(), &row.raw_path).await.expect("the note opens");
        assert!(note.is_some(), "{} has no note", row.raw_path);
        referenced.insert(row.raw_path.clone());
        referenced.insert(format!("{}.note", row.raw_path));
        receipts.insert(row.keyed_digest.clone(), alike(&receipt));
    }
    let landed: BTreeSet<String> = house.raw.list(&tenant.scope).try_collect().await.expect("listed");
    let known: BTreeSet<String> = ledger.iter().map(|row| row.raw_path.clone()).collect();
    assert_eq!(landed, known, "raw objects and ledger do not agree");

    let (mut rows, mut snapshots) = (BTreeMap::new(), BTreeMap::new());
    for table in tenant.tables.names().await.expect("listed") {
        let ident = TableIdent::new(tenant.tables.namespace(), table.clone());
        let loaded = tenant.tables.catalog().load_table(&ident).await.expect("the table loads");
        let metadata = loaded.metadata();
        referenced.insert(object(loaded.metadata_location().expect("there")));
        referenced.extend(metadata.metadata_log().iter().map(|entry| object(&entry.metadata_file)));
        let mut marks: BTreeMap<String, usize> = BTreeMap::new();
        for snapshot in metadata.snapshots() {
            if let Some(mark) = snapshot.summary().additional_properties.get("bonded.delivery") {
                *marks.entry(mark.clone()).or_default() += 1;
                let row = ledger.iter().find(|row| row.keyed_digest == *mark).expect("a snapshot of no delivery");
                assert_eq!((row.state, row.snapshot_id), (DeliveryState::Committed, Some(snapshot.snapshot_id())));
            }
            referenced.insert(object(snapshot.manifest_list()));
            let list = loaded.manifest_list_reader(snapshot).load().await.expect("the manifest list opens");
            let manifests: Vec<_> = list.consume_entries().into_iter().collect();
            for manifest in manifests {
                referenced.insert(object(&manifest.manifest_path));
                let manifest = manifest.load_manifest(loaded.file_io()).await.expect("the manifest opens");
                let live = manifest.entries().iter().filter(|entry| entry.is_alive());
                referenced.extend(live.map(|entry| object(entry.file_path())));
            }
        }
        assert!(marks.values().all(|count| *count == 1), "a digest has two snapshots: {marks:?}");
        snapshots.insert(table.clone(), (metadata.snapshots().len(), marks));

        let seen = Mutex::new((BTreeMap::new(), BTreeSet::new()));
        let read = |batch: &RecordBatch| {
            let (by_delivery, places) = &mut *seen.lock().unwrap();
            count(batch, &digests, by_delivery, places);
            Ok(None)
        };
        // Changes nothing, reads every row of every live file.
        assert_eq!(tenant.tables.rewrite(&table, &read).await.expect("every live file opens"), None);
        rows.insert(table, seen.into_inner().unwrap().0);
    }

    let mut alerts = Vec::new();
    for kind in ["drift", "quarantine"] {
        let raised = tenant.ledger.alerts(kind).await.expect("listed");
        alerts.extend(raised.into_iter().map(|a| (a.kind, a.report, a.fingerprint, a.state, a.deliveries)));
    }
    alerts.sort();
    let mut events = BTreeSet::new();
    for row in tenant.ledger.audit().await.expect("the audit chain is whole") {
        let event: AuditEvent = tenant.unseal("audit", "event", &row.sealed).expect("the event opens");
        let object = digests.get(&event.object).cloned().unwrap_or(event.object);
        if event.result != "duplicate" {
            events.insert((event.action, object, event.result));
        }
    }

    let prefix = format!("tenants/{}/", tenant.scope.tenant());
    let all: Vec<String> = lair
        .objects()
        .list(Some(&Path::from(prefix.as_str())))
        .map_ok(|meta| meta.location.to_string())
        .try_collect()
        .await
        .expect("listed");
    for path in &referenced {
        lair.objects().head(&Path::from(path.as_str())).await.unwrap_or_else(|error| panic!("{path} is missing: {error}"));
    }
    let garbage: Garbage = all.into_iter().filter(|path| !referenced.contains(path)).collect();
    // What people decided belongs to no delivery, and a decision that was lost half way may stand there twice.
    let of_people = |path: &str| path.contains("/raw/decisions/") || path.ends_with("/raw/tenant.json");
    let garbage: Garbage = garbage.into_iter().filter(|path| !of_people(path)).collect();
    for path in &garbage {
        assert!(path.contains("/raw/staging/") || path.contains("/warehouse/"), "{path} belongs to nothing");
    }
    (Picture { receipts, rows, snapshots, alerts, events }, garbage)
}

/// The object path of a location.
fn object(location: &str) -> String {
    location.strip_prefix("memory://lake/").expect("under the root").to_owned()
}

/// The receipt without ids that are drawn anew.
fn alike(receipt: &Receipt) -> Value {
    let mut receipt = serde_json::to_value(receipt).expect("JSON");
    receipt["delivery"]["id"] = Value::Null;
    receipt["snapshot_id"] = Value::Null;
    if let Some(container) = receipt["delivery"].get_mut("container") {
        container["delivery_id"] = Value::Null;
    }
    for member in receipt.get_mut("members").and_then(Value::as_array_mut).into_iter().flatten() {
        member["delivery_id"] = Value::Null;
    }
    receipt
}

fn count(
    batch: &RecordBatch,
    digests: &BTreeMap<String, String>,
    by_delivery: &mut BTreeMap<String, Rows>,
    places: &mut BTreeSet<(String, i64)>,
) {
    let ids = batch.column_by_name("_delivery_id").expect("there").as_string::<i32>();
    let numbers = batch.column_by_name("_row").expect("there").as_primitive::<Int64Type>();
    let schema = batch.schema();
    for row in 0..batch.num_rows() {
        let digest = digests.get(ids.value(row)).unwrap_or_else(|| panic!("rows of no delivery: {}", ids.value(row)));
        let place = (digest.clone(), numbers.value(row));
        assert!(places.insert(place), "row {} of {digest} is doubled", numbers.value(row));
        let rows = by_delivery.entry(digest.clone()).or_default();
        rows.count += 1;
        for (field, column) in schema.fields().iter().zip(batch.columns()).filter(|(_, column)| column.is_valid(row)) {
            *rows.filled.entry(field.name().clone()).or_default() += 1;
            if let DataType::Decimal128(..) = field.data_type() {
                *rows.sums.entry(field.name().clone()).or_default() += column.as_primitive::<Decimal128Type>().value(row);
            }
        }
    }
}
