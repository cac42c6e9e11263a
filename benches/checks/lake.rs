//! The lake that both contenders' rows come from: a seeded corpus of the three reports, ingested by the real binary, and its rows
//! written out once as plain Parquet.

use std::{
    env, fs,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    process::{self, Command},
};

use bonded::demo::corpus::{Corpus, Plan};
use bonded_schemas::Report;

use crate::{Outcome, process::output};

pub const TENANT: &str = "bench";
/// Entries whose rows stand for all others.
const SAMPLE_ENTRIES: u32 = 4_000;
const TABLES: [&str; 6] = ["es_001", "es_002", "es_003", "meta.rules_mpf", "meta.rules_rates", "meta.rules_hts_per_line"];
/// Written last into a folder that is kept.
const MADE: &str = "made";
const MORE_TABLES: [&str; 2] = ["meta.rules_families", "meta.rules_entry_types"];

/// Everything of one run, removed at its end unless it was named.
pub struct Folder {
    pub root: PathBuf,
    kept: bool,
}

pub struct Made {
    /// Of ES-001, ES-002, ES-003.
    pub rows: [u64; 3],
    pub lake_bytes: u64,
    pub parquet_bytes: u64,
}

impl Folder {
    /// `BONDED_BENCH_KEEP`, else a new one below `BONDED_BENCH_DIR` or the system's folder for temporary files.
    pub fn create() -> Outcome<Self> {
        if let Some(root) = env::var_os("BONDED_BENCH_KEEP").map(PathBuf::from) {
            fs::create_dir_all(root.join("parquet"))?;
            return Ok(Self { root, kept: true });
        }
        let parent = env::var_os("BONDED_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
        let root = parent.join(format!("bonded-bench-checks-{}", process::id()));
        fs::create_dir_all(root.join("parquet"))?;
        Ok(Self { root, kept: false })
    }

    pub fn lake(&self) -> PathBuf {
        self.root.join("lake")
    }

    pub fn parquet(&self) -> PathBuf {
        self.root.join("parquet")
    }

    /// An empty folder for what a contender writes.
    pub fn place(&self, name: &str) -> Outcome<PathBuf> {
        let place = self.root.join(name);
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        fs::create_dir(&place)?;
        Ok(place)
    }

    /// The rows of a lake that an earlier run made to its end.
    fn made_before(&self) -> Option<[u64; 3]> {
        let text = fs::read_to_string(self.root.join(MADE)).ok()?;
        let rows: Vec<u64> = text.split_whitespace().map_while(|count| count.parse().ok()).collect();
        rows.try_into().ok()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            // Best effort: the path is ours, and a leftover must not hide the bench's own error.
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// A corpus with about so many tariff rows, with a few discrepancies of each kind, in a lake and as Parquet; or the one that is
/// there already.
pub fn make(folder: &Folder, seed: u64, tariff_rows: u64) -> Outcome<Made> {
    let rows = match folder.made_before() {
        Some(rows) => rows,
        None => make_anew(folder, seed, tariff_rows)?,
    };
    Ok(Made { rows, lake_bytes: size_bytes(&folder.lake().join("tenants"))?, parquet_bytes: size_bytes(&folder.parquet())? })
}

fn make_anew(folder: &Folder, seed: u64, tariff_rows: u64) -> Outcome<[u64; 3]> {
    let plan = |entries| Plan { serial_first: 0, lines_per_entry_max: 12, tariffs_per_line_max: 2, ..Plan::new(seed, entries) };
    let sample = Corpus::new(plan(SAMPLE_ENTRIES))?.write_es_003(&mut std::io::sink())?;
    let entries = tariff_rows * u64::from(SAMPLE_ENTRIES) / sample.rows;
    let corpus = Corpus::new(plan(u32::try_from(entries)?.max(200)).planting(5))?;
    let mut rows = [0; 3];
    bonded(folder, &["init"])?;
    bonded(folder, &["tenant", "add", TENANT])?;
    for (count, report) in rows.iter_mut().zip(Report::ENTRY_SUMMARIES) {
        let path = folder.root.join(Corpus::file_name(report));
        *count = corpus.write(report, &mut BufWriter::new(File::create(&path)?))?.rows;
        bonded(folder, &["ingest", "--tenant", TENANT, &path.display().to_string()])?;
        fs::remove_file(&path)?;
    }
    for table in TABLES.into_iter().chain(MORE_TABLES) {
        let to = folder.parquet().join(format!("{}.parquet", table.trim_start_matches("meta."))).display().to_string();
        // Our own columns of nested types are in no check.
        let all = if table.starts_with("meta.") { "*" } else { "* EXCEPT (_rescued, _repairs)" };
        let sql = format!("SELECT {all} FROM {table}");
        bonded(folder, &["query", "--tenant", TENANT, "--format", "parquet", "--output", &to, &sql])?;
    }
    fs::write(folder.root.join(MADE), rows.map(|count| count.to_string()).join(" "))?;
    Ok(rows)
}

fn bonded(folder: &Folder, arguments: &[&str]) -> Outcome<String> {
    let program = match env::var_os("BONDED_BIN") {
        Some(program) => PathBuf::from(program),
        None => beside_this_program()?,
    };
    let mut command = Command::new(program);
    let limits = [("BONDED_QUERY_ROWS_MAX", "1000000000"), ("BONDED_QUERY_TIME_MAX", "1h")];
    output(command.arg("--lake").arg(folder.lake()).args(arguments).env_remove("BONDED_LAKE").envs(limits))
}

/// `target/release/deps/reconcile-0123` lies one folder below `target/release/bonded`.
fn beside_this_program() -> Outcome<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.parent().and_then(Path::parent).ok_or("this program lies in no target folder; set BONDED_BIN")?;
    Ok(folder.join("bonded"))
}

fn size_bytes(folder: &Path) -> Outcome<u64> {
    let (mut sum, mut folders) = (0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder)? {
            let item = item?;
            match item.file_type()?.is_dir() {
                true => folders.push(item.path()),
                false => sum += item.metadata()?.len(),
            }
        }
    }
    Ok(sum)
}
