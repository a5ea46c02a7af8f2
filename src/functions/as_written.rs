//! as_written(value, type): the value. DataFusion calls a cast by the name of its argument; where `x` and `CAST(x AS BIGINT)` must be told
//! apart while a statement is planned, the cast stands in this call. The analyser takes it away again.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::entry::{Entry, Maker};
use super::no_such_call;

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] =
    &[Entry::internal(NAME, "A cast that keeps its name while a statement is planned.", Maker::Plain(as_written))];

/// Its name.
pub const NAME: &str = "as_written";

/// The function.
pub fn as_written() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(AsWritten { signature: Signature::any(2, Volatility::Immutable) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct AsWritten {
    signature: Signature,
}

impl ScalarUDFImpl for AsWritten {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let misfit = || no_such_call(NAME, arguments, "CAST(value AS type)");
        arguments.first().cloned().ok_or_else(misfit)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let misfit = || no_such_call(NAME, &[], "CAST(value AS type)");
        args.args.into_iter().next().ok_or_else(misfit)
    }
}
