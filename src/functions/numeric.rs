//! Exact decimals without declared precision (Postgres' `numeric`): read from text, printed with trailing zeros trimmed,
//! multiplied and divided without losing the places that a fixed scale would lose. Stored as Decimal256(76, 38).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal256Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Decimal256Type, Float32Type, Float64Type, i256};
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, no_such_call};
use crate::data_type::{NUMERIC_PRECISION, NUMERIC_SCALE, unconstrained_numeric};
use crate::error::{Error, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal("to_numeric", "CAST to NUMERIC without limits.", Maker::Plain(to_numeric)),
    Entry::internal("numeric_text", "CAST of such a NUMERIC to a text.", Maker::Plain(numeric_text)),
    Entry::internal("numeric_multiply", "`*` of such numbers.", Maker::Plain(multiply)),
    Entry::internal("numeric_divide", "`/` of such numbers.", Maker::Plain(divide)),
    Entry::internal("numeric_modulo", "`%` of such numbers.", Maker::Plain(modulo)),
];

const SCALE: usize = NUMERIC_SCALE as usize;
/// Places of a quotient that does not end, as many as Postgres gives for small numbers.
const QUOTIENT_SCALE: usize = 20;

/// `to_numeric(text or float)`: text that is not a number is an error that shows it.
pub fn to_numeric() -> Arc<ScalarUDF> {
    ColumnFunction::udf(
        "to_numeric",
        Volatility::Immutable,
        coerce_to_numeric,
        unconstrained_numeric(),
        evaluate_to_numeric,
    )
}

/// `numeric_text(numeric)`: trailing zeros trimmed.
pub fn numeric_text() -> Arc<ScalarUDF> {
    ColumnFunction::udf("numeric_text", Volatility::Immutable, coerce_one, DataType::Utf8, |arguments, _| {
        let numbers = arguments[0].as_primitive::<Decimal256Type>();
        let texts: StringArray =
            (0..numbers.len()).map(|row| numbers.is_valid(row).then(|| print(numbers.value(row)))).collect();
        Ok(Arc::new(texts))
    })
}

/// `numeric_multiply(a, b)`
pub fn multiply() -> Arc<ScalarUDF> {
    ColumnFunction::udf(
        "numeric_multiply",
        Volatility::Immutable,
        coerce_two,
        unconstrained_numeric(),
        |arguments, _| binary(arguments, |left, right| product(left, right).ok_or_else(overflow)),
    )
}

/// `numeric_divide(a, b)`
pub fn divide() -> Arc<ScalarUDF> {
    ColumnFunction::udf("numeric_divide", Volatility::Immutable, coerce_two, unconstrained_numeric(), |arguments, _| {
        binary(arguments, |left, right| {
            if right == i256::ZERO {
                return Err(division_by_zero());
            }
            quotient(left, right).ok_or_else(overflow)
        })
    })
}

/// `numeric_modulo(a, b)`
pub fn modulo() -> Arc<ScalarUDF> {
    ColumnFunction::udf("numeric_modulo", Volatility::Immutable, coerce_two, unconstrained_numeric(), |arguments, _| {
        binary(arguments, |left, right| left.checked_rem(right).ok_or_else(division_by_zero))
    })
}

fn overflow() -> Error {
    Error::row("value overflows numeric format").code(SqlState::NumericValueOutOfRange)
}

fn division_by_zero() -> Error {
    Error::row("division by zero").code(SqlState::DivisionByZero)
}

fn coerce_to_numeric(arguments: &[DataType]) -> Result<Vec<DataType>> {
    match arguments {
        [DataType::Float32 | DataType::Float16] => Ok(vec![DataType::Float32]),
        [DataType::Float64] => Ok(vec![DataType::Float64]),
        [_] => Ok(vec![DataType::Utf8]),
        _ => Err(no_such_call("to_numeric", arguments, "CAST(value AS NUMERIC)")),
    }
}

fn coerce_one(_arguments: &[DataType]) -> Result<Vec<DataType>> {
    Ok(vec![unconstrained_numeric()])
}

fn coerce_two(_arguments: &[DataType]) -> Result<Vec<DataType>> {
    Ok(vec![unconstrained_numeric(), unconstrained_numeric()])
}

fn finish(values: Vec<Option<i256>>) -> Result<ArrayRef> {
    let array = Decimal256Array::from(values).with_precision_and_scale(NUMERIC_PRECISION, NUMERIC_SCALE)?;
    Ok(Arc::new(array))
}

fn evaluate_to_numeric(arguments: &[ArrayRef], _zone: &str) -> Result<ArrayRef> {
    let values = &arguments[0];
    let mut numbers = Vec::with_capacity(values.len());
    for row in 0..values.len() {
        if values.is_null(row) {
            numbers.push(None);
            continue;
        }
        // The shortest text that reads back as the same float, so that 12.1 stays 12.1.
        let number = match values.data_type() {
            DataType::Float32 => parse(&values.as_primitive::<Float32Type>().value(row).to_string()),
            DataType::Float64 => parse(&values.as_primitive::<Float64Type>().value(row).to_string()),
            _ => parse(values.as_string::<i32>().value(row)),
        };
        numbers.push(Some(number?));
    }
    finish(numbers)
}

/// Numbers read from texts.
///
/// # Errors
/// As [`parse`].
pub fn of_texts(texts: &StringArray) -> Result<ArrayRef> {
    finish(texts.iter().map(|text| text.map(parse).transpose()).collect::<Result<_, Error>>()?)
}

fn binary(arguments: &[ArrayRef], of: impl Fn(i256, i256) -> Result<i256, Error>) -> Result<ArrayRef> {
    let left = arguments[0].as_primitive::<Decimal256Type>();
    let right = arguments[1].as_primitive::<Decimal256Type>();
    let mut numbers = Vec::with_capacity(left.len());
    for row in 0..left.len() {
        numbers.push(if left.is_valid(row) && right.is_valid(row) {
            Some(of(left.value(row), right.value(row))?)
        } else {
            None
        });
    }
    finish(numbers)
}

/// Reads a number: sign, digits, point, exponent.
///
/// # Errors
/// It is none (22P02), or out of range (22003).
pub fn parse(text: &str) -> Result<i256, Error> {
    let invalid = || {
        Error::row(format!("invalid input syntax for type numeric: \"{text}\""))
            .code(SqlState::InvalidTextRepresentation)
    };
    let trimmed = text.trim();
    if matches!(trimmed.to_ascii_lowercase().as_str(), "nan" | "inf" | "-inf" | "infinity" | "-infinity") {
        return Err(Error::row(format!("numeric cannot hold \"{trimmed}\"")).code(SqlState::NumericValueOutOfRange));
    }
    let (mantissa, exponent) = match trimmed.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| invalid())?),
        None => (trimmed, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first() {
        Some(b'-') => (true, &mantissa[1..]),
        Some(b'+') => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !(all_digits(whole) && all_digits(fraction)) || (whole.is_empty() && fraction.is_empty()) {
        return Err(invalid());
    }
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
    // Digits that lie before the point of the stored scale.
    let point = i64::try_from(whole.len()).map_err(|_| overflow())? + i64::from(exponent) + i64::from(NUMERIC_SCALE);
    let Ok(point) = usize::try_from(point) else {
        return Ok(i256::ZERO);
    };
    let leading_zeros = digits.iter().take_while(|digit| **digit == 0).count();
    if leading_zeros == digits.len() {
        return Ok(i256::ZERO);
    }
    if point.saturating_sub(leading_zeros) > usize::from(NUMERIC_PRECISION) {
        return Err(overflow());
    }
    let rounds_up = digits.get(point).is_some_and(|digit| *digit >= 5);
    digits.resize(point, 0);
    let mut value = i256::ZERO;
    let ten = i256::from_i128(10);
    for digit in digits {
        value = value
            .checked_mul(ten)
            .and_then(|value| value.checked_add(i256::from_i128(i128::from(digit))))
            .ok_or_else(overflow)?;
    }
    if rounds_up {
        value = value.checked_add(i256::ONE).ok_or_else(overflow)?;
    }
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// Prints a number with trailing zeros trimmed.
pub fn print(value: i256) -> String {
    let text = value.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let digits = format!("{digits:0>width$}", width = SCALE + 1);
    let (whole, fraction) = digits.split_at(digits.len() - SCALE);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn power_of_ten(exponent: usize) -> Option<i256> {
    i256::from_i128(10).checked_pow(u32::try_from(exponent).ok()?)
}

/// Mantissa without trailing zeros, and its scale.
fn reduce(value: i256) -> (i256, usize) {
    let ten = i256::from_i128(10);
    let (mut value, mut scale) = (value, SCALE);
    while scale > 0 && value.wrapping_rem(ten) == i256::ZERO {
        value = value.wrapping_div(ten);
        scale -= 1;
    }
    (value, scale)
}

fn rescale(value: i256, scale: usize) -> Option<i256> {
    if scale <= SCALE {
        return value.checked_mul(power_of_ten(SCALE - scale)?);
    }
    round_divide(value, power_of_ten(scale - SCALE)?)
}

/// Divides, halves away from zero.
fn round_divide(value: i256, by: i256) -> Option<i256> {
    let (quotient, rest) = (value.checked_div(by)?, value.checked_rem(by)?);
    let twice = rest.wrapping_abs().checked_mul(i256::from_i128(2))?;
    if twice >= by.wrapping_abs() {
        let up = if value.is_negative() == by.is_negative() { i256::ONE } else { i256::MINUS_ONE };
        return quotient.checked_add(up);
    }
    Some(quotient)
}

fn product(left: i256, right: i256) -> Option<i256> {
    let ((left, left_scale), (right, right_scale)) = (reduce(left), reduce(right));
    rescale(left.checked_mul(right)?, left_scale + right_scale)
}

fn quotient(left: i256, right: i256) -> Option<i256> {
    let ((left, left_scale), (right, right_scale)) = (reduce(left), reduce(right));
    let scale = QUOTIENT_SCALE.max(left_scale).max(right_scale);
    let scaled = left.checked_mul(power_of_ten(scale + right_scale - left_scale)?)?;
    rescale(round_divide(scaled, right)?, scale)
}
