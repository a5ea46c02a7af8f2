//! Arrow values as DynamoDB's, by declared type and without loss: what DynamoDB cannot hold is an error. The way back is `item`.

use std::collections::HashMap;
use std::str;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::item::{Item, type_name};
use super::number::{write_decimal, write_float, write_float32, write_wide_decimal};
use super::text_time::{write_date, write_time, write_timestamp};
use crate::formats::time_text::from_unit;

/// A value in DynamoDB's terms, lent where that is possible.
#[derive(Debug, PartialEq)]
pub enum Encoded<'a> {
    /// NULL
    Null,
    /// BOOL
    Bool(bool),
    /// S
    Text(&'a str),
    /// N
    Number(&'a str),
    /// B
    Binary(&'a [u8]),
    /// L or M
    Nested(AttributeValue),
}

impl<'a> Encoded<'a> {
    /// One value of a column. `text` is where numbers and times are written, over what is in it.
    ///
    /// # Errors
    /// A value that DynamoDB cannot hold: NaN, infinities, more than 38 digits, years beyond 0000–9999.
    pub fn of(array: &'a dyn Array, row: usize, text: &'a mut Vec<u8>) -> Result<Self, String> {
        text.clear();
        if array.is_null(row) || array.data_type() == &DataType::Null {
            return Ok(Self::Null);
        }
        match array.data_type() {
            DataType::Boolean => Ok(Self::Bool(array.as_boolean().value(row))),
            DataType::Int8 => integer::<Int8Type>(array, row, text),
            DataType::Int16 => integer::<Int16Type>(array, row, text),
            DataType::Int32 => integer::<Int32Type>(array, row, text),
            DataType::Int64 => integer::<Int64Type>(array, row, text),
            DataType::UInt8 => integer::<UInt8Type>(array, row, text),
            DataType::UInt16 => integer::<UInt16Type>(array, row, text),
            DataType::UInt32 => integer::<UInt32Type>(array, row, text),
            DataType::UInt64 => integer::<UInt64Type>(array, row, text),
            DataType::Float32 => float(write_float32(array.as_primitive::<Float32Type>().value(row), text), text),
            DataType::Float64 => float(write_float(array.as_primitive::<Float64Type>().value(row), text), text),
            DataType::Decimal128(_, scale) => {
                write_decimal(array.as_primitive::<Decimal128Type>().value(row), *scale, text)?;
                Ok(Self::Number(ascii(text)?))
            }
            DataType::Decimal256(_, scale) => {
                write_wide_decimal(&array.as_primitive::<Decimal256Type>().value(row).to_string(), *scale, text)?;
                Ok(Self::Number(ascii(text)?))
            }
            DataType::Utf8 => Ok(Self::Text(array.as_string::<i32>().value(row))),
            DataType::LargeUtf8 => Ok(Self::Text(array.as_string::<i64>().value(row))),
            DataType::Utf8View => Ok(Self::Text(array.as_string_view().value(row))),
            DataType::Binary => Ok(Self::Binary(array.as_binary::<i32>().value(row))),
            DataType::LargeBinary => Ok(Self::Binary(array.as_binary::<i64>().value(row))),
            DataType::BinaryView => Ok(Self::Binary(array.as_binary_view().value(row))),
            DataType::FixedSizeBinary(_) => Ok(Self::Binary(array.as_fixed_size_binary().value(row))),
            DataType::Date32 => time(write_date(i64::from(array.as_primitive::<Date32Type>().value(row)), text), text),
            DataType::Time32(unit) => {
                let value = match unit {
                    TimeUnit::Second => array.as_primitive::<Time32SecondType>().value(row),
                    _ => array.as_primitive::<Time32MillisecondType>().value(row),
                };
                let (seconds, nanos) = from_unit(i64::from(value), *unit);
                time(write_time(seconds, nanos, text), text)
            }
            DataType::Time64(unit) => {
                let value = match unit {
                    TimeUnit::Nanosecond => array.as_primitive::<Time64NanosecondType>().value(row),
                    _ => array.as_primitive::<Time64MicrosecondType>().value(row),
                };
                let (seconds, nanos) = from_unit(value, *unit);
                time(write_time(seconds, nanos, text), text)
            }
            DataType::Timestamp(_, zone) => {
                let is_written =
                    timestamp(array, row).is_some_and(|(seconds, nanos)| write_timestamp(seconds, nanos, text));
                if zone.is_some() {
                    text.push(b'Z');
                }
                time(is_written, text)
            }
            DataType::List(_) => list(&array.as_list::<i32>().value(row)).map(Self::Nested),
            DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)).map(Self::Nested),
            DataType::Struct(_) => record(array, row).map(Self::Nested),
            DataType::Map(..) => map(array, row).map(Self::Nested),
            other => Err(format!("type {} cannot be stored in DynamoDB", type_name(other))),
        }
    }

    /// The SDK's form; `None` for NULL.
    pub fn into_attribute(self) -> Option<AttributeValue> {
        match self {
            Self::Null => None,
            Self::Bool(value) => Some(AttributeValue::Bool(value)),
            Self::Text(text) => Some(AttributeValue::S(text.to_owned())),
            Self::Number(text) => Some(AttributeValue::N(text.to_owned())),
            Self::Binary(bytes) => Some(AttributeValue::B(Blob::new(bytes))),
            Self::Nested(value) => Some(value),
        }
    }

    /// The size as DynamoDB counts it (within a few bytes).
    pub fn bytes(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 1,
            Self::Text(text) => text.len(),
            Self::Number(text) => number_bytes(text),
            Self::Binary(bytes) => bytes.len(),
            Self::Nested(value) => value_bytes(value),
        }
    }
}

/// One value of a column in the SDK's form; `None` for NULL.
///
/// # Errors
/// As [`Encoded::of`].
pub fn encode(array: &dyn Array, row: usize) -> Result<Option<AttributeValue>, String> {
    Ok(Encoded::of(array, row, &mut Vec::new())?.into_attribute())
}

/// Seconds and nanoseconds since 1970 of a timestamp, whatever its unit; `None` for NULL and other types.
pub fn timestamp(array: &dyn Array, row: usize) -> Option<(i64, u32)> {
    let DataType::Timestamp(unit, _) = array.data_type() else { return None };
    if array.is_null(row) {
        return None;
    }
    let value = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row),
    };
    Some(from_unit(value, *unit))
}

fn integer<'a, T>(array: &dyn Array, row: usize, text: &'a mut Vec<u8>) -> Result<Encoded<'a>, String>
where
    T: ArrowPrimitiveType,
    T::Native: itoa::Integer,
{
    text.extend_from_slice(itoa::Buffer::new().format(array.as_primitive::<T>().value(row)).as_bytes());
    Ok(Encoded::Number(ascii(text)?))
}

fn float(is_written: bool, text: &[u8]) -> Result<Encoded<'_>, String> {
    if !is_written {
        return Err("NaN, infinities and magnitudes beyond 1E-130 … 1E125 are no DynamoDB numbers".to_owned());
    }
    Ok(Encoded::Number(ascii(text)?))
}

fn time(is_written: bool, text: &[u8]) -> Result<Encoded<'_>, String> {
    if !is_written {
        return Err("a time before the year 0 or after 9999 cannot be written".to_owned());
    }
    Ok(Encoded::Text(ascii(text)?))
}

fn ascii(text: &[u8]) -> Result<&str, String> {
    str::from_utf8(text).map_err(|error| error.to_string())
}

fn list(values: &ArrayRef) -> Result<AttributeValue, String> {
    (0..values.len()).map(|element| element_of(values, element)).collect::<Result<_, String>>().map(AttributeValue::L)
}

fn record(array: &dyn Array, row: usize) -> Result<AttributeValue, String> {
    let array = array.as_struct();
    let mut map = HashMap::with_capacity(array.num_columns());
    for (field, column) in array.fields().iter().zip(array.columns()) {
        let value = element_of(column, row).map_err(|error| format!("field \"{}\": {error}", field.name()))?;
        map.insert(field.name().clone(), value);
    }
    Ok(AttributeValue::M(map))
}

fn map(array: &dyn Array, row: usize) -> Result<AttributeValue, String> {
    let entries = array.as_map().value(row);
    let mut map = HashMap::with_capacity(entries.len());
    for entry in 0..entries.len() {
        let name = match encode(entries.column(0), entry)? {
            Some(AttributeValue::S(text) | AttributeValue::N(text)) => text,
            _ => return Err("a map key is NULL".to_owned()),
        };
        map.insert(name, element_of(entries.column(1), entry)?);
    }
    Ok(AttributeValue::M(map))
}

/// Within lists and maps, NULL has its own type.
fn element_of(array: &dyn Array, row: usize) -> Result<AttributeValue, String> {
    Ok(encode(array, row)?.unwrap_or(AttributeValue::Null(true)))
}

/// The size of an item as DynamoDB counts it (within a few bytes).
pub fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(text) => number_bytes(text),
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        AttributeValue::M(map) => 3 + map.len() + item_bytes(map),
        AttributeValue::Ss(values) | AttributeValue::Ns(values) => values.iter().map(String::len).sum(),
        AttributeValue::Bs(values) => values.iter().map(|blob| blob.as_ref().len()).sum(),
        _ => 1,
    }
}

fn number_bytes(text: &str) -> usize {
    text.len().div_ceil(2) + 1
}

#[cfg(test)]
mod tests;
