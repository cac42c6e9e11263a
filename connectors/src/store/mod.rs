//! The control store: what must be decided by one transaction (tenants, the work queue, the delivery ledger, table pointers).
//! Promise: a delivery is recorded once, by its keyed digest; its commit is one transaction with the pointer swing.
//! Never: no header name, no cell, no file name lies here in the clear; such text arrives sealed.
//!
//! One SQL text serves SQLite (a file per tenant and a shared one) and PostgreSQL (a schema per tenant and a
//! shared one): `$n` placeholders, `ON CONFLICT`, text, bigint. What keeps tenants apart is the file there, and `postgres` here.
//! A new table is declared in a list of `tables`, and nowhere else.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use bonded_schemas::{TenantId, TenantScope};
use sqlx::{
    AnyPool, Executor, Row,
    any::{AnyPoolOptions, AnyRow},
};

use crate::{
    error::{Error, ErrorKind, Result},
    seal::{NameKey, ProofKey},
    secrets::{Held, Secret},
};

pub mod alerts;
pub mod answered;
pub mod archive;
pub mod audit;
pub mod dump;
pub mod fence;
pub mod findings;
pub mod health;
pub mod identifiers;
pub mod identity;
pub mod ledger;
pub mod litter;
mod mail_policy;
pub mod marks;
pub mod people;
mod pool;
mod postgres;
#[cfg(test)]
pub(crate) mod private_postgres;
pub mod queue;
pub mod sealing;
pub mod shreds;
mod sqlite;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
pub mod uploads;
pub mod windows;

pub use pool::Probe;
pub(crate) use pool::{Connection, Pool, Transaction};
use postgres::{Claim, Owner};
use tables::Table;

/// Where the control store lives.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// `control.sqlite` in this folder, and one in `tenants/<tenant>/` beneath it.
    Sqlite(PathBuf),
    /// One database; schemas `bonded` and `bonded_<tenant>`. The URLs may hold passwords.
    Postgres {
        /// Of the application's role, which owns nothing.
        url: String,
        /// Of the role that owns the schemas; needed where one is made.
        owner: Option<String>,
    },
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sqlite(folder) => write!(f, "Sqlite({})", folder.display()),
            Place::Postgres { .. } => f.write_str("Postgres(..)"),
        }
    }
}

/// The shared half: which tenants there are, and what work waits.
#[derive(Clone, Debug)]
pub struct ControlStore {
    place: Arc<Place>,
    pool: Pool,
    probe: Option<Arc<dyn Probe>>,
    /// Makes the proofs that PostgreSQL asks for; none on SQLite.
    proofs: Option<ProofKey>,
    tail: Arc<audit::Tail>,
}

/// A tenant as recorded: its key, and its secret wrapped under that key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRecord {
    pub tenant: TenantId,
    pub key_id: String,
    /// Base64 of the wrapped tenant secret.
    pub wrapped_secret: String,
    /// RFC 3339.
    pub created_at: String,
}

/// One tenant's half: ledger, alerts, mappings, fences, audit tail and the Iceberg catalog's tables.
#[derive(Clone, Debug)]
pub struct TenantStore {
    pub(crate) pool: Pool,
    tenant: TenantId,
    /// Its connections are others' too, so that it does not close them.
    is_shared: bool,
    /// Makes the marks of rows whose clear cells nothing else is bound to; none leaves them out.
    names: Option<NameKey>,
    tail: Arc<audit::Tail>,
}

impl ControlStore {
    /// Makes what is missing, on PostgreSQL by the owner. Errors name the folder or say that the database cannot be reached.
    pub async fn create(place: Place) -> Result<Self> {
        match &place {
            Place::Sqlite(folder) => std::fs::create_dir_all(folder).map_err(|error| sqlite::not_writable(folder, error))?,
            Place::Postgres { url, owner } => {
                let mut owner = Owner::connect(url, owner.as_deref()).await?;
                owner.make_all().await?;
                owner.close().await;
            }
        }
        Self::at(place, true).await
    }

    /// An existing one; `Setup` when `bonded init` was never run there. Refused when it is a PostgreSQL that does not keep the
    /// tenants apart by itself.
    pub async fn open(place: Place) -> Result<Self> {
        if let Place::Sqlite(folder) = &place
            && !folder.join(sqlite::FILE).is_file()
        {
            return Err(Error::new(ErrorKind::Setup, format!("no lake at {}; make one with `bonded init`", folder.display())));
        }
        Self::at(place, false).await
    }

    async fn at(place: Place, create: bool) -> Result<Self> {
        let pool = match &place {
            Place::Sqlite(folder) => {
                let pool = sqlite::open(folder, create).await?;
                // Also the tables that an older lake lacks.
                apply(&pool, tables::shared()).await?;
                Pool::new(pool, None, None)
            }
            Place::Postgres { url, .. } => {
                sqlx::any::install_default_drivers();
                let pool = Pool::new(postgres::connect(options(), url).await?, Some(Claim::unproven()), None);
                postgres::guard(&pool).await?;
                pool
            }
        };
        Ok(Self { place: Arc::new(place), pool, probe: None, proofs: None, tail: Arc::default() })
    }

    /// Whether nothing can be read before [`ControlStore::prove`].
    pub fn asks_for_proof(&self) -> bool {
        matches!(*self.place, Place::Postgres { .. })
    }

    /// `Setup` where a tenant's half could not be made, because PostgreSQL's owner is not named: asked before anything is begun.
    pub fn can_make(&self) -> Result<()> {
        match &*self.place {
            Place::Sqlite(_) => Ok(()),
            Place::Postgres { owner, .. } => postgres::named(owner.as_deref()).map(|_| ()),
        }
    }

    /// From now on every transaction shows the proof that PostgreSQL asks for; SQLite asks for none. A proof that the
    /// database was never told is told it by the owner.
    ///
    /// # Errors
    /// `Refused` when the database knows another one.
    pub async fn prove(mut self, proofs: &ProofKey) -> Result<Self> {
        let Place::Postgres { url, owner } = &*self.place else { return Ok(self) };
        let lake = TenantId::lake();
        self.pool = self.pool.claiming(Claim::proven(&lake, proofs));
        if !postgres::opens(&self.pool, &lake).await? {
            let mut owner = Owner::connect(url, owner.as_deref()).await?;
            owner.register(&Claim::proven(&lake, proofs)).await?;
            owner.close().await;
        }
        self.proofs = Some(proofs.clone());
        Ok(self)
    }

    /// From now on each statement, of tenants opened from here too, is shown to the probe.
    pub fn watched_by(mut self, probe: Arc<dyn Probe>) -> Self {
        self.pool.watch(probe.clone());
        self.probe = Some(probe);
        self
    }

    /// From now on a new connection to PostgreSQL whose login is refused is tried with the URL that `url` gives by then. `used`
    /// is the one that this store was opened with.
    pub fn renewed_by(mut self, url: Held, used: Secret) -> Self {
        self.pool.renew_by(pool::Renewal::new(url, used));
        self
    }

    /// `false` when the tenant is there already (and unchanged).
    pub async fn add_tenant(&self, record: &TenantRecord) -> Result<bool> {
        if self.asks_for_proof() {
            self.half_by_owner(&record.tenant).await?;
        }
        let new = insert_tenant(record).execute(&self.pool).await?.rows_affected() == 1;
        if new {
            self.make_tables(&record.tenant).await?;
        }
        Ok(new)
    }

    /// The same with an event for the lake's trail.
    pub async fn add_tenant_with(&self, record: &TenantRecord, event: audit::NewEvent<'_>) -> Result<bool> {
        if self.asks_for_proof() {
            self.half_by_owner(&record.tenant).await?;
        }
        let mut transaction = self.pool.begin().await?;
        if insert_tenant(record).execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append_in(&mut transaction, event).await?;
        transaction.commit().await?;
        self.make_tables(&record.tenant).await?;
        Ok(true)
    }

    /// Of a tenant's own file.
    async fn make_tables(&self, tenant: &TenantId) -> Result<()> {
        if let Some(folder) = self.folder_of(tenant) {
            let tenant_pool = sqlite::open(&folder, true).await?;
            apply(&tenant_pool, tables::tenant()).await?;
            tenant_pool.close().await;
        }
        Ok(())
    }

    /// Puts a fresh wrap of the same secret in the place of this one; `false` when someone else did first.
    pub async fn replace_wrapped_secret(&self, tenant: &TenantId, before: &str, after: &str) -> Result<bool> {
        let done = sqlx::query("UPDATE tenants SET wrapped_secret = $1 WHERE tenant = $2 AND wrapped_secret = $3")
            .bind(after)
            .bind(tenant.as_str())
            .bind(before)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    pub async fn tenants(&self) -> Result<Vec<TenantRecord>> {
        let rows = sqlx::query("SELECT tenant, key_id, wrapped_secret, created_at FROM tenants ORDER BY tenant")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(tenant_record).collect()
    }

    pub async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRecord>> {
        let row = sqlx::query("SELECT tenant, key_id, wrapped_secret, created_at FROM tenants WHERE tenant = $1")
            .bind(tenant.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(tenant_record).transpose()
    }

    /// The tenant's own half, and nothing of anyone else's.
    pub async fn open_tenant(&self, scope: &TenantScope) -> Result<TenantStore> {
        let store = self.half(scope.tenant()).await?;
        if self.asks_for_proof() && !postgres::opens(&store.pool, scope.tenant()).await? {
            let mend = "`bonded tenant add` with store.postgres_owner makes it, or the keyring is of another lake";
            return Err(Error::new(ErrorKind::Refused, format!("the half of {} does not open; {mend}", scope.tenant())));
        }
        Ok(store)
    }

    /// The same for a tenant that the shared half need not know yet; on PostgreSQL the owner makes what is missing.
    pub async fn make_tenant(&self, scope: &TenantScope) -> Result<TenantStore> {
        match self.asks_for_proof() {
            true => self.half_by_owner(scope.tenant()).await,
            false => self.half(scope.tenant()).await,
        }
    }

    async fn half(&self, tenant: &TenantId) -> Result<TenantStore> {
        let pool = match self.folder_of(tenant) {
            Some(folder) => {
                let pool = sqlite::open(&folder, true).await?;
                // A crash between recording the tenant and making its tables is mended here.
                apply(&pool, tables::tenant()).await?;
                Pool::new(pool, None, self.probe.clone())
            }
            // One session serves all tenants, since none keeps anything of them.
            None => self.pool.claiming(self.claim(tenant)),
        };
        Ok(TenantStore { pool, is_shared: self.asks_for_proof(), tenant: tenant.clone(), names: None, tail: Arc::default() })
    }

    fn claim(&self, tenant: &TenantId) -> Claim {
        match &self.proofs {
            Some(proofs) => Claim::proven(tenant, proofs),
            None => Claim::unproven(),
        }
    }

    /// The half, made by PostgreSQL's owner where it is not there.
    async fn half_by_owner(&self, tenant: &TenantId) -> Result<TenantStore> {
        let store = self.half(tenant).await?;
        if let Place::Postgres { url, owner } = &*self.place
            && !postgres::opens(&store.pool, tenant).await?
        {
            let mut owner = Owner::connect(url, owner.as_deref()).await?;
            let made = owner.make_tenant(&self.claim(tenant)).await;
            owner.close().await;
            made?;
        }
        Ok(store)
    }

    /// Where a tenant's SQLite file lies.
    fn folder_of(&self, tenant: &TenantId) -> Option<PathBuf> {
        match &*self.place {
            Place::Sqlite(folder) => Some(folder.join("tenants").join(tenant.as_str())),
            Place::Postgres { .. } => None,
        }
    }
}

impl TenantStore {
    /// The same store, marking what it writes under this key.
    pub fn marking(mut self, names: &NameKey) -> Self {
        self.names = Some(names.clone());
        self
    }
}

const CONNECTIONS_MAX: u32 = 4;

fn insert_tenant(record: &TenantRecord) -> sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments<'_>> {
    sqlx::query("INSERT INTO tenants VALUES ($1, $2, $3, $4) ON CONFLICT (tenant) DO NOTHING")
        .bind(record.tenant.as_str())
        .bind(&record.key_id)
        .bind(&record.wrapped_secret)
        .bind(&record.created_at)
}

fn tenant_record(row: &AnyRow) -> Result<TenantRecord> {
    let tenant = tenant_id(&row.try_get::<String, _>(0)?)?;
    Ok(TenantRecord { tenant, key_id: row.try_get(1)?, wrapped_secret: row.try_get(2)?, created_at: row.try_get(3)? })
}

fn tenant_id(name: &str) -> Result<TenantId> {
    name.parse().map_err(|error: bonded_schemas::Error| Error::new(ErrorKind::Damaged, error.message))
}

async fn apply(pool: &AnyPool, tables: impl Iterator<Item = &'static Table>) -> Result<()> {
    for statement in tables.flat_map(|table| table.ddl) {
        pool.execute(*statement).await?;
    }
    Ok(())
}

fn options() -> AnyPoolOptions {
    // No idle timeout and no life time: sqlx 0.8.6 reaps by a counter that may read below zero while a connection is given
    // back on another thread (`num_idle` in its pool/inner.rs), and then turns for ever, which holds up the end of the process.
    AnyPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(Duration::from_secs(60))
        .idle_timeout(None)
        .max_lifetime(None)
}
