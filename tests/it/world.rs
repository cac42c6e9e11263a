//! A whole lakehouse in a temporary folder, driven through the real binary.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bonded::demo::corpus::{Corpus, Plan};
use bonded_schemas::Report;
use serde_json::Value;
use tempfile::TempDir;

use crate::postgres::private_postgres::PrivatePostgres;

pub const TENANT: &str = "fictional-lantern";
pub const OTHER: &str = "fictional-kettle";
/// Of the addresses that tenants are written to.
pub const MAIL_DOMAIN: &str = "reports.example";

pub struct World {
    folder: TempDir,
    /// Where its control store is, for the application and for the owner.
    pub postgres: Option<(String, String)>,
    pub bucket: Option<Bucket>,
    /// Where the catalog is asked for, for a lake whose pointers are in Glue.
    pub glue: Option<String>,
    /// What every command is told besides; without a value: not told, for a settings file says it.
    more: Vec<(&'static str, Option<String>)>,
}

/// A lake in a bucket of an emulator, its keys at the emulator's KMS.
pub struct Bucket {
    pub endpoint: String,
    pub name: String,
}

/// How a run of the binary ended.
pub struct Run {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl World {
    /// A lake with two tenants.
    pub fn new() -> Self {
        Self::bare().peopled()
    }

    /// The same in this folder.
    pub fn under(folder: &Path) -> Self {
        Self {
            folder: TempDir::new_in(folder).expect("a temporary folder"),
            postgres: None,
            bucket: None,
            glue: None,
            more: Vec::new(),
        }
        .peopled()
    }

    /// The same with its control store in this PostgreSQL.
    pub fn on_postgres(cluster: &PrivatePostgres) -> Self {
        Self { postgres: Some((cluster.url(), cluster.owner_url())), ..Self::bare() }.peopled()
    }

    pub fn peopled(self) -> Self {
        self.ok(&["init"]);
        self.ok(&["tenant", "add", TENANT]);
        self.ok(&["tenant", "add", OTHER]);
        self
    }

    /// A folder and nothing in it.
    pub fn bare() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder"), postgres: None, bucket: None, glue: None, more: Vec::new() }
    }

    /// The same in this bucket; its control store in PostgreSQL where there is one, else in a folder of this machine.
    pub fn in_bucket(bucket: Bucket, cluster: Option<&PrivatePostgres>) -> Self {
        let postgres = cluster.map(|cluster| (cluster.url(), cluster.owner_url()));
        Self { bucket: Some(bucket), postgres, ..Self::bare() }
    }

    /// The same with its pointers in the Glue of this address.
    pub fn beside_glue(self, endpoint: &str) -> Self {
        Self { glue: Some(endpoint.to_owned()), ..self }
    }

    /// The same, every command told this besides.
    pub fn told(self, more: Vec<(&'static str, Option<String>)>) -> Self {
        Self { more, ..self }
    }

    /// What its databases' names begin with; the emulator is shared, so it goes by the bucket.
    pub fn glue_database(&self) -> String {
        let name: String = self.bucket.as_ref().expect("in a bucket").name.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("t{}", &name[name.len() - 24..])
    }

    /// How the console is told where the lake is.
    fn lake_url(&self) -> String {
        match &self.bucket {
            Some(bucket) => format!("s3://{}/lake", bucket.name),
            None => self.lake().display().to_string(),
        }
    }

    pub fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    pub fn keys(&self) -> PathBuf {
        self.folder.path().join("lake.keys")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("made");
        std::fs::write(&path, bytes).expect("written");
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bonded"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BONDED_")) {
            command.env_remove(name);
        }
        command.env("BONDED_MAIL_IN_DOMAIN", MAIL_DOMAIN);
        // No test asks the network for anything.
        command.env("BONDED_MAIL_IN_DNS", "off");
        if let Some((url, owner)) = &self.postgres {
            command.env("BONDED_STORE_POSTGRES", "env:PRIVATE_POSTGRES").env("PRIVATE_POSTGRES", url);
            // Only what makes schemas is given the owner.
            if let ["init" | "restore", ..] | ["tenant", "add", ..] = arguments {
                command.env("BONDED_STORE_POSTGRES_OWNER", "env:PRIVATE_OWNER").env("PRIVATE_OWNER", owner);
            }
        }
        if let Some(bucket) = &self.bucket {
            command
                .env("BONDED_KEYS_PROVIDER", "aws")
                .env("BONDED_AWS_ENDPOINT", &bucket.endpoint)
                .env("BONDED_AWS_PATH_STYLE", "true");
            for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
                command.env_remove(name);
            }
            command
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test")
                .env("AWS_EC2_METADATA_DISABLED", "true");
            if self.postgres.is_none() {
                command.env("BONDED_STORE_FOLDER", self.lake());
            }
            if let Some(endpoint) = &self.glue {
                command
                    .env("BONDED_CATALOG_KIND", "glue")
                    .env("BONDED_CATALOG_DATABASE", self.glue_database())
                    .env("BONDED_AWS_GLUE_ENDPOINT", endpoint);
            }
        }
        for (name, value) in &self.more {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.arg("--lake").arg(self.lake_url()).args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts")
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        let output = self.command(arguments).output().expect("the binary starts");
        Run {
            code: output.status.code().expect("it ended by itself"),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs, expects success, answers standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.stderr);
        String::from_utf8(run.stdout).expect("text")
    }

    /// Runs with `--json`, answers the lines.
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let mut with = vec!["--json"];
        with.extend(arguments);
        json_lines(&self.ok(&with))
    }

    /// The cells of a one-row answer.
    pub fn ask(&self, tenant: &str, sql: &str) -> Value {
        let mut rows = self.json(&["query", "--tenant", tenant, sql]);
        assert_eq!(rows.len(), 1, "{sql}");
        rows.remove(0)
    }

    /// Writes the three reports of a corpus; answers their paths in report order.
    pub fn corpus_files(&self, folder: &str, corpus: &Corpus) -> Vec<PathBuf> {
        Report::ENTRY_SUMMARIES
            .into_iter()
            .map(|report| self.file(&format!("{folder}/{}", Corpus::file_name(report)), csv(corpus, report)))
            .collect()
    }

    pub fn ingest(&self, tenant: &str, files: &[PathBuf]) -> Vec<Value> {
        let mut arguments = vec!["ingest", "--tenant", tenant];
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        arguments.extend(names.iter().map(String::as_str));
        self.json(&arguments)
    }
}

pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

pub fn csv(corpus: &Corpus, report: Report) -> Vec<u8> {
    let mut bytes = Vec::new();
    corpus.write(report, &mut bytes).expect("written");
    bytes
}

/// A corpus of a random, printed seed.
pub fn random_plan(entries: u32) -> Plan {
    let seed = u64::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..8].try_into().expect("eight bytes"));
    println!("seed {seed}");
    Plan::new(seed, entries)
}

/// All regular files under a folder.
pub fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("listable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
