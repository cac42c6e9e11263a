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
        let socket = format!("-c listen_addresses= -c unix_socket_directories={} {options}", cluster.folder.path().display());
        let log = text(&cluster.folder.path().join("log"));
        cluster.run("pg_ctl", &["-D", &text(&data), "-w", "-t", "60", "-l", &log, "-o", &socket, "start"]);
        Some(cluster)
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
