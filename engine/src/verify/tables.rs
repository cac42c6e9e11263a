//! Tables: catalog rows, metadata, keys, manifests, data files; and what they hold against what the receipts promised.
//! Promise: every row of every live file is decoded and counted; a table that changes meanwhile is looked at again.

use std::collections::{BTreeMap, HashMap};

use bonded_connectors::{
    Flaw,
    lake::{Found, StoredFile, Survey, Tally, catalog::CATALOG_NAME},
};
use bonded_schemas::{DeliveryState, Mapping, Receipt, Report, edition};
use futures::{StreamExt, stream};

use super::{Mend, Run, Verified, store::text};
use crate::error::{Error, ErrorKind, Result};

const CATALOG: &str = "control store: iceberg_tables";
/// Looked at again so many times when commits come between.
const ATTEMPTS_MAX: usize = 3;
/// Data files in memory at once, together at most so many MiB; a single larger one is looked at alone.
const MEMORY_MIB_MAX: u32 = 256;

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

pub(super) async fn check(run: &mut Run<'_>, verified: &mut Verified) -> Result<()> {
    catalog(run, verified);
    let names: Vec<String> = match run.tenant.tables.names().await {
        Ok(names) => names,
        Err(error) => {
            verified.tell(Some(run.tenant), Flaw::new(CATALOG, error.to_string()), "no table can be found", Mend::Rebuild);
            return Ok(());
        }
    };
    let mut held: BTreeMap<String, Tally> = BTreeMap::new();
    let mut whole = true;
    for name in &names {
        whole &= table(run, name, &mut held, verified).await?;
    }
    for report in Report::ALL {
        let needed = run
            .deliveries
            .values()
            .any(|row| row.receipt.as_ref().is_some_and(|r| r.report == Some(report) && r.snapshot_id.is_some()));
        if needed && !names.iter().any(|name| name == report.table()) {
            let flaw = Flaw::new(CATALOG, "is missing").at(report.table());
            verified.tell(Some(run.tenant), flaw, format!("no row of {report} can be asked for"), Mend::Rebuild);
            whole = false;
        }
    }
    // Counting what is known to be damaged would only say it twice.
    if whole && !run.depth.quick { promised(run, &held, verified).await } else { Ok(()) }
}

/// Clear cells of the catalog that nothing else is bound to.
fn catalog(run: &Run<'_>, verified: &mut Verified) {
    let tenant = run.tenant.scope.tenant().as_str();
    for row in run.store.rows("iceberg_tables") {
        let name = text(row, "table_name").unwrap_or("?");
        let cells = [("catalog_name", CATALOG_NAME), ("table_namespace", tenant), ("iceberg_type", "TABLE")];
        for (column, expected) in cells {
            if text(row, column) != Some(expected) {
                let flaw = Flaw::new(CATALOG, format!("{column} is not `{expected}`")).at(name);
                verified.tell(Some(run.tenant), flaw, "the table cannot be found", Mend::Rebuild);
            }
        }
    }
    for row in run.store.rows("iceberg_namespace_properties") {
        let cells =
            [("catalog_name", CATALOG_NAME), ("namespace", tenant), ("property_key", "exists"), ("property_value", "true")];
        if cells.iter().any(|(column, expected)| text(row, column) != Some(expected)) {
            let flaw = Flaw::new("control store: iceberg_namespace_properties", "is not as it is made").at(tenant);
            verified.tell(Some(run.tenant), flaw, "other readers may not find the tables", Mend::Rebuild);
        }
    }
}

/// Answers whether all live rows of the table were counted.
async fn table(run: &mut Run<'_>, name: &str, held: &mut BTreeMap<String, Tally>, verified: &mut Verified) -> Result<bool> {
    let mut attempt = 1;
    loop {
        let survey = run.tenant.tables.survey(name).await?;
        let (spoilt, tallies, read) = files(run, &survey).await?;
        let moved = run.tenant.tables.metadata_location(name).await? != survey.location;
        let sound = spoilt.is_empty() && survey.found.is_empty();
        if !sound && moved && attempt < ATTEMPTS_MAX {
            attempt += 1;
            continue;
        }
        let whole = survey.whole && !spoilt.iter().any(|(file, _)| file.live);
        verified.objects += survey.reached.len() as u64;
        verified.bytes += survey.bytes + read.bytes;
        verified.rows += read.rows;
        run.reached.extend(survey.reached.iter().cloned());
        pointer(run, name, &survey, verified);
        for found in survey.found {
            tell(run, name, found, verified);
        }
        for (file, what) in spoilt {
            tell(run, name, Found { flaw: Flaw::new(file.path, what), history: !file.live, mark: file.mark }, verified);
        }
        for (delivery, tally) in tallies {
            held.entry(delivery).or_default().add(&tally);
        }
        return Ok(whole);
    }
}

/// The cell of the catalog that tells of the pointer before.
fn pointer(run: &Run<'_>, name: &str, survey: &Survey, verified: &mut Verified) {
    let row = run.store.rows("iceberg_tables").iter().find(|row| text(row, "table_name") == Some(name));
    // A commit that came since the rows were read moved both.
    let Some(row) = row.filter(|row| text(row, "metadata_location") == survey.location.as_deref()) else { return };
    if survey.whole && text(row, "previous_metadata_location") != survey.previous.as_deref() {
        let flaw = Flaw::new(CATALOG, "previous_metadata_location is not what the metadata tells").at(name);
        verified.tell(Some(run.tenant), flaw, "other readers may follow it", Mend::Rebuild);
    }
}

fn tell(run: &Run<'_>, table: &str, found: Found, verified: &mut Verified) {
    let delivery =
        found.mark.and_then(|mark| run.deliveries.iter().find(|(_, row)| row.keyed_digest == mark).map(|(id, _)| id.clone()));
    let follows = match (found.history, &delivery) {
        (true, _) => format!("{table} as it was before cannot be read; as it is now, it can"),
        (false, Some(_)) => format!("rows of the delivery in {table} cannot be read, and queries over them fail"),
        (false, None) => format!("rows of {table} cannot be read, and queries over them fail"),
    };
    verified.tell_of(Some(run.tenant), found.flaw, follows, delivery.into_iter().collect(), Mend::Rebuild);
}

#[derive(Default)]
struct Read {
    bytes: u64,
    rows: u64,
}

type Spoilt = Vec<(StoredFile, String)>;

async fn files(run: &Run<'_>, survey: &Survey) -> Result<(Spoilt, BTreeMap<String, Tally>, Read)> {
    let (mut spoilt, mut tallies, mut read): (Spoilt, BTreeMap<String, Tally>, Read) = Default::default();
    if run.depth.quick {
        for file in &survey.files {
            // Listed anew where the listing is older than the file.
            if let Some(stored) = run.size(&file.path)
                && stored != file.size_bytes
            {
                spoilt.push((file.clone(), format!("has {stored} bytes, {} were committed", file.size_bytes)));
            } else if run.size(&file.path).is_none()
                && !run.house.lake.objects(&run.tenant.scope).await?.iter().any(|(path, _)| *path == file.path)
            {
                spoilt.push((file.clone(), "is missing".into()));
            }
        }
        return Ok((spoilt, tallies, read));
    }
    let memory = std::sync::Arc::new(tokio::sync::Semaphore::new(MEMORY_MIB_MAX as usize));
    let checks = survey.files.iter().map(|file| {
        let (tables, file, memory) = (run.tenant.tables.clone(), file.clone(), memory.clone());
        async move {
            let mib = u32::try_from(file.size_bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX).clamp(1, MEMORY_MIB_MAX);
            let task = tokio::spawn(async move {
                let _room = memory.acquire_many(mib).await;
                (tables.check_file(&file).await, file)
            });
            task.await
        }
    });
    let mut checks = stream::iter(checks).buffer_unordered(cores());
    let mut done_files = 0;
    while let Some(done) = checks.next().await {
        let (checked, file) =
            done.map_err(|error| Error::new(ErrorKind::Internal, "a check of a data file").with_source(error))?;
        read.bytes += file.size_bytes;
        done_files += 1;
        (run.watch)(done_files, read.bytes);
        match checked {
            Ok(held) if file.live => {
                for (delivery, tally) in held {
                    read.rows += tally.rows;
                    tallies.entry(delivery).or_default().add(&tally);
                }
            }
            Ok(_) => {}
            Err(error) => spoilt.push((file, error.to_string())),
        }
    }
    Ok((spoilt, tallies, read))
}

/// Rows and money sums of every delivery as its receipt promised them, and no row of any other.
async fn promised(run: &Run<'_>, held: &BTreeMap<String, Tally>, verified: &mut Verified) -> Result<()> {
    let mut moved: HashMap<Report, Mapping> = HashMap::new();
    for report in Report::ALL {
        moved.insert(report, run.tenant.mapping(report).await.unwrap_or_default());
    }
    let none = Tally::default();
    for (id, row) in &run.deliveries {
        let Some(receipt) = &row.receipt else { continue };
        let tally = held.get(id).unwrap_or(&none);
        let wrong = against(receipt, tally, &moved);
        if !wrong.is_empty() {
            let table = receipt.report.map_or("no table", Report::table);
            let flaw = Flaw::new(format!("table {table}"), wrong.join("; ")).at(format!("delivery {id}"));
            verified.tell_of(Some(run.tenant), flaw, "answers over this delivery are wrong", vec![id.clone()], Mend::Rebuild);
        }
    }
    for (id, tally) in held {
        let known = run.deliveries.get(id).is_some_and(|row| row.state == Some(DeliveryState::Committed));
        if !known && !is_swinging(run, id) && !committed_since(run, id).await {
            let flaw = Flaw::new("tables", format!("{} rows of no committed delivery", tally.rows)).at(format!("delivery {id}"));
            verified.tell_of(Some(run.tenant), flaw, "answers count rows that nobody delivered", vec![id.clone()], Mend::Rebuild);
        }
    }
    Ok(())
}

/// Whether its commit is in a catalog beside the store, which was not told yet: whoever delivers it again ends that.
fn is_swinging(run: &Run<'_>, id: &str) -> bool {
    let digest = run.deliveries.get(id).map(|row| row.keyed_digest.as_str());
    digest.is_some() && run.store.rows("swings").iter().any(|row| text(row, "keyed_digest") == digest)
}

async fn committed_since(run: &Run<'_>, id: &str) -> bool {
    let Ok(id) = id.parse() else { return false };
    let row = run.tenant.ledger.delivery(id).await.ok().flatten();
    row.is_some_and(|row| row.state == DeliveryState::Committed)
}

fn against(receipt: &Receipt, tally: &Tally, mappings: &HashMap<Report, Mapping>) -> Vec<String> {
    let mut wrong = Vec::new();
    if receipt.rows_committed != tally.rows {
        wrong.push(format!("holds {} rows, the receipt says {}", tally.rows, receipt.rows_committed));
    }
    let mapping = receipt.report.and_then(|report| mappings.get(&report));
    for total in &receipt.control_totals {
        // Cells that were moved in later, by an accepted mapping, are not in the receipt's sum.
        let may_have_moved = mapping.is_some_and(|mapping| {
            mapping.renames.values().any(|column| *column == total.column)
                || mapping.additions.iter().any(|column| column.name == total.column)
        });
        let sum = tally.sums.get(&edition::field_name(&total.column)).copied().unwrap_or_default();
        if !may_have_moved && cents(sum) != total.sum {
            wrong.push(format!("sums {} otherwise than the receipt", total.column));
        }
    }
    wrong
}

/// As receipts write it: two places.
fn cents(sum: i128) -> String {
    let sign = if sum < 0 { "-" } else { "" };
    let all = sum.unsigned_abs();
    format!("{sign}{}.{:02}", all / 100, all % 100)
}
