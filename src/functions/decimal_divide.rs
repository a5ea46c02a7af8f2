//! decimal_divide(a, b): the quotient of decimals and whole numbers, exact to the places that Flink gives it, max(6, s1 + p2 + 1), and
//! rounded half up. It keeps every digit before the point that there can be, so that a quotient that fits is never an error.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, i256};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::decimals::{narrowed, of_two, parts, power_of_ten, rounded_quotient, two_decimals, value};
use super::entry::{Entry, Maker};
use super::no_such_call;
use crate::data_type::NUMERIC_PRECISION;
use crate::error::{Error, SqlState};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] =
    &[Entry::internal(NAME, "`/` of decimals and whole numbers.", Maker::Plain(decimal_divide))];

/// Its name.
pub const NAME: &str = "decimal_divide";
/// Places of a quotient, at least.
const PLACES_MIN: i16 = 6;
/// Digits of a DECIMAL of 128 bits.
const NARROW_DIGITS: i16 = 38;

/// The function.
pub fn decimal_divide() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(DecimalDivide { signature: Signature::user_defined(Volatility::Immutable) }))
}

/// A call for a quotient.
pub fn call(left: Expr, right: Expr) -> Expr {
    decimal_divide().call(vec![narrowed(left), narrowed(right)])
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct DecimalDivide {
    signature: Signature,
}

fn quotient_type(left: &DataType, right: &DataType) -> Option<DataType> {
    let ((left_precision, left_scale), (right_precision, right_scale)) = (parts(left)?, parts(right)?);
    let whole = left_precision - left_scale + right_scale;
    let scale = PLACES_MIN.max(left_scale + right_precision + 1).min(i16::from(NUMERIC_PRECISION) - whole).max(0);
    let (precision, scale) = ((whole + scale).min(i16::from(NUMERIC_PRECISION)), i8::try_from(scale).ok()?);
    let digits = u8::try_from(precision.max(1)).ok()?;
    Some(match precision <= NARROW_DIGITS {
        true => DataType::Decimal128(digits, scale),
        false => DataType::Decimal256(digits, scale),
    })
}

impl ScalarUDFImpl for DecimalDivide {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        two_decimals(NAME, arguments, "a / b")
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let decimals = self.coerce_types(arguments)?;
        quotient_type(&decimals[0], &decimals[1]).ok_or_else(|| no_such_call(NAME, arguments, "a / b"))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_two(args, divide)
    }
}

fn divide(left: &ArrayRef, right: &ArrayRef, result: &DataType) -> Result<ArrayRef> {
    let misfit = || Error::internal("decimal_divide needs decimals");
    let (Some((_, left_scale)), Some((_, right_scale)), Some((precision, scale))) =
        (parts(left.data_type()), parts(right.data_type()), parts(result))
    else {
        return Err(misfit().into());
    };
    // Places by which the dividend is moved, or the divisor.
    let moved = scale - left_scale + right_scale;
    let (Some(up), Some(down), Some(bound)) =
        (power_of_ten(moved.max(0)), power_of_ten((-moved).max(0)), power_of_ten(precision))
    else {
        return Err(misfit().into());
    };
    let overflow = || Error::row("numeric field overflow").code(SqlState::NumericValueOutOfRange);
    let mut quotients = Vec::with_capacity(left.len());
    for row in 0..left.len() {
        let (Some(dividend), Some(divisor)) = (value(left, row), value(right, row)) else {
            quotients.push(None);
            continue;
        };
        if divisor == i256::ZERO {
            return Err(Error::row("division by zero").code(SqlState::DivisionByZero).into());
        }
        let quotient = dividend
            .checked_mul(up)
            .zip(divisor.checked_mul(down))
            .and_then(|(dividend, divisor)| rounded_quotient(dividend, divisor))
            .filter(|quotient| *quotient < bound && *quotient > bound.wrapping_neg());
        quotients.push(Some(quotient.ok_or_else(overflow)?));
    }
    Ok(match result {
        DataType::Decimal128(..) => {
            let narrow = quotients.into_iter().map(|quotient| quotient.and_then(i256::to_i128));
            Arc::new(narrow.collect::<PrimitiveArray<Decimal128Type>>().with_data_type(result.clone()))
        }
        _ => Arc::new(quotients.into_iter().collect::<PrimitiveArray<Decimal256Type>>().with_data_type(result.clone())),
    })
}

#[cfg(test)]
mod tests;
