//! Profile: what the cells of a sample of rows look like, apart from what they are bound to, for the judgement of drift.

use super::{
    super::{
        date::{DateOrder, date},
        records::Record,
        value::{meant, money},
    },
    Rows, Target, type_fault,
};

impl Rows {
    /// What the cells of this row look like, apart from what they are bound to.
    pub(super) fn profile(&mut self, record: &Record<'_>) {
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
}
