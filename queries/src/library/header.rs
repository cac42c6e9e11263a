//! Reads the header of a question: two lines for people, then settings.
//! Promise: what is not understood is refused with its line; nothing is skipped.

use bonded_schemas::Severity;

use super::{Check, Evidence, Grain, Question, Source, Topic, View, Work, params::Param};
use crate::error::{Error, Result};

const KNOWN: &str = "severity, rule, needs, any, against, reads, evidence, work, param";

pub(super) fn read(topic: Topic, id: &str, sql: &str) -> Result<Question> {
    let fault = |line: usize, what: String| Error::input(format!("check `{id}`, line {line}: {what}"));
    let mut lines = sql.lines().enumerate().map_while(|(at, line)| Some((at + 1, line.strip_prefix("-- ")?.trim())));
    let question = lines.next().filter(|(_, line)| line.contains('?'));
    let (_, question) = question.ok_or_else(|| fault(1, "write the question, `-- Does ... ?`".to_owned()))?;
    let who_asks = lines.next().filter(|(_, line)| line.contains("ask"));
    let (_, who_asks) = who_asks.ok_or_else(|| fault(2, "write who asks and why, `-- Finance asks; ...`".to_owned()))?;
    let mut params: Vec<Param> = Vec::new();
    let mut check = Check {
        severity: Severity::Info,
        rule: String::new(),
        needs: Vec::new(),
        any: Vec::new(),
        against: Vec::new(),
        reads: Vec::new(),
        evidence: Vec::new(),
        work: Vec::new(),
    };
    let (mut severity, mut last) = (None, 2);
    for (at, line) in lines {
        last = at;
        let no_setting = || fault(at, format!("`{line}` is no setting; known: {KNOWN}, as in `-- severity: warning`"));
        let (name, value) = line.split_once(": ").ok_or_else(no_setting)?;
        let items = || value.split(", ").map(str::trim);
        let sources = || items().map(source).collect::<Option<Vec<_>>>().ok_or_else(|| fault(at, unknown_view(value)));
        match name {
            "severity" => {
                let known = [Severity::Info, Severity::Warning, Severity::Error].into_iter().find(|s| s.as_str() == value);
                severity = Some(known.ok_or_else(|| fault(at, format!("`{value}` is no severity; use info, warning or error")))?);
            }
            "rule" => check.rule = value.to_owned(),
            "needs" => check.needs = sources()?,
            "any" => check.any = sources()?,
            "against" => check.against = sources()?,
            "reads" => check.reads = sources()?,
            "evidence" => {
                let form = || fault(at, format!("`{value}` is not like `entry_lines line, entry_summaries entry`"));
                check.evidence = items().map(evidence).collect::<Option<_>>().ok_or_else(form)?;
            }
            "work" => {
                let known: Vec<&str> = Work::ALL.into_iter().map(Work::name).collect();
                let form = || fault(at, format!("`{value}` is not among {}", known.join(", ")));
                check.work = items().map(Work::named).collect::<Option<_>>().ok_or_else(form)?;
            }
            "param" => {
                let param = Param::read(value).map_err(|what| fault(at, what))?;
                if params.iter().any(|known| known.name == param.name) {
                    return Err(fault(at, format!("parameter `{}` is there twice", param.name)));
                }
                params.push(param);
            }
            _ => return Err(no_setting()),
        }
    }
    let check = match topic {
        Topic::Reconcile => {
            let missing = |name: &str| fault(last, format!("add `-- {name}: ...` to the header"));
            check.severity = severity.ok_or_else(|| missing("severity"))?;
            if check.rule.is_empty() {
                return Err(missing("rule"));
            }
            if check.needs.is_empty() && check.against.is_empty() {
                return Err(missing("needs"));
            }
            if check.evidence.is_empty() {
                return Err(missing("evidence"));
            }
            Some(check)
        }
        Topic::Audit | Topic::History | Topic::Deadlines | Topic::Cape => None,
    };
    let (question, who_asks) = (question.to_owned(), who_asks.to_owned());
    Ok(Question { id: id.to_owned(), topic, question, who_asks, sql: sql.to_owned(), params, check })
}

/// The columns that a shared table reads: its header's `reads`, so that a table without them is told and not tripped over.
pub(crate) fn reads(sql: &str) -> Vec<Source> {
    let line = sql.lines().find_map(|line| line.strip_prefix("-- reads: ")).unwrap_or_default();
    line.split(", ").filter_map(source).collect()
}

fn source(text: &str) -> Option<Source> {
    match text.split_once('.') {
        Some((view, column)) => Some(Source { view: View::named(view)?, column: Some(column.to_owned()) }),
        None => Some(Source { view: View::named(text)?, column: None }),
    }
}

fn unknown_view(value: &str) -> String {
    let known: Vec<&str> = View::ALL.into_iter().map(View::name).collect();
    format!("`{value}` is not a list of views and columns; views: {}", known.join(", "))
}

fn evidence(text: &str) -> Option<Evidence> {
    let (view, grain) = text.split_once(' ')?;
    let grain = match grain {
        "entry" => Grain::Entry,
        "line" => Grain::Line,
        _ => return None,
    };
    Some(Evidence { view: View::named(view)?, grain })
}
