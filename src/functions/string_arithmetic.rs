//! Arithmetic with strings: `'2' + '3'` is 5. A string with a string or a number becomes numeric (exact), and numeric stays numeric.
//! Beside a time a string is an interval (`ts + '1 day'`).

use datafusion::arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, binary_expr, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::numeric;

/// See the module.
#[derive(Debug)]
pub struct StringArithmetic {}

impl StringArithmetic {
    /// The planner.
    pub fn new() -> Self {
        Self {}
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A string beside a time, as Postgres reads it: added, it is an interval; subtracted from a time, it is a time.
fn with_time(operator: Operator, expr: &RawBinaryExpr, left: &DataType, right: &DataType) -> Option<Expr> {
    let interval = || DataType::Interval(IntervalUnit::MonthDayNano);
    let (left_cast, right_cast) = match operator {
        Operator::Plus if left.is_temporal() && is_text(right) => (None, Some(interval())),
        Operator::Plus if is_text(left) && right.is_temporal() => (Some(interval()), None),
        Operator::Minus if left.is_temporal() && is_text(right) => (None, Some(left.clone())),
        _ => return None,
    };
    let operand = |expression: &Expr, to: Option<DataType>| match to {
        Some(to) => cast(expression.clone(), to),
        None => expression.clone(),
    };
    let name = format!("{} {} {}", expr.left.schema_name(), operator, expr.right.schema_name());
    Some(binary_expr(operand(&expr.left, left_cast), operator, operand(&expr.right, right_cast)).alias(name))
}

impl ExprPlanner for StringArithmetic {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let operator = match expr.op {
            BinaryOperator::Plus => Operator::Plus,
            BinaryOperator::Minus => Operator::Minus,
            BinaryOperator::Multiply => Operator::Multiply,
            BinaryOperator::Divide => Operator::Divide,
            BinaryOperator::Modulo => Operator::Modulo,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        // The type of a parameter is not known yet; inference comes first.
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        if let Some(planned) = with_time(operator, &expr, &left, &right) {
            return Ok(PlannerResult::Planned(planned));
        }
        let counts = |data_type: &DataType| is_text(data_type) || data_type.is_numeric() || data_type.is_null();
        let makes_numeric = |data_type: &DataType| is_text(data_type) || *data_type == numeric::data_type();
        if !counts(&left) || !counts(&right) || !(makes_numeric(&left) || makes_numeric(&right)) {
            return Ok(PlannerResult::Original(expr));
        }
        let operand = |expression: Expr, data_type: &DataType| {
            if *data_type == numeric::data_type() {
                expression
            } else {
                Expr::ScalarFunction(ScalarFunction { func: numeric::to_numeric_udf(), args: vec![expression] })
            }
        };
        let name = format!("{} {} {}", expr.left.schema_name(), operator, expr.right.schema_name());
        let args = vec![operand(expr.left, &left), operand(expr.right, &right)];
        let call = Expr::ScalarFunction(ScalarFunction { func: numeric::arithmetic_udf(operator), args });
        Ok(PlannerResult::Planned(call.alias(name)))
    }
}
