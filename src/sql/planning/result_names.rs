//! Names of result columns as Postgres gives them. DataFusion wants expressions of a SELECT to be unique by name and calls them by
//! their text, so each gets a name of its own for planning, and the client sees Postgres' names.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SelectItem, SetExpr, VisitMut, VisitorMut};

use super::resolver::column_name;

/// Begins what makes a planned name unique; cut off before the client sees it.
pub const MARK: char = '\u{1}';

/// What Postgres calls a column without a name. DataFusion wants names to differ, so they carry a number behind it inside.
pub const UNNAMED_COLUMN: &str = "?column?";

/// The name of a result's column as the client sees it.
pub fn shown_name(name: &str) -> &str {
    if name.starts_with(UNNAMED_COLUMN) { UNNAMED_COLUMN } else { name }
}

/// A planned name as the client sees it.
pub fn without_mark(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

/// Names the items of the queries inside a query: what stands outside sees Postgres' names.
pub fn name_nested(query: &mut Query) {
    struct Nested;
    impl VisitorMut for Nested {
        type Break = ();

        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            name_results(&mut query.body);
            super::cast_names::keep_apart(query);
            ControlFlow::Continue(())
        }
    }
    let _ = VisitMut::visit(query, &mut Nested);
}

/// Names the items of a query's SELECTs; gives the names of the result, unless a wildcard hides them.
pub fn name_results(body: &mut SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => {
            let mut used = BTreeSet::new();
            let mut names = Some(Vec::new());
            let has_wildcard = select
                .projection
                .iter()
                .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
            for item in &mut select.projection {
                let (name, expr) = match item {
                    SelectItem::UnnamedExpr(expr) => (column_name(expr), Some(expr.clone())),
                    SelectItem::ExprWithAlias { alias, .. } => (alias.value.clone(), None),
                    _ => {
                        names = None;
                        continue;
                    }
                };
                let is_column = matches!(expr, Some(Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
                // The wildcard gives the column itself, so that the one beside it needs another name.
                let mut unique = if has_wildcard && is_column { format!("{name}{MARK}") } else { name.clone() };
                let mut count = 1;
                while !used.insert(unique.clone()) {
                    unique = format!("{name}{MARK}{count}");
                    count += 1;
                }
                match (item, expr) {
                    (item, Some(expr)) if !is_column || unique != name => {
                        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', unique) };
                    }
                    (SelectItem::ExprWithAlias { alias, .. }, None) if unique != name => alias.value = unique,
                    _ => {}
                }
                if let Some(names) = &mut names {
                    names.push(without_mark(&name).to_owned());
                }
            }
            names
        }
        SetExpr::Query(query) => name_results(&mut query.body),
        SetExpr::SetOperation { left, right, .. } => {
            name_results(right);
            name_results(left)
        }
        _ => None,
    }
}
