//! A function that is told the fields of its arguments, by which it knows documents from other texts.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use crate::data_type::NamedText;
use crate::error::Result;
use crate::functions::memory;
use crate::functions::sizes::Sizes;

/// Arguments of equal length, their fields and the session's time zone.
pub(super) struct Arguments<'a> {
    pub(super) arrays: &'a [ArrayRef],
    pub(super) fields: &'a [FieldRef],
    pub(super) zone: &'a str,
}

impl Arguments<'_> {
    /// Rows.
    pub(super) fn len(&self) -> usize {
        self.arrays.first().map_or(0, |array| array.len())
    }

    /// The texts of an argument that was coerced to one.
    pub(super) fn texts(&self, place: usize) -> &StringArray {
        self.arrays[place].as_string()
    }

    /// Whether the values of an argument are documents.
    pub(super) fn is_document(&self, place: usize) -> bool {
        self.fields.get(place).and_then(|field| NamedText::of(field)).is_some_and(NamedText::is_document)
    }
}

/// What is made of the rows of the first argument that are not NULL.
///
/// # Errors
/// Those of `of_row`.
pub(super) fn of_texts(
    arguments: &Arguments<'_>,
    of_row: impl Fn(&str, usize) -> Result<Option<String>>,
) -> Result<ArrayRef> {
    let texts = arguments.texts(0);
    let made = (0..texts.len()).map(|row| if texts.is_null(row) { Ok(None) } else { of_row(texts.value(row), row) });
    Ok(Arc::new(made.collect::<Result<StringArray>>()?))
}

/// The steps of a path in each row: an array of texts.
pub(super) fn path(paths: &ArrayRef, row: usize) -> Result<Option<Vec<String>>> {
    let paths = paths.as_list::<i32>();
    if paths.is_null(row) {
        return Ok(None);
    }
    let steps = cast(&paths.value(row), &DataType::LargeUtf8)?;
    let steps: &LargeStringArray = steps.as_string();
    Ok(steps.iter().map(|step| step.map(str::to_owned)).collect())
}

/// The field of a result.
pub(super) type Returns = fn(&[FieldRef]) -> Field;

/// What a function makes of its arguments.
pub(super) type Body = fn(&Arguments<'_>) -> Result<ArrayRef>;

/// A scalar function.
#[derive(Debug)]
pub(super) struct JsonFunction {
    pub(super) name: &'static str,
    pub(super) coerce: fn(&[DataType]) -> DataFusionResult<Vec<DataType>>,
    pub(super) returns: Returns,
    pub(super) body: Body,
}

impl JsonFunction {
    pub(super) fn udf(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::from(Callable {
            signature: Signature::user_defined(Volatility::Immutable),
            function: self,
        }))
    }

    /// One whose result goes by the session's time zone.
    pub(super) fn udf_of_zone(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::from(Callable { signature: Signature::user_defined(Volatility::Stable), function: self }))
    }
}

#[derive(Debug)]
struct Callable {
    signature: Signature,
    function: JsonFunction,
}

impl PartialEq for Callable {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Callable {}

impl Hash for Callable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for Callable {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> DataFusionResult<DataType> {
        let fields = arguments.iter().map(|data_type| Arc::new(Field::new("", data_type.clone(), true)));
        Ok((self.function.returns)(&fields.collect::<Vec<_>>()).data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        Ok(Arc::new((self.function.returns)(args.arg_fields).with_name(self.function.name)))
    }

    fn coerce_types(&self, arguments: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        (self.function.coerce)(arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let sizes = Sizes::new(&args.args, args.number_rows);
        memory::admit(self.function.name, sizes.spread_scalars(), &args.config_options)?;
        let all_scalars = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if all_scalars { 1 } else { args.number_rows };
        let zone = args.config_options.execution.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
        let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<DataFusionResult<Vec<_>>>()?;
        let arguments = Arguments { arrays: &arrays, fields: &args.arg_fields, zone: &zone };
        let result = (self.function.body)(&arguments)?;
        Ok(match result.data_type() {
            _ if !all_scalars => ColumnarValue::Array(result),
            // With the field of its items, which says what they are.
            DataType::List(_) => {
                ColumnarValue::Scalar(ScalarValue::List(Arc::new(result.as_list::<i32>().slice(0, 1))))
            }
            _ => ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?),
        })
    }
}

/// A result that is a text.
pub(super) fn text(_arguments: &[FieldRef]) -> Field {
    Field::new("", DataType::Utf8, true)
}

/// A result that is a `json`.
pub(super) fn json(_arguments: &[FieldRef]) -> Field {
    NamedText::Json.field("")
}

/// A result that is a `jsonb`.
pub(super) fn jsonb(_arguments: &[FieldRef]) -> Field {
    NamedText::Jsonb.field("")
}

/// A result of the type of the first argument, `jsonb` if that is none of ours.
pub(super) fn as_first(arguments: &[FieldRef]) -> Field {
    let first = arguments.first().and_then(|field| NamedText::of(field));
    first.filter(|first| first.is_document()).unwrap_or(NamedText::Jsonb).field("")
}

/// A result that says yes or no.
pub(super) fn boolean(_arguments: &[FieldRef]) -> Field {
    Field::new("", DataType::Boolean, true)
}

/// A result that is a count.
pub(super) fn int(_arguments: &[FieldRef]) -> Field {
    Field::new("", DataType::Int32, true)
}
