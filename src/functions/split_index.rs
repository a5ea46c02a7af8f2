//! `SPLIT_INDEX(text, delimiter, index)` of Flink: the index-th part, counted from 0; NULL beyond the last part, for a negative index,
//! and for empty text. The delimiter is text, or the code of an ASCII character.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::arguments::text;

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SplitIndex {
    signature: Signature,
}

impl SplitIndex {
    /// The function.
    pub fn new() -> Self {
        Self { signature: Signature::any(3, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SplitIndex {
    fn name(&self) -> &str {
        "split_index"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let texts = text(&arguments.args[0], rows)?;
        let by_code = arguments.args[1].data_type().is_integer();
        let delimiters = text(&arguments.args[1], rows)?;
        let indexes = cast(&arguments.args[2].to_array(rows)?, &DataType::Int64)?;
        let indexes = indexes.as_primitive::<Int64Type>();
        let part = |row: usize| -> Option<String> {
            if texts.is_null(row) || delimiters.is_null(row) || indexes.is_null(row) || texts.value(row).is_empty() {
                return None;
            }
            let index = usize::try_from(indexes.value(row)).ok()?;
            let delimiter = if by_code {
                let code = delimiters.value(row).parse::<u8>().ok().filter(u8::is_ascii)?;
                char::from(code).to_string()
            } else {
                delimiters.value(row).to_owned()
            };
            if delimiter.is_empty() {
                return texts.value(row).split_whitespace().nth(index).map(str::to_owned);
            }
            texts.value(row).split(delimiter.as_str()).nth(index).map(str::to_owned)
        };
        Ok(ColumnarValue::Array(Arc::new((0..rows).map(part).collect::<StringArray>())))
    }
}

#[cfg(test)]
mod tests;
