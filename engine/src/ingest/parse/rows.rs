//! Rows: records become rows of a batch, row rejects, and cell rejects whose text is kept in `_rescued`.
//! Promise: `rows_read == rows_committed + rows_rejected`; a row is in the table whole or not at all.
//! Never: a cell that fails its type does not cost its row, unless the row could then not be told apart.

use std::fmt;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use bonded_schemas::{
    Binding, Bound, Column, ColumnProfile, ColumnType, ControlTotal, DriftFinding, Quarantine, QuarantineReason, Reject, Report,
    Required, WarningRule,
    delivery::{RejectKind, RejectScope},
};

use super::{
    Encoding, Head, Limits, Stamp, Summary,
    columns::{Columns, Kept, Note, Place, is_entry_number},
    date::{DateEvidence, DateOrder, DateOrders, date},
    encoding::Transcoder,
    evidence::Evidence,
    furniture::{self, Furniture},
    quarantine, quotes,
    records::{Beginning, Record, Records, TooLong},
    repair::{Mends, plain},
    style::Styles,
    tables::OtherTable,
    tokenise::{Cell, Tokeniser},
    validate::{Warnings, sheet_limit},
    value::{EMPTY_GRAIN, decode, entry_number_fault, excerpt, integer, meant, money, quantity, windows_1252},
};

/// Every row up to this one is profiled, then one in `PROFILE_STEP`.
const PROFILE_ROWS_FULL: u64 = 4_096;
const PROFILE_STEP: u64 = 64;

/// Reads the rows of one file, chunk by chunk, from `Head::body_offset` on.
pub struct RowReader {
    records: Records,
    /// Of a file in UTF-16, and the text it made of the chunk in hand.
    transcoder: Option<Transcoder>,
    transcoded: Vec<u8>,
    rows: Rows,
    /// Set when the file was given up: nothing is read after that.
    given_up: Option<Quarantine>,
}

impl RowReader {
    /// `binding` has one entry per cell of `head.header`.
    pub fn new(head: &Head, binding: Binding, stamp: &Stamp, limits: Limits) -> Self {
        let tokeniser = head.dialect.tokeniser();
        let from = Beginning {
            offset: head.body_offset,
            line: head.body_line,
            after_return: head.line_feed_pending,
            wide: head.dialect.encoding.is_wide(),
            line_ends: head.line_ends,
        };
        Self {
            records: Records::new(tokeniser, limits.record_bytes_max, from),
            transcoder: Transcoder::new(head.dialect.encoding),
            transcoded: Vec::new(),
            rows: Rows::new(head, tokeniser, binding, stamp, limits),
            given_up: None,
        }
    }

    /// Reads `03/04/2025` in these orders instead of CBP's. To be called before the first `push`, with what
    /// `parse::date_orders` found or what `Summary::date_orders_contradicted` asks for.
    pub fn with_date_orders(mut self, orders: DateOrders) -> Self {
        self.rows.columns.read_dates(&orders);
        self.rows.date_orders = orders;
        self
    }

    /// The orders that the dates read so far show.
    pub(super) fn date_orders(&self) -> DateOrders {
        self.rows.date_evidence().orders()
    }

    /// Schema of the batches: `table::schema` of the binding's columns.
    pub fn schema(&self) -> &SchemaRef {
        self.rows.columns.schema()
    }

    /// Takes the next bytes of the file; full batches are appended to `out`.
    ///
    /// # Errors
    /// `RecordTooLong`, and then the same answer for ever. Batches of earlier records may already be out: commit none.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), Quarantine> {
        if let Some(quarantine) = &self.given_up {
            return Err(quarantine.clone());
        }
        let chunk = match &mut self.transcoder {
            None => chunk,
            Some(transcoder) => {
                self.transcoded.clear();
                transcoder.push(chunk, &mut self.transcoded);
                &self.transcoded
            }
        };
        let rows = &mut self.rows;
        self.records.push(chunk, |record| rows.record(&record, out)).map_err(|too_long| {
            let quarantine = self.rows.too_long(too_long);
            self.given_up = Some(quarantine.clone());
            quarantine
        })
    }

    /// The file has ended: the last batch and the summary.
    ///
    /// # Errors
    /// `NoRows`, `AllRejected`, or what `push` failed with.
    pub fn finish(mut self, out: &mut Vec<RecordBatch>) -> Result<Summary, Quarantine> {
        if let Some(quarantine) = self.given_up {
            return Err(quarantine);
        }
        let mut replaced = 0;
        if let Some(mut transcoder) = self.transcoder {
            self.transcoded.clear();
            transcoder.finish(&mut self.transcoded);
            replaced = transcoder.replaced;
            let rows = &mut self.rows;
            self.records.push(&self.transcoded, |record| rows.record(&record, out)).map_err(|at| self.rows.too_long(at))?;
        }
        self.records.finish(|record| self.rows.record(&record, out));
        self.rows.finish(&self.records, replaced, out)
    }
}

impl fmt::Debug for RowReader {
    /// Counts only: builders hold cell values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { rows_read, rows_committed, rows_rejected, cells_rescued, .. } = &self.rows.summary;
        f.debug_struct("RowReader")
            .field("rows_read", rows_read)
            .field("rows_committed", rows_committed)
            .field("rows_rejected", rows_rejected)
            .field("cells_rescued", cells_rescued)
            .finish_non_exhaustive()
    }
}

/// Where the cells of one header position go.
enum Target {
    Column(usize),
    Unknown(String),
}

/// A bound column without which rows cannot be told apart.
struct Grain {
    position: usize,
    index: usize,
    is_entry_number: bool,
}

struct Rows {
    tokeniser: Tokeniser,
    report: Report,
    header: Vec<String>,
    bound: Vec<Column>,
    targets: Vec<Target>,
    grain: Vec<Grain>,
    columns: Columns,
    limits: Limits,
    /// Text gathered in the batch in the making.
    batch_bytes: usize,
    scratch: Scratch,
    /// As the head told it: one more cell of it is no news.
    encoding: Encoding,
    cells_windows_1252: u64,
    date_orders: DateOrders,
    warnings: Warnings,
    /// The header and what stands over it.
    rows_above: u64,
    furniture: Furniture,
    /// Empty cells behind the last one, by the file's habit.
    trailing: usize,
    /// The header of another table, which came last.
    other_table: Option<OtherTable>,
    evidence: Evidence,
    summary: Summary,
}

impl Rows {
    fn new(head: &Head, tokeniser: Tokeniser, binding: Binding, stamp: &Stamp, limits: Limits) -> Self {
        let mut present = vec![false; binding.columns.len()];
        let mut targets = Vec::with_capacity(head.header.len());
        for (position, name) in head.header.iter().enumerate() {
            targets.push(match binding.bound.get(position) {
                // A column takes one cell a row; a second position bound to it is kept as unknown.
                Some(Bound::Column(index)) if present.get(*index) == Some(&false) => {
                    present[*index] = true;
                    Target::Column(*index)
                }
                Some(Bound::Unknown(name)) => Target::Unknown(name.clone()),
                _ => Target::Unknown(format!("{name} ({})", position + 1)),
            });
        }
        let grain = targets.iter().enumerate().filter_map(|(position, target)| match target {
            Target::Column(index) if binding.columns[*index].required == Required::Grain => {
                Some(Grain { position, index: *index, is_entry_number: is_entry_number(&binding.columns[*index]) })
            }
            _ => None,
        });
        let grain: Vec<Grain> = grain.collect();
        let kinds = targets.iter().map(|target| match target {
            Target::Column(index) => binding.columns[*index].kind,
            Target::Unknown(_) => ColumnType::Text(None),
        });
        let kinds: Vec<ColumnType> = kinds.collect();
        let styles = Styles::new(kinds.iter().map(|kind| Some(*kind)));
        let positions = grain.iter().map(|grain| grain.position).collect();
        let profiles = vec![ColumnProfile::default(); head.header.len()];
        Self {
            tokeniser,
            report: head.report,
            header: head.header.clone(),
            targets,
            grain,
            columns: Columns::new(&binding.columns, &present, stamp, limits.batch_rows.max(1)),
            warnings: Warnings::new(binding.columns.len()),
            bound: binding.columns,
            limits,
            batch_bytes: 0,
            scratch: Scratch::default(),
            encoding: head.dialect.encoding,
            cells_windows_1252: 0,
            date_orders: DateOrders::default(),
            rows_above: head.preamble_rows + 1,
            trailing: head.trailing,
            other_table: None,
            furniture: Furniture::new(&head.header, &head.preamble, kinds, positions),
            evidence: Evidence::new(head.high, styles),
            summary: Summary { profiles, ..Summary::default() },
        }
    }

    fn record(&mut self, record: &Record<'_>, out: &mut Vec<RecordBatch>) {
        if is_blank(record) {
            return self.evidence.blank_row(record.line);
        }
        self.summary.rows_read += 1;
        let place = Place { row: self.summary.rows_read, line: record.line, byte: record.offset };
        if let Some(reason) = self.broken(record) {
            return self.set_apart(place, record, None, reason);
        }
        if let Some((position, reason)) = self.grain_fault(record) {
            return self.set_apart(place, record, Some(position), reason);
        }
        if let Some(other) = self.other_table
            && other.holds(self.entry_number(record))
        {
            let reason = format!("below line {}, which is the header of another table", other.line);
            return self.set_apart(place, record, None, reason);
        }
        if place.row <= PROFILE_ROWS_FULL || place.row.is_multiple_of(PROFILE_STEP) {
            self.profile(record);
        }
        self.append(place, record);
        if self.columns.len() >= self.limits.batch_rows || self.batch_bytes >= self.limits.batch_bytes_max {
            self.batch_bytes = 0;
            out.push(self.columns.finish());
        }
    }

    /// Why the record as a whole cannot be a row.
    fn broken(&mut self, record: &Record<'_>) -> Option<String> {
        if record.unterminated {
            return Some("a quote is opened and never closed before the file ends".to_owned());
        }
        if record.has_nul {
            return Some("holds NUL bytes, which no text has; export the report again".to_owned());
        }
        if let Some(fault) = quotes::fault(self.tokeniser, record.bytes, record.cells, &mut self.scratch.bytes) {
            self.evidence.quotes_in_doubt(record.line);
            return Some(fault.to_owned());
        }
        let (cells, names) = (record.cells.len(), self.header.len());
        if cells == names + self.trailing {
            // Delimiters behind the last cell open more of them, which are empty.
            let behind = &record.cells[names..];
            if behind.iter().all(|cell| cell.range().is_empty()) {
                if self.trailing > 0 {
                    self.evidence.trailing_delimiter(record.line);
                }
                return None;
            }
        }
        Some(format!("ragged: {cells} cells, header has {names}"))
    }

    /// As it stands; empty if the table has none.
    #[cold]
    fn entry_number<'a>(&'a mut self, record: &'a Record<'_>) -> &'a str {
        let Some(grain) = self.grain.iter().find(|grain| grain.is_entry_number) else { return "" };
        meant(self.scratch.cell(self.tokeniser, record, record.cells[grain.position]).0)
    }

    /// The first header position whose cell fails to tell the row apart.
    #[inline]
    fn grain_fault(&mut self, record: &Record<'_>) -> Option<(usize, String)> {
        for grain in &self.grain {
            let (text, _) = self.scratch.cell(self.tokeniser, record, record.cells[grain.position]);
            let text = meant(text);
            let column = &self.bound[grain.index];
            let fault = match column.kind {
                _ if text.is_empty() => Some(EMPTY_GRAIN),
                _ if grain.is_entry_number && furniture::is_entry_number(text) => None,
                _ if grain.is_entry_number && furniture::is_label(text) => Some("a total or a note and no entry"),
                _ if grain.is_entry_number => entry_number_fault(text),
                kind => type_fault(kind, text, self.date_orders.of(grain.index)),
            };
            if let Some(fault) = fault {
                return Some((grain.position, format!("`{}`: {fault}", column.name)));
            }
        }
        None
    }

    /// Appends every cell of a row that is known to stay.
    fn append(&mut self, place: Place, record: &Record<'_>) {
        let (mut any_rescued, mut any_repaired) = (false, false);
        for (position, target) in self.targets.iter().enumerate() {
            let (text, odd) = self.scratch.cell(self.tokeniser, record, record.cells[position]);
            if odd.foreign {
                self.cells_windows_1252 += 1;
                let cell = record.cells[position].range();
                self.evidence.high.add(&record.bytes[cell.clone()], record.offset + cell.start as u64);
                any_repaired = true;
                self.columns.repair(&format!("windows-1252: {}", self.header[position]));
            }
            let (name, reason) = match target {
                Target::Column(index) => {
                    let note = match self.columns.append(*index, text) {
                        Kept::AsIs => Note::default(),
                        Kept::Noted(note) => {
                            for mend in note.mends.notes() {
                                any_repaired = true;
                                self.columns.repair(&format!("{mend}: {}", self.header[position]));
                            }
                            let day_first = note.mends.holds(Mends::DAY_FIRST).then_some(WarningRule::DateDayFirst);
                            for rule in day_first.into_iter().chain(note.doubt) {
                                self.warnings.note(*index, rule, place, text);
                            }
                            note
                        }
                    };
                    let Some(reason) = note.failed else {
                        self.evidence.styles.note(position, text, place.line);
                        continue;
                    };
                    (&self.header[position], Some((*index, reason)))
                }
                Target::Unknown(_) if meant(text).is_empty() => continue,
                Target::Unknown(name) => (name, None),
            };
            any_rescued = true;
            self.columns.rescue(name, text);
            self.batch_bytes += name.len() + text.len();
            self.summary.cells_rescued += 1;
            if let Some((index, reason)) = reason
                && self.summary.rejects.len() < self.limits.rejects_kept_max
            {
                let column = self.bound[index].name.clone();
                let reason = format!("`{column}`: {reason}");
                self.summary.rejects.push(reject(place, Some(column), text, reason, RejectScope::Cell));
            }
        }
        self.columns.end_row(place, any_rescued, any_repaired);
        self.batch_bytes += record.bytes.len();
        self.summary.rows_committed += 1;
    }

    /// A record that is no sound row: a blank one, furniture of the page, or a reject.
    #[cold]
    fn set_apart(&mut self, place: Place, record: &Record<'_>, position: Option<usize>, reason: String) {
        let width = self.furniture.width();
        let mut cells = Vec::with_capacity(record.cells.len().min(width));
        // Of a record wider than the header, the cells behind it matter only in that they are empty.
        for cell in record.cells.iter().take(width) {
            cells.push(meant(self.scratch.cell(self.tokeniser, record, *cell).0).to_owned());
        }
        let sound = !record.unterminated && !record.has_nul;
        if sound && record.cells.iter().all(|cell| record.bytes[cell.range()].trim_ascii().is_empty()) {
            self.summary.rows_read -= 1;
            return self.evidence.blank_row(record.line);
        }
        let line = match record.text {
            Some(text) => excerpt(text),
            None => excerpt(&windows_1252(&record.bytes[..record.bytes.len().min(1_024)])),
        };
        match self.furniture.recognise(&cells, &line).filter(|_| sound) {
            Some((kind, reason)) => {
                if kind == RejectKind::RepeatedHeader && self.furniture.is_header(&cells) {
                    self.other_table = None;
                }
                self.reject_row(place, record, None, reason.to_owned(), kind);
            }
            None => {
                if sound {
                    self.other_table = OtherTable::begins(&cells, self.header.len(), place.line).or(self.other_table);
                }
                if position.is_none() && sound && record.cells.len() != self.header.len() + self.trailing {
                    self.evidence.ragged(record.line, record.cells.len(), self.header.len());
                }
                self.reject_row(place, record, position, reason, RejectKind::Unreadable);
            }
        }
    }

    fn reject_row(&mut self, place: Place, record: &Record<'_>, position: Option<usize>, reason: String, kind: RejectKind) {
        self.summary.rows_rejected += 1;
        self.evidence.apart(kind, place.line);
        if self.summary.rejects.len() >= self.limits.rejects_kept_max {
            return;
        }
        let column = position.and_then(|position| match self.targets[position] {
            Target::Column(index) => Some(self.bound[index].name.clone()),
            Target::Unknown(_) => None,
        });
        // Enough bytes for 256 characters, so that a long record is not decoded whole.
        let beginning = &record.bytes[..record.bytes.len().min(1_024)];
        let text = match record.text {
            Some(text) => excerpt(text),
            None => excerpt(&windows_1252(beginning)),
        };
        self.summary.rejects.push(Reject { kind, ..reject(place, column, &text, reason, RejectScope::Row) });
    }

    /// What the cells of this row look like, apart from what they are bound to.
    fn profile(&mut self, record: &Record<'_>) {
        for (position, profile) in self.summary.profiles.iter_mut().enumerate() {
            let (text, _) = self.scratch.cell(self.tokeniser, record, record.cells[position]);
            let text = meant(text);
            profile.cells += 1;
            if text.is_empty() {
                profile.empty += 1;
                continue;
            }
            let bytes = text.as_bytes();
            profile.length_max = profile.length_max.max(text.chars().count() as u32);
            profile.integers += u64::from(bytes.iter().all(u8::is_ascii_digit));
            profile.amounts += u64::from(money(bytes).is_ok());
            // A day number of Excel is a date only in a column known to hold dates; elsewhere it is just a number.
            let is_date = [DateOrder::MonthFirst, DateOrder::DayFirst].iter().any(|order| date(bytes, *order).is_ok());
            profile.dates += u64::from(bytes.iter().any(|byte| matches!(byte, b'/' | b'-')) && is_date);
            if let Target::Column(index) = self.targets[position] {
                profile.failed += u64::from(type_fault(self.bound[index].kind, text, self.date_orders.of(index)).is_some());
            }
        }
    }

    fn date_evidence(&self) -> DateEvidence {
        DateEvidence { columns: self.columns.dates_shown(), read_as: self.date_orders.clone() }
    }

    fn too_long(&self, at: TooLong) -> Quarantine {
        let limit = self.limits.record_bytes_max;
        let message = format!(
            "the record at line {} (byte {}) is longer than {limit} bytes: a quote is opened there and not closed, or the file is no \
             table; export the report again",
            at.line, at.offset
        );
        quarantine(QuarantineReason::RecordTooLong, Some(self.report), message)
    }

    /// `replaced`: units of UTF-16 that are no character.
    fn finish(mut self, records: &Records, replaced: u64, out: &mut Vec<RecordBatch>) -> Result<Summary, Quarantine> {
        let report = self.report;
        let apart = self.evidence.apart_total();
        if self.summary.rows_read == apart {
            let but = if apart > 0 { format!(" but {apart} of totals and notes") } else { String::new() };
            let message = format!(
                "the file has the header of {report} and no rows below it{but}: nothing matched the report's prompts, or the file was cut"
            );
            return Err(quarantine(QuarantineReason::NoRows, Some(report), message));
        }
        if self.summary.rows_committed == 0 {
            let first =
                self.summary.rejects.first().map(|reject| format!("; the first, at line {}: {}", reject.line, reject.reason));
            let message = format!("all {} rows were rejected{}", self.summary.rows_read, first.unwrap_or_default());
            return Err(quarantine(QuarantineReason::AllRejected, Some(report), message));
        }
        if self.columns.len() > 0 {
            out.push(self.columns.finish());
        }
        let total = |(index, sum): (usize, i128)| ControlTotal { column: self.bound[index].name.clone(), sum: dollars(sum) };
        self.summary.control_totals = self.columns.sums().map(total).collect();
        self.summary.findings = self.findings(replaced);
        self.summary.traits = self.evidence.words(&self.header, records.line_ends(), replaced, self.encoding);
        let dates = self.date_evidence();
        if let Some(words) = dates.describe(|column| &self.bound[column].name) {
            self.summary.traits.insert("date_order".to_owned(), words);
        }
        self.summary.date_orders_contradicted = dates.contradicted();
        self.summary.warnings = self.warnings.finish(&self.bound, sheet_limit(self.summary.rows_read, self.rows_above));
        Ok(self.summary)
    }

    /// File-wide drift that only the rows could show.
    fn findings(&self, replaced: u64) -> Vec<DriftFinding> {
        let mut findings = Vec::new();
        // ISO-8859-1 by the head may turn out to be Windows-1252 further down.
        let news = match self.evidence.high.encoding() {
            Some(Encoding::Windows1252) => self.encoding != Encoding::Windows1252,
            _ => !self.encoding.is_single_byte(),
        };
        if self.cells_windows_1252 > 0 && news {
            let name = self.evidence.high.encoding().unwrap_or(Encoding::Windows1252).as_str();
            findings.push(DriftFinding::encoding(&format!("{name} in {} cells", self.cells_windows_1252), 0));
        }
        if replaced > 0 {
            findings.push(DriftFinding::encoding(self.encoding.as_str(), replaced));
        }
        findings
    }
}

/// A line with nothing but white space on it.
#[inline]
fn is_blank(record: &Record<'_>) -> bool {
    match record.cells {
        [cell] => !cell.quoted && !record.unterminated && meant(&decode(record.bytes).0).is_empty(),
        _ => false,
    }
}

/// Why a non-empty text is not of this type.
fn type_fault(kind: ColumnType, text: &str, order: DateOrder) -> Option<&'static str> {
    let fault = |text: &str| {
        let bytes = text.as_bytes();
        match kind {
            ColumnType::Text(_) => None,
            ColumnType::Integer => integer(bytes).err(),
            ColumnType::Money => money(bytes).err(),
            ColumnType::Quantity => quantity(bytes).err(),
            ColumnType::Date => date(bytes, order).err(),
        }
    };
    let reason = fault(text)?;
    // What only looks like ASCII is mended when it is appended.
    plain(text).is_none_or(|(plain, _)| fault(&plain).is_some()).then_some(reason)
}

fn reject(place: Place, column: Option<String>, text: &str, reason: String, scope: RejectScope) -> Reject {
    let kind = RejectKind::Unreadable;
    Reject { row: place.row, line: place.line, byte: place.byte, column, text: excerpt(text), reason, scope, kind }
}

/// Cents as a decimal string with two places.
fn dollars(cents: i128) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

/// Room for the rare cell that is not simply a slice of its record.
#[derive(Default)]
struct Scratch {
    bytes: Vec<u8>,
    text: String,
}

/// What was odd about one cell.
#[derive(Clone, Copy, Default)]
struct Odd {
    /// It was read as Windows-1252.
    foreign: bool,
}

impl Scratch {
    /// The cell's text without its quotes, and what was odd about it.
    #[inline]
    fn cell<'a>(&'a mut self, tokeniser: Tokeniser, record: &'a Record<'_>, cell: Cell) -> (&'a str, Odd) {
        match record.text {
            Some(text) if !cell.escaped => (&text[cell.range()], Odd::default()),
            _ => self.unusual(tokeniser, record.bytes, cell),
        }
    }

    #[cold]
    fn unusual(&mut self, tokeniser: Tokeniser, record: &[u8], cell: Cell) -> (&str, Odd) {
        let raw = &record[cell.range()];
        let raw = if cell.escaped {
            tokeniser.unescape(raw, &mut self.bytes);
            &self.bytes
        } else {
            raw
        };
        let (text, foreign) = decode(raw);
        self.text.clear();
        self.text.push_str(&text);
        (&self.text, Odd { foreign })
    }
}

#[cfg(test)]
mod tests;
