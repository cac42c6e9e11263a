//! Drift: how a file's header differs from its edition, and which column binds to what.
//! Promise: every header cell is either bound to a column or kept as unknown; none is dropped.
//! Never: no drift stops a file. Binding is by name through aliases, never by position.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::Severity;

mod bind;
mod judge;
mod likeness;

pub use bind::bind;
pub use judge::judge_values;

/// A tenant's accepted renames and additions for one report: header name (folded) to column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Folded header name -> CBP name of the edition's column it stands for.
    pub renames: BTreeMap<String, String>,
    /// Columns that the edition does not have, accepted by the tenant; typed text unless said otherwise.
    pub additions: Vec<crate::edition::Column>,
}

impl Mapping {
    /// The header with accepted renames in CBP's words; all else as delivered.
    pub fn translate(&self, header: &[String]) -> Vec<String> {
        let accepted: BTreeMap<String, &String> =
            self.renames.iter().map(|(from, to)| (crate::edition::fold(from), to)).collect();
        header.iter().map(|name| accepted.get(&crate::edition::fold(name)).map_or(name, |to| *to).clone()).collect()
    }
}

/// Where one column of the file goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// To the edition's (or mapping's) column at this index of `Binding::columns`.
    Column(usize),
    /// To `_rescued` under this unique name.
    Unknown(String),
}

/// What each position of the header is bound to.
///
/// Each column is bound to at most one position; each name of an unknown position is unlike every CBP name in
/// `columns` and every other unknown name, so that `_rescued` can hold them all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The columns that rows are typed into: the edition's, then the mapping's additions.
    pub columns: Vec<crate::edition::Column>,
    /// One per header cell, in file order.
    pub bound: Vec<Bound>,
    /// Indices of columns that two header cells claim equally well; the first of the cells is bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contested: Vec<usize>,
}

impl Binding {
    /// The grain column (CBP name) that two header cells claim equally well: which rows are which cannot be known.
    pub fn ambiguous_grain(&self) -> Option<&str> {
        let contested = self.contested.iter().filter_map(|index| self.columns.get(*index));
        contested.filter(|column| column.required == crate::edition::Required::Grain).map(|column| column.name.as_str()).next()
    }

    /// The header position bound to the column of this CBP name.
    pub fn position(&self, column: &str) -> Option<usize> {
        let index = self.columns.iter().position(|known| known.name == column)?;
        self.bound.iter().position(|bound| *bound == Bound::Column(index))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftKind {
    Added,
    Missing,
    Renamed,
    Reordered,
    Retyped,
    Recased,
    Duplicated,
    Preamble,
    Encoding,
    Delimiter,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftFinding {
    pub kind: DriftKind,
    pub severity: Severity,
    /// Header name as delivered, or CBP name for what is missing; empty for file-wide kinds.
    pub column: String,
    pub message: String,
    /// The uses that suffer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
}

impl DriftFinding {
    pub(crate) fn new(kind: DriftKind, severity: Severity, column: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, severity, column: column.into(), message: message.into(), uses: Vec::new(), proposal: None }
    }

    pub(crate) fn with_uses(mut self, uses: &[String]) -> Self {
        self.uses = uses.to_vec();
        self
    }

    /// Lines above the header that are not part of the table. ACE's own exports have none.
    pub fn preamble(lines: u64) -> Self {
        Self::new(DriftKind::Preamble, Severity::Info, "", format!("{lines} lines stand above the header and were passed over"))
    }

    /// Text that was not plain UTF-8: `name` as people call the encoding, `unreadable` the count of bytes it has no letter for.
    pub fn encoding(name: &str, unreadable: u64) -> Self {
        let (severity, loss) = match unreadable {
            0 => (Severity::Info, String::new()),
            count => (Severity::Warning, format!("; {count} bytes have no letter in it and read as `\u{fffd}`")),
        };
        Self::new(DriftKind::Encoding, severity, "", format!("the text is {name} and was read as such{loss}"))
    }

    /// Cells parted by something other than a comma.
    pub fn delimiter(found: char) -> Self {
        let name = match found {
            '\t' => "tab".to_owned(),
            ';' => "semicolon".to_owned(),
            '|' => "vertical bar".to_owned(),
            other => other.escape_default().to_string(),
        };
        Self::new(DriftKind::Delimiter, Severity::Info, "", format!("cells are parted by {name}, not by comma"))
    }
}

/// "This unknown column is probably that missing one."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    pub from: String,
    pub to: String,
    /// 0 to 100, from name likeness and value profile.
    pub confidence: u8,
}

/// What the values of one header position looked like; the second witness of a rename or retype.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnProfile {
    pub cells: u64,
    pub empty: u64,
    /// Cells that failed their bound column's type.
    pub failed: u64,
    /// Of the non-empty cells: how many read as whole number, as amount (whole numbers too), as date.
    pub integers: u64,
    pub amounts: u64,
    pub dates: u64,
    pub length_max: u32,
}

/// All differences of one file, plus the fingerprint that groups files of the same header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub findings: Vec<DriftFinding>,
}

impl Drift {
    pub fn severity(&self) -> Option<Severity> {
        self.findings.iter().map(|f| f.severity).max()
    }
}

/// The header as one text that no other header shares: length-prefixed cells, in file order, exactly as delivered.
///
/// It names columns, so it is not for the clear: what groups alerts is a keyed hash of it, made where the keys are.
pub fn fingerprint_text(header: &[String]) -> String {
    header.iter().map(|name| format!("{}:{name}\n", name.len())).collect()
}

/// What a header cell is called in findings and in `_rescued`: trimmed, and `column <n>` (1-based) where it is blank.
pub fn delivered_name(header: &[String], position: usize) -> String {
    match header.get(position).map(|name| name.trim()) {
        None | Some("") => format!("column {}", position + 1),
        Some(name) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests;
