//! Who is measured: the `bonded` binary, with and without encryption, Polars, and arrow-csv.
//! Promise: preparation and the reading back of the answer are outside the measured command.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    ARROW_FLAG, Outcome, PEER_FLAG, arrow_peer, peer, process,
    work::{Totals, files_below},
};

pub trait Contender {
    fn name(&self) -> &'static str;
    /// Brings the empty folder to where the measured command starts from.
    fn prepare(&self, folder: &Path) -> Outcome<()>;
    /// The measured command.
    fn command(&self, input: &Path, folder: &Path) -> Command;
    /// What the result adds up to, read back from what was written.
    fn totals(&self, folder: &Path) -> Outcome<Totals>;
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    On,
    /// Asked for by `BONDED_BENCH_PLAIN=1` in the child's environment; refused unless the lake then really is plain.
    Off,
}

/// `bonded init`, `tenant add`, then, measured, `ingest` into the fresh lake.
pub struct Bonded {
    program: PathBuf,
    encryption: Encryption,
}

/// This program again, doing `peer::run`.
pub struct Polars {
    program: PathBuf,
}

/// This program again, doing `arrow_peer::run`.
pub struct Arrow {
    program: PathBuf,
}

impl Bonded {
    /// `BONDED_BIN`, else the release binary of the target folder that this bench was built in.
    pub fn find(encryption: Encryption) -> Outcome<Self> {
        let program = match env::var_os("BONDED_BIN") {
            Some(program) => PathBuf::from(program),
            None => beside_this_program()?,
        };
        if !program.is_file() {
            return Err(format!("no binary at {}; run `cargo build --release` or set BONDED_BIN", program.display()).into());
        }
        Ok(Self { program, encryption })
    }

    fn bonded(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--lake").arg(folder.join("lake")).args(arguments).env_remove("BONDED_LAKE").env_remove("BONDED_BENCH_PLAIN");
        if self.encryption == Encryption::Off {
            command.env("BONDED_BENCH_PLAIN", "1");
        }
        command
    }
}

/// `target/release/deps/ingest-0123` lies one folder below `target/release/bonded`.
fn beside_this_program() -> Outcome<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.parent().and_then(Path::parent).ok_or("this program lies in no target folder; set BONDED_BIN")?;
    Ok(folder.join("bonded"))
}

impl Contender for Bonded {
    fn name(&self) -> &'static str {
        match self.encryption {
            Encryption::On => "bonded",
            Encryption::Off => "bonded, plain",
        }
    }

    fn prepare(&self, folder: &Path) -> Outcome<()> {
        process::output(&mut self.bonded(folder, &["init"]))?;
        process::output(&mut self.bonded(folder, &["tenant", "add", "bench"]))?;
        Ok(())
    }

    fn command(&self, input: &Path, folder: &Path) -> Command {
        let mut command = self.bonded(folder, &["ingest", "--tenant", "bench"]);
        command.arg(input);
        command
    }

    fn totals(&self, folder: &Path) -> Outcome<Totals> {
        check_encryption(&folder.join("lake"), self.encryption)?;
        let sql = "SELECT count(*) AS rows, CAST(sum(line_tariff_goods_value_amount) AS VARCHAR) AS value, \
                   CAST(sum(line_tariff_duty_amount) AS VARCHAR) AS duty FROM es_003";
        let answer = process::output(&mut self.bonded(folder, &["--json", "query", "--tenant", "bench", sql]))?;
        let row =
            answer.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|row| row.get("rows").is_some());
        let row = row.ok_or_else(|| format!("`bonded query` gave no row: {answer}"))?;
        let text = |name: &str| match &row[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Ok(Totals { rows: text("rows").parse()?, value_cents: cents(&text("value"))?, duty_cents: cents(&text("duty"))? })
    }
}

/// Parquet says itself whether its footer is encrypted: `PARE`, else `PAR1` (Parquet modular encryption).
fn check_encryption(lake: &Path, encryption: Encryption) -> Outcome<()> {
    let (mut encrypted, mut plain) = (0, 0);
    for file in files_below(lake)? {
        match &fs::read(&file)?[..] {
            [.., b'P', b'A', b'R', b'E'] => encrypted += 1,
            [.., b'P', b'A', b'R', b'1'] => plain += 1,
            _ => {}
        }
    }
    let is_as_said = match encryption {
        Encryption::On => encrypted > 0 && plain == 0,
        Encryption::Off => encrypted == 0 && plain > 0,
    };
    if is_as_said {
        return Ok(());
    }
    Err(format!("the lake holds {encrypted} encrypted and {plain} plain data files; this is not what was to be measured").into())
}

impl Polars {
    pub fn this_program() -> Outcome<Self> {
        Ok(Self { program: env::current_exe()? })
    }
}

impl Contender for Polars {
    fn name(&self) -> &'static str {
        "polars"
    }

    fn prepare(&self, _folder: &Path) -> Outcome<()> {
        Ok(())
    }

    fn command(&self, input: &Path, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(PEER_FLAG).arg(input).arg(folder.join("es_003.parquet"));
        command
    }

    fn totals(&self, folder: &Path) -> Outcome<Totals> {
        peer::totals(&folder.join("es_003.parquet"))
    }
}

impl Arrow {
    pub fn this_program() -> Outcome<Self> {
        Ok(Self { program: env::current_exe()? })
    }
}

impl Contender for Arrow {
    fn name(&self) -> &'static str {
        "arrow-csv"
    }

    fn prepare(&self, _folder: &Path) -> Outcome<()> {
        Ok(())
    }

    fn command(&self, input: &Path, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(ARROW_FLAG).arg(input).arg(folder.join("es_003.parquet"));
        command
    }

    fn totals(&self, folder: &Path) -> Outcome<Totals> {
        arrow_peer::totals(&folder.join("es_003.parquet"))
    }
}

/// `1234.50` as 123450; exactly two places, as a sum of decimal(18,2) prints.
pub fn cents(text: &str) -> Outcome<i64> {
    let (whole, part) = text.split_once('.').ok_or_else(|| format!("`{text}` is no amount with two places"))?;
    if part.len() != 2 {
        return Err(format!("`{text}` is no amount with two places").into());
    }
    Ok(format!("{whole}{part}").parse()?)
}
