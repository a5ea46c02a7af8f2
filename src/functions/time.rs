//! now(), CURRENT_TIMESTAMP, CURRENT_DATE …: the time of the statement in queries, of the batch in jobs.
//! The volatile form reads its clock at each batch, so that nothing of the time is folded into a stored plan.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDateTime, TimeZone, Timelike};
use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use super::ColumnFunction;
use super::entry::{Entry, Maker};
use crate::clock::Clock;

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::public(
        "current_date",
        &["→ date"],
        "The date in the session's time zone; written without brackets, too.",
        Maker::OfClock(|clock, volatile| make("current_date", Kind::Date, clock, volatile)),
    )
    .aliases(&["today"])
    .stable(),
    Entry::public(
        "current_time",
        &["→ time"],
        "The time of day in the session's time zone; written without brackets, too.",
        Maker::OfClock(|clock, volatile| make("current_time", Kind::Time, clock, volatile)),
    )
    .stable(),
    Entry::public(
        "current_timestamp",
        &["→ timestamptz"],
        "The time of the statement, in jobs of the batch of rows; written without brackets, too.",
        Maker::OfClock(|clock, volatile| make("current_timestamp", Kind::Instant, clock, volatile)),
    )
    .stable(),
    Entry::public(
        "localtime",
        &["→ time"],
        "As `current_time`.",
        Maker::OfClock(|clock, volatile| make("localtime", Kind::Time, clock, volatile)),
    )
    .stable(),
    Entry::public(
        "localtimestamp",
        &["→ timestamp"],
        "As `current_timestamp`, but a TIMESTAMP of the session's time zone.",
        Maker::OfClock(|clock, volatile| make("localtimestamp", Kind::Local, clock, volatile)),
    )
    .stable(),
    Entry::public(
        "now",
        &["→ timestamptz"],
        "The time of the statement, in jobs of the batch of rows.",
        Maker::OfClock(|clock, volatile| make("now", Kind::Instant, clock, volatile)),
    )
    .aliases(&["statement_timestamp", "transaction_timestamp"])
    .stable(),
    Entry::public(
        "unix_timestamp",
        &["→ bigint"],
        "The seconds from 1970 to now.",
        Maker::OfClock(|clock, volatile| make("unix_timestamp", Kind::Seconds, clock, volatile)),
    )
    .stable(),
    Entry::internal("timestamp_text", "CAST of a timestamp to a text.", Maker::Plain(timestamp_text)).stable(),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Instant,
    Local,
    Date,
    Time,
    Seconds,
}

/// A function of the clock.
#[derive(Debug, Clone)]
struct TimeFunction {
    name: &'static str,
    kind: Kind,
    clock: Arc<dyn Clock>,
    signature: Signature,
}

impl PartialEq for TimeFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.signature == other.signature
    }
}

impl Eq for TimeFunction {}

impl Hash for TimeFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// Without `volatile` the clock is expected to stand for the statement.
fn make(name: &'static str, kind: Kind, clock: &Arc<dyn Clock>, volatile: bool) -> Arc<ScalarUDF> {
    let volatility = if volatile { Volatility::Volatile } else { Volatility::Stable };
    let signature = Signature::nullary(volatility);
    Arc::new(ScalarUDF::from(TimeFunction { name, kind, clock: clock.clone(), signature }))
}

/// The wall-clock time of an instant in a zone.
pub fn local_time(now_ms: i64, zone: &str) -> NaiveDateTime {
    let zone: chrono_tz::Tz = zone.parse().unwrap_or(chrono_tz::UTC);
    let utc = DateTime::from_timestamp_millis(now_ms).unwrap_or_default().naive_utc();
    zone.from_utc_datetime(&utc).naive_local()
}

/// The text of a timestamp as results show it: `2024-01-01 10:00:00.5`, TIMESTAMP_LTZ in the session's zone with its offset.
pub fn timestamp_text() -> Arc<ScalarUDF> {
    ColumnFunction::udf(
        "timestamp_text",
        Volatility::Stable,
        |types| Ok(types.to_vec()),
        DataType::Utf8,
        print_timestamps,
    )
}

/// The texts of timestamps.
///
/// # Errors
/// The argument is no timestamp.
pub(super) fn print_timestamps(arguments: &[ArrayRef], zone: &str) -> Result<ArrayRef> {
    let DataType::Timestamp(_, zoned) = arguments[0].data_type() else {
        return Err(crate::error::Error::internal("timestamp_text needs a timestamp").into());
    };
    let zone: chrono_tz::Tz = zone.parse().unwrap_or(chrono_tz::UTC);
    let micros = cast(&arguments[0], &DataType::Timestamp(TimeUnit::Microsecond, zoned.clone()))?;
    let texts = micros.as_primitive::<TimestampMicrosecondType>().iter().map(|micros| {
        let utc = DateTime::from_timestamp_micros(micros?)?;
        let (local, offset) = if zoned.is_some() {
            let local = zone.from_utc_datetime(&utc.naive_utc());
            let offset = local.format("%:z").to_string();
            (local.naive_local(), offset.strip_suffix(":00").unwrap_or(&offset).to_owned())
        } else {
            (utc.naive_utc(), String::new())
        };
        let text = local.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
        // Years of five digits come with a sign.
        let text = text.trim_start_matches('+').trim_end_matches('0').trim_end_matches('.');
        Some(format!("{text}{offset}"))
    });
    Ok(Arc::new(texts.collect::<StringArray>()))
}

impl ScalarUDFImpl for TimeFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Local => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Date => DataType::Date32,
            Kind::Time => DataType::Time64(TimeUnit::Microsecond),
            Kind::Seconds => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let now_ms = self.clock.now_ms();
        let zone = args.config_options.execution.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
        let local = local_time(now_ms, &zone);
        Ok(ColumnarValue::Scalar(match self.kind {
            Kind::Instant => ScalarValue::TimestampMicrosecond(Some(now_ms * 1000), Some("UTC".into())),
            Kind::Local => ScalarValue::TimestampMicrosecond(Some(local.and_utc().timestamp_micros()), None),
            Kind::Date => ScalarValue::Date32(Some(local.date().num_days_from_ce() - 719_163)),
            Kind::Time => {
                let time = local.time();
                let micros =
                    i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(time.nanosecond() / 1_000);
                ScalarValue::Time64Microsecond(Some(micros))
            }
            Kind::Seconds => ScalarValue::Int64(Some(now_ms.div_euclid(1000))),
        }))
    }
}
