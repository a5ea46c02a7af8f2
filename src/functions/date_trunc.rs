//! date_trunc(unit, timestamp): the beginning of the timestamp's year, day, hour …, for all timestamps that there are. A timestamp
//! of a zone is cut by that zone's clock.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use super::no_such_call;
use super::timestamp_precision::per_second;
use crate::error::{Error, SqlState};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    "date_trunc",
    &["text, timestamp → timestamp", "text, timestamptz → timestamptz"],
    "The beginning of a timestamp's year, quarter, month, week, day, hour, minute or second.",
    Maker::Plain(date_trunc),
)
.aliases(&["datetrunc"])
.example("DATE_TRUNC('month', TIMESTAMP '2024-01-05 13:04:05')", "2024-01-01 00:00:00")];

/// The function.
pub fn date_trunc() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(DateTrunc { signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct DateTrunc {
    signature: Signature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// So many parts of a second.
    Part(i64),
    Seconds(i64),
    Week,
    Months(i32),
    Years(i32),
}

impl Unit {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "nanosecond" | "nanoseconds" => Self::Part(1_000_000_000),
            "microsecond" | "microseconds" => Self::Part(1_000_000),
            "millisecond" | "milliseconds" => Self::Part(1_000),
            "second" | "seconds" => Self::Seconds(1),
            "minute" | "minutes" => Self::Seconds(60),
            "hour" | "hours" => Self::Seconds(3_600),
            "day" | "days" => Self::Seconds(86_400),
            "week" | "weeks" => Self::Week,
            "month" | "months" => Self::Months(1),
            "quarter" | "quarters" => Self::Months(3),
            "year" | "years" => Self::Years(1),
            "decade" | "decades" => Self::Years(10),
            "century" | "centuries" => Self::Years(100),
            "millennium" | "millenniums" | "millennia" => Self::Years(1_000),
            _ => {
                return Err(Error::row(format!("unit \"{text}\" not recognized for type timestamp"))
                    .code(SqlState::InvalidParameterValue)
                    .hint(
                        "Known are microsecond, millisecond, second, minute, hour, day, week, month, quarter, year, \
         decade, century, millennium.",
                    )
                    .into());
            }
        })
    }

    /// The beginning of what a date is in.
    fn of_date(self, date: NaiveDate) -> Option<NaiveDate> {
        let year = date.year();
        match self {
            Self::Week => date.checked_sub_days(Days::new(u64::from(date.weekday().num_days_from_monday()))),
            Self::Months(count) => {
                let month = date.month0() / count.unsigned_abs() * count.unsigned_abs();
                NaiveDate::from_ymd_opt(year, month + 1, 1)
            }
            Self::Years(1) => NaiveDate::from_ymd_opt(year, 1, 1),
            Self::Years(10) => NaiveDate::from_ymd_opt(year.div_euclid(10) * 10, 1, 1),
            // The first century begins with the year 1.
            Self::Years(count) => NaiveDate::from_ymd_opt((year - 1).div_euclid(count) * count + 1, 1, 1),
            Self::Part(_) | Self::Seconds(_) => Some(date),
        }
    }

    /// The beginning in units of which `scale` are a second, without a zone.
    fn of_number(self, value: i64, scale: i64) -> Option<i64> {
        let step = match self {
            Self::Part(parts) => (scale / parts).max(1),
            Self::Seconds(seconds) => seconds * scale,
            _ => {
                let time = DateTime::from_timestamp_secs(value.div_euclid(scale))?.naive_utc();
                let start = self.of_date(time.date())?.and_time(chrono::NaiveTime::MIN);
                return start.and_utc().timestamp().checked_mul(scale);
            }
        };
        Some(value.div_euclid(step) * step)
    }

    /// The beginning by the clock of a zone.
    fn of_local(self, value: i64, scale: i64, zone: chrono_tz::Tz) -> Option<i64> {
        if let Self::Part(_) | Self::Seconds(1 | 60) = self {
            return self.of_number(value, scale);
        }
        let utc = DateTime::from_timestamp_secs(value.div_euclid(scale))?.naive_utc();
        let local = zone.from_utc_datetime(&utc).naive_local();
        let offset = local - utc;
        let seconds = self.of_number(local.and_utc().timestamp(), 1)?;
        let start = DateTime::from_timestamp_secs(seconds)?.naive_utc();
        instant(start, zone, offset)?.checked_mul(scale)
    }
}

/// The instant of a local time; of two the one with the offset that it was asked with.
fn instant(local: NaiveDateTime, zone: chrono_tz::Tz, offset: TimeDelta) -> Option<i64> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(time) => Some(time.timestamp()),
        LocalResult::Ambiguous(first, second) => {
            let by_offset = (local - offset).and_utc().timestamp();
            Some(if second.timestamp() == by_offset { second.timestamp() } else { first.timestamp() })
        }
        // Clocks were put forward over it: the first time after.
        LocalResult::None => (1..=4).find_map(|halves| {
            zone.from_local_datetime(&(local + TimeDelta::minutes(30 * halves))).earliest().map(|time| time.timestamp())
        }),
    }
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &'static str {
        "date_trunc"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(self.coerce_types(arguments)?.swap_remove(1))
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        let value = match arguments {
            [_, value @ DataType::Timestamp(..)] => value.clone(),
            [_, DataType::Date32 | DataType::Date64 | DataType::Null] => timestamp,
            [_, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View] => timestamp,
            _ => return Err(no_such_call("date_trunc", arguments, "date_trunc('day', timestamp)")),
        };
        Ok(vec![DataType::Utf8, value])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let mut arguments = args.args.into_iter();
        let (Some(unit), Some(values)) = (arguments.next(), arguments.next()) else {
            return Err(Error::internal("date_trunc without arguments").into());
        };
        let values = values.into_array(rows)?;
        let result = match unit {
            ColumnarValue::Scalar(unit) => match unit.try_as_str().flatten() {
                Some(unit) => {
                    let unit = Unit::parse(unit)?;
                    truncate(&values, |_| Ok(Some(unit)))?
                }
                None => truncate(&values, |_| Ok(None))?,
            },
            ColumnarValue::Array(units) => {
                let units = units.as_string::<i32>();
                truncate(&values, |row| units.is_valid(row).then(|| Unit::parse(units.value(row))).transpose())?
            }
        };
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

fn truncate(values: &ArrayRef, unit: impl Fn(usize) -> Result<Option<Unit>>) -> Result<ArrayRef> {
    let DataType::Timestamp(time_unit, zone) = values.data_type() else {
        return Err(Error::internal("date_trunc needs a timestamp").into());
    };
    let scale = per_second(*time_unit);
    let zone = match zone.as_deref() {
        None | Some("UTC" | "+00:00") => None,
        Some(name) => Some(name.parse::<chrono_tz::Tz>().map_err(|_| {
            Error::invalid(format!("time zone \"{name}\" is not known to date_trunc"))
                .code(SqlState::InvalidParameterValue)
        })?),
    };
    let numbers = cast(values, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    let mut cut = Vec::with_capacity(numbers.len());
    for row in 0..numbers.len() {
        let unit = if numbers.is_valid(row) { unit(row)? } else { None };
        let Some(unit) = unit else {
            cut.push(None);
            continue;
        };
        let value = numbers.value(row);
        let start = match zone {
            None => unit.of_number(value, scale),
            Some(zone) => unit.of_local(value, scale, zone),
        };
        cut.push(Some(
            start.ok_or_else(|| Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow))?,
        ));
    }
    let cut: ArrayRef = Arc::new(Int64Array::from(cut));
    Ok(cast(&cut, values.data_type())?)
}

#[cfg(test)]
mod tests;
