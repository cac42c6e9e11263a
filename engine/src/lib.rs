//! The machine: the straight line from received bytes to sealed receipt, the console, the demo.
//! Promise: one call per thing a person wants done; every one goes through a `TenantScope`.
//! Never: no SQL driver, object store or KMS is named here; doors come from `connectors`, questions from `queries`.

pub mod accept;
pub mod alerts;
pub mod answers;
mod api;
pub mod attest;
pub mod audit;
pub mod backup;
pub mod checks;
pub mod claims;
pub mod console;
pub mod decided;
pub mod demo;
pub mod desk;
pub mod doctor;
pub mod error;
pub mod findings;
pub mod icalendar;
pub mod ingest;
pub mod intake;
pub mod lakehouse;
pub mod mail_policy;
pub mod maintain;
mod push;
pub mod rebuild;
pub mod receipts;
pub mod refund;
pub mod rules;
pub mod score;
pub mod serve;
pub mod settings;
pub mod shred;
pub mod uploads;
pub mod verify;
pub mod watch;

pub use error::{Error, ErrorKind, Result};
