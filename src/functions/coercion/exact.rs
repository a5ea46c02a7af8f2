//! Arithmetic of decimals that is exact, wherever it is planned.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast};

use crate::functions::{decimal_divide, decimal_multiply, decimals};

/// Digits of a DECIMAL of 128 bits.
const NARROW_DIGITS: i16 = 38;

/// Arithmetic of decimals that DataFusion does not do exactly: every quotient, and what may need more than 38 digits, which is done
/// with 256 bits. `None`: the operator itself is exact.
pub(super) fn of_decimals(
    left: &Expr,
    left_type: &DataType,
    operator: Operator,
    right: &Expr,
    right_type: &DataType,
) -> Option<Expr> {
    if operator == Operator::Divide {
        return Some(decimal_divide::call(left.clone(), right.clone()));
    }
    let (left, right) = (decimals::narrowed(left.clone()), decimals::narrowed(right.clone()));
    let digits = |expr: &Expr, data_type: &DataType| match expr {
        Expr::Cast(cast) => decimals::as_decimal(cast.field.data_type()),
        _ => decimals::as_decimal(data_type),
    };
    let (left_type, right_type) = (digits(&left, left_type)?, digits(&right, right_type)?);
    let ((left_precision, left_scale), (right_precision, right_scale)) =
        (decimals::parts(&left_type)?, decimals::parts(&right_type)?);
    let is_wide = matches!(left_type, DataType::Decimal256(..)) || matches!(right_type, DataType::Decimal256(..));
    let aligned = (left_precision - left_scale).max(right_precision - right_scale) + left_scale.max(right_scale);
    match operator {
        Operator::Multiply if is_wide || left_precision + right_precision + 1 > NARROW_DIGITS => {
            Some(decimal_multiply::decimal_multiply().call(vec![left, right]))
        }
        Operator::Plus | Operator::Minus | Operator::Modulo if is_wide || aligned + 1 > NARROW_DIGITS => {
            let wide = |expr: Expr, (precision, scale): (i16, i16)| {
                Some(cast(expr, DataType::Decimal256(u8::try_from(precision).ok()?, i8::try_from(scale).ok()?)))
            };
            let left = wide(left, (left_precision, left_scale))?;
            Some(binary_expr(left, operator, wide(right, (right_precision, right_scale))?))
        }
        _ => None,
    }
}
