//! How data files are written: compression, encodings, statistics, encryption.

use std::sync::Arc;

use bonded_schemas::table;
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    encryption::encrypt::FileEncryptionProperties,
    file::properties::{WriterProperties, WriterVersion},
    schema::types::ColumnPath,
};

pub const ROW_GROUP_ROWS_MAX: usize = 128 << 10;
/// Dictionaries take most of what a stronger level would; see benches/README.md for the figures.
const ZSTD_LEVEL: i32 = 1;

/// Uniform modular encryption with an encrypted footer; the AAD prefix is not stored, as Java Iceberg has it.
/// Without encryption only for the bench that measures its price: table files always pass one.
pub fn properties(encryption: Option<Arc<FileEncryptionProperties>>) -> WriterProperties {
    let zstd = ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(zstd))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        // Whole bounds: a shortened one is left out of the manifest, and pruning must not miss the longer text.
        .set_statistics_truncate_length(None)
        // parquet-rs writes bloom filters in the clear, so an encrypted file must have none.
        .set_bloom_filter_enabled(false);
    if let Some(encryption) = encryption {
        builder = builder.with_file_encryption_properties(encryption);
    }
    // Places only grow: their differences pack to almost nothing, and a dictionary of unique numbers is work for no gain.
    for name in [table::ROW, table::LINE, table::BYTE] {
        let column = ColumnPath::new(vec![name.to_owned()]);
        builder = builder
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    builder.build()
}
