//! The expressions of a part of a query itself, without those of the queries within it, whose names mean something else.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, VisitMut, VisitorMut};

/// Shows each expression after those that it is made of.
pub fn visit(part: &mut impl VisitMut, show: impl FnMut(&mut Expr)) {
    let _ = part.visit(&mut Own { queries: 0, show });
}

struct Own<F> {
    /// How many queries stand around what is visited.
    queries: usize,
    show: F,
}

impl<F: FnMut(&mut Expr)> VisitorMut for Own<F> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.queries == 0 {
            (self.show)(expr);
        }
        ControlFlow::Continue(())
    }
}
