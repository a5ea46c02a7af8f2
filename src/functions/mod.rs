//! The SQL functions that are ours, one file each, and their registry. DataFusion's stand beside them; ours go first.
//! Every function can be made again from its name: stored dataflows keep names only.

pub mod aggregates;
pub mod array_edit;
pub mod as_written;
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
pub mod exact_sums;
pub mod extremes;
pub mod flink_math;
pub mod float_key;
pub mod instant_plus;
pub mod integers;
pub mod interval_input;
pub mod interval_math;
pub mod intervals;
pub mod meetings;
pub mod memory;
pub(crate) mod nested;
pub mod nulls;
pub mod numeric;
pub mod operator_chain;
pub mod order_key;
pub mod patterns;
pub mod round;
pub mod rounding;
pub mod seconds;
mod sizes;
pub mod split_index;
pub mod substring;
pub mod text_input;
pub mod text_length;
pub mod text_number;
pub mod time;
pub mod timestamp_precision;
pub mod to_timestamp;
pub mod value_text;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, new_null_array};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use crate::clock::Clock;
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
        .code("42883")
        .hint(format!("Write {usage}."))
        .into()
}

/// Names of all functions of ours.
pub const NAMES: &[&str] = &[
    as_written::NAME,
    text_input::ARRAY,
    array_edit::REMOVE,
    array_edit::REPLACE,
    by_place::NAME,
    "ceil",
    "ceiling",
    text_input::BYTEA,
    text_input::BYTEA_LENGTH,
    intervals::CALENDAR,
    coalesce::NAME,
    "concat_ws",
    "current_date",
    "current_time",
    "current_timestamp",
    date_bin::NAME,
    "date_format",
    "date_trunc",
    decimal_divide::NAME,
    decimal_multiply::NAME,
    float_key::KEY,
    float_key::VALUE,
    "floor",
    "from_unixtime",
    "left",
    patterns::LIKE_ESCAPE,
    integers::ADD,
    integers::MULTIPLY,
    integers::NEGATE,
    integers::SUBTRACT,
    datetime_input::LOCAL,
    instant_plus::NAME,
    datetime_input::NAME,
    datetime_input::TRY,
    interval_input::NAME,
    interval_input::TRY,
    interval_math::DAYS,
    interval_math::DIVIDE,
    interval_math::KEY,
    interval_math::MONTHS,
    interval_math::MULTIPLY,
    interval_math::NANOS,
    interval_math::OF_KEY,
    interval_math::OF_PARTS,
    intervals::LENGTH,
    intervals::TEXT,
    "localtime",
    "localtimestamp",
    "log",
    "mod",
    seconds::MILLISECONDS,
    "now",
    "numeric_divide",
    "numeric_modulo",
    "numeric_multiply",
    "numeric_text",
    "operator_chain",
    order_key::NAME,
    round::NAME,
    "sign",
    "signum",
    patterns::REGEXP_REPLACE,
    "right",
    patterns::SIMILAR_TO,
    seconds::SECONDS,
    "split_index",
    "substr",
    text_number::CAST,
    "text_of_length",
    intervals::MINUS,
    timestamp_precision::NANOSECONDS,
    timestamp_precision::ROUND,
    "timestamp_text",
    "to_date",
    "to_numeric",
    "to_timestamp",
    "trunc",
    "truncate",
    text_number::TRY_CAST,
    "unix_timestamp",
    value_text::NAME,
];

/// Functions that plans are made of, which nobody writes: they stand behind operators and casts.
const OF_PLANS: &[&str] = &[
    nulls::ANY_EQUAL,
    as_written::NAME,
    text_input::ARRAY,
    by_place::NAME,
    text_input::BYTEA,
    text_input::BYTEA_LENGTH,
    intervals::CALENDAR,
    decimal_divide::NAME,
    decimal_multiply::NAME,
    float_key::KEY,
    float_key::VALUE,
    patterns::LIKE_ESCAPE,
    patterns::SIMILAR_TO,
    integers::ADD,
    integers::MULTIPLY,
    integers::NEGATE,
    integers::SUBTRACT,
    datetime_input::LOCAL,
    instant_plus::NAME,
    datetime_input::NAME,
    datetime_input::TRY,
    interval_input::NAME,
    interval_input::TRY,
    interval_math::DAYS,
    interval_math::DIVIDE,
    interval_math::KEY,
    interval_math::MONTHS,
    interval_math::MULTIPLY,
    interval_math::NANOS,
    interval_math::OF_KEY,
    interval_math::OF_PARTS,
    intervals::LENGTH,
    intervals::TEXT,
    seconds::MILLISECONDS,
    "numeric_divide",
    "numeric_modulo",
    "numeric_multiply",
    "numeric_text",
    "operator_chain",
    order_key::NAME,
    text_number::CAST,
    text_number::TRY_CAST,
    seconds::SECONDS,
    "text_of_length",
    intervals::MINUS,
    timestamp_precision::NANOSECONDS,
    timestamp_precision::ROUND,
    "timestamp_text",
    "to_local_time",
    "to_numeric",
    value_text::NAME,
];

/// The engine's own, about files, metadata and types that no table has.
const OF_THE_ENGINE: &[&str] = &[
    "cast_to_type",
    "file_row_index",
    "input_file_name",
    "try_cast_to_type",
    "union_extract",
    "union_tag",
    "with_metadata",
];

/// Whether a function of that name is for users: not for plans alone, and not about Arrow.
pub fn is_public(name: &str) -> bool {
    !OF_PLANS.contains(&name)
        && !OF_THE_ENGINE.contains(&name)
        && !name.starts_with("arrow_")
        && !name.starts_with("__")
}

/// All functions; the time functions in their volatile form.
pub fn all(clock: &Arc<dyn Clock>) -> Vec<Arc<ScalarUDF>> {
    let own = NAMES.iter().filter_map(|name| by_name(name, clock.clone()));
    own.chain(nulls::NAMES.iter().filter_map(|name| nulls::by_name(name))).chain(bounded::all()).collect()
}

/// The function of that name; a time function in its volatile form, which reads `clock` at each batch.
pub fn by_name(name: &str, clock: Arc<dyn Clock>) -> Option<Arc<ScalarUDF>> {
    Some(match name.to_ascii_lowercase().as_str() {
        as_written::NAME => as_written::as_written(),
        text_input::ARRAY => text_input::array(),
        array_edit::REMOVE | "list_remove" => array_edit::remove(),
        array_edit::REPLACE | "list_replace" => array_edit::replace(),
        by_place::NAME => by_place::by_place(coercion::rewrite_all),
        text_input::BYTEA => text_input::bytea(),
        coalesce::NAME | "ifnull" | "nvl" => coalesce::coalesce(),
        "concat_ws" => concat_ws::concat_ws(),
        date_bin::NAME => date_bin::date_bin(),
        "date_format" => date_format::date_format(),
        "date_trunc" | "datetrunc" => date_trunc::date_trunc(),
        decimal_divide::NAME => decimal_divide::decimal_divide(),
        decimal_multiply::NAME => decimal_multiply::decimal_multiply(),
        "from_unixtime" => date_format::from_unixtime(),
        patterns::LIKE_ESCAPE => patterns::like_escape(),
        patterns::REGEXP_REPLACE => patterns::regexp_replace(),
        patterns::SIMILAR_TO => patterns::similar_to(),
        text_input::BYTEA_LENGTH => text_input::bytea_length(),
        intervals::CALENDAR => intervals::calendar(),
        intervals::TEXT => intervals::interval_text(),
        intervals::LENGTH => intervals::interval_length(),
        intervals::MINUS => intervals::timestamp_minus(),
        instant_plus::NAME => instant_plus::instant_plus(),
        datetime_input::LOCAL => datetime_input::local_instant(),
        datetime_input::NAME => datetime_input::datetime_input(false),
        datetime_input::TRY => datetime_input::datetime_input(true),
        interval_input::NAME => interval_input::interval_input(false),
        interval_input::TRY => interval_input::interval_input(true),
        seconds::MILLISECONDS => seconds::milliseconds(),
        seconds::SECONDS => seconds::seconds(),
        "split_index" => split_index::split_index(),
        "left" => substring::left(),
        "right" => substring::right(),
        "substr" | "substring" => substring::substr(),
        text_number::CAST => text_number::text_number(false),
        text_number::TRY_CAST => text_number::text_number(true),
        value_text::NAME => value_text::value_text(),
        "text_of_length" => text_length::text_of_length(),
        "timestamp_text" => time::timestamp_text(),
        timestamp_precision::NANOSECONDS => timestamp_precision::nanoseconds(),
        timestamp_precision::ROUND => timestamp_precision::round(),
        "to_date" => to_timestamp::to_date(),
        "to_numeric" => numeric::to_numeric(),
        "to_timestamp" => to_timestamp::to_timestamp(),
        "numeric_text" => numeric::numeric_text(),
        operator_chain::NAME => operator_chain::operator_chain(),
        order_key::NAME => order_key::order_key(),
        "numeric_multiply" => numeric::multiply(),
        "numeric_divide" => numeric::divide(),
        "numeric_modulo" => numeric::modulo(),
        name => {
            return (name == round::NAME)
                .then(round::round)
                .or_else(|| rounding::by_name(name))
                .or_else(|| flink_math::by_name(name))
                .or_else(|| float_key::by_name(name))
                .or_else(|| nulls::by_name(name))
                .or_else(|| integers::by_name(name))
                .or_else(|| interval_math::by_name(name))
                .or_else(|| bounded::by_name(name))
                .or_else(|| time::by_name(name, &clock, true));
        }
    })
}

#[cfg(test)]
mod tests;
