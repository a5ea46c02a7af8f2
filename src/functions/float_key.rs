//! float_key(value): floats, and those within arrays, rows and maps, as what they are compared by: 0 for -0, and one NaN.
//! float_value(value): one NaN for all of them; what the processor makes of 0/0 would come before every other number.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, LargeListArray, ListArray, MapArray, StructArray,
};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use crate::error::{Error, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(KEY, "What floats are compared by.", Maker::Plain(|| make(KEY))),
    Entry::internal(VALUE, "Floats with one NaN.", Maker::Plain(|| make(VALUE))),
];

/// What a float is compared by.
pub const KEY: &str = "float_key";
/// A float with one NaN.
pub const VALUE: &str = "float_value";

fn make(name: &'static str) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Floats { name, signature: Signature::any(1, Volatility::Immutable) }))
}

/// What a value is compared by.
pub fn key(value: Expr) -> Expr {
    make(KEY).call(vec![value])
}

/// A value with one NaN.
pub fn value(value: Expr) -> Expr {
    make(VALUE).call(vec![value])
}

/// Whether values of a type are floats or hold some.
pub fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Float32 | DataType::Float64 => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            has_floats(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        DataType::Map(entries, _) => has_floats(entries.data_type()),
        _ => false,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Floats {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Floats {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let missing = || {
            Error::invalid(format!("function {} takes one value", self.name)).code(SqlState::UndefinedFunction).into()
        };
        arguments.first().cloned().ok_or_else(missing)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zero = if self.name == KEY { Some(0.0) } else { None };
        match args.args.first() {
            Some(ColumnarValue::Array(values)) => Ok(ColumnarValue::Array(normalised(values, zero)?)),
            Some(ColumnarValue::Scalar(value)) => {
                let values = normalised(&value.to_array()?, zero)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?))
            }
            None => Err(Error::internal("a function of floats without an argument").into()),
        }
    }
}

/// `zero`: added to each, which makes 0 of -0 and leaves all others as they are.
fn normalised(values: &ArrayRef, zero: Option<f32>) -> Result<ArrayRef> {
    if !has_floats(values.data_type()) {
        return Ok(values.clone());
    }
    Ok(match values.data_type() {
        DataType::Float64 => {
            let zero = zero.map(f64::from);
            let one = |value: f64| if value.is_nan() { f64::NAN } else { zero.map_or(value, |zero| value + zero) };
            Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(one))
        }
        DataType::Float32 => {
            let one = |value: f32| if value.is_nan() { f32::NAN } else { zero.map_or(value, |zero| value + zero) };
            Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(one))
        }
        DataType::List(item) => {
            let lists: &ListArray = values.as_list();
            let items = normalised(lists.values(), zero)?;
            Arc::new(ListArray::try_new(item.clone(), lists.offsets().clone(), items, lists.nulls().cloned())?)
        }
        DataType::LargeList(item) => {
            let lists: &LargeListArray = values.as_list();
            let items = normalised(lists.values(), zero)?;
            Arc::new(LargeListArray::try_new(item.clone(), lists.offsets().clone(), items, lists.nulls().cloned())?)
        }
        DataType::FixedSizeList(item, size) => {
            let lists = values.as_fixed_size_list();
            let items = normalised(lists.values(), zero)?;
            Arc::new(FixedSizeListArray::try_new(item.clone(), *size, items, lists.nulls().cloned())?)
        }
        DataType::Struct(fields) => {
            let rows = values.as_struct();
            let columns = rows.columns().iter().map(|column| normalised(column, zero)).collect::<Result<Vec<_>>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, rows.nulls().cloned())?)
        }
        DataType::Map(entries, ordered) => {
            let maps = values.as_map();
            let all: ArrayRef = Arc::new(maps.entries().clone());
            let all = normalised(&all, zero)?.as_struct().clone();
            let nulls = maps.nulls().cloned();
            Arc::new(MapArray::try_new(entries.clone(), maps.offsets().clone(), all, nulls, *ordered)?)
        }
        _ => values.clone(),
    })
}
