//! `[desk]` and `[mail]`: how long codes, links and sessions live, what waits follow wrong tries, how letters leave.
//! Promise: a password hash that costs less than 2^12 rounds, or a session without an end, is refused at start.

use std::path::PathBuf;

use bonded_connectors::{identity::password::COST_MIN, store::people::Waits};
use serde::{Deserialize, Serialize};

use super::parse_duration;
use crate::error::{Error, Result};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeskSettings {
    /// Where people reach the desk, for links in letters; without it a letter shows the code alone.
    pub url: Option<String>,
    /// A session that is not used for so long ends.
    pub session_idle: String,
    /// And so long after the sign-in in any case.
    pub session_max: String,
    /// How long a fresh proof opens keys, roles, exports and shredding.
    pub step_up: String,
    /// Of the codes for sign-up and invites.
    pub code_life: String,
    pub code_tries_max: u32,
    pub reset_life: String,
    /// bcrypt runs 2 to the power of this; at least 12.
    pub password_cost: u32,
    /// Passwords checked side by side. 0: half as many as there are cores.
    pub passwords_at_once: usize,
    /// Sign-ins that wait for that; more are told to come again.
    pub passwords_waiting_max: usize,
    /// Wrong tries of one account before waits follow.
    pub account_free: u32,
    /// Of one address, over all accounts.
    pub address_free: u32,
    /// Letters to one address before waits follow.
    pub letters_free: u32,
    /// The first wait; each further try doubles it, up to `wait_max`.
    pub wait_first: String,
    pub wait_max: String,
    /// So long after the last try all are forgotten.
    pub wait_forget: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailSettings {
    /// Where the SMTP URL is read from; letters go into a folder when absent.
    pub smtp: Option<String>,
    pub from: String,
    /// That folder; beside the lake (`<lake>.outbox`) when absent.
    pub outbox: Option<PathBuf>,
    /// How long one step of a mail server may take.
    pub time_max: String,
}

impl Default for DeskSettings {
    fn default() -> Self {
        Self {
            url: None,
            session_idle: "30m".into(),
            session_max: "12h".into(),
            step_up: "10m".into(),
            code_life: "15m".into(),
            code_tries_max: 5,
            reset_life: "30m".into(),
            password_cost: COST_MIN,
            passwords_at_once: 0,
            passwords_waiting_max: 32,
            account_free: 5,
            address_free: 30,
            letters_free: 5,
            wait_first: "30s".into(),
            wait_max: "15m".into(),
            wait_forget: "24h".into(),
        }
    }
}

impl Default for MailSettings {
    fn default() -> Self {
        Self { smtp: None, from: "Bonded <bonded@localhost>".into(), outbox: None, time_max: "15s".into() }
    }
}

impl DeskSettings {
    pub(super) fn check(&self) -> Result<()> {
        for (name, text) in [
            ("session_idle", &self.session_idle),
            ("session_max", &self.session_max),
            ("step_up", &self.step_up),
            ("code_life", &self.code_life),
            ("reset_life", &self.reset_life),
            ("wait_first", &self.wait_first),
            ("wait_max", &self.wait_max),
            ("wait_forget", &self.wait_forget),
        ] {
            if parse_duration(text).is_none() {
                return Err(Error::setup(format!("settings: desk.{name} `{text}` is not like 30s, 5m or 1h")));
            }
        }
        // bcrypt takes 31 at most; 20 is minutes already.
        if !(COST_MIN..=20).contains(&self.password_cost) {
            return Err(Error::setup(format!("settings: desk.password_cost must be {COST_MIN} to 20")));
        }
        if self.code_tries_max == 0 || self.account_free == 0 || self.address_free == 0 || self.letters_free == 0 {
            let rule = "code_tries_max, account_free, address_free and letters_free must be at least 1";
            return Err(Error::setup(format!("settings: desk.{rule}")));
        }
        Ok(())
    }

    pub(crate) fn waits(&self, free: u32) -> Waits {
        let [first_ms, max_ms, forget_ms] = [&self.wait_first, &self.wait_max, &self.wait_forget].map(|text| millis(text));
        Waits { free, first_ms, max_ms, forget_ms }
    }
}

impl MailSettings {
    pub(super) fn check(&self) -> Result<()> {
        match parse_duration(&self.time_max) {
            Some(_) => Ok(()),
            None => Err(Error::setup(format!("settings: mail.time_max `{}` is not like 30s, 5m or 1h", self.time_max))),
        }
    }
}

/// Of a duration that was checked at start; one that was not counts as none, which opens nothing.
pub(crate) fn millis(text: &str) -> i64 {
    parse_duration(text).and_then(|time| i64::try_from(time.as_millis()).ok()).unwrap_or_default()
}
