//! Names of result columns as Postgres gives them. DataFusion wants expressions of a SELECT to be unique by name and calls them by
//! their text, so each gets a name of its own for planning, and the client sees Postgres' names.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{Expr, Ident, SelectItem, SetExpr};

use super::resolver::column_name;

/// Names the items of a query's SELECTs; gives the names of the result, unless a wildcard hides them.
pub fn name_results(body: &mut SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => {
            let mut used = BTreeSet::new();
            let mut names = Some(Vec::new());
            for item in &mut select.projection {
                let (name, expr) = match item {
                    SelectItem::UnnamedExpr(expr) => (column_name(expr), Some(expr.clone())),
                    SelectItem::ExprWithAlias { alias, .. } => (alias.value.clone(), None),
                    _ => {
                        names = None;
                        continue;
                    }
                };
                let mut unique = name.clone();
                let mut count = 1;
                while !used.insert(unique.clone()) {
                    unique = format!("{name}:{count}");
                    count += 1;
                }
                let is_column = matches!(expr, Some(Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
                match (item, expr) {
                    (item, Some(expr)) if !is_column || unique != name => {
                        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', unique) };
                    }
                    (SelectItem::ExprWithAlias { alias, .. }, None) if unique != name => alias.value = unique,
                    _ => {}
                }
                if let Some(names) = &mut names {
                    names.push(name);
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
