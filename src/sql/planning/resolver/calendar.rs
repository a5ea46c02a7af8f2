//! Intervals that are written in days or more outside the quotes, `INTERVAL '1' DAY`, beside a plus or a minus: Flink's form, which leaves
//! a DATE a DATE. DataFusion's planner sees no more how an interval was written, so that it is marked by a function.

use datafusion::sql::sqlparser::ast::{BinaryOperator, DateTimeField, Expr, Interval, Value};

use super::written::call;
use crate::functions::intervals;
use crate::functions::registry::in_tree;

/// Marks such an operand; and a minus before an interval is that of all of it.
pub(super) fn mark(expr: &mut Expr) {
    if let Expr::UnaryOp { expr: operand, .. } = expr
        && matches!(operand.as_ref(), Expr::Interval(_))
    {
        let interval = std::mem::replace(operand.as_mut(), Expr::value(Value::Null));
        **operand = Expr::Nested(Box::new(interval));
        return;
    }
    let Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } = expr else { return };
    for side in [left, right] {
        if let Expr::Interval(interval) = side.as_ref()
            && is_of_days(interval)
        {
            let interval = std::mem::replace(side.as_mut(), Expr::value(Value::Null));
            **side = call(&in_tree(intervals::CALENDAR), vec![interval]);
        }
    }
}

fn is_of_days(interval: &Interval) -> bool {
    let is_days = |field: &DateTimeField| {
        matches!(
            field,
            DateTimeField::Year
                | DateTimeField::Years
                | DateTimeField::Quarter
                | DateTimeField::Month
                | DateTimeField::Months
                | DateTimeField::Week(_)
                | DateTimeField::Weeks
                | DateTimeField::Day
                | DateTimeField::Days
        )
    };
    interval.leading_field.as_ref().is_some_and(is_days) && interval.last_field.as_ref().is_none_or(is_days)
}
