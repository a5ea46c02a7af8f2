//! Values as text where the text is not Arrow's: floats, times, arrays, rows and maps, as results show them (Postgres' forms):
//! `1e+20`, `Infinity`, `{1,NULL,"a b"}`, `{"a": 1}`. CAST, `||` and CONCAT_WS go through `value_text`.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal256Type, Float32Type, Float64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, numeric, time};
use crate::data_type::is_unconstrained_numeric;

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] =
    &[Entry::internal(NAME, "CAST of a value to a text.", Maker::Plain(value_text)).stable()];

/// The function of a cast.
pub const NAME: &str = "value_text";

/// `value_text(value)`
pub fn value_text() -> Arc<ScalarUDF> {
    ColumnFunction::udf(
        NAME,
        Volatility::Stable,
        |types| Ok(types.to_vec()),
        DataType::Utf8,
        |arguments, zone| Ok(Arc::new(texts(&arguments[0], zone)?)),
    )
}

/// A call of it.
pub fn call(value: Expr) -> Expr {
    value_text().call(vec![value])
}

/// Whether a cast of that type to text is this function.
pub fn is_ours(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Float32
            | DataType::Float64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..)
            | DataType::Struct(_)
            | DataType::Map(..)
    )
}

/// The values of an array as documents: numbers and booleans as they are, others in quotes.
///
/// # Errors
/// Arrow's.
pub(super) fn documents(array: &ArrayRef, zone: &str) -> Result<StringArray> {
    let written = Written::new(array, zone)?;
    let documents = (0..array.len()).map(|row| {
        (!written.is_null(row)).then(|| {
            let mut document = String::new();
            written.document(row, &mut document);
            document
        })
    });
    Ok(documents.collect())
}

/// The values of an array as results show them.
///
/// # Errors
/// Arrow's.
pub(super) fn texts(array: &ArrayRef, zone: &str) -> Result<StringArray> {
    let written = Written::new(array, zone)?;
    let texts = (0..array.len()).map(|row| {
        (!written.is_null(row)).then(|| {
            let mut text = String::new();
            written.text(row, &mut text);
            text
        })
    });
    Ok(texts.collect())
}

/// `10:00:00.500` has one digit of a second.
fn without_zeros_at_the_end(time: &str) -> &str {
    if time.contains('.') { time.trim_end_matches('0').trim_end_matches('.') } else { time }
}

/// An array whose values can be written.
enum Written {
    Null,
    Boolean(ArrayRef),
    Float32(ArrayRef),
    Float64(ArrayRef),
    /// Numbers, which stand without quotes in documents.
    Number(StringArray),
    Timestamp(StringArray),
    Bytes(ArrayRef),
    Text(LargeStringArray),
    List(ArrayRef, Box<Written>),
    Struct(ArrayRef, Vec<(String, Written)>),
    Map(ArrayRef, Box<Written>, Box<Written>),
}

impl Written {
    fn new(array: &ArrayRef, zone: &str) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean(array.clone()),
            DataType::Float32 => Self::Float32(array.clone()),
            DataType::Float64 => Self::Float64(array.clone()),
            data_type if is_unconstrained_numeric(data_type) => {
                let numbers = array.as_primitive::<Decimal256Type>();
                Self::Number(numbers.iter().map(|number| number.map(numeric::print)).collect())
            }
            data_type if data_type.is_numeric() => Self::Number(as_text(array)?),
            DataType::Timestamp(..) => {
                let texts = time::print_timestamps(std::slice::from_ref(array), zone)?;
                Self::Timestamp(texts.as_string::<i32>().clone())
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytes(cast(array, &DataType::LargeBinary)?)
            }
            DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
                let list = cast(array, &DataType::List(field.clone()))?;
                let values = Self::new(list.as_list::<i32>().values(), zone)?;
                Self::List(list, Box::new(values))
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                let named = fields.iter().zip(columns);
                let children = named.map(|(field, column)| Ok((field.name().clone(), Self::new(column, zone)?)));
                Self::Struct(array.clone(), children.collect::<Result<_>>()?)
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let (keys, values) = (Self::new(map.keys(), zone)?, Self::new(map.values(), zone)?);
                Self::Map(array.clone(), Box::new(keys), Box::new(values))
            }
            DataType::Time32(_) | DataType::Time64(_) => {
                let texts = cast(array, &DataType::LargeUtf8)?;
                let texts = texts.as_string::<i64>().iter().map(|text| text.map(without_zeros_at_the_end));
                Self::Text(texts.collect())
            }
            _ => Self::Text(cast(array, &DataType::LargeUtf8)?.as_string::<i64>().clone()),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Boolean(array)
            | Self::Float32(array)
            | Self::Float64(array)
            | Self::Bytes(array)
            | Self::List(array, _)
            | Self::Struct(array, _)
            | Self::Map(array, ..) => array.is_null(row),
            Self::Number(texts) | Self::Timestamp(texts) => texts.is_null(row),
            Self::Text(texts) => texts.is_null(row),
        }
    }

    /// As a result shows it.
    fn text(&self, row: usize, out: &mut String) {
        match self {
            Self::Null => {}
            Self::Boolean(array) => out.push(if array.as_boolean().value(row) { 't' } else { 'f' }),
            Self::Float32(array) => float32(array.as_primitive::<Float32Type>().value(row), out),
            Self::Float64(array) => float64(array.as_primitive::<Float64Type>().value(row), out),
            Self::Number(texts) | Self::Timestamp(texts) => out.push_str(texts.value(row)),
            Self::Bytes(array) => {
                out.push_str("\\x");
                for byte in array.as_binary::<i64>().value(row) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "{byte:02x}");
                }
            }
            Self::Text(texts) => out.push_str(texts.value(row)),
            Self::List(list, values) => {
                out.push('{');
                let mut element = String::new();
                for (index, row) in range(list.as_list::<i32>().value_offsets(), row).enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    if values.is_null(row) {
                        out.push_str("NULL");
                    } else if matches!(**values, Self::List(..)) {
                        values.text(row, out);
                    } else {
                        element.clear();
                        values.text(row, &mut element);
                        quote_element(&element, out);
                    }
                }
                out.push('}');
            }
            Self::Struct(..) | Self::Map(..) => self.document(row, out),
        }
    }

    /// As a part of a document.
    fn document(&self, row: usize, out: &mut String) {
        if self.is_null(row) {
            out.push_str("null");
            return;
        }
        let begin = out.len();
        match self {
            Self::Boolean(array) => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
            Self::Number(texts) => out.push_str(texts.value(row)),
            Self::Float32(array) if array.as_primitive::<Float32Type>().value(row).is_finite() => self.text(row, out),
            Self::Float64(array) if array.as_primitive::<Float64Type>().value(row).is_finite() => self.text(row, out),
            Self::Timestamp(texts) => quote(&texts.value(row).replacen(' ', "T", 1), out),
            Self::List(list, values) => {
                out.push('[');
                for row in range(list.as_list::<i32>().value_offsets(), row) {
                    separate(begin, out);
                    values.document(row, out);
                }
                out.push(']');
            }
            Self::Struct(_, children) => {
                out.push('{');
                for (name, child) in children {
                    separate(begin, out);
                    quote(name, out);
                    out.push_str(": ");
                    child.document(row, out);
                }
                out.push('}');
            }
            Self::Map(map, keys, values) => {
                out.push('{');
                for row in range(map.as_map().value_offsets(), row) {
                    separate(begin, out);
                    let mut key = String::new();
                    keys.text(row, &mut key);
                    quote(&key, out);
                    out.push_str(": ");
                    values.document(row, out);
                }
                out.push('}');
            }
            _ => {
                let mut value = String::new();
                self.text(row, &mut value);
                quote(&value, out);
            }
        }
    }
}

/// Between the parts of what begins at that place.
fn separate(begin: usize, out: &mut String) {
    if out.len() > begin + 1 {
        out.push_str(", ");
    }
}

fn as_text(array: &ArrayRef) -> Result<StringArray> {
    Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    usize::try_from(offsets[row]).unwrap_or(0)..usize::try_from(offsets[row + 1]).unwrap_or(0)
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn quote_element(element: &str, out: &mut String) {
    let needs = |character: char| matches!(character, '"' | '\\' | '{' | '}' | ',') || character.is_ascii_whitespace();
    if !element.is_empty() && !element.eq_ignore_ascii_case("null") && !element.contains(needs) {
        out.push_str(element);
        return;
    }
    out.push('"');
    for character in element.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

fn float64(value: f64, out: &mut String) {
    float(&format!("{value:e}"), value.is_sign_negative(), value.is_finite(), value.is_nan(), 15, out);
}

fn float32(value: f32, out: &mut String) {
    float(&format!("{value:e}"), value.is_sign_negative(), value.is_finite(), value.is_nan(), 6, out);
}

/// The shortest digits that read back. `digits` is where scientific notation begins.
fn float(shortest: &str, is_negative: bool, is_finite: bool, is_nan: bool, digits: i32, out: &mut String) {
    if !is_finite {
        out.push_str(match (is_nan, is_negative) {
            (true, _) => "NaN",
            (false, false) => "Infinity",
            (false, true) => "-Infinity",
        });
        return;
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..digits).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing to a String cannot fail.
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
        return;
    }
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    out.push_str(sign);
    if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', usize::try_from(-exponent - 1).unwrap_or(0)));
        out.push_str(first);
        out.push_str(rest);
        return;
    }
    let whole = usize::try_from(exponent).unwrap_or(0);
    out.push_str(first);
    if rest.len() <= whole {
        out.push_str(rest);
        out.extend(std::iter::repeat_n('0', whole - rest.len()));
    } else {
        out.push_str(&rest[..whole]);
        out.push('.');
        out.push_str(&rest[whole..]);
    }
}
