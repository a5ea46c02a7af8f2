use datafusion::arrow::datatypes::DataType;

use super::*;

#[test]
fn parts_come_back_from_columns_and_from_bytes() {
    let texts = Codec::new(&[DataType::Utf8, DataType::Int32]).unwrap();
    let row = texts.encode(&[Arc::new(datafusion::arrow::array::StringArray::from(vec!["a"])), int32(7)]).unwrap();
    let codec = (texts, (Time, Count));
    let part = (Encoded::from(row.row(0)), (-5, 3));
    let columns = codec.columns([Some(&part), None].into_iter()).unwrap();
    let nulls: Vec<usize> = columns.iter().map(|column| column.null_count()).collect();
    assert_eq!((codec.width(), nulls), (4, vec![1; 4]));
    assert_eq!(codec.parts(&columns, 2).unwrap()[0], part);
    assert!(codec.parts(&columns[..1], 2).is_err() && Sequence.parts(&[], 2).is_err());
    let mut bytes = Vec::new();
    <(Codec, (Time, Count))>::put(&part, &mut bytes);
    assert_eq!(<(Codec, (Time, Count))>::take(&mut &bytes[..]), Some(part));
    assert_eq!(<(Codec, (Time, Count))>::take(&mut &bytes[..bytes.len() - 1]), None);
}

fn int32(value: i32) -> ArrayRef {
    Arc::new(datafusion::arrow::array::Int32Array::from(vec![value]))
}
