//! The control store's failing double: statements and commits that do not arrive, or whose answers do not.

use std::{
    io,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bonded_connectors::store::Probe;

use super::{Fault, Kind, Life};

#[derive(Debug)]
pub struct FaultyStatements {
    life: Arc<Life>,
    /// What the statement under way has coming. A worker sends one at a time.
    coming: Mutex<Option<Fault>>,
}

impl FaultyStatements {
    pub fn new(life: Arc<Life>) -> Self {
        Self { life, coming: Mutex::new(None) }
    }
}

/// `INSERT INTO deliveries`: enough to find it again.
fn name(statement: &str) -> String {
    format!("sql {}", statement.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

#[async_trait]
impl Probe for FaultyStatements {
    async fn before(&self, statement: &str) -> io::Result<()> {
        // Whoever is about to commit holds a lock that others wait for: no turn may be lost there.
        let fault = self.life.enter(&name(statement), Kind::Other, statement != "COMMIT").await?;
        *self.coming.lock().unwrap() = fault;
        Ok(())
    }

    async fn after(&self, statement: &str) -> io::Result<()> {
        let fault = self.coming.lock().unwrap().take();
        self.life.leave(&name(statement), fault).await
    }
}
