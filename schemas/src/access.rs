//! The four roles of a team. What each may do stands in one place, the front desk.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// From the most to the least; each may do what the ones after it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Keys, identity provider, ingest identifier, billing contact, deleting the team; at least one of them always
    Owner,
    /// Members, templates (schedules, expectations, mappings), switches, the audit trail
    Admin,
    /// Delivers, replays, accepts drift, works findings and alerts
    Operator,
    /// Reads, queries, exports, subscribes
    Viewer,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Owner, Role::Admin, Role::Operator, Role::Viewer];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Operator => "operator",
            Role::Viewer => "viewer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Role::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or_else(|| Error::input(format!("`{}` is no role: owner, admin, operator or viewer", text.escape_default())))
    }
}
