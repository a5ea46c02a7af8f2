use datafusion::arrow::datatypes::i256;

use super::rounded_quotient;

#[test]
fn halves_go_away_from_zero() {
    let divide =
        |left: i128, right: i128| rounded_quotient(i256::from_i128(left), i256::from_i128(right)).unwrap().to_i128();
    assert_eq!(divide(5, 2), Some(3));
    assert_eq!(divide(-5, 2), Some(-3));
    assert_eq!(divide(5, -2), Some(-3));
    assert_eq!(divide(4, 3), Some(1));
    assert_eq!(divide(-2, 3), Some(-1));
    let far = i256::from_i128(10).checked_pow(60).unwrap();
    assert_eq!(
        rounded_quotient(far.checked_mul(i256::from_i128(5)).unwrap(), far.checked_mul(i256::from_i128(2)).unwrap()),
        Some(i256::from_i128(3))
    );
}
