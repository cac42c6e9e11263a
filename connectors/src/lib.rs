//! The doors: everything we do not own, one narrow trait a door and one file per backend beneath.
//! Promise: nothing outside this crate names an object-store backend, a KMS, a SQL driver.
//! Never: no customs rule, no parsing, no SQL question lives here.

pub mod alerts;
pub mod audit;
pub mod aws;
pub mod clock;
pub mod conformance;
pub mod disk;
pub mod error;
pub mod flaw;
pub mod identity;
pub mod keys;
pub mod lake;
pub mod mail;
pub mod mailer;
pub mod oidc;
pub mod push;
pub mod raw;
pub mod residency;
pub mod seal;
pub mod secrets;
pub mod ses;
pub mod smtp;
pub mod store;
pub mod tls;

pub use error::{Error, ErrorKind, Result};
pub use flaw::Flaw;
