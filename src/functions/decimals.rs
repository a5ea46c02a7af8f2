//! What arithmetic of decimals has in common: their types, their values as 256 bits, and rounding.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, i256};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, cast};
use datafusion::scalar::ScalarValue;

use super::no_such_call;
use crate::data_type::is_unconstrained_numeric;
use crate::error::Error;

/// Digits of an INT, which a whole number that is written is as long as it fits.
const INT_DIGITS: u8 = 10;

/// Whether a type is a decimal's.
pub(super) fn is_decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..))
}

/// Whether two values are computed with as decimals: one is a decimal of declared digits, and the other one or a whole number.
pub fn are_decimals(left: &DataType, right: &DataType) -> bool {
    let decimal = |data_type: &DataType| {
        matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..)) && !is_unconstrained_numeric(data_type)
    };
    (decimal(left) && (decimal(right) || right.is_integer())) || (left.is_integer() && decimal(right))
}

/// A whole number that is written is an INT if it fits.
pub fn narrowed(expr: Expr) -> Expr {
    let literal = match &expr {
        // What coercion makes of it.
        Expr::Cast(cast) if *cast.field.data_type() == DataType::Decimal128(20, 0) => cast.expr.as_ref(),
        other => other,
    };
    match literal {
        Expr::Literal(ScalarValue::Int64(Some(value)), _) if i32::try_from(*value).is_ok() => {
            cast(literal.clone(), DataType::Decimal128(INT_DIGITS, 0))
        }
        _ => expr,
    }
}

/// The types that a function of two decimals takes these as.
///
/// # Errors
/// They are not two exact numbers; `form` shows how the function is written.
pub fn two_decimals(name: &str, arguments: &[DataType], form: &str) -> Result<Vec<DataType>> {
    let decimals: Option<Vec<DataType>> = arguments.iter().map(as_decimal).collect();
    decimals.filter(|decimals| decimals.len() == 2).ok_or_else(|| no_such_call(name, arguments, form))
}

/// Evaluates a call of a function of two decimals: `compute` takes both and the type of the result.
///
/// # Errors
/// Those of `compute`.
pub fn of_two(
    args: ScalarFunctionArgs,
    compute: impl FnOnce(&ArrayRef, &ArrayRef, &DataType) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let rows = if is_scalar { 1 } else { args.number_rows };
    let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<Result<Vec<_>>>()?;
    let [left, right] = arrays.as_slice() else {
        return Err(Error::internal("a function of two decimals has other arguments").into());
    };
    let computed = compute(left, right, args.return_field.data_type())?;
    Ok(match is_scalar {
        true => ColumnarValue::Scalar(ScalarValue::try_from_array(&computed, 0)?),
        false => ColumnarValue::Array(computed),
    })
}

/// Precision and scale.
pub fn parts(data_type: &DataType) -> Option<(i16, i16)> {
    match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            Some((i16::from(*precision), i16::from(*scale)))
        }
        _ => None,
    }
}

/// The decimal type that holds all values of an exact type.
pub fn as_decimal(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Int8 | DataType::UInt8 => DataType::Decimal128(3, 0),
        DataType::Int16 | DataType::UInt16 => DataType::Decimal128(5, 0),
        DataType::Int32 | DataType::UInt32 | DataType::Null => DataType::Decimal128(INT_DIGITS, 0),
        DataType::Int64 => DataType::Decimal128(19, 0),
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal128(..) | DataType::Decimal256(..) => data_type.clone(),
        _ => return None,
    })
}

/// A row's unscaled value.
pub fn value(array: &ArrayRef, row: usize) -> Option<i256> {
    match array.data_type() {
        DataType::Decimal128(..) => {
            let array = array.as_primitive::<Decimal128Type>();
            array.is_valid(row).then(|| i256::from_i128(array.value(row)))
        }
        _ => {
            let array = array.as_primitive::<Decimal256Type>();
            array.is_valid(row).then(|| array.value(row))
        }
    }
}

/// 10 to that power, if 256 bits hold it.
pub fn power_of_ten(digits: i16) -> Option<i256> {
    u32::try_from(digits).ok().and_then(|digits| i256::from_i128(10).checked_pow(digits))
}

/// A quotient, halves away from zero.
pub fn rounded_quotient(dividend: i256, divisor: i256) -> Option<i256> {
    if let (Some(dividend), Some(divisor)) = (dividend.to_i128(), divisor.to_i128()) {
        // Division of 256 bits is slow.
        let (quotient, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?);
        let is_up = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
        let step = if !is_up {
            0
        } else if (dividend < 0) == (divisor < 0) {
            1
        } else {
            -1
        };
        return quotient.checked_add(step).map(i256::from_i128);
    }
    let (quotient, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?);
    let (rest, by) = (rest.wrapping_abs(), divisor.wrapping_abs());
    if rest < by.wrapping_sub(rest) {
        return Some(quotient);
    }
    quotient.checked_add(if dividend.is_negative() == divisor.is_negative() { i256::ONE } else { i256::MINUS_ONE })
}

#[cfg(test)]
mod tests;
