//! SPLIT_INDEX(text, delimiter, index): one part of a text, as in Flink. NULL where there is no such part.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, no_such_call};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    "split_index",
    &["text, text, bigint → text", "text, bigint, bigint → text"],
    "The part of that number, from 0, of a text that is split at a delimiter, or at the \
         character of a code; NULL if there is none.",
    Maker::Plain(split_index),
)
.example("SPLIT_INDEX('a,b,c', ',', 1)", "b")];

/// The function.
pub fn split_index() -> Arc<ScalarUDF> {
    ColumnFunction::udf("split_index", Volatility::Immutable, coerce, DataType::Utf8, evaluate)
}

fn coerce(arguments: &[DataType]) -> Result<Vec<DataType>> {
    let [_, delimiter, index] = arguments else {
        return Err(no_such_call("split_index", arguments, "SPLIT_INDEX(text, delimiter, index)"));
    };
    if !(index.is_integer() || index.is_null()) {
        return Err(no_such_call("split_index", arguments, "SPLIT_INDEX(text, delimiter, index)"));
    }
    let delimiter = if delimiter.is_integer() { DataType::Int64 } else { DataType::Utf8 };
    Ok(vec![DataType::Utf8, delimiter, DataType::Int64])
}

fn evaluate(arguments: &[ArrayRef], _zone: &str) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let indexes = arguments[2].as_primitive::<Int64Type>();
    let delimiter = |row: usize| -> Option<String> {
        if arguments[1].is_null(row) {
            return None;
        }
        match arguments[1].data_type() {
            // A number is the code of one character.
            DataType::Int64 => {
                let code = arguments[1].as_primitive::<Int64Type>().value(row);
                u8::try_from(code).ok().filter(|code| *code > 0).map(|code| char::from(code).to_string())
            }
            _ => Some(arguments[1].as_string::<i32>().value(row).to_owned()),
        }
    };
    let parts: StringArray = (0..texts.len())
        .map(|row| {
            if texts.is_null(row) || indexes.is_null(row) || texts.value(row).is_empty() {
                return None;
            }
            let index = usize::try_from(indexes.value(row)).ok()?;
            let delimiter = delimiter(row)?;
            let text = texts.value(row);
            if delimiter.is_empty() { text.split_whitespace().nth(index) } else { text.split(&delimiter).nth(index) }
        })
        .collect();
    Ok(Arc::new(parts))
}
