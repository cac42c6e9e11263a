//! Live data files read back in the table's current schema, for copy-on-write and compaction.
//! Promise: columns are found by field id, as Iceberg has it; a file without a key is refused.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef as ArrowSchemaRef};
use iceberg::{
    encryption::StandardKeyMetadata,
    spec::{DataFile, ManifestFile},
    table::Table,
};
use parquet::{
    arrow::{
        PARQUET_FIELD_ID_META_KEY,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    encryption::decrypt::FileDecryptionProperties,
};

use super::write::conform;
use crate::error::{Error, ErrorKind, Result};

/// The live data files of the current snapshot.
pub(super) async fn live_files(table: &Table) -> Result<Vec<DataFile>> {
    let Some(current) = table.metadata().current_snapshot() else { return Ok(Vec::new()) };
    let list = table.manifest_list_reader(current).load().await?;
    let entries: Vec<ManifestFile> = list.consume_entries().into_iter().collect();
    let mut files = Vec::new();
    for entry in entries {
        let manifest = entry.load_manifest(table.file_io()).await?;
        files.extend(manifest.entries().iter().filter(|e| e.is_alive()).map(|e| e.data_file().clone()));
    }
    Ok(files)
}

/// Rows decoded at once.
const BATCH_ROWS: usize = 8192;

/// The batches of one data file, decoded one by one. The file is in memory as stored; files are closed at 128 MiB.
pub(super) async fn open(table: &Table, file: &DataFile, schema: &ArrowSchemaRef) -> Result<Batches> {
    let damaged = |what: &str| Error::new(ErrorKind::Damaged, format!("{what}: {}", file.file_path()));
    let key = file.key_metadata().ok_or_else(|| damaged("a data file has no key"))?;
    let key = StandardKeyMetadata::decode(key)?;
    let mut properties = FileDecryptionProperties::builder(key.encryption_key().as_bytes().to_vec());
    if let Some(prefix) = key.aad_prefix() {
        properties = properties.with_aad_prefix(prefix.to_vec());
    }
    let properties = properties.build().map_err(|error| damaged("a data file's key is unusable").with_source(error))?;
    let bytes = table.file_io().new_input(file.file_path())?.read().await?;
    if bytes.len() as u64 != file.file_size_in_bytes() {
        return Err(damaged("a data file has not the size it was committed with"));
    }
    let unreadable = |error| damaged("a data file cannot be decrypted").with_source(error);
    let options = ArrowReaderOptions::new().with_file_decryption_properties(properties);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).map_err(unreadable)?;
    let reader = reader.with_batch_size(BATCH_ROWS).build().map_err(unreadable)?;
    Ok(Batches { reader, schema: schema.clone(), path: file.file_path().to_owned() })
}

pub(super) struct Batches {
    reader: ParquetRecordBatchReader,
    schema: ArrowSchemaRef,
    path: String,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?.map_err(|error| {
            Error::new(ErrorKind::Damaged, format!("a data file cannot be decrypted: {}", self.path)).with_source(error)
        });
        Some(batch.and_then(|batch| conform(&by_field_id(&batch, &self.schema)?, &self.schema)))
    }
}

/// Renames a file's columns to the table's names of the same ids; columns that were dropped go.
fn by_field_id(batch: &RecordBatch, schema: &ArrowSchemaRef) -> Result<RecordBatch> {
    let id = |field: &arrow::datatypes::Field| field.metadata().get(PARQUET_FIELD_ID_META_KEY).cloned();
    let stored = batch.schema();
    let (fields, columns): (Vec<_>, Vec<_>) = stored
        .fields()
        .iter()
        .zip(batch.columns())
        .filter_map(|(field, column)| {
            let target = schema.fields().iter().find(|target| id(target).is_some() && id(target) == id(field))?;
            Some((Arc::new(field.as_ref().clone().with_name(target.name())), column.clone()))
        })
        .unzip();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(arrow::datatypes::Schema::new(fields)), columns, &options)
        .map_err(|error| Error::new(ErrorKind::Damaged, "a data file does not fit its table").with_source(error))
}
