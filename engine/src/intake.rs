//! How a tenant's mail finds it: the gates of its engagement, the addresses that it may then be written to, and the route
//! from an address to the tenant.
//! Promise: no address is issued before NDA, DPA and engagement letter are recorded; an address is shown once, and only its
//! digest is kept; every change is in the lake's trail in its own transaction, and in the tenant's.
//! Never: an address is chosen by anybody, listed, or told apart from one that never was.

pub(crate) mod fetch;
pub mod gates;
pub mod identifiers;
pub(crate) mod maildir;
pub(crate) mod postbox;
pub(crate) mod refusals;
mod route;
#[cfg(test)]
mod tests;

pub use gates::{Gate, Recorded, engage, engagement};
pub use identifiers::{IdentifierInfo, Issued, State, issue, list, resume, rotate, suspend};
pub use refusals::MailAlert;
