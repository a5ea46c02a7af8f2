//! Parameters of Bind → scalar values, text or binary, for every type that a parameter can have.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::arrow::array::{Array, ArrayRef, ListArray, new_empty_array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, i256};
use datafusion::scalar::ScalarValue;

use super::encode::{EPOCH_DAYS, EPOCH_MICROSECONDS};
use super::text::{Zone, microseconds_of};
use crate::data_type::to_postgres;
use crate::error::{Error, Result, SqlState};
use crate::pg_catalog::pg_type;

/// Decodes a parameter; `None` is NULL. `oid`: the type that the client takes it for.
///
/// # Errors
/// 22P02 for text that is no value of the type, 22P03 for a wrong binary form, 22021 for text that is not UTF-8.
pub fn parameter(
    bytes: Option<&[u8]>,
    binary: bool,
    data_type: &DataType,
    oid: u32,
    zone: Zone,
) -> Result<ScalarValue> {
    let Some(bytes) = bytes else { return Ok(ScalarValue::try_from(data_type)?) };
    if binary && oid == pg_type::UUID {
        let uuid = uuid::Uuid::from_bytes(fixed(bytes, data_type)?);
        return convert(ScalarValue::Utf8(Some(uuid.to_string())), data_type);
    }
    let value = if binary { from_binary(bytes, data_type)? } else { from_text(utf8(bytes)?, data_type, zone)? };
    convert(value, data_type)
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        Error::invalid("invalid byte sequence for encoding \"UTF8\"").code(SqlState::CharacterNotInRepertoire)
    })?;
    if text.contains('\0') {
        return Err(Error::invalid("invalid byte sequence for encoding \"UTF8\": 0x00")
            .code(SqlState::CharacterNotInRepertoire));
    }
    Ok(text)
}

/// Brings a value of the nearest type into exactly the wanted one (units, views, precisions).
fn convert(value: ScalarValue, target: &DataType) -> Result<ScalarValue> {
    if value.data_type() == *target {
        return Ok(value);
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let array = cast_with_options(&value.to_array()?, target, &options).map_err(|error| {
        Error::from(error).context("parameter does not fit its type").code(SqlState::NumericValueOutOfRange)
    })?;
    Ok(ScalarValue::try_from_array(&array, 0)?)
}

fn malformed(data_type: &DataType) -> Error {
    Error::invalid(format!("incorrect binary data format in a parameter of type {}", to_postgres(data_type)))
        .code(SqlState::InvalidBinaryRepresentation)
}

fn fixed<const N: usize>(bytes: &[u8], data_type: &DataType) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| malformed(data_type))
}

/// Integers come in the width that the driver chose, not always in the one described.
fn integer(bytes: &[u8], data_type: &DataType) -> Result<i64> {
    Ok(match bytes.len() {
        1 => i64::from(i8::from_be_bytes(fixed(bytes, data_type)?)),
        2 => i64::from(i16::from_be_bytes(fixed(bytes, data_type)?)),
        4 => i64::from(i32::from_be_bytes(fixed(bytes, data_type)?)),
        8 => i64::from_be_bytes(fixed(bytes, data_type)?),
        _ => return Err(malformed(data_type)),
    })
}

fn from_binary(bytes: &[u8], data_type: &DataType) -> Result<ScalarValue> {
    use DataType as T;
    let out_of_range = || Error::invalid("parameter out of range").code(SqlState::DatetimeFieldOverflow);
    Ok(match data_type {
        T::Boolean => ScalarValue::Boolean(Some(fixed::<1>(bytes, data_type)?[0] != 0)),
        T::UInt32 => ScalarValue::UInt32(Some(u32::from_be_bytes(fixed(bytes, data_type)?))),
        integers if integers.is_integer() => ScalarValue::Int64(Some(integer(bytes, data_type)?)),
        T::Float16 | T::Float32 | T::Float64 => match bytes.len() {
            4 => ScalarValue::Float32(Some(f32::from_be_bytes(fixed(bytes, data_type)?))),
            _ => ScalarValue::Float64(Some(f64::from_be_bytes(fixed(bytes, data_type)?))),
        },
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => {
            decimal(&numeric_text(bytes).ok_or_else(|| malformed(data_type))?, data_type)?
        }
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => ScalarValue::Binary(Some(bytes.to_vec())),
        T::Date32 | T::Date64 => {
            let days = i32::from_be_bytes(fixed(bytes, data_type)?);
            ScalarValue::Date32(Some(days.checked_add(EPOCH_DAYS).ok_or_else(out_of_range)?))
        }
        T::Time32(_) | T::Time64(_) => {
            ScalarValue::Time64Microsecond(Some(i64::from_be_bytes(fixed(bytes, data_type)?)))
        }
        T::Timestamp(_, zone) => {
            let microseconds = i64::from_be_bytes(fixed(bytes, data_type)?);
            let microseconds = microseconds.checked_add(EPOCH_MICROSECONDS).ok_or_else(out_of_range)?;
            ScalarValue::TimestampMicrosecond(Some(microseconds), zone.clone())
        }
        T::Interval(_) | T::Duration(_) => {
            let bytes: [u8; 16] = fixed(bytes, data_type)?;
            let microseconds = i64::from_be_bytes(fixed(&bytes[..8], data_type)?);
            let days = i32::from_be_bytes(fixed(&bytes[8..12], data_type)?);
            let months = i32::from_be_bytes(fixed(&bytes[12..], data_type)?);
            let nanoseconds = microseconds.checked_mul(1000).ok_or_else(out_of_range)?;
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanoseconds)))
        }
        T::List(field) | T::LargeList(field) | T::FixedSizeList(field, _) => {
            list(&binary_elements(bytes, field.data_type())?, field.data_type())?
        }
        // Everything else is text in its binary form too; jsonb has a version before it.
        _ => ScalarValue::Utf8(Some(utf8(bytes.strip_prefix(b"\x01").unwrap_or(bytes))?.to_owned())),
    })
}

/// Elements of a one-dimensional array.
fn binary_elements(bytes: &[u8], element: &DataType) -> Result<Vec<ScalarValue>> {
    let wrong = || {
        Error::invalid("incorrect binary data format in an array parameter").code(SqlState::InvalidBinaryRepresentation)
    };
    let mut rest = bytes;
    let mut take = |count: usize| {
        let (head, tail) = rest.split_at_checked(count)?;
        rest = tail;
        Some(head)
    };
    let number = |bytes: Option<&[u8]>| bytes.and_then(|bytes| Some(i32::from_be_bytes(bytes.try_into().ok()?)));
    let dimensions = number(take(4)).ok_or_else(wrong)?;
    take(8).ok_or_else(wrong)?;
    if dimensions == 0 {
        return Ok(Vec::new());
    }
    if dimensions != 1 {
        return Err(Error::unsupported("array parameters of more than one dimension are not supported"));
    }
    let count = number(take(4)).and_then(|count| usize::try_from(count).ok()).ok_or_else(wrong)?;
    take(4).ok_or_else(wrong)?;
    if count > bytes.len() / 4 {
        return Err(wrong());
    }
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        let length = number(take(4)).ok_or_else(wrong)?;
        elements.push(if length == -1 {
            ScalarValue::try_from(element)?
        } else {
            let value = take(usize::try_from(length).map_err(|_| wrong())?).ok_or_else(wrong)?;
            convert(from_binary(value, element)?, element)?
        });
    }
    Ok(elements)
}

fn list(elements: &[ScalarValue], element: &DataType) -> Result<ScalarValue> {
    let values: ArrayRef = if elements.is_empty() {
        new_empty_array(element)
    } else {
        ScalarValue::iter_to_array(elements.iter().cloned())?
    };
    let field = Arc::new(datafusion::arrow::datatypes::Field::new_list_field(element.clone(), true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Ok(ScalarValue::List(Arc::new(ListArray::new(field, offsets, values, None))))
}

fn invalid_text(text: &str, name: &str) -> Error {
    Error::invalid(format!("invalid input syntax for type {name}: \"{text}\""))
        .code(SqlState::InvalidTextRepresentation)
}

/// An integer of any width from its text; errors name the type that it should be.
fn integer_of_text(text: &str, data_type: &DataType) -> Result<i64> {
    let name = match data_type {
        DataType::Int8 | DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::UInt32 => "oid",
        _ => "bigint",
    };
    let value: i128 = text.trim().parse().map_err(|_| invalid_text(text, name))?;
    let out_of_range = |_| {
        Error::invalid(format!("value \"{text}\" is out of range for type {name}"))
            .code(SqlState::NumericValueOutOfRange)
    };
    i64::try_from(value).map_err(out_of_range)
}

fn from_text(text: &str, data_type: &DataType, zone: Zone) -> Result<ScalarValue> {
    use DataType as T;
    let trimmed = text.trim();
    let invalid = |name: &str| invalid_text(text, name);
    Ok(match data_type {
        T::Boolean => ScalarValue::Boolean(Some(boolean(trimmed).ok_or_else(|| invalid("boolean"))?)),
        integers if integers.is_integer() => ScalarValue::Int64(Some(integer_of_text(text, integers)?)),
        T::Float16 | T::Float32 | T::Float64 => {
            ScalarValue::Float64(Some(trimmed.parse().map_err(|_| invalid("double precision"))?))
        }
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => decimal(trimmed, data_type)
            .map_err(|error| match error.sqlstate() {
                SqlState::InvalidTextRepresentation => invalid("numeric"),
                _ => error,
            })?,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => {
            ScalarValue::Binary(Some(bytea(text).ok_or_else(|| invalid("bytea"))?))
        }
        T::Date32 | T::Date64 => {
            let date = NaiveDate::parse_from_str(trimmed, "%Y-%m-%d")
                .or_else(|_| moment(trimmed).map(|(local, _)| local.date()).ok_or(()))
                .map_err(|()| invalid("date").code(SqlState::InvalidDatetimeFormat))?;
            let days = date.signed_duration_since(NaiveDate::default()).num_days();
            ScalarValue::Date32(i32::try_from(days).ok())
        }
        T::Time32(_) | T::Time64(_) => {
            let time = NaiveTime::parse_from_str(trimmed, "%H:%M:%S%.f")
                .or_else(|_| NaiveTime::parse_from_str(trimmed, "%H:%M"))
                .map_err(|_| invalid("time").code(SqlState::InvalidDatetimeFormat))?;
            ScalarValue::Time64Microsecond(Some(microseconds_of(time)))
        }
        T::Timestamp(_, target_zone) => {
            let name = if target_zone.is_some() { "timestamp with time zone" } else { "timestamp" };
            let (local, offset) = moment(trimmed).ok_or_else(|| invalid(name).code(SqlState::InvalidDatetimeFormat))?;
            let offset = match (target_zone, offset) {
                // Without zone, Postgres ignores a written offset.
                (None, _) => 0,
                (Some(_), Some(offset)) => offset,
                (Some(_), None) => zone.offset_of_local(&local),
            };
            let microseconds = local.and_utc().timestamp_micros() - i64::from(offset) * 1_000_000;
            ScalarValue::TimestampMicrosecond(Some(microseconds), target_zone.clone())
        }
        T::Interval(_) => {
            convert(ScalarValue::Utf8(Some(interval_words(trimmed))), &T::Interval(IntervalUnit::MonthDayNano))
                .map_err(|_| invalid("interval").code(SqlState::InvalidDatetimeFormat))?
        }
        T::Duration(unit) => {
            let array = ScalarValue::Utf8(Some(trimmed.to_owned()));
            convert(array, &T::Duration(*unit))
                .map_err(|_| invalid("interval").code(SqlState::InvalidDatetimeFormat))?
        }
        T::List(field) | T::LargeList(field) | T::FixedSizeList(field, _) => {
            let elements = array_elements(trimmed).ok_or_else(|| {
                Error::invalid(format!("malformed array literal: \"{text}\"")).code(SqlState::InvalidTextRepresentation)
            })?;
            let elements = elements
                .iter()
                .map(|element| parameter(element.as_deref().map(str::as_bytes), false, field.data_type(), 0, zone))
                .collect::<Result<Vec<_>>>()?;
            list(&elements, field.data_type())?
        }
        _ => ScalarValue::Utf8(Some(text.to_owned())),
    })
}

fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let starts = |word: &str| !lower.is_empty() && word.starts_with(lower.as_str());
    if starts("true") || starts("yes") || lower == "on" || lower == "1" {
        Some(true)
    } else if starts("false") || starts("no") || (lower.len() > 1 && starts("off")) || lower == "0" {
        Some(false)
    } else {
        None
    }
}

fn bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        return digits
            .len()
            .is_multiple_of(2)
            .then(|| digits.chunks(2).map(|pair| Some(digit(pair[0])? * 16 + digit(pair[1])?)).collect())?;
    }
    let mut out = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
        } else if bytes.next_if_eq(&b'\\').is_some() {
            out.push(b'\\');
        } else {
            let mut value = 0_u32;
            for _ in 0..3 {
                value = value * 8 + char::from(bytes.next()?).to_digit(8)?;
            }
            out.push(u8::try_from(value).ok()?);
        }
    }
    Some(out)
}

/// Local date and time, and the offset behind it, in seconds.
fn moment(text: &str) -> Option<(NaiveDateTime, Option<i32>)> {
    let text = text.strip_suffix(" UTC").map_or_else(|| text.to_owned(), |text| format!("{text}+00"));
    let time_start = text.find([' ', 'T']).map_or(text.len(), |place| place + 1);
    let zone_start = text[time_start..].find(['+', '-', 'Z', 'z']).map(|place| place + time_start);
    let (local, offset) = match zone_start {
        None => (text.as_str(), None),
        Some(place) if matches!(&text[place..], "Z" | "z") => (&text[..place], Some(0)),
        Some(place) => {
            let (sign, digits) = text[place..].split_at(1);
            let digits = digits.replace(':', "");
            let hours: i32 = digits.get(..2)?.parse().ok()?;
            let minutes: i32 = if digits.len() > 2 { digits.get(2..4)?.parse().ok()? } else { 0 };
            let seconds = hours * 3600 + minutes * 60;
            (&text[..place], Some(if sign == "-" { -seconds } else { seconds }))
        }
    };
    let local = local.trim().replacen('T', " ", 1);
    let parsed = NaiveDateTime::parse_from_str(&local, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(&local, "%Y-%m-%d %H:%M"))
        .ok()
        .or_else(|| NaiveDate::parse_from_str(&local, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
    Some((parsed, offset))
}

/// Arrow's interval parser takes `1 year 2 mons 3 days 4 hours`; a clock time becomes its words.
fn interval_words(text: &str) -> String {
    let word = |word: &str| {
        let (sign, clock) = match word.strip_prefix('-') {
            Some(clock) => ("-", clock),
            None => ("", word.trim_start_matches('+')),
        };
        let parts: Vec<&str> = clock.split(':').collect();
        match parts.as_slice() {
            [hours, minutes] => format!("{sign}{hours} hours {sign}{minutes} minutes"),
            [hours, minutes, seconds] => {
                format!("{sign}{hours} hours {sign}{minutes} minutes {sign}{seconds} seconds")
            }
            _ => word.trim_start_matches('+').to_owned(),
        }
    };
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Elements of `{a,"b c",NULL}`.
fn array_elements(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    if inner.trim().is_empty() {
        return Some(elements);
    }
    let mut characters = inner.chars().peekable();
    loop {
        while characters.next_if(|character| character.is_whitespace()).is_some() {}
        let mut element = String::new();
        if characters.next_if_eq(&'"').is_some() {
            loop {
                match characters.next()? {
                    '"' => break,
                    '\\' => element.push(characters.next()?),
                    other => element.push(other),
                }
            }
            while characters.next_if(|character| character.is_whitespace()).is_some() {}
            elements.push(Some(element));
        } else {
            while let Some(character) = characters.next_if(|&character| character != ',') {
                match character {
                    '\\' => element.push(characters.next()?),
                    '{' | '}' | '"' => return None,
                    other => element.push(other),
                }
            }
            let element = element.trim_end();
            if element.is_empty() {
                return None;
            }
            elements.push((!element.eq_ignore_ascii_case("null")).then(|| element.to_owned()));
        }
        match characters.next() {
            None => return Some(elements),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

/// A decimal of the wanted scale, rounded half away from zero.
fn decimal(text: &str, data_type: &DataType) -> Result<ScalarValue> {
    let (precision, scale) = match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (*precision, *scale),
        _ => (76, 38),
    };
    let invalid = || {
        Error::invalid(format!("invalid input syntax for type numeric: \"{text}\""))
            .code(SqlState::InvalidTextRepresentation)
    };
    let overflow = || {
        Error::invalid("numeric field overflow")
            .code(SqlState::NumericValueOutOfRange)
            .detail(format!("{text} has no place in numeric({precision},{scale})."))
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| invalid())?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    if exponent.unsigned_abs() > 1000 {
        return Err(overflow());
    }
    let have = i32::try_from(fraction.len()).map_err(|_| overflow())? - exponent;
    let missing = i32::from(scale) - have;
    let mut round_up = false;
    if let Ok(missing) = usize::try_from(missing) {
        digits.extend(std::iter::repeat_n('0', missing));
    } else {
        let surplus = usize::try_from(-missing).unwrap_or(0);
        let kept = digits.len().saturating_sub(surplus);
        round_up = surplus <= digits.len() && digits.as_bytes().get(kept).is_some_and(|&digit| digit >= b'5');
        digits.truncate(kept);
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > usize::from(precision) {
        return Err(overflow());
    }
    let mut value = i256::from_string(if digits.is_empty() { "0" } else { digits }).ok_or_else(overflow)?;
    if round_up {
        value = value.checked_add(i256::ONE).ok_or_else(overflow)?;
    }
    if value.to_string().len() > usize::from(precision) {
        return Err(overflow());
    }
    let value = if negative { value.wrapping_neg() } else { value };
    Ok(match data_type {
        DataType::Decimal256(..) => ScalarValue::Decimal256(Some(value), precision, scale),
        _ => ScalarValue::Decimal128(Some(value.to_i128().ok_or_else(overflow)?), precision, scale),
    })
}

/// Text of a binary numeric; `None` if it is malformed or not a number.
fn numeric_text(bytes: &[u8]) -> Option<String> {
    let word = |index: usize| Some(i16::from_be_bytes(bytes.get(index * 2..index * 2 + 2)?.try_into().ok()?));
    let (count, weight, sign, scale) = (usize::try_from(word(0)?).ok()?, word(1)?, word(2)?, word(3)?);
    if bytes.len() != 8 + count * 2 || !matches!(sign, 0 | 0x4000) {
        return None;
    }
    let scale = usize::try_from(scale).ok()?;
    let group = |position: i32| -> Option<String> {
        // `position` counts groups from the point: 0 is the one before it.
        match usize::try_from(i32::from(weight) - position) {
            Ok(index) if index < count => {
                let group = word(4 + index)?;
                (0..10_000).contains(&group).then(|| format!("{group:04}"))
            }
            _ => Some("0000".to_owned()),
        }
    };
    let mut text = if sign == 0x4000 { "-".to_owned() } else { String::new() };
    if weight < 0 {
        text.push('0');
    }
    for position in (0..=i32::from(weight)).rev() {
        text.push_str(&group(position)?);
    }
    if scale > 0 {
        let mut fraction = String::new();
        let mut position = -1;
        while fraction.len() < scale {
            fraction.push_str(&group(position)?);
            position -= 1;
        }
        text.push('.');
        text.push_str(&fraction[..scale]);
    }
    Some(text)
}

#[cfg(test)]
mod tests;
