use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, Float64Array, Int32Array, Int64Array,
    StringArray,
};
use datafusion::arrow::datatypes::i256;
use proptest::prelude::*;

use super::*;

fn key(columns: &[ArrayRef]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in columns {
        put(column.as_ref(), column.len() - 1, &mut bytes).unwrap();
    }
    bytes
}

/// A key of one column that does not begin at the first value of its buffer.
fn of<A: Array + 'static>(array: A) -> Vec<u8> {
    let array: ArrayRef = Arc::new(array);
    key(&[array.slice(1, array.len() - 1)])
}

proptest! {
    #[test]
    fn keys_are_in_the_order_of_their_values(
        (a, b) in any::<(i32, i32)>(),
        (text_a, text_b) in (".{0,5}", ".{0,5}"),
        (bytes_a, bytes_b) in (proptest::collection::vec(0_u8..3, 0..5), proptest::collection::vec(0_u8..3, 0..5)),
        (wide_a, wide_b) in any::<(i128, i128)>(),
        (float_a, float_b) in any::<(f64, f64)>(),
    ) {
        prop_assert_eq!(a.cmp(&b), of(Int32Array::from(vec![7, a])).cmp(&of(Int32Array::from(vec![7, b]))));
        let text = |text: &str| of(StringArray::from(vec!["x", text]));
        prop_assert_eq!(text_a.as_bytes().cmp(text_b.as_bytes()), text(&text_a).cmp(&text(&text_b)));
        let bytes = |bytes: &[u8]| of(BinaryArray::from(vec![&b"x"[..], bytes]));
        prop_assert_eq!(bytes_a.cmp(&bytes_b), bytes(&bytes_a).cmp(&bytes(&bytes_b)));
        let wide = |number: i128| of(Decimal128Array::from(vec![0, number]));
        prop_assert_eq!(wide_a.cmp(&wide_b), wide(wide_a).cmp(&wide(wide_b)));
        let widest = |number: i128| of(Decimal256Array::from(vec![i256::ZERO, i256::from_i128(number)]));
        prop_assert_eq!(wide_a.cmp(&wide_b), widest(wide_a).cmp(&widest(wide_b)));
        let float = |number: f64| of(Float64Array::from(vec![0.0, number]));
        if let Some(order) = float_a.partial_cmp(&float_b) {
            prop_assert_eq!(order, float(float_a).cmp(&float(float_b)));
        }
    }

    #[test]
    fn a_first_column_decides_whatever_comes_behind_it(
        (a, b) in ("[a\0]{0,3}", "[a\0]{0,3}"), (m, n) in any::<(i64, i64)>(),
    ) {
        let both = |text: &str, number: i64| {
            key(&[Arc::new(StringArray::from(vec![text])), Arc::new(Int64Array::from(vec![number]))])
        };
        prop_assert_eq!((a.as_bytes(), m).cmp(&(b.as_bytes(), n)), both(&a, m).cmp(&both(&b, n)));
    }
}

#[test]
fn equal_floats_have_one_key() {
    let float = |number: f64| of(Float64Array::from(vec![1.0, number]));
    assert_eq!(float(0.0), float(-0.0));
    assert_eq!(float(f64::NAN), float(-f64::NAN));
    assert!(float(f64::NAN) > float(f64::INFINITY));
}

#[test]
fn stored_keys_stay_as_they_are() {
    assert_eq!(of(Int32Array::from(vec![0, 1])), [0x80, 0, 0, 1]);
    assert_eq!(of(Int32Array::from(vec![0, -2])), [0x7f, 0xff, 0xff, 0xfe]);
    assert_eq!(of(StringArray::from(vec!["", "ab"])), [b'a', b'b', 0, 0]);
    assert_eq!(of(BinaryArray::from(vec![&b""[..], b"\0"])), [0, 0xff, 0, 0]);
    assert_eq!(of(BooleanArray::from(vec![false, true])), [1]);
    assert_eq!(of(Float64Array::from(vec![0.0, 1.0])), [0xbf, 0xf0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn types_without_an_order_are_no_keys() {
    let list = crate::data_type::parse("INT[]").unwrap();
    let error = check_type("a", &list).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::FeatureNotSupported);
    assert!(check_type("a", &DataType::Date32).is_ok());
}
