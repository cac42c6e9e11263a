//! The library: one question a file, with who asks it and by which rule.
//! Promise: every question has a header of two lines; every check also says how grave its findings are, which rule it
//! cites, what it needs to be judged, and which rows are its evidence. A file that does not is refused by name.
//! Never: a user's own check does nothing that a question could not: it is read by the same session, which only reads.

use std::sync::LazyLock;

use bonded_schemas::Severity;
use serde::Serialize;

use crate::error::{Error, Result};

mod files;
mod header;
mod params;

pub(crate) use files::SUMS;
pub(crate) use header::reads;
pub use params::{Kind, Param};
pub(crate) use params::{Values, bind, refuse_unknown};

/// One SQL file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// Stable for ever; the file's name without its ending. A user's own begin with `user.`.
    pub id: String,
    pub topic: Topic,
    pub question: String,
    /// Who asks, and why.
    pub who_asks: String,
    #[serde(skip)]
    pub sql: String,
    pub params: Vec<Param>,
    /// Only checks have one.
    pub check: Option<Check>,
}

/// The folder a question lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Views and functions of every session.
    History,
    /// Checks, run by `Session::reconcile`.
    Reconcile,
    /// Reports, run by `Session::report`.
    Audit,
    /// What deadlines are judged by.
    Deadlines,
    /// What refunds are judged by, and what was claimed.
    Cape,
}

impl Topic {
    pub fn as_str(self) -> &'static str {
        match self {
            Topic::History => "history",
            Topic::Reconcile => "reconcile",
            Topic::Audit => "audit",
            Topic::Deadlines => "deadlines",
            Topic::Cape => "cape",
        }
    }
}

/// What makes a question a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub severity: Severity,
    /// The rule it judges by, with its mark.
    pub rule: String,
    /// Each of these must have rows, and the column values, or the check is not judged.
    pub needs: Vec<Source>,
    /// At least one of these columns must have values.
    pub any: Vec<Source>,
    /// At least one of these must have rows.
    pub against: Vec<Source>,
    /// Columns that help and may be empty.
    pub reads: Vec<Source>,
    /// Where the compared rows are.
    pub evidence: Vec<Evidence>,
    /// Tables that are made once for all checks that share them.
    pub work: Vec<Work>,
}

/// A view, or one column of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    pub view: View,
    pub column: Option<String>,
}

/// Rows that a finding rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    pub view: View,
    /// The rows of the finding's line, or of the whole entry.
    pub grain: Grain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    Entry,
    Line,
}

/// The current truth of one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    EntrySummaries,
    EntryLines,
    TariffLines,
}

/// A table that several checks share, `work.entries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Entries in which something differs between the reports.
    Entries,
    /// The lines of those entries.
    Lines,
    /// Lines whose tariff numbers are out of order.
    Stacks,
    /// Line fees by the rules; what agrees is counted.
    Fees,
    /// The median duty rate of each product.
    Rates,
    /// How often a manufacturer's goods stand under each tariff number.
    Numbers,
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

impl Work {
    pub const ALL: [Work; 6] = [Work::Entries, Work::Lines, Work::Stacks, Work::Fees, Work::Rates, Work::Numbers];

    pub fn name(self) -> &'static str {
        match self {
            Work::Entries => "entries",
            Work::Lines => "lines",
            Work::Stacks => "stacks",
            Work::Fees => "fees",
            Work::Rates => "rates",
            Work::Numbers => "numbers",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Work::ALL.into_iter().find(|work| work.name() == name)
    }
}

/// Questions by id: the built-in ones, and a user's own checks after them.
#[derive(Clone, Debug)]
pub struct Library {
    questions: Vec<Question>,
}

impl Library {
    pub fn builtin() -> &'static Library {
        static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library {
            questions: files::read_all().expect("compiled in, and a test proves that each header reads"),
        });
        &LIBRARY
    }

    /// The built-in questions and a user's own checks: (file name without its ending, text).
    ///
    /// # Errors
    /// `Input` when a name or a header is not well formed; it says which file and what to change.
    pub fn with_own(own: impl IntoIterator<Item = (String, String)>) -> Result<Library> {
        let mut library = Library::builtin().clone();
        for (name, sql) in own {
            let well_named = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if !well_named || !(1..=60).contains(&name.len()) {
                return Err(Error::input(format!("check file `{name}.sql`: name it in a-z, 0-9 and _, at most 60 of them")));
            }
            let id = format!("user.{name}");
            if library.questions.iter().any(|question| question.id == id) {
                return Err(Error::input(format!("two check files are called `{name}.sql`; rename one")));
            }
            library.questions.push(header::read(Topic::Reconcile, &id, &sql)?);
        }
        Ok(library)
    }

    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    pub fn checks(&self) -> impl Iterator<Item = (&Question, &Check)> {
        self.questions.iter().filter_map(|question| question.check.as_ref().map(|check| (question, check)))
    }

    pub fn reports(&self) -> impl Iterator<Item = &Question> {
        self.questions.iter().filter(|question| question.topic == Topic::Audit)
    }

    /// The named checks, in the library's order, or all of them.
    pub(crate) fn chosen(&self, only: Option<&[String]>) -> Result<Vec<(&Question, &Check)>> {
        let all: Vec<_> = self.checks().collect();
        let Some(only) = only else { return Ok(all) };
        if let Some(unknown) = only.iter().find(|id| !all.iter().any(|(question, _)| question.id == **id)) {
            let known: Vec<&str> = all.iter().map(|(question, _)| question.id.as_str()).collect();
            return Err(Error::input(format!("no check `{unknown}`; known: {}", known.join(", "))));
        }
        Ok(all.into_iter().filter(|(question, _)| only.contains(&question.id)).collect())
    }

    pub(crate) fn report(&self, id: &str) -> Result<&Question> {
        self.reports().find(|question| question.id == id).ok_or_else(|| {
            let known: Vec<&str> = self.reports().map(|question| question.id.as_str()).collect();
            Error::input(format!("no report `{id}`; known: {}", known.join(", ")))
        })
    }
}

/// All built-in questions: the checks, then reports, then those of history, deadlines and refunds.
pub fn library() -> &'static [Question] {
    Library::builtin().questions()
}

#[cfg(test)]
mod tests;
