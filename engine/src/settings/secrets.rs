//! `[secrets]`, the list of settings that name one, and the check that none stands in the settings itself.
//! Promise: each of these settings takes `file:PATH`, `env:NAME` and `secret://aws/NAME#field`, and nothing else; a password in a
//! URL, a key of AWS's, a private key or a token anywhere in the settings is refused by the setting's name.
//! Never: a value, or a part of one, in such a refusal.

use std::{sync::Arc, time::Duration};

use bonded_connectors::{
    clock::Clock,
    secrets::{Held, Manager, Reference, Secret, Vault},
};
use serde::{Deserialize, Serialize};
use toml::Value;
use url::Url;

use super::{Settings, parse_duration};
use crate::error::{Error, Result};

/// Every setting that names a secret. A new one belongs in here and in [`Settings::named_secrets`].
pub const SECRETS: &[&str] = &[
    "keys.passphrase",
    "store.postgres",
    "store.postgres_owner",
    "oidc.client_secret",
    "backup.keys_passphrase",
    "mail.smtp",
    "alerts.heartbeat",
];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecretSettings {
    /// How long a secret is used before it is read again. When a login is refused it is read at once.
    pub fresh: String,
}

impl Default for SecretSettings {
    fn default() -> Self {
        Self { fresh: "10m".into() }
    }
}

impl SecretSettings {
    pub(super) fn check(&self) -> Result<()> {
        match parse_duration(&self.fresh) {
            Some(_) => Ok(()),
            None => Err(Error::setup(format!("settings: secrets.fresh `{}` is not like 30s, 5m or 1h", self.fresh))),
        }
    }
}

impl Settings {
    /// Each setting of [`SECRETS`] that is set, with its reference.
    pub fn named_secrets(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("keys.passphrase", &self.keys.passphrase),
            ("store.postgres", &self.store.postgres),
            ("store.postgres_owner", &self.store.postgres_owner),
            ("oidc.client_secret", &self.oidc.client_secret),
            ("backup.keys_passphrase", &self.backup.keys_passphrase),
            ("mail.smtp", &self.mail.smtp),
            ("alerts.heartbeat", &self.alerts.heartbeat),
        ];
        all.into_iter().filter_map(|(setting, named)| named.as_deref().map(|named| (setting, named))).collect()
    }

    /// Reads the secrets that these settings name; asks nobody yet.
    pub fn vault(&self, clock: Arc<dyn Clock>) -> Arc<Vault> {
        let fresh = parse_duration(&self.secrets.fresh).unwrap_or(Duration::from_secs(600));
        let fresh = chrono::Duration::from_std(fresh).unwrap_or(chrono::Duration::MAX);
        Arc::new(Vault::new(clock, fresh, Manager::new(self.aws.reach())))
    }
}

/// Reads the secret that a setting names.
pub async fn secret(vault: &Vault, setting: &str, named: &str) -> Result<Secret> {
    Ok(vault.read(&reference(setting, named)?).await?)
}

/// The same for a door that logs in again and again.
pub(crate) fn held(vault: &Arc<Vault>, setting: &str, named: &str) -> Result<Held> {
    Ok(Held::new(vault.clone(), reference(setting, named)?))
}

fn reference(setting: &str, named: &str) -> Result<Reference> {
    named.parse().map_err(|error: bonded_connectors::Error| Error::setup(setting.to_owned()).with_source(error))
}

/// Of a settings file with what the environment lays over it.
pub(super) fn refuse_literals(values: &toml::Table) -> Result<()> {
    walk(values, "")
}

fn walk(values: &toml::Table, above: &str) -> Result<()> {
    for (key, value) in values {
        let setting = format!("{above}{key}");
        match value {
            Value::Table(inner) => walk(inner, &format!("{setting}."))?,
            Value::Array(items) => items.iter().filter_map(Value::as_str).try_for_each(|text| judge(&setting, key, text))?,
            Value::String(text) => judge(&setting, key, text)?,
            _ => {}
        }
    }
    Ok(())
}

fn judge(setting: &str, key: &str, text: &str) -> Result<()> {
    if SECRETS.contains(&setting) {
        return reference(setting, text).map(drop);
    }
    // A name that no setting has: its value would be shown where the unknown key is told of.
    let is_secret_by_name = ["password", "passwd", "secret_key", "access_key", "api_key", "token_value"].contains(&key);
    let what = literal(text).or(is_secret_by_name.then_some("a secret, by its name"));
    match what {
        Some(what) => Err(Error::setup(format!(
            "settings: {setting} holds {what}; take it out, change it where it is good for, and name it as file:PATH, env:NAME or \
             secret://aws/NAME#field in a setting that takes one"
        ))),
        None => Ok(()),
    }
}

/// What kind of credential a text is, by its form.
fn literal(text: &str) -> Option<&'static str> {
    let has_password = Url::parse(text).is_ok_and(|url| url.password().is_some());
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=_-.".contains(c));
    if has_password {
        Some("a URL with a password")
    } else if text.contains("PRIVATE KEY-----") {
        Some("a private key")
    } else if words.clone().any(is_access_key_id) {
        Some("an access key of AWS's")
    } else if words.clone().any(is_secret_access_key) {
        Some("what looks like a secret key of AWS's")
    } else if words.any(is_signed_token) {
        Some("a signed token")
    } else {
        None
    }
}

/// `AKIA` (long-lived) or `ASIA` (temporary), and sixteen more.
fn is_access_key_id(word: &str) -> bool {
    let is_id = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit();
    word.len() == 20 && (word.starts_with("AKIA") || word.starts_with("ASIA")) && word.bytes().all(is_id)
}

/// Forty characters of base64 with all its classes; no path begins so, and no digest has capitals.
fn is_secret_access_key(word: &str) -> bool {
    let is_base64 = |c: u8| c.is_ascii_alphanumeric() || c == b'+' || c == b'/';
    let has = |class: fn(&u8) -> bool| word.bytes().filter(class).count() >= 3;
    word.len() == 40
        && !word.starts_with('/')
        && word.bytes().all(is_base64)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && word.bytes().any(|c| c.is_ascii_digit())
}

/// Three parts of base64url, the first of which is a JSON object.
fn is_signed_token(word: &str) -> bool {
    let mut parts = word.split('.');
    word.len() > 40 && parts.next().is_some_and(|head| head.starts_with("eyJ")) && parts.count() == 2
}
