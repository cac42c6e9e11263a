//! Pollution: a clean ES-003, spoilt in every way of the Pollock benchmark, and what the loader makes of each file.
//! Promise: every cell loads right, or the rows it cannot are rejects at their place, or the file is quarantined for a
//! reason that its pollution deserves. What falls short stands in `KNOWN_WRONG`, which may only shrink.
//! Never: nothing is skipped; a class that grew a wrong file fails, and so does one that mends it without saying so here.

mod classes;
mod judge;
mod load;
pub mod sheet;

use std::collections::BTreeMap;

use bonded_schemas::QuarantineReason;
use judge::{Verdict, judge};
use load::{Loaded, load};
use sheet::{Polluted, Sheet};

use crate::world::{TENANT, World, json_lines};

/// (class, wrong files): what the loader still gets wrong. May only shrink.
const KNOWN_WRONG: &[(&str, usize)] = &[];
/// Wrong files told of each class.
const TOLD_MAX: usize = 6;

/// One line of the table.
#[derive(Default)]
struct Tally {
    files: usize,
    right: usize,
    rejected: usize,
    rows_rejected: usize,
    rows_swallowed: usize,
    quarantined: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, what: &str, verdict: Verdict) {
        self.files += 1;
        match verdict {
            Verdict::Right => self.right += 1,
            Verdict::Rejected { rows, swallowed } => {
                self.rejected += 1;
                self.rows_rejected += rows;
                self.rows_swallowed += swallowed;
            }
            Verdict::Quarantined(reason) => *self.quarantined.entry(name(reason)).or_default() += 1,
            Verdict::Wrong(why) => self.wrong.push(format!("{what}: {why}")),
        }
    }

    fn cells(&self) -> String {
        let quarantined: Vec<String> = self.quarantined.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let rows = match (self.rows_rejected, self.rows_swallowed) {
            (0, 0) => String::new(),
            (rows, 0) => format!("{rows}"),
            (rows, swallowed) => format!("{rows} + {swallowed}"),
        };
        format!(
            "{} | {} | {} | {rows} | {} | {} |",
            self.files,
            self.right,
            self.rejected,
            quarantined.join(", "),
            self.wrong.len()
        )
    }
}

fn name(reason: QuarantineReason) -> String {
    serde_json::to_value(reason).expect("a word").as_str().expect("a word").to_owned()
}

/// In the order of the files, on all cores.
fn verdicts(base: &Sheet, files: &[Polluted]) -> Vec<Verdict> {
    let judged = |file: &Polluted| {
        let (bytes, places) = file.bytes();
        judge(base, file, &places, &load(&bytes))
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let part = |files| scope.spawn(move || -> Vec<Verdict> { <[Polluted]>::iter(files).map(judged).collect() });
        let parts: Vec<_> = files.chunks(files.len().div_ceil(workers).max(1)).map(part).collect();
        parts.into_iter().flat_map(|part| part.join().expect("a panic fails the test")).collect()
    })
}

#[test]
fn every_polluted_file_loads_right_or_is_refused_for_its_reason() {
    let sheet = Sheet::new();
    println!("{} rows of {} columns\n", sheet.rows.len(), sheet.header.len());
    println!("| level | class | files | every cell right | right, spoilt rows rejected | rows rejected | quarantined | wrong |");
    println!("|---|---|---|---|---|---|---|---|");
    let (mut all, mut wrong, mut told) = (Tally::default(), BTreeMap::new(), Vec::new());
    for class in classes::all(&sheet) {
        let base = class.base.as_ref().unwrap_or(&sheet);
        let mut tally = Tally::default();
        for (file, verdict) in class.files.iter().zip(verdicts(base, &class.files)) {
            tally.add(&file.what, verdict);
        }
        println!("| {} | {}{} | {}", class.level, class.name, if class.ours { " +" } else { "" }, tally.cells());
        told.extend(tally.wrong.iter().take(TOLD_MAX).map(|file| format!("wrong, {}: {file}", class.name)));
        all.files += tally.files;
        all.right += tally.right;
        all.rejected += tally.rejected;
        all.rows_rejected += tally.rows_rejected;
        all.rows_swallowed += tally.rows_swallowed;
        tally.quarantined.into_iter().for_each(|(reason, count)| *all.quarantined.entry(reason).or_default() += count);
        wrong.insert(class.name, tally.wrong.len());
        all.wrong.extend(tally.wrong);
    }
    println!("| | all | {}\n\n{}", all.cells(), told.join("\n"));
    assert!(all.files > 2_289, "the paper has 2,289 files; these are {}", all.files);
    let known: BTreeMap<&str, usize> = KNOWN_WRONG.iter().copied().collect();
    let found: BTreeMap<&str, usize> =
        wrong.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (*name, *count)).collect();
    assert_eq!(found, known, "wrong files by class: mend the loader, or take out of `KNOWN_WRONG` what is mended");
}

/// What the method calls pollution of the file's name: nothing may come of it.
const FILE_NAMES: [&str; 7] = ["source", "\u{a0}.csv", "$.csv", ".csv", "source.tsv", "source.pdf", "source.loremipsum"];

#[test]
fn the_binary_makes_of_a_file_of_each_class_what_the_parser_makes_of_it() {
    let world = World::new();
    let sheet = Sheet::new();
    let classes = classes::all(&sheet);
    let samples: Vec<_> = classes.iter().map(|class| (class.name, class.files[class.files.len() / 2].bytes().0)).collect();
    let path = |(at, (_, bytes)): (usize, &(&str, Vec<u8>))| {
        let name = format!("{at}/{}", FILE_NAMES[at % FILE_NAMES.len()]);
        world.file(&name, bytes).display().to_string()
    };
    let paths: Vec<String> = samples.iter().enumerate().map(path).collect();
    let mut arguments = vec!["--json", "ingest", "--tenant", TENANT];
    arguments.extend(paths.iter().map(String::as_str));
    let run = world.run(&arguments);
    assert_eq!(run.code, 5, "some are quarantined: {}", run.stderr);
    let receipts = json_lines(&String::from_utf8(run.stdout).expect("text"));
    assert_eq!(receipts.len(), samples.len(), "{}", run.stderr);
    for (receipt, (class, bytes)) in receipts.iter().zip(&samples) {
        match load(bytes) {
            Loaded::Quarantined(quarantine) => {
                assert_eq!(receipt["quarantine"]["reason"], name(quarantine.reason), "{class}: {receipt}");
                assert_eq!(receipt["rows_committed"], 0, "{class}");
            }
            Loaded::Rows(table) => {
                let counts = (receipt["rows_committed"].as_u64(), receipt["rows_rejected"].as_u64());
                assert_eq!(counts, (Some(table.rows.len() as u64), Some(table.rows_rejected)), "{class}: {receipt}");
                assert_eq!(receipt["control_totals"], serde_json::to_value(&table.control_totals).expect("text"), "{class}");
            }
        }
    }
}
