//! New data files: batches in, encrypted Parquet out, one fresh data key and AAD prefix per physical file.
//! Parquet modular encryption, uniform, encrypted footer, prefix not stored: what Java Iceberg writes and reads.
//! Never: no bloom filter (parquet-rs writes them in the clear, so `properties` cannot switch one on).

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, StructArray},
    datatypes::{DataType, SchemaRef as ArrowSchemaRef},
};
use iceberg::{
    arrow::{RecordBatchPartitionSplitter, schema_to_arrow_schema},
    encryption::{AesKeySize, SecureKey, StandardKeyMetadata},
    io::{FileIO, OutputFile},
    spec::{DataFile, DataFileBuilder, DataFileFormat, PartitionKey, SchemaRef},
    table::Table,
    writer::{
        CurrentFileStatus,
        base_writer::data_file_writer::DataFileWriterBuilder,
        file_writer::{
            FileWriter, FileWriterBuilder, ParquetWriter, ParquetWriterBuilder,
            location_generator::{DefaultFileNameGenerator, LocationGenerator},
            rolling_writer::RollingFileWriterBuilder,
        },
        partitioning::{PartitioningWriter, fanout_writer::FanoutWriter},
    },
};
use parquet::{
    basic::{Compression, ZstdLevel},
    encryption::encrypt::FileEncryptionProperties,
    file::properties::WriterProperties,
};

use crate::error::{Error, ErrorKind, Result};

/// A data file is closed and the next one begun at about this size.
const FILE_TARGET_BYTES: usize = 128 << 20;
const ROW_GROUP_ROWS_MAX: usize = 128 << 10;
/// zstd's own default; higher levels cost more time than they save bytes on this data.
const ZSTD_LEVEL: i32 = 3;
/// One open Parquet writer per month: a file that spans more is not an ACE report (look-back is about six years).
const PARTITIONS_MAX: usize = 600;

type Fanout = FanoutWriter<DataFileWriterBuilder<EncryptedParquetBuilder, OpaqueLocations, DefaultFileNameGenerator>>;

/// Files that are written but not committed: garbage until [`super::Tables::append`].
#[derive(Debug, Default)]
pub struct Written {
    pub(super) files: Vec<DataFile>,
    /// Rows over all files.
    pub rows: u64,
}

/// Streams batches into the data files of one delivery, split by partition.
pub struct TableWriter {
    schema: ArrowSchemaRef,
    splitter: RecordBatchPartitionSplitter,
    fanout: Fanout,
    partitions: std::collections::HashSet<iceberg::spec::Struct>,
    file_io: FileIO,
    rows: u64,
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TableWriter({} rows)", self.rows)
    }
}

impl TableWriter {
    pub(super) fn open(table: &Table) -> Result<Self> {
        let metadata = table.metadata();
        if table.encryption_manager().is_none() {
            return Err(Error::new(ErrorKind::Refused, format!("table {} is not encrypted", table.identifier().name())));
        }
        let key_size = AesKeySize::from_key_length(metadata.table_properties()?.encryption_data_key_length)?;
        let schema = metadata.current_schema().clone();
        let files = EncryptedParquetBuilder { schema: schema.clone(), key_size };
        let locations = OpaqueLocations(metadata.location().to_owned());
        let names = DefaultFileNameGenerator::new(uuid::Uuid::now_v7().to_string(), None, DataFileFormat::Parquet);
        let rolling = RollingFileWriterBuilder::new(files, FILE_TARGET_BYTES, table.file_io().clone(), locations, names);
        let splitter = RecordBatchPartitionSplitter::try_new_with_computed_values(
            schema.clone(),
            metadata.default_partition_spec().clone(),
        )?;
        Ok(Self {
            schema: Arc::new(schema_to_arrow_schema(&schema)?),
            splitter,
            fanout: FanoutWriter::new(DataFileWriterBuilder::new(rolling)),
            partitions: std::collections::HashSet::new(),
            file_io: table.file_io().clone(),
            rows: 0,
        })
    }

    /// Columns are taken by name; a table column that the batch lacks becomes null.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = conform(batch, &self.schema)?;
        self.rows += batch.num_rows() as u64;
        for (partition, part) in self.splitter.split(&batch)? {
            if self.partitions.insert(partition.data().clone()) && self.partitions.len() > PARTITIONS_MAX {
                return Err(Error::new(ErrorKind::Input, format!("rows of more than {PARTITIONS_MAX} months in one file")));
            }
            self.fanout.write(partition, part).await?;
        }
        Ok(())
    }

    /// Closes all files; their row counts must add up to what was written.
    pub async fn finish(self) -> Result<Written> {
        let files = self.fanout.close().await?;
        let rows: u64 = files.iter().map(DataFile::record_count).sum();
        let written = Written { files, rows };
        if rows != self.rows {
            for file in &written.files {
                self.file_io.delete(file.file_path()).await?;
            }
            return Err(Error::new(ErrorKind::Internal, format!("{} rows went in and {rows} came out", self.rows)));
        }
        Ok(written)
    }
}

/// The batch in the table's own schema, field ids included.
pub(super) fn conform(batch: &RecordBatch, schema: &ArrowSchemaRef) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => relabel(column, field.data_type()),
            None => Ok(arrow::array::new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect::<Result<Vec<_>>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(arrow_failed)
}

fn arrow_failed(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "a batch does not fit its table").with_source(error)
}

/// The same values under a type that differs only in nested field names and metadata.
fn relabel(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(match to {
        same if same == array.data_type() => array.clone(),
        DataType::List(field) => {
            let list = array.as_any().downcast_ref::<ListArray>().ok_or_else(|| mismatch(array, to))?;
            let values = relabel(list.values(), field.data_type())?;
            Arc::new(
                ListArray::try_new(field.clone(), list.offsets().clone(), values, list.nulls().cloned()).map_err(arrow_failed)?,
            )
        }
        DataType::Map(field, ordered) => {
            let map = array.as_any().downcast_ref::<MapArray>().ok_or_else(|| mismatch(array, to))?;
            let DataType::Struct(fields) = field.data_type() else { return Err(mismatch(array, to)) };
            let entries = map
                .entries()
                .columns()
                .iter()
                .zip(fields)
                .map(|(column, field)| relabel(column, field.data_type()))
                .collect::<Result<Vec<_>>>()?;
            let entries = StructArray::try_new(fields.clone(), entries, None).map_err(arrow_failed)?;
            let map = MapArray::try_new(field.clone(), map.offsets().clone(), entries, map.nulls().cloned(), *ordered);
            Arc::new(map.map_err(arrow_failed)?)
        }
        _ => return Err(mismatch(array, to)),
    })
}

fn mismatch(array: &ArrayRef, to: &DataType) -> Error {
    Error::new(ErrorKind::Internal, format!("a batch column of type {} cannot go into {to}", array.data_type()))
}

/// Object paths carry no partition value (`month=.../` would tell it to whoever can list): one flat folder.
#[derive(Clone, Debug)]
struct OpaqueLocations(String);

impl LocationGenerator for OpaqueLocations {
    fn generate_location(&self, _: Option<&PartitionKey>, file_name: &str) -> String {
        format!("{}/data/{file_name}", self.0)
    }
}

#[derive(Clone)]
struct EncryptedParquetBuilder {
    schema: SchemaRef,
    key_size: AesKeySize,
}

impl std::fmt::Debug for EncryptedParquetBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EncryptedParquetBuilder")
    }
}

impl FileWriterBuilder for EncryptedParquetBuilder {
    type R = EncryptedParquetWriter;

    /// Called again after a roll-over, so that the next file has a key of its own.
    async fn build(&self, output: OutputFile) -> iceberg::Result<Self::R> {
        let key = SecureKey::generate(self.key_size);
        let aad_prefix = uuid::Uuid::new_v4().into_bytes();
        let encryption = FileEncryptionProperties::builder(key.as_bytes().to_vec())
            .with_aad_prefix(aad_prefix.to_vec())
            .with_aad_prefix_storage(false)
            .build()
            .map_err(|error| iceberg::Error::new(iceberg::ErrorKind::Unexpected, "parquet encryption").with_source(error))?;
        let key_metadata = StandardKeyMetadata::new(key.as_bytes()).with_aad_prefix(&aad_prefix).encode()?.to_vec();
        let inner = ParquetWriterBuilder::new(properties(encryption), self.schema.clone()).build(output).await?;
        Ok(EncryptedParquetWriter { inner, key_metadata })
    }
}

fn properties(encryption: Arc<FileEncryptionProperties>) -> WriterProperties {
    let zstd = ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(zstd))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_bloom_filter_enabled(false)
        // iceberg passes over a row group's bound that was shortened, and the file's bound would then leave that group's
        // long texts out: a filter on one would lose its row. Whole bounds are safe; they lie encrypted.
        .set_statistics_truncate_length(None)
        .with_file_encryption_properties(encryption)
        .build();
    debug_assert!(properties.bloom_filter_properties(&parquet::schema::types::ColumnPath::new(Vec::new())).is_none());
    properties
}

struct EncryptedParquetWriter {
    inner: ParquetWriter,
    key_metadata: Vec<u8>,
}

impl FileWriter for EncryptedParquetWriter {
    async fn write(&mut self, batch: &RecordBatch) -> iceberg::Result<()> {
        self.inner.write(batch).await
    }

    async fn close(self) -> iceberg::Result<Vec<DataFileBuilder>> {
        let mut files = self.inner.close().await?;
        for file in &mut files {
            file.key_metadata(Some(self.key_metadata.clone()));
        }
        Ok(files)
    }
}

impl CurrentFileStatus for EncryptedParquetWriter {
    fn current_file_path(&self) -> String {
        self.inner.current_file_path()
    }

    fn current_row_num(&self) -> usize {
        self.inner.current_row_num()
    }

    fn current_written_size(&self) -> usize {
        self.inner.current_written_size()
    }
}
