//! What one ES-003 costs: `bonded ingest` (hash, seal, parse, type, drift, encrypted Iceberg commit) beside Polars doing only
//! scan, type and write of the same file, in the same run; and beside arrow-csv with parquet's ArrowWriter.
//! Promise: contenders take turns, each in a process of its own, and a run whose answers differ ends in an error, not a table.
//! Never: no figure from memory, no contender timed together with another, no clean-up outside the bench's own folder.
//!
//! Settings (environment): see `README.md` beside this file.

mod arrow_peer;
mod contender;
mod peer;
mod process;
mod table;
mod work;

use std::{env, error::Error, path::Path, process::ExitCode};

use contender::{Arrow, Bonded, Contender, Encryption, Polars};
use process::Usage;
use work::{Input, Totals, Work};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// First argument of this program run as the Polars contender.
const PEER_FLAG: &str = "--run-polars";
/// As the arrow-csv contender.
const ARROW_FLAG: &str = "--run-arrow";

struct Settings {
    size_mb: u64,
    rounds: usize,
    seed: u64,
    with_plain: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let outcome = match arguments.get(1).map(String::as_str) {
        Some(PEER_FLAG) => peer::run(&arguments[2..]),
        Some(ARROW_FLAG) => arrow_peer::run(&arguments[2..]),
        // What cargo and people pass to a bench (`--bench`, a filter) selects nothing here.
        _ => Settings::from_environment().and_then(|settings| run(&settings)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings) -> Outcome<()> {
    let work = Work::create()?;
    let input = Input::write(&work, settings.seed, settings.size_mb * 1_000_000)?;
    println!("{}", input.describe());
    let contenders = contenders(settings)?;
    let mut usages: Vec<Vec<Usage>> = vec![Vec::new(); contenders.len()];
    for round in 0..settings.rounds {
        for turn in turns(contenders.len(), round) {
            let usage = one_run(contenders[turn].as_ref(), &input, &work.folder(round, turn)?)?;
            println!("round {} {}", round + 1, table::line(contenders[turn].name(), &usage, input.size_bytes));
            usages[turn].push(usage);
        }
    }
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name()).collect();
    println!("\n{}", table::summary(&names, &usages, input.size_bytes));
    Ok(())
}

/// The peer that ratios are taken against comes last. A new contender is one more line here.
fn contenders(settings: &Settings) -> Outcome<Vec<Box<dyn Contender>>> {
    let mut contenders: Vec<Box<dyn Contender>> = vec![Box::new(Bonded::find(Encryption::On)?)];
    if settings.with_plain {
        contenders.push(Box::new(Bonded::find(Encryption::Off)?));
    }
    contenders.push(Box::new(Arrow::this_program()?));
    contenders.push(Box::new(Polars::this_program()?));
    Ok(contenders)
}

/// Every other round runs backwards, so that no contender always follows the same one.
fn turns(count: usize, round: usize) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..count).collect() } else { (0..count).rev().collect() }
}

/// Prepares, measures, then checks the answer; only the middle step is timed. The folder is removed at the end.
fn one_run(contender: &dyn Contender, input: &Input, folder: &Path) -> Outcome<Usage> {
    contender.prepare(folder)?;
    input.warm()?;
    let usage = process::measure(&mut contender.command(&input.path, folder), folder)?;
    let totals = contender.totals(folder)?;
    check(contender.name(), &totals, &input.totals)?;
    std::fs::remove_dir_all(folder)?;
    Ok(usage)
}

fn check(name: &str, found: &Totals, written: &Totals) -> Outcome<()> {
    if found == written {
        return Ok(());
    }
    Err(format!("{name} answers {found:?}, the file holds {written:?}; a wrong answer is not timed").into())
}

impl Settings {
    fn from_environment() -> Outcome<Self> {
        Ok(Self {
            size_mb: number("BONDED_BENCH_MB", 64)?.max(1),
            rounds: number("BONDED_BENCH_ROUNDS", 3)?.max(1) as usize,
            seed: number("BONDED_BENCH_SEED", 1)?,
            with_plain: number("BONDED_BENCH_PLAIN", 0)? != 0,
        })
    }
}

fn number(name: &str, default: u64) -> Outcome<u64> {
    match env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name} must be a whole number, not `{text}`").into()),
        Err(_) => Ok(default),
    }
}
