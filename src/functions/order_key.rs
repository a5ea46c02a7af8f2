//! order_key(value): a text by which values of any type are ordered, where the engine orders texts but not the values themselves
//! (windows over rows and bytes). A NULL within a value comes behind all others, as in Postgres; a value that is NULL stays so.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringArray};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, no_such_call};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] =
    &[Entry::internal(NAME, "What rows and bytes are ordered by in windows.", Maker::Plain(order_key))];

/// Its name.
pub const NAME: &str = "order_key";

/// The function.
pub fn order_key() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [_] => Ok(arguments.to_vec()),
        _ => Err(no_such_call(NAME, arguments, "ORDER BY value")),
    };
    ColumnFunction::udf(NAME, Volatility::Immutable, coerce, DataType::Utf8, |arguments, _| keys(&arguments[0]))
}

/// A call of it.
pub fn call(value: Expr) -> Expr {
    order_key().call(vec![value])
}

/// Encodes values so that their bytes compare as Postgres compares the values.
///
/// # Errors
/// A type that cannot be compared.
pub fn converter(data_type: &DataType) -> Result<RowConverter> {
    let options = SortOptions { descending: false, nulls_first: false };
    Ok(RowConverter::new(vec![SortField::new_with_options(data_type.clone(), options)])?)
}

fn keys(values: &ArrayRef) -> Result<ArrayRef> {
    let rows = converter(values.data_type())?.convert_columns(std::slice::from_ref(values))?;
    let keys = rows.iter().enumerate().map(|(at, row)| {
        values.is_valid(at).then(|| {
            let bytes = row.data();
            let mut text = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
            text
        })
    });
    Ok(Arc::new(keys.collect::<StringArray>()))
}
