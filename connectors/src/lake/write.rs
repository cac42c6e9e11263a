//! New data files: batches in, encrypted Parquet out, split by partition and encoded on all cores.
//! Promise: each physical file has a data key and an AAD prefix of its own; memory is bounded, whatever the delivery's size;
//! what is written is garbage until it is committed.
//! Never: no partition value in a path, no bloom filter, no column that the delivery does not have.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Date32Array, PrimitiveArray, RecordBatch, UInt32Array},
    compute::take_arrays,
    datatypes::{Date32Type, Int32Type, Schema as ArrowSchema, SchemaRef as ArrowSchemaRef},
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

mod chunk;
mod conform;
mod encode;
mod file;
mod hybrid;
mod metrics;
mod modules;

pub(super) use conform::conform;
pub(super) use encode::Shape;
use encode::{Encoders, Job};
pub use file::FileWriter;

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
    pub(super) fn open(table: &Table, present: Option<&[String]>, shape: Shape) -> Result<Self> {
        let metadata = table.metadata();
        let full = schema_to_arrow_schema(metadata.current_schema())?;
        let source = Partitioning::new(table)?.source;
        let wanted = |name: &String| present.is_none_or(|present| present.contains(name) || *name == source);
        let fields: Vec<_> = full.fields().iter().filter(|field| wanted(field.name())).cloned().collect();
        Self::shaped(table, Arc::new(ArrowSchema::new(fields)), shape)
    }

    /// For these very columns, field ids in their metadata, and for files of this shape.
    pub(super) fn shaped(table: &Table, schema: ArrowSchemaRef, shape: Shape) -> Result<Self> {
        let metadata = table.metadata();
        if table.encryption_manager().is_none() {
            return Err(Error::new(ErrorKind::Refused, format!("table {} is not encrypted", table.identifier().name())));
        }
        let key_size = AesKeySize::from_key_length(metadata.table_properties()?.encryption_data_key_length)?;
        Ok(Self {
            encoders: Encoders::start(table, schema.clone(), key_size, shape)?,
            schema,
            partitioning: Partitioning::new(table)?,
            rows_by_partition: HashMap::new(),
            file_io: table.file_io().clone(),
            rows: 0,
        })
    }

    /// Columns are taken by name; a table column that the batch lacks becomes null.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let columns = conform::columns(batch, &self.schema)?;
        self.rows += batch.num_rows() as u64;
        for (partition, share) in self.partitioning.split(&self.schema, columns)? {
            let before = self.rows_by_partition.entry(partition).or_default();
            let job = Job { partition, rows_before: *before, columns: share };
            *before += job.rows() as u64;
            self.encoders.send(job).await?;
        }
        if self.rows_by_partition.len() > PARTITIONS_MAX {
            return Err(Error::new(ErrorKind::Input, format!("rows of more than {PARTITIONS_MAX} months in one file")));
        }
        Ok(())
    }

    /// Closes all files; their row counts must add up to what was written. Files of a failed write are deleted.
    pub async fn finish(self) -> Result<Written> {
        let (files, failed) = self.encoders.finish().await;
        let rows: u64 = files.iter().map(DataFile::record_count).sum();
        let error = match failed {
            Some(error) => error,
            None if rows == self.rows => return Ok(Written { files, rows }),
            None => Error::new(ErrorKind::Internal, format!("{} rows went in and {rows} came out", self.rows)),
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

    /// The columns as they are when all rows lie in one partition; else one gather per column and partition.
    fn split(&self, schema: &ArrowSchema, columns: Vec<ArrayRef>) -> Result<Vec<(Partition, Vec<ArrayRef>)>> {
        let at = schema.index_of(&self.source);
        let at = at.map_err(|_| Error::new(ErrorKind::Internal, format!("no column {} to partition by", self.source)))?;
        if let Some(partition) = self.only(&columns[at])? {
            return Ok(vec![(partition, columns)]);
        }
        let months = self.months(columns[at].clone())?;
        let mut places: HashMap<Partition, Vec<u32>> = HashMap::new();
        for row in 0..months.len() {
            let partition = months.is_valid(row).then(|| months.value(row));
            places.entry(partition).or_default().push(row as u32);
        }
        if let (1, Some(partition)) = (places.len(), places.keys().next().copied()) {
            return Ok(vec![(partition, columns)]);
        }
        let refused = |error| Error::new(ErrorKind::Internal, "rows could not be split by partition").with_source(error);
        let mut shares = places
            .into_iter()
            .map(|(partition, rows)| Ok((partition, take_arrays(&columns, &UInt32Array::from(rows), None).map_err(refused)?)))
            .collect::<Result<Vec<_>>>()?;
        // A fixed order, so that the same delivery makes the same files.
        shares.sort_by_key(|(partition, _)| *partition);
        Ok(shares)
    }

    fn months(&self, source: ArrayRef) -> Result<PrimitiveArray<Int32Type>> {
        let months = self.transform.transform(source)?;
        let months = months.as_primitive_opt::<Int32Type>();
        months.cloned().ok_or_else(|| Error::new(ErrorKind::Internal, "months are not whole numbers"))
    }

    /// The partition of all rows, where the first and the last of their days show that there is only one.
    fn only(&self, source: &ArrayRef) -> Result<Option<Partition>> {
        let Some(days) = source.as_primitive_opt::<Date32Type>().filter(|days| days.null_count() == 0) else { return Ok(None) };
        let days = days.values();
        let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else { return Ok(None) };
        let months = self.months(Arc::new(Date32Array::from(vec![*first, *last])))?;
        Ok((months.value(0) == months.value(1)).then(|| Some(months.value(0))))
    }
}
