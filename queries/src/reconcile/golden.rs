//! Golden answers: `tests/slt/<check>.slt` holds small hand-made reports and what the check says of them.
//! Promise: each check has a file with a finding, with rows that are right, and, where it can be, with rows it does not judge.
//!
//! A file is a list of cases. A case has tables and one `check`; what stands under `----` is the answer:
//! ```text
//! case a cent too much
//! table es_002
//! entry_summary_number | line_goods_value_amount | line_mpf_amount
//! XZ900000010          | 1000.00                 | 3.47
//! check line_mpf rows_min=3
//! ----
//! error XZ900000010 line 1: expected 3.46, actual 3.47 (es_002:2)
//! ```
//! An empty cell is null. `_delivery_id` is the table, `_line` counts from 2, `_as_of` is 2026-02-01, unless given.
//! `SLT_REWRITE=1` writes the answers anew, to be read before they are believed.

use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use bonded_schemas::{Registry, Report, RuleBook, table::schema};
use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringArray, new_null_array},
        compute::cast,
        datatypes::SchemaRef,
    },
    datasource::{MemTable, TableProvider},
};

use super::{CheckResult, Outcome};
use crate::{
    Session,
    library::Library,
    testing::{small, store},
};

/// One case of a file: its text up to the answer, and the answer.
struct Case {
    asked: String,
    answer: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).with_file_name("tests").join("slt")
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut in_answer = true;
    for line in text.lines() {
        if line.starts_with("case ") || (cases.is_empty() && !line.is_empty()) {
            cases.push(Case { asked: String::new(), answer: String::new() });
            in_answer = false;
        }
        let Some(case) = cases.last_mut() else { continue };
        if line == "----" {
            in_answer = true;
        } else if in_answer && !line.is_empty() {
            case.answer.push_str(line);
            case.answer.push('\n');
        } else if !in_answer {
            case.asked.push_str(line);
            case.asked.push('\n');
        }
    }
    cases
}

async fn answer(asked: &str) -> String {
    let mut rows: Vec<(Report, Vec<Vec<String>>)> = Vec::new();
    let (mut chosen, mut given, mut rules) = (None, Vec::new(), RuleBook::builtin().clone());
    for line in asked.lines().filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("case ")) {
        if let Some(table) = line.strip_prefix("table ") {
            rows.push((Report::ENTRY_SUMMARIES.into_iter().find(|report| report.table() == table).expect(table), Vec::new()));
        } else if let Some(check) = line.strip_prefix("check ") {
            let mut words = check.split(' ');
            chosen = words.next().map(str::to_owned);
            given.extend(
                words.map(|word| word.split_once('=').expect(word)).map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
        } else if let Some(rule) = line.strip_prefix("rule ") {
            rules = rules.with(&RuleBook::parse(&rule.replace("; ", "\n")).expect(rule)).expect(rule);
        } else {
            let cells = line.split('|').map(|cell| cell.trim().to_owned()).collect();
            rows.last_mut().expect("a table before its rows").1.push(cells);
        }
    }
    let tables = Report::ENTRY_SUMMARIES.map(|report| {
        let given: Vec<&Vec<Vec<String>>> = rows.iter().filter(|(of, _)| *of == report).map(|(_, rows)| rows).collect();
        (report.table().to_owned(), table(report, &given))
    });
    let session =
        Session::over_rules(tables.into(), Vec::new(), &rules, store(), small(), crate::session::ImporterNumbers::Whole)
            .await
            .unwrap();
    let chosen = [chosen.expect("a line `check ...`")];
    let results = session.reconcile_with(Library::builtin(), Some(&chosen), &given).await.unwrap();
    told(&results)
}

/// The report's rows, at its edition's full width.
fn table(report: Report, given: &[&Vec<Vec<String>>]) -> Arc<dyn TableProvider> {
    let schema: SchemaRef = Arc::new(schema(&Registry::builtin().edition(report).columns));
    let mut batches = Vec::new();
    let mut line = 2;
    for rows in given {
        let (header, rows) = rows.split_first().expect("a header row");
        for name in header {
            assert!(schema.column_with_name(name).is_some(), "{report} has no column {name}");
        }
        assert!(rows.iter().all(|row| row.len() == header.len()), "{report}: as many cells as columns");
        let lines: Vec<String> = (line..line + rows.len()).map(|line| line.to_string()).collect();
        line += rows.len();
        let columns = schema.fields().iter().map(|field| {
            let cells: Option<Vec<Option<&str>>> =
                match (header.iter().position(|name| name == field.name()), field.name().as_str()) {
                    (Some(at), _) => {
                        Some(rows.iter().map(|row| Some(row[at].as_str()).filter(|cell| !cell.is_empty())).collect())
                    }
                    (None, "_delivery_id") => Some(vec![Some(report.table()); rows.len()]),
                    (None, "_as_of") => Some(vec![Some("2026-02-01T00:00:00Z"); rows.len()]),
                    (None, "_line" | "_row") => Some(lines.iter().map(|line| Some(line.as_str())).collect()),
                    (None, "_byte") => Some(vec![Some("0"); rows.len()]),
                    (None, _) => None,
                };
            match cells {
                Some(cells) => {
                    let texts: ArrayRef = Arc::new(StringArray::from(cells.clone()));
                    let typed = cast(&texts, field.data_type()).unwrap();
                    assert_eq!(typed.null_count(), texts.null_count(), "{}: {cells:?} do not all read", field.name());
                    typed
                }
                None => new_null_array(field.data_type(), rows.len()),
            }
        });
        batches.push(RecordBatch::try_new(schema.clone(), columns.collect()).unwrap());
    }
    Arc::new(MemTable::try_new(schema, vec![batches]).unwrap())
}

fn told(results: &[CheckResult]) -> String {
    let mut text = String::new();
    for result in results {
        for finding in result.findings() {
            let line = finding.entry_summary_line_number.map(|line| format!(" line {line}")).unwrap_or_default();
            let or_dash = |amount: &Option<String>| amount.clone().unwrap_or_else(|| "-".to_owned());
            let rows: Vec<String> =
                finding.delivery_ids.iter().zip(&finding.lines).map(|(id, line)| format!("{id}:{line}")).collect();
            let mark = if finding.as_of_differs { ", pulled on different days" } else { "" };
            let entry = &finding.entry_summary_number;
            let (expected, actual) = (or_dash(&finding.expected), or_dash(&finding.actual));
            let severity = finding.severity;
            writeln!(text, "{severity} {entry}{line}: expected {expected}, actual {actual} ({}){mark}", rows.join(" ")).unwrap();
        }
        match &result.outcome {
            Outcome::NotJudged(reason) => writeln!(text, "not judged: {reason}").unwrap(),
            Outcome::Judged(findings) => {
                if findings.is_empty() {
                    writeln!(text, "right").unwrap();
                }
                for note in &result.notes {
                    writeln!(text, "note: {note}").unwrap();
                }
            }
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_answers_as_its_golden_file_says() {
    let rewrite = std::env::var_os("SLT_REWRITE").is_some();
    let mut wrong = Vec::new();
    let files = Library::builtin().checks().map(|(question, _)| {
        let path = folder().join(format!("{}.slt", question.id));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let asked: Vec<String> =
            cases(&text).into_iter().map(|case| case.asked).filter(|asked| asked.contains("\ncheck ")).collect();
        let answers: Vec<_> = asked.into_iter().map(|asked| tokio::spawn(async move { answer(&asked).await })).collect();
        (question, path, text, answers)
    });
    for (question, path, text, answered) in files.collect::<Vec<_>>() {
        let mut answered = answered.into_iter();
        let mut written = String::new();
        let mut answers = String::new();
        for case in cases(&text) {
            if !case.asked.contains("\ncheck ") {
                written.push_str(&case.asked);
                continue;
            }
            assert!(case.asked.contains(&format!("\ncheck {}", question.id)), "{} asks another check", path.display());
            let answer = answered.next().expect("one for each case").await.unwrap();
            answers.push_str(&answer);
            if answer != case.answer {
                wrong.push(format!("{}\n{}expected:\n{}got:\n{answer}", path.display(), case.asked, case.answer));
            }
            write!(written, "{}----\n{answer}\n", case.asked).unwrap();
        }
        if rewrite {
            std::fs::write(&path, written.trim_end().to_owned() + "\n").unwrap();
            continue;
        }
        let says = |what: &str| answers.lines().any(|line| line.starts_with(what));
        let severity = question.check.as_ref().map(|check| check.severity.as_str()).unwrap_or_default();
        assert!(says(severity) && says("right"), "{} lacks a finding or a case that is right", path.display());
        assert!(says("not judged: ") || says("note: "), "{} lacks a case that is not judged", path.display());
    }
    assert!(rewrite || wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_golden_file_is_of_a_check_that_there_is() {
    for file in std::fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let id = name.strip_suffix(".slt").unwrap_or_else(|| panic!("{name} is no .slt file"));
        assert!(Library::builtin().checks().any(|(question, _)| question.id == id), "{name}");
    }
}
