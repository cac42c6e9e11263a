//! A data file in the making: columns in, the bytes of a Parquet file out, row group by row group.
//! Promise: readers of the format (parquet-rs, Java Iceberg) read it; each row group holds whole columns with exact bounds.
//! Never: plaintext leaves when a key is given. Pages are written here, and not by parquet's own writer, because that
//! hashes and compares every text again that the parser has told apart already; headers and footer are parquet's.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, SchemaRef},
};
use bonded_schemas::table;
use bytes::Bytes;
use parquet::{
    arrow::{ARROW_SCHEMA_META_KEY, ArrowSchemaConverter, encode_arrow_schema},
    basic::{Compression, Encoding, ZstdLevel},
    column::page::{CompressedPage, Page, PageWriter},
    file::{
        column_crypto_metadata::ColumnCryptoMetaData,
        metadata::{ColumnChunkMetaData, FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData},
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::SchemaDescPtr,
};

use super::{
    chunk::{Body, Chunk, Encoded},
    modules::{Module, Modules},
};
use crate::error::{Error, ErrorKind, Result};

pub const ROW_GROUP_ROWS_MAX: usize = 128 << 10;
/// Dictionaries take most of what a stronger level would; see benches/README.md for the figures.
const ZSTD_LEVEL: i32 = 1;
/// The format counts row groups in 16 bits where they are encrypted.
const ROW_GROUPS_MAX: usize = i16::MAX as usize;
const VERSION: i32 = 1;

/// One Parquet file.
pub struct FileWriter {
    schema: SchemaRef,
    columns: SchemaDescPtr,
    chunks: Vec<Chunk>,
    modules: Option<Modules>,
    /// Rows of the row group in the making.
    rows: usize,
    row_groups: Vec<RowGroupMetaData>,
    /// Bytes of the file so far, and those of them that were not taken yet.
    position: usize,
    encoded: Vec<u8>,
}

/// What one row group is pressed with. A file of many months has as many files open, so none keeps it.
struct Press {
    compressor: zstd::bulk::Compressor<'static>,
    page: Vec<u8>,
}

impl Press {
    fn new() -> Result<Self> {
        let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)
            .map_err(|error| Error::new(ErrorKind::Internal, "zstd does not start").with_source(error))?;
        Ok(Self { compressor, page: Vec::new() })
    }
}

impl std::fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileWriter({} row groups)", self.row_groups.len())
    }
}

impl FileWriter {
    /// `encryption`: data key and AAD prefix. Without them only for the bench that measures their price.
    pub fn new(schema: SchemaRef, encryption: Option<(&[u8], &[u8])>) -> Result<Self> {
        let columns = Arc::new(ArrowSchemaConverter::new().convert(&schema).map_err(failed)?);
        let chunks = columns.columns().iter().map(|column| {
            let grows = [table::ROW, table::LINE, table::BYTE].contains(&column.name());
            Chunk::new(column.clone(), grows && column.max_def_level() == 0)
        });
        let chunks = chunks.collect::<Result<_>>()?;
        let modules = encryption.map(|(key, aad_prefix)| Modules::new(key, aad_prefix)).transpose()?;
        let encoded = magic(modules.is_some()).to_vec();
        Ok(Self { schema, columns, chunks, modules, rows: 0, row_groups: Vec::new(), position: encoded.len(), encoded })
    }

    /// Columns in the order of the schema; a text column may be a dictionary of its texts.
    pub fn write(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let rows = columns.first().map_or(0, |column| column.len());
        let mut at = 0;
        while at < rows {
            let count = (rows - at).min(ROW_GROUP_ROWS_MAX - self.rows);
            self.append(columns, at, count)?;
            at += count;
            self.rows += count;
            if self.rows == ROW_GROUP_ROWS_MAX {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn append(&mut self, columns: &[ArrayRef], from: usize, count: usize) -> Result<()> {
        let mut chunks = self.chunks.iter_mut();
        let mut next = || chunks.next().ok_or_else(|| Error::new(ErrorKind::Internal, "a batch has more columns than its file"));
        for column in columns {
            let array = if count == column.len() { column.clone() } else { column.slice(from, count) };
            match array.data_type() {
                DataType::Map(..) => {
                    let map = array.as_map();
                    next()?.append_nested(map, map.offsets(), map.keys().as_string())?;
                    next()?.append_nested(map, map.offsets(), map.values().as_string())?;
                }
                DataType::List(..) => {
                    let list = array.as_list::<i32>();
                    next()?.append_nested(list, list.offsets(), list.values().as_string())?;
                }
                _ => next()?.append(&array)?,
            }
        }
        Ok(())
    }

    /// Of the row group in the making.
    pub fn memory_bytes(&self) -> usize {
        self.chunks.iter().map(Chunk::memory_bytes).sum()
    }

    /// What was encoded since the last time.
    pub fn take_encoded(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.encoded)
    }

    /// Ends the row group in the making, if it has a row.
    pub fn flush(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let ordinal = self.row_groups.len();
        if ordinal == ROW_GROUPS_MAX {
            return Err(Error::new(ErrorKind::Internal, format!("a data file has more than {ROW_GROUPS_MAX} row groups")));
        }
        let start = self.position;
        let mut chunks = std::mem::take(&mut self.chunks);
        let mut press = Press::new()?;
        let mut metadata = Vec::with_capacity(chunks.len());
        for (at, chunk) in chunks.iter_mut().enumerate() {
            metadata.push(self.chunk(&mut press, [ordinal, at], chunk)?);
        }
        self.chunks = chunks;
        let size: i64 = metadata.iter().map(ColumnChunkMetaData::uncompressed_size).sum();
        let group = RowGroupMetaData::builder(self.columns.clone())
            .set_num_rows(self.rows as i64)
            .set_total_byte_size(size)
            .set_file_offset(start as i64)
            .set_ordinal(ordinal as i16)
            .set_column_metadata(metadata)
            .build()
            .map_err(failed)?;
        self.row_groups.push(group);
        self.rows = 0;
        Ok(())
    }

    /// `place`: row group and column.
    fn chunk(&mut self, press: &mut Press, place: [usize; 2], chunk: &mut Chunk) -> Result<ColumnChunkMetaData> {
        let start = self.position;
        let mut page = std::mem::take(&mut press.page);
        page.clear();
        let Encoded { body, cells, statistics } = chunk.encode(&mut page);
        let (encoding, mut encodings) = (body.encoding(), vec![Encoding::RLE, body.encoding()]);
        let (mut plain_bytes, mut dictionary_at) = (0, None);
        if let Body::Dictionary { page, distinct } = body {
            encodings.push(Encoding::PLAIN);
            dictionary_at = Some(start as i64);
            let num_values = distinct as u32;
            let page_of = |buf| Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
            let modules = [Module::DictionaryPage, Module::DictionaryPageHeader];
            plain_bytes += self.put(press, place, &page, modules, page_of)?;
        }
        let data_at = self.position;
        let num_values = cells as u32;
        let level = Encoding::RLE;
        let page_of = |buf| Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding: level,
            rep_level_encoding: level,
            statistics: None,
        };
        plain_bytes += self.put(press, place, &page, [Module::DataPage, Module::DataPageHeader], page_of)?;
        press.page = page;
        ColumnChunkMetaData::builder(chunk.column.clone())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()))
            .set_encodings(encodings)
            .set_num_values(cells as i64)
            .set_total_compressed_size((self.position - start) as i64)
            .set_total_uncompressed_size(plain_bytes as i64)
            .set_dictionary_page_offset(dictionary_at)
            .set_data_page_offset(data_at as i64)
            .set_statistics(statistics)
            .set_column_crypto_metadata(self.modules.as_ref().map(|_| ColumnCryptoMetaData::ENCRYPTION_WITH_FOOTER_KEY))
            .build()
            .map_err(failed)
    }

    /// Compresses a page, seals it and its header, and puts both into the file; answers the page's size before that.
    fn put(
        &mut self,
        press: &mut Press,
        [row_group, column]: [usize; 2],
        plain: &[u8],
        [body, header]: [Module; 2],
        page_of: impl FnOnce(Bytes) -> Page,
    ) -> Result<usize> {
        let compressed = press
            .compressor
            .compress(plain)
            .map_err(|error| Error::new(ErrorKind::Internal, "a page could not be compressed").with_source(error))?;
        let stored = match &self.modules {
            Some(modules) => modules.seal(body, row_group, column, &compressed),
            None => compressed,
        };
        let stored_bytes = stored.len();
        let mut sink = TrackedWrite::new(Vec::with_capacity(stored_bytes + 64));
        let page = CompressedPage::new(page_of(Bytes::from(stored)), plain.len());
        SerializedPageWriter::new(&mut sink).write_page(page).map_err(failed)?;
        let page = sink.into_inner().map_err(failed)?;
        let (head, stored) = page.split_at(page.len() - stored_bytes);
        let before = self.encoded.len();
        match &self.modules {
            Some(modules) => self.encoded.extend_from_slice(&modules.seal(header, row_group, column, head)),
            None => self.encoded.extend_from_slice(head),
        }
        let head_bytes = self.encoded.len() - before;
        self.encoded.extend_from_slice(stored);
        self.position += self.encoded.len() - before;
        Ok(plain.len() + head_bytes)
    }

    /// Ends the file; what is left of its bytes is there to take.
    pub fn finish(&mut self) -> Result<ParquetMetaData> {
        self.flush()?;
        let rows = self.row_groups.iter().map(RowGroupMetaData::num_rows).sum();
        let arrow = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&self.schema));
        let created_by = Some(concat!("bonded version ", env!("CARGO_PKG_VERSION")).to_owned());
        let file = FileMetaData::new(VERSION, rows, created_by, Some(vec![arrow]), self.columns.clone(), None);
        let metadata = ParquetMetaData::new(file, std::mem::take(&mut self.row_groups));
        let mut footer = Vec::new();
        ParquetMetaDataWriter::new(&mut footer, &metadata).finish().map_err(failed)?;
        match &self.modules {
            None => self.encoded.extend_from_slice(&footer),
            Some(modules) => {
                // Behind the footer stand its length and the magic of a file in the clear.
                let sealed = modules.seal(Module::Footer, 0, 0, &footer[..footer.len() - 8]);
                let crypto = modules.crypto_metadata();
                let length = (crypto.len() + sealed.len()) as u32;
                for part in [&crypto, &sealed, &length.to_le_bytes()[..], magic(true)] {
                    self.encoded.extend_from_slice(part);
                }
            }
        }
        Ok(metadata)
    }
}

/// The first and the last four bytes.
fn magic(encrypted: bool) -> &'static [u8] {
    if encrypted { b"PARE" } else { b"PAR1" }
}

fn failed(error: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Internal, "a data file could not be encoded").with_source(error)
}

#[cfg(test)]
mod tests;
