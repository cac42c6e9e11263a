//! The peer: DuckDB over the same rows as plain Parquet, asked the SQL of `queries/sql` by `ask_duckdb.py`, on as many threads.
//! It is installed from PyPI into a folder of its own beside this program, once.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Outcome, Told, lake, process};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/checks/ask_duckdb.py");
const SQL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../queries/sql");
const VERSION: &str = "duckdb==1.4.1";

/// A Python that has DuckDB: `BONDED_BENCH_PYTHON`, else one that is made in the target folder.
pub fn python() -> Outcome<PathBuf> {
    if let Some(python) = env::var_os("BONDED_BENCH_PYTHON") {
        return Ok(PathBuf::from(python));
    }
    let target = env::current_exe()?;
    let target = target.ancestors().nth(3).ok_or("this program lies in no target folder; set BONDED_BENCH_PYTHON")?;
    let (venv, python) = (target.join("bench-venv"), target.join("bench-venv/bin/python"));
    if !python.exists() {
        process::output(Command::new("python3").arg("-m").arg("venv").arg(&venv))?;
    }
    if process::output(Command::new(&python).args(["-c", "import duckdb"])).is_err() {
        process::output(Command::new(&python).args(["-m", "pip", "install", "--quiet", VERSION]))?;
    }
    Ok(python)
}

pub fn contend(python: &Path, folder: &lake::Folder, made: &lake::Made, round: u64) -> Outcome<Told> {
    debug_assert!(made.parquet_bytes > 0);
    let place = folder.place(&format!("theirs-{round}"))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let mut command = Command::new(python);
    let usage = process::measure(command.arg(SCRIPT).arg(folder.parquet()).arg(SQL).arg(threads), &place)?;
    Ok(Told::read(&std::fs::read_to_string(place.join("stdout"))?, usage.peak_bytes))
}
