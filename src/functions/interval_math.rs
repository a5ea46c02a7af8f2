//! Intervals multiplied and divided by numbers, as PostgreSQL does it: what is left of a month are days, what is left of a day its time.
//! And the pieces of which aggregates of intervals are made: interval_key(interval), bytes that are in the order of lengths and of which
//! interval_of_key gives the interval again; interval_months, interval_days, interval_nanos, and interval_of_parts of the three.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array, IntervalMonthDayNanoArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::intervals::{INTERVAL, length};
use super::{ColumnFunction, no_such_call};
use crate::error::{Error, Result, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(MULTIPLY, "`*` of an interval and a number.", Maker::Plain(multiply)),
    Entry::internal(DIVIDE, "`/` of an interval by a number.", Maker::Plain(divide)),
    Entry::internal(KEY, "Bytes in the order of intervals' lengths.", Maker::Plain(of_length)),
    Entry::internal(OF_KEY, "The interval of such bytes.", Maker::Plain(of_key)),
    Entry::internal(MONTHS, "The months of an interval, for SUM and AVG.", Maker::Plain(months)),
    Entry::internal(DAYS, "The days of an interval, for SUM and AVG.", Maker::Plain(days)),
    Entry::internal(NANOS, "The time of an interval, for SUM and AVG.", Maker::Plain(nanos)),
    Entry::internal(OF_PARTS, "The interval of months, days and time.", Maker::Plain(of_parts)),
];

/// Name of the product with a number.
pub const MULTIPLY: &str = "interval_multiply";
/// Name of the quotient by a number.
pub const DIVIDE: &str = "interval_divide";
/// Name of the bytes in the order of lengths.
pub const KEY: &str = "interval_key";
/// Name of the interval of such bytes.
pub const OF_KEY: &str = "interval_of_key";
/// Name of the months.
pub const MONTHS: &str = "interval_months";
/// Name of the days.
pub const DAYS: &str = "interval_days";
/// Name of the time.
pub const NANOS: &str = "interval_nanos";
/// Name of the interval of months, days and time.
pub const OF_PARTS: &str = "interval_of_parts";

const DAYS_OF_A_MONTH: f64 = 30.0;
const SECONDS_OF_A_DAY: f64 = 86_400.0;
const NANOS_OF_A_MICRO: f64 = 1_000.0;
const MICROS_OF_A_SECOND: f64 = 1_000_000.0;
/// Bytes of the length, before those of the parts.
const LENGTH_BYTES: usize = 16;

fn multiply() -> Arc<ScalarUDF> {
    scaled(MULTIPLY, |arguments, _| of_factors(arguments, times))
}

fn divide() -> Arc<ScalarUDF> {
    scaled(DIVIDE, |arguments, _| of_factors(arguments, divided))
}

fn of_length() -> Arc<ScalarUDF> {
    of_interval(KEY, DataType::Binary, |arguments, _| Ok(keys(&arguments[0])))
}

fn months() -> Arc<ScalarUDF> {
    of_interval(MONTHS, DataType::Int64, |arguments, _| Ok(parts(&arguments[0], |interval| i64::from(interval.months))))
}

fn days() -> Arc<ScalarUDF> {
    of_interval(DAYS, DataType::Int64, |arguments, _| Ok(parts(&arguments[0], |interval| i64::from(interval.days))))
}

fn nanos() -> Arc<ScalarUDF> {
    of_interval(NANOS, DataType::Int64, |arguments, _| Ok(parts(&arguments[0], |interval| interval.nanoseconds)))
}

/// A call of one of these.
///
/// # Errors
/// A name that is none of theirs.
pub fn call(name: &str, arguments: Vec<Expr>) -> DataFusionResult<Expr> {
    match ENTRIES.iter().find(|entry| entry.name == name).map(|entry| entry.maker) {
        Some(Maker::Plain(make)) => Ok(make().call(arguments)),
        _ => Err(Error::internal(format!("there is no function {name}")).into()),
    }
}

fn of_interval(name: &'static str, returns: DataType, body: super::Body) -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [_] => Ok(vec![INTERVAL]),
        _ => Err(no_such_call("interval", arguments, "it with an interval")),
    };
    ColumnFunction::udf(name, Volatility::Immutable, coerce, returns, body)
}

fn scaled(name: &'static str, body: super::Body) -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [_, _] => Ok(vec![INTERVAL, DataType::Float64]),
        _ => Err(no_such_call("interval", arguments, "interval * number")),
    };
    ColumnFunction::udf(name, Volatility::Immutable, coerce, INTERVAL, body)
}

fn of_key() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [_] => Ok(vec![DataType::Binary]),
        _ => Err(no_such_call(OF_KEY, arguments, "it with bytes")),
    };
    ColumnFunction::udf(OF_KEY, Volatility::Immutable, coerce, INTERVAL, |arguments, _| {
        let keys = arguments[0].as_binary::<i32>().iter();
        let intervals = keys.map(|key| key.map(interval_of).transpose());
        Ok(Arc::new(intervals.collect::<Result<IntervalMonthDayNanoArray>>()?))
    })
}

fn of_parts() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [_, _, _] => Ok(vec![DataType::Int64; 3]),
        _ => Err(no_such_call(OF_PARTS, arguments, "it with three numbers")),
    };
    ColumnFunction::udf(OF_PARTS, Volatility::Immutable, coerce, INTERVAL, |arguments, _| {
        let [months, days, nanos] = [0, 1, 2].map(|place: usize| arguments[place].as_primitive::<Int64Type>());
        let interval = |row: usize| {
            if months.is_null(row) || days.is_null(row) || nanos.is_null(row) {
                return Ok(None);
            }
            let narrow = |value: i64| i32::try_from(value).map_err(|_| out_of_range());
            let (months, days) = (narrow(months.value(row))?, narrow(days.value(row))?);
            Ok(Some(IntervalMonthDayNano::new(months, days, nanos.value(row))))
        };
        Ok(Arc::new((0..months.len()).map(interval).collect::<Result<IntervalMonthDayNanoArray>>()?))
    })
}

fn parts(intervals: &ArrayRef, part: impl Fn(IntervalMonthDayNano) -> i64) -> ArrayRef {
    let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>().iter();
    Arc::new(intervals.map(|interval| interval.map(&part)).collect::<Int64Array>())
}

fn keys(intervals: &ArrayRef) -> ArrayRef {
    let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>().iter();
    Arc::new(intervals.map(|interval| interval.map(key)).collect::<BinaryArray>())
}

/// The length and then the parts, each so that bytes are in its order.
fn key(interval: IntervalMonthDayNano) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 * LENGTH_BYTES);
    bytes.extend((length(interval) ^ i128::MIN).to_be_bytes());
    bytes.extend((interval.months ^ i32::MIN).to_be_bytes());
    bytes.extend((interval.days ^ i32::MIN).to_be_bytes());
    bytes.extend((interval.nanoseconds ^ i64::MIN).to_be_bytes());
    bytes
}

fn interval_of(key: &[u8]) -> Result<IntervalMonthDayNano> {
    let read = || {
        let parts: [u8; 16] = key.get(LENGTH_BYTES..)?.try_into().ok()?;
        let parts = u128::from_be_bytes(parts);
        let (months, days) = ((parts >> 96) as u32 as i32, (parts >> 64) as u32 as i32);
        let nanos = parts as u64 as i64;
        Some(IntervalMonthDayNano::new(months ^ i32::MIN, days ^ i32::MIN, nanos ^ i64::MIN))
    };
    read().ok_or_else(|| Error::internal("bytes that are no interval's"))
}

fn of_factors(
    arguments: &[ArrayRef],
    operator: impl Fn(IntervalMonthDayNano, f64) -> Result<IntervalMonthDayNano>,
) -> DataFusionResult<ArrayRef> {
    let intervals = arguments[0].as_primitive::<IntervalMonthDayNanoType>().iter();
    let factors = arguments[1].as_primitive::<Float64Type>().iter();
    let results = intervals.zip(factors).map(|(interval, factor)| match (interval, factor) {
        (Some(interval), Some(factor)) => operator(interval, factor).map(Some),
        _ => Ok(None),
    });
    Ok(Arc::new(results.collect::<Result<IntervalMonthDayNanoArray>>()?))
}

fn times(interval: IntervalMonthDayNano, factor: f64) -> Result<IntervalMonthDayNano> {
    by(interval, |value| value * factor)
}

fn divided(interval: IntervalMonthDayNano, divisor: f64) -> Result<IntervalMonthDayNano> {
    if divisor == 0.0 {
        return Err(Error::row("division by zero").code(SqlState::DivisionByZero));
    }
    by(interval, |value| value / divisor)
}

/// Each part by that number; what is left of months and days goes further down.
fn by(interval: IntervalMonthDayNano, scale: impl Fn(f64) -> f64) -> Result<IntervalMonthDayNano> {
    let months = scale(f64::from(interval.months));
    let days = scale(f64::from(interval.days));
    let left_of_months = to_micros((months - months.trunc()) * DAYS_OF_A_MONTH);
    let left_of_days = days - days.trunc() + left_of_months - left_of_months.trunc();
    let mut seconds = to_micros(left_of_days * SECONDS_OF_A_DAY);
    let mut whole_days = days.trunc() + left_of_months.trunc();
    if seconds.abs() >= SECONDS_OF_A_DAY {
        whole_days += (seconds / SECONDS_OF_A_DAY).trunc();
        seconds %= SECONDS_OF_A_DAY;
    }
    let micros = scale(interval.nanoseconds as f64 / NANOS_OF_A_MICRO) + seconds * MICROS_OF_A_SECOND;
    let narrow = |value: f64| {
        let fits = value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX);
        fits.then_some(value as i32).ok_or_else(out_of_range)
    };
    let nanos = micros.round_ties_even() * NANOS_OF_A_MICRO;
    // The bounds of i64 as doubles.
    if !(-9.2e18..=9.2e18).contains(&nanos) {
        return Err(out_of_range());
    }
    Ok(IntervalMonthDayNano::new(narrow(months.trunc())?, narrow(whole_days)?, nanos as i64))
}

/// Rounded to six digits behind the point: what is left is seldom exact.
fn to_micros(value: f64) -> f64 {
    (value * MICROS_OF_A_SECOND).round_ties_even() / MICROS_OF_A_SECOND
}

fn out_of_range() -> Error {
    Error::row("interval out of range").code(SqlState::DatetimeFieldOverflow)
}

#[cfg(test)]
mod tests;
