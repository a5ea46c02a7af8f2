//! What arithmetic of decimals has in common: their types, their values as 256 bits, and rounding.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, i256};
use datafusion::logical_expr::{Expr, cast};
use datafusion::scalar::ScalarValue;

use crate::data_type::is_unconstrained_numeric;

/// Digits of an INT, which a whole number that is written is as long as it fits.
const INT_DIGITS: u8 = 10;

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
