//! Functions that give rows, in a list of SELECT: `SELECT generate_series(1, 3)` is three rows. For DataFusion such a function gives an
//! array there, whose items unnest() makes rows of.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SelectItem, VisitMut, VisitorMut};

use crate::sql::planning::result_names::column_name;
use crate::sql::planning::row_functions;

/// Makes rows of what such functions give, under the column's name as it is.
pub(super) fn write_out(item: &mut SelectItem) {
    let expr = match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr,
        _ => return,
    };
    let name = column_name(expr);
    let mut visitor = Series { depth: 0, found: false };
    let _ = VisitMut::visit(expr, &mut visitor);
    if visitor.found
        && let SelectItem::UnnamedExpr(expr) = item
    {
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
    }
}

struct Series {
    depth: usize,
    found: bool,
}

impl VisitorMut for Series {
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
        self.depth += usize::from(matches!(expr, Expr::Function(_)));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.depth -= usize::from(matches!(expr, Expr::Function(_)));
        // What a function takes is an array.
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        if let Expr::Function(function) = expr
            && let Some(of) = row_functions::by_name(&function.name)
        {
            self.found = true;
            *expr = row_functions::rows_of(function, of);
        }
        ControlFlow::Continue(())
    }
}
