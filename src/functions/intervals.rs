//! Differences of timestamps as PostgreSQL's intervals, timestamp_minus(a, b): days of 24 hours and what is left. And the length by which
//! intervals compare, interval_length(interval): a month has 30 days, a day 24 hours, so that 1 day = 24 hours. An interval that is written
//! in days or more outside the quotes, INTERVAL '1' DAY, is calendar_interval(interval) until it is planned: it leaves a DATE a DATE, as
//! in Flink, where one that is written INTERVAL '1 day' makes a TIMESTAMP of it, as in PostgreSQL.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, IntervalMonthDayNanoArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, no_such_call};
use crate::error::{Error, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(MINUS, "`-` of timestamps.", Maker::Plain(timestamp_minus)),
    Entry::internal(LENGTH, "What intervals are compared by.", Maker::Plain(interval_length)),
    Entry::internal(TEXT, "CAST of an interval to a text.", Maker::Plain(interval_text)),
    Entry::internal(CALENDAR, "An interval that is written in days or more.", Maker::Plain(calendar)),
];

/// Name of the difference.
pub const MINUS: &str = "timestamp_minus";
/// Name of the length.
pub const LENGTH: &str = "interval_length";

/// Name of the text.
pub const TEXT: &str = "interval_text";
/// Name of an interval of days or more.
pub const CALENDAR: &str = "calendar_interval";

const NANOS_OF_A_DAY: i128 = 86_400_000_000_000;
const DAYS_OF_A_MONTH: i128 = 30;
/// Digits of the length of the longest interval.
const LENGTH_DIGITS: u8 = 38;

/// The type of every interval.
pub const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// `timestamp_minus(a, b)`
pub fn timestamp_minus() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| {
        let no_such = || no_such_call(MINUS, arguments, "a - b");
        let [left, right] = arguments else { return Err(no_such()) };
        let zone = [left, right].into_iter().find_map(|side| match side {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        });
        // A side of the other kind is brought to the zone; units are told apart when it is computed.
        let fit = |side: &DataType| match side {
            DataType::Timestamp(unit, _) => Ok(DataType::Timestamp(*unit, zone.clone())),
            DataType::Date32 | DataType::Null => Ok(DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
            _ => Err(no_such()),
        };
        Ok(vec![fit(left)?, fit(right)?])
    };
    ColumnFunction::udf(MINUS, Volatility::Immutable, coerce, INTERVAL, |arguments, _| {
        let (left, right) = (nanos(&arguments[0])?, nanos(&arguments[1])?);
        let difference = |(left, right): (Option<i128>, Option<i128>)| match (left, right) {
            (Some(left), Some(right)) => {
                let nanos = left - right;
                let days = i32::try_from(nanos / NANOS_OF_A_DAY)
                    .map_err(|_| Error::row("interval out of range").code(SqlState::DatetimeFieldOverflow))?;
                let rest = i64::try_from(nanos % NANOS_OF_A_DAY).unwrap_or_default();
                Ok(Some(IntervalMonthDayNano::new(0, days, rest)))
            }
            _ => Ok(None),
        };
        let intervals = left.into_iter().zip(right).map(difference).collect::<Result<Vec<_>, Error>>()?;
        Ok(Arc::new(IntervalMonthDayNanoArray::from(intervals)))
    })
}

/// `interval_length(interval)`, in nanoseconds.
pub fn interval_length() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [_] => Ok(vec![INTERVAL]),
        _ => Err(no_such_call(LENGTH, arguments, "it with an interval")),
    };
    let returns = DataType::Decimal128(LENGTH_DIGITS, 0);
    ColumnFunction::udf(LENGTH, Volatility::Immutable, coerce, returns, |arguments, _| {
        let intervals = arguments[0].as_primitive::<IntervalMonthDayNanoType>();
        let lengths: Decimal128Array = intervals.iter().map(|interval| interval.map(length)).collect();
        Ok(Arc::new(lengths.with_precision_and_scale(LENGTH_DIGITS, 0)?))
    })
}

/// `interval_text(interval)`, as results show it.
pub fn interval_text() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [_] => Ok(vec![INTERVAL]),
        _ => Err(no_such_call(TEXT, arguments, "CAST(interval AS STRING)")),
    };
    ColumnFunction::udf(TEXT, Volatility::Immutable, coerce, DataType::Utf8, |arguments, _| {
        let intervals = arguments[0].as_primitive::<IntervalMonthDayNanoType>();
        let text = |interval: IntervalMonthDayNano| {
            let mut text = String::new();
            let _ = write_text(&mut text, interval.months, interval.days, interval.nanoseconds / 1000);
            text
        };
        Ok(Arc::new(intervals.iter().map(|interval| interval.map(text)).collect::<StringArray>()))
    })
}

/// Prints an interval as PostgreSQL does: `1 year 2 mons 3 days 04:05:06.7`.
///
/// # Errors
/// What `out` gives.
pub fn write_text(out: &mut impl fmt::Write, months: i32, days: i32, microseconds: i64) -> fmt::Result {
    let mut is_first = true;
    let mut negative_before = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value != 0 {
            let blank = if is_first { "" } else { " " };
            let plus = if negative_before && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            write!(out, "{blank}{plus}{value} {unit}{plural}")?;
            negative_before = value < 0;
            is_first = false;
        }
    }
    if microseconds == 0 && !is_first {
        return Ok(());
    }
    let blank = if is_first { "" } else { " " };
    let sign = match (microseconds < 0, negative_before) {
        (true, _) => "-",
        (false, true) => "+",
        (false, false) => "",
    };
    let absolute = microseconds.unsigned_abs();
    let seconds = absolute / 1_000_000;
    write!(out, "{blank}{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    let fraction = format!("{:06}", absolute % 1_000_000);
    match fraction.trim_end_matches('0') {
        "" => Ok(()),
        digits => write!(out, ".{digits}"),
    }
}

/// `calendar_interval(interval)`, the interval itself.
pub fn calendar() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [_] => Ok(vec![INTERVAL]),
        _ => Err(no_such_call(CALENDAR, arguments, "it with an interval")),
    };
    ColumnFunction::udf(CALENDAR, Volatility::Immutable, coerce, INTERVAL, |arguments, _| Ok(arguments[0].clone()))
}

/// The interval that is written in days or more, if it is one.
pub fn of_calendar(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == CALENDAR => call.args.first(),
        _ => None,
    }
}

/// An expression by which an interval is compared.
pub fn by_length(interval: Expr) -> Expr {
    interval_length().call(vec![interval])
}

/// Whether a type is one of intervals.
pub fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}

/// The length of an interval in nanoseconds.
pub fn length(interval: IntervalMonthDayNano) -> i128 {
    let days = i128::from(interval.months) * DAYS_OF_A_MONTH + i128::from(interval.days);
    days * NANOS_OF_A_DAY + i128::from(interval.nanoseconds)
}

fn nanos(times: &ArrayRef) -> Result<Vec<Option<i128>>> {
    let DataType::Timestamp(unit, _) = times.data_type() else {
        return nanos(&cast(times, &DataType::Timestamp(TimeUnit::Microsecond, None))?);
    };
    let scaled = |value: Option<i64>, ratio: i128| value.map(|value| i128::from(value) * ratio);
    Ok(match unit {
        TimeUnit::Second => {
            times.as_primitive::<TimestampSecondType>().iter().map(|value| scaled(value, 1_000_000_000)).collect()
        }
        TimeUnit::Millisecond => {
            times.as_primitive::<TimestampMillisecondType>().iter().map(|value| scaled(value, 1_000_000)).collect()
        }
        TimeUnit::Microsecond => {
            times.as_primitive::<TimestampMicrosecondType>().iter().map(|value| scaled(value, 1_000)).collect()
        }
        TimeUnit::Nanosecond => {
            times.as_primitive::<TimestampNanosecondType>().iter().map(|value| scaled(value, 1)).collect()
        }
    })
}
