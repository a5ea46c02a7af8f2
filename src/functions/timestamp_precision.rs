//! Timestamps and times of several precisions: rounded to fewer digits, as CAST does, and timestamps brought to nanoseconds for a comparison with such ones,
//! which reach from 1677 to 2262 only: what is before or after that is the first or the last of them.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use crate::error::{Error, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(ROUND, "CAST to a timestamp or a time of fewer digits.", Maker::Plain(round)),
    Entry::internal(NANOSECONDS, "A timestamp beside one of nanoseconds.", Maker::Plain(nanoseconds)),
];

const SECONDS_OF_A_DAY: i64 = 86_400;

/// The name of [`round`].
pub const ROUND: &str = "timestamp_round";
/// The name of [`nanoseconds`].
pub const NANOSECONDS: &str = "timestamp_nanoseconds";

/// `timestamp_round(timestamp or time, digits)`: so many digits of the second, halves up; a time that reaches midnight is midnight.
pub fn round() -> Arc<ScalarUDF> {
    udf(Kind::Round)
}

/// `timestamp_nanoseconds(timestamp)`: in nanoseconds; what they cannot hold is the first or last timestamp that they can.
pub fn nanoseconds() -> Arc<ScalarUDF> {
    udf(Kind::Nanoseconds)
}

/// A call of [`round`].
pub fn call_round(timestamp: Expr, digits: u8) -> Expr {
    round().call(vec![timestamp, lit(i64::from(digits))])
}

fn udf(kind: Kind) -> Arc<ScalarUDF> {
    let arguments = if kind == Kind::Round { 2 } else { 1 };
    Arc::new(ScalarUDF::from(Precision { kind, signature: Signature::any(arguments, Volatility::Immutable) }))
}

/// How many of a unit are a second.
pub fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Round,
    Nanoseconds,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Precision {
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for Precision {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Round => ROUND,
            Kind::Nanoseconds => NANOSECONDS,
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match (self.kind, arguments) {
            (Kind::Round, [value @ (DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_)), _]) => {
                Ok(value.clone())
            }
            (Kind::Nanoseconds, [DataType::Timestamp(_, zone)]) => {
                Ok(DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()))
            }
            _ => Err(Error::invalid(format!("function {} takes a timestamp", self.name()))
                .code(SqlState::UndefinedFunction)
                .into()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = matches!(args.args.first(), Some(ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let mut arguments = args.args.into_iter();
        let missing = || Error::internal("a timestamp is missing");
        let values = arguments.next().ok_or_else(missing)?.into_array(rows)?;
        let result = match self.kind {
            Kind::Round => {
                let Some(ColumnarValue::Scalar(ScalarValue::Int64(Some(digits)))) = arguments.next() else {
                    return Err(missing().into());
                };
                rounded(&values, u32::try_from(digits).unwrap_or(0))?
            }
            Kind::Nanoseconds => saturated(&values)?,
        };
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

fn rounded(values: &ArrayRef, digits: u32) -> Result<ArrayRef> {
    // What Arrow casts numbers to and from, and the units of a day, after which a time is midnight again.
    let (numbers, unit, wraps) = match values.data_type() {
        DataType::Timestamp(unit, _) => (DataType::Int64, *unit, false),
        DataType::Time32(unit) => (DataType::Int32, *unit, true),
        DataType::Time64(unit) => (DataType::Int64, *unit, true),
        _ => return Err(Error::internal("timestamp_round needs a timestamp or a time").into()),
    };
    let per_second = per_second(unit);
    let step = per_second / 10_i64.pow(digits.min(9)).min(per_second);
    if step <= 1 {
        return Ok(values.clone());
    }
    let per_day = SECONDS_OF_A_DAY * per_second;
    let units = cast(&cast(values, &numbers)?, &DataType::Int64)?;
    let rounded = units.as_primitive::<Int64Type>().unary::<_, Int64Type>(|value| {
        let down = value.div_euclid(step) * step;
        let nearest = if value - down >= step - step / 2 { down.saturating_add(step) } else { down };
        if wraps { nearest.rem_euclid(per_day) } else { nearest }
    });
    let rounded = cast(&(Arc::new(rounded) as ArrayRef), &numbers)?;
    Ok(cast(&rounded, values.data_type())?)
}

fn saturated(values: &ArrayRef) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, zone) = values.data_type() else {
        return Err(Error::internal("timestamp_nanoseconds needs a timestamp").into());
    };
    if *unit == TimeUnit::Nanosecond {
        return Ok(values.clone());
    }
    let micros = cast(values, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
    let nanos = micros
        .as_primitive::<TimestampMicrosecondType>()
        .unary::<_, TimestampNanosecondType>(|value| value.saturating_mul(1_000));
    Ok(Arc::new(nanos.with_timezone_opt(zone.clone())))
}

#[cfg(test)]
mod tests;
