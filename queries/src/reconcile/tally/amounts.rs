//! Narrow forms of what is added up: an entry number in sixteen bytes, an amount in eight.
//! Promise: exact. What does not fit is refused, never cut or wrapped.

use datafusion::arrow::{
    array::{Array, PrimitiveArray},
    datatypes::Decimal128Type,
};

use super::TooLarge;

/// A text of at most fifteen bytes, its length in the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; Key::BYTES]);

impl Key {
    const BYTES: usize = 16;

    pub(super) fn of(text: &str) -> Option<Self> {
        let mut bytes = [0; Key::BYTES];
        let length = u8::try_from(text.len()).ok().filter(|length| usize::from(*length) < Key::BYTES)?;
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes[Key::BYTES - 1] = length;
        Some(Self(bytes))
    }

    pub(super) fn text(&self) -> &str {
        let length = usize::from(self.0[Key::BYTES - 1]);
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

/// A sum of hundredths, or that nothing was added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cents(i64);

impl Cents {
    pub(super) const NONE: Cents = Cents(i64::MIN);

    /// Adds the cell unless it is null.
    pub(super) fn add(&mut self, cells: &PrimitiveArray<Decimal128Type>, row: usize) -> Result<(), TooLarge> {
        if cells.is_null(row) {
            return Ok(());
        }
        let cell = i64::try_from(cells.value(row)).map_err(|_| TooLarge)?;
        let sum = if *self == Cents::NONE { Some(cell) } else { self.0.checked_add(cell) };
        *self = sum.map(Cents).filter(|sum| *sum != Cents::NONE).ok_or(TooLarge)?;
        Ok(())
    }

    pub(super) fn value(self) -> Option<i128> {
        (self != Cents::NONE).then(|| i128::from(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_were_and_differ_where_they_differed() {
        for text in ["", "XZ912345674", "XZ91234567", "XZ912345674\0", "fifteen bytes .", "é9"] {
            assert_eq!(Key::of(text).unwrap().text(), text);
        }
        assert_ne!(Key::of("A").unwrap(), Key::of("A\0").unwrap());
        assert!(Key::of("sixteen bytes ..").is_none());
    }

    #[test]
    fn a_sum_that_does_not_fit_is_refused() {
        let cells = PrimitiveArray::<Decimal128Type>::from(vec![Some(i128::from(i64::MAX)), None, Some(1), Some(i128::MAX)]);
        let mut sum = Cents::NONE;
        sum.add(&cells, 1).unwrap();
        assert_eq!(sum.value(), None);
        sum.add(&cells, 0).unwrap();
        assert_eq!(sum.value(), Some(i128::from(i64::MAX)));
        assert!(sum.add(&cells, 2).is_err() && sum.add(&cells, 3).is_err());
    }
}
