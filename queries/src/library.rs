//! The library: one question a file, with who asks it and by which rule.
//! Promise: every question has a header of two lines; every check also says how grave its findings are,
//! what it needs to be judged, and which rows are its evidence.

use std::sync::LazyLock;

use bonded_schemas::Severity;

/// One SQL file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Stable for ever; the file's name without its ending.
    pub id: &'static str,
    pub topic: Topic,
    pub question: &'static str,
    /// Who asks, and the rule cited.
    pub who_asks: &'static str,
    pub sql: &'static str,
    /// Only checks have one.
    pub check: Option<Check>,
}

/// The folder a question lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Views and functions of every session.
    History,
    /// Checks, run by `Session::reconcile`.
    Reconcile,
}

/// What makes a question a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub severity: Severity,
    /// Each of these must have rows, and the column values, or the check is not judged.
    pub needs: Vec<Source>,
    /// At least one of these must have rows.
    pub against: Vec<Source>,
    /// Where the compared rows are.
    pub evidence: Vec<Evidence>,
}

/// A view, or one column of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub view: View,
    pub column: Option<&'static str>,
}

/// Rows that a finding rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub view: View,
    /// The rows of the finding's line, or of the whole entry.
    pub grain: Grain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    Entry,
    Line,
}

/// The current truth of one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    EntrySummaries,
    EntryLines,
    TariffLines,
}

impl View {
    pub const ALL: [View; 3] = [View::EntrySummaries, View::EntryLines, View::TariffLines];

    pub fn name(self) -> &'static str {
        match self {
            View::EntrySummaries => "entry_summaries",
            View::EntryLines => "entry_lines",
            View::TariffLines => "tariff_lines",
        }
    }

    pub fn report(self) -> bonded_schemas::Report {
        match self {
            View::EntrySummaries => bonded_schemas::Report::Es001,
            View::EntryLines => bonded_schemas::Report::Es002,
            View::TariffLines => bonded_schemas::Report::Es003,
        }
    }

    fn named(name: &str) -> Option<Self> {
        View::ALL.into_iter().find(|view| view.name() == name)
    }
}

macro_rules! files {
    ($topic:expr, $folder:literal, [$($id:literal),* $(,)?]) => {
        [$(($topic, $id, include_str!(concat!("../sql/", $folder, "/", $id, ".sql")))),*]
    };
}

const HISTORY: [(Topic, &str, &str); 8] = files!(
    Topic::History,
    "history",
    [
        "entry_summaries",
        "entry_lines",
        "tariff_lines",
        "entry_summaries_as_of",
        "entry_lines_as_of",
        "tariff_lines_as_of",
        "changes",
        "vanished",
    ]
);

/// In the order in which they are run and told.
const RECONCILE: [(Topic, &str, &str); 8] = files!(
    Topic::Reconcile,
    "reconcile",
    [
        "line_value",
        "line_duty",
        "entry_value",
        "entry_duty",
        "entry_mpf_clamp",
        "missing_in_es_001",
        "missing_in_es_002",
        "missing_in_es_003",
    ]
);

/// All questions: the checks, then those of history.
pub fn library() -> &'static [Question] {
    static LIBRARY: LazyLock<Vec<Question>> = LazyLock::new(|| {
        RECONCILE
            .into_iter()
            .chain(HISTORY)
            .map(|(topic, id, sql)| read(topic, id, sql).expect("compiled in, and a test proves that each header reads"))
            .collect()
    });
    &LIBRARY
}

/// The checks alone.
pub(crate) fn checks() -> impl Iterator<Item = (&'static Question, &'static Check)> {
    library().iter().filter_map(|question| question.check.as_ref().map(|check| (question, check)))
}

fn read(topic: Topic, id: &'static str, sql: &'static str) -> Option<Question> {
    let mut lines = sql.lines().map_while(|line| line.strip_prefix("-- "));
    let question = lines.next().filter(|line| line.contains('?'))?;
    let who_asks = lines.next().filter(|line| line.contains("ask"))?;
    let settings: Vec<(&str, &str)> = lines.map(|line| line.split_once(": ")).collect::<Option<_>>()?;
    let check = match topic {
        Topic::History => settings.is_empty().then_some(None)?,
        Topic::Reconcile => Some(read_check(&settings)?),
    };
    Some(Question { id, topic, question, who_asks, sql, check })
}

fn read_check(settings: &[(&'static str, &'static str)]) -> Option<Check> {
    let mut check = Check { severity: Severity::Info, needs: Vec::new(), against: Vec::new(), evidence: Vec::new() };
    let mut severity = None;
    for (name, value) in settings {
        let items = value.split(", ");
        match *name {
            "severity" => {
                severity = [Severity::Info, Severity::Warning, Severity::Error].into_iter().find(|s| s.as_str() == *value)
            }
            "needs" => check.needs = items.map(read_source).collect::<Option<_>>()?,
            "against" => check.against = items.map(read_source).collect::<Option<_>>()?,
            "evidence" => check.evidence = items.map(read_evidence).collect::<Option<_>>()?,
            _ => return None,
        }
    }
    check.severity = severity?;
    (!check.needs.is_empty() && !check.evidence.is_empty()).then_some(check)
}

fn read_source(text: &'static str) -> Option<Source> {
    match text.split_once('.') {
        Some((view, column)) => Some(Source { view: View::named(view)?, column: Some(column) }),
        None => Some(Source { view: View::named(text)?, column: None }),
    }
}

fn read_evidence(text: &'static str) -> Option<Evidence> {
    let (view, grain) = text.split_once(' ')?;
    let grain = match grain {
        "entry" => Grain::Entry,
        "line" => Grain::Line,
        _ => return None,
    };
    Some(Evidence { view: View::named(view)?, grain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_its_header() {
        for (topic, id, sql) in RECONCILE.into_iter().chain(HISTORY) {
            assert!(read(topic, id, sql).is_some(), "{id}");
        }
    }

    #[test]
    fn ids_are_the_stable_ones() {
        let ids: Vec<&str> = checks().map(|(question, _)| question.id).collect();
        assert_eq!(
            ids,
            [
                "line_value",
                "line_duty",
                "entry_value",
                "entry_duty",
                "entry_mpf_clamp",
                "missing_in_es_001",
                "missing_in_es_002",
                "missing_in_es_003"
            ]
        );
    }

    #[test]
    fn no_question_compares_through_a_narrowing_cast_or_a_float() {
        for question in library() {
            let casts = question.sql.to_uppercase();
            for narrow in [" AS BIGINT", " AS DOUBLE", " AS FLOAT", " AS REAL", "ROUND("] {
                assert!(!casts.contains(narrow), "{} has {narrow}", question.id);
            }
        }
    }
}
