//! New data files: batches in, encrypted Parquet out, split by partition and encoded on all cores.
//! Promise: each physical file has a data key and an AAD prefix of its own; memory is bounded, whatever the delivery's size;
//! what is written is garbage until it is committed.
//! Never: no partition value in a path, no bloom filter, no column that the delivery does not have.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::interleave_record_batch,
    datatypes::{Int32Type, Schema as ArrowSchema, SchemaRef as ArrowSchemaRef},
};
use iceberg::{
    arrow::schema_to_arrow_schema,
    encryption::AesKeySize,
    io::FileIO,
    spec::{DataFile, PartitionSpecRef, Transform},
    table::Table,
    transform::{BoxedTransformFunction, create_transform_function},
};

use crate::error::{Error, ErrorKind, Result};

mod conform;
mod encode;
mod metrics;
mod properties;

pub(super) use conform::conform;
use encode::{Encoders, Job};
pub use properties::properties as file_properties;

/// Rows gathered before they are split by partition: large enough that a month's share is worth a gather.
const GATHER_ROWS: usize = 32 << 10;
/// The same in bytes of Arrow arrays.
const GATHER_BYTES: usize = 16 << 20;
/// A file that spans more months is not an ACE report (look-back is about six years).
const PARTITIONS_MAX: usize = 600;

/// A partition of the table's one-field spec: its transformed value, or null.
pub(super) type Partition = Option<i32>;

/// Files that are written but not committed: garbage until [`super::Tables::append`].
#[derive(Debug, Default)]
pub struct Written {
    pub(super) files: Vec<DataFile>,
    /// Rows over all files.
    pub rows: u64,
}

/// Streams batches into the data files of one delivery.
pub struct TableWriter {
    schema: ArrowSchemaRef,
    partitioning: Partitioning,
    gathered: Vec<RecordBatch>,
    gathered_rows: usize,
    gathered_bytes: usize,
    rows_by_partition: HashMap<Partition, u64>,
    encoders: Encoders,
    file_io: FileIO,
    rows: u64,
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TableWriter({} rows)", self.rows)
    }
}

impl TableWriter {
    /// `present` names the columns to write, all when `None`; Iceberg reads a column that a file lacks as null.
    pub(super) fn open(table: &Table, present: Option<&[String]>) -> Result<Self> {
        let metadata = table.metadata();
        if table.encryption_manager().is_none() {
            return Err(Error::new(ErrorKind::Refused, format!("table {} is not encrypted", table.identifier().name())));
        }
        let key_size = AesKeySize::from_key_length(metadata.table_properties()?.encryption_data_key_length)?;
        let full = schema_to_arrow_schema(metadata.current_schema())?;
        let partitioning = Partitioning::new(table)?;
        let wanted = |name: &String| present.is_none_or(|present| present.contains(name) || *name == partitioning.source);
        let fields: Vec<_> = full.fields().iter().filter(|field| wanted(field.name())).cloned().collect();
        let schema: ArrowSchemaRef = Arc::new(ArrowSchema::new(fields));
        let encoders = Encoders::start(table, schema.clone(), key_size)?;
        Ok(Self {
            schema,
            partitioning,
            gathered: Vec::new(),
            gathered_rows: 0,
            gathered_bytes: 0,
            rows_by_partition: HashMap::new(),
            encoders,
            file_io: table.file_io().clone(),
            rows: 0,
        })
    }

    /// Columns are taken by name; a table column that the batch lacks becomes null.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = conform(batch, &self.schema)?;
        self.rows += batch.num_rows() as u64;
        self.gathered_rows += batch.num_rows();
        self.gathered_bytes += batch.get_array_memory_size();
        self.gathered.push(batch);
        if self.gathered_rows >= GATHER_ROWS || self.gathered_bytes >= GATHER_BYTES {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// Splits what was gathered by partition and hands each share to an encoder.
    async fn hand_over(&mut self) -> Result<()> {
        let batches = std::mem::take(&mut self.gathered);
        (self.gathered_rows, self.gathered_bytes) = (0, 0);
        for (partition, share) in self.partitioning.split(&batches)? {
            let before = self.rows_by_partition.entry(partition).or_default();
            let job = Job { partition, rows_before: *before, batch: share };
            *before += job.batch.num_rows() as u64;
            self.encoders.send(job).await?;
        }
        if self.rows_by_partition.len() > PARTITIONS_MAX {
            return Err(Error::new(ErrorKind::Input, format!("rows of more than {PARTITIONS_MAX} months in one file")));
        }
        Ok(())
    }

    /// Closes all files; their row counts must add up to what was written. Files of a failed write are deleted.
    pub async fn finish(mut self) -> Result<Written> {
        let handed_over = match self.gathered.is_empty() {
            true => Ok(()),
            false => self.hand_over().await,
        };
        let (files, failed) = self.encoders.finish().await;
        let rows: u64 = files.iter().map(DataFile::record_count).sum();
        let error = match (handed_over, failed) {
            (_, Some(error)) => error,
            (Err(error), None) => error,
            (Ok(()), None) if rows == self.rows => return Ok(Written { files, rows }),
            (Ok(()), None) => Error::new(ErrorKind::Internal, format!("{} rows went in and {rows} came out", self.rows)),
        };
        for file in &files {
            self.file_io.delete(file.file_path()).await?;
        }
        Err(error)
    }
}

/// How rows are split: by one transformed column.
struct Partitioning {
    source: String,
    transform: BoxedTransformFunction,
}

impl Partitioning {
    fn new(table: &Table) -> Result<Self> {
        let spec: &PartitionSpecRef = table.metadata().default_partition_spec();
        let unsupported = || Error::new(ErrorKind::Internal, "only tables partitioned by the month of one column are written");
        let [field] = spec.fields() else { return Err(unsupported()) };
        if field.transform != Transform::Month {
            return Err(unsupported());
        }
        let source = table.metadata().current_schema().name_by_field_id(field.source_id).ok_or_else(unsupported)?.to_owned();
        Ok(Self { source, transform: create_transform_function(&field.transform)? })
    }

    /// One gather per column and partition, whatever the order of the rows; none when all lie in one partition.
    fn split(&self, batches: &[RecordBatch]) -> Result<Vec<(Partition, RecordBatch)>> {
        let mut places: HashMap<Partition, Vec<(usize, usize)>> = HashMap::new();
        for (at, batch) in batches.iter().enumerate() {
            let source = batch
                .column_by_name(&self.source)
                .ok_or_else(|| Error::new(ErrorKind::Internal, format!("no column {} to partition by", self.source)))?;
            let months: ArrayRef = self.transform.transform(source.clone())?;
            let months = months
                .as_primitive_opt::<Int32Type>()
                .ok_or_else(|| Error::new(ErrorKind::Internal, "months are not whole numbers"))?;
            for row in 0..months.len() {
                let partition = months.is_valid(row).then(|| months.value(row));
                places.entry(partition).or_default().push((at, row));
            }
        }
        let refused = |error| Error::new(ErrorKind::Internal, "rows could not be split by partition").with_source(error);
        if let (1, Some(partition)) = (places.len(), places.keys().next().copied()) {
            let whole = batches.iter().map(|batch| (partition, batch.clone()));
            return Ok(whole.collect());
        }
        let references: Vec<&RecordBatch> = batches.iter().collect();
        let mut shares = places
            .into_iter()
            .map(|(partition, rows)| Ok((partition, interleave_record_batch(&references, &rows).map_err(refused)?)))
            .collect::<Result<Vec<_>>>()?;
        // A fixed order, so that the same delivery makes the same files.
        shares.sort_by_key(|(partition, _)| *partition);
        Ok(shares)
    }
}
