//! SHOUT(text): a text in capitals with an exclamation mark. In tests only: it is the function that docs/adding.md tells how to add.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, no_such_call};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    "shout",
    &["text → text"],
    "A text in capitals, with an exclamation mark behind it.",
    Maker::Plain(shout),
)
.aliases(&["yell"])
.example("SHOUT('hi')", "HI!")];

fn shout() -> Arc<ScalarUDF> {
    ColumnFunction::udf("shout", Volatility::Immutable, coerce, DataType::Utf8, evaluate)
}

fn coerce(arguments: &[DataType]) -> Result<Vec<DataType>> {
    match arguments {
        [DataType::Utf8 | DataType::Null] => Ok(vec![DataType::Utf8]),
        _ => Err(no_such_call("shout", arguments, "SHOUT(text)")),
    }
}

fn evaluate(arguments: &[ArrayRef], _zone: &str) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>().iter();
    Ok(Arc::new(texts.map(|text| text.map(|text| text.to_uppercase() + "!")).collect::<StringArray>()))
}
