//! `timestamp AT TIME ZONE zone` and its function `timezone(zone, timestamp)`, as in PostgreSQL: a TIMESTAMP is taken as a time of the
//! zone and gives the instant, a TIMESTAMP_LTZ gives the zone's time. A zone is a name, an interval east of Greenwich, or an offset as
//! POSIX writes it (`+02` lies west).

use std::hash::Hash;
use std::sync::Arc;

use chrono::{FixedOffset, Offset, TimeZone};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit,
};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use super::intervals::{INTERVAL, is_interval};
use super::timestamp_precision::per_second;
use super::{datetime_input, no_such_call};
use crate::error::{Error, Result, SqlState};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    NAME,
    &["text, timestamp → timestamptz", "text, timestamptz → timestamp", "interval, timestamp → timestamptz"],
    "What `timestamp AT TIME ZONE zone` is: a TIMESTAMP as a time of that zone is an instant, an instant is the zone's TIMESTAMP. The \
     zone is a name, an interval east of Greenwich, or an offset in POSIX' form (`+02` lies west).",
    Maker::Plain(timezone),
)
.example("timezone('Asia/Kolkata', TIMESTAMPTZ '2024-01-05 00:00:00+00')", "2024-01-05 05:30:00")];

/// The function's name.
pub const NAME: &str = "timezone";

/// A day, in seconds: no zone lies further from Greenwich.
const DAY: i64 = 86_400;

/// The function.
pub fn timezone() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(AtTimeZone { signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct AtTimeZone {
    signature: Signature,
}

/// Where clocks are how far from Greenwich.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    Named(chrono_tz::Tz),
    Fixed(FixedOffset),
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let refused = || no_such_call(NAME, arguments, "timestamp AT TIME ZONE 'Europe/Berlin'");
        let [zone, value] = arguments else { return Err(refused()) };
        let zone = match zone {
            zone if is_interval(zone) => INTERVAL,
            DataType::Null => DataType::Utf8,
            zone if zone.is_string() => DataType::Utf8,
            _ => return Err(refused()),
        };
        let value = match value {
            DataType::Timestamp(..) => value.clone(),
            // PostgreSQL prefers TIMESTAMPTZ for what has no type, and for dates.
            DataType::Date32 | DataType::Date64 | DataType::Null => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            value if value.is_string() => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            _ => return Err(refused()),
        };
        Ok(vec![zone, value])
    }

    fn return_type(&self, arguments: &[DataType]) -> DataFusionResult<DataType> {
        match arguments {
            [_, DataType::Timestamp(unit, zone)] => {
                let zone = if zone.is_some() { None } else { Some("UTC".into()) };
                Ok(DataType::Timestamp(*unit, zone))
            }
            _ => Err(Error::internal("timezone needs a timestamp").into()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        // A zone that is wrong is so without any row.
        if let Some(Some(name)) =
            args.scalar_arguments.first().and_then(|zone| zone.map(|zone| zone.try_as_str().flatten()))
        {
            of_name(name)?;
        }
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(NAME, self.return_type(&types)?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let [zones, values]: [ColumnarValue; 2] =
            args.args.try_into().map_err(|_| Error::internal("timezone takes two arguments"))?;
        let result = convert(&zones.into_array(rows)?, &values.into_array(rows)?)?;
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

fn convert(zones: &ArrayRef, values: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let DataType::Timestamp(unit, given) = values.data_type() else {
        return Err(Error::internal("timezone needs a timestamp").into());
    };
    let (scale, is_instant) = (per_second(*unit), given.is_some());
    let numbers = cast(values, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    let mut zones = Zones::of(zones)?;
    let converted = (0..numbers.len()).map(|row| {
        let Some(zone) = zones.at(row)? else { return Ok(None) };
        if numbers.is_null(row) {
            return Ok(None);
        }
        let (seconds, rest) = (numbers.value(row).div_euclid(scale), numbers.value(row).rem_euclid(scale));
        let seconds = if is_instant { local(seconds, zone) } else { instant(seconds, zone) };
        let number = seconds.and_then(|seconds| seconds.checked_mul(scale)?.checked_add(rest));
        number.map(Some).ok_or_else(|| Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow))
    });
    let converted: ArrayRef = Arc::new(converted.collect::<Result<Int64Array>>()?);
    let to = DataType::Timestamp(*unit, if is_instant { None } else { Some("UTC".into()) });
    Ok(cast(&converted, &to)?)
}

/// The local time at an instant, both in seconds since 1970.
fn local(seconds: i64, zone: Zone) -> Option<i64> {
    let offset = match zone {
        Zone::Fixed(offset) => offset,
        Zone::Named(zone) => {
            let utc = chrono::DateTime::from_timestamp_secs(seconds)?.naive_utc();
            zone.offset_from_utc_datetime(&utc).fix()
        }
    };
    seconds.checked_add(i64::from(offset.local_minus_utc()))
}

/// The instant of a local time, both in seconds since 1970.
fn instant(seconds: i64, zone: Zone) -> Option<i64> {
    match zone {
        Zone::Fixed(offset) => seconds.checked_sub(i64::from(offset.local_minus_utc())),
        Zone::Named(zone) => datetime_input::instant(seconds, zone),
    }
}

/// The zones of rows; the text of the last one is known.
struct Zones<'a> {
    zones: &'a ArrayRef,
    known: Option<(String, Zone)>,
}

impl<'a> Zones<'a> {
    fn of(zones: &'a ArrayRef) -> DataFusionResult<Self> {
        match zones.data_type() {
            DataType::Utf8 | DataType::Interval(_) => Ok(Self { zones, known: None }),
            other => Err(Error::internal(format!("timezone got a zone of type {other}")).into()),
        }
    }

    /// The zone of a row; `None` if it is NULL.
    fn at(&mut self, row: usize) -> Result<Option<Zone>> {
        if self.zones.is_null(row) {
            return Ok(None);
        }
        if matches!(self.zones.data_type(), DataType::Interval(_)) {
            return of_interval(self.zones.as_primitive::<IntervalMonthDayNanoType>().value(row)).map(Some);
        }
        let name = self.zones.as_string::<i32>().value(row);
        if let Some((known, zone)) = &self.known
            && known == name
        {
            return Ok(Some(*zone));
        }
        let zone = of_name(name)?;
        self.known = Some((name.to_owned(), zone));
        Ok(Some(zone))
    }
}

fn of_interval(interval: IntervalMonthDayNano) -> Result<Zone> {
    let refused =
        |why: &str| Error::row(format!("interval time zone must not {why}")).code(SqlState::InvalidParameterValue);
    if interval.months != 0 || interval.days != 0 {
        return Err(refused("include months or days"));
    }
    let seconds = interval.nanoseconds / 1_000_000_000;
    let offset = i32::try_from(seconds).ok().and_then(FixedOffset::east_opt);
    offset.map(Zone::Fixed).ok_or_else(|| refused("be a day or more"))
}

fn of_name(name: &str) -> Result<Zone> {
    let trimmed = name.trim();
    let known = trimmed
        .parse()
        .ok()
        .or_else(|| chrono_tz::TZ_VARIANTS.iter().copied().find(|zone| zone.name().eq_ignore_ascii_case(trimmed)));
    if let Some(zone) = known {
        return Ok(Zone::Named(zone));
    }
    posix_offset(trimmed).map(Zone::Fixed).ok_or_else(|| {
        Error::row(format!("time zone \"{name}\" not recognized"))
            .code(SqlState::InvalidParameterValue)
            .hint("Write a name such as 'Europe/Berlin', or INTERVAL '2 hours'.")
    })
}

/// `+02`, `-05:30`, `UTC+2`, `EST5`: what follows the letters lies west of Greenwich, as in POSIX.
fn posix_offset(text: &str) -> Option<FixedOffset> {
    let offset = text.trim_start_matches(|char: char| char.is_ascii_alphabetic());
    let letters = text.len() - offset.len();
    if letters == 1 && text.eq_ignore_ascii_case("z") {
        return FixedOffset::east_opt(0);
    }
    let (sign, digits) = match offset.as_bytes().first()? {
        b'+' => (1, &offset[1..]),
        b'-' => (-1, &offset[1..]),
        byte if byte.is_ascii_digit() => (1, offset),
        _ => return None,
    };
    let mut seconds = 0;
    let mut unit = 3600;
    for part in digits.split(':') {
        if unit == 0 || part.is_empty() || part.len() > 2 {
            return None;
        }
        seconds += part.parse::<i64>().ok()? * unit;
        unit /= 60;
    }
    (seconds < DAY).then(|| FixedOffset::west_opt(sign * i32::try_from(seconds).ok()?)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_lie_west_as_in_posix() {
        let east = |text: &str| posix_offset(text).map(|offset| offset.local_minus_utc());
        assert_eq!(east("+02"), Some(-7200));
        assert_eq!(east("-05:30"), Some(19_800));
        assert_eq!(east("UTC+2"), Some(-7200));
        assert_eq!(east("EST5"), Some(-18_000));
        assert_eq!(east("Z"), Some(0));
        for wrong in ["", "+", "nowhere", "+24", "+1:2:3:4", "+123", "+1:"] {
            assert_eq!(east(wrong), None, "{wrong}");
        }
    }
}
