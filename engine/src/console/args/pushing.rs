//! The words of the agent that delivers from another machine.

use std::{path::PathBuf, time::Duration};

use bonded_connectors::push::Pin;
use chrono::{DateTime, Utc};
use clap::Args as ClapArgs;

use crate::settings::parse_duration;

#[derive(Debug, ClapArgs)]
pub struct Push {
    /// Files to deliver; they stay where they are
    #[arg(value_name = "FILE", required_unless_present = "watch", conflicts_with = "watch")]
    pub files: Vec<PathBuf>,
    /// Deliver what is put into this folder; it moves to DIR/sent or DIR/refused, with a note beside it
    #[arg(long, value_name = "DIR")]
    pub watch: Option<PathBuf>,
    /// End when nothing is left in the folder
    #[arg(long, requires = "watch")]
    pub once: bool,
    /// A file that did not change for so long is complete
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub settle: Duration,
    /// Address of the front desk
    #[arg(long, env = "BONDED_PUSH_TO", value_name = "URL")]
    pub to: String,
    /// Where the token is read from, file:PATH, env:NAME or secret://aws/NAME#field; it is read anew for each attempt
    #[arg(long, env = "BONDED_PUSH_TOKEN", hide_env_values = true, value_name = "REFERENCE")]
    pub token: String,
    /// A key that the server may show, sha256/BASE64 of its public key; several: the one of today, and the next
    #[arg(long, env = "BONDED_PUSH_PIN", value_delimiter = ',', value_name = "PIN")]
    pub pin: Vec<Pin>,
    /// PEM file of the authorities to believe, in place of those that browsers trust
    #[arg(long, env = "BONDED_PUSH_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// When CBP ran the report, RFC 3339; the time of arrival when absent
    #[arg(long, conflicts_with = "watch", value_name = "TIME")]
    pub as_of: Option<DateTime<Utc>>,
    /// Give up after so long without any progress; a watch without --once never does
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "TIME")]
    pub patience: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write it like 500ms, 30s, 5m or 1h".into())
}
