//! What one small delivery costs when thousands came before it: `ingest` whole, and the commit alone, into one table, with
//! maintenance after every so many deliveries as a schedule would run it.
//! Promise: one lake on a local folder, real keyring, SQLite and fsync; every delivery is a file of its own; the rows are
//! counted at the end. Maintenance runs between deliveries and is told apart.
//!
//! Settings (environment): BONDED_BENCH_DELIVERIES (10000), BONDED_BENCH_MAINTAIN_EVERY (100; 0 for never), BONDED_BENCH_DIR.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array},
    datatypes::DataType,
};
use bonded::{
    demo::corpus::{Corpus, Plan as CorpusPlan},
    ingest::{Source, ingest},
    lakehouse::{Doors, Lakehouse, Tenant},
    maintain::{self, Plan},
    settings::Settings,
};
use bonded_connectors::{clock::SystemClock, lake::Mark, store::ledger::LedgerRow};
use bonded_schemas::{Channel, DeliveryId, DeliveryState, Report, TenantScope};

type Outcome<T> = Result<T, Box<dyn Error>>;

const TENANT: &str = "fictional-lantern";
const TABLE: &str = "es_003";
const ENTRIES_PER_DELIVERY: u32 = 3;
/// Deliveries around a checkpoint whose median is shown.
const WINDOW: usize = 21;

fn main() -> ExitCode {
    let deliveries = number("BONDED_BENCH_DELIVERIES", 10_000);
    let every = number("BONDED_BENCH_MAINTAIN_EVERY", 100);
    let parent = env::var_os("BONDED_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let folder = parent.join(format!("bonded-bench-{}", uuid::Uuid::new_v4()));
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(run(&folder, deliveries, every)));
    let cleaned = std::fs::remove_dir_all(&folder);
    match outcome.and(cleaned.map_err(Into::into)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn number(name: &str, default: usize) -> usize {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn run(folder: &Path, deliveries: usize, every: usize) -> Outcome<()> {
    let lake = folder.join("lake");
    let settings = Settings { lake: lake.display().to_string(), ..Settings::default() };
    let (house, _) = Lakehouse::init(settings, Doors::new(Arc::new(SystemClock))).await?;
    let scope = scope()?;
    house.add_tenant(&scope).await?;
    let tenant = house.tenant(&scope).await?;
    let corpus = Corpus::new(CorpusPlan::new(7, deliveries as u32 * ENTRIES_PER_DELIVERY))?;
    let mut checkpoints: Vec<usize> = [WINDOW, 100, 1_000, 10_000].into_iter().filter(|at| *at < deliveries).collect();
    checkpoints.push(deliveries);
    println!("{deliveries} deliveries of {ENTRIES_PER_DELIVERY} entries, maintenance after every {every}");
    println!(
        "up to delivery | ingest ms (median of {WINDOW}) | CPU ms each | commit ms (median) | metadata.json bytes | snapshots | data files"
    );
    let (mut times, mut rows, mut extra, mut maintained) = (Vec::new(), 0_u64, 0_usize, Vec::new());
    let mut first = None;
    let mut cpu_by_delivery = Vec::new();
    for n in 1..=deliveries {
        let from = (n as u32 - 1) * ENTRIES_PER_DELIVERY;
        let mut bytes = Vec::new();
        corpus.write_entries(Report::Es003, from..from + ENTRIES_PER_DELIVERY, &mut bytes)?;
        let (began, cpu_before) = (Instant::now(), cpu_ms()?);
        let mut source: &[u8] = &bytes;
        let source = Source {
            file_name: format!("{n}.csv"),
            bytes: &mut source,
            channel: Channel::Console,
            as_of: None,
            envelope: None,
            poa: None,
        };
        rows += ingest(&house, &tenant, source).await?.receipt.rows_committed;
        times.push(began.elapsed());
        cpu_by_delivery.push(cpu_ms()? - cpu_before);
        if n == 1 {
            println!("1 (makes the table) | {:.1}", milliseconds(times[0]));
        }
        if checkpoints.contains(&n) {
            let ingest = median(&times[times.len().saturating_sub(WINDOW)..]);
            let last = &cpu_by_delivery[cpu_by_delivery.len().saturating_sub(WINDOW)..];
            let cpu = last.iter().sum::<u64>() as f64 / last.len() as f64;
            let commit = commits(&tenant, &mut extra).await?;
            let info = tenant.tables.info(TABLE).await?;
            let (base_ingest, base_commit) = *first.get_or_insert((ingest, commit));
            println!(
                "{n} | {:.1} ({:.2} x) | {cpu:.1} | {:.1} ({:.2} x) | {} | {} | {}",
                milliseconds(ingest),
                ingest.as_secs_f64() / base_ingest.as_secs_f64(),
                milliseconds(commit),
                commit.as_secs_f64() / base_commit.as_secs_f64(),
                metadata_bytes(&lake)?,
                info.snapshots,
                info.data_files
            );
        }
        if every > 0 && n.is_multiple_of(every) {
            let began = Instant::now();
            maintain::run(&house, &tenant, &Plan::default()).await?;
            maintained.push(began.elapsed());
        }
    }
    if let Some(last) = maintained.last() {
        let total: Duration = maintained.iter().sum();
        let (each, last) = (milliseconds(median(&maintained)), milliseconds(*last));
        println!("maintenance: {} runs, {:.1} s, median {each:.0} ms, last {last:.0} ms", maintained.len(), total.as_secs_f64());
    }
    let there = tenant.tables.info(TABLE).await?.rows;
    let expected = rows + extra as u64;
    if there == expected { Ok(()) } else { Err(format!("{expected} rows went in and {there} are there").into()) }
}

#[expect(clippy::disallowed_methods, reason = "a bench is its own console")]
fn scope() -> Outcome<TenantScope> {
    Ok(TenantScope::establish(TENANT.parse().map_err(|_| "not a tenant name")?, "bench"))
}

/// The median of some commits of one row each, its file written before.
async fn commits(tenant: &Tenant, extra: &mut usize) -> Outcome<Duration> {
    let mut times = Vec::new();
    for _ in 0..WINDOW {
        *extra += 1;
        let keyed_digest = format!("bench-{extra}");
        tenant.ledger.record_landed(&landed(&keyed_digest)).await?;
        let mut writer = tenant.tables.writer(TABLE).await?;
        writer.write(&one_row(tenant, *extra as i64).await?).await?;
        let written = writer.finish().await?;
        let mark = Mark { report: Report::Es003, keyed_digest };
        let began = Instant::now();
        tenant.tables.append(TABLE, written, &mark).await?;
        times.push(began.elapsed());
    }
    Ok(median(&times))
}

fn landed(keyed_digest: &str) -> LedgerRow {
    LedgerRow {
        delivery_id: DeliveryId(uuid::Uuid::now_v7()),
        keyed_digest: keyed_digest.to_owned(),
        state: DeliveryState::Landed,
        report: None,
        received_at: chrono::DateTime::UNIX_EPOCH,
        as_of: chrono::DateTime::UNIX_EPOCH,
        raw_path: String::new(),
        size_bytes: 0,
        snapshot_id: None,
        sealed_receipt: None,
    }
}

async fn one_row(tenant: &Tenant, n: i64) -> Outcome<RecordBatch> {
    let schema = Arc::new(tenant.tables.schema(TABLE).await?);
    let cell = |kind: &DataType, required: bool| -> ArrayRef {
        match kind {
            DataType::Utf8 if required => Arc::new(StringArray::from(vec!["bench"])),
            DataType::Int64 if required => Arc::new(Int64Array::from(vec![n])),
            DataType::Timestamp(..) if required => Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("+00:00")),
            kind => new_null_array(kind, 1),
        }
    };
    let columns = schema.fields().iter().map(|field| cell(field.data_type(), !field.is_nullable())).collect();
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Processor time of this process so far, by the kernel's clock of 10 ms: what a busy machine does not blur.
fn cpu_ms() -> Outcome<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |at: usize| after_name.split_whitespace().nth(at).and_then(|text| text.parse::<u64>().ok());
    let (Some(user), Some(system)) = (ticks(11), ticks(12)) else { return Err("/proc/self/stat is not readable".into()) };
    Ok((user + system) * 10)
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Stored size of the newest metadata file.
fn metadata_bytes(lake: &Path) -> Outcome<u64> {
    let folder = lake.join("tenants").join(TENANT).join("warehouse").join(TABLE).join("metadata");
    let mut newest: Option<(String, u64)> = None;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".metadata.json") && newest.as_ref().is_none_or(|(before, _)| *before < name) {
            newest = Some((name, entry.metadata()?.len()));
        }
    }
    Ok(newest.map_or(0, |(_, bytes)| bytes))
}
