//! A private PostgreSQL for tests: its own folder, a Unix socket, stopped when dropped.
//! Needs Debian's `postgresql` package; `tests/setup.sh` installs it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

pub struct PrivatePostgres {
    folder: TempDir,
    programs: PathBuf,
}

impl PrivatePostgres {
    /// `None`, said aloud, where PostgreSQL's server programs are not installed. It does not sync: tests cut no power.
    pub fn start() -> Option<Self> {
        Self::start_with("-c fsync=off")
    }

    /// The same with other server options.
    pub fn start_with(options: &str) -> Option<Self> {
        let cluster = Self::made()?;
        cluster.begin("data", options);
        Some(cluster)
    }

    fn made() -> Option<Self> {
        let Some(programs) = programs() else {
            println!("skipped: PostgreSQL's server programs are not installed (Debian package postgresql)");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("bonded-pg").tempdir().expect("a temporary folder");
        let cluster = Self { folder, programs };
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(cluster.folder.path()));
        }
        let data = cluster.folder.path().join("data");
        cluster.run("initdb", &["-A", "trust", "-U", "admin", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-D", &text(&data)]);
        Some(cluster)
    }

    fn begin(&self, data: &str, settings: &str) {
        let folder = self.folder.path();
        let socket = format!("-c listen_addresses= -c unix_socket_directories={} {settings}", folder.display());
        let (data, log) = (text(&folder.join(data)), text(&folder.join("log")));
        self.run("pg_ctl", &["-D", &data, "-w", "-t", "60", "-l", &log, "-o", &socket, "start"]);
    }

    pub fn url(&self) -> String {
        format!("postgres://admin@localhost/postgres?host={}", self.folder.path().display())
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
        command.current_dir("/");
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
        Some(cluster)
    }

    /// `pg_basebackup` into the folder `base`, with no WAL: that comes from the archive.
    pub fn base_backup(&self) {
        let (socket, base) = (text(self.folder.path()), text(&self.folder.path().join("base")));
        self.run("pg_basebackup", &["-h", &socket, "-U", "admin", "-D", &base, "-X", "none", "-c", "fast", "--no-sync"]);
    }

    /// The base backup, brought forward from the archive to this moment, as a server of its own.
    pub fn recovered_to(&self, moment: &str) -> Self {
        let made = tempfile::Builder::new().prefix("bonded-pg").tempdir().expect("a temporary folder");
        let cluster = Self { folder: made, programs: self.programs.clone() };
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

    /// One statement, its answer as plain text.
    pub fn sql(&self, statement: &str) -> String {
        let socket = text(self.folder.path());
        let mut command = self.command("psql");
        let output =
            command.args(["-h", &socket, "-U", "admin", "-d", "postgres", "-Atqc", statement]).output().expect("psql runs");
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
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
