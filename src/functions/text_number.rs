//! text_number(text, type) and try_text_number(text, type): numbers of text where Arrow's casts say something else. CAST to a DECIMAL
//! reads exponents; TRY_CAST does too, gives NULL for what is no number, and cuts to integers what is written with a point, as in
//! Flink. The type is that of the second argument, a NULL.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal256Array, Int64Array, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, i256};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use super::{no_such_call, numeric};
use crate::data_type::{NUMERIC_PRECISION, NUMERIC_SCALE};
use crate::error::Error;

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(CAST, "CAST of a text to a number.", Maker::Plain(|| text_number(false))),
    Entry::internal(TRY_CAST, "TRY_CAST of a text to a number.", Maker::Plain(|| text_number(true))),
];

/// The name of the one that CAST is.
pub const CAST: &str = "text_number";
/// The name of the one that TRY_CAST is.
pub const TRY_CAST: &str = "try_text_number";

/// The function of CAST or of TRY_CAST.
pub fn text_number(is_try: bool) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(TextNumber { is_try, signature: Signature::user_defined(Volatility::Immutable) }))
}

/// A call for a text.
///
/// # Errors
/// The type has no NULL.
pub fn call(text: Expr, to: &DataType, is_try: bool) -> Result<Expr> {
    Ok(text_number(is_try).call(vec![text, lit(ScalarValue::try_from(to)?)]))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TextNumber {
    is_try: bool,
    signature: Signature,
}

impl ScalarUDFImpl for TextNumber {
    fn name(&self) -> &str {
        if self.is_try { TRY_CAST } else { CAST }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [_, to] => Ok(vec![DataType::Utf8, to.clone()]),
            _ => Err(no_such_call(self.name(), arguments, "CAST(text AS type)")),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [_, to] => Ok(to.clone()),
            _ => Err(no_such_call(self.name(), arguments, "CAST(text AS type)")),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let to = args.return_field.data_type();
        match args.args.first() {
            Some(ColumnarValue::Array(texts)) => Ok(ColumnarValue::Array(read(texts, to, self.is_try)?)),
            Some(ColumnarValue::Scalar(text)) => {
                let read = read(&text.to_array()?, to, self.is_try)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&read, 0)?))
            }
            None => Err(Error::internal(format!("function {} without an argument", self.name())).into()),
        }
    }
}

fn read(texts: &ArrayRef, to: &DataType, is_try: bool) -> Result<ArrayRef> {
    // Arrow reads what is written plainly.
    let lenient = CastOptions { safe: true, ..CastOptions::default() };
    let plain = cast_with_options(texts, to, &lenient)?;
    if plain.null_count() == texts.null_count() {
        return Ok(plain);
    }
    let texts = texts.as_string::<i32>();
    match to {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let whole: Int64Array = texts.iter().map(|text| text.and_then(whole_part)).collect();
            Ok(cast_with_options(&whole, to, &CastOptions { safe: is_try, ..CastOptions::default() })?)
        }
        _ => {
            let numbers = numbers(texts, is_try)?;
            Ok(cast_with_options(&numbers, to, &CastOptions { safe: is_try, ..CastOptions::default() })?)
        }
    }
}

fn numbers(texts: &StringArray, is_try: bool) -> Result<Decimal256Array> {
    let number = |text: Option<&str>| -> Result<Option<i256>> {
        match text.map(numeric::parse).transpose() {
            Err(_) if is_try => Ok(None),
            number => Ok(number?),
        }
    };
    let numbers = texts.iter().map(number).collect::<Result<Vec<_>>>()?;
    Ok(Decimal256Array::from(numbers).with_precision_and_scale(NUMERIC_PRECISION, NUMERIC_SCALE)?)
}

/// What stands before the point of a number that has digits behind it only.
fn whole_part(text: &str) -> Option<i64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() || !are_digits(digits) || !are_digits(fraction) {
        return None;
    }
    if digits.is_empty() {
        return (!fraction.is_empty()).then_some(0);
    }
    whole.parse().ok()
}
