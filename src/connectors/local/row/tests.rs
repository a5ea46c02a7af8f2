use datafusion::arrow::array::{
    BinaryArray, BooleanArray, Decimal256Array, Float32Array, Int16Array, Int32Array, ListArray, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Int32Type, i256};
use proptest::prelude::*;

use super::*;

type Values = (
    Option<bool>,
    Option<i16>,
    Option<f32>,
    Option<i128>,
    Option<String>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<Vec<Option<i32>>>,
);

fn batch(rows: &[Values]) -> RecordBatch {
    let decimals = rows.iter().map(|row| row.3.map(i256::from_i128)).collect::<Decimal256Array>();
    let columns: [(&str, ArrayRef); 8] = [
        ("a", Arc::new(rows.iter().map(|row| row.0).collect::<BooleanArray>())),
        ("b", Arc::new(rows.iter().map(|row| row.1).collect::<Int16Array>())),
        ("c", Arc::new(rows.iter().map(|row| row.2).collect::<Float32Array>())),
        ("d", Arc::new(decimals.with_precision_and_scale(76, 38).unwrap())),
        ("e", Arc::new(rows.iter().map(|row| row.4.clone()).collect::<StringArray>())),
        ("f", Arc::new(rows.iter().map(|row| row.5.as_deref()).collect::<BinaryArray>())),
        ("g", Arc::new(rows.iter().map(|row| row.6).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))),
        ("h", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows.iter().map(|row| row.7.clone())))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn decoded(rows: &RecordBatch, projection: &[usize]) -> RecordBatch {
    let mut decoder = Decoder::new(&rows.schema(), projection).unwrap();
    for row in 0..rows.num_rows() {
        decoder.push(&encode(rows, row).unwrap()).unwrap();
    }
    decoder.finish().unwrap()
}

proptest! {
    #[test]
    fn rows_come_back_as_they_were(rows in proptest::collection::vec(any::<Values>(), 0..5), skipped in 0_usize..3) {
        let rows = batch(&rows);
        let rows = rows.slice(skipped.min(rows.num_rows()), rows.num_rows().saturating_sub(skipped));
        // Bits of floats that are no numbers, too.
        let text = |rows: &RecordBatch| format!("{rows:?}");
        prop_assert_eq!(text(&decoded(&rows, &[0, 1, 2, 3, 4, 5, 6, 7])), text(&rows));
        prop_assert_eq!(text(&decoded(&rows, &[7, 4, 0])), text(&rows.project(&[7, 4, 0]).unwrap()));
        prop_assert_eq!(decoded(&rows, &[]).num_rows(), rows.num_rows());
    }

    #[test]
    fn other_bytes_are_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let schema = batch(&[]).schema();
        let mut decoder = Decoder::new(&schema, &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
        let read = [&[VERSION][..], &bytes].concat();
        if decoder.push(&read).is_ok() {
            let _ = decoder.finish();
        }
    }
}

#[test]
fn stored_rows_stay_as_they_are() {
    let columns: [(&str, ArrayRef); 3] = [
        ("a", Arc::new(Int32Array::from(vec![1]))),
        ("b", Arc::new(StringArray::from(vec!["ab"]))),
        ("c", Arc::new(BooleanArray::from(vec![None]))),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
    assert_eq!(encode(&rows, 0).unwrap(), [1, 1, 1, 0, 0, 0, 1, 2, 0, 0, 0, b'a', b'b', 0]);
}

#[test]
fn a_text_that_is_none_is_an_error() {
    let schema = Schema::new(vec![Field::new("a", DataType::Utf8, true)]);
    let mut decoder = Decoder::new(&schema, &[0]).unwrap();
    decoder.push(&[1, 1, 1, 0, 0, 0, 0xff]).unwrap();
    assert_eq!(decoder.finish().unwrap_err().kind(), crate::error::ErrorKind::Corrupt);
}
