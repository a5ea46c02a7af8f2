//! Sums, differences and products of whole numbers that are an error beyond the range of their type, as in Postgres: integer_add(a, b),
//! integer_subtract(a, b), integer_multiply(a, b), integer_negate(a). DataFusion's operators wrap around.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Datum, Scalar};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use super::no_such_call;
use crate::error::{Error, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(ADD, "`+` of whole numbers.", Maker::Plain(|| make(Operation::Add))),
    Entry::internal(MULTIPLY, "`*` of whole numbers.", Maker::Plain(|| make(Operation::Multiply))),
    Entry::internal(NEGATE, "`-` before a whole number.", Maker::Plain(|| make(Operation::Negate))),
    Entry::internal(SUBTRACT, "`-` of whole numbers.", Maker::Plain(|| make(Operation::Subtract))),
];

/// Names of the functions.
pub const ADD: &str = "integer_add";
/// See [`ADD`].
pub const MULTIPLY: &str = "integer_multiply";
/// See [`ADD`].
pub const NEGATE: &str = "integer_negate";
/// See [`ADD`].
pub const SUBTRACT: &str = "integer_subtract";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Negate,
}

/// Whether a function is one of these.
pub fn is_one(name: &str) -> bool {
    [ADD, MULTIPLY, NEGATE, SUBTRACT].contains(&name)
}

/// What an operator over two whole numbers of one type is.
pub fn checked(left: &Expr, operator: Operator, right: &Expr) -> Option<Expr> {
    let operation = match operator {
        Operator::Plus => Operation::Add,
        Operator::Minus => Operation::Subtract,
        Operator::Multiply => Operation::Multiply,
        _ => return None,
    };
    Some(make(operation).call(vec![left.clone(), right.clone()]))
}

/// A number with the other sign.
pub fn negated(expr: Expr) -> Expr {
    make(Operation::Negate).call(vec![expr])
}

fn make(operation: Operation) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Integers { operation, signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Integers {
    operation: Operation,
    signature: Signature,
}

impl ScalarUDFImpl for Integers {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Add => ADD,
            Operation::Subtract => SUBTRACT,
            Operation::Multiply => MULTIPLY,
            Operation::Negate => NEGATE,
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let wanted = if self.operation == Operation::Negate { 1 } else { 2 };
        match arguments {
            [first, rest @ ..]
                if arguments.len() == wanted
                    && first.is_signed_integer()
                    && rest.iter().all(|other| other == first) =>
            {
                Ok(arguments.to_vec())
            }
            _ => Err(no_such_call(self.name(), arguments, "the operator")),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        arguments.first().cloned().ok_or_else(|| no_such_call(self.name(), arguments, "the operator"))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalars = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let sides = args.args.iter().map(Side::of).collect::<Result<Vec<_>>>()?;
        let computed = match (self.operation, &sides[..]) {
            (Operation::Add, [left, right]) => numeric::add(left.datum(), right.datum()),
            (Operation::Subtract, [left, right]) => numeric::sub(left.datum(), right.datum()),
            (Operation::Multiply, [left, right]) => numeric::mul(left.datum(), right.datum()),
            (Operation::Negate, [Side::One(value)]) => numeric::neg(value.get().0),
            (Operation::Negate, [Side::Many(values)]) => numeric::neg(values),
            _ => return Err(no_such_call(self.name(), &[], "the operator")),
        };
        let computed = computed.map_err(|error| match error {
            ArrowError::ArithmeticOverflow(_) => out_of_range(args.return_field.data_type()).into(),
            other => datafusion::error::DataFusionError::from(other),
        })?;
        Ok(if all_scalars {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&computed, 0)?)
        } else {
            ColumnarValue::Array(computed)
        })
    }
}

/// An operand: a column, or one value for all rows.
enum Side {
    Many(ArrayRef),
    One(Scalar<ArrayRef>),
}

impl Side {
    fn of(value: &ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Array(values) => Self::Many(values.clone()),
            ColumnarValue::Scalar(value) => Self::One(value.to_scalar()?),
        })
    }

    fn datum(&self) -> &dyn Datum {
        match self {
            Self::Many(values) => values,
            Self::One(value) => value,
        }
    }
}

fn out_of_range(data_type: &DataType) -> Error {
    Error::row(format!("{} out of range", crate::data_type::to_postgres(data_type)))
        .code(SqlState::NumericValueOutOfRange)
}
