//! Where an ingest's time goes: each stage alone, on one thread, over the same ES-003, in MB of CSV a second.
//! Promise: the stages are the product's own functions; beside each stands the limit it cannot pass on this machine.
//! Never: a stage's figure is compared with one of another run.

use std::{env, error::Error, fs, process::ExitCode, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, FieldRef, Schema, SchemaRef},
};
use bonded::{
    demo::corpus::{Corpus, Plan},
    ingest::parse::{HEAD_BYTES_MAX, HeadOutcome, Limits, RowReader, Stamp, find_head},
};
use bonded_connectors::{lake::FileWriter, seal::Ags1Sealer};
use bonded_schemas::{DeliveryId, Mapping, Registry, drift};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Answers a number, so that no work can be left out.
type Stage<'a> = Box<dyn Fn() -> Outcome<usize> + 'a>;

const CHUNK_BYTES: usize = 1 << 20;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What this thread has used so far, in nanoseconds by the kernel's scheduler: neighbours on the machine are not in it.
fn cpu_seconds() -> Outcome<f64> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = statistics.split_whitespace().next().ok_or("the kernel keeps no scheduler statistics")?.parse()?;
    Ok(nanoseconds as f64 / 1e9)
}

fn run() -> Outcome<()> {
    let rounds = setting("BONDED_BENCH_ROUNDS", 3).max(1);
    let corpus = Corpus::new(Plan::for_size_bytes(setting("BONDED_BENCH_SEED", 1), setting("BONDED_BENCH_MB", 64) * 1_000_000)?)?;
    let mut file = Vec::new();
    let rows = corpus.write_es_003(&mut file)?.rows;
    println!("ES-003 of {:.1} MB, {rows} rows; one thread; best of {rounds}", file.len() as f64 / 1e6);
    let batches = parse(&file)?;
    let parsed: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(parsed as u64, rows, "never a bench on a wrong answer");

    let stages: Vec<(&str, Stage<'_>)> = vec![
        ("limit: memchr for line feeds", Box::new(|| Ok(memchr::memchr_iter(b'\n', &file).count()))),
        ("limit: copy", Box::new(|| Ok(std::hint::black_box(file.clone()).len()))),
        ("hash: SHA-256", Box::new(|| Ok(usize::from(sha256(&file)[0])))),
        ("seal: AES-256-GCM in AGS1 blocks", Box::new(|| seal(&file))),
        ("parse and type into Arrow", Box::new(|| parse(&file).map(|batches| batches.len()))),
        ("encode Parquet, zstd, plain", Box::new(|| encode(&batches, false))),
        ("encode Parquet, zstd, encrypted", Box::new(|| encode(&batches, true))),
    ];
    let mut best = vec![f64::MAX; stages.len()];
    for _ in 0..rounds {
        for ((_, stage), best) in stages.iter().zip(&mut best) {
            let since = cpu_seconds()?;
            std::hint::black_box(stage()?);
            *best = best.min(cpu_seconds()? - since);
        }
    }
    println!("\n{:<36} {:>9} {:>9}", "stage", "CPU s", "MB/s");
    for ((name, _), seconds) in stages.iter().zip(&best) {
        println!("{name:<36} {seconds:>9.3} {:>9.0}", file.len() as f64 / 1e6 / seconds);
    }
    let [.., hash, seal, parse, plain, encrypted] = best[..] else { return Ok(()) };
    let whole = hash + seal + parse + encrypted;
    println!("\nsealing and encrypting: {:.1} % of hash + seal + parse + encode", 100.0 * (seal + encrypted - plain) / whole);
    Ok(())
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec()
}

fn seal(bytes: &[u8]) -> Outcome<usize> {
    let mut sealer = Ags1Sealer::new(&[7; 32], b"a bench's prefix");
    let mut sealed = 0;
    sealer.push(bytes, |block| sealed += block.len())?;
    Ok(sealed + sealer.finish()?.map_or(0, |block| block.len()))
}

fn parse(file: &[u8]) -> Outcome<Vec<RecordBatch>> {
    let no_mapping = |_| Mapping::default();
    let first = &file[..file.len().min(HEAD_BYTES_MAX)];
    let HeadOutcome::Found(head) = find_head(first, first.len() == file.len(), Registry::builtin(), &no_mapping) else {
        return Err("the corpus has no header".into());
    };
    let (binding, _) = drift::bind(&head.header, Registry::builtin().edition(head.report), &Mapping::default());
    let stamp = Stamp { delivery_id: DeliveryId(uuid::Uuid::nil()), as_of: chrono::DateTime::UNIX_EPOCH };
    let mut reader = RowReader::new(&head, binding, &stamp, Limits::default());
    let mut batches = Vec::new();
    let quarantined = |quarantine: bonded_schemas::Quarantine| quarantine.message;
    for chunk in file[head.body_offset as usize..].chunks(CHUNK_BYTES) {
        reader.push(chunk, &mut batches).map_err(quarantined)?;
    }
    reader.finish(&mut batches).map_err(quarantined)?;
    Ok(batches)
}

fn encode(batches: &[RecordBatch], encrypted: bool) -> Outcome<usize> {
    let encryption = encrypted.then_some((&[7; 32][..], &[9; 16][..]));
    let mut writer = FileWriter::new(plain_schema(&batches[0]), encryption)?;
    let mut size = 0;
    for batch in batches {
        writer.write(batch.columns())?;
        size += writer.take_encoded().len();
    }
    writer.finish()?;
    Ok(size + writer.take_encoded().len())
}

/// The table's: a dictionary of texts is a column of texts there.
fn plain_schema(batch: &RecordBatch) -> SchemaRef {
    let plain = |field: &FieldRef| match field.data_type() {
        DataType::Dictionary(_, value) => field.as_ref().clone().with_data_type(value.as_ref().clone()),
        _ => field.as_ref().clone(),
    };
    Arc::new(Schema::new(batch.schema().fields().iter().map(plain).collect::<Vec<_>>()))
}
