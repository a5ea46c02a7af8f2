//! Text read as a date, a time or a timestamp, as PostgreSQL reads it: `2024-01-01 10:00`, `2024-01-01T10:00:00.1234567+02`, `10:00`,
//! `20240101`. A TIMESTAMP passes over a zone in its text, a TIMESTAMP_LTZ heeds it, and takes the session's where there is none.
//! datetime_input(text, type, zone) is the cast; local_instant(timestamp, zone) brings a TIMESTAMP to a TIMESTAMP_LTZ.

use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeZone};
use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimeUnit};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use super::no_such_call;
use super::timestamp_precision::per_second;
use crate::data_type::{parse as parse_type, to_flink};
use crate::error::{Error, Result, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(NAME, "CAST of a text to a date, a time or a timestamp.", Maker::Plain(|| datetime_input(false))),
    Entry::internal(TRY, "TRY_CAST of a text to a date, a time or a timestamp.", Maker::Plain(|| datetime_input(true))),
    Entry::internal(LOCAL, "A TIMESTAMP as a TIMESTAMP_LTZ.", Maker::Plain(local_instant)),
];

/// Name of the cast of text.
pub const NAME: &str = "datetime_input";
/// Name of the cast that gives NULL for what cannot be read.
pub const TRY: &str = "try_datetime_input";
/// Name of the cast of a TIMESTAMP to a TIMESTAMP_LTZ.
pub const LOCAL: &str = "local_instant";

const NANOS_OF_A_SECOND: i128 = 1_000_000_000;
const NANOS_OF_A_DAY: i128 = 86_400 * NANOS_OF_A_SECOND;
/// 1970-01-01 counted from the first day of the first year.
const EPOCH_DAY: i32 = 719_163;
/// The last year that the calendar of results has.
const YEAR_MAX: i64 = 262_142;

/// `datetime_input(text, type, zone)`, the type as Flink writes it, or `try_datetime_input(…)`.
pub fn datetime_input(is_try: bool) -> Arc<ScalarUDF> {
    udf(if is_try { Kind::Try } else { Kind::Cast })
}

/// `local_instant(timestamp, zone)`.
pub fn local_instant() -> Arc<ScalarUDF> {
    udf(Kind::Local)
}

fn udf(kind: Kind) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Input { kind, signature: Signature::user_defined(Volatility::Immutable) }))
}

/// Whether text of that type is read here.
pub fn is_ours(to: &DataType) -> bool {
    matches!(to, DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..))
}

/// A call that reads text; of a text that is written, its value.
///
/// # Errors
/// A text that is written and is none (22007), or none that the type holds (22008).
pub fn call(text: Expr, to: &DataType, zone: &str, is_try: bool) -> DataFusionResult<Expr> {
    if let (Expr::Literal(value, _), false) = (&text, is_try)
        && let Some(text) = value.try_as_str()
    {
        let values = read(std::iter::once(text), to, zone);
        let values = values.map_err(|error| Error::from(error).of_every_row())?;
        return Ok(lit(ScalarValue::try_from_array(&values, 0)?));
    }
    Ok(datetime_input(is_try).call(vec![text, lit(to_flink(to)), lit(zone)]))
}

/// A call that brings a TIMESTAMP to a TIMESTAMP_LTZ.
pub fn call_local(timestamp: Expr, zone: &str) -> Expr {
    local_instant().call(vec![timestamp, lit(zone)])
}

/// Texts in that type.
///
/// # Errors
/// Text that is none (22007), or none that the type holds (22008).
pub fn read<'a>(texts: impl Iterator<Item = Option<&'a str>>, to: &DataType, zone: &str) -> DataFusionResult<ArrayRef> {
    let zone = zone_of(zone);
    let values = texts.map(|text| text.map(|text| value(text, to, zone)).transpose());
    of_values(values.collect::<Result<Int64Array>>()?, to)
}

/// A text as a TIMESTAMP.
///
/// # Errors
/// Text that is none (22007, 22008).
pub fn timestamp(text: &str) -> Result<NaiveDateTime> {
    let micros = value(text, &DataType::Timestamp(TimeUnit::Microsecond, None), chrono_tz::UTC)?;
    let out_of_range = || Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow);
    Ok(DateTime::from_timestamp_micros(micros).ok_or_else(out_of_range)?.naive_utc())
}

/// A text as a TIMESTAMP(6), if it is one.
pub fn micros(text: &str) -> Option<i64> {
    value(text, &DataType::Timestamp(TimeUnit::Microsecond, None), chrono_tz::UTC).ok()
}

fn of_values(values: Int64Array, to: &DataType) -> DataFusionResult<ArrayRef> {
    let values: ArrayRef = match to {
        DataType::Date32 | DataType::Time32(_) => cast(&values, &DataType::Int32)?,
        _ => Arc::new(values),
    };
    Ok(cast(&values, to)?)
}

/// The zone of that name; UTC for what is none.
pub(super) fn zone_of(name: &str) -> chrono_tz::Tz {
    name.parse().unwrap_or(chrono_tz::UTC)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Cast,
    Try,
    Local,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Input {
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for Input {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Cast => NAME,
            Kind::Try => TRY,
            Kind::Local => LOCAL,
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        match (self.kind, arguments) {
            (Kind::Cast | Kind::Try, [_, _, _]) => Ok(vec![DataType::Utf8; 3]),
            (Kind::Local, [from @ DataType::Timestamp(_, None), _]) => Ok(vec![from.clone(), DataType::Utf8]),
            _ => Err(no_such_call(self.name(), arguments, "CAST(text AS TIMESTAMP)")),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> DataFusionResult<DataType> {
        match arguments {
            [DataType::Timestamp(unit, _), _] => Ok(DataType::Timestamp(*unit, Some("UTC".into()))),
            _ => Err(no_such_call(self.name(), arguments, "CAST(text AS TIMESTAMP)")),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        let of_fields = || args.arg_fields.iter().map(|field| field.data_type().clone()).collect::<Vec<_>>();
        let data_type = match (self.kind, args.scalar_arguments.get(1)) {
            (Kind::Cast | Kind::Try, Some(Some(to))) => parse_type(to.try_as_str().flatten().unwrap_or_default())?,
            _ => self.return_type(&of_fields())?,
        };
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let to = args.return_type().clone();
        let zone = match args.args.last() {
            Some(ColumnarValue::Scalar(zone)) => zone.try_as_str().flatten().unwrap_or("UTC").to_owned(),
            _ => return Err(Error::internal("a time zone that is no constant").into()),
        };
        let (given, is_scalar) = match args.args.into_iter().next() {
            Some(ColumnarValue::Array(given)) => (given, false),
            Some(ColumnarValue::Scalar(given)) => (given.to_array()?, true),
            None => return Err(Error::internal("a cast without an argument").into()),
        };
        let result = match self.kind {
            Kind::Cast => read(given.as_string::<i32>().iter(), &to, &zone)?,
            Kind::Try => {
                let zone = zone_of(&zone);
                let texts = given.as_string::<i32>().iter();
                of_values(texts.map(|text| value(text?, &to, zone).ok()).collect(), &to)?
            }
            Kind::Local => to_instants(&given, &to, &zone)?,
        };
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

fn to_instants(given: &ArrayRef, to: &DataType, zone: &str) -> DataFusionResult<ArrayRef> {
    let (DataType::Timestamp(unit, _), zone) = (to, zone_of(zone)) else {
        return Err(Error::internal("a cast of what is no timestamp").into());
    };
    let scale = per_second(*unit);
    let numbers = cast(given, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>().iter();
    let instants = numbers.map(|number| {
        let Some(number) = number else { return Ok(None) };
        let seconds = instant(number.div_euclid(scale), zone).and_then(|seconds| seconds.checked_mul(scale));
        let instant = seconds.and_then(|seconds| seconds.checked_add(number.rem_euclid(scale)));
        instant.map(Some).ok_or_else(|| Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow))
    });
    of_values(instants.collect::<Result<Int64Array>>()?, to)
}

/// The seconds since 1970 at a local time, given so, too. A time that clocks pass over is taken by the offset before, of one that
/// they show twice it is the second, both as in PostgreSQL.
pub(super) fn instant(local: i64, zone: chrono_tz::Tz) -> Option<i64> {
    use chrono::{LocalResult, Offset, TimeDelta};
    let time = DateTime::from_timestamp_secs(local)?.naive_utc();
    match zone.from_local_datetime(&time) {
        LocalResult::Single(found) => Some(found.timestamp()),
        LocalResult::Ambiguous(first, second) => Some(first.timestamp().max(second.timestamp())),
        LocalResult::None => {
            let before = zone.offset_from_utc_datetime(&time.checked_sub_signed(TimeDelta::days(1))?);
            Some(local - i64::from(before.fix().local_minus_utc()))
        }
    }
}

/// A text in units of its type.
fn value(text: &str, to: &DataType, zone: chrono_tz::Tz) -> Result<i64> {
    let (word, needs_date) = match to {
        DataType::Date32 => ("date", true),
        DataType::Timestamp(_, None) => ("timestamp", true),
        DataType::Timestamp(..) => ("timestamp with time zone", true),
        _ => ("time", false),
    };
    let invalid = || {
        let error = Error::row(format!("invalid input syntax for type {word}: \"{text}\""))
            .code(SqlState::InvalidDatetimeFormat);
        match text.trim().to_ascii_lowercase().as_str() {
            "now" | "today" | "tomorrow" | "yesterday" => error.hint("Write CURRENT_DATE or CURRENT_TIMESTAMP."),
            "infinity" | "-infinity" => error.hint("There is no infinite time: write 9999-12-31."),
            _ => error,
        }
    };
    let out_of_range =
        || Error::row(format!("date/time field value out of range: \"{text}\"")).code(SqlState::DatetimeFieldOverflow);
    let read = parse(text).ok_or_else(invalid)?;
    if needs_date && read.date.is_none() || !needs_date && read.time.is_none() {
        return Err(invalid());
    }
    let fits = || {
        let (day, nanos) = (read.day()?, read.nanos()?);
        let nanos = match to {
            DataType::Date32 => return Some(day),
            DataType::Timestamp(..) => i128::from(day) * NANOS_OF_A_DAY + nanos,
            _ => nanos,
        };
        let unit = match to {
            DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => *unit,
            _ => TimeUnit::Microsecond,
        };
        let per_unit = NANOS_OF_A_SECOND / i128::from(per_second(unit));
        let units = rounded(nanos + i128::from(per_unit == 1 && read.rounds_up), per_unit);
        match to {
            DataType::Timestamp(_, Some(_)) => {
                let per_second = i128::from(per_second(unit));
                let local = i64::try_from(units.div_euclid(per_second)).ok()?;
                let seconds = match read.zone {
                    Some(Zone::Offset(offset)) => local - offset,
                    Some(Zone::Named(zone)) => instant(local, zone)?,
                    None => instant(local, zone)?,
                };
                i64::try_from(i128::from(seconds) * per_second + units.rem_euclid(per_second)).ok()
            }
            DataType::Timestamp(..) => i64::try_from(units).ok(),
            // The last half of a unit before midnight is midnight.
            _ => (nanos < NANOS_OF_A_DAY).then_some(i64::try_from(units % (NANOS_OF_A_DAY / per_unit)).ok()?),
        }
    };
    fits().ok_or_else(out_of_range)
}

fn rounded(nanos: i128, unit: i128) -> i128 {
    (nanos + unit / 2).div_euclid(unit)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Zone {
    /// Seconds east of UTC.
    Offset(i64),
    Named(chrono_tz::Tz),
}

/// What a text says, whether or not there is such a day and such a time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Read {
    date: Option<(i64, u32, u32)>,
    /// Hour, minute, second.
    time: Option<(u32, u32, u32)>,
    fraction: i128,
    /// Whether the tenth digit of the fraction is 5 or more.
    rounds_up: bool,
    zone: Option<Zone>,
}

impl Read {
    /// Days since 1970.
    fn day(&self) -> Option<i64> {
        let Some((year, month, day)) = self.date else { return Some(0) };
        if !(1..=YEAR_MAX).contains(&year) {
            return None;
        }
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        Some(i64::from(date.num_days_from_ce() - EPOCH_DAY))
    }

    /// Of the day.
    fn nanos(&self) -> Option<i128> {
        let Some((hour, minute, second)) = self.time else { return Some(0) };
        // The end of a day is the beginning of the next one, as is the second that is put in.
        let is_end = (hour, minute, second) == (24, 0, 0) && self.fraction == 0;
        if !(hour < 24 || is_end) || minute > 59 || second > 60 {
            return None;
        }
        let seconds = i128::from(hour) * 3_600 + i128::from(minute) * 60 + i128::from(second);
        Some(seconds * NANOS_OF_A_SECOND + self.fraction)
    }
}

/// The parts of a text; `None`: it is neither a date nor a time.
fn parse(text: &str) -> Option<Read> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("epoch") {
        return Some(Read { date: Some((1970, 1, 1)), time: None, fraction: 0, rounds_up: false, zone: None });
    }
    let (date, rest) = match date(text) {
        Some((date, rest)) => (Some(date), rest),
        None => (None, text),
    };
    let mut read = Read { date, time: None, fraction: 0, rounds_up: false, zone: None };
    let rest = match date {
        None => rest,
        Some(_) if rest.is_empty() => return Some(read),
        Some(_) => {
            rest.strip_prefix(['T', 't']).or_else(|| Some(rest.trim_start()).filter(|r| r.len() < rest.len()))?
        }
    };
    let (hour, rest) = digits(rest, 2)?;
    let (minute, mut rest) = two_digits(rest.strip_prefix(':')?)?;
    let mut second = 0;
    if let Some(after) = rest.strip_prefix(':') {
        (second, rest) = two_digits(after)?;
        if let Some(after) = rest.strip_prefix('.') {
            let count = after.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, after) = after.split_at(count);
            (read.fraction, read.rounds_up) = fraction(digits)?;
            rest = after;
        }
    }
    let mut hour = hour;
    let behind = rest.trim_start();
    let half = behind.get(..2).map(str::to_ascii_uppercase);
    if let Some(half @ ("AM" | "PM")) = half.as_deref() {
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12 + if half == "PM" { 12 } else { 0 };
        rest = &behind[2..];
    }
    read.time = Some((hour, minute, second));
    read.zone = zone(rest.trim_start())?;
    Some(read)
}

/// `2024-01-31`, `2024/1/31` or `20240131`, and what follows it.
fn date(text: &str) -> Option<((i64, u32, u32), &str)> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (year, rest) = text.split_at(count);
    if count == 8 && !rest.starts_with(['-', '/', ':']) {
        let number: u32 = year.parse().ok()?;
        return Some(((i64::from(number / 10_000), number / 100 % 100, number % 100), rest));
    }
    let sign = rest.chars().next().filter(|sign| ['-', '/'].contains(sign))?;
    if !(4..=7).contains(&count) {
        return None;
    }
    let (month, rest) = digits(&rest[1..], 2)?;
    let (day, rest) = digits(rest.strip_prefix(sign)?, 2)?;
    Some(((year.parse().ok()?, month, day), rest))
}

/// A number of at most so many digits, and what follows it.
fn digits(text: &str, most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(count);
    ((1..=most).contains(&count)).then_some((number.parse().ok()?, rest))
}

fn two_digits(text: &str) -> Option<(u32, &str)> {
    let found = digits(text, 2)?;
    (text.len() - found.1.len() == 2).then_some(found)
}

/// Digits behind the point in whole nanoseconds, and whether half of one or more follows.
fn fraction(digits: &str) -> Option<(i128, bool)> {
    let kept = digits.get(..9).unwrap_or(digits);
    if kept.is_empty() {
        return Some((0, false));
    }
    let scale = u32::try_from(9 - kept.len()).ok()?;
    let nanos = kept.parse::<i128>().ok()? * 10_i128.pow(scale);
    Some((nanos, digits.as_bytes().get(9).is_some_and(|digit| *digit >= b'5')))
}

/// A zone at the end of a text; inside `None`: there is none.
fn zone(text: &str) -> Option<Option<Zone>> {
    let text = text.trim_end();
    if text.is_empty() {
        return Some(None);
    }
    if ["z", "utc", "gmt"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Some(Some(Zone::Offset(0)));
    }
    if let Some(rest) = text.strip_prefix(['+', '-']) {
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let (hours, minutes, seconds) = match rest.split(':').collect::<Vec<_>>()[..] {
            [hours] if hours.len() == 4 => (hours.get(..2)?, hours.get(2..)?, "0"),
            [hours] => (hours, "0", "0"),
            [hours, minutes] => (hours, minutes, "0"),
            [hours, minutes, seconds] => (hours, minutes, seconds),
            _ => return None,
        };
        let number =
            |text: &str| digits(text, 2).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| i64::from(number));
        let (hours, minutes, seconds) = (number(hours)?, number(minutes)?, number(seconds)?);
        if hours > 15 || minutes > 59 || seconds > 59 {
            return None;
        }
        return Some(Some(Zone::Offset(sign * (hours * 3_600 + minutes * 60 + seconds))));
    }
    text.parse().ok().map(|zone| Some(Zone::Named(zone)))
}

#[cfg(test)]
mod tests;
