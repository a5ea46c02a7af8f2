//! pg_sleep(seconds): waits, without a thread that waits with it; a cancel or a time-out ends it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::entry::{Entry, Maker};
use crate::error::Error;

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    NAME,
    &["double precision → text"],
    "Waits for so many seconds and gives an empty text. In queries only.",
    Maker::Plain(|| Arc::new(AsyncScalarUDF::new(Arc::new(Sleep::default())).into_scalar_udf())),
)
.volatile()];

const NAME: &str = "pg_sleep";

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sleep {
    signature: Signature,
}

impl Default for Sleep {
    fn default() -> Self {
        Self { signature: Signature::exact(vec![DataType::Float64], Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for Sleep {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(Error::unsupported("pg_sleep() is supported in the results of queries only").into())
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Sleep {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let seconds = args.args[0].to_array(args.number_rows)?;
        let seconds = seconds.as_primitive::<Float64Type>();
        for row in (0..seconds.len()).filter(|row| seconds.is_valid(*row)) {
            // What is no number of seconds, or less than none, waits for nothing.
            if let Ok(pause) = Duration::try_from_secs_f64(seconds.value(row)) {
                tokio::time::sleep(pause).await;
            }
        }
        let empty = (0..seconds.len()).map(|row| seconds.is_valid(row).then_some(""));
        Ok(ColumnarValue::Array(Arc::new(empty.collect::<StringArray>())))
    }
}
