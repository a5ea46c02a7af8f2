use datafusion::arrow::datatypes::DataType;

use super::quotient_type;

#[test]
fn quotients_have_the_places_of_flink_and_every_digit_before_the_point() {
    let of = |left, right| quotient_type(&left, &right).unwrap();
    assert_eq!(of(DataType::Decimal128(10, 0), DataType::Decimal128(2, 1)), DataType::Decimal128(17, 6));
    assert_eq!(of(DataType::Decimal128(10, 2), DataType::Decimal128(10, 0)), DataType::Decimal128(21, 13));
    assert_eq!(of(DataType::Decimal128(38, 0), DataType::Decimal128(38, 0)), DataType::Decimal256(76, 38));
    assert_eq!(of(DataType::Decimal128(38, 18), DataType::Decimal128(38, 18)), DataType::Decimal256(76, 38));
}
