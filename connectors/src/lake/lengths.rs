//! The stored lengths that Java's reader demands and iceberg 0.10.1 leaves out.
//! Java refuses an AGS1 file whose key metadata has no `file_length` ("File length is null"), and
//! 0.10.1 records a manifest's plaintext length. Upstream: apache/iceberg-rust#3236.

use iceberg::{Result, encryption::StandardKeyMetadata, spec::ManifestFile};

/// AGS1: magic and block size, then per block a nonce and a tag; at least one block.
const HEADER_BYTES: u64 = 8;
const BLOCK_PLAIN_BYTES: u64 = 1 << 20;
const BLOCK_EXTRA_BYTES: u64 = 12 + 16;

pub fn ags1_stored_length(plain_bytes: u64) -> u64 {
    HEADER_BYTES + plain_bytes + BLOCK_EXTRA_BYTES * plain_bytes.div_ceil(BLOCK_PLAIN_BYTES).max(1)
}

/// Puts the stored length into the manifest's entry and into its key metadata.
pub fn mend(manifest: &mut ManifestFile) -> Result<()> {
    let stored = ags1_stored_length(u64::try_from(manifest.manifest_length).unwrap_or(0));
    manifest.manifest_length = i64::try_from(stored).unwrap_or(i64::MAX);
    if let Some(metadata) = &manifest.key_metadata {
        manifest.key_metadata = Some(StandardKeyMetadata::decode(metadata)?.with_file_length(stored).encode()?.to_vec());
    }
    Ok(())
}
