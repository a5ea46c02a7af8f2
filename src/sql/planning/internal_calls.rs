//! Calls of internal functions that the parser and the resolver wrote into a tree. Until a tree is planned their names are those of
//! `registry::in_tree`, which no user can write; DataFusion's planner must read the functions' own names, or it gives the calls an alias.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, VisitMut, VisitorMut};

use crate::functions::registry::of_tree;

/// Gives the calls the functions' own names; which functions these are.
pub fn name_plainly(tree: &mut impl VisitMut) -> BTreeSet<String> {
    struct Plainly(BTreeSet<String>);
    impl VisitorMut for Plainly {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Function(function) = expr
                && let [part] = &function.name.0[..]
                && let Some(name) = part.as_ident().and_then(|ident| of_tree(&ident.value)).map(str::to_owned)
            {
                function.name = ObjectName::from(vec![Ident::new(name.clone())]);
                self.0.insert(name);
            }
            ControlFlow::Continue(())
        }
    }
    let mut plainly = Plainly(BTreeSet::new());
    let _ = VisitMut::visit(tree, &mut plainly);
    plainly.0
}
