//! Keys of rows as bytes that are in the order of their values, so that a range of values is a range of bytes. Stored: what is
//! written here is read for ever. Knows no tables.

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::DataType;

use crate::data_type::to_postgres;
use crate::error::{Error, Result, SqlState};

/// Whether values of a type can be in a key.
///
/// # Errors
/// 0A000: they cannot.
pub fn check_type(column: &str, data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::Boolean | DataType::Utf8 | DataType::Binary => Ok(()),
        other if width(other).is_some() => Ok(()),
        other => Err(Error::unsupported(format!(
            "column \"{column}\" of type {} cannot be in a key or a UNIQUE constraint of a local table",
            to_postgres(other)
        ))),
    }
}

/// Bytes of a value, where all have as many, and are numbers with a sign.
fn width(data_type: &DataType) -> Option<usize> {
    Some(match data_type {
        DataType::Int8 => 1,
        DataType::Int16 => 2,
        DataType::Int32 | DataType::Float32 | DataType::Date32 | DataType::Time32(_) => 4,
        DataType::Int64 | DataType::Float64 | DataType::Time64(_) | DataType::Timestamp(..) => 8,
        DataType::Decimal128(..) => 16,
        DataType::Decimal256(..) => 32,
        _ => return None,
    })
}

/// Adds one value, which is not NULL.
///
/// # Errors
/// Values of its type cannot be in a key.
pub fn put(array: &dyn Array, row: usize, key: &mut Vec<u8>) -> Result<()> {
    match array.data_type() {
        DataType::Boolean => key.push(u8::from(array.as_boolean().value(row))),
        DataType::Utf8 => put_bytes(array.as_string::<i32>().value(row).as_bytes(), key),
        DataType::Binary => put_bytes(array.as_binary::<i32>().value(row), key),
        DataType::Float32 => {
            let value = array.as_primitive::<datafusion::arrow::datatypes::Float32Type>().value(row);
            // What is equal has one form: there are two zeros, and many that are no number.
            let value = if value == 0.0 {
                0.0
            } else if value.is_nan() {
                f32::NAN
            } else {
                value
            };
            put_float(&value.to_be_bytes(), key);
        }
        DataType::Float64 => {
            let value = array.as_primitive::<datafusion::arrow::datatypes::Float64Type>().value(row);
            let value = if value == 0.0 {
                0.0
            } else if value.is_nan() {
                f64::NAN
            } else {
                value
            };
            put_float(&value.to_be_bytes(), key);
        }
        other => {
            let width = width(other).ok_or_else(|| unsupported(other))?;
            let data = array.to_data();
            let at = (data.offset() + row) * width;
            let bytes = data.buffers().first().and_then(|buffer| buffer.get(at..at + width));
            let bytes = bytes.ok_or_else(|| Error::internal("a column has fewer values than rows"))?;
            let start = key.len();
            key.extend(bytes.iter().rev());
            key[start] ^= 0x80;
        }
    }
    Ok(())
}

/// A float by the order of its values, what is no number last.
fn put_float(bytes: &[u8], key: &mut Vec<u8>) {
    let start = key.len();
    key.extend(bytes);
    if bytes[0] & 0x80 == 0 {
        key[start] ^= 0x80;
    } else {
        key[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// A text, whose end is lower than whatever a longer one goes on with.
fn put_bytes(bytes: &[u8], key: &mut Vec<u8>) {
    for byte in bytes {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xff);
        }
    }
    key.extend([0, 0]);
}

fn unsupported(data_type: &DataType) -> Error {
    Error::internal(format!("values of type {data_type} are no keys")).code(SqlState::InternalError)
}

#[cfg(test)]
mod tests;
