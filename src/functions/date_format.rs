//! DATE_FORMAT(timestamp, pattern) and FROM_UNIXTIME(seconds [, pattern]) with Java's pattern letters, as in Flink.
//! TIMESTAMP_LTZ is printed in the session's time zone, TIMESTAMP as it is.

use std::fmt::Write;
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::time::local_time;
use super::{ColumnFunction, datetime_input, no_such_call};
use crate::error::{Error, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::public(
        "date_format",
        &["timestamp, text → text", "timestamptz, text → text", "date, text → text", "text, text → text"],
        "A timestamp as a text by a pattern of Java's letters; a TIMESTAMP_LTZ in the session's time \
         zone.",
        Maker::Plain(date_format),
    )
    .stable()
    .example("DATE_FORMAT(TIMESTAMP '2024-01-05 13:04:05', 'yyyy-MM')", "2024-01"),
    Entry::public(
        "from_unixtime",
        &["bigint → text", "bigint, text → text"],
        "Seconds since 1970 as a text in the session's time zone, by a pattern of Java's letters.",
        Maker::Plain(from_unixtime),
    )
    .stable()
    .example("FROM_UNIXTIME(0, 'yyyy')", "1970"),
];

/// Letters of one field of a pattern: so many places are written.
const FIELD_LETTERS_MAX: usize = 64;

/// DATE_FORMAT
pub fn date_format() -> Arc<ScalarUDF> {
    ColumnFunction::udf("date_format", Volatility::Stable, coerce_date_format, DataType::Utf8, evaluate_date_format)
}

/// FROM_UNIXTIME
pub fn from_unixtime() -> Arc<ScalarUDF> {
    ColumnFunction::udf(
        "from_unixtime",
        Volatility::Stable,
        coerce_from_unixtime,
        DataType::Utf8,
        evaluate_from_unixtime,
    )
}

fn coerce_date_format(arguments: &[DataType]) -> Result<Vec<DataType>> {
    let usage = "DATE_FORMAT(timestamp, 'yyyy-MM-dd')";
    let [value, _] = arguments else { return Err(no_such_call("date_format", arguments, usage)) };
    let value = match value {
        DataType::Timestamp(unit, zone) => {
            let unit = if *unit == TimeUnit::Nanosecond { *unit } else { TimeUnit::Microsecond };
            DataType::Timestamp(unit, zone.as_ref().map(|_| "UTC".into()))
        }
        DataType::Date32 | DataType::Date64 => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::Utf8,
        _ => return Err(no_such_call("date_format", arguments, usage)),
    };
    Ok(vec![value, DataType::Utf8])
}

fn coerce_from_unixtime(arguments: &[DataType]) -> Result<Vec<DataType>> {
    match arguments.len() {
        1 => Ok(vec![DataType::Int64]),
        2 => Ok(vec![DataType::Int64, DataType::Utf8]),
        _ => Err(no_such_call("from_unixtime", arguments, "FROM_UNIXTIME(seconds, 'yyyy-MM-dd HH:mm:ss')")),
    }
}

fn evaluate_date_format(arguments: &[ArrayRef], zone: &str) -> Result<ArrayRef> {
    let values: ArrayRef = match arguments[0].data_type() {
        DataType::Date32 | DataType::Date64 => cast(&arguments[0], &DataType::Timestamp(TimeUnit::Microsecond, None))?,
        _ => arguments[0].clone(),
    };
    let at = |row: usize| -> Result<Option<NaiveDateTime>> {
        if values.is_null(row) {
            return Ok(None);
        }
        match values.data_type() {
            DataType::Utf8 => Ok(Some(datetime_input::timestamp(values.as_string::<i32>().value(row))?)),
            DataType::Timestamp(unit, zoned) => {
                let utc = if *unit == TimeUnit::Nanosecond {
                    DateTime::from_timestamp_nanos(values.as_primitive::<TimestampNanosecondType>().value(row))
                } else {
                    let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
                    let out_of_range = || Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow);
                    DateTime::from_timestamp_micros(micros).ok_or_else(out_of_range)?
                };
                Ok(Some(if zoned.is_some() {
                    let local = local_time(utc.timestamp_millis(), zone);
                    local.with_nanosecond(utc.nanosecond()).unwrap_or(local)
                } else {
                    utc.naive_utc()
                }))
            }
            other => Err(Error::internal(format!("date_format got {other}")).into()),
        }
    };
    print_all(values.len(), &arguments[1], at)
}

fn evaluate_from_unixtime(arguments: &[ArrayRef], zone: &str) -> Result<ArrayRef> {
    let seconds = arguments[0].as_primitive::<Int64Type>();
    let at = |row: usize| -> Result<Option<NaiveDateTime>> {
        if seconds.is_null(row) {
            return Ok(None);
        }
        let millis =
            seconds.value(row).checked_mul(1000).filter(|millis| DateTime::from_timestamp_millis(*millis).is_some());
        let millis =
            millis.ok_or_else(|| Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow))?;
        Ok(Some(local_time(millis, zone)))
    };
    match arguments.get(1) {
        Some(patterns) => print_all(seconds.len(), patterns, at),
        None => {
            let pattern: ArrayRef = Arc::new(StringArray::from(vec!["yyyy-MM-dd HH:mm:ss"; seconds.len()]));
            print_all(seconds.len(), &pattern, at)
        }
    }
}

fn print_all(
    rows: usize,
    patterns: &ArrayRef,
    at: impl Fn(usize) -> Result<Option<NaiveDateTime>>,
) -> Result<ArrayRef> {
    let patterns = patterns.as_string::<i32>();
    let mut known: Option<(String, Vec<Item>)> = None;
    let mut printed: Vec<Option<String>> = Vec::with_capacity(rows);
    for row in 0..rows {
        if patterns.is_null(row) {
            printed.push(None);
            continue;
        }
        // Read whatever the time is: a constant that is no pattern is wrong without any row.
        let pattern = patterns.value(row);
        if known.as_ref().is_none_or(|(known, _)| known != pattern) {
            known = Some((pattern.to_owned(), parse_pattern(pattern)?));
        }
        let Some(time) = at(row)? else {
            printed.push(None);
            continue;
        };
        printed.push(known.as_ref().map(|(_, items)| print(items, time)));
    }
    Ok(Arc::new(StringArray::from(printed)))
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Literal(String),
    Field(char, usize),
}

/// Reads a pattern.
///
/// # Errors
/// A quote is open, or a letter has no meaning.
pub(super) fn parse_pattern(pattern: &str) -> Result<Vec<Item>> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut items: Vec<Item> = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if c == '\'' {
            if chars.get(at + 1) == Some(&'\'') {
                literal.push('\'');
                at += 2;
                continue;
            }
            at += 1;
            loop {
                match chars.get(at) {
                    None => {
                        return Err(Error::row(format!("date pattern '{pattern}': unterminated quote")).into());
                    }
                    Some('\'') if chars.get(at + 1) == Some(&'\'') => {
                        literal.push('\'');
                        at += 2;
                    }
                    Some('\'') => {
                        at += 1;
                        break;
                    }
                    Some(quoted) => {
                        literal.push(*quoted);
                        at += 1;
                    }
                }
            }
        } else if c.is_ascii_alphabetic() {
            let count = chars[at..].iter().take_while(|other| **other == c).count();
            if count > FIELD_LETTERS_MAX {
                return Err(Error::row(format!(
                    "date pattern with {count} letters '{c}' in a row: at most {FIELD_LETTERS_MAX} are possible"
                ))
                .code(SqlState::InvalidParameterValue)
                .into());
            }
            if !"yuMLdDHhkKmsSaEeQ".contains(c) {
                return Err(Error::row(format!("date pattern '{pattern}': letter '{c}' is not supported"))
                    .code(SqlState::FeatureNotSupported)
                    .hint("Known are y u M L d D H h k K m s S a E e Q; other text stands in single quotes.")
                    .into());
            }
            if !literal.is_empty() {
                items.push(Item::Literal(std::mem::take(&mut literal)));
            }
            items.push(Item::Field(c, count));
            at += count;
        } else {
            literal.push(c);
            at += 1;
        }
    }
    if !literal.is_empty() {
        items.push(Item::Literal(literal));
    }
    Ok(items)
}

fn print(items: &[Item], time: NaiveDateTime) -> String {
    let mut text = String::new();
    for item in items {
        let (letter, count) = match item {
            Item::Literal(literal) => {
                text.push_str(literal);
                continue;
            }
            Item::Field(letter, count) => (*letter, *count),
        };
        // Writing to a String cannot fail.
        let _ = match letter {
            'y' | 'u' if count == 2 => write!(text, "{:02}", time.year().rem_euclid(100)),
            'y' | 'u' => write!(text, "{:0count$}", time.year()),
            'M' | 'L' if count == 3 => write!(text, "{}", time.format("%b")),
            'M' | 'L' if count > 3 => write!(text, "{}", time.format("%B")),
            'M' | 'L' => write!(text, "{:0count$}", time.month()),
            'd' => write!(text, "{:0count$}", time.day()),
            'D' => write!(text, "{:0count$}", time.ordinal()),
            'Q' => write!(text, "{:0count$}", (time.month() - 1) / 3 + 1),
            'H' => write!(text, "{:0count$}", time.hour()),
            'k' => write!(text, "{:0count$}", if time.hour() == 0 { 24 } else { time.hour() }),
            'K' => write!(text, "{:0count$}", time.hour() % 12),
            'h' => write!(text, "{:0count$}", time.hour12().1),
            'm' => write!(text, "{:0count$}", time.minute()),
            's' => write!(text, "{:0count$}", time.second()),
            'S' => {
                let nanos = format!("{:09}", time.nanosecond() % 1_000_000_000);
                write!(text, "{:0<count$}", &nanos[..count.min(9)])
            }
            'a' => write!(text, "{}", if time.hour() < 12 { "AM" } else { "PM" }),
            // The week begins on Sunday, as Java has it where English is spoken in America.
            'e' if count < 3 => write!(text, "{:0count$}", time.weekday().num_days_from_sunday() + 1),
            'E' | 'e' if count > 3 => write!(text, "{}", time.format("%A")),
            _ => write!(text, "{}", time.format("%a")),
        };
    }
    text
}
