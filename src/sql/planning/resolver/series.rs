//! Functions that give rows, in a list of SELECT: `SELECT generate_series(1, 3)` is three rows. For DataFusion generate_series is an
//! array there, whose items unnest() makes rows of.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Function, Ident, Query, SelectItem, VisitMut, VisitorMut};

use super::written::call;
use crate::sql::planning::result_names::column_name;

/// A function that gives rows.
const SERIES: &str = "generate_series";
/// What makes rows of an array.
const ROWS: &str = "unnest";

/// Makes rows of what such functions give, under the column's name as it is.
pub(super) fn write_out(item: &mut SelectItem) {
    let expr = match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr,
        _ => return,
    };
    let mut visitor = Series { depth: 0, found: false };
    let _ = VisitMut::visit(expr, &mut visitor);
    if visitor.found
        && let SelectItem::UnnamedExpr(expr) = item
    {
        let name = column_name(expr);
        let name = if name == ROWS { SERIES.to_owned() } else { name };
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
    }
}

/// Whether a function's rows are those of a call.
fn gives_rows(function: &Function) -> bool {
    let name = function.name.0.last().and_then(|part| part.as_ident());
    name.is_some_and(|name| name.value.eq_ignore_ascii_case(SERIES))
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
        match expr {
            Expr::Function(function) if gives_rows(function) => {
                self.found = true;
                let array = Expr::Function(function.clone());
                *expr = unnest(array);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn unnest(array: Expr) -> Expr {
    call(ROWS, vec![array])
}
