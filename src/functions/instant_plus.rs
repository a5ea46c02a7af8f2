//! instant_plus(instant, interval, sign, zone): a TIMESTAMP_LTZ and an interval by the clock of a zone, as in PostgreSQL: its months and
//! days keep the time of day also where clocks are put forward or back, its time is added to the instant.

use std::sync::Arc;

use chrono::{DateTime, Days, Months, TimeZone};
use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;

use super::datetime_input::{instant, zone_of};
use super::entry::{Entry, Maker};
use super::intervals::INTERVAL;
use super::no_such_call;
use super::timestamp_precision::per_second;
use crate::error::{Error, Result, SqlState};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] =
    &[Entry::internal(NAME, "`+` and `-` of a TIMESTAMP_LTZ and an interval.", Maker::Plain(instant_plus))];

/// The function's name.
pub const NAME: &str = "instant_plus";

const NANOS_OF_A_SECOND: i128 = 1_000_000_000;

/// The function.
pub fn instant_plus() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(InstantPlus { signature: Signature::user_defined(Volatility::Immutable) }))
}

/// A call of it.
pub fn call(instant: Expr, interval: Expr, is_minus: bool, zone: &str) -> Expr {
    let sign = if is_minus { -1_i64 } else { 1 };
    instant_plus().call(vec![instant, interval, lit(sign), lit(zone)])
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct InstantPlus {
    signature: Signature,
}

impl ScalarUDFImpl for InstantPlus {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        match arguments {
            [instant @ DataType::Timestamp(..), _, _, _] => {
                Ok(vec![instant.clone(), INTERVAL, DataType::Int64, DataType::Utf8])
            }
            _ => Err(no_such_call(NAME, arguments, "timestamp + interval")),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.coerce_types(arguments)?.swap_remove(0))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let [instants, intervals, sign, zone]: [ColumnarValue; 4] =
            args.args.try_into().map_err(|_| Error::internal("instant_plus takes four arguments"))?;
        let (ColumnarValue::Scalar(ScalarValue::Int64(Some(sign))), ColumnarValue::Scalar(zone)) = (sign, zone) else {
            return Err(Error::internal("a time zone that is no constant").into());
        };
        let zone = zone_of(zone.try_as_str().flatten().unwrap_or("UTC"));
        let (instants, intervals) = (instants.into_array(rows)?, intervals.into_array(rows)?);
        let DataType::Timestamp(unit, _) = instants.data_type() else {
            return Err(Error::internal("instant_plus needs a timestamp").into());
        };
        let scale = per_second(*unit);
        let numbers = cast(&instants, &DataType::Int64)?;
        let moved =
            numbers.as_primitive::<Int64Type>().iter().zip(intervals.as_primitive::<IntervalMonthDayNanoType>());
        let moved = moved.map(|(instant, interval)| match (instant, interval) {
            (Some(instant), Some(interval)) => moved_by(instant, interval, sign, scale, zone)
                .map(Some)
                .ok_or_else(|| Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow)),
            _ => Ok(None),
        });
        let moved: ArrayRef = Arc::new(moved.collect::<Result<Int64Array>>()?);
        let moved = cast(&moved, instants.data_type())?;
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&moved, 0)?)
        } else {
            ColumnarValue::Array(moved)
        })
    }
}

/// An instant in units of which `scale` are a second, so much later or earlier.
fn moved_by(value: i64, interval: IntervalMonthDayNano, sign: i64, scale: i64, zone: chrono_tz::Tz) -> Option<i64> {
    let (months, days) = (i64::from(interval.months) * sign, i64::from(interval.days) * sign);
    let mut value = value;
    if months != 0 || days != 0 {
        let utc = DateTime::from_timestamp_secs(value.div_euclid(scale))?.naive_utc();
        let local = zone.from_utc_datetime(&utc).naive_local();
        let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
        let local = if months < 0 { local.checked_sub_months(count)? } else { local.checked_add_months(count)? };
        let count = Days::new(days.unsigned_abs());
        let local = if days < 0 { local.checked_sub_days(count)? } else { local.checked_add_days(count)? };
        let seconds = instant(local.and_utc().timestamp(), zone)?;
        value = seconds.checked_mul(scale)?.checked_add(value.rem_euclid(scale))?;
    }
    let nanos = i128::from(interval.nanoseconds) * i128::from(sign);
    i64::try_from(i128::from(value) + nanos / (NANOS_OF_A_SECOND / i128::from(scale))).ok()
}
