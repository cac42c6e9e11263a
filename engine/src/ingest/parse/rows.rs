//! Rows: records become rows of a batch, row rejects, and cell rejects whose text is kept in `_rescued`.
//! Promise: `rows_read == rows_committed + rows_rejected`; a row is in the table whole or not at all.
//! Never: a cell that fails its type does not cost its row, unless the row could then not be told apart.

use std::fmt;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use bonded_schemas::{
    Binding, Bound, Column, ColumnProfile, ColumnType, Quarantine, Report, Required, WarningRule, delivery::RejectScope,
};

use super::{
    Encoding, Head, Limits, Stamp, Summary,
    columns::{Columns, Kept, Note, Place, is_entry_number},
    date::{DateEvidence, DateOrder, DateOrders, date},
    encoding::Transcoder,
    evidence::Evidence,
    furniture::{self, Furniture},
    quotes,
    records::{Beginning, Record, Records},
    repair::{Mends, plain},
    style::Styles,
    tables::OtherTable,
    texts,
    tokenise::Tokeniser,
    validate::Warnings,
    value::{EMPTY_GRAIN, decode, entry_number_fault, integer, meant, money, quantity},
};

mod apart;
mod ending;
mod profile;
mod scratch;

use apart::reject;
use scratch::Scratch;

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
    /// Of each position its column's index, or the one of no column.
    slots: Vec<usize>,
    /// Of the row in hand, the positions to append, with their words.
    changed: Vec<(usize, Option<u128>)>,
    /// The first position of the row above of which there was something to tell; none counts before it became a row.
    settled: usize,
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
        let columns = Columns::new(&binding.columns, &present, stamp, limits.batch_rows.max(1));
        let slots = targets.iter().map(|target| match target {
            Target::Column(index) => *index,
            Target::Unknown(_) => columns.no_column(),
        });
        let profiles = vec![ColumnProfile::default(); head.header.len()];
        Self {
            tokeniser,
            report: head.report,
            header: head.header.clone(),
            slots: slots.collect(),
            changed: Vec::with_capacity(targets.len()),
            settled: 0,
            targets,
            grain,
            columns,
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
        // Leading cells that are those of the row above, if that became a row and there was nothing to tell of them.
        let same = record.same.min(std::mem::take(&mut self.settled));
        if let Some(reason) = self.broken(record) {
            return self.set_apart(place, record, None, reason);
        }
        if let Some((position, reason)) = self.grain_fault(record, same) {
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
        self.append(place, record, same);
        if self.columns.len() >= self.limits.batch_rows || self.batch_bytes >= self.limits.batch_bytes_max {
            out.push(self.batch());
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
        if record.has_quote
            && let Some(fault) = quotes::fault(self.tokeniser, record.bytes, record.cells, &mut self.scratch.bytes)
        {
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

    /// The first header position whose cell fails to tell the row apart.
    #[inline]
    fn grain_fault(&mut self, record: &Record<'_>, same: usize) -> Option<(usize, String)> {
        for grain in self.grain.iter().filter(|grain| grain.position >= same) {
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

    /// Appends every cell of a row that is known to stay; the first `same` are known to be those of the row above.
    ///
    /// A cell that is the same as the one above it needs no more than that, unless there was something to tell of it.
    fn append(&mut self, place: Place, record: &Record<'_>, same: usize) {
        let mut row = Odds::default();
        self.settled = usize::MAX;
        let cells = record.cells.iter().zip(&self.slots).enumerate().skip(same);
        let mut changed = std::mem::take(&mut self.changed);
        changed.clear();
        for (position, (cell, slot)) in cells {
            let word = match record.text {
                Some(_) if !cell.escaped => texts::word(record.window, cell.start as usize, cell.end as usize),
                _ => None,
            };
            let is_done = |word| self.columns.repeats(*slot, word) || self.columns.append_known(*slot, word);
            if !word.is_some_and(is_done) {
                changed.push((position, word));
            }
        }
        for (position, word) in &changed {
            self.append_cell(place, record, *position, *word, &mut row);
        }
        self.changed = changed;
        self.columns.end_row(place, row.rescued, row.repaired);
        self.batch_bytes += record.bytes.len();
        self.summary.rows_committed += 1;
    }

    #[inline]
    fn append_cell(&mut self, place: Place, record: &Record<'_>, position: usize, word: Option<u128>, row: &mut Odds) {
        let (text, odd) = self.scratch.cell(self.tokeniser, record, record.cells[position]);
        if odd.foreign {
            self.cells_windows_1252 += 1;
            let cell = record.cells[position].range();
            self.evidence.high.add(&record.bytes[cell.clone()], record.offset + cell.start as u64);
            row.repaired = true;
            self.columns.repair(&format!("windows-1252: {}", self.header[position]));
        }
        let (name, reason) = match &self.targets[position] {
            Target::Column(index) => {
                self.evidence.styles.repeat(position, self.columns.waiting(*index));
                let (kept, is_plain) = self.columns.append(*index, text, word);
                if !is_plain || odd.foreign {
                    self.settled = self.settled.min(position);
                }
                let note = match kept {
                    Kept::AsIs => Note::default(),
                    Kept::Noted(note) => {
                        for mend in note.mends.notes() {
                            row.repaired = true;
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
                    return self.evidence.styles.note(position, text, place.line);
                };
                (&self.header[position], Some((*index, reason)))
            }
            Target::Unknown(_) if meant(text).is_empty() => return,
            Target::Unknown(name) => (name, None),
        };
        self.settled = self.settled.min(position);
        row.rescued = true;
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

    fn date_evidence(&self) -> DateEvidence {
        DateEvidence { columns: self.columns.dates_shown(), read_as: self.date_orders.clone() }
    }

    /// What was gathered becomes a batch.
    fn batch(&mut self) -> RecordBatch {
        for (position, target) in self.targets.iter().enumerate() {
            if let Target::Column(index) = target {
                self.evidence.styles.repeat(position, self.columns.waiting(*index));
            }
        }
        self.batch_bytes = 0;
        self.settled = 0;
        self.columns.finish()
    }
}

/// What one row has beside its values.
#[derive(Default)]
struct Odds {
    rescued: bool,
    repaired: bool,
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

#[cfg(test)]
mod tests;
