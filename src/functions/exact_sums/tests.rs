use datafusion::arrow::datatypes::{DataType, i256};

use super::{average, average_of};
use crate::data_type::unconstrained_numeric;

fn wide(value: i128) -> i256 {
    i256::from_i128(value)
}

#[test]
fn averages_of_decimals_are_rounded_half_up() {
    let result = average_of(&DataType::Decimal128(10, 2)).unwrap();
    assert_eq!(result, DataType::Decimal128(14, 6));
    assert_eq!(average(wide(5), 3, &result, 2), Some(wide(16_667)));
    assert_eq!(average(wide(-5), 3, &result, 2), Some(wide(-16_667)));
    assert_eq!(average(wide(1), 8, &DataType::Decimal128(10, 2), 0), Some(wide(13)));
}

#[test]
fn averages_keep_every_digit_before_the_point() {
    assert_eq!(average_of(&DataType::Decimal128(38, 0)), Some(DataType::Decimal256(44, 6)));
    assert_eq!(average_of(&DataType::Decimal128(38, 10)), Some(DataType::Decimal256(42, 14)));
    assert_eq!(average_of(&DataType::Decimal256(76, 0)), Some(DataType::Decimal256(76, 0)));
    assert_eq!(average_of(&unconstrained_numeric()), Some(unconstrained_numeric()));
}

#[test]
fn averages_of_whole_numbers_have_twenty_places() {
    let result = average_of(&DataType::Int64).unwrap();
    let third = average(wide(1), 3, &result, 0).unwrap();
    assert_eq!(third.to_string(), format!("{}{}", "3".repeat(20), "0".repeat(18)));
    let large = average(wide(i128::from(i64::MAX)), 1, &result, 0).unwrap();
    assert_eq!(large.to_string(), format!("{}{}", i64::MAX, "0".repeat(38)));
}
