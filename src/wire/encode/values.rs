//! One value of a column as text, in binary or as JSON.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::Array;

use super::super::text::{self, Style};
use super::column::TypedColumn;
use crate::error::{Error, Result, SqlState};
use crate::pg_catalog::pg_type;

/// Microseconds between 1970 and 2000, where Postgres counts from.
pub(in crate::wire) const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;
/// Days between 1970 and 2000.
pub(in crate::wire) const EPOCH_DAYS: i32 = 10_957;

/// Writes the length of what was appended since `from` at `place`.
pub(super) fn put_length(out: &mut BytesMut, place: usize, from: usize) -> Result<()> {
    let length = i32::try_from(out.len() - from)
        .map_err(|_| Error::invalid("a row of the result is larger than 2 GB").code(SqlState::ProgramLimitExceeded))?;
    out[place..place + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

impl TypedColumn {
    pub(super) fn text(&self, row: usize, style: Style, out: &mut BytesMut) -> Result<()> {
        match self {
            TypedColumn::Null => {}
            TypedColumn::Boolean(array) => out.put_u8(if array.value(row) { b't' } else { b'f' }),
            TypedColumn::Int16(array) => put_display(out, array.value(row)),
            TypedColumn::Int32(array) => put_display(out, array.value(row)),
            TypedColumn::Int64(array) => put_display(out, array.value(row)),
            TypedColumn::UInt32(array) => put_display(out, array.value(row)),
            TypedColumn::Float32(array) => {
                let value = array.value(row);
                if (1e-4..1e6).contains(&value.abs()) {
                    put_display(out, value);
                } else {
                    text::float(out, &format!("{value:e}"), f64::from(value), 6);
                }
            }
            TypedColumn::Float64(array) => {
                let value = array.value(row);
                text::float(out, &format!("{value:e}"), value, 15);
            }
            TypedColumn::Decimal128(array) => text::decimal(out, &array.value(row).to_string(), array.scale(), false),
            TypedColumn::Decimal256(array, trim) => {
                text::decimal(out, &array.value(row).to_string(), array.scale(), *trim);
            }
            TypedColumn::Utf8(array) => out.put_slice(array.value(row).as_bytes()),
            TypedColumn::LargeUtf8(array) => out.put_slice(array.value(row).as_bytes()),
            TypedColumn::Utf8View(array) => out.put_slice(array.value(row).as_bytes()),
            TypedColumn::Binary(array) => put_hex(out, array.value(row)),
            TypedColumn::LargeBinary(array) => put_hex(out, array.value(row)),
            TypedColumn::Date(array) => {
                let era = text::date(out, i64::from(array.value(row)))?;
                out.put_slice(era.as_bytes());
            }
            TypedColumn::Time(array) => text::time(out, array.value(row)),
            TypedColumn::Timestamp(array, zoned) => {
                text::timestamp(out, array.value(row), zoned.then_some(style.zone), b' ')?;
            }
            TypedColumn::YearMonth(_)
            | TypedColumn::DayTime(_)
            | TypedColumn::MonthDayNano(_)
            | TypedColumn::Duration(_) => {
                let (months, days, microseconds) = self.interval(row);
                text::interval(out, months, days, microseconds);
            }
            TypedColumn::List(list, values) => {
                out.put_u8(b'{');
                let mut element = BytesMut::new();
                for (index, row) in range(list.value_offsets(), row).enumerate() {
                    if index > 0 {
                        out.put_u8(b',');
                    }
                    if values.is_null(row) {
                        out.put_slice(b"NULL");
                    } else if matches!(**values, TypedColumn::List(..)) {
                        values.text(row, style, out)?;
                    } else {
                        element.clear();
                        values.text(row, style, &mut element)?;
                        put_element(out, &element);
                    }
                }
                out.put_u8(b'}');
            }
            TypedColumn::Struct(..) | TypedColumn::Map(..) => self.json(row, style, out)?,
        }
        Ok(())
    }

    /// `1 2` for int2vector and oidvector.
    pub(super) fn vector(&self, row: usize, style: Style, out: &mut BytesMut) -> Result<()> {
        let TypedColumn::List(list, values) = self else { return self.text(row, style, out) };
        for (index, row) in range(list.value_offsets(), row).enumerate() {
            if index > 0 {
                out.put_u8(b' ');
            }
            values.text(row, style, out)?;
        }
        Ok(())
    }

    pub(super) fn binary(&self, row: usize, oid: u32, style: Style, out: &mut BytesMut) -> Result<()> {
        match self {
            TypedColumn::Boolean(array) => out.put_u8(u8::from(array.value(row))),
            TypedColumn::Int16(array) => out.put_i16(array.value(row)),
            TypedColumn::Int32(array) => out.put_i32(array.value(row)),
            TypedColumn::Int64(array) => out.put_i64(array.value(row)),
            TypedColumn::UInt32(array) => out.put_u32(array.value(row)),
            TypedColumn::Float32(array) => out.put_f32(array.value(row)),
            TypedColumn::Float64(array) => out.put_f64(array.value(row)),
            TypedColumn::Decimal128(_) | TypedColumn::Decimal256(..) => {
                let mut digits = BytesMut::new();
                self.text(row, style, &mut digits)?;
                numeric(out, &digits)?;
            }
            TypedColumn::Binary(array) => out.put_slice(array.value(row)),
            TypedColumn::LargeBinary(array) => out.put_slice(array.value(row)),
            TypedColumn::Date(array) => {
                let days = array.value(row).checked_sub(EPOCH_DAYS);
                out.put_i32(
                    days.ok_or_else(|| Error::invalid("date out of range").code(SqlState::DatetimeFieldOverflow))?,
                );
            }
            TypedColumn::Time(array) => out.put_i64(array.value(row)),
            TypedColumn::Timestamp(array, _) => {
                let microseconds = array.value(row).checked_sub(EPOCH_MICROSECONDS);
                out.put_i64(
                    microseconds.ok_or_else(|| {
                        Error::invalid("timestamp out of range").code(SqlState::DatetimeFieldOverflow)
                    })?,
                );
            }
            TypedColumn::YearMonth(_)
            | TypedColumn::DayTime(_)
            | TypedColumn::MonthDayNano(_)
            | TypedColumn::Duration(_) => {
                let (months, days, microseconds) = self.interval(row);
                out.put_i64(microseconds);
                out.put_i32(days);
                out.put_i32(months);
            }
            TypedColumn::List(..) => self.binary_array(row, oid, style, out)?,
            TypedColumn::Struct(..) | TypedColumn::Map(..) => {
                out.put_u8(1);
                self.json(row, style, out)?;
            }
            TypedColumn::Null | TypedColumn::Utf8(_) | TypedColumn::LargeUtf8(_) | TypedColumn::Utf8View(_) => {
                match oid {
                    pg_type::UUID => self.uuid(row, style, out)?,
                    _ => {
                        if oid == pg_type::JSONB {
                            out.put_u8(1);
                        }
                        self.text(row, style, out)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The 16 bytes of a uuid.
    fn uuid(&self, row: usize, style: Style, out: &mut BytesMut) -> Result<()> {
        let mut text = BytesMut::new();
        self.text(row, style, &mut text)?;
        let read = uuid::Uuid::try_parse_ascii(&text);
        let value = read.map_err(|error| Error::invalid("a uuid cannot be read").caused_by(error))?;
        out.put_slice(value.as_bytes());
        Ok(())
    }

    /// Dimensions, then the elements of the innermost lists.
    fn binary_array(&self, row: usize, oid: u32, style: Style, out: &mut BytesMut) -> Result<()> {
        let element_oid = match oid {
            22 => 21,
            30 => 26,
            _ => pg_type::element_oid(oid).unwrap_or(pg_type::TEXT),
        };
        let mut column = self;
        let mut rows = row..row + 1;
        let mut dimensions = Vec::new();
        while let TypedColumn::List(list, values) = column {
            let offsets = list.value_offsets();
            let (first, last) = (offsets[rows.start], offsets[rows.end]);
            let length = rows.clone().next().map_or(0, |row| offsets[row + 1] - offsets[row]);
            if rows.clone().any(|row| list.is_null(row) || offsets[row + 1] - offsets[row] != length) {
                return Err(Error::unsupported("arrays of arrays of different lengths have no binary form")
                    .hint("Ask for the result as text."));
            }
            dimensions.push(length);
            rows = usize::try_from(first).unwrap_or(0)..usize::try_from(last).unwrap_or(0);
            column = values;
        }
        if rows.is_empty() {
            dimensions.clear();
        }
        out.put_i32(i32::try_from(dimensions.len()).unwrap_or(0));
        out.put_i32(i32::from(rows.clone().any(|row| column.is_null(row))));
        out.put_u32(element_oid);
        for dimension in dimensions {
            out.put_i32(dimension);
            // The vectors of the system catalog are the only arrays that count from 0.
            out.put_i32(i32::from(!matches!(oid, 22 | 30)));
        }
        for row in rows {
            if column.is_null(row) {
                out.put_i32(-1);
                continue;
            }
            let place = out.len();
            out.put_i32(0);
            column.binary(row, element_oid, style, out)?;
            put_length(out, place, place + 4)?;
        }
        Ok(())
    }

    fn json(&self, row: usize, style: Style, out: &mut BytesMut) -> Result<()> {
        if self.is_null(row) {
            out.put_slice(b"null");
            return Ok(());
        }
        match self {
            TypedColumn::Boolean(array) => put_display(out, array.value(row)),
            TypedColumn::Int16(_)
            | TypedColumn::Int32(_)
            | TypedColumn::Int64(_)
            | TypedColumn::UInt32(_)
            | TypedColumn::Decimal128(_)
            | TypedColumn::Decimal256(..) => self.text(row, style, out)?,
            TypedColumn::Float32(array) if array.value(row).is_finite() => self.text(row, style, out)?,
            TypedColumn::Float64(array) if array.value(row).is_finite() => self.text(row, style, out)?,
            TypedColumn::Timestamp(array, zoned) => {
                out.put_u8(b'"');
                text::timestamp(out, array.value(row), zoned.then_some(style.zone), b'T')?;
                out.put_u8(b'"');
            }
            TypedColumn::List(list, values) => {
                out.put_u8(b'[');
                for (index, row) in range(list.value_offsets(), row).enumerate() {
                    out.put_slice(if index > 0 { b", " } else { b"" });
                    values.json(row, style, out)?;
                }
                out.put_u8(b']');
            }
            TypedColumn::Struct(array, children) => {
                out.put_u8(b'{');
                for (index, (name, child)) in array.column_names().iter().zip(children).enumerate() {
                    out.put_slice(if index > 0 { b", " } else { b"" });
                    put_json_string(out, name);
                    out.put_slice(b": ");
                    child.json(row, style, out)?;
                }
                out.put_u8(b'}');
            }
            TypedColumn::Map(map, keys, values) => {
                out.put_u8(b'{');
                for (index, row) in range(map.value_offsets(), row).enumerate() {
                    out.put_slice(if index > 0 { b", " } else { b"" });
                    let mut key = BytesMut::new();
                    keys.text(row, style, &mut key)?;
                    put_json_string(out, &String::from_utf8_lossy(&key));
                    out.put_slice(b": ");
                    values.json(row, style, out)?;
                }
                out.put_u8(b'}');
            }
            _ => {
                let mut value = BytesMut::new();
                self.text(row, style, &mut value)?;
                put_json_string(out, &String::from_utf8_lossy(&value));
            }
        }
        Ok(())
    }
}

fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    usize::try_from(offsets[row]).unwrap_or(0)..usize::try_from(offsets[row + 1]).unwrap_or(0)
}

fn put_display(out: &mut BytesMut, value: impl std::fmt::Display) {
    let _ = write!(out, "{value}");
}

fn put_hex(out: &mut BytesMut, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.put_slice(b"\\x");
    for byte in bytes {
        out.put_u8(DIGITS[usize::from(byte >> 4)]);
        out.put_u8(DIGITS[usize::from(byte & 15)]);
    }
}

fn put_json_string(out: &mut BytesMut, value: &str) {
    let quoted = serde_json::Value::from(value).to_string();
    out.put_slice(quoted.as_bytes());
}

/// An element of an array's text, quoted where Postgres quotes.
fn put_element(out: &mut BytesMut, element: &[u8]) {
    let plain = !element.is_empty()
        && !element.eq_ignore_ascii_case(b"null")
        && !element.iter().any(|byte| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',') || byte.is_ascii_whitespace());
    if plain {
        return out.put_slice(element);
    }
    out.put_u8(b'"');
    for &byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(byte);
    }
    out.put_u8(b'"');
}

/// Binary numeric from its text: groups of four digits around the point.
fn numeric(out: &mut BytesMut, text: &[u8]) -> Result<()> {
    let too_long = || Error::invalid("numeric out of range").code(SqlState::NumericValueOutOfRange);
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let point = text.iter().position(|&byte| byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or_default());
    let digit = |byte: Option<&u8>| i16::from(byte.map_or(0, |byte| byte - b'0'));
    let mut groups = Vec::new();
    let padding = (4 - whole.len() % 4) % 4;
    let mut value = 0;
    for (index, byte) in whole.iter().enumerate() {
        value = value * 10 + digit(Some(byte));
        if (index + padding) % 4 == 3 {
            groups.push(value);
            value = 0;
        }
    }
    let mut weight = i16::try_from(groups.len()).map_err(|_| too_long())? - 1;
    for group in fraction.chunks(4) {
        groups.push((0..4).fold(0, |value, index| value * 10 + digit(group.get(index))));
    }
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    out.put_i16(i16::try_from(groups.len()).map_err(|_| too_long())?);
    out.put_i16(weight);
    out.put_u16(if negative && !groups.is_empty() { 0x4000 } else { 0 });
    out.put_i16(i16::try_from(fraction.len()).map_err(|_| too_long())?);
    for group in groups {
        out.put_i16(group);
    }
    Ok(())
}
