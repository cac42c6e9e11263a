//! The words of the process that stays, and of the queue that it works from.

use bonded_schemas::DeliveryId;
use clap::{Args as ClapArgs, Subcommand};

use super::Which;
use crate::serve::Role;

#[derive(Debug, ClapArgs)]
pub struct Serve {
    /// What this process does [default: worker, maintain, watch, notify, and inbox where serve.inbox is set]
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    pub roles: Vec<Role>,
}

#[derive(Debug, Subcommand)]
pub enum QueueAction {
    /// What waits, runs or is poisoned, and what could not be taken from the drop folders
    List(Which),
    /// Try a poisoned or waiting delivery now, its failures forgotten
    Retry {
        /// Delivery id, as `bonded queue list` shows it
        id: DeliveryId,
    },
    /// Take a poisoned delivery out of the queue; its bytes and its quarantine stay
    Drop {
        /// Delivery id, as `bonded queue list` shows it
        id: DeliveryId,
    },
}
