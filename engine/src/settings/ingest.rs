//! `[ingest]`: how large what is taken in may be, and how far a container is opened.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestSettings {
    /// Largest file taken in.
    pub file_bytes_max: u64,
    /// Longest record; a longer one quarantines the file.
    pub record_bytes_max: usize,
    pub batch_rows: usize,
    /// Threads that write one delivery's data files, at most as many as there are cores.
    pub encoders_max: usize,
    /// How many rejects a receipt lists; it counts them all.
    pub rejects_kept_max: usize,
    pub unpack: UnpackSettings,
}

/// How far a container is opened; one that wants more is quarantined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnpackSettings {
    /// Unpacked bytes for each received byte, once more than 1 MiB has come out.
    pub ratio_max: u64,
    /// Files in a container and all that lies in it.
    pub members_max: usize,
    /// Archives within each other: 2 is an archive in an archive. A workbook may lie in any of them.
    pub depth_max: usize,
    pub member_bytes_max: u64,
    /// Unpacked bytes of a container and all that lies in it.
    pub total_bytes_max: u64,
    /// What of a workbook is in memory at once: the texts of an xlsx, an xls whole.
    pub memory_bytes_max: usize,
    /// Largest message; it lies in memory while it is read.
    pub mail_bytes_max: usize,
    /// Of one block of a message's header fields.
    pub mail_header_bytes_max: usize,
    /// Parts of a message, those that only hold others included.
    pub mail_parts_max: usize,
    /// How deep a message's parts may lie in each other.
    pub mail_depth_max: usize,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            file_bytes_max: 16 << 30,
            record_bytes_max: 1 << 20,
            batch_rows: 16 << 10,
            encoders_max: 8,
            rejects_kept_max: 1000,
            unpack: UnpackSettings::default(),
        }
    }
}

impl Default for UnpackSettings {
    fn default() -> Self {
        Self {
            ratio_max: 200,
            members_max: 1000,
            depth_max: 2,
            member_bytes_max: 4 << 30,
            total_bytes_max: 16 << 30,
            memory_bytes_max: 256 << 20,
            mail_bytes_max: 64 << 20,
            mail_header_bytes_max: 256 << 10,
            mail_parts_max: 1000,
            mail_depth_max: 20,
        }
    }
}
