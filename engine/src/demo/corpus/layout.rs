//! Which columns a report has and what stands in them: ACE's default layout, and departures from it for drift.
//! Promise: default headers are those of ES-002 (18, read from a real export) and ES-003 (27, order exact); the default of
//! ES-001 is not public, so its twelve are a plausible choice. Optional columns are names seen in customised exports.

use bonded_schemas::Report;

use super::{
    cell::Cell,
    entry::{Entry, Line},
    goods::Tariff,
    party::Party,
    plan::{Plan, UnfitPlan, unfit},
};

/// Departures of one report from its default layout, applied in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Lines written as they are before the header, without line ends.
    pub preamble: Vec<String>,
    /// Default columns left out, by name.
    pub dropped: Vec<String>,
    /// Pairs of default columns that change places, by name.
    pub swapped: Vec<(String, String)>,
    /// (default name, name in the file).
    pub renamed: Vec<(String, String)>,
    /// Columns of `optional_columns` that the user of ACE added, by name, after the default ones.
    pub optional: Vec<String>,
    pub extra: Vec<ExtraColumn>,
}

/// A column of the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraColumn {
    pub name: String,
    /// Repeated over the rows in turn; none: empty cells.
    pub values: Vec<String>,
    /// Columns before it; past the end: last.
    pub position: usize,
}

impl ExtraColumn {
    /// At the end, as ACE appends objects that a user adds.
    pub fn last(name: impl Into<String>, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name: name.into(), values: values.into_iter().map(Into::into).collect(), position: usize::MAX }
    }
}

const ES_001: [&str; 12] = [
    "Entry Summary Number",
    "Entry Type Code",
    "Importer Number",
    "Port of Entry Code",
    "Entry Date",
    "Entry Summary Date",
    "Total Goods Value Amount",
    "Total Duty Amount",
    "Total Paid MPF Amount",
    "Total Paid HMF Amount",
    "Liquidation Date",
    "Liquidation Status",
];
const ES_002: [&str; 18] = [
    "Entry Summary Number",
    "Entry Type Code",
    "Entry Summary Line Number",
    "Review Team Number",
    "Country of Origin Code",
    "Country of Export Code",
    "Manufacturer ID",
    "Manufacturer Name",
    "Foreign Exporter ID",
    "Foreign Exporter Name",
    "Line SPI Code",
    "Line SPI",
    "Reconciliation (FTA) Status",
    "Reconciliation (Other) Status",
    "Line Goods Value Amount",
    "Line Duty Amount",
    "Line MPF Amount",
    "Line HMF Amount",
];
const ES_003: [&str; 27] = [
    "Entry Summary Number",
    "Entry Type Code",
    "Importer Number",
    "Port of Entry Code",
    "Entry Date",
    "Entry Summary Date",
    "Initial Entry Summary Create Date",
    "Entry Summary Line Number",
    "Review Team Number",
    "Country of Origin Code",
    "Country of Export Code",
    "Manufacturer ID",
    "Foreign Exporter ID",
    "Line SPI Code",
    "Standard Visa Number",
    "Textile Category Code",
    "Textile Category",
    "Tariff Ordinal Number",
    "HTS Number - Full",
    "Line Tariff Quantity (1)",
    "Line Tariff UOM (1) Code",
    "Line Tariff Quantity (2)",
    "Line Tariff UOM (2) Code",
    "Line Tariff Quantity (3)",
    "Line Tariff UOM (3) Code",
    "Line Tariff Goods Value Amount",
    "Line Tariff Duty Amount",
];

const CAPE_CLAIMS: [&str; 4] = ["ENTRY_NUMBER", "CLAIM_NUMBER", "STATUS", "ERROR_DESCRIPTION"];

pub fn default_columns(report: Report) -> &'static [&'static str] {
    match report {
        Report::Es001 => &ES_001,
        Report::Es002 => &ES_002,
        Report::Es003 => &ES_003,
        Report::CapeClaims => &CAPE_CLAIMS,
    }
}

const OPTIONAL_ES_001: [&str; 3] = ["Importer Name", "Initial Entry Summary Create Date", "Review Team Number"];
const OPTIONAL_ES_002: [&str; 5] = ["Entry Date", "Importer Number", "Importer Name", "Entry Summary Date", "Port of Entry Code"];
const OPTIONAL_ES_003: [&str; 3] = ["Importer Name", "Liquidation Date", "Liquidation Status"];

/// Columns that ACE knows and does not show by default, and that a `Layout` may add with their true values.
pub fn optional_columns(report: Report) -> &'static [&'static str] {
    match report {
        Report::Es001 => &OPTIONAL_ES_001,
        Report::Es002 => &OPTIONAL_ES_002,
        Report::Es003 => &OPTIONAL_ES_003,
        Report::CapeClaims => &[],
    }
}

/// Where a written column takes its cell from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Index into the report's row, optional columns after the default ones.
    Known(usize),
    /// Index into the layout's extra columns.
    Extra(usize),
}

impl Layout {
    /// Every column that is named must exist.
    pub(super) fn check(&self, report: Report) -> Result<(), UnfitPlan> {
        let swapped = self.swapped.iter().flat_map(|(one, other)| [one, other]);
        let named = self.dropped.iter().chain(swapped).chain(self.renamed.iter().map(|(from, _)| from));
        if let Some(name) = named.into_iter().find(|name| !default_columns(report).contains(&name.as_str())) {
            return Err(unfit(format!("{report} has no default column `{name}`")));
        }
        match self.optional.iter().find(|name| !optional_columns(report).contains(&name.as_str())) {
            Some(name) => Err(unfit(format!("{report} has no optional column `{name}`; give it as an extra one"))),
            None => Ok(()),
        }
    }

    /// The written columns: name in the file and where its cells come from.
    pub(super) fn columns(&self, report: Report) -> Vec<(String, Source)> {
        let names = default_columns(report);
        let mut order: Vec<usize> = (0..names.len()).filter(|at| !self.dropped.iter().any(|name| name == names[*at])).collect();
        for (one, other) in &self.swapped {
            let place = |name: &str| order.iter().position(|at| names[*at] == name);
            if let Some((one, other)) = place(one).zip(place(other)) {
                order.swap(one, other);
            }
        }
        let renamed = |name: &str| self.renamed.iter().find(|(from, _)| from == name).map_or(name, |(_, to)| to).to_owned();
        let mut columns: Vec<_> = order.into_iter().map(|at| (renamed(names[at]), Source::Known(at))).collect();
        for name in &self.optional {
            if let Some(at) = optional_columns(report).iter().position(|known| known == name) {
                columns.push((name.clone(), Source::Known(names.len() + at)));
            }
        }
        for (at, extra) in self.extra.iter().enumerate() {
            let position = extra.position.min(columns.len());
            columns.insert(position, (extra.name.clone(), Source::Extra(at)));
        }
        columns
    }
}

pub fn header_row<'a>(plan: &'a Plan, entry: &'a Entry) -> [Cell<'a>; 15] {
    let (liquidated, status) = entry.liquidation;
    [
        Cell::Code(&entry.number),
        Cell::Code(entry.entry_type),
        Cell::Code(&plan.importer_number),
        Cell::Code(entry.port),
        Cell::Date(entry.entry_date),
        Cell::Date(entry.summary_date),
        Cell::Money(entry.totals.value),
        Cell::Money(entry.totals.duty),
        Cell::Money(entry.totals.paid_mpf),
        Cell::Money(entry.totals.hmf),
        liquidated.map_or(Cell::Empty, Cell::Date),
        Cell::Text(status),
        Cell::Text(&plan.importer),
        Cell::Date(entry.create_date),
        Cell::Code(entry.team),
    ]
}

pub fn line_row<'a>(plan: &'a Plan, parties: &'a [Party], entry: &'a Entry, line: &'a Line) -> [Cell<'a>; 23] {
    let manufacturer = &parties[line.manufacturer];
    let exporter = line.exporter.map(|exporter| &parties[exporter]);
    let (program_code, program) = line.program.map_or((Cell::Empty, "Not used"), |(code, name)| (Cell::Code(code), name));
    [
        Cell::Code(&entry.number),
        Cell::Code(entry.entry_type),
        Cell::Integer(line.number),
        Cell::Code(entry.team),
        Cell::Code(line.origin),
        Cell::Code(line.export),
        Cell::Code(&manufacturer.id),
        Cell::Text(&manufacturer.name),
        exporter.map_or(Cell::Empty, |exporter| Cell::Code(&exporter.id)),
        exporter.map_or(Cell::Empty, |exporter| Cell::Text(&exporter.name)),
        program_code,
        Cell::Text(program),
        Cell::Empty,
        Cell::Empty,
        Cell::Money(line.value_cents),
        Cell::Money(line.duty_cents),
        Cell::Money(line.mpf_cents),
        Cell::Money(line.hmf_cents),
        Cell::Date(entry.entry_date),
        Cell::Code(&plan.importer_number),
        Cell::Text(&plan.importer),
        Cell::Date(entry.summary_date),
        Cell::Code(entry.port),
    ]
}

pub fn tariff_row<'a>(
    plan: &'a Plan,
    parties: &'a [Party],
    entry: &'a Entry,
    line: &'a Line,
    tariff: &'a Tariff,
) -> [Cell<'a>; 30] {
    let (liquidated, status) = entry.liquidation;
    let [first, second] = tariff.quantities;
    let amount =
        |quantity: Option<(i64, &'static str)>| quantity.map_or(Cell::Empty, |(hundredths, _)| Cell::Quantity(hundredths));
    let unit = |quantity: Option<(i64, &'static str)>| quantity.map_or(Cell::Empty, |(_, unit)| Cell::Code(unit));
    [
        Cell::Code(&entry.number),
        Cell::Code(entry.entry_type),
        Cell::Code(&plan.importer_number),
        Cell::Code(entry.port),
        Cell::Date(entry.entry_date),
        Cell::Date(entry.summary_date),
        Cell::Date(entry.create_date),
        Cell::Integer(line.number),
        Cell::Code(entry.team),
        Cell::Code(line.origin),
        Cell::Code(line.export),
        Cell::Code(&parties[line.manufacturer].id),
        line.exporter.map_or(Cell::Empty, |exporter| Cell::Code(&parties[exporter].id)),
        line.program.map_or(Cell::Empty, |(code, _)| Cell::Code(code)),
        Cell::Empty,
        Cell::Empty,
        Cell::Empty,
        Cell::Integer(tariff.ordinal),
        Cell::Code(tariff.hts),
        amount(first),
        unit(first),
        amount(second),
        unit(second),
        Cell::Empty,
        Cell::Empty,
        Cell::Money(tariff.value_cents),
        Cell::Money(tariff.duty_cents),
        Cell::Text(&plan.importer),
        liquidated.map_or(Cell::Empty, Cell::Date),
        Cell::Text(status),
    ]
}
