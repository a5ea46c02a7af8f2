use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::logical_expr::{Signature, Volatility};

use super::{Kind, Rounding};

fn of(kind: Kind) -> Rounding {
    Rounding { kind, signature: Signature::user_defined(Volatility::Immutable) }
}

fn decimals(kind: Kind, values: Vec<i128>, places: Option<i64>) -> Vec<String> {
    let numbers: ArrayRef = Arc::new(Decimal128Array::from(values).with_precision_and_scale(6, 3).unwrap());
    let mut arguments = vec![numbers.clone()];
    arguments.extend(places.map(|places| Arc::new(Int64Array::from(vec![places; numbers.len()])) as ArrayRef));
    let result = of(kind).result(numbers.data_type(), places.is_some());
    let rounded = of(kind).evaluate(&arguments, &result).unwrap();
    (0..rounded.len()).map(|row| rounded.as_primitive::<Decimal128Type>().value_as_string(row)).collect()
}

#[test]
fn decimals_go_down_up_and_towards_zero() {
    let values = || vec![1_500, -1_500, 2_000, -999_999, 999_999, 0, 1];
    assert_eq!(decimals(Kind::Floor, values(), None), ["1", "-2", "2", "-1000", "999", "0", "0"]);
    assert_eq!(decimals(Kind::Ceil, values(), None), ["2", "-1", "2", "-999", "1000", "0", "1"]);
    assert_eq!(decimals(Kind::Trunc, values(), None), ["1", "-1", "2", "-999", "999", "0", "0"]);
    assert_eq!(decimals(Kind::Sign, values(), None), ["1", "-1", "1", "-1", "1", "0", "1"]);
    assert_eq!(decimals(Kind::Trunc, vec![2_567, -2_567], Some(1)), ["2.500", "-2.500"]);
    assert_eq!(decimals(Kind::Trunc, vec![456_789], Some(-2)), ["400.000"]);
    assert_eq!(decimals(Kind::Trunc, vec![456_789], Some(i64::MIN)), ["0.000"]);
    assert_eq!(decimals(Kind::Trunc, vec![456_789], Some(i64::MAX)), ["456.789"]);
}

#[test]
fn whole_numbers_stay_what_they_are() {
    let far = i64::MAX - 1;
    for kind in [Kind::Floor, Kind::Ceil, Kind::Trunc] {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(far), None, Some(i64::MIN)]));
        let rounded = of(kind).evaluate(&[numbers], &DataType::Int64).unwrap();
        let rounded: Vec<Option<i64>> = rounded.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(rounded, [Some(far), None, Some(i64::MIN)]);
    }
}
