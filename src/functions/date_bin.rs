//! date_bin(stride, timestamp [, origin]): the beginning of the stride that a timestamp is in, counted from the origin (1970), for all
//! timestamps that there are, as in PostgreSQL. Strides of months are ours.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Months};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use super::intervals::{INTERVAL, length};
use super::no_such_call;
use super::timestamp_precision::per_second;
use crate::error::{Error, Result, SqlState};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    NAME,
    &["interval, timestamp → timestamp", "interval, timestamp, timestamp → timestamp"],
    "The beginning of the stride that a timestamp is in, counted from the third argument, or \
         from 1970.",
    Maker::Plain(date_bin),
)
.example("DATE_BIN(INTERVAL '15 minutes', TIMESTAMP '2024-01-05 13:20:00')", "2024-01-05 13:15:00")];

/// The function's name.
pub const NAME: &str = "date_bin";

const NANOS_OF_A_SECOND: i128 = 1_000_000_000;

/// The function.
pub fn date_bin() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(DateBin { signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct DateBin {
    signature: Signature,
}

impl ScalarUDFImpl for DateBin {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let no_such = || no_such_call(NAME, arguments, "date_bin(INTERVAL '15 minutes', timestamp, origin)");
        let is_text = |data_type: &DataType| data_type.is_string() || data_type.is_null();
        let ([stride, value] | [stride, value, _]) = arguments else { return Err(no_such()) };
        if !matches!(stride, DataType::Interval(_)) && !is_text(stride) {
            return Err(no_such());
        }
        let fits = |data_type: &DataType| {
            matches!(data_type, DataType::Timestamp(..) | DataType::Date32) || is_text(data_type)
        };
        if !arguments[1..].iter().all(fits) {
            return Err(no_such());
        }
        let value = match value {
            DataType::Timestamp(..) => value.clone(),
            _ => DataType::Timestamp(TimeUnit::Microsecond, None),
        };
        let mut types = vec![INTERVAL];
        types.resize(arguments.len(), value);
        Ok(types)
    }

    fn return_type(&self, arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.coerce_types(arguments)?.swap_remove(1))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<DataFusionResult<Vec<_>>>()?;
        let result = bins(&arrays)?;
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

fn bins(arrays: &[ArrayRef]) -> DataFusionResult<ArrayRef> {
    let DataType::Timestamp(unit, _) = arrays[1].data_type() else {
        return Err(Error::internal("date_bin needs a timestamp").into());
    };
    let scale = per_second(*unit);
    let strides = arrays[0].as_primitive::<IntervalMonthDayNanoType>();
    let values = cast(&arrays[1], &DataType::Int64)?;
    let values = values.as_primitive::<Int64Type>();
    let origins = arrays.get(2).map(|origins| cast(origins, &DataType::Int64)).transpose()?;
    let origins = origins.as_ref().map(|origins| origins.as_primitive::<Int64Type>());
    let bin = |row: usize| {
        let origin = match origins {
            Some(origins) if origins.is_null(row) => return Ok(None),
            Some(origins) => origins.value(row),
            None => 0,
        };
        if strides.is_null(row) || values.is_null(row) {
            return Ok(None);
        }
        bin(strides.value(row), values.value(row), origin, scale).map(Some)
    };
    let bins: ArrayRef = Arc::new((0..values.len()).map(bin).collect::<Result<Int64Array>>()?);
    Ok(cast(&bins, arrays[1].data_type())?)
}

/// The beginning of a stride in units of which `scale` are a second.
fn bin(stride: IntervalMonthDayNano, value: i64, origin: i64, scale: i64) -> Result<i64> {
    let out_of_range = || Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow);
    if length(stride) <= 0 {
        return Err(Error::row("stride must be greater than zero").code(SqlState::DatetimeFieldOverflow));
    }
    if stride.months != 0 {
        if stride.days != 0 || stride.nanoseconds != 0 {
            return Err(Error::unsupported("a stride of months and of days or time is not supported"));
        }
        return of_months(stride.months, value, origin, scale).ok_or_else(out_of_range);
    }
    let per_unit = NANOS_OF_A_SECOND / i128::from(scale);
    let (value, origin) = (i128::from(value) * per_unit, i128::from(origin) * per_unit);
    let start = origin + (value - origin).div_euclid(length(stride)) * length(stride);
    i64::try_from(start.div_euclid(per_unit)).map_err(|_| out_of_range())
}

fn of_months(months: i32, value: i64, origin: i64, scale: i64) -> Option<i64> {
    let date = |value: i64| Some(DateTime::from_timestamp_secs(value.div_euclid(scale))?.naive_utc());
    let (at, from) = (date(value)?, date(origin)?);
    let of = |time: &chrono::NaiveDateTime| i64::from(time.year()) * 12 + i64::from(time.month0());
    let mut strides = (of(&at) - of(&from)).div_euclid(i64::from(months));
    // Within the month of the origin's day the stride before may go on.
    loop {
        let moved = strides.checked_mul(i64::from(months))?;
        let count = Months::new(u32::try_from(moved.unsigned_abs()).ok()?);
        let start = if moved < 0 { from.checked_sub_months(count)? } else { from.checked_add_months(count)? };
        let start = start.and_utc().timestamp().checked_mul(scale)?.checked_add(origin.rem_euclid(scale))?;
        if start <= value {
            return Some(start);
        }
        strides -= 1;
    }
}

#[cfg(test)]
mod tests;
