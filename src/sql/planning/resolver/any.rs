//! `x = ANY(ARRAY[…])` and `x <> ALL(ARRAY[…])` as IN and NOT IN, which mean the same and compare item by item.

use datafusion::sql::sqlparser::ast::{Array, BinaryOperator, Expr, Value};

/// Writes such a comparison out.
pub(super) fn write_out(expr: &mut Expr) {
    let (left, right, negated) = match expr {
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => (left, right, false),
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => (left, right, true),
        _ => return,
    };
    let mut array = right.as_mut();
    while let Expr::Nested(inner) = array {
        array = inner.as_mut();
    }
    let Expr::Array(Array { elem, .. }) = array else { return };
    let is_plain = |item: &Expr| !matches!(item, Expr::Array(_) | Expr::Subquery(_));
    if elem.is_empty() || !elem.iter().all(is_plain) {
        return;
    }
    let list = std::mem::take(elem);
    let value = Box::new(std::mem::replace(left.as_mut(), Expr::value(Value::Null)));
    *expr = Expr::InList { expr: value, list, negated };
}
