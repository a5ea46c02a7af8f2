//! Sub-queries over the system catalog that give one value: each finds one row at most.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query, SelectItem, SetExpr, TableFactor, TableWithJoins};

use super::expressions::{call, is_word, name_of, take};

/// DataFusion wants an aggregate in a correlated scalar subquery; over the system catalog each finds one row at most. For one that has no aggregate.
pub(super) fn single_row(query: &mut Query) {
    if query.limit_clause.is_some() || query.with.is_some() {
        return;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if select.from.is_empty() || !select.from.iter().all(is_of_catalog) {
        return;
    }
    if let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] = &mut select.projection[..] {
        *expr = call("max", take(expr));
        query.order_by = None;
        select.selection.iter_mut().for_each(without_flag);
    }
}

/// A column without a default has no row in pg_attrdef, whether or not `atthasdef` is asked for beside it.
fn without_flag(expr: &mut Expr) {
    let Expr::BinaryOp { left, op: BinaryOperator::And, right } = expr else { return };
    let is_flag = |expr: &Expr| name_of(expr).is_some_and(|name| name.value.eq_ignore_ascii_case("atthasdef"));
    without_flag(left);
    without_flag(right);
    if is_flag(right) {
        *expr = take(left);
    } else if is_flag(left) {
        *expr = take(right);
    }
}

fn is_of_catalog(item: &TableWithJoins) -> bool {
    let of_catalog = |factor: &TableFactor| matches!(factor, TableFactor::Table { name, .. } if name.0.len() == 2 && is_word(&name.0[0], "pg_catalog"));
    of_catalog(&item.relation) && item.joins.iter().all(|join| of_catalog(&join.relation))
}
