//! The end of a file: what its rows came to, or why it is no table.

use arrow::array::RecordBatch;
use bonded_schemas::{ControlTotal, DriftFinding, Quarantine, QuarantineReason};

use super::{
    super::{
        Encoding, Summary, quarantine,
        records::{Records, TooLong},
        validate::sheet_limit,
    },
    Rows,
};

impl Rows {
    pub(super) fn too_long(&self, at: TooLong) -> Quarantine {
        let limit = self.limits.record_bytes_max;
        let message = format!(
            "the record at line {} (byte {}) is longer than {limit} bytes: a quote is opened there and not closed, or the file is no \
             table; export the report again",
            at.line, at.offset
        );
        quarantine(QuarantineReason::RecordTooLong, Some(self.report), message)
    }

    /// `replaced`: units of UTF-16 that are no character.
    pub(super) fn finish(mut self, records: &Records, replaced: u64, out: &mut Vec<RecordBatch>) -> Result<Summary, Quarantine> {
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
            out.push(self.batch());
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

/// Cents as a decimal string with two places.
fn dollars(cents: i128) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}
