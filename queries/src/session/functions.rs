//! Functions that customs questions need and SQL lacks.
//! Promise: exact: money stays decimal, and a value of another shape gives null, not a guess.

use std::sync::Arc;

use bonded_schemas::entry_number;
use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, BooleanArray, Decimal128Array, Int32Array},
        datatypes::{DataType, Decimal128Type},
    },
    common::{Result as DataFusionResult, cast::as_string_array},
    execution::context::SessionContext,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, create_udf},
};

use crate::error::Error;

/// Widest decimal there is.
const PRECISION_MAX: u8 = 38;

/// `check_digit_ok(entry number)`, `check_digit(entry number)` and `round_half_up_to_cents(amount)`.
pub(super) fn register(context: &SessionContext) {
    context.register_udf(create_udf(
        "check_digit_ok",
        vec![DataType::Utf8],
        DataType::Boolean,
        Volatility::Immutable,
        Arc::new(|arguments| {
            over_text(arguments, |numbers| {
                Arc::new(numbers.map(|number| number.and_then(entry_number::check_digit_holds)).collect::<BooleanArray>())
            })
        }),
    ));
    context.register_udf(create_udf(
        "check_digit",
        vec![DataType::Utf8],
        DataType::Int32,
        Volatility::Immutable,
        Arc::new(|arguments| {
            over_text(arguments, |numbers| {
                let digit = |number: &str| entry_number::check_digit(number.get(..entry_number::LENGTH - 1)?).map(i32::from);
                Arc::new(numbers.map(|number| number.and_then(digit)).collect::<Int32Array>())
            })
        }),
    ));
    context.register_udf(ScalarUDF::new_from_impl(RoundHalfUpToCents::new()));
}

type Texts<'a> = Box<dyn Iterator<Item = Option<&'a str>> + 'a>;

fn over_text(arguments: &[ColumnarValue], work: impl Fn(Texts<'_>) -> ArrayRef) -> DataFusionResult<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let [numbers] = arrays.as_slice() else { return Err(Error::input("it takes one entry number").into()) };
    Ok(ColumnarValue::Array(work(Box::new(as_string_array(numbers)?.iter()))))
}

/// As CBP rounds a fee: half a cent goes up, away from zero. Half-even, the default of many tools, is wrong on real data.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RoundHalfUpToCents {
    signature: Signature,
}

impl RoundHalfUpToCents {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RoundHalfUpToCents {
    fn name(&self) -> &str {
        "round_half_up_to_cents"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> DataFusionResult<DataType> {
        match arguments {
            [DataType::Decimal128(_, 2..) | DataType::Null] => Ok(DataType::Decimal128(PRECISION_MAX, 2)),
            _ => Err(Error::input("round_half_up_to_cents() takes a decimal of two places or more").into()),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [amounts] = arrays.as_slice() else { return Err(Error::input("it takes one amount").into()) };
        let rounded: Decimal128Array = match amounts.data_type() {
            DataType::Decimal128(_, scale) => {
                let unit = 10_i128.pow(u32::from(scale.unsigned_abs()) - 2);
                amounts.as_primitive::<Decimal128Type>().unary(|amount| half_up(amount, unit))
            }
            _ => Decimal128Array::new_null(amounts.len()),
        };
        Ok(ColumnarValue::Array(Arc::new(rounded.with_precision_and_scale(PRECISION_MAX, 2)?)))
    }
}

/// `amount / unit`, a half going away from zero.
fn half_up(amount: i128, unit: i128) -> i128 {
    let (whole, rest) = (amount / unit, amount % unit);
    if rest.abs() * 2 >= unit && unit > 1 { whole + amount.signum() } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half-even, for comparison only.
    fn half_even(amount: i128, unit: i128) -> i128 {
        let (whole, rest) = (amount.div_euclid(unit), amount.rem_euclid(unit));
        match (rest * 2).cmp(&unit) {
            std::cmp::Ordering::Less => whole,
            std::cmp::Ordering::Greater => whole + 1,
            std::cmp::Ordering::Equal => whole + whole.rem_euclid(2),
        }
    }

    #[test]
    fn half_a_cent_goes_up_where_half_even_would_go_down() {
        // 100 dollars x 0.00125 = 0.125: 0.13 as CBP charges it, 0.12 by half-even.
        assert_eq!(half_up(12_500_000, 1_000_000), 13);
        assert_eq!(half_even(12_500_000, 1_000_000), 12);
        for (amount, rounded) in
            [(0, 0), (4_999, 0), (5_000, 1), (14_999, 1), (15_000, 2), (-5_000, -1), (-4_999, 0), (25_000, 3)]
        {
            assert_eq!(half_up(amount, 10_000), rounded, "{amount}");
        }
        assert_eq!(half_up(7, 1), 7, "cents stay as they are");
    }

    #[test]
    fn the_two_roundings_differ_on_one_whole_dollar_value_in_sixteen() {
        let differs = (1..=8_000_i128).filter(|dollars| {
            let fee = dollars * 100 * 1_250;
            half_up(fee, 1_000_000) != half_even(fee, 1_000_000)
        });
        assert_eq!(differs.count(), 500);
    }
}
