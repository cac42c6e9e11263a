//! A lakehouse whose objects lie in memory and whose control store and keyring lie in a folder in memory where there is
//! one: cheap to make, and it outlives the processes that die in it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bonded::{
    accept::{Decision, accept},
    ingest::{Ingested, Source, ingest},
    lakehouse::{Doors, Lakehouse, Tenant},
    settings::Settings,
};
use bonded_connectors::{
    clock::{Clock, SystemClock},
    keys::{
        Keys,
        keyring::{Keyring, RootSource},
    },
    lake::OpenStore,
};
use bonded_schemas::{Channel, TenantScope};
use chrono::{DateTime, TimeDelta, Utc};
use object_store::{ObjectStore, memory::InMemory};
use tempfile::TempDir;

use super::{Life, Script, keys::FaultyKeys, probe::FaultyStatements, store::FaultyStore};
use crate::world::{OTHER, TENANT};

/// Fast where the machine keeps files in memory.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    TempDir::new_in(memory).or_else(|_| TempDir::new()).expect("a temporary folder")
}

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
pub fn scope(tenant: &str) -> TenantScope {
    TenantScope::establish(tenant.parse().expect("a tenant name"), "test")
}

fn settings(folder: &Path) -> Settings {
    let mut settings = Settings { lake: folder.join("lake").display().to_string(), ..Settings::default() };
    // So that a seed meets the same calls in the same order again.
    settings.ingest.encoders_max = 1;
    settings
}

/// Stands where it was set; a test moves it, backwards too.
#[derive(Debug)]
pub struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        let start = DateTime::from_timestamp(1_780_000_000, 0).expect("a date");
        start + TimeDelta::seconds(self.0.load(Ordering::Relaxed))
    }
}

impl SetClock {
    pub fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

pub struct Lair {
    folder: TempDir,
    store: Arc<dyn ObjectStore>,
    pub clock: Arc<SetClock>,
}

/// A fresh lake with two tenants, made once and copied: the same tenants' secrets, so the same digests, in every copy.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<TempDir> = OnceLock::new();
    let make = || {
        let folder = folder();
        let settings = settings(folder.path());
        let made = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (house, _) = Lakehouse::init(settings, Doors::new(Arc::new(SystemClock))).await.expect("made");
                for tenant in [TENANT, OTHER] {
                    house.add_tenant(&scope(tenant)).await.expect("added");
                }
            });
        });
        made.join().expect("made");
        // The last connection takes the write-ahead log with it.
        let lake = folder.path().join("lake");
        for _ in 0..500 {
            if !crate::world::files_under(&lake).iter().any(|path| path.to_string_lossy().ends_with("-wal")) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        folder
    };
    TEMPLATE.get_or_init(make).path()
}

fn copy(from: &Path, to: &Path) {
    for file in crate::world::files_under(from) {
        let target = to.join(file.strip_prefix(from).expect("inside"));
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("made");
        std::fs::copy(&file, &target).expect("copied");
    }
    // The keyring looks at who may read its folder.
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(to.join("lake.keys"), private).expect("made private");
}

impl Lair {
    pub fn new() -> Self {
        let folder = folder();
        copy(template(), folder.path());
        Self { folder, store: Arc::new(InMemory::new()), clock: Arc::new(SetClock(AtomicI64::new(0))) }
    }

    /// A process that starts here, with its faults.
    pub async fn open(&self, life: &Arc<Life>) -> Lakehouse {
        let keys: PathBuf = self.folder.path().join("lake.keys");
        let keyring = Keyring::open(&keys, RootSource::KeyFile, self.clock.clone()).expect("a keyring");
        let keys: Arc<dyn Keys> = Arc::new(FaultyKeys { inner: Arc::new(keyring), life: life.clone() });
        let store: OpenStore =
            (Arc::new(FaultyStore { inner: self.store.clone(), life: life.clone() }), "memory://lake".to_owned());
        let doors = Doors {
            names: None,
            clock: self.clock.clone(),
            store: Some(store),
            keys: Some(keys),
            probe: Some(Arc::new(FaultyStatements::new(life.clone()))),
            secrets: None,
        };
        Lakehouse::open(settings(self.folder.path()), doors).await.expect("opens")
    }

    /// A process to which nothing happens.
    pub async fn calm(&self) -> Lakehouse {
        self.open(&Life::new(Script::Never)).await
    }

    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }
}

/// One thing that a person or a sender does, as often as it takes.
#[derive(Clone, Debug)]
pub enum Step {
    Deliver {
        name: String,
        bytes: Arc<Vec<u8>>,
    },
    /// The decision about the only alert there is.
    Accept(Decision),
    /// The drift that was raised first, if any was: its new columns as text, and earlier rows filled.
    AcceptDrift,
    RotateKey,
    Expire {
        table: &'static str,
        keep: usize,
    },
}

impl Step {
    pub fn deliver(name: &str, bytes: Vec<u8>) -> Self {
        Step::Deliver { name: name.to_owned(), bytes: Arc::new(bytes) }
    }

    /// Answers what was told of deliveries.
    pub async fn perform(&self, house: &Lakehouse, tenant: &str) -> bonded::Result<Option<Ingested>> {
        let tenant = house.tenant(&scope(tenant)).await?;
        match self {
            Step::Deliver { name, bytes } => {
                let mut source = bytes.as_slice();
                let source = Source {
                    file_name: name.clone(),
                    bytes: &mut source,
                    channel: Channel::Console,
                    as_of: None,
                    envelope: None,
                    poa: None,
                };
                return ingest(house, &tenant, source).await.map(Some);
            }
            Step::Accept(decision) => {
                let fingerprint = only_alert(&tenant).await?;
                accept(house, &tenant, &fingerprint, decision.clone()).await?;
            }
            Step::AcceptDrift => {
                if let Some(alert) = tenant.ledger.alerts("drift").await?.first() {
                    accept(house, &tenant, &alert.fingerprint, Decision::default()).await?;
                }
            }
            Step::RotateKey => {
                house.keys.rotate(&tenant.key).await?;
            }
            Step::Expire { table, keep } => {
                if tenant.tables.names().await?.iter().any(|name| name == table) {
                    let retention = bonded_connectors::lake::maintain::Retention {
                        snapshots_min: *keep,
                        snapshots_max: *keep,
                        age_max: TimeDelta::hours(1),
                        metadata_versions_max: 20,
                    };
                    tenant.tables.expire(table, &retention, false).await?;
                }
            }
        }
        Ok(None)
    }
}

async fn only_alert(tenant: &Tenant) -> bonded::Result<String> {
    let mut alerts = tenant.ledger.alerts("drift").await?;
    alerts.extend(tenant.ledger.alerts("quarantine").await?);
    assert_eq!(alerts.len(), 1, "one alert was raised");
    Ok(alerts.remove(0).fingerprint)
}
