use datafusion::arrow::datatypes::{DataType, i256};

use super::{product, product_type};

fn ten_to(exponent: u32) -> i256 {
    i256::from_i128(10).checked_pow(exponent).unwrap()
}

#[test]
fn products_keep_their_places_while_there_is_room() {
    let of = |left, right| product_type(&left, &right).unwrap();
    assert_eq!(of(DataType::Decimal128(20, 10), DataType::Decimal128(20, 10)), DataType::Decimal256(41, 20));
    assert_eq!(of(DataType::Decimal128(38, 18), DataType::Decimal128(38, 18)), DataType::Decimal256(76, 36));
    assert_eq!(of(DataType::Decimal256(76, 36), DataType::Decimal128(38, 18)), DataType::Decimal256(76, 38));
    assert_eq!(of(DataType::Decimal128(38, 0), DataType::Decimal128(38, 0)), DataType::Decimal256(76, 0));
}

#[test]
fn what_is_cut_is_rounded_also_where_the_way_is_wider_than_256_bits() {
    let of = |a: i128, b: i128, cut| product(i256::from_i128(a), i256::from_i128(b), ten_to(cut)).unwrap();
    assert_eq!(of(15, 3, 1), i256::from_i128(5));
    assert_eq!(of(-15, 3, 1), i256::from_i128(-5));
    assert_eq!(of(11, 4, 1), i256::from_i128(4));
    // (10^50 + 5) · 10^36 / 10^37, and the same with a rest that is a half.
    let a = ten_to(50).checked_add(i256::from_i128(5)).unwrap();
    let expected = ten_to(49).checked_add(i256::ONE).unwrap();
    assert_eq!(product(a, ten_to(36), ten_to(37)), Some(expected));
    assert_eq!(product(a.wrapping_neg(), ten_to(36), ten_to(37)), Some(expected.wrapping_neg()));
    assert_eq!(product(ten_to(70), ten_to(70), ten_to(38)), None);
}
