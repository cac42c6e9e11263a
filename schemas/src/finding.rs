//! A finding: one answer of a check, traced to its rows.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Error,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `expected` is what the finer report adds up to or the rule gives; `actual` is what the coarser report says.
/// Of an entry or line missing in one report, `expected` is the goods value that another states, and `actual` is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable for ever, `line_duty`.
    pub check: String,
    pub severity: Severity,
    pub entry_summary_number: String,
    pub entry_summary_line_number: Option<i32>,
    /// Decimal strings, or the text that a check compares; null where a report holds no such row.
    pub expected: Option<String>,
    pub actual: Option<String>,
    /// The deliveries that the compared rows came from.
    pub delivery_ids: Vec<String>,
    /// Side by side with `delivery_ids`: the 1-based line where each row starts in its delivery.
    pub lines: Vec<i64>,
    /// The compared reports were pulled on different days, which may be all there is to it.
    #[serde(default)]
    pub as_of_differs: bool,
}
