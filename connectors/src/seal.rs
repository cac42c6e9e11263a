//! Sealing: what lies at rest outside the tables is unreadable and cannot be exchanged, cut or reordered unnoticed.
//! Promise: every sealed thing is bound to its place by authenticated data; a wrong key, place or bit opens nothing.
//! Never: no file, no network, no key service here; keys come in as bytes, are zeroed on drop and do not print.

pub mod ags1;
pub(crate) mod cipher;
pub mod secret;

pub use ags1::{Ags1Opener, Ags1Sealer};
pub use secret::{DocumentKey, NameKey, TenantSecret};

#[cfg(test)]
mod tests;
