//! Expiry: which items are past their time though DynamoDB has not deleted them yet, and what the writer stores for it.
//! The TTL attribute is an N of epoch seconds; anything else in it never expires, as in DynamoDB.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::DataType;

use super::value::encode::timestamp;
use super::value::item::Item;
use super::value::number::Number;

/// Whether an item's time is over.
pub fn is_expired(item: &Item, attribute: &str, now_ms: i64) -> bool {
    match item.get(attribute) {
        Some(AttributeValue::N(text)) => Number::parse(text)
            .and_then(|seconds| seconds.floor_scaled(3))
            .is_some_and(|expires_ms| expires_ms <= i128::from(now_ms)),
        _ => false,
    }
}

/// A timestamp column's value as epoch seconds; a timestamp without a zone is one of `time_zone`. `None` for NULL.
pub fn epoch_seconds(array: &dyn Array, row: usize, time_zone: Tz) -> Option<i64> {
    let (seconds, _) = timestamp(array, row)?;
    match array.data_type() {
        DataType::Timestamp(_, None) => {
            Some(local_to_epoch(DateTime::from_timestamp(seconds, 0)?.naive_utc(), time_zone))
        }
        _ => Some(seconds),
    }
}

fn local_to_epoch(local: NaiveDateTime, time_zone: Tz) -> i64 {
    match time_zone.from_local_datetime(&local) {
        LocalResult::Single(at) => at.timestamp(),
        // Of an hour that is there twice, the earlier.
        LocalResult::Ambiguous(at, _) => at.timestamp(),
        // In an hour that is left out: as if the clock had not been put forward.
        LocalResult::None => match time_zone.from_local_datetime(&(local - TimeDelta::hours(1))).earliest() {
            Some(before) => before.timestamp() + 3600,
            None => local.and_utc().timestamp(),
        },
    }
}

#[cfg(test)]
mod tests;
