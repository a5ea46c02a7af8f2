//! `CONCAT_WS(separator, value, …)` as Flink and Postgres have it: NULL values are skipped, a NULL separator gives NULL; any type is taken.

use std::sync::Arc;

use datafusion::arrow::array::{Array, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::arguments::text;

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ConcatWs {
    signature: Signature,
}

impl ConcatWs {
    /// The function.
    pub fn new() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ConcatWs {
    fn name(&self) -> &str {
        "concat_ws"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let texts = arguments.args.iter().map(|argument| text(argument, rows)).collect::<Result<Vec<_>>>()?;
        let Some((separators, values)) = texts.split_first() else {
            return Err(crate::error::Error::invalid("CONCAT_WS takes a separator and values").code("42883").into());
        };
        let mut result = StringBuilder::new();
        let mut line = String::new();
        for row in 0..rows {
            if separators.is_null(row) {
                result.append_null();
                continue;
            }
            line.clear();
            let mut first = true;
            for value in values.iter().filter(|value| value.is_valid(row)) {
                if !std::mem::take(&mut first) {
                    line.push_str(separators.value(row));
                }
                line.push_str(value.value(row));
            }
            result.append_value(&line);
        }
        Ok(ColumnarValue::Array(Arc::new(result.finish())))
    }
}
