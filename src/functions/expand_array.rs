//! `information_schema._pg_expandarray(array)`: the items of an array as rows of what they are (x) and their number (n). The metadata of
//! drivers finds the columns of keys by it. An array of rows here, of which a query makes rows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::entry::{Entry, Maker};
use super::no_such_call;
use crate::data_type::list_of;

/// Its name.
pub const EXPAND_ARRAY: &str = "_pg_expandarray";

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    EXPAND_ARRAY,
    &["anyarray → row"],
    "The items of an array as rows of item (x) and number (n).",
    Maker::Plain(|| {
        Arc::new(ScalarUDF::from(ExpandArray { signature: Signature::user_defined(Volatility::Immutable) }))
    }),
)];

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ExpandArray {
    signature: Signature,
}

fn fields(item: &DataType) -> Fields {
    Fields::from(vec![Field::new("x", item.clone(), true), Field::new("n", DataType::Int32, true)])
}

impl ScalarUDFImpl for ExpandArray {
    fn name(&self) -> &str {
        EXPAND_ARRAY
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)] => {
                Ok(vec![list_of(item.data_type().clone(), true)])
            }
            _ => Err(no_such_call(EXPAND_ARRAY, arguments, "_pg_expandarray(array)")),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [DataType::List(item)] => Ok(list_of(DataType::Struct(fields(item.data_type())), true)),
            _ => Err(no_such_call(EXPAND_ARRAY, arguments, "_pg_expandarray(array)")),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        match &args.args[..] {
            [array] => Ok(ColumnarValue::Array(expanded(&array.clone().into_array(rows)?)?)),
            _ => Err(no_such_call(EXPAND_ARRAY, &[], "_pg_expandarray(array)")),
        }
    }
}

fn expanded(array: &ArrayRef) -> Result<ArrayRef> {
    let lists: &ListArray = array.as_list::<i32>();
    let start = lists.value_offsets().first().copied().unwrap_or(0);
    let lengths = (0..lists.len()).map(|row| usize::try_from(lists.value_length(row)).unwrap_or(0));
    let numbers: Int32Array =
        lengths.clone().flat_map(|length| 1..=i32::try_from(length).unwrap_or(i32::MAX)).collect();
    let items = lists.values().slice(usize::try_from(start).unwrap_or(0), numbers.len());
    let fields = fields(items.data_type());
    let rows = StructArray::try_new(fields.clone(), vec![items, Arc::new(numbers)], None)?;
    let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(rows), lists.nulls().cloned())?))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Int16Type;

    use super::*;

    #[test]
    fn items_are_numbered_from_one_in_slices_too() {
        let lists = ListArray::from_iter_primitive::<Int16Type, _, _>([
            Some(vec![Some(7)]),
            Some(vec![Some(3), None]),
            None,
            Some(vec![Some(5)]),
        ]);
        let lists: ArrayRef = Arc::new(lists.slice(1, 3));
        let found = expanded(&lists).unwrap();
        let found = found.as_list::<i32>();
        let shown: Vec<Option<usize>> = (0..3).map(|row| found.is_valid(row).then(|| found.value(row).len())).collect();
        assert_eq!(shown, [Some(2), None, Some(1)]);
        let numbers: Vec<i32> = found
            .values()
            .as_struct()
            .column(1)
            .as_primitive::<datafusion::arrow::datatypes::Int32Type>()
            .values()
            .to_vec();
        assert_eq!(numbers, [1, 2, 1]);
    }
}
