//! DataFusion's functions that can make much of little (`repeat`, `lpad`, `replace`, `range` …), each behind a look at how much
//! it would make: what is too much is refused before anything is allocated. [`super::sizes`] knows how much that is.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::functions::{string, unicode};
use datafusion::functions_nested as nested;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};

use super::memory;
use super::patterns::REGEXP_REPLACE;
use super::sizes::{self, Sizes};
use crate::error::Error;

/// How many bytes a call makes of its arguments, at most.
type Estimate = fn(&Sizes) -> usize;

/// A function whose calls are looked at first.
#[derive(Debug, Clone)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    bytes: Estimate,
    /// Whether the result depends on the value of a number rather than on the length of the arguments.
    by_number: bool,
    negative: Negative,
}

/// What a negative number in the place of a length means; DataFusion's own functions panic or blame themselves there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Negative {
    /// What the function makes of it.
    AsIs,
    /// Nothing, as in Postgres.
    Zero,
    /// An error.
    Refused,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

fn of(inner: Arc<ScalarUDF>, bytes: Estimate, by_number: bool) -> Arc<ScalarUDF> {
    let negative = match inner.name() {
        "lpad" | "rpad" => Negative::Zero,
        "array_resize" => Negative::Refused,
        _ => Negative::AsIs,
    };
    Arc::new(ScalarUDF::from(Bounded { inner, bytes, by_number, negative }))
}

/// `concat`, which passes over NULL.
pub fn concat() -> Arc<ScalarUDF> {
    of(string::concat(), sizes::sum, false)
}

/// All of them but `concat`.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        of(string::repeat(), sizes::repeat, true),
        of(unicode::lpad(), sizes::pad, true),
        of(unicode::rpad(), sizes::pad, true),
        of(string::replace(), sizes::replace, true),
        of(nested::repeat::array_repeat_udf(), sizes::array_repeat, true),
        of(nested::range::range_udf(), sizes::series, true),
        of(nested::range::gen_series_udf(), sizes::series, true),
        of(nested::resize::array_resize_udf(), sizes::array_resize, true),
        of(nested::string::array_to_string_udf(), sizes::array_to_string, true),
    ]
}

/// The function of that name, if it is one of these.
pub fn by_name(name: &str) -> Option<Arc<ScalarUDF>> {
    all().into_iter().find(|function| function.name() == name || function.aliases().iter().any(|alias| alias == name))
}

/// How a function's results grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Growth {
    /// As its arguments do, at most.
    Plain,
    /// They are as large as the arguments together.
    Sum,
    /// A number says how large they are, or two lengths multiplied.
    Product,
}

/// How a function's results grow.
pub fn growth(function: &ScalarUDF) -> Growth {
    match function.inner().downcast_ref::<Bounded>() {
        Some(bounded) if bounded.by_number => Growth::Product,
        Some(_) => Growth::Sum,
        None if matches!(function.name(), "concat_ws" | REGEXP_REPLACE) => Growth::Product,
        None if function.name() == "concat" => Growth::Sum,
        None => Growth::Plain,
    }
}

/// The numbers with 0 for those below it; `None` if there are none such.
fn without_negatives(numbers: &ColumnarValue) -> Option<ColumnarValue> {
    match numbers {
        ColumnarValue::Scalar(ScalarValue::Int64(Some(number))) if *number < 0 => {
            Some(ColumnarValue::Scalar(ScalarValue::Int64(Some(0))))
        }
        ColumnarValue::Array(array) if *array.data_type() == DataType::Int64 => {
            let array = array.as_primitive::<Int64Type>();
            let some = array.iter().flatten().any(|number| number < 0);
            some.then(|| ColumnarValue::Array(Arc::new(array.unary::<_, Int64Type>(|number| number.max(0)))))
        }
        _ => None,
    }
}

impl ScalarUDFImpl for Bounded {
    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.negative != Negative::AsIs
            && let Some(length) = args.args.get_mut(1)
            && let Some(without) = without_negatives(length)
        {
            if self.negative == Negative::Refused {
                let error = Error::invalid(format!("{} to a negative size", self.name())).code("2202E");
                return Err(error.into());
            }
            *length = without;
        }
        let sizes = Sizes::new(&args.args, args.number_rows);
        memory::admit(self.name(), (self.bytes)(&sizes).saturating_add(sizes.spread_scalars()), &args.config_options)?;
        self.inner.invoke_with_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.inner.simplify(args, info)? {
            // It knows itself only without the look.
            ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)) if call.func.name() == self.inner.name() => {
                let own = Arc::new(ScalarUDF::from(self.clone()));
                ExprSimplifyResult::Simplified(Expr::ScalarFunction(ScalarFunction::new_udf(own, call.args)))
            }
            other => other,
        })
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn with_updated_config(&self, _config: &ConfigOptions) -> Option<ScalarUDF> {
        None
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.inner.evaluate_bounds(input)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.inner().preserves_lex_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.inner.placement(args)
    }
}
