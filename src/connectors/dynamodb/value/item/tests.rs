use super::*;
use crate::connectors::dynamodb::value::encode::encode;
use datafusion::arrow::array::*;
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{Fields, Int32Type, Schema, i256};
use proptest::prelude::*;

fn decode(data_type: &DataType, values: &[Option<AttributeValue>]) -> Result<ArrayRef, Mismatch> {
    let cells: Vec<_> = values.iter().enumerate().map(|(row, value)| Cell::new(row, value.as_ref())).collect();
    decode_column(data_type, &cells)
}

fn round_trip(array: ArrayRef) {
    check_type(array.data_type()).unwrap();
    let values: Vec<_> = (0..array.len()).map(|row| encode(&array, row).unwrap()).collect();
    let back = decode(array.data_type(), &values).unwrap();
    assert_eq!(&back, &array, "{values:?}");
}

#[test]
fn every_type_comes_back() {
    round_trip(Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])));
    round_trip(Arc::new(Int8Array::from(vec![Some(i8::MIN), None])));
    round_trip(Arc::new(Int16Array::from(vec![Some(i16::MAX), None])));
    round_trip(Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(7)])));
    round_trip(Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None])));
    round_trip(Arc::new(Float32Array::from(vec![Some(19.99), None, Some(f32::MIN_POSITIVE)])));
    round_trip(Arc::new(Float64Array::from(vec![Some(0.1), None, Some(-1.5e-7)])));
    round_trip(Arc::new(StringArray::from(vec![Some("é"), None, Some("")])));
    round_trip(Arc::new(StringViewArray::from(vec![Some("a"), None])));
    round_trip(Arc::new(BinaryArray::from(vec![Some(b"\x00\xff".as_slice()), None])));
    round_trip(Arc::new(Date32Array::from(vec![Some(19_723), None, Some(-1)])));
    round_trip(Arc::new(Time32MillisecondArray::from(vec![Some(1), None])));
    round_trip(Arc::new(Time64MicrosecondArray::from(vec![Some(86_399_999_999), None])));
    round_trip(Arc::new(TimestampSecondArray::from(vec![Some(1), None])));
    round_trip(Arc::new(TimestampMillisecondArray::from(vec![Some(1_704_103_200_500), None])));
    round_trip(Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None]).with_timezone("UTC")));
    round_trip(Arc::new(TimestampNanosecondArray::from(vec![Some(1), None]).with_timezone("+00:00")));
    round_trip(Arc::new(
        Decimal128Array::from(vec![Some(-12_345), None, Some(0)]).with_precision_and_scale(10, 2).unwrap(),
    ));
    round_trip(Arc::new(
        Decimal256Array::from(vec![Some(i256::from_i128(10i128.pow(37))), None])
            .with_precision_and_scale(60, 20)
            .unwrap(),
    ));
    round_trip(Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), None, Some(3)]),
        None,
        Some(vec![]),
    ])));
    let fields = Fields::from(vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)]);
    round_trip(Arc::new(StructArray::new(
        fields,
        vec![Arc::new(Int32Array::from(vec![Some(1), None])), Arc::new(StringArray::from(vec![None, None::<&str>]))],
        Some(NullBuffer::from(vec![true, false])),
    )));
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("a");
    map.values().append_value(1);
    map.keys().append_value("b");
    map.values().append_null();
    map.append(true).unwrap();
    map.append(false).unwrap();
    round_trip(Arc::new(map.finish()));
    let _ = Schema::empty();
}

#[test]
fn sets_read_as_arrays() {
    let strings = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let read = decode(&strings, &[Some(AttributeValue::Ss(vec!["a".into(), "b".into()])), None]).unwrap();
    assert_eq!(read.as_list::<i32>().value(0).as_string::<i32>().value(1), "b");
    assert!(read.is_null(1));
    let numbers = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
    let read = decode(&numbers, &[Some(AttributeValue::Ns(vec!["1".into(), "2".into()]))]).unwrap();
    assert_eq!(read.as_list::<i32>().value(0).as_primitive::<Int32Type>().values(), &[1, 2]);
    let bytes = DataType::List(Arc::new(Field::new("item", DataType::Binary, true)));
    decode(&bytes, &[Some(AttributeValue::Bs(vec![Blob::new("x")]))]).unwrap();
}

#[test]
fn an_epoch_number_reads_as_timestamp() {
    let read = decode(
        &DataType::Timestamp(TimeUnit::Millisecond, None),
        &[Some(AttributeValue::N("1704103200".into())), Some(AttributeValue::N("1704103200.5".into()))],
    )
    .unwrap();
    assert_eq!(read.as_primitive::<TimestampMillisecondType>().values(), &[1_704_103_200_000, 1_704_103_200_500]);
}

#[test]
fn a_mismatch_says_what_was_found() {
    let error = |data_type, value| decode(&data_type, &[None, Some(value)]).unwrap_err();
    let found = error(DataType::Int32, AttributeValue::S("abc".into()));
    assert_eq!(found, Mismatch { row: 1, message: "the value is S 'abc', which is no INT".into() });
    error(DataType::Int32, AttributeValue::N("1.5".into()));
    error(DataType::Int32, AttributeValue::N("2147483648".into()));
    error(DataType::Decimal128(5, 2), AttributeValue::N("1.234".into()));
    error(DataType::Utf8, AttributeValue::Bool(true));
    error(DataType::Boolean, AttributeValue::S("true".into()));
    error(DataType::Date32, AttributeValue::S("soon".into()));
}

proptest! {
    #[test]
    fn decimals_come_back(unscaled in any::<i128>(), scale in 0i8..=38) {
        let unscaled = unscaled % 10i128.pow(38);
        let array = Decimal128Array::from(vec![unscaled]).with_precision_and_scale(38, scale).unwrap();
        round_trip(Arc::new(array));
    }
}
