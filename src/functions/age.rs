//! age(later, earlier) as in PostgreSQL: the difference in years, months, days and time of day. justify_hours, justify_days and
//! justify_interval carry 24 hours to a day, 30 days to a month.

use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, IntervalMonthDayNanoArray};
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::intervals::{INTERVAL, is_interval};
use super::time::local_time;
use super::{ColumnFunction, no_such_call};
use crate::error::{Error, Result, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::public(
        "age",
        &["timestamp, timestamp → interval", "timestamptz, timestamptz → interval"],
        "How much later the first is than the second, in years, months, days and a time of day.",
        Maker::Plain(|| ColumnFunction::udf("age", Volatility::Stable, coerce_age, INTERVAL, evaluate_age)),
    )
    .stable()
    .example("age(TIMESTAMP '2001-04-10 00:00:00', TIMESTAMP '1957-06-13 00:00:00')", "43 years 9 mons 27 days"),
    Entry::public(
        "justify_hours",
        &["interval → interval"],
        "An interval with 24 hours as a day.",
        Maker::Plain(|| justify("justify_hours", |arguments, _| carried(arguments, hours_to_days))),
    )
    .example("justify_hours(INTERVAL '27 hours')", "1 day 03:00:00"),
    Entry::public(
        "justify_days",
        &["interval → interval"],
        "An interval with 30 days as a month.",
        Maker::Plain(|| justify("justify_days", |arguments, _| carried(arguments, days_to_months))),
    )
    .example("justify_days(INTERVAL '35 days')", "1 mon 5 days"),
    Entry::public(
        "justify_interval",
        &["interval → interval"],
        "An interval with 24 hours as a day, 30 days as a month, and one sign for all.",
        Maker::Plain(|| justify("justify_interval", |arguments, _| carried(arguments, with_one_sign))),
    )
    .example("justify_interval(INTERVAL '1 mon -1 hour')", "29 days 23:00:00"),
];

const DAY_NANOS: i64 = 86_400_000_000_000;
const MONTH_DAYS: i64 = 30;

fn coerce_age(arguments: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    let [left, right] = arguments else {
        return Err(no_such_call("age", arguments, "age(later, earlier), or age(current_date, earlier)"));
    };
    let is_zoned = |side: &DataType| matches!(side, DataType::Timestamp(_, Some(_)));
    let fits = |side: &DataType| {
        matches!(side, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null)
            || side.is_string()
    };
    if !fits(left) || !fits(right) {
        return Err(no_such_call("age", arguments, "age(later, earlier)"));
    }
    let zone = (is_zoned(left) || is_zoned(right)).then(|| "UTC".into());
    Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, zone); 2])
}

fn evaluate_age(arguments: &[ArrayRef], zone: &str) -> DataFusionResult<ArrayRef> {
    let is_zoned = matches!(arguments[0].data_type(), DataType::Timestamp(_, Some(_)));
    let at = |argument: &ArrayRef, row: usize| -> Result<Option<NaiveDateTime>> {
        let micros = argument.as_primitive::<TimestampMicrosecondType>();
        if micros.is_null(row) {
            return Ok(None);
        }
        let out_of_range = || Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow);
        let utc = DateTime::from_timestamp_micros(micros.value(row)).ok_or_else(out_of_range)?;
        let local = if is_zoned { local_time(utc.timestamp_millis(), zone) } else { utc.naive_utc() };
        Ok(Some(local.with_nanosecond(utc.nanosecond()).unwrap_or(local)))
    };
    let ages = (0..arguments[0].len()).map(|row| match (at(&arguments[0], row)?, at(&arguments[1], row)?) {
        (Some(later), Some(earlier)) if later >= earlier => Ok(Some(age(later, earlier, false))),
        (Some(later), Some(earlier)) => Ok(Some(age(earlier, later, true))),
        _ => Ok(None),
    });
    Ok(Arc::new(ages.collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// Field by field; a month that is borrowed has the days of the earlier time's month, the later one's if the order was turned.
fn age(later: NaiveDateTime, earlier: NaiveDateTime, is_turned: bool) -> IntervalMonthDayNano {
    let of_day = |time: NaiveDateTime| time.time().signed_duration_since(chrono::NaiveTime::MIN);
    let mut nanos = (of_day(later) - of_day(earlier)).num_nanoseconds().unwrap_or_default();
    let mut days = i64::from(later.day()) - i64::from(earlier.day());
    let mut months = i64::from(later.month()) - i64::from(earlier.month());
    let mut years = i64::from(later.year()) - i64::from(earlier.year());
    if nanos < 0 {
        nanos += DAY_NANOS;
        days -= 1;
    }
    if days < 0 {
        days += days_of_month(if is_turned { later } else { earlier });
        months -= 1;
    }
    if months < 0 {
        months += 12;
        years -= 1;
    }
    let sign = if is_turned { -1 } else { 1 };
    let small = |number: i64| i32::try_from(number * sign).unwrap_or_default();
    IntervalMonthDayNano::new(small(years * 12 + months), small(days), nanos * sign)
}

fn days_of_month(time: NaiveDateTime) -> i64 {
    let first = NaiveDate::from_ymd_opt(time.year(), time.month(), 1);
    let next = first.and_then(|first| first.checked_add_months(chrono::Months::new(1)));
    first.zip(next).map_or(MONTH_DAYS, |(first, next)| (next - first).num_days())
}

/// Months, days and nanoseconds.
type Parts = (i64, i64, i64);

fn hours_to_days(months: i64, days: i64, nanos: i64) -> Parts {
    let (days, nanos) = (days + nanos / DAY_NANOS, nanos % DAY_NANOS);
    match (days > 0 && nanos < 0, days < 0 && nanos > 0) {
        (true, _) => (months, days - 1, nanos + DAY_NANOS),
        (_, true) => (months, days + 1, nanos - DAY_NANOS),
        _ => (months, days, nanos),
    }
}

fn days_to_months(months: i64, days: i64, nanos: i64) -> Parts {
    let (months, days) = (months + days / MONTH_DAYS, days % MONTH_DAYS);
    match (months > 0 && days < 0, months < 0 && days > 0) {
        (true, _) => (months - 1, days + MONTH_DAYS, nanos),
        (_, true) => (months + 1, days - MONTH_DAYS, nanos),
        _ => (months, days, nanos),
    }
}

fn with_one_sign(months: i64, days: i64, nanos: i64) -> Parts {
    let (days, nanos) = (days + nanos / DAY_NANOS, nanos % DAY_NANOS);
    let (mut months, mut days, mut nanos) = (months + days / MONTH_DAYS, days % MONTH_DAYS, nanos);
    if months > 0 && (days < 0 || (days == 0 && nanos < 0)) {
        (months, days) = (months - 1, days + MONTH_DAYS);
    } else if months < 0 && (days > 0 || (days == 0 && nanos > 0)) {
        (months, days) = (months + 1, days - MONTH_DAYS);
    }
    if days > 0 && nanos < 0 {
        (days, nanos) = (days - 1, nanos + DAY_NANOS);
    } else if days < 0 && nanos > 0 {
        (days, nanos) = (days + 1, nanos - DAY_NANOS);
    }
    (months, days, nanos)
}

fn justify(name: &'static str, body: super::Body) -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [argument] if is_interval(argument) || argument.is_null() => Ok(vec![INTERVAL]),
        _ => Err(no_such_call("justify_interval", arguments, "justify_interval(interval)")),
    };
    ColumnFunction::udf(name, Volatility::Immutable, coerce, INTERVAL, body)
}

fn carried(arguments: &[ArrayRef], carry: fn(i64, i64, i64) -> Parts) -> DataFusionResult<ArrayRef> {
    let intervals = arguments[0].as_primitive::<IntervalMonthDayNanoType>().iter();
    let carried = intervals.map(|interval| {
        let Some(interval) = interval else { return Ok(None) };
        let (months, days, nanos) = carry(interval.months.into(), interval.days.into(), interval.nanoseconds);
        let out_of_range = |_| Error::row("interval out of range").code(SqlState::DatetimeFieldOverflow);
        let (months, days) = (i32::try_from(months).map_err(out_of_range)?, i32::try_from(days).map_err(out_of_range)?);
        Ok(Some(IntervalMonthDayNano::new(months, days, nanos)))
    });
    Ok(Arc::new(carried.collect::<Result<IntervalMonthDayNanoArray>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn ages_are_as_in_postgresql() {
        let interval = IntervalMonthDayNano::new;
        for (later, earlier, expected) in [
            ("2001-04-10T00:00:00", "1957-06-13T00:00:00", interval(43 * 12 + 9, 27, 0)),
            ("2024-03-01T00:00:00", "2024-01-31T00:00:00", interval(1, 1, 0)),
            ("2024-03-01T00:00:00", "2024-02-29T12:00:00", interval(0, 0, DAY_NANOS / 2)),
            ("2024-01-01T00:00:00", "2024-01-01T00:00:00", interval(0, 0, 0)),
        ] {
            assert_eq!(age(at(later), at(earlier), false), expected, "{later} {earlier}");
        }
        assert_eq!(age(at("2024-03-01T00:00:00"), at("2024-01-31T00:00:00"), true), interval(-1, -1, 0));
    }

    #[test]
    fn parts_are_carried_as_in_postgresql() {
        assert_eq!(with_one_sign(1, 0, -DAY_NANOS / 24), (0, 29, DAY_NANOS / 24 * 23));
        assert_eq!(hours_to_days(0, 1, -DAY_NANOS / 24), (0, 0, DAY_NANOS / 24 * 23));
        assert_eq!(days_to_months(1, -5, 0), (0, 25, 0));
    }
}
