use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};

use super::is_assignable;

fn row(types: &[DataType]) -> DataType {
    let fields: Vec<Field> =
        types.iter().enumerate().map(|(at, of)| Field::new(format!("f{at}"), of.clone(), true)).collect();
    DataType::Struct(fields.into())
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

#[test]
fn numbers_go_into_numbers_and_text_and_text_into_text_only() {
    assert!(is_assignable(&DataType::Int64, &DataType::Int32));
    assert!(is_assignable(&DataType::Decimal128(10, 2), &DataType::Float64));
    assert!(is_assignable(&DataType::Int64, &DataType::Utf8));
    assert!(!is_assignable(&DataType::Utf8, &DataType::Int32));
    assert!(!is_assignable(&DataType::Boolean, &DataType::Int32));
    assert!(!is_assignable(&DataType::Int32, &DataType::Boolean));
    assert!(!is_assignable(&DataType::Utf8, &DataType::Binary));
}

#[test]
fn times_go_into_times() {
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, None);
    assert!(is_assignable(&DataType::Date32, &timestamp));
    assert!(is_assignable(&timestamp, &DataType::Date32));
    assert!(!is_assignable(&timestamp, &DataType::Int64));
    assert!(!is_assignable(&DataType::Int64, &timestamp));
    assert!(!is_assignable(&timestamp, &list(timestamp.clone())));
}

#[test]
fn rows_go_by_place_when_each_field_does() {
    let (ints, mixed) = (row(&[DataType::Int32, DataType::Int32]), row(&[DataType::Int64, DataType::Utf8]));
    assert!(is_assignable(&ints, &mixed));
    assert!(!is_assignable(&mixed, &ints));
    assert!(!is_assignable(&ints, &row(&[DataType::Int32])));
    assert!(is_assignable(&list(ints), &list(mixed)));
}
