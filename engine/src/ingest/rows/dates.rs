//! First and last entry date of the rows that flow by, for the receipt.

use arrow::{
    array::{Date32Array, RecordBatch},
    compute::{max, min},
};
use chrono::NaiveDate;

const COLUMN: &str = "entry_date";
/// Days from the first day of the common era to 1970-01-01.
const EPOCH_DAYS: i32 = 719_163;

#[derive(Debug, Default)]
pub(super) struct Dates {
    first: Option<i32>,
    last: Option<i32>,
}

impl Dates {
    pub fn see(&mut self, batch: &RecordBatch) {
        let Some(days) = batch.column_by_name(COLUMN).and_then(|column| column.as_any().downcast_ref::<Date32Array>()) else {
            return;
        };
        self.first = [self.first, min(days)].into_iter().flatten().min();
        self.last = self.last.max(max(days));
    }

    pub fn span(&self) -> Option<(NaiveDate, NaiveDate)> {
        let day = |days: i32| NaiveDate::from_num_days_from_ce_opt(days.checked_add(EPOCH_DAYS)?);
        Some((day(self.first?)?, day(self.last?)?))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ArrayRef;

    use super::*;

    fn batch(days: Vec<Option<i32>>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([(COLUMN, Arc::new(Date32Array::from(days)) as ArrayRef, true)])
            .expect("a batch")
    }

    #[test]
    fn the_span_is_of_all_batches_and_empty_cells_do_not_count() {
        let mut dates = Dates::default();
        dates.see(&batch(vec![None, None]));
        assert_eq!(dates.span(), None);
        dates.see(&batch(vec![Some(20_500), None]));
        dates.see(&batch(vec![Some(20_454), Some(20_480)]));
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        assert_eq!(dates.span(), Some((day("2026-01-01"), day("2026-02-16"))));
    }
}
