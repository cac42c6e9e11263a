//! Encoders: one thread per core, each with Parquet files of its own, fed by a short queue.
//! A partition begins with one encoder; once it holds a row group's worth of rows the next share goes to the next encoder,
//! so that a small delivery makes one file a month and a large one uses all cores whatever its months.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef},
    datatypes::SchemaRef as ArrowSchemaRef,
};
use bytes::Bytes;
use iceberg::{
    encryption::{AesKeySize, SecureKey, StandardKeyMetadata},
    io::{FileIO, FileWrite},
    spec::{DataFile, SchemaRef},
    table::Table,
};
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};

use super::{
    Partition,
    file::{FileWriter, ROW_GROUP_ROWS_MAX},
    metrics::{Stored, data_file},
};
use crate::error::{Error, ErrorKind, Result};

/// A data file is closed and the next one begun at about this size.
const FILE_TARGET_BYTES: u64 = 128 << 20;
/// Memory of all half-made row groups, over all encoders; beyond its share an encoder flushes its largest.
const UNFLUSHED_BYTES_MAX: usize = 32 << 20;
/// Shares that may wait for one encoder.
const QUEUE_JOBS: usize = 2;
/// More threads than this only split row groups further.
const ENCODERS_MAX: usize = 8;

/// How many files are open for one partition at most, and how large one gets.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub encoders_max: usize,
    pub file_target_bytes: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self { encoders_max: ENCODERS_MAX, file_target_bytes: FILE_TARGET_BYTES }
    }
}

/// A share of rows of one partition.
pub struct Job {
    pub partition: Partition,
    /// Rows of the partition before this share.
    pub rows_before: u64,
    /// In the order of the table's schema.
    pub columns: Vec<ArrayRef>,
}

impl Job {
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.len())
    }
}

pub struct Encoders {
    queues: Vec<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<Ended>>,
    first: HashMap<Partition, usize>,
}

/// The files an encoder closed, and why it stopped early if it did.
type Ended = (Vec<DataFile>, Option<Error>);

impl Encoders {
    pub fn start(table: &Table, schema: ArrowSchemaRef, key_size: AesKeySize, shape: Shape) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get()).min(shape.encoders_max);
        let metadata = table.metadata();
        let target = Arc::new(Target {
            file_io: table.file_io().clone(),
            folder: format!("{}/data", metadata.location()),
            schema: metadata.current_schema().clone(),
            arrow: schema,
            key_size,
            spec_id: metadata.default_partition_spec_id(),
            file_target_bytes: shape.file_target_bytes,
        });
        let (queues, threads) = (0..cores)
            .map(|_| {
                let (sender, queue) = mpsc::channel(QUEUE_JOBS);
                let (target, runtime) = (target.clone(), Handle::current());
                let unflushed_bytes_max = UNFLUSHED_BYTES_MAX / cores;
                let encoder = Encoder { target, runtime, open: HashMap::new(), unflushed_bytes_max };
                (sender, tokio::task::spawn_blocking(move || encoder.run(queue)))
            })
            .unzip();
        Ok(Self { queues, threads, first: HashMap::new() })
    }

    /// Waits while the encoder's queue is full. An encoder that failed takes nothing more; `finish` tells why.
    pub async fn send(&mut self, job: Job) -> Result<()> {
        let next = self.first.len();
        let first = *self.first.entry(job.partition).or_insert(next);
        let turn = usize::try_from(job.rows_before / ROW_GROUP_ROWS_MAX as u64).unwrap_or(usize::MAX);
        let at = first.wrapping_add(turn) % self.queues.len();
        self.queues[at].send(job).await.map_err(|_| Error::new(ErrorKind::Internal, "an encoder stopped early"))
    }

    /// All closed files, also after a failure, so that they can be deleted.
    pub async fn finish(self) -> Ended {
        drop(self.queues);
        let (mut files, mut failed) = (Vec::new(), None);
        for thread in self.threads {
            match thread.await {
                Ok((closed, error)) => {
                    files.extend(closed);
                    failed = failed.or(error);
                }
                Err(error) => failed = Some(Error::new(ErrorKind::Internal, "an encoder panicked").with_source(error)),
            }
        }
        (files, failed)
    }
}

/// Where files go and what they look like; the same for all encoders of a writer.
struct Target {
    file_io: FileIO,
    folder: String,
    schema: SchemaRef,
    arrow: ArrowSchemaRef,
    key_size: AesKeySize,
    spec_id: i32,
    file_target_bytes: u64,
}

struct Encoder {
    target: Arc<Target>,
    runtime: Handle,
    open: HashMap<Partition, OpenFile>,
    unflushed_bytes_max: usize,
}

struct OpenFile {
    writer: FileWriter,
    sink: Box<dyn FileWrite>,
    location: String,
    key_metadata: Vec<u8>,
    sent_bytes: u64,
}

impl Encoder {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) -> Ended {
        let mut closed = Vec::new();
        while let Some(job) = queue.blocking_recv() {
            if let Err(error) = self.encode(job, &mut closed) {
                return (closed, Some(error));
            }
        }
        // A fixed order, so that a failure is the same each time.
        let mut left: Vec<(Partition, OpenFile)> = self.open.drain().collect();
        left.sort_by_key(|(partition, _)| *partition);
        for (partition, file) in left {
            match self.close(partition, file) {
                Ok(file) => closed.push(file),
                Err(error) => return (closed, Some(error)),
            }
        }
        (closed, None)
    }

    fn encode(&mut self, job: Job, closed: &mut Vec<DataFile>) -> Result<()> {
        let Job { partition, columns, .. } = job;
        if !self.open.contains_key(&partition) {
            let file = self.create()?;
            self.open.insert(partition, file);
        }
        if let Some(file) = self.open.get_mut(&partition) {
            file.writer.write(&columns)?;
        }
        self.flush_beyond_limit()?;
        let full = self.open.get_mut(&partition).map(|file| file.drain(&self.runtime)).transpose()?.unwrap_or(0);
        if full >= self.target.file_target_bytes
            && let Some(file) = self.open.remove(&partition)
        {
            closed.push(self.close(partition, file)?);
        }
        Ok(())
    }

    /// Many open months hold many half-made row groups; the largest goes first.
    fn flush_beyond_limit(&mut self) -> Result<()> {
        let unflushed: usize = self.open.values().map(|file| file.writer.memory_bytes()).sum();
        if unflushed > self.unflushed_bytes_max
            && let Some(file) = self.open.values_mut().max_by_key(|file| file.writer.memory_bytes())
        {
            file.writer.flush()?;
            file.drain(&self.runtime)?;
        }
        Ok(())
    }

    fn create(&self) -> Result<OpenFile> {
        let key = SecureKey::generate(self.target.key_size);
        let aad_prefix = uuid::Uuid::new_v4().into_bytes();
        let key_metadata = StandardKeyMetadata::new(key.as_bytes()).with_aad_prefix(&aad_prefix).encode()?.to_vec();
        let location = format!("{}/{}.parquet", self.target.folder, uuid::Uuid::now_v7());
        let sink = self.runtime.block_on(self.target.file_io.new_output(&location)?.writer())?;
        let writer = FileWriter::new(self.target.arrow.clone(), Some((key.as_bytes(), &aad_prefix)))?;
        Ok(OpenFile { writer, sink, location, key_metadata, sent_bytes: 0 })
    }

    fn close(&self, partition: Partition, mut file: OpenFile) -> Result<DataFile> {
        let footer = file.writer.finish()?;
        let size_bytes = file.drain(&self.runtime)?;
        self.runtime.block_on(file.sink.close())?;
        let OpenFile { location, key_metadata, .. } = file;
        let stored = Stored { location, size_bytes, key_metadata, partition, spec_id: self.target.spec_id };
        data_file(&self.target.schema, &footer, stored)
    }
}

impl OpenFile {
    /// Sends what was encoded since the last time; answers the bytes sent so far.
    fn drain(&mut self, runtime: &Handle) -> Result<u64> {
        let encoded = self.writer.take_encoded();
        if !encoded.is_empty() {
            self.sent_bytes += encoded.len() as u64;
            runtime.block_on(self.sink.write(Bytes::from(encoded)))?;
        }
        Ok(self.sent_bytes)
    }
}
