//! The words of Bonded: reports, editions, drift, tables, tenants, deliveries, findings.
//! Promise: every other room speaks in these types, and each type keeps its invariants by construction.
//! Never: no I/O, no async, no clock, no randomness, no cryptography.

pub mod access;
pub mod calendar;
pub mod cape;
pub mod deadline;
pub mod delivery;
pub mod drift;
pub mod edition;
pub mod entry_facts;
pub mod entry_number;
pub mod envelope;
pub mod error;
pub mod finding;
pub mod importer_number;
pub mod mail;
pub mod registry;
pub mod report;
pub mod routing;
pub mod rules;
pub mod schedule;
pub mod table;
pub mod tenant;
pub mod window;

pub use access::Role;
pub use delivery::{
    Channel, ControlTotal, Delivery, DeliveryId, DeliveryState, Quarantine, QuarantineReason, Receipt, Reject, RejectKind,
    Warning, WarningExample, WarningRule,
};
pub use drift::{
    Binding, Bound, ColumnProfile, Drift, DriftFinding, DriftKind, Mapping, Proposal, bind, fingerprint_text, judge_values,
};
pub use edition::{Column, ColumnType, Edition, Evidence, Required};
pub use envelope::{Envelope, ServiceFindings, ServiceVerdict};
pub use error::{Error, ErrorKind, Result};
pub use finding::{Finding, Severity};
pub use mail::{MailClass, MailPolicy, MailReport};
pub use registry::{Recognition, Registry};
pub use report::Report;
pub use rules::{Code, CodeRule, MpfRule, RuleBook, code_rule, mpf_rule, mpf_rules};
pub use tenant::{Actor, TenantId, TenantScope};
