//! The questions: SQL over one tenant's tables and nothing else, and the checks that tie the reports out.
//! Promise: money is decimal from file to answer; an answer is whole or an error; each finding is traced to its rows.
//! Never: no other tenant, no file by name, no write, no spill to disk. This room knows no connector: it is handed
//! a catalog and an object store.

pub mod answer;
pub mod attest;
pub mod cape;
mod cells;
pub mod deadlines;
pub mod entry_history;
pub mod error;
mod facts;
mod lake;
pub mod library;
pub mod limits;
mod provider;
pub mod reconcile;
mod rules;
pub mod session;
#[cfg(test)]
mod testing;

pub use answer::{Answer, Format, Wire};
pub use error::{Error, ErrorKind, Result};
pub use library::{Library, Question, Topic, library};
pub use limits::Limits;
pub use reconcile::{CheckResult, Outcome};
pub use session::{ImporterNumbers, Ledger, Session, SessionParts};
