//! What is kept of a person, sealed as one document, and how they are found.

use bonded_connectors::store::people::UserRow;
use serde::{Deserialize, Serialize};

use super::{Desk, Email, Origin};
use crate::error::Result;

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Person {
    pub email: String,
    /// bcrypt.
    pub password: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator: Option<Authenticator>,
    /// The secret of an authenticator that no code has confirmed yet, base32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolling: Option<String>,
    /// Keyed digests of the recovery codes that are left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recovery: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Authenticator {
    /// Base32.
    pub secret: String,
    /// The step of the last code that was accepted: no code of it, or of one before it, is ever accepted again.
    pub accepted_step: u64,
}

/// A person and the row that they were read from.
pub(super) struct Known {
    pub row: UserRow,
    pub person: Person,
}

impl Desk {
    /// Under what the address is found.
    pub(super) async fn email_digest(&self, email: &Email) -> Result<String> {
        Ok(self.identity().await?.people.keyed_digest("e-mail", email.as_str().as_bytes()))
    }

    /// What stands for a mailed code.
    pub(super) async fn code_digest(&self, kind: &str, subject: &str, about: &str, code: &str) -> Result<String> {
        let bound = format!("{kind}\n{subject}\n{about}\n{}", code.trim());
        Ok(self.identity().await?.people.keyed_digest("code", bound.as_bytes()))
    }

    /// What stands for a network address in the limits, alone or with an account.
    pub(super) async fn address_digest(&self, origin: &Origin, account: &str) -> Result<Option<String>> {
        let Some(network) = origin.network() else { return Ok(None) };
        let bound = format!("{network}\n{account}");
        Ok(Some(self.identity().await?.people.keyed_digest("address", bound.as_bytes())))
    }

    pub(super) async fn person(&self, user_id: &str) -> Result<Option<Known>> {
        let row = self.people.user(user_id).await?;
        self.known(row).await
    }

    pub(super) async fn person_by_email(&self, email_digest: &str) -> Result<Option<Known>> {
        let row = self.people.user_by_email(email_digest).await?;
        self.known(row).await
    }

    async fn known(&self, row: Option<UserRow>) -> Result<Option<Known>> {
        let Some(row) = row else { return Ok(None) };
        let person = self.identity().await?.unseal("person", &row.user_id, &row.sealed)?;
        Ok(Some(Known { row, person }))
    }

    pub(super) async fn sealed_person(&self, user_id: &str, person: &Person) -> Result<String> {
        self.identity().await?.seal("person", user_id, person)
    }
}
