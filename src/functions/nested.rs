//! Types whose values are made of others: arrays, maps and rows.

use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::DataType;

/// Whether values of a type are made of others.
pub(crate) fn is_nested(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Struct(_) | DataType::Map(..)) || data_type.is_list()
}

/// Whether values of one type can be cast to another one: both hold the same kinds of others, as many in each row.
pub(crate) fn fits(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Null, _) => true,
        (DataType::Struct(from), DataType::Struct(to)) => {
            from.len() == to.len() && from.iter().zip(to).all(|(from, to)| fits(from.data_type(), to.data_type()))
        }
        (
            DataType::List(from) | DataType::LargeList(from) | DataType::FixedSizeList(from, _),
            DataType::List(to) | DataType::LargeList(to) | DataType::FixedSizeList(to, _),
        )
        | (DataType::Map(from, _), DataType::Map(to, _)) => fits(from.data_type(), to.data_type()),
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, DataType::List(_)) => true,
        (_, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => true,
        (from, to) => !is_nested(from) && !is_nested(to) && can_cast_types(from, to),
    }
}
