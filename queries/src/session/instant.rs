//! Points in time as SQL arguments.
//! Promise: a bare date means the whole day (UTC), a timestamp the very instant.

use chrono::NaiveDate;
use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::ScalarValue,
    logical_expr::Expr,
};

use crate::error::{Error, Result};

pub(super) const MICROSECONDS_OF_DAY: i64 = 86_400_000_000;

/// The type of `_as_of`.
pub(super) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

/// A constant argument as microseconds since 1970 (UTC).
pub(super) fn microseconds(argument: &Expr) -> Result<i64> {
    let Expr::Literal(value, _) = argument else {
        return Err(Error::input("a point in time must be a constant, such as '2026-03-31' or TIMESTAMP '2026-03-31T12:00:00Z'"));
    };
    if let Some(date) = date(value) {
        let days =
            i64::from(chrono::Datelike::num_days_from_ce(&date) - chrono::Datelike::num_days_from_ce(&NaiveDate::default()));
        return Ok((days + 1) * MICROSECONDS_OF_DAY - 1);
    }
    match value.cast_to(&instant_type()) {
        Ok(ScalarValue::TimestampMicrosecond(Some(value), _)) if !matches!(value_kind(argument), Kind::Number) => Ok(value),
        _ => Err(Error::input(format!("{value} is not a point in time; write '2026-03-31' or '2026-03-31T12:00:00Z'"))),
    }
}

fn date(value: &ScalarValue) -> Option<NaiveDate> {
    match value {
        ScalarValue::Date32(Some(days)) => NaiveDate::default().checked_add_signed(chrono::Duration::days(i64::from(*days))),
        other => other.try_as_str().flatten().and_then(|text| text.trim().parse().ok()),
    }
}

/// What sort of constant an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Other,
}

pub(super) fn value_kind(argument: &Expr) -> Kind {
    match argument {
        Expr::Literal(value, _) if value.data_type().is_numeric() => Kind::Number,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::lit;

    use super::*;

    #[test]
    fn a_bare_date_means_the_end_of_that_day() {
        let end = 1_774_915_200_000_000 + MICROSECONDS_OF_DAY - 1; // 2026-03-31
        assert_eq!(microseconds(&lit("2026-03-31")).unwrap(), end);
        assert_eq!(microseconds(&lit(ScalarValue::Date32(Some(20_543)))).unwrap(), end);
    }

    #[test]
    fn a_timestamp_means_that_instant() {
        assert_eq!(microseconds(&lit("2026-03-31T00:00:01Z")).unwrap(), 1_774_915_201_000_000);
        assert_eq!(microseconds(&lit("2026-03-31 02:00:01+02:00")).unwrap(), 1_774_915_201_000_000);
        let nanoseconds = ScalarValue::TimestampNanosecond(Some(1_774_915_201_000_000_000), None);
        assert_eq!(microseconds(&lit(nanoseconds)).unwrap(), 1_774_915_201_000_000);
    }

    #[test]
    fn anything_else_is_refused() {
        for argument in [lit("yesterday"), lit(5i64), lit(ScalarValue::Null), datafusion::prelude::col("entry_date")] {
            assert!(microseconds(&argument).is_err(), "{argument}");
        }
    }
}
