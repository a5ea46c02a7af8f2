//! `operator_chain('+-', a, b, c)` is `(a + b) - c`: a long chain of operators as one call, which nothing has to go down. Only the
//! planner writes it, for chains that are longer than anyone writes by hand.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use crate::data_type::is_unconstrained_numeric;
use crate::error::{Error, SqlState};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] =
    &[Entry::internal(NAME, "A long chain of operators.", Maker::Plain(operator_chain))];

/// Its name.
pub const NAME: &str = "operator_chain";

/// The operators by the signs that stand for them.
const OPERATORS: [(char, Operator); 6] = [
    ('+', Operator::Plus),
    ('-', Operator::Minus),
    ('*', Operator::Multiply),
    ('/', Operator::Divide),
    ('%', Operator::Modulo),
    ('|', Operator::StringConcat),
];

/// The function.
pub fn operator_chain() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(OperatorChain { signature: Signature::variadic_any(Volatility::Immutable) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct OperatorChain {
    signature: Signature,
}

fn malformed() -> Error {
    Error::invalid(format!("function {NAME} takes the signs of operators, then their operands"))
        .code(SqlState::UndefinedFunction)
}

fn operators(signs: &ScalarValue, operands: usize) -> Result<Vec<Operator>> {
    let (ScalarValue::Utf8(Some(signs)) | ScalarValue::LargeUtf8(Some(signs)) | ScalarValue::Utf8View(Some(signs))) =
        signs
    else {
        return Err(malformed().into());
    };
    let operators: Option<Vec<Operator>> = signs
        .chars()
        .map(|sign| OPERATORS.iter().find(|(known, _)| *known == sign).map(|(_, operator)| *operator))
        .collect();
    Ok(operators.filter(|operators| operators.len() + 1 == operands).ok_or_else(malformed)?)
}

/// The type of a step; types whose operators have rules of their own are left out.
fn step(left: &DataType, operator: Operator, right: &DataType) -> Result<DataType> {
    let takes = |data_type: &DataType| match operator {
        Operator::StringConcat => data_type.is_string() || data_type.is_integer() || data_type.is_null(),
        _ => data_type.is_null() || (data_type.is_numeric() && !is_unconstrained_numeric(data_type)),
    };
    if !(takes(left) && takes(right)) {
        let text = format!(
            "the statement is too complex: a chain of so many operators is computed over numbers or over strings, not over {} and {}",
            crate::data_type::to_postgres(left),
            crate::data_type::to_postgres(right)
        );
        return Err(Error::invalid(text)
            .code(SqlState::StatementTooComplex)
            .hint("Write it with sub-queries, or CAST the operands.")
            .into());
    }
    BinaryTypeCoercer::new(left, &operator, right).get_result_type()
}

impl ScalarUDFImpl for OperatorChain {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Err(malformed().into())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let Some(Some(signs)) = args.scalar_arguments.first() else { return Err(malformed().into()) };
        let Some((_, operands)) = args.arg_fields.split_first() else { return Err(malformed().into()) };
        let operators = operators(signs, operands.len())?;
        let mut data_type = operands[0].data_type().clone();
        for (operator, operand) in operators.iter().zip(&operands[1..]) {
            data_type = step(&data_type, *operator, operand.data_type())?;
        }
        let nullable = operands.iter().any(|operand| operand.is_nullable());
        Ok(Arc::new(Field::new(NAME, data_type, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalars = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if all_scalars { 1 } else { args.number_rows };
        let mut values = args.args.into_iter();
        let Some(ColumnarValue::Scalar(signs)) = values.next() else { return Err(malformed().into()) };
        let operators = operators(&signs, values.len())?;
        let mut result = values.next().ok_or_else(malformed)?;
        for (operator, operand) in operators.into_iter().zip(values) {
            let (left, right) = (result.data_type(), operand.data_type());
            let (left, right) = BinaryTypeCoercer::new(&left, &operator, &right).get_input_types()?;
            let (left, right) = (result.cast_to(&left, None)?, operand.cast_to(&right, None)?);
            let schema = Schema::new(vec![
                Field::new("left", left.data_type(), true),
                Field::new("right", right.data_type(), true),
            ]);
            let batch = RecordBatch::try_new(Arc::new(schema), vec![left.into_array(rows)?, right.into_array(rows)?])?;
            let operation =
                BinaryExpr::new(Arc::new(Column::new("left", 0)), operator, Arc::new(Column::new("right", 1)))
                    .with_fail_on_overflow(true);
            result = operation.evaluate(&batch)?;
        }
        let result = result.into_array(rows)?;
        Ok(if all_scalars {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}
