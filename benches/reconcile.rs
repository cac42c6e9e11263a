//! What the checks cost: `reconcile` over an encrypted lake, check by check, beside DuckDB doing the same SQL over the same rows as
//! plain zstd Parquet, in the same run.
//! Promise: each contender is a process of its own; both say how many findings they have, and where they do not agree the
//! table says so instead of a ratio.
//! Never: no figure from memory; nothing is installed outside the bench's own folder; without DuckDB the rest still runs.
//!
//! Settings (environment): see `README.md` beside this file.

#[path = "checks/lake.rs"]
mod lake;
#[path = "checks/peer.rs"]
mod peer;
#[expect(dead_code, reason = "the other bench uses the rest")]
mod process;
#[path = "checks/session.rs"]
mod session;

use std::{collections::BTreeMap, env, error::Error, process::ExitCode};

use lake::{Folder, Made};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// First argument of this program run as our own contender.
const OURS_FLAG: &str = "--run-session";

/// The checks that hold the three reports against each other.
const TIE_OUT: [&str; 8] = [
    "line_value",
    "line_duty",
    "entry_value",
    "entry_duty",
    "entry_mpf_clamp",
    "missing_in_es_001",
    "missing_in_es_002",
    "missing_in_es_003",
];

/// One check of one contender: seconds and findings.
type Figures = BTreeMap<String, (f64, u64)>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let outcome = match arguments.get(1).map(String::as_str) {
        Some(OURS_FLAG) => session::run(&arguments[2..]),
        _ => run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let rows = number("BONDED_BENCH_ROWS", 500_000)?.max(1_000);
    let rounds = number("BONDED_BENCH_ROUNDS", 2)?.max(1);
    let folder = Folder::create()?;
    let made = lake::make(&folder, number("BONDED_BENCH_SEED", 1)?, rows)?;
    println!("{}", made.describe());
    let python = peer::python();
    if let Err(why) = &python {
        println!("DuckDB is left out: {why}");
    }
    let (mut ours, mut theirs) = (Best::default(), Best::default());
    for round in 0..rounds {
        ours.take(session::contend(&folder, round)?);
        if let Ok(python) = &python {
            theirs.take(peer::contend(python, &folder, &made, round)?);
        }
    }
    println!("{}", table(&ours, python.is_ok().then_some(&theirs)));
    Ok(())
}

/// The fastest of the rounds, check by check, and the highest memory.
#[derive(Default)]
struct Best {
    figures: Figures,
    order: Vec<String>,
    peak_bytes: u64,
    remarks: Vec<String>,
}

impl Best {
    fn take(&mut self, told: Told) {
        self.peak_bytes = self.peak_bytes.max(told.peak_bytes);
        self.remarks = told.remarks;
        for (check, seconds, findings) in told.checks {
            if !self.order.contains(&check) {
                self.order.push(check.clone());
            }
            let best = self.figures.entry(check).or_insert((seconds, findings));
            best.0 = best.0.min(seconds);
        }
    }

    fn sum(&self, checks: &[&str]) -> Option<f64> {
        checks.iter().map(|check| self.figures.get(*check).map(|(seconds, _)| seconds)).sum()
    }
}

/// What one run of a contender said.
#[derive(Debug, Default)]
pub struct Told {
    /// In the order in which they were asked.
    checks: Vec<(String, f64, u64)>,
    peak_bytes: u64,
    remarks: Vec<String>,
}

impl Told {
    /// Lines of `check,seconds,findings`; `# ...` is a remark.
    fn read(text: &str, peak_bytes: u64) -> Self {
        let mut told = Told { peak_bytes, ..Told::default() };
        for line in text.lines() {
            let mut parts = line.split(',');
            let figures = (parts.next(), parts.next().and_then(|s| s.parse().ok()), parts.next().and_then(|n| n.parse().ok()));
            match (line.strip_prefix("# "), figures) {
                (Some(remark), _) => told.remarks.push(remark.to_owned()),
                (None, (Some(check), Some(seconds), Some(findings))) => told.checks.push((check.to_owned(), seconds, findings)),
                _ => {}
            }
        }
        told
    }
}

fn table(ours: &Best, theirs: Option<&Best>) -> String {
    let mut out = String::from("\n| check | findings | bonded s | DuckDB s | ratio |\n|---|---|---|---|---|\n");
    for check in &ours.order {
        let (seconds, findings) = ours.figures[check];
        let peer = theirs.and_then(|theirs| theirs.figures.get(check));
        let (peer_seconds, ratio) = match peer {
            None => ("-".to_owned(), "-".to_owned()),
            Some((other, found)) if *found == findings => (format!("{other:.3}"), format!("{:.2}", seconds / other)),
            Some((other, found)) => (format!("{other:.3}"), format!("{found} findings")),
        };
        out += &format!("| {check} | {findings} | {seconds:.3} | {peer_seconds} | {ratio} |\n");
    }
    for (name, checks) in [("tie-out", TIE_OUT.to_vec()), ("all", ours.order.iter().map(String::as_str).collect())] {
        let (one, two) = (ours.sum(&checks), theirs.and_then(|theirs| theirs.sum(&checks)));
        let cell = |seconds: Option<f64>| seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.3}"));
        let ratio = one.zip(two).map_or("-".to_owned(), |(one, two)| format!("{:.2}", one / two));
        out += &format!("| **{name}** | | {} | {} | {ratio} |\n", cell(one), cell(two));
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    out += &format!("\npeak memory: bonded {:.0} MiB", mib(ours.peak_bytes));
    if let Some(theirs) = theirs {
        out += &format!(", DuckDB {:.0} MiB", mib(theirs.peak_bytes));
        out += &theirs.remarks.iter().map(|remark| format!("\nDuckDB: {remark}")).collect::<String>();
    }
    out
}

fn number(name: &str, default: u64) -> Outcome<u64> {
    match env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name} must be a whole number, not `{text}`").into()),
        Err(_) => Ok(default),
    }
}

impl Made {
    fn describe(&self) -> String {
        format!(
            "{} tariff lines, {} lines, {} entries in a lake of {:.0} MB; the same as plain Parquet: {:.0} MB",
            self.rows[2],
            self.rows[1],
            self.rows[0],
            self.lake_bytes as f64 / 1e6,
            self.parquet_bytes as f64 / 1e6
        )
    }
}
