//! The time of now: NOW, CURRENT_TIMESTAMP, LOCALTIMESTAMP, CURRENT_DATE, LOCALTIME, UNIX_TIMESTAMP. They read the server's clock
//! and the zone of the session or job; whether the planner may compute them is the caller's choice (see `for_queries`, `for_jobs`).

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Timelike, Utc};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::arguments::zone;
use crate::clock::Clock;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Instant,
    LocalTimestamp,
    LocalDate,
    LocalTime,
    UnixSeconds,
}

#[derive(Debug)]
struct Now {
    name: &'static str,
    aliases: Vec<String>,
    kind: Kind,
    clock: Arc<dyn Clock>,
    signature: Signature,
}

/// All of them.
pub fn functions(clock: &Arc<dyn Clock>, volatility: Volatility) -> Vec<Arc<ScalarUDF>> {
    [
        (
            "now",
            &["current_timestamp", "transaction_timestamp", "statement_timestamp", "current_row_timestamp"][..],
            Kind::Instant,
        ),
        ("localtimestamp", &[], Kind::LocalTimestamp),
        ("current_date", &["today"], Kind::LocalDate),
        ("localtime", &["current_time"], Kind::LocalTime),
        ("unix_timestamp", &[], Kind::UnixSeconds),
    ]
    .into_iter()
    .map(|(name, aliases, kind)| {
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        let signature = Signature::nullary(volatility);
        Arc::new(ScalarUDF::new_from_impl(Now { name, aliases, kind, clock: Arc::clone(clock), signature }))
    })
    .collect()
}

impl PartialEq for Now {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.signature == other.signature
    }
}

impl Eq for Now {}

impl Hash for Now {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::LocalTimestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::LocalDate => DataType::Date32,
            Kind::LocalTime => DataType::Time64(TimeUnit::Microsecond),
            Kind::UnixSeconds => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let now = DateTime::<Utc>::from_timestamp_millis(self.clock.now_ms()).unwrap_or_default();
        let local = now.with_timezone(&zone(&arguments.config_options)).naive_local();
        Ok(ColumnarValue::Scalar(match self.kind {
            Kind::Instant => ScalarValue::TimestampMicrosecond(Some(now.timestamp_micros()), Some("UTC".into())),
            Kind::LocalTimestamp => ScalarValue::TimestampMicrosecond(Some(local.and_utc().timestamp_micros()), None),
            Kind::LocalDate => {
                let days = local.date().signed_duration_since(chrono::NaiveDate::default()).num_days();
                ScalarValue::Date32(i32::try_from(days).ok())
            }
            Kind::LocalTime => {
                let micros =
                    i64::from(local.num_seconds_from_midnight()) * 1_000_000 + i64::from(local.nanosecond() / 1000);
                ScalarValue::Time64Microsecond(Some(micros))
            }
            Kind::UnixSeconds => ScalarValue::Int64(Some(now.timestamp())),
        }))
    }
}
