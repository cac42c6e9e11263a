//! A private PostgreSQL for tests: its own folder, a Unix socket, scram passwords, stopped when dropped.
//! It has an owner that may make roles, a database of the owner's, and no application's role: `init` makes that.
//! Needs Debian's `postgresql` package; `tests/setup.sh` installs it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Above every policy; only the test itself is ever this.
const ADMIN: (&str, &str) = ("admin", "admin-password");
const OWNER: (&str, &str) = ("bonded_owner", "owner-password");
/// With what a URL must escape.
const APP: (&str, &str) = ("bonded_app", "app@pass/word");
const DATABASE: &str = "bonded";

pub struct PrivatePostgres {
    folder: TempDir,
    programs: PathBuf,
    /// Part of the socket's name, also where nothing listens on it.
    port: u16,
}

#[allow(dead_code, reason = "the store's tests, the whole machine's and a bench need a part of it each")]
impl PrivatePostgres {
    /// `None`, said aloud, where PostgreSQL's server programs are not installed. It does not sync: tests cut no power.
    pub fn start() -> Option<Self> {
        Self::start_with("-c fsync=off")
    }

    /// The same with other server options.
    pub fn start_with(options: &str) -> Option<Self> {
        let cluster = Self::made()?;
        cluster.begin("data", options);
        cluster.people();
        Some(cluster)
    }

    /// It listens on this port of 127.0.0.1 as well, and there to TLS alone, with what `make` puts into `tls.pem` and `tls.key`.
    pub fn start_with_tls(port: u16, make: impl FnOnce(&Path, &Path)) -> Option<Self> {
        let mut cluster = Self::made()?;
        cluster.port = port;
        let [certificate, key] = ["tls.pem", "tls.key"].map(|name| cluster.folder.path().join(name));
        make(&certificate, &key);
        if is_root() {
            run(Command::new("chown").arg("postgres").args([&certificate, &key]));
        }
        let rules = cluster.folder.path().join("data/pg_hba.conf");
        let text = "local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(&rules, text).expect("written");
        let files = format!("-c ssl_cert_file={} -c ssl_key_file={}", certificate.display(), key.display());
        cluster.begin("data", &format!("-c fsync=off -c ssl=on {files} -c listen_addresses=127.0.0.1 -c port={port}"));
        cluster.people();
        Some(cluster)
    }

    fn people(&self) {
        let (owner, password) = OWNER;
        self.sql_in("postgres", &format!("CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD '{password}'"));
        self.sql_in("postgres", &format!("CREATE DATABASE {DATABASE} OWNER {owner}"));
    }

    fn made() -> Option<Self> {
        let Some(programs) = programs() else {
            println!("skipped: PostgreSQL's server programs are not installed (Debian package postgresql)");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("bonded-pg").tempdir().expect("a temporary folder");
        let cluster = Self { folder, programs, port: 5432 };
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(cluster.folder.path()));
        }
        let (data, password) = (cluster.folder.path().join("data"), cluster.folder.path().join("password"));
        std::fs::write(&password, ADMIN.1).expect("written");
        let (data, password) = (text(&data), format!("--pwfile={}", text(&password)));
        let options = ["-A", "scram-sha-256", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"];
        cluster.run("initdb", &[&options[..], &["-U", ADMIN.0, &password, "-D", &data]].concat());
        Some(cluster)
    }

    fn begin(&self, data: &str, settings: &str) {
        let folder = self.folder.path();
        let socket = format!("-c listen_addresses= -c unix_socket_directories={} {settings}", folder.display());
        let (data, log) = (text(&folder.join(data)), text(&folder.join("log")));
        self.run("pg_ctl", &["-D", &data, "-w", "-t", "60", "-l", &log, "-o", &socket, "start"]);
    }

    /// The application's.
    pub fn url(&self) -> String {
        self.url_of(APP)
    }

    pub fn owner_url(&self) -> String {
        self.url_of(OWNER)
    }

    /// Over the network, its certificate verified for this name.
    pub fn url_by_tls(&self, host: &str, authority: &Path) -> String {
        let (role, password) = APP;
        let password = password.replace('@', "%40").replace('/', "%2F");
        let authority = authority.display();
        format!("postgres://{role}:{password}@{host}:{}/{DATABASE}?sslmode=verify-full&sslrootcert={authority}", self.port)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The application's role and password.
    pub fn app(&self) -> (&'static str, &'static str) {
        APP
    }

    fn url_of(&self, (role, password): (&str, &str)) -> String {
        let password = password.replace('@', "%40").replace('/', "%2F");
        format!("postgres://{role}:{password}@localhost:{}/{DATABASE}?host={}", self.port, self.folder.path().display())
    }

    /// Another database of the owner's in the same cluster, and the two URLs with its name.
    pub fn another(&self, name: &str) -> (String, String) {
        self.sql_in("postgres", &format!("CREATE DATABASE {name} OWNER {}", OWNER.0));
        let named = |url: String| url.replace(&format!("/{DATABASE}?"), &format!("/{name}?"));
        (named(self.url()), named(self.owner_url()))
    }

    /// One statement of the admin's, its answer as plain text.
    pub fn sql(&self, statement: &str) -> String {
        self.sql_in(DATABASE, statement)
    }

    /// What psql answers to whoever has the application's password: the output, or what it failed with.
    pub fn as_app(&self, script: &str) -> Result<String, String> {
        let socket = text(self.folder.path());
        let mut command = self.command("psql");
        command.args(["-h", &socket, "-U", APP.0, "-d", DATABASE, "-v", "ON_ERROR_STOP=1", "-Atqc", script]);
        let output = command.env("PGPASSWORD", APP.1).output().expect("psql runs");
        let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.success() {
            // Notices are part of what is told.
            true => Ok(format!("{}{told}", String::from_utf8_lossy(&output.stdout)).trim().to_owned()),
            false => Err(told),
        }
    }

    fn sql_in(&self, database: &str, statement: &str) -> String {
        let socket = text(self.folder.path());
        let mut command = self.command("psql");
        command.args(["-h", &socket, "-U", ADMIN.0, "-d", database, "-Atqc", statement]);
        let output = command.output().expect("psql runs");
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        run(self.command(program).args(arguments));
    }

    /// initdb and postgres refuse to run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
                command
            }
            false => Command::new(program),
        };
        command.current_dir("/").env("PGPASSWORD", ADMIN.1).env("PGPORT", self.port.to_string());
        command
    }
}

/// What a point-in-time recovery takes: WAL files archived as they fill, a base backup, a moment.
#[allow(dead_code, reason = "the drill recovers; the store's own tests do not")]
impl PrivatePostgres {
    /// As [`PrivatePostgres::start`], with every WAL file copied to an archive that never takes one twice.
    pub fn start_archiving() -> Option<Self> {
        let cluster = Self::made()?;
        let archive = cluster.folder.path().join("archive");
        cluster.make_folder(&archive);
        let copy = format!("test ! -f {0}/%f && cp %p {0}/%f", archive.display());
        cluster.begin("data", &format!("-c wal_level=replica -c archive_mode=on -c archive_command='{copy}'"));
        cluster.people();
        Some(cluster)
    }

    /// `pg_basebackup` into the folder `base`, with no WAL: that comes from the archive.
    pub fn base_backup(&self) {
        let (socket, base) = (text(self.folder.path()), text(&self.folder.path().join("base")));
        self.run("pg_basebackup", &["-h", &socket, "-U", ADMIN.0, "-D", &base, "-X", "none", "-c", "fast", "--no-sync"]);
    }

    /// The base backup, brought forward from the archive to this moment, as a server of its own.
    pub fn recovered_to(&self, moment: &str) -> Self {
        let made = tempfile::Builder::new().prefix("bonded-pg").tempdir().expect("a temporary folder");
        let cluster = Self { folder: made, programs: self.programs.clone(), port: self.port };
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(cluster.folder.path()));
        }
        let data = cluster.folder.path().join("data");
        run(Command::new("cp").arg("-a").arg(self.folder.path().join("base")).arg(&data));
        let signal = data.join("recovery.signal");
        std::fs::write(&signal, "").expect("written");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&signal));
        }
        let archive = self.folder.path().join("archive");
        cluster.begin(
            "data",
            &format!(
                "-c restore_command='cp {}/%f %p' -c recovery_target_time='{moment}' -c recovery_target_action=promote -c archive_mode=off",
                archive.display()
            ),
        );
        for _ in 0..600 {
            if cluster.sql("SELECT pg_is_in_recovery()") == "f" {
                return cluster;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the recovery to {moment} does not end");
    }

    fn make_folder(&self, folder: &Path) {
        std::fs::create_dir(folder).expect("made");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder));
        }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        let _ = self.command("pg_ctl").args(["-D", &text(&data), "-m", "immediate", "stop"]).output();
    }
}

fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
