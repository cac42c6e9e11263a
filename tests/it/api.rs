//! The front desk over HTTP, on the real binary: who gets what from each endpoint, and what it makes of bad requests.

pub mod client;
mod matrix;
mod provider;
mod requests;
mod team;
mod uploads;
