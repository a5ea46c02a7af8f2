//! The SQL functions that are ours, one file each with its entry, and the registries of all functions that there are. DataFusion's stand
//! beside ours, which go first. Every function can be made again from its name: stored dataflows keep names only.

mod age;
pub mod aggregates;
pub mod aggregations;
pub mod array_edit;
pub mod as_written;
pub mod at_time_zone;
pub mod bounded;
pub mod by_place;
pub mod coalesce;
pub mod coercion;
pub mod concat_ws;
pub mod date_bin;
pub mod date_format;
pub mod date_trunc;
pub mod datetime_input;
pub mod decimal_divide;
pub mod decimal_multiply;
pub mod decimals;
pub mod distinct_lists;
pub mod entry;
pub mod exact_sums;
pub mod expand_array;
pub mod extremes;
pub mod flink_math;
pub mod float_key;
mod format_text;
pub mod instant_plus;
pub mod integers;
pub mod interval_input;
pub mod interval_math;
pub mod intervals;
pub(crate) mod json;
pub mod meetings;
pub mod memory;
pub(crate) mod nested;
pub mod nulls;
pub mod numeric;
mod of_engine;
pub mod operator_chain;
pub mod order_key;
mod parse_ident;
pub mod patterns;
pub mod quoting;
mod regexp_rows;
pub mod registry;
pub mod round;
pub mod rounding;
pub mod seconds;
#[cfg(test)]
mod shout;
mod sizes;
mod sleep;
pub mod split_index;
pub mod substring;
pub mod text_input;
pub mod text_length;
pub mod text_number;
pub mod time;
pub mod timestamp_precision;
mod to_char;
pub mod to_timestamp;
pub mod value_text;
pub mod windows;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, new_null_array};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use sizes::Sizes;

/// What a function does with its arguments: arrays of equal length, and the session's time zone.
type Body = fn(&[ArrayRef], &str) -> Result<ArrayRef>;

/// A function of columns: types in, a type out, arrays in, an array out.
#[derive(Debug, Clone)]
struct ColumnFunction {
    name: &'static str,
    signature: Signature,
    coerce: fn(&[DataType]) -> Result<Vec<DataType>>,
    returns: DataType,
    body: Body,
    /// What a call makes, where that may be much more than its arguments have.
    bytes: fn(&Sizes) -> usize,
}

impl ColumnFunction {
    fn udf(
        name: &'static str,
        volatility: Volatility,
        coerce: fn(&[DataType]) -> Result<Vec<DataType>>,
        returns: DataType,
        body: Body,
    ) -> Arc<ScalarUDF> {
        Self::large(name, volatility, coerce, returns, body, |_| 0)
    }

    /// One whose result may be much larger than its arguments.
    fn large(
        name: &'static str,
        volatility: Volatility,
        coerce: fn(&[DataType]) -> Result<Vec<DataType>>,
        returns: DataType,
        body: Body,
        bytes: fn(&Sizes) -> usize,
    ) -> Arc<ScalarUDF> {
        let signature = Signature::user_defined(volatility);
        Arc::new(ScalarUDF::from(Self { name, signature, coerce, returns, body, bytes }))
    }
}

impl ColumnFunction {
    /// Without rows: whether the constants alone are wrong, which then is nothing that a row could be left out for.
    fn check_constants(&self, arguments: &[ColumnarValue], zone: &str) -> Result<()> {
        if !arguments.iter().any(|argument| matches!(argument, ColumnarValue::Scalar(_))) {
            return Ok(());
        }
        let one_row = arguments
            .iter()
            .map(|argument| match argument {
                ColumnarValue::Scalar(value) => value.to_array_of_size(1),
                ColumnarValue::Array(array) => Ok(new_null_array(array.data_type(), 1)),
            })
            .collect::<Result<Vec<_>>>()?;
        (self.body)(&one_row, zone).map(|_| ())
    }
}

impl PartialEq for ColumnFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ColumnFunction {}

impl Hash for ColumnFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for ColumnFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        (self.coerce)(arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let sizes = Sizes::new(&args.args, args.number_rows);
        let bytes = (self.bytes)(&sizes).saturating_add(sizes.spread_scalars());
        memory::admit(self.name, bytes, &args.config_options)?;
        let all_scalars = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if all_scalars { 1 } else { args.number_rows };
        let zone = args.config_options.execution.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
        if rows == 0 {
            self.check_constants(&args.args, &zone)?;
        }
        let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let result = (self.body)(&arrays, &zone)?;
        Ok(if all_scalars {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

/// An error for a call with arguments that a function does not take.
fn no_such_call(name: &str, arguments: &[DataType], usage: &str) -> datafusion::error::DataFusionError {
    let types: Vec<String> = arguments.iter().map(crate::data_type::to_postgres).collect();
    crate::error::Error::not_found(format!("function {name}({}) does not exist", types.join(", ")))
        .code(crate::error::SqlState::UndefinedFunction)
        .hint(format!("Write {usage}."))
        .into()
}

#[cfg(test)]
mod tests;
