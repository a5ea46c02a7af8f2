use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{TimestampMicrosecondType, TimestampNanosecondType};

use super::{rounded, saturated};

fn round(micros: i64, digits: u32) -> i64 {
    let values: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![micros]));
    rounded(&values, digits).unwrap().as_primitive::<TimestampMicrosecondType>().value(0)
}

#[test]
fn halves_are_rounded_up_also_before_1970() {
    assert_eq!(round(1_499_999, 0), 1_000_000);
    assert_eq!(round(1_500_000, 0), 2_000_000);
    assert_eq!(round(-1_500_000, 0), -1_000_000);
    assert_eq!(round(-1_500_001, 0), -2_000_000);
    assert_eq!(round(123_456, 3), 123_000);
    assert_eq!(round(123_500, 3), 124_000);
    assert_eq!(round(123_456, 6), 123_456);
    assert_eq!(round(150_000, 1), 200_000);
}

#[test]
fn what_nanoseconds_cannot_hold_is_the_first_or_last_of_them() {
    let far = 253_402_214_400_000_000;
    let values: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, far, -far]));
    let nanos = saturated(&values).unwrap();
    assert_eq!(nanos.as_primitive::<TimestampNanosecondType>().values(), &[1_000, i64::MAX, i64::MIN]);
}
