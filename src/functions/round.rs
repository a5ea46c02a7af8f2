//! round(x[, places]): the engine's, but that the places stay as they are written. Its own coercion puts a cast around a constant, which
//! is a constant again once it is folded: a decimal would have one type when a statement is planned and another one when it runs.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::entry::{Entry, Maker};
use super::no_such_call;

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    NAME,
    &[
        "numeric → numeric",
        "numeric, integer → numeric",
        "double precision → double precision",
        "double precision, integer → double precision",
    ],
    "The nearest number with so many places, or with none.",
    Maker::Plain(round),
)
.example("ROUND(2.345, 2)", "2.35")];

/// Its name.
pub const NAME: &str = "round";

/// The function.
pub fn round() -> Arc<ScalarUDF> {
    let engines = datafusion::functions::math::round();
    Arc::new(ScalarUDF::from(Round { engines, signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Round {
    engines: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Round {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let no_such = || no_such_call(NAME, arguments, "round(number) or round(number, places)");
        let number = match arguments.first() {
            Some(number) if number.is_decimal() || number.is_integer() || *number == DataType::Float32 => {
                number.clone()
            }
            Some(number) if number.is_floating() || number.is_null() || number.is_string() => DataType::Float64,
            _ => return Err(no_such()),
        };
        match arguments {
            [_] => Ok(vec![number]),
            [_, places] if places.is_integer() => Ok(vec![number, places.clone()]),
            [_, places] if places.is_null() => Ok(vec![number, DataType::Int32]),
            _ => Err(no_such()),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.engines.inner().return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.engines.inner().return_field_from_args(args)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let (Some(places), Some(field)) = (args.args.get_mut(1), args.arg_fields.get_mut(1)) {
            *places = places.cast_to(&DataType::Int32, None)?;
            *field = Arc::new(Field::new(field.name(), DataType::Int32, field.is_nullable()));
        }
        self.engines.inner().invoke_with_args(args)
    }
}
