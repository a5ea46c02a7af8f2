//! mod(a, b), which is a % b, and log(x), which is the natural logarithm as in Flink (log(base, x) is that of any base): the engine
//! has the one under its sign only, and log(x) of base 10.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::kernels::numeric::rem;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use super::no_such_call;

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::public(
        "log",
        &["double precision → double precision", "double precision, double precision → double precision"],
        "The natural logarithm, or that of the base which is the first of two arguments.",
        Maker::Plain(|| make(Kind::Log)),
    )
    .example("LOG(2, 8)", "3"),
    Entry::public(
        "mod",
        &["integer, integer → integer", "bigint, bigint → bigint", "numeric, numeric → numeric"],
        "What is left of the first number when it is divided by the second; as `%`.",
        Maker::Plain(|| make(Kind::Mod)),
    )
    .example("MOD(7, 3)", "1"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Mod,
    Log,
}

fn make(kind: Kind) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(FlinkMath { kind, signature }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FlinkMath {
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for FlinkMath {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Mod => "mod",
            Kind::Log => "log",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let is_number = |data_type: &DataType| data_type.is_numeric() || data_type.is_null();
        match (self.kind, arguments) {
            (Kind::Mod, [left, right]) if is_number(left) && is_number(right) => {
                let (left, right) = BinaryTypeCoercer::new(left, &Operator::Modulo, right).get_input_types()?;
                Ok(vec![left, right])
            }
            (Kind::Mod, _) => Err(no_such_call("mod", arguments, "mod(a, b)")),
            (Kind::Log, [_] | [_, _]) if arguments.iter().all(is_number) => {
                Ok(vec![DataType::Float64; arguments.len()])
            }
            (Kind::Log, _) => Err(no_such_call("log", arguments, "log(number) or log(base, number)")),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match (self.kind, arguments) {
            (Kind::Mod, [left, right]) => BinaryTypeCoercer::new(left, &Operator::Modulo, right).get_result_type(),
            _ => Ok(DataType::Float64),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let result = match (self.kind, &arrays[..]) {
            (Kind::Mod, [left, right]) => rem(left, right)?,
            (Kind::Log, [base, number]) => {
                let (bases, numbers) = (base.as_primitive::<Float64Type>(), number.as_primitive::<Float64Type>());
                Arc::new(datafusion::arrow::compute::binary::<_, _, _, Float64Type>(bases, numbers, |base, number| {
                    number.ln() / base.ln()
                })?)
            }
            (_, arrays) => Arc::new(arrays[0].as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::ln)),
        };
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?),
            false => ColumnarValue::Array(result),
        })
    }
}
