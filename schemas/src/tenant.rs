//! Whose data: the tenant's name, and the capability to touch one tenant.
//! Promise: holding a `TenantScope` is the only way to reach a tenant's keys, objects, tables or ledger.
//! Never: no function takes a tenant name from a request; it takes `&TenantScope`.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    access::Role,
    error::{Error, Result},
};

/// 2 to 40 characters of `a-z`, `0-9` and inner `-`; safe in object paths, SQL identifiers and URLs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

impl TenantId {
    pub const LENGTH_MAX: usize = 40;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The lake itself, as the holder of the key that seals its own trail. No tenant may have this name.
    pub fn lake() -> Self {
        Self(LAKE.to_owned())
    }
}

/// Reserved: see [`TenantId::lake`].
const LAKE: &str = "bonded-lake";

impl FromStr for TenantId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let well_formed = (2..=Self::LENGTH_MAX).contains(&text.len())
            && text.chars().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.contains("--");
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::input(format!(
                "tenant name `{}` is not valid: use 2 to {} of a-z, 0-9 and single inner dashes",
                text.escape_default(),
                Self::LENGTH_MAX
            )))
        }
    }
}

impl TryFrom<String> for TenantId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> String {
        id.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The capability to touch one tenant. Whoever holds it has already been checked.
///
/// Made only where an identity is established: the token check, the session, the mail route and the
/// console. `clippy.toml` disallows [`TenantScope::establish`] everywhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantScope {
    tenant: TenantId,
    actor: Actor,
}

impl TenantScope {
    pub fn establish(tenant: TenantId, actor: impl Into<Actor>) -> Self {
        Self { tenant, actor: actor.into() }
    }

    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub fn actor(&self) -> &Actor {
        &self.actor
    }
}

/// Who acts, as the audit trail tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// An e-mail, `console:<user>`, a machine identity.
    #[serde(rename = "actor")]
    pub name: String,
    /// In the tenant's team; none for the console and for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Where the request came from; none for what began on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// Of the request, as its answer names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl From<&str> for Actor {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl From<String> for Actor {
    fn from(name: String) -> Self {
        Self { name, ..Self::default() }
    }
}
