//! CONCAT_WS(separator, value, …): joins what is not NULL; NULL if the separator is. Values of any type are taken as text.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, no_such_call, sizes};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    "concat_ws",
    &["text, any... → text"],
    "The values that are not NULL as one text, with the first argument between them; NULL if \
         that is NULL.",
    Maker::Plain(concat_ws),
)
.stable()
.example("CONCAT_WS('-', 'a', NULL, 1)", "a-1")];

/// The function.
pub fn concat_ws() -> Arc<ScalarUDF> {
    ColumnFunction::large("concat_ws", Volatility::Immutable, coerce, DataType::Utf8, evaluate, sizes::joined)
}

fn coerce(arguments: &[DataType]) -> Result<Vec<DataType>> {
    if arguments.len() < 2 {
        return Err(no_such_call("concat_ws", arguments, "CONCAT_WS(separator, value, …)"));
    }
    Ok(vec![DataType::Utf8; arguments.len()])
}

fn evaluate(arguments: &[ArrayRef], _zone: &str) -> Result<ArrayRef> {
    let texts: Vec<&StringArray> = arguments.iter().map(|argument| argument.as_string::<i32>()).collect();
    let joined: StringArray = (0..texts[0].len())
        .map(|row| {
            let separator = texts[0].is_valid(row).then(|| texts[0].value(row))?;
            let values: Vec<&str> =
                texts[1..].iter().filter(|text| text.is_valid(row)).map(|text| text.value(row)).collect();
            Some(values.join(separator))
        })
        .collect();
    Ok(Arc::new(joined))
}
