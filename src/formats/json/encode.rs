//! Rows → JSON objects, in the texts that Flink's `json` format writes: times in their standard, decimals exact, bytes in base64.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Fields, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion::arrow::record_batch::RecordBatch;

use super::{MapNullKey, Options, scalar};
use crate::changelog::ChangeBatch;
use crate::data_type::to_flink;
use crate::error::{Error, Result, SqlState};
use crate::formats::time_text;
use crate::formats::{EncodedRows, Encoder};

pub(in crate::formats) struct JsonEncoder {
    /// `"name":` for each field.
    keys: Vec<Vec<u8>>,
    options: Options,
}

impl JsonEncoder {
    pub(in crate::formats) fn new(fields: &Fields, options: Options) -> Result<Self> {
        scalar::check_types(fields)?;
        for field in fields {
            check_encodable(field.data_type())?;
        }
        let keys = fields
            .iter()
            .map(|field| {
                let mut key = Vec::new();
                write_text(field.name(), &mut key);
                key.push(b':');
                key
            })
            .collect();
        Ok(Self { keys, options })
    }
}

impl JsonEncoder {
    /// Writes one row as an object.
    pub(in crate::formats) fn write_row(&self, rows: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<()> {
        out.push(b'{');
        let mut is_first = true;
        for (index, key) in self.keys.iter().enumerate() {
            let column = rows.column(index);
            if self.options.encode_ignore_null_fields && column.is_null(row) {
                continue;
            }
            if !is_first {
                out.push(b',');
            }
            is_first = false;
            out.extend_from_slice(key);
            write_value(column.as_ref(), row, &self.options, out)
                .map_err(|error| error.context(format!("column \"{}\"", rows.schema().field(index).name())))?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Whether rows have the columns that are written.
    pub(in crate::formats) fn check(&self, rows: &RecordBatch) -> Result<()> {
        if rows.num_columns() != self.keys.len() {
            return Err(Error::internal("rows to encode differ from the encoder's fields"));
        }
        Ok(())
    }
}

impl Encoder for JsonEncoder {
    fn encode(&mut self, changes: &ChangeBatch) -> Result<EncodedRows> {
        let rows = changes.rows();
        self.check(rows)?;
        let mut encoded = EncodedRows::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            encoded.push(|out| self.write_row(rows, row, out))?;
        }
        Ok(encoded)
    }
}

fn check_encodable(data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::Utf8
        | DataType::Utf8View
        | DataType::LargeUtf8
        | DataType::Binary
        | DataType::BinaryView
        | DataType::LargeBinary
        | DataType::Date32
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Null => Ok(()),
        DataType::List(element) => check_encodable(element.data_type()),
        DataType::Map(entries, _) => check_encodable(entries.data_type()),
        DataType::Struct(fields) => fields.iter().try_for_each(|field| check_encodable(field.data_type())),
        other => {
            let sql_type = to_flink(other);
            Err(Error::unsupported(format!("format \"json\" cannot write values of type {sql_type} yet")))
        }
    }
}

fn write_value(array: &dyn Array, row: usize, options: &Options, out: &mut Vec<u8>) -> Result<()> {
    if array.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    // Writing into a Vec cannot fail.
    match array.data_type() {
        DataType::Null => out.extend_from_slice(b"null"),
        DataType::Boolean => {
            out.extend_from_slice(if array.as_boolean().value(row) { b"true" } else { b"false" });
        }
        DataType::Int8 => write_integer(array.as_primitive::<Int8Type>().value(row), out),
        DataType::Int16 => write_integer(array.as_primitive::<Int16Type>().value(row), out),
        DataType::Int32 => write_integer(array.as_primitive::<Int32Type>().value(row), out),
        DataType::Int64 => write_integer(array.as_primitive::<Int64Type>().value(row), out),
        DataType::Float32 => write_float(array.as_primitive::<Float32Type>().value(row), out),
        DataType::Float64 => write_float(array.as_primitive::<Float64Type>().value(row), out),
        DataType::Decimal128(_, scale) => {
            let value = array.as_primitive::<Decimal128Type>().value(row).to_string();
            write_decimal(&value, *scale, options.encode_decimal_as_plain_number, out);
        }
        DataType::Decimal256(_, scale) => {
            let value = array.as_primitive::<Decimal256Type>().value(row).to_string();
            write_decimal(&value, *scale, options.encode_decimal_as_plain_number, out);
        }
        DataType::Utf8 => write_text(array.as_string::<i32>().value(row), out),
        DataType::LargeUtf8 => write_text(array.as_string::<i64>().value(row), out),
        DataType::Utf8View => write_text(array.as_string_view().value(row), out),
        DataType::Binary => write_bytes(array.as_binary::<i32>().value(row), out),
        DataType::LargeBinary => write_bytes(array.as_binary::<i64>().value(row), out),
        DataType::BinaryView => write_bytes(array.as_binary_view().value(row), out),
        DataType::Date32 => {
            out.push(b'"');
            if !time_text::write_date(array.as_primitive::<Date32Type>().value(row), out) {
                return Err(out_of_range("date"));
            }
            out.push(b'"');
        }
        DataType::Time32(unit) => {
            let value = match unit {
                TimeUnit::Second => array.as_primitive::<Time32SecondType>().value(row),
                _ => array.as_primitive::<Time32MillisecondType>().value(row),
            };
            write_time(i64::from(value), *unit, out);
        }
        DataType::Time64(unit) => {
            let value = match unit {
                TimeUnit::Nanosecond => array.as_primitive::<Time64NanosecondType>().value(row),
                _ => array.as_primitive::<Time64MicrosecondType>().value(row),
            };
            write_time(value, *unit, out);
        }
        DataType::Timestamp(unit, zone) => write_timestamp(array, row, *unit, zone.is_some(), options, out)?,
        DataType::List(_) => write_list(array, row, options, out)?,
        DataType::Map(..) => write_map(array, row, options, out)?,
        DataType::Struct(fields) => write_struct(array, fields, row, options, out)?,
        other => return Err(Error::internal(format!("no JSON text for type {other}"))),
    }
    Ok(())
}

/// Writes a timestamp; one `with_zone` is an instant.
#[inline]
fn write_timestamp(
    array: &dyn Array,
    row: usize,
    unit: TimeUnit,
    with_zone: bool,
    options: &Options,
    out: &mut Vec<u8>,
) -> Result<()> {
    let value = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row),
    };
    out.push(b'"');
    if !time_text::write_timestamp(value, unit, options.timestamp_format_standard, with_zone, out) {
        return Err(out_of_range("timestamp"));
    }
    out.push(b'"');
    Ok(())
}

fn write_list(array: &dyn Array, row: usize, options: &Options, out: &mut Vec<u8>) -> Result<()> {
    let values = array.as_list::<i32>().value(row);
    out.push(b'[');
    for index in 0..values.len() {
        if index > 0 {
            out.push(b',');
        }
        write_value(values.as_ref(), index, options, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_struct(array: &dyn Array, fields: &Fields, row: usize, options: &Options, out: &mut Vec<u8>) -> Result<()> {
    let row_value = array.as_struct();
    out.push(b'{');
    let mut is_first = true;
    for (index, field) in fields.iter().enumerate() {
        let child = row_value.column(index);
        if options.encode_ignore_null_fields && child.is_null(row) {
            continue;
        }
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        write_text(field.name(), out);
        out.push(b':');
        write_value(child.as_ref(), row, options, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_map(array: &dyn Array, row: usize, options: &Options, out: &mut Vec<u8>) -> Result<()> {
    let entries = array.as_map().value(row);
    let (keys, values) = (entries.column(0), entries.column(1));
    let keys = keys.as_string::<i32>();
    out.push(b'{');
    let mut is_first = true;
    for index in 0..entries.len() {
        let key = match (keys.is_null(index), &options.map_null_key) {
            (false, _) => keys.value(index),
            (true, MapNullKey::Literal(literal)) => literal,
            (true, MapNullKey::Drop) => continue,
            (true, MapNullKey::Fail) => {
                return Err(Error::row("a MAP has a NULL key, which JSON cannot hold")
                    .hint("Set 'json.map-null-key.mode' to DROP or LITERAL."));
            }
        };
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        write_text(key, out);
        out.push(b':');
        write_value(values.as_ref(), index, options, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// The shortest text that is read as the same float: `10.0`, `1e16`. What JSON has no number for is a text, as in Flink.
fn write_float<T: zmij::Float + Into<f64> + std::fmt::Debug>(value: T, out: &mut Vec<u8>) {
    let size = value.into().abs();
    // Where neither writes an exponent the standard library's text has the same form, at several times the price.
    if size == 0.0 || (1e-4..1e12).contains(&size) {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if size.is_finite() {
        // Writing into a Vec cannot fail.
        let _ = write!(out, "{value:?}");
    } else {
        let value = value.into();
        let text: &[u8] = if value.is_nan() {
            b"NaN"
        } else if value > 0.0 {
            b"Infinity"
        } else {
            b"-Infinity"
        };
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    }
}

fn out_of_range(what: &str) -> Error {
    Error::row(format!("{what} is out of range")).code(SqlState::DatetimeFieldOverflow)
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing a string into a Vec cannot fail");
}

fn write_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.push(b'"');
}

fn write_time(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let (seconds, nanos) = time_text::from_unit(value, unit);
    out.push(b'"');
    time_text::write_time(seconds, nanos, out);
    out.push(b'"');
}

/// A decimal without its trailing zeros, plain, or as Java's `BigDecimal.toString` writes it (which goes over to an exponent
/// for whole numbers that end in zeros and for very small ones), as Flink does by default.
fn write_decimal(unscaled: &str, scale: i8, plain: bool, out: &mut Vec<u8>) {
    let (sign, digits) = match unscaled.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", unscaled),
    };
    let stripped = digits.trim_end_matches('0');
    if stripped.is_empty() {
        out.push(b'0');
        return;
    }
    // The value is `stripped × 10^-scale`.
    let scale = i32::from(scale) - (digits.len() - stripped.len()) as i32;
    let count = stripped.len() as i32;
    let adjusted = count - 1 - scale;
    out.extend_from_slice(sign.as_bytes());
    let _ = if !plain && (scale < 0 || adjusted < -6) {
        let (first, rest) = stripped.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        write!(out, "{first}{point}{rest}E{adjusted:+}")
    } else if scale <= 0 {
        write!(out, "{stripped}{}", "0".repeat(-scale as usize))
    } else if scale >= count {
        write!(out, "0.{}{stripped}", "0".repeat((scale - count) as usize))
    } else {
        let (whole, fraction) = stripped.split_at((count - scale) as usize);
        write!(out, "{whole}.{fraction}")
    };
}
