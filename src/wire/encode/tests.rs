//! Values of every type as text and in binary.

use std::sync::Arc;

use bytes::BytesMut;
use datafusion::arrow::array::*;
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, IntervalMonthDayNano, Schema, i256};

use super::RowFormat;
use crate::wire::text::{Style, Zone};

/// The first row's value, its oid, as text and as hexadecimal of the binary form.
fn encoded(array: ArrayRef) -> (u32, String, String) {
    let schema = Schema::new(vec![Field::new("x", array.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![array]).unwrap();
    let style = Style { zone: Zone::parse("Asia/Shanghai") };
    let value = |format: i16| {
        let format = RowFormat::new(&schema, &[format], style).unwrap();
        let mut out = BytesMut::new();
        format.rows(&batch).unwrap().write_next(&mut out).unwrap();
        assert_eq!(out[0], b'D');
        assert_eq!(u32::from_be_bytes(out[1..5].try_into().unwrap()) as usize, out.len() - 1);
        let length = i32::from_be_bytes(out[7..11].try_into().unwrap());
        assert_eq!(usize::try_from(length.max(0)).unwrap(), out.len() - 11);
        (format.columns[0].pg_type.oid, if length < 0 { None } else { Some(out[11..].to_vec()) })
    };
    let (oid, text) = value(0);
    let binary = value(1).1.map_or("null".to_owned(), |bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    (oid, text.map_or("null".to_owned(), |text| String::from_utf8(text).unwrap()), binary)
}

fn check(array: impl Array + 'static, oid: u32, text: &str, binary: &str) {
    assert_eq!(encoded(Arc::new(array)), (oid, text.to_owned(), binary.to_owned()));
}

#[test]
fn scalars() {
    check(BooleanArray::from(vec![true]), 16, "t", "01");
    check(Int8Array::from(vec![-1]), 21, "-1", "ffff");
    check(Int16Array::from(vec![2]), 21, "2", "0002");
    check(Int32Array::from(vec![3]), 23, "3", "00000003");
    check(Int64Array::from(vec![4]), 20, "4", "0000000000000004");
    check(UInt16Array::from(vec![5]), 23, "5", "00000005");
    check(UInt32Array::from(vec![6]), 26, "6", "00000006");
    check(UInt64Array::from(vec![7]), 20, "7", "0000000000000007");
    check(Float32Array::from(vec![1e6]), 700, "1e+06", "49742400");
    check(Float64Array::from(vec![0.1]), 701, "0.1", "3fb999999999999a");
    check(StringArray::from(vec!["ü"]), 25, "ü", "c3bc");
    check(LargeStringArray::from(vec!["a"]), 25, "a", "61");
    check(StringViewArray::from(vec!["a"]), 25, "a", "61");
    check(BinaryArray::from(vec![&b"\x01\xff"[..]]), 17, "\\x01ff", "01ff");
    check(FixedSizeBinaryArray::try_from_iter([[1_u8, 2]].iter()).unwrap(), 17, "\\x0102", "0102");
    check(NullArray::new(1), 25, "null", "null");
    check(Int32Array::from(vec![None]), 23, "null", "null");
    let dictionary: DictionaryArray<datafusion::arrow::datatypes::Int32Type> = vec!["b"].into_iter().collect();
    check(dictionary, 25, "b", "62");
}

#[test]
fn unsigned_64_past_int8_is_an_error() {
    let array: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    let schema = Schema::new(vec![Field::new("x", DataType::UInt64, true)]);
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![array]).unwrap();
    let format = RowFormat::new(&schema, &[], Style { zone: Zone::Fixed(0) }).unwrap();
    assert_eq!(format.rows(&batch).unwrap_err().sqlstate().code(), "22003");
}

#[test]
fn numerics() {
    let with_scale = |value: i128, precision, scale| {
        Decimal128Array::from(vec![value]).with_precision_and_scale(precision, scale).unwrap()
    };
    check(with_scale(-12_345_600, 10, 4), 1700, "-1234.5600", "000200004000000404d215e0");
    check(with_scale(0, 10, 2), 1700, "0.00", "0000000000000002");
    check(with_scale(5, 10, 6), 1700, "0.000005", "0001fffe0000000601f4");
    let free = Decimal256Array::from(vec![i256::from_i128(5) * i256::from_i128(10_i128.pow(37))])
        .with_precision_and_scale(76, 38)
        .unwrap();
    check(free, 1700, "0.5", "0001ffff000000011388");
}

#[test]
fn dates_and_times() {
    check(Date32Array::from(vec![19_782]), 1082, "2024-02-29", "00002279");
    check(Date64Array::from(vec![19_782 * 86_400_000]), 1082, "2024-02-29", "00002279");
    check(Time32SecondArray::from(vec![3661]), 1083, "01:01:01", "00000000da366d40");
    check(TimestampMillisecondArray::from(vec![946_684_800_001]), 1114, "2000-01-01 00:00:00.001", "00000000000003e8");
    check(
        TimestampSecondArray::from(vec![946_684_800]).with_timezone("UTC"),
        1184,
        "2000-01-01 08:00:00+08",
        "0000000000000000",
    );
    check(
        IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, 3_000_000_000)]),
        1186,
        "1 mon 2 days 00:00:03",
        "00000000002dc6c00000000200000001",
    );
    check(IntervalYearMonthArray::from(vec![12]), 1186, "1 year", "0000000000000000000000000000000c");
    check(DurationSecondArray::from(vec![1]), 1186, "00:00:01", "00000000000f42400000000000000000");
}

#[test]
fn lists_are_arrays() {
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("a"), Some("b \"c\""), None, Some(""), Some("NULL")]);
    let (oid, text, binary) = encoded(Arc::new(list.finish()));
    assert_eq!((oid, text.as_str()), (1009, r#"{a,"b \"c\"",NULL,"","NULL"}"#));
    assert!(binary.starts_with("00000001000000010000001900000005000000010000000161"));
    let mut empty = ListBuilder::new(Int32Builder::new());
    empty.append(true);
    check(empty.finish(), 1007, "{}", "000000000000000000000017");
    let inner = ListArray::from_iter_primitive::<datafusion::arrow::datatypes::Int32Type, _, _>([
        Some([Some(1), Some(2)]),
        Some([Some(3), Some(4)]),
    ]);
    let field = Arc::new(Field::new_list_field(inner.data_type().clone(), true));
    let nested = ListArray::new(field, OffsetBuffer::from_lengths([2]), Arc::new(inner), None);
    let (oid, text, binary) = encoded(Arc::new(nested));
    assert_eq!((oid, text.as_str()), (1007, "{{1,2},{3,4}}"));
    assert!(binary.starts_with("00000002000000000000001700000002000000010000000200000001"));
}

#[test]
fn structs_and_maps_are_documents() {
    let fields = vec![
        (Arc::new(Field::new("a", DataType::Int32, true)), Arc::new(Int32Array::from(vec![1])) as ArrayRef),
        (Arc::new(Field::new("b \"", DataType::Utf8, true)), Arc::new(StringArray::from(vec![None::<&str>]))),
    ];
    let (oid, text, binary) = encoded(Arc::new(StructArray::from(fields)));
    assert_eq!((oid, text.as_str()), (3802, r#"{"a": 1, "b \"": null}"#));
    assert!(binary.starts_with("017b"));
    let mut map = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1.5);
    map.append(true).unwrap();
    assert_eq!(encoded(Arc::new(map.finish())).1, r#"{"k": 1.5}"#);
}
