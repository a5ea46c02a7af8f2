//! array_remove(array, value) and array_replace(array, from, to): every item that is not distinct from the value, NULL among them, as
//! in Postgres and Flink.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, make_comparator};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{SortOptions, interleave};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use super::decimals::is_decimal;
use super::entry::{Entry, Maker};
use super::no_such_call;
use crate::data_type::list_of;

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::public(
        REMOVE,
        &["anyarray, anyelement → anyarray"],
        "The array without the items that are not distinct from the value.",
        Maker::Plain(remove),
    )
    .aliases(&["list_remove"])
    .comparing_items()
    .example("ARRAY_REMOVE(ARRAY[1, 2, 1], 1)", "{2}"),
    Entry::public(
        REPLACE,
        &["anyarray, anyelement, anyelement → anyarray"],
        "The array with the third value in place of the items that are not distinct from the \
         second.",
        Maker::Plain(replace),
    )
    .aliases(&["list_replace"])
    .comparing_items()
    .example("ARRAY_REPLACE(ARRAY[1, 2, 1], 1, 5)", "{5,2,5}"),
];

/// Name of the function that removes items.
pub const REMOVE: &str = "array_remove";
/// Name of the function that replaces items.
pub const REPLACE: &str = "array_replace";

/// `array_remove(array, value)`
pub fn remove() -> Arc<ScalarUDF> {
    make(false)
}

/// `array_replace(array, from, to)`
pub fn replace() -> Arc<ScalarUDF> {
    make(true)
}

fn make(replaces: bool) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(ArrayEdit { signature: Signature::user_defined(Volatility::Immutable), replaces }))
}

/// The type of items and of what stands beside them: a double of floats and decimals.
pub fn common_item(types: &[DataType]) -> Option<DataType> {
    if types.iter().any(DataType::is_floating) && types.iter().any(is_decimal) {
        return types.iter().all(DataType::is_numeric).then_some(DataType::Float64);
    }
    type_union_resolution(types)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ArrayEdit {
    signature: Signature,
    replaces: bool,
}

impl ScalarUDFImpl for ArrayEdit {
    fn name(&self) -> &str {
        if self.replaces { REPLACE } else { REMOVE }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let usage = if self.replaces { "array_replace(array, from, to)" } else { "array_remove(array, value)" };
        let wanted = if self.replaces { 3 } else { 2 };
        let no_such = || no_such_call(self.name(), arguments, usage);
        let Some((first, values)) = arguments.split_first().filter(|_| arguments.len() == wanted) else {
            return Err(no_such());
        };
        let item = match first {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => item.data_type(),
            DataType::Null => &DataType::Null,
            _ => return Err(no_such()),
        };
        let known: Vec<DataType> =
            std::iter::once(item).chain(values).filter(|found| !found.is_null()).cloned().collect();
        let common = match &known[..] {
            [] => DataType::Null,
            [first, rest @ ..] if rest.iter().all(|found| found == first) => first.clone(),
            known => common_item(known).ok_or_else(no_such)?,
        };
        let mut types = vec![list_of(common.clone(), true)];
        types.resize(wanted, common);
        Ok(types)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(self.coerce_types(arguments)?.swap_remove(0))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalars = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if all_scalars { 1 } else { args.number_rows };
        let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let edited = match &arrays[..] {
            [lists, from] => edit(lists.as_list::<i32>(), from, None)?,
            [lists, from, to] => edit(lists.as_list::<i32>(), from, Some(to))?,
            _ => return Err(no_such_call(self.name(), &[], "it with an array and values")),
        };
        Ok(if all_scalars {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&edited, 0)?)
        } else {
            ColumnarValue::Array(edited)
        })
    }
}

/// Lists whose items that are `from` are `to`, or gone.
fn edit(lists: &ListArray, from: &ArrayRef, to: Option<&ArrayRef>) -> Result<ArrayRef> {
    let items = lists.values();
    let compare = make_comparator(items, from, SortOptions::default())?;
    let mut kept = Vec::with_capacity(items.len());
    let mut lengths = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let before = kept.len();
        if lists.is_valid(row) {
            let offsets = lists.value_offsets();
            let (start, end) = (offsets[row], offsets[row + 1]);
            for item in usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0) {
                match (compare(item, row), to) {
                    (Ordering::Equal, Some(_)) => kept.push((1, row)),
                    (Ordering::Equal, None) => {}
                    _ => kept.push((0, item)),
                }
            }
        }
        lengths.push(kept.len() - before);
    }
    let sources: Vec<&dyn Array> = match to {
        Some(to) => vec![items.as_ref(), to.as_ref()],
        None => vec![items.as_ref()],
    };
    let values = interleave(&sources, &kept)?;
    let DataType::List(item) = lists.data_type() else {
        return Err(crate::error::Error::internal("a list without items").into());
    };
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(item.clone(), offsets, values, lists.nulls().cloned())?))
}
