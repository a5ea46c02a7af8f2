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

use super::entry::{Entry, Maker};
use super::memory;
use super::patterns::REGEXP_REPLACE;
use super::sizes::{self, Sizes};
use crate::error::{Error, SqlState};

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

const SERIES: &[&str] = &["bigint → bigint[]", "bigint, bigint → bigint[]", "bigint, bigint, bigint → bigint[]"];
const PAD: &[&str] = &["text, bigint → text", "text, bigint, text → text"];

/// What the registry knows of all of them but `concat`.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::public(
        "array_repeat",
        &["anyelement, bigint → anyarray"],
        "An array that has the value so many times.",
        Maker::Plain(|| of(nested::repeat::array_repeat_udf(), sizes::array_repeat, true)),
    )
    .aliases(&["list_repeat"])
    .example("ARRAY_REPEAT('a', 2)", "{a,a}"),
    Entry::public(
        "array_resize",
        &["anyarray, bigint → anyarray", "anyarray, bigint, anyelement → anyarray"],
        "The array with so many items: cut off, or filled up with the third argument or NULL.",
        Maker::Plain(|| of(nested::resize::array_resize_udf(), sizes::array_resize, true)),
    )
    .aliases(&["list_resize"])
    .example("ARRAY_RESIZE(ARRAY[1, 2], 3, 0)", "{1,2,0}"),
    Entry::public(
        "array_to_string",
        &["anyarray, text → text", "anyarray, text, text → text"],
        "The items as one text with the second argument between them. NULLs are left out, or written \
         as the third argument.",
        Maker::Plain(|| of(nested::string::array_to_string_udf(), sizes::array_to_string, true)),
    )
    .aliases(&["array_join", "list_join", "list_to_string"])
    .stable()
    .example("ARRAY_TO_STRING(ARRAY[1, 2], '-')", "1-2"),
    Entry::public(
        "generate_series",
        &["bigint → bigint", "bigint, bigint → bigint", "bigint, bigint, bigint → bigint"],
        "A row for each number from the first argument up to the second, both among them, in the \
         list of a SELECT or in FROM; as an argument of a function an array. The third argument \
         is the step.",
        Maker::Plain(|| of(nested::range::gen_series_udf(), sizes::series, true)),
    )
    .example("CARDINALITY(GENERATE_SERIES(1, 3))", "3"),
    Entry::public(
        "lpad",
        PAD,
        "The text filled up on the left to so many characters, or cut off.",
        Maker::Plain(|| of(unicode::lpad(), sizes::pad, true)),
    )
    .example("LPAD('7', 3, '0')", "007"),
    Entry::public(
        "range",
        SERIES,
        "The numbers from the first argument up to, but not including, the second, as an array. The \
         third argument is the step.",
        Maker::Plain(|| of(nested::range::range_udf(), sizes::series, true)),
    )
    .example("RANGE(1, 3)", "{1,2}"),
    Entry::public(
        "repeat",
        &["text, bigint → text"],
        "The text so many times.",
        Maker::Plain(|| of(string::repeat(), sizes::repeat, true)),
    )
    .example("REPEAT('ab', 2)", "abab"),
    Entry::public(
        "replace",
        &["text, text, text → text"],
        "The text with the third text wherever it has the second.",
        Maker::Plain(|| of(string::replace(), sizes::replace, true)),
    )
    .example("REPLACE('abc', 'b', 'x')", "axc"),
    Entry::public(
        "rpad",
        PAD,
        "The text filled up on the right to so many characters, or cut off.",
        Maker::Plain(|| of(unicode::rpad(), sizes::pad, true)),
    )
    .example("RPAD('7', 3, '0')", "700"),
];

/// All of them but `concat`.
pub fn all() -> impl Iterator<Item = Arc<ScalarUDF>> {
    ENTRIES.iter().filter_map(|entry| match entry.maker {
        Maker::Plain(make) => Some(make()),
        _ => None,
    })
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
                let error =
                    Error::invalid(format!("{} to a negative size", self.name())).code(SqlState::ArraySubscriptError);
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
