//! Records that are no rows: blank ones, furniture of the page, rejects with their place and reason.
//! Promise: each is counted, and the first of them are kept with the beginning of their text.

use bonded_schemas::{
    Reject,
    delivery::{RejectKind, RejectScope},
};

use super::{
    super::{
        columns::Place,
        records::Record,
        tables::OtherTable,
        value::{excerpt, meant, windows_1252},
    },
    Rows, Target,
};

impl Rows {
    /// As it stands; empty if the table has none.
    #[cold]
    pub(super) fn entry_number<'a>(&'a mut self, record: &'a Record<'_>) -> &'a str {
        let Some(grain) = self.grain.iter().find(|grain| grain.is_entry_number) else { return "" };
        meant(self.scratch.cell(self.tokeniser, record, record.cells[grain.position]).0)
    }

    /// A record that is no sound row: a blank one, furniture of the page, or a reject.
    #[cold]
    pub(super) fn set_apart(&mut self, place: Place, record: &Record<'_>, position: Option<usize>, reason: String) {
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
}

pub(super) fn reject(place: Place, column: Option<String>, text: &str, reason: String, scope: RejectScope) -> Reject {
    let kind = RejectKind::Unreadable;
    Reject { row: place.row, line: place.line, byte: place.byte, column, text: excerpt(text), reason, scope, kind }
}
