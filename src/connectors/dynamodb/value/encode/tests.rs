use datafusion::arrow::array::{Decimal256Array, Float64Array};
use datafusion::arrow::datatypes::i256;

use super::*;

#[test]
fn what_dynamodb_cannot_hold_is_refused() {
    assert!(encode(&Float64Array::from(vec![f64::NAN]), 0).is_err());
    assert!(encode(&Float64Array::from(vec![f64::NEG_INFINITY]), 0).is_err());
    let wide = Decimal256Array::from(vec![i256::from_string(&"1".repeat(40)).unwrap()])
        .with_precision_and_scale(60, 0)
        .unwrap();
    assert!(encode(&wide, 0).unwrap_err().contains("38"));
}
