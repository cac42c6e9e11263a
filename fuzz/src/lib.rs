//! The parser's sources as a crate of their own, so that fuzzing them builds neither DataFusion nor a KMS client.
//! Promise: these are the engine's files, not copies of them.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "the engine uses what the targets do not")]

pub mod entry;

/// Under the name by which `entry` knows the parser.
#[path = "../../engine/src/ingest"]
pub mod fuzzed {
    pub mod parse;
}

#[cfg(feature = "sealed")]
pub mod sealed;

#[cfg(feature = "unpack")]
pub mod unpack;
