//! Arguments of any type, read as text or as time.

use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, Utc};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

use super::numeric;

/// An argument as text, with numbers as SQL prints them.
pub fn text(argument: &ColumnarValue, rows: usize) -> Result<StringArray> {
    let array = argument.to_array(rows)?;
    if *array.data_type() == numeric::data_type() {
        return numeric::to_text(&array);
    }
    Ok(cast(&array, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// An argument as date and time: timestamps with a zone are shown in `zone`, text is read as `yyyy-MM-dd HH:mm:ss[.fraction]`
/// or `yyyy-MM-dd`; text that is no time gives NULL, as in Flink.
pub fn local_times(argument: &ColumnarValue, rows: usize, zone: chrono_tz::Tz) -> Result<Vec<Option<NaiveDateTime>>> {
    let array = argument.to_array(rows)?;
    Ok(match array.data_type() {
        DataType::Timestamp(_, Some(_)) => micros(&array, Some("UTC".into()))?
            .into_iter()
            .map(|time| time.map(|time| time.and_utc().with_timezone(&zone).naive_local()))
            .collect(),
        DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => micros(&array, None)?,
        _ => {
            let texts = cast(&array, &DataType::Utf8)?;
            texts.as_string::<i32>().iter().map(|text| text.and_then(parse_time)).collect()
        }
    })
}

fn micros(array: &ArrayRef, zone: Option<Arc<str>>) -> Result<Vec<Option<NaiveDateTime>>> {
    let array = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
    let micros = array.as_primitive::<TimestampMicrosecondType>();
    Ok(micros
        .iter()
        .map(|value| value.and_then(DateTime::<Utc>::from_timestamp_micros).map(|t| t.naive_utc()))
        .collect())
}

fn parse_time(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f"))
        .ok()
        .or_else(|| chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
}

/// The session's or job's time zone, from the options that a function is called with.
pub fn zone(options: &datafusion::config::ConfigOptions) -> chrono_tz::Tz {
    options.execution.time_zone.as_deref().and_then(|name| name.parse().ok()).unwrap_or(chrono_tz::UTC)
}
