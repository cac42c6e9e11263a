//! The open lakehouse: every door built from settings in one place, and one tenant's rooms behind a scope.
//! Promise: all of a tenant's keys, objects, tables and ledger are reached through `Tenant`, made from a `TenantScope`.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bonded_connectors::{
    audit::Segments,
    aws::Account,
    clock::Clock,
    keys::{
        KeyId, KeyState, Keys,
        aws::AwsKeys,
        keyring::{Keyring, RootSource},
    },
    lake::{Glue, Lake, OpenStore, Pointers, S3, Tables, is_s3, open_store},
    mail::proof::Names,
    oidc::Provider,
    raw::RawZone,
    seal::{DocumentKey, NameKey, TenantSecret},
    secrets::Vault,
    store::{ControlStore, Place, Probe, TenantRecord, TenantStore, audit::NewEvent, fence::Fence, queue::Queue},
};
use bonded_schemas::{Mapping, Report, TenantId, TenantScope};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;

use crate::{
    audit::{AuditEvent as Event, Change, keep},
    error::{Error, ErrorKind, Result},
    settings::{CatalogKind, KeyProvider, Settings, held, secret},
};

pub(crate) mod catalog;
pub(crate) mod identity;
mod rooms;

pub use crate::audit::AuditEvent;
use catalog::Purpose;
pub(crate) use identity::{Identity, generated, unwrapped};

#[derive(Debug)]
pub struct Lakehouse {
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub keys: Arc<dyn Keys>,
    pub lake: Lake,
    pub raw: RawZone,
    /// What the settings name, as it is by now.
    pub secrets: Arc<Vault>,
    pub(crate) control: ControlStore,
    /// The keys' own keeper, for what only the embedded one can do: be backed up.
    keyring: Option<Keyring>,
    identity: OnceCell<Identity>,
    rooms: rooms::Rooms,
    names: OnceCell<Names>,
}

/// One tenant's rooms.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub scope: TenantScope,
    pub key: KeyId,
    pub ledger: TenantStore,
    pub tables: Tables,
    pub names: NameKey,
    /// Of its audit trail.
    pub segments: Segments,
    documents: DocumentKey,
}

/// Which doors are given from outside rather than built: tests pass their own.
#[derive(Clone, Debug)]
pub struct Doors {
    pub clock: Arc<dyn Clock>,
    /// In place of the object store that the lake's URL names.
    pub store: Option<OpenStore>,
    /// In place of the keyring.
    pub keys: Option<Arc<dyn Keys>>,
    /// Sees each statement that goes to the control store.
    pub probe: Option<Arc<dyn Probe>>,
    /// In place of the name servers that the settings name.
    pub names: Option<Names>,
    /// In place of one that reads what the settings name.
    pub secrets: Option<Arc<Vault>>,
}

impl Doors {
    /// All doors but the clock as the settings say.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, store: None, keys: None, probe: None, names: None, secrets: None }
    }
}

impl Lakehouse {
    /// Makes lake, control store and keyring where they are missing; what is there stays. `true` when the keyring is new.
    pub async fn init(settings: Settings, doors: Doors) -> Result<(Self, bool)> {
        Self::make(settings, doors, Purpose::Found).await
    }

    /// The same for a lake whose control store was lost; its tables may be made anew in another catalog.
    pub(crate) async fn init_anew(settings: Settings, doors: Doors) -> Result<(Self, bool)> {
        Self::make(settings, doors, Purpose::Rebuild).await
    }

    async fn make(settings: Settings, mut doors: Doors, purpose: Purpose) -> Result<(Self, bool)> {
        settings.check_lake()?;
        let secrets = doors.secrets.get_or_insert_with(|| settings.vault(doors.clock.clone())).clone();
        let place = place(&settings, &secrets).await?;
        let mut fresh = false;
        if settings.keys.provider == KeyProvider::Keyring {
            let dir = settings.keys_dir()?;
            fresh = !dir.join("keyring.json").exists();
            if fresh {
                Keyring::create(&dir, root_source(&settings, &secrets).await?, doors.clock.clone())?;
            }
        }
        if !is_s3(&settings.lake) {
            // Opening the store makes the folder, or says why it cannot.
            open_store(&settings.lake)?;
        }
        ControlStore::create(place.clone()).await?;
        if settings.keys.provider == KeyProvider::Aws {
            fresh = ControlStore::open(place).await?.lake_record().await?.is_none();
        }
        let house = Self::open_for(settings, doors, purpose).await?;
        if let Some(bucket) = house.lake.bucket() {
            // Whether it can be written, and what it does when two write at once.
            bucket.honours().await?;
        }
        if let Some(pointers) = house.lake.pointers() {
            pointers.check().await?;
        }
        if house.tenants().await?.is_empty() {
            // Of those who are there, the pointers are put back first.
            house.record_catalog().await?;
        }
        if house.control.asks_for_proof() {
            // Tenants of a lake from before PostgreSQL asked for proofs.
            for record in house.tenants().await? {
                house.control.add_tenant(&record).await?;
            }
        }
        Ok((house, fresh))
    }

    /// An existing one.
    pub async fn open(settings: Settings, doors: Doors) -> Result<Self> {
        Self::open_for(settings, doors, Purpose::Use).await
    }

    /// One that was just restored, whose pointers are yet to be put back.
    pub(crate) async fn open_restored(settings: Settings, doors: Doors) -> Result<Self> {
        Self::open_for(settings, doors, Purpose::Found).await
    }

    async fn open_for(settings: Settings, doors: Doors, purpose: Purpose) -> Result<Self> {
        settings.check_lake()?;
        let secrets = doors.secrets.unwrap_or_else(|| settings.vault(doors.clock.clone()));
        let mut control = ControlStore::open(place(&settings, &secrets).await?).await?;
        if let Some(named) = &settings.store.postgres {
            let used = secret(&secrets, "store.postgres", named).await?;
            control = control.renewed_by(held(&secrets, "store.postgres", named)?, used);
        }
        if let Some(probe) = doors.probe {
            control = control.watched_by(probe);
        }
        let account = match settings.uses_aws() {
            true => Some(Account::open(settings.aws.reach()).await?),
            false => None,
        };
        let (keys, keyring) = match doors.keys {
            Some(keys) => (keys, None),
            None => key_service(&settings, &secrets, account.as_ref(), doors.clock.clone()).await?,
        };
        let pointers: Option<Arc<dyn Pointers>> = match (settings.catalog.kind, &account) {
            (CatalogKind::Glue, Some(account)) => Some(Arc::new(Glue::open(account, &settings.catalog.database)?)),
            _ => None,
        };
        let (store, root, bucket) = match (doors.store, account) {
            (Some((store, root)), _) => (store, root, None),
            (None, Some(account)) if is_s3(&settings.lake) => {
                let bucket = Arc::new(bucket(&settings, &settings.lake, account).await?);
                if settings.aws.lock || settings.aws.retain.is_some() {
                    bucket.check_lock().await?;
                }
                catalog::check(&settings, &bucket, purpose, &control).await?;
                let (store, root) = bucket.clone().opened().await?;
                (store, root, Some(bucket))
            }
            (None, _) => {
                let (store, root) = open_store(&settings.lake)?;
                (store, root, None)
            }
        };
        let lake = Lake::new(store.clone(), &root, keys.clone(), doors.clock.clone()).with_encoders(settings.ingest.encoders_max);
        let raw = RawZone::new(store, keys.clone()).in_bucket(bucket.clone());
        let lake = lake.in_bucket(bucket).with_pointers(pointers);
        let (identity, rooms) = (OnceCell::new(), rooms::Rooms::default());
        let names = OnceCell::new_with(doors.names);
        let clock = doors.clock;
        let mut house = Self { settings, clock, keys, keyring, lake, raw, secrets, control, identity, rooms, names };
        if house.control.asks_for_proof() {
            house.prove().await?;
        }
        Ok(house)
    }

    /// A tenant with a key of its own. `false` when it is there already.
    pub async fn add_tenant(&self, scope: &TenantScope) -> Result<bool> {
        if *scope.tenant() == TenantId::lake() {
            return Err(Error::input(format!("`{}` is the lake's own name; choose another for the tenant", scope.tenant())));
        }
        if let Some(record) = self.control.tenant(scope.tenant()).await? {
            if self.control.asks_for_proof() {
                // Its half in PostgreSQL may have gone, or never have been made.
                self.control.add_tenant(&record).await?;
            }
            if self.control_decides().await? && self.raw.tenant_record(scope).await?.is_none() {
                // Whoever added it died before its record lay in the raw zone.
                let names = self.tenant(scope).await?.names;
                self.raw.put_tenant_record(scope, &names, &record).await?;
            }
            return Ok(false);
        }
        self.control.can_make()?;
        let control_decides = self.control_decides().await?;
        let (mut record, mut unkept) = (self.raw.tenant_record(scope).await?, None);
        if record.is_none() {
            let key = match self.keys.left_key(scope.tenant()).await? {
                Some(left) => left,
                None => self.keys.create_key(scope.tenant()).await?,
            };
            self.writes_under(scope.tenant(), &key);
            let secret = TenantSecret::generate();
            let wrapped = secret.wrap(scope, self.keys.as_ref(), &key).await?;
            let made = TenantRecord {
                tenant: scope.tenant().clone(),
                key_id: key.to_string(),
                wrapped_secret: STANDARD.encode(wrapped),
                created_at: self.clock.now().to_rfc3339(),
            };
            let names = secret.derive().0;
            if control_decides {
                (record, unkept) = (Some(made), Some(names));
            } else {
                self.raw.put_tenant_record(scope, &names, &made).await?;
            }
        }
        let record = match record {
            Some(record) => record,
            None => self.kept_record(scope).await?,
        };
        let told = serde_json::json!({ "tenant": record.tenant, "key_id": record.key_id, "created_at": record.created_at });
        let event = Event::new(scope.actor().clone(), "tenant.add", record.tenant.as_str(), "added");
        let event = self.sealed(event.changing(Change::made(&told)?)).await?;
        if !self.control.add_tenant_with(&record, NewEvent { at: self.clock.now(), sealed: &event }).await? {
            return Ok(false);
        }
        if let Some(names) = unkept {
            self.raw.put_tenant_record(scope, &names, &record).await?;
        }
        self.tenant(scope).await?.audit(self.clock.as_ref(), "tenant.add", record.tenant.as_str(), "added").await?;
        Ok(true)
    }

    /// Whether two who add one tenant at once would both write its record: then the control store says who was first.
    async fn control_decides(&self) -> Result<bool> {
        match self.lake.bucket() {
            Some(bucket) => Ok(!bucket.honours().await?.put),
            None => Ok(false),
        }
    }

    /// A bucket encrypts what is the tenant's under the tenant's own key.
    fn writes_under(&self, tenant: &TenantId, key: &KeyId) {
        if let Some(bucket) = self.lake.bucket() {
            bucket.assign(tenant, key);
        }
    }

    /// Takes a tenant up as its record in the raw zone tells of it, which stays there when the control store is lost.
    pub(crate) async fn adopt_tenant(&self, scope: &TenantScope) -> Result<bool> {
        let record = self.kept_record(scope).await?;
        Ok(self.control.add_tenant(&record).await?)
    }

    async fn kept_record(&self, scope: &TenantScope) -> Result<TenantRecord> {
        self.raw.tenant_record(scope).await?.ok_or_else(|| {
            let tenant = scope.tenant();
            Error::new(ErrorKind::Damaged, format!("the raw zone has no record of tenant {tenant}; restore it from a backup"))
        })
    }

    /// Whether the control store answers.
    pub(crate) async fn answers(&self) -> Result<()> {
        self.control.lake_record().await?;
        Ok(())
    }

    pub fn control(&self) -> &ControlStore {
        &self.control
    }

    pub async fn tenants(&self) -> Result<Vec<TenantRecord>> {
        Ok(self.control.tenants().await?)
    }

    /// What waits for workers, of all tenants.
    pub async fn queue(&self) -> Result<Queue> {
        Ok(self.control.queue().await?)
    }

    /// The scope's ledger alone, without its keys: what is sealed there stays so.
    pub async fn ledger(&self, scope: &TenantScope) -> Result<TenantStore> {
        self.record(scope.tenant()).await?;
        Ok(self.control.open_tenant(scope).await?)
    }

    /// The scope's rooms; one KMS call. Refused when the tenant is unknown or its key is not usable.
    pub async fn tenant(&self, scope: &TenantScope) -> Result<Tenant> {
        let record = self.record(scope.tenant()).await?;
        let key = KeyId(record.key_id);
        self.settings.aws.residency()?.named(&format!("the key of tenant {}", scope.tenant()), &key.0)?;
        self.writes_under(scope.tenant(), &key);
        let wrapped = STANDARD.decode(&record.wrapped_secret).map_err(|error| {
            Error::new(ErrorKind::Damaged, format!("the record of tenant {}", scope.tenant())).with_source(error)
        })?;
        let secret = TenantSecret::unwrap(scope, self.keys.as_ref(), &key, &wrapped).await?;
        let (names, documents) = secret.derive();
        let ledger = self.control.open_tenant(scope).await?.marking(&names);
        let tables = self.lake.tables(scope, &ledger, &key);
        let segments = Segments::new(self.raw.clone(), self.lake.local_root());
        let tenant = Tenant { scope: scope.clone(), key, ledger, tables, names, segments, documents };
        // Nothing is appended to a control store that lost its trail before it has it again.
        if tenant.ledger.audit_head().await?.events == 0 {
            keep::take_up(&tenant).await?;
        }
        Ok(tenant)
    }

    /// Puts the tenant's secret under the newest version of its key; `false` when it is already. A dry run only tells.
    pub async fn rewrap_secret(&self, scope: &TenantScope, dry_run: bool) -> Result<bool> {
        let record = self.record(scope.tenant()).await?;
        let wrapped = STANDARD.decode(&record.wrapped_secret).map_err(|error| {
            Error::new(ErrorKind::Damaged, format!("the record of tenant {}", scope.tenant())).with_source(error)
        })?;
        let fresh = TenantSecret::rewrap(scope, self.keys.as_ref(), &KeyId(record.key_id), &wrapped).await?;
        match fresh {
            Some(fresh) if !dry_run => {
                let fresh = STANDARD.encode(fresh);
                Ok(self.control.replace_wrapped_secret(scope.tenant(), &record.wrapped_secret, &fresh).await?)
            }
            fresh => Ok(fresh.is_some()),
        }
    }

    /// The id and state of a tenant's key, also when it is disabled.
    pub async fn key_of(&self, tenant: &TenantId) -> Result<(KeyId, KeyState)> {
        let key = KeyId(self.record(tenant).await?.key_id);
        let state = self.keys.describe(&key).await?.state;
        Ok((key, state))
    }

    /// The foreign identity provider as set; made once by who serves, for it keeps the provider's keys.
    pub async fn identity_provider(&self) -> Result<Option<Provider>> {
        self.settings.oidc.provider(self.clock.clone(), &self.secrets).await
    }

    /// The embedded key service, for what only it needs: a backup of its own.
    pub(crate) fn keyring(&self) -> Result<&Keyring> {
        self.keyring.as_ref().ok_or_else(|| Error::setup("the keys lie in no keyring; their own service keeps copies of them"))
    }

    /// Who is asked for SPF, DKIM and DMARC records.
    pub(crate) async fn names(&self) -> Result<&Names> {
        self.names.get_or_try_init(async || self.settings.mail_in.names()).await
    }

    /// The lake's own key, made when it is first needed.
    pub(crate) async fn identity(&self) -> Result<&Identity> {
        self.identity.get_or_try_init(async || Ok(identity::establish(self).await?.0)).await
    }

    pub(crate) async fn record(&self, tenant: &TenantId) -> Result<TenantRecord> {
        self.control.tenant(tenant).await?.ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                format!("no tenant `{tenant}` in this lake; `bonded tenant list` shows those there are"),
            )
        })
    }
}

impl Tenant {
    /// The same rooms, for another who acts in the same tenant.
    pub(crate) fn acting(&self, scope: &TenantScope) -> Result<Tenant> {
        if scope.tenant() != self.scope.tenant() {
            return Err(Error::new(ErrorKind::Internal, "rooms of one tenant were asked for with the scope of another"));
        }
        Ok(Tenant { scope: scope.clone(), ..self.clone() })
    }

    /// These rooms for a worker: every earlier lease is shut out, and so is this one as soon as a later one is given out.
    pub async fn behind(mut self, fence: Fence) -> Result<Self> {
        self.ledger.raise_fence(&fence).await?;
        self.tables = self.tables.behind(fence);
        Ok(self)
    }

    /// Seals a document for the ledger: base64, bound to the tenant and to what it is (`what`, `name`).
    pub fn seal<T: Serialize>(&self, what: &str, name: &str, document: &T) -> Result<String> {
        let plain = serde_json::to_vec(document)?;
        Ok(STANDARD.encode(self.documents.seal(&[self.scope.tenant().as_str(), what, name], &plain)))
    }

    pub fn unseal<T: DeserializeOwned>(&self, what: &str, name: &str, sealed: &str) -> Result<T> {
        let sealed = STANDARD
            .decode(sealed)
            .map_err(|error| Error::new(ErrorKind::Damaged, format!("the sealed {what} is not base64")).with_source(error))?;
        let plain = self.documents.open(&[self.scope.tenant().as_str(), what, name], &sealed)?;
        Ok(serde_json::from_slice(&plain)?)
    }

    pub fn documents(&self) -> &DocumentKey {
        &self.documents
    }

    /// What the tenant accepted of a report's drift.
    pub async fn mapping(&self, report: Report) -> Result<Mapping> {
        match self.ledger.mapping(report).await? {
            Some(sealed) => self.unseal("mapping", report.code(), &sealed),
            None => Ok(Mapping::default()),
        }
    }

    pub async fn put_mapping(&self, report: Report, mapping: &Mapping) -> Result<()> {
        let sealed = self.seal("mapping", report.code(), mapping)?;
        Ok(self.ledger.put_mapping(report, &sealed).await?)
    }
}

/// Who keeps the keys, as set; with the keyring itself where it is that.
pub(crate) async fn key_service(
    settings: &Settings,
    secrets: &Vault,
    account: Option<&Account>,
    clock: Arc<dyn Clock>,
) -> Result<(Arc<dyn Keys>, Option<Keyring>)> {
    if let (KeyProvider::Aws, Some(account)) = (settings.keys.provider, account) {
        let keys = AwsKeys::open(account, &settings.keys_lake(), clock)?;
        return Ok((Arc::new(keys.making(settings.key_making()?)), None));
    }
    let keyring = Keyring::open(&settings.keys_dir()?, root_source(settings, secrets).await?, clock)?;
    Ok((Arc::new(keyring.clone()), Some(keyring)))
}

/// The bucket that a lake's URL names, which lies where data may lie.
pub(crate) async fn bucket(settings: &Settings, lake: &str, account: Account) -> Result<S3> {
    let bucket = S3::open(lake, account, settings.bucket_use()?)?;
    let (residency, endpoint) = (settings.aws.residency()?, settings.aws.s3_endpoint.as_deref());
    let named = format!("bucket `{}`", bucket.bucket_name());
    residency.bucket(&named, endpoint, bucket.bucket_name(), settings.aws.path_style)?;
    let (region, _) = bucket.whereabouts().await?;
    residency.bucket_region(&named, endpoint, &region)?;
    Ok(bucket)
}

pub(crate) async fn root_source(settings: &Settings, secrets: &Vault) -> Result<RootSource> {
    Ok(match &settings.keys.passphrase {
        Some(named) => RootSource::Passphrase(secret(secrets, "keys.passphrase", named).await?.reveal().to_owned().into()),
        None => RootSource::KeyFile,
    })
}

pub(crate) async fn place(settings: &Settings, secrets: &Vault) -> Result<Place> {
    let Some(named) = &settings.store.postgres else { return Ok(Place::Sqlite(settings.store_folder()?)) };
    let url = secret(secrets, "store.postgres", named).await?;
    settings.aws.residency()?.address("the database that store.postgres names", url.reveal())?;
    // A service that is given the settings of the whole house need not hold the owner's password as well.
    let owner = match &settings.store.postgres_owner {
        Some(named) => secret(secrets, "store.postgres_owner", named).await.ok().map(|owner| owner.reveal().to_owned()),
        None => None,
    };
    Ok(Place::Postgres { url: url.reveal().to_owned(), owner })
}
