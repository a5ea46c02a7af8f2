//! The JSON text of one value → one entry of a column. Numbers are read from their text, so decimals and 64-bit integers
//! lose nothing; nested values recurse with the text of their parts.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use datafusion::arrow::datatypes::{DataType, Fields, TimeUnit, i256};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Reading;
use crate::data_type::to_flink;
use crate::formats::columns::{Column, Values};
use crate::formats::time_text;

/// Why a value does not fit: where inside the field, and what was there.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    /// `a.b[]`: from the outermost field inwards.
    pub path: String,
    /// A phrase: `cannot read '…' as INT`.
    pub what: String,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { path: String::new(), what: what.into() }
    }

    pub(super) fn within(mut self, part: &str) -> Self {
        self.path = match self.path.as_str() {
            "" => part.to_owned(),
            inner if inner.starts_with('[') => format!("{part}{inner}"),
            inner => format!("{part}.{inner}"),
        };
        self
    }
}

/// Appends a value, or NULL where the options say so: for `null`, and for a value that does not fit under `ignore-parse-errors`.
/// On an error the column is as it was. A part that may not be NULL makes its whole NULL (or bad).
pub(super) fn append(column: &mut Column, raw: &str, nullable: bool, options: &Reading) -> Result<(), Problem> {
    let before = column.len();
    let problem = if raw == "null" {
        if nullable {
            column.append_null();
            return Ok(());
        }
        return Err(Problem::new("is NULL, but declared NOT NULL"));
    } else {
        match append_some(column, raw, options) {
            Ok(Appended::Value) => return Ok(()),
            Ok(Appended::Null) => Problem::new("is NULL, but declared NOT NULL"),
            Err(problem) => {
                column.truncate(before);
                if !options.ignore_parse_errors {
                    return Err(problem);
                }
                if nullable {
                    options.count_nulled();
                }
                problem
            }
        }
    };
    if nullable {
        column.append_null();
        return Ok(());
    }
    Err(problem)
}

enum Appended {
    Value,
    /// The value means NULL (a zero timestamp).
    Null,
}

/// What is said of a text that is no value of a type.
#[cold]
fn unreadable(raw: &str, name: &str) -> Problem {
    let shown: String = raw.chars().take(60).collect();
    let dots = if shown.len() < raw.len() { "…" } else { "" };
    Problem::new(format!("cannot read {shown}{dots} as {name}"))
}

fn append_some(column: &mut Column, raw: &str, options: &Reading) -> Result<Appended, Problem> {
    let bad = |name: &str| unreadable(raw, name);
    match column.values() {
        Values::Utf8(_) => {
            let text = text_of(raw).ok_or_else(|| bad("STRING"))?;
            column.append_bytes(text.as_bytes());
            return Ok(Appended::Value);
        }
        Values::Binary(_) => {
            let text = text_of(raw).filter(|_| raw.starts_with('"')).ok_or_else(|| bad("BYTES (base64)"))?;
            let bytes = BASE64.decode(text.as_bytes()).map_err(|_| bad("BYTES (base64)"))?;
            column.append_bytes(&bytes);
            return Ok(Appended::Value);
        }
        Values::List { .. } | Values::Map { .. } | Values::Struct { .. } => {
            append_nested(column, raw, options)?;
            column.accept();
            return Ok(Appended::Value);
        }
        _ => {}
    }
    if raw.starts_with(['{', '[']) {
        return Err(bad("a single value"));
    }
    let text = text_of(raw).ok_or_else(|| bad("a single value"))?;
    append_single(column, raw, text.trim(), options)
}

/// Appends a boolean, a number, a date or a time, of which `text` is the text without quotes and blanks.
#[inline]
fn append_single(column: &mut Column, raw: &str, text: &str, options: &Reading) -> Result<Appended, Problem> {
    let bad = |name: &str| unreadable(raw, name);
    match column.values() {
        Values::Boolean(values) => values.append(match text {
            "true" => true,
            "false" => false,
            other if other.eq_ignore_ascii_case("true") => true,
            other if other.eq_ignore_ascii_case("false") => false,
            _ => return Err(bad("BOOLEAN")),
        }),
        Values::Int8(values) => values.push(integer(text).ok_or_else(|| bad("TINYINT"))?),
        Values::Int16(values) => values.push(integer(text).ok_or_else(|| bad("SMALLINT"))?),
        Values::Int32(values) => values.push(integer(text).ok_or_else(|| bad("INT"))?),
        Values::Int64(values) => values.push(integer(text).ok_or_else(|| bad("BIGINT"))?),
        Values::Float32(values) => {
            let value: f32 = text.parse().map_err(|_| bad("FLOAT"))?;
            if value.is_infinite() && !raw.starts_with('"') {
                return Err(bad("FLOAT"));
            }
            values.push(value);
        }
        Values::Float64(values) => {
            let value: f64 = text.parse().map_err(|_| bad("DOUBLE"))?;
            if value.is_infinite() && !raw.starts_with('"') {
                return Err(bad("DOUBLE"));
            }
            values.push(value);
        }
        Values::Decimal128 { values, precision, scale } => {
            let value = Number::read(text)
                .and_then(|number| number.rounded(*scale))
                .filter(|value| fits(*value, *precision))
                .ok_or_else(|| bad(&format!("DECIMAL({precision}, {scale})")))?;
            values.push(value);
        }
        Values::Decimal256 { values, precision, scale } => {
            let value = Number::read(text)
                .and_then(|number| number.rounded_256(*scale))
                .filter(|value| value.wrapping_abs().to_string().len() <= usize::from(*precision))
                .ok_or_else(|| bad(&format!("DECIMAL({precision}, {scale})")))?;
            values.push(value);
        }
        Values::Date32(values) => values.push(time_text::parse_date(text).ok_or_else(|| bad("DATE"))?),
        Values::Time32(values, unit) => {
            let value = time_text::parse_time(text, false)
                .and_then(|(seconds, nanos)| time_text::to_unit(seconds, nanos, *unit))
                .and_then(|value| i32::try_from(value).ok());
            values.push(value.ok_or_else(|| bad("TIME"))?);
        }
        Values::Time64(values, unit) => {
            let value = time_text::parse_time(text, false)
                .and_then(|(seconds, nanos)| time_text::to_unit(seconds, nanos, *unit));
            values.push(value.ok_or_else(|| bad("TIME"))?);
        }
        Values::Timestamp { values, unit, zone } => {
            let (unit, with_zone): (TimeUnit, bool) = (*unit, zone.is_some());
            match time_text::parse_timestamp(text, options.timestamp_format_standard, with_zone)
                .and_then(|(seconds, nanos)| time_text::to_unit(seconds, nanos, unit))
            {
                Some(value) => values.push(value),
                None if options.zero_timestamp_is_null && time_text::is_zero_timestamp(text) => {
                    return Ok(Appended::Null);
                }
                None => return Err(bad(if with_zone { "TIMESTAMP_LTZ" } else { "TIMESTAMP" })),
            }
        }
        Values::Utf8(_) | Values::Binary(_) | Values::List { .. } | Values::Map { .. } | Values::Struct { .. } => {
            unreachable!("append_some has answered")
        }
    }
    column.accept();
    Ok(Appended::Value)
}

/// The text that a value has as a string: a string's contents, a number as it is written, `true`, an object's JSON.
fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Some(Cow::Borrowed(raw));
    };
    if inner.as_bytes().contains(&b'\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(inner.into()) }
}

/// An integer from its text: plain digits, or a number that is whole (`1.0`, `12e1`).
fn integer<T: std::str::FromStr + TryFrom<i128>>(text: &str) -> Option<T> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let number = Number::read(text)?;
    let whole = number.rounded(0)?;
    (number.is_whole()).then(|| T::try_from(whole).ok()).flatten()
}

fn fits(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < 10_u128.checked_pow(u32::from(precision)).unwrap_or(u128::MAX)
}

/// A decimal number as written: `mantissa × 10^exponent`; digits beyond the 38th significant one are cut off and noted.
struct Number {
    mantissa: i128,
    exponent: i64,
    is_cut: bool,
}

impl Number {
    fn read(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (digits, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (mut mantissa, mut significant, mut exponent) = (0_i128, 0, i64::from(exponent));
        // Zeros wait until another digit follows: trailing ones only move the exponent.
        let (mut zeros, mut after_point, mut any, mut is_cut) = (0_u32, false, false, false);
        for byte in digits.bytes() {
            match byte {
                b'.' if !after_point => after_point = true,
                b'0'..=b'9' => {
                    any = true;
                    if after_point {
                        exponent -= 1;
                    }
                    let digit = i128::from(byte - b'0');
                    if digit == 0 {
                        zeros += u32::from(mantissa != 0);
                        exponent += i64::from(mantissa != 0);
                        continue;
                    }
                    if is_cut || significant + zeros + 1 > 38 {
                        is_cut = true;
                        exponent += 1;
                        continue;
                    }
                    mantissa = mantissa * 10_i128.pow(zeros + 1) + digit;
                    significant += zeros + 1;
                    exponent -= i64::from(zeros);
                    zeros = 0;
                }
                _ => return None,
            }
        }
        if !any {
            return None;
        }
        if mantissa == 0 {
            exponent = 0;
        }
        Some(Self { mantissa: if negative { -mantissa } else { mantissa }, exponent, is_cut })
    }

    fn is_whole(&self) -> bool {
        self.exponent >= 0 && !self.is_cut
    }

    /// `value × 10^scale`, rounded half up (away from zero), as Java's BigDecimal does for Flink.
    fn rounded(&self, scale: i8) -> Option<i128> {
        let shift = self.exponent + i64::from(scale);
        if shift >= 0 {
            if self.mantissa == 0 {
                return Some(0);
            }
            // Cut digits would be needed.
            return (!self.is_cut)
                .then(|| self.mantissa.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?))
                .flatten();
        }
        let Some(divisor) = u32::try_from(-shift).ok().and_then(|places| 10_i128.checked_pow(places)) else {
            return Some(0);
        };
        let (quotient, remainder) = (self.mantissa / divisor, self.mantissa % divisor);
        Some(if remainder.abs() >= divisor - remainder.abs() { quotient + self.mantissa.signum() } else { quotient })
    }

    fn rounded_256(&self, scale: i8) -> Option<i256> {
        let shift = self.exponent + i64::from(scale);
        if shift < 0 {
            return self.rounded(scale).map(i256::from_i128);
        }
        if self.is_cut {
            return None;
        }
        let mut value = i256::from_i128(self.mantissa);
        for _ in 0..shift.min(80) {
            value = value.checked_mul(i256::from_i128(10))?;
        }
        Some(value)
    }
}

fn append_nested(column: &mut Column, raw: &str, options: &Reading) -> Result<(), Problem> {
    let mut problem = None;
    let mut json = serde_json::Deserializer::from_str(raw);
    let read = match column.values() {
        Values::List { ends, element, child } => json
            .deserialize_seq(ListVisitor { child, nullable: element.is_nullable(), options, problem: &mut problem })
            .map(|()| ends.push(child.len() as i32)),
        Values::Map { ends, fields, keys, values, .. } => json
            .deserialize_map(MapVisitor {
                keys,
                values,
                nullable: fields[1].is_nullable(),
                options,
                problem: &mut problem,
            })
            .map(|()| ends.push(keys.len() as i32)),
        Values::Struct { fields, children } => {
            json.deserialize_map(StructVisitor { fields, children, options, problem: &mut problem })
        }
        _ => unreachable!("scalars do not come here"),
    };
    match (problem, read) {
        (Some(problem), _) => Err(problem),
        (None, Err(_)) => {
            let shown: String = raw.chars().take(60).collect();
            Err(Problem::new(format!("cannot read {shown} as an ARRAY, MAP or ROW")))
        }
        (None, Ok(())) => Ok(()),
    }
}

struct ListVisitor<'a> {
    child: &'a mut Column,
    nullable: bool,
    options: &'a Reading,
    problem: &'a mut Option<Problem>,
}

impl<'de> Visitor<'de> for ListVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element::<&RawValue>()? {
            if self.problem.is_none()
                && let Err(problem) = append(self.child, raw.get(), self.nullable, self.options)
            {
                *self.problem = Some(problem.within("[]"));
            }
        }
        Ok(())
    }
}

struct MapVisitor<'a> {
    keys: &'a mut Column,
    values: &'a mut Column,
    nullable: bool,
    options: &'a Reading,
    problem: &'a mut Option<Problem>,
}

impl<'de> Visitor<'de> for MapVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let raw = map.next_value::<&RawValue>()?;
            if self.problem.is_some() {
                continue;
            }
            match append(self.values, raw.get(), self.nullable, self.options) {
                Ok(()) => self.keys.append_bytes(key.as_bytes()),
                Err(problem) => *self.problem = Some(problem.within(&key)),
            }
        }
        Ok(())
    }
}

struct StructVisitor<'a> {
    fields: &'a Fields,
    children: &'a mut [Column],
    options: &'a Reading,
    problem: &'a mut Option<Problem>,
}

impl<'de> Visitor<'de> for StructVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let before = self.children.first().map_or(0, Column::len);
        let mut exact = vec![false; self.fields.len()];
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let found = find(self.fields, &key);
            let Some((index, is_exact)) = found.filter(|(index, is_exact)| *is_exact || !exact[*index]) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let raw = map.next_value::<&RawValue>()?;
            if self.problem.is_some() {
                continue;
            }
            exact[index] |= is_exact;
            // Of a field given twice, the last one counts.
            self.children[index].truncate(before);
            let nullable = self.fields[index].is_nullable();
            if let Err(problem) = append(&mut self.children[index], raw.get(), nullable, self.options) {
                *self.problem = Some(problem.within(self.fields[index].name()));
            }
        }
        if self.problem.is_some() {
            return Ok(());
        }
        for (field, child) in self.fields.iter().zip(self.children) {
            if child.len() == before {
                if self.options.fail_on_missing_field {
                    *self.problem = Some(Problem::new("is missing").within(field.name()));
                } else if !field.is_nullable() {
                    *self.problem = Some(Problem::new("is NULL, but declared NOT NULL").within(field.name()));
                }
                child.append_null();
            }
        }
        Ok(())
    }
}

/// A field by name: as written first, else without regard to case. Tells whether the match is exact.
pub(super) fn find(fields: &Fields, name: &str) -> Option<(usize, bool)> {
    if let Some(index) = fields.iter().position(|field| field.name() == name) {
        return Some((index, true));
    }
    fields.iter().position(|field| field.name().eq_ignore_ascii_case(name)).map(|index| (index, false))
}

/// Refuses columns that JSON cannot hold.
pub(super) fn check_types(fields: &Fields) -> crate::error::Result<()> {
    fields.iter().try_for_each(|field| {
        check_type(field.data_type()).map_err(|error| error.context(format_args!("column \"{}\"", field.name())))
    })
}

fn check_type(data_type: &DataType) -> crate::error::Result<()> {
    match data_type {
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return Err(crate::error::Error::internal("a MAP without key and value"));
            };
            if pair[0].data_type() != &DataType::Utf8 {
                return Err(crate::error::Error::unsupported(format!(
                    "JSON has only text as keys of a MAP, not {}",
                    to_flink(pair[0].data_type())
                ))
                .hint("Declare the keys as STRING, or leave the column out."));
            }
            check_type(pair[1].data_type())
        }
        DataType::List(element) => check_type(element.data_type()),
        DataType::Struct(fields) => fields.iter().try_for_each(|field| check_type(field.data_type())),
        _ => Ok(()),
    }
}
