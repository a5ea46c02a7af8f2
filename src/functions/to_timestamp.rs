//! TO_TIMESTAMP(text [, pattern]) and TO_DATE(text [, pattern]) with Java's pattern letters, as in Flink: what cannot be read is NULL.
//! to_timestamp(seconds) is Postgres': a TIMESTAMP_LTZ.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use super::date_format::{Item, parse_pattern};
use super::entry::{Entry, Maker};
use super::{datetime_input, no_such_call};
use crate::error::{Error, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::public(
        "to_date",
        &["text → date", "text, text → date"],
        "A date of a text, by a pattern of Java's letters (`yyyy-MM-dd`); NULL if it cannot be \
         read.",
        Maker::Plain(to_date),
    )
    .example("TO_DATE('05.01.2024', 'dd.MM.yyyy')", "2024-01-05"),
    Entry::public(
        "to_timestamp",
        &["text → timestamp", "text, text → timestamp", "double precision → timestamptz"],
        "A timestamp of a text, by a pattern of Java's letters (`yyyy-MM-dd HH:mm:ss`); NULL if \
         it cannot be read. Of a number of seconds since 1970 a TIMESTAMP_LTZ.",
        Maker::Plain(to_timestamp),
    )
    .example("TO_TIMESTAMP('2024-01-05 13:04:05')", "2024-01-05 13:04:05"),
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// TO_TIMESTAMP
pub fn to_timestamp() -> Arc<ScalarUDF> {
    udf(Kind::Timestamp)
}

/// TO_DATE
pub fn to_date() -> Arc<ScalarUDF> {
    udf(Kind::Date)
}

fn udf(kind: Kind) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Reader { kind, signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Timestamp,
    Date,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Reader {
    kind: Kind,
    signature: Signature,
}

fn local() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl ScalarUDFImpl for Reader {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Timestamp => "to_timestamp",
            Kind::Date => "to_date",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let is_text = |data_type: &DataType| data_type.is_string() || data_type.is_null();
        match (self.kind, arguments) {
            (_, [text]) if is_text(text) => Ok(vec![DataType::Utf8]),
            (_, [text, pattern]) if is_text(text) && is_text(pattern) => Ok(vec![DataType::Utf8, DataType::Utf8]),
            (Kind::Timestamp, [seconds]) if seconds.is_numeric() => Ok(vec![DataType::Float64]),
            (Kind::Timestamp, [DataType::Timestamp(_, Some(_))]) => Ok(vec![instant()]),
            (Kind::Timestamp, [DataType::Timestamp(..) | DataType::Date32]) => Ok(vec![local()]),
            (Kind::Date, [DataType::Timestamp(..) | DataType::Date32]) => Ok(vec![DataType::Date32]),
            (Kind::Timestamp, _) => {
                Err(no_such_call("to_timestamp", arguments, "TO_TIMESTAMP(text, 'yyyy-MM-dd HH:mm:ss')"))
            }
            (Kind::Date, _) => Err(no_such_call("to_date", arguments, "TO_DATE(text, 'yyyy-MM-dd')")),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match (self.kind, arguments.first()) {
            (Kind::Date, _) => DataType::Date32,
            (_, Some(DataType::Float64 | DataType::Timestamp(_, Some(_)))) => instant(),
            _ => local(),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let result = match arrays[0].data_type() {
            DataType::Utf8 => read(self.kind, &arrays)?,
            DataType::Float64 => of_seconds(&arrays[0])?,
            _ => arrays[0].clone(),
        };
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

fn of_seconds(seconds: &ArrayRef) -> Result<ArrayRef> {
    let micros = seconds.as_primitive::<Float64Type>().iter().map(|seconds| {
        let Some(seconds) = seconds else { return Ok(None) };
        let micros = (seconds * 1e6).round();
        // The bounds of i64 as doubles.
        let fits = (-9.2e18..=9.2e18).contains(&micros);
        let out_of_range = || Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow);
        fits.then_some(Some(micros as i64)).ok_or_else(out_of_range)
    });
    let micros = micros.collect::<std::result::Result<TimestampMicrosecondArray, Error>>()?;
    Ok(Arc::new(micros.with_timezone("UTC")))
}

fn read(kind: Kind, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = arrays[0].as_string::<i32>();
    let patterns = arrays.get(1).map(|patterns| patterns.as_string::<i32>());
    let mut known: Option<(String, Vec<Item>)> = None;
    let mut times: Vec<Option<NaiveDateTime>> = Vec::with_capacity(texts.len());
    for row in 0..texts.len() {
        if let Some(patterns) = patterns.filter(|patterns| patterns.is_valid(row)) {
            // Read whatever the text is: a constant that is no pattern is wrong without any row.
            let pattern = patterns.value(row);
            if known.as_ref().is_none_or(|(known, _)| known != pattern) {
                known = Some((pattern.to_owned(), parse_pattern(pattern)?));
            }
        }
        let is_null = texts.is_null(row) || patterns.is_some_and(|patterns| patterns.is_null(row));
        times.push(match (is_null, patterns, &known) {
            (true, ..) => None,
            (false, Some(_), Some((_, items))) => by_pattern(texts.value(row), items),
            _ => datetime_input::micros(texts.value(row))
                .and_then(DateTime::from_timestamp_micros)
                .map(|time| time.naive_utc()),
        });
    }
    Ok(match kind {
        Kind::Timestamp => {
            let micros = times.into_iter().map(|time| time.map(|time| time.and_utc().timestamp_micros()));
            Arc::new(micros.collect::<TimestampMicrosecondArray>())
        }
        Kind::Date => {
            let epoch = NaiveDate::default();
            let days = |time: NaiveDateTime| i32::try_from((time.date() - epoch).num_days()).ok();
            Arc::new(times.into_iter().map(|time| time.and_then(days)).collect::<Date32Array>())
        }
    })
}

/// Reads a text by a pattern; `None`: it is not of that form, or no time.
fn by_pattern(text: &str, items: &[Item]) -> Option<NaiveDateTime> {
    let (mut year, mut month, mut day, mut ordinal) = (1970, 1, 1, None);
    let (mut hour, mut minute, mut second, mut nanos, mut afternoon) = (0_u32, 0, 0, 0_u32, None);
    let mut rest = text;
    for (at, item) in items.iter().enumerate() {
        let (letter, count) = match item {
            Item::Literal(literal) => {
                rest = rest.strip_prefix(literal.as_str())?;
                continue;
            }
            Item::Field(letter, count) => (*letter, *count),
        };
        match letter {
            'M' | 'L' if count >= 3 => {
                let found = MONTHS.iter().position(|name| {
                    let name = if count == 3 { &name[..3] } else { name };
                    rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                })?;
                rest = &rest[if count == 3 { 3 } else { MONTHS[found].len() }..];
                month = u32::try_from(found + 1).ok()?;
                continue;
            }
            'a' => {
                afternoon = Some(match rest.get(..2)?.to_ascii_uppercase().as_str() {
                    "AM" => false,
                    "PM" => true,
                    _ => return None,
                });
                rest = &rest[2..];
                continue;
            }
            'E' | 'e' => {
                rest = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
                continue;
            }
            _ => {}
        }
        // Beside another number the field has as many digits as letters.
        let is_beside = matches!(items.get(at + 1), Some(Item::Field(next, count)) if is_number(*next, *count));
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let taken = if is_beside || letter == 'S' { count.min(digits) } else { digits };
        if taken == 0 || taken > 9 || (count > 1 && taken < count) {
            return None;
        }
        let (number, after) = rest.split_at(taken);
        rest = after;
        let value: u32 = number.parse().ok()?;
        match letter {
            'y' | 'u' => year = i32::try_from(if count == 2 { 2000 + value } else { value }).ok()?,
            'M' | 'L' => month = value,
            'd' => day = value,
            'D' => ordinal = Some(value),
            'H' => hour = value,
            'k' => hour = value % 24,
            'h' | 'K' => {
                hour = value % 12;
                afternoon = afternoon.or(Some(false));
            }
            'm' => minute = value,
            's' => second = value,
            'S' => nanos = value * 10_u32.pow(9 - u32::try_from(taken).ok()?),
            _ => {}
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let date = match ordinal {
        Some(ordinal) => NaiveDate::from_yo_opt(year, ordinal)?,
        None => NaiveDate::from_ymd_opt(year, month, day)?,
    };
    let time = date.and_time(NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?);
    Some(if afternoon == Some(true) { time + TimeDelta::hours(12) } else { time })
}

fn is_number(letter: char, count: usize) -> bool {
    !(matches!(letter, 'a' | 'E' | 'e') || matches!(letter, 'M' | 'L') && count >= 3)
}

#[cfg(test)]
mod tests;
