//! Names in ORDER BY: of the result, or of the tables before it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, OrderByExpr, Query, SelectItem, SetExpr, VisitMut, VisitorMut,
};

use super::{Relation, Scope};
use crate::sql::result_names::MARK;

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
    let mut columns = Columns::default();
    for order in orders.iter_mut() {
        let _ = VisitMut::visit(&mut order.expr, &mut columns);
    }
    for item in &mut select.projection {
        let SelectItem::ExprWithAlias { expr, alias } = item else { continue };
        let is_itself = matches!(expr, Expr::CompoundIdentifier(idents) if idents.last().is_some_and(|last| last.value == alias.value));
        if is_itself || !columns.names.contains(&alias.value) {
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

/// The names of columns that are written with their relations.
#[derive(Default)]
struct Columns {
    names: BTreeSet<String>,
    depth: usize,
}

impl VisitorMut for Columns {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::CompoundIdentifier(idents) = expr
            && let [_, column] = &idents[..]
        {
            self.names.insert(column.value.clone());
        }
        ControlFlow::Continue(())
    }
}

/// In an expression of ORDER BY a name that is a result's and a column's means the column, as in Postgres.
pub(super) fn prefer_columns(expr: &mut Expr, scope: &Scope) {
    struct Prefer<'s> {
        scope: &'s Scope,
        depth: usize,
    }
    impl VisitorMut for Prefer<'_> {
        type Break = ();

        fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if self.depth == 0
                && let Expr::Identifier(ident) = expr
                && self.scope.merged_column(&ident.value).is_none()
                && self.scope.explicit.iter().any(|alias| alias.eq_ignore_ascii_case(&ident.value))
            {
                let holds = |relation: &&Relation| {
                    !relation.alias.is_empty()
                        && relation.columns.iter().flatten().any(|column| column.eq_ignore_ascii_case(&ident.value))
                };
                let mut holders = self.scope.relations.iter().filter(holds);
                if let (Some(relation), None) = (holders.next(), holders.next()) {
                    let qualifier = Ident::with_quote('"', relation.alias.clone());
                    *expr = Expr::CompoundIdentifier(vec![qualifier, ident.clone()]);
                }
            }
            ControlFlow::Continue(())
        }
    }
    // A name alone is the result's.
    if !matches!(expr, Expr::Identifier(_)) {
        let _ = VisitMut::visit(expr, &mut Prefer { scope, depth: 0 });
    }
}
