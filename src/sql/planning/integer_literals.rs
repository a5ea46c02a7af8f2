//! Whole numbers that are written: INT where they fit, as in both dialects, else BIGINT. DataFusion takes all of them for BIGINT, so
//! those whose type is seen in a result get a cast: what stands alone in a list of results or in VALUES, operands of arithmetic, results
//! of CASE, elements of arrays and rows, arguments whose type is the call's. Where a number only counts (LIMIT, places in ORDER BY,
//! frames, places of digits) or is compared, it stays as it is, so that what looks for a constant finds one.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Query, SelectItem,
    SetExpr, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut,
};

use crate::functions::operator_chain;
use crate::sql::parser::fold;

/// Functions whose results show the type of their arguments.
const SHOW_TYPES: [&str; 25] = [
    "abs",
    "any_value",
    "array",
    "array_agg",
    "coalesce",
    "first_value",
    "greatest",
    "if",
    "ifnull",
    "lag",
    "last_value",
    "lead",
    "least",
    "make_array",
    "map",
    "max",
    "min",
    "mod",
    "nth_value",
    "nullif",
    "nvl",
    operator_chain::NAME,
    "pg_typeof",
    "row",
    "struct",
];

/// Casts the whole numbers of a query.
pub fn of_query(query: &mut Query) {
    let _ = VisitMut::visit(query, &mut Literals);
}

/// Casts the whole numbers of an expression.
pub fn of_expr(expr: &mut Expr) {
    let _ = VisitMut::visit(expr, &mut Literals);
    as_int(expr);
}

struct Literals;

impl VisitorMut for Literals {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        of_results(&mut query.body);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::BinaryOp { left, op, right } if is_arithmetic(op) => {
                as_int(left);
                as_int(right);
            }
            Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr } => as_int(expr),
            Expr::Case { conditions, else_result, .. } => {
                conditions.iter_mut().for_each(|when| as_int(&mut when.result));
                else_result.iter_mut().for_each(|result| as_int(result));
            }
            Expr::Array(array) => array.elem.iter_mut().for_each(as_int),
            Expr::Tuple(values) | Expr::Struct { values, .. } => values.iter_mut().for_each(as_int),
            Expr::Function(function) => {
                let name = function.name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
                if SHOW_TYPES.contains(&name.as_str())
                    && let FunctionArguments::List(list) = &mut function.args
                {
                    // Which value it is has no type of its own.
                    let shown = if name == "nth_value" { 1 } else { list.args.len() };
                    for argument in list.args.iter_mut().take(shown) {
                        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument {
                            as_int(expr);
                        }
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn of_results(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                    as_int(expr);
                }
            }
        }
        SetExpr::Values(values) => values.rows.iter_mut().flat_map(|row| &mut row.content).for_each(as_int),
        SetExpr::SetOperation { left, right, .. } => {
            of_results(left);
            of_results(right);
        }
        // Queries within are visited for themselves.
        _ => {}
    }
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    use BinaryOperator::{
        BitwiseAnd, BitwiseOr, BitwiseXor, Divide, Minus, Modulo, Multiply, PGBitwiseShiftLeft, PGBitwiseShiftRight,
        PGBitwiseXor, Plus,
    };
    matches!(
        op,
        Plus | Minus
            | Multiply
            | Divide
            | Modulo
            | BitwiseAnd
            | BitwiseOr
            | BitwiseXor
            | PGBitwiseXor
            | PGBitwiseShiftLeft
            | PGBitwiseShiftRight
    )
}

fn as_int(expr: &mut Expr) {
    if !fits(expr, false) {
        return;
    }
    let number = std::mem::replace(expr, Expr::value(Value::Null));
    let data_type = DataType::Int(None);
    *expr = Expr::Cast { kind: CastKind::Cast, expr: Box::new(number), data_type, array: false, format: None };
}

/// Whether it is a whole number, with signs and in brackets, that an INT holds.
fn fits(expr: &Expr, is_negative: bool) -> bool {
    match expr {
        Expr::Nested(inner) => fits(inner, is_negative),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => fits(expr, is_negative),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => fits(expr, !is_negative),
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => {
            // What has a point or an exponent is no whole number; other bases are written out before.
            let number = if digits.contains('_') { digits.replace('_', "").parse() } else { digits.parse::<i64>() };
            number.is_ok_and(|number| i32::try_from(if is_negative { -number } else { number }).is_ok())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
