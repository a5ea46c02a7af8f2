//! `FROM_UNIXTIME(seconds [, pattern])` of Flink: text in the session's zone, `yyyy-MM-dd HH:mm:ss` by default.

use std::sync::Arc;

use chrono::DateTime;
use datafusion::arrow::array::{Array, AsArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::arguments::{text, zone};
use super::date_format::Pattern;

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FromUnixtime {
    signature: Signature,
}

impl FromUnixtime {
    /// The function.
    pub fn new() -> Self {
        let signature = Signature::one_of(vec![TypeSignature::Any(1), TypeSignature::Any(2)], Volatility::Immutable);
        Self { signature }
    }
}

impl ScalarUDFImpl for FromUnixtime {
    fn name(&self) -> &str {
        "from_unixtime"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let zone = zone(&arguments.config_options);
        let seconds = cast(&arguments.args[0].to_array(rows)?, &DataType::Int64)?;
        let seconds = seconds.as_primitive::<Int64Type>();
        let patterns = arguments.args.get(1).map(|pattern| text(pattern, rows)).transpose()?;
        let mut result = StringBuilder::new();
        for row in 0..rows {
            let source = match &patterns {
                Some(patterns) => patterns.is_valid(row).then(|| patterns.value(row)),
                None => Some("yyyy-MM-dd HH:mm:ss"),
            };
            let time = seconds.is_valid(row).then(|| DateTime::from_timestamp(seconds.value(row), 0)).flatten();
            match (source, time) {
                (Some(source), Some(time)) => {
                    let mut line = String::new();
                    Pattern::parse(source)?.write(time.with_timezone(&zone).naive_local(), &mut line);
                    result.append_value(line);
                }
                _ => result.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(result.finish())))
    }
}
