//! Casts in GROUP BY. DataFusion calls an expression by its text without casts, and wants the columns of a GROUP BY to have names of
//! their own: where two of them differ in a cast only (`GROUP BY ts, CAST(ts AS DATE)`), the casts of the query are put into calls of
//! `as_written`, which have other names.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, OrderByKind, Query, SelectItem, SetExpr, Value, ValueWithSpan, VisitMut, VisitorMut,
};

use super::literals::call;
use super::own_expressions;
use crate::functions::as_written;
use crate::functions::registry::in_tree;

/// Keeps the columns of a GROUP BY apart where it is needed.
pub fn keep_apart(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return };
    if keys.len() < 2 {
        return;
    }
    // A name is a column's or a result's: what needs no call may have one.
    let written = keys.iter().flat_map(|key| [key, meaning(key, &select.projection)]);
    let mut seen: Vec<(String, &Expr)> = Vec::new();
    let mut collides = false;
    for key in written {
        let name = without_casts(key);
        collides |= seen.iter().any(|(other, expr)| *other == name && *expr != key);
        seen.push((name, key));
    }
    if !collides {
        return;
    }
    own_expressions::visit(select.as_mut(), put_into_call);
    if let Some(order_by) = &mut query.order_by
        && let OrderByKind::Expressions(exprs) = &mut order_by.kind
    {
        for order in exprs {
            own_expressions::visit(&mut order.expr, put_into_call);
        }
    }
}

/// The expression that a number or a name of the list of results stands for.
fn meaning<'a>(key: &'a Expr, projection: &'a [SelectItem]) -> &'a Expr {
    let item = match key {
        Expr::Value(ValueWithSpan { value: Value::Number(number, _), .. }) => {
            number.parse::<usize>().ok().and_then(|place| projection.get(place.checked_sub(1)?))
        }
        Expr::Identifier(ident) => projection
            .iter()
            .find(|item| matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias.value == ident.value)),
        _ => None,
    };
    match item {
        Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => expr,
        _ => key,
    }
}

fn without_casts(expr: &Expr) -> String {
    struct Plain;
    impl VisitorMut for Plain {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Cast { expr: inner, .. } | Expr::Nested(inner) = expr {
                *expr = std::mem::replace(inner, Expr::Value(Value::Null.into()));
            }
            ControlFlow::Continue(())
        }
    }
    let mut plain = expr.clone();
    let _ = VisitMut::visit(&mut plain, &mut Plain);
    match &plain {
        // A name with its relation, or without it.
        Expr::CompoundIdentifier(idents) => idents.last().map_or_else(String::new, |ident| ident.value.clone()),
        Expr::Identifier(ident) => ident.value.clone(),
        other => other.to_string(),
    }
}

/// Puts a cast into a call that says its type.
fn put_into_call(expr: &mut Expr) {
    if let Expr::Cast { data_type, .. } = expr {
        let name = Expr::Value(Value::SingleQuotedString(data_type.to_string()).into());
        let cast = std::mem::replace(expr, Expr::Value(Value::Null.into()));
        *expr = call(&in_tree(as_written::NAME), vec![cast, name]);
    }
}
