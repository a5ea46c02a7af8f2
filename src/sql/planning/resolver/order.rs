//! Names in ORDER BY: of the result, or of the tables before it.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, Ident, OrderByExpr, SelectItem, SetExpr};

use super::scope::{Scope, ScopedRelation};
use crate::sql::planning::own_expressions;
use crate::sql::planning::result_names::MARK;

/// Whether results may have other names within: a SELECT without GROUP BY and DISTINCT.
pub(super) fn can_rename(body: &SetExpr) -> bool {
    let SetExpr::Select(select) = body else { return false };
    let groups = match &select.group_by {
        GroupByExpr::Expressions(exprs, modifiers) => !exprs.is_empty() || !modifiers.is_empty(),
        GroupByExpr::All(_) => true,
    };
    !groups && select.distinct.is_none() && select.having.is_none() && select.qualify.is_none()
}

/// Gives results another name where ORDER BY has a column of theirs, which DataFusion would take for the same.
pub(super) fn rename(body: &mut SetExpr, orders: &mut [OrderByExpr]) {
    let SetExpr::Select(select) = body else { return };
    // The names of columns that are written with their relations.
    let mut columns = BTreeSet::new();
    for order in orders.iter_mut() {
        own_expressions::visit(&mut order.expr, |expr| {
            if let Expr::CompoundIdentifier(idents) = expr
                && let [_, column] = &idents[..]
            {
                columns.insert(column.value.clone());
            }
        });
    }
    for item in &mut select.projection {
        let SelectItem::ExprWithAlias { expr, alias } = item else { continue };
        let is_itself = matches!(expr, Expr::CompoundIdentifier(idents) if idents.last().is_some_and(|last| last.value == alias.value));
        if is_itself || !columns.contains(&alias.value) {
            continue;
        }
        let name = format!("{}{MARK}", alias.value);
        for order in orders.iter_mut() {
            if let Expr::Identifier(ident) = &mut order.expr
                && ident.value == alias.value
            {
                ident.value.clone_from(&name);
            }
        }
        alias.value = name;
    }
}

/// In an expression of ORDER BY a name that is a result's and a column's means the column, as in Postgres.
pub(super) fn prefer_columns(expr: &mut Expr, scope: &Scope) {
    // A name alone is the result's.
    if matches!(expr, Expr::Identifier(_)) {
        return;
    }
    own_expressions::visit(expr, |expr| {
        if let Expr::Identifier(ident) = expr
            && scope.merged_column(&ident.value).is_none()
            && scope.explicit.iter().any(|alias| alias.eq_ignore_ascii_case(&ident.value))
        {
            let holds = |relation: &&ScopedRelation| {
                !relation.alias.is_empty()
                    && relation.columns.iter().flatten().any(|column| column.eq_ignore_ascii_case(&ident.value))
            };
            let mut holders = scope.relations.iter().filter(holds);
            if let (Some(relation), None) = (holders.next(), holders.next()) {
                let qualifier = Ident::with_quote('"', relation.alias.clone());
                *expr = Expr::CompoundIdentifier(vec![qualifier, ident.clone()]);
            }
        }
    });
}
