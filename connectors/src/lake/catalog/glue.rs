//! AWS Glue as the catalog: a database a tenant, `<prefix>_<tenant>`, and tables as Iceberg's own GlueCatalog writes them, so
//! that whoever reads Iceberg by Glue finds them, columns and all.
//! Promise: a pointer moves by UpdateTable under the version that it was seen at; a Glue that does not look at versions is
//! refused before anything of ours is written.
//! Never: a write is sent twice; a version of a table is archived (Glue keeps a limited number, and metadata.json has them
//! all); a cell or a key goes there.

use std::{collections::HashMap, fmt};

use async_trait::async_trait;
use aws_sdk_glue::{
    Client,
    config::retry::RetryConfig,
    types::{DatabaseInput, StorageDescriptor, Table, TableInput},
};
use bonded_schemas::TenantId;
use tokio::sync::OnceCell;

use super::pointers::{Entry, Pointers, Seen};
use crate::{
    aws::{Account, Service},
    error::{Again, Error, ErrorKind, Result},
    lake::commit::Waits,
};
use columns::columns;
use told::{Asked, told};

mod columns;
mod told;

const TABLE_TYPE: &str = "table_type";
const ICEBERG: &str = "ICEBERG";
const LOCATION: &str = "metadata_location";
const PREVIOUS: &str = "previous_metadata_location";
/// The one parameter of ours.
const SHA256: &str = "bonded.metadata_sha256";
/// A table in the database that has the prefix for its name, which every start writes to twice.
const PROBE: &str = "bonded_probe";
/// Another process may make the probe's table, or write to it, between two of our requests.
const PROBES_MAX: u32 = 20;

/// The Glue catalog of one account and region. Clones share what was seen of it.
#[derive(Clone)]
pub struct Glue {
    reads: Client,
    /// Sends each request once.
    writes: Client,
    prefix: String,
    looks: std::sync::Arc<OnceCell<()>>,
}

impl fmt::Debug for Glue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glue({}_*)", self.prefix)
    }
}

impl Glue {
    /// `prefix` begins the name of every database.
    ///
    /// # Errors
    /// `Setup` when it cannot stand in one.
    pub fn open(account: &Account, prefix: &str) -> Result<Self> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_name =
            prefix.len() <= 41 && prefix.starts_with(|first: char| first.is_ascii_lowercase()) && prefix.bytes().all(fits);
        if !is_name {
            let message = format!("catalog.database `{}` is not 1 to 41 of a-z, 0-9 and _", prefix.escape_default());
            return Err(Error::new(ErrorKind::Setup, message));
        }
        let config = account.config(Service::Glue);
        let once = aws_sdk_glue::config::Builder::from(&config).retry_config(RetryConfig::disabled()).build();
        Ok(Self {
            reads: Client::new(&config),
            writes: Client::from_conf(once),
            prefix: prefix.to_owned(),
            looks: std::sync::Arc::default(),
        })
    }

    /// Tenants' names have no `_`, and Iceberg's readers take no `-`.
    fn database(&self, tenant: &TenantId) -> String {
        format!("{}_{}", self.prefix, tenant.as_str().replace('-', "_"))
    }

    async fn table(&self, database: &str, table: &str) -> Result<Option<Table>> {
        match self.reads.get_table().database_name(database).name(table).send().await {
            Ok(answer) => Ok(answer.table),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_entity_not_found_exception()) => Ok(None),
            Err(error) => Err(told(Asked::Read("GetTable"), &format!("{database}.{table}"), error)),
        }
    }

    /// `false` when the name is taken.
    async fn create_table(&self, database: &str, input: TableInput) -> Result<bool> {
        let name = format!("{database}.{}", input.name());
        match self.writes.create_table().database_name(database).table_input(input).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_already_exists_exception()) => Ok(false),
            Err(error) => Err(told(Asked::Write("CreateTable"), &name, error)),
        }
    }

    async fn update_table(&self, database: &str, input: TableInput, version: &str) -> Result<()> {
        let name = format!("{database}.{}", input.name());
        let asked = self.writes.update_table().database_name(database).table_input(input).version_id(version).skip_archive(true);
        asked.send().await.map(|_| ()).map_err(|error| told(Asked::Write("UpdateTable"), &name, error))
    }

    async fn ensure_database(&self, database: &str, location: Option<&str>) -> Result<()> {
        match self.reads.get_database().name(database).send().await {
            Ok(_) => return Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_entity_not_found_exception()) => {}
            Err(error) => return Err(told(Asked::Read("GetDatabase"), database, error)),
        }
        let input = DatabaseInput::builder()
            .name(database)
            .description("Encrypted Iceberg tables of Bonded")
            .set_location_uri(location.map(ToOwned::to_owned));
        let input = input.build().map_err(unbuilt)?;
        match self.reads.create_database().database_input(input).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_already_exists_exception()) => Ok(()),
            // Made or not: whoever needs it asks again.
            Err(error) => Err(told(Asked::Read("CreateDatabase"), database, error)),
        }
    }

    /// Two updates under one version: the second must be refused.
    async fn probe(&self) -> Result<()> {
        let name = || TableInput::builder().name(PROBE).parameters("bonded.probe", uuid::Uuid::new_v4().to_string());
        self.ensure_database(&self.prefix, None).await?;
        let (mut waits, mut last) = (Waits::default(), None);
        'looks: for _ in 0..PROBES_MAX {
            let Some(seen) = self.table(&self.prefix, PROBE).await? else {
                self.create_table(&self.prefix, name().build().map_err(unbuilt)?).await?;
                continue;
            };
            let version = seen.version_id().ok_or_else(|| blind("gives its tables no version"))?;
            for _ in 0..2 {
                match self.update_table(&self.prefix, name().build().map_err(unbuilt)?, version).await {
                    Ok(()) => {}
                    // Ours, or that of a process which was quicker: it looked.
                    Err(error) if error.again() == Some(Again::Overtaken) => return Ok(()),
                    // It did not come to look.
                    Err(error) if error.kind() == ErrorKind::Retry => {
                        waits.before(&error).await;
                        last = Some(error);
                        continue 'looks;
                    }
                    Err(error) if error.kind() == ErrorKind::Ambiguous => {
                        return Err(Error::new(ErrorKind::Retry, "the catalog did not answer: try again").with_source(error));
                    }
                    Err(error) => return Err(error),
                }
            }
            return Err(blind("took two updates of one version"));
        }
        let message = format!("{PROBES_MAX} looks did not tell whether the catalog holds to versions ({}.{PROBE})", self.prefix);
        let error = Error::new(ErrorKind::Retry, format!("{message}: try again"));
        Err(match last {
            Some(last) => error.with_source(last),
            None => error,
        })
    }
}

#[async_trait]
impl Pointers for Glue {
    async fn check(&self) -> Result<()> {
        self.looks.get_or_try_init(|| self.probe()).await?;
        Ok(())
    }

    async fn names(&self, tenant: &TenantId) -> Result<Vec<String>> {
        let database = self.database(tenant);
        let (mut names, mut next) = (Vec::new(), None);
        loop {
            let page = match self.reads.get_tables().database_name(&database).set_next_token(next).send().await {
                Ok(page) => page,
                Err(error) if error.as_service_error().is_some_and(|error| error.is_entity_not_found_exception()) => {
                    return Ok(names);
                }
                Err(error) => return Err(told(Asked::Read("GetTables"), &database, error)),
            };
            names.extend(page.table_list().iter().filter(|table| is_iceberg(table)).map(|table| table.name().to_owned()));
            next = page.next_token;
            if next.as_deref().unwrap_or_default().is_empty() {
                return Ok(names);
            }
        }
    }

    async fn see(&self, tenant: &TenantId, table: &str) -> Result<Option<Seen>> {
        let database = self.database(tenant);
        let Some(found) = self.table(&database, table).await? else { return Ok(None) };
        let what = |what: &str| Error::new(ErrorKind::Damaged, format!("table {database}.{table} of Glue {what}"));
        if !is_iceberg(&found) {
            return Err(what("is no Iceberg table"));
        }
        let version = found.version_id.ok_or_else(|| what("has no version"))?;
        let parameters = found.parameters.unwrap_or_default();
        let location = parameters.get(LOCATION).cloned().ok_or_else(|| what("has no metadata_location"))?;
        Ok(Some(Seen { location, sha256: parameters.get(SHA256).cloned(), version, parameters }))
    }

    async fn create(&self, tenant: &TenantId, table: &str, to: &Entry<'_>) -> Result<bool> {
        let database = self.database(tenant);
        let warehouse = to.metadata.location().rsplit_once('/').map(|(warehouse, _)| warehouse);
        self.ensure_database(&database, warehouse).await?;
        self.create_table(&database, input(table, HashMap::new(), to)?).await
    }

    async fn swap(&self, tenant: &TenantId, table: &str, seen: &Seen, to: &Entry<'_>) -> Result<()> {
        self.update_table(&self.database(tenant), input(table, seen.parameters.clone(), to)?, &seen.version).await
    }

    async fn renew(&self, tenant: &TenantId, table: &str, seen: &Seen) -> Result<Seen> {
        let changed = || Error::new(ErrorKind::Retry, format!("another commit to {table} came first"));
        let database = self.database(tenant);
        let found = self.table(&database, table).await?.filter(|found| found.version_id.as_deref() == Some(&seen.version));
        let found = found.ok_or_else(changed)?;
        let same = TableInput::builder()
            .name(table)
            .set_description(found.description)
            .set_owner(found.owner)
            .set_table_type(found.table_type)
            .set_parameters(found.parameters)
            .set_storage_descriptor(found.storage_descriptor)
            .set_partition_keys(found.partition_keys);
        self.update_table(&database, same.build().map_err(unbuilt)?, &seen.version).await?;
        self.see(tenant, table).await?.filter(|renewed| renewed.location == seen.location).ok_or_else(changed)
    }

    async fn remove(&self, tenant: &TenantId, table: &str) -> Result<()> {
        let database = self.database(tenant);
        match self.reads.delete_table().database_name(&database).name(table).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_entity_not_found_exception()) => Ok(()),
            Err(error) => Err(told(Asked::Read("DeleteTable"), &format!("{database}.{table}"), error)),
        }
    }
}

fn is_iceberg(table: &Table) -> bool {
    let kind = table.parameters().and_then(|parameters| parameters.get(TABLE_TYPE));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(ICEBERG))
}

/// What others put beside the pointer stays.
fn input(table: &str, mut parameters: HashMap<String, String>, to: &Entry<'_>) -> Result<TableInput> {
    parameters.insert(TABLE_TYPE.into(), ICEBERG.into());
    parameters.insert("EXTERNAL".into(), "TRUE".into());
    parameters.insert(LOCATION.into(), to.location.into());
    parameters.insert(SHA256.into(), to.sha256.into());
    if let Some(previous) = to.previous {
        parameters.insert(PREVIOUS.into(), previous.into());
    }
    let lies = StorageDescriptor::builder().location(to.metadata.location()).set_columns(Some(columns(to.metadata)?)).build();
    let input = TableInput::builder().name(table).table_type("EXTERNAL_TABLE").set_parameters(Some(parameters));
    input.storage_descriptor(lies).build().map_err(unbuilt)
}

fn blind(what: &str) -> Error {
    let mend = "it would lose commits; use AWS's own Glue, or catalog.kind = \"sql\"";
    Error::new(ErrorKind::Setup, format!("the Glue catalog {what}: {mend}"))
}

fn unbuilt(error: aws_sdk_glue::error::BuildError) -> Error {
    Error::new(ErrorKind::Internal, "a request to Glue is not whole").with_source(error)
}
