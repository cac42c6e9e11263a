//! The bench's folder and the file that all contenders read.
//! Promise: everything lies in one folder of our own, removed when the bench ends, also when it fails.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process,
    time::Instant,
};

use bonded::demo::corpus::{Corpus, Plan};

use crate::Outcome;

/// What a contender's result must add up to. Money in cents, so that no formatting gets in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub rows: u64,
    pub value_cents: i64,
    pub duty_cents: i64,
}

pub struct Work {
    root: PathBuf,
}

pub struct Input {
    pub path: PathBuf,
    pub size_bytes: u64,
    pub totals: Totals,
    entries: u32,
    seed: u64,
    write_seconds: f64,
}

impl Work {
    /// Below `BONDED_BENCH_DIR`, else below the system's folder for temporary files.
    pub fn create() -> Outcome<Self> {
        let parent = env::var_os("BONDED_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
        let root = parent.join(format!("bonded-bench-{}", process::id()));
        fs::create_dir_all(&root).map_err(|error| format!("{} cannot be made: {error}", root.display()))?;
        Ok(Self { root })
    }

    /// A new empty folder for one run.
    pub fn folder(&self, round: usize, turn: usize) -> Outcome<PathBuf> {
        let folder = self.root.join(format!("run-{round}-{turn}"));
        fs::create_dir(&folder)?;
        Ok(folder)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Best effort: the path is ours, and a leftover in a temporary folder must not hide the bench's own error.
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Input {
    pub fn write(work: &Work, seed: u64, size_bytes: u64) -> Outcome<Self> {
        let started = Instant::now();
        let corpus = Corpus::new(Plan::for_size_bytes(seed, size_bytes)?)?;
        let path = work.root.join("ES-003_Entry_Summary_Line_Tariff_Details.csv");
        let written = corpus.write_es_003(&mut File::create(&path)?)?;
        let (value_cents, duty_cents) = corpus.es_003_totals_cents();
        Ok(Self {
            path,
            size_bytes: written.size_bytes,
            totals: Totals { rows: written.rows, value_cents, duty_cents },
            entries: corpus.plan().entries,
            seed,
            write_seconds: started.elapsed().as_secs_f64(),
        })
    }

    pub fn describe(&self) -> String {
        format!(
            "ES-003 of {:.1} MB: {} entries, {} tariff rows, seed {}, written in {:.1} s",
            self.size_bytes as f64 / 1e6,
            self.entries,
            self.totals.rows,
            self.seed,
            self.write_seconds
        )
    }

    /// Reads the file once, so that every contender finds it in the page cache: the disk is not what is compared.
    pub fn warm(&self) -> Outcome<()> {
        io::copy(&mut File::open(&self.path)?, &mut io::sink())?;
        Ok(())
    }
}

/// All files below a folder, at any depth.
pub fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder)? {
            let item = item?;
            if item.file_type()?.is_dir() { folders.push(item.path()) } else { files.push(item.path()) }
        }
    }
    Ok(files)
}
