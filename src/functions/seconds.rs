//! EXTRACT and date_part of seconds and milliseconds with their fraction, as PostgreSQL gives them: seconds_part(part, value), whose
//! part is `second` or `millisecond`. All other parts are DataFusion's date_part.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNanoType, Time64NanosecondType, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult};
use datafusion::logical_expr::{Expr, Operator, ScalarUDF, Volatility, binary_expr, lit};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use super::interval_input::Unit;
use super::intervals::INTERVAL;
use super::{ColumnFunction, no_such_call, timestamp_precision};
use crate::data_type::to_postgres;
use crate::error::{Error, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(SECONDS, "EXTRACT of seconds.", Maker::Plain(seconds)),
    Entry::internal(MILLISECONDS, "EXTRACT of milliseconds.", Maker::Plain(milliseconds)),
];

/// Name of the seconds of a minute.
pub const SECONDS: &str = "seconds_part";
/// Name of the milliseconds of a minute.
pub const MILLISECONDS: &str = "milliseconds_part";

const NANOS_OF_A_MINUTE: i128 = 60_000_000_000;
/// Digits of the result: two before the point of seconds, five before that of milliseconds.
const SECONDS_TYPE: DataType = DataType::Decimal128(8, 6);
const MILLISECONDS_TYPE: DataType = DataType::Decimal128(8, 3);
const NANOS_OF_A_MICRO: i128 = 1_000;

/// `seconds_part(value)`
pub fn seconds() -> Arc<ScalarUDF> {
    ColumnFunction::udf(SECONDS, Volatility::Immutable, coerce, SECONDS_TYPE, |arguments, _| {
        within_minute(&arguments[0], 6)
    })
}

/// `milliseconds_part(value)`
pub fn milliseconds() -> Arc<ScalarUDF> {
    ColumnFunction::udf(MILLISECONDS, Volatility::Immutable, coerce, MILLISECONDS_TYPE, |arguments, _| {
        within_minute(&arguments[0], 3)
    })
}

/// Plans EXTRACT of a part that has a fraction.
#[derive(Debug)]
pub struct Extract;

impl ExprPlanner for Extract {
    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let part = match &args[..] {
            [Expr::Literal(ScalarValue::Utf8(Some(part)) | ScalarValue::Utf8View(Some(part)), _), _] => part,
            _ => return Ok(PlannerResult::Original(args)),
        };
        let Some(function) = function_of(part) else { return Ok(PlannerResult::Original(args)) };
        let mut args = args;
        Ok(PlannerResult::Planned(function.call(vec![args.swap_remove(1)])))
    }
}

/// Parts of a timestamp that are none of the clock and the calendar, and those that are not implemented.
const NOT_YET: [&str; 4] = ["julian", "timezone", "timezone_hour", "timezone_minute"];
/// Parts that DataFusion gives, but for plurals and short names.
const OF_DATE_PART: [&str; 15] = [
    "year",
    "isoyear",
    "quarter",
    "qtr",
    "month",
    "week",
    "day",
    "doy",
    "dow",
    "dayofweek",
    "isodow",
    "hour",
    "minute",
    "epoch",
    "nanosecond",
];

/// Refuses parts that nobody knows, or that a type has not.
///
/// # Errors
/// A part that is not implemented or not of that type (0A000), or none (22023).
pub fn check(part: &str, of: &DataType) -> std::result::Result<(), Error> {
    let name = part.trim_matches(['\'', '"']).to_ascii_lowercase();
    let unit = Unit::of_name(&name);
    let is_of_type = match of {
        DataType::Time32(_) | DataType::Time64(_) => unit.is_none_or(|unit| unit >= Unit::Hour) && !of_calendar(&name),
        DataType::Interval(_) | DataType::Duration(_) => !of_calendar(&name),
        _ => true,
    };
    if !is_of_type {
        let message = format!("unit \"{name}\" not supported for type {}", to_postgres(of));
        return Err(Error::unsupported(message));
    }
    let is_known =
        OF_DATE_PART.contains(&name.as_str()) || Unit::of_name(&name).is_some() || function_of(&name).is_some();
    if is_known {
        return Ok(());
    }
    if NOT_YET.contains(&name.as_str()) {
        let message = format!("EXTRACT({} …) is not supported yet", name.to_ascii_uppercase());
        return Err(Error::unsupported(message));
    }
    Err(Error::row(format!("unit \"{name}\" not recognized for type timestamp"))
        .code(SqlState::InvalidParameterValue)
        .hint("Known are year, quarter, month, week, day, hour, minute, second, dow, doy, isoyear, epoch, century …"))
}

/// Whether a part is one of days in a calendar.
fn of_calendar(name: &str) -> bool {
    ["isoyear", "doy", "dow", "dayofweek", "isodow"].contains(&name)
}

/// A part of many years, or a quarter of an interval, by what `part_of` gives; `None`: another part. Years of intervals are counted
/// from 0.
pub fn of_years(part: &str, is_interval: bool, part_of: impl FnOnce(&str) -> Expr) -> Option<Expr> {
    let (years, before) = match Unit::of_name(part.trim_matches(['\'', '"']))? {
        Unit::Quarter if is_interval => {
            let whole = binary_expr(part_of("month"), Operator::Divide, lit(3));
            return Some(binary_expr(whole, Operator::Plus, lit(1)));
        }
        Unit::Decade => (10, 0),
        Unit::Century => (100, 99),
        Unit::Millennium => (1_000, 999),
        _ => return None,
    };
    let year = part_of("year");
    // The first century begins with the year 1.
    let counted = if is_interval || before == 0 { year } else { binary_expr(year, Operator::Plus, lit(before)) };
    Some(binary_expr(counted, Operator::Divide, lit(years)))
}

/// The function for a part of a timestamp, if it is one with a fraction.
pub fn function_of(part: &str) -> Option<Arc<ScalarUDF>> {
    let part = part.trim_matches(['\'', '"']).to_ascii_lowercase();
    match part.as_str() {
        "second" | "seconds" | "sec" | "secs" | "s" => Some(seconds()),
        "millisecond" | "milliseconds" | "msec" | "msecs" | "ms" | "msecond" | "mseconds" | "millisecon" => {
            Some(milliseconds())
        }
        _ => None,
    }
}

fn coerce(arguments: &[DataType]) -> Result<Vec<DataType>> {
    let [value] = arguments else {
        return Err(no_such_call("extract", arguments, "EXTRACT(SECOND FROM value)"));
    };
    Ok(vec![match value {
        DataType::Timestamp(..) => value.clone(),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Nanosecond),
        DataType::Interval(_) | DataType::Duration(_) => INTERVAL,
        _ => DataType::Timestamp(TimeUnit::Microsecond, None),
    }])
}

/// The time within the minute with that many digits behind the point, in units of the last of six digits of a second.
fn within_minute(values: &ArrayRef, scale: i8) -> Result<ArrayRef> {
    let nanos: Vec<Option<i128>> = match values.data_type() {
        DataType::Timestamp(unit, _) => {
            let per_second = i128::from(timestamp_precision::per_second(*unit));
            let numbers = cast(values, &DataType::Int64)?;
            let numbers = numbers.as_primitive::<datafusion::arrow::datatypes::Int64Type>();
            let ratio = 1_000_000_000 / per_second;
            // Whatever the sign, the seconds of a timestamp are counted from its minute.
            numbers
                .iter()
                .map(|value| value.map(|value| (i128::from(value) * ratio).rem_euclid(NANOS_OF_A_MINUTE)))
                .collect()
        }
        DataType::Time64(_) => {
            let times = values.as_primitive::<Time64NanosecondType>();
            times.iter().map(|value| value.map(|value| i128::from(value) % NANOS_OF_A_MINUTE)).collect()
        }
        _ => {
            let intervals = values.as_primitive::<IntervalMonthDayNanoType>();
            let of = |nanos: i64| i128::from(nanos) % NANOS_OF_A_MINUTE;
            intervals.iter().map(|value| value.map(|value| of(value.nanoseconds))).collect()
        }
    };
    let micros: Decimal128Array = nanos.into_iter().map(|value| value.map(|value| value / NANOS_OF_A_MICRO)).collect();
    Ok(Arc::new(micros.with_precision_and_scale(8, scale)?))
}
