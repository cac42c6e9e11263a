//! Settings are values: a TOML file, `BONDED_*` variables over it, the command line over both.
//! Promise: an unknown key, a wrong type or an impossible value is refused at start, by its name.
//! Never: no secret is written here; it is named (`file:PATH`, `env:NAME`, `secret://aws/NAME#field`) and read when the door
//! opens. A file with one in it is refused, by the setting's name alone.

use std::{path::PathBuf, time::Duration};

use bonded_connectors::lake::{is_s3, lake_folder};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

mod alerts;
mod api;
mod audit;
mod aws;
mod catalog;
mod desk;
mod doctor;
mod ingest;
mod keys;
mod mail_in;
mod oidc;
mod secrets;
mod serve;
mod ses;
mod uploads;
mod watch;

pub use alerts::AlertSettings;
pub use api::ApiSettings;
pub use audit::AuditSettings;
pub use aws::AwsSettings;
pub use catalog::{CatalogKind, CatalogSettings};
pub(crate) use desk::millis;
pub use desk::{DeskSettings, MailSettings};
pub use doctor::DoctorSettings;
pub use ingest::{IngestSettings, UnpackSettings};
pub use keys::{KeyProvider, KeySettings};
pub use mail_in::{Lmtp, MailInSettings};
pub use oidc::OidcSettings;
pub(crate) use secrets::held;
pub use secrets::{SECRETS, SecretSettings, secret};
pub use serve::ServeSettings;
pub use ses::SesSettings;
pub use uploads::UploadSettings;
pub use watch::WatchSettings;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Folder, `file://` URL or `s3://bucket/prefix` that holds everything but the keys (in a bucket: and the control store).
    pub lake: String,
    pub keys: KeySettings,
    pub store: StoreSettings,
    pub ingest: IngestSettings,
    pub query: QuerySettings,
    pub attest: AttestSettings,
    pub serve: ServeSettings,
    pub api: ApiSettings,
    pub oidc: OidcSettings,
    pub backup: BackupSettings,
    pub maintain: MaintainSettings,
    pub display: DisplaySettings,
    pub desk: DeskSettings,
    pub mail: MailSettings,
    pub mail_in: MailInSettings,
    pub ses: SesSettings,
    pub audit: AuditSettings,
    pub uploads: UploadSettings,
    pub alerts: AlertSettings,
    pub watch: WatchSettings,
    pub secrets: SecretSettings,
    pub aws: AwsSettings,
    pub catalog: CatalogSettings,
    pub doctor: DoctorSettings,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Where the URL of a PostgreSQL is read from, with a role that owns nothing; SQLite files in the lake when absent.
    pub postgres: Option<String>,
    /// Where the URL of the role that owns the schemas is read from, for the commands that make some: `init`, `tenant add`,
    /// `restore`. Everything else does without.
    pub postgres_owner: Option<String>,
    /// Folder of the SQLite files in place of the lake's own; for a lake in a bucket that one machine works on.
    pub folder: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupSettings {
    /// Where the passphrase of key backups is read from; it is not the keyring's own.
    pub keys_passphrase: Option<String>,
}

/// What may be seen on a screen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DisplaySettings {
    /// Importer numbers in Social Security form whole, instead of `***-**-1234`.
    pub show_ssn: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttestSettings {
    /// Largest delivery that is counted again: its bytes lie in memory, and the counted columns as text beside them.
    pub file_bytes_max: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuerySettings {
    pub memory_bytes_max: usize,
    /// `60s`, `5m`, `1h`.
    pub time_max: String,
    pub rows_max: usize,
    /// 0: as many as there are cores.
    pub threads: usize,
    /// Folder of a user's own checks (`*.sql`); none when absent.
    pub checks_dir: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lake: "./lake".into(),
            keys: KeySettings::default(),
            store: StoreSettings::default(),
            ingest: IngestSettings::default(),
            query: QuerySettings::default(),
            attest: AttestSettings::default(),
            serve: ServeSettings::default(),
            api: ApiSettings::default(),
            oidc: OidcSettings::default(),
            backup: BackupSettings::default(),
            maintain: MaintainSettings::default(),
            display: DisplaySettings::default(),
            desk: DeskSettings::default(),
            mail: MailSettings::default(),
            mail_in: MailInSettings::default(),
            ses: SesSettings::default(),
            audit: AuditSettings::default(),
            uploads: UploadSettings::default(),
            alerts: AlertSettings::default(),
            watch: WatchSettings::default(),
            secrets: SecretSettings::default(),
            aws: AwsSettings::default(),
            catalog: CatalogSettings::default(),
            doctor: DoctorSettings::default(),
        }
    }
}

impl Default for AttestSettings {
    fn default() -> Self {
        Self { file_bytes_max: 512 << 20 }
    }
}

impl Default for QuerySettings {
    fn default() -> Self {
        Self { memory_bytes_max: 1 << 30, time_max: "5m".into(), rows_max: 1_000_000, threads: 0, checks_dir: None }
    }
}

impl Settings {
    /// `file` must exist when it is named. `environment` holds `BONDED_SECTION_KEY` pairs.
    pub fn load(file: Option<&std::path::Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut values = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Error::setup(format!("cannot read the settings {}", path.display())).with_source(error))?;
                // The parser's own words show the line, and the line may hold what should not be in it.
                text.parse::<toml::Table>().map_err(|error| {
                    let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count());
                    Error::setup(format!("settings {}, about line {line}: {}", path.display(), error.message()))
                })?
            }
            None => toml::Table::new(),
        };
        let known = toml::Table::try_from(Settings::complete())
            .map_err(|error| Error::setup("the default settings cannot be written").with_source(error))?;
        for (name, text) in environment {
            if let Some(name) = name.strip_prefix("BONDED_") {
                overlay(&mut values, &known, &name.to_ascii_lowercase(), &text);
            }
        }
        secrets::refuse_literals(&values)?;
        let settings: Settings =
            values.try_into().map_err(|error: toml::de::Error| Error::setup("settings").with_source(error))?;
        settings.query.time_max()?;
        settings.serve.check()?;
        settings.api.check()?;
        settings.oidc.check()?;
        settings.maintain.check()?;
        settings.desk.check()?;
        settings.mail.check()?;
        settings.mail_in.check()?;
        settings.ses.check()?;
        settings.audit.check()?;
        settings.uploads.check()?;
        settings.alerts.check()?;
        settings.watch.check()?;
        settings.check_aws()?;
        settings.keys.check()?;
        settings.secrets.check()?;
        settings.doctor.check()?;
        settings.check_residency()?;
        if settings.ingest.record_bytes_max < 1024
            || settings.ingest.batch_rows == 0
            || settings.ingest.encoders_max == 0
            || settings.query.rows_max == 0
        {
            return Err(Error::setup(
                "settings: record_bytes_max must be at least 1024, batch_rows, encoders_max and rows_max at least 1",
            ));
        }
        let unpack = &settings.ingest.unpack;
        if unpack.mail_parts_max == 0 || unpack.mail_depth_max == 0 || unpack.mail_header_bytes_max < 4096 {
            return Err(Error::setup(
                "settings: ingest.unpack.mail_parts_max and mail_depth_max must be at least 1, mail_header_bytes_max at least 4096",
            ));
        }
        if unpack.ratio_max == 0 || unpack.members_max == 0 || unpack.depth_max == 0 {
            return Err(Error::setup("settings: ingest.unpack.ratio_max, members_max and depth_max must be at least 1"));
        }
        Ok(settings)
    }

    /// Every key present, so that the environment can name optional ones.
    fn complete() -> Self {
        Self {
            keys: KeySettings::complete(),
            store: StoreSettings {
                postgres: Some(String::new()),
                postgres_owner: Some(String::new()),
                folder: Some(PathBuf::new()),
            },
            aws: AwsSettings::complete(),
            api: ApiSettings {
                certificate: Some(PathBuf::new()),
                private_key: Some(PathBuf::new()),
                security_contact: Some(String::new()),
                ..ApiSettings::default()
            },
            serve: ServeSettings { inbox: Some(PathBuf::new()), ..ServeSettings::default() },
            desk: DeskSettings { url: Some(String::new()), ..DeskSettings::default() },
            mail: MailSettings { smtp: Some(String::new()), outbox: Some(PathBuf::new()), ..MailSettings::default() },
            mail_in: MailInSettings::complete(),
            ses: SesSettings::complete(),
            oidc: OidcSettings::complete(),
            backup: BackupSettings { keys_passphrase: Some(String::new()) },
            alerts: AlertSettings::complete(),
            query: QuerySettings { checks_dir: Some(PathBuf::new()), ..QuerySettings::default() },
            ..Self::default()
        }
    }

    /// Folder of the keyring: as set, or beside the lake.
    pub fn keys_dir(&self) -> Result<PathBuf> {
        match &self.keys.dir {
            Some(dir) => Ok(dir.clone()),
            None => self.beside_the_lake(".keys", "keys.dir"),
        }
    }

    /// Folder of letters where no mail server is named: as set, or beside the lake.
    pub fn outbox_dir(&self) -> Result<PathBuf> {
        match &self.mail.outbox {
            Some(dir) => Ok(dir.clone()),
            None => self.beside_the_lake(".outbox", "mail.outbox"),
        }
    }

    /// Folder of the certificate that is made where none is named.
    pub fn tls_dir(&self) -> Result<PathBuf> {
        self.beside_the_lake(".tls", "api.certificate")
    }

    /// The folder of the SQLite files, and of the rules that the lake adds.
    pub fn store_folder(&self) -> Result<PathBuf> {
        match &self.store.folder {
            Some(folder) => Ok(folder.clone()),
            None if is_s3(&self.lake) => Err(Error::setup(format!(
                "the lake `{}` holds no control store: set store.postgres, or store.folder where one machine works on it",
                self.lake
            ))),
            None => Ok(lake_folder(&self.lake)?),
        }
    }

    fn beside_the_lake(&self, ending: &str, setting: &str) -> Result<PathBuf> {
        let folder = match (is_s3(&self.lake), &self.store.folder) {
            (false, _) => lake_folder(&self.lake)?,
            (true, Some(folder)) => folder.clone(),
            (true, None) => return Err(Error::setup(format!("nothing lies beside the lake `{}`: set {setting}", self.lake))),
        };
        let name = folder.file_name().ok_or_else(|| Error::setup(format!("lake `{}` has no name; set {setting}", self.lake)))?;
        let mut sibling = name.to_os_string();
        sibling.push(ending);
        Ok(folder.with_file_name(sibling))
    }
}

impl QuerySettings {
    pub fn time_max(&self) -> Result<Duration> {
        parse_duration(&self.time_max)
            .ok_or_else(|| Error::setup(format!("settings: query.time_max `{}` is not like 30s, 5m or 1h", self.time_max)))
    }
}

pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let count: u64 = text[..split].parse().ok()?;
    let millis = match &text[split..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    (count > 0).then(|| Duration::from_millis(count.saturating_mul(millis)))
}

/// `ingest_batch_rows` sets `[ingest] batch_rows`, `ingest_unpack_ratio_max` sets `[ingest.unpack] ratio_max`. Names that are no setting (BONDED_BENCH_MB, say) are left alone.
fn overlay(values: &mut toml::Table, known: &toml::Table, name: &str, text: &str) {
    let parsed = |like: &toml::Value| match like {
        toml::Value::Integer(_) => {
            text.parse().map(toml::Value::Integer).unwrap_or_else(|_| toml::Value::String(text.to_owned()))
        }
        toml::Value::Boolean(_) => {
            text.parse().map(toml::Value::Boolean).unwrap_or_else(|_| toml::Value::String(text.to_owned()))
        }
        _ => toml::Value::String(text.to_owned()),
    };
    for (key, like) in known {
        match like {
            toml::Value::Table(section) => {
                let Some(inner) = name.strip_prefix(key.as_str()).and_then(|rest| rest.strip_prefix('_')) else { continue };
                let was_there = values.contains_key(key);
                let inside = values.entry(key.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if let toml::Value::Table(inside) = inside {
                    overlay(inside, section, inner, text);
                    if inside.is_empty() && !was_there {
                        values.remove(key);
                    }
                }
            }
            like if key == name => {
                values.insert(key.clone(), parsed(like));
            }
            _ => {}
        }
    }
}

mod maintain;
#[cfg(test)]
mod tests;

pub use maintain::MaintainSettings;
