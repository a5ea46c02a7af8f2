//! to_char(value, pattern) with PostgreSQL's patterns: `datetime` for timestamps, dates, times of day and intervals, `number` for numbers.
//! A TIMESTAMP_LTZ is printed in the session's zone.

mod datetime;
mod number;

use std::sync::Arc;

use chrono::{DateTime, Offset, TimeZone};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{
    DataType, Decimal256Type, Float32Type, Float64Type, IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use self::datetime::{Moment, Zone};
use super::entry::{Entry, Maker};
use super::intervals::{INTERVAL, is_interval};
use super::{ColumnFunction, datetime_input, no_such_call, numeric};
use crate::data_type::{is_unconstrained_numeric, unconstrained_numeric};
use crate::error::{Error, Result, SqlState};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    NAME,
    &[
        "timestamp, text → text",
        "timestamptz, text → text",
        "date, text → text",
        "interval, text → text",
        "numeric, text → text",
        "bigint, text → text",
        "double precision, text → text",
    ],
    "A value as a text by a pattern of PostgreSQL's: `YYYY-MM-DD HH24:MI:SS` for times, `FM999,990.00` for numbers.",
    Maker::Plain(to_char),
)
.stable()
.example("to_char(TIMESTAMP '2024-01-05 13:04:05', 'YYYY-MM-DD HH24:MI')", "2024-01-05 13:04")];

const NAME: &str = "to_char";

/// The longest pattern, in bytes: a value is written once for each part of it.
const PATTERN_BYTES_MAX: usize = 4096;

/// The function.
fn to_char() -> Arc<ScalarUDF> {
    ColumnFunction::udf(NAME, Volatility::Stable, coerce, DataType::Utf8, evaluate)
}

fn coerce(arguments: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    let refused = || no_such_call(NAME, arguments, "to_char(timestamp, 'YYYY-MM-DD')");
    let [value, pattern] = arguments else { return Err(refused()) };
    if !pattern.is_string() && !pattern.is_null() {
        return Err(refused());
    }
    let value = match value {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into())),
        DataType::Date32 | DataType::Date64 => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Float32 | DataType::Float64 => value.clone(),
        value if is_interval(value) => INTERVAL,
        value if value.is_numeric() => unconstrained_numeric(),
        DataType::Null => unconstrained_numeric(),
        _ => return Err(refused()),
    };
    Ok(vec![value, DataType::Utf8])
}

fn evaluate(arguments: &[ArrayRef], zone: &str) -> DataFusionResult<ArrayRef> {
    let (values, patterns) = (&arguments[0], arguments[1].as_string::<i32>());
    let mut known: Option<(&str, Pattern)> = None;
    let write = Writer::new(values, zone)?;
    let mut texts = Vec::with_capacity(values.len());
    for row in 0..values.len() {
        if patterns.is_null(row) {
            texts.push(None);
            continue;
        }
        let text = patterns.value(row);
        if known.as_ref().is_none_or(|(known, _)| *known != text) {
            known = Some((text, write.parse(text)?));
        }
        let Some((_, pattern)) = &known else { continue };
        texts.push(if values.is_null(row) { None } else { write.text(row, pattern)? });
    }
    Ok(Arc::new(StringArray::from(texts)))
}

enum Pattern {
    Times(Vec<datetime::Part>),
    Number(number::Pattern),
}

/// Values that can be written.
enum Writer<'a> {
    Times(&'a ArrayRef, Option<chrono_tz::Tz>),
    Intervals(&'a ArrayRef),
    /// Decimal digits, as they are printed.
    Numbers(Vec<Option<String>>),
}

impl<'a> Writer<'a> {
    fn new(values: &'a ArrayRef, zone: &str) -> DataFusionResult<Self> {
        Ok(match values.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, zoned) => {
                Self::Times(values, zoned.as_ref().map(|_| datetime_input::zone_of(zone)))
            }
            DataType::Interval(_) => Self::Intervals(values),
            DataType::Float32 => {
                Self::Numbers(values.as_primitive::<Float32Type>().iter().map(|value| value.map(plain)).collect())
            }
            DataType::Float64 => {
                Self::Numbers(values.as_primitive::<Float64Type>().iter().map(|value| value.map(plain)).collect())
            }
            data_type if is_unconstrained_numeric(data_type) => {
                let numbers = values.as_primitive::<Decimal256Type>().iter();
                Self::Numbers(numbers.map(|number| number.map(numeric::print)).collect())
            }
            other => return Err(Error::internal(format!("to_char got {other}")).into()),
        })
    }

    fn parse(&self, pattern: &str) -> Result<Pattern> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(Error::row("to_char: the pattern is too long").code(SqlState::InvalidParameterValue));
        }
        Ok(match self {
            Self::Numbers(_) => Pattern::Number(number::parse(pattern)?),
            _ => Pattern::Times(datetime::parse(pattern)),
        })
    }

    fn text(&self, row: usize, pattern: &Pattern) -> Result<Option<String>> {
        match (self, pattern) {
            (Self::Times(values, zone), Pattern::Times(parts)) => {
                let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
                let out_of_range = || Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow);
                let utc = DateTime::from_timestamp_micros(micros).ok_or_else(out_of_range)?.naive_utc();
                let moment = match zone {
                    None => Moment::of(utc, None),
                    Some(zone) => {
                        let local = zone.from_utc_datetime(&utc);
                        let name = local.format("%Z").to_string();
                        let east = local.offset().fix().local_minus_utc();
                        Moment::of(local.naive_local(), Some(Zone { name, east }))
                    }
                };
                Ok(Some(datetime::print(parts, &moment)))
            }
            (Self::Intervals(values), Pattern::Times(parts)) => {
                let interval = values.as_primitive::<IntervalMonthDayNanoType>().value(row);
                let moment = Moment::of_interval(interval.months, interval.days, interval.nanoseconds / 1000);
                Ok(Some(datetime::print(parts, &moment)))
            }
            (Self::Numbers(numbers), Pattern::Number(pattern)) => {
                Ok(numbers[row].as_deref().map(|digits| number::print(pattern, digits)))
            }
            _ => Err(Error::internal("a pattern of another kind of value")),
        }
    }
}

/// A float without an exponent: `12.5`, `NaN`, `Infinity`.
fn plain(value: impl Into<f64> + std::fmt::Display) -> String {
    value.to_string().replace("inf", "Infinity")
}

#[cfg(test)]
mod tests;
