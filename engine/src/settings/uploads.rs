//! `[uploads]`: files that come in pieces: how large a piece, how much at once, for how long.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::parse_duration;
use crate::{
    error::{Error, Result},
    uploads::AGE_MAX,
};

/// Smaller ones would not be worth their requests.
const PIECE_BYTES_LEAST: u64 = 256 << 10;
/// A piece is in memory until it is sealed.
const PIECE_BYTES_MOST: u64 = 64 << 20;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UploadSettings {
    /// The largest piece that is taken; each is in memory until it is sealed.
    pub piece_bytes_max: u64,
    /// Pieces on their way at once, over all and of one tenant.
    pub pieces_max: usize,
    pub tenant_pieces_max: usize,
    /// Of one tenant: uploads that are not ended, and the bytes that they are said to hold.
    pub open_max: u64,
    pub bytes_max: u64,
    /// What is not ended after so long is forgotten; a day at most.
    pub age_max: String,
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self {
            piece_bytes_max: 8 << 20,
            pieces_max: 16,
            tenant_pieces_max: 4,
            open_max: 64,
            bytes_max: 32 << 30,
            age_max: "24h".into(),
        }
    }
}

impl UploadSettings {
    pub(super) fn check(&self) -> Result<()> {
        if !(PIECE_BYTES_LEAST..=PIECE_BYTES_MOST).contains(&self.piece_bytes_max) {
            return Err(Error::setup("settings: uploads.piece_bytes_max must be 256 KiB to 64 MiB"));
        }
        if self.pieces_max == 0 || self.tenant_pieces_max == 0 || self.open_max == 0 {
            return Err(Error::setup("settings: uploads.pieces_max, tenant_pieces_max and open_max must be at least 1"));
        }
        let age = parse_duration(&self.age_max).and_then(|age| TimeDelta::from_std(age).ok());
        // The sweep of staging takes what is older than a day.
        match age.is_some_and(|age| age <= AGE_MAX) {
            true => Ok(()),
            false => Err(Error::setup(format!("settings: uploads.age_max `{}` is not like 30m or 24h, the most", self.age_max))),
        }
    }

    pub fn age_max(&self) -> TimeDelta {
        parse_duration(&self.age_max).and_then(|age| TimeDelta::from_std(age).ok()).unwrap_or(AGE_MAX)
    }
}
