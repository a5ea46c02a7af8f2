//! text_of_length(text, n, pads): a text cut off behind its n-th character, and filled up with blanks to n if it `pads`: what CAST to
//! VARCHAR(n) and CHAR(n) does.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ScalarUDF, Volatility, lit};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, no_such_call};
use crate::data_type::TypeLength;

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] =
    &[Entry::internal("text_of_length", "CAST to VARCHAR(n) and CHAR(n).", Maker::Plain(text_of_length))];

/// The function.
pub fn text_of_length() -> Arc<ScalarUDF> {
    ColumnFunction::udf("text_of_length", Volatility::Immutable, coerce, DataType::Utf8, evaluate)
}

/// A call for a text.
pub fn call(text: Expr, length: TypeLength) -> Expr {
    let characters = i64::try_from(length.length).unwrap_or(i64::MAX);
    text_of_length().call(vec![text, lit(characters), lit(length.is_padded)])
}

fn coerce(arguments: &[DataType]) -> Result<Vec<DataType>> {
    match arguments {
        [_, length, DataType::Boolean] if length.is_integer() => {
            Ok(vec![DataType::Utf8, DataType::Int64, DataType::Boolean])
        }
        _ => Err(no_such_call("text_of_length", arguments, "CAST(text AS VARCHAR(10))")),
    }
}

fn evaluate(arguments: &[ArrayRef], _zone: &str) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let (lengths, pads) = (arguments[1].as_primitive::<Int64Type>(), arguments[2].as_boolean());
    let fitted = texts.iter().enumerate().map(|(row, text)| {
        let length = usize::try_from(lengths.value(row)).unwrap_or(0);
        text.map(|text| TypeLength { length, is_padded: pads.value(row) }.fit(text))
    });
    Ok(Arc::new(fitted.collect::<StringArray>()))
}
