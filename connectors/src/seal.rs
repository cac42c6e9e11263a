//! Sealing: what lies at rest outside the tables is unreadable and cannot be exchanged, cut or reordered unnoticed.
//! Promise: every sealed thing is bound to its place by authenticated data; a wrong key, place or bit opens nothing.
//! Never: no network and no key service here, and no file but an owner's signing key; keys come in as bytes, are zeroed on drop and do not print.

pub mod ags1;
pub(crate) mod cipher;
mod lake_secret;
pub mod secret;
pub mod signing;

pub use ags1::{Ags1Opener, Ags1Sealer};
pub use lake_secret::{LakeSecret, ProofKey};
pub use secret::{DocumentKey, NameKey, TenantSecret};
pub use signing::SigningKey;

#[cfg(test)]
mod tests;
