//! What computes floats gives one NaN, whichever the processor makes.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::functions::float_key;

/// Functions of floats that give NaN for some arguments that are none.
pub(super) const MAKING_NAN: [&str; 17] = [
    "acos", "acosh", "asin", "atanh", "cos", "cot", "exp", "fmod", "ln", "log", "log10", "log2", "pow", "power", "sin",
    "sqrt", "tan",
];

/// What may be a NaN of the processor's as the one NaN.
pub(super) fn of_float(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    if !expr.get_type(schema).is_ok_and(|found| found.is_floating()) {
        return Transformed::no(expr);
    }
    // Once for all that stands within each other.
    let bare = |operand: Box<Expr>| match *operand {
        Expr::ScalarFunction(mut call) if call.func.name() == float_key::VALUE && call.args.len() == 1 => {
            Box::new(call.args.swap_remove(0))
        }
        other => Box::new(other),
    };
    let expr = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            Expr::BinaryExpr(BinaryExpr { left: bare(left), op, right: bare(right) })
        }
        Expr::Negative(inner) => Expr::Negative(bare(inner)),
        other => other,
    };
    Transformed::yes(float_key::value(expr))
}
