//! The endpoints, a file a subject: each reads what it was sent, calls the machine, and answers.

pub mod account;
pub mod alerts;
pub mod answers;
pub mod checks;
pub mod deliveries;
pub mod drift;
pub mod house;
pub mod identifiers;
pub mod mail;
pub mod me;
pub mod members;
pub mod provider;
pub mod settings;
pub mod sql;
pub mod tokens;
pub mod trail;
pub mod uploads;
pub mod watching;
