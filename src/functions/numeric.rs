//! `numeric` without precision: exact decimals, held as Decimal256(76, 38), printed without trailing zeros.
//! The functions behind its casts and arithmetic; users write `CAST(x AS NUMERIC)` and `+ - * / %`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal256Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal256Type, Float32Type, Float64Type, i256};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, Result};

/// Digits in all.
pub const PRECISION: u8 = 76;
/// Digits behind the point.
pub const SCALE: i8 = 38;

/// The type of numeric without precision.
pub fn data_type() -> DataType {
    DataType::Decimal256(PRECISION, SCALE)
}

/// The operators that numeric has.
pub const OPERATORS: [(Operator, &str); 5] = [
    (Operator::Plus, "numeric_add"),
    (Operator::Minus, "numeric_subtract"),
    (Operator::Multiply, "numeric_multiply"),
    (Operator::Divide, "numeric_divide"),
    (Operator::Modulo, "numeric_modulo"),
];

/// `to_numeric`, `numeric_text` and the arithmetic.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![to_numeric_udf(), numeric_text_udf()];
    functions.extend(OPERATORS.iter().map(|(operator, _)| arithmetic_udf(*operator)));
    functions
}

/// The function that makes a numeric of text or of any number.
pub fn to_numeric_udf() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(ToNumeric { signature: Signature::any(1, Volatility::Immutable) }))
}

/// The function that prints a numeric.
pub fn numeric_text_udf() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(NumericText { signature: Signature::any(1, Volatility::Immutable) }))
}

/// The function behind an operator over two numerics.
pub fn arithmetic_udf(operator: Operator) -> Arc<ScalarUDF> {
    let signature = Signature::exact(vec![data_type(), data_type()], Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(Arithmetic { operator, signature }))
}

/// Reads text as numeric, exactly: `-12.5`, `1e3`, ` 7 `. Digits beyond the 38th behind the point are rounded.
///
/// # Errors
/// It is no number (22P02), or has more than 38 digits before the point (22003).
pub fn parse(text: &str) -> Result<i256> {
    let bad = || Error::invalid(format!("invalid input syntax for type numeric: \"{text}\"")).code("22P02");
    let trimmed = text.trim();
    let (mantissa, exponent) = match trimmed.find(['e', 'E']) {
        Some(at) => (&trimmed[..at], trimmed[at + 1..].parse::<i64>().map_err(|_| bad())?),
        None => (trimmed, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first() {
        Some(b'-') => (true, &mantissa[1..]),
        Some(b'+') => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(bad());
    }
    let digits: String = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(i256::ZERO);
    }
    // The number is `digits` × 10^power; it is wanted in units of 10^-38.
    let power = exponent.saturating_sub(fraction.len() as i64).saturating_add(i64::from(SCALE));
    let too_large = || Error::invalid(format!("value \"{text}\" is out of range for type numeric")).code("22003");
    let length = (digits.len() as i64).saturating_add(power);
    if length > i64::from(PRECISION) {
        return Err(too_large());
    }
    let (kept, rounds_up) = if power >= 0 {
        (format!("{digits}{}", "0".repeat(usize::try_from(power).unwrap_or(0))), false)
    } else {
        let cut = usize::try_from(length).unwrap_or(0);
        let next = if length < 0 { b'0' } else { digits.as_bytes()[cut] };
        (digits[..cut].to_owned(), next >= b'5')
    };
    let mut value = if kept.is_empty() { i256::ZERO } else { i256::from_string(&kept).ok_or_else(too_large)? };
    if rounds_up {
        value = value.wrapping_add(i256::ONE);
    }
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// Prints a numeric without trailing zeros.
pub fn print(value: i256) -> String {
    let text = value.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let scale = usize::from(SCALE.unsigned_abs());
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A column of numerics as text.
///
/// # Errors
/// The column is of another type.
pub fn to_text(array: &ArrayRef) -> DataFusionResult<StringArray> {
    let array = cast(array, &data_type())?;
    Ok(array.as_primitive::<Decimal256Type>().iter().map(|value| value.map(print)).collect())
}

fn numeric_array(values: impl IntoIterator<Item = Result<Option<i256>>>) -> Result<ArrayRef> {
    let values = values.into_iter().collect::<Result<Decimal256Array>>()?;
    Ok(Arc::new(values.with_precision_and_scale(PRECISION, SCALE)?))
}

/// A column of text or numbers as numerics; floats by their shortest text, as Postgres casts them.
///
/// # Errors
/// As [`parse`].
pub fn from_array(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = cast(array, &DataType::Utf8)?;
            numeric_array(texts.as_string::<i32>().iter().map(|text| text.map(parse).transpose()))
        }
        DataType::Float32 => numeric_array(
            array.as_primitive::<Float32Type>().iter().map(|f| f.map(|f| parse(&f.to_string())).transpose()),
        ),
        DataType::Float64 => numeric_array(
            array.as_primitive::<Float64Type>().iter().map(|f| f.map(|f| parse(&f.to_string())).transpose()),
        ),
        _ => Ok(cast(array, &data_type())?),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToNumeric {
    signature: Signature,
}

impl ScalarUDFImpl for ToNumeric {
    fn name(&self) -> &str {
        "to_numeric"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(data_type())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        Ok(ColumnarValue::Array(from_array(&arguments.args[0].to_array(arguments.number_rows)?)?))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NumericText {
    signature: Signature,
}

impl ScalarUDFImpl for NumericText {
    fn name(&self) -> &str {
        "numeric_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        Ok(ColumnarValue::Array(Arc::new(to_text(&arguments.args[0].to_array(arguments.number_rows)?)?)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    operator: Operator,
    signature: Signature,
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        OPERATORS.iter().find(|(operator, _)| *operator == self.operator).map_or("numeric_unknown", |(_, name)| name)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(data_type())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let left = arguments.args[0].to_array(rows)?;
        let right = arguments.args[1].to_array(rows)?;
        let pairs = left.as_primitive::<Decimal256Type>().iter().zip(right.as_primitive::<Decimal256Type>());
        let values = pairs.map(|(left, right)| match (left, right) {
            (Some(left), Some(right)) => compute(self.operator, left, right).map(Some),
            _ => Ok(None),
        });
        Ok(ColumnarValue::Array(numeric_array(values)?))
    }
}

/// Computes exactly; a quotient is rounded to the digits that fit, 38 behind the point at most.
///
/// # Errors
/// Division by zero (22012), or a result out of range (22003).
pub fn compute(operator: Operator, left: i256, right: i256) -> Result<i256> {
    let range = || Error::invalid("numeric field overflow").code("22003");
    let zero_divisor = || Error::invalid("division by zero").code("22012");
    match operator {
        Operator::Plus => left.checked_add(right).ok_or_else(range),
        Operator::Minus => left.checked_sub(right).ok_or_else(range),
        Operator::Modulo if right == i256::ZERO => Err(zero_divisor()),
        Operator::Modulo => Ok(left.wrapping_rem(right)),
        Operator::Multiply => {
            let (left, left_scale) = reduced(left);
            let (right, right_scale) = reduced(right);
            let product = left.checked_mul(right).ok_or_else(range)?;
            rescaled(product, left_scale + right_scale).ok_or_else(range)
        }
        _ if right == i256::ZERO => Err(zero_divisor()),
        _ => {
            // left / right = (l × 10^-a) / (r × 10^-b): widen l as far as it fits, up to 38 digits behind the point and one to round.
            let (mut l, mut scale) = reduced(left);
            let (r, right_scale) = reduced(right);
            scale -= right_scale;
            while scale <= i32::from(SCALE) {
                let Some(wider) = l.checked_mul(i256::from_i128(10)) else { break };
                l = wider;
                scale += 1;
            }
            rescaled(l.wrapping_div(r), scale).ok_or_else(range)
        }
    }
}

/// The value without trailing zeros, and its scale.
fn reduced(value: i256) -> (i256, i32) {
    let ten = i256::from_i128(10);
    let (mut value, mut scale) = (value, i32::from(SCALE));
    while value != i256::ZERO && value.wrapping_rem(ten) == i256::ZERO {
        value = value.wrapping_div(ten);
        scale -= 1;
    }
    (value, if value == i256::ZERO { 0 } else { scale })
}

/// The value of another scale in units of 10^-38, rounded half away from zero.
fn rescaled(value: i256, scale: i32) -> Option<i256> {
    let ten = i256::from_i128(10);
    let shift = i32::from(SCALE) - scale;
    if shift >= 0 {
        return value.checked_mul(ten.checked_pow(shift.unsigned_abs())?);
    }
    let divisor = ten.checked_pow(shift.unsigned_abs())?;
    let quotient = value.wrapping_div(divisor);
    let twice = value.wrapping_rem(divisor).wrapping_abs().checked_mul(i256::from_i128(2))?;
    let away = if value < i256::ZERO { i256::MINUS_ONE } else { i256::ONE };
    if twice >= divisor { quotient.checked_add(away) } else { Some(quotient) }
}

#[cfg(test)]
mod tests;
